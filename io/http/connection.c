/* SPDX-License-Identifier: MIT */
/* connection.c - the life of a connection: requests, one after the other, and its end. */
#include "io/http/http_impl.h"

#include <hilo/runtime/error.h>
#include <hilo/runtime/exception.h>
#include <hilo/runtime/task.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "scheduler/base/mem.h"

/* What is small is kept for the next request. */
static void text_empty(struct text *text)
{
	text->used = 0;
	if (text->size > HTTP_BUFFER)
		hilo__http_text_reset(text);
}

static void request_reset(struct connection *c)
{
	memset(&c->request, 0, sizeof(c->request));
	hilo__http_arena_reset(&c->arena);
	text_empty(&c->added);
	text_empty(&c->trailers);
	text_empty(&c->partial);
	if (c->field != c->own_field) {
		hilo__free(c->field);
		c->field = c->own_field;
		c->field_size = HTTP_FIELDS;
	}
}

/* ---- Waiting ---- */

/* The server stops: take the request to end back, so that what has come all the same can be answered. */
static void told_to_end(struct connection *c)
{
	unsigned round = 0;

	while (load_acquire(&c->state) != CONNECTION_TOLD) /* pairs with connections_tell */
		spin_pause(round++);
	store_relaxed(&c->state, CONNECTION_BUSY); /* relaxed: nobody is told twice */
	(void)hilo_timeout_leave(&c->limit, -ECANCELED);
	c->limited = hilo_timeout_enter(&c->limit, c->deadline) == 0;
}

static int server_stopped(void)
{
	return hilo_fail(HILO_ECLOSED, "hilo_http_serve: the server is stopped");
}

/* [suspends] Wait for the first byte of a request. 1: it is there; 0: the connection ends; < 0: why. */
static int wait_idle(struct connection *c)
{
	int expected = CONNECTION_BUSY;
	ssize_t n;

	store_seq_cst(&c->state, CONNECTION_IDLE); /* pairs with stopping: we see that, or are told */
	if (load_seq_cst(&c->server->stopping)) {  /* pairs with hilo_http_server_stop */
		expected = CONNECTION_IDLE;
		if (cas_acq_rel(&c->state, &expected, CONNECTION_BUSY)) /* pairs with connections_tell */
			return server_stopped();
	}
	n = hilo__http_receive(c, hilo_after(c->server->opts.idle_time));
	expected = CONNECTION_IDLE;
	if (!cas_acq_rel(&c->state, &expected, CONNECTION_BUSY)) { /* pairs with connections_tell */
		told_to_end(c);
		if (n == -ECANCELED)
			return server_stopped();
	}
	if (n > 0)
		return 1;
	return n == -ECANCELED || n == HILO_ECLOSED || n == -ENOMEM ? (int)n : 0; /* else it is gone */
}

/* [suspends] Wait for the head of the next request. 1: it is there; 0: the connection ends; > 1: its status; < 0. */
static int wait_head(struct connection *c)
{
	hilo_time deadline = 0;
	ssize_t n;
	int rc;

	hilo__http_head_begin(c);
	for (;;) {
		rc = hilo__http_head_scan(c);
		if (rc)
			return rc;
		hilo__http_out_rescue(c);
		rc = hilo__http_flush(c, NULL, 0, HILO_FOREVER);
		if (rc < 0)
			return rc == -ECANCELED || rc == HILO_ECLOSED ? rc : 0;
		if (hilo__http_room(c) < 0)
			return -ENOMEM;
		if (c->tail == c->start) {
			rc = wait_idle(c);
			if (rc <= 0)
				return rc;
			continue;
		}
		if (!deadline)
			deadline = hilo_after(c->server->opts.head_time);
		n = hilo__http_receive(c, deadline);
		if (n == -ETIMEDOUT)
			return 408;
		if (n <= 0)
			return n == -ECANCELED || n == HILO_ECLOSED || n == -ENOMEM ? (int)n : 0;
	}
}

/* ---- Handlers ---- */

/* A handler has failed with @rc, which is told. */
static void handler_failed(struct connection *c, int rc)
{
	struct hilo_http_request *request = &c->request;
	char text[HILO_ERROR_MESSAGE_SIZE + 160];
	hilo_exception exception = {.size = sizeof(exception),
				    .kind = HILO_EXCEPTION_OTHER,
				    .code = rc,
				    .message = text,
				    .task = hilo_task_name(hilo_task_current()),
				    .task_id = hilo_task_id(hilo_task_current()),
				    .runtime = hilo_task_runtime(hilo_task_current())};

	(void)snprintf(text, sizeof(text), "%.16s %.128s: %s", request->method, request->path,
		       hilo_error_code() == rc ? hilo_error_message() : hilo_strerror(rc));
	count(&c->counts.failed, 1);
	(void)hilo_call_exception_handler(&exception);
}

/* Call what answers the request. What it returned, or 0 and the status of what nobody answers in *@status. */
static int handler_call(struct connection *c, int *status, const char **allow)
{
	const struct hilo_http_router *router = c->server->router;
	struct hilo_http_request *request = &c->request;
	const struct route *route = hilo__http_match(c, status, allow);
	int rc = 0;

	if (!route && *status == 400)
		return 0;
	request->missing = *status;
	request->allow = *allow;
	for (unsigned i = 0; i < router->n_hooks; i++) {
		rc = router->hooks[i].fn(request, router->hooks[i].arg);
		if (rc != 0) {
			*status = 0;
			return rc;
		}
	}
	return route ? route->handler(request, route->arg) : 0;
}

/* The same within the time for it. */
static int handler_call_limited(struct connection *c, int *status, const char **allow)
{
	hilo_time span = c->server->opts.handler_time;
	hilo_timeout limit;
	int rc;

	if (!span)
		return handler_call(c, status, allow);
	rc = hilo_timeout_enter(&limit, hilo_after(span));
	if (rc == 0)
		rc = hilo_timeout_leave(&limit, handler_call(c, status, allow));
	if (rc == -ETIMEDOUT && hilo_timeout_expired(&limit) && !c->request.refusal)
		c->request.refusal = 503;
	return rc;
}

/* Whether @rc is no failure of the handler's: the client has gone, or the body was what it may not be. */
static bool is_clients_fault(const struct connection *c, int rc)
{
	return (c->broken && rc == c->failure) || (c->request.refusal && c->request.refusal < 500);
}

/* Route, handle, and see that there is one whole answer. -ECANCELED: the connection is to end. */
static int request_handle(struct connection *c)
{
	struct hilo_http_request *request = &c->request;
	const char *allow;
	int status = 0, rc;

	rc = handler_call_limited(c, &status, &allow);
	if (rc >= 0 && status && request->phase == ANSWER_NONE) {
		hilo__http_answer_plain(request, status, allow);
		return 0;
	}
	if (rc >= 0 && request->phase == ANSWER_BEGUN)
		rc = hilo_http_end(request, HILO_FOREVER);
	if (rc >= 0 && request->phase == ANSWER_NONE)
		rc = hilo_fail(-EPROTO, "the handler has answered nothing");
	if (rc >= 0)
		return 0;
	if (rc == -ECANCELED && !request->refusal && hilo_task_cancelling(hilo_task_current()))
		return rc;
	if (!is_clients_fault(c, rc))
		handler_failed(c, rc);
	if (request->phase != ANSWER_NONE) {
		c->broken |= request->phase == ANSWER_BEGUN; /* the client is to see that it is not whole */
		return 0;
	}
	if (request->refusal)
		request->keep = false;
	hilo__http_answer_plain(request, request->refusal ? request->refusal : 500, NULL);
	return 0;
}

/* ---- Requests ---- */

/* The connection ends with an answer of ours. */
static void request_refuse(struct connection *c, int status)
{
	struct hilo_http_request *request = &c->request;

	request->keep = false;
	request->close = true;
	request->version = request->version ? request->version : 11;
	request->begin = request->begin ? request->begin : hilo_now();
	hilo__http_answer_plain(request, status, NULL);
	hilo__http_account(c);
	(void)hilo__http_flush(c, NULL, 0, HILO_FOREVER);
}

/* One request, whose head is there. 1: the next one may come; 0: the connection ends; < 0: why. */
static int request_serve(struct connection *c)
{
	struct hilo_http_request *request = &c->request;
	int status = hilo__http_head_parse(c), rc;

	if (status) {
		request_refuse(c, status);
		return 0;
	}
	c->n_requests++;
	if (c->server->opts.access || c->server->opts.access_log)
		request->begin = hilo_now();
	rc = request_handle(c);
	hilo__http_account(c);
	if (rc < 0)
		return rc;
	if (c->broken)
		return 0;
	if (!request->body_done && !hilo__http_body_discard(c))
		request->keep = false;
	return request->keep ? 1 : 0;
}

/* [suspends] The last answer is written: end our side, and read what still comes, so that it is not reset away. */
static void linger(struct connection *c)
{
	hilo_time deadline = hilo_after(HTTP_LINGER_TIME);
	char scrap[4096];
	size_t total = 0;
	ssize_t n = 1;

	if (c->broken || hilo_stream_write_eof(c->stream) < 0)
		return;
	while (n > 0 && total < HTTP_LINGER) {
		n = hilo_stream_read(c->stream, scrap, sizeof(scrap), deadline);
		total += n > 0 ? (size_t)n : 0;
	}
}

/* [suspends] Request after request. */
static int connection_run(struct connection *c)
{
	int rc;

	do {
		request_reset(c);
		rc = wait_head(c);
		if (rc <= 0)
			return rc;
		if (rc > 1)
			request_refuse(c, rc);
		rc = rc == 1 ? request_serve(c) : 0;
	} while (rc == 1);
	if (rc < 0)
		hilo__http_out_rescue(c);
	else if (hilo__http_flush(c, NULL, 0, HILO_FOREVER) == 0)
		linger(c);
	if (c->broken)
		(void)hilo_stream_abort(c->stream);
	return rc;
}

/* ---- The connection itself ---- */

static int connection_init(struct connection *c, struct hilo_http_server *server, hilo_stream *stream)
{
	c->buf = hilo__malloc(HTTP_BUFFER);
	if (!c->buf)
		return -ENOMEM;
	c->size = HTTP_BUFFER;
	c->start = c->head_end = c->at = c->tail = c->whole = 0;
	c->server = server;
	c->stream = stream;
	c->has_peer = hilo_stream_peer(stream, &c->peer) == 0;
	c->broken = false;
	c->failure = 0;
	c->field = c->own_field;
	c->field_size = HTTP_FIELDS;
	hilo__http_parser_init(c);
	hilo__http_text_init(&c->out, c->own_out, sizeof(c->own_out));
	hilo__http_text_init(&c->added, c->own_added, sizeof(c->own_added));
	hilo__http_text_init(&c->trailers, NULL, 0);
	hilo__http_text_init(&c->partial, NULL, 0);
	hilo__http_arena_init(&c->arena);
	c->n_requests = 0;
	c->date_second = -1;
	memset(&c->call, 0, sizeof(c->call));
	atomic_setup(&c->held, 0);
	atomic_setup(&c->state, CONNECTION_BUSY);
	memset(&c->counts, 0, sizeof(c->counts));
	list_init(&c->link);
	return 0;
}

static void connection_fini(struct connection *c)
{
	hilo__http_out_end(c);
	request_reset(c);
	hilo__http_text_reset(&c->out);
	hilo__http_text_reset(&c->added);
	hilo__http_text_reset(&c->trailers);
	hilo__http_text_reset(&c->partial);
	hilo__free(c->buf);
	hilo__free(c);
}

/* It is one of the server's from now on. False: there are too many. */
static bool connection_join(struct connection *c)
{
	struct hilo_http_server *server = c->server;
	bool room;

	http_lock(&server->lock);
	room = !server->opts.connections || server->n_connections < server->opts.connections;
	server->turned_away += !room;
	server->n_connections += room;
	server->refs++;
	if (room)
		list_add_tail(&server->connections, &c->link);
	http_unlock(&server->lock);
	return room;
}

/* Its figures become those of the server. */
static void connection_leave(struct connection *c)
{
	struct hilo_http_server *server = c->server;

	http_lock(&server->lock);
	if (list_is_linked(&c->link)) {
		list_del(&c->link);
		server->n_connections--;
	}
	hilo__http_counts_add(&server->ended, &c->counts);
	http_unlock(&server->lock);
	hilo__http_server_unref(server);
}

/* Too many connections: told so, whatever it asks. */
static void connection_turn_away(struct connection *c)
{
	request_reset(c);
	request_refuse(c, 503);
	linger(c);
}

int hilo__http_connection(struct hilo_http_server *server, hilo_stream *stream, hilo_time deadline)
{
	struct connection *c = hilo__malloc(sizeof(*c));
	int rc = c ? connection_init(c, server, stream) : -ENOMEM;

	if (rc < 0) {
		hilo__free(c);
		return rc;
	}
	c->deadline = deadline;
	rc = hilo_timeout_enter(&c->limit, deadline);
	if (rc < 0) {
		connection_fini(c);
		return rc;
	}
	c->limited = true;
	if (connection_join(c))
		rc = connection_run(c);
	else
		connection_turn_away(c);
	connection_leave(c);
	if (c->limited)
		rc = hilo_timeout_leave(&c->limit, rc);
	connection_fini(c);
	return rc;
}
