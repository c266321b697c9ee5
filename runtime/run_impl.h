/* SPDX-License-Identifier: MIT */
#ifndef HILO_RUNTIME_RUN_IMPL_H
#define HILO_RUNTIME_RUN_IMPL_H

/* run_impl.h - who is in a runtime from outside, and its end. */
#include "runtime/runtime_impl.h"

/*
 * [outside] As hilo_runtime_new. @spare_later: the caller sees to the first spare worker, by
 * hilo__scheduler_need_spare.
 */
int hilo__runtime_new(const hilo_opts *opts, bool spare_later, hilo_runtime **ret);

/* [outside] Nobody is in @runtime, and from here on nobody comes in. False: somebody is, or ends it. */
bool hilo__run_end_begin(hilo_runtime *runtime);

/* [who has begun] It did not end: others may try. */
void hilo__run_end_failed(hilo_runtime *runtime);

/*
 * [outside, suspends; one at a time] End @runtime but for its memory, in phases. 0; -ETIMEDOUT, with a report of
 * what is left, -ECANCELED, -EDEADLK, -ENOMEM: it goes on, closing, and this can be repeated.
 */
int hilo__runtime_end(hilo_runtime *runtime, hilo_time deadline);

/* [sole owner, after the end] Give the memory back. */
void hilo__runtime_delete(hilo_runtime *runtime);

#endif /* HILO_RUNTIME_RUN_IMPL_H */
