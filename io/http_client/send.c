/* SPDX-License-Identifier: MIT */
/*
 * send.c - a body that a function of the user's gives, in a task of its own, so that it may suspend.
 *
 * The task fills one buffer while libcurl takes what is in the other. libcurl, when it has taken all, pauses; the task,
 * when it has more, has the loop go on.
 */
#include "io/http_client/client_impl.h"

#include <errno.h>
#include <inttypes.h>

#include <hilo/runtime/error.h>

#include "scheduler/base/mem.h"

size_t hilo__client_on_send(char *data, size_t size, size_t n, void *arg)
{
	struct transfer *t = arg;
	bool wake = false;
	size_t taken;

	n *= size;
	spin_lock(&t->lock);
	taken = t->out_end - t->out_at;
	taken = taken < n ? taken : n;
	if (taken)
		memcpy(data, t->out + t->out_at, taken);
	t->out_at += taken;
	t->paused_out = false;
	if (!taken && t->failure) {
		taken = CURL_READFUNC_ABORT;
	} else if (!taken && !t->out_eof) {
		t->paused_out = true;
		taken = CURL_READFUNC_PAUSE;
	} else if (t->out_at == t->out_end) {
		wake = t->out_waiting;
		t->out_waiting = false;
	}
	spin_unlock(&t->lock);
	if (wake)
		(void)hilo_event_set(&t->room);
	return taken;
}

/* [lock] Nobody will take anything more. */
static bool send_is_over(const struct transfer *t)
{
	return t->done || t->abandoned;
}

/* [lock, which is given back] libcurl waits for what is there now. */
static void send_unlock(struct transfer *t)
{
	bool resume = t->paused_out;

	t->paused_out = false;
	spin_unlock(&t->lock);
	if (resume)
		(void)hilo__client_post(t, OP_RESUME);
}

/* [task] Hand over *@buf with @n bytes, once what was handed over before is taken; it is the other one then. */
static bool send_give(struct transfer *t, char **buf, size_t n)
{
	char *other;

	spin_lock(&t->lock);
	while (t->out_at < t->out_end && !send_is_over(t)) {
		t->out_waiting = true;
		(void)hilo_event_clear(&t->room);
		spin_unlock(&t->lock);
		if (hilo_event_wait(&t->room, HILO_FOREVER) < 0)
			return false; /* cancelled: nobody wants it */
		spin_lock(&t->lock);
		t->out_waiting = false;
	}
	if (send_is_over(t)) {
		spin_unlock(&t->lock);
		return false;
	}
	other = t->out;
	t->out = *buf;
	*buf = other;
	t->out_at = 0;
	t->out_end = n;
	t->out_eof = !n;
	send_unlock(t);
	return n > 0;
}

static void send_fail(struct transfer *t, int rc)
{
	hilo__client_fail(t, rc, hilo_error_code() == rc ? hilo_error_message() : "its body has failed");
	spin_lock(&t->lock);
	send_unlock(t);
}

/*
 * [task] What the function gives next, as it does; a code also if that is not what was announced: more would be taken
 * for the next request of its connection, less would be waited for.
 */
static ssize_t send_ask(struct transfer *t, char *buf, uint64_t *given)
{
	ssize_t n = t->read(buf, SEND_SIZE, t->arg);

	if (n > (ssize_t)SEND_SIZE)
		return -EINVAL;
	*given += n > 0 ? (uint64_t)n : 0;
	if (t->length && (*given > t->length || (n == 0 && *given < t->length)))
		return hilo_fail(-EINVAL, "its body has not the %" PRIu64 " bytes it was to have", t->length);
	return n;
}

static int send_main(void *arg)
{
	struct transfer *t = arg;
	char *buf = hilo__malloc(SEND_SIZE), *other = hilo__malloc(SEND_SIZE);
	uint64_t given = 0;
	ssize_t n;

	spin_lock(&t->lock);
	t->out = other;
	spin_unlock(&t->lock);
	if (!buf || !other) {
		hilo__free(buf);
		send_fail(t, -ENOMEM);
		return 0;
	}
	do {
		n = send_ask(t, buf, &given);
		if (n < 0)
			send_fail(t, (int)n);
	} while (n >= 0 && send_give(t, &buf, (size_t)n));
	hilo__free(buf);
	return 0;
}

static void send_destroy(void *arg)
{
	struct transfer *t = arg;

	if (t->end)
		t->end(t->arg);
	hilo__client_transfer_unref(t);
}

int hilo__client_send_start(struct transfer *t, const hilo_http_fetch_opts *opts)
{
	hilo_task_opts how = {.size = sizeof(how), .name = "http-body", .destroy = send_destroy};
	int rc;

	t->read = opts->read;
	t->arg = opts->arg;
	t->end = opts->done;
	t->length = opts->length;
	(void)add_relaxed(&t->refs, 1); /* relaxed: the caller has one */
	if (hilo_loop_current())
		rc = hilo_spawn_with(send_main, t, &how, &t->task);
	else
		rc = hilo__client_submit(t->session, send_main, t, &how, &t->task);
	if (rc < 0)
		hilo__client_transfer_unref(t);
	return rc;
}

void hilo__client_send_stop(struct transfer *t)
{
	if (t->task)
		(void)hilo_task_cancel(t->task);
}
