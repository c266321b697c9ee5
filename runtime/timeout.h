/* SPDX-License-Identifier: MIT */
#ifndef HILO_RUNTIME_TIMEOUT_H
#define HILO_RUNTIME_TIMEOUT_H

#include <hilo/runtime/types.h>

HILO_BEGIN_DECLS

/*
 * timeout.h - a limit in time for a block, whatever it calls.
 *
 *	HILO_TIMEOUT(limit, hilo_after(3 * HILO_SECOND), &rc) {
 *		rc = fetch(&request);
 *	}
 *	if (rc == -ETIMEDOUT)
 *		...
 *
 * When the time is over the task is asked to stop, as by hilo_task_cancel: what suspends inside of the block
 * ends with -ECANCELED, and so on until the block is left, which takes the request back. If the block ends
 * with -ECANCELED because of that, its code becomes -ETIMEDOUT; any other code stands, and so does
 * -ECANCELED while another request is set that no shield keeps off. Timeouts nest; each turns its own requests
 * into -ETIMEDOUT only. A block that never suspends is not stopped.
 *
 * The code is what &rc points at: 0 when the block begins, and what the block sets.
 */

/* One limit. Opaque; lies in the frame of the block. */
typedef struct hilo_timeout {
	int *hilo_code;
	void *hilo_private[12];
} hilo_timeout;

/*
 * [task] Begin a block that is to end at @when; HILO_FOREVER: no limit until it gets one. Keeps @timeout until
 * hilo_timeout_leave. Does not suspend, and is not stopped by a request that is set. -EINVAL (NULL),
 * -EDEADLK outside of a task.
 */
HILO_API HILO_MUST_CHECK int hilo_timeout_enter(hilo_timeout *timeout, hilo_time when);

/*
 * [task that has entered] End the innermost block, whose code is @code, and return the code that it has from
 * then on. Blocks, groups and shields are left in the reverse of the order in which they were entered.
 */
HILO_API int hilo_timeout_leave(hilo_timeout *timeout, int code);

/*
 * [any task of the runtime, one at a time, while the block lasts] Let it end at @when instead. 0;
 * HILO_EINVALSTATE: the time was over already. -EINVAL for NULL.
 */
HILO_API int hilo_timeout_reschedule(hilo_timeout *timeout, hilo_time when);

/* [as above] When it is to end. */
HILO_API hilo_time hilo_timeout_when(const hilo_timeout *timeout);

/* [task that has entered, also after it has left] True once the time was over while the block lasted. */
HILO_API int hilo_timeout_expired(const hilo_timeout *timeout);

/*
 * [task] Begin a section that requests to stop from further out do not reach until @when: a cleanup with a
 * time of grace. A timeout that is entered inside of it counts. HILO_FOREVER: for as long as it lasts. It makes
 * no request of its own; it is left with hilo_timeout_leave, and moved with hilo_timeout_reschedule. -EINVAL
 * (NULL), -EDEADLK outside of a task.
 */
HILO_API HILO_MUST_CHECK int hilo_grace_enter(hilo_timeout *grace, hilo_time when);

/*
 * The blocks. @name is a hilo_timeout * in the block, whose code is *@code: 0 when it begins. Leaving it by break,
 * continue, return or goto ends it as well. If it cannot begin *@code says why, and it is passed over.
 */
#define HILO_TIMEOUT(name, when, code)                                                                       \
	for (hilo_timeout hilo_place_of_##name HILO_CLEANUP(hilo_timeout_block_cleanup),                     \
	     *name = hilo_timeout_block_begin(&hilo_place_of_##name,                                         \
					      hilo_timeout_enter(&hilo_place_of_##name, when), code);        \
	     name; name = hilo_timeout_block_end(&hilo_place_of_##name))

#define HILO_GRACE(name, when, code)                                                                         \
	for (hilo_timeout hilo_place_of_##name HILO_CLEANUP(hilo_timeout_block_cleanup),                     \
	     *name = hilo_timeout_block_begin(&hilo_place_of_##name,                                         \
					      hilo_grace_enter(&hilo_place_of_##name, when), code);          \
	     name; name = hilo_timeout_block_end(&hilo_place_of_##name))

static inline hilo_timeout *hilo_timeout_block_begin(hilo_timeout *timeout, int entered, int *code)
{
	*code = entered;
	timeout->hilo_code = entered == 0 ? code : NULL;
	return entered == 0 ? timeout : NULL;
}

static inline hilo_timeout *hilo_timeout_block_end(hilo_timeout *timeout)
{
	int *code = timeout->hilo_code;

	timeout->hilo_code = NULL;
	if (code)
		*code = hilo_timeout_leave(timeout, *code);
	return NULL;
}

static inline void hilo_timeout_block_cleanup(hilo_timeout *timeout)
{
	(void)hilo_timeout_block_end(timeout);
}

HILO_END_DECLS

#endif /* HILO_RUNTIME_TIMEOUT_H */
