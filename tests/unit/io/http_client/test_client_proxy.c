/* SPDX-License-Identifier: MIT */
/*
 * test_client_proxy.c - proxies that make the connection: CONNECT of HTTP, also within TLS, and SOCKS; who they know,
 * and whom they refuse. The proxy is a small one of our own, which writes down what it was asked for.
 */
#include <hilo/io/connect.h>
#include <hilo/io/pump.h>

#include "tests/support/certs.h"
#include "tests/unit/io/http_client/web.h"

#define NAME_MAX_SIZE 128

/* Which proxy it is, whom it knows, and what it answers. */
struct proxy {
	bool socks;
	const char *known; /* HTTP: the value of Proxy-Authorization; SOCKS: "user:password"; NULL: anybody */
	const char *refusal; /* HTTP: what is said to CONNECT; "": it hangs up; NULL: it connects */
	int reply;	     /* SOCKS: the same; -1: it hangs up */
	hilo_address origin; /* where it connects to, whatever it was asked for */
	hilo_tls_context *tls;
	hilo_server *server;
	char url[128], asked[NAME_MAX_SIZE], head[2048]; /* of the last one */
	atomic(unsigned) tunnels;
};

/* One direction of a tunnel. */
struct direction {
	hilo_stream *from, *to;
};

static int direction_main(void *arg)
{
	struct direction *direction = arg;

	(void)hilo_stream_pump(direction->from, direction->to, UINT64_MAX, NULL, HILO_FOREVER);
	(void)hilo_stream_write_eof(direction->to);
	return 0;
}

/* Bring bytes both ways, until both sides have ended. */
static int tunnel(struct proxy *proxy, hilo_stream *client, hilo_stream *origin)
{
	struct direction up = {client, origin}, down = {origin, client};
	hilo_task *task = hilo_spawn(direction_main, &up);

	(void)add_relaxed(&proxy->tunnels, 1);
	(void)direction_main(&down);
	(void)hilo_stream_abort(client); /* the origin has ended: nobody waits for more */
	(void)hilo_join(task, HILO_FOREVER);
	hilo_stream_free(origin);
	return 0;
}

static int tunnel_begin(struct proxy *proxy, hilo_stream *client, const char *said, size_t size)
{
	hilo_stream *origin;
	int rc = hilo_open_connection_to(&proxy->origin, NULL, &origin, HILO_FOREVER);

	TASK_CHECK(rc, ==, 0);
	if (hilo_stream_write(client, said, size, HILO_FOREVER) < 0) {
		hilo_stream_free(origin);
		return 0;
	}
	return tunnel(proxy, client, origin);
}

static bool says(hilo_stream *client, const char *text, size_t size)
{
	return hilo_stream_write(client, text, size, HILO_FOREVER) >= 0;
}

static int proxy_http(struct proxy *proxy, hilo_stream *client)
{
	static const char unknown[] = "HTTP/1.1 407 Proxy Authentication Required\r\n"
				      "Proxy-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\n\r\n",
			  plain[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nplain",
			  made[] = "HTTP/1.1 200 Connection established\r\n\r\n";
	char field[256];
	ssize_t n = hilo_stream_read_until(client, "\r\n\r\n", 4, proxy->head, sizeof(proxy->head) - 1,
					   HILO_FOREVER);

	if (n <= 0)
		return 0;
	proxy->head[n] = '\0';
	snprintf(field, sizeof(field), "\r\nProxy-Authorization: %s\r\n", text_or(proxy->known, ""));
	if (proxy->known && !strstr(proxy->head, field))
		return says(client, unknown, sizeof(unknown) - 1) ? 0 : 0;
	if (sscanf(proxy->head, "CONNECT %127s HTTP/1.1", proxy->asked) != 1)
		return says(client, plain, sizeof(plain) - 1) ? 0 : 0;
	if (proxy->refusal)
		return says(client, proxy->refusal, strlen(proxy->refusal)) ? 0 : 0;
	return tunnel_begin(proxy, client, made, sizeof(made) - 1);
}

/* Read a byte that says how many follow, and these, as a text. False: the client has gone. */
static bool socks_text(hilo_stream *client, char text[256])
{
	unsigned char size;

	if (hilo_stream_read_exactly(client, &size, 1, HILO_FOREVER) != 1)
		return false;
	text[size] = '\0';
	return !size || hilo_stream_read_exactly(client, text, size, HILO_FOREVER) == size;
}

/* Whether the client is one that the proxy knows, after it was asked for that: RFC 1929. */
static bool socks_knows(struct proxy *proxy, hilo_stream *client)
{
	char version, user[256], password[256], both[600];
	bool known;

	if (hilo_stream_read_exactly(client, &version, 1, HILO_FOREVER) != 1 || !socks_text(client, user) ||
	    !socks_text(client, password))
		return false;
	TASK_CHECK(version, ==, 1);
	snprintf(both, sizeof(both), "%s:%s", user, password);
	known = strcmp(both, proxy->known) == 0;
	return says(client, known ? "\1\0" : "\1\1", 2) && known;
}

/* RFC 1928. */
static int proxy_socks(struct proxy *proxy, hilo_stream *client)
{
	char version, methods[256], head[4], name[256], reply[] = "\5\0\0\1\0\0\0\0\0\0";
	unsigned char port[2];
	char method = proxy->known ? 2 : 0;

	if (hilo_stream_read_exactly(client, &version, 1, HILO_FOREVER) != 1 || !socks_text(client, methods))
		return 0;
	TASK_CHECK(version, ==, 5);
	if (!says(client, (char[]){5, method}, 2) || (proxy->known && !socks_knows(proxy, client)))
		return 0;
	if (hilo_stream_read_exactly(client, head, 4, HILO_FOREVER) != 4)
		return 0;
	TASK_CHECK(head[1], ==, 1); /* CONNECT */
	TASK_CHECK(head[3], ==, 3); /* by its name, which nobody else has resolved */
	if (!socks_text(client, name) || hilo_stream_read_exactly(client, port, 2, HILO_FOREVER) != 2)
		return 0;
	snprintf(proxy->asked, sizeof(proxy->asked), "%.100s:%u", name, port[0] * 256u + port[1]);
	if (proxy->reply < 0)
		return 0;
	reply[1] = (char)proxy->reply;
	if (proxy->reply)
		return says(client, reply, 10) ? 0 : 0;
	return tunnel_begin(proxy, client, reply, 10);
}

static int proxy_client(hilo_stream *client, void *arg)
{
	struct proxy *proxy = arg;

	return proxy->socks ? proxy_socks(proxy, client) : proxy_http(proxy, client);
}

/* A site behind TLS, a plain one, and a proxy to one of them. */
struct behind {
	struct web web;
	struct site safe;
	hilo_tls_context *tls;
	struct proxy proxy;
	char ca[64];
};

static void proxy_begin(struct proxy *proxy, const char *scheme, const char *user)
{
	hilo_server_opts listen = {.size = sizeof(listen), .host = "127.0.0.1", .tls = proxy->tls};
	hilo_address address;

	TASK_CHECK(hilo_start_server(proxy_client, proxy, &listen, &proxy->server, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_server_sockname(proxy->server, 0, &address), ==, 0);
	snprintf(proxy->url, sizeof(proxy->url), "%s://%s%s127.0.0.1:%u", scheme, user, *user ? "@" : "",
		 hilo_address_port(&address));
}

/* What the client has said of the proxy may not be heard by the site. */
static int tells_nothing(hilo_http_request *request, void *arg)
{
	(void)arg;
	TASK_CHECK(hilo_http_field(request, "Proxy-Authorization"), ==, NULL);
	TASK_CHECK(hilo_http_field(request, "Proxy-Connection"), ==, NULL);
	return hilo_http_respond(request, 200, "text/plain", "behind", 6, HILO_FOREVER);
}

static void behind_begin(struct behind *behind, bool safe, const char *scheme, const char *user)
{
	hilo_server_opts listen = {.size = sizeof(listen), .host = "127.0.0.1"};
	hilo_http_opts http = {.size = sizeof(http), .server = &listen};
	hilo_http_session_opts opts = {.ca_file = behind->ca};
	struct site *site = &behind->safe;

	test_certs_file(test_certs.ca.cert, behind->ca);
	behind->tls = listen.tls = test_tls_server(NULL);
	site_init(site);
	site_route(site, "GET", "/behind", tells_nothing);
	TASK_CHECK(hilo_http_start_server(site->router, &http, &site->server, HILO_FOREVER), ==, 0);
	web_begin_with(&behind->web, opts, (hilo_http_opts){0}, tells_nothing);
	hilo_http_session_free(behind->web.session);
	TASK_CHECK(hilo_server_sockname(hilo_http_server_below(safe ? site->server : behind->web.site.server),
					0, &behind->proxy.origin),
		   ==, 0);
	proxy_begin(&behind->proxy, scheme, user);
	opts.size = sizeof(opts);
	opts.proxy = behind->proxy.url;
	TASK_CHECK(hilo_http_session_new(&opts, &behind->web.session), ==, 0);
}

static void behind_end(struct behind *behind)
{
	TASK_CHECK(hilo_http_session_close(behind->web.session, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_server_close(behind->proxy.server, NULL, HILO_FOREVER), ==, 0);
	hilo_server_free(behind->proxy.server);
	hilo_tls_context_unref(behind->proxy.tls);
	web_end(&behind->web);
	site_end(&behind->safe);
	hilo_tls_context_unref(behind->tls);
	unlink(behind->ca);
}

/* How a request of @url ends: 0, and its body is @wanted; or a code, with a message that names it, no password. */
static int behind_ask(struct behind *behind, const char *url, const char *wanted)
{
	hilo_http_response *response;
	char *text;
	int rc = hilo_http_get(behind->web.session, url, &response, HILO_FOREVER);

	if (rc < 0) {
		TASK_CHECK_CONTAINS(hilo_error_message(), url);
		TASK_CHECK(strstr(hilo_error_message(), "secret"), ==, NULL);
		return rc;
	}
	TASK_CHECK(hilo_http_response_status(response), ==, 200);
	TASK_CHECK(hilo_http_response_read_all(response, 100, &text, HILO_FOREVER), >=, 0);
	TASK_CHECK_TEXT(text, wanted);
	free(text);
	hilo_http_response_free(response);
	return 0;
}

TASK_TEST(test_tunnel_is_made_and_kept)
{
	static const char *const schemes[] = {"http", "https"};

	for (size_t i = 0; i < array_size(schemes); i++) {
		struct behind behind = {.proxy.tls = i ? test_tls_server(NULL) : NULL};

		behind_begin(&behind, true, schemes[i], "");
		for (int j = 0; j < 3; j++)
			TASK_CHECK(behind_ask(&behind, "https://server.test:4711/behind", "behind"), ==, 0);
		TASK_CHECK_TEXT(behind.proxy.asked, "server.test:4711");
		TASK_CHECK(load_relaxed(&behind.proxy.tunnels), ==, 1);
		TEST_UNTIL(site_stats(&behind.safe).requests == 3); /* counted after the answer */
		/* What need not be kept from it a proxy is asked for itself. */
		TASK_CHECK(behind_ask(&behind, "http://nowhere.test/a", "plain"), ==, 0);
		TASK_CHECK_CONTAINS(behind.proxy.head, "GET http://nowhere.test/a HTTP/1.1\r\n");
		behind_end(&behind);
	}
	return 0;
}

/* The certificate is that of the site, whoever brings the bytes. */
TASK_TEST(test_tunnel_to_another_name_is_refused)
{
	struct behind behind = {0};

	behind_begin(&behind, true, "http", "");
	TASK_CHECK(behind_ask(&behind, "https://nowhere.test/behind", NULL), ==, -EKEYREJECTED);
	behind_end(&behind);
	return 0;
}

TASK_TEST(test_proxy_with_a_certificate_nobody_knows_is_refused)
{
	hilo_tls_context_opts stranger = {.size = sizeof(stranger),
					  .cert_pem = test_certs.stranger.cert,
					  .key_pem = test_certs.stranger.key};
	hilo_http_fetch_opts fetch = {
		.size = sizeof(fetch), .url = "https://server.test/behind", .flags = HILO_HTTP_INSECURE};
	struct behind behind = {.proxy.tls = test_tls_server(&stranger)};
	hilo_http_response *response;

	behind_begin(&behind, true, "https", "");
	TASK_CHECK(behind_ask(&behind, "https://server.test/behind", NULL), ==, -EKEYREJECTED);
	TASK_CHECK(load_relaxed(&behind.proxy.tunnels), ==, 0);
	TASK_CHECK(hilo_http_fetch(behind.web.session, &fetch, &response, HILO_FOREVER), ==, 0);
	hilo_http_response_free(response);
	behind_end(&behind);
	return 0;
}

TASK_TEST(test_socks_proxy_is_told_the_name)
{
	for (int safe = 0; safe < 2; safe++) {
		const char *url = safe ? "https://server.test:4711/behind" : "http://server.test:4711/extra";
		struct behind behind = {.proxy.socks = true};

		behind_begin(&behind, safe, "socks5h", "");
		for (int i = 0; i < 3; i++)
			TASK_CHECK(behind_ask(&behind, url, "behind"), ==, 0);
		TASK_CHECK_TEXT(behind.proxy.asked, "server.test:4711");
		TASK_CHECK(load_relaxed(&behind.proxy.tunnels), ==, 1);
		behind_end(&behind);
	}
	return 0;
}

TASK_TEST(test_proxy_is_told_who_asks)
{
	for (int socks = 0; socks < 2; socks++) {
		struct behind behind = {
			.proxy = {.socks = socks, .known = socks ? "me:secret" : "Basic bWU6c2VjcmV0"}};

		behind_begin(&behind, true, socks ? "socks5h" : "http", "me:secret");
		TASK_CHECK(behind_ask(&behind, "https://server.test/behind", "behind"), ==, 0);
		TASK_CHECK(load_relaxed(&behind.proxy.tunnels), ==, 1);
		behind_end(&behind);
	}
	return 0;
}

TASK_TEST(test_proxy_that_does_not_know_who_asks_refuses)
{
	static const char *const users[] = {"", "me:secrets"};

	for (int socks = 0; socks < 2; socks++)
		for (size_t i = 0; i < array_size(users); i++) {
			struct behind behind = {
				.proxy = {.socks = socks,
					  .known = socks ? "me:secret" : "Basic bWU6c2VjcmV0"}};

			behind_begin(&behind, true, socks ? "socks5h" : "http", users[i]);
			TASK_CHECK(behind_ask(&behind, "https://server.test/behind", NULL), ==, -EACCES);
			TASK_CHECK(load_relaxed(&behind.proxy.tunnels), ==, 0);
			behind_end(&behind);
		}
	return 0;
}

TASK_TEST(test_refusals_of_proxies_are_told_apart)
{
	static const struct {
		const char *refusal;
		int reply, code;
	} cases[] = {
		{"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", 0, -EACCES},
		{"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n", 0, -EHOSTUNREACH},
		{NULL, 2, -EACCES},
		{NULL, 3, -ENETUNREACH},
		{NULL, 4, -EHOSTUNREACH},
		{NULL, 5, -ECONNREFUSED},
		{NULL, 7, -EPROTO},
		{NULL, -1, -ECONNRESET},
	};

	for (size_t i = 0; i < array_size(cases); i++) {
		struct behind behind = {.proxy = {.socks = !cases[i].refusal,
						  .refusal = cases[i].refusal,
						  .reply = cases[i].reply}};

		behind_begin(&behind, true, behind.proxy.socks ? "socks5h" : "http", "");
		TASK_CHECK(behind_ask(&behind, "https://server.test/behind", NULL), ==, cases[i].code);
		TASK_CHECK(site_stats(&behind.safe).requests, ==, 0);
		behind_end(&behind);
	}
	return 0;
}

TASK_TEST(test_proxy_that_is_not_there_or_no_proxy_fails)
{
	static const struct {
		const char *proxy;
		int code;
	} cases[] = {
		{"http://127.0.0.1:1", -ECONNREFUSED},
		{"https://127.0.0.1:1", -ECONNREFUSED},
		{"socks5h://127.0.0.1:1", -ECONNREFUSED},
	};

	for (size_t i = 0; i < array_size(cases); i++) {
		hilo_http_session_opts opts = {.size = sizeof(opts), .proxy = cases[i].proxy};
		hilo_http_session *session;
		hilo_http_response *response;

		TASK_CHECK(hilo_http_session_new(&opts, &session), ==, 0);
		TASK_CHECK(hilo_http_get(session, "https://nowhere.test/", &response, HILO_FOREVER), ==,
			   cases[i].code);
		TASK_CHECK_CONTAINS(hilo_error_message(), "https://nowhere.test/");
		hilo_http_session_free(session);
	}
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tunnel_is_made_and_kept),
		cmocka_unit_test(test_tunnel_to_another_name_is_refused),
		cmocka_unit_test(test_proxy_with_a_certificate_nobody_knows_is_refused),
		cmocka_unit_test(test_socks_proxy_is_told_the_name),
		cmocka_unit_test(test_proxy_is_told_who_asks),
		cmocka_unit_test(test_proxy_that_does_not_know_who_asks_refuses),
		cmocka_unit_test(test_refusals_of_proxies_are_told_apart),
		cmocka_unit_test(test_proxy_that_is_not_there_or_no_proxy_fails),
	};
	int rc;

	test_begin();
	test_certs_begin();
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	test_certs_end();
	return rc;
}
