/* SPDX-License-Identifier: MIT */
/*
 * sendfile.c - a file that the kernel has in memory, over a TCP connection on this machine, to a thread that reads it.
 */
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MIB (1024L * 1024L)
#define PIECE (256 * 1024)

static int file;
static double reader_seconds; /* of CPU */

static double cpu_seconds(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int send_it(hilo_stream *client, void *arg)
{
	struct bench *b = arg;
	uint64_t sent = 0;
	int rc = hilo_stream_sendfile(client, file, 0, UINT64_MAX, &sent, HILO_FOREVER);

	if (rc < 0 || sent != (uint64_t)b->n * MIB)
		bench_die("sendfile: %s after %llu bytes", hilo_strerror(rc), (unsigned long long)sent);
	return rc;
}

/* [plain thread] Read to the end; the bytes that came. */
static void *reader(void *arg)
{
	const hilo_address *address = arg;
	char *buf = bench_alloc(PIECE, 1);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	uintptr_t total = 0;
	ssize_t n;

	if (fd < 0 || connect(fd, &address->any, address->length) < 0)
		bench_die("sendfile: cannot connect");
	while ((n = recv(fd, buf, PIECE, 0)) > 0)
		total += (uintptr_t)n;
	close(fd);
	free(buf);
	reader_seconds = cpu_seconds(CLOCK_THREAD_CPUTIME_ID);
	return (void *)total;
}

static int sendfile_task(void *arg)
{
	struct bench *b = arg;
	hilo_server_opts opts = {.size = sizeof(opts), .host = "127.0.0.1"};
	hilo_server *server;
	hilo_address address;
	hilo_time start = hilo_now();
	double before = cpu_seconds(CLOCK_PROCESS_CPUTIME_ID);
	pthread_t thread;
	void *total;
	int rc = hilo_start_server(send_it, b, &opts, &server, HILO_FOREVER);

	if (rc < 0 || hilo_server_sockname(server, 0, &address) < 0 ||
	    pthread_create(&thread, NULL, reader, &address))
		bench_die("sendfile: cannot start");
	while (pthread_tryjoin_np(thread, &total) == EBUSY)
		hilo_sleep(HILO_MILLISECOND);
	b->took = hilo_now() - start;
	b->cpu_seconds = cpu_seconds(CLOCK_PROCESS_CPUTIME_ID) - before - reader_seconds;
	b->check = (uint64_t)(uintptr_t)total;
	b->ops = (uint64_t)b->n;
	bench_extra(b, "\"mb_per_s\":%.0f,\"sender_cpu_ns_per_kib\":%.1f",
		    (double)b->check * 1e3 / (double)b->took, b->cpu_seconds * 1e9 / 1024 / (double)b->n);
	hilo_server_free(server);
	return b->check == (uint64_t)b->n * MIB ? 0 : -EIO;
}

void bench_sendfile(struct bench *b)
{
	const char *folder = getenv("TMPDIR");
	char *block = bench_alloc(1, MIB), path[256];

	snprintf(path, sizeof(path), "%s/hilo-bench.XXXXXX", folder ? folder : "/tmp");
	file = mkostemp(path, O_CLOEXEC);
	if (file < 0 || unlink(path) < 0)
		bench_die("sendfile: no file in %s", path);
	for (long i = 0; i < b->n; i++)
		if (write(file, block, MIB) != MIB)
			bench_die("sendfile: cannot write %ld MiB", b->n);
	free(block);
	bench_run(b, sendfile_task);
	close(file);
}
