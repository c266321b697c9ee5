/* SPDX-License-Identifier: MIT */
#ifndef HILO_RUNTIME_DONE_IMPL_H
#define HILO_RUNTIME_DONE_IMPL_H

/* done_impl.h - done callbacks of tasks and futures. What they promise stands at hilo_future_on_done. */
#include <hilo/runtime/types.h>

#include "scheduler/completion.h"

/*
 * [task, callback] Have @fn(@arg) called on the calling loop once @done is done. Takes a reference on it,
 * which @unref drops. -EINVAL, said in the name of @call; -EDEADLK outside of a loop.
 */
int hilo__done_add(const char *call, struct completion *done, void (*unref)(struct completion *done),
		   hilo_done_node *place, hilo_callback_fn fn, void *arg);

/* [loop that asked, which needs a reference of its own] 0: it will not be called; -EALREADY; -EDEADLK elsewhere. */
int hilo__done_remove(hilo_done_node *place);

#endif /* HILO_RUNTIME_DONE_IMPL_H */
