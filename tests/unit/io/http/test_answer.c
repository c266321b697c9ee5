/* SPDX-License-Identifier: MIT */
/* test_answer.c - answers: heads, bodies in one piece and in several, files, and what a handler may not do. */
#include "tests/unit/io/http/site.h"

#include "scheduler/base/mem.h"

static int fails_before(hilo_http_request *request, void *arg)
{
	(void)arg;
	TASK_CHECK(hilo_http_add_field(request, "X-Lost", "1"), ==, 0);
	return hilo_fail(-EIO, "the disk is gone");
}

static int fails_within(hilo_http_request *request, void *arg)
{
	(void)arg;
	TASK_CHECK(hilo_http_begin(request, 200, "text/plain", HILO_HTTP_CHUNKED), ==, 0);
	TASK_CHECK(hilo_http_write(request, "part", 4, HILO_FOREVER), ==, 4);
	return hilo_fail(-EIO, "the disk is gone");
}

static int fails_after(hilo_http_request *request, void *arg)
{
	(void)arg;
	TASK_CHECK(hilo_http_respond(request, 200, NULL, "fine", 4, HILO_FOREVER), ==, 0);
	return -EIO;
}

static int too_little(hilo_http_request *request, void *arg)
{
	(void)arg;
	TASK_CHECK(hilo_http_begin(request, 200, "text/plain", 10), ==, 0);
	TASK_CHECK(hilo_http_write(request, "part", 4, HILO_FOREVER), ==, 4);
	return 0;
}

/* Everything that is not allowed, and then an answer. */
static int misbehaves(hilo_http_request *request, void *arg)
{
	const char *name, *value;

	(void)arg;
	TASK_CHECK(hilo_http_write(request, "x", 1, HILO_FOREVER), ==, HILO_EINVALSTATE);
	TASK_CHECK(hilo_http_end(request, HILO_FOREVER), ==, HILO_EINVALSTATE);
	TASK_CHECK(hilo_http_add_field(request, "X Y", "1"), ==, -EINVAL);
	TASK_CHECK(hilo_http_add_field(request, "", "1"), ==, -EINVAL);
	TASK_CHECK(hilo_http_add_field(request, "X", "1\r\nSet-Cookie: a"), ==, -EINVAL);
	TASK_CHECK(hilo_http_add_field(request, "X", "1\n"), ==, -EINVAL);
	TASK_CHECK(hilo_http_add_field(request, "Content-length", "1"), ==, -EINVAL);
	TASK_CHECK_CONTAINS(hilo_error_message(), "Content-length is set by the server");
	TASK_CHECK(hilo_http_add_field(request, "transfer-encoding", "chunked"), ==, -EINVAL);
	TASK_CHECK(hilo_http_add_field(request, "Date", "1"), ==, -EINVAL);
	TASK_CHECK(hilo_http_add_field(request, NULL, "1"), ==, -EINVAL);
	TASK_CHECK(hilo_http_respond(request, 100, NULL, NULL, 0, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_http_respond(request, 600, NULL, NULL, 0, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_http_respond(request, 204, NULL, "x", 1, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_http_respond(request, 200, NULL, NULL, 1, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_http_respond(request, 200, "a\r\nb", NULL, 0, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_http_begin(request, 200, "a\nb", 0), ==, -EINVAL);
	TASK_CHECK(hilo_http_send_file(request, 0x7fffffff, NULL, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_http_query_at(request, 0, &name, NULL), ==, -EINVAL);
	TASK_CHECK(hilo_http_field_at(request, 0, &name, &value), ==, 0);
	TASK_CHECK_TEXT(name, "Host");
	TASK_CHECK(hilo_http_field_at(request, 1, &name, &value), ==, -ENOENT);
	TASK_CHECK(hilo_http_read(request, NULL, 1, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_http_param(request, "none"), ==, NULL);
	TASK_CHECK(hilo_http_begin(request, 200, NULL, 3), ==, 0);
	TASK_CHECK(hilo_http_begin(request, 200, NULL, 3), ==, HILO_EINVALSTATE);
	TASK_CHECK(hilo_http_respond(request, 200, NULL, "x", 1, HILO_FOREVER), ==, HILO_EINVALSTATE);
	TASK_CHECK(hilo_http_add_field(request, "X", "1"), ==, HILO_EINVALSTATE);
	TASK_CHECK(hilo_http_end_connection(request), ==, HILO_EINVALSTATE);
	TASK_CHECK(hilo_http_write(request, "four", 4, HILO_FOREVER), ==, -EMSGSIZE);
	TASK_CHECK(hilo_http_write(request, "two", 2, HILO_FOREVER), ==, 2);
	TASK_CHECK(hilo_http_write(request, "two", 2, HILO_FOREVER), ==, -EMSGSIZE);
	TASK_CHECK(hilo_http_write(request, "o", 1, HILO_FOREVER), ==, 1);
	TASK_CHECK(hilo_http_end(request, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_http_end(request, HILO_FOREVER), ==, HILO_EINVALSTATE);
	TASK_CHECK(hilo_http_write(request, "x", 1, HILO_FOREVER), ==, HILO_EINVALSTATE);
	return 0;
}

/* The request for memory that fails; what of the three parts was written says the handler. */
static struct {
	long at;
	bool persists;
	unsigned written;
} scarce;

/* Looks at no code of a write, and goes on. */
static int goes_on(hilo_http_request *request, uint64_t length)
{
	static const char *const part[] = {"[first]", "[other]", "[third]"};
	char padding[980];
	int rc;

	memset(padding, 'x', sizeof(padding) - 1);
	padding[sizeof(padding) - 1] = '\0';
	scarce.written = 0;
	TASK_CHECK(hilo_http_add_field(request, "X", padding), ==, 0);
	TASK_CHECK(hilo_http_begin(request, 200, "text/plain", length), ==, 0);
	hilo__mem_fail_at(scarce.at, scarce.persists);
	for (size_t i = 0; i < array_size(part); i++)
		scarce.written += hilo_http_write(request, part[i], 7, HILO_FOREVER) == 7;
	rc = hilo_http_end(request, HILO_FOREVER);
	hilo__mem_fail_at(0, false);
	return rc;
}

static int goes_on_in_chunks(hilo_http_request *request, void *arg)
{
	(void)arg;
	return goes_on(request, HILO_HTTP_CHUNKED);
}

static int goes_on_announced(hilo_http_request *request, void *arg)
{
	(void)arg;
	return goes_on(request, 21);
}

static int nothing_at_all(hilo_http_request *request, void *arg)
{
	(void)arg;
	return hilo_http_respond(request, 204, NULL, NULL, 0, HILO_FOREVER);
}

static int ends(hilo_http_request *request, void *arg)
{
	(void)arg;
	TASK_CHECK(hilo_http_end_connection(request), ==, 0);
	return hilo_http_respond(request, 200, NULL, "x", 1, HILO_FOREVER);
}

static int chunks(hilo_http_request *request, void *arg)
{
	(void)arg;
	TASK_CHECK(hilo_http_add_trailer(request, "X-Sum", "7"), ==, 0);
	TASK_CHECK(hilo_http_add_trailer(request, "Content-Length", "7"), ==, -EINVAL);
	TASK_CHECK(hilo_http_begin(request, 200, "text/plain", HILO_HTTP_CHUNKED), ==, 0);
	TASK_CHECK(hilo_http_write(request, "abc", 3, HILO_FOREVER), ==, 3);
	TASK_CHECK(hilo_http_write(request, NULL, 0, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_http_write(request, "0123456789abcdef", 16, HILO_FOREVER), ==, 16);
	return 0; /* ended for it */
}

static int tells_all(hilo_http_request *request, void *arg)
{
	char text[512];
	const char *name = "", *value = "";

	(void)arg;
	TASK_CHECK(hilo_http_query_at(request, 1, &name, &value), ==, 0);
	TASK_CHECK(hilo_http_query(request, "none"), ==, NULL);
	TASK_CHECK(hilo_http_alloc(request, 100000), !=, NULL);
	(void)snprintf(text, sizeof(text), "%s|%s|%s|%d|%s|%s|%s|%s|%s", hilo_http_method(request),
		       hilo_http_target(request), hilo_http_path(request), hilo_http_version(request),
		       hilo_http_host(request), hilo_http_query(request, "q"), name, value,
		       hilo_http_field(request, "x-Some"));
	return hilo_http_respond(request, 200, NULL, text, strlen(text), HILO_FOREVER);
}

#define FILE_SIZE 100000

static int file(hilo_http_request *request, void *arg)
{
	const char *path = arg;
	int fd = open(path, O_RDONLY | O_CLOEXEC), rc;

	rc = hilo_http_send_file(request, fd, "application/octet-stream", HILO_FOREVER);
	close(fd);
	return rc;
}

static char file_path[64];

static void answers_begin(struct site *site)
{
	site_init(site);
	site_route(site, "GET", "/before", fails_before);
	site_route(site, "GET", "/within", fails_within);
	site_route(site, "GET", "/after", fails_after);
	site_route(site, "GET", "/little", too_little);
	site_route(site, "GET", "/misbehaves", misbehaves);
	site_route(site, "GET", "/204", nothing_at_all);
	site_route(site, "GET", "/ends", ends);
	site_route(site, "GET", "/chunks", chunks);
	site_route(site, "GET", "/all", tells_all);
	site_route(site, "GET", "/scarce/chunks", goes_on_in_chunks);
	site_route(site, "GET", "/scarce/announced", goes_on_announced);
	TASK_CHECK(hilo_http_router_add(site->router, "GET", "/file", file, file_path), ==, 0);
	site_begin(site, (hilo_http_opts){0});
}

#define ASK(path) "GET " path " HTTP/1.1\r\nHost: x\r\n\r\n"

static struct {
	atomic(unsigned) times;
	char message[512];
} told;

static void tells(const hilo_exception *exception, void *arg)
{
	(void)arg;
	(void)snprintf(told.message, sizeof(told.message), "%s", exception->message);
	(void)add_relaxed(&told.times, 1);
}

TASK_TEST(test_answer_in_one_piece)
{
	struct site site;
	const char *answer;

	answers_begin(&site);
	answer = site_ask(&site, ASK("/"));
	TASK_CHECK(strncmp(answer, "HTTP/1.1 200 OK\r\nDate: ", 23), ==, 0);
	TASK_CHECK_CONTAINS(answer, " GMT\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello");
	TASK_CHECK(strlen(answer), ==,
		   strlen("HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n"
			  "Content-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"));
	answer = site_ask(&site, ASK("/204"));
	TASK_CHECK_CONTAINS(answer, "204 No Content");
	TASK_CHECK(strstr(answer, "Content-"), ==, NULL);
	answer = site_ask(&site, ASK("/ends") ASK("/"));
	TASK_CHECK_CONTAINS(answer, "\r\nConnection: close\r\n");
	TASK_CHECK(strstr(answer, "hello"), ==, NULL);
	answer = site_ask(&site, "HEAD / HTTP/1.1\r\nHost: x\r\n\r\n");
	TASK_CHECK_CONTAINS(answer, "Content-Length: 5\r\n\r\n");
	TASK_CHECK(strstr(answer, "hello"), ==, NULL);
	TASK_CHECK(site_stats(&site).answers[2], ==, 4);
	TASK_CHECK(site_stats(&site).sent, ==, 6);
	site_end(&site);
	return 0;
}

TASK_TEST(test_version_of_the_client_decides)
{
	struct site site;
	const char *answer;

	answers_begin(&site);
	answer = site_ask(&site, "GET / HTTP/1.0\r\n\r\n");
	TASK_CHECK_CONTAINS(answer, "\r\nConnection: close\r\n");
	answer = site_ask(&site, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
	TASK_CHECK_CONTAINS(answer, "\r\nConnection: keep-alive\r\n");
	answer = site_ask(&site, "GET /chunks HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
	TASK_CHECK(strstr(answer, "chunked"), ==, NULL);
	TASK_CHECK_CONTAINS(answer, "\r\nConnection: close\r\n");
	TASK_CHECK_CONTAINS(answer, "\r\n\r\nabc0123456789abcdef");
	TASK_CHECK(strstr(answer, "X-Sum"), ==, NULL);
	site_end(&site);
	return 0;
}

TASK_TEST(test_answer_in_chunks_has_its_trailer)
{
	struct site site;

	answers_begin(&site);
	TASK_CHECK_CONTAINS(site_ask(&site, ASK("/chunks")),
			    "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n10\r\n0123456789abcdef\r\n"
			    "0\r\nX-Sum: 7\r\n\r\n");
	TASK_CHECK_CONTAINS(site_ask(&site, "HEAD /chunks HTTP/1.1\r\nHost: x\r\n\r\n"), "chunked\r\n\r\n");
	TASK_CHECK(strstr(site_ask(&site, "HEAD /chunks HTTP/1.1\r\nHost: x\r\n\r\n"), "abc"), ==, NULL);
	site_end(&site);
	return 0;
}

TASK_TEST(test_handler_that_fails_is_answered_for_and_told_once)
{
	struct site site;
	const char *answer;

	answers_begin(&site);
	store_relaxed(&told.times, 0);
	hilo_set_exception_handler(tells, NULL);
	answer = site_ask(&site, ASK("/before") ASK("/"));
	TASK_CHECK_CONTAINS(answer, "500 Internal Server Error\n");
	TASK_CHECK_CONTAINS(answer, "hello");
	TASK_CHECK(strstr(answer, "X-Lost"), ==, NULL);
	TASK_CHECK(strstr(answer, "disk"), ==, NULL);
	TASK_CHECK(load_relaxed(&told.times), ==, 1);
	TASK_CHECK_TEXT(told.message, "GET /before: the disk is gone");
	TASK_CHECK_CONTAINS(site_ask(&site, ASK("/nothing")), "500 Internal");
	TASK_CHECK_CONTAINS(told.message, "answered nothing");
	answer = site_ask(&site, ASK("/after") ASK("/"));
	TASK_CHECK_CONTAINS(answer, "fine");
	TASK_CHECK_CONTAINS(answer, "hello");
	TASK_CHECK(load_relaxed(&told.times), ==, 3);
	TASK_CHECK(site_stats(&site).failed, ==, 3);
	hilo_set_exception_handler(NULL, NULL);
	site_end(&site);
	return 0;
}

TASK_TEST(test_answer_that_is_not_whole_ends_without_an_end)
{
	struct site site;
	const char *answer;

	answers_begin(&site);
	hilo_set_exception_handler(tells, NULL);
	answer = site_ask(&site, ASK("/within") ASK("/"));
	TASK_CHECK(strstr(answer, "0\r\n\r\n"), ==, NULL);
	TASK_CHECK(strstr(answer, "hello"), ==, NULL);
	answer = site_ask(&site, ASK("/little") ASK("/"));
	TASK_CHECK(strstr(answer, "hello"), ==, NULL);
	TASK_CHECK_CONTAINS(told.message, "4 bytes of 10 were written");
	hilo_set_exception_handler(NULL, NULL);
	site_end(&site);
	return 0;
}

static void ignores(const hilo_exception *exception, void *arg)
{
	(void)exception, (void)arg;
}

/* Whatever fails for want of memory: what looks whole is whole, also if the handler does not look at codes. */
TASK_TEST(test_write_without_memory_leaves_no_hole)
{
	static const char *const asks[] = {ASK("/scarce/chunks") ASK("/"), ASK("/scarce/announced") ASK("/")};
	unsigned whole = 0;
	struct site site;

	answers_begin(&site);
	hilo_set_exception_handler(ignores, NULL);
	for (unsigned i = 0; i < 2 * array_size(asks); i++) {
		scarce.persists = i % 2;
		for (scarce.at = 0; scarce.at < 8; scarce.at++) {
			const char *answer = site_ask(&site, asks[i / 2]);

			if (!strstr(answer, "[first]") || !strstr(answer, "[other]") ||
			    !strstr(answer, "[third]")) {
				TASK_CHECK(strstr(answer, "0\r\n\r\n"), ==, NULL);
				TASK_CHECK(strstr(answer, "hello"), ==, NULL);
				TASK_CHECK(scarce.written, <, 3);
			} else {
				TASK_CHECK_CONTAINS(answer, "hello");
				whole++;
			}
			TASK_CHECK(scarce.at || scarce.written == 3, ==, 1);
		}
	}
	TASK_CHECK(whole, >=, 4);
	hilo_set_exception_handler(NULL, NULL);
	site_end(&site);
	return 0;
}

TASK_TEST(test_handler_may_not_do_what_breaks_the_message)
{
	struct site site;

	answers_begin(&site);
	TASK_CHECK_CONTAINS(site_ask(&site, ASK("/misbehaves")), "Content-Length: 3\r\n\r\ntwo");
	TASK_CHECK(hilo_http_method(NULL), ==, NULL);
	TASK_CHECK(hilo_http_respond(NULL, 200, NULL, NULL, 0, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_http_read(NULL, NULL, 0, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_http_begin(NULL, 200, NULL, 0), ==, -EINVAL);
	TASK_CHECK(hilo_http_write(NULL, NULL, 0, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_http_end(NULL, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_http_client_gone(NULL), ==, -EINVAL);
	site_end(&site);
	return 0;
}

TASK_TEST(test_request_tells_all_of_itself)
{
	struct site site;

	answers_begin(&site);
	TASK_CHECK_CONTAINS(site_ask(&site, "GET /all?q=a+b%21&&n&q=2 HTTP/1.1\r\nHost: example.com:80\r\n"
					    "X-SOME: \t value \r\n\r\n"),
			    "\r\n\r\nGET|/all?q=a+b%21&&n&q=2|/all|11|example.com:80|a b!|n||value");
	TASK_CHECK_CONTAINS(site_ask(&site,
				     "GET http://other/all?q=%zz&x=%41 HTTP/1.1\r\nHost: example.com\r\n"
				     "X-Some: \r\n\r\n"),
			    "|/all|11|other|%zz|x|A|");
	/* A field without a value leaves the next one alone. */
	TASK_CHECK_CONTAINS(site_ask(&site, "GET /all?q&x=y HTTP/1.1\r\nHost: x\r\nX-Empty:\r\n"
					    "X-Some: value\r\n\r\n"),
			    "|/all|11|x||x|y|value");
	site_end(&site);
	return 0;
}

/* The answer to GET /file with @field, and its body, which begins with byte_at(@first). */
static void range_check(struct site *site, const char *method, const char *field, const char *status,
			const char *range, size_t first, size_t size)
{
	char *answers = malloc(SAID_SIZE), text[256], length[64];
	const char *body;

	(void)snprintf(text, sizeof(text), "%s /file HTTP/1.1\r\nHost: x\r\n%s\r\n", method, field);
	TASK_CHECK(site_say(site, text, strlen(text), SIZE_MAX, 0, answers), ==, 0);
	TASK_CHECK_CONTAINS(answers, status);
	TASK_CHECK_CONTAINS(answers, range);
	(void)snprintf(length, sizeof(length), "\r\nContent-Length: %zu\r\n", size);
	TASK_CHECK_CONTAINS(answers, length);
	body = strstr(answers, "\r\n\r\n") + 4;
	if (strcmp(method, "HEAD") != 0)
		bytes_check(body, size, first);
	else
		TASK_CHECK(*body, ==, 0);
	free(answers);
}

static int ranges(void *arg)
{
	struct site site;

	(void)arg;
	answers_begin(&site);
	range_check(&site, "GET", "", "200 OK", "Accept-Ranges: bytes", 0, FILE_SIZE);
	range_check(&site, "HEAD", "Range: bytes=0-1\r\n", "200 OK", "Accept-Ranges: bytes", 0, FILE_SIZE);
	range_check(&site, "GET", "Range: bytes=0-9\r\n", "206 Partial", "bytes 0-9/100000", 0, 10);
	range_check(&site, "GET", "Range: bytes=0-\r\n", "206 Partial", "bytes 0-99999/100000", 0, FILE_SIZE);
	range_check(&site, "GET", "Range: bytes=70000-\r\n", "206 ", "bytes 70000-99999/100000", 70000,
		    30000);
	range_check(&site, "GET", "Range: bytes=99999-200000\r\n", "206 ", "bytes 99999-99999/", 99999, 1);
	range_check(&site, "GET", "Range: bytes=-7\r\n", "206 Partial", "bytes 99993-99999/100000", 99993, 7);
	range_check(&site, "GET", "Range: bytes=-700000\r\n", "206 ", "bytes 0-99999/100000", 0, FILE_SIZE);
	range_check(&site, "GET", "Range: bytes=100000-\r\n", "416 ", "bytes */100000", 0, 0);
	range_check(&site, "GET", "Range: bytes=-0\r\n", "416 ", "bytes */100000", 0, 0);
	range_check(&site, "GET", "Range: bytes=99999999999999999999999-\r\n", "416 ", "*/100000", 0, 0);
	range_check(&site, "GET", "Range: bytes=5-3\r\n", "200 OK", "", 0, FILE_SIZE);
	range_check(&site, "GET", "Range: bytes=0-1,5-6\r\n", "200 OK", "", 0, FILE_SIZE);
	range_check(&site, "GET", "Range: lines=1-2\r\n", "200 OK", "", 0, FILE_SIZE);
	range_check(&site, "GET", "Range: bytes=-\r\n", "200 OK", "", 0, FILE_SIZE);
	range_check(&site, "GET", "Range: bytes=1-2\r\nIf-Range: \"x\"\r\n", "200 OK", "", 0, FILE_SIZE);
	site_end(&site);
	return 0;
}

/* A client that goes away meanwhile: its connection ends, and no handler has failed. */
static int file_is_left(void *arg)
{
	struct served served = {0};
	struct site site;
	char buf[64];

	(void)arg;
	answers_begin(&site);
	hilo_set_exception_handler(tells, NULL);
	store_relaxed(&told.times, 0);
	served_begin(&served, &site, 4096);
	stream_say(served.stream[0], ASK("/file"));
	TASK_CHECK(hilo_stream_read(served.stream[0], buf, sizeof(buf), HILO_FOREVER), >, 0);
	TASK_CHECK(hilo_stream_abort(served.stream[0]), ==, 0);
	TASK_CHECK(served_end(&served), ==, 0);
	TASK_CHECK(site_stats(&site).failed, ==, 0);
	TASK_CHECK(load_relaxed(&told.times), ==, 0);
	hilo_set_exception_handler(NULL, NULL);
	site_end(&site);
	return 0;
}

static void test_file_is_sent_whole_or_the_range_that_was_asked_for(void **state)
{
	static char data[FILE_SIZE];
	int fd;

	(void)state;
	bytes_fill(data, sizeof(data), 0);
	(void)snprintf(file_path, sizeof(file_path), "/tmp/hilo-http-XXXXXX");
	fd = mkstemp(file_path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, sizeof(data)), sizeof(data));
	close(fd);
	assert_int_equal(test_run(1, ranges, NULL), 0);
	assert_int_equal(test_run(4, ranges, NULL), 0);
	assert_int_equal(test_run(2, file_is_left, NULL), 0);
	unlink(file_path);
}

/* ---- Held back ---- */

/* The first answer does not wait for the second handler to end, though both requests came in one piece. */
TASK_TEST(test_answer_is_not_held_back_while_the_next_handler_waits)
{
	struct served served = {0};
	struct site site;
	char buf[1024];
	ssize_t n, used = 0;

	answers_begin(&site);
	served_begin(&served, &site, 0);
	stream_say(served.stream[0], ASK("/") ASK("/items/7") ASK("/wait") ASK("/items/9"));
	do {
		n = hilo_stream_read(served.stream[0], buf + used, sizeof(buf) - 1 - (size_t)used,
				     HILO_FOREVER);
		TASK_CHECK(n, >, 0);
		used += n;
		buf[used] = '\0';
	} while (!strstr(buf, "\r\n\r\n7"));
	TASK_CHECK_CONTAINS(buf, "hello");
	TASK_CHECK(strstr(buf, "at last"), ==, NULL);
	TASK_CHECK(hilo_event_set(&site.go), ==, 0);
	TASK_CHECK(hilo_stream_write_eof(served.stream[0]), ==, 0);
	(void)read_answers(served.stream[0], buf, sizeof(buf));
	TASK_CHECK_CONTAINS(buf, "at last");
	TASK_CHECK_CONTAINS(buf, "\r\n\r\n9");
	TASK_CHECK(served_end(&served), ==, 0);
	site_end(&site);
	return 0;
}

/* In the steady state nobody asks for memory; others of the runtime may now and then. */
TASK_TEST(test_request_needs_no_memory_once_the_connection_is_there)
{
	struct served served = {0};
	struct site site;
	char buf[1024];
	long before = 0;

	answers_begin(&site);
	served_begin(&served, &site, 0);
	for (int i = 0; i < 210; i++) {
		ssize_t used = 0, n;

		if (i == 10)
			before = hilo__mem_calls();
		stream_say(served.stream[0], ASK("/items/abc") ASK("/"));
		do {
			n = hilo_stream_read(served.stream[0], buf + used, sizeof(buf) - 1 - (size_t)used,
					     HILO_FOREVER);
			TASK_CHECK(n, >, 0);
			used += n;
			buf[used] = '\0';
		} while (!strstr(buf, "hello"));
	}
	TASK_CHECK(hilo__mem_calls() - before, <, 50); /* for 400 requests */
	TASK_CHECK(hilo_stream_write_eof(served.stream[0]), ==, 0);
	TASK_CHECK(served_end(&served), ==, 0);
	site_end(&site);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answer_in_one_piece),
		cmocka_unit_test(test_version_of_the_client_decides),
		cmocka_unit_test(test_answer_in_chunks_has_its_trailer),
		cmocka_unit_test(test_handler_that_fails_is_answered_for_and_told_once),
		cmocka_unit_test(test_answer_that_is_not_whole_ends_without_an_end),
		cmocka_unit_test(test_write_without_memory_leaves_no_hole),
		cmocka_unit_test(test_handler_may_not_do_what_breaks_the_message),
		cmocka_unit_test(test_request_tells_all_of_itself),
		cmocka_unit_test(test_file_is_sent_whole_or_the_range_that_was_asked_for),
		cmocka_unit_test(test_answer_is_not_held_back_while_the_next_handler_waits),
		cmocka_unit_test(test_request_needs_no_memory_once_the_connection_is_there),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
