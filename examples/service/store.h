/* SPDX-License-Identifier: MIT */
#ifndef SERVICE_STORE_H
#define SERVICE_STORE_H

#include <hilo/hilo.h>

#include <stddef.h>
#include <stdint.h>

/*
 * store.h - where items and photos are kept: one interface, over SQLite (store_sqlite.c) or PostgreSQL
 * (store_postgres.c).
 *
 * All calls are for tasks, and suspend up to their deadline. What has returned 0 is on the disk: a crash of the
 * program, or of the machine, does not take it back. After another code than -ENOENT nothing is known to have
 * changed; who has written and was not answered may find it done all the same. Texts are UTF-8.
 *
 * Codes   -ENOENT; -ETIMEDOUT, -ECANCELED; -EAGAIN: too much waits already, or the database cannot be reached,
 * later may be
 *         better; -EIO: what the database says is in the message; -ENOMEM.
 */

#define ITEM_TITLE_MAX 200
#define ITEM_BODY_MAX 16384
#define LIST_MAX 100 /* items of one page */

struct item {
	int64_t id;
	const char *title;
	size_t title_size;
	const char *body;
	size_t body_size;
	int64_t created; /* ms since 1970 */
	int64_t updated;
};

struct photo {
	int64_t id;
	unsigned width, height;
	const void *data;
	size_t size;
	int64_t created;
};

/*
 * Called for each row; it is borrowed for the call, and so is @arg. Must not suspend; a failure ends the query with
 * it.
 */
typedef int (*item_fn)(const struct item *item, void *arg);
typedef int (*photo_fn)(const struct photo *photo, void *arg);

/* Figures, for /metrics. */
struct store_stats {
	uint64_t commits;     /* transactions that have written */
	uint64_t writes;      /* what was written in them */
	uint64_t failures;    /* calls that the database has answered with an error */
	uint64_t connects;    /* connections that were made */
	uint64_t waiting;     /* writes in the queue, or calls that wait for a connection, now */
	uint64_t running;     /* writes that are being made, or connections in use, now */
	uint64_t connections; /* now */
};

struct store;

struct store_ops {
	const char *name;
	/* Its id and its times go into @item. */
	int (*item_add)(struct store *store, struct item *item, hilo_time deadline);
	/* The item with this id is to have these texts; its times go into @item. The same again changes nothing. */
	int (*item_put)(struct store *store, struct item *item, hilo_time deadline);
	int (*item_get)(struct store *store, int64_t id, item_fn fn, void *arg, hilo_time deadline);
	/* Those with a higher id than @after, in order, @limit at most. */
	int (*item_list)(struct store *store, int64_t after, unsigned limit, item_fn fn, void *arg,
			 hilo_time deadline);
	int (*item_delete)(struct store *store, int64_t id, hilo_time deadline);
	int (*photo_add)(struct store *store, struct photo *photo, hilo_time deadline);
	int (*photo_get)(struct store *store, int64_t id, photo_fn fn, void *arg, hilo_time deadline);
	int (*photo_delete)(struct store *store, int64_t id, hilo_time deadline);
	/* 0: it answers. */
	int (*ready)(struct store *store, hilo_time deadline);
	void (*get_stats)(struct store *store, struct store_stats *ret);
	/* Consumes it. Nobody uses it any more. */
	void (*close)(struct store *store);
};

/* What each store begins with. */
struct store {
	const struct store_ops *ops;
};

/* Where SQLite's reads are made. */
enum store_reads {
	STORE_READS_WORKER,  /* in the task that asks */
	STORE_READS_EXECUTOR /* on a thread of an executor */
};

/* [task, suspends] Open, or make, the database @path. 0, and *@ret; -EIO and so on, with a message. */
int store_sqlite_open(const char *path, enum store_reads reads, struct store **ret);

#ifdef SERVICE_POSTGRES
/* [task, suspends] Connect to the server that @url names, with @connections at most. Codes as above. */
int store_postgres_open(const char *url, unsigned connections, struct store **ret);
#endif

#endif /* SERVICE_STORE_H */
