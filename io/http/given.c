/* SPDX-License-Identifier: MIT */
/*
 * given.c - connections on streams that are given to hilo_http_serve. The server below does not know them, so who
 * closes the server waits for them here, cancels those that are left, and aborts the streams of those that stay even
 * then.
 *
 * Their tasks are the callers', who may have more to do: what is cancelled is the call, by a limit in time around all
 * of it (timeout.h), which is taken back with it.
 *
 * G1  A connection is in the list from before its first request until its last; it joins only while the server is not
 *     stopped, which is looked at under the lock. So who has stopped the server, and has held the lock since then,
 *     finds all that there will ever be.
 * G2  Who wants to cancel or abort one counts in `pins`, under the lock, while it is in the list, and uncounts when he
 *     has: until then it does not leave its limit, nor return the stream.
 */
#include "io/http/http_impl.h"

#include <hilo/runtime/error.h>
#include <hilo/runtime/task.h>

#include <errno.h>

#define BATCH 16

/* One of them, in the frame of its call. */
struct given {
	struct list link;
	hilo_task *task;	 /* which serves it; to be compared alone */
	hilo_stream *stream;	 /* borrowed */
	hilo_timeout limit;	 /* G2 */
	bool cancelled, aborted; /* under the lock */
	atomic(unsigned) pins;	 /* G2 */
};

static bool given_join(struct hilo_http_server *server, struct given *given)
{
	bool stopped;

	http_lock(&server->lock);
	stopped = load_relaxed(&server->stopping); /* relaxed: under the lock, G1 */
	if (!stopped) {
		server->refs++;
		(void)hilo_wait_group_add(&server->serving, 1);
		list_add_tail(&server->given, &given->link);
	}
	http_unlock(&server->lock);
	return !stopped;
}

static void given_leave(struct hilo_http_server *server, struct given *given)
{
	unsigned round = 0;

	http_lock(&server->lock);
	list_del(&given->link);
	http_unlock(&server->lock);
	while (load_acquire(&given->pins)) /* pairs with given_end, G2 */
		spin_pause(round++);
}

int hilo__http_given_serve(struct hilo_http_server *server, hilo_stream *stream, hilo_time deadline)
{
	struct given given = {.task = hilo_task_current(), .stream = stream};
	int rc = hilo_timeout_enter(&given.limit, HILO_FOREVER);
	bool cancelled;

	if (rc < 0)
		return rc;
	if (!given_join(server, &given)) {
		(void)hilo_timeout_leave(&given.limit, 0);
		return hilo_fail(HILO_ECLOSED, "hilo_http_serve: the server is stopped");
	}
	rc = hilo__http_connection(server, stream, deadline);
	given_leave(server, &given);
	cancelled = rc == -ECANCELED;
	rc = hilo_timeout_leave(&given.limit, rc);
	(void)hilo_wait_group_done(&server->serving);
	hilo__http_server_unref(server);
	if (cancelled && rc == -ETIMEDOUT)
		return hilo_fail(HILO_ECLOSED, "hilo_http_serve: the server is closed");
	return rc;
}

/* Cancel those that are left, or abort their streams; each once. */
static void given_end(struct hilo_http_server *server, bool aborts)
{
	struct given *some[BATCH];
	struct list *at;
	unsigned n;

	do {
		n = 0;
		http_lock(&server->lock);
		list_for_each (at, &server->given) {
			struct given *given = list_entry(at, struct given, link);
			bool *told = aborts ? &given->aborted : &given->cancelled;

			if (*told || n == BATCH)
				continue;
			*told = true;
			(void)add_relaxed(&given->pins, 1); /* relaxed: under the lock, G2 */
			some[n++] = given;
		}
		http_unlock(&server->lock);
		for (unsigned i = 0; i < n; i++) {
			if (aborts)
				(void)hilo_stream_abort(some[i]->stream);
			else
				(void)hilo_timeout_reschedule(&some[i]->limit, HILO_NO_WAIT);
			(void)sub_release(&some[i]->pins, 1); /* pairs with given_leave; it may be gone now */
		}
	} while (n == BATCH);
}

void hilo__http_given_cancel(struct hilo_http_server *server)
{
	given_end(server, false);
}

bool hilo__http_given_is_mine(struct hilo_http_server *server)
{
	hilo_task *task = hilo_task_current();
	struct list *at;
	bool mine = false;

	http_lock(&server->lock);
	if (task)
		list_for_each (at, &server->given)
			mine |= list_entry(at, struct given, link)->task == task;
	http_unlock(&server->lock);
	return mine;
}

/* [shielded] Those that are left when the time is over. */
static void given_close_left(struct hilo_http_server *server, size_t left, hilo_server_counts *counts)
{
	size_t aborted;

	given_end(server, false);
	(void)hilo_wait_group_wait(&server->serving, hilo_after(server->grace));
	aborted = hilo_wait_group_count(&server->serving);
	counts->cancelled += left - aborted;
	counts->aborted += aborted;
	if (!aborted)
		return;
	given_end(server, true);
	(void)hilo_wait_group_wait(&server->serving, hilo_after(server->grace));
	counts->running += hilo_wait_group_count(&server->serving);
}

int hilo__http_given_close(struct hilo_http_server *server, hilo_server_counts *counts, hilo_time deadline)
{
	size_t before = hilo_wait_group_count(&server->serving), left;
	int rc = hilo_wait_group_wait(&server->serving, deadline);
	bool shielded;

	if (rc < 0 && rc != -ETIMEDOUT && rc != -ECANCELED)
		return rc;
	shielded = hilo_shield_enter() == 0;
	left = rc < 0 ? hilo_wait_group_count(&server->serving) : 0;
	counts->drained += before - left;
	if (left)
		given_close_left(server, left, counts);
	if (shielded)
		(void)hilo_shield_leave();
	return rc;
}
