/* SPDX-License-Identifier: MIT */
#ifndef HILO_SYNC_CONDITION_H
#define HILO_SYNC_CONDITION_H

#include <hilo/runtime/types.h>
#include <hilo/sync/mutex.h>

HILO_BEGIN_DECLS

/*
 * condition.h - waiting, without a mutex, until something that is changed under that mutex has changed.
 *
 *	HILO_WITH_MUTEX(&mutex, &rc) {
 *		rc = hilo_condition_wait_for(&ready, &mutex, has_items, &list, HILO_FOREVER);
 *		if (rc == 0)
 *			take_first(&list);
 *	}
 *
 * A wait gives the mutex up and has it again when it returns, whatever it returns: to get it back it waits as long
 * as that takes, past its deadline and under a shield against cancels. One that was notified returns 0, also if
 * its deadline or a cancel came at the same time; one that left earlier was not notified, but somebody else who
 * waits. No wait returns 0 without having been notified. Still, what it waits for may be gone again when it has the
 * mutex: look again, as hilo_condition_wait_for does.
 *
 * A condition lies where you put it: all zero is one that nobody waits for. It may be freed, without a call, by
 * one who has been notified and knows that nobody else will use it any more.
 */
typedef struct hilo_condition {
	void *hilo_private[6];
} hilo_condition;

#define HILO_CONDITION_INIT                                                                                  \
	{                                                                                                    \
		{                                                                                            \
			0                                                                                    \
		}                                                                                            \
	}

/* [owner of the memory] Make @condition one that nobody waits for. */
HILO_API void hilo_condition_init(hilo_condition *condition);

/* [any] @condition is not used any more. -EBUSY while somebody waits for it: nothing changed. */
HILO_API int hilo_condition_destroy(hilo_condition *condition);

/*
 * [owner of @mutex; suspends] Give @mutex up, wait until notified, have @mutex again. 0; -ETIMEDOUT, -ECANCELED
 * when the wait ended early; -EPERM if the caller does not have @mutex, -EDEADLK in a callback. A cancel that is
 * set before ends it at once, without giving the mutex up. A deadline that has passed ends it without waiting; the
 * mutex is given up and taken again, so that others have had it who wait for it. All that wait for a
 * condition at the same time do so with the same mutex, else -EINVAL.
 */
HILO_API HILO_MUST_CHECK int hilo_condition_wait(hilo_condition *condition, hilo_mutex *mutex,
						 hilo_time deadline);

/*
 * [owner of @mutex; suspends] Wait until @predicate(@arg), which is called with @mutex, is not 0: what it says, if that
 * is positive, is returned as 0, a negative one as it is. It is asked at once, after each notification, and once
 * more at the end: what is true by then counts, not the deadline. Else as hilo_condition_wait.
 */
HILO_API HILO_MUST_CHECK int hilo_condition_wait_for(hilo_condition *condition, hilo_mutex *mutex,
						     int (*predicate)(void *arg), void *arg,
						     hilo_time deadline);

/*
 * [any] Wake up to @n of those that wait, who have waited longest, and return how many. With the mutex or without:
 * whoever changes the state under the mutex and notifies later still reaches all that had to wait.
 */
HILO_API size_t hilo_condition_notify(hilo_condition *condition, size_t n);

/* [any] Wake all that wait at the moment of the call, and return how many. */
HILO_API size_t hilo_condition_notify_all(hilo_condition *condition);

HILO_END_DECLS

#endif /* HILO_SYNC_CONDITION_H */
