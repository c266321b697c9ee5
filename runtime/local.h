/* SPDX-License-Identifier: MIT */
#ifndef HILO_RUNTIME_LOCAL_H
#define HILO_RUNTIME_LOCAL_H

#include <hilo/runtime/types.h>

HILO_BEGIN_DECLS

/*
 * local.h - values that belong to the running task, and to what it spawns: what a thread-local variable is
 * to a thread.
 *
 *	static const hilo_local request = HILO_LOCAL("request", NULL, release_request);
 *
 * A task starts with the values of whoever spawned it, at that moment; so does a callback with those of whoever
 * asked for it, and a call in an executor with its caller's. What is set afterwards is seen by the one who
 * has set it, and by what he spawns from then on. A plain thread has values of its own.
 *
 * Values are shared, not copied: the pointer is the same in all tasks that have inherited it. When the last of
 * them has ended, or set another value, it is dropped.
 */

/* The key: its address. Lives as long as anybody has a value for it; better static. */
typedef struct hilo_local {
	const char *name;	   /* for people */
	void *initial;		   /* what hilo_local_get answers where nothing was set */
	void (*drop)(void *value); /* called once for each value that was set, one set by it too; or NULL */
} hilo_local;

#define HILO_LOCAL(name, initial, drop)                                                                      \
	{                                                                                                    \
		name, initial, drop                                                                          \
	}

/* What it takes to go back to the value before. Opaque; belongs to whoever has set the value. */
typedef struct hilo_local_token {
	void *hilo_private[6];
} hilo_local_token;

/* [any] The value of the running task, callback or thread for @local; borrowed, until it is set again. */
HILO_API void *hilo_local_get(const hilo_local *local);

/*
 * [any] Set it to @value, consumed on success. With @token not NULL, which is filled in, it can be taken back,
 * and has to be: hilo_local_reset. -ENOMEM: nothing has changed. -EINVAL for a @local of NULL. -EPERM in a fork
 * (fork.h).
 */
HILO_API HILO_MUST_CHECK int hilo_local_set(const hilo_local *local, void *value, hilo_local_token *token);

/*
 * [who has set it] Go back to what was there before the call that gave @token, whatever was set since. Never
 * fails for want of memory. HILO_EINVALSTATE: that was done before. -EINVAL: @token is NULL, or of another
 * task, callback, thread or context (hilo_context_run), or the caller is a fork.
 */
HILO_API int hilo_local_reset(hilo_local_token *token);

/* All values of one moment, to run something with them later. */
typedef struct hilo_context hilo_context;

/* [any] A copy of the values of whoever runs. NULL: out of memory. Ended with hilo_context_free. */
HILO_API hilo_context *hilo_context_copy(void);

/*
 * [any] Call @fn(@arg), here and now, with the values of @context instead of one's own, and return what it
 * returned. What it sets is in @context afterwards. -ENOMEM for NULL, -EBUSY: somebody runs in it, who
 * may be the caller. @fn may suspend if the caller may.
 */
HILO_API int hilo_context_run(hilo_context *context, int (*fn)(void *arg), void *arg);

/* [any] End it; not while somebody runs in it. NULL: no-op. */
HILO_API void hilo_context_free(hilo_context *context);

HILO_END_DECLS

#endif /* HILO_RUNTIME_LOCAL_H */
