/* SPDX-License-Identifier: MIT */
#ifndef SERVICE_POSTGRES_IMPL_H
#define SERVICE_POSTGRES_IMPL_H

#include "store.h"

#include <libpq-fe.h>
#include <stdbool.h>

/*
 * postgres_impl.h - a connection to PostgreSQL without blocking calls (postgres_connection.c); the pool of them and
 * the store over it are in store_postgres.c.
 */

enum prepared {
	PG_ITEM_ADD,
	PG_ITEM_PUT,
	PG_ITEM_GET,
	PG_ITEM_LIST,
	PG_ITEM_DELETE,
	PG_PHOTO_ADD,
	PG_PHOTO_GET,
	PG_PHOTO_DELETE,
	PG_PING,
	PG_PREPARED
};

#define PG_PARAMS 4

/* What a statement is sent with: texts, but for what is said to be bytes. */
struct params {
	int n;
	const char *value[PG_PARAMS];
	int length[PG_PARAMS];
	int format[PG_PARAMS]; /* 0: text; 1: binary */
	char number[PG_PARAMS][24];
};

void params_number(struct params *params, int64_t number);
void params_bytes(struct params *params, const void *data, size_t size, int format);

/*
 * [task, suspends] A connection to @url, on which all statements are prepared. 0; -EAGAIN: the server cannot be
 * reached, or does not want us, with a message; -ENOMEM, -ETIMEDOUT, -ECANCELED.
 */
int postgres_connect(const char *url, PGconn **ret, hilo_time deadline);

/* [task, suspends] As postgres_connect, but for the tables, which are made if they are not there. */
int postgres_make_tables(PGconn *connection, hilo_time deadline);

/*
 * [task, suspends] Execute, and have the result, which is the caller's. 0; -EIO, -EAGAIN (the connection is
 * broken), with a message. When it ends early, -ETIMEDOUT or -ECANCELED, the server is asked to give up, and its
 * answer taken; if that does not come the connection is broken: postgres_is_broken.
 */
int postgres_execute(PGconn *connection, enum prepared statement, const struct params *params, PGresult **ret,
		     hilo_time deadline);

/* [any] Whether it is of no use any more. */
bool postgres_is_broken(const PGconn *connection);

/* [any] Whether the server has closed it meanwhile, while nobody used it. Looks at what has come; never waits. */
bool postgres_is_stale(PGconn *connection);

#endif /* SERVICE_POSTGRES_IMPL_H */
