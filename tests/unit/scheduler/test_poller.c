/* SPDX-License-Identifier: MIT */
/* test_poller.c - operations on pipes, sockets and eventfds: completed once, cancelled, never stale. */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "scheduler/base/clock.h"
#include "scheduler/base/mem.h"
#include "scheduler/base/sys.h"
#include "scheduler/poller.h"
#include "tests/support/test.h"

#define BOTH (POLL_READABLE | POLL_WRITABLE)

struct probe {
	struct poll_op op;
	atomic(int) completions;
	atomic(int) result;
};

static struct poller poller;

static void probe_complete(struct poll_op *op)
{
	struct probe *probe = container_of(op, struct probe, op);

	store_relaxed(&probe->result, op->result);
	(void)add_release(&probe->completions, 1); /* pairs with probe_count */
}

static int probe_count(struct probe *probe)
{
	return load_acquire(&probe->completions); /* pairs with probe_complete */
}

static void probe_init(struct probe *probe, enum poll_kind kind, int fd, unsigned events)
{
	memset(probe, 0, sizeof(*probe));
	poll_op_init(&probe->op, kind, fd, events, probe_complete);
}

static int probe_submit(struct probe *probe, int fd, unsigned events)
{
	probe_init(probe, POLL_OP_WAIT, fd, events);
	return hilo__poller_submit(&poller, &probe->op);
}

static int probe_submit_kept(struct probe *probe, int fd, unsigned events)
{
	probe_init(probe, POLL_OP_WAIT, fd, events);
	probe->op.flags = POLL_KEPT;
	return hilo__poller_submit(&poller, &probe->op);
}

static int reap(void)
{
	return hilo__poller_reap(&poller, POLL_BATCH, POLL_OWNER);
}

static void put(int fd)
{
	assert_int_equal(write(fd, "x", 1), 1);
}

static void take(int fd)
{
	char c;

	assert_int_equal(read(fd, &c, 1), 1);
}

static void make_pipe(int fds[2])
{
	assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
}

static void make_sockets(int fds[2])
{
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
}

static void close_both(const int fds[2])
{
	close(fds[0]);
	close(fds[1]);
}

static int count_fds(void)
{
	int n = 0;

	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static int setup(void **state)
{
	(void)state;
	hilo__sys_reset();
	hilo__mem_fail_at(0, false);
	return hilo__poller_init(&poller, false);
}

static int teardown(void **state)
{
	(void)state;
	hilo__sys_reset();
	hilo__mem_fail_at(0, false);
	hilo__poller_fini(&poller);
	return 0;
}

/* ---- Waiting ---- */

static void test_wait_on_what_is_ready_completes_at_the_next_reap(void **state)
{
	struct probe probe;
	int fds[2];

	(void)state;
	make_pipe(fds);
	put(fds[1]);
	assert_int_equal(probe_submit(&probe, fds[0], POLL_READABLE), 0);
	assert_int_equal(hilo__poller_armed(&poller), 1);
	assert_int_equal(reap(), 1);
	assert_int_equal(probe_count(&probe), 1);
	assert_int_equal(load_relaxed(&probe.result), POLL_READABLE);
	assert_int_equal(hilo__poller_armed(&poller), 0);
	assert_false(hilo__poller_cancel(&poller, &probe.op));
	assert_int_equal(reap(), 0);
	close_both(fds);
}

static void test_wait_completes_when_it_becomes_ready(void **state)
{
	struct probe probe;
	int fds[2];

	(void)state;
	make_pipe(fds);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(probe_submit(&probe, fds[0], POLL_READABLE), 0);
		assert_int_equal(reap(), 0);
		put(fds[1]);
		assert_int_equal(reap(), 1);
		assert_int_equal(probe_count(&probe), 1);
		take(fds[0]);
		assert_false(hilo__poller_cancel(&poller, &probe.op));
	}
	close_both(fds);
}

static void test_wait_again_without_reading_completes_again(void **state)
{
	struct probe probe;
	int fds[2];

	(void)state;
	make_pipe(fds);
	put(fds[1]);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(probe_submit(&probe, fds[0], POLL_READABLE), 0);
		assert_int_equal(reap(), 1);
	}
	for (int i = 0; i < 5; i++) {
		assert_int_equal(probe_submit_kept(&probe, fds[0], POLL_READABLE), 0);
		assert_int_equal(reap(), 1);
	}
	hilo__poller_forget(&poller, fds[0]);
	close_both(fds);
}

static void test_wait_reports_the_events_that_are_there(void **state)
{
	struct probe probe;
	int fds[2];

	(void)state;
	make_sockets(fds);
	assert_int_equal(probe_submit(&probe, fds[0], BOTH), 0);
	assert_int_equal(reap(), 1);
	assert_int_equal(load_relaxed(&probe.result), POLL_WRITABLE);
	put(fds[1]);
	assert_int_equal(probe_submit(&probe, fds[0], BOTH), 0);
	assert_int_equal(reap(), 1);
	assert_int_equal(load_relaxed(&probe.result), BOTH);
	close_both(fds);
}

static void test_wait_on_a_broken_file_reports_all_events(void **state)
{
	struct probe probe;
	int fds[2];

	(void)state;
	make_sockets(fds);
	close(fds[1]);
	assert_int_equal(probe_submit(&probe, fds[0], BOTH), 0);
	assert_int_equal(reap(), 1);
	assert_int_equal(load_relaxed(&probe.result), BOTH);
	close(fds[0]);

	make_pipe(fds);
	assert_int_equal(probe_submit(&probe, fds[0], POLL_READABLE), 0);
	close(fds[1]);
	assert_int_equal(reap(), 1);
	assert_int_equal(load_relaxed(&probe.result), POLL_READABLE);
	close(fds[0]);
}

static void test_many_wait_on_one_descriptor(void **state)
{
	struct probe reader[3], writer[2];
	int fds[2];

	(void)state;
	make_sockets(fds);
	while (write(fds[0], "some bytes to fill it with", 26) > 0)
		;
	for (int i = 0; i < 3; i++)
		assert_int_equal(probe_submit(&reader[i], fds[0], POLL_READABLE), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(probe_submit(&writer[i], fds[0], POLL_WRITABLE), 0);
	assert_int_equal(hilo__poller_armed(&poller), 5);
	assert_int_equal(reap(), 0);

	put(fds[1]);
	assert_int_equal(reap(), 3);
	for (int i = 0; i < 3; i++)
		assert_int_equal(probe_count(&reader[i]), 1);
	assert_int_equal(probe_count(&writer[0]) + probe_count(&writer[1]), 0);

	/* The writers must be armed still. */
	assert_true(hilo__poller_cancel(&poller, &writer[1].op));
	for (char chunk[4096]; read(fds[1], chunk, sizeof(chunk)) > 0;)
		;
	assert_int_equal(reap(), 1);
	assert_int_equal(probe_count(&writer[0]), 1);
	assert_int_equal(hilo__poller_armed(&poller), 0);
	close_both(fds);
}

static void test_one_descriptor_on_two_pollers(void **state)
{
	struct poller other;
	struct probe here, there;
	int fds[2];

	(void)state;
	assert_int_equal(hilo__poller_init(&other, false), 0);
	make_pipe(fds);
	assert_int_equal(probe_submit(&here, fds[0], POLL_READABLE), 0);
	probe_init(&there, POLL_OP_WAIT, fds[0], POLL_READABLE);
	assert_int_equal(hilo__poller_submit(&other, &there.op), 0);
	put(fds[1]);
	assert_int_equal(hilo__poller_reap(&other, 10, POLL_OWNER), 1);
	assert_int_equal(reap(), 1);
	assert_int_equal(probe_count(&here) + probe_count(&there), 2);
	close_both(fds);
	hilo__poller_fini(&other);
}

static void test_thousand_descriptors_complete_in_batches(void **state)
{
	enum {
		N = 1000
	};
	struct rlimit limit;
	static struct probe probe[N];
	int total = 0, n;

	(void)state;
	getrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_cur < N + 100) {
		limit.rlim_cur = N + 100;
		if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
			TEST_SKIP("this user may not open that many descriptors");
	}
	for (int i = 0; i < N; i++) {
		int fd = eventfd((unsigned)i % 2, EFD_CLOEXEC);

		assert_true(fd >= 0);
		assert_int_equal(probe_submit(&probe[i], fd, POLL_READABLE), 0);
	}
	assert_int_equal(hilo__poller_reap(&poller, 10, POLL_OWNER), 10);
	total = 10;
	while ((n = reap()) > 0)
		total += n;
	assert_int_equal(total, N / 2);
	for (int i = 0; i < N; i++) {
		assert_int_equal(probe_count(&probe[i]), i % 2);
		assert_int_equal(hilo__poller_cancel(&poller, &probe[i].op), i % 2 == 0);
		close(probe[i].op.fd);
	}
	assert_int_equal(hilo__poller_armed(&poller), 0);
}

/* ---- Cancelling ---- */

static void test_cancel_before_completion_prevents_it(void **state)
{
	struct probe probe, next;
	int fds[2];

	(void)state;
	make_pipe(fds);
	assert_int_equal(probe_submit(&probe, fds[0], POLL_READABLE), 0);
	assert_true(hilo__poller_cancel(&poller, &probe.op));
	assert_false(hilo__poller_cancel(&poller, &probe.op));
	assert_int_equal(hilo__poller_armed(&poller), 0);
	put(fds[1]);
	/* Another one on the same descriptor gets the event, the cancelled one does not. */
	assert_int_equal(probe_submit(&next, fds[0], POLL_READABLE), 0);
	assert_int_equal(reap(), 1);
	assert_int_equal(probe_count(&probe), 0);
	assert_int_equal(probe_count(&next), 1);
	close_both(fds);
}

static void test_cancel_of_what_was_never_submitted_is_false(void **state)
{
	struct probe probe;

	(void)state;
	probe_init(&probe, POLL_OP_WAIT, 0, POLL_READABLE);
	assert_false(hilo__poller_cancel(&poller, &probe.op));
}

/* A completion that takes its time, to see what other threads do meanwhile. */
struct slow {
	struct probe probe;
	atomic(bool) inside, leave, cancelled;
	int reaped;
};

static void slow_complete(struct poll_op *op)
{
	struct slow *slow = container_of(op, struct slow, probe.op);

	store_release(&slow->inside, true); /* pairs with the test */
	while (!load_acquire(&slow->leave)) /* pairs with the test */
		sched_yield();
}

static void *slow_reap(void *arg)
{
	struct slow *slow = arg;

	slow->reaped = reap();
	return NULL;
}

static void *slow_cancel(void *arg)
{
	struct slow *slow = arg;
	bool prevented = hilo__poller_cancel(&poller, &slow->probe.op);

	store_release(&slow->cancelled, true); /* pairs with the test */
	return prevented ? slow : NULL;
}

static void test_cancel_waits_until_complete_has_returned(void **state)
{
	struct slow slow;
	pthread_t reaper, canceller;
	void *prevented;
	int fds[2];

	(void)state;
	memset(&slow, 0, sizeof(slow));
	make_pipe(fds);
	put(fds[1]);
	probe_init(&slow.probe, POLL_OP_WAIT, fds[0], POLL_READABLE);
	slow.probe.op.complete = slow_complete;
	assert_int_equal(hilo__poller_submit(&poller, &slow.probe.op), 0);
	assert_int_equal(pthread_create(&reaper, NULL, slow_reap, &slow), 0);
	while (!load_acquire(&slow.inside)) /* pairs with slow_complete */
		sched_yield();
	assert_int_equal(pthread_create(&canceller, NULL, slow_cancel, &slow), 0);
	for (int i = 0; i < 200; i++) {
		assert_false(load_acquire(&slow.cancelled)); /* pairs with slow_cancel */
		sched_yield();
	}
	store_release(&slow.leave, true); /* pairs with slow_complete */
	pthread_join(canceller, &prevented);
	pthread_join(reaper, NULL);
	assert_null(prevented);
	assert_int_equal(slow.reaped, 1);
	close_both(fds);
}

static void test_reap_while_another_reaps_is_busy(void **state)
{
	struct slow slow;
	struct probe other;
	pthread_t reaper;
	int fds[2];

	(void)state;
	memset(&slow, 0, sizeof(slow));
	make_sockets(fds);
	put(fds[1]);
	probe_init(&slow.probe, POLL_OP_WAIT, fds[0], POLL_READABLE);
	slow.probe.op.complete = slow_complete;
	assert_int_equal(hilo__poller_submit(&poller, &slow.probe.op), 0);
	assert_int_equal(pthread_create(&reaper, NULL, slow_reap, &slow), 0);
	while (!load_acquire(&slow.inside)) /* pairs with slow_complete */
		sched_yield();
	assert_int_equal(probe_submit(&other, fds[1], POLL_WRITABLE), 0);
	assert_int_equal(reap(), -EBUSY);
	store_release(&slow.leave, true); /* pairs with slow_complete */
	pthread_join(reaper, NULL);
	assert_int_equal(reap(), 1);
	assert_false(hilo__poller_cancel(&poller, &slow.probe.op));
	close_both(fds);
}

/* ---- Descriptors that are closed and used again ---- */

static void test_closed_descriptor_can_be_cancelled(void **state)
{
	struct probe probe;
	int fds[2];

	(void)state;
	make_pipe(fds);
	assert_int_equal(probe_submit(&probe, fds[0], POLL_READABLE), 0);
	close_both(fds);
	assert_int_equal(reap(), 0);
	assert_int_equal(hilo__poller_wait(&poller, HILO_NO_WAIT), 0);
	assert_true(hilo__poller_cancel(&poller, &probe.op));
}

static void test_reused_number_ends_the_old_wait_and_serves_the_new(void **state)
{
	struct probe old, new;
	int one[2], two[2], kept;

	(void)state;
	for (int duplicate = 0; duplicate < 2; duplicate++) {
		make_pipe(one);
		make_pipe(two);
		assert_int_equal(probe_submit(&old, one[0], POLL_READABLE), 0);
		kept = duplicate ? dup(one[0]) : -1;
		assert_int_equal(dup2(two[0], one[0]), one[0]);
		assert_int_equal(probe_submit(&new, one[0], POLL_READABLE), 0);
		assert_int_equal(probe_count(&old), 1);
		assert_int_equal(load_relaxed(&old.result), -EBADF);
		assert_false(hilo__poller_cancel(&poller, &old.op));
		/* With a duplicate the kernel still reports the old file, under the old registration. */
		if (duplicate)
			put(one[1]);
		assert_int_equal(reap(), 0);
		put(two[1]);
		assert_int_equal(reap(), 1);
		assert_int_equal(probe_count(&new), 1);
		close_both(one);
		close_both(two);
		close(kept);
	}
}

static void test_number_that_comes_back_to_its_first_file(void **state)
{
	struct probe probe;
	int one[2], two[2], number, kept;

	(void)state;
	make_pipe(one);
	make_pipe(two);
	number = dup(one[0]);
	assert_int_equal(probe_submit(&probe, number, POLL_READABLE), 0);
	assert_true(hilo__poller_cancel(&poller, &probe.op));
	kept = dup(number);
	assert_int_equal(dup2(two[0], number), number);
	assert_int_equal(probe_submit(&probe, number, POLL_READABLE), 0);
	assert_true(hilo__poller_cancel(&poller, &probe.op));
	assert_int_equal(dup2(kept, number), number);
	put(one[1]);
	assert_int_equal(probe_submit(&probe, number, POLL_READABLE), 0);
	assert_int_equal(reap(), 1);
	close_both(one);
	close_both(two);
	close(kept);
	close(number);
}

static void test_number_reused_for_a_regular_file(void **state)
{
	struct probe old, new;
	int fds[2], file = memfd_create("file", MFD_CLOEXEC);

	(void)state;
	make_pipe(fds);
	assert_int_equal(probe_submit(&old, fds[0], POLL_READABLE), 0);
	assert_int_equal(dup2(file, fds[0]), fds[0]);
	assert_int_equal(probe_submit(&new, fds[0], POLL_READABLE), -EPERM);
	assert_int_equal(load_relaxed(&old.result), -EBADF);
	assert_false(hilo__poller_cancel(&poller, &old.op));
	assert_int_equal(hilo__poller_armed(&poller), 0);
	close(file);
	close_both(fds);
}

/* What another thread might do between the kernel's answer and our use of it. */
static struct {
	struct probe *old, *new;
	int fd;
} interloper;

static int interloper_wait(int epfd, struct epoll_event *events, int max, int ms)
{
	int n = sys_real_epoll_wait(epfd, events, max, ms);

	if (n == 1 && interloper.old) {
		assert_true(hilo__poller_cancel(&poller, &interloper.old->op));
		interloper.old = NULL;
		take(interloper.fd);
		assert_int_equal(probe_submit(interloper.new, interloper.fd, POLL_READABLE), 0);
	}
	return n;
}

static void test_stale_event_does_not_complete_a_younger_wait(void **state)
{
	struct probe old, new;
	int fds[2];

	(void)state;
	make_pipe(fds);
	put(fds[1]);
	assert_int_equal(probe_submit(&old, fds[0], POLL_READABLE), 0);
	interloper.old = &old;
	interloper.new = &new;
	interloper.fd = fds[0];
	hilo__sys.epoll_wait = interloper_wait;
	assert_int_equal(reap(), 0);
	assert_null(interloper.old);
	assert_int_equal(probe_count(&new), 0);
	put(fds[1]);
	assert_int_equal(reap(), 1);
	assert_int_equal(probe_count(&new), 1);
	close_both(fds);
}

/* ---- Refusals and failures ---- */

static void test_submit_refuses_what_cannot_be_waited_for(void **state)
{
	struct probe probe;
	int file = memfd_create("file", MFD_CLOEXEC);
	int fds[2];

	(void)state;
	assert_int_equal(probe_submit(&probe, file, POLL_READABLE), -EPERM);
	assert_int_equal(probe_submit(&probe, -1, POLL_READABLE), -EBADF);
	assert_int_equal(probe_submit(&probe, 9999, POLL_READABLE), -EBADF);
	assert_int_equal(probe_submit(&probe, INT32_MAX, POLL_READABLE), -EBADF);
	make_pipe(fds);
	assert_int_equal(probe_submit(&probe, fds[0], 0), -EINVAL);
	assert_int_equal(probe_submit(&probe, fds[0], 4), -EINVAL);
	/* A number that was good before. */
	assert_int_equal(probe_submit(&probe, fds[0], POLL_READABLE), 0);
	assert_true(hilo__poller_cancel(&poller, &probe.op));
	close_both(fds);
	assert_int_equal(probe_submit(&probe, fds[0], POLL_READABLE), -EBADF);
	assert_int_equal(hilo__poller_armed(&poller), 0);
	close(file);
}

static void test_submit_that_fails_in_the_kernel_submits_nothing(void **state)
{
	static const int errors[] = {ENOMEM, ENOSPC};
	struct probe waiting, probe;
	int fds[2];

	(void)state;
	for (unsigned i = 0; i < array_size(errors); i++) {
		make_sockets(fds);
		/* The first call only looks; or there is none, if the place exists already. */
		hilo__sys_fail(SYS_CALL_EPOLL_CTL, i ? 1 : 2, errors[i], false);
		assert_int_equal(probe_submit(&probe, fds[0], POLL_READABLE), -errors[i]);
		assert_int_equal(hilo__poller_armed(&poller), 0);
		assert_false(hilo__poller_cancel(&poller, &probe.op));
		assert_int_equal(probe_submit(&waiting, fds[0], POLL_READABLE), 0);
		/* A failure concerns only the one that is told of it. */
		hilo__sys_fail(SYS_CALL_EPOLL_CTL, 1, errors[i], false);
		assert_int_equal(probe_submit(&probe, fds[0], POLL_WRITABLE), -errors[i]);
		assert_int_equal(hilo__poller_armed(&poller), 1);
		put(fds[1]);
		assert_int_equal(reap(), 1);
		assert_int_equal(probe_count(&waiting), 1);
		assert_int_equal(probe_count(&probe), 0);
		close_both(fds);
	}
}

static void test_failing_rearm_ends_the_waits_that_depend_on_it(void **state)
{
	struct probe reader, writer;
	int fds[2];

	(void)state;
	make_sockets(fds);
	assert_int_equal(probe_submit(&reader, fds[0], POLL_READABLE), 0);
	assert_int_equal(probe_submit(&writer, fds[0], POLL_WRITABLE), 0);
	hilo__sys_fail(SYS_CALL_EPOLL_CTL, 1, ENOMEM, false);
	assert_int_equal(reap(), 2);
	assert_int_equal(load_relaxed(&writer.result), POLL_WRITABLE);
	assert_int_equal(load_relaxed(&reader.result), -ENOMEM);
	assert_int_equal(hilo__poller_armed(&poller), 0);
	/* And it all can begin again. */
	assert_int_equal(probe_submit(&writer, fds[0], POLL_WRITABLE), 0);
	assert_int_equal(reap(), 1);
	close_both(fds);
}

static void test_submit_survives_each_failing_allocation(void **state)
{
	struct probe probe;
	int fds[2];
	int rc = -ENOMEM;

	(void)state;
	make_pipe(fds);
	put(fds[1]);
	for (long n = 1; rc == -ENOMEM; n++) {
		assert_true(n < 10);
		hilo__mem_fail_at(n, false);
		rc = probe_submit(&probe, fds[0], POLL_READABLE);
		assert_int_equal(hilo__poller_armed(&poller), rc == 0);
	}
	assert_int_equal(rc, 0);
	assert_int_equal(reap(), 1);
	close_both(fds);
}

static void test_init_that_fails_leaves_nothing_behind(void **state)
{
	struct poller other;
	int fds = count_fds();
	long live = hilo__mem_live();
	int rc = -1;

	(void)state;
	for (int with_timer = 0; with_timer < 2; with_timer++) {
		rc = -1;
		for (long n = 1; rc < 0; n++) {
			assert_true(n < 20);
			hilo__sys_reset();
			hilo__sys_fail(SYS_CALL_ANY, n, EMFILE, false);
			if (with_timer)
				hilo__sys_fail(SYS_CALL_EPOLL_PWAIT2, 1, ENOSYS, true);
			rc = hilo__poller_init(&other, false);
			hilo__sys_fail(SYS_CALL_ANY, 0, 0, false);
			if (rc == 0)
				hilo__poller_fini(&other);
			else
				assert_int_equal(rc, -EMFILE);
			assert_int_equal(count_fds(), fds);
			assert_int_equal(hilo__mem_live(), live);
		}
	}
	hilo__mem_fail_at(1, false);
	assert_int_equal(hilo__poller_init(&other, false), -ENOMEM);
	assert_int_equal(count_fds(), fds);
}

/* ---- Sleeping and waking ---- */

static void test_wait_does_not_end_before_its_deadline(void **state)
{
	(void)state;
	for (int i = 0; i < 5; i++) {
		hilo_time deadline = hilo__clock_now() + (i + 1) * 700 * HILO_MICROSECOND;

		assert_int_equal(hilo__poller_wait(&poller, deadline), 0);
		assert_true(hilo__clock_now() >= deadline);
	}
	assert_int_equal(hilo__poller_wait(&poller, HILO_NO_WAIT), 0);
	assert_int_equal(hilo__poller_wait(&poller, -5), 0);
	assert_int_equal(hilo__poller_wait(&poller, hilo__clock_now() - HILO_SECOND), 0);
}

static void test_wait_without_pwait2_keeps_its_deadlines(void **state)
{
	struct probe probe;
	int fds[2];

	(void)state;
	hilo__poller_fini(&poller);
	hilo__sys_fail(SYS_CALL_EPOLL_PWAIT2, 1, ENOSYS, true);
	assert_int_equal(hilo__poller_init(&poller, false), 0);
	hilo__sys_fail(SYS_CALL_TIMERFD_SETTIME, 0, 0, false);
	test_wait_does_not_end_before_its_deadline(NULL);
	assert_int_equal(hilo__sys_calls(SYS_CALL_TIMERFD_SETTIME), 5);
	/* The timer that has expired must not end a wait without a deadline. */
	make_pipe(fds);
	put(fds[1]);
	assert_int_equal(probe_submit(&probe, fds[0], POLL_READABLE), 0);
	assert_int_equal(hilo__poller_wait(&poller, HILO_FOREVER), 1);
	hilo__poller_wake(&poller);
	assert_int_equal(hilo__poller_wait(&poller, HILO_FOREVER), 0);
	/* And without the timer milliseconds have to do. */
	hilo__sys_fail(SYS_CALL_TIMERFD_SETTIME, 1, EINVAL, true);
	test_wait_does_not_end_before_its_deadline(NULL);
	close_both(fds);
}

static void test_wait_ends_early_on_a_signal(void **state)
{
	(void)state;
	/* Both, as without epoll_pwait2 a timer and epoll_wait stand for it. */
	hilo__sys_fail(SYS_CALL_EPOLL_PWAIT2, 1, EINTR, false);
	hilo__sys_fail(SYS_CALL_EPOLL_WAIT, 1, EINTR, false);
	assert_int_equal(hilo__poller_wait(&poller, hilo__clock_now() + HILO_MINUTE), 0);
	hilo__sys_fail(SYS_CALL_EPOLL_WAIT, 1, EINTR, false);
	assert_int_equal(hilo__poller_wait(&poller, HILO_FOREVER), 0);
}

static void test_wait_ends_when_something_completes(void **state)
{
	struct probe probe;
	int fds[2];

	(void)state;
	make_sockets(fds);
	assert_int_equal(probe_submit(&probe, fds[0], POLL_WRITABLE), 0);
	assert_int_equal(hilo__poller_wait(&poller, HILO_FOREVER), 1);
	close_both(fds);
}

static void test_wake_before_the_wait_ends_it_at_once(void **state)
{
	(void)state;
	hilo__poller_wake(&poller);
	assert_int_equal(hilo__poller_wait(&poller, HILO_FOREVER), 0);
	hilo__poller_wake(&poller);
	assert_int_equal(hilo__poller_wait(&poller, hilo__clock_now() + HILO_MINUTE), 0);
}

static void test_wakes_are_coalesced(void **state)
{
	hilo_time deadline;

	(void)state;
	hilo__sys_fail(SYS_CALL_WRITE, 0, 0, false);
	for (int i = 0; i < 100; i++)
		hilo__poller_wake(&poller);
	assert_int_equal(hilo__sys_calls(SYS_CALL_WRITE), 1);
	assert_int_equal(hilo__poller_wait(&poller, HILO_FOREVER), 0);
	/* Nothing is left of them. */
	deadline = hilo__clock_now() + HILO_MILLISECOND;
	assert_int_equal(hilo__poller_wait(&poller, deadline), 0);
	assert_true(hilo__clock_now() >= deadline);
	hilo__poller_wake(&poller);
	assert_int_equal(hilo__sys_calls(SYS_CALL_WRITE), 2);
}

static void test_wake_survives_an_interrupted_write(void **state)
{
	(void)state;
	hilo__sys_fail(SYS_CALL_WRITE, 1, EINTR, false);
	hilo__poller_wake(&poller);
	assert_int_equal(hilo__poller_wait(&poller, HILO_FOREVER), 0);
}

static void *wake_after_reap(void *arg)
{
	/* What a thief takes must not be the owner's wake-up. */
	for (int i = 0; i < 50; i++) {
		hilo__poller_wake(&poller);
		(void)hilo__poller_reap(&poller, 10, POLL_OWNER);
	}
	return arg;
}

static void test_wake_from_another_thread_is_not_taken_by_a_thief(void **state)
{
	struct probe probe;
	pthread_t thread;
	int fds[2];

	(void)state;
	make_pipe(fds);
	assert_int_equal(probe_submit(&probe, fds[0], POLL_READABLE), 0);
	for (int i = 0; i < 50; i++) {
		assert_int_equal(pthread_create(&thread, NULL, wake_after_reap, NULL), 0);
		assert_int_equal(hilo__poller_wait(&poller, HILO_FOREVER), 0);
		pthread_join(thread, NULL);
		hilo__poller_wake(&poller);
		(void)reap();
		assert_int_equal(hilo__poller_wait(&poller, HILO_FOREVER), 0);
	}
	assert_true(hilo__poller_cancel(&poller, &probe.op));
	close_both(fds);
}

/* ---- Watches ---- */

static void watch_rounds(unsigned flags)
{
	struct probe watch;
	int fds[2];

	make_pipe(fds);
	probe_init(&watch, POLL_OP_WATCH, fds[0], POLL_READABLE);
	watch.op.flags = (uint8_t)flags;
	assert_int_equal(hilo__poller_submit(&poller, &watch.op), 0);
	assert_int_equal(reap(), 0);
	put(fds[1]);
	assert_int_equal(reap(), 1);
	/* Silent, but there. */
	for (int i = 0; i < 5; i++)
		assert_int_equal(reap(), 0);
	assert_int_equal(hilo__poller_armed(&poller), 1);
	/* Nothing was read: again. */
	hilo__poller_resume(&poller, &watch.op);
	assert_int_equal(reap(), 1);
	take(fds[0]);
	hilo__poller_resume(&poller, &watch.op);
	hilo__poller_resume(&poller, &watch.op);
	assert_int_equal(reap(), 0);
	put(fds[1]);
	assert_int_equal(reap(), 1);
	assert_int_equal(probe_count(&watch), 3);
	assert_true(hilo__poller_cancel(&poller, &watch.op));
	hilo__poller_resume(&poller, &watch.op);
	assert_int_equal(hilo__poller_armed(&poller), 0);
	assert_int_equal(reap(), 0);
	hilo__poller_forget(&poller, fds[0]);
	close_both(fds);
}

static void test_watch_completes_as_long_as_it_is_ready(void **state)
{
	(void)state;
	watch_rounds(0);
	watch_rounds(POLL_KEPT);
}

static void test_watch_of_a_closed_descriptor_ends(void **state)
{
	struct probe watch;
	int fds[2];

	(void)state;
	make_pipe(fds);
	probe_init(&watch, POLL_OP_WATCH, fds[0], POLL_READABLE);
	assert_int_equal(hilo__poller_submit(&poller, &watch.op), 0);
	put(fds[1]);
	assert_int_equal(reap(), 1);
	close_both(fds);
	hilo__poller_resume(&poller, &watch.op);
	assert_int_equal(probe_count(&watch), 2);
	assert_int_equal(load_relaxed(&watch.result), -EBADF);
	assert_false(hilo__poller_cancel(&poller, &watch.op));
}

static void test_silent_watch_of_a_reused_number_ends_when_it_is_resumed(void **state)
{
	struct probe watch, wait;
	int fds[2], others[2];

	(void)state;
	for (int forget = 0; forget < 2; forget++) {
		make_pipe(fds);
		make_pipe(others);
		probe_init(&watch, POLL_OP_WATCH, fds[0], POLL_READABLE);
		assert_int_equal(hilo__poller_submit(&poller, &watch.op), 0);
		put(fds[1]);
		assert_int_equal(reap(), 1);
		if (forget)
			hilo__poller_forget(&poller, fds[0]);
		assert_int_equal(dup2(others[0], fds[0]), fds[0]);
		assert_int_equal(probe_submit(&wait, fds[0], POLL_READABLE), 0);
		assert_int_equal(probe_count(&watch), 1);
		put(others[1]);
		assert_int_equal(reap(), 1);
		assert_int_equal(probe_count(&wait), 1);
		hilo__poller_resume(&poller, &watch.op);
		assert_int_equal(probe_count(&watch), 2);
		assert_int_equal(load_relaxed(&watch.result), -EBADF);
		assert_false(hilo__poller_cancel(&poller, &watch.op));
		close_both(fds);
		close_both(others);
	}
}

static void test_silent_watch_does_not_hide_a_wait(void **state)
{
	struct probe watch, wait;
	int fds[2];

	(void)state;
	make_pipe(fds);
	probe_init(&watch, POLL_OP_WATCH, fds[0], POLL_READABLE);
	assert_int_equal(hilo__poller_submit(&poller, &watch.op), 0);
	put(fds[1]);
	assert_int_equal(reap(), 1);
	assert_int_equal(probe_submit(&wait, fds[0], POLL_READABLE), 0);
	assert_int_equal(reap(), 1);
	assert_int_equal(probe_count(&wait), 1);
	assert_int_equal(probe_count(&watch), 1);
	hilo__poller_resume(&poller, &watch.op);
	assert_int_equal(reap(), 1);
	assert_true(hilo__poller_cancel(&poller, &watch.op));
	close_both(fds);
}

/* ---- Kept descriptors ---- */

static void test_kept_descriptor_costs_no_call_in_a_request_loop(void **state)
{
	struct probe probe;
	int fds[2];

	(void)state;
	make_sockets(fds);
	put(fds[1]);
	assert_int_equal(probe_submit_kept(&probe, fds[0], POLL_READABLE), 0);
	assert_int_equal(reap(), 1);
	take(fds[0]);
	hilo__sys_fail(SYS_CALL_EPOLL_CTL, 0, 0, false);
	for (int i = 0; i < 100; i++) {
		assert_int_equal(probe_submit_kept(&probe, fds[0], POLL_READABLE), 0);
		assert_int_equal(reap(), 0);
		put(fds[1]);
		assert_int_equal(i % 2 ? reap() : hilo__poller_wait(&poller, HILO_FOREVER), 1);
		take(fds[0]);
	}
	assert_int_equal(hilo__sys_calls(SYS_CALL_EPOLL_CTL), 0);
	hilo__poller_forget(&poller, fds[0]);
	close_both(fds);
}

static void test_kept_descriptor_that_nobody_reads_does_not_keep_the_owner_awake(void **state)
{
	struct probe probe;
	hilo_time deadline;
	int fds[2];

	(void)state;
	for (int broken = 0; broken < 2; broken++) {
		make_sockets(fds);
		put(fds[1]);
		assert_int_equal(probe_submit_kept(&probe, fds[0], POLL_READABLE), 0);
		assert_int_equal(reap(), 1);
		if (broken)
			close(fds[1]);
		deadline = hilo__clock_now() + 5 * HILO_MILLISECOND;
		hilo__sys_fail(SYS_CALL_EPOLL_PWAIT2, 0, 0, false);
		while (hilo__clock_now() < deadline)
			assert_int_equal(hilo__poller_wait(&poller, deadline), 0);
		assert_true(hilo__sys_calls(SYS_CALL_EPOLL_PWAIT2) <= 4);
		/* Narrowed, and still good for another wait. */
		assert_int_equal(probe_submit_kept(&probe, fds[0], POLL_READABLE), 0);
		assert_int_equal(reap(), 1);
		hilo__poller_forget(&poller, fds[0]);
		close_both(fds);
	}
}

static void test_kept_and_plain_waits_share_a_descriptor(void **state)
{
	struct probe kept, plain, writer;
	int fds[2];

	(void)state;
	make_sockets(fds);
	assert_int_equal(probe_submit_kept(&kept, fds[0], POLL_READABLE), 0);
	assert_int_equal(probe_submit(&plain, fds[0], POLL_READABLE), 0);
	assert_int_equal(probe_submit_kept(&writer, fds[0], POLL_WRITABLE), 0);
	assert_int_equal(reap(), 1);
	assert_int_equal(probe_count(&writer), 1);
	put(fds[1]);
	assert_int_equal(reap(), 2);
	assert_int_equal(probe_count(&kept) + probe_count(&plain), 2);
	hilo__poller_forget(&poller, fds[0]);
	close_both(fds);
}

static void test_forget_ends_what_waits_and_frees_the_number(void **state)
{
	struct probe probe, next;
	int fds[2], number;

	(void)state;
	hilo__poller_forget(&poller, -1);
	hilo__poller_forget(&poller, 9999);
	make_pipe(fds);
	number = fds[0];
	assert_int_equal(probe_submit_kept(&probe, fds[0], POLL_READABLE), 0);
	hilo__poller_forget(&poller, fds[0]);
	assert_int_equal(probe_count(&probe), 1);
	assert_int_equal(load_relaxed(&probe.result), -EBADF);
	assert_false(hilo__poller_cancel(&poller, &probe.op));
	close_both(fds);
	make_pipe(fds);
	assert_int_equal(fds[0], number);
	put(fds[1]);
	assert_int_equal(probe_submit_kept(&next, fds[0], POLL_READABLE), 0);
	assert_int_equal(reap(), 1);
	hilo__poller_forget(&poller, fds[0]);
	hilo__poller_forget(&poller, fds[0]);
	close_both(fds);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_wait_on_what_is_ready_completes_at_the_next_reap),
		TEST(test_wait_completes_when_it_becomes_ready),
		TEST(test_wait_again_without_reading_completes_again),
		TEST(test_wait_reports_the_events_that_are_there),
		TEST(test_wait_on_a_broken_file_reports_all_events),
		TEST(test_many_wait_on_one_descriptor),
		TEST(test_one_descriptor_on_two_pollers),
		TEST(test_thousand_descriptors_complete_in_batches),
		TEST(test_cancel_before_completion_prevents_it),
		TEST(test_cancel_of_what_was_never_submitted_is_false),
		TEST(test_cancel_waits_until_complete_has_returned),
		TEST(test_reap_while_another_reaps_is_busy),
		TEST(test_closed_descriptor_can_be_cancelled),
		TEST(test_reused_number_ends_the_old_wait_and_serves_the_new),
		TEST(test_number_that_comes_back_to_its_first_file),
		TEST(test_number_reused_for_a_regular_file),
		TEST(test_stale_event_does_not_complete_a_younger_wait),
		TEST(test_submit_refuses_what_cannot_be_waited_for),
		TEST(test_submit_that_fails_in_the_kernel_submits_nothing),
		TEST(test_failing_rearm_ends_the_waits_that_depend_on_it),
		TEST(test_submit_survives_each_failing_allocation),
		TEST(test_init_that_fails_leaves_nothing_behind),
		TEST(test_wait_does_not_end_before_its_deadline),
		TEST(test_wait_without_pwait2_keeps_its_deadlines),
		TEST(test_wait_ends_early_on_a_signal),
		TEST(test_wait_ends_when_something_completes),
		TEST(test_wake_before_the_wait_ends_it_at_once),
		TEST(test_wakes_are_coalesced),
		TEST(test_wake_survives_an_interrupted_write),
		TEST(test_wake_from_another_thread_is_not_taken_by_a_thief),
		TEST(test_watch_completes_as_long_as_it_is_ready),
		TEST(test_watch_of_a_closed_descriptor_ends),
		TEST(test_silent_watch_of_a_reused_number_ends_when_it_is_resumed),
		TEST(test_silent_watch_does_not_hide_a_wait),
		TEST(test_kept_descriptor_costs_no_call_in_a_request_loop),
		TEST(test_kept_descriptor_that_nobody_reads_does_not_keep_the_owner_awake),
		TEST(test_kept_and_plain_waits_share_a_descriptor),
		TEST(test_forget_ends_what_waits_and_frees_the_number),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
