/* SPDX-License-Identifier: MIT */
/* test_body.c - bodies of requests: read at once and in pieces, in chunks, too large, too slow, and cut off. */
#include "tests/unit/io/http/site.h"

static int reads_some(hilo_http_request *request, void *arg)
{
	struct site *site = arg;
	char buf[4096], text[64];
	size_t total = 0;
	ssize_t n;

	TASK_CHECK(hilo_http_trailer(request, "X-Sum"), ==, NULL);
	while ((n = hilo_http_read(request, buf, 1 + total % 900, HILO_FOREVER)) > 0) {
		bytes_check(buf, (size_t)n, total);
		total += (size_t)n;
	}
	store_relaxed(&site->seen, (int)n);
	if (n < 0)
		return (int)n;
	TASK_CHECK(hilo_http_read(request, buf, 1, HILO_NO_WAIT), ==, 0);
	(void)snprintf(text, sizeof(text), "%zu", total);
	return hilo_http_respond(request, 200, NULL, text, strlen(text), HILO_FOREVER);
}

/* What the first read gives, within the deadline that the query names in milliseconds; "no" for none. */
static int reads_once(hilo_http_request *request, void *arg)
{
	const char *span = hilo_http_query(request, "ms");
	struct site *site = arg;
	char byte;
	ssize_t n;

	(void)add_relaxed(&site->waiting, 1);
	n = hilo_http_read(request, &byte, 1,
			   span ? hilo_after(atoi(span) * HILO_MILLISECOND) : HILO_FOREVER);
	store_relaxed(&site->seen, (int)n);
	if (n < 0 && hilo_http_query(request, "fail"))
		return (int)n;
	if (n == -ETIMEDOUT) /* it can still be read */
		n = hilo_http_read(request, &byte, 1, HILO_FOREVER);
	return hilo_http_respond(request, n == 1 ? 200 : 500, NULL, &byte, n == 1, HILO_FOREVER);
}

static int reads_little(hilo_http_request *request, void *arg)
{
	struct site *site = arg;
	char *body;
	ssize_t n = hilo_http_read_all(request, 10, &body, HILO_FOREVER);

	store_relaxed(&site->seen, (int)n);
	if (n < 0)
		return (int)n;
	TASK_CHECK(body[n], ==, 0);
	free(body);
	return hilo_http_respond(request, 200, NULL, NULL, 0, HILO_FOREVER);
}

static void bodies_begin(struct site *site, hilo_http_opts opts)
{
	site_init(site);
	site_route(site, "POST", "/some", reads_some);
	site_route(site, "POST", "/once", reads_once);
	site_route(site, "POST", "/little", reads_little);
	site_begin(site, opts);
}

#define POST(path, fields) "POST " path " HTTP/1.1\r\nHost: x\r\n" fields "\r\n"

/* @size bytes, with a length or in chunks by lot. */
static char *body_make(size_t size, bool chunked, uint64_t seed, size_t *length)
{
	char *text = malloc(8 * size + 1024);
	size_t n, at = 0;

	if (!chunked) {
		n = (size_t)sprintf(text, "POST /some HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n",
				    size);
		bytes_fill(text + n, size, 0);
		*length = n + size;
		return text;
	}
	n = (size_t)sprintf(text, POST("/some", "Transfer-Encoding: chunked\r\n"));
	while (at < size) {
		size_t piece = 1 + random_mix(seed + at) % 3000;

		piece = piece < size - at ? piece : size - at;
		n += (size_t)sprintf(text + n, "%zX%s\r\n", piece, piece % 3 ? "" : ";a=\"b\"");
		bytes_fill(text + n, piece, at);
		n += piece;
		n += (size_t)sprintf(text + n, "\r\n");
		at += piece;
	}
	*length = n + (size_t)sprintf(text + n, "0\r\nX-Sum: 1\r\n\r\n");
	return text;
}

TASK_TEST(test_bodies_of_all_sizes_come_as_they_were_sent)
{
	static const size_t sizes[] = {1, 2, 700, 4095, 4096, 5000, 60000};
	char *answers = malloc(SAID_SIZE), wanted[32];
	struct site site;

	bodies_begin(&site, (hilo_http_opts){0});
	for (size_t i = 0; i < 4 * array_size(sizes); i++) {
		size_t size = sizes[i / 4], length;
		char *text = body_make(size, i % 2, test_seed() + i, &length);

		TASK_CHECK(site_say(&site, text, length, i % 4 < 2 ? SIZE_MAX : 0, test_seed() + i, answers),
			   ==, 0);
		(void)snprintf(wanted, sizeof(wanted), "\r\n\r\n%zu", size);
		TASK_CHECK_CONTAINS(answers, "200 OK");
		TASK_CHECK_CONTAINS(answers, wanted);
		free(text);
	}
	TASK_CHECK(site_stats(&site).received, ==, 4 * (1 + 2 + 700 + 4095 + 4096 + 5000 + 60000));
	free(answers);
	site_end(&site);
	return 0;
}

TASK_TEST(test_chunks_beside_a_long_head)
{
	char text[8192], *at = text;
	struct site site;

	bodies_begin(&site, (hilo_http_opts){0});
	at += sprintf(at, "POST /echo?x=1 HTTP/1.1\r\nHost: some.host\r\nX-Long: ");
	memset(at, 'a', 3500);
	at += 3500;
	sprintf(at, "\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: "
		    "x\r\n\r\n");
	TASK_CHECK_CONTAINS(site_ask(&site, text), "\r\n\r\nhelloHTTP/1.1 200");
	site_end(&site);
	return 0;
}

TASK_TEST(test_chunks_both_ways_with_a_trailer)
{
	struct site site;

	bodies_begin(&site, (hilo_http_opts){0});
	TASK_CHECK_CONTAINS(
		site_ask(&site, POST("/chunks", "Transfer-Encoding: chunked\r\n") "3\r\nabc\r\n2\r\nde\r\n0\r"
										  "\nX-Sum: \t5 \r\n\r\n"),
		"\r\nX-Sum: 5\r\n\r\n");
	TASK_CHECK_CONTAINS(site_ask(&site, POST("/chunks", "Content-Length: 3\r\n") "abc"),
			    "\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
	site_end(&site);
	return 0;
}

/* Reads up to and with @part. */
static void expect_part(hilo_stream *stream, const char *part, char *buf, size_t size)
{
	size_t used = 0;

	do {
		ssize_t n = hilo_stream_read(stream, buf + used, size - 1 - used, HILO_FOREVER);

		TASK_CHECK(n, >, 0);
		used += (size_t)n;
		buf[used] = '\0';
	} while (!strstr(buf, part));
}

TASK_TEST(test_client_that_waits_is_told_to_go_on_by_the_first_read)
{
	struct served served = {0};
	struct site site;
	char buf[1024];

	bodies_begin(&site, (hilo_http_opts){0});
	served_begin(&served, &site, 0);
	stream_say(served.stream[0], POST("/echo", "Content-Length: 3\r\nExpect: 100-Continue\r\n"));
	expect_part(served.stream[0], "\r\n\r\n", buf, sizeof(buf));
	TASK_CHECK_TEXT(buf, "HTTP/1.1 100 Continue\r\n\r\n");
	stream_say(served.stream[0], "abc");
	expect_part(served.stream[0], "abc", buf, sizeof(buf));
	TASK_CHECK_CONTAINS(buf, "200 OK");
	/* Nobody reads it: the answer is final, and nobody knows what the client sends next. */
	stream_say(served.stream[0], POST("/none", "Content-Length: 3\r\nExpect: 100-continue\r\n"));
	expect_part(served.stream[0], "404 Not Found\n", buf, sizeof(buf));
	TASK_CHECK_CONTAINS(buf, "Connection: close");
	TASK_CHECK(strncmp(buf, "HTTP/1.1 404", 12), ==, 0);
	TASK_CHECK(hilo_stream_write_eof(served.stream[0]), ==, 0);
	stream_expect_end(served.stream[0]);
	TASK_CHECK(served_end(&served), ==, 0);
	/* What comes with the head needs no word; and a client of HTTP/1.0 gets none. */
	TASK_CHECK(
		strncmp(site_ask(&site, POST("/echo", "Content-Length: 3\r\nExpect: 100-continue\r\n") "abc"),
			"HTTP/1.1 200", 12),
		==, 0);
	TASK_CHECK(strncmp(site_ask(&site, "POST /echo HTTP/1.0\r\nContent-Length: 3\r\n"
					   "Expect: 100-continue\r\n\r\nabc"),
			   "HTTP/1.1 200", 12),
		   ==, 0);
	site_end(&site);
	return 0;
}

TASK_TEST(test_body_that_is_longer_than_wanted_is_413)
{
	struct site site;

	bodies_begin(&site, (hilo_http_opts){0});
	TASK_CHECK_CONTAINS(site_ask(&site, POST("/little", "Content-Length: 10\r\n") "0123456789"),
			    "200 OK");
	TASK_CHECK_CONTAINS(site_ask(&site, POST("/little", "Content-Length: 11\r\n") "0123456789a"), "413 ");
	TASK_CHECK(load_relaxed(&site.seen), ==, -EMSGSIZE);
	TASK_CHECK_CONTAINS(
		site_ask(&site,
			 POST("/little", "Transfer-Encoding: chunked\r\n") "a\r\n0123456789\r\n0\r\n\r\n"),
		"200 OK");
	TASK_CHECK_CONTAINS(
		site_ask(&site,
			 POST("/little",
			      "Transfer-Encoding: chunked\r\n") "a\r\n0123456789\r\n1\r\na\r\n0\r\n\r\n"),
		"413 ");
	TASK_CHECK(site_stats(&site).failed, ==, 0);
	site_end(&site);
	return 0;
}

TASK_TEST(test_body_that_is_cut_off_is_said_to_be)
{
	struct site site;

	bodies_begin(&site, (hilo_http_opts){0});
	TASK_CHECK_CONTAINS(site_ask(&site, POST("/some", "Content-Length: 10\r\n")), "400 ");
	TASK_CHECK(load_relaxed(&site.seen), ==, HILO_EINCOMPLETE);
	TASK_CHECK_CONTAINS(site_ask(&site, POST("/little", "Transfer-Encoding: chunked\r\n") "3\r\nab"),
			    "400 ");
	TASK_CHECK(load_relaxed(&site.seen), ==, HILO_EINCOMPLETE);
	TASK_CHECK_CONTAINS(site_ask(&site, POST("/little", "Transfer-Encoding: chunked\r\n") "3\nabc"),
			    "400 ");
	TASK_CHECK(load_relaxed(&site.seen), ==, -EBADMSG);
	TASK_CHECK(site_stats(&site).failed, ==, 0);
	site_end(&site);
	return 0;
}

TASK_TEST(test_body_that_does_not_come_in_time_is_408)
{
	struct served served = {0};
	struct site site;
	char buf[1024];

	bodies_begin(&site, (hilo_http_opts){.body_time = 5 * HILO_MILLISECOND});
	served_begin(&served, &site, 0);
	stream_say(served.stream[0], POST("/some", "Content-Length: 10\r\n"));
	(void)expect_part(served.stream[0], "408 Request Timeout\n", buf, sizeof(buf));
	TASK_CHECK_CONTAINS(buf, "Connection: close");
	TASK_CHECK(load_relaxed(&site.seen), ==, -ETIMEDOUT);
	TASK_CHECK(hilo_stream_write_eof(served.stream[0]), ==, 0);
	TASK_CHECK(served_end(&served), ==, 0);
	site_end(&site);
	return 0;
}

TASK_TEST(test_read_that_ends_by_its_own_deadline_can_be_repeated)
{
	struct served served = {0};
	struct site site;
	char buf[1024];

	bodies_begin(&site, (hilo_http_opts){0});
	served_begin(&served, &site, 0);
	stream_say(served.stream[0], POST("/once?ms=2", "Content-Length: 1\r\n"));
	TEST_UNTIL(load_relaxed(&site.seen) == -ETIMEDOUT);
	stream_say(served.stream[0], "z");
	expect_part(served.stream[0], "\r\n\r\nz", buf, sizeof(buf));
	stream_say(served.stream[0], POST("/once?ms=0", "Content-Length: 1\r\n") "y");
	expect_part(served.stream[0], "\r\n\r\ny", buf, sizeof(buf));
	TASK_CHECK(hilo_stream_write_eof(served.stream[0]), ==, 0);
	TASK_CHECK(served_end(&served), ==, 0);
	site_end(&site);
	return 0;
}

/* What becomes of a read that waits when its task is cancelled, and when its stream is closed. */
static void read_ends(bool cancel)
{
	struct served served = {0};
	struct site site;
	int rc;

	bodies_begin(&site, (hilo_http_opts){0});
	served_begin(&served, &site, 0);
	stream_say(served.stream[0], POST("/once?fail", "Content-Length: 1\r\n"));
	TEST_UNTIL(load_relaxed(&site.waiting) && hilo_task_get_state(served.task) == HILO_TASK_SUSPENDED);
	if (cancel)
		TASK_CHECK(hilo_task_cancel(served.task), ==, 0);
	else
		TASK_CHECK(hilo_stream_abort(served.stream[1]), ==, 0);
	rc = served_end(&served);
	TASK_CHECK(load_relaxed(&site.seen), ==, cancel ? -ECANCELED : HILO_ECLOSED);
	TASK_CHECK(rc, ==, cancel ? -ECANCELED : 0);
	TASK_CHECK(site_stats(&site).failed, ==, 0);
	TASK_CHECK(site_stats(&site).answers[0] + site_stats(&site).answers[4], ==, 1);
	site_end(&site);
}

TASK_TEST(test_read_that_waits_ends_by_cancel_and_close)
{
	read_ends(true);
	read_ends(false);
	return 0;
}

/* A cancel that races with the byte: either is seen, and the connection ends. */
TASK_TEST(test_cancel_races_with_the_body)
{
	for (unsigned i = 0; i < test_rounds(100); i++) {
		struct served served = {0};
		struct site site;
		int rc, seen;

		bodies_begin(&site, (hilo_http_opts){0});
		served_begin(&served, &site, 0);
		stream_say(served.stream[0], POST("/once?fail", "Content-Length: 1\r\n"));
		TEST_UNTIL(load_relaxed(&site.waiting));
		stream_say(served.stream[0], "z");
		TASK_CHECK(hilo_task_cancel(served.task), ==, 0);
		rc = served_end(&served);
		seen = load_relaxed(&site.seen);
		TASK_CHECK(seen == 1 || seen == -ECANCELED, ==, 1);
		TASK_CHECK(rc, ==, -ECANCELED);
		site_end(&site);
	}
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bodies_of_all_sizes_come_as_they_were_sent),
		cmocka_unit_test(test_chunks_beside_a_long_head),
		cmocka_unit_test(test_chunks_both_ways_with_a_trailer),
		cmocka_unit_test(test_client_that_waits_is_told_to_go_on_by_the_first_read),
		cmocka_unit_test(test_body_that_is_longer_than_wanted_is_413),
		cmocka_unit_test(test_body_that_is_cut_off_is_said_to_be),
		cmocka_unit_test(test_body_that_does_not_come_in_time_is_408),
		cmocka_unit_test(test_read_that_ends_by_its_own_deadline_can_be_repeated),
		cmocka_unit_test(test_read_that_waits_ends_by_cancel_and_close),
		cmocka_unit_test(test_cancel_races_with_the_body),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
