/* SPDX-License-Identifier: MIT */
/* datagram_open.c - making UDP sockets: the first address of a name at which that works. */
#include "io/datagram_impl.h"

#include <hilo/io/resolve.h>
#include <hilo/runtime/error.h>

#include <errno.h>

#include "io/sock_impl.h"
#include "runtime/io_impl.h"
#include "runtime/sized_impl.h"
#include "scheduler/base/sys.h"

#define ADDRESSES_MAX 16
#define UDP_FLAGS (HILO_UDP_BROADCAST | HILO_UDP_REUSE_PORT | HILO_UDP_REUSE_ADDRESS | HILO_UDP_IPV6_ONLY)

_Static_assert(sizeof(hilo_udp_opts) == SIZED_END(hilo_udp_opts, none), "it ends with its last member");

/* What is to be made. */
struct udp_spec {
	const char *call;
	const char *host;
	hilo_udp_opts opts;
	hilo_address local; /* of one that is connected; length 0: any */
	bool connect;
	const void *site;
};

static int opts_read(struct udp_spec *spec, const hilo_udp_opts *given, unsigned port)
{
	hilo_udp_opts *opts = &spec->opts;
	int rc;

	opts->size = sizeof(*opts);
	rc = given ? SIZED_IN(hilo_udp_opts, opts, given, none) : 0;
	if (rc < 0)
		return rc;
	if (opts->flags & ~UDP_FLAGS)
		return hilo_fail(-EINVAL, "hilo_udp_opts.flags is %#x: unknown flag", opts->flags);
	if (port > 65535 || opts->local_port > 65535)
		return hilo_fail(-EINVAL, "%s: port %u", spec->call, port > 65535 ? port : opts->local_port);
	if (opts->receive_buffer < 0 || opts->send_buffer < 0)
		return hilo_fail(-EINVAL, "hilo_udp_opts: a buffer of %d bytes",
				 opts->receive_buffer < 0 ? opts->receive_buffer : opts->send_buffer);
	return 0;
}

/* The options that come before the socket has a name. */
static int udp_set(int fd, const hilo_udp_opts *opts, int family)
{
	int rc = 0;

	if (opts->flags & HILO_UDP_BROADCAST)
		rc = hilo__sock_set(fd, SOL_SOCKET, SO_BROADCAST, 1);
	if (rc == 0 && opts->flags & HILO_UDP_REUSE_PORT)
		rc = hilo__sock_set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	if (rc == 0 && opts->flags & HILO_UDP_REUSE_ADDRESS)
		rc = hilo__sock_set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (rc == 0 && family == AF_INET6)
		rc = hilo__sock_set(fd, IPPROTO_IPV6, IPV6_V6ONLY, (opts->flags & HILO_UDP_IPV6_ONLY) != 0);
	if (rc == 0 && opts->receive_buffer)
		rc = hilo__sock_set(fd, SOL_SOCKET, SO_RCVBUF, opts->receive_buffer);
	if (rc == 0 && opts->send_buffer)
		rc = hilo__sock_set(fd, SOL_SOCKET, SO_SNDBUF, opts->send_buffer);
	return rc;
}

/* A socket at, or to, @address. The descriptor, or why not. */
static int udp_try(const struct udp_spec *spec, const hilo_address *address)
{
	int family = hilo_address_family(address), rc;
	hilo_address local = spec->connect ? spec->local : *address;
	int fd = hilo__sock_new(family, SOCK_DGRAM, hilo__io_socket_flags(hilo__io_runtime()));

	if (fd < 0)
		return fd;
	rc = udp_set(fd, &spec->opts, family);
	if (rc == 0 && !local.length && spec->opts.local_port)
		rc = hilo_address_any(family, spec->opts.local_port, &local);
	if (rc == 0 && local.length)
		rc = hilo__sock_bind(fd, &local);
	if (rc == 0 && spec->connect)
		rc = hilo__sock_connect(fd, address);
	if (rc == 0)
		return fd;
	(void)hilo__sys_close(fd);
	return rc;
}

/* The first of @n addresses at which it works. */
static int udp_make(const struct udp_spec *spec, hilo_address *addresses, int n, unsigned port,
		    hilo_udp **ret)
{
	char text[HILO_ADDRESS_SIZE];
	int rc = 0, fd = -1, first = 0;

	for (int i = 0; i < n && fd < 0; i++) {
		(void)hilo_address_set_port(&addresses[i], port);
		fd = udp_try(spec, &addresses[i]);
		if (fd < 0 && !rc) {
			rc = fd;
			first = i;
		}
	}
	if (fd < 0) {
		(void)hilo_address_format(&addresses[first], text, sizeof(text));
		return hilo_fail(rc, "%s: %s: %s", spec->call, text, hilo_strerror(rc));
	}
	rc = hilo__udp_new(fd, spec->site, ret);
	if (rc < 0)
		(void)hilo__sys_close(fd);
	return rc;
}

/* Addresses of @host, @passive: to be at. */
static int udp_resolve(const char *host, int family, bool passive, hilo_address addresses[ADDRESSES_MAX],
		       hilo_time deadline)
{
	hilo_resolve_opts opts = {.size = sizeof(opts), .family = family, .type = SOCK_DGRAM};
	int n;

	opts.flags = passive ? HILO_RESOLVE_PASSIVE : 0;
	n = hilo_resolve(host, NULL, &opts, addresses, ADDRESSES_MAX, deadline);
	return n < ADDRESSES_MAX ? n : ADDRESSES_MAX;
}

/* [suspends] Where to be when sending elsewhere, if that was asked for by name. */
static int udp_local(struct udp_spec *spec, hilo_time deadline)
{
	hilo_address addresses[ADDRESSES_MAX];
	int n;

	if (!spec->connect || !spec->opts.local_host)
		return 0;
	n = udp_resolve(spec->opts.local_host, spec->opts.family, true, addresses, deadline);
	if (n < 0)
		return n;
	spec->local = addresses[0];
	spec->opts.family = hilo_address_family(&spec->local);
	return hilo_address_set_port(&spec->local, spec->opts.local_port);
}

static int udp_open(struct udp_spec *spec, unsigned port, hilo_udp **ret, hilo_time deadline)
{
	hilo_address addresses[ADDRESSES_MAX];
	int n;

	if (!ret)
		return hilo_fail(-EINVAL, "%s: ret is NULL", spec->call);
	n = udp_local(spec, deadline);
	if (n == 0)
		n = udp_resolve(spec->host, spec->opts.family, !spec->connect, addresses, deadline);
	return n < 0 ? n : udp_make(spec, addresses, n, port, ret);
}

int hilo_udp_bind(const char *host, unsigned port, const hilo_udp_opts *opts, hilo_udp **ret,
		  hilo_time deadline)
{
	struct udp_spec spec = {.call = "hilo_udp_bind", .host = host, .site = __builtin_return_address(0)};
	int rc = opts_read(&spec, opts, port);

	return rc < 0 ? rc : udp_open(&spec, port, ret, deadline);
}

int hilo_udp_connect(const char *host, unsigned port, const hilo_udp_opts *opts, hilo_udp **ret,
		     hilo_time deadline)
{
	struct udp_spec spec = {.call = "hilo_udp_connect",
				.host = host,
				.connect = true,
				.site = __builtin_return_address(0)};
	int rc = opts_read(&spec, opts, port);

	return rc < 0 ? rc : udp_open(&spec, port, ret, deadline);
}
