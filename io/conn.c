/* SPDX-License-Identifier: MIT */
/* conn.c - connections that call back, as their users see them: made, asked, closed. See conn_impl.h. */
#include "io/conn_impl.h"

#include <errno.h>

#include "io/connect_impl.h"
#include "runtime/error_impl.h"
#include "runtime/sized_impl.h"
#include "scheduler/base/mem.h"

_Static_assert(sizeof(hilo_conn_callbacks) == SIZED_END(hilo_conn_callbacks, flush),
	       "it ends with its last member");

#define DEFAULT_FLUSH (10 * HILO_SECOND)

int hilo__conn_enter(hilo_conn *conn, const char *call)
{
	bool over;

	if (!conn)
		return hilo_fail(-EINVAL, "%s: conn is NULL", call);
	(void)hilo_wait_group_add(&conn->inside, 1);
	spin_lock(&conn->lock);
	over = conn->over;
	spin_unlock(&conn->lock);
	if (!over)
		return 0;
	(void)hilo_wait_group_done(&conn->inside);
	return hilo_fail(HILO_ECLOSED, "%s: the connection is over", call);
}

void hilo__conn_leave(hilo_conn *conn)
{
	(void)hilo_wait_group_done(&conn->inside);
}

void hilo__conn_fail(hilo_conn *conn, int code)
{
	spin_lock(&conn->lock);
	conn->failure = conn->failure ? conn->failure : code;
	spin_unlock(&conn->lock);
	hilo__stream_read_no_more(conn->stream);
	(void)hilo_event_set(&conn->wake);
}

static int callbacks_read(hilo_conn_callbacks *to, const hilo_conn_callbacks *from, const char *call)
{
	int rc;

	to->size = sizeof(*to);
	if (!from)
		return hilo_fail(-EINVAL, "%s: callbacks is NULL", call);
	rc = SIZED_IN(hilo_conn_callbacks, to, from, flush);
	if (rc < 0)
		return rc;
	if (to->flush < 0)
		return hilo_fail(-EINVAL, "hilo_conn_callbacks.flush is negative");
	if (to->high && to->low > to->high)
		return hilo_fail(-EINVAL, "hilo_conn_callbacks: low is %zu, high %zu", to->low, to->high);
	to->flush = to->flush ? to->flush : DEFAULT_FLUSH;
	return 0;
}

/* [any] The marks of the stream are those of the connection. What is 0 stays as it is; low is not above high. */
static int conn_set_marks(hilo_stream *stream, size_t high, size_t low, const char *call)
{
	hilo_stream_limits limits = {.size = sizeof(limits)};
	int rc = hilo_stream_get_limits(stream, &limits);

	limits.low = low ? low : high ? 0 : limits.low;
	limits.high = high ? high : limits.high;
	if (rc == 0 && limits.low > limits.high)
		return hilo_fail(-EINVAL, "%s: low is %zu, more than high, %zu", call, limits.low,
				 limits.high);
	return rc < 0 ? rc : hilo_stream_set_limits(stream, &limits);
}

/* [any] Something may come; else the other side's end is one that was answered. */
static bool conn_can_read(hilo_stream *stream)
{
	bool can;

	spin_lock(&stream->lock);
	can = stream->transport->can_read;
	spin_unlock(&stream->lock);
	return can;
}

static size_t conn_high(const hilo_stream *stream)
{
	hilo_stream_limits limits = {.size = sizeof(limits)};

	(void)hilo_stream_get_limits(stream, &limits);
	return limits.high;
}

/* A connection over @stream, with one reference. On failure @stream is the caller's. */
static int conn_new(hilo_stream *stream, const hilo_conn_callbacks *callbacks, const char *call,
		    hilo_conn **ret)
{
	hilo_conn_callbacks own;
	hilo_conn *conn;
	int rc = callbacks_read(&own, callbacks, call);

	if (rc < 0)
		return rc;
	conn = hilo__calloc(1, sizeof(*conn));
	if (!conn)
		return hilo__error_own(-ENOMEM);
	if (own.high || own.low)
		rc = conn_set_marks(stream, own.high, own.low, call);
	if (rc < 0) {
		hilo__free(conn);
		return rc;
	}
	spin_init(&conn->lock);
	atomic_setup(&conn->refs, 1);
	conn->stream = stream;
	conn->runtime = hilo__io_runtime();
	if (!conn->runtime)
		conn->runtime = stream->descriptor.runtime;
	conn->callbacks = own;
	(void)!hilo_mutex_init(&conn->calling, 0);
	(void)hilo_event_init(&conn->wake, 0);
	(void)hilo_wait_group_init(&conn->inside);
	(void)hilo_event_init(&conn->begun, 0);
	list_init(&conn->queue);
	conn->high = conn_high(stream);
	conn->ended = !conn_can_read(stream);
	*ret = conn;
	return 0;
}

hilo_conn *hilo_conn_ref(hilo_conn *conn)
{
	if (conn)
		(void)add_relaxed(&conn->refs, 1); /* relaxed: the caller has one */
	return conn;
}

void hilo_conn_unref(hilo_conn *conn)
{
	if (!conn || sub_acq_rel(&conn->refs, 1) > 1) /* P1 */
		return;
	if (conn->owns)
		hilo_stream_free(conn->stream);
	hilo__conn_drop(conn); /* its task may never have run */
	hilo__free(conn);
}

/* A client of a server: its task is the reader. The stream is the server's. */
static int client_main(hilo_stream *client, void *arg)
{
	hilo_conn *conn;
	int rc = conn_new(client, arg, "hilo_conn_serve", &conn);

	if (rc < 0)
		return rc;
	hilo__conn_run(conn);
	hilo_conn_unref(conn);
	return 0;
}

int hilo_conn_serve(const hilo_conn_callbacks *callbacks, const hilo_server_opts *opts, hilo_server **ret,
		    hilo_time deadline)
{
	hilo_conn_callbacks own;
	int rc = callbacks_read(&own, callbacks, "hilo_conn_serve");

	return rc < 0 ? rc
		      : hilo_start_server(client_main, (void *)(uintptr_t)callbacks, opts, ret, deadline);
}

static int conn_main(void *arg)
{
	hilo__conn_run(arg);
	return 0;
}

/* [any] Its task is gone, whether it has run or not. */
static void conn_destroy(void *arg)
{
	hilo_conn *conn = arg;

	if (HILO__UNLIKELY(!conn->over)) {
		spin_lock(&conn->lock);
		conn->over = conn->closing = true;
		spin_unlock(&conn->lock);
		(void)hilo_stream_abort(conn->stream);
		(void)hilo_event_set(&conn->begun);
	}
	hilo_conn_unref(conn);
}

int hilo_conn_start(hilo_stream *stream, const hilo_conn_callbacks *callbacks, hilo_conn **ret)
{
	hilo_task_opts opts = {.size = sizeof(opts), .destroy = conn_destroy};
	hilo_stream_limits before = {.size = sizeof(before)};
	hilo_conn *conn;
	int rc;

	if (!stream)
		return hilo_fail(-EINVAL, "hilo_conn_start: stream is NULL");
	(void)hilo_stream_get_limits(stream, &before);
	rc = conn_new(stream, callbacks, "hilo_conn_start", &conn);
	if (rc < 0)
		return rc;
	conn->owns = true;
	(void)hilo_conn_ref(conn); /* the task may end at once */
	rc = conn->runtime ? hilo_submit(conn->runtime, conn_main, conn, &opts, NULL)
			   : hilo_fail(-EDEADLK, "hilo_conn_start: there is no runtime");
	if (rc < 0) {
		(void)hilo_stream_set_limits(stream, &before);
		hilo__free(conn);
		return rc;
	}
	if (ret)
		*ret = conn;
	else
		hilo_conn_unref(conn);
	return 0;
}

int hilo_conn_open(const char *host, unsigned port, const hilo_connect_opts *opts,
		   const hilo_conn_callbacks *callbacks, hilo_conn **ret, hilo_time deadline)
{
	hilo_conn_callbacks own;
	hilo_stream *stream;
	int rc = callbacks_read(&own, callbacks, "hilo_conn_open");

	if (rc == 0)
		rc = hilo_open_connection(host, port, opts, &stream, deadline);
	if (rc < 0)
		return rc;
	rc = hilo_conn_start(stream, callbacks, ret);
	if (rc < 0)
		hilo_stream_free(stream);
	return rc;
}

static int conn_set_paused(hilo_conn *conn, bool paused, const char *call)
{
	int rc = hilo__conn_enter(conn, call);

	if (rc < 0)
		return rc;
	spin_lock(&conn->lock);
	rc = conn->closing ? HILO_ECLOSED : 0;
	conn->paused = paused;
	spin_unlock(&conn->lock);
	if (!paused)
		(void)hilo_event_set(&conn->wake);
	hilo__conn_leave(conn);
	return rc < 0 ? hilo__error_own(rc) : 0;
}

int hilo_conn_pause_reading(hilo_conn *conn)
{
	return conn_set_paused(conn, true, "hilo_conn_pause_reading");
}

int hilo_conn_resume_reading(hilo_conn *conn)
{
	return conn_set_paused(conn, false, "hilo_conn_resume_reading");
}

int hilo_conn_is_reading(hilo_conn *conn)
{
	bool reading;

	if (!conn)
		return 0;
	spin_lock(&conn->lock);
	reading = !conn->paused && !conn->closing && !conn->over && !conn->ended && !conn->failure;
	spin_unlock(&conn->lock);
	return reading;
}

int hilo_conn_set_write_buffer_limits(hilo_conn *conn, size_t high, size_t low)
{
	hilo_stream_limits limits = {.size = sizeof(limits)};
	int rc = hilo__conn_enter(conn, "hilo_conn_set_write_buffer_limits");

	if (rc < 0)
		return rc;
	rc = hilo_stream_get_limits(conn->stream, &limits);
	limits.high = high;
	limits.low = low;
	if (rc == 0)
		rc = hilo_stream_set_limits(conn->stream, &limits);
	spin_lock(&conn->lock);
	conn->high = conn_high(conn->stream);
	spin_unlock(&conn->lock);
	hilo__conn_leave(conn);
	return rc;
}

int hilo_conn_get_write_buffer_limits(hilo_conn *conn, size_t *high, size_t *low)
{
	hilo_stream_limits limits = {.size = sizeof(limits)};
	int rc = hilo__conn_enter(conn, "hilo_conn_get_write_buffer_limits");

	if (rc < 0)
		return rc;
	rc = hilo_stream_get_limits(conn->stream, &limits);
	hilo__conn_leave(conn);
	if (rc == 0 && high)
		*high = limits.high;
	if (rc == 0 && low)
		*low = limits.low;
	return rc;
}

static int conn_end(hilo_conn *conn, bool abort, const char *call)
{
	if (!conn)
		return hilo_fail(-EINVAL, "%s: conn is NULL", call);
	if (hilo__conn_enter(conn, call) < 0)
		return 0; /* again */
	spin_lock(&conn->lock);
	conn->closing = true;
	conn->aborted |= abort;
	spin_unlock(&conn->lock);
	if (abort)
		(void)hilo_stream_abort(conn->stream);
	else
		hilo__stream_read_no_more(conn->stream);
	(void)hilo_event_set(&conn->wake);
	hilo__conn_leave(conn);
	return 0;
}

int hilo_conn_close(hilo_conn *conn)
{
	return conn_end(conn, false, "hilo_conn_close");
}

int hilo_conn_abort(hilo_conn *conn)
{
	return conn_end(conn, true, "hilo_conn_abort");
}

int hilo_conn_is_closing(hilo_conn *conn)
{
	bool closing;

	if (!conn)
		return 1;
	spin_lock(&conn->lock);
	closing = conn->closing || conn->over;
	spin_unlock(&conn->lock);
	return closing;
}

int hilo_conn_info(hilo_conn *conn, const char *key, char *buf, size_t size)
{
	int rc = hilo__conn_enter(conn, "hilo_conn_info");

	if (rc < 0)
		return rc;
	rc = hilo_stream_info(conn->stream, key, buf, size);
	hilo__conn_leave(conn);
	return rc;
}

static int conn_name(hilo_conn *conn, const char *call, hilo_address *ret,
		     int (*name)(const hilo_stream *stream, hilo_address *ret))
{
	int rc = hilo__conn_enter(conn, call);

	if (rc < 0)
		return rc;
	rc = name(conn->stream, ret);
	hilo__conn_leave(conn);
	return rc;
}

int hilo_conn_peer(hilo_conn *conn, hilo_address *ret)
{
	return conn_name(conn, "hilo_conn_peer", ret, hilo_stream_peer);
}

int hilo_conn_address(hilo_conn *conn, hilo_address *ret)
{
	return conn_name(conn, "hilo_conn_address", ret, hilo_stream_address);
}

void *hilo_conn_user(hilo_conn *conn)
{
	void *user;

	if (!conn)
		return NULL;
	spin_lock(&conn->lock);
	user = conn->callbacks.user;
	spin_unlock(&conn->lock);
	return user;
}

int hilo_conn_set_user(hilo_conn *conn, void *user)
{
	if (!conn)
		return hilo_fail(-EINVAL, "hilo_conn_set_user: conn is NULL");
	spin_lock(&conn->lock);
	conn->callbacks.user = user;
	spin_unlock(&conn->lock);
	return 0;
}

int hilo_conn_set_callbacks(hilo_conn *conn, const hilo_conn_callbacks *callbacks)
{
	hilo_conn_callbacks own;
	int rc;

	if (!conn)
		return hilo_fail(-EINVAL, "hilo_conn_set_callbacks: conn is NULL");
	rc = callbacks_read(&own, callbacks, "hilo_conn_set_callbacks");
	if (rc < 0)
		return rc;
	spin_lock(&conn->lock);
	conn->callbacks.made = own.made;
	conn->callbacks.data = own.data;
	conn->callbacks.eof = own.eof;
	conn->callbacks.writable = own.writable;
	conn->callbacks.lost = own.lost;
	spin_unlock(&conn->lock);
	return 0;
}
