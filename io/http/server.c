/* SPDX-License-Identifier: MIT */
/*
 * server.c - the server: its options, its end, its figures.
 *
 * The server below calls us for a client by a number, not by address: it keeps what it was given until the last of its
 * tasks has ended, and one of them may be about to call us when the owner frees the server. Who finds no server of that
 * number ends at once.
 */
#include "io/http/http_impl.h"

#include <hilo/runtime/error.h>
#include <hilo/runtime/task.h>

#include <errno.h>
#include <string.h>

#include "scheduler/base/mem.h"

#define DEFAULT_LINE ((size_t)8 * 1024)
#define DEFAULT_HEADER ((size_t)32 * 1024)
#define DEFAULT_FIELDS 100
#define DEFAULT_BODY ((uint64_t)1024 * 1024)
#define MOST_HEADER ((size_t)1024 * 1024)
#define SIZED_MAX 1024
#define BATCH 16
#define DEFAULT_DRAIN HILO_SECOND
#define DEFAULT_GRACE HILO_SECOND

/* All servers that listen. Relaxed: nothing here, all is under the lock. */
static struct {
	struct spinlock lock;
	struct list servers;
	uint64_t last;
} registry = {.servers = LIST_INIT(registry.servers)};

/* ---- Options ---- */

/* As hilo__sized_in of the library below, which it does not show. */
static int sized_in(void *to, size_t known, size_t least, const void *from, const char *name)
{
	const char *bytes = from;
	size_t size;

	memcpy(&size, from, sizeof(size));
	if (size < least)
		return hilo_fail(-EINVAL, "%s.size is %zu, less than %zu", name, size, least);
	if (size > SIZED_MAX)
		return hilo_fail(-E2BIG, "%s.size is %zu, more than %d", name, size, SIZED_MAX);
	for (size_t i = known; i < size; i++)
		if (bytes[i])
			return hilo_fail(-E2BIG, "%s: a field is set beyond the %zu bytes that are known",
					 name, known);
	memset(to, 0, known);
	memcpy(to, from, size < known ? size : known);
	memcpy(to, &known, sizeof(known));
	return 0;
}

#define OR_DEFAULT(field, value) ((field) = (field) ? (field) : (value))

static int opts_check(hilo_http_opts *opts)
{
	if (opts->head_time < 0 || opts->body_time < 0 || opts->idle_time < 0 || opts->handler_time < 0 ||
	    opts->write_time < 0)
		return hilo_fail(-EINVAL, "hilo_http_opts: a negative time");
	OR_DEFAULT(opts->line, DEFAULT_LINE);
	OR_DEFAULT(opts->header, opts->line > DEFAULT_HEADER / 4 ? 4 * opts->line : DEFAULT_HEADER);
	OR_DEFAULT(opts->fields, DEFAULT_FIELDS);
	OR_DEFAULT(opts->body, DEFAULT_BODY);
	OR_DEFAULT(opts->head_time, 10 * HILO_SECOND);
	OR_DEFAULT(opts->body_time, 60 * HILO_SECOND);
	OR_DEFAULT(opts->idle_time, 60 * HILO_SECOND);
	OR_DEFAULT(opts->write_time, 60 * HILO_SECOND);
	if (opts->line > MOST_HEADER || opts->header > MOST_HEADER || opts->header < 64 || opts->line < 16)
		return hilo_fail(-EINVAL, "hilo_http_opts: line %zu, header %zu", opts->line, opts->header);
	return 0;
}

int hilo_http_server_new(hilo_http_router *router, const hilo_http_opts *given, hilo_http_server **ret)
{
	hilo_http_opts opts = {.size = sizeof(opts)};
	hilo_http_server *server;
	int rc = 0;

	if (!router || !ret)
		return hilo_fail(-EINVAL, "hilo_http_server_new: %s is NULL", router ? "ret" : "router");
	if (given)
		rc = sized_in(&opts, sizeof(opts), sizeof(opts), given, "hilo_http_opts");
	if (rc == 0)
		rc = opts_check(&opts);
	if (rc < 0)
		return rc;
	server = hilo__calloc(1, sizeof(*server));
	if (!server)
		return -ENOMEM;
	server->refs = 1;
	server->router = router;
	server->opts = opts;
	list_init(&server->connections);
	list_init(&server->link);
	list_init(&server->given);
	server->grace = DEFAULT_GRACE;
	hilo__http_router_use(router);
	*ret = server;
	return 0;
}

void hilo__http_server_unref(struct hilo_http_server *server)
{
	bool last;

	http_lock(&server->lock);
	last = --server->refs == 0;
	http_unlock(&server->lock);
	if (!last)
		return;
	hilo_http_router_free(server->router);
	hilo__free(server);
}

/* ---- Below ---- */

/* A reference to the server with that number; NULL: it is gone. */
static struct hilo_http_server *server_find(uint64_t number)
{
	struct hilo_http_server *found = NULL;
	struct list *at;

	http_lock(&registry.lock);
	list_for_each (at, &registry.servers) {
		struct hilo_http_server *server = list_entry(at, struct hilo_http_server, link);

		if (server->number == number) {
			found = server;
			http_lock(&found->lock);
			found->refs++;
			http_unlock(&found->lock);
			break;
		}
	}
	http_unlock(&registry.lock);
	return found;
}

static void server_register(struct hilo_http_server *server)
{
	http_lock(&registry.lock);
	server->number = ++registry.last;
	list_add_tail(&registry.servers, &server->link);
	http_unlock(&registry.lock);
}

static void server_unregister(struct hilo_http_server *server)
{
	http_lock(&registry.lock);
	if (list_is_linked(&server->link))
		list_del(&server->link);
	http_unlock(&registry.lock);
}

/* [task of a client] */
static int serve_client(hilo_stream *client, void *number)
{
	struct hilo_http_server *server = server_find((uintptr_t)number);
	int rc;

	if (!server)
		return 0;
	rc = hilo__http_connection(server, client, HILO_FOREVER);
	hilo__http_server_unref(server);
	return rc == HILO_ECLOSED ? 0 : rc;
}

/* What is told of the end below is as true of connections that are given. */
static void times_take(struct hilo_http_server *server, const hilo_server_opts *opts)
{
	server->drain = opts && opts->drain > 0 ? opts->drain : DEFAULT_DRAIN;
	server->grace = opts && opts->grace > 0 ? opts->grace : DEFAULT_GRACE;
}

int hilo_http_start_server(hilo_http_router *router, const hilo_http_opts *opts, hilo_http_server **ret,
			   hilo_time deadline)
{
	hilo_http_server *server;
	int rc;

	if (!ret)
		return hilo_fail(-EINVAL, "hilo_http_start_server: ret is NULL");
	rc = hilo_http_server_new(router, opts, &server);
	if (rc < 0)
		return rc;
	server_register(server);
	server->runtime = hilo_task_runtime(hilo_task_current());
	times_take(server, server->opts.server);
	rc = hilo_start_server(serve_client, (void *)(uintptr_t)server->number, server->opts.server,
			       &server->below, deadline);
	server->opts.server = NULL; /* was borrowed for the call */
	if (rc < 0)
		hilo_http_server_free(server);
	else
		*ret = server;
	return rc;
}

int hilo_http_serve(hilo_http_server *server, hilo_stream *stream, hilo_time deadline)
{
	if (!server || !stream)
		return hilo_fail(-EINVAL, "hilo_http_serve: %s is NULL", server ? "stream" : "server");
	if (!hilo_task_current())
		return hilo_fail(-EDEADLK, "hilo_http_serve: only a task can");
	return hilo__http_given_serve(server, stream, deadline);
}

/* ---- The end ---- */

/* Tell connections that wait for a request to end, up to BATCH: how many. */
static unsigned connections_tell(struct hilo_http_server *server)
{
	struct connection *idle[BATCH];
	struct list *at;
	unsigned n = 0;

	http_lock(&server->lock);
	list_for_each (at, &server->connections) {
		struct connection *c = list_entry(at, struct connection, link);
		int expected = CONNECTION_IDLE;

		/* pairs with wait_idle: it sees that the server stops, or we that it is idle */
		if (n < BATCH && cas_seq_cst(&c->state, &expected, CONNECTION_TELLING))
			idle[n++] = c;
	}
	http_unlock(&server->lock);
	for (unsigned i = 0; i < n; i++) {
		(void)hilo_timeout_reschedule(&idle[i]->limit, HILO_NO_WAIT);
		store_release(&idle[i]->state,
			      CONNECTION_TOLD); /* pairs with wait_idle; it may be gone now */
	}
	return n;
}

int hilo_http_server_stop(hilo_http_server *server)
{
	if (!server)
		return hilo_fail(-EINVAL, "hilo_http_server_stop: server is NULL");
	store_seq_cst(&server->stopping, true); /* pairs with wait_idle */
	if (server->below)
		(void)hilo_server_stop(server->below);
	while (connections_tell(server) == BATCH)
		continue;
	return 0;
}

/* [any, suspends] Wait for all connections, of both kinds. */
static int connections_close(struct hilo_http_server *server, hilo_server_counts *counts, hilo_time deadline)
{
	int rc = server->below ? hilo_server_close(server->below, counts, deadline) : 0, given;

	if (rc < 0 && rc != -ETIMEDOUT && rc != -ECANCELED)
		return rc;
	given = hilo__http_given_close(server, counts, deadline);
	if (given < 0 && given != -ETIMEDOUT && given != -ECANCELED)
		return given;
	if (counts->running)
		return hilo_fail(-ETIMEDOUT,
				 "hilo_http_server_close: %zu handlers have not returned, though their "
				 "connections are gone",
				 counts->running);
	if (rc == -ECANCELED || given == -ECANCELED)
		return hilo_fail(-ECANCELED,
				 "hilo_http_server_close: the wait for the clients was cut short");
	return 0;
}

int hilo_http_server_close(hilo_http_server *server, hilo_server_counts *ret, hilo_time deadline)
{
	hilo_server_counts counts = {.size = sizeof(counts)};
	int rc;

	if (ret && (ret->size < sizeof(counts) || ret->size > SIZED_MAX))
		return hilo_fail(-EINVAL, "hilo_http_server_close: ret->size is %zu", ret->size);
	rc = hilo_http_server_stop(server);
	if (rc < 0)
		return rc;
	if (hilo__http_given_is_mine(server))
		return hilo_fail(-EDEADLK, "hilo_http_server_close: a handler cannot wait for its own end; "
					   "the server is stopped");
	rc = connections_close(server, &counts, deadline);
	if (ret) {
		memset((char *)ret + sizeof(counts), 0, ret->size - sizeof(counts));
		counts.size = ret->size;
		memcpy(ret, &counts, sizeof(counts));
	}
	return rc;
}

void hilo_http_server_free(hilo_http_server *server)
{
	if (!server)
		return;
	server_unregister(server);
	(void)hilo_http_server_stop(server);
	hilo__http_given_cancel(server);
	hilo_server_free(server->below);
	server->below = NULL;
	hilo__http_server_unref(server);
}

static int serve_below(void *below)
{
	return hilo_server_serve_forever(below, HILO_FOREVER);
}

int hilo_http_server_serve_forever(hilo_http_server *server, hilo_time deadline)
{
	hilo_task *task;
	int rc;

	if (!server || !server->below)
		return hilo_fail(-EINVAL, "hilo_http_server_serve_forever: %s",
				 server ? "the server does not listen" : "server is NULL");
	rc = hilo_submit(server->runtime, serve_below, server->below, NULL, &task);
	if (rc < 0)
		return rc;
	rc = hilo_join(task, deadline);
	if (rc >= 0 || hilo_task_is_done(task))
		return rc;
	(void)hilo_shield_enter();
	(void)hilo_http_server_close(server, NULL, hilo_after(server->drain));
	(void)hilo_join(task, HILO_FOREVER);
	(void)hilo_shield_leave();
	return rc;
}

hilo_server *hilo_http_server_below(const hilo_http_server *server)
{
	return server ? server->below : NULL;
}

/* ---- Figures ---- */

void hilo__http_counts_add(struct counts *to, struct counts *from)
{
	/* relaxed: I2; @to is under the lock */
	count(&to->requests, load_relaxed(&from->requests));
	count(&to->received, load_relaxed(&from->received)); /* relaxed: I2 */
	count(&to->sent, load_relaxed(&from->sent));	     /* relaxed: I2 */
	count(&to->failed, load_relaxed(&from->failed));     /* relaxed: I2 */
	for (unsigned i = 0; i < 6; i++)
		count(&to->answers[i], load_relaxed(&from->answers[i])); /* relaxed: I2 */
}

/* All there is, into @now, and @counts. */
static void stats_collect(struct hilo_http_server *server, hilo_http_stats *now, struct counts *counts)
{
	struct list *at;

	http_lock(&server->lock);
	hilo__http_counts_add(counts, &server->ended);
	list_for_each (at, &server->connections) {
		struct connection *c = list_entry(at, struct connection, link);

		hilo__http_counts_add(counts, &c->counts);
		now->in_flight += load_relaxed(&c->state) == CONNECTION_BUSY; /* relaxed: a figure */
	}
	now->connections = server->n_connections;
	now->turned_away = server->turned_away;
	http_unlock(&server->lock);
}

int hilo_http_server_get_stats(hilo_http_server *server, hilo_http_stats *ret)
{
	hilo_http_stats now = {0};
	struct counts counts = {0};

	if (!server || !ret)
		return hilo_fail(-EINVAL, "hilo_http_server_get_stats: %s is NULL",
				 server ? "ret" : "server");
	if (ret->size < sizeof(now) || ret->size > SIZED_MAX)
		return hilo_fail(-EINVAL, "hilo_http_server_get_stats: ret->size is %zu", ret->size);
	stats_collect(server, &now, &counts);
	now.size = ret->size;
	now.requests = load_relaxed(&counts.requests); /* relaxed: all these are our own */
	now.received = load_relaxed(&counts.received); /* relaxed: as above */
	now.sent = load_relaxed(&counts.sent);	       /* relaxed: as above */
	now.failed = load_relaxed(&counts.failed);     /* relaxed: as above */
	for (unsigned i = 0; i < 6; i++)
		now.answers[i] = load_relaxed(&counts.answers[i]); /* relaxed: as above */
	now.lost_lines = load_relaxed(&server->lost_lines);	   /* relaxed: a figure */
	memset((char *)ret + sizeof(now), 0, ret->size - sizeof(now));
	memcpy(ret, &now, sizeof(now));
	return 0;
}
