/* SPDX-License-Identifier: MIT */
/*
 * sqlite_writer.c - the one who writes: group commit.
 *
 * SQLite has one writer at a time, and with synchronous=FULL each commit waits for the disk. So all writes go
 * through one thread, an executor of its own, which takes whatever has come since the last time and makes one
 * transaction of it: as many writes as there are clients share one wait. A write is answered after its COMMIT,
 * never before.
 *
 *	task: queue its write, have the thread called if it is not; wait for the event in the write
 *	thread: take all, BEGIN, a statement each, COMMIT, set all events; again, until the queue is empty
 *
 * A write that fails is undone by itself (a statement is atomic); if the COMMIT fails, or SQLite ends the transaction
 * before, all of the batch have failed. The thread is there from the beginning and does not end: one that had to be
 * made later might not be had.
 * A task that ends early takes its write out of the queue; one that is being made it waits for, since it lies on
 * its stack.
 */
#include "sqlite_impl.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define WAITING_MAX 4096
#define BATCH_MAX 512

static void write_bind(const struct write *write, sqlite3_stmt *statement)
{
	const struct item *item = write->item;
	const struct photo *photo = write->photo;

	if (photo) {
		(void)sqlite3_bind_int64(statement, 1, photo->width);
		(void)sqlite3_bind_int64(statement, 2, photo->height);
		(void)sqlite3_bind_int64(statement, 3, photo->created);
		(void)sqlite3_bind_blob64(statement, 4, photo->data, photo->size, SQLITE_STATIC);
		return;
	}
	if (write->statement != SQL_ITEM_ADD)
		(void)sqlite3_bind_int64(statement, 1, write->id);
	if (!item)
		return;
	(void)sqlite3_bind_text(statement, 2, item->title, (int)item->title_size, SQLITE_STATIC);
	(void)sqlite3_bind_text(statement, 3, item->body, (int)item->body_size, SQLITE_STATIC);
	(void)sqlite3_bind_int64(statement, 4, item->updated);
}

/* A failure of @connection is that of @write. */
static void write_failed(struct write *write, const struct connection *connection)
{
	write->rc = sqlite_failed(connection, "write");
	(void)snprintf(write->message, sizeof(write->message), "SQLite: %s", sqlite3_errmsg(connection->db));
}

/* [writer] */
static void write_make(struct write *write, struct connection *connection)
{
	sqlite3_stmt *statement = connection->statement[write->statement];
	int rc;

	write_bind(write, statement);
	rc = sqlite3_step(statement);
	if (rc == SQLITE_ROW) {
		write->id = sqlite3_column_int64(statement, 0);
		if (write->item) {
			write->item->id = write->id;
			write->item->created = sqlite3_column_int64(statement, 1);
			write->item->updated = sqlite3_column_int64(statement, 2);
		}
		rc = sqlite3_step(statement); /* to its end */
	} else if (rc == SQLITE_DONE && sqlite3_changes(connection->db) == 0) {
		write->rc = -ENOENT;
	}
	if (rc != SQLITE_DONE)
		write_failed(write, connection);
	(void)sqlite3_reset(statement);
	(void)sqlite3_clear_bindings(statement);
}

/* [writer] A statement without rows. */
static int step(struct connection *connection, enum statement which)
{
	sqlite3_stmt *statement = connection->statement[which];
	int rc = sqlite3_step(statement);

	(void)sqlite3_reset(statement);
	return rc == SQLITE_DONE ? 0 : -1;
}

/* The transaction of @batch is none: whatever has no result of its own has failed as @cause has, or as @connection. */
static void batch_failed(struct write *batch, const struct write *cause, const struct connection *connection)
{
	for (struct write *write = batch; write; write = write->next) {
		if (write->rc < 0)
			continue;
		if (!cause) {
			write_failed(write, connection);
			continue;
		}
		write->rc = cause->rc;
		memcpy(write->message, cause->message, sizeof(write->message));
	}
}

/* [writer] All of @batch in one transaction. */
static void batch_make(struct writer *writer, struct write *batch)
{
	struct connection *connection = writer->connection;
	struct write *write, *next, *cause = NULL;
	int rc = step(connection, SQL_BEGIN);
	uint64_t n = 0, failures = 0;

	for (write = batch; write && rc == 0; write = write->next, n++) {
		write_make(write, connection);
		/* Some failures end the transaction: what came behind would be made, and kept, by itself. */
		if (sqlite3_get_autocommit(connection->db)) {
			cause = write->rc < 0 ? write : NULL;
			rc = -1;
		}
	}
	if (rc == 0)
		rc = step(connection, SQL_COMMIT);
	if (rc < 0)
		batch_failed(batch, cause, connection);
	for (write = batch; write; write = write->next)
		failures += write->rc < 0 && write->rc != -ENOENT;
	if (rc < 0 && !sqlite3_get_autocommit(connection->db))
		(void)step(connection, SQL_ROLLBACK);
	/* Figures, which order nothing. */
	atomic_fetch_add_explicit(&writer->commits, rc == 0, memory_order_relaxed);
	atomic_fetch_add_explicit(&writer->writes, rc == 0 ? n - failures : 0, memory_order_relaxed);
	atomic_fetch_add_explicit(&writer->failures, failures, memory_order_relaxed);
	for (write = batch; write; write = next) {
		next = write->next;
		(void)hilo_event_set(&write->done); /* it is the task's again */
	}
}

/* [lock held] Take the first ones. NULL: there are none, and the writer ends. */
static struct write *batch_take(struct writer *writer)
{
	struct write *batch = writer->first, **end = &writer->first;

	for (writer->running = 0; *end && writer->running < BATCH_MAX; writer->running++)
		end = &(*end)->next;
	writer->waiting -= writer->running;
	writer->first = *end;
	*end = NULL;
	if (!writer->first)
		writer->last = &writer->first;
	writer->runs = batch != NULL;
	return batch;
}

/* [writer] Until nothing is left. */
static int writer_run(void *arg)
{
	struct writer *writer = arg;
	struct write *batch;

	for (;;) {
		pthread_mutex_lock(&writer->lock);
		batch = batch_take(writer);
		pthread_mutex_unlock(&writer->lock);
		if (!batch)
			return 0;
		batch_make(writer, batch);
	}
}

/* True: it was in the queue, and is not any more. */
static bool write_withdraw(struct writer *writer, struct write *write)
{
	struct write **at;
	bool found;

	pthread_mutex_lock(&writer->lock);
	for (at = &writer->first; *at && *at != write;)
		at = &(*at)->next;
	found = *at == write;
	if (found) {
		*at = write->next;
		if (writer->last == &write->next)
			writer->last = at;
		writer->waiting--;
	}
	pthread_mutex_unlock(&writer->lock);
	return found;
}

/* -EAGAIN: too many wait. 1: the thread is to be called. */
static int write_queue(struct writer *writer, struct write *write)
{
	int rc = -EAGAIN;

	pthread_mutex_lock(&writer->lock);
	if (writer->waiting < WAITING_MAX) {
		rc = !writer->runs;
		writer->runs = true;
		write->next = NULL;
		*writer->last = write;
		writer->last = &write->next;
		writer->waiting++;
	}
	pthread_mutex_unlock(&writer->lock);
	return rc;
}

/*
 * [suspends] The thread could not be called, says @rc: nobody empties the queue, and all who are in it have failed.
 */
static void writer_fail_all(struct writer *writer, int rc)
{
	struct write *write, *next;

	pthread_mutex_lock(&writer->lock);
	write = writer->first;
	writer->first = NULL;
	writer->last = &writer->first;
	writer->waiting = 0;
	writer->runs = false;
	pthread_mutex_unlock(&writer->lock);
	for (; write; write = next) {
		next = write->next;
		write->rc = rc;
		(void)hilo_event_set(&write->done);
	}
}

int writer_do(struct writer *writer, struct write *write, hilo_time deadline)
{
	int rc = write_queue(writer, write);

	if (rc < 0)
		return hilo_fail(rc, "too many writes wait");
	if (rc > 0) {
		(void)hilo_shield_enter(); /* others rely on it, too */
		rc = hilo_executor_submit(writer->executor, writer_run, writer, NULL, HILO_FOREVER);
		(void)hilo_shield_leave();
		if (rc < 0)
			writer_fail_all(writer, rc);
	}
	rc = hilo_event_wait(&write->done, deadline);
	if (rc < 0 && write_withdraw(writer, write))
		return rc;
	if (rc < 0) {
		(void)hilo_shield_enter();
		(void)hilo_event_wait(&write->done, HILO_FOREVER);
		(void)hilo_shield_leave();
	}
	return write->rc < 0 && *write->message ? hilo_fail(write->rc, "%s", write->message) : write->rc;
}

/* [suspends] */
static void writer_executor_close(struct writer *writer)
{
	(void)hilo_shield_enter();
	(void)hilo_executor_close(writer->executor, 0, HILO_FOREVER);
	(void)hilo_shield_leave();
}

int writer_open(struct writer *writer, struct connection *connection)
{
	hilo_executor_opts opts = {
		.size = sizeof(opts), .name = "sqlite-writer", .max_threads = 1, .idle = HILO_FOREVER};
	int rc;

	pthread_mutex_init(&writer->lock, NULL);
	writer->last = &writer->first;
	writer->connection = connection;
	rc = hilo_executor_new(&opts, &writer->executor);
	if (rc == 0) {
		/* It finds nothing to do. */
		rc = hilo_run_in_executor(writer->executor, writer_run, writer, HILO_FOREVER);
		if (rc < 0)
			writer_executor_close(writer);
	}
	if (rc < 0) {
		sqlite_disconnect(connection);
		pthread_mutex_destroy(&writer->lock);
	}
	return rc;
}

void writer_close(struct writer *writer)
{
	writer_executor_close(writer);
	sqlite_disconnect(writer->connection);
	pthread_mutex_destroy(&writer->lock);
}
