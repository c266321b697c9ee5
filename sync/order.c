/* SPDX-License-Identifier: MIT */
/*
 * order.c - who has which locks, and which were taken while others were held.
 *
 * Who locks B while it has A makes the pair A, B. Who locks A while it has B, at any other time, may wait for the first
 * one while that waits for it: so that is told when the second pair is made, before it waits, and once for each pair of
 * places in the program. Only locks that are waited for make pairs, trying does not.
 *
 * The tables have fixed sizes: of the pairs the oldest ones are forgotten; a lock that finds no room among those that
 * are held is not looked at. All is under one spinlock, in debug mode only.
 */
#include "sync/order_impl.h"

#include <hilo/runtime/log.h>

#include "runtime/debug_impl.h"
#include "runtime/log_impl.h"
#include "runtime/runtime_impl.h"
#include "runtime/site_impl.h"
#include "scheduler/base/lock.h"

#define HELD_MAX 512
#define PAIRS_MAX 1024
#define TOLD_MAX 256

struct held {
	const struct hilo_task *who; /* NULL: free */
	const void *lock, *site;
	uint64_t number;
};

/* @second was locked, at its site, by one who had @first, locked at its site. */
struct pair {
	uint64_t first, second;
	const void *first_site, *second_site;
};

/* Where the later locks of two pairs were locked, one against the other, that were told. */
struct told {
	const void *one, *other;
};

static struct {
	struct spinlock lock;
	struct held held[HELD_MAX];
	struct pair pair[PAIRS_MAX];
	struct told told[TOLD_MAX];
	unsigned held_end, pairs, pair_next, told_count;
	uint64_t last;
} table;

void hilo__order_begin(struct thread *self)
{
	if (debug_was_used())
		self->mutex_guess = MUTEX_GUESS_NEVER;
}

/* [lock] */
static void mark_set(struct order_mark *mark)
{
	if (!mark->number)
		mark->number = ++table.last;
}

/* [lock] */
static const struct pair *pair_find(uint64_t first, uint64_t second)
{
	for (unsigned i = 0; i < table.pairs; i++)
		if (table.pair[i].first == first && table.pair[i].second == second)
			return &table.pair[i];
	return NULL;
}

/* [lock] */
static void pair_add(const struct pair *pair)
{
	if (pair_find(pair->first, pair->second))
		return;
	table.pair[table.pair_next] = *pair;
	table.pair_next = (table.pair_next + 1) % PAIRS_MAX;
	if (table.pairs < PAIRS_MAX)
		table.pairs++;
}

/* [lock] Nothing was said of these two places yet, and there is room to remember that it is now. */
static bool is_news(const void *one, const void *other)
{
	for (unsigned i = 0; i < table.told_count; i++) {
		const struct told *told = &table.told[i];

		if ((told->one == one && told->other == other) || (told->one == other && told->other == one))
			return false;
	}
	if (table.told_count == TOLD_MAX)
		return false;
	table.told[table.told_count++] = (struct told){one, other};
	return true;
}

static void tell(const struct hilo_task *me, const void *lock, const struct held *held,
		 const struct pair *mine, const struct pair *other)
{
	char label[TASK_LABEL_SIZE], site[4][SITE_SIZE];

	hilo__site_describe(mine->second_site, site[0], SITE_SIZE);
	hilo__site_describe(mine->first_site, site[1], SITE_SIZE);
	hilo__site_describe(other->second_site, site[2], SITE_SIZE);
	hilo__site_describe(other->first_site, site[3], SITE_SIZE);
	hilo__log(HILO_LOG_WARNING,
		  "debug: lock order: %s locks %p at %s while it has %p, locked at %s; the other way round "
		  "before: "
		  "%p was locked at %s by one who had %p, locked at %s",
		  me->flags & TASK_THREAD ? "a thread" : hilo__task_label(me, label), lock, site[0],
		  held->lock, site[1], held->lock, site[2], lock, site[3]);
}

/* [lock] The pair of what is held at @i and the lock that is wanted. True: *@other is the one against it, and new. */
static bool pair_is_inverse(unsigned i, uint64_t number, const void *site, struct pair *mine,
			    struct pair *other)
{
	const struct held *held = &table.held[i];
	const struct pair *found;

	*mine = (struct pair){held->number, number, held->site, site};
	found = pair_find(number, held->number);
	if (found)
		*other = *found;
	pair_add(mine);
	return found && is_news(mine->second_site, other->second_site);
}

void hilo__order_wants(const struct hilo_task *me, const void *lock, struct order_mark *mark,
		       const void *site)
{
	struct pair mine, other;
	struct held held;

	spin_lock(&table.lock);
	mark_set(mark);
	for (unsigned i = 0; i < table.held_end; i++) {
		if (table.held[i].who != me || table.held[i].lock == lock ||
		    !pair_is_inverse(i, mark->number, site, &mine, &other))
			continue;
		held = table.held[i];
		spin_unlock(&table.lock);
		tell(me, lock, &held, &mine, &other); /* calls the user's log */
		spin_lock(&table.lock);
	}
	spin_unlock(&table.lock);
}

void hilo__order_has(const struct hilo_task *me, const void *lock, struct order_mark *mark, const void *site)
{
	spin_lock(&table.lock);
	mark_set(mark);
	for (unsigned i = 0; i < HELD_MAX; i++) {
		if (table.held[i].who)
			continue;
		table.held[i] = (struct held){me, lock, site, mark->number};
		if (i >= table.held_end)
			table.held_end = i + 1;
		break;
	}
	spin_unlock(&table.lock);
}

/* [lock] The entry, or NULL. */
static struct held *held_find(const struct hilo_task *me, const void *lock)
{
	for (unsigned i = 0; i < table.held_end; i++)
		if (table.held[i].who == me && table.held[i].lock == lock)
			return &table.held[i];
	return NULL;
}

void hilo__order_lets_go(const struct hilo_task *me, const void *lock)
{
	struct held *held;

	spin_lock(&table.lock);
	held = held_find(me, lock);
	if (held)
		held->who = NULL;
	while (table.held_end > 0 && !table.held[table.held_end - 1].who)
		table.held_end--;
	spin_unlock(&table.lock);
}

const void *hilo__order_where(const struct hilo_task *me, const void *lock)
{
	const struct held *held;
	const void *site;

	spin_lock(&table.lock);
	held = held_find(me, lock);
	site = held ? held->site : NULL;
	spin_unlock(&table.lock);
	return site;
}
