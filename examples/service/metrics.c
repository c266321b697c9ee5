/* SPDX-License-Identifier: MIT */
/* metrics.c - see metrics.h. All atomics are relaxed: figures, which order nothing. */
#include "metrics.h"

#include <inttypes.h>

static const hilo_time limits[METRICS_BUCKETS] = {
	100 * HILO_MICROSECOND,	 250 * HILO_MICROSECOND, 500 * HILO_MICROSECOND, HILO_MILLISECOND,
	2500 * HILO_MICROSECOND, 5 * HILO_MILLISECOND,	 10 * HILO_MILLISECOND,	 25 * HILO_MILLISECOND,
	50 * HILO_MILLISECOND,	 100 * HILO_MILLISECOND, 250 * HILO_MILLISECOND, HILO_SECOND,
	2500 * HILO_MILLISECOND, 10 * HILO_SECOND};

static void add(_Atomic uint64_t *figure, uint64_t n)
{
	atomic_fetch_add_explicit(figure, n, memory_order_relaxed);
}

void metrics_count(struct metrics *metrics, int status, hilo_time span)
{
	const hilo_loop *loop = hilo_loop_current();
	struct metrics_shard *shard = &metrics->shard[loop ? hilo_loop_index(loop) % METRICS_SHARDS : 0];
	unsigned bucket = 0, digit = status > 0 ? (unsigned)status / 100 : 0;

	while (bucket < METRICS_BUCKETS && span > limits[bucket])
		bucket++;
	add(&shard->bucket[bucket], 1);
	add(&shard->answers[digit < 6 ? digit : 0], 1);
	add(&shard->ns, (uint64_t)(span > 0 ? span : 0));
}

static uint64_t sum(const struct metrics *metrics, size_t offset)
{
	uint64_t total = 0;

	for (unsigned i = 0; i < METRICS_SHARDS; i++) {
		const char *at = (const char *)&metrics->shard[i] + offset;

		total += atomic_load_explicit((const _Atomic uint64_t *)(const void *)at,
					      memory_order_relaxed);
	}
	return total;
}

void metrics_write_answers(struct text *text, const struct metrics *metrics, const char *method,
			   const char *route)
{
	for (unsigned i = 0; i < 6; i++) {
		uint64_t n = sum(metrics, offsetof(struct metrics_shard, answers) + i * sizeof(uint64_t));

		if (n > 0)
			text_add_format(
				text,
				"service_requests_total{method=\"%s\",route=\"%s\",status=\"%uxx\"} %" PRIu64
				"\n",
				method, route, i, n);
	}
}

void metrics_write_times(struct text *text, const struct metrics *metrics, const char *method,
			 const char *route)
{
	uint64_t total = 0, bucket[METRICS_BUCKETS + 1];

	for (unsigned i = 0; i <= METRICS_BUCKETS; i++) {
		total += sum(metrics, offsetof(struct metrics_shard, bucket) + i * sizeof(uint64_t));
		bucket[i] = total;
	}
	if (!total)
		return;
	for (unsigned i = 0; i < METRICS_BUCKETS; i++)
		text_add_format(
			text,
			"service_request_seconds_bucket{method=\"%s\",route=\"%s\",le=\"%g\"} %" PRIu64 "\n",
			method, route, (double)limits[i] / HILO_SECOND, bucket[i]);
	text_add_format(
		text, "service_request_seconds_bucket{method=\"%s\",route=\"%s\",le=\"+Inf\"} %" PRIu64 "\n",
		method, route, total);
	text_add_format(text, "service_request_seconds_sum{method=\"%s\",route=\"%s\"} %.9g\n", method, route,
			(double)sum(metrics, offsetof(struct metrics_shard, ns)) / HILO_SECOND);
	text_add_format(text, "service_request_seconds_count{method=\"%s\",route=\"%s\"} %" PRIu64 "\n",
			method, route, total);
}

void metrics_write_head(struct text *text, const char *name, const char *type, const char *help)
{
	text_add_format(text, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

void metrics_write_one(struct text *text, const char *name, const char *type, const char *help, double value)
{
	metrics_write_head(text, name, type, help);
	text_add_format(text, "%s %.15g\n", name, value);
}
