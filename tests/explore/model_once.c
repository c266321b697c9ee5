/* SPDX-License-Identifier: MIT */
/*
 * model_once.c - the shipped once.c, over contend.c.
 *
 * Checked: what is to be done once is done once, though runners fail and callers are cancelled; who is told so, or sees
 * it, sees what was done; nobody waits for ever; who finds it done, or may end it, may free it.
 */
#include <hilo/sync/once.h>

#include <errno.h>

#include "runtime/runtime_impl.h"
#include "sync/mutex_impl.h"
#include "tests/explore/waiting.h"

static hilo_once once;
static int work; /* done by the one runner that succeeds */
static unsigned failures;
static bool waited; /* T1 did while T0 ran it */

void hilo__task_wake(struct hilo_task *task, uint32_t episode)
{
	if (task_state_wake(&task->state, episode))
		waiting_ready(task);
}

int hilo__error_own(int code)
{
	return code;
}

int hilo_fail(int code, const char *format, ...)
{
	if (code != -EBUSY)
		explore_fail("hilo_fail(%d, \"%s\")", code, format);
	return code;
}

int hilo__locker(struct hilo_task **ret)
{
	*ret = &records[explore_self()];
	return 0;
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
	memset(&once, 0, sizeof(once));
	work = 0;
	failures = 0;
	waited = false;
}

static void finish(void)
{
	waiting_check(4);
	EXPLORE_CHECK(hilo_once_destroy(&once) == 0 && work == 1 && hilo_once_is_done(&once));
}

static void finish_gone(void)
{
	waiting_check(4);
}

static int does(void *arg)
{
	(void)arg;
	plain_store(&work, plain_load(&work) + 1);
	return 0;
}

static int fails(void *arg)
{
	(void)arg;
	plain_store(&failures, plain_load(&failures) + 1); /* one at a time, too */
	return -EIO;
}

static void run(void)
{
	EXPLORE_CHECK(hilo_once_run(&once, does, NULL, HILO_FOREVER) == 0);
	EXPLORE_CHECK(plain_load(&work) == 1);
}

static void run_in_vain(void)
{
	int rc = hilo_once_run(&once, fails, NULL, HILO_FOREVER);

	EXPLORE_CHECK(rc == -EIO || rc == 0);
}

static void run_if_not_cancelled(void)
{
	int rc = hilo_once_run(&once, does, NULL, HILO_FOREVER);

	EXPLORE_CHECK(rc == 0 || rc == -ECANCELED);
}

static void look(void)
{
	if (hilo_once_is_done(&once))
		EXPLORE_CHECK(plain_load(&work) == 1);
}

/* The other one has called before: it runs it, and has nothing to do but to say so. */
static void look_and_free(void)
{
	while (!hilo_once_is_done(&once))
		cpu_relax();
	EXPLORE_CHECK(plain_load(&work) == 1);
	explore_retire(&once, sizeof(once));
}

static void run_only(void)
{
	EXPLORE_CHECK(hilo_once_run(&once, does, NULL, HILO_FOREVER) == 0);
}

static bool T1_waits(void)
{
	return load_acquire(&records[1].state) & TASK_PARKED;
}

static int does_and_looks(void *arg)
{
	waited = T1_waits();
	return does(arg);
}

static int fails_and_looks(void *arg)
{
	waited = T1_waits();
	return fails(arg);
}

/* Who else has called waits already, or will find what it was that T0 did. */
static void run_and_destroy(void)
{
	EXPLORE_CHECK(hilo_once_run(&once, does_and_looks, NULL, HILO_FOREVER) == 0);
	if (waited && hilo_once_destroy(&once) == 0)
		explore_retire(&once, sizeof(once));
}

static void run_in_vain_and_destroy(void)
{
	int rc = hilo_once_run(&once, fails_and_looks, NULL, HILO_FOREVER);

	EXPLORE_CHECK(rc == -EIO || rc == 0);
	if (waited && hilo_once_destroy(&once) == 0)
		explore_retire(&once, sizeof(once));
}

static void cancels_T1(void)
{
	if (task_state_cancel(&records[1].state, 1))
		waiting_ready(&records[1]);
}

static const struct explore_model models[] = {
	EXPLORE_MODEL("once_two", "T0, T1 run; T2 looks", setup, finish, run, run, look),
	EXPLORE_MODEL_BOUND(2, "once_three", "T0, T1, T2 run", setup, finish, run, run, run),
	EXPLORE_MODEL_LONG(2, "once_fails", "T0 runs in vain; T1, T2 run", setup, finish, run_in_vain, run,
			   run),
	EXPLORE_MODEL_LONG(1, "once_cancel", "T0 runs in vain; T1 runs, T3 cancels it; T2 runs", setup,
			   finish, run_in_vain, run_if_not_cancelled, run, cancels_T1),
	EXPLORE_MODEL("once_destroy", "T0 runs, ends it if T1 has waited; T1 runs, T2 cancels it", setup,
		      finish_gone, run_and_destroy, run_if_not_cancelled, cancels_T1),
	EXPLORE_MODEL("once_destroy_new", "T0 runs in vain, ends it if T1 has waited; T1 runs, T2 cancels it",
		      setup, finish_gone, run_in_vain_and_destroy, run_if_not_cancelled, cancels_T1),
	EXPLORE_MODEL("once_free", "T0 runs; T1 frees it as soon as it is done", setup, finish_gone, run_only,
		      look_and_free),
};

int main(int argc, char **argv)
{
	return explore_main(argc, argv, models, array_size(models));
}
