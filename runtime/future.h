/* SPDX-License-Identifier: MIT */
#ifndef HILO_RUNTIME_FUTURE_H
#define HILO_RUNTIME_FUTURE_H

#include <hilo/runtime/types.h>

HILO_BEGIN_DECLS

/*
 * future.h - a one-shot result: set once from anywhere, awaited by tasks of any loop and runtime
 * and by plain threads.
 *
 * Ownership  Counted: hilo_future_new gives one reference, each _ref another, each _unref takes one
 *            away. Whoever sets it and whoever awaits it needs a reference (or knows that somebody
 *            keeps one). The value belongs to the future; everybody who awaits gets the same pointer,
 *            borrowed for as long as their reference, unless the sole owner takes it.
 *
 * A failure, other than -ECANCELED, that nobody has received from hilo_future_await, _result or _take when
 * the last reference goes is told to the exception handler (exception.h), once, with its message.
 */

/* [any] A pending future, or NULL when out of memory. NULL may be passed on: calls that could fail answer -ENOMEM. */
HILO_API hilo_future *hilo_future_new(void);

/* [any] One more reference. Returns @future. */
HILO_API hilo_future *hilo_future_ref(hilo_future *future);

/* [any] One reference less; the last one drops the value. NULL: no-op. */
HILO_API void hilo_future_unref(hilo_future *future);

/*
 * [any] Complete with @value, which the future now owns; @drop (or NULL) is called with it when the
 * last reference goes and nobody took it. 0; HILO_EINVALSTATE when it was complete already: the
 * first one wins and @value stays the caller's. Never allocates, never suspends.
 */
HILO_API int hilo_future_set(hilo_future *future, void *value, void (*drop)(void *value));

/*
 * [any] Complete with a failure, @code < 0. -EINVAL for another @code, HILO_EINVALSTATE as above. If the last
 * failure of the caller is of that code, its message and its causes go with it, to whoever receives it:
 *
 *     hilo_future_set_error(future, hilo_fail(-EPROTO, "reply %u is not ours", number));
 *
 * hilo_error_task() names the task that has failed if the caller has received the failure from one, else it
 * is NULL. Never allocates.
 */
HILO_API int hilo_future_set_error(hilo_future *future, int code);

/* [any] Complete with -ECANCELED. HILO_EINVALSTATE as above. */
HILO_API int hilo_future_cancel(hilo_future *future);

/*
 * [any, suspends] Wait until complete: 0 and the value in *@ret (@ret may be NULL: not wanted), or the failure it
 * was completed with; -ETIMEDOUT or -ECANCELED when the wait itself ended early (hilo_future_is_done tells). The end
 * of a wait never completes the future. -EDEADLK from a callback; -ENOMEM for NULL, and for a plain thread's first
 * wait.
 */
HILO_API int hilo_future_await(hilo_future *future, void **ret, hilo_time deadline);

/* [any] As hilo_future_await without waiting: -EAGAIN while pending. */
HILO_API HILO_MUST_CHECK int hilo_future_result(hilo_future *future, void **ret);

/*
 * [any] Move the value out: the caller owns it and drop will not be called. Only for the sole owner:
 * -EBUSY while others hold references, -EAGAIN while pending, HILO_EINVALSTATE when already taken.
 */
HILO_API HILO_MUST_CHECK int hilo_future_take(hilo_future *future, void **ret);

/* [any] True once complete. NULL: 0. */
HILO_API int hilo_future_is_done(const hilo_future *future);

/*
 * [any task, callback] Call @fn(@arg) once @future is complete: on the calling loop, never inside the
 * call that completes it, in the order of registration, soon if it is complete already. Keeps @node
 * until the callback is called or was removed, and holds a reference on @future as long; who looks at
 * @future in @fn needs one of his own.
 *
 * @fn is called exactly once, whatever ends first. If the runtime of the loop ends while @future is
 * pending, @fn is called by the thread that ends it, from hilo_run, hilo_runtime_close or hilo_runtime_free, after all
 * tasks have ended; hilo_future_is_done(@future) tells that it was not complete. There is no loop
 * any more then (-EDEADLK); a completion that comes later concerns nobody. -EDEADLK outside of a loop.
 */
HILO_API HILO_MUST_CHECK int hilo_future_on_done(hilo_future *future, hilo_done_node *node,
						 hilo_callback_fn fn, void *arg);

/*
 * [loop that asked, which needs a reference of its own] 0: removed, it will not be called; -EALREADY: it
 * is running, has run, or was removed, which is also the answer once the loop has ended. -EDEADLK on any
 * other thread. While a runtime ends its done callbacks may remove those of all its loops.
 */
HILO_API int hilo_future_remove_on_done(hilo_future *future, hilo_done_node *node);

HILO_END_DECLS

#endif /* HILO_RUNTIME_FUTURE_H */
