/* SPDX-License-Identifier: MIT */
/*
 * hello_server.c - a small HTTP server: hello_server [PORT [HOST]]
 *
 *	GET  /               a text                   GET  /hello/{name}  a greeting
 *	POST /echo           its body                 GET  /count/{n}     numbers, one a chunk
 *	GET  /files/{path...} a file below the folder that it was started in
 *
 * It writes the access log to standard output. At Ctrl-C it answers what it was asked, and ends.
 */
#include <hilo/hilo.h>
#include <hilo/http/server.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TEXT "text/plain; charset=utf-8"

static int hello(hilo_http_request *request, void *arg)
{
	const char *name = hilo_http_param(request, "name");
	char text[256];
	int n = snprintf(text, sizeof(text), "Hello, %.200s!\n", name ? name : "World");

	(void)arg;
	return hilo_http_respond(request, 200, TEXT, text, (size_t)n, HILO_FOREVER);
}

static int echo(hilo_http_request *request, void *arg)
{
	char buf[8192];
	ssize_t n;
	int rc = hilo_http_begin(request, 200, "application/octet-stream", hilo_http_length(request));

	(void)arg;
	while (rc >= 0 && (n = hilo_http_read(request, buf, sizeof(buf), HILO_FOREVER)) != 0)
		rc = n < 0 ? (int)n : (int)hilo_http_write(request, buf, (size_t)n, HILO_FOREVER);
	return rc;
}

static int count(hilo_http_request *request, void *arg)
{
	long n = atol(hilo_http_param(request, "n"));
	char line[32];
	int rc = hilo_http_begin(request, 200, TEXT, HILO_HTTP_CHUNKED);

	(void)arg;
	for (long i = 1; rc >= 0 && i <= n && i <= 1000000; i++)
		rc = (int)hilo_http_write(request, line, (size_t)snprintf(line, sizeof(line), "%ld\n", i),
					  HILO_FOREVER);
	return rc;
}

/*
 * Open what is below the folder, wherever links on the way lead to. What is no file keeps nobody: a FIFO is opened
 * without its other end. The kernel has had openat2 since 5.6, the C library has no name for it.
 */
static int open_below(const char *path)
{
	struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
			       .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};

	return (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how));
}

/* A path with ".." in it, or with an escaped slash, was refused before. */
static int file(hilo_http_request *request, void *arg)
{
	const char *path = hilo_http_param(request, "path");
	int fd, rc;

	(void)arg;
	fd = open_below(path);
	if (fd < 0 && errno == ENOSYS)
		return hilo_fail(-ENOSYS, "this kernel cannot keep files below a folder");
	if (fd < 0)
		return hilo_http_respond(request, 404, TEXT, "no such file\n", 13, HILO_FOREVER);
	rc = hilo_http_send_file(request, fd, "application/octet-stream", HILO_FOREVER);
	if (rc == -EINVAL) /* a folder, a FIFO */
		rc = hilo_http_respond(request, 404, TEXT, "no file\n", 8, HILO_FOREVER);
	(void)close(fd);
	return rc;
}

static int routes_add(hilo_http_router *router)
{
	static const struct {
		const char *method, *pattern;
		hilo_http_fn handler;
	} routes[] = {
		{"GET", "/", hello},	      {"GET", "/hello/{name}", hello},	 {"POST", "/echo", echo},
		{"GET", "/count/{n}", count}, {"GET", "/files/{path...}", file},
	};
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < sizeof(routes) / sizeof(routes[0]); i++)
		rc = hilo_http_router_add(router, routes[i].method, routes[i].pattern, routes[i].handler,
					  NULL);
	return rc;
}

static int serve(hilo_http_router *router, const hilo_http_opts *opts)
{
	hilo_http_server *server;
	hilo_address address;
	int rc = hilo_http_start_server(router, opts, &server, HILO_FOREVER);

	if (rc < 0)
		return rc;
	if (hilo_server_sockname(hilo_http_server_below(server), 0, &address) == 0)
		fprintf(stderr, "listening on port %u\n", hilo_address_port(&address));
	rc = hilo_http_server_serve_forever(server, HILO_FOREVER);
	hilo_http_server_free(server);
	return rc;
}

static int main_task(void *arg)
{
	char **argv = arg, *port = argv[1], *host = port ? argv[2] : NULL;
	hilo_server_opts listen = {.size = sizeof(listen),
				   .host = host ? host : "127.0.0.1",
				   .port = port ? (unsigned)atoi(port) : 8080};
	hilo_http_opts opts = {.size = sizeof(opts), .server = &listen, .body = UINT64_MAX};
	hilo_http_router *router;
	int rc = hilo_http_router_new(&router), fd = dup(STDOUT_FILENO);

	if (rc == 0)
		rc = routes_add(router);
	if (rc == 0)
		rc = hilo_stream_from_fd(fd, NULL, &opts.access_log);
	if (rc == 0)
		rc = serve(router, &opts);
	if (rc < 0 && rc != -ECANCELED)
		fprintf(stderr, "hello_server: %s\n", hilo_error_message());
	hilo_stream_free(opts.access_log);
	hilo_http_router_free(router);
	return rc == -ECANCELED ? 0 : rc;
}

HILO_MAIN(main_task);
