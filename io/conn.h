/* SPDX-License-Identifier: MIT */
#ifndef HILO_IO_CONN_H
#define HILO_IO_CONN_H

#include <hilo/io/connect.h>
#include <hilo/io/server.h>
#include <hilo/io/stream.h>
#include <hilo/runtime/types.h>

HILO_BEGIN_DECLS

/*
 * conn.h - connections that call back, for programs that are made of callbacks and cannot wait where they are called.
 * Who can wait has less to write with a stream.
 *
 *	static void echo(hilo_conn *conn, const void *data, size_t size)
 *	{
 *		if (hilo_conn_write(conn, data, size) > 0)
 *			hilo_conn_pause_reading(conn);          more than the high mark: until `writable`
 *	}
 *
 *	static void goes_on(hilo_conn *conn)
 *	{
 *		hilo_conn_resume_reading(conn);
 *	}
 *
 *	static const hilo_conn_callbacks callbacks = {.size = sizeof(callbacks), .data = echo, .writable = goes_on};
 *
 *	rc = hilo_conn_serve(&callbacks, &opts, &server, HILO_FOREVER);
 *
 * Callbacks  of one connection are called one after the other, never two at the same time, on whichever worker: made,
 *            then the others, lost at last. They run in a task of the connection; one that waits holds up its own
 *            connection and nobody else. Any may be NULL. None can wait for the end of its own connection's server:
 *            hilo_server_close stops it there, and answers -EDEADLK, as in a handler.
 * Callers    Everything below can be called by anybody, inside of callbacks and outside, from any task, callback or
 *            plain thread, and never suspends, but for the two that have a deadline.
 * Lifetime   A connection is there from `made` until `lost` has returned; who keeps it longer, or uses it from
 *            elsewhere, has a reference (hilo_conn_ref). After its end every call answers HILO_ECLOSED.
 * Writing    takes all that it is given, in order: what one call writes is not mixed with what others do. What
 *            cannot be sent yet is kept, without a limit; who writes much minds what hilo_conn_write returns. If the
 *            stream can only be written, `data` and `eof` are not called; it lives until it is closed or a write fails.
 * Memory     A connection that waits takes what a stream and its task take, and 368 bytes. While more is on its way
 *            than the stream takes there is a second task for it.
 *
 * What asyncio has for this:
 *	Transport                    these functions; Protocol: the callbacks, connection_made .made, data_received
 *	                             .data, eof_received .eof, connection_lost .lost, resume_writing .writable;
 *	                             pause_writing is what hilo_conn_write returns
 *	BufferedProtocol             .data gets the stream's own memory, without a copy
 *	pause_reading, resume_reading, is_reading, write, write_eof, can_write_eof, close, is_closing, abort,
 *	set_write_buffer_limits, get_write_buffer_size, get_write_buffer_limits, get_extra_info (info), set_protocol
 *	(set_callbacks)              the function of that name
 *	writelines                   write again and again: what is small is sent together
 *	start_tls                    before: hilo_stream_start_tls, and hilo_conn_start with that stream
 *	DatagramProtocol             none: datagrams have neither marks nor an end; a task that calls hilo_udp_receive
 *	                             and then the callback is all of it (datagram.h)
 *	SubprocessProtocol           none: the pipes of a process are streams, each can be given to hilo_conn_start, and
 *	                             its end is hilo_process_wait's (process.h)
 *
 * All calls answer -EINVAL for a NULL connection, but for hilo_conn_ref, hilo_conn_unref and those that return a count,
 * a pointer or a yes.
 */
typedef struct hilo_conn hilo_conn;

/* Zero means the default in every field but `size`. Copied for each connection when it is made. */
typedef struct hilo_conn_callbacks {
	size_t size; /* sizeof(hilo_conn_callbacks) */
	/* It is there. What hilo_conn_user returns is `user` below. */
	void (*made)(hilo_conn *conn);
	/* @size bytes, 1 or more, have come; borrowed for the call. */
	void (*data)(hilo_conn *conn, const void *data, size_t size);
	/* The other side has written its end. 0, as if it were NULL: close; more: go on writing. */
	int (*eof)(hilo_conn *conn);
	/* After hilo_conn_write has returned more than 0: no more is on its way than the low mark. */
	void (*writable)(hilo_conn *conn);
	/*
	 * It is over, closed or not; the last callback. @code is 0 if it was closed or aborted here, or the other side
	 * has ended it in order; else why it has ended: -ECONNRESET, -EPIPE ...; HILO_ECLOSED, -ECANCELED: by the end
	 * of its server, or runtime; -ETIMEDOUT: what was written could not be sent in time.
	 */
	void (*lost)(hilo_conn *conn, int code);
	void *user;  /* what hilo_conn_user returns at first */
	size_t high; /* bytes on their way: more, and hilo_conn_write returns 1; default that of the stream */
	size_t low;  /* as many or less, and `writable` is called; default a quarter of high */
	hilo_time
		flush; /* what is left to be sent when it is closed gets; default 10 s, 1 s if its task is cancelled */
} hilo_conn_callbacks;

/*
 * [task, suspends while names are resolved] A server (server.h) whose clients are connections with these callbacks. 0,
 * and *@ret, to be ended with hilo_server_free; @callbacks is kept until all clients have gone. As hilo_start_server.
 */
HILO_API HILO_MUST_CHECK int hilo_conn_serve(const hilo_conn_callbacks *callbacks,
					     const hilo_server_opts *opts, hilo_server **ret,
					     hilo_time deadline);

/*
 * [any, suspends] Connect to @host and @port as hilo_open_connection does, and go on as hilo_conn_start: @callbacks are
 * copied. 0; as both. A plain thread names the runtime in opts->stream.
 */
HILO_API HILO_MUST_CHECK int hilo_conn_open(const char *host, unsigned port, const hilo_connect_opts *opts,
					    const hilo_conn_callbacks *callbacks, hilo_conn **ret,
					    hilo_time deadline);

/*
 * [any] Make @stream a connection, for which callbacks are called from now on by a new task of the caller's runtime, or
 * of the stream's. 0: it consumes @stream, which nobody else uses; *@ret (or NULL) is the connection, with a reference
 * of the caller's. -EINVAL, -E2BIG, with a message; -ENOMEM; -EDEADLK: there is no runtime; HILO_ECLOSED: it is
 * ending. Then @stream is the caller's as before. Should the runtime end before `made` was called no callback is.
 */
HILO_API HILO_MUST_CHECK int hilo_conn_start(hilo_stream *stream, const hilo_conn_callbacks *callbacks,
					     hilo_conn **ret);

/* [any] One more reference: returns @conn. One less; what is left of it is freed with the last one. NULL: no-op. */
HILO_API hilo_conn *hilo_conn_ref(hilo_conn *conn);
HILO_API void hilo_conn_unref(hilo_conn *conn);

/*
 * [any] Write @size bytes, of which there is a copy when this returns. 0; 1: more is on its way than the high mark, and
 * `writable` will be called when it is not more than the low one (all was taken all the same). -EPIPE after
 * hilo_conn_write_eof; HILO_ECLOSED after hilo_conn_close; what the connection has failed with; -ENOMEM: nothing was
 * taken; -EINVAL; -EBADF.
 */
HILO_API int hilo_conn_write(hilo_conn *conn, const void *data, size_t size);

/* [any] Write no more: the other side reads the end after all that was written. 0, also again; -EOPNOTSUPP, ... */
HILO_API int hilo_conn_write_eof(hilo_conn *conn);

/* [any] 1: hilo_conn_write_eof is possible; 0. */
HILO_API int hilo_conn_can_write_eof(hilo_conn *conn);

/*
 * [any] `data` and `eof` are not called until hilo_conn_resume_reading; one that is running ends. What comes waits, at
 * the other side once the buffers are full. 0, also again; HILO_ECLOSED. A connection that is lost meanwhile may be
 * found to be when it is written to, or when reading goes on.
 */
HILO_API int hilo_conn_pause_reading(hilo_conn *conn);
HILO_API int hilo_conn_resume_reading(hilo_conn *conn);

/* [any] 1: `data` is called for what comes; 0: reading is paused, or over. NULL: 0. */
HILO_API int hilo_conn_is_reading(hilo_conn *conn);

/* [any] The marks; 0 stands for the default. 0; -EINVAL, with a message: low is more than high; HILO_ECLOSED. */
HILO_API int hilo_conn_set_write_buffer_limits(hilo_conn *conn, size_t high, size_t low);
HILO_API int hilo_conn_get_write_buffer_limits(hilo_conn *conn, size_t *high, size_t *low);

/* [any] Bytes that were written and not sent. NULL, or over: 0. */
HILO_API size_t hilo_conn_get_write_buffer_size(hilo_conn *conn);

/*
 * [any] Close: nothing is read or written from now on, what was written is sent (hilo_conn_callbacks.flush), then
 * `lost` is called. 0, also again.
 */
HILO_API int hilo_conn_close(hilo_conn *conn);

/* [any] Close, and drop what was not sent. 0, also again. */
HILO_API int hilo_conn_abort(hilo_conn *conn);

/* [any] 1: closing, or over; 0. NULL: 1. */
HILO_API int hilo_conn_is_closing(hilo_conn *conn);

/* [any] What is known under the name @key, as hilo_stream_info; both addresses. HILO_ECLOSED once it is over. */
HILO_API int hilo_conn_info(hilo_conn *conn, const char *key, char *buf, size_t size);
HILO_API int hilo_conn_peer(hilo_conn *conn, hilo_address *ret);
HILO_API int hilo_conn_address(hilo_conn *conn, hilo_address *ret);

/* [any] A pointer of the user's. Set it in `made`, or where nobody else asks for it. */
HILO_API void *hilo_conn_user(hilo_conn *conn);
HILO_API int hilo_conn_set_user(hilo_conn *conn, void *user);

/*
 * [any] Other callbacks from the next one on; user, marks and flush stay as they are. `made` is not called again. 0;
 * -EINVAL, -E2BIG.
 */
HILO_API int hilo_conn_set_callbacks(hilo_conn *conn, const hilo_conn_callbacks *callbacks);

HILO_END_DECLS

#endif /* HILO_IO_CONN_H */
