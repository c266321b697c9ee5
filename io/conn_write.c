/* SPDX-License-Identifier: MIT */
/* conn_write.c - writing to a connection that calls back, without waiting; and the task that waits. See conn_impl.h. */
#include <hilo/runtime/error.h>
#include <hilo/runtime/task.h>

#include <errno.h>
#include <limits.h>

#include "io/conn_impl.h"
#include "runtime/error_impl.h"
#include "scheduler/base/mem.h"

/* A task that writes, from before it is spawned until it is gone. */
struct writer {
	hilo_conn *conn; /* a reference; inside */
	bool began;
};

/* [lock] Nobody will look at the queue by himself. I4 */
static bool writer_is_missing(const hilo_conn *conn)
{
	return !conn->serving && !conn->starting;
}

/* [writer, serves, no lock] Write @chunk, which is consumed, in pieces that are taken whole. */
static void writer_write(hilo_conn *conn, struct conn_chunk *chunk)
{
	size_t left = chunk->size;
	ssize_t rc = 0;

	while (left && rc >= 0) {
		size_t size = left < STREAM_LIMIT ? left : STREAM_LIMIT;

		rc = hilo_stream_write(conn->stream, chunk->data + chunk->size - left, size, HILO_FOREVER);
		size = rc < 0 ? left : size;
		left -= size;
		spin_lock(&conn->lock);
		conn->queued -= size;
		spin_unlock(&conn->lock);
	}
	hilo__free(chunk);
	if (rc < 0)
		hilo__conn_fail(conn, (int)rc);
}

/* [writer, serves, shielded, no lock] The queue is empty: wait until little is on its way, and say so. */
static void writer_drain(hilo_conn *conn)
{
	void (*writable)(hilo_conn * conn) = NULL;
	int rc;

	hilo__stream_hold(conn->stream);
	rc = hilo_stream_drain(conn->stream, HILO_FOREVER);
	if (rc == 0)
		rc = hilo_event_wait(&conn->begun, HILO_FOREVER);
	if (rc < 0)
		hilo__conn_fail(conn, rc);
	hilo__conn_call_begin(conn);
	spin_lock(&conn->lock);
	if (rc < 0 || list_empty(&conn->queue)) { /* else once more, when that was written */
		conn->full = conn->owed = false;
		writable = conn->failure || conn->closing ? NULL : conn->callbacks.writable;
	}
	spin_unlock(&conn->lock);
	if (writable) {
		(void)hilo_shield_leave(); /* he may be cancelled, as in other callbacks */
		writable(conn);
		(void)hilo_shield_enter();
	}
	hilo__conn_call_end(conn);
}

/* [writer; lock, which it lets go of meanwhile] Do what is to be done next. False: nothing is. */
static bool writer_step(hilo_conn *conn)
{
	struct list *first = conn->failure ? NULL : list_pop_first(&conn->queue);
	bool drains = !first && conn->full;

	if (!first && !drains && !conn->eof_due)
		return false;
	if (!first && !drains)
		conn->eof_due = false;
	spin_unlock(&conn->lock);
	if (first)
		writer_write(conn, list_entry(first, struct conn_chunk, link));
	else if (drains)
		writer_drain(conn);
	else
		(void)hilo_stream_write_eof(conn->stream);
	spin_lock(&conn->lock);
	return true;
}

static int writer_main(void *arg)
{
	struct writer *writer = arg;
	hilo_conn *conn = writer->conn;
	bool shielded = hilo_shield_enter() == 0; /* who reads ends it, when it has had its time */

	writer->began = true;
	spin_lock(&conn->lock);
	conn->starting--;
	conn->serving = true;
	while (conn->direct) { /* I5 */
		spin_unlock(&conn->lock);
		(void)hilo_yield();
		spin_lock(&conn->lock);
	}
	while (writer_step(conn))
		;
	conn->serving = false; /* I4 */
	spin_unlock(&conn->lock);
	if (shielded)
		(void)hilo_shield_leave();
	return 0;
}

const hilo_stream *hilo__conn_written_by(const struct hilo_task *task)
{
	const struct writer *writer = task && task->entry == writer_main ? task->arg : NULL;

	return writer ? writer->conn->stream : NULL;
}

/* [any] Its task is gone, whether it has run or not. */
static void writer_destroy(void *arg)
{
	struct writer *writer = arg;
	hilo_conn *conn = writer->conn;

	if (HILO__UNLIKELY(!writer->began)) { /* the runtime ends: nobody will write what is queued */
		spin_lock(&conn->lock);
		conn->starting--;
		spin_unlock(&conn->lock);
		hilo__conn_fail(conn, -ECANCELED);
	}
	hilo__free(writer);
	hilo__conn_leave(conn);
	hilo_conn_unref(conn);
}

/* [inside, no lock, counted in `starting`, also if it fails] One more writer. 0, or why not. */
static int writer_start(hilo_conn *conn)
{
	hilo_task_opts opts = {.size = sizeof(opts), .destroy = writer_destroy};
	struct writer *writer = hilo__calloc(1, sizeof(*writer));
	int rc;

	if (!writer)
		return -ENOMEM;
	writer->conn = hilo_conn_ref(conn);
	(void)hilo_wait_group_add(&conn->inside, 1);
	rc = hilo_submit(conn->runtime, writer_main, writer, &opts, NULL);
	if (rc == 0)
		return 0;
	hilo__free(writer);
	hilo__conn_leave(conn);
	hilo_conn_unref(conn);
	return rc;
}

/* [lock] The writer that was to begin will not. True: others have counted on it, and nobody else comes. I4 */
static bool writer_is_missed(hilo_conn *conn)
{
	conn->starting--;
	return writer_is_missing(conn) && (!list_empty(&conn->queue) || conn->owed || conn->eof_due);
}

/* [inside, no lock, counted in `starting`] Nobody was there for what is in the queue. 0; else it is not, and why. */
static int chunk_serve(hilo_conn *conn, struct conn_chunk *chunk)
{
	bool missed;
	int rc = writer_start(conn);

	if (HILO__LIKELY(rc == 0))
		return 0;
	spin_lock(&conn->lock);
	list_del(&chunk->link); /* nobody else has begun while we were counted */
	conn->queued -= chunk->size;
	missed = writer_is_missed(conn);
	spin_unlock(&conn->lock);
	hilo__free(chunk);
	if (missed)
		hilo__conn_fail(conn, rc);
	return rc;
}

/* [inside, no lock] What the stream does not take now. 0, or why not. */
static int conn_queue(hilo_conn *conn, const void *data, size_t size)
{
	struct conn_chunk *chunk = hilo__malloc(sizeof(*chunk) + size);
	bool missing;
	int rc;

	if (!chunk)
		return -ENOMEM;
	chunk->size = size;
	list_init(&chunk->link);
	memcpy(chunk->data, data, size);
	spin_lock(&conn->lock);
	rc = conn->closing ? HILO_ECLOSED : conn->eof ? -EPIPE : conn->failure;
	missing = rc == 0 && writer_is_missing(conn);
	conn->starting += missing;
	if (rc == 0) {
		list_add_tail(&conn->queue, &chunk->link);
		conn->queued += size;
	}
	spin_unlock(&conn->lock);
	if (rc < 0)
		hilo__free(chunk);
	else if (missing)
		rc = chunk_serve(conn, chunk);
	return rc;
}

/* [inside, no lock] 1: more is on its way than the high mark, and `writable` is owed; 0. */
static int conn_look(hilo_conn *conn)
{
	size_t level = hilo_stream_write_buffered(conn->stream);
	bool full, missing, missed;
	int rc;

	spin_lock(&conn->lock);
	if (!conn->full && !conn->closing && level + conn->queued > conn->high)
		conn->full = true;
	full = conn->full;
	missing = full && writer_is_missing(conn);
	conn->starting += missing;
	conn->owed |= full && !missing;
	spin_unlock(&conn->lock);
	if (HILO__LIKELY(!missing))
		return full;
	rc = writer_start(conn);
	if (HILO__LIKELY(rc == 0))
		return 1;
	spin_lock(&conn->lock);
	missed = writer_is_missed(conn);
	if (!missed)
		conn->full = false; /* nobody could say when it is not: the next write looks again */
	spin_unlock(&conn->lock);
	if (missed)
		hilo__conn_fail(conn, rc);
	return missed;
}

/* [inside] */
static int conn_write(hilo_conn *conn, const void *data, size_t size)
{
	ssize_t n = -EAGAIN;
	bool direct, overtaken = false;
	int rc;

	spin_lock(&conn->lock);
	rc = conn->closing ? HILO_ECLOSED : conn->eof ? -EPIPE : conn->failure;
	direct = writer_is_missing(conn) && list_empty(&conn->queue) && size <= STREAM_LIMIT; /* I5 */
	direct = direct && size && rc == 0;
	conn->direct += direct;
	spin_unlock(&conn->lock);
	if (rc < 0)
		return hilo__error_own(rc);
	if (HILO__LIKELY(direct)) {
		n = hilo__stream_write_now(conn->stream, data, size);
		spin_lock(&conn->lock);
		conn->direct--;
		overtaken = n == -EPIPE && conn->eof; /* by who wrote the end: nothing has failed */
		spin_unlock(&conn->lock);
	}
	if (n == -EAGAIN || n == -ENOMEM)
		n = size ? conn_queue(conn, data, size) : 0;
	else if (HILO__UNLIKELY(n < 0 && n != -EBADF && !overtaken))
		hilo__conn_fail(conn, (int)n);
	return n < 0 ? hilo__error_own((int)n) : conn_look(conn);
}

int hilo_conn_write(hilo_conn *conn, const void *data, size_t size)
{
	int rc = hilo__conn_enter(conn, "hilo_conn_write");

	if (rc < 0)
		return rc;
	if ((!data && size) || size > SSIZE_MAX - sizeof(struct conn_chunk))
		rc = hilo_fail(-EINVAL, "hilo_conn_write: data is %p, size %zu", data, size);
	else
		rc = conn_write(conn, data, size);
	hilo__conn_leave(conn);
	return rc;
}

/* [inside] Write the end, behind what is queued. */
static int conn_write_eof(hilo_conn *conn)
{
	bool direct = false;
	int rc;

	spin_lock(&conn->lock);
	rc = conn->closing ? HILO_ECLOSED : conn->failure;
	if (rc == 0 && !conn->eof) {
		conn->eof = true;
		direct = writer_is_missing(conn) && list_empty(&conn->queue);
		conn->eof_due = !direct;
	}
	spin_unlock(&conn->lock);
	if (direct)
		rc = hilo_stream_write_eof(conn->stream);
	return rc < 0 ? hilo__error_own(rc) : 0;
}

int hilo_conn_write_eof(hilo_conn *conn)
{
	int rc = hilo__conn_enter(conn, "hilo_conn_write_eof");

	if (rc < 0)
		return rc;
	if (!hilo_stream_can_write_eof(conn->stream))
		rc = hilo_fail(-EOPNOTSUPP, "hilo_conn_write_eof: the other direction would end as well");
	else
		rc = conn_write_eof(conn);
	hilo__conn_leave(conn);
	return rc;
}

int hilo_conn_can_write_eof(hilo_conn *conn)
{
	int can;

	if (!conn || hilo__conn_enter(conn, "hilo_conn_can_write_eof") < 0)
		return 0;
	can = hilo_stream_can_write_eof(conn->stream);
	hilo__conn_leave(conn);
	return can;
}

size_t hilo_conn_get_write_buffer_size(hilo_conn *conn)
{
	size_t size;

	if (!conn || hilo__conn_enter(conn, "hilo_conn_get_write_buffer_size") < 0)
		return 0;
	size = hilo_stream_write_buffered(conn->stream);
	spin_lock(&conn->lock);
	size += conn->queued;
	spin_unlock(&conn->lock);
	hilo__conn_leave(conn);
	return size;
}

void hilo__conn_drop(hilo_conn *conn)
{
	struct list *first;

	while ((first = list_pop_first(&conn->queue)))
		hilo__free(list_entry(first, struct conn_chunk, link));
}
