/* SPDX-License-Identifier: MIT */
/*
 * exception.c - who is told of failures that nobody looked at.
 *
 * The handler runs wherever the last reference was dropped, in the middle of a task perhaps. There it is a
 * callback: no task runs on the thread meanwhile, so whatever would suspend refuses, and it cannot come back
 * on another thread, or hold up who replaces it (hook.c).
 */
#include <hilo/runtime/error.h>
#include <hilo/runtime/runtime.h>

#include <errno.h>

#include "runtime/exception_impl.h"
#include "runtime/hook_impl.h"
#include "runtime/log_impl.h"
#include "runtime/runtime_impl.h"
#include "runtime/site_impl.h"
#include "runtime/sized_impl.h"

static struct hook handler;

static void exception_log(const hilo_exception *exception)
{
	const char *name = hilo_errname(exception->code);
	const char *message = exception->message ? exception->message : hilo_strerror(exception->code);
	char site[SITE_SIZE];

	hilo__site_describe(exception->site, site, sizeof(site));
	switch (exception->kind) {
	case HILO_EXCEPTION_TASK:
		hilo__log(HILO_LOG_ERROR, "task %s failed and nobody looked: %s: %s (spawned at %s)",
			  exception->task ? exception->task : "?", name, message, site);
		break;
	case HILO_EXCEPTION_FUTURE:
		hilo__log(HILO_LOG_ERROR, "a future failed and nobody looked: %s: %s (set at %s)", name,
			  message, site);
		break;
	case HILO_EXCEPTION_CALL:
		hilo__log(HILO_LOG_ERROR,
			  "a call in an executor failed and nobody looked: %s: %s (made at %s)", name,
			  message, site);
		break;
	case HILO_EXCEPTION_OTHER:
	default:
		hilo__log(HILO_LOG_ERROR, "unhandled failure: %s: %s (at %s)", name, message, site);
		break;
	}
}

void hilo__exception_tell(const hilo_exception *exception)
{
	struct thread *self = thread_self();
	struct hilo_task *task = self->task;
	struct hook_call call;

	if (self->loop)
		self->task = NULL;
	hilo__hook_begin(&handler, &call);
	if (call.fn)
		((hilo_exception_fn)call.fn)(exception, call.arg);
	else
		exception_log(exception);
	hilo__hook_end(&handler, &call);
	if (self->loop)
		self->task = task;
}

void hilo__exception_future(int code, const char *message, const void *site)
{
	hilo__exception_tell(&(hilo_exception){
		.size = sizeof(hilo_exception),
		.kind = HILO_EXCEPTION_FUTURE,
		.code = code,
		.message = message ? message : hilo_strerror(code),
		.site = site,
		.runtime = hilo_runtime_current(),
	});
}

void hilo__exception_task(struct hilo_task *task)
{
	const char *message = hilo__error_of_task(task);
	char label[TASK_LABEL_SIZE];

	if (task->done.result == -ECANCELED || task->flags & (TASK_MAIN | TASK_THREAD))
		return;
	hilo__exception_tell(&(hilo_exception){
		.size = sizeof(hilo_exception),
		.kind = HILO_EXCEPTION_TASK,
		.code = task->done.result,
		.message = message ? message : hilo_strerror(task->done.result),
		.task = hilo__task_label(task, label),
		.task_id = task->id,
		.entry = task->entry,
		.site = load_relaxed(&task->spawn_site), /* relaxed: nobody else is left, for both */
		.runtime = load_relaxed(&task->runtime),
	});
}

void hilo_set_exception_handler(hilo_exception_fn fn, void *arg)
{
	hilo__hook_replace(&handler, (hook_fn)fn, arg);
}

/* A program's own may be of another version's size. */
static int exception_read(hilo_exception *to, const hilo_exception *from)
{
	return from ? SIZED_IN(hilo_exception, to, from, runtime) : -EINVAL;
}

void hilo_default_exception_handler(const hilo_exception *exception)
{
	hilo_exception known;

	if (exception_read(&known, exception) == 0)
		exception_log(&known);
}

int hilo_call_exception_handler(const hilo_exception *exception)
{
	hilo_exception known;
	int rc = exception_read(&known, exception);

	if (rc == 0)
		hilo__exception_tell(&known);
	return rc;
}
