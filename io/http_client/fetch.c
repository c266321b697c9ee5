/* SPDX-License-Identifier: MIT */
/*
 * fetch.c - requests: the name is resolved, the transfer is posted, its header waited for; a redirect is the next one.
 *
 * Redirects are not left to libcurl: it would resolve the next name by itself, on a thread of its own which it waits
 * for when a transfer is cancelled meanwhile.
 */
#include "io/http_client/client_impl.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <strings.h>

#include <hilo/io/address.h>
#include <hilo/io/resolve.h>
#include <hilo/runtime/error.h>

#include "scheduler/base/mem.h"

#define FLAGS_KNOWN (HILO_HTTP_INSECURE | HILO_HTTP_NO_REDIRECTS | HILO_HTTP_IDENTITY)
/* Addresses of a name that are tried. */
#define ADDRESSES 16

static hilo_time earlier(hilo_time a, hilo_time b)
{
	return a < b ? a : b;
}

/* ---- Names ---- */

/* "+host:port:address,address", which replaces what libcurl has, and is not kept longer than other names. */
static int names_write(struct fetch *fetch, const char *host, unsigned port, const hilo_address *addresses,
		       int n)
{
	size_t size = strlen(host) + 16 + (size_t)n * (INET6_ADDRSTRLEN + 3), used;
	char *text = hilo__malloc(size);

	if (!text)
		return -ENOMEM;
	used = (size_t)snprintf(text, size, "+%s:%u:", host, port);
	for (int i = 0; i < n; i++) {
		char address[INET6_ADDRSTRLEN];
		bool v6 = hilo_address_family(&addresses[i]) == AF_INET6;
		const void *from = v6 ? (const void *)&addresses[i].ipv6.sin6_addr
				      : (const void *)&addresses[i].ipv4.sin_addr;

		(void)inet_ntop(v6 ? AF_INET6 : AF_INET, from, address, sizeof(address));
		used += (size_t)snprintf(text + used, size - used, v6 ? "%s[%s]" : "%s%s", i ? "," : "",
					 address);
	}
	fetch->names = text;
	return 0;
}

/* Resolve who is connected to, unless that is an address. */
static int names_resolve(struct fetch *fetch)
{
	const struct settings *set = &fetch->session->set;
	bool direct = !set->proxy || hilo__client_is_direct(set, &fetch->target);
	const char *host = direct ? fetch->target.host : set->proxy_host;
	unsigned port = direct ? fetch->target.port : set->proxy_port;
	hilo_resolve_opts opts = {.size = sizeof(opts)};
	hilo_address addresses[ADDRESSES];
	struct in_addr ipv4;
	int n;

	hilo__free(fetch->names);
	fetch->names = NULL;
	if (*host == '[' || inet_pton(AF_INET, host, &ipv4) == 1)
		return 0;
	n = hilo_resolve(host, NULL, &opts, addresses, ADDRESSES, fetch->limit);
	if (n < 0)
		return n;
	return names_write(fetch, host, port, addresses, n < ADDRESSES ? n : ADDRESSES);
}

/* ---- Failures ---- */

static int fetch_failed(const struct fetch *fetch, const struct transfer *t, int rc)
{
	const char *why = t->why[0] ? t->why : t->error[0] ? t->error : hilo_strerror(rc);

	return hilo_fail(rc, "%s %s: %s", fetch->method, fetch->target.url, why);
}

/* A wait has ended early. */
static int fetch_left(const struct fetch *fetch, int rc)
{
	if (rc == -ETIMEDOUT)
		return hilo_fail(rc, "%s %s: no answer in time", fetch->method, fetch->target.url);
	return rc;
}

/* ---- One transfer ---- */

/* It is over for us. */
static void transfer_drop(struct transfer *t)
{
	hilo_task_detach(t->task);
	t->task = NULL;
	hilo__client_transfer_unref(t);
}

/* Its header is there, or it has ended without. */
static int transfer_result(const struct fetch *fetch, struct transfer *t)
{
	int rc;

	spin_lock(&t->lock);
	rc = t->header_done ? 0 : t->rc;
	spin_unlock(&t->lock);
	if (rc == 0 && !t->header_done)
		rc = -EBADMSG;
	return rc < 0 ? fetch_failed(fetch, t, rc) : 0;
}

static int transfer_go(struct fetch *fetch, struct transfer **ret)
{
	struct transfer *t = NULL;
	int rc = names_resolve(fetch);
	bool started;

	if (rc == 0 && fetch->session->limited)
		rc = fetch_left(fetch, hilo_semaphore_acquire(&fetch->session->room, 1, fetch->limit));
	if (rc < 0)
		return rc == -ENOMEM ? hilo_fail(rc, "%s: out of memory", fetch->target.url) : rc;
	rc = hilo__client_transfer_new(fetch, &t);
	if (rc < 0 && fetch->session->limited)
		(void)hilo_semaphore_release(&fetch->session->room, 1);
	if (rc < 0)
		return rc == -ENOMEM ? hilo_fail(rc, "%s: out of memory", fetch->target.url) : rc;
	rc = hilo__client_post(t, OP_START);
	started = rc == 0; /* else nobody else gives its permit back */
	if (rc == 0 && fetch->body && fetch->opts->read) {
		rc = hilo__client_send_start(t, fetch->opts);
		fetch->sent = rc == 0;
	}
	if (rc == 0)
		rc = fetch_left(fetch, hilo__client_wait(t, WANT_HEADER, fetch->limit));
	if (rc < 0)
		hilo__client_abandon(t);
	else
		rc = transfer_result(fetch, t);
	if (rc == 0) {
		*ret = t;
		return 0;
	}
	hilo__client_send_stop(t);
	if (!started)
		hilo__client_release(t);
	transfer_drop(t);
	return rc;
}

/* ---- Redirects ---- */

/* What the next request is after @t was redirected. */
static int redirect_next(struct fetch *fetch, struct transfer *t)
{
	struct target next;
	int rc;

	if (fetch->hops++ >= fetch->redirects)
		return hilo_fail(-ELOOP, "%s %s: more than %u redirects", fetch->method, fetch->target.url,
				 fetch->redirects);
	rc = hilo__client_target_parse(fetch->target.url, hilo__client_field(&t->header, "Location"), &next);
	if (rc < 0)
		return rc;
	if (!hilo__client_target_same(&fetch->target, &next)) {
		fetch->foreign = true;
	} else if (!next.user) {
		next.user = fetch->target.user;
		next.password = fetch->target.password;
		fetch->target.user = fetch->target.password = NULL;
	}
	hilo__client_target_free(&fetch->target);
	fetch->target = next;
	if ((t->status == 303 && strcmp(fetch->method, "HEAD") != 0) ||
	    (t->status < 303 && !strcmp(fetch->method, "POST"))) {
		fetch->method = "GET";
		fetch->body = false;
	}
	if (fetch->body && fetch->opts->read)
		return hilo_fail(-ESPIPE, "%s %s: redirected, and its body cannot be said again",
				 fetch->method, fetch->target.url);
	return 0;
}

/* Up to what is not redirected. */
static int fetch_follow(struct fetch *fetch, struct transfer **ret)
{
	for (;;) {
		struct transfer *t = NULL;
		int rc = transfer_go(fetch, &t);

		if (rc < 0)
			return rc;
		if (!t->discard) {
			*ret = t;
			return 0;
		}
		rc = redirect_next(fetch, t);
		hilo__client_send_stop(t);
		transfer_drop(t);
		if (rc < 0)
			return rc;
	}
}

/* ---- All of it ---- */

static bool method_is_token(const char *method)
{
	size_t n = strspn(method,
			  "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.!#$%&'*+^`|~");

	return n && !method[n];
}

static int fetch_init(struct fetch *fetch, struct hilo_http_session *session,
		      const hilo_http_fetch_opts *opts, hilo_time deadline)
{
	bool given = opts->data || opts->read;
	hilo_time total = opts->total_time ? opts->total_time : session->set.total_time;

	fetch->session = session;
	fetch->opts = opts;
	fetch->method = opts->method ? opts->method : given ? "POST" : "GET";
	fetch->flags = session->set.flags | opts->flags;
	fetch->redirects = opts->redirects ? opts->redirects : session->set.redirects;
	fetch->limit = total < 0 ? HILO_FOREVER : hilo_after(total);
	fetch->total = fetch->limit;
	fetch->limit = earlier(fetch->limit, deadline);
	fetch->body = given || !strcmp(fetch->method, "POST") || !strcmp(fetch->method, "PUT") ||
		      !strcmp(fetch->method, "PATCH");
	if (!opts->url)
		return hilo_fail(-EINVAL, "hilo_http_fetch: url is NULL");
	if (!method_is_token(fetch->method) || !strcmp(fetch->method, "CONNECT"))
		return hilo_fail(-EINVAL, "%s: the method %s", opts->url, fetch->method);
	if (opts->flags & ~FLAGS_KNOWN || (opts->n_headers && !opts->headers) || (opts->data && opts->read) ||
	    (opts->data_size && !opts->data) || (opts->read && opts->length > INT64_MAX))
		return hilo_fail(-EINVAL, "%s: flags %#x, headers, or a body that make no sense", opts->url,
				 opts->flags);
	if (given && !strcmp(fetch->method, "HEAD"))
		return hilo_fail(-EINVAL, "%s: HEAD with a body", opts->url);
	return hilo__client_target_parse(NULL, opts->url, &fetch->target);
}

static int response_new(struct fetch *fetch, struct hilo_http_response **ret)
{
	struct hilo_http_response *response = hilo__calloc(1, sizeof(*response));

	if (!response)
		return -ENOMEM;
	response->method = hilo__strdup(fetch->method);
	if (!response->method) {
		hilo__free(response);
		return -ENOMEM;
	}
	response->url = fetch->target.url;
	fetch->target.url = NULL;
	response->redirects = fetch->hops;
	response->limit = fetch->total;
	*ret = response;
	return 0;
}

static int fetch_run(struct fetch *fetch, struct hilo_http_response **ret)
{
	struct hilo_http_response *response;
	struct transfer *t = NULL;
	int rc = fetch_follow(fetch, &t);

	if (rc < 0)
		return rc;
	rc = response_new(fetch, &response);
	if (rc < 0) {
		hilo__client_abandon(t);
		transfer_drop(t);
		return hilo_fail(rc, "%s: out of memory", fetch->target.url);
	}
	response->transfer = t;
	*ret = response;
	return 0;
}

int hilo_http_fetch(hilo_http_session *session, const hilo_http_fetch_opts *from, hilo_http_response **ret,
		    hilo_time deadline)
{
	hilo_http_fetch_opts opts = {0};
	struct fetch fetch = {0};
	int rc;

	if (!session || !from || !ret)
		return hilo_fail(-EINVAL, "hilo_http_fetch: session %p, opts %p, ret %p", (void *)session,
				 (const void *)from, (void *)ret);
	rc = hilo__client_sized_in(&opts, sizeof(opts), sizeof(opts), from, "hilo_http_fetch_opts");
	if (rc < 0)
		return rc;
	(void)add_relaxed(&session->refs,
			  1); /* relaxed: the caller has one; who frees it meanwhile finds ours */
	rc = hilo_checkpoint();
	rc = rc < 0 ? rc : fetch_init(&fetch, session, &opts, deadline);
	rc = rc < 0 ? rc : fetch_run(&fetch, ret);
	hilo__client_target_free(&fetch.target);
	hilo__free(fetch.names);
	hilo__client_session_unref(session);
	if (!fetch.sent && opts.done)
		opts.done(opts.arg);
	return rc;
}

/* ---- The usual ones ---- */

static int fetch_plain(hilo_http_session *session, const char *method, const char *url,
		       hilo_http_response **ret, hilo_time deadline)
{
	hilo_http_fetch_opts opts = {.size = sizeof(opts), .method = method, .url = url};

	return hilo_http_fetch(session, &opts, ret, deadline);
}

int hilo_http_get(hilo_http_session *session, const char *url, hilo_http_response **ret, hilo_time deadline)
{
	return fetch_plain(session, "GET", url, ret, deadline);
}

int hilo_http_head(hilo_http_session *session, const char *url, hilo_http_response **ret, hilo_time deadline)
{
	return fetch_plain(session, "HEAD", url, ret, deadline);
}

int hilo_http_delete(hilo_http_session *session, const char *url, hilo_http_response **ret,
		     hilo_time deadline)
{
	return fetch_plain(session, "DELETE", url, ret, deadline);
}

static int fetch_data(hilo_http_session *session, const hilo_http_fetch_opts *opts, hilo_http_response **ret,
		      hilo_time deadline)
{
	hilo_http_fetch_opts full = *opts;

	full.size = sizeof(full);
	if (!full.data && !full.data_size)
		full.data = "";
	return hilo_http_fetch(session, &full, ret, deadline);
}

int hilo_http_post(hilo_http_session *session, const char *url, const char *type, const void *data,
		   size_t size, hilo_http_response **ret, hilo_time deadline)
{
	return fetch_data(
		session,
		&(hilo_http_fetch_opts){
			.method = "POST", .url = url, .type = type, .data = data, .data_size = size},
		ret, deadline);
}

int hilo_http_put(hilo_http_session *session, const char *url, const char *type, const void *data,
		  size_t size, hilo_http_response **ret, hilo_time deadline)
{
	return fetch_data(session,
			  &(hilo_http_fetch_opts){
				  .method = "PUT", .url = url, .type = type, .data = data, .data_size = size},
			  ret, deadline);
}

int hilo_http_patch(hilo_http_session *session, const char *url, const char *type, const void *data,
		    size_t size, hilo_http_response **ret, hilo_time deadline)
{
	return fetch_data(
		session,
		&(hilo_http_fetch_opts){
			.method = "PATCH", .url = url, .type = type, .data = data, .data_size = size},
		ret, deadline);
}
