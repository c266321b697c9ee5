/* SPDX-License-Identifier: MIT */
/*
 * serve.c - servers for load from outside: echo, the same beside work that keeps all workers busy, and the least HTTP
 * that clients with connections of their own need. They run until the process is ended.
 */
#include "harness.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define REQUEST_MAX 4096
#define ANSWER                                                                                               \
	"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, "                   \
	"World!"
#define ANSWERS 64 /* at a time, to requests that came in one piece */

static int echo(hilo_stream *client, void *arg)
{
	char buf[REQUEST_MAX];
	ssize_t n;

	(void)arg;
	while ((n = hilo_stream_read(client, buf, sizeof(buf), HILO_FOREVER)) > 0)
		if ((n = hilo_stream_write(client, buf, (size_t)n, HILO_FOREVER)) < 0)
			break;
	return n < 0 ? -ECANCELED : 0; /* clients may go as they like */
}

/* What was asked for and not answered yet. */
struct requests {
	size_t have;
	char text[REQUEST_MAX];
};

/* Take whole requests, ANSWERS at most: how many. One ends with an empty line. */
static size_t take_requests(struct requests *requests)
{
	const char *text = requests->text, *end = text + requests->have, *line = text, *used = text, *feed;
	size_t count = 0;

	while (count < ANSWERS && (feed = memchr(line, '\n', (size_t)(end - line)))) {
		if (feed - line == 1 && *line == '\r') {
			used = feed + 1;
			count++;
		}
		line = feed + 1;
	}
	requests->have = (size_t)(end - used);
	if (used != text && used != end)
		memmove(requests->text, used, requests->have);
	return count;
}

static int http(hilo_stream *client, void *answers)
{
	struct requests requests = {0};
	ssize_t n = 1;

	while (n > 0 && requests.have < sizeof(requests.text)) {
		size_t count;

		n = hilo_stream_read(client, requests.text + requests.have,
				     sizeof(requests.text) - requests.have, HILO_FOREVER);
		if (n <= 0)
			break;
		requests.have += (size_t)n;
		while (n > 0 && (count = take_requests(&requests)) > 0)
			n = hilo_stream_write(client, answers, count * (sizeof(ANSWER) - 1), HILO_FOREVER);
	}
	return n < 0 ? -ECANCELED : 0; /* clients may go as they like */
}

/* fib again and again, as forks on all workers, and once a second how often; until it is cancelled. */
static int compute(void *arg)
{
	struct bench *b = arg;
	hilo_time start = hilo_now(), now;
	long times = 0;
	int rc;

	while ((rc = hilo_checkpoint()) >= 0) {
		(void)bench_fib_forks(b->n);
		times++;
		now = hilo_now();
		if (now - start < HILO_SECOND)
			continue;
		(void)fprintf(stderr, "fib(%ld) %.1f times a second\n", b->n,
			      (double)times * HILO_SECOND / (double)(now - start));
		start = now;
		times = 0;
	}
	return rc;
}

static int serve(void *arg)
{
	struct bench *b = arg;
	hilo_server_opts opts = {.size = sizeof(opts), .host = "127.0.0.1", .port = b->port, .tls = b->tls};
	char *answers = bench_alloc(ANSWERS, sizeof(ANSWER) - 1);
	hilo_server *server;
	int rc;

	for (size_t i = 0; i < ANSWERS; i++)
		memcpy(answers + i * (sizeof(ANSWER) - 1), ANSWER, sizeof(ANSWER) - 1);
	rc = hilo_start_server(strncmp(b->workload, "echo", 4) == 0 ? echo : http, answers, &opts, &server,
			       HILO_FOREVER);
	if (rc < 0)
		bench_die("%s", hilo_error_message());
	if (strcmp(b->workload, "echo_fib") == 0)
		hilo_task_detach(hilo_spawn(compute, b));
	rc = hilo_server_serve_forever(server, HILO_FOREVER);
	hilo_server_free(server);
	return rc;
}

void bench_serve(struct bench *b)
{
	if (!b->port)
		bench_die("%s: --port=N is needed", b->workload);
	bench_run(b, serve);
}
