/* SPDX-License-Identifier: MIT */
/*
 * idle_memory.c - what a task costs in memory while it waits, and before it starts; and what a connection does.
 *
 * There is no warm-up: memory kept from one would hide memory of the tasks. The array of handles
 * belongs to the program and is touched before the first reading.
 *
 * Counted is what the process has resident. Of a connection that is its stream, the task of its handler with the page
 * of its stack, and what the server knows of it; not what the kernel has for the socket. The clients are another
 * process. Each has made a request and been answered, and waits.
 */
#include "harness.h"

#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static struct counter waiting;
static struct counter started;
static hilo_future *event;

static int waiting_task(void *arg)
{
	(void)arg;
	counter_add(&waiting, 1);
	return hilo_future_await(event, NULL, HILO_FOREVER);
}

static void bytes_per_task(struct bench *b, long before, long after)
{
	bench_extra(b, "\"bytes_per_task\":%.1f", (double)(after - before) * 1024 / (double)b->n);
}

static int idle_memory(void *arg)
{
	struct bench *b = arg;
	hilo_task **task = bench_alloc((size_t)b->n, sizeof(hilo_task *));
	long before = bench_status_kib("VmRSS");
	hilo_time start = hilo_now();

	event = hilo_future_new();
	for (long i = 0; i < b->n; i++)
		task[i] = hilo_spawn(waiting_task, NULL);
	while (counter_get(&waiting) < (uint64_t)b->n)
		hilo_yield();
	b->took = hilo_now() - start;
	hilo_sleep(50 * HILO_MILLISECOND); /* the last ones have counted themselves and are about to wait */
	bytes_per_task(b, before, bench_status_kib("VmRSS"));
	start = hilo_now();
	hilo_future_set(event, NULL, NULL);
	for (long i = 0; i < b->n; i++, b->check++)
		bench_join(task[i], 0);
	b->took += hilo_now() - start;
	b->ops = (uint64_t)b->n;
	hilo_future_unref(event);
	free(task);
	return 0;
}

void bench_idle_memory(struct bench *b)
{
	bench_run(b, idle_memory);
}

static int counted_task(void *arg)
{
	(void)arg;
	counter_add(&started, 1);
	return 0;
}

/* With one worker, which is busy with this, no other task can start. */
static int idle_created(void *arg)
{
	struct bench *b = arg;
	hilo_task **task = bench_alloc((size_t)b->n, sizeof(hilo_task *));
	long before = bench_status_kib("VmRSS");
	hilo_time start = hilo_now();

	for (long i = 0; i < b->n; i++)
		task[i] = hilo_spawn(counted_task, NULL);
	b->took = hilo_now() - start;
	bytes_per_task(b, before, bench_status_kib("VmRSS"));
	bench_extra(b, "\"started\":%llu", (unsigned long long)counter_get(&started));
	start = hilo_now();
	for (long i = 0; i < b->n; i++)
		bench_join(task[i], 0);
	b->took += hilo_now() - start;
	b->check = counter_get(&started);
	b->ops = (uint64_t)b->n;
	free(task);
	return 0;
}

void bench_idle_created(struct bench *b)
{
	bench_run(b, idle_created);
}

/* What other descriptors the process has. */
#define DESCRIPTORS 100

static struct counter answered;

static int answer(hilo_stream *client, void *arg)
{
	char byte;

	(void)arg;
	while (hilo_stream_read(client, &byte, 1, HILO_FOREVER) > 0)
		if (hilo_stream_write(client, &byte, 1, HILO_FOREVER) == 1)
			counter_add(&answered, 1);
	return 0;
}

/* [another process] @n connections to the port that comes from @from; they are closed when that ends. */
static _Noreturn void clients(int from, long n)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	unsigned port;
	char byte = 'x';

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (read(from, &port, sizeof(port)) != sizeof(port))
		_exit(1);
	to.sin_port = htons((uint16_t)port);
	for (long i = 0; i < n; i++) {
		int fd = socket(AF_INET, SOCK_STREAM, 0);

		if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0 ||
		    write(fd, &byte, 1) != 1 || read(fd, &byte, 1) != 1)
			bench_die("idle_connections: connection %ld failed", i);
	}
	while (read(from, &byte, 1) > 0)
		;
	_exit(0);
}

static int to_clients;

static int idle_connections(void *arg)
{
	struct bench *b = arg;
	hilo_server_opts opts = {.size = sizeof(opts), .host = "127.0.0.1"};
	hilo_server *server;
	hilo_address address;
	unsigned port;
	long before;
	hilo_time start;

	if (hilo_start_server(answer, NULL, &opts, &server, HILO_FOREVER) < 0 ||
	    hilo_server_sockname(server, 0, &address) < 0)
		bench_die("idle_connections: %s", hilo_error_message());
	port = hilo_address_port(&address);
	before = bench_status_kib("VmRSS");
	start = hilo_now();
	if (write(to_clients, &port, sizeof(port)) != sizeof(port))
		bench_die("idle_connections: no clients");
	while (counter_get(&answered) < (uint64_t)b->n)
		hilo_sleep(HILO_MILLISECOND);
	b->took = hilo_now() - start;
	hilo_sleep(50 * HILO_MILLISECOND); /* the last ones are about to wait */
	bench_extra(b, "\"bytes_per_connection\":%.1f",
		    (double)(bench_status_kib("VmRSS") - before) * 1024 / (double)b->n);
	b->check = hilo_server_clients(server);
	b->ops = (uint64_t)b->n;
	close(to_clients);
	hilo_server_close(server, NULL, HILO_FOREVER);
	hilo_server_free(server);
	return 0;
}

void bench_idle_connections(struct bench *b)
{
	struct rlimit limit;
	int ends[2];
	pid_t child;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_max < (rlim_t)b->n + DESCRIPTORS)
		bench_die("idle_connections: %ld connections are more than ulimit -Hn allows", b->n);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	if (pipe(ends) < 0)
		bench_die("idle_connections: no pipe");
	child = fork();
	if (child == 0) {
		close(ends[1]);
		clients(ends[0], b->n);
	}
	close(ends[0]);
	to_clients = ends[1];
	bench_run(b, idle_connections);
	waitpid(child, NULL, 0);
}
