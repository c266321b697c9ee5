/* SPDX-License-Identifier: MIT */
/*
 * test_io.c - waiting for the kernel's operations: tasks, plain threads, callbacks; cancel and deadline; a thread
 * that is held. Each on epoll and on io_uring, with 1, 2 and 4 workers.
 */
#include "tests/support/test.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "runtime/io_impl.h"
#include "scheduler/poller.h"
#include "scheduler/scheduler.h"
#include "scheduler/wait.h"

static unsigned poller_flag; /* of the runtime that runs */

static void run_each(unsigned flag, hilo_task_fn body)
{
	static const unsigned workers[] = {1, 2, 4};

	poller_flag = flag;
	if (flag == HILO_POLLER_URING && hilo__poller_ring_works() < 0)
		TEST_SKIP("no io_uring here");
	for (size_t i = 0; i < array_size(workers); i++) {
		hilo_opts opts = {.size = sizeof(opts), .workers = workers[i], .flags = flag};

		assert_int_equal(hilo_run(body, NULL, &opts), 0);
	}
}

/* A test for each poller, of one body. */
#define IO_TEST(name)                                                                                        \
	static int name##_body(void *arg);                                                                   \
	static void name##_epoll(void **state)                                                               \
	{                                                                                                    \
		(void)state;                                                                                 \
		run_each(HILO_POLLER_EPOLL, name##_body);                                                    \
	}                                                                                                    \
	static void name##_uring(void **state)                                                               \
	{                                                                                                    \
		(void)state;                                                                                 \
		run_each(HILO_POLLER_URING, name##_body);                                                    \
	}                                                                                                    \
	static int name##_body(__attribute__((unused)) void *arg)

static void make_pair(int fd[2])
{
	TASK_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), ==, 0);
}

static void close_pair(int fd[2])
{
	for (int i = 0; i < 2; i++) {
		hilo__io_forget(hilo__io_runtime(), fd[i]);
		TASK_CHECK(close(fd[i]), ==, 0);
	}
}

static int receive(int fd, void *buf, size_t size, hilo_time deadline)
{
	struct poll_io io;

	poll_io_init(&io, POLL_IO_RECV, fd, buf, size, NULL);
	return hilo__io_run(&io, WAIT_FD, NULL, deadline);
}

static int transmit(int fd, const char *text)
{
	char copy[16];
	struct poll_io io;

	(void)strncpy(copy, text, sizeof(copy) - 1);
	poll_io_init(&io, POLL_IO_SEND, fd, copy, strlen(text), NULL);
	return hilo__io_run(&io, WAIT_FD, NULL, HILO_FOREVER);
}

struct talk {
	int fd;
	int result;
	char buf[8];
	hilo_time deadline;
	test_flag begun;
};

static int talk_receive(void *arg)
{
	struct talk *talk = arg;

	store_release(&talk->begun, 1);
	talk->result = receive(talk->fd, talk->buf, 4, talk->deadline);
	return talk->result;
}

IO_TEST(a_task_waits_for_bytes)
{
	struct talk talk = {.deadline = HILO_FOREVER};
	hilo_task *task;
	int fd[2];

	make_pair(fd);
	talk.fd = fd[0];
	task = hilo_spawn(talk_receive, &talk);
	TEST_UNTIL(hilo_task_get_state(task) == HILO_TASK_SUSPENDED);
	TASK_CHECK(transmit(fd[1], "hola"), ==, 4);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 4);
	TASK_CHECK_TEXT(talk.buf, "hola");
	close_pair(fd);
	return 0;
}

IO_TEST(a_cancelled_task_has_taken_nothing)
{
	struct talk talk = {.deadline = HILO_FOREVER};
	hilo_task *task;
	char buf[8] = "";
	int fd[2];

	make_pair(fd);
	talk.fd = fd[0];
	task = hilo_spawn(talk_receive, &talk);
	TEST_UNTIL(hilo_task_get_state(task) == HILO_TASK_SUSPENDED);
	TASK_CHECK(hilo_task_cancel(task), ==, 0);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, -ECANCELED);
	TASK_CHECK(talk.result, ==, -ECANCELED);
	TASK_CHECK(transmit(fd[1], "hola"), ==, 4);
	TASK_CHECK(receive(fd[0], buf, 4, HILO_FOREVER), ==, 4);
	TASK_CHECK_TEXT(buf, "hola");
	close_pair(fd);
	return 0;
}

/* Either the task has the bytes, or they are there for the next one. */
IO_TEST(a_cancel_and_bytes_at_the_same_time_lose_nothing)
{
	for (unsigned i = 0; i < test_rounds(100); i++) {
		struct talk talk = {.deadline = HILO_FOREVER};
		hilo_task *task;
		char buf[8] = "";
		int fd[2];

		make_pair(fd);
		talk.fd = fd[0];
		task = hilo_spawn(talk_receive, &talk);
		TEST_UNTIL(load_acquire(&talk.begun));
		TASK_CHECK(transmit(fd[1], "hola"), ==, 4);
		(void)hilo_task_cancel(task);
		(void)hilo_join(task, HILO_FOREVER);
		if (talk.result != 4) {
			TASK_CHECK(talk.result, ==, -ECANCELED);
			TASK_CHECK(receive(fd[0], buf, 4, HILO_FOREVER), ==, 4);
		}
		close_pair(fd);
	}
	return 0;
}

IO_TEST(a_deadline_ends_it)
{
	char buf[8];
	int fd[2];

	make_pair(fd);
	TASK_CHECK(receive(fd[0], buf, 4, hilo_after(HILO_MILLISECOND)), ==, -ETIMEDOUT);
	close_pair(fd);
	return 0;
}

IO_TEST(a_deadline_that_has_passed_still_tries)
{
	char buf[8] = "";
	int fd[2];

	make_pair(fd);
	TASK_CHECK(receive(fd[0], buf, 4, HILO_NO_WAIT), ==, -ETIMEDOUT);
	TASK_CHECK(transmit(fd[1], "hola"), ==, 4);
	TASK_CHECK(receive(fd[0], buf, 4, HILO_NO_WAIT), ==, 4);
	TASK_CHECK_TEXT(buf, "hola");
	close_pair(fd);
	return 0;
}

IO_TEST(errors_are_what_the_call_answers)
{
	char buf[8];

	TASK_CHECK(receive(-1, buf, 4, HILO_FOREVER), ==, -EBADF);
	TASK_CHECK(receive(STDERR_FILENO, buf, 4, HILO_FOREVER), ==, -ENOTSOCK);
	return 0;
}

static void *thread_receive(void *arg)
{
	struct talk *talk = arg;

	talk->result = receive(talk->fd, talk->buf, 4, talk->deadline);
	return NULL;
}

IO_TEST(a_plain_thread_waits_itself)
{
	struct talk late = {.deadline = hilo_after(HILO_MILLISECOND)}, talk = {.deadline = HILO_FOREVER};
	pthread_t thread;
	int fd[2];

	make_pair(fd);
	talk.fd = late.fd = fd[0];
	TASK_CHECK(pthread_create(&thread, NULL, thread_receive, &late), ==, 0);
	test_join_thread(thread);
	TASK_CHECK(late.result, ==, -ETIMEDOUT);
	TASK_CHECK(pthread_create(&thread, NULL, thread_receive, &talk), ==, 0);
	TASK_CHECK(transmit(fd[1], "hola"), ==, 4);
	test_join_thread(thread);
	TASK_CHECK(talk.result, ==, 4);
	close_pair(fd);
	return 0;
}

struct calls {
	int fd[2];
	int empty, full;
	test_flag done;
};

static void callback(void *arg)
{
	struct calls *calls = arg;
	char buf[8];

	calls->empty = receive(calls->fd[0], buf, 4, HILO_FOREVER);
	TASK_CHECK(write(calls->fd[1], "hola", 4), ==, 4);
	calls->full = receive(calls->fd[0], buf, 4, HILO_FOREVER);
	store_release(&calls->done, 1);
}

IO_TEST(a_callback_does_not_wait)
{
	struct calls calls = {0};

	make_pair(calls.fd);
	TASK_CHECK(hilo_call_soon(callback, &calls, NULL), ==, 0);
	TEST_UNTIL(load_acquire(&calls.done));
	TASK_CHECK(calls.empty, ==, -EDEADLK);
	TASK_CHECK(calls.full, ==, 4);
	close_pair(calls.fd);
	return 0;
}

/* Started by a thread that is no worker: its loop may be asleep. */
struct owned {
	struct poll_io io;
	struct hilo_runtime *runtime;
	char buf[8];
	test_flag happened;
};

static void owned_complete(struct poll_op *op)
{
	struct owned *owned = container_of(container_of(op, struct poll_io, op), struct owned, io);

	store_release(&owned->happened, 1);
}

static void *owned_thread(void *arg)
{
	struct owned *owned = arg;

	if (hilo__io_start(owned->runtime, &owned->io))
		store_release(&owned->happened, 1);
	return NULL;
}

IO_TEST(a_plain_thread_starts_one_that_an_object_owns)
{
	struct owned owned = {.runtime = hilo__io_runtime()};
	pthread_t thread;
	int fd[2];

	make_pair(fd);
	poll_io_init(&owned.io, POLL_IO_RECV, fd[0], owned.buf, 4, owned_complete);
	TASK_CHECK(pthread_create(&thread, NULL, owned_thread, &owned), ==, 0);
	test_join_thread(thread);
	TASK_CHECK(load_acquire(&owned.happened), ==, 0);
	TASK_CHECK(write(fd[1], "hola", 4), ==, 4);
	TEST_UNTIL(load_acquire(&owned.happened));
	TASK_CHECK(owned.io.op.result, ==, 4);
	/* Told to end by this thread, wherever it is under way. */
	store_relaxed(&owned.happened, 0);
	poll_io_init(&owned.io, POLL_IO_RECV, fd[0], owned.buf, 4, owned_complete);
	TASK_CHECK(pthread_create(&thread, NULL, owned_thread, &owned), ==, 0);
	test_join_thread(thread);
	hilo__io_stop(&owned.io);
	TEST_UNTIL(load_acquire(&owned.happened));
	TASK_CHECK(owned.io.op.result, ==, -ECANCELED);
	close_pair(fd);
	return 0;
}

static uint64_t stats_sum(size_t offset)
{
	hilo_worker_stats stats = {.size = sizeof(stats)};
	uint64_t sum = 0;

	for (unsigned i = 0; hilo_runtime_get_stats(hilo_runtime_current(), i, &stats) == 0; i++)
		sum += *(uint64_t *)(void *)((char *)&stats + offset);
	return sum;
}

/* On a ring the kernel makes them; else it is told to watch the descriptor, once, since it is kept. */
IO_TEST(the_figures_tell_who_makes_the_calls)
{
	uint64_t calls = stats_sum(offsetof(hilo_worker_stats, poll_calls));
	char buf[8] = "";
	int fd[2];

	make_pair(fd);
	TASK_CHECK(receive(fd[0], buf, 4, hilo_after(HILO_MILLISECOND)), ==, -ETIMEDOUT);
	TASK_CHECK(transmit(fd[1], "hola"), ==, 4);
	TASK_CHECK(receive(fd[0], buf, 4, HILO_FOREVER), ==, 4);
	if (poller_flag == HILO_POLLER_URING) {
		TASK_CHECK(stats_sum(offsetof(hilo_worker_stats, operations)), ==, 3);
		TASK_CHECK(stats_sum(offsetof(hilo_worker_stats, watches)), ==, 0);
	} else {
		TASK_CHECK(stats_sum(offsetof(hilo_worker_stats, operations)), ==, 0);
		TASK_CHECK(stats_sum(offsetof(hilo_worker_stats, watches)), >, 0);
	}
	TASK_CHECK(stats_sum(offsetof(hilo_worker_stats, poll_calls)), >, calls);
	close_pair(fd);
	return 0;
}

/* What its end completes belongs to the runtime that ends, not to the one that has ended it. */
struct last {
	struct owned owned;
	hilo_runtime *seen;
};

static void last_complete(struct poll_op *op)
{
	struct last *last = container_of(container_of(op, struct poll_io, op), struct last, owned.io);

	last->seen = hilo__io_runtime();
	store_release(&last->owned.happened, 1);
}

static int last_start(void *arg)
{
	struct last *last = arg;

	TASK_CHECK(hilo__io_start(NULL, &last->owned.io), ==, false);
	return 0;
}

IO_TEST(what_is_left_completes_in_the_runtime_that_ends)
{
	hilo_opts opts = {.size = sizeof(opts), .workers = 2, .flags = poller_flag};
	struct last last = {.owned = {.runtime = NULL}};
	hilo_runtime *other;
	int fd[2];

	make_pair(fd);
	TASK_CHECK(hilo_runtime_new(&opts, &other), ==, 0);
	poll_io_init(&last.owned.io, POLL_IO_RECV, fd[0], last.owned.buf, 4, last_complete);
	TASK_CHECK(hilo_runtime_run_until_complete(other, last_start, &last), ==, 0);
	TASK_CHECK(hilo_runtime_close(other, HILO_FOREVER), ==, 0);
	TASK_CHECK(load_acquire(&last.owned.happened), ==, 1);
	TASK_CHECK(last.owned.io.op.result, ==, -ECANCELED);
	TASK_CHECK(last.seen, ==, other);
	TASK_CHECK(hilo_runtime_current(), !=, other);
	TASK_CHECK(hilo_runtime_free(other), ==, 0);
	close_pair(fd);
	return 0;
}

/*
 * A hundred receives under way, and then every thread held: in a system call, or computing. All complete all the
 * same; the hogs end only when they have.
 */
#define RECEIVES 100

struct held {
	struct owned owned[RECEIVES];
	int fd[RECEIVES][2];
	atomic(unsigned) hogs, begun, completed;
	atomic(int) slept, error;
};

static struct held *held;

static void held_complete(struct poll_op *op)
{
	(void)op;
	(void)add_release(&held->completed, 1); /* pairs with the hogs' loads */
}

static int hog_sleeps(void *arg)
{
	const struct timespec span = {0, 100000000};

	(void)arg;
	(void)add_seq_cst(&held->begun, 1);
	test_errno_set(ENOTTY);
	while (load_acquire(&held->completed) < RECEIVES)
		if (nanosleep(&span, NULL) < 0) /* it was interrupted */
			store_relaxed(&held->slept, -1);
	if (test_errno_get() != ENOTTY)
		store_relaxed(&held->error, 1);
	return 0;
}

static int hog_computes(void *arg)
{
	(void)arg;
	(void)add_seq_cst(&held->begun, 1);
	while (load_acquire(&held->completed) < RECEIVES)
		cpu_relax();
	return 0;
}

static void *held_writer(void *arg)
{
	(void)arg;
	while (load_seq_cst(&held->begun) < load_seq_cst(&held->hogs))
		test_pause();
	for (int i = 0; i < RECEIVES; i++)
		TASK_CHECK(write(held->fd[i][1], "hola", 4), ==, 4);
	return NULL;
}

static int hold(hilo_task_fn hog)
{
	static struct held all;
	pthread_t writer;
	int rc = 0;

	held = &all;
	memset(held, 0, sizeof(*held));
	store_relaxed(&held->hogs, hilo_runtime_workers(hilo_runtime_current()));
	for (int i = 0; i < RECEIVES; i++) {
		make_pair(held->fd[i]);
		poll_io_init(&held->owned[i].io, POLL_IO_RECV, held->fd[i][0], held->owned[i].buf, 4,
			     held_complete);
		TASK_CHECK(hilo__io_start(NULL, &held->owned[i].io), ==, false);
	}
	TASK_CHECK(pthread_create(&writer, NULL, held_writer, NULL), ==, 0);
	HILO_GROUP (group, &rc) {
		for (unsigned i = 0; i < load_seq_cst(&held->hogs); i++)
			TASK_CHECK(hilo_group_spawn(group, hog, NULL), ==, 0);
	}
	TASK_CHECK(rc, ==, 0);
	test_join_thread(writer);
	TASK_CHECK(load_relaxed(&held->slept), ==, 0);
	TASK_CHECK(load_relaxed(&held->error), ==, 0);
	for (int i = 0; i < RECEIVES; i++)
		close_pair(held->fd[i]);
	return 0;
}

IO_TEST(threads_that_sleep_hold_up_no_receive)
{
	return hold(hog_sleeps);
}

IO_TEST(threads_that_compute_hold_up_no_receive)
{
	return hold(hog_computes);
}

#define BOTH(name) cmocka_unit_test(name##_epoll), cmocka_unit_test(name##_uring)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(a_task_waits_for_bytes),
		BOTH(a_cancelled_task_has_taken_nothing),
		BOTH(a_cancel_and_bytes_at_the_same_time_lose_nothing),
		BOTH(a_deadline_ends_it),
		BOTH(a_deadline_that_has_passed_still_tries),
		BOTH(errors_are_what_the_call_answers),
		BOTH(a_plain_thread_waits_itself),
		BOTH(a_callback_does_not_wait),
		BOTH(a_plain_thread_starts_one_that_an_object_owns),
		BOTH(the_figures_tell_who_makes_the_calls),
		BOTH(what_is_left_completes_in_the_runtime_that_ends),
		BOTH(threads_that_sleep_hold_up_no_receive),
		BOTH(threads_that_compute_hold_up_no_receive),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
