/* SPDX-License-Identifier: MIT */
/*
 * Each call that suspends, in the six cases that each must get right: its result is there at once; it
 * comes later; the deadline passes; the task is cancelled; the object is closed; and a cancel races
 * the result, where nothing may be lost and nothing done twice. Here tasks make the calls of calls.c.
 * Where the other cases are, or why there is none:
 *
 *	call			at once	later	timeout	cancel	close	race
 *	await, join		x	x	x	x	a	x
 *	future			x	x	x	x	a	x
 *	wait, gather, wait_for	x	x	x	x	a	x
 *	run			x	x	b	x	a	x
 *	run_until_complete	x	x	b	x	g	x
 *	runtime close		x	x	x	x	a	x
 *	executor, room		x	x	x	x	x	x
 *	submit, map		x	x	x	x	x	x
 *	executor close		x	x	x	x	a	x
 *	readable, writable	x	x	x	x	c	x
 *	event, semaphore	x	x	x	x	a	x
 *	barrier, wait group, latch
 *				x	x	x	x	a	x
 *	sleep, sleep_until	s	s	d	s	a	s
 *	yield			s	s	b	s	a	s
 *	checkpoint		s	s	b	s	a	s
 *	  and from a plain thread:
 *	await, join, future	t	t	t	e	a	t, with the deadline
 *	wait, gather		t	t	t	e	a	t, with the deadline
 *	run			t	t	b	e	a	b
 *	run_until_complete	t	t	b	e	g	b
 *	runtime close		t	t	t	e	a	t, with the deadline
 *	executor, room		t	t	t	e	t	t, with the deadline
 *	submit, map		t	t	t	e	t	t, with the deadline
 *	executor close		t	t	t	e	a	t, with the deadline
 *	readable, writable	t	t	t	e	c	t, with the deadline
 *	event, semaphore	t	t	t	e	a	t, with the deadline
 *	barrier, wait group, latch
 *				t	t	t	e	a	t, with the deadline
 *	sleep, sleep_until	t	t	d	e	a	e
 *	yield, checkpoint	t	f	b	e	a	e
 *
 * hilo_to_thread is the call "executor" with another name.
 *
 * x  here		s  test_suspend_yield.c		t  test_suspend_thread.c
 * a  nothing that could be closed: a task or a future ends, which is the result; closing an executor or a
 *    runtime is done by one caller at a time; to sleep takes no object; locks and their like are not closed,
 *    resetting a barrier is in test_barrier.c
 * b  takes no deadline
 * c  the descriptor must stay open meanwhile; what happens if it does not is in test_loop.c
 * d  the deadline is the result
 * e  a plain thread has no handle by which it could be cancelled
 * f  never waits: yields to the kernel, or does nothing
 * g  a runtime is not closed while somebody is in it: test_runtime_object.c
 */
#include "tests/support/calls.h"

#include <errno.h>

/* A task that makes the call. */
struct caller {
	const struct call_kind *kind;
	struct scene *scene;
	hilo_time deadline;
	int result;
	atomic(unsigned) started;
};

static int caller_main(void *arg)
{
	struct caller *caller = arg;

	store_release(&caller->started, 1);
	caller->result = caller->kind->call(caller->scene, caller->deadline);
	return 1;
}

TASK_TEST(test_immediate)
{
	FOR_EACH_KIND(kind)
	{
		struct scene scene;
		int result;

		scene_begin(kind, &scene);
		kind->fire(&scene);
		result = kind->call(&scene, HILO_FOREVER);
		TASK_CHECK(result, ==, kind->success);
		scene_finish(kind, &scene, result);
	}
	return 0;
}

TASK_TEST(test_waited)
{
	FOR_EACH_KIND(kind)
	{
		struct scene scene;
		struct caller caller = {kind, &scene, HILO_FOREVER, 0, 0};
		hilo_task *task;

		scene_begin(kind, &scene);
		task = hilo_spawn(caller_main, &caller);
		TEST_UNTIL(hilo_task_get_state(task) == HILO_TASK_SUSPENDED);
		kind->fire(&scene);
		TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 1);
		TASK_CHECK(caller.result, ==, kind->success);
		scene_finish(kind, &scene, caller.result);
	}
	return 0;
}

TASK_TEST(test_timeout)
{
	FOR_EACH_KIND(kind)
	{
		static const hilo_time spans[] = {INT64_MIN, 0, 2 * HILO_MILLISECOND};

		for (size_t i = 0; i < array_size(spans) && !(kind->flags & KIND_NO_DEADLINE); i++) {
			struct scene scene;
			hilo_time deadline;
			int result;

			scene_begin(kind, &scene);
			deadline = hilo_after(spans[i]);
			result = kind->call(&scene, deadline);
			TASK_CHECK(result, ==, -ETIMEDOUT);
			TASK_CHECK(hilo_now(), >=, deadline);
			scene_finish(kind, &scene, result);
		}
	}
	return 0;
}

TASK_TEST(test_after_a_timeout_the_call_can_be_made_again)
{
	FOR_EACH_KIND(kind)
	{
		struct scene scene;
		int result;

		if (kind->flags & (KIND_NO_DEADLINE | KIND_ONCE))
			continue;
		scene_begin(kind, &scene);
		TASK_CHECK(kind->call(&scene, hilo_after(HILO_MILLISECOND)), ==, -ETIMEDOUT);
		kind->fire(&scene);
		result = kind->call(&scene, HILO_FOREVER);
		TASK_CHECK(result, ==, kind->success);
		scene_finish(kind, &scene, result);
	}
	return 0;
}

TASK_TEST(test_cancel)
{
	FOR_EACH_KIND(kind)
	{
		struct scene scene;
		struct caller caller = {kind, &scene, HILO_FOREVER, 0, 0};
		hilo_task *task;

		scene_begin(kind, &scene);
		task = hilo_spawn(caller_main, &caller);
		TEST_UNTIL(hilo_task_get_state(task) == HILO_TASK_SUSPENDED);
		TASK_CHECK(hilo_task_cancel(task), ==, 0);
		TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 1);
		TASK_CHECK(caller.result, ==, -ECANCELED);
		scene_finish(kind, &scene, caller.result);
	}
	return 0;
}

TASK_TEST(test_close)
{
	FOR_EACH_KIND(kind)
	{
		struct scene scene;
		struct caller caller = {kind, &scene, HILO_FOREVER, 0, 0};
		hilo_task *task;

		if (!kind->close)
			continue;
		scene_begin(kind, &scene);
		task = hilo_spawn(caller_main, &caller);
		TEST_UNTIL(hilo_task_get_state(task) == HILO_TASK_SUSPENDED);
		kind->close(&scene);
		TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 1);
		TASK_CHECK(caller.result, ==, kind->closed);
		TASK_CHECK(kind->call(&scene, HILO_FOREVER), ==, kind->closed);
		scene_finish(kind, &scene, caller.result);
	}
	return 0;
}

struct racer {
	const struct call_kind *kind;
	struct scene *scene;
	hilo_task *task;
	atomic(unsigned) * start;
};

static void racer_line_up(struct racer *racer)
{
	(void)sub_release(racer->start, 1);
	while (load_acquire(racer->start))
		TASK_CHECK(hilo_yield(), ==, 0);
}

static int racer_fire(void *arg)
{
	struct racer *racer = arg;

	racer_line_up(racer);
	racer->kind->fire(racer->scene);
	return 0;
}

static int racer_cancel(void *arg)
{
	struct racer *racer = arg;
	int rc;

	racer_line_up(racer);
	rc = hilo_task_cancel(racer->task);
	return rc == -EALREADY ? 0 : rc;
}

TASK_TEST(test_a_cancel_races_the_result)
{
	unsigned rounds = test_rounds(40), won = 0, cancelled = 0;

	FOR_EACH_KIND(kind)
	{
		for (unsigned round = 0; round < rounds; round++) {
			struct scene scene;
			struct caller caller = {kind, &scene, HILO_FOREVER, 0, 0};
			atomic(unsigned) start;
			struct racer racer = {kind, &scene, NULL, &start};
			hilo_task *task, *fire, *cancel;

			atomic_setup(&start, 2);
			scene_begin(kind, &scene);
			racer.task = task = hilo_spawn(caller_main, &caller);
			if (round & 1)
				TEST_UNTIL(hilo_task_get_state(task) == HILO_TASK_SUSPENDED);
			else /* not yet in the call, perhaps: but started, or it would never make it */
				TEST_UNTIL(load_acquire(&caller.started));
			fire = hilo_spawn(round & 2 ? racer_fire : racer_cancel, &racer);
			cancel = hilo_spawn(round & 2 ? racer_cancel : racer_fire, &racer);
			TASK_CHECK(hilo_join(fire, HILO_FOREVER), ==, 0);
			TASK_CHECK(hilo_join(cancel, HILO_FOREVER), ==, 0);
			TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 1);
			if (caller.result == -ECANCELED)
				cancelled++;
			else
				TASK_CHECK(caller.result, ==, kind->success);
			won += caller.result == kind->success;
			scene_finish(kind, &scene, caller.result);
		}
	}
	TASK_CHECK(won + cancelled, ==, rounds * test_call_kinds_count);
	return 0;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_immediate),
		cmocka_unit_test(test_waited),
		cmocka_unit_test(test_timeout),
		cmocka_unit_test(test_after_a_timeout_the_call_can_be_made_again),
		cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_close),
		cmocka_unit_test(test_a_cancel_races_the_result),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
