/* SPDX-License-Identifier: MIT */
/* pipeline_make.c - pipelines: what they are made of, and what their stages have come to. */
#include <errno.h>
#include <string.h>

#include <hilo/runtime/error.h>

#include "runtime/pipeline_impl.h"
#include "runtime/sized_impl.h"
#include "scheduler/base/mem.h"
#include "scheduler/scheduler.h"

static int stage_check(const hilo_stage *stage, size_t i)
{
	if (!stage->fn)
		return hilo_fail(-EINVAL, "hilo_pipeline_run: stage %zu has no function", i);
	if ((unsigned)stage->kind > HILO_STAGE_PARALLEL)
		return hilo_fail(-EINVAL, "hilo_pipeline_run: stage %zu is of kind %d: no such kind", i,
				 (int)stage->kind);
	if (stage->flags & ~HILO_STAGE_BLOCKING)
		return hilo_fail(-EINVAL, "hilo_pipeline_run: stage %zu has flags %#x: unknown flag", i,
				 stage->flags);
	if (stage->most && stage->kind != HILO_STAGE_PARALLEL)
		return hilo_fail(-EINVAL, "hilo_pipeline_run: stage %zu has a limit and is not parallel", i);
	if (stage->stats && stage->stats->size < SIZED_END(hilo_stage_stats, most_queued))
		return hilo_fail(-EINVAL, "hilo_stage_stats.size of stage %zu is %zu, less than %zu", i,
				 stage->stats->size, SIZED_END(hilo_stage_stats, most_queued));
	return 0;
}

static int pipeline_check(struct pipeline *p, const hilo_stage *stages, size_t count,
			  const hilo_pipeline_opts *opts)
{
	int rc = opts ? SIZED_IN(hilo_pipeline_opts, &p->opts, opts, arg) : 0;

	if (rc < 0)
		return rc;
	if (!stages || count < 2 || count > STAGES_MOST)
		return hilo_fail(-EINVAL, "hilo_pipeline_run: a pipeline has 2 to %d stages", STAGES_MOST);
	if (p->opts.in_flight > IN_FLIGHT_MOST)
		return hilo_fail(-EINVAL, "hilo_pipeline_opts.in_flight is %u, more than %u",
				 p->opts.in_flight, IN_FLIGHT_MOST);
	if (p->opts.stack > HILO_STACK_8M)
		return hilo_fail(-EINVAL, "hilo_pipeline_opts.stack is %u: no such class", p->opts.stack);
	if (p->opts.every < 0)
		return hilo_fail(-EINVAL, "hilo_pipeline_opts.every is negative");
	for (size_t i = 0; i < count && rc == 0; i++)
		rc = stage_check(&stages[i], i);
	return rc;
}

static enum gate_kind gate_kind_of(const hilo_stage *stage, unsigned i)
{
	if (stage->kind == HILO_STAGE_PARALLEL)
		return stage->most ? GATE_SOME : GATE_NONE;
	/* The first stage gives items their numbers: there is no order yet. */
	return stage->kind == HILO_STAGE_IN_ORDER && i > 0 ? GATE_ORDER : GATE_ONE;
}

/* Memory for @n of @size bytes each, zeroed; each on cache lines of its own if @size is a multiple of that. */
static void *zeroed(size_t n, size_t size)
{
	void *p = hilo__aligned_alloc(128, (n * size + 127) & ~(size_t)127);

	return p ? memset(p, 0, n * size) : NULL;
}

/* Places of gates in order: as many as items are in flight, rounded up to a power of two. */
static uint64_t places_mask(const struct pipeline *p)
{
	uint64_t mask = 1;

	while (mask < p->in_flight)
		mask *= 2;
	return mask - 1;
}

static int stages_make(struct pipeline *p, const hilo_stage *stages)
{
	uint64_t mask = places_mask(p);
	struct gate_node **place;

	p->stages = zeroed(p->count, sizeof(*p->stages));
	p->places = place = hilo__calloc(p->count * (mask + 1), sizeof(*p->places));
	if (!p->stages || !p->places)
		return -ENOMEM;
	for (unsigned i = 0; i < p->count; i++, place += mask + 1) {
		p->stages[i].what = stages[i];
		hilo__gate_init(&p->stages[i].gate, gate_kind_of(&stages[i], i), stages[i].most, place, mask);
	}
	return 0;
}

/* The counts of a token, so many that those of two have no cache line in common. */
static size_t counts_each(const struct pipeline *p)
{
	return (p->count * sizeof(struct count) + 127) / 128 * 128;
}

static int tokens_make(struct pipeline *p, bool measured)
{
	p->tokens = zeroed(p->in_flight, sizeof(*p->tokens));
	p->counts = measured ? zeroed(p->in_flight, counts_each(p)) : NULL;
	if (!p->tokens || (measured && !p->counts))
		return -ENOMEM;
	for (unsigned i = 0; i < p->in_flight; i++) {
		struct token *token = &p->tokens[i];

		token->pipeline = p;
		atomic_setup(&token->number, NO_NUMBER);
		atomic_setup(&token->runner, 0);
		atomic_setup(&token->through, 0);
		if (measured)
			token->counts = (struct count *)(void *)((char *)p->counts + i * counts_each(p));
	}
	return 0;
}

int hilo__pipeline_make(struct pipeline *p, const hilo_stage *stages, size_t count,
			const hilo_pipeline_opts *opts)
{
	bool measured = false;
	int rc;

	*p = (struct pipeline){.count = (unsigned)count};
	rc = pipeline_check(p, stages, count, opts);
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < count; i++)
		measured |= stages[i].stats != NULL;
	p->in_flight = p->opts.in_flight ? p->opts.in_flight
					 : IN_FLIGHT_PER_WORKER * thread_self()->loop->runtime->workers;
	if (!p->opts.every)
		p->opts.every = PROGRESS_EVERY;
	atomic_setup(&p->limit, NO_NUMBER);
	atomic_setup(&p->made, 0);
	atomic_setup(&p->ended, false);
	atomic_setup(&p->lost, false);
	atomic_setup(&p->runners, 1);
	spin_init(&p->lock);
	rc = stages_make(p, stages);
	if (rc == 0)
		rc = tokens_make(p, measured);
	if (rc == 0 && !(p->over = hilo_future_new()))
		rc = -ENOMEM;
	return rc;
}

void hilo__pipeline_free(struct pipeline *p)
{
	hilo_future_unref(p->over);
	hilo__free(p->counts);
	hilo__free(p->tokens);
	hilo__free(p->places);
	hilo__free(p->stages);
}

uint64_t hilo__pipeline_through(struct pipeline *p)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < p->in_flight; i++)
		sum += load_relaxed(&p->tokens[i].through); /* relaxed: a figure */
	return sum;
}

static void stage_tell_stats(const struct pipeline *p, unsigned i)
{
	const struct gate *gate = &p->stages[i].gate;
	hilo_stage_stats stats = {.size = sizeof(stats)};

	if (i > 0) { /* at the first one there are no items yet that could wait */
		stats.waits = gate->waits;
		stats.most_queued = gate->most_waiting;
	}
	for (unsigned n = 0; n < p->in_flight; n++) {
		const struct count *count = &p->tokens[n].counts[i];

		stats.items += count->items;
		stats.busy += count->busy;
		stats.waited += count->waited;
	}
	(void)SIZED_OUT(hilo_stage_stats, p->stages[i].what.stats, &stats, most_queued);
}

void hilo__pipeline_tell_stats(struct pipeline *p)
{
	for (unsigned i = 0; i < p->count; i++)
		if (p->stages[i].what.stats)
			stage_tell_stats(p, i);
}
