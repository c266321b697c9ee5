/* SPDX-License-Identifier: MIT */
#ifndef HILO_RUNTIME_TYPES_H
#define HILO_RUNTIME_TYPES_H

/*
 * types.h - the vocabulary every other header is written in.
 *
 * Three rules hold in the whole library.
 *
 * Suspends   A function can suspend the calling task if and only if its last parameter is
 *            `hilo_time deadline`. The exceptions say so in their comments: hilo_sleep, hilo_sleep_until,
 *            hilo_yield, hilo_checkpoint, hilo_run, hilo_runtime_run_until_complete, hilo_runtime_free,
 *            hilo_spawn_with and hilo_group_spawn_with for an eager task, HILO_JOIN and HILO_REGION (fork.h), all
 *            of parallel.h, and the end of a block that something is acquired or waited for in: HILO_GROUP
 *            (hilo_group_leave), HILO_WITH, HILO_DEFER. A function of yours that is called in your context
 *            (hilo_context_run, hilo_task_foreach, what drops a value) may do what you may.
 * Errors     A function that can fail returns a negative errno value, as system calls do in the kernel, or a
 *            code of Hilo's own (error.h); 0 or more is success. One that makes something and returns a
 *            pointer answers NULL. `errno` itself is never used to report anything.
 *
 * Sizes      A structure that begins with `size` may have more fields in a later version. Set it to the
 *            sizeof of your own, and what you do not use to zero, which is the default. Fields that your
 *            version does not have are at their defaults; one that the library does not know must be
 *            zero, else -E2BIG. Figures are filled in as far as your structure reaches.
 *
 * Words in comments: a pointer parameter is *borrowed* for the call unless the comment says
 * *consumes* (yours no longer, on success only), *keeps* (borrowed until the event named) or
 * *shares* (the callee takes a reference of its own).
 *
 * Roles, who may call: [task], [callback] of a loop, [plain thread], [signal handlers]; [any]: tasks of any
 *        runtime, callbacks and plain threads. [loop that asked]: tasks and callbacks of that loop.
 *        [suspends]: suspends a task, blocks a plain thread, and answers -EDEADLK in a callback.
 */
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define HILO_BEGIN_DECLS extern "C" {
#define HILO_END_DECLS }
#else
#define HILO_BEGIN_DECLS
#define HILO_END_DECLS
#endif

#if defined(__GNUC__)
#define HILO_API __attribute__((visibility("default")))
#define HILO_MUST_CHECK __attribute__((warn_unused_result))
#define HILO_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define HILO_CLEANUP(fn) __attribute__((cleanup(fn), unused))
#else
#error "Hilo needs GCC or Clang"
#endif

/* A name that is not used elsewhere on other lines; for macros. */
#define HILO_PASTE(a, b) a##b
#define HILO_PASTE_LATER(a, b) HILO_PASTE(a, b)
#define HILO_HERE(prefix) HILO_PASTE_LATER(prefix, __LINE__)

HILO_BEGIN_DECLS

/* A moment, or a span, in nanoseconds. Moments are absolute on the monotonic clock of hilo_now(). */
typedef int64_t hilo_time;

#define HILO_NANOSECOND ((hilo_time)1)
#define HILO_MICROSECOND ((hilo_time)1000)
#define HILO_MILLISECOND ((hilo_time)1000000)
#define HILO_SECOND ((hilo_time)1000000000)
#define HILO_MINUTE (60 * HILO_SECOND)

/* As a deadline: no limit. */
#define HILO_FOREVER INT64_MAX
/* As a deadline: already passed. The operation is tried once and never suspends. */
#define HILO_NO_WAIT ((hilo_time)0)

/* [any] The monotonic clock, in nanoseconds: the time of deadlines, of timers and of all loops. */
HILO_API hilo_time hilo_now(void);

/* [any] The deadline @span nanoseconds from now; saturates at HILO_FOREVER, never below 0. */
HILO_API hilo_time hilo_after(hilo_time span);

/* A task's entry: 0 or more on success, a negative errno on failure. */
typedef int (*hilo_task_fn)(void *arg);

/* A callback: must not suspend; a call that would answers -EDEADLK. */
typedef void (*hilo_callback_fn)(void *arg);

/* A place for one done callback, supplied by the caller so that nothing is allocated. Opaque. */
typedef struct hilo_done_node {
	void *hilo_private[18];
} hilo_done_node;

typedef struct hilo_runtime hilo_runtime;
typedef struct hilo_loop hilo_loop;
typedef struct hilo_task hilo_task;
typedef struct hilo_future hilo_future;
typedef struct hilo_executor hilo_executor;
typedef struct hilo_handle hilo_handle;

HILO_END_DECLS

#endif /* HILO_RUNTIME_TYPES_H */
