/* SPDX-License-Identifier: MIT */
/* test_client_body.c - bodies both ways: as they come, slow readers and senders, chunks, ends that are not one. */
#include "tests/unit/io/http_client/web.h"

#define BIG ((size_t)3000000)

TASK_TEST(test_body_is_read_as_it_comes)
{
	hilo_http_response *response;
	struct web web;
	size_t total = 0;
	char buf[5000];
	ssize_t n;

	web_begin(&web, (hilo_http_session_opts){.buffer = 20000}, (hilo_http_opts){0});
	TASK_CHECK(hilo_http_get(web.session, web_url(&web, "/sized/3000000"), &response, HILO_FOREVER), ==,
		   0);
	while ((n = hilo_http_response_read(response, buf, sizeof(buf), HILO_FOREVER)) > 0) {
		for (ssize_t i = 0; i < n; i++)
			TASK_CHECK((unsigned char)buf[i], ==, (unsigned char)byte_at(total + (size_t)i));
		total += (size_t)n;
	}
	TASK_CHECK(n, ==, 0);
	TASK_CHECK(total, ==, BIG);
	hilo_http_response_free(response);
	TASK_CHECK(web_stats(&web).failed, ==, 0);
	web_end(&web);
	return 0;
}

/* The server has more to say than anybody takes: it has to wait, and memory does not grow. */
TASK_TEST(test_reader_that_does_not_read_stops_the_server)
{
	hilo_http_response *response;
	struct web web;
	size_t n;
	char *text;

	web_begin(&web, (hilo_http_session_opts){.buffer = 20000},
		  (hilo_http_opts){.write_time = HILO_FOREVER / 2});
	TASK_CHECK(hilo_http_get(web.session, web_url(&web, "/sized/30000000"), &response, HILO_FOREVER), ==,
		   0);
	for (int i = 0; i < 200; i++)
		test_pause();
	TASK_CHECK(web_stats(&web).running, ==, 1);
	TASK_CHECK(site_stats(&web.site).answers[2], ==, 0);
	/* What does not fit into the limit stays to be read. */
	TASK_CHECK(hilo_http_response_read_all(response, 100000, &text, HILO_FOREVER), ==, -EMSGSIZE);
	n = (size_t)hilo_http_response_read_all(response, 30000000, &text, HILO_FOREVER);
	TASK_CHECK(n, ==, 30000000);
	TASK_CHECK((unsigned char)text[n - 1], ==, (unsigned char)byte_at(n - 1));
	free(text);
	hilo_http_response_free(response);
	web_end(&web);
	return 0;
}

/* libcurl stopped with a full buffer, which is less than the limit and more than half of it; then all is wanted. */
TASK_TEST(test_all_can_be_wanted_of_who_was_stopped)
{
	for (int text = 0; text < 2; text++) {
		hilo_http_response *response;
		char *all = NULL, first[5000];
		struct web web;

		web_begin(&web, (hilo_http_session_opts){.buffer = 200000},
			  (hilo_http_opts){.write_time = HILO_FOREVER / 2});
		TASK_CHECK(
			hilo_http_get(web.session, web_url(&web, "/sized/290000"), &response, HILO_FOREVER),
			==, 0);
		for (int i = 0; i < 200; i++)
			test_pause();
		if (text)
			TASK_CHECK(hilo_http_response_read(response, first, sizeof(first), HILO_FOREVER), >,
				   0);
		TASK_CHECK(hilo_http_response_read_all(response, 300000, &all, hilo_after(60 * HILO_SECOND)),
			   >=, 285000);
		free(all);
		hilo_http_response_free(response);
		web_end(&web);
	}
	return 0;
}

/* ---- Bodies that a function gives ---- */

struct source {
	size_t size, at, piece;
	int fails;	 /* then, at the end */
	bool waits;	 /* now and then */
	test_flag done;	 /* how often */
	test_flag stuck; /* it waits for good */
	bool sticks;
};

static ssize_t source_read(void *buf, size_t size, void *arg)
{
	struct source *source = arg;
	size_t n = source->size - source->at;

	if (source->waits)
		(void)hilo_sleep(HILO_MICROSECOND);
	if (!n && source->sticks) {
		store_release(&source->stuck, 1);
		return hilo_sleep_until(HILO_FOREVER);
	}
	if (!n)
		return source->fails ? hilo_fail(source->fails, "the source has run dry") : 0;
	n = n < size ? n : size;
	n = n < source->piece ? n : source->piece;
	bytes_fill(buf, n, source->at);
	source->at += n;
	return (ssize_t)n;
}

static void source_done(void *arg)
{
	struct source *source = arg;

	(void)add_release(&source->done, 1);
}

static hilo_http_fetch_opts source_opts(struct source *source, const char *url)
{
	return (hilo_http_fetch_opts){.size = sizeof(hilo_http_fetch_opts),
				      .url = url,
				      .read = source_read,
				      .arg = source,
				      .done = source_done};
}

TASK_TEST(test_body_from_a_function_arrives)
{
	static const struct {
		size_t size, piece;
		bool known, waits;
	} cases[] = {{0, 1, false, false},	     {1, 1, false, true},
		     {100000, 7000, false, true},    {100000, 7000, true, false},
		     {900000, 100000, false, false}, {500, 1, true, true}};
	struct web web;

	web_begin(&web, (hilo_http_session_opts){0}, (hilo_http_opts){.body = BIG});
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct source source = {
			.size = cases[i].size, .piece = cases[i].piece, .waits = cases[i].waits};
		hilo_http_fetch_opts opts = source_opts(&source, web_url(&web, "/chunks"));
		hilo_http_response *response;
		char *text;

		opts.length = cases[i].known ? cases[i].size : 0;
		if (hilo_http_fetch(web.session, &opts, &response, HILO_FOREVER) < 0) {
			fprintf(stderr, "case %zu, at byte %zu: %s\n", i, source.at, hilo_error_message());
			TASK_CHECK(hilo_error_code(), ==, 0);
		}
		TASK_CHECK(hilo_http_response_status(response), ==, 200);
		TASK_CHECK(hilo_http_response_read_all(response, BIG, &text, HILO_FOREVER), ==,
			   cases[i].size);
		for (size_t at = 0; at < cases[i].size; at++)
			TASK_CHECK((unsigned char)text[at], ==, (unsigned char)byte_at(at));
		free(text);
		TASK_CHECK(hilo_http_response_close(response, HILO_FOREVER), ==, 0);
		TASK_CHECK(load_acquire(&source.done), ==, 1);
		hilo_http_response_free(response);
	}
	web_end(&web);
	return 0;
}

/* More than all buffers hold goes there and comes back at the same time. */
TASK_TEST(test_both_bodies_flow_at_the_same_time)
{
	struct source source = {.size = BIG, .piece = 50000};
	hilo_http_fetch_opts opts;
	hilo_http_response *response;
	struct web web;
	size_t total = 0;
	char buf[9000];
	ssize_t n;

	web_begin(&web, (hilo_http_session_opts){.buffer = 10000}, (hilo_http_opts){.body = UINT64_MAX});
	opts = source_opts(&source, web_url(&web, "/chunks"));
	TASK_CHECK(hilo_http_fetch(web.session, &opts, &response, HILO_FOREVER), ==, 0);
	while ((n = hilo_http_response_read(response, buf, sizeof(buf), HILO_FOREVER)) > 0) {
		TASK_CHECK((unsigned char)buf[0], ==, (unsigned char)byte_at(total));
		total += (size_t)n;
	}
	TASK_CHECK(n, ==, 0);
	TASK_CHECK(total, ==, BIG);
	hilo_http_response_free(response);
	TEST_UNTIL(load_acquire(&source.done) == 1);
	web_end(&web);
	return 0;
}

TASK_TEST(test_body_that_fails_fails_the_request_with_its_code)
{
	struct source source = {.size = 100000, .piece = 5000, .fails = -EIO, .waits = true};
	hilo_http_fetch_opts opts;
	hilo_http_response *response;
	struct web web;

	web_begin(&web, (hilo_http_session_opts){0}, (hilo_http_opts){0});
	opts = source_opts(&source, web_url(&web, "/echo"));
	TASK_CHECK(hilo_http_fetch(web.session, &opts, &response, HILO_FOREVER), ==, -EIO);
	TASK_CHECK_CONTAINS(hilo_error_message(), "the source has run dry");
	TEST_UNTIL(load_acquire(&source.done) == 1);
	web_end(&web);
	return 0;
}

/* Neither more than was announced, which would be the next request of its connection, nor less. */
TASK_TEST(test_body_that_is_not_as_long_as_announced_fails_the_request)
{
	for (int more = 0; more < 2; more++) {
		struct source source = {.size = 50000, .piece = more ? 50000 : 7000};
		hilo_http_response *response;
		hilo_http_fetch_opts opts;
		struct web web;
		int status;

		web_begin(&web, (hilo_http_session_opts){.connections = 1}, (hilo_http_opts){.body = BIG});
		opts = source_opts(&source, web_url(&web, "/what"));
		opts.length = more ? 5 : 50001;
		TASK_CHECK(hilo_http_fetch(web.session, &opts, &response, hilo_after(60 * HILO_SECOND)), ==,
			   -EINVAL);
		TASK_CHECK_CONTAINS(hilo_error_message(), more ? "the 5 bytes" : "the 50001 bytes");
		TEST_UNTIL(load_acquire(&source.done) == 1);
		free(web_get(&web, "/what", &status));
		TASK_CHECK(status, ==, 200);
		web_end(&web);
	}
	return 0;
}

struct sending {
	struct web *web;
	const char *url;
	struct source source;
	int rc, status;
};

static void *thread_sends(void *arg)
{
	struct sending *sending = arg;
	hilo_http_fetch_opts opts = source_opts(&sending->source, sending->url);
	hilo_http_response *response;

	sending->rc = hilo_http_fetch(sending->web->session, &opts, &response, HILO_FOREVER);
	if (sending->rc == 0) {
		sending->status = hilo_http_response_status(response);
		hilo_http_response_free(response);
	}
	return NULL;
}

/* The session's runtime, which was not named, is that of who has asked first. */
TASK_TEST(test_plain_thread_sends_a_body_where_the_session_is_at_home)
{
	struct sending sending = {.source = {.size = 100000, .piece = 7000, .waits = true}};
	pthread_t thread;
	struct web web;
	int status;

	web_begin(&web, (hilo_http_session_opts){0}, (hilo_http_opts){.body = BIG});
	free(web_get(&web, "/what", &status));
	sending.url = web_url(&web, "/chunks");
	sending.web = &web;
	TASK_CHECK(pthread_create(&thread, NULL, thread_sends, &sending), ==, 0);
	test_join_thread(thread);
	TASK_CHECK(sending.rc, ==, 0);
	TASK_CHECK(sending.status, ==, 200);
	TEST_UNTIL(load_acquire(&sending.source.done) == 1);
	web_end(&web);
	return 0;
}

/* Who is told of tasks may ask the session: none of its locks is held. */
struct hooked {
	hilo_runtime *runtime;
	struct web web;
	const char *url;
	hilo_event over;
	atomic(hilo_http_session *) session;
	atomic(unsigned) asked;
};

static struct hooked hooked;

static void hook_asks(hilo_task *task, void *arg)
{
	hilo_http_session *session = load_acquire(&hooked.session); /* pairs with hooked_site */
	hilo_http_session_stats stats = {.size = sizeof(stats)};

	(void)task, (void)arg;
	if (!session)
		return;
	TASK_CHECK(hilo_http_session_get_stats(session, &stats), ==, 0);
	(void)add_relaxed(&hooked.asked, 1);
}

static int hooked_site(void *arg)
{
	(void)arg;
	TASK_CHECK(hilo_event_init(&hooked.over, 0), ==, 0);
	web_begin(&hooked.web, (hilo_http_session_opts){.runtime = hooked.runtime},
		  (hilo_http_opts){.body = BIG});
	hooked.url = web_url(&hooked.web, "/chunks");
	store_release(&hooked.session, hooked.web.session); /* pairs with hook_asks */
	TASK_CHECK(hilo_event_wait(&hooked.over, HILO_FOREVER), ==, 0);
	store_release(&hooked.session, NULL); /* as above */
	web_end(&hooked.web);
	TASK_CHECK(hilo_event_destroy(&hooked.over), ==, 0);
	return 0;
}

static void test_hooks_may_ask_the_session(void **state)
{
	hilo_task_hooks hooks = {.size = sizeof(hooks), .spawned = hook_asks};
	hilo_opts opts = {.size = sizeof(opts), .workers = 2, .hooks = &hooks};
	struct sending sending = {.web = &hooked.web, .source = {.size = 100000, .piece = 7000}};
	hilo_task *task;

	(void)state;
	assert_int_equal(hilo_runtime_new(&opts, &hooked.runtime), 0);
	assert_int_equal(hilo_submit(hooked.runtime, hooked_site, NULL, NULL, &task), 0);
	TEST_UNTIL(load_acquire(&hooked.session)); /* pairs with hooked_site */
	sending.url = hooked.url;
	(void)thread_sends(&sending);
	assert_int_equal(sending.rc, 0);
	assert_int_equal(sending.status, 200);
	assert_true(load_relaxed(&hooked.asked) > 0);
	TEST_UNTIL(load_acquire(&sending.source.done) == 1);
	(void)hilo_event_set(&hooked.over);
	assert_int_equal(hilo_join(task, HILO_FOREVER), 0);
	assert_int_equal(hilo_runtime_free(hooked.runtime), 0);
}

/* The request ends while the function waits: it is cancelled, and its argument given back. */
TASK_TEST(test_body_that_waits_ends_with_its_request)
{
	for (int how = 0; how < 3; how++) {
		struct source source = {.size = 10, .piece = 10, .sticks = true};
		hilo_http_fetch_opts opts;
		hilo_http_response *response = NULL;
		struct teller teller;
		struct web web;
		int rc;

		web_begin(&web, (hilo_http_session_opts){0}, (hilo_http_opts){0});
		teller_begin(&teller, how == 2 ? "HTTP/1.1 200 OK\r\n\r\n" : NULL, true);
		opts = source_opts(&source, how == 2 ? teller.base : web_url(&web, "/echo"));
		rc = hilo_http_fetch(web.session, &opts, &response,
				     how == 0	? hilo_after(20 * HILO_MILLISECOND)
				     : how == 1 ? HILO_NO_WAIT
						: HILO_FOREVER);
		if (how == 2) {
			TASK_CHECK(rc, ==, 0);
			TASK_CHECK(hilo_http_response_close(response, HILO_FOREVER), ==, 0);
			TASK_CHECK(load_acquire(&source.done), ==, 1);
			hilo_http_response_free(response);
		} else {
			TASK_CHECK(rc, ==, -ETIMEDOUT);
		}
		TEST_UNTIL(load_acquire(&source.done) == 1);
		if (how != 2) { /* nobody has come */
			hilo_task_cancel(teller.task);
			(void)hilo_join(teller.task, HILO_FOREVER);
			close(teller.listener);
		} else {
			teller_end(&teller);
		}
		web_end(&web);
	}
	return 0;
}

TASK_TEST(test_body_that_cannot_be_said_again_is_not_redirected)
{
	struct source source = {.size = 10, .piece = 10}, again = {.size = 10, .piece = 10};
	hilo_http_fetch_opts opts;
	hilo_http_response *response;
	struct web web;

	web_begin(&web, (hilo_http_session_opts){0}, (hilo_http_opts){0});
	opts = source_opts(&source, web_url(&web, "/to/307?to=/what"));
	TASK_CHECK(hilo_http_fetch(web.session, &opts, &response, HILO_FOREVER), ==, -ESPIPE);
	opts = source_opts(&again, web_url(&web, "/to/303?to=/what"));
	TASK_CHECK(hilo_http_fetch(web.session, &opts, &response, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_http_response_redirects(response), ==, 1);
	hilo_http_response_free(response);
	TEST_UNTIL(load_acquire(&source.done) == 1 && load_acquire(&again.done) == 1);
	web_end(&web);
	return 0;
}

TASK_TEST(test_argument_is_given_back_whatever_is_wrong)
{
	static const char *const urls[] = {"nonsense", "http://127.0.0.1:1/", "ftp://x/"};
	hilo_http_session *session;
	hilo_http_response *response;

	TASK_CHECK(hilo_http_session_new(NULL, &session), ==, 0);
	for (int i = 0; i < 3; i++) {
		struct source source = {.size = 10, .piece = 10};
		hilo_http_fetch_opts opts = source_opts(&source, urls[i]);

		TASK_CHECK(hilo_http_fetch(session, &opts, &response, HILO_FOREVER), <, 0);
		TEST_UNTIL(load_acquire(&source.done) == 1);
	}
	hilo_http_session_free(session);
	return 0;
}

TASK_TEST(test_large_body_waits_for_100_continue)
{
	char *data = malloc(BIG), *text;
	const hilo_http_header expect = {"Expect", "100-continue"};
	hilo_http_fetch_opts opts = {.size = sizeof(opts),
				     .headers = &expect,
				     .n_headers = 1,
				     .type = "a/b",
				     .data = data,
				     .data_size = BIG};
	hilo_http_response *response;
	struct web web;

	bytes_fill(data, BIG, 0);
	web_begin(&web, (hilo_http_session_opts){0}, (hilo_http_opts){.body = UINT64_MAX});
	opts.url = web_url(&web, "/chunks");
	TASK_CHECK(hilo_http_fetch(web.session, &opts, &response, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_http_response_read_all(response, BIG, &text, HILO_FOREVER), ==, BIG);
	TASK_CHECK(memcmp(data, text, BIG), ==, 0);
	free(text);
	hilo_http_response_free(response);
	free(data);
	web_end(&web);
	return 0;
}

/* On 417 libcurl would repeat it, and the caller would get a mixture of two answers. */
TASK_TEST(test_large_body_is_not_announced_unless_that_is_asked_for)
{
	char *data = calloc(1, BIG);

	for (int asked = 0; asked < 2; asked++) {
		static const hilo_http_header expect = {"Expect", "100-continue"};
		hilo_http_fetch_opts opts = {.size = sizeof(opts),
					     .method = "PUT",
					     .headers = &expect,
					     .n_headers = asked,
					     .data = data,
					     .data_size = BIG};
		hilo_http_response *response = NULL;
		struct teller teller;
		struct web web;

		web_begin(&web, (hilo_http_session_opts){0}, (hilo_http_opts){0});
		teller_begin(&teller, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n", true);
		opts.url = teller.base;
		TASK_CHECK(hilo_http_fetch(web.session, &opts, &response, HILO_FOREVER), ==, 0);
		TASK_CHECK(hilo_http_response_status(response), ==, 413);
		TASK_CHECK(strstr(teller.heard, "\r\nExpect: 100-continue\r\n") != NULL, ==, asked);
		hilo_http_response_free(response);
		teller_end(&teller);
		web_end(&web);
	}
	free(data);
	return 0;
}

/* ---- What servers say ---- */

/* All that comes from one who says @text and hangs up; 0 or more, or the code. */
static ssize_t told(const char *text, char **body, hilo_http_response **response, struct web *web,
		    struct teller *teller)
{
	ssize_t n;

	web_begin(web, (hilo_http_session_opts){0}, (hilo_http_opts){0});
	teller_begin(teller, text, false);
	*response = NULL;
	n = hilo_http_get(web->session, teller->base, response, HILO_FOREVER);
	return n < 0 ? n : hilo_http_response_read_all(*response, 1000, body, HILO_FOREVER);
}

TASK_TEST(test_answers_of_all_kinds_are_understood_or_refused)
{
	static const struct {
		const char *text;
		ssize_t wanted;
	} cases[] = {
		{"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", 3},
		{"HTTP/1.0 200 OK\r\n\r\nabc", 3}, /* up to the end */
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-T: yes\r\n\r\n", 3},
		{"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
		 3},
		{"HTTP/1.1 204 No Content\r\n\r\n", 0},
		{"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", HILO_EINCOMPLETE},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", HILO_EINCOMPLETE},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nabc\r\n", -EBADMSG},
		{"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc", -EBADMSG},
		{"", -ECONNRESET},
		{"SSH-2.0 what\r\n\r\n", -EBADMSG},
		{"HTTP/1.1 200 OK\r\nContent-Le", -EBADMSG},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		hilo_http_response *response;
		struct teller teller;
		struct web web;
		char *body = NULL;
		ssize_t n = told(cases[i].text, &body, &response, &web, &teller);

		if (n != cases[i].wanted)
			fprintf(stderr, "case %zu: %zd: %s\n", i, n, hilo_error_message());
		TASK_CHECK(n, ==, cases[i].wanted);
		if (i == 2)
			TASK_CHECK_TEXT(hilo_http_response_trailer(response, "x-t"), "yes");
		if (n < 0)
			TASK_CHECK_CONTAINS(hilo_error_message(), teller.base);
		if (n >= 0)
			free(body);
		hilo_http_response_free(response);
		teller_end(&teller);
		web_end(&web);
	}
	return 0;
}

TASK_TEST(test_what_came_before_a_failure_can_be_read)
{
	hilo_http_response *response;
	struct teller teller;
	struct web web;
	char buf[10], *body;

	TASK_CHECK(told("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", &body, &response, &web, &teller),
		   ==, HILO_EINCOMPLETE);
	TASK_CHECK(hilo_http_response_read(response, buf, sizeof(buf), HILO_FOREVER), ==, 3);
	TASK_CHECK(hilo_http_response_read(response, buf, sizeof(buf), HILO_FOREVER), ==, HILO_EINCOMPLETE);
	hilo_http_response_free(response);
	teller_end(&teller);
	web_end(&web);
	return 0;
}

TASK_TEST(test_header_has_a_limit)
{
	char *text = malloc(200000);
	hilo_http_session_opts opts = {.size = sizeof(opts), .header = 50000};
	hilo_http_response *response;
	hilo_http_session *session;
	struct teller teller;

	for (int line = 0; line < 2; line++) { /* all of it, and one line */
		size_t used = (size_t)sprintf(text, "HTTP/1.1 200 OK\r\n");

		for (int i = 0; i < 2000 && !line; i++)
			used += (size_t)sprintf(text + used, "X-Number-%d: %060d\r\n", i, i);
		used += line ? (size_t)sprintf(text + used, "X-Long: %0150000d\r\n", 0) : 0;
		strcpy(text + used, "\r\n");
		opts.header = line ? 0 : 50000;
		teller_begin(&teller, text, false);
		TASK_CHECK(hilo_http_session_new(&opts, &session), ==, 0);
		TASK_CHECK(hilo_http_get(session, teller.base, &response, HILO_FOREVER), ==, -EMSGSIZE);
		TASK_CHECK_CONTAINS(hilo_error_message(), "its header is too long");
		hilo_http_session_free(session);
		teller_end(&teller);
	}
	free(text);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_body_is_read_as_it_comes),
		cmocka_unit_test(test_reader_that_does_not_read_stops_the_server),
		cmocka_unit_test(test_all_can_be_wanted_of_who_was_stopped),
		cmocka_unit_test(test_body_from_a_function_arrives),
		cmocka_unit_test(test_both_bodies_flow_at_the_same_time),
		cmocka_unit_test(test_body_that_fails_fails_the_request_with_its_code),
		cmocka_unit_test(test_body_that_is_not_as_long_as_announced_fails_the_request),
		cmocka_unit_test(test_body_that_waits_ends_with_its_request),
		cmocka_unit_test(test_plain_thread_sends_a_body_where_the_session_is_at_home),
		cmocka_unit_test(test_hooks_may_ask_the_session),
		cmocka_unit_test(test_body_that_cannot_be_said_again_is_not_redirected),
		cmocka_unit_test(test_argument_is_given_back_whatever_is_wrong),
		cmocka_unit_test(test_large_body_waits_for_100_continue),
		cmocka_unit_test(test_large_body_is_not_announced_unless_that_is_asked_for),
		cmocka_unit_test(test_answers_of_all_kinds_are_understood_or_refused),
		cmocka_unit_test(test_what_came_before_a_failure_can_be_read),
		cmocka_unit_test(test_header_has_a_limit),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
