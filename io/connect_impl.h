/* SPDX-License-Identifier: MIT */
#ifndef HILO_IO_CONNECT_IMPL_H
#define HILO_IO_CONNECT_IMPL_H

/*
 * connect_impl.h - a race for a connection: attempts that are begun one after the other, and go on side by side.
 *
 * Each attempt is an operation of its own. Its completion gives a permit to the semaphore that the one who runs the
 * race waits for, up to the time of the next attempt. So one caller, task or plain thread, drives all of it.
 *
 * I1  `due` permits are to come: one for each operation that was started and has not completed at once. Who runs
 *     the race takes all of them, in the end without minding cancel and deadline, before it is given up: until then
 *     the kernel may look at the addresses, and completions at the race.
 * I2  An attempt that has connected wins, also if that comes out only when it was to be stopped.
 * P1  `over` is released by the completion, and acquired by who runs the race, who may find it before the permit.
 *
 * Rejected: a task for each attempt. It would have to be spawned, cancelled and joined for one operation, and a plain
 * thread could not wait for it in the same way.
 */
#include <hilo/io/connect.h>
#include <hilo/sync/semaphore.h>

#include <stdbool.h>

#include "scheduler/poll_io.h"

/* The most addresses that are tried, and that are looked at to come from. */
#define RACE_MAX 16
#define RACE_LOCALS 8

struct attempt {
	struct poll_io io;
	struct race *race;
	hilo_address address;
	int fd; /* -1: none */
	int rc; /* once it was seen to be over */
	bool running, seen;
	atomic(bool) over; /* P1 */
};

struct race {
	const char *call;
	struct hilo_runtime *runtime;
	const hilo_connect_opts *opts;
	const void *site;
	hilo_address local[RACE_LOCALS];
	int locals;
	hilo_semaphore ended;
	unsigned due;	/* I1 */
	unsigned alive; /* attempts that are running, as far as was seen */
	int n, next;
	struct attempt *winner;
	struct attempt attempt[RACE_MAX];
};

/*
 * [any] The connected socket @fd of @runtime as a stream with the limits of @opts, made at @site. 0; -ENOMEM,
 * -EINVAL, with a message. Consumes @fd in any case.
 */
int hilo__connection_new(int fd, struct hilo_runtime *runtime, const void *site, const hilo_stream_opts *opts,
			 hilo_stream **ret);

/* [who runs it, suspends] 0: there is a winner; else why not, and all have ended. */
int hilo__race_run(struct race *race, hilo_time deadline);

#endif /* HILO_IO_CONNECT_IMPL_H */
