/* SPDX-License-Identifier: MIT */
/*
 * postgres_connection.c - libpq without blocking: what is sent and received waits for the socket as a task does.
 *
 * Two calls of libpq do block, and are made on threads of executors: PQconnectStartParams, which looks up the
 * server's name, and PQcancel, which makes a connection of its own. A URL with several hosts has all but the first
 * one looked up by PQconnectPoll: give those as addresses.
 */
#include "postgres_impl.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CANCEL_TIME (2 * HILO_SECOND) /* for what was cancelled to answer */

#define ITEM "id, title, body, created, updated"

static const char *const statements[] = {
	[PG_ITEM_ADD] = "INSERT INTO items (title, body, created, updated) VALUES ($1, $2, $3, $3)"
			" RETURNING id, created, updated",
	/* Once more with the same texts it changes nothing. */
	[PG_ITEM_PUT] = "UPDATE items SET title = $2, body = $3,"
			" updated = CASE WHEN title = $2 AND body = $3 THEN updated ELSE $4 END"
			" WHERE id = $1 RETURNING id, created, updated",
	[PG_ITEM_GET] = "SELECT " ITEM " FROM items WHERE id = $1",
	[PG_ITEM_LIST] = "SELECT " ITEM " FROM items WHERE id > $1 ORDER BY id LIMIT $2",
	[PG_ITEM_DELETE] = "DELETE FROM items WHERE id = $1",
	[PG_PHOTO_ADD] =
		"INSERT INTO photos (width, height, created, data) VALUES ($1, $2, $3, $4) RETURNING id",
	[PG_PHOTO_GET] = "SELECT data, width, height, created FROM photos WHERE id = $1",
	[PG_PHOTO_DELETE] = "DELETE FROM photos WHERE id = $1",
	[PG_PING] = "SELECT 1",
};

/* Several services may begin at the same time: the lock has one of them make the tables. */
static const char schema[] =
	"BEGIN; SELECT pg_advisory_xact_lock(7301);"
	"CREATE TABLE IF NOT EXISTS items (id BIGSERIAL PRIMARY KEY, title TEXT NOT NULL, body TEXT NOT NULL,"
	" created BIGINT NOT NULL, updated BIGINT NOT NULL);"
	"CREATE TABLE IF NOT EXISTS photos (id BIGSERIAL PRIMARY KEY, width INTEGER NOT NULL, height INTEGER "
	"NOT NULL,"
	" created BIGINT NOT NULL, data BYTEA NOT NULL); COMMIT";

/* ---- Parameters ---- */

void params_number(struct params *params, int64_t number)
{
	char *text = params->number[params->n];
	int length = snprintf(text, sizeof(params->number[0]), "%lld", (long long)number);

	params_bytes(params, text, (size_t)length, 0);
}

void params_bytes(struct params *params, const void *data, size_t size, int format)
{
	params->value[params->n] = data;
	params->length[params->n] = (int)size;
	params->format[params->n] = format;
	params->n++;
}

/* ---- Failures ---- */

/* What @connection complains of, in one line. */
static int connection_failed(const PGconn *connection, int rc, const char *what)
{
	const char *message = PQerrorMessage(connection);

	return hilo_fail(rc, "PostgreSQL: %s: %.*s", what, (int)strcspn(message, "\n"), message);
}

bool postgres_is_broken(const PGconn *connection)
{
	return PQstatus(connection) != CONNECTION_OK;
}

static int exchange_failed(const PGconn *connection)
{
	return connection_failed(connection, postgres_is_broken(connection) ? -EAGAIN : -EIO,
				 "the connection");
}

/* The server's own word on a statement. */
static int result_check(const PGconn *connection, const PGresult *result)
{
	const char *message;

	if (!result)
		return exchange_failed(connection);
	switch (PQresultStatus(result)) {
	case PGRES_COMMAND_OK:
	case PGRES_TUPLES_OK:
		return 0;
	default:
		message = PQresultErrorMessage(result);
		return hilo_fail(postgres_is_broken(connection) ? -EAGAIN : -EIO, "PostgreSQL: %.*s",
				 (int)strcspn(message, "\n"), message);
	}
}

/* ---- Sending and receiving ---- */

/* [suspends] Send what libpq has; what comes meanwhile is taken, lest both sides wait for each other. */
static int connection_flush(PGconn *connection, hilo_time deadline)
{
	int left, rc;

	while ((left = PQflush(connection)) > 0) {
		rc = hilo_fd_wait(PQsocket(connection), HILO_READABLE | HILO_WRITABLE, deadline);
		if (rc < 0)
			return rc;
		if (rc & HILO_READABLE && !PQconsumeInput(connection))
			return exchange_failed(connection);
	}
	return left < 0 ? exchange_failed(connection) : 0;
}

/* [suspends] Wait until PQgetResult has something to say. */
static int connection_receive(PGconn *connection, hilo_time deadline)
{
	int rc;

	while (PQisBusy(connection)) {
		rc = hilo_fd_wait(PQsocket(connection), HILO_READABLE, deadline);
		if (rc < 0)
			return rc;
		if (!PQconsumeInput(connection))
			return exchange_failed(connection);
	}
	return 0;
}

/* [suspends] All results of what was sent; the last one is in *@ret, or NULL. */
static int connection_results(PGconn *connection, PGresult **ret, hilo_time deadline)
{
	PGresult *result;
	int rc = connection_flush(connection, deadline);

	*ret = NULL;
	while (rc == 0) {
		rc = connection_receive(connection, deadline);
		if (rc < 0)
			break;
		result = PQgetResult(connection);
		if (!result)
			return 0;
		/* The first failure is what counts: what comes behind it was not executed. */
		if (!*ret || result_check(connection, *ret) == 0) {
			PQclear(*ret);
			*ret = result;
		} else {
			PQclear(result);
		}
	}
	PQclear(*ret);
	*ret = NULL;
	return rc;
}

/* One PQcancel. It ends with the call, which may come after who has asked for it has gone, or never be made. */
struct cancelling {
	PGcancel *cancel;
	hilo_future *future;
	hilo_done_node node;
};

/* [executor] */
static int cancel_run(void *arg)
{
	char message[256];

	return PQcancel(arg, message, sizeof(message)) ? 0 : -EIO;
}

/* The call is over, or was in the queue of an executor that has closed. */
static void cancel_over(void *arg)
{
	struct cancelling *cancelling = arg;

	(void)!hilo_future_result(cancelling->future, NULL); /* a failure, too, is nothing to report */
	hilo_future_unref(cancelling->future);
	PQfreeCancel(cancelling->cancel);
	free(cancelling);
}

/* [suspends] Have it called. *@ret: its future. */
static int cancel_start(PGconn *connection, hilo_future **ret, hilo_time deadline)
{
	struct cancelling *cancelling = calloc(1, sizeof(*cancelling));
	int rc = -ENOMEM;

	if (!cancelling)
		return rc;
	cancelling->cancel = PQgetCancel(connection);
	if (cancelling->cancel)
		rc = hilo_executor_submit(NULL, cancel_run, cancelling->cancel, &cancelling->future,
					  deadline);
	if (rc < 0) {
		PQfreeCancel(cancelling->cancel);
		free(cancelling);
		return rc;
	}
	*ret = hilo_future_ref(cancelling->future);
	rc = hilo_future_on_done(cancelling->future, &cancelling->node, cancel_over, cancelling);
	if (rc < 0) /* not in a task */
		hilo_future_unref(*ret);
	return rc;
}

/*
 * [suspends, shielded] Ask the server to give up, and wait until it knows, but no longer than CANCEL_TIME: to a server
 * that is gone PQcancel may try to connect for minutes.
 */
static int connection_cancel(PGconn *connection)
{
	hilo_time deadline = hilo_after(CANCEL_TIME);
	hilo_future *future;
	int rc = cancel_start(connection, &future, deadline);

	if (rc < 0)
		return rc;
	rc = hilo_future_await(future, NULL, deadline);
	hilo_future_unref(future);
	return rc;
}

/* [suspends, shielded] Nobody waits for the answer any more: have the server give up, and take what it says. */
static void connection_give_up(PGconn *connection)
{
	PGresult *result = NULL;

	if (connection_cancel(connection) == 0)
		(void)connection_results(connection, &result, hilo_after(CANCEL_TIME));
	PQclear(result);
}

/* [suspends] What was sent, if @sent, and its result. */
static int connection_finish(PGconn *connection, int sent, PGresult **ret, hilo_time deadline)
{
	int rc = sent ? connection_results(connection, ret, deadline) : exchange_failed(connection);

	if (rc == -ETIMEDOUT || rc == -ECANCELED) {
		(void)hilo_shield_enter();
		connection_give_up(connection);
		(void)hilo_shield_leave();
	}
	if (rc < 0)
		return rc;
	rc = result_check(connection, *ret);
	if (rc < 0) {
		PQclear(*ret);
		*ret = NULL;
	}
	return rc;
}

int postgres_execute(PGconn *connection, enum prepared statement, const struct params *params, PGresult **ret,
		     hilo_time deadline)
{
	char name[16];
	int binary = statement == PG_PHOTO_GET;

	*ret = NULL;
	(void)snprintf(name, sizeof(name), "s%d", (int)statement);
	return connection_finish(connection,
				 PQsendQueryPrepared(connection, name, params->n, params->value,
						     params->length, params->format, binary),
				 ret, deadline);
}

int postgres_make_tables(PGconn *connection, hilo_time deadline)
{
	PGresult *result = NULL;
	int rc = connection_finish(connection, PQsendQuery(connection, schema), &result, deadline);

	PQclear(result);
	return rc;
}

/* To one that nobody uses the server says nothing, but that it goes. */
bool postgres_is_stale(PGconn *connection)
{
	struct pollfd entry = {.fd = PQsocket(connection), .events = POLLIN};

	return postgres_is_broken(connection) || poll(&entry, 1, 0) != 0;
}

/* ---- Connecting ---- */

struct starting {
	const char *url;
	PGconn *ret;
};

/* [executor] */
static int starting_run(void *arg)
{
	struct starting *starting = arg;
	const char *const names[] = {"dbname", "client_encoding", "fallback_application_name", NULL};
	const char *const values[] = {starting->url, "UTF8", "hilo service", NULL};

	starting->ret = PQconnectStartParams(names, values, 1);
	return starting->ret ? 0 : -ENOMEM;
}

static void ignore_notice(void *arg, const PGresult *result)
{
	(void)arg;
	(void)result;
}

/* [suspends] */
static int connection_poll(PGconn *connection, hilo_time deadline)
{
	PostgresPollingStatusType status = PGRES_POLLING_WRITING;
	int rc = 0;

	while (status != PGRES_POLLING_OK && rc >= 0) {
		if (status == PGRES_POLLING_FAILED || PQstatus(connection) == CONNECTION_BAD)
			return connection_failed(connection, -EAGAIN, "connect");
		rc = hilo_fd_wait(PQsocket(connection),
				  status == PGRES_POLLING_READING ? HILO_READABLE : HILO_WRITABLE, deadline);
		if (rc >= 0)
			status = PQconnectPoll(connection);
	}
	return rc < 0 ? rc : 0;
}

/* [suspends] Statements live as long as their connection. */
static int connection_prepare(PGconn *connection, hilo_time deadline)
{
	char name[16];
	int rc = 0;

	for (int i = 0; i < PG_PREPARED && rc == 0; i++) {
		PGresult *result = NULL;

		(void)snprintf(name, sizeof(name), "s%d", i);
		rc = connection_finish(connection, PQsendPrepare(connection, name, statements[i], 0, NULL),
				       &result, deadline);
		PQclear(result);
	}
	return rc;
}

/* [suspends] */
static int connection_open(const char *url, PGconn **ret, hilo_time deadline)
{
	struct starting starting = {.url = url};
	int rc = hilo_to_thread(starting_run, &starting, deadline);

	*ret = starting.ret;
	if (rc < 0)
		return rc;
	(void)PQsetNoticeReceiver(starting.ret, ignore_notice, NULL);
	rc = connection_poll(starting.ret, deadline);
	if (rc == 0 && PQsetnonblocking(starting.ret, 1) < 0)
		rc = exchange_failed(starting.ret);
	return rc;
}

int postgres_connect(const char *url, PGconn **ret, hilo_time deadline)
{
	PGconn *connection;
	static _Atomic int has_tables;
	int rc = connection_open(url, &connection, deadline);

	if (rc == 0 && !has_tables) {
		rc = postgres_make_tables(connection, deadline);
		has_tables = rc == 0;
	}
	if (rc == 0)
		rc = connection_prepare(connection, deadline);
	if (rc < 0)
		PQfinish(connection);
	else
		*ret = connection;
	return rc;
}
