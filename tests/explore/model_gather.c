/* SPDX-License-Identifier: MIT */
/*
 * model_gather.c - the shipped gather.c, select.c and several.c: one waits for two things, with a node in the
 * list of each.
 *
 * Checked: it wakes when there is a reason; whoever completes a task does not touch the nodes, or what
 * the waiter has on its stack, once the wait is over. Waiting twice reuses these places.
 */
#include <hilo/runtime/gather.h>
#include <hilo/runtime/select.h>
#include <hilo/runtime/task.h>

#include <errno.h>

#include "runtime/runtime_impl.h"
#include "scheduler/base/mem.h"
#include "tests/explore/waiting.h"

#define DEADLINE ((hilo_time)1000)

/* T0 waits; the tasks have no thread here, T1 and T2 complete them. */
static struct hilo_task work[2];
static hilo_task *const tasks[] = {&work[0], &work[1]};

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

/* A future here is a task that nobody runs, either. */
struct completion *hilo__future_done(hilo_future *future)
{
	return &((hilo_task *)(void *)future)->done;
}

const char *hilo_task_name(const hilo_task *task)
{
	(void)task;
	return NULL;
}

void *hilo__malloc(size_t size)
{
	(void)size;
	EXPLORE_CHECK(!"a heap for so few nodes");
	return NULL;
}

void hilo__free(void *p)
{
	(void)p;
}

int64_t hilo__cycles_to_ns(uint64_t cycles)
{
	return (int64_t)cycles;
}

uint64_t cycles_now(void)
{
	return 0;
}

static void setup(void)
{
	waiting_reset(4, 0);
	for (int i = 0; i < 2; i++) {
		memset(&work[i], 0, sizeof(work[i]));
		completion_init(&work[i].done, 2);
	}
	hilo__timers_init(&loops[0].timers, 0);
}

static void finish(void)
{
	waiting_check(4);
	for (int i = 0; i < 2; i++)
		EXPLORE_CHECK(!work[i].done.waiters);
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

static void all(void)
{
	EXPLORE_CHECK(hilo_wait(tasks, 2, HILO_ALL_COMPLETED, HILO_FOREVER) == 2);
	EXPLORE_CHECK(plain_load(&work[0].done.result) == 0 && plain_load(&work[1].done.result) == -EIO);
}

static void first_then_all(void)
{
	int n = hilo_wait(tasks, 2, HILO_FIRST_COMPLETED, HILO_FOREVER);

	EXPLORE_CHECK(n == 1 || n == 2);
	all();
}

/* Nobody but itself completes the other one. */
static void first_then_second(void)
{
	EXPLORE_CHECK(hilo_wait(tasks, 2, HILO_FIRST_COMPLETED, HILO_FOREVER) == 1);
	complete_second();
	all();
}

/* The one that fails, or both. */
static void exception(void)
{
	int n = hilo_wait(tasks, 2, HILO_FIRST_EXCEPTION, HILO_FOREVER);

	EXPLORE_CHECK(n == 1 || n == 2);
	EXPLORE_CHECK(completion_is_done(&work[1].done));
	EXPLORE_CHECK(plain_load(&work[1].done.result) == -EIO);
}

static void hasty_then_all(void)
{
	int n = hilo_wait(tasks, 2, HILO_ALL_COMPLETED, DEADLINE);

	EXPLORE_CHECK(n == 2 || n == -ETIMEDOUT);
	all();
}

static void cancelled(void)
{
	int n = hilo_wait(tasks, 2, HILO_FIRST_COMPLETED, HILO_FOREVER);

	EXPLORE_CHECK(n == 1 || n == 2 || n == -ECANCELED);
}

static void canceller_of_T0(void)
{
	if (task_state_cancel(&records[0].state, 1))
		waiting_ready(&records[0]);
}

/* One that has ended before the cancel counts, though who ended it may not have called yet. */
static int code;
static bool ended_first;

static void setup_late(void)
{
	setup();
	code = 0;
	ended_first = false;
}

static void waits(void)
{
	code = hilo_wait(tasks, 2, HILO_FIRST_COMPLETED, HILO_FOREVER);
}

static void canceller_that_looks(void)
{
	bool waiting = load_acquire(&records[0].state) & TASK_PARKED;

	ended_first = waiting && completion_is_done(&work[0].done);
	canceller_of_T0();
}

static void finish_late(void)
{
	finish();
	EXPLORE_CHECK(code == 1 || (code == -ECANCELED && !ended_first));
}

/* Selecting: the first of a task, a future, and a timer. */
static hilo_select_case cases[] = {
	HILO_SELECT_TASK(&work[0]),
	HILO_SELECT_FUTURE((void *)&work[1]),
	HILO_SELECT_TIMER(DEADLINE),
};

static void select_then_all(void)
{
	int ready = hilo_select(cases, 2, HILO_FOREVER);

	EXPLORE_CHECK(ready == 0 || ready == 1);
	EXPLORE_CHECK(completion_is_done(&work[ready].done));
	EXPLORE_CHECK(plain_load(&work[ready].done.result) == (ready ? -EIO : 0));
	all();
}

static void select_timer(void)
{
	int ready = hilo_select(&cases[1], 2, HILO_FOREVER);

	EXPLORE_CHECK(ready == 0 || ready == 1);
	EXPLORE_CHECK(ready == 1 || completion_is_done(&work[1].done));
	EXPLORE_CHECK(ready == 0 || load_acquire(&explore_clock) == DEADLINE);
}

static void selects(void)
{
	code = hilo_select(cases, 2, HILO_FOREVER);
}

static void finish_select(void)
{
	finish();
	EXPLORE_CHECK(code == 0 || (code == -ECANCELED && !ended_first));
}

static void timer_of_T0(void)
{
	store_release(&explore_clock, DEADLINE); /* as the clock: who is woken sees that it has gone on */
	(void)hilo__timers_expire(&loops[0].timers, DEADLINE, 8);
}

static const struct explore_model models[] = {
	EXPLORE_MODEL("gather_all", "T0 waits for both; T1 and T2 complete one each", setup, finish, all,
		      complete_first, complete_second),
	EXPLORE_MODEL_LONG(0, "gather_first", "T0 waits for one of two, then for both; T1 completes both",
			   setup, finish, first_then_all, complete_both),
	EXPLORE_MODEL("gather_first_alone", "T0 waits for one of two, completes the other; T1 completes one",
		      setup, finish, first_then_second, complete_first),
	EXPLORE_MODEL_LONG(2, "gather_first_two",
			   "T0 waits for one of two, then for both; T1 and T2 complete one each", setup,
			   finish, first_then_all, complete_first, complete_second),
	EXPLORE_MODEL_LONG(0, "gather_exception",
			   "T0 waits for a failure; T1 and T2 complete one each, T2's has failed", setup,
			   finish, exception, complete_first, complete_second),
	EXPLORE_MODEL_LONG(
		1, "gather_timeout",
		"T0 waits for both with a deadline, then without; T1 completes both; T2 is the timer", setup,
		finish, hasty_then_all, complete_both, timer_of_T0),
	EXPLORE_MODEL_LONG(2, "gather_cancel", "T0 waits for one of two; T1 completes both; T2 cancels T0",
			   setup, finish, cancelled, complete_both, canceller_of_T0),
	EXPLORE_MODEL("gather_late_cancel", "T0 waits for one of two; T1 completes one; T2 looks, cancels T0",
		      setup_late, finish_late, waits, complete_first, canceller_that_looks),
	EXPLORE_MODEL_LONG(0, "select_first", "T0 selects one of two, then waits for both; T1 completes both",
			   setup, finish, select_then_all, complete_both),
	EXPLORE_MODEL("select_timer", "T0 selects one or its timer; T1 completes it; T2 is the timer", setup,
		      finish, select_timer, complete_second, timer_of_T0),
	EXPLORE_MODEL("select_late_cancel", "T0 selects one of two; T1 completes one; T2 looks, cancels T0",
		      setup_late, finish_select, selects, complete_first, canceller_that_looks),
};

int main(int argc, char **argv)
{
	return explore_main(argc, argv, models, array_size(models));
}
