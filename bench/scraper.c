/* SPDX-License-Identifier: MIT */
/*
 * scraper.c - many web pages, 100 at a time, each of which comes 50 ms after it was asked for. The server is a process
 * of its own, so that the CPU time is the client's alone: of the whole of it, from the making of its session on.
 */
#include "harness.h"

#include <stdio.h>
#include <stdlib.h>

#include <hilo/http/client.h>
#include <hilo/http/server.h>

#define DELAY (50 * HILO_MILLISECOND)
#define AT_A_TIME 100
#define PAGE_SIZE 2000

static char page[PAGE_SIZE];

static int slow(hilo_http_request *request, void *arg)
{
	int rc = hilo_sleep(DELAY);

	(void)arg;
	return rc < 0 ? rc
		      : hilo_http_respond(request, 200, "text/html; charset=utf-8", page, sizeof(page),
					  HILO_FOREVER);
}

static int serve(void *arg)
{
	struct bench *b = arg;
	hilo_server_opts listen = {.size = sizeof(listen), .host = "127.0.0.1", .port = b->port};
	hilo_http_opts opts = {.size = sizeof(opts), .server = &listen};
	hilo_http_router *router;
	hilo_http_server *server;
	int rc = hilo_http_router_new(&router);

	for (size_t i = 0; i < sizeof(page); i++)
		page[i] = (char)('a' + i % 26);
	if (rc == 0)
		rc = hilo_http_router_add(router, "GET", "/", slow, NULL);
	if (rc == 0)
		rc = hilo_http_start_server(router, &opts, &server, HILO_FOREVER);
	if (rc < 0)
		bench_die("%s", hilo_error_message());
	rc = hilo_http_server_serve_forever(server, HILO_FOREVER);
	hilo_http_server_free(server);
	hilo_http_router_free(router);
	return rc;
}

void bench_slow_server(struct bench *b)
{
	if (!b->port)
		bench_die("slow_server: --port=N is needed");
	bench_run(b, serve);
}

/* What the pages have in common. */
static hilo_http_session *session;
static char url[64];
static struct counter characters;

static int fetch(void *arg)
{
	size_t count = 0;
	char *text;
	int rc;

	(void)arg;
	HILO_WITH_HTTP_GET (response, session, url, &rc) {
		if (hilo_http_response_text(response, 1 << 20, &text, &count, HILO_FOREVER) < 0)
			bench_die("%s", hilo_error_message());
		free(text);
	}
	if (rc < 0)
		bench_die("%s", hilo_error_message());
	(void)counter_add(&characters, count);
	return 0;
}

static uint64_t scrape(struct bench *b, long n)
{
	hilo_http_session_opts opts = {.size = sizeof(opts), .connections = AT_A_TIME};
	hilo_task **tasks = bench_alloc((size_t)n, sizeof(hilo_task *));

	(void)b;
	if (hilo_http_session_new(&opts, &session) < 0)
		bench_die("%s", hilo_error_message());
	for (long i = 0; i < n; i++)
		tasks[i] = hilo_spawn(fetch, NULL);
	for (long i = 0; i < n; i++)
		bench_join(tasks[i], 0);
	(void)hilo_http_session_close(session, HILO_FOREVER);
	hilo_http_session_free(session);
	free(tasks);
	return counter_get(&characters);
}

void bench_scraper(struct bench *b)
{
	if (!b->port)
		bench_die("scraper: --port=N is needed, of slow_server");
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/", b->port);
	bench_tasks(b, scrape, 0, (uint64_t)b->n);
	bench_extra(b, "\"cpu_seconds\":%.6f", b->cpu_seconds);
}
