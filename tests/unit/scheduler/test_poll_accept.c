/* SPDX-License-Identifier: MIT */
/* test_poll_accept.c - several accept from one socket, and some are told to end: no connection is left lying. */
#include "tests/unit/scheduler/poll_probe.h"

#include <errno.h>

/* A thread that connects when it is told to, once for each round. */
struct caller {
	struct sockaddr_in address;
	pthread_t thread;
	unsigned rounds;
	atomic(unsigned) told, called;
};

static void *caller_main(void *arg)
{
	struct caller *caller = arg;

	for (unsigned i = 1; i <= caller->rounds; i++) {
		int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

		TASK_CHECK(client, >=, 0);
		while (load_acquire(&caller->told) < i) /* pairs with call */
			cpu_relax();
		TASK_CHECK(connect(client, (struct sockaddr *)&caller->address, sizeof(caller->address)), ==,
			   0);
		store_release(&caller->called, i); /* pairs with call */
		TASK_CHECK(close(client), ==, 0);
	}
	return NULL;
}

static void caller_start(struct caller *caller, unsigned rounds)
{
	caller->rounds = rounds;
	atomic_setup(&caller->told, 0);
	atomic_setup(&caller->called, 0);
	assert_int_equal(pthread_create(&caller->thread, NULL, caller_main, caller), 0);
}

/* A connection is there, and this thread has not been in the kernel meanwhile: it knows of no wake-up. */
static void call(struct caller *caller)
{
	unsigned round = load_relaxed(&caller->told) + 1;

	store_release(&caller->told, round);	      /* pairs with caller_main */
	while (load_acquire(&caller->called) < round) /* pairs with caller_main */
		cpu_relax();
}

static void accept_start(struct probe *probe, int listener)
{
	probe_init(probe, POLL_IO_ACCEPT, listener, NULL, 0);
	probe->io.flags = SOCK_CLOEXEC;
	probe_start(probe);
}

/* The kernel wakes one of those who accept for a connection; that one is ended, and the others sleep. */
POLL_TEST(test_who_is_ended_when_woken_leaves_the_connection_to_another)
{
	struct caller caller;
	int listener = listen_here(&caller.address);
	unsigned rounds = test_rounds(100);
	struct probe first, second;

	caller_start(&caller, rounds);
	for (unsigned i = 0; i < rounds; i++) {
		struct probe *has = &first, *other = &second;

		accept_start(&first, listener);
		accept_start(&second, listener);
		reap();
		call(&caller);
		hilo__poller_stop(&first.io);
		while (!first.completions)
			(void)hilo__poller_wait(&poller, HILO_FOREVER);
		if (first.result == -ECANCELED) {
			has = &second;
			other = &first;
		}
		assert_true(probe_await(has) >= 0);
		hilo__poller_stop(&other->io);
		assert_int_equal(probe_await(other), -ECANCELED);
		assert_int_equal(close(has->result), 0);
	}
	assert_int_equal(pthread_join(caller.thread, NULL), 0);
	hilo__poller_forget(&poller, listener);
	assert_int_equal(close(listener), 0);
}

/* All of them are ended: the connection goes to one of them, or waits for the next one. */
POLL_TEST(test_all_are_ended_and_no_connection_is_lost)
{
	enum {
		N = 5
	};
	struct caller caller;
	int listener = listen_here(&caller.address);
	unsigned rounds = test_rounds(50);
	struct probe probes[N], next;

	caller_start(&caller, rounds);
	for (unsigned i = 0; i < rounds; i++) {
		int taken = -1;

		for (int k = 0; k < N; k++)
			accept_start(&probes[k], listener);
		reap();
		call(&caller);
		for (int k = 0; k < N; k++) {
			hilo__poller_stop(&probes[k].io);
			hilo__poller_stop(&probes[k].io); /* once more does nothing */
		}
		for (int k = 0; k < N; k++) {
			if (probe_await(&probes[k]) == -ECANCELED)
				continue;
			assert_int_equal(taken, -1);
			taken = probes[k].result;
		}
		if (taken < 0) {
			accept_start(&next, listener);
			taken = probe_await(&next);
		}
		assert_true(taken >= 0);
		assert_int_equal(close(taken), 0);
	}
	assert_int_equal(hilo__poller_armed(&poller), 0);
	assert_int_equal(pthread_join(caller.thread, NULL), 0);
	hilo__poller_forget(&poller, listener);
	assert_int_equal(close(listener), 0);
}

/* One that is to try once more, when the poller's end comes. */
POLL_TEST(test_the_end_comes_when_one_tries_again)
{
	struct caller caller;
	int listener = listen_here(&caller.address);
	struct probe probe;

	caller_start(&caller, 1);
	accept_start(&probe, listener);
	reap();
	call(&caller);
	hilo__poller_stop(&probe.io);
	hilo__poller_flush(&poller);
	(void)hilo__poller_reap(&poller, POLL_BATCH, POLL_OWNER);
	(void)hilo__poller_abandon(&poller, HILO_FOREVER);
	assert_int_equal(probe.completions, 1);
	if (probe.result != -ECANCELED)
		assert_int_equal(close(probe.result), 0);
	assert_int_equal(pthread_join(caller.thread, NULL), 0);
	end_poller();
	assert_int_equal(close(listener), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(test_who_is_ended_when_woken_leaves_the_connection_to_another),
		BOTH(test_all_are_ended_and_no_connection_is_lost),
		BOTH(test_the_end_comes_when_one_tries_again),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
