/* SPDX-License-Identifier: MIT */
#ifndef HILO_SYNC_WAIT_GROUP_H
#define HILO_SYNC_WAIT_GROUP_H

#include <hilo/runtime/types.h>

HILO_BEGIN_DECLS

/*
 * wait_group.h - a number of things that are under way; tasks of any runtime and plain threads wait until none is.
 *
 *	hilo_wait_group group = HILO_WAIT_GROUP_INIT;
 *
 *	for (i = 0; i < n; i++) {
 *		rc = hilo_wait_group_add(&group, 1);   before it begins
 *		start(&jobs[i]);                       each calls hilo_wait_group_done at its end
 *	}
 *	rc = hilo_wait_group_wait(&group, HILO_FOREVER);
 *
 * For tasks HILO_GROUP (group.h) is better: it waits by itself, and keeps their failures.
 *
 * Ownership  It lies in your memory; all zero is a group with nothing under way. Whoever has returned from
 *            hilo_wait_group_wait with 0 may free it at once, though the last hilo_wait_group_done has not returned
 *            yet, as long as nobody else waits for it or is going to use it.
 * Again      It may be used again as soon as nothing is under way: who waited before has got it, even if something
 *            is added before he runs.
 * Memory     Who returns sees what all did before their hilo_wait_group_done.
 */
typedef struct hilo_wait_group {
	void *hilo_private[6];
} hilo_wait_group;

#define HILO_WAIT_GROUP_INIT                                                                                 \
	{                                                                                                    \
		{                                                                                            \
			0                                                                                    \
		}                                                                                            \
	}

/* [owner] Begin, with nothing under way. -EINVAL for NULL. */
HILO_API int hilo_wait_group_init(hilo_wait_group *group);

/*
 * [owner] End. -EBUSY while somebody waits, until his call is about to return: nothing has changed. There is nothing to
 * give back: it may be left out.
 */
HILO_API int hilo_wait_group_destroy(hilo_wait_group *group);

/* [any] @n more are under way. 0; -EOVERFLOW: more than SIZE_MAX >> 2, and nothing has changed; -EINVAL for NULL. */
HILO_API int hilo_wait_group_add(hilo_wait_group *group, size_t n);

/*
 * [any] One is done; with the last one all who wait are woken, in the order in which they have begun to. 0;
 * HILO_EINVALSTATE: none was under way, and nothing has changed; -EINVAL for NULL. Never allocates.
 */
HILO_API int hilo_wait_group_done(hilo_wait_group *group);

/*
 * [any, suspends] Wait until nothing is under way; 0, at once if nothing is. -ECANCELED, -ETIMEDOUT; -EDEADLK from
 * a callback that would have to wait; -ENOMEM for a plain thread's first wait; -EINVAL for NULL.
 */
HILO_API int hilo_wait_group_wait(hilo_wait_group *group, hilo_time deadline);

/* [any] How many are under way, at some moment during the call. NULL: 0. */
HILO_API size_t hilo_wait_group_count(const hilo_wait_group *group);

HILO_END_DECLS

#endif /* HILO_SYNC_WAIT_GROUP_H */
