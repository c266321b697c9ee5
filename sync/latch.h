/* SPDX-License-Identifier: MIT */
#ifndef HILO_SYNC_LATCH_H
#define HILO_SYNC_LATCH_H

#include <hilo/runtime/types.h>

HILO_BEGIN_DECLS

/*
 * latch.h - opens once so many have counted it down, and stays open.
 *
 *	static hilo_latch ready = HILO_LATCH_INIT(3);
 *
 *	rc = hilo_latch_count_down(&ready, 1);          in each of three that have to be ready
 *	rc = hilo_latch_wait(&ready, HILO_FOREVER);     in whoever goes on then
 *
 * Ownership  It lies in your memory; all zero is a latch that is open. Who has returned from hilo_latch_wait with 0
 *            may free it at once, though the last hilo_latch_count_down has not returned yet, as long as nobody else
 *            waits for it or is going to use it.
 * Memory     Who passes sees what all did before they counted it down.
 */
typedef struct hilo_latch {
	void *hilo_private[6];
} hilo_latch;

/* One that opens after @count, SIZE_MAX >> 2 at most. */
#define HILO_LATCH_INIT(count)                                                                               \
	{                                                                                                    \
		{                                                                                            \
			(void *)((uintptr_t)(count) << 2)                                                    \
		}                                                                                            \
	}

/* [owner] Begin: it opens after @count. -EINVAL: more than SIZE_MAX >> 2; NULL. */
HILO_API int hilo_latch_init(hilo_latch *latch, size_t count);

/*
 * [owner] End. -EBUSY while somebody waits, until his call is about to return: nothing has changed. There is nothing to
 * give back: it may be left out.
 */
HILO_API int hilo_latch_destroy(hilo_latch *latch);

/*
 * [any] Count down by @n. 0; HILO_EINVALSTATE: there were not so many left, and nothing has changed; -EINVAL for
 * NULL. If it opens all who wait are woken, in the order in which they have begun to. Never allocates.
 */
HILO_API int hilo_latch_count_down(hilo_latch *latch, size_t n);

/*
 * [any, suspends] Wait until it is open; 0, at once if it is. -ECANCELED, -ETIMEDOUT; -EDEADLK from a callback that
 * would have to wait; -ENOMEM for a plain thread's first wait; -EINVAL for NULL.
 */
HILO_API int hilo_latch_wait(hilo_latch *latch, hilo_time deadline);

/* [any] How many are still to come; 0: it is open, or @latch is NULL. */
HILO_API size_t hilo_latch_count(const hilo_latch *latch);

HILO_END_DECLS

#endif /* HILO_SYNC_LATCH_H */
