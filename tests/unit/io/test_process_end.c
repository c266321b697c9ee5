/* SPDX-License-Identifier: MIT */
/*
 * test_process_end.c - whatever is cancelled, freed, or cannot be had: no process is left that should not be, no
 * zombie and no descriptor.
 */
#include "tests/unit/io/processes.h"

#include <sys/prctl.h>

/* A program that does not end by SIGTERM; when it says so, that is so. */
static hilo_process *start_stubborn(hilo_process_opts opts)
{
	hilo_process *process;
	char line[16];

	opts.out = HILO_STDIO_PIPE;
	process = start(ARGV("sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1000; done"), &opts);
	TASK_CHECK(hilo_stream_read_line(hilo_process_stdout(process), line, sizeof(line), HILO_FOREVER), ==,
		   6);
	return process;
}

CLEAN_TEST(test_free_kills)
{
	hilo_process *process = start(ARGV("sleep", "1000"), NULL);
	int pid = hilo_process_pid(process);

	hilo_process_free(process);
	TEST_UNTIL(process_is_over(pid));
	TEST_UNTIL(children() == 0);
	/* Also one of a group, with what it has started. */
	process = start_shell("sleep 1000 & echo $!; wait",
			      PROCESS_OPTS(.flags = HILO_PROCESS_GROUP, .out = HILO_STDIO_PIPE));
	{
		char line[32];

		TASK_CHECK(
			hilo_stream_read_line(hilo_process_stdout(process), line, sizeof(line), HILO_FOREVER),
			>, 0);
		hilo_process_free(process);
		TEST_UNTIL(process_is_over(atoi(line)));
	}
	return 0;
}

CLEAN_TEST(test_free_terminates)
{
	hilo_process *process;
	int pid;

	/* In time: far below the time of grace. */
	process = start(ARGV("sleep", "1000"),
			PROCESS_OPTS(.end = HILO_PROCESS_TERMINATE, .grace = 1000 * HILO_SECOND));
	hilo_process_free(process);
	TEST_UNTIL(children() == 0);
	/* Not in time. */
	process = start_stubborn((hilo_process_opts){.size = sizeof(hilo_process_opts),
						     .end = HILO_PROCESS_TERMINATE,
						     .flags = HILO_PROCESS_GROUP,
						     .grace = 20 * HILO_MILLISECOND});
	pid = hilo_process_pid(process);
	hilo_process_free(process);
	TEST_UNTIL(process_is_over(pid));
	/* With another signal. */
	process = start_stubborn((hilo_process_opts){.size = sizeof(hilo_process_opts),
						     .end = HILO_PROCESS_TERMINATE,
						     .flags = HILO_PROCESS_GROUP,
						     .grace = 1000 * HILO_SECOND,
						     .end_signal = SIGUSR1});
	hilo_process_free(process);
	TEST_UNTIL(children() == 0);
	return 0;
}

CLEAN_TEST(test_free_detaches)
{
	hilo_process *process = start(ARGV("sleep", "1000"), PROCESS_OPTS(.end = HILO_PROCESS_DETACH));
	int pid = hilo_process_pid(process);

	hilo_process_free(process);
	TASK_CHECK(children(), ==, 1);
	TASK_CHECK(process_is_over(pid), ==, 0);
	TASK_CHECK(kill(pid, SIGKILL), ==, 0);
	TEST_UNTIL(children() == 0); /* and reaped */
	return 0;
}

/* Reaped though nobody waits. */
CLEAN_TEST(test_nobody_waits)
{
	hilo_process *process[8];

	for (int i = 0; i < 8; i++)
		process[i] = start(ARGV("true"), NULL);
	TEST_UNTIL(children() == 0);
	for (int i = 0; i < 8; i++)
		TASK_CHECK(finish(process[i]), ==, 0);
	return 0;
}

TASK_TEST(test_close_ends_it)
{
	hilo_process *process = start(ARGV("sleep", "1000"), NULL);
	int status, rc;

	TASK_CHECK(hilo_process_close(process, HILO_NO_WAIT), ==, 0);
	TASK_CHECK(hilo_process_poll(process, &status), ==, 1);
	TASK_CHECK(status, ==, -SIGKILL);
	TASK_CHECK(hilo_process_close(process, HILO_FOREVER), ==, 0);
	hilo_process_free(process);

	/* It ends by the end of its input. */
	process = start(ARGV("cat"), PROCESS_OPTS(.in = HILO_STDIO_PIPE, .end = HILO_PROCESS_TERMINATE,
						  .end_signal = SIGCONT, .grace = 1000 * HILO_SECOND));
	HILO_WITH_PROCESS(process, &rc)
	{
		TASK_CHECK(hilo_process_poll(process, NULL), ==, 0);
	}
	TASK_CHECK(rc, ==, 0);
	TASK_CHECK(finish(process), ==, 0);

	process = start_stubborn((hilo_process_opts){.size = sizeof(hilo_process_opts),
						     .end = HILO_PROCESS_TERMINATE,
						     .flags = HILO_PROCESS_GROUP,
						     .grace = 20 * HILO_MILLISECOND});
	TASK_CHECK(hilo_process_close(process, HILO_FOREVER), ==, 0);
	TASK_CHECK(finish(process), ==, -SIGKILL);
	process = start_stubborn((hilo_process_opts){.size = sizeof(hilo_process_opts),
						     .end = HILO_PROCESS_TERMINATE,
						     .flags = HILO_PROCESS_GROUP,
						     .grace = 1000 * HILO_SECOND});
	TASK_CHECK(hilo_process_close(process, hilo_after(HILO_MILLISECOND)), ==, -ETIMEDOUT);
	TASK_CHECK(finish(process), ==, -SIGKILL);

	process = start(ARGV("sleep", "1000"), PROCESS_OPTS(.end = HILO_PROCESS_DETACH));
	TASK_CHECK(hilo_process_close(process, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_process_poll(process, NULL), ==, 0);
	TASK_CHECK(hilo_process_kill(process), ==, 0);
	TASK_CHECK(finish(process), ==, -SIGKILL);
	return 0;
}

static int close_main(void *arg)
{
	return hilo_process_close(arg, HILO_FOREVER);
}

/* The time of grace is over at once; that it has ended is waited for all the same. */
CLEAN_TEST(test_close_is_cancelled)
{
	hilo_process *process = start_stubborn((hilo_process_opts){.size = sizeof(hilo_process_opts),
								   .end = HILO_PROCESS_TERMINATE,
								   .flags = HILO_PROCESS_GROUP,
								   .grace = 1000 * HILO_SECOND});
	hilo_task *task = hilo_spawn(close_main, process);

	TEST_UNTIL(hilo_task_get_state(task) == HILO_TASK_SUSPENDED);
	TASK_CHECK(hilo_task_cancel(task), ==, 0);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, -ECANCELED);
	TASK_CHECK(hilo_process_poll(process, NULL), ==, 1);
	TASK_CHECK(finish(process), ==, -SIGKILL);
	return 0;
}

/* The six ways of waiting. */
struct process_waiter {
	hilo_process *process;
	hilo_task *task;
	int status, code;
};

static int wait_main(void *arg)
{
	struct process_waiter *waiter = arg;

	waiter->code = hilo_process_wait(waiter->process, &waiter->status, HILO_FOREVER);
	return waiter->code;
}

static void *wait_thread(void *arg)
{
	(void)wait_main(arg);
	return NULL;
}

static void until_suspended(hilo_task *task)
{
	TEST_UNTIL(hilo_task_get_state(task) == HILO_TASK_SUSPENDED);
}

TASK_TEST(test_many_wait)
{
	hilo_process *process = start(ARGV("sleep", "1000"), NULL);
	struct process_waiter waiter[9];
	pthread_t thread;

	for (int i = 0; i < 9; i++)
		waiter[i] = (struct process_waiter){.process = process};
	for (int i = 0; i < 8; i++)
		waiter[i].task = hilo_spawn(wait_main, &waiter[i]);
	TASK_CHECK(pthread_create(&thread, NULL, wait_thread, &waiter[8]), ==, 0);
	TASK_CHECK(hilo_process_wait(process, NULL, hilo_after(HILO_MILLISECOND)), ==, -ETIMEDOUT);
	until_suspended(waiter[0].task);
	TASK_CHECK(hilo_task_cancel(waiter[0].task), ==, 0);
	TASK_CHECK(hilo_join(waiter[0].task, HILO_FOREVER), ==, -ECANCELED);
	TASK_CHECK(hilo_process_poll(process, NULL), ==, 0);
	TASK_CHECK(hilo_process_kill(process), ==, 0);
	test_join_thread(thread);
	for (int i = 1; i < 9; i++) {
		TASK_CHECK(i < 8 ? hilo_join(waiter[i].task, HILO_FOREVER) : waiter[i].code, ==, 0);
		TASK_CHECK(waiter[i].status, ==, -SIGKILL);
	}
	hilo_process_free(process);
	return 0;
}

static int cancelled_before(void *arg)
{
	hilo_process *other;
	hilo_process_io io = {.size = sizeof(io)};
	int status = 99;

	TASK_CHECK(hilo_task_cancel(hilo_task_current()), ==, 0);
	TASK_CHECK(hilo_process_wait(arg, &status, HILO_FOREVER), ==, -ECANCELED);
	TASK_CHECK(status, ==, 99);
	TASK_CHECK(hilo_process_communicate(arg, &io, HILO_FOREVER), ==, -ECANCELED);
	TASK_CHECK(hilo_process_spawn(ARGV("true"), NULL, &other, HILO_FOREVER), ==, -ECANCELED);
	TASK_CHECK(hilo_process_spawn(ARGV("true"), PROCESS_OPTS(.flags = HILO_PROCESS_DIES_WITH_US), &other,
				      HILO_FOREVER),
		   ==, -ECANCELED);
	return 0;
}

CLEAN_TEST(test_cancel_comes_first)
{
	hilo_process *process = start(ARGV("true"), NULL);

	TASK_CHECK(hilo_process_wait(process, NULL, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_join(hilo_spawn(cancelled_before, process), HILO_FOREVER), ==, 0);
	TASK_CHECK(finish(process), ==, 0);
	return 0;
}

/* A cancel and the end at the same time: one or the other, and the status is there. */
CLEAN_TEST(test_cancel_races_with_the_end)
{
	for (unsigned round = 0; round < test_rounds(30); round++) {
		struct process_waiter waiter = {.process = start(ARGV("sleep", "1000"), NULL)};
		int rc;

		waiter.task = hilo_spawn(wait_main, &waiter);
		TASK_CHECK(hilo_process_kill(waiter.process), ==, 0);
		for (unsigned i = 0; i < round % 8; i++)
			(void)hilo_yield();
		(void)hilo_task_cancel(waiter.task);
		rc = hilo_join(waiter.task, HILO_FOREVER);
		TASK_CHECK(rc == 0 || rc == -ECANCELED, ==, 1);
		TASK_CHECK(finish(waiter.process), ==, -SIGKILL);
	}
	return 0;
}

/* Freed under who waits. */
CLEAN_TEST(test_freed_while_one_waits)
{
	struct process_waiter waiter = {.process = start(ARGV("sleep", "1000"), NULL)};

	waiter.task = hilo_spawn(wait_main, &waiter);
	until_suspended(waiter.task);
	hilo_process_free(waiter.process);
	TASK_CHECK(hilo_join(waiter.task, HILO_FOREVER), ==, 0);
	TASK_CHECK(waiter.status, ==, -SIGKILL);
	return 0;
}

static int spawn_main(void *arg)
{
	hilo_process *process;
	int rc = hilo_process_spawn(ARGV("sleep", "1000"),
				    PROCESS_OPTS(.in = HILO_STDIO_PIPE, .out = HILO_STDIO_PIPE,
						 .flags = arg ? HILO_PROCESS_DIES_WITH_US : 0),
				    &process, HILO_FOREVER);

	if (rc == 0)
		hilo_process_free(process);
	return rc;
}

/* Cancelled anywhere in a spawn. */
CLEAN_TEST(test_cancel_while_spawning)
{
	for (unsigned round = 0; round < test_rounds(60); round++) {
		hilo_task *task = hilo_spawn(spawn_main, round % 2 ? &round : NULL);
		int rc;

		for (unsigned i = 0; i < round; i++)
			(void)hilo_yield();
		(void)hilo_task_cancel(task);
		rc = hilo_join(task, HILO_FOREVER);
		TASK_CHECK(rc == 0 || rc == -ECANCELED, ==, 1);
	}
	return 0;
}

/* In the queue of an executor whose thread is busy: not begun. */
static int block(void *arg)
{
	TEST_UNTIL(load_acquire((test_flag *)arg));
	return 0;
}

static int blocker(void *arg)
{
	return hilo_to_thread(block, arg, HILO_FOREVER);
}

CLEAN_TEST(test_spawn_that_waits_for_a_thread)
{
	hilo_executor_opts opts = {.size = sizeof(opts), .max_threads = 1};
	hilo_executor_stats stats = {.size = sizeof(stats)};
	hilo_executor *executor;
	hilo_process *process;
	hilo_task *task, *spawner;
	test_flag go;

	atomic_setup(&go, 0);
	TASK_CHECK(hilo_executor_new(&opts, &executor), ==, 0);
	TASK_CHECK(hilo_runtime_set_default_executor(hilo_runtime_current(), executor), ==, 0);
	task = hilo_spawn(blocker, &go);
	do {
		(void)hilo_yield();
		TASK_CHECK(hilo_executor_get_stats(NULL, &stats), ==, 0);
	} while (!stats.running);
	TASK_CHECK(hilo_process_spawn(ARGV("true"), PROCESS_OPTS(.out = HILO_STDIO_PIPE), &process,
				      hilo_after(HILO_MILLISECOND)),
		   ==, -ETIMEDOUT);
	spawner = hilo_spawn(spawn_main, NULL);
	until_suspended(spawner);
	TASK_CHECK(hilo_task_cancel(spawner), ==, 0);
	TASK_CHECK(hilo_join(spawner, HILO_FOREVER), ==, -ECANCELED);
	store_release(&go, 1);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 0);
	return 0;
}

/* A runtime that ends before its processes do. */
static int leave_behind(void *arg)
{
	hilo_process **process = arg;

	process[0] = start(ARGV("sleep", "1000"), NULL);
	process[1] = start(ARGV("sleep", "1000"), PROCESS_OPTS(.end = HILO_PROCESS_TERMINATE));
	process[2] = start(ARGV("sleep", "1000"), PROCESS_OPTS(.end = HILO_PROCESS_DETACH));
	process[3] = start_stubborn((hilo_process_opts){.size = sizeof(hilo_process_opts),
							.end = HILO_PROCESS_TERMINATE,
							.flags = HILO_PROCESS_GROUP,
							.grace = 20 * HILO_MILLISECOND});
	hilo_process_free(start(ARGV("sleep", "1000"), NULL));
	hilo_process_free(start(ARGV("sleep", "1000"), PROCESS_OPTS(.end = HILO_PROCESS_TERMINATE)));
	return 0;
}

static void test_runtime_ends_first(void **state)
{
	struct books books;

	(void)state;
	books_open(&books);
	for (unsigned workers = 1; workers <= 4; workers *= 2) {
		hilo_process *process[4];
		int status;

		assert_int_equal(test_run(workers, leave_behind, process), 0);
		TEST_UNTIL(children() == 1); /* the detached one; who was freed is reaped in the background */
		assert_int_equal(hilo_process_wait(process[0], &status, HILO_FOREVER), 0);
		assert_int_equal(status, -SIGKILL);
		assert_int_equal(hilo_process_wait(process[1], &status, HILO_FOREVER), 0);
		assert_int_equal(status, -SIGTERM);
		assert_int_equal(hilo_process_poll(process[2], &status), 0);
		assert_int_equal(hilo_process_wait(process[3], &status, HILO_FOREVER), 0);
		assert_int_equal(status, -SIGKILL);
		assert_int_equal(kill(hilo_process_pid(process[2]), SIGKILL), 0);
		for (int i = 0; i < 4; i++)
			hilo_process_free(process[i]);
		TEST_UNTIL(children() == 0);
	}
	books_close(&books);
}

static int detach_and_go(void *arg)
{
	hilo_process *process = start(ARGV("sleep", "1000"), PROCESS_OPTS(.end = HILO_PROCESS_DETACH));

	*(int *)arg = hilo_process_pid(process);
	hilo_process_free(process);
	return 0;
}

static void test_detached_process_outlives_its_runtime_and_is_reaped(void **state)
{
	struct books books;
	int pid;

	(void)state;
	books_open(&books);
	assert_int_equal(test_run(2, detach_and_go, &pid), 0);
	assert_false(process_is_over(pid));
	assert_int_equal(kill(pid, SIGTERM), 0);
	books_close(&books);
}

/* Two hundred at a time, with pipes, from all workers. */
static int one_of_many(void *arg)
{
	int number = (int)(intptr_t)arg, rc;
	char text[16], command[64];
	hilo_process_io io = {.size = sizeof(io), .input = text};

	io.input_size = (size_t)snprintf(text, sizeof(text), "%d", number);
	snprintf(command, sizeof(command), "cat; exit %d", number % 100);
	rc = hilo_process_run(ARGV("sh", "-c", command), NULL, &io, HILO_FOREVER);
	if (rc == 0) {
		TASK_CHECK_TEXT(io.out, text);
		TASK_CHECK(io.status, ==, number % 100);
	}
	hilo_process_io_free(&io);
	return rc;
}

CLEAN_TEST(test_two_hundred)
{
	unsigned n = test_fewer(200);
	hilo_task *task[200];

	for (unsigned i = 0; i < n; i++)
		task[i] = hilo_spawn(one_of_many, (void *)(intptr_t)i);
	TASK_CHECK(hilo_gather(task, n, NULL, HILO_FOREVER), ==, 0);
	return 0;
}

/* What else goes on meanwhile is not disturbed: others' memory, descriptors, operations in flight. */
static int echo_main(void *arg)
{
	hilo_stream *stream = arg;
	char byte;

	while (hilo_stream_read(stream, &byte, 1, HILO_FOREVER) == 1)
		TASK_CHECK(hilo_stream_write(stream, &byte, 1, HILO_FOREVER), ==, 1);
	return 0;
}

CLEAN_TEST(test_operations_in_flight_while_spawning)
{
	int fd[2];
	hilo_stream *stream[2];
	hilo_task *echo;
	char byte;

	TASK_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), ==, 0);
	for (int i = 0; i < 2; i++)
		TASK_CHECK(hilo_stream_from_fd(fd[i], NULL, &stream[i]), ==, 0);
	echo = hilo_spawn(echo_main, stream[1]);
	for (unsigned i = 0; i < test_rounds(20); i++) {
		hilo_process *process;

		TASK_CHECK(hilo_stream_write(stream[0], "x", 1, HILO_FOREVER), ==, 1);
		process = start(ARGV("true"), PROCESS_OPTS(.in = HILO_STDIO_PIPE));
		TASK_CHECK(hilo_stream_read(stream[0], &byte, 1, HILO_FOREVER), ==, 1);
		TASK_CHECK(finish(process), ==, 0);
	}
	hilo_stream_free(stream[0]);
	TASK_CHECK(hilo_join(echo, HILO_FOREVER), ==, 0);
	hilo_stream_free(stream[1]);
	return 0;
}

/* Each call of the kernel that a spawn makes fails once: an error, and nothing is left. */
CLEAN_TEST(test_calls_that_fail)
{
	const struct {
		enum sys_call call;
		int error;
		unsigned flags;
	} faults[] = {
		{SYS_CALL_CLONE, EAGAIN, 0},
		{SYS_CALL_CLONE, ENOMEM, 0},
		{SYS_CALL_CLONE, ENOSYS, HILO_PROCESS_DIES_WITH_US},
		{SYS_CALL_PIPE2, EMFILE, 0},
		{SYS_CALL_PIPE2, ENFILE, 0},
		{SYS_CALL_OPEN, EMFILE, 0},
		{SYS_CALL_PTHREAD_CREATE, EAGAIN, HILO_PROCESS_DIES_WITH_US},
	};

	for (size_t i = 0; i < array_size(faults); i++)
		for (int nth = 1; nth <= (faults[i].call == SYS_CALL_PIPE2 ? 2 : 1); nth++) {
			hilo_process *process = NULL;
			int rc;

			do { /* other threads of the runtime may meet the failure: once more then */
				hilo__sys_fail(faults[i].call, nth, faults[i].error, false);
				rc = hilo_process_spawn(
					ARGV("true"),
					PROCESS_OPTS(.in = HILO_STDIO_PIPE, .out = HILO_STDIO_PIPE,
						     .err = HILO_STDIO_NULL, .flags = faults[i].flags),
					&process, HILO_FOREVER);
				hilo__sys_fail(faults[i].call, 0, 0, false);
				if (rc == 0)
					TASK_CHECK(finish(process), ==, 0);
			} while (rc == 0);
			TASK_CHECK(rc, ==, -faults[i].error);
			TASK_CHECK_CONTAINS(hilo_error_message(), "true");
			TASK_CHECK(children(), ==, 0);
		}
	return 0;
}

TASK_TEST(test_waiting_fails)
{
	hilo_process *process = start(ARGV("sleep", "1000"), PROCESS_OPTS(.end = HILO_PROCESS_DETACH));

	hilo__sys_fail(SYS_CALL_PIDFD_SEND_SIGNAL, 1, EPERM, false);
	TASK_CHECK(hilo_process_kill(process), ==, -EPERM);
	hilo__sys_fail(SYS_CALL_WAITID, 1, EINVAL, true);
	TASK_CHECK(hilo_process_wait(process, NULL, HILO_FOREVER), ==, -EINVAL);
	hilo__sys_fail(SYS_CALL_WAITID, 1, EINTR, false);
	TASK_CHECK(hilo_process_poll(process, NULL), ==, 0);
	hilo__sys_fail(SYS_CALL_WAITID, 0, 0, false);
	TASK_CHECK(hilo_process_kill(process), ==, 0);
	TASK_CHECK(finish(process), ==, -SIGKILL);
	return 0;
}

TASK_TEST(test_one_that_cannot_be_killed_is_not_waited_for)
{
	hilo_process *process = start(ARGV("sleep", "1000"), NULL);

	hilo__sys_fail(SYS_CALL_PIDFD_SEND_SIGNAL, 1, EPERM, true);
	TASK_CHECK(hilo_process_close(process, HILO_FOREVER), ==, -EPERM);
	hilo__sys_fail(SYS_CALL_PIDFD_SEND_SIGNAL, 0, 0, false);
	TASK_CHECK(hilo_process_close(process, HILO_FOREVER), ==, 0);
	TASK_CHECK(finish(process), ==, -SIGKILL);
	/* One that has left its group is killed itself. */
	process = start(ARGV("sleep", "1000"), PROCESS_OPTS(.flags = HILO_PROCESS_GROUP));
	hilo__sys_fail(SYS_CALL_KILL, 1, ESRCH, true);
	TASK_CHECK(hilo_process_close(process, HILO_FOREVER), ==, 0);
	hilo__sys_fail(SYS_CALL_KILL, 0, 0, false);
	TASK_CHECK(finish(process), ==, -SIGKILL);
	return 0;
}

/* Without a thread to wait for it, it is killed and waited for here. */
static void test_no_thread_for_the_end(void **state)
{
	struct books books;

	(void)state;
	books_open(&books);
	for (int end = HILO_PROCESS_KILL; end <= HILO_PROCESS_TERMINATE; end++) {
		hilo_process *process =
			start(ARGV("sleep", "1000"), PROCESS_OPTS(.end = (enum hilo_process_end)end));

		hilo__sys_fail(SYS_CALL_PTHREAD_CREATE, 1, EAGAIN, false);
		hilo_process_free(process);
		assert_int_equal(children(), 0);
	}
	hilo__sys_fail(SYS_CALL_PTHREAD_CREATE, 0, 0, false);
	books_close(&books);
}

/* Memory: the n-th request fails. */
CLEAN_TEST(test_out_of_memory)
{
	unsigned failed = 0;

	TASK_CHECK(finish(start(ARGV("true"), NULL)), ==, 0);
	for (long n = 1; n < 40; n++) {
		hilo_process *process = NULL;
		int rc;

		hilo__mem_fail_at(n, false);
		rc = hilo_process_spawn(ARGV("true"),
					PROCESS_OPTS(.in = HILO_STDIO_PIPE, .out = HILO_STDIO_PIPE), &process,
					HILO_FOREVER);
		hilo__mem_fail_at(0, false);
		if (rc == 0) {
			TASK_CHECK(finish(process), ==, 0);
			continue;
		}
		TASK_CHECK(rc, ==, -ENOMEM);
		TASK_CHECK(children(), ==, 0);
		failed++;
	}
	TASK_CHECK(failed, >, 3);
	return 0;
}

/* Somebody else has waited for it: with the kernel's help how it ended is known all the same. */
static void lost(int expected)
{
	hilo_process *process = start_shell("read x; exit 3", PROCESS_OPTS(.in = HILO_STDIO_PIPE));
	int status = 77, rc;

	TASK_CHECK(hilo_stream_write_eof(hilo_process_stdin(process)), ==, 0);
	rc = hilo_process_wait(process, &status, HILO_FOREVER);
	TASK_CHECK(rc == 0 || rc == -ECHILD, ==, 1);
	TASK_CHECK(status, ==, rc == 0 ? expected : 77);
	TASK_CHECK(hilo_process_poll(process, NULL), ==, rc < 0 ? rc : 1);
	TASK_CHECK(hilo_process_kill(process), ==, -ESRCH);
	hilo_process_free(process);
}

CLEAN_TEST(test_children_that_are_ignored)
{
	signal(SIGCHLD, SIG_IGN);
	lost(3);
	signal(SIGCHLD, SIG_DFL);
	return 0;
}

static void *reap_all(void *arg)
{
	while (!load_acquire((test_flag *)arg))
		(void)waitpid(-1, NULL, 0);
	return NULL;
}

CLEAN_TEST(test_another_library_waits_for_all_children)
{
	test_flag enough;
	pthread_t thread;

	atomic_setup(&enough, 0);
	TASK_CHECK(pthread_create(&thread, NULL, reap_all, &enough), ==, 0);
	for (unsigned i = 0; i < test_rounds(20); i++)
		lost(3);
	store_release(&enough, 1);
	test_join_thread(thread);
	return 0;
}

/* As another program: it starts one, tells which, and waits to be killed. */
static int dies_main(void *arg)
{
	hilo_process *process =
		start(ARGV("sleep", "1000"), PROCESS_OPTS(.flags = HILO_PROCESS_DIES_WITH_US));

	(void)arg;
	printf("%d\n", hilo_process_pid(process));
	fflush(stdout);
	return hilo_process_wait(process, NULL, HILO_FOREVER);
}

TASK_TEST(test_dies_with_us)
{
	hilo_process *process = start(ARGV("/proc/self/exe", "dies"), PROCESS_OPTS(.out = HILO_STDIO_PIPE));
	char line[32];

	TASK_CHECK(hilo_stream_read_line(hilo_process_stdout(process), line, sizeof(line), HILO_FOREVER), >,
		   0);
	TASK_CHECK(process_is_over(atoi(line)), ==, 0);
	TASK_CHECK(hilo_process_kill(process), ==, 0);
	TASK_CHECK(finish(process), ==, -SIGKILL);
	TEST_UNTIL(process_is_over(atoi(line)));
	return 0;
}

/* It is the process that it dies with, not the thread that has started it. */
static void *starts_one(void *arg)
{
	*(hilo_process **)arg =
		start(ARGV("sleep", "1000"), PROCESS_OPTS(.flags = HILO_PROCESS_DIES_WITH_US));
	return NULL;
}

static void *does_nothing(void *arg)
{
	return arg;
}

static void test_outlives_the_thread_that_has_started_it(void **state)
{
	hilo_process *process;
	pthread_t thread;
	unsigned before;
	int status;

	(void)state;
	/* ThreadSanitizer has a thread of its own from the first one on. */
	assert_int_equal(pthread_create(&thread, NULL, does_nothing, NULL), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	before = test_threads();
	assert_int_equal(pthread_create(&thread, NULL, starts_one, &process), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	test_threads_settle(before + 1);
	assert_int_equal(hilo_process_poll(process, NULL), 0);
	assert_int_equal(hilo_process_terminate(process), 0);
	assert_int_equal(hilo_process_wait(process, &status, HILO_FOREVER), 0);
	assert_int_equal(status, -SIGTERM);
	hilo_process_free(process);
	test_threads_settle(before);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_outlives_the_thread_that_has_started_it),
		cmocka_unit_test(test_no_thread_for_the_end),
		cmocka_unit_test(test_free_kills),
		cmocka_unit_test(test_free_terminates),
		cmocka_unit_test(test_free_detaches),
		cmocka_unit_test(test_nobody_waits),
		cmocka_unit_test(test_close_ends_it),
		cmocka_unit_test(test_close_is_cancelled),
		cmocka_unit_test(test_many_wait),
		cmocka_unit_test(test_cancel_comes_first),
		cmocka_unit_test(test_cancel_races_with_the_end),
		cmocka_unit_test(test_freed_while_one_waits),
		cmocka_unit_test(test_cancel_while_spawning),
		cmocka_unit_test(test_spawn_that_waits_for_a_thread),
		cmocka_unit_test(test_runtime_ends_first),
		cmocka_unit_test(test_detached_process_outlives_its_runtime_and_is_reaped),
		cmocka_unit_test(test_two_hundred),
		cmocka_unit_test(test_operations_in_flight_while_spawning),
		cmocka_unit_test(test_calls_that_fail),
		cmocka_unit_test(test_waiting_fails),
		cmocka_unit_test(test_one_that_cannot_be_killed_is_not_waited_for),
		cmocka_unit_test(test_out_of_memory),
		cmocka_unit_test(test_children_that_are_ignored),
		cmocka_unit_test(test_another_library_waits_for_all_children),
		cmocka_unit_test(test_dies_with_us),
	};

	PROCESSES_OR_SKIP();
	if (argc == 2 && strcmp(argv[1], "dies") == 0)
		return hilo_run(dies_main, argv, NULL);
	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
