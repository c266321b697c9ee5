/* SPDX-License-Identifier: MIT */
/*
 * drive.c - libcurl's multi interface on a loop: its sockets are watched, its timer is the loop's, and what was posted
 * is done by one callback for all. All of it runs as callbacks of that loop, one after the other, on a thread's stack.
 *
 * libcurl wants to be called at once very often. That is done before a callback returns, not by another one. Its timer
 * is moved with each transfer, mostly to later: one that is armed for earlier stays, and is moved when it fires.
 *
 * libcurl has those that wait for a connection look for one several times whenever a transfer ends, each time among all
 * connections. So they wait here, first come, first served, until one can be free; at most a hundred are prepared, so
 * that it is used at once, and for the others there is no room yet. But libcurl gets what is there as long as something
 * of it may be HTTP/2, for it alone knows which connection can be shared; and all where hosts have limits of their own:
 * those that wait for one host must not hold up those for another.
 */
#include "io/http_client/client_impl.h"

#include <errno.h>

#include <hilo/runtime/error.h>

#include "scheduler/base/mem.h"

/* Times that libcurl is called at once before others get their turn. */
#define ROUNDS 16
/* Transfers that are prepared beyond those that can have a connection each. */
#define PREPARED 100

/* A socket of libcurl's. */
struct sock {
	struct list link;
	struct hilo_http_session *session;
	hilo_fd_watcher *watch;
	unsigned events;
};

static void session_after(struct hilo_http_session *session);

/* ---- Transfers ---- */

/* It is over, with @code. Not from within libcurl. */
static void transfer_finish(struct hilo_http_session *session, struct transfer *t, int rc)
{
	long connections = 0;

	list_del(&t->live);
	session->sharing -= t->shares;
	if (t->given) {
		(void)curl_easy_getinfo(t->easy, CURLINFO_NUM_CONNECTS, &connections);
		(void)curl_multi_remove_handle(session->multi, t->easy);
		session->given--;
	}
	if (list_is_linked(&t->broken))
		list_del(&t->broken);
	spin_lock(&session->lock);
	session->connections += connections > 0 ? (uint64_t)connections : 0;
	spin_unlock(&session->lock);
	hilo__client_complete(t, rc);
}

/* libcurl says that it has ended. A line that is longer than its 100 KiB it calls a lack of memory. */
static void transfer_end(struct hilo_http_session *session, struct transfer *t, CURLcode code)
{
	if (code == CURLE_OUT_OF_MEMORY && !t->header_done && t->status) /* I4: the loop's until then */
		hilo__client_fail(t, -EMSGSIZE, "its header is too long");
	transfer_finish(session, t, hilo__client_code(code, t->easy));
}

/* From within libcurl: it cannot go on. */
static void transfer_break(struct hilo_http_session *session, CURL *easy, int rc)
{
	struct transfer *t = NULL;
	char *private = NULL;

	if (easy && curl_easy_getinfo(easy, CURLINFO_PRIVATE, &private) == CURLE_OK)
		t = (struct transfer *)(void *)private;
	if (!t || list_is_linked(&t->broken))
		return;
	hilo__client_fail(t, rc, "its socket cannot be watched");
	list_add_tail(&session->broken, &t->broken);
}

/* Give libcurl those that need not wait here. Not from within libcurl. */
static void transfers_give(struct hilo_http_session *session)
{
	struct list *node;

	while ((node = list_first(&session->waiting))) {
		struct transfer *t = list_entry(node, struct transfer, live);
		CURLMcode code;

		if (session->limited && !session->sharing && session->given >= session->set.connections)
			return;
		code = curl_multi_add_handle(session->multi, t->easy);
		if (code != CURLM_OK) {
			transfer_finish(session, t, hilo__client_multi_code(code));
			continue;
		}
		list_del(&t->live);
		list_add_tail(&session->live, &t->live);
		t->given = true;
		session->given++;
		session->due = true;
	}
}

static void transfer_start(struct hilo_http_session *session, struct transfer *t)
{
	session->sharing += t->shares;
	list_add_tail(&session->waiting, &t->live);
	transfers_give(session);
}

/* Go on with what is not paused any more. */
static void transfer_resume(struct hilo_http_session *session, struct transfer *t)
{
	CURLcode code;
	int pause;

	spin_lock(&t->lock);
	pause = (t->paused_in ? CURLPAUSE_RECV : 0) | (t->paused_out ? CURLPAUSE_SEND : 0);
	spin_unlock(&t->lock);
	code = curl_easy_pause(t->easy, pause);
	if (code != CURLE_OK)
		transfer_finish(session, t, hilo__client_code(code, t->easy));
}

static void transfer_ops(struct hilo_http_session *session, struct transfer *t, unsigned ops)
{
	if (ops & OP_ABORT && ops & OP_START)
		hilo__client_complete(t, -ECANCELED);
	else if (ops & OP_START)
		transfer_start(session, t); /* nothing of it can be paused yet */
	else if (!list_is_linked(&t->live))
		return; /* it is over */
	else if (ops & OP_ABORT)
		transfer_finish(session, t, -ECANCELED);
	else if (ops & OP_RESUME)
		transfer_resume(session, t);
}

/* ---- Sockets ---- */

static void on_ready(int fd, unsigned events, void *arg)
{
	struct hilo_http_session *session = ((struct sock *)arg)->session; /* which may go meanwhile */
	int mask = (events & HILO_READABLE ? CURL_CSELECT_IN : 0) |
		   (events & HILO_WRITABLE ? CURL_CSELECT_OUT : 0);
	int running;

	(void)curl_multi_socket_action(session->multi, fd, mask, &running);
	session_after(session);
}

static void sock_free(struct sock *sock)
{
	hilo_fd_unwatch(sock->watch);
	list_del(&sock->link);
	hilo__free(sock);
}

/* What libcurl wants to know of a socket has changed. */
static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *of_socket)
{
	struct hilo_http_session *session = arg;
	struct sock *sock = of_socket;
	unsigned events =
		(what & CURL_POLL_IN ? HILO_READABLE : 0) | (what & CURL_POLL_OUT ? HILO_WRITABLE : 0);
	int rc;

	if (what == CURL_POLL_REMOVE) {
		if (sock) {
			(void)curl_multi_assign(session->multi, fd, NULL);
			sock_free(sock);
		}
		return 0;
	}
	if (!sock) {
		sock = hilo__calloc(1, sizeof(*sock));
		if (!sock || curl_multi_assign(session->multi, fd, sock) != CURLM_OK) {
			hilo__free(sock);
			transfer_break(session, easy, -ENOMEM);
			return 0;
		}
		sock->session = session;
		list_add_tail(&session->socks, &sock->link);
	}
	if (sock->events == events)
		return 0;
	hilo_fd_unwatch(sock->watch);
	sock->watch = NULL;
	sock->events = 0;
	rc = events ? hilo_fd_watch(fd, events, on_ready, sock, &sock->watch) : 0;
	if (rc < 0)
		transfer_break(session, easy, rc);
	else
		sock->events = events;
	return 0;
}

/* ---- The timer ---- */

static void timer_arm(struct hilo_http_session *session);

static void on_time(void *arg)
{
	struct hilo_http_session *session = arg;

	hilo_handle_unref(session->timer);
	session->timer = NULL;
	session->armed_at = HILO_FOREVER;
	if (hilo_now() < session->timer_at) {
		timer_arm(session);
		return;
	}
	session->timer_at = HILO_FOREVER;
	session->due = true;
	session_after(session);
}

static void timer_disarm(struct hilo_http_session *session)
{
	if (!session->timer)
		return;
	(void)hilo_handle_cancel(session->timer);
	hilo_handle_unref(session->timer);
	session->timer = NULL;
	session->armed_at = HILO_FOREVER;
}

static void timer_arm(struct hilo_http_session *session)
{
	if (session->timer_at >= session->armed_at)
		return;
	timer_disarm(session);
	if (hilo_call_at(session->timer_at, on_time, session, &session->timer) == 0) {
		session->armed_at = session->timer_at;
		return;
	}
	session->timer = NULL;
	session->due = true; /* there is no memory for it: ask until there is, or it is needed no more */
}

static int on_timer(CURLM *multi, long ms, void *arg)
{
	struct hilo_http_session *session = arg;

	(void)multi;
	session->timer_at = HILO_FOREVER;
	if (ms == 0)
		session->due = true;
	else if (ms > 0)
		session->timer_at = hilo_after(ms * HILO_MILLISECOND);
	timer_arm(session);
	return 0;
}

/* ---- All of it ---- */

/* After each call of libcurl: what has ended, what cannot go on, and whether it wants to be called again. */
static void session_after(struct hilo_http_session *session)
{
	for (unsigned round = 0;; round++) {
		struct list *node;
		CURLMsg *message;
		int n;

		while ((node = list_first(&session->broken))) {
			struct transfer *t = list_entry(node, struct transfer, broken);

			transfer_finish(session, t, t->failure);
		}
		while ((message = curl_multi_info_read(session->multi, &n))) {
			char *private = NULL;

			if (message->msg != CURLMSG_DONE)
				continue;
			(void)curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &private);
			transfer_end(session, (struct transfer *)(void *)private, message->data.result);
		}
		transfers_give(session);
		if (!session->due)
			return;
		if (round == ROUNDS)
			break;
		session->due = false;
		(void)curl_multi_socket_action(session->multi, CURL_SOCKET_TIMEOUT, 0, &n);
	}
	spin_lock(&session->lock);
	if (session->state == SESSION_OPEN)
		(void)hilo_call_soon_signalsafe(session->loop, &session->work, hilo__client_work,
						session); /* I2 */
	spin_unlock(&session->lock);
}

/* End all that is there. */
static void session_stop(struct hilo_http_session *session)
{
	struct list *node;

	while ((node = list_first(&session->waiting)) || (node = list_first(&session->live)))
		transfer_finish(session, list_entry(node, struct transfer, live), HILO_ECLOSED);
	timer_disarm(session);
	(void)curl_multi_cleanup(session->multi);
	session->multi = NULL;
	timer_disarm(session);
	while ((node = list_first(&session->socks)))
		sock_free(list_entry(node, struct sock, link));
	spin_lock(&session->lock);
	session->state = SESSION_CLOSED;
	(void)hilo_call_node_cancel(&session->work);
	spin_unlock(&session->lock);
	(void)hilo_event_set(&session->ended); /* the session is there: its keeper has not ended */
}

void hilo__client_work(void *arg)
{
	struct hilo_http_session *session = arg;
	struct list *node;
	bool closing;

	spin_lock(&session->lock);
	closing = session->state == SESSION_CLOSING;
	while ((node = list_pop_first(&session->posted))) {
		struct transfer *t = list_entry(node, struct transfer, posted);
		unsigned ops = t->ops;

		t->ops = 0;
		spin_unlock(&session->lock);
		if (!closing)
			transfer_ops(session, t, ops);
		else if (ops & OP_START)
			hilo__client_complete(t, HILO_ECLOSED);
		spin_lock(&session->lock);
	}
	spin_unlock(&session->lock);
	if (closing)
		session_stop(session);
	else
		session_after(session);
}

int hilo__client_drive_init(struct hilo_http_session *session)
{
	CURLM *multi = session->multi;
	CURLMcode code = curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket);

	code = code ? code : curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, session);
	code = code ? code : curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_timer);
	code = code ? code : curl_multi_setopt(multi, CURLMOPT_TIMERDATA, session);
	code = code ? code : curl_multi_setopt(multi, CURLMOPT_PIPELINING, (long)CURLPIPE_MULTIPLEX);
	code = code ? code
		    : curl_multi_setopt(multi, CURLMOPT_MAX_TOTAL_CONNECTIONS,
					(long)session->set.connections);
	code = code ? code : curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, (long)session->set.connections);
	code = code ? code
		    : curl_multi_setopt(multi, CURLMOPT_MAX_HOST_CONNECTIONS,
					(long)session->set.host_connections);
	session->limited = !session->set.host_connections;
	(void)hilo_semaphore_init(&session->room, (size_t)session->set.connections + PREPARED, 0);
	return code ? -ENOMEM : 0;
}
