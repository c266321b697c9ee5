/* SPDX-License-Identifier: MIT */
#include "tests/support/test.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "scheduler/wait.h"

static hilo_rwlock rwlock;

static bool waits_for(hilo_task *task, const void *object)
{
	struct wait_seen seen;

	return hilo__wait_look(task, &seen) && seen.object == object;
}

static void unlock(void)
{
	TASK_CHECK(hilo_rwlock_unlock(&rwlock), ==, 0);
}

/* One that locks, tells when, and unlocks when told to. */
struct one {
	bool writes;
	hilo_time deadline;
	hilo_future *leave; /* NULL: at once */
	atomic(unsigned) * clock;
	unsigned when;
	test_flag inside;
	int result;
};

static int locks(void *arg)
{
	struct one *one = arg;

	one->result = one->writes ? hilo_rwlock_write(&rwlock, one->deadline)
				  : hilo_rwlock_read(&rwlock, one->deadline);
	if (one->result < 0)
		return 0;
	one->when = add_acq_rel(one->clock, 1);
	store_release(&one->inside, 1);
	if (one->leave)
		TASK_CHECK(hilo_future_await(one->leave, NULL, HILO_FOREVER), ==, 0);
	unlock();
	return 0;
}

static void *locks_in_a_thread(void *arg)
{
	(void)locks(arg);
	return NULL;
}

static atomic(unsigned) steps;

static struct one make(bool writes)
{
	return (struct one){.writes = writes, .deadline = HILO_FOREVER, .clock = &steps};
}

static void fresh(void)
{
	hilo_rwlock_init(&rwlock);
	store_release(&steps, 0);
}

/* Start it, and see it wait. */
static hilo_task *start(struct one *one)
{
	hilo_task *task = hilo_spawn(locks, one);

	TEST_UNTIL(waits_for(task, &rwlock));
	return task;
}

static void end(hilo_task *task, const struct one *one, int result)
{
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 0);
	TASK_CHECK(one->result, ==, result);
}

TASK_TEST(test_a_free_lock_is_taken_at_once)
{
	fresh();
	TASK_CHECK(hilo_rwlock_write(&rwlock, HILO_NO_WAIT), ==, 0);
	unlock();
	TASK_CHECK(hilo_rwlock_read(&rwlock, HILO_NO_WAIT), ==, 0);
	TASK_CHECK(hilo_rwlock_try_read(&rwlock), ==, 0);
	TASK_CHECK(hilo_rwlock_try_write(&rwlock), ==, -EAGAIN);
	TASK_CHECK(hilo_rwlock_destroy(&rwlock), ==, -EBUSY);
	TASK_CHECK(hilo_rwlock_write(&rwlock, HILO_NO_WAIT), ==, -ETIMEDOUT);
	unlock();
	TASK_CHECK(hilo_rwlock_try_write(&rwlock), ==, -EAGAIN);
	unlock();
	TASK_CHECK(hilo_rwlock_try_write(&rwlock), ==, 0);
	unlock();
	TASK_CHECK(hilo_rwlock_destroy(&rwlock), ==, 0);
	return 0;
}

TASK_TEST(test_readers_are_in_together)
{
	struct one one[3];
	hilo_task *task[3];
	hilo_future *leave = hilo_future_new();

	fresh();
	for (int i = 0; i < 3; i++) {
		one[i] = make(false);
		one[i].leave = leave;
		task[i] = hilo_spawn(locks, &one[i]);
	}
	for (int i = 0; i < 3; i++)
		TEST_UNTIL(load_acquire(&one[i].inside));
	TASK_CHECK(hilo_future_set(leave, NULL, NULL), ==, 0);
	for (int i = 0; i < 3; i++)
		end(task[i], &one[i], 0);
	TASK_CHECK(hilo_rwlock_destroy(&rwlock), ==, 0);
	hilo_future_unref(leave);
	return 0;
}

/* We write; a writer waits, then a reader, then a writer: the reader is first, then the writers in order. */
static int take_turns(void *arg)
{
	struct one one[4] = {make(true), make(false), make(true), make(false)};
	const unsigned when[4] = {2, 0, 3, 0};
	bool turns = arg; /* else those that run get on first, whoever they are */
	hilo_task *task[4];

	fresh();
	TASK_CHECK(hilo_rwlock_write(&rwlock, HILO_FOREVER), ==, 0);
	for (int i = 0; i < 4; i++)
		task[i] = start(&one[i]);
	unlock();
	for (int i = 0; i < 4; i++) {
		end(task[i], &one[i], 0);
		if (turns && one[i].writes)
			TASK_CHECK(one[i].when, ==, when[i]);
		else if (turns)
			TASK_CHECK(one[i].when, <, 2);
	}
	TASK_CHECK(one[0].when, <, one[2].when);
	TASK_CHECK(hilo_rwlock_destroy(&rwlock), ==, 0);
	return 0;
}

static void test_readers_and_writers_take_turns(void **state)
{
	int one;

	(void)state;
	assert_int_equal(test_run(1, take_turns, &one), 0);
	assert_int_equal(test_run(2, take_turns, NULL), 0);
	assert_int_equal(test_run(4, take_turns, NULL), 0);
}

/* Readers that come and go while a writer waits: for a while they may pass it, then it is their turn to wait. */
static void until_turns_are_taken(void)
{
	int rc;

	while ((rc = hilo_rwlock_try_read(&rwlock)) == 0)
		unlock();
	TASK_CHECK(rc, ==, -EAGAIN);
}

TASK_TEST(test_a_reader_does_not_pass_a_writer_that_has_waited_long)
{
	struct one writer = make(true), reader = make(false);
	hilo_task *writing, *reading;

	fresh();
	TASK_CHECK(hilo_rwlock_read(&rwlock, HILO_FOREVER), ==, 0);
	writing = start(&writer);
	until_turns_are_taken();
	reading = start(&reader);
	unlock();
	end(writing, &writer, 0);
	end(reading, &reader, 0);
	TASK_CHECK(writer.when, ==, 0);
	return 0;
}

static int reader_does_not_pass(void *arg)
{
	struct one writer = make(true), reader = make(false);
	hilo_task *writing, *reading;

	(void)arg;
	fresh();
	TASK_CHECK(hilo_rwlock_read(&rwlock, HILO_FOREVER), ==, 0);
	writing = start(&writer);
	TASK_CHECK(hilo_rwlock_try_read(&rwlock), ==, -EAGAIN);
	reading = start(&reader);
	unlock();
	/* It is the writer's: who comes now queues up. */
	TASK_CHECK(hilo_rwlock_try_read(&rwlock), ==, -EAGAIN);
	end(writing, &writer, 0);
	end(reading, &reader, 0);
	TASK_CHECK(writer.when, ==, 0);
	return 0;
}

static void test_one_worker_takes_turns(void **state)
{
	(void)state;
	hilo__nobody_stands_in = true;
	assert_int_equal(test_run(1, reader_does_not_pass, NULL), 0);
	hilo__nobody_stands_in = false;
}

/* Two runtimes of one worker each have no order to keep: who runs gets on. */
static atomic(bool) passed;

static int writes_all_the_time(void *arg)
{
	while (!load_acquire(&passed)) {
		TASK_CHECK(hilo_rwlock_write(&rwlock, HILO_FOREVER), ==, 0);
		unlock();
	}
	return *(int *)arg;
}

static void *writes_in_a_runtime(void *arg)
{
	TASK_CHECK(test_run(1, writes_all_the_time, arg), ==, 0);
	return NULL;
}

static int passes_a_waiter(void *arg)
{
	(void)arg;
	while (!load_acquire(&passed)) {
		TASK_CHECK(hilo_rwlock_write(&rwlock, HILO_FOREVER), ==, 0);
		for (int i = 0; i < 10000 && !(load_relaxed((atomic(uintptr_t) *)(void *)&rwlock) & 1); i++)
			cpu_relax();
		if (load_relaxed((atomic(uintptr_t) *)(void *)&rwlock) & 1) { /* somebody waits */
			unlock();
			if (hilo_rwlock_try_write(&rwlock) < 0)
				continue;
			store_release(&passed, true);
		}
		unlock();
	}
	return 0;
}

static void test_one_of_another_runtime_may_be_passed(void **state)
{
	pthread_t thread;
	int result = 0;

	(void)state;
	fresh();
	store_release(&passed, false);
	assert_int_equal(pthread_create(&thread, NULL, writes_in_a_runtime, &result), 0);
	assert_int_equal(test_run(1, passes_a_waiter, NULL), 0);
	test_join_thread(thread);
	assert_int_equal(hilo_rwlock_destroy(&rwlock), 0);
}

TASK_TEST(test_readers_come_in_when_the_writer_leaves)
{
	struct one writer = make(true), reader = make(false);
	hilo_task *writing, *reading;

	fresh();
	TASK_CHECK(hilo_rwlock_read(&rwlock, HILO_FOREVER), ==, 0);
	writing = start(&writer);
	until_turns_are_taken();
	reading = start(&reader);
	TASK_CHECK(hilo_task_cancel(writing), ==, 0);
	end(writing, &writer, -ECANCELED);
	end(reading, &reader, 0); /* while we read */
	unlock();
	TASK_CHECK(hilo_rwlock_destroy(&rwlock), ==, 0);
	return 0;
}

TASK_TEST(test_a_wait_ends_at_its_deadline)
{
	hilo_time limits[] = {HILO_NO_WAIT, 1, hilo_after(HILO_MILLISECOND)};

	fresh();
	TASK_CHECK(hilo_rwlock_write(&rwlock, HILO_FOREVER), ==, 0);
	for (unsigned i = 0; i < 2 * array_size(limits); i++) {
		struct one one = make(i % 2);

		one.deadline = limits[i / 2];
		end(hilo_spawn(locks, &one), &one, -ETIMEDOUT);
	}
	unlock();
	TASK_CHECK(hilo_rwlock_destroy(&rwlock), ==, 0);
	return 0;
}

static int cancelled_before(void *arg)
{
	(void)arg;
	TASK_CHECK(hilo_task_cancel(hilo_task_current()), ==, 0);
	TASK_CHECK(hilo_rwlock_read(&rwlock, HILO_FOREVER), ==, -ECANCELED);
	TASK_CHECK(hilo_rwlock_write(&rwlock, HILO_FOREVER), ==, -ECANCELED);
	return 0;
}

TASK_TEST(test_a_cancel_that_is_set_comes_first)
{
	fresh();
	TASK_CHECK(hilo_join(hilo_spawn(cancelled_before, NULL), HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_rwlock_destroy(&rwlock), ==, 0);
	return 0;
}

TASK_TEST(test_a_writer_becomes_a_reader)
{
	struct one writer = make(true), reader = make(false);
	hilo_task *writing, *reading;

	fresh();
	TASK_CHECK(hilo_rwlock_downgrade(&rwlock), ==, -EPERM);
	TASK_CHECK(hilo_rwlock_write(&rwlock, HILO_FOREVER), ==, 0);
	writing = start(&writer);
	reading = start(&reader);
	TASK_CHECK(hilo_rwlock_downgrade(&rwlock), ==, 0);
	end(reading, &reader, 0); /* while we read */
	TASK_CHECK(hilo_rwlock_downgrade(&rwlock), ==, -EPERM);
	TASK_CHECK(waits_for(writing, &rwlock), ==, true);
	unlock();
	end(writing, &writer, 0);
	TASK_CHECK(hilo_rwlock_destroy(&rwlock), ==, 0);
	return 0;
}

static int unlocks_anothers(void *arg)
{
	(void)arg;
	TASK_CHECK(hilo_rwlock_unlock(&rwlock), ==, -EPERM);
	TASK_CHECK_CONTAINS(hilo_error_message(), "another");
	TASK_CHECK(hilo_rwlock_downgrade(&rwlock), ==, -EPERM);
	return 0;
}

static void callback(void *arg)
{
	TASK_CHECK(hilo_rwlock_read(&rwlock, HILO_FOREVER), ==, -EDEADLK);
	TASK_CHECK(hilo_rwlock_write(&rwlock, HILO_FOREVER), ==, -EDEADLK);
	TASK_CHECK(hilo_rwlock_try_read(&rwlock), ==, -EDEADLK);
	TASK_CHECK(hilo_rwlock_unlock(&rwlock), ==, -EPERM);
	TASK_CHECK(hilo_future_set(arg, NULL, NULL), ==, 0);
}

TASK_TEST(test_misuse_is_answered)
{
	hilo_future *future = hilo_future_new();

	fresh();
	TASK_CHECK(hilo_call_soon(callback, future, NULL), ==, 0);
	TASK_CHECK(hilo_future_await(future, NULL, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_rwlock_unlock(&rwlock), ==, -EPERM);
	TASK_CHECK(hilo_rwlock_write(&rwlock, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_rwlock_write(&rwlock, HILO_FOREVER), ==, -EDEADLK);
	TASK_CHECK(hilo_rwlock_read(&rwlock, HILO_FOREVER), ==, -EDEADLK);
	TASK_CHECK_CONTAINS(hilo_error_message(), hilo_task_name(hilo_task_current()));
	TASK_CHECK(hilo_rwlock_try_write(&rwlock), ==, -EDEADLK);
	TASK_CHECK(hilo_join(hilo_spawn(unlocks_anothers, NULL), HILO_FOREVER), ==, 0);
	unlock();
	TASK_CHECK(hilo_rwlock_destroy(&rwlock), ==, 0);
	hilo_future_unref(future);
	return 0;
}

TASK_TEST(test_plain_threads_wait_too)
{
	struct one writer = make(true), reader = make(false);
	pthread_t thread[2];

	fresh();
	TASK_CHECK(hilo_rwlock_write(&rwlock, HILO_FOREVER), ==, 0);
	TASK_CHECK(pthread_create(&thread[0], NULL, locks_in_a_thread, &writer), ==, 0);
	TASK_CHECK(pthread_create(&thread[1], NULL, locks_in_a_thread, &reader), ==, 0);
	TEST_UNTIL(load_relaxed((atomic(uintptr_t) *)(void *)&rwlock) & 1); /* somebody waits */
	unlock();
	for (int i = 0; i < 2; i++)
		test_join_thread(thread[i]);
	TASK_CHECK(writer.result, ==, 0);
	TASK_CHECK(reader.result, ==, 0);
	return 0;
}

TASK_TEST(test_blocks_lock_and_unlock)
{
	int rc;

	fresh();
	HILO_WITH_READ(&rwlock, &rc)
	{
		TASK_CHECK(hilo_rwlock_try_write(&rwlock), ==, -EAGAIN);
		TASK_CHECK(hilo_rwlock_try_read(&rwlock), ==, 0);
		unlock();
	}
	TASK_CHECK(rc, ==, 0);
	HILO_WITH_WRITE(&rwlock, &rc)
	{
		TASK_CHECK(hilo_rwlock_try_read(&rwlock), ==, -EDEADLK);
		rc = -EIO;
		break;
	}
	TASK_CHECK(rc, ==, -EIO);
	TASK_CHECK(hilo_rwlock_destroy(&rwlock), ==, 0);
	return 0;
}

/* ---- many ---- */

struct crowd {
	unsigned rounds;
	unsigned long first, second; /* under the lock: the same, but while somebody writes */
};

static int crowd_work(void *arg)
{
	struct crowd *crowd = arg;

	for (unsigned i = 0; i < crowd->rounds; i++) {
		if (i % 4) {
			TASK_CHECK(hilo_rwlock_read(&rwlock, HILO_FOREVER), ==, 0);
			TASK_CHECK(crowd->first, ==, crowd->second);
			if (i % 16 == 1)
				test_pause();
			TASK_CHECK(crowd->first, ==, crowd->second);
		} else {
			TASK_CHECK(hilo_rwlock_write(&rwlock, HILO_FOREVER), ==, 0);
			crowd->first++;
			if (i % 16 == 0)
				test_pause();
			crowd->second++;
			if (i % 8 == 0) {
				TASK_CHECK(hilo_rwlock_downgrade(&rwlock), ==, 0);
				TASK_CHECK(crowd->first, ==, crowd->second);
			}
		}
		unlock();
	}
	return 0;
}

static void *crowd_thread(void *arg)
{
	(void)crowd_work(arg);
	return NULL;
}

static int crowd_body(void *arg)
{
	struct crowd crowd = {.rounds = 4 * test_rounds(100)};
	hilo_task *task[8];
	pthread_t thread[2];

	(void)arg;
	fresh();
	for (int i = 0; i < 2; i++)
		TASK_CHECK(pthread_create(&thread[i], NULL, crowd_thread, &crowd), ==, 0);
	for (int i = 0; i < 8; i++)
		task[i] = hilo_spawn(crowd_work, &crowd);
	for (int i = 0; i < 8; i++)
		TASK_CHECK(hilo_join(task[i], HILO_FOREVER), ==, 0);
	for (int i = 0; i < 2; i++)
		test_join_thread(thread[i]);
	TASK_CHECK(crowd.first, ==, 10 * crowd.rounds / 4);
	TASK_CHECK(hilo_rwlock_destroy(&rwlock), ==, 0);
	return 0;
}

static void test_tasks_and_threads_read_and_write(void **state)
{
	const unsigned workers[] = {1, 2, 8};

	(void)state;
	for (unsigned i = 0; i < array_size(workers); i++)
		assert_int_equal(test_run(workers[i], crowd_body, NULL), 0);
}

static int reads_late(void *arg)
{
	hilo_rwlock *last = arg;

	TASK_CHECK(hilo_rwlock_read(last, HILO_FOREVER), ==, 0);
	test_pause();
	return hilo_rwlock_unlock(last);
}

TASK_TEST(test_the_last_writer_may_free_it)
{
	for (unsigned i = 0; i < test_rounds(200); i++) {
		hilo_rwlock *last = calloc(1, sizeof(*last));
		hilo_task *task = hilo_spawn(reads_late, last);

		TEST_UNTIL(hilo_rwlock_destroy(last) == -EBUSY || hilo_task_is_done(task));
		TASK_CHECK(hilo_rwlock_write(last, HILO_FOREVER), ==, 0);
		TASK_CHECK(hilo_rwlock_unlock(last), ==, 0);
		memset(last, 0xff, sizeof(*last));
		free(last);
		TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 0);
	}
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_free_lock_is_taken_at_once),
		cmocka_unit_test(test_readers_are_in_together),
		cmocka_unit_test(test_readers_and_writers_take_turns),
		cmocka_unit_test(test_a_reader_does_not_pass_a_writer_that_has_waited_long),
		cmocka_unit_test(test_one_worker_takes_turns),
		cmocka_unit_test(test_one_of_another_runtime_may_be_passed),
		cmocka_unit_test(test_readers_come_in_when_the_writer_leaves),
		cmocka_unit_test(test_a_wait_ends_at_its_deadline),
		cmocka_unit_test(test_a_cancel_that_is_set_comes_first),
		cmocka_unit_test(test_a_writer_becomes_a_reader),
		cmocka_unit_test(test_misuse_is_answered),
		cmocka_unit_test(test_plain_threads_wait_too),
		cmocka_unit_test(test_blocks_lock_and_unlock),
		cmocka_unit_test(test_tasks_and_threads_read_and_write),
		cmocka_unit_test(test_the_last_writer_may_free_it),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
