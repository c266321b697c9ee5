/* SPDX-License-Identifier: MIT */
/*
 * harness.h - what the workloads share: the arguments, the measured part, the one line of JSON.
 *
 * A workload is one function that runs in the main thread, starts its runtime with bench_run or
 * bench_tasks, and fills in `ops`, `check` and `took`. It uses the library as any program does: the
 * installed headers and nothing else.
 */
#ifndef BENCH_HARNESS_H
#define BENCH_HARNESS_H

#include <hilo/hilo.h>

#define BENCH_EXTRA_SIZE 512

struct bench;

/* One run of the work, in a task, with @n for its size; returns the check. */
typedef uint64_t (*bench_body_fn)(struct bench *b, long n);

struct bench {
	const char *workload;
	unsigned workers;
	int stats;   /* write the workers' figures to standard error too */
	int measure; /* bench_tasks: how parallel it is, instead of how fast, to standard error */
	long n;
	unsigned port;	       /* of servers */
	hilo_tls_context *tls; /* the same; NULL: nothing is encrypted */
	uint64_t ops;
	uint64_t check; /* proves that the work was done */
	hilo_time took;
	double cpu_seconds; /* of the measured part, all threads */
	bench_body_fn body; /* this and the next: what bench_tasks was asked for */
	long warm;
	char extra[BENCH_EXTRA_SIZE]; /* further members of the line, each with a comma before it */
};

/* Start a runtime, run @entry(@b) as its first task, end the runtime. Any failure ends the program. */
void bench_run(struct bench *b, hilo_task_fn entry);

/* The usual case: in one runtime, @body(@b, @warm) untimed (0: none), then @body(@b, b->n) measured. */
void bench_tasks(struct bench *b, bench_body_fn body, long warm, uint64_t ops);

/* Start a runtime in the background for workloads whose work comes from the main thread; and end it. */
hilo_runtime *bench_runtime_new(struct bench *b);
void bench_runtime_free(struct bench *b, hilo_runtime *runtime);

/* Append one more member, written as `"name":value`, to the line. */
void bench_extra(struct bench *b, const char *format, ...) HILO_PRINTF(2, 3);

/*
 * Sort @late (ns) and append its percentiles, their names after @prefix. A negative one is a timer that
 * fired early: a failure.
 */
void bench_extra_late(struct bench *b, const char *prefix, hilo_time *late, long n);

/* Write the line. */
void bench_report(const struct bench *b);

/* One line on standard error, and exit status 1. */
_Noreturn void bench_die(const char *format, ...) HILO_PRINTF(1, 2);

/* Zeroed memory, touched, so that it counts neither as time nor as memory of the tasks. Never NULL. */
void *bench_alloc(size_t count, size_t size);

/* Join @task, which must have returned @expected. */
void bench_join(hilo_task *task, int expected);

/* A line of /proc/self/status in KiB, as "VmRSS". */
long bench_status_kib(const char *key);

/* The next number of the generator whose state is *@state. */
uint64_t bench_random(uint64_t *state);

/* Compute for @span by the clock. */
void bench_spin(hilo_time span);

/* 10 to the power of @e. */
long bench_power10(long e);

/* fib(n). What computes it by recursion makes 2 * fib(n + 1) - 1 calls. */
uint64_t bench_fib_value(long n);
/* [task, suspends] The same, by forks. */
uint64_t bench_fib_forks(long n);

/* A counter that tasks of several workers add to, on a cache line of its own. */
struct counter {
	_Alignas(64) uint64_t value;
};

/* Add @by and return the new value. Relaxed: every addition counts, and nothing else is read after it. */
static inline uint64_t counter_add(struct counter *c, uint64_t by)
{
	return __atomic_add_fetch(&c->value, by, __ATOMIC_RELAXED);
}

static inline uint64_t counter_get(const struct counter *c)
{
	return __atomic_load_n(&c->value, __ATOMIC_RELAXED);
}

static inline void counter_set(struct counter *c, uint64_t value)
{
	__atomic_store_n(&c->value, value, __ATOMIC_RELAXED);
}

/* The workloads, each in the file of its family. */
void bench_spawn_join(struct bench *b);
void bench_spawn_join_result(struct bench *b);
void bench_spawn_gather(struct bench *b);
void bench_spawn_join_1us(struct bench *b);
void bench_spawn_inject(struct bench *b);
void bench_yield(struct bench *b);
void bench_switch(struct bench *b);
void bench_skynet(struct bench *b);
void bench_fib(struct bench *b);
void bench_fib_tasks(struct bench *b);
void bench_files_read(struct bench *b);
void bench_files_table(struct bench *b);
void bench_nqueens(struct bench *b);
void bench_nqueens_boards(struct bench *b);
void bench_nqueens_tasks(struct bench *b);
void bench_pipeline(struct bench *b);
void bench_pipeline_queues(struct bench *b);
void bench_skynet_forks(struct bench *b);
void bench_spawn_join_forks(struct bench *b);
void bench_timers(struct bench *b);
void bench_timers_call_later(struct bench *b);
void bench_idle_memory(struct bench *b);
void bench_idle_created(struct bench *b);
void bench_idle_connections(struct bench *b);
void bench_offload(struct bench *b);
void bench_mixed_latency(struct bench *b);
void bench_hogs_burn(struct bench *b);
void bench_hogs_block(struct bench *b);
void bench_hogs_burn_less(struct bench *b);
void bench_hogs_block_less(struct bench *b);
void bench_idle(struct bench *b);
void bench_start_stop(struct bench *b);
void bench_cancel_sleepers(struct bench *b);
void bench_done_roundtrip(struct bench *b);
void bench_mpmc(struct bench *b);
void bench_mpmc_unbounded(struct bench *b);
void bench_pingpong(struct bench *b);
void bench_ring(struct bench *b);
void bench_sort(struct bench *b);
void bench_uts(struct bench *b);
void bench_matmul(struct bench *b);
void bench_mutex(struct bench *b);
void bench_mutex_fair(struct bench *b);
void bench_lock_unlock(struct bench *b);
void bench_broadcast(struct bench *b);
void bench_select(struct bench *b);
void bench_select_in_order(struct bench *b);
void bench_sendfile(struct bench *b);
void bench_serve(struct bench *b);
void bench_echo_load(struct bench *b);
void bench_http_server(struct bench *b);
void bench_scraper(struct bench *b);
void bench_slow_server(struct bench *b);
void bench_tls_handshakes(struct bench *b);
void bench_tls_resumed(struct bench *b);
void bench_tls_bytes(struct bench *b);
void bench_https(struct bench *b);
void bench_semaphore(struct bench *b);
void bench_semaphore_free(struct bench *b);
void bench_rwlock(struct bench *b);

#endif /* BENCH_HARNESS_H */
