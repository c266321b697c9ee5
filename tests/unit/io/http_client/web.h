/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_IO_HTTP_CLIENT_WEB_H
#define TESTS_UNIT_IO_HTTP_CLIENT_WEB_H

/*
 * web.h - sessions, and who answers them: the site of the server's tests with more routes; and servers that say exactly
 * what they are told to.
 *
 *	*    /what              method, some fields, and the body
 *	GET  /to/{status}       redirected with that status to ?to=
 *	GET  /cookie            sets the cookie that ?is= has
 *	GET  /typed             ?text=, as ?type=
 */
#include <hilo/http/client.h>

#include "tests/unit/io/http/site.h"

#include <netinet/in.h>

/* One that web_url has given; it lives until web_end, or web_drop_urls. */
struct web_url {
	struct web_url *next;
	char text[512];
};

struct web {
	struct site site;
	hilo_http_session *session;
	char base[64];
	struct web_url *urls;
};

static inline const char *text_or(const char *text, const char *other)
{
	return text ? text : other;
}

static inline int web_what(hilo_http_request *request, void *arg)
{
	static const char *const fields[] = {
		"Content-Type", "Content-Length", "Transfer-Encoding", "Authorization",
		"X-A",		"Cookie",	  "User-Agent"};
	char *body, *text;
	ssize_t n = hilo_http_read_all(request, 1 << 20, &body, HILO_FOREVER);
	int rc, used;

	(void)arg;
	if (n < 0)
		return (int)n;
	text = malloc((size_t)n + 4096);
	used = sprintf(text, "%s\n", hilo_http_method(request));
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		used += sprintf(text + used, "%s: %.400s\n", fields[i],
				text_or(hilo_http_field(request, fields[i]), "-"));
	used += sprintf(text + used, "\n%s", body);
	rc = hilo_http_respond(request, 200, "text/plain", text, (size_t)used, HILO_FOREVER);
	free(text);
	free(body);
	return rc;
}

static inline int web_to(hilo_http_request *request, void *arg)
{
	const char *to = hilo_http_query(request, "to");
	int rc = to ? hilo_http_add_field(request, "Location", to) : 0;

	(void)arg;
	return rc < 0 ? rc
		      : hilo_http_respond(request, atoi(hilo_http_param(request, "status")), "text/plain",
					  "elsewhere", 9, HILO_FOREVER);
}

static inline int web_cookie(hilo_http_request *request, void *arg)
{
	int rc = hilo_http_add_field(request, "Set-Cookie", hilo_http_query(request, "is"));

	(void)arg;
	return rc < 0 ? rc : hilo_http_respond(request, 200, "text/plain", "set", 3, HILO_FOREVER);
}

static inline int web_typed(hilo_http_request *request, void *arg)
{
	const char *text = hilo_http_query(request, "text");

	(void)arg;
	return hilo_http_respond(request, 200, hilo_http_query(request, "type"), text, strlen(text),
				 HILO_FOREVER);
}

/* A session as @opts say, and a site that listens; GET /extra is @extra's, unless that is NULL. */
static inline void web_begin_with(struct web *web, hilo_http_session_opts opts, hilo_http_opts site,
				  hilo_http_fn extra)
{
	static const char *const methods[] = {"GET", "POST", "PUT", "PATCH", "DELETE"};
	hilo_address address;

	memset(web, 0, sizeof(*web));
	site_init(&web->site);
	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
		site_route(&web->site, methods[i], "/what", web_what);
		site_route(&web->site, methods[i], "/to/{status}", web_to);
	}
	site_route(&web->site, "GET", "/cookie", web_cookie);
	site_route(&web->site, "GET", "/typed", web_typed);
	if (extra)
		site_route(&web->site, "GET", "/extra", extra);
	site_listen(&web->site, site);
	TASK_CHECK(hilo_server_sockname(hilo_http_server_below(web->site.server), 0, &address), ==, 0);
	snprintf(web->base, sizeof(web->base), "http://127.0.0.1:%u", hilo_address_port(&address));
	opts.size = sizeof(opts);
	TASK_CHECK(hilo_http_session_new(&opts, &web->session), ==, 0);
}

static inline void web_begin(struct web *web, hilo_http_session_opts opts, hilo_http_opts site)
{
	web_begin_with(web, opts, site, NULL);
}

/* What web_url has given. */
static inline void web_drop_urls(struct web *web)
{
	while (web->urls) {
		struct web_url *url = web->urls;

		web->urls = url->next;
		free(url);
	}
}

static inline void web_end(struct web *web)
{
	TASK_CHECK(hilo_http_session_close(web->session, HILO_FOREVER), ==, 0);
	hilo_http_session_free(web->session);
	site_end(&web->site);
	web_drop_urls(web);
}

/* The URL of @path, which others may read while more of them are made. */
static inline const char *web_url(struct web *web, const char *path)
{
	struct web_url *url = malloc(sizeof(*url));

	snprintf(url->text, sizeof(url->text), "%s%s", web->base, path);
	url->next = web->urls;
	web->urls = url;
	return url->text;
}

/* What @opts fetch, as text, whose status is in *@status. */
static __attribute__((noinline, unused)) char *web_fetch(struct web *web, hilo_http_fetch_opts opts,
							 int *status)
{
	hilo_http_response *response;
	char *text = NULL;
	int rc;

	opts.size = sizeof(opts);
	rc = hilo_http_fetch(web->session, &opts, &response, HILO_FOREVER);
	if (rc < 0)
		fprintf(stderr, "%s\n", hilo_error_message());
	TASK_CHECK(rc, ==, 0);
	*status = hilo_http_response_status(response);
	TASK_CHECK(hilo_http_response_read_all(response, 1 << 24, &text, HILO_FOREVER), >=, 0);
	hilo_http_response_free(response);
	return text;
}

static inline char *web_get(struct web *web, const char *path, int *status)
{
	return web_fetch(web, (hilo_http_fetch_opts){.url = web_url(web, path)}, status);
}

static inline hilo_http_session_stats web_stats(struct web *web)
{
	hilo_http_session_stats stats = {.size = sizeof(stats)};

	TASK_CHECK(hilo_http_session_get_stats(web->session, &stats), ==, 0);
	return stats;
}

/* ---- One who says what he is told to ---- */

struct teller {
	int listener;
	char base[64];
	const char *text; /* said when a header has come */
	size_t size;	  /* 0: strlen */
	bool stays;	  /* does not hang up before it is told to */
	test_flag asked, go, gone;
	char heard[4096];
	hilo_task *task;
};

static inline int teller_main(void *arg)
{
	struct teller *teller = arg;
	hilo_stream *stream;
	size_t used = 0;
	ssize_t n = 1;
	int fd;

	if (hilo_fd_wait(teller->listener, HILO_READABLE, HILO_FOREVER) < 0)
		return 0; /* nobody will come */
	fd = accept4(teller->listener, NULL, NULL, SOCK_CLOEXEC);
	TASK_CHECK(fd, >=, 0);
	TASK_CHECK(hilo_stream_from_fd(fd, NULL, &stream), ==, 0);
	while (n > 0 && !strstr(teller->heard, "\r\n\r\n")) {
		n = hilo_stream_read(stream, teller->heard + used, sizeof(teller->heard) - 1 - used,
				     HILO_FOREVER);
		used += n > 0 ? (size_t)n : 0;
	}
	if (teller->text)
		(void)hilo_stream_write(stream, teller->text,
					teller->size ? teller->size : strlen(teller->text), HILO_FOREVER);
	store_release(&teller->asked, 1);
	/* The end of the other side, unless it is to hang up itself. */
	if (teller->stays)
		while (!load_acquire(&teller->go) && n > 0) {
			char scrap[256];

			n = hilo_stream_read(stream, scrap, sizeof(scrap), hilo_after(5 * HILO_MILLISECOND));
			n = n == -ETIMEDOUT ? 1 : n;
		}
	(void)hilo_stream_close(stream, HILO_FOREVER);
	hilo_stream_free(stream);
	store_release(&teller->gone, 1);
	return 0;
}

static inline void teller_begin(struct teller *teller, const char *text, bool stays)
{
	struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(name);

	memset(teller, 0, sizeof(*teller));
	teller->text = text;
	teller->stays = stays;
	teller->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	TASK_CHECK(bind(teller->listener, (struct sockaddr *)&name, size), ==, 0);
	TASK_CHECK(listen(teller->listener, 5), ==, 0);
	TASK_CHECK(getsockname(teller->listener, (struct sockaddr *)&name, &size), ==, 0);
	snprintf(teller->base, sizeof(teller->base), "http://127.0.0.1:%u", ntohs(name.sin_port));
	teller->task = hilo_spawn(teller_main, teller);
	TASK_CHECK(teller->task, !=, NULL);
}

static inline void teller_end(struct teller *teller)
{
	store_release(&teller->go, 1);
	TASK_CHECK(hilo_join(teller->task, HILO_FOREVER), ==, 0);
	close(teller->listener);
}

#endif /* TESTS_UNIT_IO_HTTP_CLIENT_WEB_H */
