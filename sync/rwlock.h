/* SPDX-License-Identifier: MIT */
#ifndef HILO_SYNC_RWLOCK_H
#define HILO_SYNC_RWLOCK_H

#include <hilo/runtime/types.h>
#include <hilo/runtime/with.h>

HILO_BEGIN_DECLS

/*
 * rwlock.h - one writer, or any number of readers: tasks of any worker and runtime, and plain threads.
 *
 *	static hilo_rwlock lock = HILO_RWLOCK_INIT;
 *
 *	HILO_WITH_READ(&lock, &rc)
 *		value = find(&table, key);
 *	HILO_WITH_WRITE(&lock, &rc)
 *		add(&table, key, value);
 *
 * Order      One that was let go is free until somebody takes it, be it one that has not waited, and a reader may
 *            come in past a writer that waits for the readers. So those that run get on. When the one that waits
 *            longest has done so for a millisecond, it is noticed by one of the next eight that unlock, and from
 *            then on readers and writers take turns: a reader that comes lets the writer go first; when a writer has
 *            done, all readers that wait by then come before the next writer. So neither waits for more than one
 *            turn of the others. Of several writers the one that has waited longest is next. Where all who
 *            use it are tasks of one runtime with one worker they always take turns.
 *
 * Whoever has it may suspend. It does not nest: a reader that locks it once more may wait for a writer that waits
 * for it, which is told in debug mode (-EDEADLK). A reader does not become a writer, but a writer may become a
 * reader (hilo_rwlock_downgrade). One that is free is taken at once, without suspending, and one that is read is by
 * a reader, unless they take turns. It lies where you put it: all zero is a free one. It may be freed, without a
 * call, by one who has locked and unlocked it as a writer and knows that nobody else will use it any more.
 */
typedef struct hilo_rwlock {
	void *hilo_private[8];
} hilo_rwlock;

#define HILO_RWLOCK_INIT                                                                                     \
	{                                                                                                    \
		{                                                                                            \
			0                                                                                    \
		}                                                                                            \
	}

/* [owner of the memory] Make @lock a free one. */
HILO_API void hilo_rwlock_init(hilo_rwlock *lock);

/* [any] @lock is not used any more. -EBUSY while somebody has it or waits for it: nothing changed. */
HILO_API int hilo_rwlock_destroy(hilo_rwlock *lock);

/*
 * [task, plain thread; suspends] Have @lock, among others who read, or alone. 0; -ETIMEDOUT or -ECANCELED when
 * the wait ended early: it is not locked; -EDEADLK if the caller writes already, and in a callback, which is nobody
 * who could have it; -ENOMEM (a plain thread's first call).
 */
HILO_API HILO_MUST_CHECK int hilo_rwlock_read(hilo_rwlock *lock, hilo_time deadline);
HILO_API HILO_MUST_CHECK int hilo_rwlock_write(hilo_rwlock *lock, hilo_time deadline);

/* [task, plain thread] The same without waiting: -EAGAIN if it would have to, never while it is free. */
HILO_API HILO_MUST_CHECK int hilo_rwlock_try_read(hilo_rwlock *lock);
HILO_API HILO_MUST_CHECK int hilo_rwlock_try_write(hilo_rwlock *lock);

/*
 * [writer, reader] Let @lock go, whichever the caller is. -EPERM if another one writes, or nobody has it. That somebody
 * else reads and the caller does not is not found out.
 */
HILO_API int hilo_rwlock_unlock(hilo_rwlock *lock);

/* [writer] Become a reader, without anybody writing in between; readers that wait come in. -EPERM if not a writer. */
HILO_API int hilo_rwlock_downgrade(hilo_rwlock *lock);

/* Enter by locking, without limit, and leave by unlocking: for HILO_WITH. */
HILO_API extern const hilo_manager hilo_rwlock_read_manager;
HILO_API extern const hilo_manager hilo_rwlock_write_manager;

/* A block with @lock, a hilo_rwlock *: HILO_WITH in runtime/with.h says the rest. *@code is -ECANCELED without. */
#define HILO_WITH_READ(lock, code) HILO_WITH (&hilo_rwlock_read_manager, lock, code)
#define HILO_WITH_WRITE(lock, code) HILO_WITH (&hilo_rwlock_write_manager, lock, code)

HILO_END_DECLS

#endif /* HILO_SYNC_RWLOCK_H */
