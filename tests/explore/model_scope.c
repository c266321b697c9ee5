/* SPDX-License-Identifier: MIT */
/*
 * model_scope.c - blocks with a limit in time, and sections with a time of grace: the shipped timeout.c over
 * scope.c, timer.c, wait.c and completion.c.
 *
 * T0 is the task that is in the block; the others fire its timer, complete what it waits for, ask it to stop,
 * move its limit. Checked: no request is lost, and each ends what it is meant to end; those of a block are taken
 * back with it, others stay; the timer is not touched once the block was left, the second of two in one place.
 */
#include <errno.h>

#include <hilo/runtime/timeout.h>

#include "runtime/runtime_impl.h"
#include "tests/explore/waking.h"

#define LIMIT ((hilo_time)1000)
#define LATER ((hilo_time)2000)

static hilo_timeout place;
static struct completion done;
static atomic(uint32_t) moved;

int hilo_fail(int code, const char *format, ...)
{
	explore_fail("hilo_fail(%d, \"%s\")", code, format);
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

int hilo__error_own_fd(int code, int fd)
{
	(void)fd;
	return code;
}

static void setup(void)
{
	waiting_reset(EXPLORE_THREADS, 0);
	hilo__timers_init(&loops[0].timers, 0);
	completion_init(&done, 1);
	memset(&place, 0, sizeof(place));
	moved = 0;
	fibers[0].scopes = NULL;
	records[0].fiber = &fibers[0];
}

static void enter(hilo_time when)
{
	EXPLORE_CHECK(hilo_timeout_enter(&place, when) == 0);
}

/* T0 has entered the block before the others know of it. */
static void setup_entered(void)
{
	setup();
	enter(HILO_FOREVER);
}

/* T0 is in a shield: what does not come from its block does not count. */
static void setup_shielded(void)
{
	setup();
	records[0].shield = 1;
}

static void finish(void)
{
	EXPLORE_CHECK(!fibers[0].scopes);
	waiting_check(EXPLORE_THREADS);
}

static void finish_alone(void)
{
	finish();
	EXPLORE_CHECK(task_state_cancels(records[0].state) == 0);
	EXPLORE_CHECK(task_state_reason(records[0].state) == 0);
}

static void finish_asked(void)
{
	finish();
	EXPLORE_CHECK(task_state_cancels(records[0].state) == 1);
}

/* ---- T0 ---- */

static int leave_for_good(int code)
{
	int rc = hilo_timeout_leave(&place, code);

	explore_retire(&place, sizeof(place));
	return rc;
}

static int await(void)
{
	return hilo__await_completion(&done, WAIT_FUTURE, &done, HILO_FOREVER);
}

/* Nothing but a request ends it. */
static int sleep_for_ever(void)
{
	return hilo_sleep_until(HILO_FOREVER);
}

static void limited(void)
{
	enter(LIMIT);
	EXPLORE_CHECK(leave_for_good(sleep_for_ever()) == -ETIMEDOUT);
}

static void check_waited(int rc)
{
	EXPLORE_CHECK(rc == 0 || rc == -ETIMEDOUT);
	EXPLORE_CHECK(rc == -ETIMEDOUT || completion_is_done(&done));
}

static void limited_twice(void)
{
	enter(LIMIT);
	check_waited(hilo_timeout_leave(&place, await()));
	enter(LATER);
	check_waited(leave_for_good(await()));
}

/* What is left of a cancel from outside ends the wait after the block. */
static void limited_then_cancelled(void)
{
	int rc;

	enter(LIMIT);
	rc = leave_for_good(sleep_for_ever());
	EXPLORE_CHECK(rc == -ETIMEDOUT || rc == -ECANCELED);
	EXPLORE_CHECK(sleep_for_ever() == -ECANCELED);
}

/* No cancel reaches it until the grace is over; that may be in the one wait, or between them, or in the other. */
static void graced(void)
{
	int rc;

	EXPLORE_CHECK(hilo_grace_enter(&place, LIMIT) == 0);
	rc = await();
	EXPLORE_CHECK(rc == 0 || (rc == -ECANCELED && hilo_timeout_expired(&place)));
	rc = sleep_for_ever();
	EXPLORE_CHECK(rc == -ECANCELED && hilo_timeout_expired(&place));
	EXPLORE_CHECK(leave_for_good(rc) == -ECANCELED);
}

/* The block has begun, without a limit, and lasts until nobody moves that any more. */
static void limited_by_another(void)
{
	int rc = await();

	while (!load_acquire(&moved))
		cpu_relax();
	check_waited(leave_for_good(rc));
}

/* ---- the others ---- */

/* As the turns of a loop: until it has fired. */
static void timer_fires(void)
{
	while (hilo__timers_expire(&loops[0].timers, LIMIT, 8) == 0)
		cpu_relax();
}

/* It may be disarmed before. */
static void timer_may_fire(void)
{
	(void)hilo__timers_expire(&loops[0].timers, LIMIT, 8);
}

static void timers_may_fire(void)
{
	timer_may_fire();
	(void)hilo__timers_expire(&loops[0].timers, LATER, 8);
}

static void completer(void)
{
	(void)completion_set(&done);
}

static void canceller(void)
{
	(void)hilo__task_cancel(&records[0], 1);
}

static void canceller_and_completer(void)
{
	canceller();
	completer();
}

static void mover_and_completer(void)
{
	int rc = hilo_timeout_reschedule(&place, LATER);

	EXPLORE_CHECK(rc == 0);
	rc = hilo_timeout_reschedule(&place, LIMIT);
	EXPLORE_CHECK(rc == 0 || rc == HILO_EINVALSTATE);
	store_release(&moved, 1); /* read with acquire by T0 */
	completer();
}

static const struct explore_model models[] = {
	EXPLORE_MODEL("scope_limit", "T0, shielded, sleeps in a block with a limit; T1 fires its timer",
		      setup_shielded, finish_alone, limited, timer_fires),
	EXPLORE_MODEL_BOUND(
		2, "scope_limit_twice",
		"T0 waits in a block with a limit, then in another one; T1 fires its timers; T2 completes",
		setup, finish_alone, limited_twice, timers_may_fire, completer),
	EXPLORE_MODEL("scope_limit_cancel",
		      "T0 sleeps in a block with a limit, then outside; T1 fires its timer; T2 cancels T0",
		      setup, finish_asked, limited_then_cancelled, timer_may_fire, canceller),
	EXPLORE_MODEL_LONG(
		2, "scope_grace",
		"T0 waits in a section with a grace, then sleeps; T1 ends that; T2 cancels T0, completes",
		setup, finish_asked, graced, timer_fires, canceller_and_completer),
	EXPLORE_MODEL_LONG(2, "scope_move",
			   "T0 waits in a block; T1 fires its timers; T2 sets a limit, moves it, completes",
			   setup_entered, finish_alone, limited_by_another, timers_may_fire,
			   mover_and_completer),
};

int main(int argc, char **argv)
{
	return explore_main(argc, argv, models, array_size(models));
}
