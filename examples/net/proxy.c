/* SPDX-License-Identifier: MIT */
/*
 * proxy.c - a TCP proxy: a connection to the target for each client, and bytes between the two.
 *
 *	client -- up --> target       hilo_stream_pump, then hilo_stream_write_eof: the end of one direction is passed
 *	client <- down - target       on, and the other goes on for as long as it likes
 *
 * Memory     A direction holds what its streams do, some 128 KiB at most: who reads slowly slows down who sends.
 * Failures   A connection that is reset takes the other one with it. One that takes no more (EPIPE) ends that
 *            direction alone: a server may have answered, and hung up, before it was told everything, and the
 *            answer is passed on.
 * Limits     Clients beyond --clients wait in the kernel's queue. A target gets 10 s to answer.
 * Ctrl-C     Nobody is accepted any more, who is there gets --drain seconds, and what has become of them is told.
 */
#include <hilo/hilo.h>

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "options.h"
#include "print.h"

static const char help[] = "Usage: proxy [OPTION]... TARGET\n"
			   "Pass each connection on to TARGET, HOST:PORT or [ADDRESS]:PORT. Ends by Ctrl-C.\n"
			   "\n"
			   "      --host HOST      where to listen, default 127.0.0.1\n"
			   "      --port PORT      default 7778; 0: one that is free\n"
			   "      --clients N      so many at a time, others wait; default: half as many as "
			   "there are descriptors\n"
			   "      --drain SECONDS  what clients get to end when the proxy does, default 10\n"
			   "      --help           print this\n"
			   "\n"
			   "Exit status: 1 an error, the address is in use, say.\n";

#define CONNECT_LIMIT (10 * HILO_SECOND)
#define FLUSH_LIMIT (10 * HILO_SECOND)

struct proxy {
	char *host;
	unsigned port;
	atomic_ullong up, down; /* bytes */
	atomic_ullong unreachable, failed;
};

/* One direction of a client. */
struct direction {
	hilo_stream *from, *to;
	atomic_ullong *total;
};

static int direction_run(void *arg)
{
	const struct direction *self = arg;
	uint64_t count = 0;
	int rc = hilo_stream_pump(self->from, self->to, UINT64_MAX, &count, HILO_FOREVER);

	atomic_fetch_add(self->total, count);
	if (rc == 0)
		rc = hilo_stream_write_eof(self->to);
	return rc == -EPIPE ? 0 : rc;
}

/* @client and @target are connected. 0, or what one of them has failed with. */
static int relay(struct proxy *proxy, hilo_stream *client, hilo_stream *target)
{
	struct direction up = {client, target, &proxy->up}, down = {target, client, &proxy->down};
	int rc;

	HILO_GROUP (group, &rc) {
		hilo_group_spawn(group, direction_run, &up);
		hilo_group_spawn(group, direction_run, &down);
	}
	if (rc == 0)
		rc = hilo_stream_close(target, hilo_after(FLUSH_LIMIT));
	return rc == -EPIPE ? 0 : rc;
}

/* End the connection by a reset: who is at its other end is not to take what has come for all. */
static void reset(hilo_stream *stream)
{
	struct linger none = {.l_onoff = 1};
	int fd = hilo_stream_fd(stream);

	if (fd >= 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
	hilo_stream_abort(stream);
}

static int serve_client(hilo_stream *client, void *arg)
{
	struct proxy *proxy = arg;
	char name[HILO_ADDRESS_SIZE] = "a client that has gone";
	hilo_stream *target = NULL;
	int rc;

	hilo_stream_info(client, "peername", name, sizeof(name));
	rc = hilo_open_connection(proxy->host, proxy->port, NULL, &target, hilo_after(CONNECT_LIMIT));
	if (rc == 0)
		rc = relay(proxy, client, target);
	if (rc < 0 && rc != -ECANCELED) {
		fprintf(stderr, "proxy: %s: %s\n", name,
			hilo_error_code() == rc ? hilo_error_message() : hilo_strerror(rc));
		atomic_fetch_add(target ? &proxy->failed : &proxy->unreachable, 1);
	}
	if (rc < 0) {
		reset(client);
		if (target)
			reset(target);
	}
	hilo_stream_free(target);
	return rc == -ECANCELED ? rc : 0;
}

/* @text is HOST:PORT or [ADDRESS]:PORT; it is cut up. */
static int target_parse(struct proxy *proxy, char *text)
{
	char *colon = text ? strrchr(text, ':') : NULL, *end;
	unsigned long port;

	if (!text)
		return hilo_fail(-EINVAL, "there is no TARGET; try --help");
	if (!colon || colon == text || colon[1] < '0' || colon[1] > '9')
		return hilo_fail(-EINVAL, "TARGET '%s' is not HOST:PORT", text);
	port = strtoul(colon + 1, &end, 10);
	if (*end || port > 65535)
		return hilo_fail(-EINVAL, "TARGET '%s' has no port from 0 to 65535", text);
	proxy->port = (unsigned)port;
	proxy->host = text;
	*colon = '\0';
	if (*text == '[' && colon[-1] == ']') {
		colon[-1] = '\0';
		proxy->host++;
	}
	return 0;
}

static int serve_task(void *arg)
{
	return hilo_server_serve_forever(arg, HILO_FOREVER);
}

/* Serve until Ctrl-C, or until nobody can be accepted any more; then let who is there end. */
static int serve(hilo_server *server, hilo_time drain)
{
	hilo_server_counts counts = {.size = sizeof(counts)};
	hilo_task *serving = hilo_spawn(serve_task, server);
	int rc = hilo_await(serving, HILO_FOREVER);

	hilo_shield_enter();
	hilo_server_close(server, &counts, hilo_after(drain));
	hilo_join(serving, HILO_FOREVER); /* which has ended by that */
	hilo_shield_leave();
	printf("proxy: at the end %zu clients were done, %zu were cancelled, %zu aborted\n", counts.drained,
	       counts.cancelled, counts.aborted);
	return rc;
}

static int program(void *arg)
{
	static struct proxy proxy;
	struct options options = {.host = "127.0.0.1", .port = 7778, .drain = 10};
	hilo_server_opts opts = {.size = sizeof(opts)};
	hilo_server_stats stats = {.size = sizeof(stats)};
	hilo_server *server;
	int rc = options_parse(&options, arg, "hpcd", help);

	if (rc == 0)
		rc = target_parse(&proxy, options.rest[0]);
	if (rc != 0)
		return rc;
	opts.host = options.host;
	opts.port = options.port;
	opts.max_clients = options.clients ? options.clients : (size_t)sysconf(_SC_OPEN_MAX) / 2;
	rc = hilo_start_server(serve_client, &proxy, &opts, &server, HILO_FOREVER);
	if (rc < 0)
		return rc;
	print_listening(server, "proxy");
	rc = serve(server, (hilo_time)options.drain * HILO_SECOND);
	if (hilo_server_get_stats(server, &stats) == 0)
		printf("proxy: %llu clients, %zu at a time at most, %llu without a target, %llu failed, "
		       "%llu bytes up, %llu down\n",
		       (unsigned long long)stats.accepted, stats.most, atomic_load(&proxy.unreachable),
		       atomic_load(&proxy.failed), atomic_load(&proxy.up), atomic_load(&proxy.down));
	hilo_server_free(server);
	return rc;
}

HILO_MAIN(program);
