/* SPDX-License-Identifier: MIT */
/*
 * The calls of calls.c made by plain threads, which then block. The cases are those of test_suspend.c;
 * a plain thread cannot be cancelled, so what races the result here is the deadline.
 */
#include "tests/support/calls.h"

#include <errno.h>

#include "scheduler/base/proc.h"

/* A plain thread that makes the call. */
struct caller {
	const struct call_kind *kind;
	struct scene *scene;
	hilo_time deadline;
	int result;
	pthread_t thread;
	struct proc_thread proc;
	test_flag started, done;
};

static void *caller_main(void *arg)
{
	struct caller *caller = arg;

	TASK_CHECK(hilo_task_current(), ==, NULL);
	hilo__proc_thread_init(&caller->proc);
	store_release(&caller->started, 1);
	caller->result = caller->kind->call(caller->scene, caller->deadline);
	store_release(&caller->done, 1);
	return NULL;
}

static void caller_start(struct caller *caller, const struct call_kind *kind, struct scene *scene,
			 hilo_time deadline)
{
	*caller = (struct caller){.kind = kind, .scene = scene, .deadline = deadline};
	atomic_setup(&caller->started, 0);
	atomic_setup(&caller->done, 0);
	TASK_CHECK(pthread_create(&caller->thread, NULL, caller_main, caller), ==, 0);
}

#define FOR_EACH_THREAD_KIND(kind)                                                                           \
	FOR_EACH_KIND(kind)                                                                                  \
	if (!(kind->flags & KIND_TASK_ONLY))

/* Until it is asleep in the kernel, as far as can be told: then it is in its call. */
static void caller_blocks(struct caller *caller)
{
	TEST_UNTIL(load_acquire(&caller->started));
	TEST_UNTIL(test_thread_blocks(&caller->proc));
	TASK_CHECK(load_acquire(&caller->done), ==, 0);
}

static int caller_end(struct caller *caller)
{
	test_join_thread(caller->thread);
	return caller->result;
}

TASK_TEST(test_immediate)
{
	FOR_EACH_THREAD_KIND(kind)
	{
		struct scene scene;
		struct caller caller;

		scene_begin(kind, &scene);
		kind->fire(&scene);
		caller_start(&caller, kind, &scene, HILO_FOREVER);
		TASK_CHECK(caller_end(&caller), ==, kind->success);
		scene_finish(kind, &scene, caller.result);
	}
	return 0;
}

TASK_TEST(test_waited)
{
	FOR_EACH_THREAD_KIND(kind)
	{
		struct scene scene;
		struct caller caller;

		scene_begin(kind, &scene);
		caller_start(&caller, kind, &scene, HILO_FOREVER);
		caller_blocks(&caller);
		kind->fire(&scene);
		TASK_CHECK(caller_end(&caller), ==, kind->success);
		scene_finish(kind, &scene, caller.result);
	}
	return 0;
}

TASK_TEST(test_timeout)
{
	static const hilo_time spans[] = {INT64_MIN, 0, 2 * HILO_MILLISECOND};

	FOR_EACH_THREAD_KIND(kind)
	{
		for (size_t i = 0; i < array_size(spans) && !(kind->flags & KIND_NO_DEADLINE); i++) {
			struct scene scene;
			struct caller caller;
			hilo_time deadline;

			scene_begin(kind, &scene);
			deadline = hilo_after(spans[i]);
			caller_start(&caller, kind, &scene, deadline);
			TASK_CHECK(caller_end(&caller), ==, -ETIMEDOUT);
			TASK_CHECK(hilo_now(), >=, deadline);
			scene_finish(kind, &scene, caller.result);
		}
	}
	return 0;
}

TASK_TEST(test_after_a_timeout_the_call_can_be_made_again)
{
	FOR_EACH_THREAD_KIND(kind)
	{
		struct scene scene;
		struct caller caller;

		if (kind->flags & (KIND_NO_DEADLINE | KIND_ONCE))
			continue;
		scene_begin(kind, &scene);
		caller_start(&caller, kind, &scene, hilo_after(HILO_MILLISECOND));
		TASK_CHECK(caller_end(&caller), ==, -ETIMEDOUT);
		kind->fire(&scene);
		caller_start(&caller, kind, &scene, HILO_FOREVER);
		TASK_CHECK(caller_end(&caller), ==, kind->success);
		scene_finish(kind, &scene, caller.result);
	}
	return 0;
}

TASK_TEST(test_close)
{
	FOR_EACH_THREAD_KIND(kind)
	{
		struct scene scene;
		struct caller caller, late;

		if (!kind->close)
			continue;
		scene_begin(kind, &scene);
		caller_start(&caller, kind, &scene, HILO_FOREVER);
		caller_blocks(&caller);
		kind->close(&scene);
		TASK_CHECK(caller_end(&caller), ==, kind->closed);
		caller_start(&late, kind, &scene, HILO_FOREVER);
		TASK_CHECK(caller_end(&late), ==, kind->closed);
		scene_finish(kind, &scene, caller.result);
	}
	return 0;
}

TASK_TEST(test_a_deadline_races_the_result)
{
	unsigned rounds = test_rounds(40), won = 0, late = 0, kinds = 0;
	struct random random;

	random_init(&random, test_seed(), 0);
	FOR_EACH_THREAD_KIND(kind)
	{
		if (kind->flags & KIND_NO_DEADLINE)
			continue;
		kinds++;
		for (unsigned round = 0; round < rounds; round++) {
			struct scene scene;
			struct caller caller;

			scene_begin(kind, &scene);
			caller_start(&caller, kind, &scene,
				     hilo_after(random_below(&random, 200) * HILO_MICROSECOND));
			TEST_UNTIL(load_acquire(&caller.started));
			if (random_below(&random, 2))
				TEST_UNTIL(hilo_now() >= caller.deadline);
			kind->fire(&scene);
			if (caller_end(&caller) == -ETIMEDOUT)
				late++;
			else
				TASK_CHECK(caller.result, ==, kind->success);
			won += caller.result == kind->success;
			scene_finish(kind, &scene, caller.result);
		}
	}
	TASK_CHECK(won + late, ==, rounds * kinds);
	return 0;
}

/* What a plain thread is told by the calls that have nothing to wait for but time, or nothing at all. */
static void test_sleep_and_yield(void **state)
{
	static const hilo_time spans[] = {INT64_MIN, -1, 0, 1, 2 * HILO_MILLISECOND};

	(void)state;
	for (size_t i = 0; i < array_size(spans); i++) {
		hilo_time before = hilo_now();

		assert_int_equal(hilo_sleep(spans[i]), 0);
		assert_true(spans[i] < 0 || hilo_now() >= before + spans[i]);
		before = hilo_now();
		assert_int_equal(hilo_sleep_until(spans[i] < 0 ? spans[i] : before + spans[i]), 0);
		assert_true(spans[i] < 0 || hilo_now() >= before + spans[i]);
	}
	for (int i = 0; i < 100; i++) {
		assert_int_equal(hilo_yield(), 0);
		assert_int_equal(hilo_checkpoint(), 0);
	}
	assert_int_equal(hilo_task_uncancel(), -EDEADLK);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_immediate),
		cmocka_unit_test(test_waited),
		cmocka_unit_test(test_timeout),
		cmocka_unit_test(test_after_a_timeout_the_call_can_be_made_again),
		cmocka_unit_test(test_close),
		cmocka_unit_test(test_a_deadline_races_the_result),
		cmocka_unit_test(test_sleep_and_yield),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
