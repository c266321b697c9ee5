/* SPDX-License-Identifier: MIT */
/*
 * stress_fibers.c - a hundred thousand fibers alive at once, and what switching and recycling cost.
 *
 *	stress_fibers [--live=N] [--threads=N] [--tier=marker|mprotect|none] [--class=1..5] [--figures]
 *
 * Each of the N fibers is run to its first suspension, then all of them once more. Prints memory per
 * fiber, mappings, guards and times; fails if a fiber did not run, or costs more than it may.
 * With --figures it measures the switch instead. HILO_TEST_SCALE multiplies N, which is 100,000.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "scheduler/base/atomic.h"
#include "scheduler/fiber/stack.h"
#include "tests/support/test.h"

static size_t live;
static unsigned threads = 1;
static unsigned class = STACK_CLASS_64K;
static volatile long for_ever = 1;

/* One thread's share. */
struct share {
	pthread_t thread;
	struct stack_cache cache;
	struct fiber root;
	struct fiber **fibers;
	size_t n;
	long runs;
	double make_ns, resume_ns;
};

static pthread_barrier_t all_made, looked_at;

static double now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static void die(const char *what)
{
	fprintf(stderr, "stress_fibers: %s\n", what);
	exit(1);
}

/* The fiber's task is its share; the runs of one share are made on one thread. */
static void fiber_count(struct fiber *self)
{
	struct share *share = (struct share *)(void *)self->task;

	fiber_enter_finish(self);
	for (;;) {
		fiber_tsan_acquire(share);
		share->runs++;
		fiber_tsan_release(share);
		fiber_switch(self, &share->root);
	}
}

static void share_run(struct share *share, struct fiber *fiber)
{
	fiber_tsan_release(share);
	fiber_switch(&share->root, fiber);
	fiber_tsan_acquire(share);
}

static void *share_main(void *arg)
{
	struct share *share = arg;
	double start = now_ns();

	hilo__fiber_init_root(&share->root);
	for (size_t i = 0; i < share->n; i++) {
		struct fiber *fiber = hilo__fiber_get(&share->cache, class);

		if (!fiber)
			die("out of memory");
		fiber->task = (struct hilo_task *)(void *)share;
		hilo__fiber_restart(fiber, fiber_count);
		share->fibers[i] = fiber;
		share_run(share, fiber);
	}
	share->make_ns = (now_ns() - start) / (double)share->n;
	pthread_barrier_wait(&all_made);
	pthread_barrier_wait(&looked_at);
	start = now_ns();
	for (size_t i = 0; i < share->n; i++)
		share_run(share, share->fibers[i]);
	share->resume_ns = (now_ns() - start) / (double)share->n;
	for (size_t i = 0; i < share->n; i++)
		hilo__fiber_put(&share->cache, share->fibers[i]);
	hilo__stack_cache_drain(&share->cache);
	hilo__fiber_fini_root(&share->root);
	return NULL;
}

/* A line of /proc/self/status, in bytes. */
static double status_bytes(const char *name)
{
	char line[256];
	double value = 0;
	FILE *f = fopen("/proc/self/status", "r");

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, name, strlen(name)))
			value = strtod(line + strlen(name) + 1, NULL) * 1024;
	if (f)
		fclose(f);
	return value;
}

static int count_mappings(void)
{
	FILE *f = fopen("/proc/self/maps", "r");
	int lines = 0, c;

	while (f && (c = getc(f)) != EOF)
		lines += c == '\n';
	if (f)
		fclose(f);
	return lines;
}

static double threads_mean(const struct share *shares, size_t offset)
{
	double sum = 0;

	for (unsigned i = 0; i < threads; i++)
		sum += *(const double *)(const void *)((const char *)&shares[i] + offset);
	return sum / threads;
}

static int run_live(void)
{
	struct share *shares = calloc(threads, sizeof(*shares));
	struct fiber **fibers = malloc(live * sizeof(*fibers));
	double rss, tables, start;
	struct stack_stats stats;
	long runs = 0;
	size_t trimmed;
	int mappings;

	memset(fibers, 0, live * sizeof(*fibers));
	pthread_barrier_init(&all_made, NULL, threads + 1);
	pthread_barrier_init(&looked_at, NULL, threads + 1);
	rss = status_bytes("VmRSS:");
	tables = status_bytes("VmPTE:");
	for (unsigned i = 0; i < threads; i++) {
		shares[i].fibers = fibers + live / threads * i;
		shares[i].n = i + 1 < threads ? live / threads : live - live / threads * i;
		if (pthread_create(&shares[i].thread, NULL, share_main, &shares[i]))
			die("no thread");
	}
	pthread_barrier_wait(&all_made);
	rss = status_bytes("VmRSS:") - rss;
	tables = status_bytes("VmPTE:") - tables;
	mappings = count_mappings();
	hilo__stack_get_stats(class, &stats);
	pthread_barrier_wait(&looked_at);
	for (unsigned i = 0; i < threads; i++) {
		pthread_join(shares[i].thread, NULL);
		runs += shares[i].runs;
	}
	printf("%zu fibers of %zu KiB, %u threads: %.0f bytes each and %.0f of page tables, %d mappings, "
	       "%zu stacks unguarded\n",
	       live, hilo__stack_class_size(class) >> 10, threads, rss / (double)live, tables / (double)live,
	       mappings, stats.unguarded);
	printf("first run, with get and restart: %.0f ns each; going on, all stacks cold: %.0f ns\n",
	       threads_mean(shares, offsetof(struct share, make_ns)),
	       threads_mean(shares, offsetof(struct share, resume_ns)));
	start = now_ns();
	trimmed = hilo__stack_release();
	printf("%zu stacks emptied, %.0f ns each; %.0f MiB resident\n", trimmed,
	       (now_ns() - start) / (double)(trimmed + !trimmed), status_bytes("VmRSS:") / 1048576);
	if (runs != (long)(2 * live))
		die("some fiber did not run");
#if defined(HILO__ASAN) || defined(HILO__TSAN) || defined(HILO_TEST_EMULATED)
	/* qemu-user: 504 MB whatever the number of fibers, and 4.1 kB for each */
	puts("SKIP: memory of a fiber: sanitizers and emulators keep their books in the same process");
#else
	if (sizeof(struct fiber) < 1024 && rss / (double)live > 4096 * 1.02)
		die("more than a page each");
#endif
	free(fibers);
	free(shares);
	return 0;
}

static struct fiber root;
static struct fiber *ring[1000];
static size_t ring_size;

static void fiber_ring(struct fiber *self)
{
	struct fiber *next = (struct fiber *)(void *)self->task;

	fiber_enter_finish(self);
	while (for_ever)
		fiber_switch(self, next);
	fiber_switch_last(self, &root);
}

static void fiber_empty(struct fiber *self)
{
	fiber_enter_finish(self);
	fiber_switch_last(self, &root);
}

/* A lap: each fiber hands on to the next, the last one back to us. Returns the number of switches. */
static long lap_around(void)
{
	fiber_switch(&root, ring[0]);
	return (long)ring_size + 1;
}

/* A lap: we visit each fiber in turn, as a worker's loop does. */
static long lap_visit(void)
{
	for (size_t i = 0; i < ring_size; i++)
		fiber_switch(&root, ring[i]);
	return 2 * (long)ring_size;
}

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* Print ns for each switch among root and @n fibers. */
static void measure_switch(struct stack_cache *cache, const char *name, size_t n, long (*lap)(void))
{
	enum {
		ROUNDS = 15
	};
	double times[ROUNDS];

	ring_size = n;
	for (size_t i = 0; i < n; i++)
		ring[i] = hilo__fiber_get(cache, class);
	for (size_t i = 0; i < n; i++) {
		ring[i]->task =
			(struct hilo_task *)(void *)(i + 1 < n && lap == lap_around ? ring[i + 1] : &root);
		hilo__fiber_restart(ring[i], fiber_ring);
	}
	for (int round = 0; round < ROUNDS; round++) {
		double start = now_ns();
		long switches = 0;

		while (switches < 1000000)
			switches += lap();
		times[round] = (now_ns() - start) / (double)switches;
	}
	for (size_t i = 0; i < n; i++)
		hilo__fiber_put(cache, ring[i]);
	qsort(times, ROUNDS, sizeof(times[0]), compare_doubles);
	printf("%s %zu fibers: %.2f ns a switch (median %.2f)\n", name, n, times[0], times[ROUNDS / 2]);
}

static int run_figures(void)
{
	static const size_t sizes[] = {1, 2, 16, 100, 1000};
	struct stack_cache cache = {0};
	struct fiber *fiber;
	enum {
		TIMES = 20000000
	};
	double start;

	hilo__fiber_init_root(&root);
	for (size_t i = 0; i < array_size(sizes); i++) {
		measure_switch(&cache, "around", sizes[i], lap_around);
		measure_switch(&cache, "visit", sizes[i], lap_visit);
	}
	start = now_ns();
	for (int i = 0; i < TIMES; i++) {
		fiber = hilo__fiber_get(&cache, class);
		__asm__ volatile("" : "+r"(fiber)::"memory");
		hilo__fiber_put(&cache, fiber);
	}
	printf("get + put: %.2f ns\n", (now_ns() - start) / TIMES);
	start = now_ns();
	for (int i = 0; i < TIMES; i++) {
		fiber = hilo__fiber_get(&cache, class);
		hilo__fiber_restart(fiber, fiber_empty);
		fiber_switch(&root, fiber);
		hilo__fiber_put(&cache, fiber);
	}
	printf("get + restart + switch + switch back + put: %.2f ns\n", (now_ns() - start) / TIMES);
	hilo__stack_cache_drain(&cache);
	hilo__fiber_fini_root(&root);
	return 0;
}

static void set_tier(const char *tier)
{
#ifdef HILO_TESTING
	hilo__stack_test.no_guard_install = strcmp(tier, "marker") != 0;
	hilo__stack_test.mprotect_guards = strcmp(tier, "none") ? 0 : -1;
#else
	(void)tier;
	die("--tier needs a test build");
#endif
}

int main(int argc, char **argv)
{
	int figures = 0;

	live = test_rounds(100000);
#ifdef HILO__TSAN
	if (live > 4000)
		live = 4000; /* the ThreadSanitizer of GCC 12 ends at 8128 threads, fibers included */
#endif
	for (int i = 1; i < argc; i++) {
		if (!strncmp(argv[i], "--live=", 7))
			live = strtoul(argv[i] + 7, NULL, 10);
		else if (!strncmp(argv[i], "--threads=", 10))
			threads = (unsigned)strtoul(argv[i] + 10, NULL, 10);
		else if (!strncmp(argv[i], "--class=", 8))
			class = (unsigned)strtoul(argv[i] + 8, NULL, 10);
		else if (!strncmp(argv[i], "--tier=", 7))
			set_tier(argv[i] + 7);
		else if (!strcmp(argv[i], "--figures"))
			figures = 1;
		else
			die("unknown option");
	}
	if (!live || !threads || class < 1 || class > STACK_CLASSES)
		die("a number is out of range");
	return figures ? run_figures() : run_live();
}
