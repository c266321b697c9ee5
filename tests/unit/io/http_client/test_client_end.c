/* SPDX-License-Identifier: MIT */
/*
 * test_client_end.c - how requests end that do not come to their end: cancels, deadlines and closes at every stage, no
 * memory, no descriptors; and many at a time, from tasks and plain threads.
 */
#include "tests/unit/io/http_client/web.h"

#include <sys/resource.h>

/* ---- One who says a part, and waits ---- */

static const char *const parts[] = {
	NULL,
	"HTTP/1.1 2",
	"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n",
	"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n",
	"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
	"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 10\r\n\r\nabc",
};
#define PARTS (sizeof(parts) / sizeof(parts[0]))

struct asking {
	hilo_http_session *session;
	const char *url;
	hilo_time deadline;
	ssize_t rc;
	bool over_all; /* reads all at once */
	atomic(bool) answered;
};

static int ask(void *arg)
{
	struct asking *asking = arg;
	hilo_http_response *response = NULL;
	char buf[20], *text = NULL;

	asking->rc = hilo_http_get(asking->session, asking->url, &response, asking->deadline);
	if (asking->rc == 0 && asking->over_all)
		asking->rc = hilo_http_response_read_all(response, 100, &text, asking->deadline);
	else
		while (asking->rc >= 0 && (asking->rc = hilo_http_response_read(response, buf, sizeof(buf),
										asking->deadline)) > 0)
			continue;
	hilo_http_response_free(response);
	return 0;
}

static void session_ends(hilo_http_session *session)
{
	TASK_CHECK(hilo_http_session_close(session, HILO_FOREVER), ==, 0);
	hilo_http_session_free(session);
}

/* The server sees that the connection has ended, though the client's session lives on. */
static void ends_early(int how)
{
	for (size_t part = 0; part < PARTS; part++) {
		struct asking asking = {.deadline = HILO_FOREVER, .over_all = part & 1};
		hilo_http_session_stats stats = {.size = sizeof(stats)};
		struct teller teller;
		hilo_task *task;
		int fds;

		TASK_CHECK(hilo_http_session_new(NULL, &asking.session), ==, 0);
		teller_begin(&teller, parts[part], true);
		fds = (int)test_fds();
		asking.url = teller.base;
		if (how == 1)
			asking.deadline = hilo_after(20 * HILO_MILLISECOND);
		task = hilo_spawn(ask, &asking);
		if (how != 1)
			TEST_UNTIL(load_acquire(&teller.asked));
		if (how == 0)
			TASK_CHECK(hilo_task_cancel(task), ==, 0);
		else if (how == 2)
			TASK_CHECK(hilo_http_session_close(asking.session, HILO_FOREVER), ==, 0);
		TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, how == 0 ? 0 : 0);
		TASK_CHECK(asking.rc, ==, how == 0 ? -ECANCELED : how == 1 ? -ETIMEDOUT : HILO_ECLOSED);
		/* By a deadline it may not have come so far that there is a connection. */
		if (how != 1)
			TEST_UNTIL(load_acquire(&teller.gone));
		do {
			TASK_CHECK(hilo_http_session_get_stats(asking.session, &stats), ==, 0);
			test_pause();
		} while (stats.running);
		if (how == 1)
			(void)hilo_task_cancel(teller.task);
		store_release(&teller.go, 1);
		(void)hilo_join(teller.task, HILO_FOREVER);
		TEST_UNTIL((int)test_fds() <= fds + 4); /* of the pollers, made meanwhile */
		close(teller.listener);
		session_ends(asking.session);
	}
}

TASK_TEST(test_cancel_at_every_stage_closes_the_connection)
{
	ends_early(0);
	return 0;
}

TASK_TEST(test_deadline_at_every_stage_closes_the_connection)
{
	ends_early(1);
	return 0;
}

TASK_TEST(test_close_at_every_stage_ends_the_request)
{
	ends_early(2);
	return 0;
}

TASK_TEST(test_cancel_that_was_set_before_asks_nobody)
{
	hilo_http_response *response;
	struct web web;

	web_begin(&web, (hilo_http_session_opts){0}, (hilo_http_opts){0});
	TASK_CHECK(hilo_task_cancel(hilo_task_current()), ==, 0);
	TASK_CHECK(hilo_http_get(web.session, web_url(&web, "/"), &response, HILO_FOREVER), ==, -ECANCELED);
	TASK_CHECK(hilo_task_uncancel(), ==, 0);
	TASK_CHECK(web_stats(&web).transfers, ==, 0);
	web_end(&web);
	return 0;
}

/* Those that wait for a connection end as well as those that have one, and leave the others their place. */
TASK_TEST(test_requests_that_wait_for_a_connection_can_end)
{
	struct asking asking[5];
	hilo_task *tasks[5];
	struct web web;

	web_begin(&web, (hilo_http_session_opts){.connections = 1}, (hilo_http_opts){0});
	for (int i = 0; i < 5; i++) {
		asking[i] = (struct asking){.session = web.session,
					    .url = web_url(&web, "/wait"),
					    .deadline = i == 2 ? hilo_after(20 * HILO_MILLISECOND)
							       : HILO_FOREVER};
		tasks[i] = hilo_spawn(ask, &asking[i]);
		if (i == 0)
			TEST_UNTIL(load_relaxed(&web.site.waiting) == 1);
	}
	TASK_CHECK(hilo_join(tasks[2], HILO_FOREVER), ==, 0);
	TASK_CHECK(asking[2].rc, ==, -ETIMEDOUT);
	TEST_UNTIL(web_stats(&web).running == 4);
	TASK_CHECK(hilo_task_cancel(tasks[1]), ==, 0);
	TASK_CHECK(hilo_join(tasks[1], HILO_FOREVER), ==, 0);
	TASK_CHECK(asking[1].rc, ==, -ECANCELED);
	TEST_UNTIL(web_stats(&web).running == 3);
	TASK_CHECK(load_relaxed(&web.site.waiting), ==, 1);
	TASK_CHECK(hilo_event_set(&web.site.go), ==, 0);
	for (int i = 0; i < 5; i += i ? 1 : 3) {
		TASK_CHECK(hilo_join(tasks[i], HILO_FOREVER), ==, 0);
		TASK_CHECK(asking[i].rc, ==, 0);
	}
	TASK_CHECK(web_stats(&web).connections, ==, 1);
	web_end(&web);
	return 0;
}

TASK_TEST(test_close_ends_requests_that_wait_for_a_connection)
{
	struct asking asking[4];
	hilo_task *tasks[4];
	struct web web;

	web_begin(&web, (hilo_http_session_opts){.connections = 1}, (hilo_http_opts){0});
	for (int i = 0; i < 4; i++) {
		asking[i] = (struct asking){
			.session = web.session, .url = web_url(&web, "/wait"), .deadline = HILO_FOREVER};
		tasks[i] = hilo_spawn(ask, &asking[i]);
	}
	TEST_UNTIL(load_relaxed(&web.site.waiting) == 1 && web_stats(&web).running == 4);
	TASK_CHECK(hilo_http_session_close(web.session, HILO_FOREVER), ==, 0);
	for (int i = 0; i < 4; i++) {
		TASK_CHECK(hilo_join(tasks[i], HILO_FOREVER), ==, 0);
		TASK_CHECK(asking[i].rc, ==, HILO_ECLOSED);
	}
	TASK_CHECK(load_relaxed(&web.site.waiting), ==, 1);
	TASK_CHECK(web_stats(&web).failed, ==, 4);
	TASK_CHECK(hilo_event_set(&web.site.go), ==, 0);
	web_end(&web);
	return 0;
}

/* A read that ends early has lost nothing. */
TASK_TEST(test_read_can_be_tried_again)
{
	hilo_http_response *response;
	struct teller teller;
	hilo_http_session *session;
	char buf[20];

	TASK_CHECK(hilo_http_session_new(NULL, &session), ==, 0);
	teller_begin(&teller, parts[4], true);
	TASK_CHECK(hilo_http_get(session, teller.base, &response, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_http_response_read(response, buf, 0, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_http_response_read(response, buf, sizeof(buf), HILO_FOREVER), ==, 3);
	TASK_CHECK(hilo_http_response_read(response, buf, sizeof(buf), HILO_NO_WAIT), ==, -ETIMEDOUT);
	TASK_CHECK(hilo_http_response_read(response, buf, sizeof(buf), hilo_after(HILO_MILLISECOND)), ==,
		   -ETIMEDOUT);
	TASK_CHECK(hilo_task_cancel(hilo_task_current()), ==, 0);
	TASK_CHECK(hilo_http_response_read(response, buf, sizeof(buf), HILO_FOREVER), ==, -ECANCELED);
	TASK_CHECK(hilo_task_uncancel(), ==, 0);
	store_release(&teller.go, 1);
	TASK_CHECK(hilo_http_response_read(response, buf, sizeof(buf), HILO_FOREVER), ==, HILO_EINCOMPLETE);
	hilo_http_response_free(response);
	session_ends(session);
	teller_end(&teller);
	return 0;
}

/* The limit of the whole request holds for its body, too, and stays. */
TASK_TEST(test_request_has_a_limit_in_time)
{
	hilo_http_session_opts opts = {.size = sizeof(opts), .total_time = HILO_SECOND / 50};
	hilo_http_response *response;
	hilo_http_session *session;
	struct teller teller;
	ssize_t rc;
	char buf[20];

	TASK_CHECK(hilo_http_session_new(&opts, &session), ==, 0);
	teller_begin(&teller, parts[4], true);
	rc = hilo_http_get(session, teller.base, &response, HILO_FOREVER);
	if (rc == 0) {
		while ((rc = hilo_http_response_read(response, buf, sizeof(buf), HILO_FOREVER)) > 0)
			continue;
		TASK_CHECK(hilo_http_response_read(response, buf, sizeof(buf), HILO_FOREVER), ==, -ETIMEDOUT);
		hilo_http_response_free(response);
	}
	TASK_CHECK(rc, ==, -ETIMEDOUT);
	TASK_CHECK_CONTAINS(hilo_error_message(), teller.base);
	(void)hilo_task_cancel(teller.task); /* if nobody has come */
	store_release(&teller.go, 1);
	(void)hilo_join(teller.task, HILO_FOREVER);
	close(teller.listener);
	session_ends(session);
	return 0;
}

struct reading {
	hilo_http_response *response;
	ssize_t rc;
};

static int read_some(void *arg)
{
	struct reading *reading = arg;
	char buf[20];

	reading->rc = hilo_http_response_read(reading->response, buf, sizeof(buf), HILO_FOREVER);
	return 0;
}

TASK_TEST(test_second_reader_is_told_and_the_first_one_of_a_close)
{
	struct reading reading = {0};
	hilo_http_session *session;
	struct teller teller;
	char buf[20];
	hilo_task *task;

	TASK_CHECK(hilo_http_session_new(NULL, &session), ==, 0);
	teller_begin(&teller, parts[3], true);
	TASK_CHECK(hilo_http_get(session, teller.base, &reading.response, HILO_FOREVER), ==, 0);
	task = hilo_spawn(read_some, &reading);
	TEST_UNTIL(hilo_task_get_state(task) == HILO_TASK_SUSPENDED);
	TASK_CHECK(hilo_http_response_read(reading.response, buf, sizeof(buf), HILO_FOREVER), ==, -EBUSY);
	TASK_CHECK(hilo_http_response_close(reading.response, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 0);
	TASK_CHECK(reading.rc, ==, HILO_ECLOSED);
	hilo_http_response_free(reading.response);
	TEST_UNTIL(load_acquire(&teller.gone)); /* closed, not kept */
	session_ends(session);
	teller_end(&teller);
	return 0;
}

/* A cancel races with the answer: it is one or the other, and nothing is kept. */
TASK_TEST(test_cancel_races_with_the_answer)
{
	struct web web;
	long live = 0;

	web_begin(&web, (hilo_http_session_opts){0}, (hilo_http_opts){0});
	for (unsigned round = 0; round < test_rounds(200); round++) {
		struct asking asking = {.session = web.session, .deadline = HILO_FOREVER};
		hilo_task *task;
		int rc;

		asking.url = web_url(&web, "/");
		task = hilo_spawn(ask, &asking);
		for (unsigned i = 0; i < round % 20; i++)
			(void)hilo_yield();
		(void)hilo_task_cancel(task);
		rc = hilo_join(task, HILO_FOREVER);
		TASK_CHECK(rc == -ECANCELED || asking.rc == 0 || asking.rc == -ECANCELED, ==, 1);
		TEST_UNTIL(web_stats(&web).running == 0);
		if (round == 5)
			live = hilo__mem_live();
	}
	TASK_CHECK(hilo__mem_live(), <=, live + 200); /* some of connections and tasks, none for each round */
	web_end(&web);
	return 0;
}

/* ---- Sessions ---- */

TASK_TEST(test_session_that_was_closed_answers_no_more)
{
	hilo_http_response *response;
	hilo_http_session *session;

	for (int used = 0; used < 2; used++) {
		TASK_CHECK(hilo_http_session_new(NULL, &session), ==, 0);
		if (used)
			TASK_CHECK(hilo_http_get(session, "http://127.0.0.1:1/", &response, HILO_FOREVER), ==,
				   -ECONNREFUSED);
		TASK_CHECK(hilo_http_session_close(session, HILO_FOREVER), ==, 0);
		TASK_CHECK(hilo_http_session_close(session, HILO_FOREVER), ==, 0);
		TASK_CHECK(hilo_http_get(session, "http://127.0.0.1:1/", &response, HILO_FOREVER), ==,
			   HILO_ECLOSED);
		hilo_http_session_free(session);
	}
	return 0;
}

TASK_TEST(test_session_can_be_freed_under_its_responses)
{
	hilo_http_response *response;
	struct web web;
	char buf[100];
	ssize_t n;

	web_begin(&web, (hilo_http_session_opts){.buffer = 1000}, (hilo_http_opts){0});
	TASK_CHECK(hilo_http_get(web.session, web_url(&web, "/sized/3000000"), &response, HILO_FOREVER), ==,
		   0);
	hilo_http_session_free(web.session);
	while ((n = hilo_http_response_read(response, buf, sizeof(buf), HILO_FOREVER)) > 0)
		continue;
	TASK_CHECK(n, ==, HILO_ECLOSED);
	TASK_CHECK(hilo_http_response_status(response), ==, 200);
	hilo_http_response_free(response);
	site_end(&web.site);
	web_drop_urls(&web);
	return 0;
}

struct kept {
	hilo_http_session *session;
	hilo_http_response *response;
};

static int leave_behind(void *arg)
{
	struct kept *kept = arg;
	struct web web;

	web_begin(&web, (hilo_http_session_opts){.buffer = 1000}, (hilo_http_opts){0});
	TASK_CHECK(hilo_http_get(web.session, web_url(&web, "/sized/3000000"), &kept->response, HILO_FOREVER),
		   ==, 0);
	kept->session = web.session;
	hilo_http_server_free(web.site.server);
	hilo_http_router_free(web.site.router);
	web_drop_urls(&web);
	return 0;
}

/* The runtime ends before the session does: both are there, and of no use any more. */
static void test_session_outlives_its_runtime(void **state)
{
	struct kept kept;
	char buf[100];
	ssize_t n;

	(void)state;
	for (unsigned workers = 1; workers <= 4; workers *= 2) {
		assert_int_equal(test_run(workers, leave_behind, &kept), 0);
		while ((n = hilo_http_response_read(kept.response, buf, sizeof(buf), HILO_FOREVER)) > 0)
			continue;
		assert_int_equal(n, HILO_ECLOSED);
		assert_int_equal(hilo_http_response_close(kept.response, HILO_FOREVER), 0);
		hilo_http_response_free(kept.response);
		assert_int_equal(
			hilo_http_get(kept.session, "http://127.0.0.1:1/", &kept.response, HILO_FOREVER),
			HILO_ECLOSED);
		assert_int_equal(hilo_http_session_close(kept.session, HILO_FOREVER), 0);
		hilo_http_session_free(kept.session);
	}
}

static int leave_at_once(void *arg)
{
	hilo_http_session **session = arg;

	return hilo_http_session_new(NULL, session);
}

static void test_session_that_was_never_used_is_freed_anywhere(void **state)
{
	hilo_http_session *session;
	hilo_http_response *response;

	(void)state;
	assert_int_equal(test_run(1, leave_at_once, &session), 0);
	assert_int_equal(hilo_http_get(session, "http://127.0.0.1:1/", &response, HILO_FOREVER), -EDEADLK);
	hilo_http_session_free(session);
	assert_int_equal(hilo_http_session_new(NULL, &session), 0);
	assert_int_equal(hilo_http_session_close(session, HILO_FOREVER), 0);
	hilo_http_session_free(session);
}

/* ---- Plain threads, callbacks, many ---- */

static void *thread_asks(void *arg)
{
	struct asking *asking = arg;

	for (int i = 0; i < 20 && asking->rc >= 0; i++)
		(void)ask(asking);
	return NULL;
}

TASK_TEST(test_plain_threads_ask)
{
	hilo_http_session_opts opts = {.size = sizeof(opts),
				       .runtime = hilo_task_runtime(hilo_task_current())};
	struct asking asking[3];
	pthread_t threads[3];
	struct web web;

	web_begin(&web, opts, (hilo_http_opts){0});
	for (int i = 0; i < 3; i++) {
		asking[i] = (struct asking){
			.session = web.session, .url = web_url(&web, "/"), .deadline = HILO_FOREVER};
		TASK_CHECK(pthread_create(&threads[i], NULL, thread_asks, &asking[i]), ==, 0);
	}
	for (int i = 0; i < 3; i++) {
		test_join_thread(threads[i]);
		TASK_CHECK(asking[i].rc, ==, 0);
	}
	TASK_CHECK(web_stats(&web).transfers, ==, 60);
	web_end(&web);
	return 0;
}

static void callback_asks(void *arg)
{
	struct asking *asking = arg;
	hilo_http_response *response;

	asking->rc = hilo_http_get(asking->session, asking->url, &response, HILO_FOREVER);
	store_release(&asking->answered, true);
}

LOOP_TEST(test_callbacks_are_refused)
{
	struct asking asking = {.url = "http://127.0.0.1:1/"};

	TASK_CHECK(hilo_http_session_new(NULL, &asking.session), ==, 0);
	TASK_CHECK(hilo_call_soon(callback_asks, &asking, NULL), ==, 0);
	TEST_UNTIL(load_acquire(&asking.answered));
	TASK_CHECK(asking.rc, ==, -EDEADLK);
	hilo_http_session_free(asking.session);
	return 0;
}

static int ask_many(void *arg)
{
	struct web *web = arg;
	char url[128], *text;
	hilo_http_response *response;

	snprintf(url, sizeof(url), "%s/sized/5000", web->base);
	TASK_CHECK(hilo_http_get(web->session, url, &response, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_http_response_read_all(response, 5000, &text, HILO_FOREVER), ==, 5000);
	TASK_CHECK(text[4999], ==, byte_at(4999));
	free(text);
	hilo_http_response_free(response);
	return 0;
}

TASK_TEST(test_thousand_requests_at_a_time)
{
	unsigned n = test_rounds(1000);
	hilo_task **tasks = calloc(n, sizeof(hilo_task *));
	struct web web;

	web_begin(&web, (hilo_http_session_opts){.connections = 50}, (hilo_http_opts){0});
	for (unsigned i = 0; i < n; i++)
		tasks[i] = hilo_spawn(ask_many, &web);
	for (unsigned i = 0; i < n; i++)
		TASK_CHECK(hilo_join(tasks[i], HILO_FOREVER), ==, 0);
	TASK_CHECK(web_stats(&web).transfers, ==, n);
	TASK_CHECK(web_stats(&web).failed, ==, 0);
	TASK_CHECK(web_stats(&web).connections, <=, 50);
	web_end(&web);
	free(tasks);
	return 0;
}

/* ---- Nothing left ---- */

static int all_without_memory(struct web *web, long n)
{
	static const hilo_http_header headers[] = {{"X-A", "b"}};
	hilo_http_session_opts opts = {
		.size = sizeof(opts), .headers = headers, .n_headers = 1, .ca_file = "/none"};
	hilo_http_fetch_opts fetch = {.size = sizeof(fetch),
				      .url = web_url(web, "/to/307?to=/echo"),
				      .method = "POST",
				      .data = "abc",
				      .data_size = 3};
	hilo_http_response *response = NULL;
	hilo_http_session *session = NULL;
	char *text = NULL;
	ssize_t rc;

	hilo__mem_fail_at(n, false);
	rc = hilo_http_session_new(&opts, &session);
	if (rc == 0)
		rc = hilo_http_fetch(session, &fetch, &response, HILO_FOREVER);
	if (rc == 0)
		rc = hilo_http_response_text(response, 100, &text, NULL, HILO_FOREVER);
	hilo__mem_fail_at(0, false);
	if (rc >= 0)
		TASK_CHECK(rc == 3 || hilo_http_response_status(response) >= 500, ==, 1);
	free(text);
	hilo_http_response_free(response);
	if (session)
		session_ends(session);
	return rc >= 0;
}

static void swallow(const hilo_exception *exception, void *arg)
{
	(void)exception, (void)arg;
}

TASK_TEST(test_request_without_memory_fails_and_keeps_none)
{
	unsigned whole = 0;
	struct web web;
	long live;

	web_begin(&web, (hilo_http_session_opts){0}, (hilo_http_opts){0});
	hilo_set_exception_handler(swallow, NULL);
	TASK_CHECK(all_without_memory(&web, 0), ==, 1);
	live = hilo__mem_live();
	for (long n = 1; n < 80; n++)
		whole += (unsigned)all_without_memory(&web, n);
	TASK_CHECK(whole, >, 10);
	TASK_CHECK(whole, <, 79);
	hilo_set_exception_handler(NULL, NULL);
	/* What texts were freed by free() is not counted as freed, nor are connections of the server that end later. */
	TASK_CHECK(hilo__mem_live(), <=, live + 160);
	web_end(&web);
	return 0;
}

TASK_TEST(test_request_without_descriptors_says_so)
{
	struct rlimit limit, none;
	hilo_http_response *response;
	struct web web;
	int rc, status;

	web_begin(&web, (hilo_http_session_opts){0}, (hilo_http_opts){0});
	free(web_get(&web, "/", &status));
	TASK_CHECK(getrlimit(RLIMIT_NOFILE, &limit), ==, 0);
	none = (struct rlimit){.rlim_cur = 3, .rlim_max = limit.rlim_max};
	TASK_CHECK(setrlimit(RLIMIT_NOFILE, &none), ==, 0);
	rc = hilo_http_get(web.session, "http://127.0.0.1:1/", &response, HILO_FOREVER);
	TASK_CHECK(setrlimit(RLIMIT_NOFILE, &limit), ==, 0);
	TASK_CHECK(rc, ==, -EMFILE);
	TASK_CHECK_CONTAINS(hilo_error_message(), "descriptor");
	free(web_get(&web, "/", &status));
	TASK_CHECK(status, ==, 200);
	web_end(&web);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cancel_at_every_stage_closes_the_connection),
		cmocka_unit_test(test_deadline_at_every_stage_closes_the_connection),
		cmocka_unit_test(test_close_at_every_stage_ends_the_request),
		cmocka_unit_test(test_cancel_that_was_set_before_asks_nobody),
		cmocka_unit_test(test_requests_that_wait_for_a_connection_can_end),
		cmocka_unit_test(test_close_ends_requests_that_wait_for_a_connection),
		cmocka_unit_test(test_read_can_be_tried_again),
		cmocka_unit_test(test_request_has_a_limit_in_time),
		cmocka_unit_test(test_second_reader_is_told_and_the_first_one_of_a_close),
		cmocka_unit_test(test_cancel_races_with_the_answer),
		cmocka_unit_test(test_session_that_was_closed_answers_no_more),
		cmocka_unit_test(test_session_can_be_freed_under_its_responses),
		cmocka_unit_test(test_session_outlives_its_runtime),
		cmocka_unit_test(test_session_that_was_never_used_is_freed_anywhere),
		cmocka_unit_test(test_plain_threads_ask),
		cmocka_unit_test(test_callbacks_are_refused),
		cmocka_unit_test(test_thousand_requests_at_a_time),
		cmocka_unit_test(test_request_without_memory_fails_and_keeps_none),
		cmocka_unit_test(test_request_without_descriptors_says_so),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
