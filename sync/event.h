/* SPDX-License-Identifier: MIT */
#ifndef HILO_SYNC_EVENT_H
#define HILO_SYNC_EVENT_H

#include <hilo/runtime/select.h>
#include <hilo/runtime/types.h>

HILO_BEGIN_DECLS

/*
 * event.h - something that has happened, or not: tasks of any runtime and plain threads wait until it has.
 *
 *	struct request {
 *		hilo_event done;
 *		...
 *	} request = {.done = HILO_EVENT_INIT};
 *
 *	submit(&request);                              somebody calls hilo_event_set(&request.done)
 *	rc = hilo_event_wait(&request.done, HILO_FOREVER);
 *
 * Ownership  It lies in your memory; all zero is an event that is not set. Whoever has returned from
 *            hilo_event_wait with 0, or has found it set, may free it at once, though hilo_event_set has not
 *            returned yet, as long as nobody else waits for it or is going to use it.
 * Memory     Who finds it set, or was woken, sees what the thread that has set it did before.
 */
typedef struct hilo_event {
	void *hilo_private[6];
} hilo_event;

#define HILO_EVENT_INIT                                                                                      \
	{                                                                                                    \
		{                                                                                            \
			0                                                                                    \
		}                                                                                            \
	}

#define HILO_EVENT_SET 1u /* it has happened from the beginning */

/* [owner] Begin, with @flags: 0 or HILO_EVENT_SET. -EINVAL for other flags and for NULL. */
HILO_API int hilo_event_init(hilo_event *event, unsigned flags);

/*
 * [owner] End. -EBUSY while somebody waits, until his call is about to return: nothing has changed. There is nothing to
 * give back: it may be left out.
 */
HILO_API int hilo_event_destroy(hilo_event *event);

/*
 * [any, suspends] Wait until it is set; 0, at once if it is. -ECANCELED, -ETIMEDOUT; -EDEADLK from a callback
 * that would have to wait; -ENOMEM for a plain thread's first wait; -EINVAL for NULL.
 */
HILO_API int hilo_event_wait(hilo_event *event, hilo_time deadline);

/*
 * [any] It has happened: wake all who wait, in the order in which they have begun to. Who was woken has got it,
 * even if it is cleared before he runs. 0; -EINVAL for NULL. Never allocates.
 */
HILO_API int hilo_event_set(hilo_event *event);

/* [any] From now on it has not happened. 0; -EINVAL for NULL. */
HILO_API int hilo_event_clear(hilo_event *event);

/* [any] 1: it is set; 0: it is not, or @event is NULL. */
HILO_API int hilo_event_is_set(const hilo_event *event);

/* A case of hilo_select: the hilo_event * is set. Its code is 0. */
#define HILO_SELECT_EVENT(e) HILO__SELECT_OBJECT(&hilo_select_event, event, e, item, NULL)
HILO_API extern const hilo_select_ops hilo_select_event;

HILO_END_DECLS

#endif /* HILO_SYNC_EVENT_H */
