/* SPDX-License-Identifier: MIT */
/*
 * threads.c - the threads of a model: whose turn it is, and all that makes one wait or wakes it.
 *
 * Where a thread could be interrupted, or has to wait, the search chooses who goes on. A switch away from
 * one that could go on is a preemption, and their number is bounded; a thread that waits, pauses or ends
 * gives way for nothing.
 */
#include "tests/explore/explore_impl.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STEPS_MAX 4000

struct thread explore_threads[EXPLORE_THREADS];
unsigned explore_current;
struct run explore_run;
bool explore_live;
bool explore_tracing;

static void *driver_stack;

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
	const struct explore_model *model = explore_run.model;
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
	explore_complete();
}

/* Let @next do the next operation. Returns when the caller's thread is the one again. */
static void thread_switch(unsigned next)
{
	struct thread *from = explore_thread();

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
	bool could_go_on = thread_can_run(explore_thread());
	bool gives_way = explore_thread()->status != THREAD_READY;

	if (could_go_on)
		next[n++] = explore_current;
	if (!could_go_on || gives_way || explore_run.preemptions < explore_run.bound)
		for (unsigned i = 0; i < explore_run.model->threads; i++)
			if (i != explore_current && thread_can_run(&explore_threads[i]))
				next[n++] = i;
	if (n == 0)
		threads_stuck();
	taken = search_choose(n, CHOICE_THREAD);
	if (next[taken] != explore_current && could_go_on && !gives_way)
		explore_run.preemptions++;
	thread_switch(next[taken]);
}

static void step_count(void)
{
	if (++explore_run.steps > STEPS_MAX)
		explore_fail("livelock: more than %d operations", STEPS_MAX);
}

void explore_point(bool moves_left)
{
	struct thread *t = explore_thread();

	step_count();
	if (t->fresh || ((t->glued || moves_left) && explore_options.commute)) {
		t->fresh = false;
		return;
	}
	threads_schedule();
}

static void thread_main(void)
{
	explore_thread()->status = THREAD_READY;
	explore_run.model->thread[explore_current]();
	explore_thread()->status = THREAD_DONE;
	if (explore_tracing)
		explore_trace(NULL, "ends");
	threads_schedule();
	abort();
}

void threads_reset(void)
{
	memset(explore_threads, 0, sizeof(explore_threads));
	for (unsigned i = 0; i < explore_run.model->threads; i++) {
		struct thread *t = &explore_threads[i];

		t->hash = i + 1;
		t->view.at[i] = 1;
		t->fresh = true;
		fiber_reset(i, thread_main);
	}
	explore_run.preemptions = 0;
	explore_run.steps = 0;
}

/* What the threads have read, and what they wait for. */
uint64_t threads_hash(uint64_t h)
{
	for (unsigned i = 0; i < explore_run.model->threads; i++) {
		const struct thread *t = &explore_threads[i];

		h = hash_mix(h, t->hash);
		h = hash_mix(h, (uint64_t)t->status << 1 | t->token);
	}
	return h;
}

void threads_run(unsigned first)
{
	explore_current = first;
	fiber_switch(&driver_stack, explore_threads[first].stack);
}

void threads_leave(void)
{
	void *ignored;

	explore_live = false;
	fiber_switch(&ignored, driver_stack);
	abort();
}

unsigned explore_self(void)
{
	return explore_current;
}

unsigned explore_choose(unsigned n)
{
	struct thread *t = explore_thread();
	unsigned taken = search_choose(n, CHOICE_MODEL);

	t->hash = hash_mix(t->hash, taken);
	return taken;
}

/* ---- parking, futexes, pauses ---- */

/* The operation, which no load is, has taken place; @found is what it depended on. */
static void operation_end(uint64_t found)
{
	struct thread *t = explore_thread();

	t->hash = hash_mix(t->hash, found);
	t->glued = false;
	t->old_read = NULL;
}

void explore_unpark(unsigned thread)
{
	if (!explore_live)
		return;
	explore_point(false);
	explore_threads[thread].token = true;
	operation_end(3);
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
	woken = t->token;
	t->token = false;
	operation_end(woken);
	if (explore_tracing)
		explore_trace(NULL, woken ? "wakes" : "wakes, as its time is up");
	return woken;
}

void explore_park(void)
{
	struct thread *t = explore_thread();

	if (!explore_live)
		return;
	explore_point(false);
	if (explore_tracing)
		explore_trace(NULL, t->token ? "parks, but was unparked before" : "parks");
	if (!t->token)
		(void)thread_sleep(t, false);
	t->token = false;
	operation_end(2);
}

bool explore_futex_wait(const void *word, size_t size, uint64_t expected, bool timed, bool *ret_timeout)
{
	struct thread *t = explore_thread();
	bool same;

	explore_point(false);
	same = memory_futex(word, size) == expected;
	operation_end(same);
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

/* The threads that sleep on @word. */
static unsigned futex_sleepers(const void *word, struct thread **ret)
{
	unsigned n = 0;

	for (unsigned i = 0; i < explore_run.model->threads; i++) {
		struct thread *t = &explore_threads[i];

		if (t->status == THREAD_PARKED && t->futex == word && !t->token)
			ret[n++] = t;
	}
	return n;
}

/* Any of those who sleep may be the one that is woken. */
unsigned explore_futex_wake(const void *word, unsigned n)
{
	struct thread *sleepers[EXPLORE_THREADS];
	unsigned woken = 0, count;

	explore_point(false);
	while (woken < n && (count = futex_sleepers(word, sleepers)) > 0) {
		struct thread *t = sleepers[search_choose(count, CHOICE_MODEL)];

		t->token = true;
		woken++;
		if (explore_tracing)
			explore_trace(NULL, "wakes T%u", (unsigned)(t - explore_threads));
	}
	operation_end(woken);
	return woken;
}

void explore_pause(const struct explore_site *site)
{
	struct thread *t = explore_thread();

	if (!explore_live)
		return;
	step_count();
	if (explore_run.model->pauses_end)
		return;
	if (explore_options.retry && memory_pauses_in_vain(t)) /* R6 */
		explore_abandon();
	operation_end(4);
	t->status = THREAD_SPINNING;
	if (explore_tracing)
		explore_trace(site, " ");
	threads_schedule();
	t->status = THREAD_READY;
	t->glued = true; /* who else could have been chosen above */
	memory_look_again(t);
}

void explore_trace(const struct explore_site *site, const char *format, ...)
{
	va_list args;

	printf("  %4u  T%u  ", explore_run.steps, explore_current);
	if (site != NULL) {
		const char *slash = strrchr(site->file, '/');

		printf("%s:%d  %s ", slash != NULL ? slash + 1 : site->file, site->line, site->what);
	}
	va_start(args, format);
	(void)vprintf(format, args);
	va_end(args);
	putchar('\n');
}
