/* SPDX-License-Identifier: MIT */
/*
 * test_io.c - waiting for the kernel's operations: tasks, plain threads, callbacks; cancel and deadline; a thread
 * that is held. Each on epoll and on io_uring, with 1, 2 and 4 workers.
 */
#include "tests/support/test.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "runtime/io_impl.h"
#include "scheduler/scheduler.h"
#include "scheduler/wait.h"
#include "tests/unit/runtime/pollers.h"

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

/*
 * In vfork a thread waits for its child, and not even the kernel gets at it: what is under way comes up between two of
 * them.
 */
static int hog_vforks(void *arg)
{
	static const struct timespec span = {0, 5000000};

	(void)arg;
	(void)add_seq_cst(&held->begun, 1);
	while (load_acquire(&held->completed) < RECEIVES) {
		int status;
		pid_t pid = vfork();

		if (pid == 0) {
			(void)nanosleep(&span, NULL);
			_exit(7);
		}
		TASK_CHECK(pid, >, 0);
		TASK_CHECK(waitpid(pid, &status, 0), ==, pid);
		TASK_CHECK(WEXITSTATUS(status), ==, 7);
	}
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

IO_TEST(threads_that_vfork_lose_no_receive)
{
	return hold(hog_vforks);
}

/*
 * All workers are held, and a task on a spare one starts a receive there, and then holds its thread as well: another
 * spare one sees to that loop.
 */
struct spare_case {
	struct owned owned;
	int fd[2];
	atomic(unsigned) begun, wanted;
	atomic(bool) started;
};

static int spare_hog(void *arg)
{
	static const struct timespec span = {0, 1000000};
	struct spare_case *all = arg;

	(void)add_seq_cst(&all->begun, 1);
	while (load_seq_cst(&all->begun) < load_relaxed(&all->wanted))
		(void)nanosleep(&span, NULL);
	/* Nobody has suspended: one of us is on a thread that is no worker's. */
	if (thread_self()->loop->spare && !xchg_acq_rel(&all->started, true)) {
		TASK_CHECK(hilo__io_start(NULL, &all->owned.io), ==, false);
		TASK_CHECK(all->owned.io.poller, ==, &thread_self()->loop->poller);
		TASK_CHECK(write(all->fd[1], "hola", 4), ==, 4);
	}
	while (!load_acquire(&all->owned.happened))
		(void)nanosleep(&span, NULL);
	return 0;
}

IO_TEST(a_spare_worker_that_is_held_itself_holds_up_no_receive)
{
	unsigned wanted = hilo_runtime_workers(hilo_runtime_current()) + 1;
	struct spare_case all;
	int rc = 0;

	memset(&all, 0, sizeof(all));
	make_pair(all.fd);
	store_relaxed(&all.wanted, wanted);
	poll_io_init(&all.owned.io, POLL_IO_RECV, all.fd[0], all.owned.buf, 4, owned_complete);
	HILO_GROUP (group, &rc) {
		for (unsigned i = 0; i < wanted; i++)
			TASK_CHECK(hilo_group_spawn(group, spare_hog, &all), ==, 0);
	}
	TASK_CHECK(rc, ==, 0);
	TASK_CHECK(all.owned.io.op.result, ==, 4);
	close_pair(all.fd);
	return 0;
}

/* Two accept from one socket, and one of them is cancelled just when a connection comes: one of them has it. */
static int accepts_one(void *arg)
{
	struct poll_io io;

	poll_io_init(&io, POLL_IO_ACCEPT, *(int *)arg, NULL, 0, NULL);
	io.flags = SOCK_CLOEXEC;
	return hilo__io_run(&io, WAIT_FD, NULL, HILO_FOREVER);
}

static int accepts_listen(struct sockaddr_in *address)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | hilo__io_socket_flags(hilo__io_runtime()), 0);
	socklen_t size = sizeof(*address);

	*address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	TASK_CHECK(bind(fd, (struct sockaddr *)address, size), ==, 0);
	TASK_CHECK(listen(fd, 8), ==, 0);
	TASK_CHECK(getsockname(fd, (struct sockaddr *)address, &size), ==, 0);
	return fd;
}

IO_TEST(of_two_who_accept_one_is_cancelled)
{
	struct sockaddr_in address;
	int listener = accepts_listen(&address);

	for (unsigned i = 0; i < test_rounds(100); i++) {
		int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), first, second, rc;
		hilo_task *one = hilo_spawn(accepts_one, &listener);
		hilo_task *two = hilo_spawn(accepts_one, &listener);

		TEST_UNTIL(hilo_task_get_state(one) == HILO_TASK_SUSPENDED &&
			   hilo_task_get_state(two) == HILO_TASK_SUSPENDED);
		TASK_CHECK(connect(client, (struct sockaddr *)&address, sizeof(address)), ==, 0);
		rc = hilo_task_cancel(one);
		TASK_CHECK(rc == 0 || rc == -EALREADY, !=, 0); /* it has the connection by now */
		first = hilo_join(one, HILO_FOREVER);
		if (first >= 0)
			(void)hilo_task_cancel(two);
		second = hilo_join(two, HILO_FOREVER);
		TASK_CHECK(first >= 0 ? second : first, ==, -ECANCELED);
		TASK_CHECK(first >= 0 ? first : second, >=, 0);
		TASK_CHECK(close(first >= 0 ? first : second), ==, 0);
		TASK_CHECK(close(client), ==, 0);
	}
	hilo__io_forget(hilo__io_runtime(), listener);
	TASK_CHECK(close(listener), ==, 0);
	return 0;
}

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
		BOTH(threads_that_vfork_lose_no_receive),
		BOTH(a_spare_worker_that_is_held_itself_holds_up_no_receive),
		BOTH(of_two_who_accept_one_is_cancelled),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
