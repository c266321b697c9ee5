/* SPDX-License-Identifier: MIT */
/*
 * service - a JSON API that can be run: see README.md.
 *
 *     main_task    opens the log, the store and the server, and waits for signals
 *       clients    a task each, which answers (routes.c)
 *       thumbnails a task each, of low priority (thumbnail.c)
 *       log        a task that writes what has gathered (log.c)
 */
#include "restart.h"
#include "service.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CONNECTIONS 4096      /* at a time; beyond: 503 */
#define STACK HILO_STACK_256K /* of handlers: SQLite and libjpeg are used to more than a task has */

/* ---- Its end ---- */

/*
 * [suspends] Accept nobody; answer who is there. Clients learn from the answer to their next request that the
 * connection ends. Those that have not asked by the end of `linger` are left; those that have get `drain` for their
 * answers. The socket @fd is closed at once, with its copies: the address is free for whoever comes next, and a client
 * that comes is the next process's, or refused, instead of one that waits for nobody.
 */
static void service_drain(struct service *service, int fd)
{
	hilo_server *below = hilo_http_server_below(service->server);
	hilo_server_counts counts = {.size = sizeof(counts)};
	hilo_time end = hilo_after(service->options->linger);

	atomic_store_explicit(&service->draining, 1, memory_order_relaxed); /* seen soon enough */
	/* First one, and then the other: all that were accepted are counted now. */
	(void)hilo_server_stop_serving(below, HILO_FOREVER);
	(void)hilo_server_stop(below);
	(void)close(fd);
	while (hilo_server_clients(below) > 0 && hilo_now() < end && hilo_sleep(5 * HILO_MILLISECOND) == 0)
		;
	(void)hilo_http_server_close(service->server, &counts, hilo_after(service->options->drain));
	log_event(service->log, "drained", "%zu ended, %zu cancelled, %zu aborted", counts.drained,
		  counts.cancelled, counts.aborted);
}

/* In one step, so that nobody reads half of it. */
static int pid_file_write(const char *path)
{
	char text[32], name[4096];
	int n = snprintf(text, sizeof(text), "%d\n", getpid());
	FILE *file;
	int rc;

	if (!path)
		return 0;
	if (snprintf(name, sizeof(name), "%s.%d", path, getpid()) >= (int)sizeof(name))
		return hilo_fail(-ENAMETOOLONG, "%s: the name is too long", path);
	file = fopen(name, "we");
	if (!file)
		return hilo_fail(-errno, "%s: %s", name, strerror(errno));
	rc = fwrite(text, 1, (size_t)n, file) == (size_t)n ? 0 : -EIO;
	if (fclose(file) < 0 || (rc == 0 && rename(name, path) < 0))
		rc = -errno;
	if (rc < 0)
		(void)unlink(name);
	return rc < 0 ? hilo_fail(rc, "%s: %s", path, hilo_strerror(rc)) : 0;
}

/* [suspends] Until a signal says that it is enough, or another process has taken over. */
static int service_obey(struct service *service, hilo_signals *signals, int fd)
{
	int signo, rc;

	while ((signo = hilo_signals_next(signals, NULL, HILO_FOREVER)) == SIGHUP) {
		log_event(service->log, "restart", "SIGHUP");
		rc = restart_next(service->options->argv, fd);
		if (rc == 0)
			return 0;
		log_event(service->log, "restart failed", "%s", hilo_error_message());
		if (pid_file_write(service->options->pid_file) < 0) /* it may have got so far */
			log_event(service->log, "pid file", "%s", hilo_error_message());
	}
	if (signo > 0)
		log_event(service->log, "stop", "%s", strsignal(signo));
	return signo < 0 ? signo : 0;
}

/* ---- Its beginning ---- */

/* [suspends] */
static int store_open(const struct options *options, struct store **ret)
{
	if (!options_is_postgres(options->database))
		return store_sqlite_open(options->database, options->reads, ret);
#ifdef SERVICE_POSTGRES
	return store_postgres_open(options->database, options->connections, ret);
#else
	return hilo_fail(-EOPNOTSUPP, "this service was built without libpq, for SQLite alone");
#endif
}

/* [suspends] A server for what comes to the socket @fd, which accepts nobody yet. */
static int server_open(struct service *service, int fd)
{
	hilo_server_opts listen = {.size = sizeof(listen),
				   .fds = &fd,
				   .n_fds = 1,
				   .flags = HILO_SERVER_NO_START,
				   .stack = STACK};
	hilo_http_opts opts = {.size = sizeof(opts),
			       .server = &listen,
			       .body = UINT64_MAX, /* handlers have limits of their own, and say so in JSON */
			       .connections = CONNECTIONS,
			       .access = log_access,
			       .access_arg = service->log};

	return hilo_http_start_server(service->router, &opts, &service->server, HILO_FOREVER);
}

/* [suspends] Nothing can fail any more that a client would notice: take over, and accept. */
static int server_start(struct service *service)
{
	hilo_address address;
	int rc = restart_ready();

	if (rc == 0)
		rc = hilo_server_start_serving(hilo_http_server_below(service->server));
	if (rc < 0)
		return rc;
	if (hilo_server_sockname(hilo_http_server_below(service->server), 0, &address) == 0)
		log_number(service->log, "listening", "port", hilo_address_port(&address));
	return 0;
}

/* [suspends] All that a request needs is there. */
static int service_run(struct service *service, hilo_signals *signals)
{
	int fd = restart_socket(service->options->host, service->options->port);
	int rc = fd < 0 ? fd : hilo_http_router_new(&service->router);

	if (rc == 0)
		rc = routes_add(service);
	if (rc == 0)
		rc = server_open(service, fd);
	if (rc == 0)
		rc = pid_file_write(service->options->pid_file);
	if (rc == 0)
		rc = server_start(service);
	if (rc == 0) {
		rc = service_obey(service, signals, fd);
		(void)hilo_shield_enter();
		service_drain(service, fd);
		(void)hilo_shield_leave();
		fd = -1;
	}
	hilo_http_server_free(service->server);
	hilo_http_router_free(service->router);
	if (fd >= 0)
		(void)close(fd);
	return rc;
}

static int main_task(void *arg)
{
	static struct service service;
	const struct options *options = arg;
	hilo_signals *signals;
	int rc = hilo_signals_open((const int[]){SIGTERM, SIGINT, SIGHUP, 0}, &signals);

	if (rc < 0)
		return rc;
	service.options = options;
	service.started = hilo_now();
#ifdef SERVICE_JPEG
	thumbnails_init(&service.thumbnails,
			options->jobs ? options->jobs : hilo_runtime_workers(hilo_runtime_current()));
#endif
	rc = log_open(options->log, &service.log);
	if (rc == 0)
		rc = store_open(options, &service.store);
	if (rc == 0)
		rc = service_run(&service, signals);
	if (rc < 0 && service.log)
		log_event(service.log, "failed", "%s", hilo_error_message());
	if (rc < 0)
		fprintf(stderr, "service: %s\n",
			hilo_error_code() == rc ? hilo_error_message() : hilo_strerror(rc));
	if (service.store)
		service.store->ops->close(service.store);
	log_close(service.log);
	hilo_signals_free(signals);
	return rc;
}

int main(int argc, char **argv)
{
	struct options options;
	hilo_opts opts = {.size = sizeof(opts)};
	int status = options_parse(&options, argc, argv);

	if (status >= 0)
		return status;
	(void)signal(SIGPIPE, SIG_IGN); /* a log that nobody reads is no reason to end */
	opts.workers = options.workers;
	return hilo_run(main_task, &options, &opts) < 0;
}
