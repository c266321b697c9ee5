/* SPDX-License-Identifier: MIT */
#ifndef HILO_IO_HTTP_SERVER_H
#define HILO_IO_HTTP_SERVER_H

#include <hilo/http/message.h>
#include <hilo/http/router.h>
#include <hilo/io/server.h>
#include <hilo/io/stream.h>

HILO_BEGIN_DECLS

/*
 * server.h - HTTP/1.1 for services: a router's handlers, a task for each connection, on all cores.
 *
 *	hilo_server_opts listen = {.size = sizeof(listen), .host = "127.0.0.1", .port = 8080};
 *	hilo_http_opts opts = {.size = sizeof(opts), .server = &listen};
 *
 *	rc = hilo_http_start_server(router, &opts, &server, HILO_FOREVER);
 *	if (rc == 0)
 *		rc = hilo_http_server_serve_forever(server, HILO_FOREVER);
 *	hilo_http_server_free(server);
 *
 * Connections are kept for further requests, which may come before the answers (pipelining) and are answered in
 * order. What is no request of HTTP/1.1 or 1.0 is refused with the status that says why, and the connection ends,
 * because nobody knows where the next one would begin: 400 malformed, or framed in a way that others could understand
 * otherwise; 408 too slow; 413, 414, 431 too large; 417, 501, 505 not known here; 503 too many connections.
 *
 * A handler's failure is told to the exception handler (exception.h) with the method and the target, once, and answered
 * as message.h says. That a client has gone is no failure.
 */
typedef struct hilo_http_server hilo_http_server;

/* One request that was answered, or refused. Texts are "" if they are not known. Borrowed for the call. */
typedef struct hilo_http_access {
	size_t size; /* sizeof(hilo_http_access) */
	const hilo_address *peer;
	const char *method;
	const char *target;
	const char *referer;
	const char *user_agent;
	int version;	   /* 11, 10; 0: not known */
	int status;	   /* of the answer; 0: the connection has ended without one */
	uint64_t received; /* bytes of the body that were read */
	uint64_t sent;	   /* bytes of the body that were written */
	int64_t when;	   /* seconds since 1970 */
	hilo_time span;	   /* from when its header was there to when its answer was written */
} hilo_http_access;

/* Called in the task of the connection; must not suspend. */
typedef void (*hilo_http_access_fn)(const hilo_http_access *access, void *arg);

/* Zero means the default in every field but `size`. All is borrowed for the call but for what says otherwise. */
typedef struct hilo_http_opts {
	size_t size;			/* sizeof(hilo_http_opts) */
	const hilo_server_opts *server; /* where it listens, and all else of server.h */
	size_t line;			/* bytes of the request line; default 8 KiB; beyond: 414 */
	size_t header;			/* bytes of all before the body; default 32 KiB; beyond: 431 */
	size_t fields;			/* header fields; default 100; beyond: 431 */
	uint64_t body;	    /* bytes of the body; default 1 MiB, UINT64_MAX: no limit; beyond: 413 */
	size_t connections; /* at a time; default: no limit; beyond: 503 */
	uint64_t requests;  /* on one connection; default: no limit */
	hilo_time
		head_time; /* from the first byte of a request to the end of its header; default 10 s: 408 */
	hilo_time body_time;	/* for its body, from the first read; default 60 s, and a second more for each
				     * 16 KiB that have come: 408 */
	hilo_time idle_time;	/* between two requests; default 60 s: the connection is closed */
	hilo_time handler_time; /* for a handler; default: no limit; beyond it is cancelled: 503 */
	hilo_time write_time;	/* for each write of an answer; default 60 s: the connection is dropped */
	hilo_http_access_fn access; /* told of each request */
	void *access_arg;	    /* kept */
	hilo_stream *
		access_log; /* a line for each, in the combined format; kept; lines that it cannot take at once
				     * are dropped, and counted */
} hilo_http_opts;

/*
 * [task, suspends while names are resolved] Listen, and answer as @router says, which is shared. 0, and *@ret, the
 * caller's, to be ended with hilo_http_server_free. Codes as hilo_start_server; @opts may be NULL.
 */
HILO_API HILO_MUST_CHECK int hilo_http_start_server(hilo_http_router *router, const hilo_http_opts *opts,
						    hilo_http_server **ret, hilo_time deadline);

/*
 * [any] The same without sockets that listen, for hilo_http_serve alone: opts->server is not looked at. 0, -EINVAL,
 * -E2BIG, -ENOMEM.
 */
HILO_API HILO_MUST_CHECK int hilo_http_server_new(hilo_http_router *router, const hilo_http_opts *opts,
						  hilo_http_server **ret);

/*
 * [task, suspends] Answer what comes on @stream, which is borrowed, up to its end. 0: the client has ended, or has
 * failed, or was refused; HILO_ECLOSED: @server is stopped, or was closed or freed before the end (the handler is
 * cancelled, the task is not), or the stream closed; -ECANCELED, -ETIMEDOUT (@deadline: the handler is cancelled),
 * -EDEADLK outside of a task, -ENOMEM, -EINVAL.
 */
HILO_API int hilo_http_serve(hilo_http_server *server, hilo_stream *stream, hilo_time deadline);

/*
 * [any, suspends] Accept, and wait until @server is stopped or closed: 0. When that ends early, -ECANCELED or
 * -ETIMEDOUT, it closes the server, giving the clients the time of its options (drain).
 */
HILO_API int hilo_http_server_serve_forever(hilo_http_server *server, hilo_time deadline);

/*
 * [any] Accept nobody any more. Connections that wait for a request end; those with one get its answer, with
 * "Connection: close", and end. Never suspends. 0, also again; -EINVAL.
 */
HILO_API int hilo_http_server_stop(hilo_http_server *server);

/*
 * [any, suspends] hilo_http_server_stop; wait for the connections up to @deadline, also for those of hilo_http_serve;
 * then as hilo_server_close, whose codes it has, with the counts of what has become of them in *@ret (or NULL). When it
 * has returned 0 nobody uses the streams, the router and what its handlers were given any more.
 */
HILO_API int hilo_http_server_close(hilo_http_server *server, hilo_server_counts *ret, hilo_time deadline);

/* [any] Consumes @server: it is stopped, its handlers are cancelled. Never suspends. NULL: no-op. */
HILO_API void hilo_http_server_free(hilo_http_server *server);

/* [any] The server below, for its sockets, clients and figures; it is not to be freed. NULL: it does not listen. */
HILO_API hilo_server *hilo_http_server_below(const hilo_http_server *server);

/* Figures of one server. */
typedef struct hilo_http_stats {
	size_t size;	      /* sizeof(hilo_http_stats), set by the caller */
	uint64_t requests;    /* that were answered, or refused */
	uint64_t answers[6];  /* by their first digit; [0]: the connection has ended without one */
	uint64_t received;    /* bytes of bodies that were read */
	uint64_t sent;	      /* bytes of bodies that were written */
	uint64_t failed;      /* handlers that have failed, or answered nothing */
	uint64_t turned_away; /* connections, with 503 */
	uint64_t lost_lines;  /* of the access log */
	size_t connections;   /* now */
	size_t in_flight;     /* of those, with a request */
} hilo_http_stats;

/* [any] Read them; each is right, all together are those of some moment or other. 0, -EINVAL. */
HILO_API HILO_MUST_CHECK int hilo_http_server_get_stats(hilo_http_server *server, hilo_http_stats *ret);

/*
 * [any] @access as a line of the combined format, without its newline, in @buf of @size bytes: its length, as snprintf.
 * Quotes, backslashes and what is no ASCII text are written as \xNN.
 */
HILO_API int hilo_http_access_format(const hilo_http_access *access, char *buf, size_t size);

HILO_END_DECLS

#endif /* HILO_IO_HTTP_SERVER_H */
