/* SPDX-License-Identifier: MIT */
/* conn_read.c - the task of a connection that calls back: what has come, and the end. See conn_impl.h. */
#include <hilo/runtime/error.h>
#include <hilo/runtime/task.h>

#include <errno.h>

#include "io/conn_impl.h"
#include "runtime/error_impl.h"

/* What a connection whose task is cancelled gets to be flushed, at most. */
#define CANCELLED_FLUSH HILO_SECOND

void hilo__conn_call_begin(hilo_conn *conn)
{
	bool shielded = hilo_shield_enter() == 0;

	(void)!hilo_mutex_lock(&conn->calling, HILO_FOREVER);
	if (shielded)
		(void)hilo_shield_leave();
}

void hilo__conn_call_end(hilo_conn *conn)
{
	(void)hilo_mutex_unlock(&conn->calling);
}

/* [lock] The callbacks as they are now. */
static hilo_conn_callbacks conn_callbacks(hilo_conn *conn)
{
	hilo_conn_callbacks callbacks;

	spin_lock(&conn->lock);
	callbacks = conn->callbacks;
	spin_unlock(&conn->lock);
	return callbacks;
}

static void call_made(hilo_conn *conn)
{
	hilo_conn_callbacks callbacks;

	hilo__conn_call_begin(conn);
	callbacks = conn_callbacks(conn);
	if (callbacks.made)
		callbacks.made(conn);
	hilo__conn_call_end(conn);
	(void)hilo_event_set(&conn->begun);
}

/* What the user says of the other side's end: 0: close; more: go on; less: reading was paused, he was not asked. */
static int call_eof(hilo_conn *conn)
{
	hilo_conn_callbacks callbacks;
	int rc = -1;

	hilo__conn_call_begin(conn);
	callbacks = conn_callbacks(conn);
	if (hilo_conn_is_reading(conn))
		rc = callbacks.eof && callbacks.eof(conn) > 0;
	hilo__conn_call_end(conn);
	return rc;
}

/* False: reading was paused, or is over, and nothing was called. */
static bool call_data(hilo_conn *conn, const char *data, size_t size)
{
	hilo_conn_callbacks callbacks;
	bool reads;

	hilo__conn_call_begin(conn);
	callbacks = conn_callbacks(conn);
	reads = hilo_conn_is_reading(conn);
	if (reads && callbacks.data)
		callbacks.data(conn, data, size);
	hilo__conn_call_end(conn);
	return reads;
}

/* [lock] It is to end, or reading to go on. */
static bool conn_is_roused(hilo_conn *conn)
{
	return conn->closing || conn->failure || (!conn->paused && !conn->ended);
}

/* [reader, suspends] Wait until there is something to do. 0, -ECANCELED. */
static int conn_wait(hilo_conn *conn)
{
	bool roused;
	int rc = 0;

	do {
		(void)hilo_event_clear(
			&conn->wake); /* before the look: who sets it has changed something before */
		spin_lock(&conn->lock);
		roused = conn_is_roused(conn);
		spin_unlock(&conn->lock);
		if (!roused)
			rc = hilo_event_wait(&conn->wake, HILO_FOREVER);
	} while (!roused && rc == 0);
	return rc;
}

/* [reader, suspends] What comes next: 1; 0: the other side's end; or why not. */
static int conn_read(hilo_conn *conn)
{
	hilo_stream *stream = conn->stream;
	struct stream_reader reader;
	bool taken;
	ssize_t n = hilo__stream_enter(stream, "hilo_conn");

	if (n < 0)
		return (int)n;
	stream_reader_init(&reader, stream, "hilo_conn");
	n = hilo__stream_fill(&reader, 0, 1, HILO_FOREVER);
	if (n <= 0) {
		hilo__stream_read_end(&reader, 0);
		return n < 0 ? (int)hilo__stream_read_failed(&reader, n) : 0;
	}
	spin_unlock(&stream->lock); /* what has come stays where it is: we are the one who reads */
	taken = call_data(conn, stream_bytes(&reader), (size_t)n);
	spin_lock(&stream->lock);
	hilo__stream_read_end(&reader, taken ? (size_t)n : 0);
	contend_was_free(thread_self());
	return 1;
}

/* [reader, suspends] The other side writes no more. 0: neither do we; 1: we do. */
static int conn_ended(hilo_conn *conn)
{
	int rc = call_eof(conn);

	if (rc == 0)
		return 0;
	spin_lock(&conn->lock);
	conn->ended = rc > 0; /* else the end is found again when reading goes on */
	spin_unlock(&conn->lock);
	return 1;
}

/* [reader, suspends] Until it is over: 0, or why. */
static int conn_serve(hilo_conn *conn)
{
	bool closing;
	int rc;

	for (;;) {
		rc = conn_wait(conn);
		spin_lock(&conn->lock);
		closing = conn->closing;
		rc = rc == 0 && !closing ? conn->failure : rc;
		spin_unlock(&conn->lock);
		if (rc < 0 || closing)
			return closing ? 0 : rc;
		rc = conn_read(conn);
		if (rc == 0 && (rc = conn_ended(conn)) == 0)
			return 0;
		if (rc < 0)
			break;
	}
	spin_lock(&conn->lock);
	if (conn->closing)
		rc = 0;
	else if (rc == HILO_ECLOSED && conn->failure)
		rc = conn->failure;
	spin_unlock(&conn->lock);
	return rc;
}

/* [reader, shielded, suspends] Send what is left, unless it has failed with @rc, and close. Why it is over. */
static int conn_close(hilo_conn *conn, int rc)
{
	hilo_time flush = conn->callbacks.flush, deadline;
	bool drop;
	int sent = 0;

	if (hilo_task_cancelling(hilo_task_current()) > 0 && flush > CANCELLED_FLUSH)
		flush = CANCELLED_FLUSH;
	deadline = hilo_after(flush);
	spin_lock(&conn->lock);
	conn->closing = true;
	drop = conn->aborted || conn->failure || (rc < 0 && rc != -ECANCELED);
	spin_unlock(&conn->lock);
	if (!drop)
		sent = hilo_wait_group_wait(&conn->inside, deadline);
	if (!drop && sent == 0)
		sent = hilo_stream_close(conn->stream, deadline);
	spin_lock(&conn->lock);
	conn->over = true; /* I3: who comes from now on turns round */
	if (rc == 0 && !conn->aborted)
		rc = conn->failure ? conn->failure : sent;
	spin_unlock(&conn->lock);
	(void)hilo_stream_abort(conn->stream);
	(void)hilo_wait_group_wait(&conn->inside, HILO_FOREVER);
	hilo__conn_drop(conn);
	return rc;
}

void hilo__conn_run(hilo_conn *conn)
{
	hilo_conn_callbacks callbacks;
	bool shielded;
	int rc;

	call_made(conn);
	rc = conn_serve(conn);
	shielded = hilo_shield_enter() == 0;
	rc = conn_close(conn, rc);
	if (shielded)
		(void)hilo_shield_leave();
	hilo__conn_call_begin(conn);
	callbacks = conn_callbacks(conn);
	if (callbacks.lost)
		callbacks.lost(conn, rc);
	hilo__conn_call_end(conn);
}
