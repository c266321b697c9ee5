/* SPDX-License-Identifier: MIT */
#ifndef HILO_RUNTIME_ERROR_IMPL_H
#define HILO_RUNTIME_ERROR_IMPL_H

/* error_impl.h - how a failure travels from the task that made it to whoever awaits it. */
#include <hilo/runtime/error.h>

struct error;
struct hilo_task;

/* [any] The caller has received @code as the result of @task: remember its message and its name. */
void hilo__error_receive(struct hilo_task *task, int code);

/* [any] The caller's own call ended with @code: there is no task behind it. */
void hilo__error_own(int code);

/* [the task's owner] The message that goes with the task's result, or NULL. */
const char *hilo__error_of_task(const struct hilo_task *task);

/* [any] Before the first failure of a task or of a thread. */
void hilo__error_init(void);

/* [owner] Drop one reference. */
void hilo__error_free(struct error *error);

#endif /* HILO_RUNTIME_ERROR_IMPL_H */
