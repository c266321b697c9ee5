/* SPDX-License-Identifier: MIT */
/*
 * model_future.c - futures as users have them: the shipped future.c and done.c over completion.c, wait.c,
 * pool.c, and the queue of callbacks of loop.c.
 *
 * Checked: one of several completers wins; who awaits it gets the winner's value or code, tasks and plain
 * threads; a value that nobody took is dropped once, at the end; a failure that nobody has read is told
 * once, at the end, and one that was read is not; the future is freed once, after its last use; a done
 * callback runs once, on its own loop, or not at all if removing it succeeded, and its node is not touched
 * afterwards.
 */
#include <errno.h>

#include <hilo/runtime/error.h>
#include <hilo/runtime/future.h>

#include "runtime/debug_impl.h"
#include "runtime/error_impl.h"
#include "runtime/exception_impl.h"
#include "scheduler/base/mem.h"
#include "scheduler/worker.h"
#include "tests/explore/heaps.h"

#define DEADLINE ((hilo_time)1000)

static hilo_future *future;
static unsigned value[2];
static atomic(uint32_t) wins, dropped, told, seen;
static unsigned taken;
static hilo_done_node node, second;
static unsigned called, removed;

/* As hilo__task_ready, for a task and for a plain thread; the latter is model_thread's subject. */
void hilo__task_wake(struct hilo_task *task, uint32_t episode)
{
	if (!task_state_wake(&task->state, episode))
		return;
	if (!(task->flags & TASK_THREAD)) {
		waiting_ready(task);
		return;
	}
	(void)add_release(&task->futex, 1); /* pairs with the acquire in wait.c */
	(void)hilo__futex_wake(&task->futex, 1);
}

/* Nobody sleeps here: whoever waits for a callback looks for it until it is there. */
void hilo__loop_post(struct hilo_loop *loop, struct inbox *inbox, struct link *link)
{
	(void)loop;
	(void)hilo__inbox_push(inbox, link);
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

/* Nobody says anything. */
int hilo__error_receive_shared(const struct error *from, int code)
{
	EXPLORE_CHECK(!from);
	return code;
}

struct error *hilo__error_share(int code)
{
	(void)code;
	return NULL;
}

const char *hilo__error_text(const struct error *error)
{
	EXPLORE_CHECK(!error);
	return NULL;
}

void hilo__error_free(struct error *error)
{
	EXPLORE_CHECK(!error);
}

/* Nobody has task-local values. */
void hilo__free(void *p)
{
	EXPLORE_CHECK(!p);
}

/* A lost failure. */
void hilo__exception_future(int code, const char *message, const void *site)
{
	(void)message, (void)site;
	EXPLORE_CHECK(code == -EIO);
	(void)add_relaxed(&told, 1); /* relaxed: a count */
}

int hilo_fail(int code, const char *format, ...)
{
	explore_fail("hilo_fail(%d, \"%s\")", code, format);
}

struct heap *hilo__thread_heap(struct thread *self)
{
	return self->heap;
}

void hilo__worker_awake(struct hilo_loop *loop)
{
	(void)loop;
}

/* Nobody sleeps here. */
void hilo__loop_notify(struct hilo_loop *loop)
{
	(void)loop;
}

static void loops_setup(void)
{
	for (unsigned i = 0; i < EXPLORE_THREADS; i++) {
		queue_init(&loops[i].calls);
		loops[i].calling = 0;
		loops[i].slept = false;
		spin_init(&loops[i].ties_lock);
		list_init(&loops[i].ties);
		hilo__timers_init(&loops[i].timers, 0);
	}
}

static void value_drop(void *dropped_value)
{
	EXPLORE_CHECK(plain_load((unsigned *)dropped_value) == 7u);
	(void)add_relaxed(&dropped, 1); /* relaxed: a count */
}

/* A future with @references; threads of the mask @plain are no tasks. */
static void setup_with(unsigned references, unsigned plain)
{
	waiting_reset(EXPLORE_THREADS, plain);
	heaps_reset();
	heaps_fill(0, POOL_OBJECT, 1);
	loops_setup();
	memset(&node, 0, sizeof(node));
	memset(&second, 0, sizeof(second));
	wins = 0;
	dropped = 0;
	told = 0;
	seen = 0;
	taken = 0;
	called = 0;
	removed = 0;
	future = hilo_future_new();
	EXPLORE_CHECK(future != NULL);
	while (--references > 0)
		(void)hilo_future_ref(future);
}

static void setup_two(void)
{
	setup_with(2, 0);
}

static void setup_two_plain(void)
{
	setup_with(2, 1u << 1);
}

static void setup_three(void)
{
	setup_with(3, 0);
}

/* T2 is a task, the others are not. */
static void setup_three_plain(void)
{
	setup_with(3, 1u << 0 | 1u << 1);
}

/* It is set already, and two hold it. */
static void setup_done(void)
{
	setup_with(2, 0);
	value[0] = 7;
	EXPLORE_CHECK(hilo_future_set(future, &value[0], value_drop) == 0);
	wins = 1;
}

static void finish(void)
{
	EXPLORE_CHECK(heaps_count(POOL_OBJECT) == 1);
	waiting_check(EXPLORE_THREADS);
	EXPLORE_CHECK(wins <= 1 && dropped + taken == wins);
}

/* One that fails, and those who hold it: told if none of them has read it. */
static void finish_failed(void)
{
	finish();
	EXPLORE_CHECK(told == (seen == 0));
}

static void finish_called(void)
{
	finish();
	EXPLORE_CHECK(called + removed == 1);
}

static void finish_both(void)
{
	finish();
	EXPLORE_CHECK(called == 2);
}

static void set(void)
{
	unsigned *mine = &value[explore_self() & 1];
	int rc;

	plain_store(mine, 7u);
	rc = hilo_future_set(future, mine, value_drop);
	EXPLORE_CHECK(rc == 0 || rc == HILO_EINVALSTATE);
	(void)add_relaxed(&wins, rc == 0); /* relaxed: a count */
	hilo_future_unref(future);
}

static void cancel(void)
{
	int rc = hilo_future_cancel(future);

	EXPLORE_CHECK(rc == 0 || rc == HILO_EINVALSTATE);
	hilo_future_unref(future);
}

static void fail(void)
{
	EXPLORE_CHECK(hilo_future_set_error(future, -EIO) == 0);
	hilo_future_unref(future);
}

static void read_limited(void)
{
	int rc = hilo_future_await(future, NULL, DEADLINE);

	EXPLORE_CHECK(rc == -EIO || rc == -ETIMEDOUT);
	(void)add_relaxed(&seen, rc == -EIO); /* relaxed: a count */
	hilo_future_unref(future);
}

static void let_go(void)
{
	hilo_future_unref(future);
}

static void await(void)
{
	void *got = NULL;
	int rc = hilo_future_await(future, &got, HILO_FOREVER);

	EXPLORE_CHECK(rc == 0 || rc == -ECANCELED);
	if (rc == 0)
		EXPLORE_CHECK(plain_load((unsigned *)got) == 7u);
	hilo_future_unref(future);
}

static void await_limited(void)
{
	int rc = hilo_future_await(future, NULL, DEADLINE);

	EXPLORE_CHECK(rc == 0 || rc == -ETIMEDOUT);
	hilo_future_unref(future);
}

/* Takes the value, of a future that is set, if it is the last one that holds it. */
static void take(void)
{
	void *got = NULL;
	int rc = hilo_future_take(future, &got);

	EXPLORE_CHECK(rc == 0 || rc == -EBUSY);
	if (rc == 0) {
		EXPLORE_CHECK(plain_load((unsigned *)got) == 7u);
		taken++;
	}
	hilo_future_unref(future);
}

static void await_and_take(void)
{
	if (hilo_future_await(future, NULL, HILO_FOREVER) == 0)
		take();
	else
		hilo_future_unref(future);
}

/* [its loop] From here on the node is the user's again. */
static void done_called(void *arg)
{
	EXPLORE_CHECK(arg == &called);
	EXPLORE_CHECK(hilo_future_is_done(future));
	explore_retire(&node, sizeof(node));
	called++;
}

/* What a turn of the loop does with callbacks. */
static void loop_turn(struct hilo_loop *loop)
{
	hilo__loop_run_calls(thread_self(), loop);
}

static void callback_runs(void)
{
	struct hilo_loop *loop = thread_self()->loop;

	EXPLORE_CHECK(hilo_future_on_done(future, &node, done_called, &called) == 0);
	for (;;) {
		loop_turn(loop);
		if (called > 0)
			break;
		cpu_relax();
	}
	hilo_future_unref(future);
}

static void second_called(void *arg)
{
	EXPLORE_CHECK(arg == &called && called == 1);
	explore_retire(&second, sizeof(second));
	called++;
}

/* They come in the order in which they were added, whenever that was. */
static void callbacks_run(void)
{
	struct hilo_loop *loop = thread_self()->loop;

	EXPLORE_CHECK(hilo_future_on_done(future, &node, done_called, &called) == 0);
	EXPLORE_CHECK(hilo_future_on_done(future, &second, second_called, &called) == 0);
	while (called < 2) {
		unsigned before = called;

		loop_turn(loop);
		if (called == before)
			cpu_relax();
	}
	hilo_future_unref(future);
}

/* It may run in the turn before, or not; never after the removal. */
static void callback_removed(void)
{
	EXPLORE_CHECK(hilo_future_on_done(future, &node, done_called, &called) == 0);
	loop_turn(thread_self()->loop);
	if (called == 0) {
		EXPLORE_CHECK(hilo_future_remove_on_done(future, &node) == 0);
		explore_retire(&node, sizeof(node));
		removed++;
	}
	loop_turn(thread_self()->loop);
	hilo_future_unref(future);
}

static const struct explore_model models[] = {
	EXPLORE_MODEL("future_set_await", "T0 sets; T1 awaits", setup_two, finish, set, await),
	EXPLORE_MODEL("future_set_take", "T0 sets; T1 awaits, takes the value", setup_two, finish, set,
		      await_and_take),
	EXPLORE_MODEL("future_set_let_go", "T0 sets; T1 lets go", setup_two, finish, set, let_go),
	EXPLORE_MODEL("future_let_go", "T0, T1 let go of a future that nobody sets", setup_two, finish,
		      let_go, let_go),
	EXPLORE_MODEL("future_thread", "T0 sets; T1, a plain thread, awaits", setup_two_plain, finish, set,
		      await),
	EXPLORE_MODEL("future_thread_limit", "T0 sets; T1, a plain thread, awaits for a limited time",
		      setup_two_plain, finish, set, await_limited),
	EXPLORE_MODEL("future_set_set", "T0, T1 set; T2 lets go", setup_three, finish, set, set, let_go),
	EXPLORE_MODEL("future_set_set_await", "T0, T1 set; T2 awaits", setup_three, finish, set, set, await),
	EXPLORE_MODEL("future_set_cancel", "T0 sets; T1 cancels; T2 awaits", setup_three, finish, set, cancel,
		      await),
	EXPLORE_MODEL("future_set_cancel_take", "T0 sets; T1 cancels; T2 awaits, takes the value",
		      setup_three, finish, set, cancel, await_and_take),
	EXPLORE_MODEL("future_two_takers", "the future is set; T0, T1 take the value, let go", setup_done,
		      finish, take, take),
	EXPLORE_MODEL_LONG(1, "future_mixed", "T0 sets; T1, a plain thread, and T2, a task, await",
			   setup_three_plain, finish, set, await, await),
	EXPLORE_MODEL("future_fail_read", "T0 fails it; T1 awaits for a limited time", setup_two,
		      finish_failed, fail, read_limited),
	EXPLORE_MODEL("future_fail_let_go", "T0 fails it; T1 awaits for a limited time; T2 lets go",
		      setup_three, finish_failed, fail, read_limited, let_go),
	EXPLORE_MODEL("future_callback", "T0 sets; T1 adds a callback, runs it", setup_two, finish_called,
		      set, callback_runs),
	EXPLORE_MODEL("future_callbacks", "T0 sets; T1 adds two callbacks, runs them in order", setup_two,
		      finish_both, set, callbacks_run),
	EXPLORE_MODEL("future_callback_removed", "T0 sets; T1 adds a callback, turns, removes it, turns",
		      setup_two, finish_called, set, callback_removed),
	EXPLORE_MODEL("future_callback_race", "T0 sets; T1 cancels; T2 adds a callback, turns, removes it",
		      setup_three, finish_called, set, cancel, callback_removed),
};

int main(int argc, char **argv)
{
	return explore_main(argc, argv, models, array_size(models));
}
