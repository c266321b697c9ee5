/* SPDX-License-Identifier: MIT */
/* test_router.c - which handler answers what: patterns, their parts, methods, hooks, and what is no pattern. */
#include "tests/unit/io/http/site.h"

#include "scheduler/base/mem.h"

static int named(hilo_http_request *request, void *arg)
{
	const char *name = arg;
	char text[256];

	(void)snprintf(text, sizeof(text), "%s a=%s b=%s rest=%s", name,
		       hilo_http_param(request, "a") ? hilo_http_param(request, "a") : "-",
		       hilo_http_param(request, "b") ? hilo_http_param(request, "b") : "-",
		       hilo_http_param(request, "rest") ? hilo_http_param(request, "rest") : "-");
	return hilo_http_respond(request, 200, "text/plain", text, strlen(text), HILO_FOREVER);
}

static const struct {
	const char *method, *pattern;
} routes[] = {
	{"GET", "/"},
	{"GET", "/a"},
	{"GET", "/a/"},
	{"GET", "/a/{a}"},
	{"POST", "/a/{a}"},
	{"GET", "/a/b"},
	{"GET", "/a/{a}/c/{b}"},
	{"GET", "/a/b/{rest...}"},
	{"GET", "/{rest...}"},
	{"GET", "/x/{a}/y"},
	{"GET", "/x/1/z"},
	{"HEAD", "/h"},
	{"GET", "/h"},
	{"OPTIONS", "/h"},
	{"DELETE", "/only"},
	{"GET", "/sp%20ce"}, /* as it stands: escapes are of requests */
};

static void routes_add(struct site *site)
{
	memset(site, 0, sizeof(*site));
	TASK_CHECK(hilo_event_init(&site->go, 0), ==, 0);
	TASK_CHECK(hilo_http_router_new(&site->router), ==, 0);
	for (size_t i = 0; i < array_size(routes); i++) {
		static char name[array_size(routes)][64];

		(void)snprintf(name[i], sizeof(name[i]), "%s %s", routes[i].method, routes[i].pattern);
		TASK_CHECK(hilo_http_router_add(site->router, routes[i].method, routes[i].pattern, named,
						name[i]),
			   ==, 0);
	}
}

static const struct {
	const char *asked, *answer; /* a part of it */
} cases[] = {
	{"GET / ", "GET / a=- b=- rest=-"},
	{"GET /?x=1 ", "GET / a=- b=- rest=-"},
	{"GET /a ", "GET /a a=- b=- rest=-"},
	{"GET /a/ ", "GET /a/ a=- b=- rest=-"},
	{"GET /a/b ", "GET /a/b a=- b=- rest=-"},
	{"GET /a/x ", "GET /a/{a} a=x b=- rest=-"},
	{"POST /a/x ", "POST /a/{a} a=x b=- rest=-"},
	{"POST /a/b ", "405 Method Not Allowed"},
	{"GET /a/x%2Fy%20z ", "GET /a/{a} a=x/y z b=- rest=-"},
	{"GET /a/%62 ", "GET /a/b a=- b=- rest=-"},
	{"GET /a/x/c/y ", "GET /a/{a}/c/{b} a=x b=y rest=-"},
	{"GET /a/b/c/y ", "GET /a/b/{rest...} a=- b=- rest=c/y"},
	{"GET /a/b/ ", "GET /a/b/{rest...} a=- b=- rest= "},
	{"GET /a/x/d ", "GET /{rest...} a=- b=- rest=a/x/d"},
	{"GET /a/%78/%64 ", "GET /{rest...} a=- b=- rest=a/x/d"},
	{"GET /x/1/y ", "GET /x/{a}/y a=1 b=- rest=-"},
	{"GET /x/1/z ", "GET /x/1/z a=- b=- rest=-"},
	{"GET /x/2/z ", "GET /{rest...} a=- b=- rest=x/2/z"},
	{"GET //a ", "GET /{rest...} a=- b=- rest=/a"},
	{"GET /h ", "GET /h a=-"},
	{"OPTIONS /h ", "OPTIONS /h a=-"},
	{"OPTIONS /a ", "Allow: GET, HEAD, OPTIONS\r\n"},
	{"OPTIONS /a ", "204 No Content"},
	{"OPTIONS /only ", "Allow: DELETE, OPTIONS\r\n"},
	{"GET /only ", "405 Method Not Allowed"},
	{"GET /only ", "Allow: DELETE, OPTIONS\r\n"},
	{"GET /a/.. ", "400 Bad Request"},
	{"GET /a/%2e/b ", "400 Bad Request"},
	{"GET /a/x%2f..%2fy ", "400 Bad Request"},
	{"GET /a/..%2Fy ", "400 Bad Request"},
	{"GET /a/x%2f. ", "400 Bad Request"},
	{"GET /a/x%2f..y ", "GET /a/{a} a=x/..y b=- rest=-"},
	{"GET /f/..%2f..%2fetc%2fpasswd ", "400 Bad Request"},
	{"GET /f/%2fetc/passwd ", "400 Bad Request"},
	{"GET /a/b/%2Fetc ", "400 Bad Request"},
	{"GET /a/b/c/x%2fy ", "400 Bad Request"},
	{"GET /a/b/c/x%00y ", "400 Bad Request"},
	{"GET /a/... ", "GET /a/{a} a=... b=-"},
	{"GET /a/%xx ", "400 Bad Request"},
};

TASK_TEST(test_each_request_goes_where_its_path_leads)
{
	struct site site;

	routes_add(&site);
	site_begin(&site, (hilo_http_opts){0});
	for (size_t i = 0; i < array_size(cases); i++) {
		char text[256], wanted[128];

		(void)snprintf(text, sizeof(text), "%sHTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
			       cases[i].asked);
		(void)snprintf(wanted, sizeof(wanted), "%s", cases[i].answer);
		if (wanted[strlen(wanted) - 1] == ' ')
			wanted[strlen(wanted) - 1] = '\0';
		TASK_CHECK_CONTAINS(site_ask(&site, text), wanted);
	}
	TASK_CHECK_CONTAINS(site_ask(&site, "HEAD /a HTTP/1.1\r\nHost: x\r\n\r\n"), "Content-Length: 21\r\n");
	TASK_CHECK(strstr(site_ask(&site, "HEAD /a HTTP/1.1\r\nHost: x\r\n\r\n"), "GET /a"), ==, NULL);
	site_end(&site);
	return 0;
}

TASK_TEST(test_path_of_too_many_parts_is_not_found)
{
	char text[512] = "GET ";
	struct site site;

	routes_add(&site);
	site_begin(&site, (hilo_http_opts){0});
	for (int i = 0; i < 65; i++)
		strcat(text, "/a");
	TASK_CHECK_CONTAINS(site_ask(&site, strcat(text, " HTTP/1.1\r\nHost: x\r\n\r\n")), "404 Not Found");
	site_end(&site);
	return 0;
}

TASK_TEST(test_what_is_no_pattern_is_refused)
{
	static const char *const wrong[] = {"",		 "a",	  "*",	       "/{",	   "/{}",
					    "/a{b}",	 "/{a}b", "/{a b}",    "/{a}/{a}", "/{...}",
					    "/{a...}/b", "/}",	  "/{a...b}{", "/{a/b}"};
	struct site site;

	routes_add(&site);
	for (size_t i = 0; i < array_size(wrong); i++)
		TASK_CHECK(hilo_http_router_add(site.router, "GET", wrong[i], named, NULL), ==, -EINVAL);
	TASK_CHECK(hilo_http_router_add(site.router, "G T", "/", named, NULL), ==, -EINVAL);
	TASK_CHECK(hilo_http_router_add(site.router, "", "/", named, NULL), ==, -EINVAL);
	TASK_CHECK(hilo_http_router_add(site.router, "GET", "/a/{other}", named, NULL), ==, -EEXIST);
	TASK_CHECK_CONTAINS(hilo_error_message(), "GET /a/{other}");
	TASK_CHECK(hilo_http_router_add(NULL, "GET", "/", named, NULL), ==, -EINVAL);
	TASK_CHECK(hilo_http_router_add(site.router, "GET", "/q", NULL, NULL), ==, -EINVAL);
	TASK_CHECK(hilo_http_router_before(site.router, NULL, NULL), ==, -EINVAL);
	TASK_CHECK(hilo_http_router_new(NULL), ==, -EINVAL);
	site_begin(&site, (hilo_http_opts){0});
	TASK_CHECK(hilo_http_router_add(site.router, "GET", "/late", named, NULL), ==, -EBUSY);
	TASK_CHECK(hilo_http_router_before(site.router, named, NULL), ==, -EBUSY);
	site_end(&site);
	hilo_http_router_free(NULL);
	return 0;
}

static int lets_in(hilo_http_request *request, void *arg)
{
	(void)arg;
	if (hilo_http_field(request, "Authorization"))
		return hilo_http_add_field(request, "X-Hook", "was here");
	if (hilo_http_query(request, "fail"))
		return hilo_fail(-EACCES, "no");
	return hilo_http_respond(request, 401, NULL, NULL, 0, HILO_FOREVER) < 0 ? -1 : 1;
}

static void swallow(const hilo_exception *exception, void *arg)
{
	(void)exception, (void)arg;
}

TASK_TEST(test_hook_goes_on_or_answers_or_fails)
{
	struct site site;

	routes_add(&site);
	TASK_CHECK(hilo_http_router_before(site.router, lets_in, NULL), ==, 0);
	site_begin(&site, (hilo_http_opts){0});
	hilo_set_exception_handler(swallow, NULL);
	TASK_CHECK_CONTAINS(site_ask(&site, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n"), "401 Unauthorized");
	TASK_CHECK_CONTAINS(site_ask(&site, "GET /a?fail HTTP/1.1\r\nHost: x\r\n\r\n"), "500 Internal");
	TASK_CHECK_CONTAINS(site_ask(&site, "GET /a HTTP/1.1\r\nHost: x\r\nAuthorization: y\r\n\r\n"),
			    "X-Hook: was here\r\n");
	TASK_CHECK_CONTAINS(site_ask(&site, "PUT /a HTTP/1.1\r\nHost: x\r\nAuthorization: y\r\n\r\n"),
			    "405 ");
	TASK_CHECK_CONTAINS(site_ask(&site, "PUT /a HTTP/1.1\r\nHost: x\r\n\r\n"), "401 ");
	hilo_set_exception_handler(NULL, NULL);
	site_end(&site);
	return 0;
}

/* What nobody answers is answered by the hook, in its own words. */
static int says_what_is_missing(hilo_http_request *request, void *arg)
{
	const char *allow = "?";
	int status = hilo_http_unanswered(request, &allow), rc = 0;
	char text[64];

	(void)arg;
	TASK_CHECK(hilo_http_unanswered(request, NULL), ==, status);
	if (!status) {
		TASK_CHECK(allow, ==, NULL);
		return 0;
	}
	if (allow)
		rc = hilo_http_add_field(request, "Allow", allow);
	(void)snprintf(text, sizeof(text), "mine: %d", status);
	if (rc == 0)
		rc = hilo_http_respond(request, status == 204 ? 200 : status, "text/x", text, strlen(text),
				       HILO_FOREVER);
	return rc < 0 ? rc : 1;
}

TASK_TEST(test_hook_answers_what_nobody_does)
{
	char text[200] = "GET ";
	struct site site;

	routes_add(&site);
	TASK_CHECK(hilo_http_router_before(site.router, says_what_is_missing, NULL), ==, 0);
	site_begin(&site, (hilo_http_opts){0});
	TASK_CHECK_CONTAINS(site_ask(&site, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n"), "200 OK");
	for (int i = 0; i < 65; i++) /* too many parts */
		strcat(text, "/a");
	TASK_CHECK_CONTAINS(site_ask(&site, strcat(text, " HTTP/1.1\r\nHost: x\r\n\r\n")), "mine: 404");
	TASK_CHECK_CONTAINS(site_ask(&site, "PUT /a HTTP/1.1\r\nHost: x\r\n\r\n"), "\r\n\r\nmine: 405");
	TASK_CHECK_CONTAINS(site_ask(&site, "PUT /a HTTP/1.1\r\nHost: x\r\n\r\n"), "Allow: ");
	TASK_CHECK_CONTAINS(site_ask(&site, "OPTIONS /a HTTP/1.1\r\nHost: x\r\n\r\n"), "mine: 204");
	TASK_CHECK_CONTAINS(site_ask(&site, "GET /../a HTTP/1.1\r\nHost: x\r\n\r\n"), "400 Bad Request\n");
	TASK_CHECK(hilo_http_unanswered(NULL, NULL), ==, 0);
	site_end(&site);
	return 0;
}

/* Add everything, with the @n-th request for memory failing: whether it did. */
static bool routes_without_memory(long n)
{
	hilo_http_router *router;
	int rc;

	hilo__mem_fail_at(n, false);
	rc = hilo_http_router_new(&router);
	if (rc == 0) {
		for (size_t i = 0; rc == 0 && i < array_size(routes); i++)
			rc = hilo_http_router_add(router, routes[i].method, routes[i].pattern, named, NULL);
		hilo__mem_fail_at(0, false);
		hilo_http_router_free(router);
	}
	hilo__mem_fail_at(0, false);
	TASK_CHECK(rc == 0 || rc == -ENOMEM, ==, 1);
	return rc != 0;
}

static void test_router_without_memory_says_so_and_keeps_none(void **state)
{
	long live = hilo__mem_live(), n = 1;

	(void)state;
	while (routes_without_memory(n))
		n++;
	assert_true(n > 30);
	assert_int_equal(hilo__mem_live(), live);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_request_goes_where_its_path_leads),
		cmocka_unit_test(test_path_of_too_many_parts_is_not_found),
		cmocka_unit_test(test_what_is_no_pattern_is_refused),
		cmocka_unit_test(test_hook_goes_on_or_answers_or_fails),
		cmocka_unit_test(test_hook_answers_what_nobody_does),
		cmocka_unit_test(test_router_without_memory_says_so_and_keeps_none),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
