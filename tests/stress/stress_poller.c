/* SPDX-License-Identifier: MIT */
/*
 * stress_poller.c - an owner sleeps in the poller, a guest reaps beside it, three threads submit waits
 * that lie on their stacks and cancel them, make files ready and read them empty, start operations on
 * sockets and stop them, a fourth wakes the owner, and now and then a system call is delayed or
 * interrupted. First over epoll, then on a ring, where there is one. Checked: each wait completes exactly
 * once or was cancelled, no readiness is lost, a plain wait never completes for a file that was not
 * ready after its submission, and nobody touches an operation after cancel has returned; each operation
 * completes exactly once, one that was not stopped moves its byte, and no byte is lost.
 * HILO_TEST_SCALE multiplies the number of rounds.
 */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scheduler/base/clock.h"
#include "scheduler/base/panic.h"
#include "scheduler/base/random.h"
#include "scheduler/base/sys.h"
#include "scheduler/poll_io.h"
#include "tests/support/test.h"

#define SUBMITTERS 3
#define FILES 4
#define OPERATIONS 4
#define ROUNDS 1000

#define CHECK(x)                                                                                             \
	do {                                                                                                 \
		if (!(x))                                                                                    \
			HILO__PANIC("check failed: %s", #x);                                                 \
	} while (0)

struct probe {
	struct poll_op op;
	atomic(int) completions;
};

/* A receive or a send of one byte. */
struct transfer {
	struct poll_io io;
	char byte;
	bool stopped;
	int result;
	atomic(int) completions;
};

static struct poller poller;
static int shared[FILES]; /* eventfds that anybody waits for, fills and empties */
static atomic(bool) stop;
static atomic(unsigned long) total_completed, total_cancelled, total_moved, total_stopped;
static uint64_t seed;
static unsigned rounds = ROUNDS;

static void probe_complete(struct poll_op *op)
{
	struct probe *probe = container_of(op, struct probe, op);

	CHECK(op->result > 0);
	(void)add_release(&probe->completions, 1); /* pairs with probe_count */
}

static int probe_count(struct probe *probe)
{
	return load_acquire(&probe->completions); /* pairs with probe_complete */
}

static void probe_submit(struct probe *probe, int fd, unsigned flags)
{
	memset(probe, 0, sizeof(*probe));
	poll_op_init(&probe->op, POLL_OP_WAIT, fd, POLL_READABLE, probe_complete);
	probe->op.flags = (uint8_t)flags;
	CHECK(hilo__poller_submit(&poller, &probe->op) == 0);
}

static void file_fill(int fd)
{
	const uint64_t one = 1;

	CHECK(write(fd, &one, sizeof(one)) == sizeof(one));
}

/* True if there was something in it. */
static bool file_empty(int fd)
{
	uint64_t count;

	return read(fd, &count, sizeof(count)) == sizeof(count);
}

/* On a file of our own nothing else happens: the wait must complete, and only when it may. */
static void round_private(int fd, struct random *random, unsigned flags)
{
	bool before = random_below(random, 2);
	struct probe probe;

	if (random_below(random, 2)) {
		/* An event that is on its way when its wait is over must not complete the next one. */
		probe_submit(&probe, fd, flags);
		file_fill(fd);
		(void)hilo__poller_cancel(&poller, &probe.op);
		(void)file_empty(fd);
	}
	if (before)
		file_fill(fd);
	probe_submit(&probe, fd, flags);
	if (!before) {
		if (random_below(random, 2))
			sched_yield();
		/* One that is kept may be told of the round before. */
		CHECK(flags || probe_count(&probe) == 0);
		file_fill(fd);
	}
	while (probe_count(&probe) == 0)
		sched_yield();
	CHECK(!hilo__poller_cancel(&poller, &probe.op));
	CHECK(probe_count(&probe) == 1);
	memset(&probe, 0xa5, sizeof(probe));
	CHECK(file_empty(fd));
	(void)add_relaxed(&total_completed, 1);
}

/* On shared files anything may happen; the answers must fit. */
static void round_shared(struct random *random)
{
	struct probe probe[8];

	for (int i = 0; i < 8; i++)
		probe_submit(&probe[i], shared[random_below(random, FILES)], 0);
	for (int i = 0; i < 4; i++) {
		if (random_below(random, 2))
			file_fill(shared[random_below(random, FILES)]);
		else
			(void)file_empty(shared[random_below(random, FILES)]);
	}
	if (random_below(random, 4) == 0)
		sched_yield();
	if (random_below(random, 16) == 0)
		hilo__poller_wake(&poller);
	for (int i = 0; i < 8; i++) {
		bool cancelled = hilo__poller_cancel(&poller, &probe[i].op);

		CHECK(probe_count(&probe[i]) == !cancelled);
		memset(&probe[i], 0xa5, sizeof(probe[i]));
		(void)add_relaxed(cancelled ? &total_cancelled : &total_completed, 1);
	}
}

static void transfer_over(struct transfer *transfer, int result)
{
	transfer->result = result;
	(void)add_release(&transfer->completions, 1); /* pairs with transfer_await */
}

static void transfer_complete(struct poll_op *op)
{
	transfer_over(container_of(container_of(op, struct poll_io, op), struct transfer, io), op->result);
}

static void transfer_start(struct transfer *transfer, enum poll_io_kind kind, int fd)
{
	memset(transfer, 0, sizeof(*transfer));
	poll_io_init(&transfer->io, kind, fd, &transfer->byte, 1, transfer_complete);
	if (hilo__poller_start(&poller, &transfer->io))
		transfer_over(transfer, transfer->io.op.result);
	else
		hilo__poller_wake(&poller);
}

/* True: it has moved its byte. */
static bool transfer_await(struct transfer *transfer)
{
	while (load_acquire(&transfer->completions) == 0) /* pairs with transfer_over */
		sched_yield();
	CHECK(load_relaxed(&transfer->completions) == 1); /* relaxed: the owner's again */
	CHECK(transfer->result == 1 || (transfer->stopped && transfer->result == -ECANCELED));
	(void)add_relaxed(transfer->result == 1 ? &total_moved : &total_stopped, 1);
	return transfer->result == 1;
}

/* Receives and sends at the ends of a pair of our own, some of which are stopped. What was sent is received. */
static void round_operations(const int pair[2], struct random *random)
{
	struct transfer in[OPERATIONS], out[OPERATIONS];
	bool both = random_below(random, 2);
	int sent = 0, received = 0;
	char left[OPERATIONS + 1];
	ssize_t n;

	for (int i = 0; i < OPERATIONS; i++) {
		transfer_start(&in[i], POLL_IO_RECV, pair[0]);
		transfer_start(&out[i], POLL_IO_SEND, pair[1]);
	}
	if (random_below(random, 4) == 0)
		sched_yield();
	for (int i = 0; i < OPERATIONS; i++) {
		struct transfer *transfer = both && random_below(random, 2) ? &out[i] : &in[i];

		if (random_below(random, 2) == 0)
			continue;
		transfer->stopped = true;
		hilo__poller_stop(&transfer->io);
	}
	for (int i = 0; i < OPERATIONS; i++)
		sent += transfer_await(&out[i]);
	for (int i = 0; i < OPERATIONS && sent < OPERATIONS; i++) { /* some of them get no byte */
		in[i].stopped = true;
		hilo__poller_stop(&in[i].io);
	}
	for (int i = 0; i < OPERATIONS; i++)
		received += transfer_await(&in[i]);
	n = recv(pair[0], left, sizeof(left), MSG_DONTWAIT);
	CHECK(received + (n > 0 ? (int)n : 0) == sent);
	memset(in, 0xa5, sizeof(in));
	memset(out, 0xa5, sizeof(out));
}

static void *submitter_main(void *arg)
{
	unsigned thread = (unsigned)(uintptr_t)arg;
	int plain = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	int kept = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct random random;
	int pair[2];

	CHECK(plain >= 0 && kept >= 0);
	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	random_init(&random, seed, thread);
	for (unsigned round = 0; round < rounds; round++) {
		round_private(plain, &random, 0);
		round_private(kept, &random, POLL_KEPT);
		round_shared(&random);
		round_operations(pair, &random);
		if (random_below(&random, 50) == 0) {
			/* The number is used again, at once or by another thread. */
			close(plain);
			plain = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
			CHECK(plain >= 0);
		}
	}
	hilo__poller_forget(&poller, kept);
	close(plain);
	close(kept);
	for (int i = 0; i < 2; i++) {
		hilo__poller_forget(&poller, pair[i]);
		close(pair[i]);
	}
	return NULL;
}

static void *owner_main(void *arg)
{
	while (!load_acquire(&stop)) /* pairs with run */
		(void)hilo__poller_wait(&poller, HILO_FOREVER);
	return arg;
}

static void *guest_main(void *arg)
{
	while (!load_acquire(&stop)) { /* pairs with run */
		(void)hilo__poller_reap(&poller, 5, POLL_GUEST);
		sched_yield();
	}
	return arg;
}

/* Each wake-up must end a wait: hand the owner's attention back and forth. */
static void check_wakes(void)
{
	for (unsigned i = 0; i < rounds; i++)
		hilo__poller_wake(&poller);
}

static void run(bool is_ring)
{
	struct sys_chaos chaos = {.seed = seed, .interrupt = 20, .delay = 10, .delay_us = 50};
	pthread_t submitter[SUBMITTERS], owner, guest;

	atomic_setup(&stop, false);
	atomic_setup(&total_completed, 0);
	atomic_setup(&total_cancelled, 0);
	atomic_setup(&total_moved, 0);
	atomic_setup(&total_stopped, 0);
	CHECK(hilo__poller_init(&poller, is_ring) == 0);
	for (int i = 0; i < FILES; i++)
		CHECK((shared[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) >= 0);
	hilo__sys_chaos(&chaos);
	CHECK(pthread_create(&owner, NULL, owner_main, NULL) == 0);
	CHECK(pthread_create(&guest, NULL, guest_main, NULL) == 0);
	for (unsigned i = 0; i < SUBMITTERS; i++)
		CHECK(pthread_create(&submitter[i], NULL, submitter_main, (void *)(uintptr_t)i) == 0);
	check_wakes();
	for (unsigned i = 0; i < SUBMITTERS; i++)
		pthread_join(submitter[i], NULL);
	store_release(&stop, true); /* pairs with owner_main and guest_main */
	hilo__poller_wake(&poller);
	pthread_join(owner, NULL);
	pthread_join(guest, NULL);
	CHECK(hilo__poller_armed(&poller) == 0);
	CHECK(!load_relaxed(&poller.fallen));
	hilo__sys_chaos(NULL);
	(void)hilo__poller_abandon(&poller, HILO_FOREVER);
	hilo__poller_fini(&poller);
	for (int i = 0; i < FILES; i++)
		close(shared[i]);
	printf("%s: completed %lu, cancelled %lu, moved %lu, stopped %lu\n", is_ring ? "ring" : "epoll",
	       load_relaxed(&total_completed), load_relaxed(&total_cancelled), load_relaxed(&total_moved),
	       load_relaxed(&total_stopped));
}

int main(void)
{
	test_begin();
	rounds *= test_scale();
	seed = test_seed();
	run(false);
	if (hilo__poller_ring_works() == 0)
		run(true);
	else
		printf("ring: there is none here\n");
	return 0;
}
