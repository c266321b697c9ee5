/* SPDX-License-Identifier: MIT */
#ifndef HILO_SYNC_SEMAPHORE_H
#define HILO_SYNC_SEMAPHORE_H

#include <hilo/runtime/select.h>
#include <hilo/runtime/types.h>
#include <hilo/runtime/with.h>

HILO_BEGIN_DECLS

/*
 * semaphore.h - a number of permits, which tasks of any runtime and plain threads take and give back.
 *
 *	static hilo_semaphore slots = HILO_SEMAPHORE_INIT(8);
 *
 *	HILO_WITH_SEMAPHORE (&slots, &rc)
 *		rc = fetch(url);                       never more than eight at a time
 *
 * Order      First come, first served: who waits for many permits holds up all who come later, even if there are
 *            enough for them, and is not held up by them. So one that asks for many is never overtaken for ever.
 * Ownership  It lies in your memory; all zero is a semaphore without permits and without a limit. Permits belong
 *            to nobody: anybody may release, whoever has acquired. Who has got a permit from a release that has
 *            not returned yet may free it at once, as long as nobody else waits for it or is going to use it.
 * Memory     Who acquires sees what those who have released before did before that.
 */
typedef struct hilo_semaphore {
	void *hilo_private[6];
} hilo_semaphore;

/* The most permits there can be. */
#define HILO_SEMAPHORE_MAX (SIZE_MAX >> 2)

/* One with @value permits, HILO_SEMAPHORE_MAX at most, and without a limit. */
#define HILO_SEMAPHORE_INIT(value)                                                                           \
	{                                                                                                    \
		{                                                                                            \
			(void *)((uintptr_t)(value) << 2)                                                    \
		}                                                                                            \
	}

/*
 * [owner] Begin, with @value permits. There are never more than @max: who releases too many is told (a bounded
 * semaphore). 0: HILO_SEMAPHORE_MAX. -EINVAL: @value is more than @max, one is more than HILO_SEMAPHORE_MAX, NULL.
 */
HILO_API int hilo_semaphore_init(hilo_semaphore *semaphore, size_t value, size_t max);

/*
 * [owner] End. -EBUSY while somebody waits, until his call is about to return: nothing has changed. There is nothing to
 * give back: it may be left out.
 */
HILO_API int hilo_semaphore_destroy(hilo_semaphore *semaphore);

/*
 * [any, suspends] Take @n permits, all at once, when all who have come before have got theirs; 0. -ECANCELED,
 * -ETIMEDOUT: none was taken. -EINVAL: @n is more than there can ever be, NULL. -EDEADLK from a callback that would
 * have to wait; -ENOMEM for a plain thread's first wait. @n 0: there is nothing to wait for.
 */
HILO_API HILO_MUST_CHECK int hilo_semaphore_acquire(hilo_semaphore *semaphore, size_t n, hilo_time deadline);

/*
 * [any] As hilo_semaphore_acquire without waiting: -EAGAIN if there are not so many, or if somebody waits, until his
 * call is about to return.
 */
HILO_API HILO_MUST_CHECK int hilo_semaphore_try_acquire(hilo_semaphore *semaphore, size_t n);

/*
 * [any] Give @n permits, to the first of those who wait, as far as they suffice. 0; -EOVERFLOW: there would be
 * more than the limit, and nothing has changed; -EINVAL for NULL. Never allocates.
 */
HILO_API int hilo_semaphore_release(hilo_semaphore *semaphore, size_t n);

/* [any] Permits that nobody has, at some moment during the call. NULL: 0. */
HILO_API size_t hilo_semaphore_value(const hilo_semaphore *semaphore);

/* A block with one permit, waited for without a deadline. *@code is 0 when it begins, or why there is none. */
HILO_API extern const hilo_manager hilo_semaphore_manager;
#define HILO_WITH_SEMAPHORE(semaphore, code) HILO_WITH (&hilo_semaphore_manager, semaphore, code)

/*
 * A case of hilo_select: acquire @n permits of the hilo_semaphore *. Its code is 0, or -EINVAL: more than there can
 * ever be. It waits in the same line as all others; one that asks for many holds up those behind it until the select
 * has ended.
 */
#define HILO_SELECT_ACQUIRE(s, n)                                                                            \
	HILO__SELECT_OBJECT(&hilo_select_acquire, semaphore, s, item, (void *)(uintptr_t)(n))
HILO_API extern const hilo_select_ops hilo_select_acquire;

HILO_END_DECLS

#endif /* HILO_SYNC_SEMAPHORE_H */
