/* SPDX-License-Identifier: MIT */
#ifndef HILO_SCHEDULER_DEBUG_LOCKS_H
#define HILO_SCHEDULER_DEBUG_LOCKS_H

/*
 * locks.h - between libhilo and libhilo-locks.so, which a program is started with to find out whether its
 * tasks suspend while they hold a lock of a thread (LD_PRELOAD=.../libhilo-locks.so).
 */

/* A lock that the calling thread holds. */
struct held_lock {
	const void *lock;
	const void *site; /* where it was taken: the return address of the call */
	const char *kind; /* "mutex", "rwlock", "spinlock" */
};

/* [any] The locks that the calling thread holds, @max at most, the oldest first. They count as given back then. */
typedef unsigned hilo_locks_take_fn(struct held_lock *ret, unsigned max);

/* By this name libhilo finds the function. */
#define HILO_LOCKS_TAKE "hilo_locks_take"
hilo_locks_take_fn hilo_locks_take;

#endif /* HILO_SCHEDULER_DEBUG_LOCKS_H */
