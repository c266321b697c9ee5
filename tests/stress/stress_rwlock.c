/* SPDX-License-Identifier: MIT */
/*
 * stress_rwlock.c - readers and writers: nothing is lost to who is cancelled or late, and nobody is in beside a
 * writer.
 */
#include "tests/stress/cancel_safety.h"

#include <errno.h>
#include <stdlib.h>

struct table {
	hilo_rwlock lock;
	uint64_t first, second; /* the same, but while somebody writes */
	atomic(int) readers;
	atomic(bool) writer;
	atomic(uint64_t) writes;
	struct table *aside; /* another one, which nobody waits for: so it is mostly free for who tries */
};

static struct table *table_new(void)
{
	struct table *table = calloc(1, sizeof(*table));

	TASK_CHECK(table, !=, NULL);
	return table;
}

static void *table_up(unsigned workers)
{
	struct table *table = table_new();

	(void)workers;
	table->aside = table_new();
	return table;
}

static void table_down(void *object)
{
	struct table *table = object;

	free(table->aside);
	free(table);
}

/* One of the two, to try. */
static struct table *table_either(struct table *table, struct safety_actor *actor)
{
	return safety_choose(actor, 2) ? table : table->aside;
}

static void table_check(void *object, struct safety_actor *actors, unsigned count)
{
	struct table *table = object;

	if (table->aside)
		table_check(table->aside, actors, count);
	TASK_CHECK(hilo_rwlock_destroy(&table->lock), ==, 0);
	TASK_CHECK(load_relaxed(&table->readers), ==, 0);
	TASK_CHECK(table->first, ==, table->second);
	TASK_CHECK(table->first, ==, load_relaxed(&table->writes));
}

static void table_look(struct table *table, struct safety_actor *actor)
{
	(void)add_relaxed(&table->readers, 1);
	TASK_CHECK(load_relaxed(&table->writer), ==, false);
	TASK_CHECK(table->first, ==, table->second);
	if (safety_choose(actor, 8) == 0)
		test_pause();
	TASK_CHECK(table->first, ==, table->second);
	(void)sub_relaxed(&table->readers, 1);
}

static void table_change(struct table *table, struct safety_actor *actor)
{
	TASK_CHECK(xchg_relaxed(&table->writer, true), ==, false);
	TASK_CHECK(load_relaxed(&table->readers), ==, 0);
	table->first++;
	if (safety_choose(actor, 8) == 0)
		test_pause();
	table->second++;
	(void)add_relaxed(&table->writes, 1);
	store_relaxed(&table->writer, false);
}

static int table_unlock(struct table *table)
{
	TASK_CHECK(hilo_rwlock_unlock(&table->lock), ==, 0);
	return 0;
}

static int table_read(void *object, struct safety_actor *actor, hilo_time deadline)
{
	struct table *table = object;
	int rc = hilo_rwlock_read(&table->lock, deadline);

	if (rc < 0)
		return rc;
	table_look(table, actor);
	return table_unlock(table);
}

static int table_write(void *object, struct safety_actor *actor, hilo_time deadline)
{
	struct table *table = object;
	int rc = hilo_rwlock_write(&table->lock, deadline);

	if (rc < 0)
		return rc;
	table_change(table, actor);
	return table_unlock(table);
}

static int table_downgrade(void *object, struct safety_actor *actor, hilo_time deadline)
{
	struct table *table = object;
	int rc = hilo_rwlock_write(&table->lock, deadline);

	if (rc < 0)
		return rc;
	table_change(table, actor);
	TASK_CHECK(hilo_rwlock_downgrade(&table->lock), ==, 0);
	table_look(table, actor);
	return table_unlock(table);
}

static int table_try_read(void *object, struct safety_actor *actor, hilo_time deadline)
{
	struct table *table = table_either(object, actor);
	int rc = hilo_rwlock_try_read(&table->lock);

	(void)deadline;
	if (rc < 0)
		return rc;
	table_look(table, actor);
	return table_unlock(table);
}

static int table_try_write(void *object, struct safety_actor *actor, hilo_time deadline)
{
	struct table *table = table_either(object, actor);
	int rc = hilo_rwlock_try_write(&table->lock);

	(void)deadline;
	if (rc < 0)
		return rc;
	table_change(table, actor);
	return table_unlock(table);
}

static const struct safety_op ops[] = {
	{"read", table_read, {-ETIMEDOUT, -ECANCELED}, .weight = 8},
	{"write", table_write, {-ETIMEDOUT, -ECANCELED}, .weight = 3},
	{"downgrade", table_downgrade, {-ETIMEDOUT, -ECANCELED}, .weight = 2},
	{"try_read", table_try_read, {-EAGAIN}, .weight = 1},
	{"try_write", table_try_write, {-EAGAIN}, .weight = 2},
};

static const struct safety_object rwlock = {"rwlock", .up = table_up, .down = table_down,
					    .check = table_check, SAFETY_OPS(ops)};

int main(void)
{
	test_begin();
	safety_prove(&rwlock);
	return 0;
}
