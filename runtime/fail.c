/* SPDX-License-Identifier: MIT */
/*
 * fail.c - messages of failures: attached by hilo_fail, kept with the task, read by whoever awaits.
 *
 * Each task, and each plain thread, has a place for its last failure. What it received, from a task, whose
 * name it carries then, or from a future, becomes the cause of the next one it makes; what it made itself
 * does not. Nodes are never changed once a second holder exists: a future that is set to a failure shares the
 * node of who sets it, and who receives it makes one of his own.
 *
 * What a plain thread holds is freed at its end together with its record; what callbacks have said,
 * with the worker's thread.
 *
 * P1  Dropping a reference releases, the last drop acquires: who frees sees all uses ended.
 */
#include <hilo/runtime/error.h>
#include <hilo/runtime/task.h>

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "runtime/error_impl.h"
#include "runtime/runtime_impl.h"
#include "scheduler/base/mem.h"
#include "scheduler/scheduler.h"

#define CAUSES_MAX 8
#define TASK_NAME_SIZE 48

struct error {
	atomic(uint32_t) refs;
	int code;
	unsigned depth; /* causes behind it */
	struct error *cause;
	struct error *others; /* what has failed besides: a list through this member; of a cause: NULL */
	uint64_t have, want;  /* bytes, if it is sized */
	bool sized;
	bool received;		   /* not made by the holder itself */
	char task[TASK_NAME_SIZE]; /* which has failed; "": none is known */
	char message[HILO_ERROR_MESSAGE_SIZE];
};

static pthread_once_t error_once = PTHREAD_ONCE_INIT;

static void error_hook_set(void)
{
	hilo__on_error_free = hilo__error_free;
}

void hilo__error_init(void)
{
	(void)pthread_once(&error_once, error_hook_set);
}

static struct error **thread_slot(struct thread *self)
{
	return self->loop && self->task ? &self->task->error : &self->error;
}

static struct error **error_slot(void)
{
	struct thread *self = thread_self();

	if (!self->loop) {
		hilo__error_init();
		/* Its end frees ours; without memory for it there is none for a message. */
		(void)hilo__thread_record(self);
	}
	return thread_slot(self);
}

void hilo__error_free(struct error *error)
{
	while (error && sub_acq_rel(&error->refs, 1) == 1) { /* P1 */
		struct error *others = error->others;

		hilo__error_free(error->cause); /* CAUSES_MAX deep: a cause has no others */
		hilo__free(error);
		error = others; /* there may be any number */
	}
}

struct error *hilo__error_ref(struct error *error)
{
	if (error)
		(void)add_relaxed(&error->refs, 1); /* relaxed: the caller holds it meanwhile */
	return error;
}

const char *hilo__error_text(const struct error *error)
{
	return error ? error->message : NULL;
}

/* A node with @cause, whose reference is taken over. NULL: no memory; @cause is dropped. */
static struct error *error_new(int code, struct error *cause)
{
	struct error *error = hilo__malloc(sizeof(*error));

	if (!error) {
		hilo__error_free(cause);
		return NULL;
	}
	atomic_setup(&error->refs, 1);
	error->code = code;
	error->cause = cause;
	error->others = NULL;
	error->depth = cause ? cause->depth + 1 : 0;
	error->have = error->want = 0;
	error->sized = error->received = false;
	error->task[0] = '\0';
	error->message[0] = '\0';
	return error;
}

/* What @from says, into the new node @to. */
static void error_say(struct error *to, const struct error *from)
{
	to->have = from->have;
	to->want = from->want;
	to->sized = from->sized;
	to->received = from->received;
	memcpy(to->task, from->task, sizeof(to->task));
	memcpy(to->message, from->message, sizeof(to->message));
}

/* A copy of @from and of @depth causes behind it: others may hold the nodes. Shorter without memory. */
static struct error *error_copy(const struct error *from, unsigned depth)
{
	struct error *cause = depth && from->cause ? error_copy(from->cause, depth - 1) : NULL;
	struct error *error = error_new(from->code, cause);

	if (error)
		error_say(error, from);
	return error;
}

/*
 * The failure held so far as the cause of a new one; takes over the reference. What has failed besides stays
 * behind: nobody could ask for it, and it has causes in its turn.
 */
static struct error *error_as_cause(struct error *held)
{
	struct error *cause = held;

	if (!held || (held->received && !held->others && held->depth + 1 <= CAUSES_MAX))
		return held;
	cause = held->received ? error_copy(held, CAUSES_MAX - 1) : NULL; /* what is one's own is no cause */
	hilo__error_free(held);
	return cause;
}

int hilo_fail(int code, const char *format, ...)
{
	struct error **slot = error_slot();
	struct error *error = error_new(code, NULL);
	va_list args;
	int length;

	/* Formatted before the last message is freed: it may be among the arguments. */
	if (error) {
		va_start(args, format);
		length = vsnprintf(error->message, sizeof(error->message), format, args);
		va_end(args);
		if (length >= (int)sizeof(error->message))
			memcpy(error->message + sizeof(error->message) - 4, "...", 4);
		error->cause = error_as_cause(*slot);
		error->depth = error->cause ? error->cause->depth + 1 : 0;
	} else {
		hilo__error_free(*slot);
	}
	*slot = error;
	return code;
}

int hilo__error_sizes(int code, uint64_t have, uint64_t want)
{
	struct error *error = *thread_slot(thread_self());

	if (error) { /* else there was no memory; nobody else has it yet */
		error->have = have;
		error->want = want;
		error->sized = true;
	}
	return code;
}

/* A node of one's own with what @from says and its causes, but not its others. NULL: no memory. */
static struct error *error_clone(const struct error *from)
{
	struct error *error = error_new(from->code, hilo__error_ref(from->cause));

	if (error)
		error_say(error, from);
	return error;
}

/* As much of @from as fits; returns how much. Not by snprintf: some tens of ns for each failure received. */
static size_t text_copy(char *to, size_t size, const char *from)
{
	size_t length = strnlen(from, size - 1);

	memcpy(to, from, length);
	to[length] = '\0';
	return length;
}

/* Behind what @error says. */
static void error_add(struct error *error, const char *text)
{
	size_t length = strlen(error->message);

	(void)text_copy(error->message + length, sizeof(error->message) - length, text);
}

/* What @code means to @task, which has ended with it or is told so now: a cancel has a reason, maybe. */
static void error_describe(struct error *error, const struct hilo_task *task)
{
	const char *reason = error->code == -ECANCELED ? hilo_task_cancel_reason(task) : NULL;

	(void)text_copy(error->message, sizeof(error->message), hilo_strerror(error->code));
	if (!reason)
		return;
	error_add(error, ": ");
	error_add(error, reason);
}

/* What @task says of its end; NULL: nothing. */
static struct error *error_said(const struct hilo_task *task, int code)
{
	return task->error && task->error->code == code ? task->error : NULL;
}

/* A node for what the caller has received, with all that @from says of it. NULL: no memory. */
static struct error *error_received(const struct error *from)
{
	struct error *error = error_clone(from);

	if (error) {
		error->others = hilo__error_ref(from->others);
		error->received = true;
	}
	return error;
}

/* A node for @code, which @task has ended with. NULL: no memory. */
static struct error *error_of_task(struct hilo_task *task, int code)
{
	struct error *from = error_said(task, code);
	struct error *error = from ? error_received(from) : error_new(code, NULL);
	char label[TASK_LABEL_SIZE];

	if (!error)
		return NULL;
	if (!from)
		error_describe(error, task);
	error->received = true;
	(void)text_copy(error->task, sizeof(error->task), hilo__task_label(task, label));
	return error;
}

/* The caller's failure from now on. */
static void error_replace(struct error *error)
{
	struct error **slot = error_slot();

	hilo__error_free(*slot);
	*slot = error;
}

void hilo__error_receive(struct hilo_task *task, int code)
{
	error_replace(error_of_task(task, code));
}

/* A node for @code, of which nobody has said anything, for @task or nobody (NULL). NULL: no memory. */
static struct error *error_plain(int code, const struct hilo_task *task)
{
	struct error *error = error_new(code, NULL);

	if (error)
		error_describe(error, task);
	return error;
}

/* A node for @code, which is the caller's own. NULL: no memory. */
static struct error *error_of_caller(int code)
{
	return error_plain(code, hilo_task_current());
}

int hilo__error_own(int code)
{
	error_replace(error_of_caller(code));
	return code;
}

/* The caller's own -ETIMEDOUT: it has waited for @what, namely @which. */
static int error_own_timeout(const char *what, const char *which)
{
	struct error *error = error_of_caller(-ETIMEDOUT);

	if (error) {
		error_add(error, ": waiting for ");
		error_add(error, what);
		error_add(error, which);
	}
	error_replace(error);
	return -ETIMEDOUT;
}

int hilo__error_own_wait(int code, enum wait_kind kind, const struct hilo_task *task)
{
	char label[TASK_LABEL_SIZE];

	if (code != -ETIMEDOUT)
		return hilo__error_own(code);
	return task ? error_own_timeout("task ", hilo__task_label(task, label))
		    : error_own_timeout(hilo__wait_words(kind), "");
}

int hilo__error_own_fd(int code, int fd)
{
	char number[16];

	if (code != -ETIMEDOUT)
		return hilo__error_own(code);
	(void)snprintf(number, sizeof(number), "%d", fd);
	return error_own_timeout("descriptor ", number);
}

int hilo__error_receive_shared(const struct error *from, int code)
{
	struct error *error = from ? error_received(from) : error_plain(code, NULL);

	if (error)
		error->received = true;
	error_replace(error);
	return code;
}

struct error *hilo__error_share(int code)
{
	struct error *error = *thread_slot(thread_self());

	return error && error->code == code ? hilo__error_ref(error) : NULL;
}

void hilo__error_keep(int code)
{
	struct error *error = *error_slot();

	if (!error || error->code != code)
		(void)hilo__error_own(code);
}

void hilo__error_list_init(struct error_list *list)
{
	list->first = NULL;
	list->end = &list->first;
}

static void list_add(struct error_list *list, struct error *error)
{
	if (!error)
		return;
	*list->end = error;
	list->end = &error->others;
}

/* What has failed besides @task is copied: the nodes of a list belong to that list. */
void hilo__error_list_add(struct error_list *list, struct hilo_task *task, int code)
{
	struct error *error = task ? error_of_task(task, code) : error_of_caller(code), *others;

	if (!error)
		return;
	others = error->others;
	error->others = NULL;
	list_add(list, error);
	for (struct error *other = others; other; other = other->others)
		list_add(list, error_clone(other));
	hilo__error_free(others);
}

void hilo__error_list_attach(struct error_list *list)
{
	struct error **slot = error_slot(), *shared = *slot, *error;

	if (!list->first)
		return;
	error = shared ? error_clone(shared) : NULL;
	if (!error) {
		hilo__error_free(list->first);
		return;
	}
	*list->end = hilo__error_ref(shared->others);
	error->others = list->first;
	hilo__error_free(shared);
	*slot = error;
}

struct error *hilo__error_swap(struct error *error)
{
	struct error **slot = thread_slot(thread_self());
	struct error *held = *slot;

	*slot = error;
	return held;
}

struct error *hilo__error_match(struct error *error, int code)
{
	if (!error || (code < 0 && error->code == code))
		return error;
	hilo__error_free(error);
	return NULL;
}

void hilo__error_own_with(int code, enum wait_kind kind, struct error *error)
{
	if (error)
		error_replace(error);
	else
		(void)hilo__error_own_wait(code, kind, NULL);
}

void hilo__error_adopt(int code, struct error *error)
{
	if (!error) {
		(void)hilo__error_own(code);
		return;
	}
	(void)hilo__error_receive_shared(error, code);
	hilo__error_free(error);
}

const char *hilo__error_of_task(const struct hilo_task *task)
{
	return hilo__error_text(error_said(task, task->done.result));
}

const char *hilo_error_message(void)
{
	struct error *error = *error_slot();

	return error ? error->message : "";
}

int hilo_error_code(void)
{
	struct error *error = *error_slot();

	return error ? error->code : 0;
}

int hilo_error_sizes(uint64_t *ret_have, uint64_t *ret_want)
{
	const struct error *error = *error_slot();

	if (!error || !error->sized)
		return -ENODATA;
	if (ret_have)
		*ret_have = error->have;
	if (ret_want)
		*ret_want = error->want;
	return 0;
}

const char *hilo_error_task(void)
{
	struct error *error = *error_slot();

	return error && error->task[0] ? error->task : NULL;
}

const char *hilo_error_cause(unsigned depth, int *ret_code, const char **ret_task)
{
	struct error *error = *error_slot();

	while (error && depth-- > 0)
		error = error->cause;
	if (!error)
		return NULL;
	if (ret_code)
		*ret_code = error->code;
	if (ret_task)
		*ret_task = error->task[0] ? error->task : NULL;
	return error->message;
}

const char *hilo_error_other(unsigned index, int *ret_code, const char **ret_task)
{
	struct error *error = index ? *error_slot() : NULL;

	while (error && index-- > 0)
		error = error->others;
	if (!error)
		return NULL;
	if (ret_code)
		*ret_code = error->code;
	if (ret_task)
		*ret_task = error->task[0] ? error->task : NULL;
	return error->message;
}
