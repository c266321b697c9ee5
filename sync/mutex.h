/* SPDX-License-Identifier: MIT */
#ifndef HILO_SYNC_MUTEX_H
#define HILO_SYNC_MUTEX_H

#include <hilo/runtime/types.h>
#include <hilo/runtime/with.h>

HILO_BEGIN_DECLS

/*
 * mutex.h - one owner at a time: a task of any worker and runtime, or a plain thread.
 *
 *	static hilo_mutex mutex = HILO_MUTEX_INIT;
 *
 *	HILO_WITH_MUTEX(&mutex, &rc) {
 *		balance += amount;                      may suspend, too
 *	}
 *
 * The owner may suspend while it has the mutex, and go on on another thread; others wait meanwhile, tasks without
 * a thread. A mutex that is free is taken at once: locking it never suspends, unlocking never does.
 *
 * Order      Who waits is served first come, first served. By default a mutex that was unlocked is free until
 *            somebody takes it, be it one that has not waited. One that has waited for a millisecond is given the
 *            mutex by one of the next eight that unlock it; so long may others pass it. Where all who use it are
 *            tasks of one runtime with one worker, and with HILO_MUTEX_FAIR, it is always given to the one that has
 *            waited longest, who has it from then on: nobody passes anybody, as with asyncio.Lock. That one runs
 *            later, not before the next statement of the one that unlocks.
 * Nesting    A mutex is not recursive. Its owner, if it locks it again, is told so (-EDEADLK).
 * Memory     It lies where you put it: all zero is a free mutex. It may be freed, without a call, by one who
 *            has locked and unlocked it and knows that nobody else will use it any more.
 */
typedef struct hilo_mutex {
	void *hilo_private[8];
} hilo_mutex;

#define HILO_MUTEX_INIT                                                                                      \
	{                                                                                                    \
		{                                                                                            \
			0                                                                                    \
		}                                                                                            \
	}

/* Flags of hilo_mutex_init: hand the mutex over, always, in the order of waiting. Slower where it is fought for. */
#define HILO_MUTEX_FAIR 1u

/* [owner of the memory] Make @mutex a free one. -EINVAL for flags that do not exist. */
HILO_API HILO_MUST_CHECK int hilo_mutex_init(hilo_mutex *mutex, unsigned flags);

/* [any] @mutex is not used any more. -EBUSY while somebody has it or waits for it: nothing changed. */
HILO_API int hilo_mutex_destroy(hilo_mutex *mutex);

/*
 * [task, plain thread; suspends] Have @mutex. 0; -ETIMEDOUT or -ECANCELED when the wait ended early: it is not
 * locked; -EDEADLK if the caller has it already, and in a callback, which is nobody who could have it;
 * -ENOMEM (a plain thread's first call).
 */
HILO_API HILO_MUST_CHECK int hilo_mutex_lock(hilo_mutex *mutex, hilo_time deadline);

/* [task, plain thread] The same without waiting: -EAGAIN if somebody has it. */
HILO_API HILO_MUST_CHECK int hilo_mutex_try_lock(hilo_mutex *mutex);

/* [owner] Let @mutex go, and wake who is to have it next. -EPERM if the caller does not have it. */
HILO_API int hilo_mutex_unlock(hilo_mutex *mutex);

/* [any] 1 if somebody has @mutex at some moment during the call, else 0. */
HILO_API int hilo_mutex_is_locked(const hilo_mutex *mutex);

/* Enters by locking, without limit, and leaves by unlocking: for HILO_WITH. */
HILO_API extern const hilo_manager hilo_mutex_manager;

/* A block with @mutex, a hilo_mutex *: HILO_WITH in runtime/with.h says the rest. *@code is -ECANCELED without. */
#define HILO_WITH_MUTEX(mutex, code) HILO_WITH (&hilo_mutex_manager, mutex, code)

HILO_END_DECLS

#endif /* HILO_SYNC_MUTEX_H */
