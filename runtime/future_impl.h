/* SPDX-License-Identifier: MIT */
#ifndef HILO_RUNTIME_FUTURE_IMPL_H
#define HILO_RUNTIME_FUTURE_IMPL_H

/*
 * future_impl.h - futures that know what will complete them: a call in an executor.
 *
 * The source is a part of its future: it is set before anybody else knows the future, and freed with it. So
 * whoever holds the future may ask the source, without a further count.
 */
#include <hilo/runtime/future.h>

#include "scheduler/completion.h"

struct error;
struct future_source;

struct future_source_ops {
	/* [who cancels the future, before it is complete] The result is not wanted any more. */
	void (*cancelled)(struct future_source *source);
	/* [any, suspends] Wait until @done, the future's, is done. As hilo__await_completion; a failure is told. */
	int (*await)(struct future_source *source, struct completion *done, hilo_time deadline);
	/* [last holder] The future is gone. */
	void (*free)(struct future_source *source);
};

struct future_source {
	const struct future_source_ops *ops;
};

/*
 * [any] A pending future that @source will complete, which goes with it; made at @site. NULL: no memory, and nothing
 * was taken.
 */
hilo_future *hilo__future_new_from(struct future_source *source, const void *site);

/*
 * [any] Complete with the failure @code and with @error, consumed in any case; NULL: nothing was said about it.
 * @site is where it was asked for, for a report. 0, or HILO_EINVALSTATE.
 */
int hilo__future_fail(hilo_future *future, int code, struct error *error, const void *site);

#endif /* HILO_RUNTIME_FUTURE_IMPL_H */
