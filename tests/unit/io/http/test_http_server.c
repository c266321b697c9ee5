/* SPDX-License-Identifier: MIT */
/*
 * test_http_server.c - the server over sockets: clients, limits in time and number, its end, its figures, the access
 * log, and no memory.
 */
#include <hilo/io/connect.h>
#include <hilo/sync/event.h>

#include "tests/unit/io/http/site.h"

#include "io/http/http_impl.h"
#include "scheduler/base/mem.h"

#define ASK(path) "GET " path " HTTP/1.1\r\nHost: x\r\n\r\n"
#define ASK_LAST(path) "GET " path " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

static hilo_stream *connected(const struct site *site)
{
	hilo_stream *stream = NULL;
	hilo_address address;

	TASK_CHECK(hilo_server_sockname(hilo_http_server_below(site->server), 0, &address), ==, 0);
	TASK_CHECK(hilo_open_connection_to(&address, NULL, &stream, HILO_FOREVER), ==, 0);
	return stream;
}

/* Reads up to and with @part. */
static void expects(hilo_stream *stream, const char *part, char *buf, size_t size)
{
	size_t used = 0;

	do {
		ssize_t n = hilo_stream_read(stream, buf + used, size - 1 - used, HILO_FOREVER);

		TASK_CHECK(n, >, 0);
		used += (size_t)n;
		buf[used] = '\0';
	} while (!strstr(buf, part));
}

/* The other side ends it, with or without an answer. */
static void ends(hilo_stream *stream, char *buf, size_t size)
{
	(void)read_answers(stream, buf, size);
	hilo_stream_free(stream);
}

#define CROWD 40

static int converses(void *site)
{
	hilo_stream *stream = connected(site);
	char buf[1024], text[128], wanted[64];

	for (int i = 0; i < 10; i++) {
		(void)snprintf(text, sizeof(text), ASK("/items/%d"), 1000 + i);
		(void)snprintf(wanted, sizeof(wanted), "\r\n\r\n%d", 1000 + i);
		stream_say(stream, text);
		expects(stream, wanted, buf, sizeof(buf));
	}
	hilo_stream_free(stream);
	return 0;
}

TASK_TEST(test_crowd_is_served)
{
	struct site site;
	hilo_task *task[CROWD];

	site_init(&site);
	site_listen(&site, (hilo_http_opts){0});
	for (int i = 0; i < CROWD; i++)
		task[i] = hilo_spawn(converses, &site);
	for (int i = 0; i < CROWD; i++)
		TASK_CHECK(hilo_join(task[i], HILO_FOREVER), ==, 0);
	TEST_UNTIL(site_stats(&site).requests == 10 * CROWD); /* counted after the answer */
	TASK_CHECK(site_stats(&site).answers[2], ==, 10 * CROWD);
	TASK_CHECK(site_stats(&site).sent, ==, 40 * CROWD);
	site_end(&site);
	return 0;
}

/* ---- Limits ---- */

/* A byte now and then: what counts is the whole head. */
static int drips(void *stream)
{
	static const char text[] = "GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ";
	ssize_t n = 1;

	for (size_t i = 0; n > 0; i++) {
		n = hilo_stream_write(stream, i < sizeof(text) - 1 ? text + i : "a", 1, HILO_FOREVER);
		if (hilo_sleep(HILO_MILLISECOND) < 0)
			break;
	}
	return 0;
}

TASK_TEST(test_head_that_comes_too_slowly_is_408)
{
	struct site site;
	hilo_stream *stream;
	hilo_task *task;
	char buf[1024];

	site_init(&site);
	site_listen(&site, (hilo_http_opts){.head_time = 10 * HILO_MILLISECOND});
	stream = connected(&site);
	task = hilo_spawn(drips, stream);
	expects(stream, "408 Request Timeout\n", buf, sizeof(buf));
	TASK_CHECK_CONTAINS(buf, "Connection: close");
	(void)hilo_task_cancel(task);
	(void)hilo_join(task, HILO_FOREVER);
	ends(stream, buf, sizeof(buf));
	site_end(&site);
	return 0;
}

TASK_TEST(test_idle_connection_is_closed_without_a_word)
{
	struct served served = {.deadline = HILO_FOREVER};
	struct site site;
	hilo_stream *stream;
	char buf[1024];

	site_init(&site);
	site_listen(&site, (hilo_http_opts){.idle_time = 5 * HILO_MILLISECOND});
	stream = connected(&site);
	TASK_CHECK(read_answers(stream, buf, sizeof(buf)), ==, 0);
	hilo_stream_free(stream);
	/* The request is there before it is waited for. */
	served.site = &site;
	TASK_CHECK(hilo_stream_pair(0, NULL, served.stream), ==, 0);
	stream_say(served.stream[0], ASK("/"));
	served.task = hilo_spawn(served_main, &served);
	(void)read_answers(served.stream[0], buf, sizeof(buf));
	TASK_CHECK_CONTAINS(buf, "200 OK");
	TASK_CHECK(strstr(buf, "408"), ==, NULL);
	TASK_CHECK(served_end(&served), ==, 0);
	site_end(&site);
	return 0;
}

static void swallow(const hilo_exception *exception, void *arg)
{
	(void)exception, (void)arg;
}

TASK_TEST(test_handler_that_takes_too_long_is_cancelled_and_503)
{
	struct site site;
	hilo_stream *stream;
	char buf[1024];

	site_init(&site);
	site_listen(&site, (hilo_http_opts){.handler_time = 5 * HILO_MILLISECOND});
	hilo_set_exception_handler(swallow, NULL);
	stream = connected(&site);
	stream_say(stream, ASK("/wait"));
	expects(stream, "503 Service Unavailable\n", buf, sizeof(buf));
	TASK_CHECK(load_relaxed(&site.seen), ==, -ECANCELED);
	TASK_CHECK(site_stats(&site).failed, ==, 1);
	ends(stream, buf, sizeof(buf));
	stream = connected(&site);
	stream_say(stream, ASK_LAST("/"));
	(void)read_answers(stream, buf, sizeof(buf));
	TASK_CHECK_CONTAINS(buf, "200 OK");
	hilo_stream_free(stream);
	hilo_set_exception_handler(NULL, NULL);
	site_end(&site);
	return 0;
}

TASK_TEST(test_connection_too_many_is_503)
{
	struct site site;
	hilo_stream *stream[3];
	char buf[1024];

	site_init(&site);
	site_listen(&site, (hilo_http_opts){.connections = 2});
	for (int i = 0; i < 2; i++) {
		stream[i] = connected(&site);
		stream_say(stream[i], ASK("/"));
		expects(stream[i], "hello", buf, sizeof(buf));
	}
	stream[2] = connected(&site);
	(void)read_answers(stream[2], buf, sizeof(buf));
	TASK_CHECK_CONTAINS(buf, "503 Service Unavailable");
	TASK_CHECK_CONTAINS(buf, "Connection: close");
	TASK_CHECK(site_stats(&site).turned_away, ==, 1);
	TASK_CHECK(site_stats(&site).connections, ==, 2);
	for (int i = 0; i < 3; i++)
		hilo_stream_free(stream[i]);
	TEST_UNTIL(site_stats(&site).connections == 0);
	stream[0] = connected(&site);
	stream_say(stream[0], ASK("/"));
	expects(stream[0], "hello", buf, sizeof(buf));
	hilo_stream_free(stream[0]);
	site_end(&site);
	return 0;
}

TASK_TEST(test_requests_of_a_connection_are_limited)
{
	struct site site;
	hilo_stream *stream;
	char buf[4096];

	site_init(&site);
	site_listen(&site, (hilo_http_opts){.requests = 2});
	stream = connected(&site);
	stream_say(stream, ASK("/items/1") ASK("/items/2") ASK("/items/3"));
	(void)read_answers(stream, buf, sizeof(buf));
	TASK_CHECK_CONTAINS(buf, "\r\n\r\n1HTTP");
	TASK_CHECK_CONTAINS(buf, "\r\nConnection: close\r\n\r\n2");
	TASK_CHECK(strstr(buf, "\r\n\r\n3"), ==, NULL);
	hilo_stream_free(stream);
	site_end(&site);
	return 0;
}

TASK_TEST(test_large_answer_waits_for_a_slow_reader)
{
	static const char text[] = ASK_LAST("/sized/3000000");
	struct site site;
	hilo_stream *stream;
	char buf[512];
	size_t n = 0;

	site_init(&site);
	site_listen(&site, (hilo_http_opts){0});
	stream = connected(&site);
	stream_say(stream, text);
	while (n < 4 || memcmp(buf + n - 4, "\r\n\r\n", 4) != 0)
		TASK_CHECK(hilo_stream_read(stream, buf + n++, 1, HILO_FOREVER), ==, 1);
	buf[n] = '\0';
	TASK_CHECK_CONTAINS(buf, "Content-Length: 3000000");
	stream_expect(stream, 3000000, 0);
	stream_expect_end(stream);
	hilo_stream_free(stream);
	site_end(&site);
	return 0;
}

TASK_TEST(test_reader_that_does_not_read_is_dropped)
{
	struct site site;
	hilo_stream *stream;

	site_init(&site);
	site_listen(&site, (hilo_http_opts){.write_time = 5 * HILO_MILLISECOND});
	stream = connected(&site);
	stream_say(stream, ASK("/sized/30000000"));
	TEST_UNTIL(site_stats(&site).requests == 1 && site_stats(&site).connections == 0);
	TASK_CHECK(site_stats(&site).failed, ==, 0);
	hilo_stream_free(stream);
	site_end(&site);
	return 0;
}

/* ---- Clients that go ---- */

static int notices(hilo_http_request *request, void *arg)
{
	struct site *site = arg;

	TASK_CHECK(hilo_http_client_gone(request), ==, 0);
	(void)add_relaxed(&site->waiting, 1);
	while (!hilo_http_client_gone(request))
		if (hilo_sleep(HILO_MILLISECOND) < 0)
			return -ECANCELED;
	(void)add_relaxed(&site->waiting, 1);
	return hilo_http_respond(request, 200, NULL, "x", 1, HILO_FOREVER);
}

TASK_TEST(test_handler_can_see_that_its_client_has_gone)
{
	struct site site;
	hilo_stream *stream;

	site_init(&site);
	site_route(&site, "GET", "/notices", notices);
	site_listen(&site, (hilo_http_opts){0});
	stream = connected(&site);
	stream_say(stream, ASK("/notices"));
	TEST_UNTIL(load_relaxed(&site.waiting) == 1);
	hilo_stream_free(stream);
	TEST_UNTIL(load_relaxed(&site.waiting) == 2);
	TEST_UNTIL(site_stats(&site).connections == 0);
	TASK_CHECK(site_stats(&site).failed, ==, 0);
	site_end(&site);
	return 0;
}

/* ---- The end ---- */

static int closes(void *arg)
{
	struct site *site = arg;
	hilo_server_counts counts = {.size = sizeof(counts)};

	TASK_CHECK(hilo_http_server_close(site->server, &counts, HILO_FOREVER), ==, 0);
	return (int)counts.drained;
}

TASK_TEST(test_end_waits_for_requests_and_not_for_idle_connections)
{
	struct site site;
	hilo_stream *idle, *fresh, *busy;
	hilo_task *task;
	char buf[1024];

	site_init(&site);
	site_listen(&site, (hilo_http_opts){0});
	idle = connected(&site);
	stream_say(idle, ASK("/"));
	expects(idle, "hello", buf, sizeof(buf));
	fresh = connected(&site);
	busy = connected(&site);
	stream_say(busy, ASK("/wait") ASK("/"));
	TEST_UNTIL(load_relaxed(&site.waiting) == 1 && site_stats(&site).connections == 3);
	task = hilo_spawn(closes, &site);
	TASK_CHECK(read_answers(idle, buf, sizeof(buf)), ==, 0);
	TASK_CHECK(read_answers(fresh, buf, sizeof(buf)), ==, 0);
	TASK_CHECK(hilo_task_is_done(task), ==, 0);
	TASK_CHECK(hilo_event_set(&site.go), ==, 0);
	(void)read_answers(busy, buf, sizeof(buf));
	TASK_CHECK_CONTAINS(buf, "Connection: close");
	TASK_CHECK_CONTAINS(buf, "at last");
	TASK_CHECK(strstr(buf, "hello"), ==, NULL);
	hilo_stream_free(busy);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), >=, 1);
	hilo_stream_free(idle);
	hilo_stream_free(fresh);
	site_end(&site);
	return 0;
}

TASK_TEST(test_end_at_its_deadline_cancels_handlers_and_counts_them)
{
	hilo_server_counts counts = {.size = sizeof(counts)};
	struct site site;
	hilo_stream *stream;
	char buf[1024];

	site_init(&site);
	site_listen(&site, (hilo_http_opts){0});
	stream = connected(&site);
	stream_say(stream, ASK("/wait"));
	TEST_UNTIL(load_relaxed(&site.waiting) == 1);
	TASK_CHECK(hilo_http_server_close(site.server, &counts, hilo_after(HILO_MILLISECOND)), ==, 0);
	TASK_CHECK(counts.cancelled, ==, 1);
	TASK_CHECK(load_relaxed(&site.seen), ==, -ECANCELED);
	TASK_CHECK(read_answers(stream, buf, sizeof(buf)), ==, 0);
	hilo_stream_free(stream);
	site_end(&site);
	return 0;
}

static int serves_forever(void *arg)
{
	struct site *site = arg;

	return hilo_http_server_serve_forever(site->server, HILO_FOREVER);
}

TASK_TEST(test_serve_forever_ends_when_the_server_is_stopped_or_it_is_cancelled)
{
	for (int cancelled = 0; cancelled < 2; cancelled++) {
		struct site site;
		hilo_stream *stream;
		hilo_task *task;
		char buf[1024];

		site_init(&site);
		site_listen(&site, (hilo_http_opts){0});
		task = hilo_spawn(serves_forever, &site);
		stream = connected(&site);
		stream_say(stream, ASK("/"));
		expects(stream, "hello", buf, sizeof(buf));
		TEST_UNTIL(hilo_task_get_state(task) == HILO_TASK_SUSPENDED);
		if (cancelled)
			TASK_CHECK(hilo_task_cancel(task), ==, 0);
		else
			TASK_CHECK(hilo_http_server_stop(site.server), ==, 0);
		TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, cancelled ? -ECANCELED : 0);
		TASK_CHECK(read_answers(stream, buf, sizeof(buf)), ==, 0);
		hilo_stream_free(stream);
		TASK_CHECK(hilo_http_server_stop(site.server), ==, 0);
		site_end(&site);
	}
	return 0;
}

/* Clients come, ask and go while the server is stopped and freed. */
static int comes_and_goes(void *arg)
{
	const hilo_address *address = arg;
	hilo_stream *stream;
	char buf[512];

	for (int i = 0; i < 20; i++) {
		if (hilo_open_connection_to(address, NULL, &stream, HILO_FOREVER) < 0)
			return 0;
		if (hilo_stream_write(stream, ASK("/"), strlen(ASK("/")), HILO_FOREVER) > 0)
			(void)hilo_stream_read(stream, buf, sizeof(buf), HILO_FOREVER);
		hilo_stream_free(stream);
	}
	return 0;
}

TASK_TEST(test_server_can_be_freed_under_its_clients)
{
	for (unsigned round = 0; round < test_rounds(20); round++) {
		struct site site;
		hilo_address address;
		hilo_task *task[4];

		site_init(&site);
		site_listen(&site, (hilo_http_opts){0});
		TASK_CHECK(hilo_server_sockname(hilo_http_server_below(site.server), 0, &address), ==, 0);
		for (int i = 0; i < 4; i++)
			task[i] = hilo_spawn(comes_and_goes, &address);
		for (unsigned i = 0; i < round; i++)
			(void)hilo_yield();
		if (round % 2)
			TASK_CHECK(hilo_http_server_close(site.server, NULL, HILO_FOREVER), ==, 0);
		hilo_http_server_free(site.server);
		hilo_http_router_free(site.router);
		for (int i = 0; i < 4; i++)
			(void)hilo_join(task[i], HILO_FOREVER);
	}
	return 0;
}

TASK_TEST(test_stop_ends_a_connection_that_waits)
{
	struct served served = {0};
	struct site site;
	char buf[1024];

	site_init(&site);
	site_begin(&site, (hilo_http_opts){0});
	served_begin(&served, &site, 0);
	stream_say(served.stream[0], ASK("/"));
	expects(served.stream[0], "hello", buf, sizeof(buf));
	TEST_UNTIL(hilo_task_get_state(served.task) == HILO_TASK_SUSPENDED);
	TASK_CHECK(hilo_http_server_stop(site.server), ==, 0);
	TASK_CHECK(read_answers(served.stream[0], buf, sizeof(buf)), ==, 0);
	TASK_CHECK(served_end(&served), ==, HILO_ECLOSED);
	site_end(&site);
	return 0;
}

/* ---- The end, on streams that are given ---- */

/* Connections with tasks of their own: one that is idle, one whose handler waits, one whose handler does not end. */
struct guests {
	struct site site;
	struct served idle, busy, deaf;
	hilo_event go; /* of the deaf one */
	test_flag deaf_waits;
};

/* Does not hear that it is to end, until its stream has ended, or at all. */
static int is_deaf(hilo_http_request *request, void *arg)
{
	struct guests *guests = arg;
	int rc;

	(void)hilo_shield_enter();
	store_release(&guests->deaf_waits, 1);
	rc = hilo_event_wait(&guests->go, HILO_FOREVER);
	(void)hilo_shield_leave();
	return rc < 0 ? rc : hilo_http_respond(request, 200, NULL, "deaf", 4, HILO_FOREVER);
}

/* Reads on and on, whatever it is told. */
static int is_deaf_and_reads(hilo_http_request *request, void *arg)
{
	struct guests *guests = arg;
	char buf[16];
	ssize_t n;

	(void)hilo_shield_enter();
	store_release(&guests->deaf_waits, 1);
	n = hilo_http_read(request, buf, sizeof(buf), HILO_FOREVER);
	(void)hilo_shield_leave();
	return (int)n;
}

static void guests_begin(struct guests *guests, const char *deaf)
{
	char buf[1024];

	memset(guests, 0, sizeof(*guests));
	TASK_CHECK(hilo_event_init(&guests->go, 0), ==, 0);
	site_init(&guests->site);
	TASK_CHECK(hilo_http_router_add(guests->site.router, "GET", "/deaf", is_deaf, guests), ==, 0);
	TASK_CHECK(hilo_http_router_add(guests->site.router, "POST", "/reads", is_deaf_and_reads, guests), ==,
		   0);
	site_begin(&guests->site, (hilo_http_opts){0});
	served_begin(&guests->idle, &guests->site, 0);
	served_begin(&guests->busy, &guests->site, 0);
	stream_say(guests->idle.stream[0], ASK("/"));
	expects(guests->idle.stream[0], "hello", buf, sizeof(buf));
	stream_say(guests->busy.stream[0], ASK("/wait") ASK("/"));
	TEST_UNTIL(load_relaxed(&guests->site.waiting) == 1);
	if (!deaf)
		return;
	served_begin(&guests->deaf, &guests->site, 0);
	stream_say(guests->deaf.stream[0], deaf);
	TEST_UNTIL(load_acquire(&guests->deaf_waits));
}

static void guests_end(struct guests *guests)
{
	site_end(&guests->site);
	(void)hilo_event_destroy(&guests->go);
}

static void counts_check(const hilo_server_counts *counts, size_t drained, size_t cancelled, size_t aborted,
			 size_t running)
{
	TASK_CHECK(counts->drained, ==, drained);
	TASK_CHECK(counts->cancelled, ==, cancelled);
	TASK_CHECK(counts->aborted, ==, aborted);
	TASK_CHECK(counts->running, ==, running);
}

TASK_TEST(test_end_waits_for_connections_that_were_given)
{
	struct guests guests;
	hilo_task *task;
	char buf[1024];

	guests_begin(&guests, NULL);
	task = hilo_spawn(closes, &guests.site);
	TASK_CHECK(read_answers(guests.idle.stream[0], buf, sizeof(buf)), ==, 0);
	TASK_CHECK(served_end(&guests.idle), ==, HILO_ECLOSED);
	TASK_CHECK(hilo_task_is_done(task), ==, 0);
	TASK_CHECK(hilo_event_set(&guests.site.go), ==, 0);
	(void)read_answers(guests.busy.stream[0], buf, sizeof(buf));
	TASK_CHECK_CONTAINS(buf, "Connection: close");
	TASK_CHECK_CONTAINS(buf, "at last");
	TASK_CHECK(strstr(buf, "hello"), ==, NULL);
	TASK_CHECK(hilo_stream_write_eof(guests.busy.stream[0]), ==, 0);
	TASK_CHECK(served_end(&guests.busy), ==, 0);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), >=, 1); /* the idle one may have ended before */
	/* There is nobody any more, and nobody comes. */
	served_begin(&guests.idle, &guests.site, 0);
	TASK_CHECK(served_end(&guests.idle), ==, HILO_ECLOSED);
	guests_end(&guests);
	return 0;
}

/* What may be freed as soon as the server is closed. */
static int frees_what_it_was_given(hilo_http_request *request, void *arg)
{
	struct site *site = arg;
	int rc;

	(void)add_relaxed(&site->waiting, 1);
	rc = hilo_event_wait(&site->go, HILO_FOREVER);
	store_relaxed(&site->seen, rc);
	return rc < 0 ? rc : hilo_http_respond(request, 200, NULL, "x", 1, HILO_FOREVER);
}

TASK_TEST(test_server_that_is_closed_leaves_what_its_handlers_were_given)
{
	for (unsigned round = 0; round < test_rounds(30); round++) {
		struct site *site = malloc(sizeof(*site));
		struct served served = {0};

		site_init(site);
		site_route(site, "GET", "/frees", frees_what_it_was_given);
		site_begin(site, (hilo_http_opts){0});
		served_begin(&served, site, 0);
		stream_say(served.stream[0], ASK("/frees"));
		TEST_UNTIL(load_relaxed(&site->waiting) == 1);
		if (round % 2)
			TASK_CHECK(hilo_event_set(&site->go), ==, 0);
		TASK_CHECK(hilo_http_server_close(site->server, NULL, HILO_NO_WAIT), ==, 0);
		hilo_http_server_free(site->server);
		hilo_http_router_free(site->router);
		(void)hilo_event_destroy(&site->go);
		served.site = NULL;
		free(site);
		(void)hilo_stream_abort(served.stream[0]);
		(void)served_end(&served);
	}
	return 0;
}

TASK_TEST(test_end_at_its_deadline_cancels_what_was_given_and_counts_it)
{
	hilo_server_counts counts = {.size = sizeof(counts)};
	struct guests guests;
	char buf[1024];

	guests_begin(&guests, "POST /reads HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n");
	TASK_CHECK(hilo_http_server_stop(guests.site.server), ==, 0);
	TASK_CHECK(served_end(&guests.idle), ==, HILO_ECLOSED);
	TASK_CHECK(hilo_http_server_close(guests.site.server, &counts, hilo_after(HILO_MILLISECOND)), ==, 0);
	counts_check(&counts, 0, 1, 1, 0);
	TASK_CHECK(load_relaxed(&guests.site.seen), ==, -ECANCELED);
	TASK_CHECK(read_answers(guests.busy.stream[0], buf, sizeof(buf)), ==, 0);
	TASK_CHECK(served_end(&guests.busy), ==, HILO_ECLOSED); /* and its task was not cancelled */
	TASK_CHECK(served_end(&guests.deaf), <=, 0);
	guests_end(&guests);
	return 0;
}

TASK_TEST(test_end_tells_of_handlers_that_do_not_return)
{
	hilo_server_counts counts = {.size = sizeof(counts)}, less = {.size = 8}, wild = {.size = SIZE_MAX};
	hilo_http_stats wild_stats = {.size = SIZE_MAX};
	struct guests guests;

	guests_begin(&guests, ASK("/deaf"));
	guests.site.server->grace = 3 * HILO_MILLISECOND;
	TASK_CHECK(hilo_http_server_close(guests.site.server, &less, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_http_server_close(guests.site.server, &wild, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_http_server_get_stats(guests.site.server, &wild_stats), ==, -EINVAL);
	TASK_CHECK(hilo_event_set(&guests.site.go), ==, 0);
	TASK_CHECK(hilo_stream_write_eof(guests.busy.stream[0]), ==, 0);
	TASK_CHECK(hilo_http_server_stop(guests.site.server), ==, 0);
	TASK_CHECK(served_end(&guests.idle), ==, HILO_ECLOSED);
	(void)served_end(&guests.busy);
	TASK_CHECK(hilo_http_server_close(guests.site.server, &counts, HILO_NO_WAIT), ==, -ETIMEDOUT);
	counts_check(&counts, 0, 0, 1, 1);
	TASK_CHECK(hilo_event_set(&guests.go), ==, 0);
	TASK_CHECK(hilo_http_server_close(guests.site.server, &counts, HILO_FOREVER), ==, 0);
	counts_check(&counts, 1, 0, 0, 0);
	(void)served_end(&guests.deaf);
	guests_end(&guests);
	return 0;
}

static int is_cut_short(void *arg)
{
	struct site *site = arg;
	hilo_server_counts counts = {.size = sizeof(counts)};

	TASK_CHECK(hilo_http_server_close(site->server, &counts, HILO_FOREVER), ==, -ECANCELED);
	counts_check(&counts, 0, 1, 0, 0);
	return 0;
}

/* Who waits for the connections is cancelled: the rest is done all the same. */
TASK_TEST(test_end_that_is_cancelled_cancels_what_was_given)
{
	struct guests guests;
	hilo_task *task;

	guests_begin(&guests, NULL);
	TASK_CHECK(hilo_http_server_stop(guests.site.server), ==, 0);
	TASK_CHECK(served_end(&guests.idle), ==, HILO_ECLOSED);
	task = hilo_spawn(is_cut_short, &guests.site);
	TEST_UNTIL(hilo_task_get_state(task) == HILO_TASK_SUSPENDED);
	TASK_CHECK(hilo_task_cancel(task), ==, 0);
	TASK_CHECK(served_end(&guests.busy), ==, HILO_ECLOSED);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 0);
	guests_end(&guests);
	return 0;
}

static int closes_its_own(hilo_http_request *request, void *arg)
{
	struct site *site = arg;

	TASK_CHECK(hilo_http_server_close(site->server, NULL, HILO_FOREVER), ==, -EDEADLK);
	return hilo_http_respond(request, 200, NULL, "stopped", 7, HILO_FOREVER);
}

TASK_TEST(test_handler_cannot_wait_for_its_own_end)
{
	struct site site;

	site_init(&site);
	site_route(&site, "GET", "/closes", closes_its_own);
	site_begin(&site, (hilo_http_opts){0});
	TASK_CHECK_CONTAINS(site_ask(&site, ASK("/closes") ASK("/")), "stopped");
	site_end(&site);
	return 0;
}

TASK_TEST(test_server_that_is_freed_cancels_what_was_given)
{
	struct guests guests;

	guests_begin(&guests, NULL);
	hilo_http_server_free(guests.site.server);
	TASK_CHECK(served_end(&guests.idle), ==, HILO_ECLOSED);
	TASK_CHECK(served_end(&guests.busy), ==, HILO_ECLOSED);
	hilo_http_router_free(guests.site.router);
	(void)hilo_event_destroy(&guests.site.go);
	(void)hilo_event_destroy(&guests.go);
	return 0;
}

/* Streams are given while the server is closed: each is served, or refused. */
static int gives_streams(void *arg)
{
	struct site *site = arg;

	for (int i = 0; i < 5; i++) {
		struct served served = {0};
		char buf[512];
		int rc;

		served_begin(&served, site, 0);
		if (hilo_stream_write(served.stream[0], ASK("/"), strlen(ASK("/")), HILO_FOREVER) > 0)
			(void)hilo_stream_read(served.stream[0], buf, sizeof(buf), HILO_FOREVER);
		(void)hilo_stream_abort(served.stream[0]);
		rc = served_end(&served);
		TASK_CHECK(rc == 0 || rc == HILO_ECLOSED, ==, 1);
	}
	return 0;
}

TASK_TEST(test_end_races_with_streams_that_are_given)
{
	for (unsigned round = 0; round < test_rounds(40); round++) {
		hilo_server_counts counts = {.size = sizeof(counts)};
		hilo_task *task[3];
		struct site site;

		site_init(&site);
		site_begin(&site, (hilo_http_opts){0});
		for (size_t i = 0; i < array_size(task); i++)
			task[i] = hilo_spawn(gives_streams, &site);
		for (unsigned i = 0; i < round; i++)
			(void)hilo_yield();
		TASK_CHECK(
			hilo_http_server_close(site.server, &counts, round % 2 ? HILO_NO_WAIT : HILO_FOREVER),
			==, 0);
		TASK_CHECK(counts.running, ==, 0);
		TASK_CHECK(site_stats(&site).connections, ==, 0);
		for (size_t i = 0; i < array_size(task); i++)
			TASK_CHECK(hilo_join(task[i], HILO_FOREVER), ==, 0);
		site_end(&site);
	}
	return 0;
}

/* A stop that races with requests: each is answered, or its connection has ended before it. */
TASK_TEST(test_stop_races_with_requests)
{
	for (unsigned round = 0; round < test_rounds(100); round++) {
		struct served served = {0};
		struct site site;
		char buf[1024];
		int rc;

		site_init(&site);
		site_begin(&site, (hilo_http_opts){0});
		served_begin(&served, &site, 0);
		TEST_UNTIL(site_stats(&site).connections == 1);
		for (unsigned i = 0; i < round % 7; i++)
			(void)hilo_yield();
		TASK_CHECK(hilo_stream_write(served.stream[0], ASK("/"), strlen(ASK("/")), HILO_FOREVER), >,
			   0);
		TASK_CHECK(hilo_http_server_stop(site.server), ==, 0);
		TASK_CHECK(hilo_stream_write_eof(served.stream[0]), ==, 0);
		(void)read_answers(served.stream[0], buf, sizeof(buf));
		if (*buf)
			TASK_CHECK_CONTAINS(buf, "hello");
		rc = served_end(&served);
		TASK_CHECK(rc == 0 || rc == HILO_ECLOSED, ==, 1);
		site_end(&site);
	}
	return 0;
}

/* ---- The log ---- */

static struct {
	atomic(unsigned) n;
	char text[4][512];
} seen;

static void sees(const hilo_http_access *access, void *arg)
{
	unsigned n = load_relaxed(&seen.n);

	(void)arg;
	TASK_CHECK(access->span, >=, 0);
	TASK_CHECK(access->when, >, 1600000000);
	TASK_CHECK(hilo_http_access_format(access, seen.text[n], sizeof(seen.text[n])), >, 0);
	store_release(&seen.n, n + 1);
}

TASK_TEST(test_access_log_has_a_line_for_each_request)
{
	hilo_stream *pair[2], *stream;
	struct site site;
	char buf[1024], line[1024];

	store_relaxed(&seen.n, 0);
	TASK_CHECK(hilo_stream_pair(0, NULL, pair), ==, 0);
	site_init(&site);
	site_listen(&site, (hilo_http_opts){.access = sees, .access_log = pair[0]});
	stream = connected(&site);
	stream_say(stream, "GET /items/%41?x=\" HTTP/1.1\r\nHost: x\r\nUser-Agent: me \\ \xe4\r\n\r\n");
	expects(stream, "\r\n\r\nA", buf, sizeof(buf));
	stream_say(stream, "GET /none HTTP/1.1\r\nHost: x\r\nReferer: http://x/\r\n\r\n");
	expects(stream, "404 Not Found\n", buf, sizeof(buf));
	stream_say(stream, "BAD\x01 / HTTP/1.1\r\n\r\n");
	expects(stream, "400 Bad Request\n", buf, sizeof(buf));
	ends(stream, buf, sizeof(buf));
	site_end(&site);
	TASK_CHECK(load_acquire(&seen.n), ==, 3);
	TASK_CHECK(strncmp(seen.text[0], "127.0.0.1 - - [", 15), ==, 0);
	TASK_CHECK_CONTAINS(seen.text[0],
			    "+0000] \"GET /items/%41?x=\\x22 HTTP/1.1\" 200 1 \"-\" \"me \\x5c \\xe4\"");
	TASK_CHECK_CONTAINS(seen.text[1], "\"GET /none HTTP/1.1\" 404 14 \"http://x/\" \"-\"");
	TASK_CHECK_CONTAINS(seen.text[2], "\"-\" 400 16 \"-\" \"-\"");
	for (int i = 0; i < 3; i++) {
		TASK_CHECK(hilo_stream_read_line(pair[1], line, sizeof(line), HILO_NO_WAIT), >, 0);
		line[strlen(line) - 1] = '\0';
		TASK_CHECK_TEXT(line, seen.text[i]);
	}
	hilo_stream_free(pair[0]);
	hilo_stream_free(pair[1]);
	TASK_CHECK(hilo_http_access_format(NULL, line, 10), ==, -EINVAL);
	return 0;
}

TASK_TEST(test_lines_that_nobody_takes_are_lost_and_counted)
{
	hilo_stream_opts small = {.size = sizeof(small), .high = 100, .low = 1};
	hilo_stream *pair[2], *stream;
	struct site site;
	char buf[1024];

	TASK_CHECK(hilo_stream_pair(10, &small, pair), ==, 0);
	site_init(&site);
	site_listen(&site, (hilo_http_opts){.access_log = pair[0]});
	stream = connected(&site);
	for (int i = 0; i < 10; i++) {
		stream_say(stream, ASK("/"));
		expects(stream, "hello", buf, sizeof(buf));
	}
	TEST_UNTIL(site_stats(&site).requests == 10);
	hilo_stream_free(stream);
	TASK_CHECK(site_stats(&site).lost_lines, >=, 5);
	site_end(&site);
	hilo_stream_free(pair[0]);
	hilo_stream_free(pair[1]);
	return 0;
}

/* ---- Nonsense, and no memory ---- */

TASK_TEST(test_nonsense_is_refused)
{
	hilo_http_opts opts = {.size = 8};
	hilo_http_server *server;
	struct {
		hilo_http_opts opts;
		char more[8];
	} later = {.opts.size = sizeof(later), .more = "x"};
	struct site site;

	site_init(&site);
	TASK_CHECK(hilo_http_server_new(site.router, &opts, &server), ==, -EINVAL);
	TASK_CHECK(hilo_http_server_new(site.router, &later.opts, &server), ==, -E2BIG);
	later.more[0] = '\0';
	TASK_CHECK(hilo_http_server_new(site.router, &later.opts, &site.server), ==, 0);
	hilo_http_server_free(site.server);
	opts = (hilo_http_opts){.size = sizeof(opts), .body_time = -1};
	TASK_CHECK(hilo_http_server_new(site.router, &opts, &server), ==, -EINVAL);
	opts = (hilo_http_opts){.size = sizeof(opts), .header = 10};
	TASK_CHECK(hilo_http_server_new(site.router, &opts, &server), ==, -EINVAL);
	TASK_CHECK(hilo_http_server_new(NULL, NULL, &server), ==, -EINVAL);
	TASK_CHECK(hilo_http_server_new(site.router, NULL, NULL), ==, -EINVAL);
	TASK_CHECK(hilo_http_start_server(site.router, NULL, NULL, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_http_serve(NULL, NULL, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_http_server_stop(NULL), ==, -EINVAL);
	TASK_CHECK(hilo_http_server_get_stats(NULL, NULL), ==, -EINVAL);
	hilo_http_server_free(NULL);
	site_begin(&site, (hilo_http_opts){0});
	TASK_CHECK(hilo_http_server_serve_forever(site.server, HILO_FOREVER), ==, -EINVAL);
	site_end(&site);
	return 0;
}

/* One conversation with the @n-th request for memory failing: whether it went well all the same. */
static bool converses_without_memory(struct site *site, long n)
{
	static const char text[] =
		"POST /chunks?a=1 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
		"3\r\nabc\r\n0\r\nX: 1\r\n\r\n" ASK("/items/%41") ASK("/");
	struct served served = {0};
	char buf[4096] = "";
	int rc;

	TASK_CHECK(hilo_stream_pair(0, NULL, served.stream), ==, 0);
	stream_say(served.stream[0], text);
	TASK_CHECK(hilo_stream_write_eof(served.stream[0]), ==, 0);
	hilo__mem_fail_at(n, false);
	rc = hilo_http_serve(site->server, served.stream[1], HILO_FOREVER);
	hilo__mem_fail_at(0, false);
	(void)hilo_stream_close(served.stream[1], HILO_FOREVER);
	(void)read_answers(served.stream[0], buf, sizeof(buf));
	hilo_stream_free(served.stream[0]);
	hilo_stream_free(served.stream[1]);
	TASK_CHECK(rc == 0 || rc == -ENOMEM, ==, 1);
	return rc == 0 && strstr(buf, "abc\r\n0\r\n\r\nHTTP") && strstr(buf, "\r\n\r\nAHTTP") &&
	       strstr(buf, "hello");
}

TASK_TEST(test_connection_without_memory_ends_and_keeps_none)
{
	struct site site;
	unsigned whole = 0;
	long live;

	site_init(&site);
	site_begin(&site, (hilo_http_opts){0});
	hilo_set_exception_handler(swallow, NULL);
	TASK_CHECK(converses_without_memory(&site, 0), ==, 1);
	live = hilo__mem_live();
	for (long n = 1; n < 30; n++)
		whole += converses_without_memory(&site, n);
	TASK_CHECK(whole, >, 10);
	TASK_CHECK(whole, <, 29);
	TASK_CHECK(hilo__mem_live(), <=, live + 4);
	hilo_set_exception_handler(NULL, NULL);
	site_end(&site);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_crowd_is_served),
		cmocka_unit_test(test_head_that_comes_too_slowly_is_408),
		cmocka_unit_test(test_idle_connection_is_closed_without_a_word),
		cmocka_unit_test(test_handler_that_takes_too_long_is_cancelled_and_503),
		cmocka_unit_test(test_connection_too_many_is_503),
		cmocka_unit_test(test_requests_of_a_connection_are_limited),
		cmocka_unit_test(test_large_answer_waits_for_a_slow_reader),
		cmocka_unit_test(test_reader_that_does_not_read_is_dropped),
		cmocka_unit_test(test_handler_can_see_that_its_client_has_gone),
		cmocka_unit_test(test_end_waits_for_requests_and_not_for_idle_connections),
		cmocka_unit_test(test_end_at_its_deadline_cancels_handlers_and_counts_them),
		cmocka_unit_test(test_serve_forever_ends_when_the_server_is_stopped_or_it_is_cancelled),
		cmocka_unit_test(test_server_can_be_freed_under_its_clients),
		cmocka_unit_test(test_stop_ends_a_connection_that_waits),
		cmocka_unit_test(test_end_waits_for_connections_that_were_given),
		cmocka_unit_test(test_server_that_is_closed_leaves_what_its_handlers_were_given),
		cmocka_unit_test(test_end_at_its_deadline_cancels_what_was_given_and_counts_it),
		cmocka_unit_test(test_end_tells_of_handlers_that_do_not_return),
		cmocka_unit_test(test_end_that_is_cancelled_cancels_what_was_given),
		cmocka_unit_test(test_handler_cannot_wait_for_its_own_end),
		cmocka_unit_test(test_server_that_is_freed_cancels_what_was_given),
		cmocka_unit_test(test_end_races_with_streams_that_are_given),
		cmocka_unit_test(test_stop_races_with_requests),
		cmocka_unit_test(test_access_log_has_a_line_for_each_request),
		cmocka_unit_test(test_lines_that_nobody_takes_are_lost_and_counted),
		cmocka_unit_test(test_nonsense_is_refused),
		cmocka_unit_test(test_connection_without_memory_ends_and_keeps_none),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
