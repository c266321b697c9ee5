/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_IO_HTTP_SITE_H
#define TESTS_UNIT_IO_HTTP_SITE_H

/*
 * site.h - a small site, and clients that say exactly what they are told to, over streams in memory and sockets.
 *
 *	GET  /                 "hello"                     GET  /items/{id}    the id
 *	POST /echo             its body, in one piece      POST /chunks        its body and trailer X-Sum, in chunks
 *	GET  /fail             -EIO                        GET  /nothing       0
 *	GET  /sized/{n}        n bytes of byte_at          GET  /wait          waits for site.go
 */
#include <hilo/http/server.h>

#include "tests/unit/io/streams.h"

#define SAID_SIZE (256 * 1024)

struct site {
	hilo_http_router *router;
	hilo_http_server *server;
	hilo_event go;
	atomic(unsigned) waiting;
	atomic(int) seen; /* what a handler has got from a call that was to fail */
};

static inline int site_hello(hilo_http_request *request, void *arg)
{
	(void)arg;
	return hilo_http_respond(request, 200, "text/plain", "hello", 5, HILO_FOREVER);
}

static inline int site_item(hilo_http_request *request, void *arg)
{
	const char *id = hilo_http_param(request, "id");

	(void)arg;
	return hilo_http_respond(request, 200, "text/plain", id, strlen(id), HILO_FOREVER);
}

static inline int site_echo(hilo_http_request *request, void *arg)
{
	struct site *site = arg;
	char *body;
	ssize_t n = hilo_http_read_all(request, 1 << 20, &body, HILO_FOREVER);
	int rc;

	if (n < 0) {
		store_relaxed(&site->seen, (int)n);
		return (int)n;
	}
	rc = hilo_http_respond(request, 200, "text/plain", body, (size_t)n, HILO_FOREVER);
	free(body);
	return rc;
}

static inline int site_chunks(hilo_http_request *request, void *arg)
{
	struct site *site = arg;
	char buf[700];
	ssize_t n;
	int rc = hilo_http_begin(request, 200, "text/plain", HILO_HTTP_CHUNKED);

	while (rc >= 0 && (n = hilo_http_read(request, buf, sizeof(buf), HILO_FOREVER)) != 0) {
		if (n < 0) {
			store_relaxed(&site->seen, (int)n);
			return (int)n;
		}
		rc = (int)hilo_http_write(request, buf, (size_t)n, HILO_FOREVER);
	}
	if (rc >= 0 && hilo_http_trailer(request, "x-sum"))
		rc = hilo_http_add_trailer(request, "X-Sum", hilo_http_trailer(request, "X-Sum"));
	return rc < 0 ? rc : hilo_http_end(request, HILO_FOREVER);
}

static inline int site_fail(hilo_http_request *request, void *arg)
{
	(void)request, (void)arg;
	return hilo_fail(-EIO, "the disk is gone");
}

static inline int site_nothing(hilo_http_request *request, void *arg)
{
	(void)request, (void)arg;
	return 0;
}

static inline int site_sized(hilo_http_request *request, void *arg)
{
	size_t size = (size_t)atol(hilo_http_param(request, "n"));
	char *data = malloc(size + 1);
	int rc;

	(void)arg;
	bytes_fill(data, size, 0);
	rc = hilo_http_respond(request, 200, "application/octet-stream", data, size, HILO_FOREVER);
	free(data);
	return rc;
}

static inline int site_wait(hilo_http_request *request, void *arg)
{
	struct site *site = arg;
	int rc;

	(void)add_relaxed(&site->waiting, 1);
	rc = hilo_event_wait(&site->go, HILO_FOREVER);
	if (rc < 0) {
		store_relaxed(&site->seen, rc);
		return rc;
	}
	return hilo_http_respond(request, 200, "text/plain", "at last", 7, HILO_FOREVER);
}

static inline void site_route(struct site *site, const char *method, const char *pattern,
			      hilo_http_fn handler)
{
	TASK_CHECK(hilo_http_router_add(site->router, method, pattern, handler, site), ==, 0);
}

/* A site whose routes can still be added to. */
static inline void site_init(struct site *site)
{
	memset(site, 0, sizeof(*site));
	TASK_CHECK(hilo_event_init(&site->go, 0), ==, 0);
	TASK_CHECK(hilo_http_router_new(&site->router), ==, 0);
	site_route(site, "GET", "/", site_hello);
	site_route(site, "GET", "/items/{id}", site_item);
	site_route(site, "POST", "/echo", site_echo);
	site_route(site, "POST", "/chunks", site_chunks);
	site_route(site, "GET", "/fail", site_fail);
	site_route(site, "GET", "/nothing", site_nothing);
	site_route(site, "GET", "/sized/{n}", site_sized);
	site_route(site, "GET", "/wait", site_wait);
}

/* Without sockets: for streams that are given to it. */
static inline void site_begin(struct site *site, hilo_http_opts opts)
{
	opts.size = sizeof(opts);
	TASK_CHECK(hilo_http_server_new(site->router, &opts, &site->server), ==, 0);
}

/* On a port of 127.0.0.1. */
static inline void site_listen(struct site *site, hilo_http_opts opts)
{
	hilo_server_opts listen = {.size = sizeof(listen), .host = "127.0.0.1"};

	opts.size = sizeof(opts);
	opts.server = &listen;
	TASK_CHECK(hilo_http_start_server(site->router, &opts, &site->server, HILO_FOREVER), ==, 0);
}

static inline hilo_http_stats site_stats(struct site *site)
{
	hilo_http_stats stats = {.size = sizeof(stats)};

	TASK_CHECK(hilo_http_server_get_stats(site->server, &stats), ==, 0);
	return stats;
}

static inline void site_end(struct site *site)
{
	TASK_CHECK(hilo_http_server_close(site->server, NULL, HILO_FOREVER), ==, 0);
	hilo_http_server_free(site->server);
	hilo_http_router_free(site->router);
	(void)hilo_event_destroy(&site->go);
}

/* A connection that is served by a task of its own. */
struct served {
	struct site *site;
	hilo_stream *stream[2]; /* the client's, the server's */
	hilo_task *task;
	hilo_time deadline;
};

static inline int served_main(void *arg)
{
	struct served *served = arg;
	int rc = hilo_http_serve(served->site->server, served->stream[1], served->deadline);

	/* As a server does with the stream of a client: what is written is sent, and there is no more. */
	(void)hilo_stream_close(served->stream[1], HILO_FOREVER);
	return rc;
}

static inline void served_begin(struct served *served, struct site *site, size_t capacity)
{
	served->site = site;
	served->deadline = served->deadline ? served->deadline : HILO_FOREVER;
	TASK_CHECK(hilo_stream_pair(capacity, NULL, served->stream), ==, 0);
	served->task = hilo_spawn(served_main, served);
	TASK_CHECK(served->task, !=, NULL);
}

/* What hilo_http_serve has returned. */
static inline int served_end(struct served *served)
{
	int rc = hilo_join(served->task, HILO_FOREVER);

	hilo_stream_free(served->stream[0]);
	hilo_stream_free(served->stream[1]);
	return rc;
}

/* All that comes until the end, with a NUL. */
static inline size_t read_answers(hilo_stream *stream, char *buf, size_t size)
{
	size_t used = 0;
	ssize_t n;

	while ((n = hilo_stream_read(stream, buf + used, size - 1 - used, HILO_FOREVER)) > 0)
		used += (size_t)n;
	buf[used] = '\0';
	return used;
}

/* Writes, in pieces of which each has a number from @pieces, or any; while another reads. */
struct sayer {
	hilo_stream *stream;
	const char *text;
	size_t length, piece;
	uint64_t seed;
	bool stay; /* does not end its side */
};

static inline int say_all(void *arg)
{
	struct sayer *sayer = arg;
	size_t at = 0;

	while (at < sayer->length) {
		size_t piece = sayer->piece;
		ssize_t n;

		if (!piece)
			piece = 1 + random_mix(sayer->seed + at) % 40;
		piece = piece < sayer->length - at ? piece : sayer->length - at;
		n = hilo_stream_write(sayer->stream, sayer->text + at, piece, HILO_FOREVER);
		if (n < 0)
			return 0; /* the other side has heard enough */
		at += (size_t)n;
		if (sayer->piece != SIZE_MAX)
			(void)hilo_yield();
	}
	if (!sayer->stay)
		(void)hilo_stream_write_eof(sayer->stream);
	return 0;
}

/*
 * [task] Say @length bytes to @site, in pieces of @piece bytes, 0: of all sizes, SIZE_MAX: all at once; read all
 * answers. What hilo_http_serve has returned.
 */
static inline int site_say(struct site *site, const char *text, size_t length, size_t piece, uint64_t seed,
			   char *answers)
{
	struct served served = {0};
	struct sayer sayer = {.text = text, .length = length, .piece = piece, .seed = seed};
	hilo_task *task;

	served_begin(&served, site, piece == 1 ? 1 : 0);
	sayer.stream = served.stream[0];
	task = hilo_spawn(say_all, &sayer);
	(void)read_answers(served.stream[0], answers, SAID_SIZE);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 0);
	return served_end(&served);
}

/* The same for a text, all at once. The answers are valid until the next call. */
static inline const char *site_ask(struct site *site, const char *text)
{
	static char answers[SAID_SIZE];

	TASK_CHECK(site_say(site, text, strlen(text), SIZE_MAX, 0, answers), ==, 0);
	return answers;
}

/* The statuses of all answers in @text, "200 404 "; their bodies one after the other in @bodies, or NULL. */
static inline void answers_read(const char *text, char *statuses, size_t size, char *bodies, bool head)
{
	const char *end = text + strlen(text);

	*statuses = '\0';
	if (bodies)
		*bodies = '\0';
	while (text < end) {
		const char *body = strstr(text, "\r\n\r\n"), *length;
		char status[8] = "?";

		TASK_CHECK(body, !=, NULL);
		TASK_CHECK(sscanf(text, "HTTP/1.1 %3s", status), ==, 1);
		TASK_CHECK(strlen(statuses) + 5, <, size);
		strcat(strcat(statuses, status), " ");
		length = strstr(text, "\r\nContent-Length: ");
		body += 4;
		if (length && length < body && !head) {
			size_t n = (size_t)atol(length + 18);

			TASK_CHECK(n, <=, end - body);
			if (bodies)
				strncat(bodies, body, n);
			body += n;
		} else if (length == NULL || length > body) {
			if (strstr(text, "Transfer-Encoding: chunked") && !head) {
				const char *last = strstr(body, "0\r\n\r\n");

				body = last ? last + 5 : end;
			}
		}
		text = body;
	}
}

#endif /* TESTS_UNIT_IO_HTTP_SITE_H */
