/* SPDX-License-Identifier: MIT */
/*
 * store_postgres.c - the store over PostgreSQL: a pool of connections, each used by one task at a time.
 *
 * A call takes a permit, then a connection that is idle, or a new one. The last one that was given back is taken
 * first, so that no more are open than are needed. When none can be made the pool waits before it tries again, 50
 * ms and then twice as long each time up to 5 s, and calls that come meanwhile are answered at once: a database
 * that is down is asked a few times a second, not by each request.
 *
 * A connection that the server has closed while it was idle is noticed, and another one taken. One that breaks in
 * the middle of a read is replaced, and the read is made once more; a write is not, since it may have been done.
 */
#include "postgres_impl.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define PAUSE_FIRST (50 * HILO_MILLISECOND)
#define PAUSE_MOST (5 * HILO_SECOND)
#define CONNECT_TIME (5 * HILO_SECOND)
#define WAITING_MAX 4096

struct postgres_store {
	struct store store;
	char *url;
	hilo_semaphore permits;
	pthread_mutex_t lock; /* of what follows; nothing is waited for under it */
	PGconn **idle;
	unsigned n_idle, n_open;
	hilo_time pause, again; /* how long, until when nobody connects */
	_Atomic uint64_t commits, failures, connects, waiting;
};

static struct postgres_store *postgres_of(struct store *store)
{
	return (struct postgres_store *)store;
}

/* ---- The pool ---- */

/* It may be of no use any more. */
static void pool_give(struct postgres_store *pg, PGconn *connection)
{
	bool broken = postgres_is_broken(connection) || PQtransactionStatus(connection) != PQTRANS_IDLE;

	pthread_mutex_lock(&pg->lock);
	if (broken)
		pg->n_open--;
	else
		pg->idle[pg->n_idle++] = connection;
	pthread_mutex_unlock(&pg->lock);
	if (broken)
		PQfinish(connection);
	(void)hilo_semaphore_release(&pg->permits, 1);
}

/* One that is idle, and alive; NULL. */
static PGconn *pool_idle(struct postgres_store *pg)
{
	PGconn *connection;

	for (;;) {
		pthread_mutex_lock(&pg->lock);
		connection = pg->n_idle > 0 ? pg->idle[--pg->n_idle] : NULL;
		pthread_mutex_unlock(&pg->lock);
		if (!connection || !postgres_is_stale(connection))
			return connection;
		PQfinish(connection);
		pthread_mutex_lock(&pg->lock);
		pg->n_open--;
		pthread_mutex_unlock(&pg->lock);
	}
}

/* Whether somebody may try to connect: -EAGAIN within a pause. */
static int pool_may_connect(struct postgres_store *pg)
{
	hilo_time now = hilo_now();
	bool may;

	pthread_mutex_lock(&pg->lock);
	may = now >= pg->again;
	if (may)
		pg->n_open++;
	pthread_mutex_unlock(&pg->lock);
	return may ? 0 : hilo_fail(-EAGAIN, "PostgreSQL cannot be reached at the moment");
}

/* What has become of an attempt; it says something of the server if that had its time. */
static void pool_connected(struct postgres_store *pg, int rc, bool had_time)
{
	hilo_time now = hilo_now();

	pthread_mutex_lock(&pg->lock);
	if (rc == 0) {
		pg->pause = 0;
		pg->again = 0;
	} else {
		pg->n_open--;
	}
	if (rc < 0 && had_time && now >= pg->again) { /* of several at the same time one counts */
		pg->pause = pg->pause ? pg->pause * 2 : PAUSE_FIRST;
		pg->pause = pg->pause < PAUSE_MOST ? pg->pause : PAUSE_MOST;
		pg->again = now + pg->pause;
	}
	pthread_mutex_unlock(&pg->lock);
}

/* [suspends] A new one. */
static int pool_connect(struct postgres_store *pg, PGconn **ret, hilo_time deadline)
{
	hilo_time limit = hilo_after(CONNECT_TIME);
	int rc = pool_may_connect(pg);

	if (rc < 0)
		return rc;
	rc = postgres_connect(pg->url, ret, limit < deadline ? limit : deadline);
	pool_connected(pg, rc, rc != -ECANCELED && (rc != -ETIMEDOUT || limit <= deadline));
	if (rc == 0)
		atomic_fetch_add_explicit(&pg->connects, 1, memory_order_relaxed); /* a figure */
	return rc;
}

/* [suspends] A permit, for which only so many wait. */
static int pool_permit(struct postgres_store *pg, hilo_time deadline)
{
	int rc = hilo_semaphore_try_acquire(&pg->permits, 1);

	if (rc != -EAGAIN)
		return rc;
	/* A figure; the limit may be off by as many as come at once. */
	if (atomic_fetch_add_explicit(&pg->waiting, 1, memory_order_relaxed) < WAITING_MAX)
		rc = hilo_semaphore_acquire(&pg->permits, 1, deadline);
	else
		rc = hilo_fail(-EAGAIN, "too many calls wait for the database");
	atomic_fetch_sub_explicit(&pg->waiting, 1, memory_order_relaxed);
	return rc;
}

/* [suspends] */
static int pool_take(struct postgres_store *pg, PGconn **ret, hilo_time deadline)
{
	int rc = pool_permit(pg, deadline);

	if (rc < 0)
		return rc;
	*ret = pool_idle(pg);
	if (!*ret)
		rc = pool_connect(pg, ret, deadline);
	if (rc < 0)
		(void)hilo_semaphore_release(&pg->permits, 1);
	return rc;
}

/* [suspends] Execute on some connection; a statement that only reads once more if that broke. */
static int pool_execute(struct postgres_store *pg, enum prepared statement, const struct params *params,
			PGresult **ret, hilo_time deadline)
{
	bool reads = statement == PG_ITEM_GET || statement == PG_ITEM_LIST || statement == PG_PHOTO_GET ||
		     statement == PG_PING;
	PGconn *connection;
	bool broken = true;
	int rc = 0;

	for (int tries = reads ? 2 : 1; tries > 0 && broken && rc != -ETIMEDOUT && rc != -ECANCELED;
	     tries--) {
		rc = pool_take(pg, &connection, deadline);
		if (rc < 0)
			break;
		rc = postgres_execute(connection, statement, params, ret, deadline);
		broken = rc < 0 && postgres_is_broken(connection);
		pool_give(pg, connection);
	}
	/* Figures. */
	atomic_fetch_add_explicit(&pg->failures, rc < 0, memory_order_relaxed);
	atomic_fetch_add_explicit(&pg->commits, rc == 0 && !reads, memory_order_relaxed);
	return rc;
}

/* ---- Items ---- */

static int64_t field_number(const PGresult *result, int row, int column)
{
	return strtoll(PQgetvalue(result, row, column), NULL, 10);
}

/* [suspends] A statement whose rows are items. How many there were. */
static int items_query(struct postgres_store *pg, enum prepared statement, const struct params *params,
		       item_fn fn, void *arg, hilo_time deadline)
{
	PGresult *result;
	int rc = pool_execute(pg, statement, params, &result, deadline), rows;

	if (rc < 0)
		return rc;
	rows = PQntuples(result);
	for (int row = 0; row < rows && rc >= 0; row++) {
		struct item item = {.id = field_number(result, row, 0),
				    .title = PQgetvalue(result, row, 1),
				    .title_size = (size_t)PQgetlength(result, row, 1),
				    .body = PQgetvalue(result, row, 2),
				    .body_size = (size_t)PQgetlength(result, row, 2),
				    .created = field_number(result, row, 3),
				    .updated = field_number(result, row, 4)};

		rc = fn(&item, arg);
	}
	PQclear(result);
	return rc < 0 ? rc : rows;
}

static int postgres_item_get(struct store *store, int64_t id, item_fn fn, void *arg, hilo_time deadline)
{
	struct params params = {.n = 0};
	int rc;

	params_number(&params, id);
	rc = items_query(postgres_of(store), PG_ITEM_GET, &params, fn, arg, deadline);
	return rc < 0 ? rc : rc == 0 ? -ENOENT : 0;
}

static int postgres_item_list(struct store *store, int64_t after, unsigned limit, item_fn fn, void *arg,
			      hilo_time deadline)
{
	struct params params = {.n = 0};
	int rc;

	params_number(&params, after);
	params_number(&params, limit);
	rc = items_query(postgres_of(store), PG_ITEM_LIST, &params, fn, arg, deadline);
	return rc < 0 ? rc : 0;
}

/* [suspends] A statement that gives back an id and times. */
static int item_write(struct store *store, enum prepared statement, struct item *item, hilo_time deadline)
{
	struct params params = {.n = 0};
	PGresult *result;
	int rc;

	if (statement == PG_ITEM_PUT)
		params_number(&params, item->id);
	params_bytes(&params, item->title, item->title_size, 0);
	params_bytes(&params, item->body, item->body_size, 0);
	params_number(&params, item->updated);
	rc = pool_execute(postgres_of(store), statement, &params, &result, deadline);
	if (rc < 0)
		return rc;
	rc = PQntuples(result) == 1 ? 0 : -ENOENT;
	if (rc == 0) {
		item->id = field_number(result, 0, 0);
		item->created = field_number(result, 0, 1);
		item->updated = field_number(result, 0, 2);
	}
	PQclear(result);
	return rc;
}

static int postgres_item_add(struct store *store, struct item *item, hilo_time deadline)
{
	return item_write(store, PG_ITEM_ADD, item, deadline);
}

static int postgres_item_put(struct store *store, struct item *item, hilo_time deadline)
{
	return item_write(store, PG_ITEM_PUT, item, deadline);
}

/* [suspends] */
static int row_delete(struct store *store, enum prepared statement, int64_t id, hilo_time deadline)
{
	struct params params = {.n = 0};
	PGresult *result;
	int rc;

	params_number(&params, id);
	rc = pool_execute(postgres_of(store), statement, &params, &result, deadline);
	if (rc < 0)
		return rc;
	rc = strcmp(PQcmdTuples(result), "0") == 0 ? -ENOENT : 0;
	PQclear(result);
	return rc;
}

static int postgres_item_delete(struct store *store, int64_t id, hilo_time deadline)
{
	return row_delete(store, PG_ITEM_DELETE, id, deadline);
}

/* ---- Photos ---- */

static int postgres_photo_add(struct store *store, struct photo *photo, hilo_time deadline)
{
	struct params params = {.n = 0};
	PGresult *result;
	int rc;

	params_number(&params, photo->width);
	params_number(&params, photo->height);
	params_number(&params, photo->created);
	params_bytes(&params, photo->data, photo->size, 1);
	rc = pool_execute(postgres_of(store), PG_PHOTO_ADD, &params, &result, deadline);
	if (rc < 0)
		return rc;
	photo->id = field_number(result, 0, 0);
	PQclear(result);
	return 0;
}

/* A number of four or eight bytes. */
static int64_t field_binary(const PGresult *result, int column)
{
	const unsigned char *bytes = (const unsigned char *)PQgetvalue(result, 0, column);
	uint64_t number = 0;

	for (int i = 0; i < PQgetlength(result, 0, column); i++)
		number = number << 8 | bytes[i];
	return (int64_t)number;
}

static int postgres_photo_get(struct store *store, int64_t id, photo_fn fn, void *arg, hilo_time deadline)
{
	struct params params = {.n = 0};
	PGresult *result;
	int rc;

	params_number(&params, id);
	rc = pool_execute(postgres_of(store), PG_PHOTO_GET, &params, &result, deadline);
	if (rc < 0)
		return rc;
	rc = -ENOENT;
	if (PQntuples(result) == 1) {
		struct photo photo = {.id = id,
				      .data = PQgetvalue(result, 0, 0),
				      .size = (size_t)PQgetlength(result, 0, 0),
				      .width = (unsigned)field_binary(result, 1),
				      .height = (unsigned)field_binary(result, 2),
				      .created = field_binary(result, 3)};

		rc = fn(&photo, arg);
	}
	PQclear(result);
	return rc;
}

static int postgres_photo_delete(struct store *store, int64_t id, hilo_time deadline)
{
	return row_delete(store, PG_PHOTO_DELETE, id, deadline);
}

/* ---- The store itself ---- */

static int postgres_ready(struct store *store, hilo_time deadline)
{
	struct params params = {.n = 0};
	PGresult *result;
	int rc = pool_execute(postgres_of(store), PG_PING, &params, &result, deadline);

	if (rc == 0)
		PQclear(result);
	return rc;
}

static void postgres_get_stats(struct store *store, struct store_stats *ret)
{
	struct postgres_store *pg = postgres_of(store);

	pthread_mutex_lock(&pg->lock);
	ret->connections = pg->n_open;
	ret->running = pg->n_open - pg->n_idle;
	pthread_mutex_unlock(&pg->lock);
	/* Figures, each for itself. */
	ret->commits = ret->writes = atomic_load_explicit(&pg->commits, memory_order_relaxed);
	ret->failures = atomic_load_explicit(&pg->failures, memory_order_relaxed);
	ret->connects = atomic_load_explicit(&pg->connects, memory_order_relaxed);
	ret->waiting = atomic_load_explicit(&pg->waiting, memory_order_relaxed);
}

static void postgres_close(struct store *store)
{
	struct postgres_store *pg = postgres_of(store);

	while (pg->n_idle > 0)
		PQfinish(pg->idle[--pg->n_idle]);
	pthread_mutex_destroy(&pg->lock);
	free(pg->idle);
	free(pg->url);
	free(pg);
}

static const struct store_ops postgres_ops = {
	.name = "postgresql",
	.item_add = postgres_item_add,
	.item_put = postgres_item_put,
	.item_get = postgres_item_get,
	.item_list = postgres_item_list,
	.item_delete = postgres_item_delete,
	.photo_add = postgres_photo_add,
	.photo_get = postgres_photo_get,
	.photo_delete = postgres_photo_delete,
	.ready = postgres_ready,
	.get_stats = postgres_get_stats,
	.close = postgres_close,
};

int store_postgres_open(const char *url, unsigned connections, struct store **ret)
{
	struct postgres_store *pg = calloc(1, sizeof(*pg));
	PGconn *connection;
	int rc;

	if (!pg)
		return -ENOMEM;
	pg->store.ops = &postgres_ops;
	pthread_mutex_init(&pg->lock, NULL);
	(void)hilo_semaphore_init(&pg->permits, connections, 0);
	pg->idle = calloc(connections, sizeof(PGconn *));
	pg->url = strdup(url);
	rc = pg->idle && pg->url ? 0 : -ENOMEM;
	/* One at once: what is wrong with the URL, or the rights, is told at the start and not to the first client. */
	if (rc == 0)
		rc = pool_take(pg, &connection, hilo_after(CONNECT_TIME));
	if (rc < 0) {
		postgres_close(&pg->store);
		return rc;
	}
	pool_give(pg, connection);
	*ret = &pg->store;
	return 0;
}
