/* SPDX-License-Identifier: MIT */
/*
 * transfer.c - one request and its answer, from its making to when the last who knows it has let go.
 *
 * P1  Dropping a reference releases, the last drop acquires: who frees sees all uses ended.
 */
#include "io/http_client/client_impl.h"

#include <errno.h>

#include <hilo/runtime/error.h>

#include "scheduler/base/mem.h"

/* A handle without options: one that has served, as long as there are any. */
static CURL *easy_take(struct hilo_http_session *session)
{
	CURL *easy = NULL;

	spin_lock(&session->lock);
	if (session->n_spare)
		easy = session->spare[--session->n_spare];
	spin_unlock(&session->lock);
	return easy ? easy : curl_easy_init();
}

/* [lock of the session] */
static bool easy_has_room(const struct hilo_http_session *session)
{
	return session->n_spare < array_size(session->spare);
}

/* The end of @t's, which libcurl has no more. Some that have come to a good end are kept: making one takes longer. */
static void easy_give(struct transfer *t)
{
	struct hilo_http_session *session = t->session;
	bool kept;

	if (!t->easy)
		return;
	spin_lock(&session->lock);
	kept = t->done && t->rc == 0 && easy_has_room(session);
	spin_unlock(&session->lock);
	if (kept) {
		(void)curl_easy_setopt(t->easy, CURLOPT_COOKIEFILE,
				       NULL); /* which is not reset by libcurl 7 */
		curl_easy_reset(t->easy);
		(void)curl_easy_setopt(t->easy, CURLOPT_NOSIGNAL, 1L); /* its end shall leave SIGPIPE alone */
		spin_lock(&session->lock);
		kept = easy_has_room(session); /* others may have come before */
		if (kept)
			session->spare[session->n_spare++] = t->easy;
		spin_unlock(&session->lock);
	}
	if (!kept)
		curl_easy_cleanup(t->easy);
}

static void transfer_free(struct transfer *t)
{
	easy_give(t);
	curl_slist_free_all(t->headers);
	curl_slist_free_all(t->names);
	hilo__free(t->header.text);
	hilo__free(t->trailers.text);
	hilo__free(t->data);
	hilo__free(t->out);
	hilo__client_session_unref(t->session);
	hilo__free(t);
}

void hilo__client_transfer_unref(struct transfer *t)
{
	if (sub_acq_rel(&t->refs, 1) == 1) /* P1 */
		transfer_free(t);
}

int hilo__client_transfer_new(const struct fetch *fetch, struct transfer **ret)
{
	struct transfer *t = hilo__calloc(1, sizeof(*t));
	int rc;

	if (!t)
		return -ENOMEM;
	t->session = fetch->session;
	(void)add_relaxed(&t->session->refs, 1); /* relaxed: the caller has one */
	atomic_setup(&t->refs, 1);
	list_init(&t->posted);
	list_init(&t->live);
	list_init(&t->broken);
	spin_init(&t->lock);
	t->window = t->session->set.buffer;
	t->follow = !(fetch->flags & HILO_HTTP_NO_REDIRECTS);
	t->shares = !strcmp(fetch->target.scheme, "https") && t->session->set.version != 10 &&
		    t->session->set.version != 11;
	t->easy = easy_take(t->session);
	t->permit = t->session->limited;
	rc = t->easy ? hilo__client_setup(t, fetch) : -ENOMEM;
	if (rc < 0) {
		hilo__client_transfer_unref(t);
		return rc;
	}
	*ret = t;
	return 0;
}

void hilo__client_abandon(struct transfer *t)
{
	bool done;

	spin_lock(&t->lock);
	t->abandoned = true;
	done = t->done;
	spin_unlock(&t->lock);
	hilo__client_send_stop(t);
	if (!done) /* else it is refused, as there is no loop's reference */
		(void)hilo__client_post(t, OP_ABORT);
}

void hilo__client_fail(struct transfer *t, int rc, const char *why)
{
	spin_lock(&t->lock);
	if (!t->failure) {
		t->failure = rc;
		(void)strncpy(t->why, why ? why : "", sizeof(t->why) - 1);
	}
	spin_unlock(&t->lock);
}

void hilo__client_release(struct transfer *t)
{
	bool permit;

	spin_lock(&t->lock);
	permit = t->permit;
	t->permit = false;
	spin_unlock(&t->lock);
	if (permit)
		(void)hilo_semaphore_release(&t->session->room, 1);
}

void hilo__client_complete(struct transfer *t, int rc)
{
	struct hilo_http_session *session = t->session;
	bool wake_sender;

	spin_lock(&session->lock);
	t->running = false;
	list_del(&t->posted);
	session->running--;
	session->failed += rc < 0;
	spin_unlock(&session->lock);
	hilo__client_release(t);
	spin_lock(&t->lock);
	/* What is left of a redirect is not wanted: whether it comes does not matter. */
	if (rc < 0 && t->failure)
		rc = t->failure;
	t->rc = t->discard && t->header_done ? 0 : rc;
	t->done = true;
	wake_sender = t->out_waiting;
	t->out_waiting = false;
	spin_unlock(&t->lock);
	(void)hilo_event_set(&t->event); /* also who waits for its end alone */
	if (wake_sender)
		(void)hilo_event_set(&t->room);
	hilo__client_transfer_unref(t);
}
