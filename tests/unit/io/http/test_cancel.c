/* SPDX-License-Identifier: MIT */
/*
 * test_cancel.c - what suspends ends by its deadline, by a cancel and by a close, wherever it waits: the server of a
 * connection, between requests and within them, and writes to a client that does not read.
 */
#include "tests/unit/io/http/site.h"

#define ASK(path) "GET " path " HTTP/1.1\r\nHost: x\r\n\r\n"

/* The connection waits for something, or its deadline was there before. */
static void served_waits(struct served *served)
{
	TEST_UNTIL(hilo_task_get_state(served->task) == HILO_TASK_SUSPENDED ||
		   hilo_task_is_done(served->task));
}

/* How hilo_http_serve ends when it is cancelled after @said; with its stream closed instead; by its own deadline. */
static void serve_ends(const char *said)
{
	for (int how = 0; how < 3; how++) {
		struct served served = {.deadline = how == 2 ? hilo_after(3 * HILO_MILLISECOND) : 0};
		struct site site;
		int rc;

		site_init(&site);
		site_begin(&site, (hilo_http_opts){0});
		served_begin(&served, &site, 0);
		if (*said) /* to nobody, if the deadline was there before */
			(void)hilo_stream_write(served.stream[0], said, strlen(said), HILO_FOREVER);
		served_waits(&served);
		if (how == 0)
			TASK_CHECK(hilo_task_cancel(served.task), ==, 0);
		else if (how == 1)
			TASK_CHECK(hilo_stream_abort(served.stream[1]), ==, 0);
		rc = served_end(&served);
		TASK_CHECK(rc, ==, how == 0 ? -ECANCELED : how == 1 ? HILO_ECLOSED : -ETIMEDOUT);
		TASK_CHECK(site_stats(&site).failed, ==, 0);
		TASK_CHECK(site_stats(&site).connections, ==, 0);
		site_end(&site);
	}
}

TASK_TEST(test_connection_that_waits_for_a_request_ends)
{
	serve_ends("");
	serve_ends(ASK("/"));
	return 0;
}

TASK_TEST(test_connection_that_waits_for_the_rest_of_a_head_ends)
{
	serve_ends("GET / HT");
	serve_ends(ASK("/") "GET / HTTP/1.1\r\nHost:");
	return 0;
}

/* Cancelled at each of its steps, by lot and one after the other: it ends, and nothing is kept. */
TASK_TEST(test_cancel_at_every_step_ends_the_connection)
{
	static const char said[] = "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
				   "3\r\nabc\r\n0\r\nX: 1\r\n\r\n" ASK("/wait") ASK("/items/%41");

	for (unsigned step = 0; step < test_rounds(120); step++) {
		struct served served = {0};
		struct sayer sayer = {.text = said, .length = sizeof(said) - 1, .piece = 9};
		hilo_task *task;
		struct site site;
		char buf[2048];
		int rc;

		site_init(&site);
		TASK_CHECK(hilo_event_set(&site.go), ==, 0);
		site_begin(&site, (hilo_http_opts){0});
		served_begin(&served, &site, 16);
		sayer.stream = served.stream[0];
		task = hilo_spawn(say_all, &sayer);
		for (unsigned i = 0; i < step; i++)
			(void)hilo_yield();
		(void)hilo_task_cancel(served.task);
		/* It may never have begun, and nobody has closed the stream then. */
		TEST_UNTIL(hilo_task_is_done(served.task));
		(void)hilo_stream_abort(served.stream[1]);
		(void)read_answers(served.stream[0], buf, sizeof(buf));
		TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 0);
		rc = served_end(&served);
		TASK_CHECK(rc == 0 || rc == -ECANCELED, ==, 1);
		TASK_CHECK(site_stats(&site).failed, ==, 0);
		site_end(&site);
	}
	return 0;
}

static int answers_cancelled(hilo_http_request *request, void *arg)
{
	(void)arg;
	TASK_CHECK(hilo_task_cancel(hilo_task_current()), >=, 0);
	return hilo_http_respond(request, 200, "text/plain", "cancelled", 9, HILO_FOREVER);
}

static int waits_cancelled(hilo_http_request *request, void *arg)
{
	(void)request;
	TASK_CHECK(hilo_task_cancel(hilo_task_current()), >=, 0);
	return hilo_event_wait(&((struct site *)arg)->go, HILO_FOREVER);
}

static int begins_cancelled(hilo_http_request *request, void *arg)
{
	TASK_CHECK(hilo_http_begin(request, 200, "text/begun", HILO_HTTP_CHUNKED), ==, 0);
	return waits_cancelled(request, arg);
}

/* What was answered is sent, though it was held back for what came behind it. */
TASK_TEST(test_cancel_leaves_no_answer_unsent)
{
	static const struct {
		const char *said, *answer;
	} cases[] = {
		{ASK("/answers") "GET / HT", "cancelled"},
		{ASK("/") ASK("/waits"), "hello"},
		{ASK("/") ASK("/begins"), "hello"},
	};

	for (size_t i = 0; i < array_size(cases); i++) {
		struct served served = {0};
		char answers[2048];
		struct site site;

		site_init(&site);
		site_route(&site, "GET", "/answers", answers_cancelled);
		site_route(&site, "GET", "/waits", waits_cancelled);
		site_route(&site, "GET", "/begins", begins_cancelled);
		site_begin(&site, (hilo_http_opts){0});
		served_begin(&served, &site, 0);
		stream_say(served.stream[0], cases[i].said);
		(void)read_answers(served.stream[0], answers, sizeof(answers));
		TASK_CHECK_CONTAINS(answers, cases[i].answer);
		TASK_CHECK(strstr(answers, "text/begun"), ==, NULL);
		TASK_CHECK(served_end(&served), ==, -ECANCELED);
		site_end(&site);
	}
	return 0;
}

/* ---- Writes ---- */

struct writing {
	struct site site;
	hilo_time span; /* of each write */
	ssize_t result;
	test_flag over;
};

/* Writes until that fails. */
static int writes(hilo_http_request *request, void *arg)
{
	struct writing *writing = arg;
	static const char block[4096];

	TASK_CHECK(hilo_http_begin(request, 200, NULL, HILO_HTTP_CHUNKED), ==, 0);
	do
		writing->result = hilo_http_write(request, block, sizeof(block),
						  writing->span ? hilo_after(writing->span) : HILO_FOREVER);
	while (writing->result > 0);
	store_release(&writing->over, 1);
	TASK_CHECK(hilo_http_write(request, block, 1, HILO_FOREVER), <, 0);
	return (int)writing->result;
}

static void writing_begin(struct writing *writing, struct served *served, hilo_time span)
{
	memset(writing, 0, sizeof(*writing));
	site_init(&writing->site);
	TASK_CHECK(hilo_http_router_add(writing->site.router, "GET", "/writes", writes, writing), ==, 0);
	site_begin(&writing->site, (hilo_http_opts){0});
	writing->span = span;
	served_begin(served, &writing->site, 0);
	stream_say(served->stream[0], ASK("/writes") ASK("/"));
}

TASK_TEST(test_write_that_waits_ends_by_its_deadline)
{
	struct served served = {0};
	struct writing writing;

	writing_begin(&writing, &served, 3 * HILO_MILLISECOND);
	TEST_UNTIL(load_acquire(&writing.over));
	TASK_CHECK(writing.result, ==, -ETIMEDOUT);
	TASK_CHECK(served_end(&served), ==, 0);
	TASK_CHECK(site_stats(&writing.site).requests, ==, 1);
	TASK_CHECK(site_stats(&writing.site).failed, ==, 0);
	site_end(&writing.site);
	return 0;
}

TASK_TEST(test_write_that_waits_ends_by_cancel_and_close)
{
	for (int cancel = 0; cancel < 2; cancel++) {
		struct served served = {0};
		struct writing writing;
		int rc;

		writing_begin(&writing, &served, 0);
		TEST_UNTIL(hilo_stream_write_buffered(served.stream[1]) > 64 * 1024);
		served_waits(&served);
		if (cancel)
			TASK_CHECK(hilo_task_cancel(served.task), ==, 0);
		else
			TASK_CHECK(hilo_stream_abort(served.stream[1]), ==, 0);
		TEST_UNTIL(load_acquire(&writing.over));
		TASK_CHECK(writing.result, ==, cancel ? -ECANCELED : HILO_ECLOSED);
		/* What was written before the cancel may be sent or dropped. */
		(void)hilo_stream_abort(served.stream[0]);
		rc = served_end(&served);
		TASK_CHECK(rc, ==, cancel ? -ECANCELED : 0);
		TASK_CHECK(site_stats(&writing.site).failed, ==, 0);
		site_end(&writing.site);
	}
	return 0;
}

/* A reader that reads again races with the cancel: all that the handler was told it has written is there, in order. */
TASK_TEST(test_cancel_races_with_a_write)
{
	for (unsigned round = 0; round < test_rounds(30); round++) {
		struct served served = {0};
		struct writing writing;
		char buf[8192];

		writing_begin(&writing, &served, 0);
		TEST_UNTIL(hilo_stream_write_buffered(served.stream[1]) > 64 * 1024);
		for (unsigned i = 0; i < round; i++)
			TASK_CHECK(hilo_stream_read(served.stream[0], buf, sizeof(buf), HILO_FOREVER), >, 0);
		TASK_CHECK(hilo_task_cancel(served.task), ==, 0);
		while (hilo_stream_read(served.stream[0], buf, sizeof(buf), HILO_FOREVER) > 0)
			continue;
		TEST_UNTIL(load_acquire(&writing.over));
		TASK_CHECK(writing.result, ==, -ECANCELED);
		TASK_CHECK(served_end(&served), ==, -ECANCELED);
		site_end(&writing.site);
	}
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_connection_that_waits_for_a_request_ends),
		cmocka_unit_test(test_connection_that_waits_for_the_rest_of_a_head_ends),
		cmocka_unit_test(test_cancel_at_every_step_ends_the_connection),
		cmocka_unit_test(test_cancel_leaves_no_answer_unsent),
		cmocka_unit_test(test_write_that_waits_ends_by_its_deadline),
		cmocka_unit_test(test_write_that_waits_ends_by_cancel_and_close),
		cmocka_unit_test(test_cancel_races_with_a_write),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
