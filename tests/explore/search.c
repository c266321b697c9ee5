/* SPDX-License-Identifier: MIT */
/*
 * search.c - all executions of a model, depth first.
 *
 * An execution is a row of choices: which thread does its next operation, which message a load reads.
 * The choices of the last execution are kept; the next one repeats all but the last that has an
 * alternative left, and takes that. Operations are run on the threads' own stacks and cost nothing
 * while the same thread goes on, so repeating is cheap.
 *
 * A switch away from a thread that could go on is a preemption, and their number is bounded. Four things
 * keep the number of executions small without leaving one out:
 *
 * R1  No preemption between two accesses to plain memory: races are found by vector clocks, in
 *     whichever order they happen.
 * R2  No preemption after a load that is not seq_cst. Whatever the others would do there they can do
 *     before the load just as well: it may still read the old message, and nobody else notices it.
 * R3  No preemption before a store that is not seq_cst, to a location that only this thread ever
 *     tries to write. The others can do the same after the store: they may still read the old
 *     message. (Which locations these are is learnt: when a second writer comes up, the search
 *     begins again.)
 * R4  Two ways to the same state go on alike. A state is what each thread has read so far, what the
 *     memory holds, who is running and how many preemptions are left; when a state comes up whose
 *     executions have been run, their number is added instead. So the number that is reported,
 *     executions, is what a search without R4 (--no-merge) runs one by one, which is a test of R4
 *     itself; `runs` is what was really done. States are known by hashes of 64 bits.
 *
 * R2 and R3 also never need more preemptions than the execution they stand for, so that "all with at
 * most n preemptions" stays true.
 */
#include "tests/explore/explore_impl.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DEFAULT_BOUND 3
#define STEPS_MAX 4000
#define DEPTH_MAX 8192
#define TABLE_FIRST ((size_t)1 << 16)
#define TABLE_LAST ((size_t)1 << 22)

enum outcome {
	OUTCOME_COMPLETE,
	OUTCOME_MERGED,
	OUTCOME_FAILED,
	OUTCOME_RESTART,
};

enum choice_kind {
	CHOICE_START,
	CHOICE_THREAD, /* who does the next operation */
	CHOICE_READ,   /* inside of an operation: which message */
	CHOICE_MODEL,
};

struct choice {
	uint64_t state; /* hash of the state it was met in; 0: nothing is merged */
	uint64_t sum;	/* executions below the alternatives that were taken */
	uint32_t count, taken;
};

struct known {
	uint64_t state;
	uint64_t executions;
};

/* Open addressing, grows up to TABLE_LAST. */
struct table {
	struct known *slots;
	size_t size, used;
};

struct options {
	const char *model;
	double seconds;
	int bound;
	bool merge, commute, retry, trace, list;
};

struct thread explore_threads[EXPLORE_THREADS];
unsigned explore_current;
bool explore_live;
bool explore_tracing;
int explore_mutant;

static const struct explore_model *model;
static struct options options = {.seconds = 1e9, .bound = -1, .merge = true, .commute = true, .retry = true};
static struct choice choices[DEPTH_MAX];
static unsigned depth;	  /* choices known */
static unsigned position; /* choices repeated in this execution */
static int bound, preemptions;
static unsigned steps;
static uint64_t total, runs;
static enum outcome outcome;
static char failure[512];
static void *driver_stack;
static jmp_buf driver_return; /* for failures outside of the threads, in setup and finish */
static struct table merges;   /* states whose executions were run, and how many those were */
static struct table outcomes; /* states in which executions ended */

/* What is left of the execution is not wanted; back to the driver. */
static _Noreturn void execution_end(enum outcome how)
{
	void *ignored;

	outcome = how;
	explore_live = false;
	fiber_switch(&ignored, driver_stack);
	abort();
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

void explore_abandon(void)
{
	execution_end(OUTCOME_MERGED);
}

bool explore_skips_retries(void)
{
	return options.retry;
}

void explore_restart(void)
{
	execution_end(OUTCOME_RESTART);
}

/* ---- states that were met before (R4) ---- */

static struct known *table_find(const struct table *table, uint64_t state)
{
	size_t i = (size_t)state & (table->size - 1);

	while (table->slots[i].state != 0 && table->slots[i].state != state)
		i = (i + 1) & (table->size - 1);
	return &table->slots[i];
}

static void table_resize(struct table *table, size_t size)
{
	struct table old = *table;

	table->slots = calloc(size, sizeof(*table->slots));
	if (table->slots == NULL) {
		fprintf(stderr, "%s: out of memory\n", model->name);
		exit(1);
	}
	table->size = size;
	for (size_t i = 0; i < old.size; i++)
		if (old.slots[i].state != 0)
			*table_find(table, old.slots[i].state) = old.slots[i];
	free(old.slots);
}

static void table_clear(struct table *table)
{
	free(table->slots);
	memset(table, 0, sizeof(*table));
	table_resize(table, TABLE_FIRST);
}

/* A full table only means that some states are searched again. */
static void table_add(struct table *table, uint64_t state, uint64_t executions)
{
	struct known *known;

	if (table->used * 4 > table->size * 3) {
		if (table->size == TABLE_LAST)
			return;
		table_resize(table, table->size * 2);
	}
	known = table_find(table, state);
	if (known->state == 0)
		table->used++;
	known->state = state;
	known->executions = executions;
}

/* What the threads have read, what they wait for, and what the memory holds; never 0. */
static uint64_t state_hash(uint64_t h)
{
	h = memory_hash(h, model->threads);
	for (unsigned i = 0; i < model->threads; i++) {
		const struct thread *t = &explore_threads[i];

		h = hash_mix(h, t->hash);
		h = hash_mix(h, (uint64_t)t->status << 1 | t->token);
	}
	return h | 1;
}

/* What else the way on depends on. */
static uint64_t choice_hash(enum choice_kind kind)
{
	return (uint64_t)kind << 16 | (uint64_t)explore_current << 8 | (uint64_t)preemptions;
}

/* Executions that need not be run, or were run, below the choice on top. */
static void choices_count(uint64_t executions)
{
	if (depth > 0)
		choices[depth - 1].sum += executions;
	else
		total += executions;
}

static unsigned choice_make(unsigned n, enum choice_kind kind)
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
	c->state = options.merge ? state_hash(choice_hash(kind)) : 0;
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

unsigned explore_branch(unsigned n)
{
	return choice_make(n, CHOICE_READ);
}

unsigned explore_choose(unsigned n)
{
	struct thread *t = &explore_threads[explore_current];
	unsigned taken = choice_make(n, CHOICE_MODEL);

	t->hash = hash_mix(t->hash, taken);
	return taken;
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

/* ---- threads ---- */

static bool thread_can_run(const struct thread *t)
{
	switch (t->status) {
	case THREAD_READY:
		return true;
	case THREAD_PARKED:
		return t->token || t->timed;
	case THREAD_SPINNING:
		return memory_has_news(t);
	case THREAD_DONE:
		break;
	}
	return false;
}

/* Nobody can go on. Is that an end, or a failure? */
static _Noreturn void threads_stuck(void)
{
	bool parked = false;

	for (unsigned i = 0; i < model->threads; i++) {
		const struct thread *t = &explore_threads[i];

		if (t->status == THREAD_SPINNING)
			explore_fail("deadlock: T%u spins on %s for ever", i, memory_looked_at(t));
		parked = parked || t->status == THREAD_PARKED;
	}
	if (parked && model->work_remains == NULL)
		explore_fail("deadlock: everybody left is parked");
	explore_live = false; /* the model looks at its memory directly */
	parked = parked && model->work_remains();
	explore_live = true;
	if (parked)
		explore_fail("lost wake-up: everybody left is parked, and work remains");
	execution_end(OUTCOME_COMPLETE);
}

/* Let @next do the next operation. Returns when the caller's thread is the one again. */
static void thread_switch(unsigned next)
{
	struct thread *from = &explore_threads[explore_current];

	if (next == explore_current)
		return;
	explore_current = next;
	explore_threads[next].glued = false;
	fiber_switch(&from->stack, explore_threads[next].stack);
}

/* Choose who goes on; the running thread comes first, so that the first execution is the plainest. */
static void threads_schedule(void)
{
	unsigned next[EXPLORE_THREADS], n = 0, taken;
	bool could_go_on = thread_can_run(&explore_threads[explore_current]);
	bool voluntary = explore_threads[explore_current].status != THREAD_READY;

	if (could_go_on)
		next[n++] = explore_current;
	if (!could_go_on || voluntary || preemptions < bound)
		for (unsigned i = 0; i < model->threads; i++)
			if (i != explore_current && thread_can_run(&explore_threads[i]))
				next[n++] = i;
	if (n == 0)
		threads_stuck();
	taken = choice_make(n, CHOICE_THREAD);
	if (next[taken] != explore_current && could_go_on && !voluntary)
		preemptions++;
	thread_switch(next[taken]);
}

void explore_point(bool moves_left)
{
	struct thread *t = &explore_threads[explore_current];

	if (++steps > STEPS_MAX)
		explore_fail("livelock: more than %d operations", STEPS_MAX);
	if (t->fresh || ((t->glued || moves_left) && options.commute)) {
		t->fresh = false;
		return;
	}
	threads_schedule();
}

static void thread_main(void)
{
	explore_threads[explore_current].status = THREAD_READY;
	model->thread[explore_current]();
	explore_threads[explore_current].status = THREAD_DONE;
	if (explore_tracing)
		explore_trace(NULL, "ends");
	threads_schedule();
	abort();
}

unsigned explore_self(void)
{
	return explore_current;
}

void explore_unpark(unsigned thread)
{
	struct thread *t = &explore_threads[explore_current];

	if (!explore_live)
		return;
	explore_point(false);
	t->hash = hash_mix(t->hash, 3);
	t->glued = false;
	explore_threads[thread].token = true;
	if (explore_tracing)
		explore_trace(NULL, "unparks T%u", thread);
}

/* [the thread, to be called after a point] Sleep. False: the time was up first. */
static bool thread_sleep(struct thread *t, bool timed)
{
	bool woken;

	t->status = THREAD_PARKED;
	t->timed = timed;
	threads_schedule();
	t->status = THREAD_READY;
	t->timed = false;
	t->glued = false;
	woken = t->token;
	t->token = false;
	t->hash = hash_mix(t->hash, woken);
	if (explore_tracing)
		explore_trace(NULL, woken ? "wakes" : "wakes, as its time is up");
	return woken;
}

void explore_park(void)
{
	struct thread *t = &explore_threads[explore_current];

	if (!explore_live)
		return;
	explore_point(false);
	if (explore_tracing)
		explore_trace(NULL, t->token ? "parks, but was unparked before" : "parks");
	if (!t->token)
		(void)thread_sleep(t, false);
	t->token = false;
	t->hash = hash_mix(t->hash, 2);
	t->glued = false;
}

bool explore_futex_wait(const void *word, size_t size, uint64_t expected, bool timed, bool *ret_timeout)
{
	struct thread *t = &explore_threads[explore_current];
	bool same;

	explore_point(false);
	same = memory_newest(word, size) == expected;
	t->hash = hash_mix(t->hash, same);
	t->glued = false;
	if (explore_tracing)
		explore_trace(NULL, same ? "sleeps on a futex" : "does not sleep: the futex has changed");
	*ret_timeout = false;
	if (!same)
		return false;
	t->futex = word;
	*ret_timeout = !thread_sleep(t, timed);
	t->futex = NULL;
	return true;
}

unsigned explore_futex_wake(const void *word, unsigned n)
{
	struct thread *t = &explore_threads[explore_current];
	unsigned woken = 0;

	explore_point(false);
	for (unsigned i = 0; i < model->threads && woken < n; i++) {
		struct thread *other = &explore_threads[i];

		if (other->status != THREAD_PARKED || other->futex != word || other->token)
			continue;
		other->token = true;
		woken++;
		if (explore_tracing)
			explore_trace(NULL, "wakes T%u", i);
	}
	t->hash = hash_mix(t->hash, woken);
	t->glued = false;
	return woken;
}

void explore_pause(const struct explore_site *site)
{
	struct thread *t = &explore_threads[explore_current];

	if (!explore_live)
		return;
	if (++steps > STEPS_MAX)
		explore_fail("livelock: more than %d operations", STEPS_MAX);
	if (model->pauses_end)
		return;
	memory_pause(t);
	t->hash = hash_mix(t->hash, 4);
	t->status = THREAD_SPINNING;
	if (explore_tracing)
		explore_trace(site, " ");
	threads_schedule();
	t->status = THREAD_READY;
	t->glued = true; /* what it reads next it may as well read now */
	memory_look_again(t);
}

/* ---- one execution, and all of them ---- */

void explore_trace(const struct explore_site *site, const char *format, ...)
{
	const char *file = "";
	va_list args;

	if (site != NULL) {
		const char *slash = strrchr(site->file, '/');

		file = slash != NULL ? slash + 1 : site->file;
		printf("  %4u  T%u  %s:%d  %s ", steps, explore_current, file, site->line, site->what);
	} else {
		printf("  %4u  T%u  ", steps, explore_current);
	}
	va_start(args, format);
	(void)vprintf(format, args);
	va_end(args);
	putchar('\n');
}

static void execution_run(void)
{
	unsigned first;

	if (setjmp(driver_return) != 0)
		return;
	explore_current = 0;
	model->setup();
	memory_reset();
	memset(explore_threads, 0, sizeof(explore_threads));
	for (unsigned i = 0; i < model->threads; i++) {
		struct thread *t = &explore_threads[i];

		t->hash = i + 1;
		t->view.at[i] = 1;
		t->fresh = true;
		fiber_reset(i, thread_main);
	}
	position = 0;
	preemptions = 0;
	steps = 0;
	runs++;
	explore_live = true;
	first = choice_make(model->threads, CHOICE_START);
	explore_current = first;
	fiber_switch(&driver_stack, explore_threads[first].stack);
	if (outcome == OUTCOME_COMPLETE && model->finish != NULL)
		model->finish();
}

static void search_report_failure(void)
{
	char what[sizeof(failure)];

	memcpy(what, failure, sizeof(what));
	if (options.trace) {
		options.merge = false;
		explore_tracing = true;
		execution_run();
		explore_tracing = false;
	}
	printf("%-28s FAILED after %" PRIu64 " runs, %d preemptions: %s\n", model->name, runs, preemptions,
	       what);
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
	table_clear(&outcomes);
}

/* All executions of the model. 0: complete and right. 1: failed. 2: out of time. */
static int search_run(void)
{
	double start = now();

	bound = options.bound >= 0 ? options.bound : model->bound > 0 ? model->bound : DEFAULT_BOUND;
	runs = 0;
	memory_forget();
	search_begin();
	for (;;) {
		execution_run();
		if (outcome == OUTCOME_FAILED) {
			search_report_failure();
			return 1;
		}
		if (outcome == OUTCOME_RESTART) {
			search_begin();
			continue;
		}
		if (outcome == OUTCOME_COMPLETE) {
			choices_count(1);
			table_add(&outcomes, state_hash(0), 1);
		}
		if (!choices_advance())
			break;
		if ((runs & 0xfff) == 0 && now() - start > options.seconds) {
			printf("%-28s INCOMPLETE: bound %d, %" PRIu64 " runs in %.1f s\n", model->name, bound,
			       runs, now() - start);
			return 2;
		}
	}
	printf("%-28s COMPLETE: bound %d, %" PRIu64 " executions, %zu%s outcomes, %" PRIu64 " runs, %.2f s\n",
	       model->name, bound, total, outcomes.used, outcomes.used * 4 > TABLE_LAST * 3 ? "+" : "", runs,
	       now() - start);
	return 0;
}

static int usage(const char *program)
{
	printf("usage: %s [--model=NAME] [--bound=N] [--mutant=N] [--seconds=S] [--no-merge] [--no-commute] "
	       "[--no-retry] [--trace] [--list]\n",
	       program);
	return 64;
}

static bool options_parse(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (strncmp(argv[i], "--model=", 8) == 0)
			options.model = argv[i] + 8;
		else if (strncmp(argv[i], "--bound=", 8) == 0)
			options.bound = atoi(argv[i] + 8);
		else if (strncmp(argv[i], "--mutant=", 9) == 0)
			explore_mutant = atoi(argv[i] + 9);
		else if (strncmp(argv[i], "--seconds=", 10) == 0)
			options.seconds = atof(argv[i] + 10);
		else if (strcmp(argv[i], "--no-merge") == 0)
			options.merge = false;
		else if (strcmp(argv[i], "--no-commute") == 0)
			options.commute = options.retry = false; /* R5 stands on R2 */
		else if (strcmp(argv[i], "--no-retry") == 0)
			options.retry = false;
		else if (strcmp(argv[i], "--trace") == 0)
			options.trace = true;
		else if (strcmp(argv[i], "--list") == 0)
			options.list = true;
		else
			return false;
	}
	return true;
}

int explore_main(int argc, char **argv, const struct explore_model *models, size_t count)
{
	bool any = false;
	int status = 0;

	if (!options_parse(argc, argv))
		return usage(argv[0]);
	for (size_t i = 0; i < count; i++) {
		int rc;

		model = &models[i];
		if (options.model != NULL && strcmp(options.model, model->name) != 0)
			continue;
		any = true;
		if (options.list) {
			printf("%-28s %s\n", model->name, model->operations);
			continue;
		}
		rc = search_run();
		(void)fflush(stdout);
		if (rc == 1)
			return 1;
		status = rc > status ? rc : status;
	}
	return any ? status : usage(argv[0]);
}
