/* SPDX-License-Identifier: MIT */
/*
 * test_poll_fall.c - a kernel that is short of something, and one that refuses the ring after it has worked: all that
 * was started completes, and what comes later goes on.
 */
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(test_short_of_something_is_survived),
		BOTH(test_more_completions_than_a_ring_has_room_for),
		BOTH(test_refused_later_it_goes_on_over_readiness),
		BOTH(test_what_was_not_given_to_the_kernel_does_not_fail),
		BOTH(test_the_descriptor_of_the_ring_is_closed_by_somebody),
		BOTH(test_a_guest_that_is_refused_leaves_it_to_the_owner),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
