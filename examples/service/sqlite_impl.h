/* SPDX-License-Identifier: MIT */
#ifndef SERVICE_SQLITE_IMPL_H
#define SERVICE_SQLITE_IMPL_H

#include "store.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdbool.h>

/*
 * sqlite_impl.h - what the halves of the SQLite store share: connections with their prepared statements, the queue
 * of writes (sqlite_writer.c), and the readers (store_sqlite.c).
 */

enum statement {
	SQL_ITEM_GET,
	SQL_ITEM_LIST,
	SQL_PHOTO_GET,
	SQL_READS, /* those above are for readers, those below for the writer */
	SQL_BEGIN = SQL_READS,
	SQL_COMMIT,
	SQL_ROLLBACK,
	SQL_ITEM_ADD,
	SQL_ITEM_PUT,
	SQL_ITEM_DELETE,
	SQL_PHOTO_ADD,
	SQL_PHOTO_DELETE,
	SQL_STATEMENTS
};

/* A connection, which one thread uses at a time. */
struct connection {
	sqlite3 *db;
	sqlite3_stmt *statement[SQL_STATEMENTS];
	struct connection *next; /* of those that are free */
};

/* One write, on the stack of the task that waits for it. */
struct write {
	enum statement statement;
	struct item *item;
	struct photo *photo;
	int64_t id;
	int rc;
	char message[200];
	hilo_event done;
	struct write *next;
};

struct writer {
	pthread_mutex_t lock; /* of the queue; nothing is waited for under it */
	struct write *first, **last;
	size_t waiting, running; /* in the queue; taken out of it, and not answered */
	bool runs;		 /* a call that empties the queue is in the executor, or on its way */
	struct connection *connection;
	hilo_executor *executor; /* of one thread */
	_Atomic uint64_t commits, writes, failures;
};

struct sqlite_store {
	struct store store;
	char *path;
	enum store_reads reads;
	struct writer writer;
	pthread_mutex_t lock; /* of the readers; nothing is waited for under it */
	struct connection *idle;
	_Atomic uint64_t connections, failures;
	hilo_executor
		*readers; /* for photos, which are long, and for all reads if they are not made by workers */
};

/*
 * [blocks] Open the database at @path; the one that writes makes what is not there. 0, -EIO with a message,
 * -ENOMEM.
 */
int sqlite_connect(const char *path, bool writes, struct connection **ret);
void sqlite_disconnect(struct connection *connection);

/* [blocks] The last failure of @connection, as a code with its message. */
int sqlite_failed(const struct connection *connection, const char *what);

/*
 * [task, suspends] Begin to write, with @connection, which it consumes whatever happens. 0, -ENOMEM, -ECANCELED;
 * -EAGAIN: no thread could be started.
 */
int writer_open(struct writer *writer, struct connection *connection);

/* [task, suspends] Have @write done. Its code, after the commit that it is in. */
int writer_do(struct writer *writer, struct write *write, hilo_time deadline);

/* [task, suspends] Nobody writes any more. */
void writer_close(struct writer *writer);

#endif /* SERVICE_SQLITE_IMPL_H */
