/* SPDX-License-Identifier: MIT */
/*
 * session.c - sessions: from their options to their end.
 *
 * P1  Dropping a reference releases, the last drop acquires: who frees sees all uses ended.
 */
#include "io/http_client/client_impl.h"

#include <errno.h>
#include <stdio.h>

#include <hilo/runtime/error.h>
#include <hilo/runtime/runtime.h>
#include <hilo/runtime/version.h>

#include "scheduler/base/mem.h"

#define SIZED_MAX 4096
#define FLAGS_KNOWN (HILO_HTTP_INSECURE | HILO_HTTP_NO_COOKIES | HILO_HTTP_NO_REDIRECTS | HILO_HTTP_IDENTITY)

/* ---- libcurl, once ---- */

static int library_init(void)
{
	static struct spinlock lock = SPINLOCK_INIT;
	static bool done;
	CURLcode code = CURLE_OK;

	spin_lock(&lock);
	if (!done)
		code = curl_global_init(CURL_GLOBAL_DEFAULT);
	done = done || code == CURLE_OK;
	spin_unlock(&lock);
	return code == CURLE_OK ? 0
				: hilo_fail(-ENOMEM, "hilo_http_session_new: %s", curl_easy_strerror(code));
}

/* What sessions share between transfers may be used by whoever frees an easy handle. */
static void share_lock(CURL *easy, curl_lock_data data, curl_lock_access access, void *arg)
{
	struct hilo_http_session *session = arg;

	(void)easy, (void)access;
	spin_lock(&session->share_lock[data]);
}

static void share_unlock(CURL *easy, curl_lock_data data, void *arg)
{
	struct hilo_http_session *session = arg;

	(void)easy;
	spin_unlock(&session->share_lock[data]);
}

static int share_init(struct hilo_http_session *session)
{
	CURLSHcode code;

	for (unsigned i = 0; i < CURL_LOCK_DATA_LAST; i++)
		spin_init(&session->share_lock[i]);
	session->share = curl_share_init();
	if (!session->share)
		return -ENOMEM;
	code = curl_share_setopt(session->share, CURLSHOPT_USERDATA, session);
	if (!code)
		code = curl_share_setopt(session->share, CURLSHOPT_LOCKFUNC, share_lock);
	if (!code)
		code = curl_share_setopt(session->share, CURLSHOPT_UNLOCKFUNC, share_unlock);
	if (!code && !(session->set.flags & HILO_HTTP_NO_COOKIES))
		code = curl_share_setopt(session->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_COOKIE);
	if (!code)
		code = curl_share_setopt(session->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
	return code ? -ENOMEM : 0;
}

/* ---- Options ---- */

static int text_copy(char **to, const char *from)
{
	if (!from)
		return 0;
	*to = hilo__strdup(from);
	return *to ? 0 : -ENOMEM;
}

static int settings_check(const hilo_http_session_opts *opts)
{
	if (opts->flags & ~FLAGS_KNOWN)
		return hilo_fail(-EINVAL, "hilo_http_session_new: flags %#x", opts->flags);
	if (opts->version != 0 && opts->version != 10 && opts->version != 11 && opts->version != 20)
		return hilo_fail(-EINVAL, "hilo_http_session_new: version %d", opts->version);
	if (opts->connect_time < 0 || opts->connections > INT32_MAX || opts->host_connections > INT32_MAX)
		return hilo_fail(-EINVAL, "hilo_http_session_new: connect_time %lld, connections %u and %u",
				 (long long)opts->connect_time, opts->connections, opts->host_connections);
	if (opts->n_headers && !opts->headers)
		return hilo_fail(-EINVAL, "hilo_http_session_new: headers is NULL");
	if (opts->user_agent && !hilo__client_is_value(opts->user_agent))
		return hilo_fail(-EINVAL, "hilo_http_session_new: user_agent has control characters");
	if (opts->buffer > SIZE_MAX / 4 || opts->header > SIZE_MAX / 4)
		return hilo_fail(-EINVAL, "hilo_http_session_new: buffer %zu, header %zu", opts->buffer,
				 opts->header);
	return 0;
}

static int settings_texts(struct settings *set, const hilo_http_session_opts *opts)
{
	int rc = text_copy(&set->user_agent,
			   opts->user_agent ? opts->user_agent : "hilo/" HILO_VERSION_STRING);

	rc = rc < 0 ? rc : text_copy(&set->proxy, opts->proxy);
	rc = rc < 0 ? rc : text_copy(&set->no_proxy, opts->no_proxy);
	rc = rc < 0 ? rc : text_copy(&set->ca_file, opts->ca_file);
	rc = rc < 0 ? rc : text_copy(&set->ca_folder, opts->ca_folder);
	rc = rc < 0 ? rc : text_copy(&set->cert_file, opts->cert_file);
	rc = rc < 0 ? rc : text_copy(&set->key_file, opts->key_file);
	return rc < 0 ? rc : text_copy(&set->passphrase, opts->passphrase);
}

static int settings_init(struct settings *set, const hilo_http_session_opts *opts)
{
	int rc = settings_check(opts);

	if (rc < 0)
		return rc;
	set->flags = opts->flags;
	set->version = opts->version;
	set->connections = opts->connections ? opts->connections : 100;
	set->host_connections = opts->host_connections;
	set->redirects = opts->redirects ? opts->redirects : 10;
	set->connect_time = opts->connect_time ? opts->connect_time : 30 * HILO_SECOND;
	set->total_time = opts->total_time ? opts->total_time : 300 * HILO_SECOND;
	set->buffer = opts->buffer ? opts->buffer : (size_t)256 * 1024;
	set->header = opts->header ? opts->header : (size_t)256 * 1024;
	rc = settings_texts(set, opts);
	if (rc == 0 && set->proxy)
		rc = hilo__client_proxy_parse(set->proxy, set);
	rc = rc < 0 ? rc : hilo__client_headers(&set->headers, opts->headers, opts->n_headers, false);
	return rc < 0 ? rc : hilo__client_usual(set);
}

static void settings_end(struct settings *set)
{
	curl_slist_free_all(set->headers);
	curl_slist_free_all(set->usual);
	hilo__free(set->user_agent);
	hilo__free(set->proxy);
	hilo__free(set->no_proxy);
	hilo__free(set->ca_file);
	hilo__free(set->ca_folder);
	hilo__free(set->cert_file);
	hilo__free(set->key_file);
	hilo__free(set->passphrase);
	hilo__free(set->proxy_host);
}

/* ---- Beginning and end ---- */

/* As hilo__sized_in of the library below, which it does not show. */
int hilo__client_sized_in(void *to, size_t known, size_t least, const void *from, const char *name)
{
	const char *bytes = from;
	size_t size;

	memcpy(&size, from, sizeof(size));
	if (size < least)
		return hilo_fail(-EINVAL, "%s.size is %zu, less than %zu", name, size, least);
	if (size > SIZED_MAX)
		return hilo_fail(-E2BIG, "%s.size is %zu, more than %d", name, size, SIZED_MAX);
	for (size_t i = known; i < size; i++)
		if (bytes[i])
			return hilo_fail(-E2BIG, "%s: a field is set beyond the %zu bytes that are known",
					 name, known);
	memcpy(to, from, size < known ? size : known);
	return 0;
}

void hilo__client_session_unref(struct hilo_http_session *session)
{
	if (sub_acq_rel(&session->refs, 1) != 1) /* P1 */
		return;
	if (session->multi)
		(void)curl_multi_cleanup(session->multi);
	while (session->n_spare)
		curl_easy_cleanup(session->spare[--session->n_spare]);
	if (session->share)
		(void)curl_share_cleanup(session->share);
	settings_end(&session->set);
	hilo__free(session);
}

int hilo_http_session_new(const hilo_http_session_opts *from, hilo_http_session **ret)
{
	hilo_http_session_opts opts = {0};
	struct hilo_http_session *session;
	int rc = 0;

	if (!ret)
		return hilo_fail(-EINVAL, "hilo_http_session_new: ret is NULL");
	if (from)
		rc = hilo__client_sized_in(&opts, sizeof(opts), sizeof(opts), from, "hilo_http_session_opts");
	rc = rc < 0 ? rc : library_init();
	if (rc < 0)
		return rc;
	session = hilo__calloc(1, sizeof(*session));
	if (!session)
		return -ENOMEM;
	spin_init(&session->lock);
	atomic_setup(&session->refs, 1);
	list_init(&session->posted);
	list_init(&session->waiting);
	list_init(&session->live);
	list_init(&session->broken);
	list_init(&session->socks);
	session->runtime = opts.runtime;
	session->timer_at = session->armed_at = HILO_FOREVER;
	rc = settings_init(&session->set, &opts);
	rc = rc < 0 ? rc : share_init(session);
	if (rc == 0) {
		session->multi = curl_multi_init();
		rc = session->multi ? hilo__client_drive_init(session) : -ENOMEM;
	}
	if (rc < 0) {
		hilo__client_session_unref(session);
		return rc == -ENOMEM ? hilo_fail(-ENOMEM, "hilo_http_session_new: out of memory") : rc;
	}
	*ret = session;
	return 0;
}

/* ---- The keeper ---- */

/* [who has ended the state in which others submit] I6 */
static void session_settle(struct hilo_http_session *session)
{
	for (unsigned round = 0; load_acquire(&session->submitting); round++) /* P2 */
		spin_pause(round);
}

/* [any] Have a callback end all; true: nobody need wait for that. */
static bool session_end(struct hilo_http_session *session)
{
	int rc;

	spin_lock(&session->lock);
	if (session->state != SESSION_OPEN) {
		spin_unlock(&session->lock);
		return true;
	}
	session->state = SESSION_CLOSING;
	rc = hilo_call_soon_signalsafe(session->loop, &session->work, hilo__client_work, session);
	spin_unlock(&session->lock);
	session_settle(session);
	if (rc < 0 && rc != -EALREADY) /* not as long as we are a task of that runtime */
		hilo__client_work(session);
	return false;
}

static int keeper_main(void *arg)
{
	struct hilo_http_session *session = arg;

	spin_lock(&session->lock);
	session->state = SESSION_OPEN;
	session->loop = hilo_loop_current();
	if (!list_empty(&session->posted))
		(void)hilo_call_soon_signalsafe(session->loop, &session->work, hilo__client_work, session);
	spin_unlock(&session->lock);
	(void)hilo_event_wait(&session->told, HILO_FOREVER); /* or its runtime ends */
	(void)hilo_shield_enter();
	if (!session_end(session))
		while (hilo_event_wait(&session->ended, HILO_FOREVER) < 0)
			;
	(void)hilo_shield_leave();
	return 0;
}

/* Nothing was given to libcurl: what was posted was asked for in vain. */
static void session_never(struct hilo_http_session *session)
{
	struct list *node;

	spin_lock(&session->lock);
	session->state = SESSION_CLOSED;
	while ((node = list_pop_first(&session->posted))) {
		struct transfer *t = list_entry(node, struct transfer, posted);

		spin_unlock(&session->lock);
		hilo__client_complete(t, HILO_ECLOSED);
		spin_lock(&session->lock);
	}
	spin_unlock(&session->lock);
	session_settle(session);
	(void)hilo_event_set(&session->ended);
}

/* The keeper has ended, or could not begin. */
static void keeper_destroy(void *arg)
{
	struct hilo_http_session *session = arg;
	bool began;

	spin_lock(&session->lock);
	began = session->state > SESSION_STARTING;
	spin_unlock(&session->lock);
	if (!began)
		session_never(session);
	hilo__client_session_unref(session);
}

/* [who has made it STARTING] */
static int keeper_spawn(struct hilo_http_session *session)
{
	hilo_task_opts opts = {.size = sizeof(opts),
			       .name = "http-session",
			       .flags = HILO_TASK_PINNED,
			       .destroy = keeper_destroy};
	hilo_loop *loop = hilo_loop_current();
	int rc;

	(void)add_relaxed(&session->refs, 1); /* relaxed: the caller has one */
	if (loop)
		rc = hilo_spawn_with(keeper_main, session, &opts, NULL);
	else if (session->runtime)
		rc = hilo_submit(session->runtime, keeper_main, session, &opts, NULL);
	else
		rc = hilo_fail(-EDEADLK, "hilo_http_fetch: a plain thread, and a session without a runtime");
	if (rc < 0)
		hilo__client_session_unref(session);
	return rc;
}

/* [lock, which is given back] The first request of all. */
static int session_start(struct hilo_http_session *session)
{
	int rc;

	session->state = SESSION_STARTING;
	session->home = hilo_loop_current() ? hilo_runtime_current() : session->runtime;
	spin_unlock(&session->lock);
	rc = keeper_spawn(session);
	if (rc == 0)
		return 0;
	/* Others may have posted meanwhile, who cannot start it either. */
	session_never(session);
	spin_lock(&session->lock);
	if (!hilo_event_is_set(&session->told)) {
		session->state = SESSION_NEW;
		(void)hilo_event_clear(&session->ended);
	}
	spin_unlock(&session->lock);
	return rc;
}

int hilo__client_submit(struct hilo_http_session *session, hilo_task_fn entry, void *arg,
			const hilo_task_opts *opts, hilo_task **ret)
{
	hilo_runtime *home = NULL;
	int rc = HILO_ECLOSED;

	spin_lock(&session->lock);
	if (session->state == SESSION_STARTING || session->state == SESSION_OPEN)
		home = session->home;
	if (home)
		(void)add_relaxed(&session->submitting, 1); /* relaxed: I6, under the lock */
	spin_unlock(&session->lock);
	if (home) {
		rc = hilo_submit(home, entry, arg, opts, ret);
		(void)sub_release(&session->submitting, 1); /* P2 */
	}
	return rc == HILO_ECLOSED ? hilo_fail(rc, "hilo_http_fetch: the session is closed") : rc;
}

int hilo__client_post(struct transfer *t, unsigned ops)
{
	struct hilo_http_session *session = t->session;
	int rc = 0;

	spin_lock(&session->lock);
	if (session->state >= SESSION_CLOSING && ops & OP_START) {
		rc = HILO_ECLOSED;
	} else if (session->state >= SESSION_CLOSED) {
		rc = HILO_ECLOSED; /* it has ended by itself */
	} else {
		if (ops & OP_START) {
			(void)add_relaxed(&t->refs, 1); /* relaxed: the caller has one */
			session->transfers++;
			session->running++;
			t->running = true;
		}
		if (t->running) {
			t->ops |= ops;
			if (!list_is_linked(&t->posted))
				list_add_tail(&session->posted, &t->posted);
			if (session->state == SESSION_OPEN)
				(void)hilo_call_soon_signalsafe(session->loop, &session->work,
								hilo__client_work, session); /* I2 */
		}
		if (session->state == SESSION_NEW && ops & OP_START)
			return session_start(session);
	}
	spin_unlock(&session->lock);
	return rc == 0 ? 0 : hilo_fail(rc, "hilo_http_fetch: the session is closed");
}

/* [any] Tell the keeper, if there is one; true: there is nothing to wait for. */
static bool session_tell(struct hilo_http_session *session)
{
	bool at_once;

	(void)hilo_event_set(&session->told); /* before: whose start fails does not make it new again */
	spin_lock(&session->lock);
	at_once = session->state == SESSION_NEW;
	if (at_once)
		session->state = SESSION_CLOSED;
	spin_unlock(&session->lock);
	if (at_once)
		(void)hilo_event_set(&session->ended);
	return at_once;
}

int hilo_http_session_close(hilo_http_session *session, hilo_time deadline)
{
	if (!session)
		return hilo_fail(-EINVAL, "hilo_http_session_close: session is NULL");
	(void)session_tell(session);
	return hilo_event_wait(&session->ended, deadline);
}

void hilo_http_session_free(hilo_http_session *session)
{
	if (!session)
		return;
	(void)session_tell(session);
	hilo__client_session_unref(session);
}

/* ---- Cookies and figures ---- */

static int session_cookie(struct hilo_http_session *session, const char *line)
{
	CURLcode code;
	CURL *easy;

	if (session->set.flags & HILO_HTTP_NO_COOKIES)
		return hilo_fail(HILO_EINVALSTATE, "the session has no cookies");
	easy = curl_easy_init();
	if (!easy)
		return -ENOMEM;
	code = curl_easy_setopt(easy, CURLOPT_SHARE, session->share);
	if (code == CURLE_OK)
		code = curl_easy_setopt(easy, CURLOPT_COOKIELIST, line);
	curl_easy_cleanup(easy);
	return code == CURLE_OK ? 0 : code == CURLE_OUT_OF_MEMORY ? -ENOMEM : -EINVAL;
}

/* "name=value", maybe more after a semicolon. libcurl drops others without a word. */
static bool cookie_has_name(const char *cookie)
{
	size_t name;

	cookie += strspn(cookie, " \t");
	name = strcspn(cookie, "=;");
	return name && cookie[name] == '=';
}

int hilo_http_session_add_cookie(hilo_http_session *session, const char *cookie)
{
	char *line;
	int rc;

	if (!session || !cookie || strpbrk(cookie, "\r\n") || !cookie_has_name(cookie))
		return hilo_fail(-EINVAL, "hilo_http_session_add_cookie: session %p, cookie %s",
				 (void *)session, cookie ? cookie : "NULL");
	line = hilo__malloc(sizeof("Set-Cookie: ") + strlen(cookie));
	if (!line)
		return -ENOMEM;
	(void)sprintf(line, "Set-Cookie: %s", cookie);
	rc = session_cookie(session, line);
	hilo__free(line);
	return rc;
}

int hilo_http_session_clear_cookies(hilo_http_session *session)
{
	if (!session)
		return hilo_fail(-EINVAL, "hilo_http_session_clear_cookies: session is NULL");
	return session_cookie(session, "ALL");
}

int hilo_http_session_get_stats(const hilo_http_session *from, hilo_http_session_stats *ret)
{
	struct hilo_http_session *session = (struct hilo_http_session *)from;
	hilo_http_session_stats stats = {.size = sizeof(stats)};

	if (!session || !ret || ret->size < sizeof(stats))
		return hilo_fail(-EINVAL, "hilo_http_session_get_stats: session %p, ret %p", (void *)session,
				 (void *)ret);
	spin_lock(&session->lock);
	stats.transfers = session->transfers;
	stats.failed = session->failed;
	stats.connections = session->connections;
	stats.running = session->running;
	spin_unlock(&session->lock);
	stats.size = ret->size;
	memset((char *)ret + sizeof(stats), 0, ret->size - sizeof(stats));
	memcpy(ret, &stats, sizeof(stats));
	return 0;
}
