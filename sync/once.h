/* SPDX-License-Identifier: MIT */
#ifndef HILO_SYNC_ONCE_H
#define HILO_SYNC_ONCE_H

#include <hilo/runtime/types.h>

HILO_BEGIN_DECLS

/*
 * once.h - what is to be done once, by whoever needs it first; the others wait for that.
 *
 *	static hilo_once once = HILO_ONCE_INIT;
 *	...
 *	rc = hilo_once_run(&once, connect_to_database, &database, HILO_FOREVER);
 *	if (rc < 0)
 *		return rc;
 *
 * The function may suspend. If it fails, or is cancelled, it was not done: the failure is that of the caller who
 * ran it, and the next one, who waits already or comes later, runs its own. Once it was done a call costs one
 * load, and says so to whoever asks, cancelled or not.
 *
 * It lies where you put it: all zero is one that was not done.
 */
typedef struct hilo_once {
	void *hilo_private[6];
} hilo_once;

#define HILO_ONCE_INIT                                                                                       \
	{                                                                                                    \
		{                                                                                            \
			0                                                                                    \
		}                                                                                            \
	}

/* [owner of the memory] Make @once one that was not done. */
HILO_API void hilo_once_init(hilo_once *once);

/* [any] @once is not used any more. -EBUSY while somebody runs its function, or waits for that: nothing changed. */
HILO_API int hilo_once_destroy(hilo_once *once);

/*
 * [any, suspends] See to it that a function was done for @once: run @fn(@arg), which returns 0 or more if it did what
 * is to be done once; or wait until another caller's was; or neither, if one was before. 0; what @fn returned if it
 * has failed; -ETIMEDOUT, -ECANCELED when the wait for another caller ended early: @deadline is for that wait alone.
 * -EDEADLK from within @fn, and in a callback that would have to wait; -ENOMEM (a plain thread's first wait).
 */
HILO_API HILO_MUST_CHECK int hilo_once_run(hilo_once *once, int (*fn)(void *arg), void *arg,
					   hilo_time deadline);

/* [any] 1 if it was done, and what it did can be seen; else 0. */
HILO_API int hilo_once_is_done(const hilo_once *once);

HILO_END_DECLS

#endif /* HILO_SYNC_ONCE_H */
