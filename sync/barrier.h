/* SPDX-License-Identifier: MIT */
#ifndef HILO_SYNC_BARRIER_H
#define HILO_SYNC_BARRIER_H

#include <hilo/runtime/types.h>

HILO_BEGIN_DECLS

/*
 * barrier.h - a fixed number of parties wait for each other, again and again.
 *
 *	hilo_barrier barrier;
 *
 *	rc = hilo_barrier_init(&barrier, 4, NULL, NULL);
 *	...
 *	for (step = 0; step < steps; step++) {         in each of four tasks
 *		compute(step, part);
 *		rc = hilo_barrier_wait(&barrier, HILO_FOREVER);
 *	}
 *
 * A party whose wait ends early, by a cancel or by its deadline, has not arrived: its place is free again, and the
 * barrier waits for another one, as that of asyncio. If the others cannot do without it, it calls
 * hilo_barrier_abort, which is what that of Python's threads does by itself.
 *
 * Ownership  It lies in your memory. Who has passed may free it at once, though the calls of the others of his round
 *            have not returned yet, as long as nobody else is in a call or is going to use it.
 * Memory     Who passes sees what all parties of the round did before they arrived.
 */
typedef struct hilo_barrier {
	void *hilo_private[12];
} hilo_barrier;

/*
 * [owner] Begin, for @parties, at least 1. @action(@arg), if it is not NULL, is called in each round by the party that
 * arrives last, before anybody goes on. It may suspend; a failure of it breaks the barrier. -EINVAL.
 */
HILO_API int hilo_barrier_init(hilo_barrier *barrier, unsigned parties, int (*action)(void *arg), void *arg);

/*
 * [owner] End. -EBUSY while somebody waits, until his call is about to return: nothing has changed. There is nothing to
 * give back: it may be left out.
 */
HILO_API int hilo_barrier_destroy(hilo_barrier *barrier);

/*
 * [any, suspends] Arrive, and wait until all parties have. Who of them has come: each number from 0 to parties - 1
 * once, in the order of arrival; who comes last does not wait. If somebody leaves as the last one comes, those who
 * wait arrive anew, in any order. Who comes while the action of a round runs waits for the next one. One whose wait
 * ends while the action runs has gone: the others pass without him, with the numbers they have. -EPIPE: the barrier is
 * broken, or was reset while we waited; -ECANCELED, -ETIMEDOUT: we have not arrived, or have gone. Who comes last gets
 * what the action has failed with, the others -EPIPE. -EDEADLK from a callback that would have to wait; -ENOMEM
 * for a plain thread's first wait; -EINVAL for NULL.
 */
HILO_API HILO_MUST_CHECK int hilo_barrier_wait(hilo_barrier *barrier, hilo_time deadline);

/*
 * [any] Make it as new: those who have arrived get -EPIPE, and it is not broken. A round whose last party has arrived,
 * so that its action runs, is not concerned, nor are those who wait for the next one meanwhile. 0; -EINVAL for NULL.
 */
HILO_API int hilo_barrier_reset(hilo_barrier *barrier);

/*
 * [any] Break it: all who wait, for the next round too, and all who come until it is reset get -EPIPE. A round that is
 * complete is not concerned. 0; -EINVAL for NULL.
 */
HILO_API int hilo_barrier_abort(hilo_barrier *barrier);

/*
 * [any] How many have to arrive; how many have, in this round, without those who are just arriving anew; 1 if it is
 * broken. NULL: 0.
 */
HILO_API unsigned hilo_barrier_parties(const hilo_barrier *barrier);
HILO_API unsigned hilo_barrier_n_waiting(const hilo_barrier *barrier);
HILO_API int hilo_barrier_broken(const hilo_barrier *barrier);

HILO_END_DECLS

#endif /* HILO_SYNC_BARRIER_H */
