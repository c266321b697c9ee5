/* SPDX-License-Identifier: MIT */
/* harness.c - starting, timing and reporting, the same for every workload. */
#include "harness.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

void bench_die(const char *format, ...)
{
	va_list args;

	fputs("hilo-bench: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	_exit(1); /* from a task as well: no handlers on its stack */
}

void *bench_alloc(size_t count, size_t size)
{
	size_t bytes = count ? count * size : size;
	void *p = malloc(bytes);

	if (!p)
		bench_die("no memory for %zu items", count);
	memset(p, 0xff, bytes);
	__asm__ volatile(""
			 :
			 : "r"(p)
			 : "memory"); /* keeps the two from becoming calloc, which touches nothing */
	memset(p, 0, bytes);
	return p;
}

void bench_join(hilo_task *task, int expected)
{
	int rc = hilo_join(task, HILO_FOREVER);

	if (rc != expected)
		bench_die("a task ended with %d, not %d: %s", rc, expected, hilo_error_message());
}

long bench_status_kib(const char *key)
{
	char line[256];
	long kib = -1;
	size_t len = strlen(key);
	FILE *f = fopen("/proc/self/status", "re");

	if (!f)
		return -1;
	while (kib < 0 && fgets(line, sizeof line, f))
		if (strncmp(line, key, len) == 0 && line[len] == ':')
			kib = strtol(line + len + 1, NULL, 10);
	fclose(f);
	return kib;
}

/* Steele, Lea and Flood's splitmix64. */
uint64_t bench_random(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

void bench_spin(hilo_time span)
{
	hilo_time end = hilo_now() + span;

	while (hilo_now() < end)
		;
}

long bench_power10(long e)
{
	long p = 1;

	while (e-- > 0)
		p *= 10;
	return p;
}

static double cpu_seconds_used(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void stats_print(const struct bench *b, const hilo_runtime *runtime)
{
	hilo_worker_stats s = {.size = sizeof s};

	for (unsigned i = 0; b->stats && hilo_runtime_get_stats(runtime, i, &s) == 0; i++)
		fprintf(stderr,
			"worker %u: switches %llu, spawned %llu, completed %llu, steals %llu, stolen %llu, "
			"wakes %llu, sleeps %llu, polls %llu, timers %llu\n",
			i, (unsigned long long)s.switches, (unsigned long long)s.spawned,
			(unsigned long long)s.completed, (unsigned long long)s.steals,
			(unsigned long long)s.stolen, (unsigned long long)s.wakes,
			(unsigned long long)s.sleeps, (unsigned long long)s.polls,
			(unsigned long long)s.timers);
}

struct first_task {
	struct bench *bench;
	hilo_task_fn entry;
};

/* The first task of every runtime here: the environment may have changed the number of workers. */
static int first_task_run(void *arg)
{
	struct first_task *first = arg;
	int rc;

	first->bench->workers = hilo_runtime_workers(hilo_runtime_current());
	rc = first->entry(first->bench);
	stats_print(first->bench, hilo_runtime_current());
	return rc;
}

void bench_run(struct bench *b, hilo_task_fn entry)
{
	struct first_task first = {b, entry};
	hilo_opts opts = {.size = sizeof opts, .workers = b->workers};
	int rc = hilo_run(first_task_run, &first, &opts);

	if (rc < 0)
		bench_die("hilo_run: %s (%s)", hilo_strerror(rc), hilo_error_message());
}

hilo_runtime *bench_runtime_new(struct bench *b)
{
	hilo_opts opts = {.size = sizeof opts, .workers = b->workers};
	hilo_runtime *runtime;
	int rc = hilo_runtime_new(&opts, &runtime);

	if (rc < 0)
		bench_die("hilo_runtime_new: %s (%s)", hilo_strerror(rc), hilo_error_message());
	b->workers = hilo_runtime_workers(runtime);
	return runtime;
}

void bench_runtime_free(struct bench *b, hilo_runtime *runtime)
{
	int rc;

	stats_print(b, runtime);
	rc = hilo_runtime_free(runtime);
	if (rc < 0)
		bench_die("hilo_runtime_free: %s", hilo_strerror(rc));
}

static int body_run(void *arg)
{
	struct bench *b = arg;

	b->check = b->body(b, b->n);
	return 0;
}

/* In the place of the measured part: its work and span. */
static void body_measure(struct bench *b)
{
	hilo_measure measure = {.size = sizeof(measure)};

	if (hilo_measure_run(body_run, b, &measure) < 0 || hilo_measure_report(&measure, STDERR_FILENO) < 0)
		bench_die("hilo_measure_run: %s", hilo_error_message());
	bench_extra(b, "\"work_ns\":%lld,\"span_ns\":%lld,\"forks\":%llu,\"parallelism\":%.2f",
		    (long long)measure.work, (long long)measure.span, (unsigned long long)measure.forks,
		    measure.parallelism);
}

/* Runs in the runtime's first task: the warm-up, then the measured part. */
static int measured_run(void *arg)
{
	struct bench *b = arg;
	hilo_time start;
	double cpu;

	if (b->warm > 0)
		b->body(b, b->warm);
	cpu = cpu_seconds_used();
	start = hilo_now();
	if (b->measure)
		body_measure(b);
	else
		(void)body_run(b);
	b->took = hilo_now() - start;
	b->cpu_seconds = cpu_seconds_used() - cpu;
	return 0;
}

void bench_tasks(struct bench *b, bench_body_fn body, long warm, uint64_t ops)
{
	b->body = body;
	b->warm = warm;
	b->ops = ops;
	bench_run(b, measured_run);
}

void bench_extra(struct bench *b, const char *format, ...)
{
	size_t used = strlen(b->extra);
	va_list args;
	int len;

	b->extra[used++] = ',';
	va_start(args, format);
	len = vsnprintf(b->extra + used, sizeof b->extra - used, format, args);
	va_end(args);
	if (len < 0 || (size_t)len >= sizeof b->extra - used)
		bench_die("the line is too long");
}

static int late_compare(const void *a, const void *b)
{
	hilo_time x = *(const hilo_time *)a, y = *(const hilo_time *)b;

	return (x > y) - (x < y);
}

void bench_extra_late(struct bench *b, const char *prefix, hilo_time *late, long n)
{
	qsort(late, (size_t)n, sizeof *late, late_compare);
	if (late[0] < 0)
		bench_die("a timer fired %lld ns early", (long long)-late[0]);
	bench_extra(b, "\"%sp50_late_us\":%.1f,\"%sp99_late_us\":%.1f,\"%smax_late_us\":%.1f", prefix,
		    (double)late[n / 2] / 1e3, prefix, (double)late[n * 99 / 100] / 1e3, prefix,
		    (double)late[n - 1] / 1e3);
}

void bench_report(const struct bench *b)
{
	printf("{\"peer\":\"hilo\",\"version\":\"%s\",\"workload\":\"%s\",\"workers\":%u,\"n\":%ld,\"ops\":%"
	       "llu,"
	       "\"seconds\":%.6f,\"ns_per_op\":%.3f,\"check\":%llu,\"peak_rss_kib\":%ld%s}\n",
	       hilo_version_string(), b->workload, b->workers, b->n, (unsigned long long)b->ops,
	       (double)b->took / 1e9, b->ops ? (double)b->took / (double)b->ops : 0.0,
	       (unsigned long long)b->check, bench_status_kib("VmHWM"), b->extra);
}
