/* SPDX-License-Identifier: MIT */
#ifndef HILO_IO_ADDRESS_H
#define HILO_IO_ADDRESS_H

#include <hilo/runtime/types.h>

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

HILO_BEGIN_DECLS

/*
 * address.h - where a socket is, or goes to: IPv4, IPv6 or a Unix socket.
 *
 * An address is a value: copied by assignment, owned by nobody, and never on the way to anywhere. All functions here
 * may be called by anybody, also in callbacks and signal handlers' threads; none suspends.
 *
 *	127.0.0.1:8888		IPv4
 *	[::1]:8888		IPv6; with a zone, [fe80::1%eth0]:8888 or [fe80::1%2]:8888
 *	unix:/run/a.sock	a Unix socket with a path
 *	unix:@name		one with an abstract name, which is no file; the name may hold any byte
 *	unix:			one without a name, as a client mostly is
 */

/* Zero is no address: length 0. The member to look at is the one that any.sa_family names. */
typedef struct hilo_address {
	socklen_t length; /* in bytes, of what follows, as bind and connect want it; 0: no address */
	union {
		struct sockaddr any;
		struct sockaddr_in ipv4;
		struct sockaddr_in6 ipv6;
		struct sockaddr_un local;
	};
} hilo_address;

/* Bytes for the longest text that hilo_address_format and hilo_address_pair make, with the final NUL. */
#define HILO_ADDRESS_SIZE 448

/*
 * Read one of the texts above into *@ret. An IP address needs a port, from 0 to 65535. 0; -EINVAL, with a message
 * that shows the text; -ENAMETOOLONG: the path has more than 107 bytes; -ENODEV: there is no such zone.
 */
HILO_API HILO_MUST_CHECK int hilo_address_parse(const char *text, hilo_address *ret);

/*
 * The IP address that @host is as text, "127.0.0.1", "::1" or "fe80::1%eth0", and @port. Names are not looked up.
 * 0; -EINVAL: it is none (without a message, since names may be all right), or NULL; -ENODEV as above.
 */
HILO_API HILO_MUST_CHECK int hilo_address_ip(const char *host, unsigned port, hilo_address *ret);

/*
 * The Unix socket at @path. A path that begins with '@' is the abstract name that follows; a file of such a name is
 * "./@x". 0; -EINVAL: NULL or ""; -ENAMETOOLONG as above.
 */
HILO_API HILO_MUST_CHECK int hilo_address_unix(const char *path, hilo_address *ret);

/* Any address of @family: 0.0.0.0 for AF_INET, :: for AF_INET6. 0, -EAFNOSUPPORT for others, -EINVAL for @port. */
HILO_API HILO_MUST_CHECK int hilo_address_any(int family, unsigned port, hilo_address *ret);

/* What the system calls it. 0; -EINVAL: NULL, or @length does not fit its family; -EAFNOSUPPORT. */
HILO_API HILO_MUST_CHECK int hilo_address_from(const struct sockaddr *from, socklen_t length,
					       hilo_address *ret);

/* The name of the socket @fd, and that of its peer. 0; -EBADF, -ENOTSOCK, -ENOTCONN, -EAFNOSUPPORT, -EINVAL. */
HILO_API HILO_MUST_CHECK int hilo_address_of_socket(int fd, hilo_address *ret);
HILO_API HILO_MUST_CHECK int hilo_address_of_peer(int fd, hilo_address *ret);

/*
 * Write @address into @buf of @size bytes as one of the texts above; always ends in NUL unless @size is 0. Returns
 * the length that the text has, as snprintf. Bytes of abstract names that are not printable are written as \xHH,
 * and '\' as \\; hilo_address_parse reads them so. A path that begins with '@' is written "./@x", since "@x" is an
 * abstract name. NULL and no address: "-".
 */
HILO_API int hilo_address_format(const hilo_address *address, char *buf, size_t size);

/*
 * The same as Python prints it: ('127.0.0.1', 8888), ('::1', 8888, 0, 0) with flow and zone, the path of a Unix
 * socket as it is, b'\x00name' for an abstract one, nothing for one without a name. No address: None.
 */
HILO_API int hilo_address_pair(const hilo_address *address, char *buf, size_t size);

/* The same without port and brackets: 127.0.0.1, ::1, fe80::1%eth0; a Unix socket as hilo_address_format. */
HILO_API int hilo_address_host(const hilo_address *address, char *buf, size_t size);

/* AF_INET, AF_INET6, AF_UNIX; AF_UNSPEC for none. */
HILO_API int hilo_address_family(const hilo_address *address);

/* The port of an IP address; 0 for others, and for NULL. */
HILO_API unsigned hilo_address_port(const hilo_address *address);

/* Give an IP address another port. 0; -EINVAL: above 65535, or no IP address. */
HILO_API int hilo_address_set_port(hilo_address *address, unsigned port);

/*
 * 1: the same place; 0: not. Compares family, address, port and zone, or the name of a Unix socket; not the flow. Two
 * sockets without a name are not the same place, two that are no address are equal.
 */
HILO_API int hilo_address_equal(const hilo_address *a, const hilo_address *b);

HILO_END_DECLS

#endif /* HILO_IO_ADDRESS_H */
