/* SPDX-License-Identifier: MIT */
/*
 * model_thread.c - plain threads that wait for a completion, asleep on the futex of their record: the
 * shipped wait.c, completion.c, task.c and the waiting call of runtime/task.c.
 *
 * Checked: nobody sleeps for ever, with time limits that may end a sleep at any moment; and that when a
 * waiting call has returned, nobody touches the thread's futex any more: the record may then be
 * a task's. And that who is nudged by a signal handler sees what that has done.
 */
#include <errno.h>

#include "runtime/error_impl.h"
#include "runtime/runtime_impl.h"
#include "scheduler/base/mem.h"
#include "tests/explore/waiting.h"

#define DEADLINE ((hilo_time)1000)
#define RESULT 7

static struct completion done, second;
static atomic(uint32_t) signals;

int hilo__error_own(int code)
{
	return code;
}

int hilo__error_own_wait(int code, enum wait_kind kind, const struct hilo_task *task)
{
	(void)kind, (void)task;
	return code;
}

void hilo__free(void *p)
{
	EXPLORE_CHECK(p == NULL);
}

void hilo__loop_notify(struct hilo_loop *loop)
{
	(void)loop;
}

/* All threads of the model are plain ones. */
static void setup(void)
{
	waiting_reset(EXPLORE_THREADS, 0xf);
	completion_init(&done, 2);
	done.result = 0;
	completion_init(&second, 2);
	second.result = 0;
	atomic_setup(&signals, 0);
}

static void finish(void)
{
	waiting_check(EXPLORE_THREADS);
}

static void complete(void)
{
	plain_store(&done.result, RESULT);
	EXPLORE_CHECK(!completion_set(&done));
}

static int await(hilo_time deadline)
{
	int rc = hilo__await_completion(&done, WAIT_FUTURE, &done, deadline);

	if (rc == 0)
		EXPLORE_CHECK(plain_load(&done.result) == RESULT);
	return rc;
}

/* The thread ends, and its record is somebody else's. */
static void give_record_up(void)
{
	explore_retire(&records[explore_self()].futex, sizeof(records[0].futex));
}

static void waiter_patient(void)
{
	EXPLORE_CHECK(await(HILO_FOREVER) == 0);
	give_record_up();
}

static void waiter_hasty(void)
{
	int rc = await(DEADLINE);

	EXPLORE_CHECK(rc == 0 || rc == -ETIMEDOUT);
	give_record_up();
}

static void waiter_hasty_again(void)
{
	int rc = await(DEADLINE);

	EXPLORE_CHECK(rc == 0 || rc == -ETIMEDOUT);
	EXPLORE_CHECK(await(HILO_FOREVER) == 0);
	give_record_up();
}

/* What the waiter looks at before it sleeps; it ends what is waited for when there was a signal. */
static void look(void)
{
	if (load_acquire(&signals) && !completion_is_done(&second)) /* pairs with signal_handler */
		EXPLORE_CHECK(!completion_set(&second));
}

/* As the handler of runtime/interrupt.c. */
static void signal_handler(void)
{
	(void)add_release(&signals, 1); /* pairs with look */
	hilo__task_nudge(&records[1]);
}

static void complete_and_signal(void)
{
	complete();
	signal_handler();
}

static void await_signal(void)
{
	thread_self()->on_park = look;
	EXPLORE_CHECK(hilo__await_completion(&second, WAIT_FUTURE, &second, HILO_FOREVER) == 0);
	give_record_up();
}

static void await_both(void)
{
	EXPLORE_CHECK(await(HILO_FOREVER) == 0);
	await_signal();
}

static const struct explore_model models[] = {
	EXPLORE_MODEL("thread_await", "T0 completes; T1 awaits", setup, finish, complete, waiter_patient),
	EXPLORE_MODEL("thread_await_limit", "T0 completes; T1 awaits for a limited time", setup, finish,
		      complete, waiter_hasty),
	EXPLORE_MODEL("thread_await_again",
		      "T0 completes; T1 awaits for a limited time, then without a limit", setup, finish,
		      complete, waiter_hasty_again),
	EXPLORE_MODEL("thread_nudge", "T0 is a signal, which T1 looks for before it sleeps", setup, finish,
		      signal_handler, await_signal),
	EXPLORE_MODEL("thread_nudge_again",
		      "T0 completes, then is a signal; T1 awaits, then looks for the signal", setup, finish,
		      complete_and_signal, await_both),
	EXPLORE_MODEL_LONG(2, "thread_two", "T0 completes; T1 awaits for a limited time, T2 without a limit",
			   setup, finish, complete, waiter_hasty, waiter_patient),
};

int main(int argc, char **argv)
{
	return explore_main(argc, argv, models, array_size(models));
}
