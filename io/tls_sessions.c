/* SPDX-License-Identifier: MIT */
/*
 * tls_sessions.c - what a client remembers of servers, so that the next handshake is a short one: newest first, at most
 * so many. A session of TLS 1.3 is given once, so that nobody can tell two connections to belong together (RFC 8446,
 * C.4); one of TLS 1.2 stays until it is too old or there are newer ones.
 */
#include <time.h>

#include "io/tls_openssl_impl.h"
#include "scheduler/base/list.h"
#include "scheduler/base/mem.h"

struct session {
	struct list link;
	SSL_SESSION *ssl;
	char name[];
};

struct tls_sessions {
	struct spinlock lock;
	struct list sessions; /* newest first */
	unsigned n, most;
};

static void session_free(struct session *session)
{
	SSL_SESSION_free(session->ssl);
	hilo__free(session);
}

struct tls_sessions *hilo__tls_sessions_new(unsigned most)
{
	struct tls_sessions *sessions = hilo__calloc(1, sizeof(*sessions));

	if (!sessions)
		return NULL;
	spin_init(&sessions->lock);
	list_init(&sessions->sessions);
	sessions->most = most;
	return sessions;
}

void hilo__tls_sessions_free(struct tls_sessions *sessions)
{
	struct list *link;

	if (!sessions)
		return;
	while ((link = list_pop_first(&sessions->sessions)))
		session_free(list_entry(link, struct session, link));
	hilo__free(sessions);
}

void hilo__tls_sessions_put(struct tls_sessions *sessions, const char *name, SSL_SESSION *ssl)
{
	size_t size = strlen(name) + 1;
	struct session *session = hilo__malloc(sizeof(*session) + size), *last = NULL;

	if (!session) { /* the next handshake is a whole one */
		SSL_SESSION_free(ssl);
		return;
	}
	session->ssl = ssl;
	memcpy(session->name, name, size);
	list_init(&session->link);
	spin_lock(&sessions->lock);
	list_add_head(&sessions->sessions, &session->link);
	if (++sessions->n > sessions->most) {
		last = list_entry(list_last(&sessions->sessions), struct session, link);
		list_del(&last->link);
		sessions->n--;
	}
	spin_unlock(&sessions->lock);
	if (last)
		session_free(last);
}

static bool session_is_old(const SSL_SESSION *ssl)
{
	return time(NULL) - SSL_SESSION_get_time(ssl) >= SSL_SESSION_get_timeout(ssl);
}

/* [lock] The newest for @name. */
static struct session *sessions_find(struct tls_sessions *sessions, const char *name)
{
	struct list *at;

	list_for_each (at, &sessions->sessions) {
		struct session *session = list_entry(at, struct session, link);

		if (strcmp(session->name, name) == 0)
			return session;
	}
	return NULL;
}

SSL_SESSION *hilo__tls_sessions_take(struct tls_sessions *sessions, const char *name)
{
	SSL_SESSION *ssl = NULL;
	struct session *session;
	bool once = false;

	spin_lock(&sessions->lock);
	session = sessions_find(sessions, name);
	if (session) {
		once = SSL_SESSION_get_protocol_version(session->ssl) >= TLS1_3_VERSION ||
		       session_is_old(session->ssl);
		ssl = session->ssl;
		if (once) {
			list_del(&session->link);
			sessions->n--;
		} else if (!SSL_SESSION_up_ref(ssl)) {
			ssl = NULL;
		}
	}
	spin_unlock(&sessions->lock);
	if (once) {
		hilo__free(session);
		if (session_is_old(ssl)) {
			SSL_SESSION_free(ssl);
			ssl = NULL;
		}
	}
	return ssl;
}
