/* SPDX-License-Identifier: MIT */
#ifndef HILO_SYNC_WATCH_H
#define HILO_SYNC_WATCH_H

#include <hilo/runtime/select.h>
#include <hilo/runtime/types.h>

HILO_BEGIN_DECLS

/*
 * watch.h - the latest value of something: a configuration, a state, a price. Set and seen by tasks of any worker
 * and runtime, callbacks and plain threads.
 *
 *	hilo_watch *settings = hilo_watch_new(settings_read(), settings_free);
 *	hilo_watcher *watcher = hilo_watch_subscribe(settings);
 *
 *	hilo_watch_set(settings, settings_read());                       anybody, never waits
 *	...
 *	while (hilo_watch_wait(watcher, &value, HILO_FOREVER) == 0)      the first one at once
 *		apply(value);
 *
 * Values     Pointers that the watch does not look at, shared by all watchers. A value is the setter's until set
 *            returns 0, then the watch's, which calls `drop` with it, once, when there is a later one and nobody
 *            can see it any more. What a watcher has got is borrowed, and stays as it is, whatever is set
 *            meanwhile, until the next call of wait, get, unsubscribe or of a select with the same watcher. `drop`
 *            is called by whoever sees a value off, in no lock: set, wait, get, a select, unsubscribe, free.
 * Versions   1, 2, 3 and so on. A watcher waits for a version that it has not seen, and gets the latest: it may
 *            skip some, and never goes back.
 * Watchers   Each is used by one task, callback or thread at a time, whoever that is. To subscribe and to
 *            unsubscribe is possible at any time.
 * Shutdown   Afterwards nothing can be set. Watchers see the latest value if they have not yet, then -EPIPE.
 * Memory     104 bytes, and 56 for a watcher. To set takes none.
 */
typedef struct hilo_watch hilo_watch;
typedef struct hilo_watcher hilo_watcher;

/*
 * [any] A watch whose first value is @value, which it owns now. @drop may be NULL. NULL when out of memory: @value
 * stays the caller's. NULL may be passed on: calls that could fail answer -ENOMEM.
 */
HILO_API hilo_watch *hilo_watch_new(void *value, void (*drop)(void *value));

/*
 * [any] Shut it down, and give it up. Watchers that are left see the latest value, then -EPIPE; memory and value go
 * with the last of them. NULL: no-op.
 */
HILO_API void hilo_watch_free(hilo_watch *watch);

/*
 * [any] Set the latest value; who waits gets it at once. 0; -EPIPE: shut down, -ENOMEM for NULL: @value stays
 * the caller's. Never allocates, never suspends unless `drop` does.
 */
HILO_API int hilo_watch_set(hilo_watch *watch, void *value);

/* [any] No more values. 0, also if that was so before; -ENOMEM for NULL. */
HILO_API int hilo_watch_shutdown(hilo_watch *watch);

/* [any] The version of the latest value, at some moment of the call. NULL: 0. */
HILO_API uint64_t hilo_watch_version(hilo_watch *watch);

/* [any] A new watcher, which has seen nothing. NULL when out of memory, and for NULL; it may be passed on, as above. */
HILO_API hilo_watcher *hilo_watch_subscribe(hilo_watch *watch);

/* [any] End @watcher. -EBUSY while somebody waits with it. NULL: 0. */
HILO_API int hilo_watch_unsubscribe(hilo_watcher *watcher);

/*
 * [any, suspends] Wait for a value that @watcher has not seen, in *@ret, borrowed until the next call with it; at
 * once the first time. -EPIPE: shut down, and the latest was seen; -ETIMEDOUT, -ECANCELED; -EDEADLK: it would have to
 * wait, in a callback; -EBUSY: somebody else waits with @watcher; -EINVAL: @ret is NULL; -ENOMEM for NULL, and for a
 * plain thread's first wait. *@ret is set on 0 only.
 */
HILO_API int hilo_watch_wait(hilo_watcher *watcher, void **ret, hilo_time deadline);

/*
 * [any] The latest value, in *@ret, borrowed as above: 1 if @watcher had not seen it, 0 if it had. Also after a
 * shutdown. -EBUSY, -EINVAL, -ENOMEM for NULL, as above.
 */
HILO_API int hilo_watch_get(hilo_watcher *watcher, void **ret);

/* [who uses @watcher] The version that it has got last; 0: none. */
HILO_API uint64_t hilo_watch_seen(const hilo_watcher *watcher);

/*
 * A case of hilo_select: hilo_watch_wait of a hilo_watcher * into a void ** @place. Its code is that of
 * hilo_watch_wait; -EPIPE wins.
 */
#define HILO_SELECT_WATCH(w, place) HILO__SELECT_OBJECT(&hilo_select_watch, watcher, w, ret, place)
HILO_API extern const hilo_select_ops hilo_select_watch;

HILO_END_DECLS

#endif /* HILO_SYNC_WATCH_H */
