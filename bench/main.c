/* SPDX-License-Identifier: MIT */
/*
 * main.c - hilo-bench WORKLOAD [--workers=N] [--n=N] [--port=N] [--stats]
 *
 * Runs one workload and prints one line of JSON. Exit status 1: it failed; 2: usage; 3: no such workload.
 */
#include "harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_WORKERS 2

struct workload {
	const char *name;
	void (*run)(struct bench *b);
	long n;		  /* the default */
	unsigned workers; /* the only number it is defined for; 0: any */
	const char *what;
};

static const struct workload workloads[] = {
	{"fib", bench_fib, 35, 0, "fork-join recursion down to the leaves; n of fib"},
	{"fib_tasks", bench_fib_tasks, 35, 0, "the same, a task for each fork"},
	{"nqueens", bench_nqueens, 12, 0, "a fork for each safe placement; n rows"},
	{"nqueens_boards", bench_nqueens_boards, 12, 0, "the same with boards of some 100 ns each"},
	{"nqueens_tasks", bench_nqueens_tasks, 12, 0, "the same with tasks"},
	{"skynet", bench_skynet, 6, 0, "10-ary tree of tasks; n levels"},
	{"skynet_forks", bench_skynet_forks, 6, 0, "the same with forks"},
	{"sort", bench_sort, 20000000, 0, "n random numbers of 32 bits, in place"},
	{"sort_stable", bench_sort, 20000000, 0, "the same, stable"},
	{"uts", bench_uts, 10000, 0, "an unbalanced tree, a fork for each node; n children of the root"},
	{"matmul", bench_matmul, 1024, 0, "two matrices of n rows and columns"},
	{"spawn_join", bench_spawn_join, 1000, 0, "n rounds: spawn 1000 empty tasks, join all"},
	{"spawn_join_forks", bench_spawn_join_forks, 1000, 0, "the same with forks"},
	{"spawn_join_result", bench_spawn_join_result, 1000, 0, "the same, counted by the joins' results"},
	{"spawn_gather", bench_spawn_gather, 1000, 0, "the same, gathered"},
	{"spawn_join_1us", bench_spawn_join_1us, 1000, 0, "the same with 1 us of work in each task"},
	{"spawn_inject", bench_spawn_inject, 1000000, 0, "a plain thread submits n empty tasks"},
	{"yield", bench_yield, 1000, 0, "1000 tasks yield n times each"},
	{"switch", bench_switch, 5000000, 1, "two tasks yield to each other n times each"},
	{"timers", bench_timers, 100000, 0, "n tasks sleep up to 1 s"},
	{"timers_call_later", bench_timers_call_later, 100000, 0, "the same with n callbacks"},
	{"idle_memory", bench_idle_memory, 100000, 0, "n tasks wait on one future"},
	{"idle_created", bench_idle_created, 100000, 1, "n tasks spawned, none started"},
	{"idle_connections", bench_idle_connections, 10000, 0,
	 "n clients of a server wait, each answered once"},
	{"offload", bench_offload, 200000, 0, "64 tasks make n calls through the executor"},
	{"mixed_latency", bench_mixed_latency, 2000, 0, "a task sleeps 1 ms n times beside busy ones"},
	{"hogs_burn", bench_hogs_burn, 400, 0, "delays while each worker has a task that burns 50 ms"},
	{"hogs_block", bench_hogs_block, 400, 0, "the same, but it blocks in the kernel"},
	{"hogs_burn_less", bench_hogs_burn_less, 400, 0, "hogs_burn with one worker idle"},
	{"hogs_block_less", bench_hogs_block_less, 400, 0, "hogs_block with one worker idle"},
	{"idle", bench_idle, 10000, 0, "context switches of an idle runtime in n ms"},
	{"start_stop", bench_start_stop, 1000, 0, "n times: start a runtime, run an empty task, end it"},
	{"cancel_sleepers", bench_cancel_sleepers, 100000, 0, "a task cancels and joins n that sleep"},
	{"mutex", bench_mutex, 2000000, 0, "8 tasks add to a counter under one mutex, n times in all"},
	{"mutex_fair", bench_mutex_fair, 2000000, 0, "the same with a fair mutex"},
	{"lock_unlock", bench_lock_unlock, 20000000, 1,
	 "one task does so alone n times, and beside it with a pthread mutex"},
	{"broadcast", bench_broadcast, 1000, 0, "n times: one item to 1000 tasks that wait"},
	{"select", bench_select, 1000000, 0, "one task gets n items from 8 queues, by lot"},
	{"select_in_order", bench_select_in_order, 1000000, 0, "the same, the first that has something"},
	{"rwlock", bench_rwlock, 2000000, 0,
	 "8 tasks read a table under one lock, and write it each 20th time"},
	{"done_roundtrip", bench_done_roundtrip, 100000, 0, "n times a done callback there and one back"},
	{"mpmc", bench_mpmc, 4000000, 0, "n items through a queue of 1024, 4 tasks at each end"},
	{"mpmc_unbounded", bench_mpmc_unbounded, 4000000, 0, "the same through a queue without limit"},
	{"pipeline", bench_pipeline, 1000000, 0,
	 "n items of some 100 ns: made, changed on all workers, taken in order"},
	{"pipeline_queues", bench_pipeline_queues, 1000000, 0, "the same by tasks and queues, in no order"},
	{"pingpong", bench_pingpong, 500000, 0, "n round trips of two tasks, through two queues of 1"},
	{"ring", bench_ring, 1000000, 0, "n hops of a token through 1000 tasks, queues of 1"},
	{"sendfile", bench_sendfile, 1000, 0, "a file of n MiB over one connection on this machine"},
	{"files_read", bench_files_read, 20000, 0,
	 "64 tasks open, read and close n small files; beside it plain threads do"},
	{"files_table", bench_files_table, 1, 0,
	 "each operation on files by each way there is, as a table on standard error"},
	{"echo", bench_serve, 1, 0,
	 "a server on --port=N that sends back what comes, until the process is ended"},
	{"echo_fib", bench_serve, 35, 0, "the same, while fib of n keeps all workers busy"},
	{"echo_load", bench_echo_load, 3000, 0,
	 "64 clients of such a server at --port=N, for n ms: their waits"},
	{"http", bench_serve, 1, 0, "echo, answering GET with 13 bytes"},
#ifdef BENCH_HTTP
	{"http_server", bench_http_server, 1, 0, "the same answer by the HTTP server of hilo-http"},
#endif
#ifdef BENCH_SCRAPER
	{"slow_server", bench_slow_server, 1, 0, "the HTTP server, with a page that comes after 50 ms"},
	{"scraper", bench_scraper, 1000, 0, "n of those pages from --port=N, 100 at a time"},
#endif
#ifdef BENCH_TLS
	{"tls_handshakes", bench_tls_handshakes, 2000, 0, "n whole handshakes, both sides, 8 at a time"},
	{"tls_resumed", bench_tls_resumed, 5000, 0, "the same with sessions that are gone on with"},
	{"tls_bytes", bench_tls_bytes, 1024, 0, "n MiB over an encrypted connection in memory"},
	{"https", bench_https, 1, 0, "http over TLS, with a certificate of its own"},
#endif
	{"semaphore", bench_semaphore, 20000, 0, "64 tasks, n times each: a permit of 8, kept for a yield"},
	{"semaphore_free", bench_semaphore_free, 20000000, 1, "n times a permit that nobody else wants"},
};

#define WORKLOADS (sizeof workloads / sizeof workloads[0])

static void usage(FILE *to)
{
	fprintf(to, "usage: hilo-bench WORKLOAD [--workers=N] [--n=N] [--port=N] [--stats] [--measure]\n");
	for (size_t i = 0; i < WORKLOADS; i++)
		fprintf(to, "  %-18s %s (default n %ld)\n", workloads[i].name, workloads[i].what,
			workloads[i].n);
}

static const struct workload *workload_find(const char *name)
{
	for (size_t i = 0; i < WORKLOADS; i++)
		if (strcmp(workloads[i].name, name) == 0)
			return &workloads[i];
	return NULL;
}

/* The number after @option in @arg, or -1 if @arg is another option or has no number from 1 up. */
static long option_number(const char *arg, const char *option)
{
	size_t len = strlen(option);
	char *end;
	long value;

	if (strncmp(arg, option, len) != 0)
		return -1;
	value = strtol(arg + len, &end, 10);
	return end != arg + len && !*end && value > 0 ? value : -1;
}

/* 0, or the exit status. */
static int options_read(int argc, char **argv, struct bench *b)
{
	long value;

	for (int i = 2; i < argc; i++) {
		if ((value = option_number(argv[i], "--workers=")) > 0 && value <= 4096) {
			b->workers = (unsigned)value;
		} else if ((value = option_number(argv[i], "--n=")) > 0) {
			b->n = value;
		} else if ((value = option_number(argv[i], "--port=")) > 0 && value <= 65535) {
			b->port = (unsigned)value;
		} else if (strcmp(argv[i], "--stats") == 0) {
			b->stats = 1;
		} else if (strcmp(argv[i], "--measure") == 0) {
			b->measure = 1;
		} else {
			fprintf(stderr, "hilo-bench: cannot use '%s'\n", argv[i]);
			return 2;
		}
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct bench b = {0};
	const struct workload *w;
	int status;

	if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "--list") == 0) {
		usage(argc < 2 ? stderr : stdout);
		return argc < 2 ? 2 : 0;
	}
	w = workload_find(argv[1]);
	if (!w) {
		fprintf(stderr, "hilo-bench: no workload '%s' (--list names them)\n", argv[1]);
		return 3;
	}
	b.workload = w->name;
	b.n = w->n;
	b.workers = w->workers ? w->workers : DEFAULT_WORKERS;
	status = options_read(argc, argv, &b);
	if (status)
		return status;
	if (w->workers && b.workers != w->workers) {
		fprintf(stderr, "hilo-bench: %s is defined for one worker\n", w->name);
		return 3;
	}
	w->run(&b);
	bench_report(&b);
	return 0;
}
