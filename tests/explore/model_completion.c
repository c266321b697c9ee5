/* SPDX-License-Identifier: MIT */
/*
 * model_completion.c - the shipped completion, and everything that waits for one: wait.c, the waiting
 * call of runtime/task.c, the timer wheel.
 *
 * Checked: nobody waits for ever; whoever sees it done sees its result; each waiter ends for the reason
 * it was given; no waiter's node is touched after the waiter has left; the object is freed once, after
 * all uses; a report says of a waiter only what belongs to one wait. Waiting twice reuses the place of
 * the node on the stack.
 */
#include <errno.h>

#include "runtime/error_impl.h"
#include "runtime/runtime_impl.h"
#include "tests/explore/waiting.h"

#define DEADLINE ((hilo_time)1000)
#define RESULT 7

static struct completion done, second;
static struct waiter callback;
static unsigned called, removed, refused;
static atomic(uint32_t) freed;

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

static void setup_with(uint32_t references)
{
	waiting_reset(4, 0);
	completion_init(&done, references);
	done.result = 0;
	called = 0;
	removed = 0;
	refused = 0;
	freed = 0;
	hilo__timers_init(&loops[1].timers, 0);
}

/* What a report asks for, besides. */
int64_t hilo__cycles_to_ns(uint64_t cycles)
{
	return (int64_t)cycles;
}

uint64_t cycles_now(void)
{
	return 0;
}

static void setup_look(void)
{
	setup_with(1);
	completion_init(&second, 1);
	records[1].fiber = &fibers[1];
}

static void setup_one(void)
{
	setup_with(1);
}

static void setup_two(void)
{
	setup_with(2);
}

static void finish(void)
{
	EXPLORE_CHECK(freed == 1);
	waiting_check(4);
}

/* One reference was never dropped. */
static void finish_kept(void)
{
	EXPLORE_CHECK(freed == 0 && completion_unref(&done));
	waiting_check(4);
}

static void finish_look(void)
{
	waiting_check(4);
}

static void finish_callback(void)
{
	freed ? finish() : finish_kept();
	EXPLORE_CHECK(called + removed + refused == 1);
}

static void object_free(void)
{
	explore_retire(&done, sizeof(done));
	(void)add_relaxed(&freed, 1); /* relaxed: for the count at the end */
}

static void drop(void)
{
	if (completion_unref(&done))
		object_free();
}

static void complete(void)
{
	plain_store(&done.result, RESULT);
	if (completion_set(&done))
		object_free();
}

static int await(hilo_time deadline)
{
	int rc = hilo__await_completion(&done, WAIT_FUTURE, &done, deadline);

	if (rc == 0)
		EXPLORE_CHECK(plain_load(&done.result) == RESULT);
	return rc;
}

static void waiter_patient(void)
{
	EXPLORE_CHECK(await(HILO_FOREVER) == 0);
	drop();
}

/* Somebody else holds the object for it. */
static void waiter_borrows(void)
{
	EXPLORE_CHECK(await(HILO_FOREVER) == 0);
}

static void waiter_twice(void)
{
	EXPLORE_CHECK(await(HILO_FOREVER) == 0);
	EXPLORE_CHECK(await(HILO_FOREVER) == 0);
	drop();
}

static void complete_both(void)
{
	(void)completion_set(&done);
	(void)completion_set(&second);
}

/* For a task, then for a future, as reports see it. */
static void waiter_of_both(void)
{
	EXPLORE_CHECK(hilo__await_completion(&done, WAIT_TASK, &done, HILO_FOREVER) == 0);
	EXPLORE_CHECK(hilo__await_completion(&second, WAIT_FUTURE, &second, HILO_FOREVER) == 0);
}

static void report_on_T1(void)
{
	struct wait_seen seen;

	if (!hilo__wait_look(&records[1], &seen))
		return;
	EXPLORE_CHECK(seen.kind == WAIT_TASK || seen.kind == WAIT_FUTURE);
	EXPLORE_CHECK(seen.object == (seen.kind == WAIT_TASK ? &done : &second));
}

/* Times out, or not; then it waits again, on the same stack. */
static void waiter_hasty(void)
{
	int rc = await(DEADLINE);

	EXPLORE_CHECK(rc == 0 || rc == -ETIMEDOUT);
	EXPLORE_CHECK(await(HILO_FOREVER) == 0);
	drop();
}

static void waiter_hasty_borrows(void)
{
	int rc = await(DEADLINE);

	EXPLORE_CHECK(rc == 0 || rc == -ETIMEDOUT);
}

/* Goes away if it is cancelled. */
static void waiter_cancelled(void)
{
	int rc = await(HILO_FOREVER);

	EXPLORE_CHECK(rc == 0 || rc == -ECANCELED);
	if (rc == -ECANCELED)
		EXPLORE_CHECK(await(HILO_FOREVER) == -ECANCELED);
	drop();
}

static void waiter_cancelled_borrows(void)
{
	int rc = await(HILO_FOREVER);

	EXPLORE_CHECK(rc == 0 || rc == -ECANCELED);
}

/* A request does not end a wait under a shield. */
static void waiter_shielded(void)
{
	records[explore_self()].shield = 1;
	EXPLORE_CHECK(await(HILO_FOREVER) == 0);
	drop();
}

static void looker(void)
{
	if (completion_is_done(&done))
		EXPLORE_CHECK(plain_load(&done.result) == RESULT);
	drop();
}

static void timer_of_T1(void)
{
	store_release(&explore_clock, DEADLINE); /* as the clock: who is woken sees that it has gone on */
	(void)hilo__timers_expire(&loops[1].timers, DEADLINE, 8);
}

static void canceller_of_T1(void)
{
	if (task_state_cancel(&records[1].state, 1))
		waiting_ready(&records[1]);
}

static void callback_called(struct waiter *waiter)
{
	EXPLORE_CHECK(waiter == &callback);
	called++;
}

static void callback_adder(void)
{
	callback.call = callback_called;
	if (!hilo__completion_add(&done, &callback))
		refused++;
	else if (hilo__completion_remove(&done, &callback))
		removed++;
	drop();
}

static void callback_stays(void)
{
	callback.call = callback_called;
	if (!hilo__completion_add(&done, &callback))
		refused++;
	drop();
}

/* Two batches of one each: a callback, and itself. */
static void callback_and_waiter(void)
{
	callback.call = callback_called;
	if (!hilo__completion_add(&done, &callback))
		refused++;
	EXPLORE_CHECK(await(HILO_FOREVER) == 0);
	drop();
}

static void dropper(void)
{
	completion_ref(&done);
	drop();
	drop();
}

static const struct explore_model models[] = {
	EXPLORE_MODEL("done_await", "T0 completes; T1 awaits twice, drops", setup_one, finish, complete,
		      waiter_twice),
	EXPLORE_MODEL("done_two_batches", "T0 completes; T1 adds a callback, awaits, drops", setup_one,
		      finish_callback, complete, callback_and_waiter),
	EXPLORE_MODEL_LONG(2, "done_two_waiters", "T0 completes; T1, T2 await, drop", setup_two, finish,
			   complete, waiter_patient, waiter_patient),
	EXPLORE_MODEL("done_timeout",
		      "T0 completes; T1 awaits with a deadline, then without, drops; T2 is the timer",
		      setup_one, finish, complete, waiter_hasty, timer_of_T1),
	EXPLORE_MODEL_LONG(1, "done_timeout_second",
			   "T0 completes; T1 awaits with a deadline, T2 is the timer; T3 awaits", setup_one,
			   finish_kept, complete, waiter_hasty_borrows, timer_of_T1, waiter_borrows),
	EXPLORE_MODEL("done_cancel", "T0 completes; T1 awaits, drops; T2 cancels T1", setup_one, finish,
		      complete, waiter_cancelled, canceller_of_T1),
	EXPLORE_MODEL_LONG(1, "done_cancel_second", "T0 completes; T1 awaits, T2 cancels it; T3 awaits",
			   setup_one, finish_kept, complete, waiter_cancelled_borrows, canceller_of_T1,
			   waiter_borrows),
	EXPLORE_MODEL("done_cancel_shielded", "T0 completes; T1 awaits under a shield, drops; T2 cancels T1",
		      setup_one, finish, complete, waiter_shielded, canceller_of_T1),
	EXPLORE_MODEL("done_look", "T0 completes; T1, T2 look, drop", setup_two, finish, complete, looker,
		      looker),
	EXPLORE_MODEL("done_release", "T0 completes; T1 takes a reference, drops two; T2 looks, drops",
		      setup_two, finish, complete, dropper, looker),
	EXPLORE_MODEL("wait_look", "T0 completes two; T1 awaits one, then the other; T2 reports on T1",
		      setup_look, finish_look, complete_both, waiter_of_both, report_on_T1),
	EXPLORE_MODEL("done_callback", "T0 completes; T1 adds a callback, removes it, drops", setup_one,
		      finish_callback, complete, callback_adder),
	EXPLORE_MODEL_LONG(0, "done_callback_second",
			   "T0 completes; T1 adds a callback, removes it, drops; T2 awaits", setup_two,
			   finish_callback, complete, callback_adder, waiter_borrows),
	EXPLORE_MODEL("done_callback_stays", "T0 completes; T1 adds a callback, drops; T2 awaits", setup_two,
		      finish_callback, complete, callback_stays, waiter_borrows),
};

int main(int argc, char **argv)
{
	return explore_main(argc, argv, models, array_size(models));
}
