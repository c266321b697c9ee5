/* SPDX-License-Identifier: MIT */
/*
 * fuzz_http.c - whatever is said to the HTTP server: it answers, or refuses, and ends; and what it answers does not
 * depend on the pieces in which it was said.
 */
#include <hilo/hilo.h>
#include <hilo/http/server.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ANSWERS (1024 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct {
	hilo_runtime *runtime;
	hilo_http_router *router;
	hilo_http_server *server;
} fuzz;

static void must(int rc)
{
	if (rc < 0)
		abort();
}

/* All that can be asked, and an answer that tells it. */
static int tells(hilo_http_request *request, void *arg)
{
	const char *name, *value, *part = hilo_http_param(request, "a");
	char buf[512];
	size_t total = 0;
	ssize_t n;

	(void)arg;
	for (size_t i = 0; hilo_http_field_at(request, i, &name, &value) == 0; i++)
		total += strlen(name) + strlen(value);
	for (size_t i = 0; hilo_http_query_at(request, i, &name, &value) == 0; i++)
		total += strlen(name) + strlen(value);
	while ((n = hilo_http_read(request, buf, sizeof(buf), HILO_FOREVER)) > 0)
		total += (size_t)n;
	if (n < 0)
		return (int)n;
	n = snprintf(buf, sizeof(buf), "%zu %.100s %.100s %s", total, part ? part : "-",
		     hilo_http_host(request), hilo_http_trailer(request, "x") ? "x" : "");
	if (hilo_http_query(request, "chunks")) {
		must(hilo_http_begin(request, 200, "text/plain", HILO_HTTP_CHUNKED));
		n = hilo_http_write(request, buf, (size_t)n, HILO_FOREVER);
		return n < 0 ? (int)n : hilo_http_end(request, HILO_FOREVER);
	}
	return hilo_http_respond(request, 200, "text/plain", buf, (size_t)n, HILO_FOREVER);
}

/* Its body stays where it is. */
static int ignores(hilo_http_request *request, void *arg)
{
	(void)arg;
	return hilo_http_respond(request, 200, "text/plain", "ignored", 7, HILO_FOREVER);
}

static void quiet(const hilo_exception *exception, void *arg)
{
	(void)exception, (void)arg;
}

static void fuzz_begin(void)
{
	hilo_opts opts = {.size = sizeof(opts), .workers = 1};
	hilo_http_opts http = {.size = sizeof(http), .line = 512, .header = 2048, .fields = 16, .body = 8192};

	hilo_set_exception_handler(quiet, NULL);
	must(hilo_runtime_new(&opts, &fuzz.runtime));
	must(hilo_http_router_new(&fuzz.router));
	must(hilo_http_router_add(fuzz.router, "GET", "/", tells, NULL));
	must(hilo_http_router_add(fuzz.router, "POST", "/echo", tells, NULL));
	must(hilo_http_router_add(fuzz.router, "GET", "/items/{a}", tells, NULL));
	must(hilo_http_router_add(fuzz.router, "PUT", "/{a...}", tells, NULL));
	must(hilo_http_router_add(fuzz.router, "POST", "/ignored", ignores, NULL));
	must(hilo_http_server_new(fuzz.router, &http, &fuzz.server));
}

struct conversation {
	const char *said;
	size_t size;
	size_t piece; /* the most that is said at once */
	hilo_stream *stream[2];
	char *answers;
	size_t answered;
};

static int says(void *arg)
{
	struct conversation *talk = arg;
	size_t at = 0;

	while (at < talk->size) {
		size_t piece = talk->piece < talk->size - at ? talk->piece : talk->size - at;

		if (hilo_stream_write(talk->stream[0], talk->said + at, piece, HILO_FOREVER) < 0)
			return 0;
		at += piece;
		(void)hilo_yield();
	}
	(void)hilo_stream_write_eof(talk->stream[0]);
	return 0;
}

static int listens(void *arg)
{
	struct conversation *talk = arg;
	ssize_t n = 1;

	while (n > 0 && talk->answered < ANSWERS) {
		n = hilo_stream_read(talk->stream[0], talk->answers + talk->answered,
				     ANSWERS - talk->answered, HILO_FOREVER);
		talk->answered += n > 0 ? (size_t)n : 0;
	}
	return 0;
}

/* The time of an answer is not to matter. */
static void dates_drop(struct conversation *talk)
{
	char *at = talk->answers, *end = at + talk->answered;

	while ((at = memmem(at, (size_t)(end - at), "\r\nDate: ", 8)) && end - at > 37) {
		memset(at + 8, '-', 29);
		at += 37;
	}
}

static int converse(void *arg)
{
	struct conversation *talk = arg;
	hilo_task *say, *listen;
	int rc;

	must(hilo_stream_pair(talk->piece < 64 ? talk->piece : 0, NULL, talk->stream));
	say = hilo_spawn(says, talk);
	listen = hilo_spawn(listens, talk);
	rc = hilo_http_serve(fuzz.server, talk->stream[1], HILO_FOREVER);
	(void)hilo_stream_close(talk->stream[1], HILO_FOREVER);
	(void)hilo_join(say, HILO_FOREVER);
	(void)hilo_join(listen, HILO_FOREVER);
	hilo_stream_free(talk->stream[0]);
	hilo_stream_free(talk->stream[1]);
	dates_drop(talk);
	return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct conversation talk[2] = {{.said = (const char *)data, .size = size, .piece = SIZE_MAX},
				       {.said = (const char *)data, .size = size, .piece = 1}};

	if (!fuzz.runtime)
		fuzz_begin();
	if (size)
		talk[1].piece = 1 + data[size - 1] % 40;
	for (int i = 0; i < 2; i++) {
		talk[i].answers = malloc(ANSWERS);
		if (!talk[i].answers)
			return 0;
		must(hilo_runtime_run_until_complete(fuzz.runtime, converse, &talk[i]));
	}
	if (talk[0].answered != talk[1].answered ||
	    memcmp(talk[0].answers, talk[1].answers, talk[0].answered) != 0) {
		fprintf(stderr, "---- at once\n%.*s\n---- in pieces of %zu\n%.*s\n", (int)talk[0].answered,
			talk[0].answers, talk[1].piece, (int)talk[1].answered, talk[1].answers);
		abort();
	}
	free(talk[0].answers);
	free(talk[1].answers);
	return 0;
}
