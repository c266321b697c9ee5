/* SPDX-License-Identifier: MIT */
#ifndef HILO_RUNTIME_ERROR_IMPL_H
#define HILO_RUNTIME_ERROR_IMPL_H

/* error_impl.h - how a failure travels from the task that made it to whoever awaits it. */
#include <hilo/runtime/error.h>

#include "scheduler/wait.h"

struct error;
struct hilo_task;

/* [any] The caller has received @code as the result of @task: remember its message and its name. */
void hilo__error_receive(struct hilo_task *task, int code);

/* [any] The caller has received @code from somewhere else, with what @from, or NULL, says of it. Returns @code. */
int hilo__error_receive_shared(const struct error *from, int code);

/* [any] A reference on what the caller has said of its last failure, if that is @code, else NULL. Never allocates. */
struct error *hilo__error_share(int code);

/* [holder of a reference] One more. Returns @error. NULL: NULL. */
struct error *hilo__error_ref(struct error *error);

/* [holder of a reference] The message; NULL: there is none. */
const char *hilo__error_text(const struct error *error);

/* [any] The caller's own call ended with @code, which is returned: there is no task behind it. */
HILO__SHARED int hilo__error_own(int code);

/*
 * [any] The same of a call that has waited for a @kind of thing, or for @task (or NULL), which the caller keeps: if
 * that took too long the message says what has not come.
 */
int hilo__error_own_wait(int code, enum wait_kind kind, const struct hilo_task *task);

/* [any] The same of a call that has waited for descriptor @fd. */
int hilo__error_own_fd(int code, int fd);

/*
 * [any] The caller's own call ends with @code, for which it may have a message already (hilo_fail); one of
 * another failure is no concern of it.
 */
void hilo__error_keep(int code);

/* [any] hilo_fail has just said @code of the caller: there were @have bytes, of @want. Returns @code. */
int hilo__error_sizes(int code, uint64_t have, uint64_t want);

/* What has failed besides the failure that is told. Without memory some may be left out. */
struct error_list {
	struct error *first, **end;
};

void hilo__error_list_init(struct error_list *list);

/* [any] Add @code, of @task, which has ended, or of the caller itself (NULL). */
void hilo__error_list_add(struct error_list *list, struct hilo_task *task, int code);

/* [any] Consumes the list: its failures come with the caller's last one (hilo_error_other). */
void hilo__error_list_attach(struct error_list *list);

/* [the task's owner] The message that goes with the task's result, or NULL. */
const char *hilo__error_of_task(const struct hilo_task *task);

/* [any] Before the first failure of a task or of a thread. */
void hilo__error_init(void);

/* [holder of a reference] One more. Returns @error. NULL: NULL. */
struct error *hilo__error_ref(struct error *error);

/* [holder of a reference] Its message. */
const char *hilo__error_text(const struct error *error);

/* [owner] Drop one reference. NULL: no-op. */
void hilo__error_free(struct error *error);

/*
 * For what runs a function on behalf of others: what it says is theirs, not the caller's.
 *
 * [any] Have the caller hold @error, or nothing; returns what it has held. Both are owned.
 */
struct error *hilo__error_swap(struct error *error);

/* [owner] @error if it goes with @code; else it is dropped, and NULL. */
struct error *hilo__error_match(struct error *error, int code);

/*
 * [any] The caller's own call ended with @code, and @error, which it owns now; NULL: nothing was said about it, but
 * it has waited for a @kind of thing.
 */
void hilo__error_own_with(int code, enum wait_kind kind, struct error *error);

/* [any] The caller has received @code, and @error with it, which it owns now; NULL: the code is its own. */
void hilo__error_adopt(int code, struct error *error);

#endif /* HILO_RUNTIME_ERROR_IMPL_H */
