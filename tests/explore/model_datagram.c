/* SPDX-License-Identifier: MIT */
/*
 * model_datagram.c - the shipped datagram.c and datagram_wait.c: who uses a UDP socket that is closed and freed.
 *
 * Checked: the descriptor is closed once, when nobody uses it any more, and the memory given back once, not touched by
 * anybody afterwards; who waits is woken; what an operation has brought is seen by who has waited for it.
 */
#include "io/datagram_impl.h"

#include <hilo/runtime/loop.h>
#include <hilo/runtime/task.h>

#include <errno.h>

#include "io/sock_impl.h"
#include "io/socket_impl.h"
#include "runtime/io_impl.h"
#include "runtime/runtime_impl.h"
#include "scheduler/base/mem.h"
#include "scheduler/base/sys.h"
#include "tests/explore/waiting.h"

#define FD 7

static hilo_udp udp;
static struct poll_io ios[EXPLORE_THREADS];
static atomic(uint32_t) started[EXPLORE_THREADS]; /* 1: under way; 2: somebody completes it */
static unsigned closes, frees;
struct sys_table hilo__sys;

void hilo__task_wake(struct hilo_task *task, uint32_t episode)
{
	if (task_state_wake(&task->state, episode))
		waiting_ready(task);
}

int hilo_fail(int code, const char *format, ...)
{
	(void)format;
	return code;
}

int hilo__error_own(int code)
{
	return code;
}

int hilo__error_own_fd(int code, int fd)
{
	(void)fd;
	return code;
}

int hilo_shield_enter(void)
{
	return 0;
}

int hilo_shield_leave(void)
{
	return 0;
}

int hilo__sys_enter(enum sys_call call)
{
	(void)call;
	return 0;
}

static int closes_fd(int fd)
{
	EXPLORE_CHECK(fd == FD && closes == 0);
	closes++;
	return 0;
}

void hilo__free(void *p)
{
	EXPLORE_CHECK(p == &udp && frees == 0);
	frees++;
	explore_retire(&udp, sizeof(udp));
}

int hilo__sock_shutdown(int fd, int how)
{
	(void)how;
	EXPLORE_CHECK(fd == FD && closes == 0);
	return 0;
}

/* The poller: who takes the operation from 1 to 2 completes it. */
bool hilo__io_start(struct hilo_runtime *runtime, struct poll_io *io)
{
	(void)runtime;
	EXPLORE_CHECK(closes == 0);
	store_release(&started[io - ios], 1); /* pairs with complete */
	return false;
}

static void complete(struct poll_io *io, int result)
{
	uint32_t one = 1;

	if (!cas_acquire(&started[io - ios], &one, 2)) /* pairs with hilo__io_start */
		return;
	EXPLORE_CHECK(closes == 0);
	plain_store(&io->op.result, result);
	io->op.complete(&io->op);
}

void hilo__io_stop(struct poll_io *io)
{
	complete(io, -ECANCELED);
}

void hilo__poller_flush(struct poller *poller)
{
	(void)poller;
}

int hilo__socket_run(struct poll_io *io, hilo_time deadline)
{
	(void)io, (void)deadline;
	explore_fail("nobody is a callback");
}

int hilo__poll_io_call(struct poll_io *io)
{
	(void)io;
	explore_fail("nobody is a plain thread");
}

unsigned hilo__poll_io_event(const struct poll_io *io)
{
	(void)io;
	return POLL_READABLE;
}

int hilo_fd_wait(int fd, unsigned events, hilo_time deadline)
{
	(void)fd, (void)events, (void)deadline;
	explore_fail("nobody is a plain thread");
}

static void setup(void)
{
	waiting_reset(4, 0);
	memset(&udp, 0, sizeof(udp));
	udp.fd = FD;
	list_init(&udp.waiters);
	closes = frees = 0;
	hilo__sys.close = closes_fd;
	for (unsigned i = 0; i < EXPLORE_THREADS; i++) {
		poll_io_init(&ios[i], POLL_IO_RECVMSG, FD, NULL, 0, NULL);
		started[i] = 0;
	}
}

/* T0 is inside. */
static void setup_inside(void)
{
	setup();
	udp.word = UDP_USER;
}

static void finish(void)
{
	waiting_check(4);
	EXPLORE_CHECK(closes == 1 && frees == 0);
}

static void finish_free(void)
{
	waiting_check(4);
	EXPLORE_CHECK(closes == 1 && frees == 1);
}

static ssize_t wait_inside(void)
{
	ssize_t rc = hilo__udp_run(&udp, &ios[explore_self()], HILO_FOREVER);

	return hilo__udp_leave(&udp, rc);
}

static void receives(void)
{
	if (hilo__udp_enter(&udp, "receives") == 0)
		EXPLORE_CHECK(wait_inside() == HILO_ECLOSED);
}

static void receives_inside(void)
{
	EXPLORE_CHECK(wait_inside() == HILO_ECLOSED);
}

static void gets_one(void)
{
	ssize_t rc = wait_inside();

	EXPLORE_CHECK(rc == 1 || rc == HILO_ECLOSED);
}

/* No bytes are a datagram, too: whoever closes meanwhile. */
static void gets_what_came(void)
{
	struct poll_io *io = &ios[explore_self()];
	ssize_t rc = wait_inside();

	EXPLORE_CHECK(rc == io->op.result && (rc == 0 || rc == HILO_ECLOSED));
}

static void sends(void)
{
	if (hilo__udp_enter(&udp, "sends") == 0)
		(void)hilo__udp_leave(&udp, 1);
}

static void brings_one_to_T0(void)
{
	complete(&ios[0], 1);
}

static void brings_an_empty_one_to_T0(void)
{
	complete(&ios[0], 0);
}

static void closes_it(void)
{
	EXPLORE_CHECK(hilo_udp_close(&udp) == 0);
}

static void frees_it(void)
{
	hilo_udp_free(&udp);
}

static const struct explore_model models[] = {
	EXPLORE_MODEL_BOUND(2, "datagram_close", "T0 receives, T1 sends, T2 closes", setup, finish, receives,
			    sends, closes_it),
	EXPLORE_MODEL_BOUND(2, "datagram_close_two", "T0, T1 receive, T2 closes", setup, finish, receives,
			    receives, closes_it),
	EXPLORE_MODEL_BOUND(2, "datagram_close_again", "T0 receives, T1, T2 close", setup, finish, receives,
			    closes_it, closes_it),
	EXPLORE_MODEL_BOUND(2, "datagram_free", "T0 is inside and receives, T1 frees", setup_inside,
			    finish_free, receives_inside, frees_it),
	EXPLORE_MODEL_BOUND(2, "datagram_complete", "T0 is inside and receives, T1 brings one, T2 frees",
			    setup_inside, finish_free, gets_one, brings_one_to_T0, frees_it),
	EXPLORE_MODEL_BOUND(2, "datagram_empty", "T0 is inside and receives, T1 brings no bytes, T2 frees",
			    setup_inside, finish_free, gets_what_came, brings_an_empty_one_to_T0, frees_it),
};

int main(int argc, char **argv)
{
	return explore_main(argc, argv, models, array_size(models));
}
