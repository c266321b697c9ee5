/* SPDX-License-Identifier: MIT */
/*
 * search.c - all executions of a model, depth first.
 *
 * An execution is a row of choices: which thread does its next operation, which message a load reads.
 * The choices of the last execution are kept; the next one repeats all but the last that has an
 * alternative left, and takes that. Operations are run on the threads' own stacks and cost nothing
 * while the same thread goes on, so repeating is cheap.
 *
 * What keeps the number of executions small without leaving one out:
 *
 * R1  No preemption between two accesses to plain memory: races are found by vector clocks, in
 *     whichever order they happen.
 * R2  No preemption after a load that is not seq_cst. Whatever the others would do there they can do
 *     before the load just as well: it may still read the old message, and nobody else notices it.
 * R3  No preemption before a store that is not seq_cst, to a location that only this thread ever
 *     tries to write and no futex call looks at. The others can do the same after the store: they may
 *     still read the old message. (Which locations these are is learnt: when a second writer comes up,
 *     the search begins again.)
 * R4  Two ways to the same state go on alike. A state is what each thread has read so far, what the
 *     memory holds, who is running and how many preemptions are left; when a state comes up whose
 *     executions have been run, their number is added instead. So the number that is reported,
 *     executions, is what a search without R4 (--no-merge) runs one by one, which is a test of R4
 *     itself; `runs` is what was really done. States are known by hashes of 64 bits.
 * R5  No CAS that fails in vain: the operation just before it has read the expected value on the same
 *     word, an old one, and could have read what the CAS fails on. Another execution has it read that,
 *     and code must do the same then as after the failure (a rule for models, explore.h).
 *
 * R6  No pause (cpu_relax) after a look at one single word which has brought an old value: another
 *     execution has that look bring a newer one.
 *
 * R1 to R5 never need more preemptions than the execution that they stand for. R6 may need one more:
 * to pause gives way for nothing, but then only counts as that if the thread has seen the newest value.
 * README.md has the arguments, reductions.sh the experiment.
 */
#include "tests/explore/explore_impl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DEPTH_MAX 8192

enum outcome {
	OUTCOME_COMPLETE,
	OUTCOME_MERGED,
	OUTCOME_FAILED,
	OUTCOME_RESTART,
};

struct choice {
	uint64_t state; /* hash of the state it was met in; 0: nothing is merged */
	uint64_t sum;	/* executions below the alternatives that were taken */
	uint32_t count, taken;
};

static struct choice choices[DEPTH_MAX];
static unsigned depth;	  /* choices known */
static unsigned position; /* choices repeated in this execution */
static uint64_t total, runs;
static enum outcome outcome;
static char failure[512];
static bool repeating;
static jmp_buf driver_return; /* for failures outside of the threads, in setup and finish */
static struct table merges;   /* states whose executions were run, and how many those were */
static struct table ends;     /* states in which executions ended */

/* What is left of the execution is not wanted; back to the driver. */
static _Noreturn void execution_end(enum outcome how)
{
	outcome = how;
	threads_leave();
}

void explore_fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vsnprintf(failure, sizeof(failure), format, args);
	va_end(args);
	if (!explore_live) {
		outcome = OUTCOME_FAILED;
		longjmp(driver_return, 1);
	}
	execution_end(OUTCOME_FAILED);
}

void explore_complete(void)
{
	execution_end(OUTCOME_COMPLETE);
}

void explore_abandon(void)
{
	execution_end(OUTCOME_MERGED);
}

void explore_restart(void)
{
	execution_end(OUTCOME_RESTART);
}

/* All of the state; never 0. */
static uint64_t state_hash(uint64_t h)
{
	return threads_hash(memory_hash(h)) | 1;
}

/* What else the way on depends on. */
static uint64_t choice_hash(enum choice_kind kind)
{
	return (uint64_t)kind << 16 | (uint64_t)explore_current << 8 | (uint64_t)explore_run.preemptions;
}

/* Executions that need not be run, or were run, below the choice on top. */
static void choices_count(uint64_t executions)
{
	if (depth > 0)
		choices[depth - 1].sum += executions;
	else
		total += executions;
}

unsigned search_choose(unsigned n, enum choice_kind kind)
{
	struct choice *c = &choices[position];

	if (n <= 1)
		return 0;
	if (position < depth) {
		if (c->count != n)
			explore_fail("the model is not deterministic: %u choices, then %u", c->count, n);
		position++;
		return c->taken;
	}
	c->state = explore_options.merge && !repeating ? state_hash(choice_hash(kind)) : 0;
	if (c->state != 0) {
		const struct known *known = table_find(&merges, c->state);

		if (known->state != 0) {
			choices_count(known->executions);
			execution_end(OUTCOME_MERGED);
		}
	}
	if (depth == DEPTH_MAX)
		explore_fail("more than %d choices in one execution", DEPTH_MAX);
	c->count = n;
	c->taken = 0;
	c->sum = 0;
	depth++;
	position++;
	return 0;
}

/* The next execution's choices: false if there is none. */
static bool choices_advance(void)
{
	while (depth > 0) {
		struct choice *c = &choices[depth - 1];
		uint64_t sum = c->sum;

		if (++c->taken < c->count)
			return true;
		if (c->state != 0)
			table_add(&merges, c->state, sum);
		depth--;
		choices_count(sum);
	}
	return false;
}

static void execution_run(void)
{
	if (setjmp(driver_return) != 0)
		return;
	explore_current = 0;
	explore_run.model->setup();
	memory_reset();
	threads_reset();
	position = 0;
	runs++;
	explore_live = true;
	threads_run(search_choose(explore_run.model->threads, CHOICE_START));
	if (outcome == OUTCOME_COMPLETE && explore_run.model->finish != NULL)
		explore_run.model->finish();
}

void search_repeat(void)
{
	repeating = true;
	explore_tracing = true;
	execution_run();
	explore_tracing = false;
	repeating = false;
}

static double now(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

static void search_begin(void)
{
	depth = 0;
	total = 0;
	table_clear(&merges);
	table_clear(&ends);
}

/* One execution after the other. */
static enum result search_all(double deadline)
{
	search_begin();
	for (;;) {
		execution_run();
		if (outcome == OUTCOME_FAILED)
			return RESULT_FAILED;
		if (outcome == OUTCOME_RESTART) {
			search_begin();
			continue;
		}
		if (outcome == OUTCOME_COMPLETE) {
			choices_count(1);
			table_add(&ends, state_hash(0), 1);
		}
		if (!choices_advance())
			return RESULT_COMPLETE;
		if ((runs & 0xfff) == 0 && now() > deadline)
			return RESULT_INCOMPLETE;
	}
}

void search_run(const struct explore_model *model, int bound, struct findings *ret)
{
	double start = now();

	explore_run.model = model;
	explore_run.bound = bound;
	runs = 0;
	memory_forget();
	ret->result = search_all(start + explore_options.seconds);
	ret->executions = total;
	ret->runs = runs;
	ret->ends = ends.used;
	ret->ends_are_more = table_is_full(&ends);
	ret->preemptions = explore_run.preemptions;
	ret->failure = failure;
	ret->seconds = now() - start;
}
