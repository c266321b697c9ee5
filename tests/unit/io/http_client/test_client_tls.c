/* SPDX-License-Identifier: MIT */
/* test_client_tls.c - HTTPS: who is accepted, and who is not; connections and sessions that are kept. */
#include "tests/support/certs.h"
#include "tests/unit/io/http_client/web.h"

/* A site behind TLS with @cert, and the URL of its page. */
struct safe {
	struct site site;
	hilo_tls_context *context;
	char url[64], path[64];
};

static void safe_begin(struct safe *safe, const struct cert *cert)
{
	hilo_tls_context_opts opts = {.size = sizeof(opts), .cert_pem = cert->cert, .key_pem = cert->key};
	hilo_server_opts listen = {.size = sizeof(listen), .host = "127.0.0.1"};
	hilo_http_opts http = {.size = sizeof(http), .server = &listen};
	hilo_address address;

	memset(safe, 0, sizeof(*safe));
	TASK_CHECK(hilo_tls_server_new(&opts, &safe->context), ==, 0);
	listen.tls = safe->context;
	site_init(&safe->site);
	TASK_CHECK(hilo_http_start_server(safe->site.router, &http, &safe->site.server, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_server_sockname(hilo_http_server_below(safe->site.server), 0, &address), ==, 0);
	snprintf(safe->url, sizeof(safe->url), "https://127.0.0.1:%u/", hilo_address_port(&address));
	test_certs_file(test_certs.ca.cert, safe->path);
}

static void safe_end(struct safe *safe)
{
	site_end(&safe->site);
	hilo_tls_context_unref(safe->context);
	unlink(safe->path);
}

/* How a request ends for a session that trusts @ca, or the system's, as @flags say. */
static int safe_ask(struct safe *safe, const char *ca, unsigned flags)
{
	hilo_http_session_opts opts = {.size = sizeof(opts), .ca_file = ca, .flags = flags};
	hilo_http_response *response;
	hilo_http_session *session;
	char *text;
	int rc;

	TASK_CHECK(hilo_http_session_new(&opts, &session), ==, 0);
	rc = hilo_http_get(session, safe->url, &response, HILO_FOREVER);
	if (rc == 0) {
		TASK_CHECK(hilo_http_response_read_all(response, 10, &text, HILO_FOREVER), ==, 5);
		TASK_CHECK_TEXT(text, "hello");
		free(text);
		hilo_http_response_free(response);
	} else {
		TASK_CHECK_CONTAINS(hilo_error_message(), safe->url);
	}
	TASK_CHECK(hilo_http_session_close(session, HILO_FOREVER), ==, 0);
	hilo_http_session_free(session);
	return rc;
}

TASK_TEST(test_certificate_that_is_good_is_accepted)
{
	struct safe safe;

	safe_begin(&safe, &test_certs.server);
	TASK_CHECK(safe_ask(&safe, safe.path, 0), ==, 0);
	safe_end(&safe);
	return 0;
}

TASK_TEST(test_certificates_that_are_not_are_refused)
{
	const struct cert *bad[] = {&test_certs.other, &test_certs.expired, &test_certs.stranger};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct safe safe;

		safe_begin(&safe, bad[i]);
		TASK_CHECK(safe_ask(&safe, safe.path, 0), ==, -EKEYREJECTED);
		TASK_CHECK(safe_ask(&safe, NULL, 0), ==, -EKEYREJECTED);
		TASK_CHECK(safe_ask(&safe, safe.path, HILO_HTTP_INSECURE), ==, 0);
		safe_end(&safe);
	}
	return 0;
}

TASK_TEST(test_certificates_nobody_knows_are_refused)
{
	struct safe safe;

	safe_begin(&safe, &test_certs.server);
	TASK_CHECK(safe_ask(&safe, NULL, 0), ==, -EKEYREJECTED);
	TASK_CHECK(safe_ask(&safe, "/none/of/these", 0), ==, -EINVAL);
	safe_end(&safe);
	return 0;
}

TASK_TEST(test_who_speaks_no_tls_fails_it)
{
	hilo_http_session *session;
	hilo_http_response *response;
	struct web web;
	char url[1024];

	web_begin(&web, (hilo_http_session_opts){0}, (hilo_http_opts){0});
	snprintf(url, sizeof(url), "https%s/", web.base + 4);
	TASK_CHECK(hilo_http_session_new(NULL, &session), ==, 0);
	TASK_CHECK(hilo_http_get(session, url, &response, HILO_FOREVER), ==, -EPROTO);
	TASK_CHECK_CONTAINS(hilo_error_message(), url);
	hilo_http_session_free(session);
	web_end(&web);
	return 0;
}

static int get_hello(void *arg)
{
	struct kept {
		hilo_http_session *session;
		const char *url;
	} *kept = arg;
	hilo_http_response *response;
	char *text;
	int rc = hilo_http_get(kept->session, kept->url, &response, HILO_FOREVER);

	if (rc < 0)
		fprintf(stderr, "%s\n", hilo_error_message());
	TASK_CHECK(rc, ==, 0);
	TASK_CHECK(hilo_http_response_read_all(response, 10, &text, HILO_FOREVER), ==, 5);
	free(text);
	hilo_http_response_free(response);
	return 0;
}

TASK_TEST(test_connections_are_kept_and_shared_by_many)
{
	hilo_http_session_opts opts = {.size = sizeof(opts), .connections = 4};
	hilo_http_session_stats stats = {.size = sizeof(stats)};
	struct {
		hilo_http_session *session;
		const char *url;
	} kept;
	hilo_task *tasks[40];
	struct safe safe;

	safe_begin(&safe, &test_certs.server);
	opts.ca_file = safe.path;
	TASK_CHECK(hilo_http_session_new(&opts, &kept.session), ==, 0);
	kept.url = safe.url;
	for (int i = 0; i < 40; i++)
		tasks[i] = hilo_spawn(get_hello, &kept);
	for (int i = 0; i < 40; i++)
		TASK_CHECK(hilo_join(tasks[i], HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_http_session_get_stats(kept.session, &stats), ==, 0);
	TASK_CHECK(stats.connections, <=, 4);
	TASK_CHECK(stats.failed, ==, 0);
	hilo_http_session_free(kept.session);
	safe_end(&safe);
	return 0;
}

/* Connections of the one may be shared, those of the other not: both go on under one limit. */
TASK_TEST(test_limit_is_for_plain_and_safe_requests_together)
{
	hilo_http_session_opts opts = {.size = sizeof(opts), .connections = 2};
	hilo_http_session_stats stats = {.size = sizeof(stats)};
	struct {
		hilo_http_session *session;
		const char *url;
	} kept[2];
	hilo_task *tasks[60];
	struct safe safe;
	struct web web;

	safe_begin(&safe, &test_certs.server);
	opts.ca_file = safe.path;
	web_begin(&web, opts, (hilo_http_opts){0});
	kept[0].session = kept[1].session = web.session;
	kept[0].url = safe.url;
	kept[1].url = web_url(&web, "/");
	for (int i = 0; i < 60; i++)
		tasks[i] = hilo_spawn(get_hello, &kept[i % 20 < 10]);
	for (int i = 0; i < 60; i++)
		TASK_CHECK(hilo_join(tasks[i], HILO_FOREVER), ==, 0);
	stats = web_stats(&web);
	TASK_CHECK(stats.transfers, ==, 60);
	TASK_CHECK(stats.failed, ==, 0);
	TASK_CHECK(stats.running, ==, 0);
	web_end(&web);
	safe_end(&safe);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_certificate_that_is_good_is_accepted),
		cmocka_unit_test(test_certificates_that_are_not_are_refused),
		cmocka_unit_test(test_certificates_nobody_knows_are_refused),
		cmocka_unit_test(test_who_speaks_no_tls_fails_it),
		cmocka_unit_test(test_connections_are_kept_and_shared_by_many),
		cmocka_unit_test(test_limit_is_for_plain_and_safe_requests_together),
	};
	int rc;

	test_begin();
	test_certs_begin();
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	test_certs_end();
	return rc;
}
