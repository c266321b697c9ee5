/* SPDX-License-Identifier: MIT */
/* test_client.c - requests and responses: methods, fields, redirects, cookies, text, connections, proxies, misuse. */
#include "tests/unit/io/http_client/web.h"

TASK_TEST(test_get_gives_status_fields_and_body)
{
	hilo_http_response *response;
	struct web web;
	const char *name, *value;
	char buf[8];

	web_begin(&web, (hilo_http_session_opts){0}, (hilo_http_opts){0});
	TASK_CHECK(hilo_http_get(web.session, web_url(&web, "/#part"), &response, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_http_response_status(response), ==, 200);
	TASK_CHECK(hilo_http_response_version(response), ==, 11);
	TASK_CHECK(hilo_http_response_check(response), ==, 0);
	TASK_CHECK(hilo_http_response_redirects(response), ==, 0);
	TASK_CHECK_TEXT(hilo_http_response_url(response), web_url(&web, "/"));
	TASK_CHECK_TEXT(hilo_http_response_field(response, "content-LENGTH"), "5");
	TASK_CHECK(hilo_http_response_field(response, "X-None"), ==, NULL);
	TASK_CHECK(hilo_http_response_field_at(response, 0, &name, &value), ==, 0);
	TASK_CHECK(hilo_http_response_field_at(response, 99, &name, &value), ==, -ENOENT);
	TASK_CHECK(hilo_http_response_read(response, buf, 3, HILO_FOREVER), ==, 3);
	TASK_CHECK(memcmp(buf, "hel", 3), ==, 0);
	TASK_CHECK(hilo_http_response_read(response, buf, sizeof(buf), HILO_FOREVER), ==, 2);
	TASK_CHECK(hilo_http_response_read(response, buf, sizeof(buf), HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_http_response_trailer(response, "X-None"), ==, NULL);
	TASK_CHECK(hilo_http_response_close(response, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_http_response_close(response, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_http_response_read(response, buf, sizeof(buf), HILO_FOREVER), ==, HILO_ECLOSED);
	hilo_http_response_free(response);
	web_end(&web);
	return 0;
}

TASK_TEST(test_methods_and_bodies_arrive)
{
	static const struct {
		const char *method, *data, *wanted;
	} cases[] = {
		{"GET", NULL, "GET\nContent-Type: -\nContent-Length: -\n"},
		{"DELETE", NULL, "DELETE\nContent-Type: -\nContent-Length: -\n"},
		{"POST", "a=b", "POST\nContent-Type: text/plain\nContent-Length: 3\n"},
		{"PUT", "abc", "PUT\nContent-Type: text/plain\nContent-Length: 3\n"},
		{"PATCH", "", "PATCH\nContent-Type: text/plain\nContent-Length: 0\n"},
		{"POST", NULL, "POST\nContent-Type: text/plain\nContent-Length: 0\n"},
		{"DELETE", "abc", "DELETE\nContent-Type: text/plain\nContent-Length: 3\n"},
	};
	struct web web;

	web_begin(&web, (hilo_http_session_opts){0}, (hilo_http_opts){0});
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int status;
		char *text =
			web_fetch(&web,
				  (hilo_http_fetch_opts){.url = web_url(&web, "/what"),
							 .method = cases[i].method,
							 .type = "text/plain",
							 .data = cases[i].data,
							 .data_size = strlen(text_or(cases[i].data, ""))},
				  &status);

		TASK_CHECK(status, ==, 200);
		TASK_CHECK_CONTAINS(text, cases[i].wanted);
		TASK_CHECK_TEXT(strstr(text, "\n\n") + 2, text_or(cases[i].data, ""));
		free(text);
	}
	web_end(&web);
	return 0;
}

TASK_TEST(test_usual_requests_are_what_they_say)
{
	hilo_http_response *response;
	struct web web;
	char *text;

	web_begin(&web, (hilo_http_session_opts){0}, (hilo_http_opts){0});
	TASK_CHECK(hilo_http_head(web.session, web_url(&web, "/"), &response, HILO_FOREVER), ==, 0);
	TASK_CHECK_TEXT(hilo_http_response_field(response, "Content-Length"), "5");
	TASK_CHECK(hilo_http_response_read_all(response, 10, &text, HILO_FOREVER), ==, 0);
	TASK_CHECK_TEXT(text, "");
	free(text);
	hilo_http_response_free(response);
	for (int i = 0; i < 4; i++) {
		static const char *const wanted[] = {"POST\n", "PUT\n", "PATCH\n", "DELETE\n"};
		const char *url = web_url(&web, "/what");
		int rc = i == 0	  ? hilo_http_post(web.session, url, "a/b", "x", 1, &response, HILO_FOREVER)
			 : i == 1 ? hilo_http_put(web.session, url, "a/b", NULL, 0, &response, HILO_FOREVER)
			 : i == 2 ? hilo_http_patch(web.session, url, "a/b", "x", 1, &response, HILO_FOREVER)
				  : hilo_http_delete(web.session, url, &response, HILO_FOREVER);

		TASK_CHECK(rc, ==, 0);
		TASK_CHECK(hilo_http_response_read_all(response, 1000, &text, HILO_FOREVER), >, 0);
		TASK_CHECK(strncmp(text, wanted[i], strlen(wanted[i])), ==, 0);
		free(text);
		hilo_http_response_free(response);
	}
	web_end(&web);
	return 0;
}

TASK_TEST(test_fields_of_requests_replace_those_of_sessions)
{
	static const hilo_http_header of_all[] = {{"X-A", "session"}, {"Authorization", "s"}};
	static const hilo_http_header of_one[] = {{"x-a", "request"}, {"User-Agent", NULL}, {"Cookie", ""}};
	struct web web;
	char *text;
	int status;

	web_begin(&web, (hilo_http_session_opts){.headers = of_all, .n_headers = 2, .user_agent = "tests"},
		  (hilo_http_opts){0});
	text = web_get(&web, "/what", &status);
	TASK_CHECK_CONTAINS(text, "Authorization: s\nX-A: session\nCookie: -\nUser-Agent: tests\n");
	free(text);
	text = web_fetch(
		&web,
		(hilo_http_fetch_opts){.url = web_url(&web, "/what"), .headers = of_one, .n_headers = 3},
		&status);
	TASK_CHECK_CONTAINS(text, "Authorization: s\nX-A: request\nCookie: \nUser-Agent: -\n");
	free(text);
	text = web_fetch(
		&web, (hilo_http_fetch_opts){.url = web_url(&web, "/what"), .user = "me", .password = "it"},
		&status);
	TASK_CHECK_CONTAINS(text, "Authorization: ");
	free(text);
	web_end(&web);
	return 0;
}

TASK_TEST(test_user_and_password_are_sent_from_url_and_options)
{
	struct web web;
	char *text, url[1024];
	int status;

	web_begin(&web, (hilo_http_session_opts){0}, (hilo_http_opts){0});
	snprintf(url, sizeof(url), "http://me:it%%20is@%s/what", web.base + 7);
	text = web_fetch(&web, (hilo_http_fetch_opts){.url = url}, &status);
	TASK_CHECK_CONTAINS(text, "Authorization: Basic bWU6aXQgaXM=\n");
	free(text);
	text = web_fetch(&web, (hilo_http_fetch_opts){.url = url, .user = "a", .password = "b"}, &status);
	TASK_CHECK_CONTAINS(text, "Authorization: Basic YTpi\n");
	free(text);
	web_end(&web);
	return 0;
}

static int echo_encoding(hilo_http_request *request, void *arg)
{
	const char *accepted = text_or(hilo_http_field(request, "Accept-Encoding"), "nothing");

	(void)arg;
	return hilo_http_respond(request, 200, "text/plain", accepted, strlen(accepted), HILO_FOREVER);
}

/* Whether they are written here or by libcurl, what is asked for is the same. */
TASK_TEST(test_encodings_are_asked_for_as_libcurl_does)
{
	static const hilo_http_header more[] = {{"X-A", "a"}}, other[] = {{"accept-encoding", "br;q=0.1"}};
	struct web web;
	char *text, *again;
	int status;

	for (int i = 0; i < 3; i++) {
		hilo_http_session_opts opts = {
			.flags = i == 1 ? HILO_HTTP_IDENTITY : 0, .headers = other, .n_headers = i == 2};

		web_begin_with(&web, opts, (hilo_http_opts){0}, echo_encoding);
		text = web_get(&web, "/extra", &status);
		again = web_fetch(&web,
				  (hilo_http_fetch_opts){
					  .url = web_url(&web, "/extra"), .headers = more, .n_headers = 1},
				  &status);
		TASK_CHECK_TEXT(text, again);
		if (i)
			TASK_CHECK_TEXT(text, i == 1 ? "nothing" : "br;q=0.1");
		free(text);
		free(again);
		web_end(&web);
	}
	return 0;
}

TASK_TEST(test_user_agent_can_be_none)
{
	static const hilo_http_header none[] = {{"User-Agent", NULL}};
	struct web web;
	int status;

	for (int i = 0; i < 2; i++) {
		hilo_http_session_opts opts = {
			.user_agent = i ? NULL : "", .headers = none, .n_headers = (size_t)i};
		char *text;

		web_begin(&web, opts, (hilo_http_opts){0});
		text = web_get(&web, "/what", &status);
		TASK_CHECK_CONTAINS(text, "\nUser-Agent: -\n");
		free(text);
		web_end(&web);
	}
	return 0;
}

/* What serves a request has served others: nothing of those is in it. */
TASK_TEST(test_requests_have_nothing_of_those_before)
{
	static const hilo_http_header fields[] = {{"X-A", "a"}, {"User-Agent", "other"}};
	static const char wanted[] = "GET\nContent-Type: -\nContent-Length: -\nTransfer-Encoding: -\n"
				     "Authorization: -\nX-A: -\nCookie: -\nUser-Agent: tests\n";
	hilo_http_response *response;
	struct web web;
	int status;

	web_begin(&web, (hilo_http_session_opts){.user_agent = "tests"}, (hilo_http_opts){0});
	for (int i = 0; i < 20; i++) {
		char *text = web_fetch(&web,
				       (hilo_http_fetch_opts){.url = web_url(&web, "/what"),
							      .method = i & 1 ? "PUT" : "POST",
							      .type = "a/b",
							      .data = "body",
							      .data_size = 4,
							      .headers = fields,
							      .n_headers = 2,
							      .user = "me",
							      .password = "it",
							      .flags = HILO_HTTP_IDENTITY},
				       &status);

		TASK_CHECK_CONTAINS(text, "Content-Type: a/b\nContent-Length: 4\n");
		TASK_CHECK_CONTAINS(text,
				    "Authorization: Basic bWU6aXQ=\nX-A: a\nCookie: -\nUser-Agent: other\n");
		free(text);
		text = web_get(&web, "/what", &status);
		TASK_CHECK(strncmp(text, wanted, strlen(wanted)), ==, 0);
		free(text);
		TASK_CHECK(hilo_http_head(web.session, web_url(&web, "/"), &response, HILO_FOREVER), ==, 0);
		hilo_http_response_free(response);
		text = web_get(&web, "/", &status);
		TASK_CHECK_TEXT(text, "hello");
		free(text);
	}
	TASK_CHECK(web_stats(&web).failed, ==, 0);
	web_end(&web);
	return 0;
}

/* ---- Redirects ---- */

TASK_TEST(test_redirects_are_followed_with_the_method_they_ask_for)
{
	static const struct {
		const char *path, *method, *wanted;
	} cases[] = {
		{"/to/301?to=/what", "POST", "GET\nContent-Type: -\nContent-Length: -\n"},
		{"/to/302?to=/what", "PUT", "PUT\nContent-Type: -\nContent-Length: 4\n"},
		{"/to/303?to=/what", "PUT", "GET\nContent-Type: -\nContent-Length: -\n"},
		{"/to/307?to=../what", "POST", "POST\nContent-Type: -\nContent-Length: 4\n"},
		{"/to/307?to=/what", "POST", "POST\nContent-Type: -\nContent-Length: 4\n"},
		{"/to/308?to=/to/307%3Fto=/what", "POST", "POST\nContent-Type: -\nContent-Length: 4\n"},
	};
	struct web web;

	web_begin(&web, (hilo_http_session_opts){0}, (hilo_http_opts){0});
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int status;
		char *text = web_fetch(&web,
				       (hilo_http_fetch_opts){.url = web_url(&web, cases[i].path),
							      .method = cases[i].method,
							      .data = "body",
							      .data_size = 4},
				       &status);

		TASK_CHECK(status, ==, 200);
		TASK_CHECK(strncmp(text, cases[i].wanted, strlen(cases[i].wanted)), ==, 0);
		free(text);
	}
	TASK_CHECK(web_stats(&web).connections, ==, 1);
	web_end(&web);
	return 0;
}

TASK_TEST(test_redirects_have_a_limit_and_can_be_left_alone)
{
	hilo_http_fetch_opts opts = {.size = sizeof(opts)};
	hilo_http_response *response;
	struct web web;

	web_begin(&web, (hilo_http_session_opts){.redirects = 3}, (hilo_http_opts){0});
	TASK_CHECK(hilo_http_get(web.session, web_url(&web, "/to/302?to=/to/302"), &response, HILO_FOREVER),
		   ==, 0);
	TASK_CHECK(hilo_http_response_status(response), ==, 302); /* it does not say where to */
	TASK_CHECK(hilo_http_response_redirects(response), ==, 1);
	TASK_CHECK_TEXT(hilo_http_response_url(response), web_url(&web, "/to/302"));
	hilo_http_response_free(response);
	opts.url = web_url(&web, "/to/302?to=/what");
	opts.flags = HILO_HTTP_NO_REDIRECTS;
	TASK_CHECK(hilo_http_fetch(web.session, &opts, &response, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_http_response_status(response), ==, 302);
	TASK_CHECK_TEXT(hilo_http_response_field(response, "location"), "/what");
	hilo_http_response_free(response);
	TASK_CHECK(
		hilo_http_get(web.session,
			      web_url(&web, "/to/302?to=/to/302%3Fto=/to/302%253Fto=/to/302%25253Fto=/what"),
			      &response, HILO_FOREVER),
		==, -ELOOP);
	TASK_CHECK_CONTAINS(hilo_error_message(), "more than 3 redirects");
	TASK_CHECK(hilo_http_get(web.session, web_url(&web, "/to/302?to=ftp://x/"), &response, HILO_FOREVER),
		   ==, -EPROTONOSUPPORT);
	TASK_CHECK(hilo_http_get(web.session, web_url(&web, "/to/302?to=file:///etc/passwd"), &response,
				 HILO_FOREVER),
		   ==, -EPROTONOSUPPORT);
	web_end(&web);
	return 0;
}

TASK_TEST(test_redirect_to_another_host_takes_no_secrets_along)
{
	static const hilo_http_header secret[] = {{"Authorization", "mine"}, {"Cookie", "c=d"}, {"X-A", "a"}};
	struct web web, other;
	char *text, path[256];
	int status;

	web_begin(&web, (hilo_http_session_opts){.headers = secret + 1, .n_headers = 1}, (hilo_http_opts){0});
	web_begin(&other, (hilo_http_session_opts){0}, (hilo_http_opts){0});
	snprintf(path, sizeof(path), "/to/302?to=%s/what", other.base);
	text = web_fetch(
		&web, (hilo_http_fetch_opts){.url = web_url(&web, path), .headers = secret, .n_headers = 3},
		&status);
	TASK_CHECK_CONTAINS(text, "Authorization: -\nX-A: a\nCookie: -\n");
	free(text);
	text = web_fetch(&web,
			 (hilo_http_fetch_opts){.url = web_url(&web, path), .user = "me", .password = "it"},
			 &status);
	TASK_CHECK_CONTAINS(text, "Authorization: -\nX-A: -\nCookie: -\n");
	free(text);
	text = web_fetch(&web,
			 (hilo_http_fetch_opts){
				 .url = web_url(&web, "/to/302?to=/what"), .user = "me", .password = "it"},
			 &status);
	TASK_CHECK_CONTAINS(text, "Authorization: Basic bWU6aXQ=\n");
	free(text);
	web_end(&other);
	web_end(&web);
	return 0;
}

/* ---- Cookies, compression, text ---- */

TASK_TEST(test_cookies_are_kept_unless_they_are_not_wanted)
{
	for (int kept = 0; kept < 2; kept++) {
		struct web web;
		char *text;
		int status;

		web_begin(&web, (hilo_http_session_opts){.flags = kept ? 0 : HILO_HTTP_NO_COOKIES},
			  (hilo_http_opts){0});
		free(web_get(&web, "/cookie?is=a%3Db", &status));
		text = web_get(&web, "/what", &status);
		TASK_CHECK_CONTAINS(text, kept ? "Cookie: a=b\n" : "Cookie: -\n");
		free(text);
		TASK_CHECK(hilo_http_session_clear_cookies(web.session), ==, kept ? 0 : HILO_EINVALSTATE);
		TASK_CHECK(hilo_http_session_add_cookie(web.session, "c=d; domain=127.0.0.1; path=/"), ==,
			   kept ? 0 : HILO_EINVALSTATE);
		TASK_CHECK(hilo_http_session_add_cookie(web.session, "c=d\r\nx: y"), ==, -EINVAL);
		text = web_get(&web, "/what", &status);
		TASK_CHECK_CONTAINS(text, kept ? "Cookie: c=d\n" : "Cookie: -\n");
		free(text);
		web_end(&web);
	}
	return 0;
}

/* "hello " a hundred times. */
static const unsigned char zipped[] = {0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0xcb,
				       0x48, 0xcd, 0xc9, 0xc9, 0x57, 0xc8, 0x18, 0x25, 0x47, 0x49, 0xaa,
				       0x92, 0x00, 0xf3, 0x31, 0xa2, 0x0d, 0x58, 0x02, 0x00, 0x00};

static int zip(hilo_http_request *request, void *arg)
{
	const char *accepted = hilo_http_field(request, "Accept-Encoding");
	int rc = hilo_http_add_field(request, "Content-Encoding", "gzip");

	(void)arg;
	rc = rc < 0 ? rc : hilo_http_add_field(request, "X-Accepted", text_or(accepted, "nothing"));
	return rc < 0 ? rc
		      : hilo_http_respond(request, 200, "text/plain", zipped, sizeof(zipped), HILO_FOREVER);
}

TASK_TEST(test_compressed_bodies_are_unpacked)
{
	hilo_http_fetch_opts opts = {.size = sizeof(opts), .flags = HILO_HTTP_IDENTITY};
	hilo_http_response *response;
	struct web web;
	char *text;

	web_begin_with(&web, (hilo_http_session_opts){0}, (hilo_http_opts){0}, zip);
	TASK_CHECK(hilo_http_get(web.session, web_url(&web, "/extra"), &response, HILO_FOREVER), ==, 0);
	TASK_CHECK_CONTAINS(hilo_http_response_field(response, "X-Accepted"), "gzip");
	TASK_CHECK(hilo_http_response_read_all(response, 600, &text, HILO_FOREVER), ==, 600);
	TASK_CHECK(strncmp(text + 594, "hello ", 6), ==, 0);
	free(text);
	hilo_http_response_free(response);
	opts.url = web_url(&web, "/extra");
	TASK_CHECK(hilo_http_fetch(web.session, &opts, &response, HILO_FOREVER), ==, 0);
	TASK_CHECK_TEXT(hilo_http_response_field(response, "X-Accepted"), "nothing");
	TASK_CHECK(hilo_http_response_read_all(response, 600, &text, HILO_FOREVER), ==, sizeof(zipped));
	free(text);
	hilo_http_response_free(response);
	web_end(&web);
	return 0;
}

TASK_TEST(test_text_counts_characters_of_its_charset)
{
	static const struct {
		const char *path;
		ssize_t bytes;
		size_t characters;
		const char *text;
	} cases[] = {
		{"/typed?type=text/html&text=a%C3%B1o", 4, 3, "a\xc3\xb1o"},
		{"/typed?type=text/html;charset%3DUTF-8&text=%E2%82%AC%F0%9F%98%80", 7, 2, NULL},
		{"/typed?type=text/html;%20Charset%3D%22ISO-8859-1%22&text=a%F1o", 4, 3, "a\xc3\xb1o"},
		{"/typed?type=text/html;charset%3Dus-ascii&text=abc", 3, 3, "abc"},
		{"/typed?type=text/"
		 "html&text=0123456789012345678901234567890%C3%B101234567890123456789012345678901",
		 65, 64, NULL},
		{"/typed?type=text/html;charset%3Dwindows-1252&text=%80", 3, 1, "\xe2\x82\xac"},
		{"/typed?type=text/html;charset%3DUTF-16LE&text=a", -EILSEQ, 0, NULL},
		{"/typed?type=text/html;charset%3Dnone-at-all&text=a", -EOPNOTSUPP, 0, NULL},
		{"/typed?type=text/html&text=a%C3", -EILSEQ, 0, NULL},
		{"/typed?type=text/html&text=a%C0%80", -EILSEQ, 0, NULL},
		{"/typed?type=text/html&text=%ED%A0%80", -EILSEQ, 0, NULL},
		{"/typed?type=text/html;charset%3Dus-ascii&text=%C3%B1", -EILSEQ, 0, NULL},
		{"/typed?type=text/html&text=", 0, 0, ""},
	};
	struct web web;

	web_begin(&web, (hilo_http_session_opts){0}, (hilo_http_opts){0});
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		hilo_http_response *response;
		size_t characters = 99;
		char *text = NULL;

		TASK_CHECK(hilo_http_get(web.session, web_url(&web, cases[i].path), &response, HILO_FOREVER),
			   ==, 0);
		TASK_CHECK(hilo_http_response_text(response, 100, &text, &characters, HILO_FOREVER), ==,
			   cases[i].bytes);
		if (cases[i].bytes >= 0) {
			TASK_CHECK(characters, ==, cases[i].characters);
			if (cases[i].text)
				TASK_CHECK_TEXT(text, cases[i].text);
			free(text);
		}
		hilo_http_response_free(response);
	}
	web_end(&web);
	return 0;
}

TASK_TEST(test_text_that_was_not_decoded_in_time_is_there_again)
{
	hilo_http_response *response;
	ssize_t n = -ETIMEDOUT;
	struct web web;
	char *text;

	web_begin(&web, (hilo_http_session_opts){0}, (hilo_http_opts){0});
	TASK_CHECK(hilo_http_get(web.session,
				 web_url(&web, "/typed?type=text/html;charset%3Dwindows-1252&text=%80"),
				 &response, HILO_FOREVER),
		   ==, 0);
	TEST_UNTIL(web_stats(&web).running == 0);
	for (int i = 0; i < 10 && n == -ETIMEDOUT; i++) /* mostly the thread is not as fast as that */
		n = hilo_http_response_text(response, 100, &text, NULL, HILO_NO_WAIT);
	if (n == -ETIMEDOUT)
		n = hilo_http_response_text(response, 100, &text, NULL, HILO_FOREVER);
	TASK_CHECK(n, ==, 3);
	TASK_CHECK_TEXT(text, "\xe2\x82\xac");
	free(text);
	hilo_http_response_free(response);
	web_end(&web);
	return 0;
}

/* ---- Connections ---- */

TASK_TEST(test_connection_is_kept_for_the_next_request)
{
	struct web web;
	int status;

	web_begin(&web, (hilo_http_session_opts){0}, (hilo_http_opts){0});
	for (int i = 0; i < 10; i++)
		free(web_get(&web, "/items/1", &status));
	TASK_CHECK(web_stats(&web).connections, ==, 1);
	TASK_CHECK(web_stats(&web).transfers, ==, 10);
	TASK_CHECK(web_stats(&web).failed, ==, 0);
	TASK_CHECK(site_stats(&web.site).connections, ==, 1);
	web_end(&web);
	return 0;
}

static int get_wait(void *arg)
{
	struct web *web = arg;
	char url[128], *text;
	hilo_http_response *response;

	snprintf(url, sizeof(url), "%s/wait", web->base);
	TASK_CHECK(hilo_http_get(web->session, url, &response, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_http_response_read_all(response, 100, &text, HILO_FOREVER), ==, 7);
	free(text);
	hilo_http_response_free(response);
	return 0;
}

TASK_TEST(test_limits_of_connections_hold)
{
	for (int host = 0; host < 2; host++) {
		hilo_http_session_opts opts = {.connections = host ? 0 : 3, .host_connections = host ? 3 : 0};
		hilo_task *tasks[9];
		struct web web;

		web_begin(&web, opts, (hilo_http_opts){0});
		for (int i = 0; i < 9; i++)
			tasks[i] = hilo_spawn(get_wait, &web);
		TEST_UNTIL(load_relaxed(&web.site.waiting) == 3 && web_stats(&web).running == 9);
		for (int i = 0; i < 100; i++)
			test_pause();
		TASK_CHECK(load_relaxed(&web.site.waiting), ==, 3);
		TASK_CHECK(hilo_event_set(&web.site.go), ==, 0);
		for (int i = 0; i < 9; i++)
			TASK_CHECK(hilo_join(tasks[i], HILO_FOREVER), ==, 0);
		TASK_CHECK(web_stats(&web).connections, ==, 3);
		TASK_CHECK(web_stats(&web).running, ==, 0);
		web_end(&web);
	}
	return 0;
}

/* What goes over the wire, without TLS: test_client_h2.c has the rest. */
TASK_TEST(test_versions_are_spoken_as_asked_for)
{
	static const struct {
		int asked;
		const char *line, *answer;
		int answered;
	} cases[] = {
		{10, "GET /a?b HTTP/1.0\r\n", "HTTP/1.0 200 OK\r\n\r\nhi", 10},
		{11, "GET /a?b HTTP/1.1\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", 11},
		{11, "GET /a?b HTTP/1.1\r\n", "HTTP/1.0 200 OK\r\n\r\nhi", 10},
		{0, "GET /a?b HTTP/1.1\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", 11},
		{20, "GET /a?b HTTP/1.1\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", 11},
	};

	for (size_t i = 0; i < array_size(cases); i++) {
		hilo_http_session_opts opts = {.size = sizeof(opts), .version = cases[i].asked};
		hilo_http_session *session;
		hilo_http_response *response;
		struct teller teller;
		char url[128], host[128], *text;

		teller_begin(&teller, cases[i].answer, false);
		snprintf(url, sizeof(url), "%s/a?b#part", teller.base);
		snprintf(host, sizeof(host), "\r\nHost: %.50s\r\n", teller.base + 7);
		TASK_CHECK(hilo_http_session_new(&opts, &session), ==, 0);
		TASK_CHECK(hilo_http_get(session, url, &response, HILO_FOREVER), ==, 0);
		TASK_CHECK(hilo_http_response_version(response), ==, cases[i].answered);
		TASK_CHECK(hilo_http_response_read_all(response, 10, &text, HILO_FOREVER), ==, 2);
		TASK_CHECK(strncmp(teller.heard, cases[i].line, strlen(cases[i].line)), ==, 0);
		TASK_CHECK_CONTAINS(teller.heard, host);
		TASK_CHECK(strstr(teller.heard, "Upgrade"), ==, NULL);
		TASK_CHECK(strstr(teller.heard, "Transfer-Encoding"), ==, NULL);
		free(text);
		hilo_http_response_free(response);
		hilo_http_session_free(session);
		teller_end(&teller);
	}
	return 0;
}

/* ---- Proxies ---- */

TASK_TEST(test_proxy_is_asked_for_what_it_is_for)
{
	hilo_http_session_opts opts = {.size = sizeof(opts), .no_proxy = "other.test, direct.test"};
	hilo_http_session *session;
	hilo_http_response *response;
	struct teller proxy;
	char *text;

	teller_begin(&proxy, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", false);
	opts.proxy = proxy.base;
	TASK_CHECK(hilo_http_session_new(&opts, &session), ==, 0);
	TASK_CHECK(hilo_http_get(session, "http://nowhere.test/a", &response, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_http_response_read_all(response, 10, &text, HILO_FOREVER), ==, 2);
	TASK_CHECK_CONTAINS(proxy.heard, "GET http://nowhere.test/a HTTP/1.1\r\n");
	free(text);
	hilo_http_response_free(response);
	hilo_http_session_free(session);
	teller_end(&proxy);
	return 0;
}

TASK_TEST(test_proxy_that_refuses_a_tunnel_fails_the_request)
{
	hilo_http_session_opts opts = {.size = sizeof(opts)};
	hilo_http_session *session;
	hilo_http_response *response;
	struct teller proxy;

	teller_begin(&proxy, "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", false);
	opts.proxy = proxy.base;
	TASK_CHECK(hilo_http_session_new(&opts, &session), ==, 0);
	TASK_CHECK(hilo_http_get(session, "https://nowhere.test/a", &response, HILO_FOREVER), <, 0);
	TASK_CHECK_CONTAINS(hilo_error_message(), "https://nowhere.test/a");
	TASK_CHECK_CONTAINS(proxy.heard, "CONNECT nowhere.test:443 HTTP/1.1\r\n");
	hilo_http_session_free(session);
	teller_end(&proxy);
	return 0;
}

/* ---- Failures ---- */

TASK_TEST(test_failures_say_what_and_where)
{
	static const struct {
		const char *url;
		int code;
		const char *message;
	} cases[] = {
		{"http://127.0.0.1:1/", -ECONNREFUSED, "GET http://127.0.0.1:1/: "},
		{"ftp://127.0.0.1/", -EPROTONOSUPPORT, "ftp://127.0.0.1/: neither http nor https"},
		{"file:///etc/passwd", -EPROTONOSUPPORT, "neither"},
		{"example.com", -EINVAL, "example.com: "},
		{"http://", -EINVAL, "http://: "},
		{"http://a:99999/", -EINVAL, ""},
		{"", -EINVAL, ""},
		{"http://no-such-name.invalid/", HILO_ENONAME, "no-such-name.invalid"},
	};
	hilo_http_session *session;
	hilo_http_response *response = NULL;

	TASK_CHECK(hilo_http_session_new(NULL, &session), ==, 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int rc = hilo_http_get(session, cases[i].url, &response, HILO_FOREVER);

		if (cases[i].code == HILO_ENONAME && (rc == -EAGAIN || rc == -EIO))
			continue; /* nobody to ask */
		TASK_CHECK(rc, ==, cases[i].code);
		TASK_CHECK_CONTAINS(hilo_error_message(), cases[i].message);
	}
	TASK_CHECK(response, ==, NULL);
	hilo_http_session_free(session);
	return 0;
}

TASK_TEST(test_status_is_checked_when_asked_for)
{
	hilo_http_response *response;
	struct web web;

	web_begin(&web, (hilo_http_session_opts){0}, (hilo_http_opts){0});
	TASK_CHECK(hilo_http_get(web.session, web_url(&web, "/none"), &response, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_http_response_check(response), ==, -EREMOTEIO);
	TASK_CHECK_CONTAINS(hilo_error_message(), "/none: status 404");
	hilo_http_response_free(response);
	web_end(&web);
	return 0;
}

TASK_TEST(test_misuse_is_told)
{
	static const hilo_http_header bad_name[] = {{"a b", "x"}}, bad_value[] = {{"a", "x\r\nb: c"}};
	static const hilo_http_fetch_opts wrong[] = {
		{.url = NULL},
		{.url = "http://x/", .method = "G T"},
		{.url = "http://x/", .method = "CONNECT"},
		{.url = "http://x/", .method = "HEAD", .data = "a", .data_size = 1},
		{.url = "http://x/", .flags = 1u << 20},
		{.url = "http://x/", .flags = HILO_HTTP_NO_COOKIES},
		{.url = "http://x/", .n_headers = 1},
		{.url = "http://x/", .data_size = 1},
		{.url = "http://127.0.0.1/", .headers = bad_name, .n_headers = 1},
		{.url = "http://127.0.0.1/", .headers = bad_value, .n_headers = 1},
	};
	hilo_http_session_opts opts = {.size = sizeof(opts), .flags = 1u << 20};
	hilo_http_session_stats stats = {.size = 3};
	hilo_http_session *session = NULL;
	hilo_http_response *response = NULL;

	TASK_CHECK(hilo_http_session_new(&opts, &session), ==, -EINVAL);
	opts = (hilo_http_session_opts){.size = sizeof(opts), .version = 12};
	TASK_CHECK(hilo_http_session_new(&opts, &session), ==, -EINVAL);
	opts = (hilo_http_session_opts){.size = sizeof(opts), .proxy = "socks5://x:1"};
	TASK_CHECK(hilo_http_session_new(&opts, &session), ==, -EINVAL);
	opts = (hilo_http_session_opts){.size = 8};
	TASK_CHECK(hilo_http_session_new(&opts, &session), ==, -EINVAL);
	TASK_CHECK(hilo_http_session_new(NULL, NULL), ==, -EINVAL);
	TASK_CHECK(session, ==, NULL);
	TASK_CHECK(hilo_http_session_new(NULL, &session), ==, 0);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		hilo_http_fetch_opts fetch = wrong[i];

		fetch.size = sizeof(fetch);
		TASK_CHECK(hilo_http_fetch(session, &fetch, &response, HILO_FOREVER), ==, -EINVAL);
	}
	TASK_CHECK(hilo_http_get(NULL, "http://x/", &response, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_http_get(session, "http://x/", NULL, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_http_session_get_stats(session, &stats), ==, -EINVAL);
	TASK_CHECK(hilo_http_response_status(NULL), ==, 0);
	TASK_CHECK(hilo_http_response_read(NULL, &stats, 1, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_http_response_close(NULL, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_http_session_close(NULL, HILO_FOREVER), ==, -EINVAL);
	hilo_http_response_free(NULL);
	hilo_http_session_free(NULL);
	hilo_http_session_free(session);
	return 0;
}

TASK_TEST(test_nothing_of_a_session_can_break_a_header)
{
	static const char *const none[] = {"nonsense", "=b", "a; b=c", "", "a=b\r\nX-B: c"};
	hilo_http_session_opts opts = {.size = sizeof(opts), .user_agent = "a\r\nX-B: c"};
	hilo_http_session *session;

	TASK_CHECK(hilo_http_session_new(&opts, &session), ==, -EINVAL);
	opts.user_agent = "a b/1";
	TASK_CHECK(hilo_http_session_new(&opts, &session), ==, 0);
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		TASK_CHECK(hilo_http_session_add_cookie(session, none[i]), ==, -EINVAL);
	TASK_CHECK(hilo_http_session_add_cookie(session, " a=; domain=example.com"), ==, 0);
	hilo_http_session_free(session);
	return 0;
}

TASK_TEST(test_blocks_close_what_they_have)
{
	struct web web;
	int rc, inner = 1, rounds = 0;

	web_begin(&web, (hilo_http_session_opts){0}, (hilo_http_opts){0});
	HILO_WITH_HTTP_SESSION (session, NULL, &rc) {
		HILO_WITH_HTTP_GET (response, session, web_url(&web, "/sized/3000000"), &inner) {
			TASK_CHECK(hilo_http_response_status(response), ==, 200);
			rounds++;
			if (rounds)
				break;
			rounds = 99;
		}
		TASK_CHECK(inner, ==, 0);
		TASK_CHECK(rounds, ==, 1);
		HILO_WITH_HTTP_GET (response, session, "http://127.0.0.1:1/", &inner) {
			(void)response;
			rounds = 99;
		}
		TASK_CHECK(inner, ==, -ECONNREFUSED);
	}
	TASK_CHECK(rc, ==, 0);
	TASK_CHECK(rounds, ==, 1);
	web_end(&web);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_get_gives_status_fields_and_body),
		cmocka_unit_test(test_methods_and_bodies_arrive),
		cmocka_unit_test(test_usual_requests_are_what_they_say),
		cmocka_unit_test(test_fields_of_requests_replace_those_of_sessions),
		cmocka_unit_test(test_user_and_password_are_sent_from_url_and_options),
		cmocka_unit_test(test_encodings_are_asked_for_as_libcurl_does),
		cmocka_unit_test(test_user_agent_can_be_none),
		cmocka_unit_test(test_requests_have_nothing_of_those_before),
		cmocka_unit_test(test_redirects_are_followed_with_the_method_they_ask_for),
		cmocka_unit_test(test_redirects_have_a_limit_and_can_be_left_alone),
		cmocka_unit_test(test_redirect_to_another_host_takes_no_secrets_along),
		cmocka_unit_test(test_cookies_are_kept_unless_they_are_not_wanted),
		cmocka_unit_test(test_compressed_bodies_are_unpacked),
		cmocka_unit_test(test_text_counts_characters_of_its_charset),
		cmocka_unit_test(test_text_that_was_not_decoded_in_time_is_there_again),
		cmocka_unit_test(test_connection_is_kept_for_the_next_request),
		cmocka_unit_test(test_limits_of_connections_hold),
		cmocka_unit_test(test_versions_are_spoken_as_asked_for),
		cmocka_unit_test(test_proxy_is_asked_for_what_it_is_for),
		cmocka_unit_test(test_proxy_that_refuses_a_tunnel_fails_the_request),
		cmocka_unit_test(test_failures_say_what_and_where),
		cmocka_unit_test(test_status_is_checked_when_asked_for),
		cmocka_unit_test(test_misuse_is_told),
		cmocka_unit_test(test_nothing_of_a_session_can_break_a_header),
		cmocka_unit_test(test_blocks_close_what_they_have),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
