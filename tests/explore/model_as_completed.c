/* SPDX-License-Identifier: MIT */
/*
 * model_as_completed.c - the shipped as_completed.c: tasks one after the other, as they end.
 *
 * Checked: each is yielded once, by whoever asks, in the order in which they ended; nobody waits for what is
 * there, or will never be; an early end loses nothing; whoever completes a task does not touch the set once
 * it was freed.
 */
#include <hilo/runtime/gather.h>
#include <hilo/runtime/task.h>

#include <errno.h>

#include "runtime/runtime_impl.h"
#include "runtime/several_impl.h"
#include "scheduler/base/mem.h"
#include "tests/explore/waiting.h"

#define DEADLINE ((hilo_time)1000)

/* The tasks have no thread here, others complete them. */
static struct hilo_task work[2];
static hilo_task *const tasks[] = {&work[0], &work[1]};

/* The only set there is. */
static _Alignas(64) unsigned char memory[512];
static hilo_as_completed *set;
static atomic(uint32_t) yielded[2];

void hilo__task_wake(struct hilo_task *task, uint32_t episode)
{
	if (task_state_wake(&task->state, episode))
		waiting_ready(task);
}

int hilo__error_own(int code)
{
	return code;
}

int hilo__error_own_wait(int code, enum wait_kind kind, const struct hilo_task *task)
{
	(void)kind, (void)task;
	return code;
}

int hilo_fail(int code, const char *format, ...)
{
	(void)format;
	return code;
}

const char *hilo_task_name(const hilo_task *task)
{
	(void)task;
	return NULL;
}

void *hilo__malloc(size_t size)
{
	EXPLORE_CHECK(size <= sizeof(memory));
	return memory;
}

void hilo__free(void *p)
{
	EXPLORE_CHECK(p == memory);
	explore_retire(memory, sizeof(memory));
}

int64_t hilo__cycles_to_ns(uint64_t cycles)
{
	return (int64_t)cycles;
}

uint64_t cycles_now(void)
{
	return 0;
}

static void setup_none(void)
{
	waiting_reset(4, 0);
	memset(memory, 0, sizeof(memory));
	for (int i = 0; i < 2; i++) {
		memset(&work[i], 0, sizeof(work[i]));
		completion_init(&work[i].done, 2);
		yielded[i] = 0;
	}
	set = NULL;
	hilo__timers_init(&loops[0].timers, 0);
}

static void make(void)
{
	EXPLORE_CHECK(hilo_as_completed_new(tasks, 2, &set) == 0);
}

static void setup(void)
{
	setup_none();
	make();
}

static void finish(void)
{
	waiting_check(4);
	for (int i = 0; i < 2; i++)
		EXPLORE_CHECK(!work[i].done.waiters);
}

static void finish_all(void)
{
	finish();
	EXPLORE_CHECK(yielded[0] == 1 && yielded[1] == 1);
}

static void complete(int i, int code)
{
	plain_store(&work[i].done.result, code);
	EXPLORE_CHECK(!completion_set(&work[i].done)); /* others hold it */
}

static void complete_first(void)
{
	complete(0, 0);
}

static void complete_second(void)
{
	complete(1, -EIO);
}

static void complete_both(void)
{
	complete_first();
	complete_second();
}

/* Which one was yielded; -1: all were. */
static int next(hilo_time deadline)
{
	hilo_task *task = NULL;
	int rc = hilo_as_completed_next(set, &task, deadline), i = (int)(task - work);

	if (rc <= 0)
		return rc - 1;
	EXPLORE_CHECK(rc == 1 && (task == &work[0] || task == &work[1]));
	EXPLORE_CHECK(completion_is_done(&task->done));
	EXPLORE_CHECK(plain_load(&task->done.result) == (i ? -EIO : 0));
	EXPLORE_CHECK(add_relaxed(&yielded[i], 1) == 0); /* relaxed: a count */
	return i;
}

static void take_all(void)
{
	while (next(HILO_FOREVER) >= 0)
		;
}

static void in_order(void)
{
	make();
	EXPLORE_CHECK(next(HILO_FOREVER) == 0);
	EXPLORE_CHECK(next(HILO_FOREVER) == 1);
	EXPLORE_CHECK(next(HILO_FOREVER) == -1);
	hilo_as_completed_free(set);
}

static void one_then_free(void)
{
	EXPLORE_CHECK(next(HILO_FOREVER) >= 0);
	hilo_as_completed_free(set);
}

static void hasty_then_all(void)
{
	int i = next(DEADLINE);

	EXPLORE_CHECK(i >= 0 || i == -ETIMEDOUT - 1);
	take_all();
}

static void timer_of_T0(void)
{
	store_release(&explore_clock, DEADLINE); /* as the clock: who is woken sees that it has gone on */
	(void)hilo__timers_expire(&loops[0].timers, DEADLINE, 8);
}

/* T0 may be cancelled while it waits, T1 gets what there is then. */
static void cancelled(void)
{
	int i = next(HILO_FOREVER);

	EXPLORE_CHECK(i >= 0 || i == -ECANCELED - 1);
}

static void one(void)
{
	EXPLORE_CHECK(next(HILO_FOREVER) >= 0);
}

static void canceller_of_T0(void)
{
	if (task_state_cancel(&records[0].state, 1))
		waiting_ready(&records[0]);
}

static void complete_and_cancel(void)
{
	complete_first();
	canceller_of_T0();
	complete_second();
}

/* One that has ended before the cancel counts, though who ended it may not have called yet. */
static bool ended_first;

static void setup_late(void)
{
	setup();
	ended_first = false;
}

static void canceller_that_looks(void)
{
	bool waiting = load_acquire(&records[0].state) & TASK_PARKED;

	ended_first = waiting && completion_is_done(&work[0].done);
	canceller_of_T0();
}

static void finish_late(void)
{
	waiting_check(4);
	EXPLORE_CHECK(!ended_first || yielded[0] == 1);
}

static const struct explore_model models[] = {
	EXPLORE_MODEL("as_completed_order", "T0 makes a set, takes both, frees it; T1 completes both",
		      setup_none, finish_all, in_order, complete_both),
	EXPLORE_MODEL_BOUND(2, "as_completed_two", "T0 takes all; T1 and T2 complete one each", setup,
			    finish_all, take_all, complete_first, complete_second),
	EXPLORE_MODEL_BOUND(2, "as_completed_takers",
			    "T0 and T1 take until there are no more; T2 completes both", setup, finish_all,
			    take_all, take_all, complete_both),
	EXPLORE_MODEL("as_completed_free", "T0 takes one, frees the set; T1 completes both", setup, finish,
		      one_then_free, complete_both),
	EXPLORE_MODEL_BOUND(2, "as_completed_timeout",
			    "T0 takes one with a deadline, then all; T1 completes both; T2 is the timer",
			    setup, finish_all, hasty_then_all, complete_both, timer_of_T0),
	EXPLORE_MODEL_LONG(2, "as_completed_cancel",
			   "T0 and T1 take one; T2 completes one, cancels T0, completes the other", setup,
			   finish, cancelled, one, complete_and_cancel),
	EXPLORE_MODEL("as_completed_late_cancel", "T0 takes one; T1 completes one; T2 looks, cancels T0",
		      setup_late, finish_late, cancelled, complete_first, canceller_that_looks),
};

int main(int argc, char **argv)
{
	return explore_main(argc, argv, models, array_size(models));
}
