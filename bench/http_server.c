/* SPDX-License-Identifier: MIT */
/*
 * http_server.c - the HTTP server, with the one answer that the workload http gives by hand: GET / and 13 bytes. It
 * runs until the process is ended.
 */
#include "harness.h"

#include <hilo/http/server.h>

static int hello(hilo_http_request *request, void *arg)
{
	(void)arg;
	return hilo_http_respond(request, 200, "text/plain", "Hello, World!", 13, HILO_FOREVER);
}

static int serve(void *arg)
{
	struct bench *b = arg;
	hilo_server_opts listen = {.size = sizeof(listen), .host = "127.0.0.1", .port = b->port};
	hilo_http_opts opts = {.size = sizeof(opts), .server = &listen};
	hilo_http_router *router;
	hilo_http_server *server;
	int rc = hilo_http_router_new(&router);

	if (rc == 0)
		rc = hilo_http_router_add(router, "GET", "/", hello, NULL);
	if (rc == 0)
		rc = hilo_http_start_server(router, &opts, &server, HILO_FOREVER);
	if (rc < 0)
		bench_die("%s", hilo_error_message());
	rc = hilo_http_server_serve_forever(server, HILO_FOREVER);
	hilo_http_server_free(server);
	hilo_http_router_free(router);
	return rc;
}

void bench_http_server(struct bench *b)
{
	if (!b->port)
		bench_die("http_server: --port=N is needed");
	bench_run(b, serve);
}
