/* SPDX-License-Identifier: MIT */
/*
 * echo.c - a server that answers with what it is told: the smallest one, and something to try others against.
 *
 * Bytes come and go as they are. A client that sends and does not read waits for itself: no more is read from it
 * while more than 64 KiB wait for it to read. One that ends its direction gets the rest, then the end.
 */
#include <hilo/hilo.h>

#include <stdatomic.h>
#include <stdio.h>

#include "options.h"
#include "print.h"

static const char help[] =
	"Usage: echo [OPTION]...\n"
	"Answer each client with what it says. Ends by Ctrl-C.\n"
	"\n"
	"      --host HOST  where to listen, default 127.0.0.1\n"
	"      --port PORT  default 7777; 0: one that is free\n"
	"      --clients N  so many at a time, others wait; default: as many as there are descriptors\n"
	"      --help       print this\n"
	"\n"
	"Exit status: 1 an error, the address is in use, say.\n";

static int echo(hilo_stream *client, void *arg)
{
	atomic_ullong *total = arg;
	char bytes[16 * 1024];
	ssize_t n;

	while ((n = hilo_stream_read(client, bytes, sizeof(bytes), HILO_FOREVER)) > 0) {
		atomic_fetch_add_explicit(total, (unsigned long long)n, memory_order_relaxed);
		n = hilo_stream_write(client, bytes, (size_t)n, HILO_FOREVER);
		if (n < 0)
			break;
	}
	return (int)n; /* then the stream is closed, once all was sent */
}

static int program(void *arg)
{
	static atomic_ullong total;
	struct options options = {.host = "127.0.0.1", .port = 7777};
	hilo_server_opts opts = {.size = sizeof(opts)};
	hilo_server_stats stats = {.size = sizeof(stats)};
	hilo_server *server;
	int rc = options_parse(&options, arg, "hpc", help);

	if (rc != 0)
		return rc;
	opts.host = options.host;
	opts.port = options.port;
	opts.max_clients = options.clients;
	rc = hilo_start_server(echo, &total, &opts, &server, HILO_FOREVER);
	if (rc < 0)
		return rc;
	print_listening(server, "echo");
	rc = hilo_server_serve_forever(server, HILO_FOREVER);
	if (hilo_server_get_stats(server, &stats) == 0)
		printf("echo: %llu clients, %zu at a time at most, %llu bytes\n",
		       (unsigned long long)stats.accepted, stats.most, atomic_load(&total));
	hilo_server_free(server);
	return rc;
}

HILO_MAIN(program);
