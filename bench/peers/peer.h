/* SPDX-License-Identifier: MIT */
/* peer.h - arguments, clock and the one line of JSON, for the peers in C and C++. */
#ifndef PEER_H
#define PEER_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

struct peer {
	const char *name, *version, *workload;
	int workers;
	long n;
};

static inline int peer_cannot(const char *why)
{
	fprintf(stderr, "%s\n", why);
	return 3;
}

/* Every caller names its own default for n. A port is for servers, which none of these is. */
static inline long peer_n(const struct peer *p, long otherwise)
{
	return p->n ? p->n : otherwise;
}

static inline struct peer peer_start(const char *name, const char *version, int argc, char **argv)
{
	struct peer p = {name, version, argc > 1 ? argv[1] : "", 2, 0};

	for (int i = 2; i < argc; i++)
		if (sscanf(argv[i], "--workers=%d", &p.workers) != 1 &&
		    sscanf(argv[i], "--n=%ld", &p.n) != 1 && strncmp(argv[i], "--port=", 7) != 0)
			exit((fprintf(stderr, "%s: cannot use '%s'\n", name, argv[i]), 2));
	return p;
}

static inline int peer_is(const struct peer *p, const char *workload)
{
	return strcmp(p->workload, workload) == 0;
}

static inline int64_t peer_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static inline double peer_cpu(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static inline long peer_status(const char *format)
{
	char line[256];
	long kib = -1;
	FILE *f = fopen("/proc/self/status", "r");

	while (f && kib < 0 && fgets(line, sizeof line, f))
		sscanf(line, format, &kib);
	if (f)
		fclose(f);
	return kib;
}

static inline long peer_rss(void)
{
	return peer_status("VmRSS: %ld");
}

/* splitmix64, for the spans of `timers`: whole milliseconds below a second. */
static inline long peer_random_ms(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return (long)((z ^ z >> 31) % 1000);
}

static int peer_compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

/* Further members of the line; returns @out. */
static inline char *peer_late(char *out, size_t size, int64_t *late, long n)
{
	qsort(late, (size_t)n, sizeof *late, peer_compare);
	snprintf(out, size, ",\"p50_late_us\":%.1f,\"p99_late_us\":%.1f,\"max_late_us\":%.1f",
		 (double)late[n / 2] / 1e3, (double)late[n * 99 / 100] / 1e3, (double)late[n - 1] / 1e3);
	return out;
}

static inline int peer_report(const struct peer *p, long n, long ops, int64_t took, long check,
			      const char *extra)
{
	printf("{\"peer\":\"%s\",\"version\":\"%s\",\"workload\":\"%s\",\"workers\":%d,\"n\":%ld,\"ops\":%ld,"
	       "\"seconds\":%.6f,\"ns_per_op\":%.3f,\"check\":%ld,\"peak_rss_kib\":%ld%s}\n",
	       p->name, p->version, p->workload, p->workers, n, ops, (double)took / 1e9,
	       (double)took / (double)ops, check, peer_status("VmHWM: %ld"), extra);
	return 0;
}

#endif /* PEER_H */
