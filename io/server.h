/* SPDX-License-Identifier: MIT */
#ifndef HILO_IO_SERVER_H
#define HILO_IO_SERVER_H

#include <hilo/io/address.h>
#include <hilo/io/stream.h>
#include <hilo/io/tls.h>
#include <hilo/runtime/task.h>
#include <hilo/runtime/types.h>
#include <hilo/runtime/with.h>

HILO_BEGIN_DECLS

/*
 * server.h - sockets that listen, and a task for each client, on all cores.
 *
 *	static int echo(hilo_stream *client, void *arg)
 *	{
 *		char line[4096];
 *		ssize_t n;
 *
 *		while ((n = hilo_stream_read_line(client, line, sizeof(line), HILO_FOREVER)) > 0)
 *			if ((n = hilo_stream_write(client, line, n, HILO_FOREVER)) < 0)
 *				break;
 *		return (int)n;
 *	}
 *
 *	hilo_server_opts opts = {.size = sizeof(opts), .host = "127.0.0.1", .port = 8888};
 *
 *	rc = hilo_start_server(echo, NULL, &opts, &server, HILO_FOREVER);
 *	if (rc == 0)
 *		rc = hilo_server_serve_forever(server, HILO_FOREVER);
 *	hilo_server_free(server);
 *
 * Clients    Each has a task of its own, which runs the handler and may be stolen like any other. When the handler
 *            returns its stream is closed, after what was written has been sent. If it fails, with another code than
 *            -ECANCELED, that is told to the exception handler with the client's address; the server goes on.
 * TLS        Each client's handshake is made by its own task before the handler is called, so that one who is slow, or
 *            silent, keeps nobody else. One that fails is logged (HILO_LOG_DEBUG) and counted, no more: on a public
 *            address that happens all day.
 * The end    hilo_server_close accepts nobody any more, waits for the clients that are there up to a deadline,
 *            cancels those that are left, drops the connections of those that do not end even then, and says how
 *            many were which.
 * Trouble    A client that could not be accepted because there was no descriptor left (EMFILE, ENFILE) is turned away
 *            with one that is kept for that, so that it need not wait for ever, and counted.
 */
typedef struct hilo_server hilo_server;

/* Runs for one client: 0 or more, or a failure. @client is borrowed until it returns, and not to be freed. */
typedef int (*hilo_server_fn)(hilo_stream *client, void *arg);

/* Zero means the default in every field but `size`. All is borrowed for the call. */
typedef struct hilo_server_opts {
	size_t size;		  /* sizeof(hilo_server_opts) */
	const char *host;	  /* a name or an address; default: all of this machine */
	const char *const *hosts; /* instead: several ... */
	size_t n_hosts;		  /* ... so many */
	const char *path;	  /* instead: a Unix socket; one that begins with '@' is an abstract name */
	unsigned port;		  /* 0: one that is free, the same for all addresses */
	int family;		  /* AF_INET or AF_INET6; default both */
	int backlog;	/* connections that wait to be accepted; default 4096, or what the system allows */
	unsigned flags; /* HILO_SERVER_* below */
	size_t max_clients; /* at a time; others wait in the backlog; default: as many as there are descriptors */
	hilo_time drain; /* what serve_forever gives the clients when it is cancelled; default 1 s */
	hilo_time grace; /* what those get that are cancelled, and then those that are aborted; default 1 s */
	hilo_time flush; /* what is left to be sent when a handler returns gets; default 10 s */
	enum hilo_stack_class stack;	/* of the handlers */
	unsigned none;			/* 0 */
	const hilo_stream_opts *stream; /* of the clients; NULL: its defaults */
	hilo_tls_context *tls;	       /* of servers: connections are encrypted; shared; NULL: they are not */
	const hilo_tls_opts *tls_opts; /* NULL: its defaults */
	const int
		*fds; /* instead of host, hosts, path and port: sockets that are bound or listen already, as a
			 * service manager or an earlier process hands them over; the server has copies */
	size_t n_fds; /* how many */
} hilo_server_opts;

#define HILO_SERVER_REUSE_PORT 1u	/* others may listen at the same address, and share what comes */
#define HILO_SERVER_NO_REUSE_ADDRESS 2u /* not while connections of an earlier server linger */
#define HILO_SERVER_KEEP_ALIVE 4u	/* of the clients: SO_KEEPALIVE */
#define HILO_SERVER_NAGLE 8u		/* of the clients: no TCP_NODELAY */
#define HILO_SERVER_NO_START 16u	/* nobody is accepted before hilo_server_start_serving */
#define HILO_SERVER_KEEP_PATH 32u	/* the file of a Unix socket stays when the server is closed */

/*
 * [task, suspends while names are resolved] Listen, and accept clients as tasks of the caller's runtime, for each
 * of which @handler(client, @arg) is called. 0, and *@ret, the caller's, to be ended with hilo_server_free; @arg is
 * kept until all handlers have returned.
 *
 * -EADDRINUSE: somebody else listens there; -EADDRNOTAVAIL: not an address of this machine; -EACCES; -EMFILE,
 * -ENFILE, -ENOMEM; -EINVAL, -E2BIG; -ECANCELED; -EDEADLK outside of a task; and as hilo_resolve. Failures have a
 * message that names the address, and nothing is left then. A name that stands for several addresses needs one that
 * works. A Unix socket takes the place of a file that an earlier server has left behind, if nobody listens there.
 * Of `fds`: -EBADF; -ENOTSOCK; -EPROTOTYPE: no stream, or one that is connected. They are not closed. Clients that wait
 * in the backlog of one stay there when the server ends, as long as somebody has it open. They are set to what the
 * flags say of clients and, without io_uring, to O_NONBLOCK, which all see who have them; none of them is if one cannot
 * be used. The file of a Unix socket stays.
 */
HILO_API HILO_MUST_CHECK int hilo_start_server(hilo_server_fn handler, void *arg,
					       const hilo_server_opts *opts, hilo_server **ret,
					       hilo_time deadline);

/*
 * [task of the runtime, callback] Accept, from now on or again. 0, also if it does; -EAGAIN: hilo_server_stop_serving
 * is under way; HILO_ECLOSED; -EDEADLK; -ENOMEM; what listen says.
 */
HILO_API int hilo_server_start_serving(hilo_server *server);

/*
 * [any, suspends] Accept nobody until hilo_server_start_serving; clients that come wait in the backlog. 0 when it has
 * come into effect, also if it had before; -ETIMEDOUT, -ECANCELED: it will; HILO_ECLOSED; -EDEADLK; -ENOMEM.
 */
HILO_API int hilo_server_stop_serving(hilo_server *server, hilo_time deadline);

/* [any] 1: clients are accepted; 0. */
HILO_API int hilo_server_is_serving(const hilo_server *server);

/*
 * [any] Accept nobody any more, and close the sockets that listen: hilo_server_serve_forever returns. Never suspends;
 * the clients that are there are left alone. For handlers, and connections that call back, which cannot close their own
 * server. 0, also again.
 */
HILO_API int hilo_server_stop(hilo_server *server);

/* What has become of the clients that were there. */
typedef struct hilo_server_counts {
	size_t size;	  /* sizeof(hilo_server_counts), set by the caller */
	size_t drained;	  /* ended by themselves */
	size_t cancelled; /* ended when they were cancelled */
	size_t aborted;	  /* did not, and had their connection dropped */
	size_t running;	  /* of those: the handler has not returned even then */
} hilo_server_counts;

/*
 * [any, suspends] hilo_server_stop; wait for the clients up to @deadline; cancel those that are left, and wait for
 * them for the grace; abort the streams of those that are still there, and wait as long again. *@ret (or NULL)
 * tells how many. 0 when all handlers have returned, also again. -ETIMEDOUT: some have not (running), and it can be
 * called again. -ECANCELED: the wait for the clients was cut short, and the rest was done. -EDEADLK in a handler of
 * @server, where one of its connections calls back (conn.h), and in a callback of a loop: it is stopped only. -ENOMEM,
 * -EINVAL.
 */
HILO_API int hilo_server_close(hilo_server *server, hilo_server_counts *ret, hilo_time deadline);

/*
 * [any, suspends] Accept, and wait until @server is stopped or closed: 0. When that ends early, -ECANCELED or
 * -ETIMEDOUT, it closes the server, giving the clients the time of its options (drain). If accepting has failed for
 * good: why.
 */
HILO_API int hilo_server_serve_forever(hilo_server *server, hilo_time deadline);

/*
 * A block in which @server accepts, and which closes it at its end, however that is left, giving the clients the time
 * of its options: HILO_WITH_SERVER(server, &rc) { ... }
 */
#define HILO_WITH_SERVER(server, code) HILO_WITH (&hilo_server_manager, server, code)
HILO_API extern const hilo_manager hilo_server_manager;

/*
 * [any] Consumes @server; stops it, cancels its clients and aborts their streams. Never suspends: handlers may return
 * later. NULL: no-op.
 */
HILO_API void hilo_server_free(hilo_server *server);

/* [any] How many sockets listen, and the name of the one with number @index, from 0: -EINVAL if there is none. */
HILO_API size_t hilo_server_sockets(const hilo_server *server);
HILO_API HILO_MUST_CHECK int hilo_server_sockname(const hilo_server *server, size_t index, hilo_address *ret);

/* [any] Clients whose handlers have not returned. */
HILO_API size_t hilo_server_clients(const hilo_server *server);

/* Figures of one server. */
typedef struct hilo_server_stats {
	size_t size;	      /* sizeof(hilo_server_stats), set by the caller */
	uint64_t accepted;    /* clients */
	uint64_t turned_away; /* closed at once: no descriptor, or no memory, was left */
	uint64_t failed;      /* handlers that have returned a failure other than -ECANCELED */
	uint64_t pauses;      /* times that accepting has paused, because nothing was left */
	size_t clients;	      /* now */
	size_t most;	      /* the most at a time */
	uint64_t refused;     /* clients whose TLS handshake has failed; they are not in `failed` */
} hilo_server_stats;

/* [any] Read them. 0, -EINVAL. */
HILO_API HILO_MUST_CHECK int hilo_server_get_stats(const hilo_server *server, hilo_server_stats *ret);

HILO_END_DECLS

#endif /* HILO_IO_SERVER_H */
