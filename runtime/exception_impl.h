/* SPDX-License-Identifier: MIT */
#ifndef HILO_RUNTIME_EXCEPTION_IMPL_H
#define HILO_RUNTIME_EXCEPTION_IMPL_H

/* exception_impl.h - how the library's own layers tell of failures that nobody looked at. */
#include <hilo/runtime/exception.h>

struct hilo_task;

/* [any, without a lock] Tell the handler; @exception is of our own size. */
void hilo__exception_tell(const hilo_exception *exception);

/*
 * [whoever frees it] A future has failed with @code, set by the call that returns to @site, and nobody looked.
 * @message is what was said about it, or NULL.
 */
void hilo__exception_future(int code, const char *message, const void *site);

/* [whoever frees @task] It has failed, and nobody looked. */
void hilo__exception_task(struct hilo_task *task);

#endif /* HILO_RUNTIME_EXCEPTION_IMPL_H */
