/* SPDX-License-Identifier: MIT */
/* test_poll_io.c - operations on a ring and over epoll: what they answer, once; their end when asked for. */
#include "tests/unit/scheduler/poll_probe.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#include "scheduler/base/mem.h"

POLL_TEST(test_a_receive_waits_for_bytes)
{
	char buf[8] = "";
	struct probe probe;

	probe_init(&probe, POLL_IO_RECV, fd[0], buf, sizeof(buf));
	probe_start(&probe);
	reap();
	assert_int_equal(probe.completions, 0);
	assert_int_equal(hilo__poller_armed(&poller), 1);
	assert_int_equal(write(fd[1], "abc", 3), 3);
	assert_int_equal(probe_await(&probe), 3);
	assert_string_equal(buf, "abc");
	assert_int_equal(hilo__poller_armed(&poller), 0);
}

POLL_TEST(test_a_receive_takes_what_is_there)
{
	char buf[8] = "";
	struct probe probe;

	assert_int_equal(write(fd[1], "abc", 3), 3);
	probe_init(&probe, POLL_IO_RECV, fd[0], buf, sizeof(buf));
	probe_start(&probe);
	assert_int_equal(probe_await(&probe), 3);
	assert_string_equal(buf, "abc");
}

POLL_TEST(test_the_end_of_a_stream_is_0)
{
	char buf[8] = {0};
	struct probe probe;

	probe_init(&probe, POLL_IO_RECV, fd[0], buf, sizeof(buf));
	probe.io.op.flags = POLL_LATER | POLL_KEPT;
	probe_start(&probe);
	assert_int_equal(shutdown(fd[1], SHUT_WR), 0);
	assert_int_equal(probe_await(&probe), 0);
}

POLL_TEST(test_a_send_to_a_closed_peer_fails_without_a_signal)
{
	struct probe probe;

	close_end(1);
	probe_init(&probe, POLL_IO_SEND, fd[0], "x", 1);
	probe_start(&probe);
	assert_int_equal(probe_await(&probe), -EPIPE);
}

POLL_TEST(test_a_send_waits_for_room)
{
	struct probe probe;
	size_t all;

	all = fill(fd[0]);
	probe_init(&probe, POLL_IO_SEND, fd[0], "xyz", 3);
	probe_start(&probe);
	reap();
	assert_int_equal(probe.completions, 0);
	drain(fd[1], all);
	assert_int_equal(probe_await(&probe), 3);
	drain(fd[1], 3);
}

/* Both at once on one descriptor; each waits for its own. */
POLL_TEST(test_sends_and_receives_do_not_disturb_each_other)
{
	struct probe in, out;
	char buf[4] = "";
	size_t all;

	all = fill(fd[0]);
	probe_init(&in, POLL_IO_RECV, fd[0], buf, 3);
	probe_init(&out, POLL_IO_SEND, fd[0], "xyz", 3);
	in.io.op.flags = out.io.op.flags = POLL_KEPT;
	probe_start(&in);
	probe_start(&out);
	reap();
	assert_int_equal(write(fd[1], "abc", 3), 3);
	assert_int_equal(probe_await(&in), 3);
	assert_int_equal(out.completions, 0);
	drain(fd[1], all);
	assert_int_equal(probe_await(&out), 3);
}

POLL_TEST(test_stopped_before_the_kernel_has_it)
{
	struct probe probe;
	char buf[4] = {0};

	probe_init(&probe, POLL_IO_RECV, fd[0], buf, sizeof(buf));
	probe_start(&probe);
	hilo__poller_stop(&probe.io);
	assert_int_equal(probe_await(&probe), -ECANCELED);
	hilo__poller_stop(&probe.io); /* once more does nothing */
	reap();
	assert_int_equal(probe.completions, 1);
	assert_int_equal(hilo__poller_armed(&poller), 0);
}

POLL_TEST(test_stopped_while_the_kernel_has_it)
{
	struct probe probe;
	char buf[4] = {0};

	probe_init(&probe, POLL_IO_RECV, fd[0], buf, sizeof(buf));
	probe_start(&probe);
	reap();
	hilo__poller_stop(&probe.io);
	assert_int_equal(probe_await(&probe), -ECANCELED);
	/* The next one of the same address is not ended by what ended this one. */
	probe.completions = 0;
	probe_start(&probe);
	reap();
	assert_int_equal(probe.completions, 0);
	assert_int_equal(write(fd[1], "ab", 2), 2);
	assert_int_equal(probe_await(&probe), 2);
}

/* What has come is not lost, whoever is first. */
POLL_TEST(test_stopped_when_bytes_have_come)
{
	struct probe probe;
	char buf[4] = "";
	int ends[2];

	for (unsigned i = 0; i < test_rounds(200); i++) {
		make_pair(ends);
		probe_init(&probe, POLL_IO_RECV, ends[0], buf, 3);
		probe_start(&probe);
		if (i % 2)
			reap();
		assert_int_equal(write(ends[1], "abc", 3), 3);
		if (i % 3 == 0)
			hilo__poller_flush(&poller);
		hilo__poller_stop(&probe.io);
		if (probe_await(&probe) == -ECANCELED)
			assert_int_equal(recv(ends[0], buf, 3, MSG_DONTWAIT), 3);
		else
			assert_int_equal(probe.result, 3);
		close_pair(ends);
	}
}

POLL_TEST(test_one_is_started_by_the_completion_of_another)
{
	struct probe first, second;
	char a[2] = "", b[2] = "";

	probe_init(&first, POLL_IO_RECV, fd[0], a, 1);
	probe_init(&second, POLL_IO_RECV, fd[0], b, 1);
	first.next = &second;
	probe_start(&first);
	reap();
	assert_int_equal(write(fd[1], "12", 2), 2);
	assert_int_equal(probe_await(&second), 1);
	assert_string_equal(a, "1");
	assert_string_equal(b, "2");
}

POLL_TEST(test_accept_and_connect)
{
	struct sockaddr_in address, peer;
	socklen_t size = sizeof(peer);
	struct probe in, out;
	int listener, client;

	listener = listen_here(&address);
	client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | (poller.is_ring ? 0 : SOCK_NONBLOCK), 0);
	probe_init(&in, POLL_IO_ACCEPT, listener, &peer, 0);
	in.io.more = &size;
	in.io.flags = SOCK_CLOEXEC;
	probe_start(&in);
	reap();
	assert_int_equal(in.completions, 0);
	probe_init(&out, POLL_IO_CONNECT, client, &address, sizeof(address));
	probe_start(&out);
	assert_int_equal(probe_await(&out), 0);
	assert_true(probe_await(&in) > 0);
	assert_int_equal(peer.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
	hilo__poller_forget(&poller, client);
	hilo__poller_forget(&poller, listener);
	close(in.result);
	close(client);
	close(listener);
}

POLL_TEST(test_connect_is_refused)
{
	struct sockaddr_in address;
	struct probe out;
	int listener, client;

	listener = listen_here(&address);
	close(listener);
	client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | (poller.is_ring ? 0 : SOCK_NONBLOCK), 0);
	probe_init(&out, POLL_IO_CONNECT, client, &address, sizeof(address));
	probe_start(&out);
	assert_int_equal(probe_await(&out), -ECONNREFUSED);
	hilo__poller_forget(&poller, client);
	close(client);
}

static void *flush_and_end(void *arg)
{
	hilo__poller_flush(arg);
	return NULL;
}

/* The kernel ends what a thread has given to it when that thread ends: a connection that is being made goes on. */
POLL_TEST(test_connect_outlives_the_thread_that_gave_it_to_the_kernel)
{
	struct sockaddr_in address;
	int listener = listen_here(&address), first, client, flags = poller.is_ring ? 0 : SOCK_NONBLOCK;
	struct probe held, out;
	pthread_t thread;

	assert_int_equal(listen(listener, 0), 0); /* one, and the next ones wait */
	first = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
	probe_init(&held, POLL_IO_CONNECT, first, &address, sizeof(address));
	probe_start(&held);
	assert_int_equal(probe_await(&held), 0);
	client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
	probe_init(&out, POLL_IO_CONNECT, client, &address, sizeof(address));
	probe_start(&out);
	assert_int_equal(pthread_create(&thread, NULL, flush_and_end, &poller), 0);
	test_join_thread(thread);
	reap();
	assert_int_equal(out.completions, 0);
	for (int i = 0, taken; i < 2; i++) { /* the second one asks again after a second */
		TEST_UNTIL((taken = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) >= 0);
		assert_int_equal(close(taken), 0);
	}
	assert_int_equal(probe_await(&out), 0);
	hilo__poller_forget(&poller, client);
	hilo__poller_forget(&poller, first);
	close(client);
	close(first);
	close(listener);
}

static uint64_t count(atomic(uint64_t) * counter)
{
	return load_relaxed(counter); /* relaxed: only this thread counts */
}

/* Each waits for its peer, and is one operation all the same: no poll, and then the call. */
POLL_TEST(test_each_call_is_an_operation_of_the_kernels)
{
	struct sockaddr_in address;
	struct probe probe[6];
	char buf[4] = "";
	int listener = listen_here(&address), client, pipe_ends[2];
	bool ring = poller.is_ring;

	client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | (ring ? 0 : SOCK_NONBLOCK), 0);
	assert_int_equal(pipe2(pipe_ends, O_CLOEXEC | (ring ? 0 : O_NONBLOCK)), 0);
	probe_init(&probe[0], POLL_IO_ACCEPT, listener, NULL, 0);
	probe[0].io.flags = SOCK_CLOEXEC;
	probe_init(&probe[1], POLL_IO_CONNECT, client, &address, sizeof(address));
	probe_init(&probe[2], POLL_IO_RECV, fd[0], buf, 1);
	probe_init(&probe[3], POLL_IO_SEND, fd[1], "x", 1);
	probe_init(&probe[4], POLL_IO_READ, pipe_ends[0], buf, 1);
	probe_init(&probe[5], POLL_IO_WRITE, pipe_ends[1], "y", 1);
	for (int i = 0; i < 6; i++) {
		probe_start(&probe[i]);
		reap();
	}
	for (int i = 0; i < 6; i++)
		assert_true(probe_await(&probe[i]) >= 0);
	assert_int_equal(count(&poller.counts.operations), ring ? 6 : 0);
	if (ring)
		assert_int_equal(count(&poller.counts.polls), 0);
	else
		assert_true(count(&poller.counts.polls) >= 3);
	assert_true(count(&poller.counts.calls) > 0);
	assert_int_equal(close(probe[0].result), 0);
	hilo__poller_forget(&poller, client);
	hilo__poller_forget(&poller, listener);
	assert_int_equal(close(client), 0);
	assert_int_equal(close(listener), 0);
	close_pair(pipe_ends);
}

/* On a ring the kernel answers -EAGAIN for such a descriptor: it waits for readiness instead. */
POLL_TEST(test_a_descriptor_that_does_not_block)
{
	struct probe probe;
	char buf[4] = "";
	int ends[2];

	assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
	for (int i = 0; i < 3; i++) {
		probe_init(&probe, POLL_IO_READ, ends[0], buf, 3);
		probe_start(&probe);
		reap();
		assert_int_equal(probe.completions, 0);
		if (i == 1) {
			hilo__poller_stop(&probe.io);
			assert_int_equal(probe_await(&probe), -ECANCELED);
			continue;
		}
		assert_int_equal(write(ends[1], "abc", 3), 3);
		assert_int_equal(probe_await(&probe), 3);
	}
	close_pair(ends);
}

/* A ring's kernel may answer -EAGAIN for one that it would have to fetch, and there is nothing to wait for. */
POLL_TEST(test_a_regular_file_that_does_not_block)
{
	char path[] = "/tmp/hilo_poll_io_XXXXXX", buf[8] = "";
	int file = mkostemp(path, O_CLOEXEC);
	struct probe probe;

	assert_true(file >= 0);
	assert_int_equal(fcntl(file, F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(unlink(path), 0);
	probe_init(&probe, POLL_IO_WRITE, file, "hola", 4);
	probe_start(&probe);
	assert_int_equal(probe_await(&probe), 4);
	assert_int_equal(fdatasync(file), 0);
	(void)posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
	probe_init(&probe, POLL_IO_READ, file, buf, sizeof(buf));
	probe.io.offset = 0;
	probe_start(&probe);
	assert_int_equal(probe_await(&probe), 4);
	assert_string_equal(buf, "hola");
	assert_int_equal(hilo__poller_armed(&poller), 0);
	assert_int_equal(close(file), 0);
}

POLL_TEST(test_messages)
{
	char text[] = "hola";
	struct iovec to = {text, 4}, from;
	struct msghdr send = {.msg_iov = &to, .msg_iovlen = 1};
	struct msghdr receive = {.msg_iov = &from, .msg_iovlen = 1};
	struct probe in, out;
	char buf[8] = "";

	from = (struct iovec){buf, sizeof(buf)};
	probe_init(&in, POLL_IO_RECVMSG, fd[0], &receive, 0);
	probe_init(&out, POLL_IO_SENDMSG, fd[1], &send, 0);
	probe_start(&in);
	reap();
	probe_start(&out);
	assert_int_equal(probe_await(&out), 4);
	assert_int_equal(probe_await(&in), 4);
	assert_string_equal(buf, "hola");
	hilo__poller_forget(&poller, fd[1]);
}

POLL_TEST(test_files_on_a_ring)
{
	char path[] = "/tmp/hilo_poll_io_XXXXXX", buf[8] = "";
	struct probe probe;
	int file;

	if (!poller.is_ring)
		TEST_SKIP("files are for a ring");
	file = mkstemp(path);
	assert_true(file >= 0);
	close(file);
	probe_init(&probe, POLL_IO_OPENAT, AT_FDCWD, path, 0);
	probe.io.flags = O_RDWR | O_CLOEXEC;
	probe_start(&probe);
	file = probe_await(&probe);
	assert_true(file >= 0);
	probe_init(&probe, POLL_IO_WRITE, file, "hola", 4);
	probe.io.offset = 2;
	probe_start(&probe);
	assert_int_equal(probe_await(&probe), 4);
	probe_init(&probe, POLL_IO_FSYNC, file, NULL, 0);
	probe.io.flags = 1;
	probe_start(&probe);
	assert_int_equal(probe_await(&probe), 0);
	probe_init(&probe, POLL_IO_READ, file, buf, 8);
	probe.io.offset = 2;
	probe_start(&probe);
	assert_int_equal(probe_await(&probe), 4);
	assert_string_equal(buf, "hola");
	probe_init(&probe, POLL_IO_UNLINKAT, AT_FDCWD, path, 0);
	probe_start(&probe);
	assert_int_equal(probe_await(&probe), 0);
	assert_int_equal(access(path, F_OK), -1);
	close(file);
}

/* Those of readiness work beside. */
static atomic(int) ready;

static void ready_complete(struct poll_op *op)
{
	store_release(&ready, op->result);
}

POLL_TEST(test_readiness_beside_operations)
{
	struct poll_op op;
	struct probe probe;
	char buf[4];
	int other[2];

	make_pair(other);
	probe_init(&probe, POLL_IO_RECV, fd[0], buf, sizeof(buf));
	probe_start(&probe);
	for (int i = 0; i < 3; i++) {
		store_relaxed(&ready, 0);
		poll_op_init(&op, POLL_OP_WAIT, other[0], POLL_READABLE, ready_complete);
		assert_int_equal(hilo__poller_submit(&poller, &op), 0);
		reap();
		assert_int_equal(load_relaxed(&ready), 0);
		assert_int_equal(write(other[1], "x", 1), 1);
		while (!load_acquire(&ready)) /* pairs with ready_complete */
			(void)hilo__poller_wait(&poller, HILO_FOREVER);
		(void)hilo__poller_cancel(&poller, &op);
		assert_int_equal(load_relaxed(&ready), POLL_READABLE);
		drain(other[0], 1);
	}
	assert_int_equal(write(fd[1], "ab", 2), 2);
	assert_int_equal(probe_await(&probe), 2);
	close_pair(other);
}

POLL_TEST(test_a_wake_ends_the_wait_before_and_after)
{
	struct probe probe;
	char buf[4] = {0};

	probe_init(&probe, POLL_IO_RECV, fd[0], buf, sizeof(buf));
	probe_start(&probe);
	for (int i = 0; i < 5; i++) {
		hilo__poller_wake(&poller);
		if (i % 2)
			reap();
		hilo__poller_wake(&poller);
		(void)hilo__poller_wait(&poller, HILO_FOREVER);
		assert_int_equal(load_relaxed(&poller.woken), 0);
	}
	/* And nothing is left of it. */
	assert_int_equal(hilo__poller_wait(&poller, hilo__clock_now() + 2 * HILO_MILLISECOND), 0);
	hilo__poller_stop(&probe.io);
	assert_int_equal(probe_await(&probe), -ECANCELED);
}

POLL_TEST(test_a_deadline_ends_the_wait)
{
	hilo_time begin = hilo__clock_now();
	struct probe probe;
	char buf[4];

	probe_init(&probe, POLL_IO_RECV, fd[0], buf, sizeof(buf));
	probe_start(&probe);
	while (hilo__clock_now() < begin + 3 * HILO_MILLISECOND)
		assert_int_equal(hilo__poller_wait(&poller, begin + 3 * HILO_MILLISECOND), 0);
	hilo__poller_stop(&probe.io);
	assert_int_equal(probe_await(&probe), -ECANCELED);
}

/* More than the queue of the kernel has room for: all of it gets there before the owner sleeps. */
POLL_TEST(test_two_thousand_at_once)
{
	enum {
		N = 2000
	};
	char bytes[N] = {0};
	struct probe *probes;
	char *buf;

	probes = calloc(N, sizeof(*probes));
	buf = calloc(N, 1);
	assert_true(probes && buf);
	for (int i = 0; i < N; i++) {
		probe_init(&probes[i], POLL_IO_RECV, fd[0], &buf[i], 1);
		probe_start(&probes[i]);
	}
	(void)hilo__poller_wait(&poller, HILO_NO_WAIT);
	assert_int_equal(write(fd[1], bytes, N), N);
	for (int i = 0; i < N; i++)
		assert_int_equal(probe_await(&probes[i]), 1);
	assert_int_equal(hilo__poller_armed(&poller), 0);
	free(probes);
	free(buf);
}

/* A guest takes the completion of a wake-up: the owner wakes all the same, before and after. */
POLL_TEST(test_a_guest_takes_no_wake_away)
{
	struct probe probe;
	char buf[4] = {0};

	probe_init(&probe, POLL_IO_RECV, fd[0], buf, sizeof(buf));
	probe_start(&probe);
	(void)hilo__poller_wait(&poller, HILO_NO_WAIT);
	for (int i = 0; i < 5; i++) {
		hilo__poller_wake(&poller);
		for (int k = 0; k < i; k++)
			(void)hilo__poller_reap(&poller, POLL_BATCH, POLL_GUEST);
		(void)hilo__poller_wait(&poller, HILO_FOREVER);
		assert_int_equal(load_relaxed(&poller.woken), 0);
	}
	hilo__poller_stop(&probe.io);
	assert_int_equal(probe_await(&probe), -ECANCELED);
}

/* What nobody waits for any more is ready: the owner sleeps. */
POLL_TEST(test_readiness_that_nobody_wants_keeps_nobody_awake)
{
	hilo_time until;
	struct probe probe;
	struct poll_op op;
	char buf[4];
	int other[2];
	long calls;

	make_pair(other);
	probe_init(&probe, POLL_IO_RECV, fd[0], buf, sizeof(buf));
	probe_start(&probe);
	poll_op_init(&op, POLL_OP_WAIT, other[0], POLL_READABLE, ready_complete);
	assert_int_equal(hilo__poller_submit(&poller, &op), 0);
	(void)hilo__poller_wait(&poller, HILO_NO_WAIT);
	assert_true(hilo__poller_cancel(&poller, &op));
	hilo__poller_stop(&probe.io);
	assert_int_equal(probe_await(&probe), -ECANCELED);
	assert_int_equal(write(other[1], "x", 1), 1);
	hilo__sys_reset();
	until = hilo__clock_now() + 20 * HILO_MILLISECOND;
	while (hilo__clock_now() < until)
		(void)hilo__poller_wait(&poller, until);
	calls = hilo__sys_calls(poller.is_ring ? SYS_CALL_IO_URING_ENTER : SYS_CALL_EPOLL_PWAIT2);
	assert_true(calls < 20);
	close_pair(other);
}

/* Short calls, signals, delays: bytes stay in order, none is lost. */
POLL_TEST(test_bytes_under_trouble)
{
	const struct sys_chaos chaos = {.seed = 7, .interrupt = 100, .shorten = 300};
	char out[64], in[64];
	size_t sent = 0, got = 0;
	struct probe probe;

	for (size_t i = 0; i < sizeof(out); i++)
		out[i] = (char)i;
	hilo__sys_chaos(&chaos);
	for (unsigned round = 0; round < test_rounds(100); round++) {
		for (sent = 0; sent < sizeof(out); sent += (size_t)probe.result) {
			probe_init(&probe, POLL_IO_SEND, fd[0], out + sent, sizeof(out) - sent);
			probe_start(&probe);
			assert_true(probe_await(&probe) > 0);
		}
		for (got = 0; got < sizeof(in); got += (size_t)probe.result) {
			probe_init(&probe, POLL_IO_RECV, fd[1], in + got, sizeof(in) - got);
			probe_start(&probe);
			assert_true(probe_await(&probe) > 0);
		}
		assert_memory_equal(in, out, sizeof(in));
	}
	hilo__poller_forget(&poller, fd[1]);
}

POLL_TEST(test_what_is_left_is_ended_with_the_poller)
{
	struct probe running, queued, refused;
	char buf[4] = {0};

	probe_init(&running, POLL_IO_RECV, fd[0], buf, sizeof(buf));
	probe_start(&running);
	reap();
	probe_init(&queued, POLL_IO_RECV, fd[0], buf, sizeof(buf));
	probe_start(&queued);
	probe_init(&refused, POLL_IO_RECV, fd[0], buf, sizeof(buf));
	running.next = &refused;
	(void)hilo__poller_abandon(&poller, HILO_FOREVER);
	assert_int_equal(running.result, -ECANCELED);
	assert_int_equal(queued.result, -ECANCELED);
	assert_int_equal(refused.result, -ECANCELED);
	assert_int_equal(running.completions + queued.completions + refused.completions, 3);
	end_poller();
}

/* A kernel that takes nothing, and tells nothing. */
static int enter_dead(int ring, unsigned submit, unsigned wait, unsigned flags, const void *arg, size_t size)
{
	(void)ring, (void)submit, (void)wait, (void)flags, (void)arg, (void)size;
	return 0;
}

/* More than the poller has room for at first: it remembers all of them. */
POLL_TEST(test_what_the_kernel_does_not_end_is_given_up)
{
	enum {
		N = 700
	};
	static char buf[N]; /* which the kernel really has until the ring is gone */
	struct probe *probes = calloc(N, sizeof(*probes));
	unsigned given_up = 0;

	assert_non_null(probes);
	for (int i = 0; i < N; i++) {
		probe_init(&probes[i], POLL_IO_RECV, fd[0], &buf[i], 1);
		probe_start(&probes[i]);
		if (i % 100 == 0)
			reap();
	}
	for (int i = 0; i < 10; i++)
		reap();
	assert_int_equal(write(fd[1], "abc", 3), 3); /* some of them end */
	while (hilo__poller_armed(&poller) > N - 3)
		(void)hilo__poller_wait(&poller, HILO_FOREVER);
	hilo__sys.io_uring_enter = enter_dead;
	test_log_begin();
	assert_true(hilo__poller_abandon(&poller, HILO_NO_WAIT));
	assert_false(hilo__poller_abandon(&poller, HILO_NO_WAIT));
	for (int i = 0; i < N; i++) {
		assert_int_equal(probes[i].completions, 1);
		if (probes[i].result == 1)
			continue;
		assert_int_equal(probes[i].result, poller.is_ring ? -EIO : -ECANCELED);
		given_up += probes[i].io.given_up;
	}
	assert_int_equal(given_up, poller.is_ring ? N - 3 : 0);
	assert_int_equal(test_log_count("did not end at shutdown (recv, descriptor"), given_up ? 16 : 0);
	assert_int_equal(test_log_count("other ones"), given_up ? 1 : 0);
	assert_int_equal(count(&poller.counts.given_up), given_up);
	test_log_end();
	end_poller();
	free(probes);
}

/* There is no memory to remember one more. */
POLL_TEST(test_out_of_memory_is_an_error_of_the_operation)
{
	enum {
		N = 400
	};
	struct probe *probes = calloc(N, sizeof(*probes));
	int started = 0, refused = -1;
	static char buf[N];

	assert_non_null(probes);
	probe_init(&probes[started], POLL_IO_RECV, fd[0], buf, 1);
	probe_start(&probes[started++]);
	hilo__mem_fail_at(1, true);
	for (; started < N && refused < 0; started++) {
		probe_init(&probes[started], POLL_IO_RECV, fd[0], &buf[started], 1);
		probe_start(&probes[started]);
		if (probes[started].completions)
			refused = started;
	}
	hilo__mem_fail_at(0, false);
	if (poller.is_ring) {
		assert_true(refused > 0);
		assert_int_equal(probes[refused].result, -ENOMEM);
		probes[refused].completions = 0;
		probe_start(&probes[refused]);
	} else {
		assert_int_equal(refused, -1);
	}
	reap();
	assert_int_equal(hilo__poller_armed(&poller), started);
	assert_true(hilo__poller_abandon(&poller, HILO_FOREVER));
	for (int i = 0; i < started; i++) {
		assert_int_equal(probes[i].completions, 1);
		assert_int_equal(probes[i].result, -ECANCELED);
	}
	end_poller();
	free(probes);
}

/* It would have waited for readiness, but there is no time any more. */
POLL_TEST(test_the_end_comes_when_a_descriptor_does_not_block)
{
	struct probe probe;
	char buf[4];
	int ends[2];

	assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
	probe_init(&probe, POLL_IO_READ, ends[0], buf, sizeof(buf));
	probe_start(&probe);
	hilo__poller_flush(&poller);
	(void)hilo__poller_abandon(&poller, HILO_FOREVER);
	assert_int_equal(probe.completions, 1);
	assert_int_equal(probe.result, -ECANCELED);
	end_poller();
	assert_int_equal(close(ends[0]), 0);
	assert_int_equal(close(ends[1]), 0);
}

/* Descriptors, or memory, have run out: what readiness serves as well goes on, and the next one gets the ring. */
POLL_TEST(test_no_room_for_a_ring_is_no_failure)
{
	static const enum sys_call calls[] = {SYS_CALL_IO_URING_SETUP, SYS_CALL_MMAP_FILE};
	struct probe out, in, next;
	char buf[4] = "";

	if (!poller.is_ring)
		TEST_SKIP("a ring's");
	for (size_t i = 0; i < array_size(calls); i++) {
		hilo__sys_fail(calls[i], 1, i ? ENOMEM : EMFILE, true);
		probe_init(&out, POLL_IO_SEND, fd[0], "x", 1);
		probe_start(&out);
		assert_int_equal(probe_await(&out), 1);
		drain(fd[1], 1);
		probe_init(&in, POLL_IO_RECV, fd[0], buf, sizeof(buf));
		probe_start(&in);
		reap();
		assert_int_equal(in.completions, 0);
		assert_int_equal(write(fd[1], "ab", 2), 2);
		assert_int_equal(probe_await(&in), 2);
		assert_int_equal(hilo__poller_armed(&poller), 0);
		assert_int_equal(count(&poller.counts.operations), 0);
		hilo__sys_reset();
	}
	/* One that waits for readiness, while the next one is on the ring. */
	hilo__sys_fail(SYS_CALL_IO_URING_SETUP, 1, ENFILE, true);
	probe_init(&in, POLL_IO_RECV, fd[0], buf, 1);
	probe_start(&in);
	hilo__sys_reset();
	probe_init(&next, POLL_IO_RECV, fd[1], buf + 1, 1);
	probe_start(&next);
	reap();
	assert_int_equal(count(&poller.counts.operations), 1);
	assert_int_equal(write(fd[1], "1", 1), 1);
	assert_int_equal(write(fd[0], "2", 1), 1);
	assert_int_equal(probe_await(&in), 1);
	assert_int_equal(probe_await(&next), 1);
	hilo__poller_forget(&poller, fd[1]);
}

/* The same for a pipe that blocks, and for a regular file, which is never waited for. */
POLL_TEST(test_no_room_for_a_ring_blocks_nobody)
{
	char name[] = "/tmp/hilo_poll_XXXXXX", buf[2 * PIPE_BUF] = "";
	int pipe_ends[2], file = mkstemp(name);
	struct probe in, out, end;

	if (!poller.is_ring)
		TEST_SKIP("a ring's");
	assert_true(file >= 0);
	assert_int_equal(unlink(name), 0);
	assert_int_equal(pipe2(pipe_ends, O_CLOEXEC), 0);
	hilo__sys_fail(SYS_CALL_IO_URING_SETUP, 1, EMFILE, true);
	probe_init(&in, POLL_IO_READ, pipe_ends[0], buf, 4);
	probe_start(&in);
	reap();
	assert_int_equal(in.completions, 0);
	probe_init(&out, POLL_IO_WRITE, pipe_ends[1], buf, sizeof(buf));
	probe_start(&out);
	assert_int_equal(probe_await(&out), PIPE_BUF); /* more might block */
	assert_int_equal(probe_await(&in), 4);
	probe_init(&end, POLL_IO_READ, file, buf, 4);
	end.io.op.flags = POLL_LATER;
	probe_start(&end);
	assert_int_equal(probe_await(&end), 0);
	hilo__sys_reset();
	hilo__poller_forget(&poller, pipe_ends[1]);
	close_pair(pipe_ends);
	assert_int_equal(close(file), 0);
}

/* What only a ring can do is told why there is none. */
POLL_TEST(test_no_ring_is_an_error_of_what_needs_one)
{
	struct probe probe;

	if (!poller.is_ring)
		TEST_SKIP("a ring's");
	hilo__sys_fail(SYS_CALL_IO_URING_SETUP, 1, EMFILE, true);
	probe_init(&probe, POLL_IO_OPENAT, AT_FDCWD, "/", 1);
	probe_start(&probe);
	assert_int_equal(probe.completions, 1);
	assert_int_equal(probe.result, -EMFILE);
	hilo__sys_reset();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(test_a_receive_waits_for_bytes),
		BOTH(test_a_receive_takes_what_is_there),
		BOTH(test_the_end_of_a_stream_is_0),
		BOTH(test_a_send_to_a_closed_peer_fails_without_a_signal),
		BOTH(test_a_send_waits_for_room),
		BOTH(test_sends_and_receives_do_not_disturb_each_other),
		BOTH(test_stopped_before_the_kernel_has_it),
		BOTH(test_stopped_while_the_kernel_has_it),
		BOTH(test_stopped_when_bytes_have_come),
		BOTH(test_one_is_started_by_the_completion_of_another),
		BOTH(test_accept_and_connect),
		BOTH(test_connect_is_refused),
		BOTH(test_connect_outlives_the_thread_that_gave_it_to_the_kernel),
		BOTH(test_each_call_is_an_operation_of_the_kernels),
		BOTH(test_a_descriptor_that_does_not_block),
		BOTH(test_a_regular_file_that_does_not_block),
		BOTH(test_messages),
		BOTH(test_files_on_a_ring),
		BOTH(test_readiness_beside_operations),
		BOTH(test_a_wake_ends_the_wait_before_and_after),
		BOTH(test_a_deadline_ends_the_wait),
		BOTH(test_two_thousand_at_once),
		BOTH(test_a_guest_takes_no_wake_away),
		BOTH(test_readiness_that_nobody_wants_keeps_nobody_awake),
		BOTH(test_the_end_comes_when_a_descriptor_does_not_block),
		BOTH(test_bytes_under_trouble),
		BOTH(test_what_the_kernel_does_not_end_is_given_up),
		BOTH(test_out_of_memory_is_an_error_of_the_operation),
		BOTH(test_what_is_left_is_ended_with_the_poller),
		BOTH(test_no_room_for_a_ring_is_no_failure),
		BOTH(test_no_room_for_a_ring_blocks_nobody),
		BOTH(test_no_ring_is_an_error_of_what_needs_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
