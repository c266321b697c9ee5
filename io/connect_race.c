/* SPDX-License-Identifier: MIT */
/* connect_race.c - attempts to connect, side by side, the first of which wins. The protocol is in connect_impl.h. */
#include "io/connect_impl.h"

#include <hilo/runtime/error.h>
#include <hilo/runtime/task.h>

#include <errno.h>
#include <netinet/tcp.h>

#include "io/sock_impl.h"
#include "runtime/io_impl.h"
#include "scheduler/base/clock.h"
#include "scheduler/base/sys.h"

/* A Unix socket with a full queue: after 1 ms, then twice as long each time, up to this. */
#define BACKOFF_MOST (64 * HILO_MILLISECOND)

/* [poller] I1: the permit is the last touch. */
static void attempt_complete(struct poll_op *op)
{
	struct attempt *attempt = container_of(container_of(op, struct poll_io, op), struct attempt, io);
	struct race *race = attempt->race;

	store_release(&attempt->over, true); /* P1 */
	(void)hilo_semaphore_release(&race->ended, 1);
}

/* Options, and where it comes from. 0, or why not. */
static int attempt_prepare(const struct race *race, const struct attempt *attempt)
{
	int family = hilo_address_family(&attempt->address), rc = 0;
	hilo_address local;

	if (family != AF_UNIX && !(race->opts->flags & HILO_CONNECT_NAGLE))
		rc = hilo__sock_set(attempt->fd, IPPROTO_TCP, TCP_NODELAY, 1);
	if (rc == 0 && race->opts->flags & HILO_CONNECT_KEEP_ALIVE)
		rc = hilo__sock_set(attempt->fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	if (rc < 0 || family == AF_UNIX || (!race->locals && !race->opts->local_port))
		return rc;
	if (!race->locals)
		rc = hilo_address_any(family, race->opts->local_port, &local);
	else
		rc = -EADDRNOTAVAIL; /* unless one of the names it may come from is of this family */
	for (int i = 0; i < race->locals && rc < 0; i++)
		if (hilo_address_family(&race->local[i]) == family) {
			local = race->local[i];
			rc = hilo__sock_bind(attempt->fd, &local);
		}
	return rc < 0 || race->locals ? rc : hilo__sock_bind(attempt->fd, &local);
}

/*
 * A Unix socket connects at once, or the queue is full. A thread of the kernel's would wait for that, and may not hear
 * that it is to end (seen on Linux 6.18): so nobody waits in there, on no poller.
 */
static int unix_flags(int family)
{
	return family == AF_UNIX ? SOCK_NONBLOCK : 0;
}

/* [the attempt has connected] Its descriptor is as others are that were made for this runtime. */
static void attempt_settle(const struct race *race, const struct attempt *attempt)
{
	if (unix_flags(hilo_address_family(&attempt->address)) & ~hilo__io_socket_flags(race->runtime))
		(void)hilo__sock_set_nonblocking(attempt->fd, false);
}

/* It is over with @rc. I2: what was stopped may have connected before, and not told yet. */
static void attempt_end(struct race *race, struct attempt *attempt, int rc)
{
	hilo_address peer;

	if (rc == -ECANCELED && hilo_address_of_peer(attempt->fd, &peer) == 0)
		rc = 0;
	attempt->rc = rc;
	attempt->seen = true;
	if (attempt->running)
		race->alive--;
	attempt->running = false;
	if (rc == 0 && !race->winner) {
		attempt_settle(race, attempt);
		race->winner = attempt;
	} else if (attempt->fd >= 0) {
		(void)hilo__sys_close(attempt->fd);
		attempt->fd = -1;
	}
}

static void attempt_start(struct race *race, struct attempt *attempt)
{
	int family = hilo_address_family(&attempt->address), rc;

	attempt->race = race;
	attempt->seen = false;
	attempt->fd = hilo__sock_new(family, SOCK_STREAM,
				     hilo__io_socket_flags(race->runtime) | unix_flags(family));
	rc = attempt->fd < 0 ? attempt->fd : attempt_prepare(race, attempt);
	if (rc < 0) {
		attempt_end(race, attempt, rc);
		return;
	}
	atomic_setup(&attempt->over, false);
	poll_io_init(&attempt->io, POLL_IO_CONNECT, attempt->fd, &attempt->address.any,
		     attempt->address.length, attempt_complete);
	if (hilo__io_start(race->runtime, &attempt->io)) {
		attempt_end(race, attempt, attempt->io.op.result);
		return;
	}
	attempt->running = true;
	race->alive++;
	race->due++;
}

/* See which have ended. True: one has failed that had not before. */
static bool race_look(struct race *race)
{
	bool failed = false;

	for (int i = 0; i < race->next; i++) {
		struct attempt *attempt = &race->attempt[i];

		if (!attempt->running || !load_acquire(&attempt->over)) /* P1 */
			continue;
		attempt_end(race, attempt, attempt->io.op.result);
		failed |= attempt->rc < 0;
	}
	return failed;
}

/* Wait up to @deadline for an attempt that ends. 0: one has; -ETIMEDOUT, -ECANCELED, ... */
static int race_wait(struct race *race, hilo_time deadline)
{
	int rc = hilo_semaphore_acquire(&race->ended, 1, deadline);

	race->due -= rc == 0;
	return rc;
}

/* The race has ended with @rc: stop what is left. I1, I2. */
static void race_end(struct race *race, int rc)
{
	bool shielded = hilo_shield_enter() == 0;

	for (int i = 0; i < race->next; i++) {
		if (!race->attempt[i].running)
			continue;
		if (rc == -ETIMEDOUT)
			hilo__poller_flush(race->attempt[i].io.poller); /* tried once */
		hilo__io_stop(&race->attempt[i].io);
	}
	while (race->due > 0)
		(void)race_wait(race, HILO_FOREVER);
	if (shielded)
		(void)hilo_shield_leave();
	(void)race_look(race);
}

/* Begin the next attempt, and those after it that have failed at once and left nobody behind. */
static void race_begin(struct race *race)
{
	do
		attempt_start(race, &race->attempt[race->next++]);
	while (!race->alive && !race->winner && race->next < race->n);
}

static int race_try(struct race *race, hilo_time deadline)
{
	hilo_time delay = race->opts->delay, next = 0, until;
	int rc = 0;

	while (!race->winner && (race->alive || race->next < race->n)) {
		if (race->next < race->n && (!race->alive || next <= hilo__clock_now())) {
			race_begin(race);
			next = delay < 0 ? HILO_FOREVER : hilo_after(delay);
			continue;
		}
		until = race->next < race->n && next < deadline ? next : deadline;
		rc = race_wait(race, until);
		if (rc == -ETIMEDOUT && until < deadline)
			rc = 0;
		if (rc < 0)
			break;
		if (race_look(race))
			next = 0; /* it makes room for the next one */
	}
	race_end(race, rc);
	if (race->winner)
		return 0;
	return rc < 0 ? rc : race->attempt[0].rc;
}

int hilo__race_run(struct race *race, hilo_time deadline)
{
	hilo_time pause = HILO_MILLISECOND, until;
	int rc;

	for (;;) {
		rc = race_try(race, deadline);
		if (rc != -EAGAIN || hilo_address_family(&race->attempt[0].address) != AF_UNIX)
			return rc;
		until = hilo_after(pause);
		if (until >= deadline)
			until = deadline;
		/* Full, and nobody tells when it is not any more. */
		rc = deadline > hilo__clock_now() ? hilo_sleep_until(until) : -ETIMEDOUT;
		if (rc < 0)
			return rc;
		pause = pause * 2 < BACKOFF_MOST ? pause * 2 : BACKOFF_MOST;
		race->next = 0;
	}
}
