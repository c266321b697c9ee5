/* SPDX-License-Identifier: MIT */
/*
 * test_poll_later.c - receives that would have to wait are given to a ring's kernel a turn later than what is much,
 * and before a sleep; whatever becomes of them while they lie there, they complete.
 */
#include "scheduler/poller_ring_impl.h"
#include "tests/unit/scheduler/poll_probe.h"

#include <errno.h>
#include <stdlib.h>

/* So many in one turn are much; more than that the submission queue has no room for. */
#define MUCH 20
#define TOO_MUCH 300

/* Receives that the kernel was given: how many, and of those how many are to wait without a try. */
static unsigned given, waiting;

static int enter_and_look(int ring, unsigned submit, unsigned wait, unsigned flags, const void *arg,
			  size_t size)
{
	const struct uring *uring = &ring_of(&poller)->uring;
	uint32_t tail = load_relaxed(uring->sq_tail); /* relaxed: this thread's, as is the head */

	for (uint32_t i = load_relaxed(uring->sq_head); i != tail; i++) {
		const struct uring_sqe *sqe = &uring->sqes[i & uring->sq_mask];

		given += sqe->code == URING_RECV;
		waiting += sqe->code == URING_RECV && sqe->ioprio & URING_RECV_POLL_FIRST;
	}
	return sys_real_io_uring_enter(ring, submit, wait, flags, arg, size);
}

static void look(void)
{
	given = waiting = 0;
	hilo__sys.io_uring_enter = enter_and_look;
}

/* What makes a turn one with much to do. */
static struct probe much[TOO_MUCH];
static int sink = -1;

static void start_much(int n)
{
	for (int i = 0; i < n; i++) {
		while (load_relaxed(&much[i].io.state) != POLL_IO_IDLE) /* relaxed: nobody else is there */
			(void)hilo__ring_consume(&poller, ring_of(&poller), POLL_BATCH, POLL_OWNER);
		probe_init(&much[i], POLL_IO_WRITE, sink, "x", 1);
		probe_start(&much[i]);
	}
}

/* A turn of the owner's. */
static void turn(void)
{
	(void)hilo__poller_reap(&poller, POLL_BATCH, POLL_OWNER);
}

#define RECEIVES 6
static struct probe probe[RECEIVES];
static char buf[RECEIVES];

static void start_later(int from, int to)
{
	for (int i = from; i < to; i++) {
		probe_init(&probe[i], POLL_IO_RECV, fd[0], &buf[i], 1);
		probe[i].io.op.flags = POLL_LATER | POLL_KEPT;
		probe_start(&probe[i]);
	}
}

static unsigned count_state(enum poll_io_state state)
{
	unsigned n = 0;

	for (int i = 0; i < RECEIVES; i++)
		n += load_relaxed(&probe[i].io.state) == state; /* relaxed: nobody else is there */
	return n;
}

/* Each of the receives that have not completed gets a byte. */
static void end_with_bytes(void)
{
	int left = 0;

	for (int i = 0; i < RECEIVES; i++)
		left += !probe[i].completions;
	assert_int_equal(write(fd[1], "abcdef", (size_t)left), left);
	for (int i = 0; i < RECEIVES; i++)
		if (!probe[i].completions)
			assert_int_equal(probe_await(&probe[i]), 1);
	while (hilo__poller_armed(&poller))
		(void)hilo__poller_wait(&poller, HILO_FOREVER);
}

static int setup_sink(void **state)
{
	sink = open("/dev/null", O_WRONLY | O_CLOEXEC);
	return sink < 0 ? -1 : setup_ring(state);
}

static int teardown_sink(void **state)
{
	int rc = teardown_pair(state);

	return close(sink) < 0 ? -1 : rc;
}

POLL_TEST(test_with_much_to_give_they_are_given_a_turn_later_and_need_not_wait)
{
	start_later(0, RECEIVES);
	start_much(MUCH);
	look();
	turn();
	assert_int_equal(given, 0);
	assert_int_equal(count_state(POLL_IO_QUEUED), RECEIVES);
	assert_true(hilo__poller_has_news(&poller)); /* so nobody sleeps on them */
	start_much(MUCH);
	turn();
	assert_int_equal(given, RECEIVES);
	assert_int_equal(waiting, 0);
	assert_int_equal(count_state(POLL_IO_RUNNING), RECEIVES);
	end_with_bytes();
}

POLL_TEST(test_with_little_to_give_they_are_given_at_once_and_wait)
{
	start_later(0, RECEIVES);
	start_much(1);
	look();
	turn();
	assert_int_equal(given, RECEIVES);
	assert_int_equal(waiting, RECEIVES);
	end_with_bytes();
}

POLL_TEST(test_those_that_are_new_wait_for_the_turn_after)
{
	start_later(0, 2);
	start_much(MUCH);
	look();
	turn();
	start_later(2, RECEIVES);
	start_much(MUCH);
	turn();
	assert_int_equal(given, 2);
	assert_int_equal(load_relaxed(&probe[0].io.state), POLL_IO_RUNNING);
	assert_int_equal(load_relaxed(&probe[1].io.state), POLL_IO_RUNNING);
	assert_int_equal(count_state(POLL_IO_QUEUED), RECEIVES - 2);
	start_much(MUCH);
	turn();
	assert_int_equal(given, RECEIVES);
	assert_int_equal(waiting, 0);
	end_with_bytes();
}

POLL_TEST(test_who_sleeps_gives_them_before)
{
	start_later(0, RECEIVES);
	start_much(MUCH);
	look();
	(void)hilo__poller_wait(&poller, HILO_NO_WAIT);
	assert_int_equal(given, RECEIVES);
	assert_int_equal(waiting, RECEIVES);
	end_with_bytes();
}

POLL_TEST(test_a_guest_gives_them)
{
	start_later(0, RECEIVES);
	start_much(MUCH);
	look();
	(void)hilo__poller_reap(&poller, POLL_BATCH, POLL_GUEST);
	assert_int_equal(given, RECEIVES);
	end_with_bytes();
	/* Also those that the owner has left there. */
	start_later(0, RECEIVES);
	start_much(MUCH);
	turn();
	assert_int_equal(count_state(POLL_IO_QUEUED), RECEIVES);
	hilo__poller_flush(&poller);
	assert_int_equal(count_state(POLL_IO_RUNNING), RECEIVES);
	end_with_bytes();
}

/* What is stopped there completes at once, and the others go on; the count of those there is too high then. */
POLL_TEST(test_one_that_is_stopped_there_completes_and_holds_up_nobody)
{
	for (int which = 0; which < RECEIVES; which++) {
		start_later(0, RECEIVES - 1);
		start_much(MUCH);
		turn();
		start_later(RECEIVES - 1, RECEIVES);
		hilo__poller_stop(&probe[which].io);
		assert_int_equal(probe[which].completions, 1);
		assert_int_equal(probe[which].result, -ECANCELED);
		start_much(MUCH);
		turn();
		for (int i = 0; i < RECEIVES - 1; i++)
			assert_true(i == which || load_relaxed(&probe[i].io.state) == POLL_IO_RUNNING);
		start_much(MUCH);
		turn();
		assert_int_equal(count_state(POLL_IO_QUEUED), 0);
		end_with_bytes();
		assert_int_equal(ring_of(&poller)->later_aged, 0);
	}
}

/* Whatever is started and stopped: each is given in the second turn at the latest. */
POLL_TEST(test_none_is_passed_over_whatever_is_stopped)
{
	uint64_t seed = test_seed();

	for (unsigned round = 0; round < test_rounds(300); round++) {
		unsigned turns[RECEIVES] = {0};

		for (int i = 0; i < RECEIVES; i++)
			probe[i].completions = 1; /* not started yet */
		for (unsigned n = 0; n < 8; n++) {
			for (int i = 0; i < RECEIVES; i++) {
				unsigned lot = (unsigned)(random_mix(seed++) % 4);

				if (probe[i].completions && lot == 0 && n < 6) {
					start_later(i, i + 1);
					turns[i] = n;
				} else if (!probe[i].completions && lot == 1) {
					hilo__poller_stop(&probe[i].io);
				}
			}
			start_much(MUCH);
			turn();
			for (int i = 0; i < RECEIVES; i++)
				if (load_relaxed(&probe[i].io.state) == POLL_IO_QUEUED)
					assert_int_equal(turns[i], n);
			for (int i = 0; i < RECEIVES; i++)
				while (load_relaxed(&probe[i].io.state) == POLL_IO_STOPPING)
					(void)hilo__poller_wait(&poller, HILO_FOREVER);
		}
		end_with_bytes();
	}
}

/* In each turn there is more than there is room for: whose turn has come is not passed by what comes after it. */
POLL_TEST(test_none_is_passed_over_for_want_of_room)
{
	int left = TOO_MUCH;

	start_much(TOO_MUCH);
	start_later(0, RECEIVES);
	look();
	for (int i = 0; i < 3; i++) {
		turn();
		/* What has completed is started again, as by those who are always busy. */
		while (hilo__ring_consume(&poller, ring_of(&poller), POLL_BATCH, POLL_OWNER) > 0)
			;
		for (int j = 0; j < TOO_MUCH; j++) {
			if (!much[j].completions)
				continue;
			much[j].completions = 0;
			probe_start(&much[j]);
		}
	}
	assert_int_equal(given, RECEIVES);
	assert_int_equal(waiting, 0);
	for (int i = 0; i < TOO_MUCH; i++)
		left -= probe_await(&much[i]);
	assert_int_equal(left, 0);
	end_with_bytes();
}

POLL_TEST(test_the_end_of_the_poller_ends_them)
{
	start_later(0, RECEIVES);
	start_much(MUCH);
	turn();
	assert_int_equal(count_state(POLL_IO_QUEUED), RECEIVES);
	hilo__poller_close(&poller);
	assert_true(hilo__poller_abandon(&poller, HILO_FOREVER));
	for (int i = 0; i < RECEIVES; i++) {
		assert_int_equal(probe[i].completions, 1);
		assert_int_equal(probe[i].result, -ECANCELED);
	}
	assert_int_equal(hilo__poller_armed(&poller), 0);
}

/* They were not given to the kernel that refuses the ring: they go on over readiness. */
POLL_TEST(test_they_outlive_the_ring)
{
	for (unsigned turns = 0; turns < 2; turns++) {
		test_log_begin();
		start_later(0, RECEIVES);
		start_much(MUCH);
		if (turns > 0)
			turn();
		hilo__sys_fail(SYS_CALL_IO_URING_ENTER, 1, EPERM, true);
		if (turns == 0) {
			turn();
		} else {
			for (int i = 0; i < 2; i++)
				hilo__poller_stop(&probe[i].io);
			assert_int_equal(probe[1].result, -ECANCELED);
			hilo__ring_fall(&poller, -EPERM);
		}
		assert_true(load_relaxed(&poller.fallen));
		assert_int_equal(count_state(POLL_IO_WAITING), turns > 0 ? RECEIVES - 2 : RECEIVES);
		end_with_bytes();
		test_log_end();
		hilo__sys_reset();
		hilo__poller_forget(&poller, fd[0]);
		end_poller();
		assert_int_equal(hilo__poller_init(&poller, true), 0);
	}
}

#define RING(test)                                                                                           \
	{                                                                                                    \
#test, test, setup_sink, teardown_sink, NULL                                                 \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RING(test_with_much_to_give_they_are_given_a_turn_later_and_need_not_wait),
		RING(test_with_little_to_give_they_are_given_at_once_and_wait),
		RING(test_those_that_are_new_wait_for_the_turn_after),
		RING(test_who_sleeps_gives_them_before),
		RING(test_a_guest_gives_them),
		RING(test_one_that_is_stopped_there_completes_and_holds_up_nobody),
		RING(test_none_is_passed_over_whatever_is_stopped),
		RING(test_none_is_passed_over_for_want_of_room),
		RING(test_the_end_of_the_poller_ends_them),
		RING(test_they_outlive_the_ring),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
