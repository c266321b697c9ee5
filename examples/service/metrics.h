/* SPDX-License-Identifier: MIT */
#ifndef SERVICE_METRICS_H
#define SERVICE_METRICS_H

#include "text.h"

#include <hilo/hilo.h>

#include <stdatomic.h>

/*
 * metrics.h - how many requests each route has answered, how, and how long that took; as Prometheus reads it.
 *
 * Counters are there several times, one of them for each few loops, so that cores do not pass them around.
 */

#define METRICS_BUCKETS 14 /* limits, from 100 us to 10 s; and what takes longer */
#define METRICS_SHARDS 8

struct metrics_shard {
	_Atomic uint64_t answers[6]; /* by the first digit of the status; [0]: none */
	_Atomic uint64_t bucket[METRICS_BUCKETS + 1];
	_Atomic uint64_t ns; /* all together */
} __attribute__((aligned(64)));

/* Those of one route. All zero is none yet. */
struct metrics {
	struct metrics_shard shard[METRICS_SHARDS];
};

/* [task] A request was answered with @status after @span. */
void metrics_count(struct metrics *metrics, int status, hilo_time span);

/* [any] The figures of a route, in the format of Prometheus: once the heads, then the lines of each route. */
void metrics_write_answers(struct text *text, const struct metrics *metrics, const char *method,
			   const char *route);
void metrics_write_times(struct text *text, const struct metrics *metrics, const char *method,
			 const char *route);

/* [any] One figure by itself, with what it means. @type: "counter" or "gauge". */
void metrics_write_one(struct text *text, const char *name, const char *type, const char *help, double value);
void metrics_write_head(struct text *text, const char *name, const char *type, const char *help);

#endif /* SERVICE_METRICS_H */
