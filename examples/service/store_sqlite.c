/* SPDX-License-Identifier: MIT */
/*
 * store_sqlite.c - the store over SQLite: readers, and the way to the one who writes (sqlite_writer.c).
 *
 * A read of items takes some microseconds, less than it takes to hand it to another thread. So it is made in the
 * task that asks, on whichever worker that is, with a connection that nobody else uses meanwhile; there are as many
 * as there have ever been reads at the same moment, which is no more than threads. Photos are long, and rarely in
 * memory: a thread of an executor reads them. README.md has the figures.
 */
#include "sqlite_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define READERS 16 /* threads of the executor */

static struct sqlite_store *sqlite_of(struct store *store)
{
	return (struct sqlite_store *)store;
}

/* ---- Readers ---- */

/* [blocks] One that nobody uses. */
static int reader_take(struct sqlite_store *sqlite, struct connection **ret)
{
	struct connection *reader;
	int rc;

	pthread_mutex_lock(&sqlite->lock);
	reader = sqlite->idle;
	if (reader)
		sqlite->idle = reader->next;
	pthread_mutex_unlock(&sqlite->lock);
	if (!reader) {
		rc = sqlite_connect(sqlite->path, false, &reader);
		if (rc < 0)
			return rc;
		atomic_fetch_add_explicit(&sqlite->connections, 1, memory_order_relaxed); /* a figure */
	}
	*ret = reader;
	return 0;
}

static void reader_give(struct sqlite_store *sqlite, struct connection *reader)
{
	pthread_mutex_lock(&sqlite->lock);
	reader->next = sqlite->idle;
	sqlite->idle = reader;
	pthread_mutex_unlock(&sqlite->lock);
}

/* One query, on the stack of the task that asks. */
struct query {
	struct sqlite_store *sqlite;
	enum statement statement;
	int64_t first, second;
	item_fn item;
	photo_fn photo;
	void *arg;
	bool found;
};

static int query_row(struct query *query, sqlite3_stmt *row)
{
	query->found = true;
	if (query->photo) {
		struct photo photo = {.id = sqlite3_column_int64(row, 0),
				      .width = (unsigned)sqlite3_column_int(row, 1),
				      .height = (unsigned)sqlite3_column_int(row, 2),
				      .created = sqlite3_column_int64(row, 3),
				      .data = sqlite3_column_blob(row, 4),
				      .size = (size_t)sqlite3_column_bytes(row, 4)};

		return photo.data ? query->photo(&photo, query->arg) : -ENOMEM;
	}
	struct item item = {.id = sqlite3_column_int64(row, 0),
			    .title = (const char *)sqlite3_column_text(row, 1),
			    .title_size = (size_t)sqlite3_column_bytes(row, 1),
			    .body = (const char *)sqlite3_column_text(row, 2),
			    .body_size = (size_t)sqlite3_column_bytes(row, 2),
			    .created = sqlite3_column_int64(row, 3),
			    .updated = sqlite3_column_int64(row, 4)};

	return item.title && item.body ? query->item(&item, query->arg) : -ENOMEM;
}

/* [blocks] */
static int query_run(void *arg)
{
	struct query *query = arg;
	struct connection *reader;
	sqlite3_stmt *statement;
	int rc = reader_take(query->sqlite, &reader), step;

	if (rc < 0)
		return rc;
	statement = reader->statement[query->statement];
	(void)sqlite3_bind_int64(statement, 1, query->first);
	if (query->statement == SQL_ITEM_LIST)
		(void)sqlite3_bind_int64(statement, 2, query->second);
	while ((step = sqlite3_step(statement)) == SQLITE_ROW && rc >= 0)
		rc = query_row(query, statement);
	if (rc >= 0 && step != SQLITE_DONE) {
		rc = sqlite_failed(reader, "read");
		atomic_fetch_add_explicit(&query->sqlite->failures, 1, memory_order_relaxed); /* a figure */
	}
	(void)sqlite3_reset(statement);
	reader_give(query->sqlite, reader);
	return rc;
}

/* [suspends] */
static int query_make(struct query *query, hilo_time deadline)
{
	int rc;

	if (query->photo || query->sqlite->reads == STORE_READS_EXECUTOR)
		rc = hilo_run_in_executor(query->sqlite->readers, query_run, query, deadline);
	else
		rc = query_run(query);
	return rc < 0 ? rc : query->found || query->statement == SQL_ITEM_LIST ? 0 : -ENOENT;
}

static int sqlite_item_get(struct store *store, int64_t id, item_fn fn, void *arg, hilo_time deadline)
{
	struct query query = {
		.sqlite = sqlite_of(store), .statement = SQL_ITEM_GET, .first = id, .item = fn, .arg = arg};

	return query_make(&query, deadline);
}

static int sqlite_item_list(struct store *store, int64_t after, unsigned limit, item_fn fn, void *arg,
			    hilo_time deadline)
{
	struct query query = {.sqlite = sqlite_of(store),
			      .statement = SQL_ITEM_LIST,
			      .first = after,
			      .second = limit,
			      .item = fn,
			      .arg = arg};

	return query_make(&query, deadline);
}

static int sqlite_photo_get(struct store *store, int64_t id, photo_fn fn, void *arg, hilo_time deadline)
{
	struct query query = {
		.sqlite = sqlite_of(store), .statement = SQL_PHOTO_GET, .first = id, .photo = fn, .arg = arg};

	return query_make(&query, deadline);
}

/* ---- Writes ---- */

static int sqlite_write(struct store *store, struct write *write, hilo_time deadline)
{
	return writer_do(&sqlite_of(store)->writer, write, deadline);
}

static int sqlite_item_add(struct store *store, struct item *item, hilo_time deadline)
{
	struct write write = {.statement = SQL_ITEM_ADD, .item = item};

	return sqlite_write(store, &write, deadline);
}

static int sqlite_item_put(struct store *store, struct item *item, hilo_time deadline)
{
	struct write write = {.statement = SQL_ITEM_PUT, .item = item, .id = item->id};

	return sqlite_write(store, &write, deadline);
}

static int sqlite_item_delete(struct store *store, int64_t id, hilo_time deadline)
{
	struct write write = {.statement = SQL_ITEM_DELETE, .id = id};

	return sqlite_write(store, &write, deadline);
}

static int sqlite_photo_add(struct store *store, struct photo *photo, hilo_time deadline)
{
	struct write write = {.statement = SQL_PHOTO_ADD, .photo = photo};
	int rc = sqlite_write(store, &write, deadline);

	photo->id = write.id;
	return rc;
}

static int sqlite_photo_delete(struct store *store, int64_t id, hilo_time deadline)
{
	struct write write = {.statement = SQL_PHOTO_DELETE, .id = id};

	return sqlite_write(store, &write, deadline);
}

/* ---- The store itself ---- */

static int ignore_item(const struct item *item, void *arg)
{
	(void)item;
	(void)arg;
	return 0;
}

static int sqlite_ready(struct store *store, hilo_time deadline)
{
	return sqlite_item_list(store, 0, 1, ignore_item, NULL, deadline);
}

static void sqlite_get_stats(struct store *store, struct store_stats *ret)
{
	struct sqlite_store *sqlite = sqlite_of(store);
	struct writer *writer = &sqlite->writer;

	pthread_mutex_lock(&writer->lock);
	ret->waiting = writer->waiting;
	ret->running = writer->running;
	pthread_mutex_unlock(&writer->lock);
	/* Figures, each for itself. */
	ret->commits = atomic_load_explicit(&writer->commits, memory_order_relaxed);
	ret->writes = atomic_load_explicit(&writer->writes, memory_order_relaxed);
	ret->failures = atomic_load_explicit(&writer->failures, memory_order_relaxed) +
			atomic_load_explicit(&sqlite->failures, memory_order_relaxed);
	ret->connections = atomic_load_explicit(&sqlite->connections, memory_order_relaxed) + 1;
	ret->connects = ret->connections;
}

static void sqlite_close(struct store *store)
{
	struct sqlite_store *sqlite = sqlite_of(store);
	struct connection *reader;

	(void)hilo_shield_enter();
	if (sqlite->readers)
		(void)hilo_executor_close(sqlite->readers, 0, HILO_FOREVER);
	(void)hilo_shield_leave();
	while ((reader = sqlite->idle)) {
		sqlite->idle = reader->next;
		sqlite_disconnect(reader);
	}
	writer_close(&sqlite->writer);
	pthread_mutex_destroy(&sqlite->lock);
	free(sqlite->path);
	free(sqlite);
}

static const struct store_ops sqlite_ops = {
	.name = "sqlite",
	.item_add = sqlite_item_add,
	.item_put = sqlite_item_put,
	.item_get = sqlite_item_get,
	.item_list = sqlite_item_list,
	.item_delete = sqlite_item_delete,
	.photo_add = sqlite_photo_add,
	.photo_get = sqlite_photo_get,
	.photo_delete = sqlite_photo_delete,
	.ready = sqlite_ready,
	.get_stats = sqlite_get_stats,
	.close = sqlite_close,
};

struct opening {
	const char *path;
	struct connection *ret;
};

/* [executor] */
static int opening_run(void *arg)
{
	struct opening *opening = arg;

	return sqlite_connect(opening->path, true, &opening->ret);
}

int store_sqlite_open(const char *path, enum store_reads reads, struct store **ret)
{
	hilo_executor_opts opts = {.size = sizeof(opts), .name = "sqlite-reader", .max_threads = READERS};
	struct sqlite_store *sqlite;
	struct opening opening = {.path = path};
	int rc;

	/* A connection is one thread's at a time, and memory need not be counted under a lock. */
	(void)sqlite3_config(SQLITE_CONFIG_MULTITHREAD);
	(void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
	sqlite = calloc(1, sizeof(*sqlite));
	if (!sqlite)
		return -ENOMEM;
	sqlite->store.ops = &sqlite_ops;
	sqlite->reads = reads;
	pthread_mutex_init(&sqlite->lock, NULL);
	rc = hilo_to_thread(opening_run, &opening, HILO_FOREVER);
	if (rc >= 0)
		rc = writer_open(&sqlite->writer, opening.ret);
	if (rc < 0) {
		free(sqlite);
		return rc;
	}
	sqlite->path = strdup(path);
	rc = sqlite->path ? hilo_executor_new(&opts, &sqlite->readers) : -ENOMEM;
	if (rc < 0)
		sqlite_close(&sqlite->store);
	else
		*ret = &sqlite->store;
	return rc;
}
