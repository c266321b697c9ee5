/* SPDX-License-Identifier: MIT */
#ifndef HILO_RUNTIME_RUNTIME_IMPL_H
#define HILO_RUNTIME_RUNTIME_IMPL_H

/* runtime_impl.h - what the files of runtime/ share, and sync/ and io/ wait through. */
#include <hilo/runtime/task.h>

#include "scheduler/scheduler.h"
#include "scheduler/wait.h"

/* [any] As hilo_submit; @spec names entry and argument. */
int hilo__submit(hilo_runtime *runtime, struct task_spec *spec, const hilo_task_opts *opts, hilo_task **ret);

/* [task, plain thread; suspends] Wait until @done is done. 0, -ECANCELED, -ETIMEDOUT, -EDEADLK, -ENOMEM. */
int hilo__await_completion(struct completion *done, enum wait_kind kind, const void *object,
			   hilo_time deadline);

/* [closing thread] Tell the log which tasks of @runtime have not ended, and what they wait for. */
void hilo__report_left(struct hilo_runtime *runtime);

/* [closing thread] End the default executor of @runtime, if it was ever used. */
int hilo__runtime_close_executor(hilo_runtime *runtime, hilo_time deadline);

#endif /* HILO_RUNTIME_RUNTIME_IMPL_H */
