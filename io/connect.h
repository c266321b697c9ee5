/* SPDX-License-Identifier: MIT */
#ifndef HILO_IO_CONNECT_H
#define HILO_IO_CONNECT_H

#include <hilo/io/address.h>
#include <hilo/io/stream.h>
#include <hilo/io/tls.h>
#include <hilo/runtime/types.h>

HILO_BEGIN_DECLS

/*
 * connect.h - connections to others, as streams.
 *
 *	hilo_stream *stream;
 *	int rc = hilo_open_connection("example.com", 80, NULL, &stream, hilo_after(10 * HILO_SECOND));
 *
 * A name mostly has several addresses, and some of them may not answer. So they are tried one after the other, each
 * as soon as one has failed, or after 250 ms beside those that have not answered yet; the first connection wins and
 * the others are dropped (RFC 8305, "happy eyeballs"). If all fail the message tells what each has said.
 */

/* Zero means the default in every field but `size`. */
typedef struct hilo_connect_opts {
	size_t size;	/* sizeof(hilo_connect_opts) */
	int family;	/* AF_INET or AF_INET6: addresses of no other one; default both */
	unsigned flags; /* HILO_CONNECT_* below */
	hilo_time
		delay; /* until the next address is tried beside the others; default 250 ms; less than 0: never */
	/*
	 * How many addresses of the first family come before the families take turns; default 1. Without a delay
	 * (less than 0) the order is that of the answer.
	 */
	unsigned interleave;
	unsigned local_port;	/* where the connection comes from; default: a free port */
	const char *local_host; /* a name or an address; default: as the system likes */
	const hilo_stream_opts
		*stream;       /* of the stream; its runtime is for plain threads; NULL: its defaults */
	hilo_tls_context *tls; /* of clients: the connection is encrypted; NULL: it is not */
	const hilo_tls_opts *tls_opts; /* NULL: the defaults; the server's name is @host, or the address */
} hilo_connect_opts;

#define HILO_CONNECT_NAGLE 1u	   /* small writes may be held back to be sent together: no TCP_NODELAY */
#define HILO_CONNECT_KEEP_ALIVE 2u /* SO_KEEPALIVE */

/*
 * [any, suspends] Connect to @host, a name or an address, and @port. 0, and *@ret, the caller's, to be ended with
 * hilo_stream_free. What the first address has failed with if all have: -ECONNREFUSED, -EHOSTUNREACH, -ENETUNREACH,
 * -EADDRNOTAVAIL ...; -ETIMEDOUT, -ECANCELED; -EMFILE, -ENFILE, -ENOMEM; -EINVAL, -E2BIG; -EDEADLK: a callback, or a
 * plain thread that names no runtime; and as hilo_resolve. With TLS also as hilo_stream_start_tls. Failures have a
 * message that names the address.
 */
HILO_API HILO_MUST_CHECK int hilo_open_connection(const char *host, unsigned port,
						  const hilo_connect_opts *opts, hilo_stream **ret,
						  hilo_time deadline);

/*
 * [any, suspends] The same to the Unix socket at @path; one that begins with '@' is an abstract name. While the
 * server's queue is full it is tried again, less and less often, up to the deadline. -ENOENT, -ECONNREFUSED,
 * -EACCES ... TLS needs a server_name.
 */
HILO_API HILO_MUST_CHECK int hilo_open_unix_connection(const char *path, const hilo_connect_opts *opts,
						       hilo_stream **ret, hilo_time deadline);

/* [any, suspends] The same to an address of either kind. */
HILO_API HILO_MUST_CHECK int hilo_open_connection_to(const hilo_address *address,
						     const hilo_connect_opts *opts, hilo_stream **ret,
						     hilo_time deadline);

HILO_END_DECLS

#endif /* HILO_IO_CONNECT_H */
