/* SPDX-License-Identifier: MIT */
#ifndef HILO_RUNTIME_RUNTIME_IMPL_H
#define HILO_RUNTIME_RUNTIME_IMPL_H

/* runtime_impl.h - what the files of runtime/ share, and sync/ and io/ wait through. */
#include <hilo/runtime/task.h>

#include "runtime/error_impl.h"
#include "scheduler/scheduler.h"
#include "scheduler/wait.h"

/* [any] As hilo_submit; @spec names entry and argument. */
int hilo__submit(hilo_runtime *runtime, struct task_spec *spec, const hilo_task_opts *opts, hilo_task **ret);

/* [task, callback] As hilo_spawn_with; @spec names entry, argument and site. */
int hilo__spawn(struct task_spec *spec, const hilo_task_opts *opts, hilo_task **ret);

/* [task, plain thread; suspends] Wait until @done is done. 0, -ECANCELED, -ETIMEDOUT, -EDEADLK, -ENOMEM. */
int hilo__await_completion(struct completion *done, enum wait_kind kind, const void *object,
			   hilo_time deadline);

/* [holder of a reference] What completes @future. */
struct completion *hilo__future_done(hilo_future *future);

/* [holder of a reference] @task has ended, and its result was looked at: its message is the caller's now. */
static inline void hilo__task_looked(hilo_task *task)
{
	if (HILO__UNLIKELY(task->done.result < 0)) {
		store_relaxed(&task->looked, 1); /* relaxed: read by whoever drops the last reference */
		hilo__error_receive(task, task->done.result);
	}
}

/* Large enough for a text with the number of any task. */
#define TASK_LABEL_SIZE 32

/* [any] As hilo_task_name, but a text that has yet to be made is put into @buf: asks for no memory. */
const char *hilo__task_label(const hilo_task *task, char buf[TASK_LABEL_SIZE]);

/* [any] Write @line, which has room for @size and @length as snprintf says: cut if need be. 0 or -errno. */
int hilo__write_line(int fd, char *line, size_t size, int length);

/* [any, once, before the first worker runs] If libhilo-locks.so is there, look at the locks of who suspends. */
void hilo__locks_find(void);

/* [any] What such a wait is for: "a future", "several tasks", ... */
const char *hilo__wait_words(enum wait_kind kind);

/* [any] Tell the log of each task of @runtime, with @what as the verb, and what it waits for. */
void hilo__report_tasks(struct hilo_runtime *runtime, const char *what);

/* [any] @executor, which may be NULL, is one of @runtime's own. */
bool hilo__runtime_has_executor(const hilo_runtime *runtime, const hilo_executor *executor);

/* [closing thread] End the executors of @runtime; those that were never used never will be. 0, -ETIMEDOUT. */
int hilo__runtime_close_executors(hilo_runtime *runtime, hilo_time deadline);

/* [closing thread] Tell the log which calls in executors of @runtime have not ended. */
void hilo__runtime_report_executors(hilo_runtime *runtime);

/* [closing thread] Free them, once no callback is left that could ask for one. */
void hilo__runtime_free_executors(hilo_runtime *runtime);

#endif /* HILO_RUNTIME_RUNTIME_IMPL_H */
