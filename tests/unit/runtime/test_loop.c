/* SPDX-License-Identifier: MIT */
#include "tests/support/test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "scheduler/base/mem.h"
#include "tests/support/simulate.h"

/* Run @body as a task that stays on one loop. */
static int run_pinned(hilo_task_fn body, void *arg)
{
	hilo_task_opts opts = {.size = sizeof(opts), .flags = HILO_TASK_PINNED};
	hilo_task *task;

	TASK_CHECK(hilo_spawn_with(body, arg, &opts, &task), ==, 0);
	return hilo_join(task, HILO_FOREVER);
}

#define PINNED_TEST(name)                                                                                    \
	static int name##_pinned(void *arg);                                                                 \
	LOOP_TEST(name)                                                                                      \
	{                                                                                                    \
		return run_pinned(name##_pinned, NULL);                                                      \
	}                                                                                                    \
	static int name##_pinned(__attribute__((unused)) void *arg)

#define CALLS 500

/* Calls with a number each, and where they came. */
struct sequence {
	hilo_loop *loop;
	atomic(unsigned) count;
	unsigned order[CALLS];
};

struct numbered {
	struct sequence *sequence;
	unsigned number;
	hilo_time when;
};

static void sequence_init(struct sequence *sequence)
{
	sequence->loop = hilo_loop_current();
	atomic_setup(&sequence->count, 0);
}

static void sequence_add(void *arg)
{
	struct numbered *numbered = arg;
	struct sequence *sequence = numbered->sequence;
	unsigned count = load_relaxed(&sequence->count);

	TASK_CHECK(hilo_loop_current(), ==, sequence->loop);
	TASK_CHECK(hilo_task_current(), ==, NULL);
	TASK_CHECK(hilo_now(), >=, numbered->when);
	sequence->order[count] = numbered->number;
	store_release(&sequence->count, count + 1);
}

static struct numbered *numbered_make(struct sequence *sequence, unsigned count)
{
	static struct numbered numbered[CALLS];

	sequence_init(sequence);
	for (unsigned i = 0; i < count; i++)
		numbered[i] = (struct numbered){.sequence = sequence, .number = i};
	return numbered;
}

PINNED_TEST(test_call_soon_is_first_in_first_out)
{
	static struct sequence sequence;
	struct numbered *numbered = numbered_make(&sequence, CALLS);

	for (unsigned i = 0; i < CALLS; i++)
		TASK_CHECK(hilo_call_soon(sequence_add, &numbered[i], NULL), ==, 0);
	TEST_UNTIL(load_acquire(&sequence.count) == CALLS);
	for (unsigned i = 0; i < CALLS; i++)
		TASK_CHECK(sequence.order[i], ==, i);
	return 0;
}

#define SENDERS 4

static void *sender_main(void *arg)
{
	struct numbered *numbered = arg;

	for (unsigned i = 0; i < CALLS / SENDERS; i++)
		TASK_CHECK(
			hilo_call_soon_threadsafe(numbered->sequence->loop, sequence_add, &numbered[i], NULL),
			==, 0);
	return NULL;
}

/* From several threads each in its own order; the loop sleeps now and then. */
PINNED_TEST(test_calls_of_a_thread_come_in_its_order)
{
	static struct sequence sequence;
	struct numbered *numbered = numbered_make(&sequence, CALLS);
	unsigned next[SENDERS], each = CALLS / SENDERS;
	pthread_t thread[SENDERS];

	for (unsigned i = 0; i < SENDERS; i++) {
		next[i] = i * each;
		TASK_CHECK(pthread_create(&thread[i], NULL, sender_main, &numbered[i * each]), ==, 0);
	}
	while (load_acquire(&sequence.count) < SENDERS * each)
		TASK_CHECK(hilo_sleep(100 * HILO_MICROSECOND), ==, 0);
	for (unsigned i = 0; i < SENDERS * each; i++)
		TASK_CHECK(sequence.order[i], ==, next[sequence.order[i] / each]++);
	for (unsigned i = 0; i < SENDERS; i++)
		test_join_thread(thread[i]);
	return 0;
}

PINNED_TEST(test_later_is_never_earlier_and_in_order)
{
	static struct sequence sequence;
	struct numbered *numbered = numbered_make(&sequence, 64);
	struct random random;
	hilo_time same = hilo_after(3 * HILO_MILLISECOND);

	random_init(&random, test_seed(), 1);
	for (unsigned i = 0; i < 32; i++) {
		hilo_time delay = random_below(&random, 5000) * HILO_MICROSECOND;

		numbered[i].when = hilo_now() + delay;
		TASK_CHECK(hilo_call_later(delay, sequence_add, &numbered[i], NULL), ==, 0);
	}
	for (unsigned i = 32; i < 64; i++) {
		numbered[i].when = same;
		TASK_CHECK(hilo_call_at(same, sequence_add, &numbered[i], NULL), ==, 0);
	}
	TEST_UNTIL(load_acquire(&sequence.count) == 64);
	/* By time; equal ones in the order of asking. */
	for (unsigned i = 0, last = 31; i < 64; i++)
		if (sequence.order[i] >= 32)
			TASK_CHECK(sequence.order[i], ==, ++last);
	return 0;
}

PINNED_TEST(test_calls_of_the_past_come_soon)
{
	static struct sequence sequence;
	struct numbered *numbered = numbered_make(&sequence, 4);

	TASK_CHECK(hilo_call_later(-5, sequence_add, &numbered[0], NULL), ==, 0);
	TASK_CHECK(hilo_call_later(0, sequence_add, &numbered[1], NULL), ==, 0);
	TASK_CHECK(hilo_call_at(0, sequence_add, &numbered[2], NULL), ==, 0);
	TASK_CHECK(hilo_call_at(hilo_now() - HILO_SECOND, sequence_add, &numbered[3], NULL), ==, 0);
	TEST_UNTIL(load_acquire(&sequence.count) == 4);
	return 0;
}

/* A far timer is neither run nor leaked at the end. */
static void far_call(void *arg)
{
	TASK_CHECK((intptr_t)arg, ==, 1);
}

PINNED_TEST(test_calls_that_never_come)
{
	hilo_handle *handle;

	TASK_CHECK(hilo_call_later(HILO_FOREVER, far_call, NULL, NULL), ==, 0);
	TASK_CHECK(hilo_call_later(1000 * HILO_MINUTE, far_call, NULL, &handle), ==, 0);
	hilo_handle_unref(handle);
	TASK_CHECK(hilo_call_at(HILO_FOREVER, far_call, NULL, NULL), ==, -EINVAL);
	return 0;
}

PINNED_TEST(test_cancelled_calls_do_not_run)
{
	static struct sequence sequence;
	struct numbered *numbered = numbered_make(&sequence, 4);
	hilo_handle *soon, *later, *ran;

	TASK_CHECK(hilo_call_soon(sequence_add, &numbered[0], &soon), ==, 0);
	TASK_CHECK(hilo_call_later(HILO_MILLISECOND, sequence_add, &numbered[1], &later), ==, 0);
	TASK_CHECK(hilo_call_later(2 * HILO_MILLISECOND, sequence_add, &numbered[2], &ran), ==, 0);
	TASK_CHECK(hilo_handle_cancelled(soon), ==, 0);
	TASK_CHECK(hilo_handle_cancel(soon), ==, 0);
	TASK_CHECK(hilo_handle_cancelled(soon), ==, 1);
	TASK_CHECK(hilo_handle_cancel(soon), ==, -EALREADY);
	TASK_CHECK(hilo_handle_cancel(later), ==, 0);
	TEST_UNTIL(load_acquire(&sequence.count) == 1);
	TASK_CHECK(sequence.order[0], ==, 2);
	TASK_CHECK(hilo_handle_cancel(ran), ==, -EALREADY);
	TASK_CHECK(hilo_handle_cancelled(later), ==, 1);
	TASK_CHECK(hilo_handle_cancelled(ran), ==, 0);
	hilo_handle_unref(soon);
	hilo_handle_unref(later);
	hilo_handle_unref(ran);
	hilo_handle_unref(NULL);
	TASK_CHECK(hilo_handle_cancel(NULL), <, 0);
	TASK_CHECK(hilo_handle_cancelled(NULL), ==, 0);
	return 0;
}

static atomic(unsigned) asked;

static void handle_ask(void *arg)
{
	hilo_handle *const *handle = arg;

	TASK_CHECK(hilo_handle_cancelled(*handle), ==, 0);
	TASK_CHECK(hilo_handle_when(*handle), <=, hilo_now());
	TASK_CHECK(hilo_handle_cancel(*handle), ==, -EALREADY);
	TASK_CHECK(hilo_handle_cancelled(*handle), ==, 0);
	(void)add_release(&asked, 1);
}

PINNED_TEST(test_a_handle_tells_when_it_is_called)
{
	hilo_time when = hilo_after(2 * HILO_MILLISECOND), before = hilo_now();
	hilo_handle *soon, *at, *later, *never;

	atomic_setup(&asked, 0);
	TASK_CHECK(hilo_call_soon(handle_ask, &soon, &soon), ==, 0);
	TASK_CHECK(hilo_call_at(when, handle_ask, &at, &at), ==, 0);
	TASK_CHECK(hilo_call_later(HILO_MILLISECOND, handle_ask, &later, &later), ==, 0);
	TASK_CHECK(hilo_call_later(HILO_FOREVER, far_call, NULL, &never), ==, 0);
	TASK_CHECK(hilo_handle_when(soon), ==, 0);
	TASK_CHECK(hilo_handle_when(at), ==, when);
	TASK_CHECK(hilo_handle_when(later), >=, before + HILO_MILLISECOND);
	TASK_CHECK(hilo_handle_when(later), <=, hilo_after(HILO_MILLISECOND));
	TASK_CHECK(hilo_handle_when(never), ==, HILO_FOREVER - 1);
	TASK_CHECK(hilo_handle_when(NULL), ==, HILO_FOREVER);
	TEST_UNTIL(load_acquire(&asked) == 3);
	/* They have run, and nothing of that has changed. */
	TASK_CHECK(hilo_handle_when(at), ==, when);
	TASK_CHECK(hilo_handle_cancelled(at), ==, 0);
	TASK_CHECK(hilo_handle_cancelled(soon), ==, 0);
	hilo_handle_unref(soon);
	hilo_handle_unref(at);
	hilo_handle_unref(later);
	hilo_handle_unref(never);
	return 0;
}

/* Those of the far future, too, give back at once what they were made of. */
static int cancel_far_ones(void *arg)
{
	hilo_handle *handle[CALLS];
	size_t mapped = 0;
	long live = 0;

	(void)arg;
	for (int round = 0; round < 10; round++) {
		for (unsigned i = 0; i < CALLS; i++)
			TASK_CHECK(hilo_call_later(60 * HILO_MINUTE, sequence_add, NULL, &handle[i]), ==, 0);
		for (unsigned i = 0; i < CALLS; i++) {
			TASK_CHECK(hilo_handle_cancel(handle[i]), ==, 0);
			hilo_handle_unref(handle[i]);
		}
		if (round == 0) {
			live = hilo__mem_live();
			mapped = hilo__mem_mapped();
		}
	}
	TASK_CHECK(hilo__mem_live(), ==, live);
	TASK_CHECK(hilo__mem_mapped(), ==, mapped);
	return 0;
}

/* In the simulation, where no other thread asks for memory. */
static void test_cancelled_calls_keep_no_memory(void **state)
{
	(void)state;
	assert_int_equal(test_simulate_natural(cancel_far_ones, NULL), 0);
}

#define CANCELS 200

struct cancel_race {
	hilo_handle *handle[CANCELS];
	atomic(unsigned) ran, cancelled;
};

static void cancel_race_call(void *arg)
{
	(void)add_release(&((struct cancel_race *)arg)->ran, 1);
}

static void *cancel_race_thread(void *arg)
{
	struct cancel_race *race = arg;

	for (int i = 0; i < CANCELS; i++) {
		if (hilo_handle_cancel(race->handle[i]) == 0)
			(void)add_release(&race->cancelled, 1);
		hilo_handle_unref(race->handle[i]);
	}
	return NULL;
}

/* Another thread cancels what is coming due: each is run or cancelled, never both or neither. */
PINNED_TEST(test_cancel_from_another_thread)
{
	struct cancel_race race;
	pthread_t thread;

	atomic_setup(&race.ran, 0);
	atomic_setup(&race.cancelled, 0);
	for (int i = 0; i < CANCELS; i++)
		TASK_CHECK(
			hilo_call_later(i * 2 * HILO_MICROSECOND, cancel_race_call, &race, &race.handle[i]),
			==, 0);
	TASK_CHECK(pthread_create(&thread, NULL, cancel_race_thread, &race), ==, 0);
	test_join_thread(thread);
	TEST_UNTIL(load_acquire(&race.ran) + load_acquire(&race.cancelled) == CANCELS);
	TASK_CHECK(hilo_sleep(HILO_MILLISECOND), ==, 0);
	TASK_CHECK(load_acquire(&race.ran) + load_acquire(&race.cancelled), ==, CANCELS);
	return 0;
}

/* A callback may ask for anything but to wait. */
static void callback_may_not_suspend(void *arg)
{
	hilo_future *future = hilo_future_new();
	hilo_executor_stats stats = {.size = sizeof(stats)};
	hilo_task *task = hilo_spawn(test_entry_return, (void *)(intptr_t)8);

	TASK_CHECK(task, !=, NULL);
	TASK_CHECK(hilo_runtime_current(), !=, NULL);
	TASK_CHECK(hilo_sleep(HILO_SECOND), ==, -EDEADLK);
	TASK_CHECK(hilo_sleep(0), ==, -EDEADLK);
	TASK_CHECK(hilo_sleep_until(HILO_FOREVER), ==, -EDEADLK);
	TASK_CHECK(hilo_yield(), ==, -EDEADLK);
	TASK_CHECK(hilo_checkpoint(), ==, -EDEADLK);
	TASK_CHECK(hilo_await(task, HILO_FOREVER), ==, -EDEADLK);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, -EDEADLK);
	TASK_CHECK(hilo_future_await(future, NULL, HILO_FOREVER), ==, -EDEADLK);
	TASK_CHECK(hilo_run(test_entry_return, NULL, NULL), ==, -EDEADLK);
	TASK_CHECK(hilo_run_in_executor(NULL, test_entry_return, NULL, HILO_FOREVER), ==, -EDEADLK);
	TASK_CHECK(hilo_fd_wait(0, HILO_READABLE, HILO_FOREVER), ==, -EDEADLK);
	TASK_CHECK(hilo_task_uncancel(), ==, -EDEADLK);
	TASK_CHECK(hilo_shield_enter(), ==, -EDEADLK);
	TASK_CHECK(hilo_runtime_free(hilo_runtime_current()), ==, -EDEADLK);
	TASK_CHECK(hilo_executor_get_stats(NULL, &stats), ==, 0);
	hilo_task_detach(task);
	hilo_future_unref(future);
	store_release((test_flag *)arg, 1);
}

PINNED_TEST(test_callbacks_may_not_suspend)
{
	test_flag flag;

	atomic_setup(&flag, 0);
	TASK_CHECK(hilo_call_soon(callback_may_not_suspend, &flag, NULL), ==, 0);
	TEST_UNTIL(load_acquire(&flag));
	return 0;
}

static void chain_call(void *arg)
{
	struct sequence *sequence = arg;
	unsigned count = load_relaxed(&sequence->count) + 1;

	if (count < CALLS)
		TASK_CHECK(hilo_call_soon(chain_call, sequence, NULL), ==, 0);
	store_release(&sequence->count, count);
}

static int flag_main(void *arg)
{
	store_release((test_flag *)arg, 1);
	return 0;
}

/* Callbacks that ask for callbacks keep no task from running. */
PINNED_TEST(test_a_chain_of_calls_starves_no_task)
{
	static struct sequence sequence;
	test_flag flag;
	hilo_task *task;

	sequence_init(&sequence);
	atomic_setup(&flag, 0);
	TASK_CHECK(hilo_call_soon(chain_call, &sequence, NULL), ==, 0);
	task = hilo_spawn(flag_main, &flag);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 0);
	TEST_UNTIL(load_acquire(&sequence.count) == CALLS);
	return 0;
}

static int leave_a_call(void *arg)
{
	TASK_CHECK(hilo_call_later(60 * HILO_MINUTE, far_call, NULL, arg), ==, 0);
	return 0;
}

/* What is dropped with its runtime was not cancelled; a handle outlives it. */
static void test_a_dropped_call_was_not_cancelled(void **state)
{
	hilo_handle *handle;

	(void)state;
	assert_int_equal(test_run(1, leave_a_call, &handle), 0);
	assert_int_equal(hilo_handle_cancelled(handle), 0);
	assert_true(hilo_handle_when(handle) > hilo_now());
	hilo_handle_unref(handle);
}

static void test_outside_of_a_loop(void **state)
{
	hilo_fd_watcher *watch;

	(void)state;
	assert_null(hilo_loop_current());
	assert_int_equal(hilo_call_soon(far_call, NULL, NULL), -EDEADLK);
	assert_int_equal(hilo_call_later(1, far_call, NULL, NULL), -EDEADLK);
	assert_int_equal(hilo_call_at(1, far_call, NULL, NULL), -EDEADLK);
	assert_int_equal(hilo_call_soon_threadsafe(NULL, far_call, NULL, NULL), -EINVAL);
	assert_int_equal(hilo_fd_watch(0, HILO_READABLE, NULL, NULL, &watch), -EINVAL);
}

PINNED_TEST(test_loops_are_numbered)
{
	hilo_runtime *runtime = hilo_runtime_current();
	unsigned workers = hilo_runtime_workers(runtime);

	for (unsigned i = 0; i < workers; i++)
		TASK_CHECK(hilo_loop_index(hilo_runtime_loop(runtime, i)), ==, i);
	TASK_CHECK(hilo_runtime_loop(runtime, workers + 1), ==, NULL);
	TASK_CHECK(hilo_runtime_loop(runtime, UINT32_MAX), ==, NULL);
	TASK_CHECK(hilo_runtime_loop(NULL, 0), ==, NULL);
	TASK_CHECK(hilo_runtime_workers(NULL), ==, 0);
	TASK_CHECK(hilo_call_soon_threadsafe(hilo_loop_current(), NULL, NULL, NULL), ==, -EINVAL);
	return 0;
}

static void *thread_write(void *arg)
{
	TASK_CHECK(hilo_sleep(HILO_MILLISECOND), ==, 0);
	TASK_CHECK(write(*(int *)arg, "x", 1), ==, 1);
	return NULL;
}

static void fd_waits(void)
{
	int fds[2];
	pthread_t thread;
	char byte;

	TASK_CHECK(pipe(fds), ==, 0);
	TASK_CHECK(hilo_fd_wait(fds[1], HILO_WRITABLE, HILO_FOREVER), ==, HILO_WRITABLE);
	TASK_CHECK(hilo_fd_wait(fds[0], HILO_READABLE, HILO_NO_WAIT), ==, -ETIMEDOUT);
	TASK_CHECK(hilo_fd_wait(fds[0], HILO_READABLE, hilo_after(HILO_MILLISECOND)), ==, -ETIMEDOUT);
	TASK_CHECK(pthread_create(&thread, NULL, thread_write, &fds[1]), ==, 0);
	TASK_CHECK(hilo_fd_wait(fds[0], HILO_READABLE, HILO_FOREVER), ==, HILO_READABLE);
	test_join_thread(thread);
	TASK_CHECK(hilo_fd_wait(fds[0], HILO_READABLE, HILO_NO_WAIT), ==, HILO_READABLE);
	TASK_CHECK(read(fds[0], &byte, 1), ==, 1);
	(void)close(fds[1]);
	TASK_CHECK(hilo_fd_wait(fds[0], HILO_READABLE, HILO_FOREVER), ==, HILO_READABLE); /* broken */
	(void)close(fds[0]);
}

static void fd_errors(void)
{
	int fd = memfd_create("file", MFD_CLOEXEC);

	TASK_CHECK(hilo_fd_wait(-1, HILO_READABLE, HILO_FOREVER), ==, -EBADF);
	TASK_CHECK(hilo_fd_wait(100000, HILO_READABLE, HILO_FOREVER), ==, -EBADF);
	TASK_CHECK(hilo_fd_wait(fd, 0, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_fd_wait(fd, 4, HILO_FOREVER), ==, -EINVAL);
	if (hilo_task_current())
		TASK_CHECK(hilo_fd_wait(fd, HILO_READABLE, HILO_FOREVER), ==, -EPERM);
	(void)close(fd);
}

TASK_TEST(test_fd_wait)
{
	fd_waits();
	fd_errors();
	return 0;
}

static void test_fd_wait_in_a_plain_thread(void **state)
{
	(void)state;
	fd_waits();
	fd_errors();
}

struct watched {
	hilo_loop *loop;
	hilo_fd_watcher *watch;
	int fds[2];
	unsigned take; /* bytes at a time */
	atomic(unsigned) calls, bytes;
	bool end;
};

static void watched_call(int fd, unsigned events, void *arg)
{
	struct watched *watched = arg;
	char bytes[8];

	TASK_CHECK(fd, ==, watched->fds[0]);
	TASK_CHECK(events, ==, HILO_READABLE);
	TASK_CHECK(hilo_loop_current(), ==, watched->loop);
	(void)add_release(&watched->bytes, (unsigned)read(fd, bytes, watched->take));
	(void)add_release(&watched->calls, 1);
	if (watched->end) {
		hilo_fd_unwatch(watched->watch);
		watched->watch = NULL;
	}
}

static void watched_begin(struct watched *watched, unsigned take, bool end)
{
	watched->loop = hilo_loop_current();
	watched->take = take;
	watched->end = end;
	atomic_setup(&watched->calls, 0);
	atomic_setup(&watched->bytes, 0);
	TASK_CHECK(pipe(watched->fds), ==, 0);
	TASK_CHECK(hilo_fd_watch(watched->fds[0], HILO_READABLE, watched_call, watched, &watched->watch), ==,
		   0);
}

static void watched_end(struct watched *watched)
{
	hilo_fd_unwatch(watched->watch);
	(void)close(watched->fds[0]);
	(void)close(watched->fds[1]);
}

PINNED_TEST(test_a_watch_calls_as_long_as_there_is_something)
{
	struct watched watched;

	watched_begin(&watched, 2, false);
	for (unsigned round = 1; round <= 3; round++) {
		TASK_CHECK(write(watched.fds[1], "abcdefgh", 8), ==, 8);
		TEST_UNTIL(load_acquire(&watched.bytes) == 8 * round);
		TASK_CHECK(load_acquire(&watched.calls), ==, 4 * round);
		TASK_CHECK(hilo_sleep(HILO_MILLISECOND), ==, 0);
		TASK_CHECK(load_acquire(&watched.calls), ==, 4 * round);
	}
	hilo_fd_unwatch(watched.watch);
	watched.watch = NULL;
	TASK_CHECK(write(watched.fds[1], "abcdefgh", 8), ==, 8);
	TASK_CHECK(hilo_sleep(HILO_MILLISECOND), ==, 0);
	TASK_CHECK(load_acquire(&watched.bytes), ==, 24);
	watched_end(&watched);
	return 0;
}

PINNED_TEST(test_a_watch_may_end_itself)
{
	for (int i = 0; i < 20; i++) {
		struct watched watched;

		watched_begin(&watched, 1, true);
		TASK_CHECK(write(watched.fds[1], "abc", 3), ==, 3);
		TEST_UNTIL(load_acquire(&watched.calls) == 1);
		(void)hilo_yield();
		TASK_CHECK(load_acquire(&watched.calls), ==, 1);
		watched_end(&watched);
	}
	return 0;
}

static void *thread_unwatch(void *arg)
{
	hilo_fd_unwatch(arg);
	return NULL;
}

/* Another thread ends a watch whose calls come all the time. */
PINNED_TEST(test_a_watch_is_ended_by_another_thread)
{
	for (unsigned i = 0; i < test_rounds(40); i++) {
		struct watched watched;
		pthread_t thread;
		unsigned calls;

		watched_begin(&watched, 0, false);
		TASK_CHECK(write(watched.fds[1], "x", 1), ==, 1);
		TEST_UNTIL(load_acquire(&watched.calls) > i % 4);
		TASK_CHECK(pthread_create(&thread, NULL, thread_unwatch, watched.watch), ==, 0);
		test_join_thread(thread);
		TASK_CHECK(hilo_sleep(100 * HILO_MICROSECOND), ==, 0); /* a call that was under way */
		calls = load_acquire(&watched.calls);
		TASK_CHECK(hilo_sleep(200 * HILO_MICROSECOND), ==, 0);
		TASK_CHECK(load_acquire(&watched.calls), ==, calls);
		watched.watch = NULL;
		watched_end(&watched);
	}
	return 0;
}

PINNED_TEST(test_watches_are_checked)
{
	hilo_fd_watcher *watch = NULL;
	int fd = memfd_create("file", MFD_CLOEXEC);

	TASK_CHECK(hilo_fd_watch(-1, HILO_READABLE, watched_call, NULL, &watch), ==, -EBADF);
	TASK_CHECK(hilo_fd_watch(100000, HILO_READABLE, watched_call, NULL, &watch), ==, -EBADF);
	TASK_CHECK(hilo_fd_watch(fd, HILO_READABLE, watched_call, NULL, &watch), ==, -EPERM);
	TASK_CHECK(hilo_fd_watch(fd, 0, watched_call, NULL, &watch), ==, -EINVAL);
	TASK_CHECK(hilo_fd_watch(fd, HILO_READABLE, NULL, NULL, &watch), ==, -EINVAL);
	TASK_CHECK(hilo_fd_watch(fd, HILO_READABLE, watched_call, NULL, NULL), ==, -EINVAL);
	TASK_CHECK(watch, ==, NULL);
	hilo_fd_unwatch(NULL);
	(void)close(fd);
	return 0;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_call_soon_is_first_in_first_out),
		cmocka_unit_test(test_calls_of_a_thread_come_in_its_order),
		cmocka_unit_test(test_later_is_never_earlier_and_in_order),
		cmocka_unit_test(test_calls_of_the_past_come_soon),
		cmocka_unit_test(test_calls_that_never_come),
		cmocka_unit_test(test_cancelled_calls_do_not_run),
		cmocka_unit_test(test_a_handle_tells_when_it_is_called),
		cmocka_unit_test(test_cancelled_calls_keep_no_memory),
		cmocka_unit_test(test_cancel_from_another_thread),
		cmocka_unit_test(test_callbacks_may_not_suspend),
		cmocka_unit_test(test_a_chain_of_calls_starves_no_task),
		cmocka_unit_test(test_a_dropped_call_was_not_cancelled),
		cmocka_unit_test(test_outside_of_a_loop),
		cmocka_unit_test(test_loops_are_numbered),
		cmocka_unit_test(test_fd_wait),
		cmocka_unit_test(test_fd_wait_in_a_plain_thread),
		cmocka_unit_test(test_a_watch_calls_as_long_as_there_is_something),
		cmocka_unit_test(test_a_watch_may_end_itself),
		cmocka_unit_test(test_a_watch_is_ended_by_another_thread),
		cmocka_unit_test(test_watches_are_checked),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
