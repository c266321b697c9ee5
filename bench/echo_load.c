/* SPDX-License-Identifier: MIT */
/*
 * echo_load.c - load for a server that sends back what comes: clients that each ask again as soon as they are answered,
 * and how long they have waited.
 */
#include "harness.h"

#include <stdlib.h>
#include <string.h>

#define CLIENTS 64
#define MESSAGE 64
/* Until all are connected, and caches are warm. */
#define WARM (300 * HILO_MILLISECOND)
/* Waits are counted by the microsecond; longer ones with the last. */
#define LONGEST 1000000

static uint32_t *waits; /* how many were so long */
static struct counter longest;
static hilo_time begin, end;

static void count_wait(hilo_time wait)
{
	uint64_t us = (uint64_t)(wait / HILO_MICROSECOND), before;

	(void)__atomic_add_fetch(&waits[us < LONGEST ? us : LONGEST], 1, __ATOMIC_RELAXED);
	before = counter_get(&longest);
	while (us > before && !__atomic_compare_exchange_n(&longest.value, &before, us, 0, __ATOMIC_RELAXED,
							   __ATOMIC_RELAXED))
		continue;
}

static void ask(hilo_stream *server)
{
	char message[MESSAGE] = {0}, answer[MESSAGE];
	ssize_t n = hilo_stream_write(server, message, sizeof(message), HILO_FOREVER);

	if (n >= 0)
		n = hilo_stream_read_exactly(server, answer, sizeof(answer), HILO_FOREVER);
	if (n < 0)
		bench_die("echo_load: %s", hilo_error_message());
	if (memcmp(message, answer, sizeof(message)) != 0)
		bench_die("echo_load: what comes back is not what was sent");
}

static int client(void *arg)
{
	const struct bench *b = arg;
	hilo_stream *server;
	hilo_time start, now;
	int rc = hilo_open_connection("127.0.0.1", b->port, NULL, &server, HILO_FOREVER);

	if (rc < 0)
		bench_die("echo_load: %s", hilo_error_message());
	for (start = hilo_now(); start < end; start = now) {
		ask(server);
		now = hilo_now();
		if (start >= begin && now < end)
			count_wait(now - start);
	}
	hilo_stream_free(server);
	return 0;
}

/* The wait that @share of all were no longer than, in us. */
static unsigned percentile(uint64_t all, double share)
{
	uint64_t sum = 0;

	for (unsigned us = 0; us < LONGEST; us++)
		if ((sum += waits[us]) >= (uint64_t)((double)all * share))
			return us;
	return LONGEST;
}

static int load(void *arg)
{
	struct bench *b = arg;
	hilo_task *task[CLIENTS];
	uint64_t all = 0;

	waits = bench_alloc(LONGEST + 1, sizeof(*waits));
	begin = hilo_after(WARM);
	end = begin + b->n * HILO_MILLISECOND;
	for (int i = 0; i < CLIENTS; i++)
		task[i] = hilo_spawn(client, b);
	for (int i = 0; i < CLIENTS; i++)
		bench_join(task[i], 0);
	for (unsigned us = 0; us <= LONGEST; us++)
		all += waits[us];
	if (!all)
		bench_die("echo_load: no answer came in %ld ms", b->n);
	b->ops = b->check = all;
	b->took = b->n * HILO_MILLISECOND;
	bench_extra(b, "\"per_second\":%.0f,\"p50_us\":%u,\"p99_us\":%u,\"max_us\":%llu",
		    (double)all * 1000 / (double)b->n, percentile(all, 0.5), percentile(all, 0.99),
		    (unsigned long long)counter_get(&longest));
	free(waits);
	return 0;
}

void bench_echo_load(struct bench *b)
{
	if (!b->port)
		bench_die("echo_load: --port=N is needed");
	bench_run(b, load);
}
