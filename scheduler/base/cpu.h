/* SPDX-License-Identifier: MIT */
#ifndef HILO_SCHEDULER_BASE_CPU_H
#define HILO_SCHEDULER_BASE_CPU_H

/* cpu.h - how many CPUs this process may use: by its affinity, and by the quotas of its cgroups. */
#include <stdbool.h>
#include <stdint.h>

/* What the count came from. */
struct cpu_report {
	unsigned count;	      /* what hilo__cpu_count returned */
	unsigned affinity;    /* CPUs in the affinity mask; 1 if that cannot be read */
	int64_t quota_us;     /* the tightest quota: so much CPU time ... */
	int64_t period_us;    /* ... in each such period; 0: no quota anywhere */
	char quota_path[256]; /* the file it was read from, cut if longer; "" when there is none */
};

/*
 * [any] The lesser of the affinity mask and the tightest CPU quota of the process's cgroup and of all
 * its visible ancestors (v1 and v2), rounded up to whole CPUs; at least 1. What cannot be read does
 * not limit. @ret (or NULL) receives how it came about. Reads files: not for hot paths.
 */
unsigned hilo__cpu_count(struct cpu_report *ret);

/* [any] The same, but the quota may be what it was up to a second ago: then no file is read. */
unsigned hilo__cpu_count_recent(struct cpu_report *ret);

/* True if running on all of the affinity mask would use up the quota: then spinning is harmful. */
bool hilo__cpu_throttled_likely(const struct cpu_report *report);

#ifdef HILO_TESTING
/* Look for /proc and for the mount points below @prefix instead of /; NULL: / again. Borrowed. */
void hilo__cpu_set_root(const char *prefix);
#endif

#endif /* HILO_SCHEDULER_BASE_CPU_H */
