/* SPDX-License-Identifier: MIT */
#ifndef HILO_RUNTIME_LOOP_H
#define HILO_RUNTIME_LOOP_H

#include <hilo/runtime/types.h>

HILO_BEGIN_DECLS

/*
 * loop.h - the loop of one worker: its callbacks, its timers, the descriptors it watches.
 *
 * Callbacks of one loop run one after the other, in the order in which they were asked for; against
 * tasks they are not ordered. They run on a worker's stack, to the end: they must not suspend. If the
 * loop's thread is held by a task that computes or blocks, another thread runs them, and the loop's
 * pinned tasks, meanwhile; hilo_loop_current() is still the loop that they belong to. Callbacks that
 * have not run when the last task of the runtime has ended are dropped, but for done callbacks
 * (hilo_future_on_done), which are called at its end.
 */

/*
 * [any] The loop of the calling callback or pinned task, or the one that the calling task runs on now; NULL
 * in a plain thread. Never makes one.
 */
HILO_API hilo_loop *hilo_loop_current(void);

/* [any] The number of workers of @runtime. */
HILO_API unsigned hilo_runtime_workers(const hilo_runtime *runtime);

/*
 * [any] The most loops that @runtime may ever have: those of its workers, numbered from 0, and those of
 * spare workers, which run what a worker cannot because a task holds its thread. An array with so
 * many places has one for each loop.
 */
HILO_API unsigned hilo_runtime_loops(const hilo_runtime *runtime);

/*
 * [any] The loop of @runtime that has the number @index; NULL: there is none yet, or there will be none, or the
 * runtime is closed. Its memory is there until hilo_runtime_free.
 */
HILO_API hilo_loop *hilo_runtime_loop(hilo_runtime *runtime, unsigned index);

/* [any] The number of @loop, from 0. */
HILO_API unsigned hilo_loop_index(const hilo_loop *loop);

/*
 * [any task, callback] Call @fn(@arg) soon on the calling loop. *@ret (or NULL) receives a handle
 * to cancel it, to be ended with hilo_handle_unref. -ENOMEM, -EDEADLK outside of a loop.
 */
HILO_API HILO_MUST_CHECK int hilo_call_soon(hilo_callback_fn fn, void *arg, hilo_handle **ret);

/* [any] The same from any thread, on @loop, waking it if it sleeps. HILO_ECLOSED, -ENOMEM, -EINVAL. */
HILO_API HILO_MUST_CHECK int hilo_call_soon_threadsafe(hilo_loop *loop, hilo_callback_fn fn, void *arg,
						       hilo_handle **ret);

/* A place for one call, supplied by the caller, so that nothing is allocated. All zero before its first use. */
typedef struct hilo_call_node {
	void *hilo_private[6];
} hilo_call_node;

/*
 * [any, signal handlers] The same with a place that the caller supplies: async-signal-safe, and cannot run
 * out of memory. 0: queued, and @node is kept until its turn comes, which frees it before it calls @fn, or
 * until the runtime ends. -EALREADY: it is queued and its turn has not come; when it comes it sees all that
 * was done before this call, which it stands for. So one node for each thing that may happen is enough,
 * however often that happens. HILO_ECLOSED, -EINVAL.
 * The loop must be there: nobody may free its runtime while a handler may still run.
 */
HILO_API int hilo_call_soon_signalsafe(hilo_loop *loop, hilo_call_node *node, hilo_callback_fn fn, void *arg);

/*
 * [any, but no signal handler] Take it back: 0, it will not be called, and @node is free; -EALREADY: it is not
 * queued, has run or is running. Not while another thread frees the runtime, which frees it by itself.
 */
HILO_API int hilo_call_node_cancel(hilo_call_node *node);

/*
 * [any task, callback] Call it @delay nanoseconds from now, never earlier, on the calling loop. Errors as
 * hilo_call_soon.
 */
HILO_API HILO_MUST_CHECK int hilo_call_later(hilo_time delay, hilo_callback_fn fn, void *arg,
					     hilo_handle **ret);

/*
 * [any task, callback] Call it at @when. Equal times: in the order of asking. Errors as above; -EINVAL also for
 * HILO_FOREVER, which never comes.
 */
HILO_API HILO_MUST_CHECK int hilo_call_at(hilo_time when, hilo_callback_fn fn, void *arg, hilo_handle **ret);

/*
 * [any] Take a call back: 0 if it will not run, -EALREADY if it has begun or was cancelled. Not while
 * another thread frees the runtime, which ends the call by itself.
 */
HILO_API int hilo_handle_cancel(hilo_handle *handle);

/*
 * [any] When it is to be called, or was: the moment asked for, whatever has become of it. 0 for a call soon, which
 * has none; HILO_FOREVER for NULL, which never comes.
 */
HILO_API hilo_time hilo_handle_when(const hilo_handle *handle);

/*
 * [any] 1 once hilo_handle_cancel has taken the call back; 0 before, and for one that has begun or was dropped with
 * its runtime; 0 for NULL.
 */
HILO_API int hilo_handle_cancelled(const hilo_handle *handle);

/* [any] End the handle; what it stands for goes on. NULL: no-op. */
HILO_API void hilo_handle_unref(hilo_handle *handle);

/* What may happen on a descriptor. */
#define HILO_READABLE 1u
#define HILO_WRITABLE 2u

/*
 * [task, plain thread; suspends] Wait until @fd is readable or writable, or broken (then every event asked for
 * is set). Returns the events that are there, > 0. Borrows @fd, which must stay open meanwhile.
 * -EBADF, -EPERM (a task, and a regular file: that is always ready; a plain thread is told so), -EINVAL,
 * -ENOMEM, -ENOSPC (the user's limit of watched descriptors, fs.epoll.max_user_watches), -ETIMEDOUT,
 * -ECANCELED, -EDEADLK from a callback.
 */
HILO_API HILO_MUST_CHECK int hilo_fd_wait(int fd, unsigned events, hilo_time deadline);

/* What a watch calls: the events that are there. */
typedef void (*hilo_fd_fn)(int fd, unsigned events, void *arg);
typedef struct hilo_fd_watcher hilo_fd_watcher;

/*
 * [task, callback] Call @fn on the calling loop whenever @fd has one of @events, as long as it has
 * them (level-triggered). @arg is kept, and @fd stays open, until hilo_fd_unwatch. -EBADF, -EPERM (a regular
 * file, which is always ready), -ENOSPC as hilo_fd_wait, -EINVAL, -ENOMEM, -EDEADLK outside of a loop.
 */
HILO_API HILO_MUST_CHECK int hilo_fd_watch(int fd, unsigned events, hilo_fd_fn fn, void *arg,
					   hilo_fd_watcher **ret);

/*
 * [any] End a watch. From a callback of its own loop: @fn is not called any more; elsewhere a call may be
 * under way. Not while another thread frees the runtime; afterwards it may, and should, be called.
 */
HILO_API void hilo_fd_unwatch(hilo_fd_watcher *watch);

/*
 * [task, callback] Call @fn(@arg) on the calling loop whenever @fd is readable, or broken, as long as it is
 * (level-triggered), until hilo_remove_reader or the end of the runtime. There is one reader for each
 * descriptor of a runtime: one that is there is replaced. On failure nothing has changed. Errors as
 * hilo_fd_watch; -EDEADLK outside of a loop. A descriptor is removed before it is closed.
 */
HILO_API HILO_MUST_CHECK int hilo_add_reader(int fd, hilo_callback_fn fn, void *arg);

/*
 * [task, callback] 1: removed; 0: there was none. On the loop that calls it, it is not called any more; on
 * another one a call may be under way. -EBADF (@fd is negative), -EDEADLK outside of a loop.
 */
HILO_API int hilo_remove_reader(int fd);

/* [task, callback] The same for writable. */
HILO_API HILO_MUST_CHECK int hilo_add_writer(int fd, hilo_callback_fn fn, void *arg);
HILO_API int hilo_remove_writer(int fd);

HILO_END_DECLS

#endif /* HILO_RUNTIME_LOOP_H */
