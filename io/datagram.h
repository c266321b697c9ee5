/* SPDX-License-Identifier: MIT */
#ifndef HILO_IO_DATAGRAM_H
#define HILO_IO_DATAGRAM_H

#include <hilo/io/address.h>
#include <hilo/runtime/types.h>

#include <sys/types.h>

HILO_BEGIN_DECLS

/*
 * datagram.h - UDP: messages that arrive whole, or not at all.
 *
 *	hilo_udp *udp;
 *	hilo_address from;
 *
 *	rc = hilo_udp_bind("127.0.0.1", 5353, NULL, &udp, HILO_FOREVER);
 *	while ((n = hilo_udp_receive(udp, buf, sizeof(buf), &from, HILO_FOREVER)) >= 0)
 *		if ((n = hilo_udp_send_to(udp, buf, n, &from, HILO_FOREVER)) < 0)
 *			break;
 *	hilo_udp_free(udp);
 *
 * Callers    Any number at the same time: tasks of any runtime, and plain threads, which block; callbacks for what
 *            need not wait. Each datagram is received by one of them.
 * The end    After hilo_udp_close all calls, and all that wait, answer HILO_ECLOSED.
 *
 * All calls answer -EINVAL for NULL, but for hilo_udp_free; and as socket.h says.
 */
typedef struct hilo_udp hilo_udp;

/* Zero means the default in every field but `size`. */
typedef struct hilo_udp_opts {
	size_t size;		/* sizeof(hilo_udp_opts) */
	int family;		/* AF_INET or AF_INET6; default whichever the host has */
	unsigned flags;		/* HILO_UDP_* below */
	const char *local_host; /* of hilo_udp_connect: where it sends from; default: as the system likes */
	unsigned local_port;
	int receive_buffer; /* bytes that the kernel keeps for us; default as the system says */
	int send_buffer;
	unsigned none; /* 0 */
} hilo_udp_opts;

#define HILO_UDP_BROADCAST 1u	  /* may send to a broadcast address */
#define HILO_UDP_REUSE_PORT 2u	  /* others may bind the same address and share what comes (SO_REUSEPORT) */
#define HILO_UDP_REUSE_ADDRESS 4u /* SO_REUSEADDR, as multicast needs it: all get what comes */
#define HILO_UDP_IPV6_ONLY 8u	  /* :: is not for IPv4, too */

/*
 * [any, suspends while a name is resolved] A socket at @host (NULL: any address) and @port (0: one that is free).
 * 0, and
 * *@ret, the caller's, to be ended with hilo_udp_free. -EADDRINUSE, -EADDRNOTAVAIL, -EACCES, -EMFILE, -ENFILE,
 * -EINVAL, -E2BIG, -ENOMEM, with a message that names the address, and as hilo_resolve.
 */
HILO_API HILO_MUST_CHECK int hilo_udp_bind(const char *host, unsigned port, const hilo_udp_opts *opts,
					   hilo_udp **ret, hilo_time deadline);

/* [as above] A socket that sends to @host and @port, and receives from there only. */
HILO_API HILO_MUST_CHECK int hilo_udp_connect(const char *host, unsigned port, const hilo_udp_opts *opts,
					      hilo_udp **ret, hilo_time deadline);

/* [any] The same of a socket that was made elsewhere; consumes @fd on success. -EBADF, -ENOTSOCK, -EPROTOTYPE. */
HILO_API HILO_MUST_CHECK int hilo_udp_from_fd(int fd, hilo_udp **ret);

/*
 * [any, suspends] Receive a datagram: how many bytes it has. If that is more than @size the rest is lost. *@from (or
 * NULL) is who has sent it.
 */
HILO_API ssize_t hilo_udp_receive(hilo_udp *udp, void *buf, size_t size, hilo_address *from,
				  hilo_time deadline);

/* [any, suspends] Send one where the socket is connected to, or to @to. @size; -EMSGSIZE: too large. */
HILO_API ssize_t hilo_udp_send(hilo_udp *udp, const void *data, size_t size, hilo_time deadline);
HILO_API ssize_t hilo_udp_send_to(hilo_udp *udp, const void *data, size_t size, const hilo_address *to,
				  hilo_time deadline);

/* One of several. */
typedef struct hilo_udp_message {
	void *data;
	size_t size;   /* room; or what is to be sent */
	size_t length; /* set when received: bytes of the datagram, which is cut if that is more than size */
	hilo_address
		address; /* who has sent it; or who gets it, length 0: where the socket is connected to */
} hilo_udp_message;

/* [any, suspends] Wait for one datagram, and take up to @n that are there. How many, 1 or more; 0 only if @n is. */
HILO_API int hilo_udp_receive_batch(hilo_udp *udp, hilo_udp_message *messages, unsigned n,
				    hilo_time deadline);

/*
 * [any, suspends] Send @n, in order, and wait for room where there is none. How many were sent: less than @n if a
 * failure has come after the first one, which the next call meets. Those in a row that have one address and one size
 * cost a fraction, where the system can send them as segments of one (UDP_SEGMENT).
 */
HILO_API int hilo_udp_send_batch(hilo_udp *udp, const hilo_udp_message *messages, unsigned n,
				 hilo_time deadline);

/* [any] Where it is, and where it is connected to: -ENOTCONN. 0. */
HILO_API int hilo_udp_local(const hilo_udp *udp, hilo_address *ret);
HILO_API int hilo_udp_peer(const hilo_udp *udp, hilo_address *ret);

/* [any] The descriptor, for options of the socket; borrowed until hilo_udp_close. */
HILO_API int hilo_udp_fd(const hilo_udp *udp);

/* [any] Close. Never suspends; the descriptor is closed when the last one who waits has left. 0, also again. */
HILO_API int hilo_udp_close(hilo_udp *udp);

/* [any] Consumes @udp; closes it if it is open. Nobody may begin to use it. NULL: no-op. */
HILO_API void hilo_udp_free(hilo_udp *udp);

HILO_END_DECLS

#endif /* HILO_IO_DATAGRAM_H */
