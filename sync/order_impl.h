/* SPDX-License-Identifier: MIT */
#ifndef HILO_SYNC_ORDER_IMPL_H
#define HILO_SYNC_ORDER_IMPL_H

/*
 * order_impl.h - in debug mode: who has which locks, where they were locked, and in which order locks are taken.
 *
 * A worker of a runtime in debug mode has MUTEX_GUESS_NEVER as its guess (scheduler/thread.h), which no mutex has: so
 * each call takes the slow path there, and elsewhere the fast path knows nothing of all this. A plain thread is
 * told at its first call, or later at one that has to wait, if a runtime is or was in debug mode by then: what it locks
 * before is not known.
 */
#include <stdbool.h>
#include <stdint.h>

#include "runtime/runtime_impl.h"

/* [any] Of a lock, in it, changed by order.c alone; 0: none yet. Tells it from others that had its place before. */
struct order_mark {
	uint64_t number;
};

/* [any] The calling thread is to tell of its locks. */
static inline bool order_is_on(const struct thread *self)
{
	return HILO__UNLIKELY(self->mutex_guess == MUTEX_GUESS_NEVER);
}

/* [plain thread] So it is, if a runtime of this process is or was in debug mode. */
void hilo__order_begin(struct thread *self);

/* [locker] @me is about to lock, at @site, with what it has: it is told if that was done the other way round. */
void hilo__order_wants(const struct hilo_task *me, const void *lock, struct order_mark *mark,
		       const void *site);

/* [locker] It has it now. */
void hilo__order_has(const struct hilo_task *me, const void *lock, struct order_mark *mark, const void *site);

/* [owner] It has it no more. */
void hilo__order_lets_go(const struct hilo_task *me, const void *lock);

/* [any] Where @me has locked it; NULL: nothing is known. */
const void *hilo__order_where(const struct hilo_task *me, const void *lock);

/*
 * [owner] -EPERM, with what is wrong as the message of @call: it was locked before the fork began that runs on this
 * stack, so it is its ancestors'. Else 0.
 */
int hilo__order_check_fork(const struct hilo_task *me, const void *lock, const char *call);

#endif /* HILO_SYNC_ORDER_IMPL_H */
