/* SPDX-License-Identifier: MIT */
/* test_poll_cancel.c - the kernel is told to end an operation, and does not, or not at once: it is told again. */
#include "scheduler/poller_ring_impl.h"
#include "tests/unit/scheduler/poll_probe.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <sys/un.h>

/* How many cancels are to be lost, and how many there were. */
static unsigned losing, cancels;

/* As the system's, but that some cancels are for an operation that there is not. */
static int enter_and_lose(int ring, unsigned submit, unsigned wait, unsigned flags, const void *arg,
			  size_t size)
{
	const struct uring *uring = &ring_of(&poller)->uring;
	uint32_t tail = load_relaxed(uring->sq_tail); /* relaxed: this thread's, as is the head */

	for (uint32_t i = load_relaxed(uring->sq_head); i != tail; i++) {
		struct uring_sqe *sqe = &uring->sqes[i & uring->sq_mask];

		if (sqe->code != URING_ASYNC_CANCEL)
			continue;
		cancels++;
		if (losing > 0) {
			losing--;
			sqe->addr = USER_LAST + 1;
		}
	}
	return sys_real_io_uring_enter(ring, submit, wait, flags, arg, size);
}

POLL_TEST(test_a_cancel_that_is_lost_is_repeated)
{
	struct probe probe, other;
	char buf[4], more[4];

	hilo__sys.io_uring_enter = enter_and_lose;
	for (unsigned lost = 0; lost < 4; lost++) {
		losing = lost;
		cancels = 0;
		if (lost > 0 && poller.is_ring) /* once all has ended it begins anew, not where it was */
			assert_int_equal(ring_of(&poller)->again.ns, AGAIN_NS);
		probe_init(&probe, POLL_IO_RECV, fd[0], buf, sizeof(buf));
		probe_init(&other, POLL_IO_RECV, fd[1], more, sizeof(more));
		probe_start(&probe);
		probe_start(&other);
		reap();
		hilo__poller_stop(&probe.io);
		assert_int_equal(probe_await(&probe), -ECANCELED);
		assert_int_equal(cancels, poller.is_ring ? lost + 1 : 0);
		/* Nobody has asked for the end of the other one. */
		assert_int_equal(other.completions, 0);
		hilo__poller_stop(&other.io);
		assert_int_equal(probe_await(&other), -ECANCELED);
	}
}

/* What is over when the kernel is told again is not told; what has its memory then goes on. */
POLL_TEST(test_what_has_ended_meanwhile_is_not_cancelled_again)
{
	struct probe probe;
	char buf[4];

	if (!poller.is_ring)
		TEST_SKIP("a ring's");
	hilo__sys.io_uring_enter = enter_and_lose;
	losing = UINT_MAX;
	cancels = 0;
	probe_init(&probe, POLL_IO_RECV, fd[0], buf, sizeof(buf));
	probe_start(&probe);
	reap();
	hilo__poller_stop(&probe.io);
	reap();
	assert_true(cancels > 0);
	assert_int_equal(probe.completions, 0);
	assert_int_equal(write(fd[1], "ab", 2), 2);
	assert_int_equal(probe_await(&probe), 2);
	losing = 0;
	cancels = 0;
	probe_init(&probe, POLL_IO_RECV, fd[0], buf, sizeof(buf));
	probe_start(&probe);
	(void)hilo__poller_wait(&poller, hilo__clock_now() + 4 * AGAIN_NS);
	(void)hilo__poller_wait(&poller, hilo__clock_now() + 4 * AGAIN_NS);
	assert_int_equal(probe.completions, 0);
	assert_int_equal(cancels, 0);
	assert_int_equal(write(fd[1], "ab", 2), 2);
	assert_int_equal(probe_await(&probe), 2);
}

/* A socket whose queue is full: who connects to it waits in a thread of the kernel's. */
static int full_listener(struct sockaddr_un *ret, int client[2])
{
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(listener >= 0);
	*ret = (struct sockaddr_un){.sun_family = AF_UNIX};
	(void)snprintf(ret->sun_path + 1, sizeof(ret->sun_path) - 1, "hilo-test-cancel-%d", (int)getpid());
	assert_int_equal(bind(listener, (struct sockaddr *)ret, sizeof(*ret)), 0);
	assert_int_equal(listen(listener, 0), 0);
	for (int i = 0; i < 2; i++) {
		client[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		assert_true(client[i] >= 0);
		(void)connect(client[i], (struct sockaddr *)ret, sizeof(*ret));
	}
	return listener;
}

/* It is sent a signal there, before it waits or while it does; which may be lost, but mostly is not. */
POLL_TEST(test_what_waits_in_a_thread_of_the_kernels_ends)
{
	int client[2], listener, waiting;
	struct sockaddr_un address;
	struct probe probe;

	if (!poller.is_ring)
		TEST_SKIP("a ring's");
	listener = full_listener(&address, client);
	waiting = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(waiting >= 0);
	for (int i = 0; i < 300; i++) {
		probe_init(&probe, POLL_IO_CONNECT, waiting, &address, sizeof(address));
		probe_start(&probe);
		hilo__poller_flush(&poller);
		for (int pause = 0; pause < i * 10; pause++)
			cpu_relax();
		hilo__poller_stop(&probe.io);
		assert_int_equal(probe_await(&probe), -ECANCELED);
	}
	assert_int_equal(close(waiting), 0);
	assert_int_equal(close(client[0]), 0);
	assert_int_equal(close(client[1]), 0);
	assert_int_equal(close(listener), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(test_a_cancel_that_is_lost_is_repeated),
		BOTH(test_what_has_ended_meanwhile_is_not_cancelled_again),
		BOTH(test_what_waits_in_a_thread_of_the_kernels_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
