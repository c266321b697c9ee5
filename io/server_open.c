/* SPDX-License-Identifier: MIT */
/*
 * server_open.c - the sockets of a server: where they are, which options they have, and what is wrong when they
 * cannot be.
 */
#include "io/server_impl.h"

#include <hilo/io/resolve.h>
#include <hilo/runtime/error.h>

#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>

#include "io/sock_impl.h"
#include "runtime/io_impl.h"
#include "runtime/sized_impl.h"
#include "scheduler/base/mem.h"
#include "scheduler/base/sys.h"

/* Ports that are tried until one is free at all addresses. */
#define PORT_TRIES 10

int hilo__server_address_failed(const hilo_address *address, int rc)
{
	char text[HILO_ADDRESS_SIZE];

	(void)hilo_address_format(address, text, sizeof(text));
	if (rc == -EADDRINUSE)
		return hilo_fail(rc, "hilo_start_server: %s: the address is in use, somebody listens there",
				 text);
	return hilo_fail(rc, "hilo_start_server: %s: %s", text, hilo_strerror(rc));
}

/* Addresses without those that are there twice. */
struct places {
	hilo_address address[SERVER_SOCKETS];
	unsigned n;
};

static void places_add(struct places *places, const hilo_address *address)
{
	for (unsigned i = 0; i < places->n; i++)
		if (hilo_address_equal(&places->address[i], address))
			return;
	if (places->n < SERVER_SOCKETS)
		places->address[places->n++] = *address;
}

static int places_resolve(struct places *places, const char *host, const hilo_server_opts *opts,
			  hilo_time deadline)
{
	hilo_resolve_opts names = {
		.size = sizeof(names), .family = opts->family, .flags = HILO_RESOLVE_PASSIVE};
	hilo_address found[SERVER_SOCKETS];
	int n = hilo_resolve(host, NULL, &names, found, SERVER_SOCKETS, deadline);

	for (int i = 0; i < n && i < SERVER_SOCKETS; i++) {
		(void)hilo_address_set_port(&found[i], opts->port);
		places_add(places, &found[i]);
	}
	return n < 0 ? n : 0;
}

static int places_find(struct places *places, const hilo_server_opts *opts, hilo_time deadline)
{
	int rc = 0;

	places->n = 0;
	if (opts->fds)
		return 0;
	if (opts->path) {
		rc = hilo_address_unix(opts->path, &places->address[0]);
		places->n = rc == 0;
		return rc;
	}
	if (!opts->hosts)
		return places_resolve(places, opts->host, opts, deadline);
	for (size_t i = 0; i < opts->n_hosts && rc == 0; i++)
		rc = places_resolve(places, opts->hosts[i], opts, deadline);
	return rc;
}

/* What clients get from the socket that listens. */
static int socket_set_clients(const struct hilo_server *server, int fd, int family)
{
	unsigned flags = server->opts.flags;
	int rc = 0;

	if (family == AF_UNIX)
		return 0;
	if (flags & HILO_SERVER_KEEP_ALIVE)
		rc = hilo__sock_set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	if (rc == 0 && !(flags & HILO_SERVER_NAGLE))
		rc = hilo__sock_set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	return rc;
}

static int socket_set(const struct hilo_server *server, int fd, int family)
{
	unsigned flags = server->opts.flags;
	int rc = 0;

	if (family == AF_UNIX)
		return 0;
	if (!(flags & HILO_SERVER_NO_REUSE_ADDRESS))
		rc = hilo__sock_set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (rc == 0 && flags & HILO_SERVER_REUSE_PORT)
		rc = hilo__sock_set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	if (rc == 0 && family == AF_INET6)
		rc = hilo__sock_set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1); /* 0.0.0.0 has a socket of its own */
	return rc == 0 ? socket_set_clients(server, fd, family) : rc;
}

/* Whether the file of a Unix socket is one that a server has left behind: nobody listens there. */
static bool socket_is_stale(const hilo_address *address)
{
	uint64_t device, inode;
	int fd, rc;

	if (!*address->local.sun_path || hilo__sock_file(address->local.sun_path, &device, &inode) < 0)
		return false;
	fd = hilo__sock_new(AF_UNIX, SOCK_STREAM, SOCK_NONBLOCK);
	if (fd < 0)
		return false;
	rc = hilo__sock_connect(fd, address);
	(void)hilo__sys_close(fd);
	return rc == -ECONNREFUSED;
}

static int socket_bind(struct server_socket *socket, const hilo_address *address)
{
	int rc = hilo__sock_bind(socket->fd, address);

	if (rc == -EADDRINUSE && address->any.sa_family == AF_UNIX && socket_is_stale(address)) {
		rc = hilo__sock_unlink(address->local.sun_path);
		if (rc == 0)
			rc = hilo__sock_bind(socket->fd, address);
	}
	if (rc == 0 && address->any.sa_family == AF_UNIX && *address->local.sun_path)
		socket->named_file =
			hilo__sock_file(address->local.sun_path, &socket->device, &socket->inode) == 0;
	return rc;
}

void hilo__server_socket_close(const struct hilo_server *server, struct server_socket *socket)
{
	const char *path = socket->name.local.sun_path;
	uint64_t device, inode;

	if (socket->fd < 0)
		return;
	/* Only our own file: another server may have taken its place. */
	if (socket->named_file && !(server->opts.flags & HILO_SERVER_KEEP_PATH) &&
	    hilo__sock_file(path, &device, &inode) == 0 && device == socket->device && inode == socket->inode)
		(void)hilo__sock_unlink(path);
	(void)hilo__sys_close(socket->fd);
	socket->fd = -1;
}

/* The next socket of @server, at @address. */
static int socket_open(struct hilo_server *server, const hilo_address *address)
{
	struct server_socket *socket = &server->socket[server->sockets];
	int family = hilo_address_family(address), rc;

	memset(socket, 0, sizeof(*socket));
	socket->name = *address;
	socket->fd = hilo__sock_new(family, SOCK_STREAM, hilo__io_socket_flags(server->runtime));
	if (socket->fd < 0)
		return socket->fd;
	rc = socket_set(server, socket->fd, family);
	if (rc == 0)
		rc = socket_bind(socket, address);
	if (rc == 0)
		rc = hilo_address_of_socket(socket->fd, &socket->name);
	if (rc < 0)
		hilo__server_socket_close(server, socket);
	else
		server->sockets++;
	return rc;
}

static void sockets_close(struct hilo_server *server)
{
	while (server->sockets > 0)
		hilo__server_socket_close(server, &server->socket[--server->sockets]);
}

/* Whether @rc says that an address is none of this machine, as ::1 where there is no IPv6. */
static bool is_foreign(int rc)
{
	return rc == -EAFNOSUPPORT || rc == -EADDRNOTAVAIL;
}

/* All of them, at the same port. -EAGAIN: that was not free everywhere, another one may be. */
static int sockets_open(struct hilo_server *server, const struct places *places)
{
	unsigned port = server->opts.port;
	int rc = 0, first = 0;
	const hilo_address *wrong = NULL;

	for (unsigned i = 0; i < places->n; i++) {
		hilo_address address = places->address[i];

		(void)hilo_address_set_port(&address, port);
		rc = socket_open(server, &address);
		if (rc == -EADDRINUSE && !server->opts.port && server->sockets > 0) {
			sockets_close(server);
			return -EAGAIN;
		}
		if (rc < 0 && (!first || (is_foreign(first) && !is_foreign(rc)))) {
			first = rc;
			wrong = &places->address[i];
		}
		if (rc < 0 && !is_foreign(rc))
			break;
		if (rc == 0 && !port)
			port = hilo_address_port(&server->socket[0].name);
	}
	if (!first || (server->sockets > 0 && is_foreign(first)))
		return 0;
	sockets_close(server);
	return hilo__server_address_failed(wrong, first);
}

static int given_failed(int fd, int rc, const char *why)
{
	return hilo_fail(rc, "hilo_start_server: descriptor %d: %s", fd, why ? why : hilo_strerror(rc));
}

/* The next socket of @server is a copy of @fd. */
static int given_take(struct hilo_server *server, int fd)
{
	struct server_socket *socket = &server->socket[server->sockets];
	hilo_address peer;
	int type, rc = hilo__sock_get(fd, SOL_SOCKET, SO_TYPE, &type);

	if (rc < 0)
		return given_failed(fd, rc, NULL);
	if (type != SOCK_STREAM)
		return given_failed(fd, -EPROTOTYPE, "not a socket of streams");
	if (hilo_address_of_peer(fd, &peer) == 0)
		return given_failed(fd, -EPROTOTYPE, "the socket is connected");
	memset(socket, 0, sizeof(*socket));
	rc = hilo_address_of_socket(fd, &socket->name);
	if (rc == 0)
		rc = hilo__sock_copy(fd);
	if (rc < 0)
		return given_failed(fd, rc, NULL);
	socket->fd = rc;
	server->sockets++;
	return 0;
}

/* Those that were taken become as this server wants them; never back to blocking: others may have the same socket. */
static int givens_set(struct hilo_server *server)
{
	bool never_blocks = hilo__io_socket_flags(server->runtime) & SOCK_NONBLOCK;
	struct server_socket *socket;
	int rc;

	for (unsigned i = 0; i < server->sockets; i++) {
		socket = &server->socket[i];
		rc = socket_set_clients(server, socket->fd, hilo_address_family(&socket->name));
		if (rc < 0)
			return given_failed(server->opts.fds[i], rc, NULL);
	}
	for (unsigned i = 0; never_blocks && i < server->sockets; i++) {
		socket = &server->socket[i];
		rc = hilo__sock_set_nonblocking(socket->fd, true);
		if (rc < 0)
			return given_failed(server->opts.fds[i], rc, NULL);
		socket->never_blocks = true;
	}
	return 0;
}

/* All that were given, instead of some that are opened. Nothing is changed before all are known to be of use. */
static int givens_take(struct hilo_server *server)
{
	int rc = 0;

	for (size_t i = 0; i < server->opts.n_fds && rc == 0; i++)
		rc = given_take(server, server->opts.fds[i]);
	if (rc == 0)
		rc = givens_set(server);
	if (rc < 0)
		sockets_close(server);
	return rc;
}

static void server_init(struct hilo_server *server, const hilo_server_opts *opts)
{
	spin_init(&server->lock);
	server->refs = 1;
	server->state = SERVER_IDLE;
	server->runtime = hilo__io_runtime();
	server->opts = *opts;
	server->stream_opts.size = sizeof(server->stream_opts);
	server->tls_opts.size = sizeof(server->tls_opts);
	server->reserve = -1;
	list_init(&server->acceptors);
	list_init(&server->clients);
	(void)hilo_wait_group_init(&server->accepting);
	(void)hilo_wait_group_init(&server->serving);
	(void)hilo_event_init(&server->over, 0);
	(void)hilo_semaphore_init(&server->places, opts->max_clients, 0);
}

int hilo__server_new(const hilo_server_opts *opts, hilo_server **ret, hilo_time deadline)
{
	struct hilo_server *server;
	struct places places;
	int rc = places_find(&places, opts, deadline);

	if (rc < 0)
		return rc;
	server = hilo__calloc(1, sizeof(*server) + (places.n + opts->n_fds) * sizeof(server->socket[0]));
	if (!server)
		return hilo__error_own(-ENOMEM);
	server_init(server, opts);
	rc = opts->stream ? SIZED_IN(hilo_stream_opts, &server->stream_opts, opts->stream, low) : 0;
	if (rc == 0 && opts->tls_opts)
		rc = SIZED_IN(hilo_tls_opts, &server->tls_opts, opts->tls_opts, shutdown);
	server->stream_opts.runtime = server->runtime;
	if (rc == 0 && opts->fds)
		rc = givens_take(server);
	for (unsigned i = 0; rc == 0 && !opts->fds && i < PORT_TRIES; i++) {
		rc = sockets_open(server, &places);
		if (rc != -EAGAIN)
			break;
		rc = i + 1 < PORT_TRIES ? 0 : hilo__server_address_failed(&places.address[0], -EADDRINUSE);
	}
	/* What is borrowed for the call. */
	server->opts.host = server->opts.path = NULL;
	server->opts.hosts = NULL;
	server->opts.fds = NULL;
	server->opts.stream = NULL;
	server->opts.tls_opts = NULL;
	if (rc == 0) {
		server->reserve = hilo__sock_reserve();
		rc = server->reserve < 0 ? hilo__error_own(server->reserve) : 0;
	}
	if (rc == 0) {
		if (opts->tls)
			opts->tls->ops->ref(opts->tls);
		*ret = server;
		return 0;
	}
	sockets_close(server);
	hilo__free(server);
	return rc;
}
