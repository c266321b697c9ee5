/* SPDX-License-Identifier: MIT */
/*
 * test_poll_fall.c - a kernel that is short of something, and one that refuses the ring after it has worked: all that
 * was started completes, and what comes later goes on.
 */
#include "scheduler/poller_ring_impl.h"

#include "tests/unit/scheduler/poll_probe.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* Completions that are reaped, or time, help. */
POLL_TEST(test_short_of_something_is_survived)
{
	static const int errors[] = {EAGAIN, EBUSY, ENOMEM, EINTR};
	struct probe in, out;
	char buf[4] = "";

	for (unsigned i = 0; i < test_rounds(40); i++) {
		probe_init(&in, POLL_IO_RECV, fd[0], buf, 1);
		probe_start(&in);
		hilo__sys_fail(SYS_CALL_IO_URING_ENTER, 1 + i % 3, errors[i % array_size(errors)], false);
		probe_init(&out, POLL_IO_SEND, fd[1], "x", 1);
		probe_start(&out);
		assert_int_equal(probe_await(&out), 1);
		assert_int_equal(probe_await(&in), 1);
	}
	assert_false(load_relaxed(&poller.fallen));
	hilo__poller_forget(&poller, fd[1]);
}

/* A ring has room for a thousand: the kernel keeps the others, and none is lost. */
POLL_TEST(test_more_completions_than_a_ring_has_room_for)
{
	enum {
		N = 6000
	};
	int zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	struct probe *probes = calloc(N, sizeof(*probes));
	static char buf[N];

	assert_true(zero >= 0 && probes);
	memset(buf, 'x', sizeof(buf));
	for (int i = 0; i < N; i++) {
		probe_init(&probes[i], POLL_IO_READ, zero, &buf[i], 1);
		probe_start(&probes[i]);
	}
	for (int i = 0; i < 40; i++)
		hilo__poller_flush(&poller); /* without taking one */
	for (int i = 0; i < N; i++) {
		assert_int_equal(probe_await(&probes[i]), 1);
		assert_int_equal(buf[i], 0);
	}
	assert_int_equal(hilo__poller_armed(&poller), 0);
	hilo__poller_forget(&poller, zero);
	assert_int_equal(close(zero), 0);
	free(probes);
}

static void receive_works(void)
{
	struct probe probe;
	char buf[4] = "";

	probe_init(&probe, POLL_IO_RECV, fd[0], buf, 3);
	probe_start(&probe);
	reap();
	assert_int_equal(probe.completions, 0);
	assert_int_equal(write(fd[1], "abc", 3), 3);
	assert_int_equal(probe_await(&probe), 3);
	assert_string_equal(buf, "abc");
	probe_init(&probe, POLL_IO_RECV, fd[0], buf, 3);
	probe_start(&probe);
	hilo__poller_stop(&probe.io);
	assert_int_equal(probe_await(&probe), -ECANCELED);
}

/* They were left blocking for the ring. */
static void accept_and_connect_work(void)
{
	struct sockaddr_in address;
	struct probe in, out;
	int listener = listen_here(&address);
	int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	probe_init(&in, POLL_IO_ACCEPT, listener, NULL, 0);
	in.io.flags = SOCK_CLOEXEC;
	probe_start(&in);
	reap();
	assert_int_equal(in.completions, 0);
	probe_init(&out, POLL_IO_CONNECT, client, &address, sizeof(address));
	probe_start(&out);
	assert_int_equal(probe_await(&out), 0);
	assert_true(probe_await(&in) >= 0);
	assert_int_equal(close(in.result), 0);
	hilo__poller_forget(&poller, client);
	hilo__poller_forget(&poller, listener);
	assert_int_equal(close(client), 0);
	assert_int_equal(close(listener), 0);
}

static void all_goes_on(void)
{
	assert_true(load_relaxed(&poller.fallen));
	receive_works();
	accept_and_connect_work();
	for (int i = 0; i < 3; i++) {
		hilo__poller_wake(&poller);
		while (load_relaxed(&poller.woken))
			(void)hilo__poller_wait(&poller, HILO_FOREVER);
	}
	assert_int_equal(hilo__poller_armed(&poller), 0);
	assert_int_equal(test_log_count("io_uring_enter fails"), 1);
}

/* A filter of system calls that is set later, say. */
POLL_TEST(test_refused_later_it_goes_on_over_readiness)
{
	static const int errors[] = {EPERM, ENOSYS, EACCES};
	static char buf[8]; /* the kernel has it, for a moment */
	struct probe running, pushed;

	if (!poller.is_ring)
		TEST_SKIP("a ring's");
	for (size_t i = 0; i < array_size(errors); i++) {
		test_log_begin();
		probe_init(&running, POLL_IO_RECV, fd[0], buf, 4);
		probe_start(&running);
		reap();
		hilo__sys_fail(SYS_CALL_IO_URING_ENTER, 1, errors[i], true);
		probe_init(&pushed, POLL_IO_SEND, fd[0], "x", 1);
		probe_start(&pushed);
		assert_int_equal(probe_await(&running), -errors[i]);
		assert_int_equal(probe_await(&pushed), -errors[i]);
		assert_false(running.io.given_up);
		all_goes_on();
		test_log_end();
		hilo__sys_reset();
		end_poller();
		assert_int_equal(hilo__poller_init(&poller, true), 0);
	}
}

/* Those for which the kernel's queue had no room were not given to it: they wait on. */
POLL_TEST(test_what_was_not_given_to_the_kernel_does_not_fail)
{
	enum {
		N = 600
	};
	struct probe *probes;
	static char buf[N];
	int failed = 0, waiting = 0;
	char bytes[N] = {0};

	if (!poller.is_ring)
		TEST_SKIP("a ring's");
	probes = calloc(N, sizeof(*probes));
	assert_non_null(probes);
	test_log_begin();
	hilo__sys_fail(SYS_CALL_IO_URING_ENTER, 1, EPERM, true);
	for (int i = 0; i < N; i++) {
		probe_init(&probes[i], POLL_IO_RECV, fd[0], &buf[i], 1);
		probe_start(&probes[i]);
	}
	(void)hilo__poller_wait(&poller, HILO_FOREVER);
	for (int i = 0; i < N; i++) {
		if (!probes[i].completions) {
			waiting++;
			continue;
		}
		assert_int_equal(probes[i].result, -EPERM);
		failed++;
	}
	assert_true(failed > 0 && waiting > 0);
	assert_int_equal(hilo__poller_armed(&poller), waiting);
	assert_int_equal(write(fd[1], bytes, (size_t)waiting), waiting);
	for (int i = 0; i < N; i++) {
		if (probes[i].completions)
			continue;
		assert_int_equal(probe_await(&probes[i]), 1);
	}
	all_goes_on();
	test_log_end();
	free(probes);
}

/* [test] The descriptor of the ring, of which there is one. */
static int ring_descriptor(void)
{
	for (int i = 3; i < 1024; i++) {
		char path[64], text[64] = "";

		(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", i);
		if (readlink(path, text, sizeof(text) - 1) > 0 && strstr(text, "io_uring"))
			return i;
	}
	return -1;
}

/* Somebody has closed what is not his, and another file has its number. */
POLL_TEST(test_the_descriptor_of_the_ring_is_closed_by_somebody)
{
	static char buf[8];
	struct probe running;
	int ring;

	if (!poller.is_ring)
		TEST_SKIP("a ring's");
	test_log_begin();
	probe_init(&running, POLL_IO_RECV, fd[0], buf, 4);
	probe_start(&running);
	reap();
	ring = ring_descriptor();
	assert_true(ring >= 0);
	assert_int_equal(dup2(STDERR_FILENO, ring), ring);
	while (!running.completions)
		(void)hilo__poller_wait(&poller, HILO_FOREVER);
	assert_true(running.result < 0);
	all_goes_on();
	test_log_end();
	hilo__poller_forget(&poller, fd[0]);
	end_poller();
	assert_int_equal(close(ring), 0); /* it was not ours any more, and was let be */
}

/* A guest is refused: that is for the owner to find out. */
POLL_TEST(test_a_guest_that_is_refused_leaves_it_to_the_owner)
{
	struct probe in, out;
	static char buf[8];

	if (!poller.is_ring)
		TEST_SKIP("a ring's");
	probe_init(&in, POLL_IO_RECV, fd[0], buf, 4);
	probe_start(&in);
	(void)hilo__poller_wait(&poller, HILO_NO_WAIT);
	hilo__sys_fail(SYS_CALL_IO_URING_ENTER, 1, EPERM, true);
	probe_init(&out, POLL_IO_SEND, fd[1], "abcd", 4);
	probe_start(&out);
	for (int i = 0; i < 3; i++)
		(void)hilo__poller_reap(&poller, POLL_BATCH, POLL_GUEST);
	assert_false(load_relaxed(&poller.fallen));
	assert_int_equal(load_relaxed(&poller.woken), 1);
	hilo__sys_reset();
	assert_int_equal(probe_await(&out), 4);
	assert_int_equal(probe_await(&in), 4);
	hilo__poller_forget(&poller, fd[1]);
}

static void *flush_and_end(void *arg)
{
	hilo__poller_flush(arg);
	return NULL;
}

/* A connection that was begun by a thread that has ended, and has been made or refused since. */
struct begun {
	struct sockaddr_in address;
	int listener, first, client;
	int expected;
	struct probe held, out;
};

static void connection_begins(struct begun *begun)
{
	pthread_t thread;

	begun->listener = listen_here(&begun->address);
	assert_int_equal(listen(begun->listener, 0), 0); /* one, and the next ones wait */
	begun->first = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	probe_init(&begun->held, POLL_IO_CONNECT, begun->first, &begun->address, sizeof(begun->address));
	probe_start(&begun->held);
	assert_int_equal(probe_await(&begun->held), 0);
	begun->client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	probe_init(&begun->out, POLL_IO_CONNECT, begun->client, &begun->address, sizeof(begun->address));
	probe_start(&begun->out);
	assert_int_equal(pthread_create(&thread, NULL, flush_and_end, &poller), 0);
	test_join_thread(thread);
}

/* The kernel has no thread any more to make the rest of it in, so it ends it, when there is something to do. */
static void connection_goes_on(struct begun *begun, bool refused)
{
	begun->expected = refused ? -ECONNREFUSED : 0;
	for (int i = 0, taken; i < 2 && !refused; i++) { /* the second one asks again after a second */
		TEST_UNTIL((taken = accept4(begun->listener, NULL, NULL, SOCK_CLOEXEC)) >= 0);
		assert_int_equal(close(taken), 0);
	}
	if (refused)
		assert_int_equal(close(begun->listener), 0);
	TEST_UNTIL(uring_completions(&ring_of(&poller)->uring));
}

static void connection_ends(struct begun *begun)
{
	assert_int_equal(probe_await(&begun->out), begun->expected);
	all_goes_on();
	hilo__poller_forget(&poller, begun->client);
	hilo__poller_forget(&poller, begun->first);
	assert_int_equal(close(begun->client), 0);
	assert_int_equal(close(begun->first), 0);
	if (begun->expected == 0)
		assert_int_equal(close(begun->listener), 0);
}

static void next_ring(void)
{
	test_log_end();
	hilo__sys_reset();
	hilo__poller_forget(&poller, fd[0]);
	end_poller();
	assert_int_equal(hilo__poller_init(&poller, true), 0);
}

/* That the kernel has ended it is found while the ring falls; its own end may have been asked for as well. */
POLL_TEST(test_a_connection_whose_thread_has_ended_outlives_the_ring)
{
	static struct begun begun;

	if (!poller.is_ring)
		TEST_SKIP("a ring's");
	for (int how = 0; how < 4; how++) {
		test_log_begin();
		connection_begins(&begun);
		connection_goes_on(&begun, how % 2);
		if (how / 2)
			hilo__poller_stop(&begun.out.io);
		hilo__sys_fail(SYS_CALL_IO_URING_ENTER, 1, EPERM, true);
		(void)hilo__poller_wait(&poller, HILO_FOREVER);
		connection_ends(&begun);
		next_ring();
	}
}

/* It was found before, and the connection is to be begun again when the ring falls. */
POLL_TEST(test_a_connection_that_is_begun_again_outlives_the_ring)
{
	enum {
		N = 400
	};
	static struct begun begun;
	static struct probe probes[N];
	static char buf[N];

	if (!poller.is_ring)
		TEST_SKIP("a ring's");
	for (int refused = 0; refused < 2; refused++) {
		test_log_begin();
		connection_begins(&begun);
		connection_goes_on(&begun, refused);
		for (int i = 0; i < N;
		     i++) { /* the submission queue is full of these when it is queued again */
			probe_init(&probes[i], POLL_IO_RECV, fd[0], &buf[i], 1);
			probe_start(&probes[i]);
		}
		hilo__sys_fail(SYS_CALL_IO_URING_ENTER, 1, EAGAIN, true);
		reap();
		assert_int_equal(load_relaxed(&begun.out.io.state), POLL_IO_QUEUED);
		hilo__sys_fail(SYS_CALL_IO_URING_ENTER, 1, EPERM, true);
		(void)hilo__poller_wait(&poller, HILO_FOREVER);
		for (int i = 0; i < N; i++) {
			if (!probes[i].completions)
				hilo__poller_stop(&probes[i].io);
			(void)probe_await(&probes[i]);
		}
		connection_ends(&begun);
		next_ring();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(test_short_of_something_is_survived),
		BOTH(test_more_completions_than_a_ring_has_room_for),
		BOTH(test_refused_later_it_goes_on_over_readiness),
		BOTH(test_what_was_not_given_to_the_kernel_does_not_fail),
		BOTH(test_the_descriptor_of_the_ring_is_closed_by_somebody),
		BOTH(test_a_guest_that_is_refused_leaves_it_to_the_owner),
		BOTH(test_a_connection_whose_thread_has_ended_outlives_the_ring),
		BOTH(test_a_connection_that_is_begun_again_outlives_the_ring),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
