/* SPDX-License-Identifier: MIT */
/*
 * dump.c - what the tasks of a runtime are doing, in words: the dump, and the report of those that are left
 * when it ends.
 */
#include <hilo/runtime/error.h>
#include <hilo/runtime/log.h>
#include <hilo/runtime/runtime.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "runtime/log_impl.h"
#include "runtime/runtime_impl.h"
#include "runtime/site_impl.h"
#include "scheduler/base/sys.h"

/* By enum wait_kind: for the dump, and for a sentence. */
static const struct {
	const char *word, *words;
} waits[] = {
	[WAIT_NOTHING] = {"-", "nothing"},
	[WAIT_SLEEP] = {"sleep", "a timer"},
	[WAIT_TASK] = {"task", "a task"},
	[WAIT_FUTURE] = {"future", "a future"},
	[WAIT_EXECUTOR] = {"executor", "a call in an executor"},
	[WAIT_EXECUTOR_ROOM] = {"executor-room", "room in an executor"},
	[WAIT_FD] = {"fd", "a descriptor"},
	[WAIT_OTHER] = {"other", "something"},
	[WAIT_TASKS] = {"tasks", "several tasks"},
	[WAIT_GROUP] = {"group", "the tasks of its group"},
	[WAIT_RUNTIME] = {"runtime", "the end of another runtime"},
	[WAIT_SELECT] = {"select", "the first of several"},
	[WAIT_MUTEX] = {"mutex", "a mutex"},
	[WAIT_RWLOCK_READ] = {"rwlock-read", "a lock, to read"},
	[WAIT_RWLOCK_WRITE] = {"rwlock-write", "a lock, to write"},
	[WAIT_CONDITION] = {"condition", "a condition"},
	[WAIT_EVENT] = {"event", "an event"},
	[WAIT_SEMAPHORE] = {"semaphore", "a semaphore"},
	[WAIT_BARRIER] = {"barrier", "the others at a barrier"},
	[WAIT_ONCE] = {"once", "what is done once"},
	[WAIT_COUNT] = {"count", "a count to come to zero"},
	[WAIT_QUEUE_PUT] = {"queue-put", "room in a queue"},
	[WAIT_QUEUE_GET] = {"queue-get", "an item of a queue"},
	[WAIT_QUEUE_JOIN] = {"queue-join", "the end of a queue's work"},
	[WAIT_BROADCAST] = {"broadcast", "an item of a broadcast"},
	[WAIT_WATCH] = {"watch", "a new value"},
	[WAIT_STREAM_READ] = {"stream-read", "bytes of a stream"},
	[WAIT_STREAM_WRITE] = {"stream-write", "a stream to send"},
	[WAIT_FILE] = {"file", "a file"},
	[WAIT_FILE_EVENT] = {"file-event", "something to happen to a file"},
	[WAIT_FORK] = {"fork", "a fork to end"},
};

const char *hilo__wait_words(enum wait_kind kind)
{
	return waits[kind].words;
}

/*
 * What a task waits for, as text: a task by number and name, if it is still there; else the address; a
 * timer has none. The record of a task may be another one's by now, which then has that name, but is
 * never anything but a task's.
 */
static void object_describe(const struct wait_seen *seen, char *buf, size_t size)
{
	struct hilo_task *task = (struct hilo_task *)(uintptr_t)seen->object;
	struct hilo_runtime *runtime =
		seen->kind == WAIT_TASK ? load_acquire(&task->runtime) : NULL; /* P1 of task.c */
	char label[TASK_LABEL_SIZE];

	if (!runtime || !hilo__task_try_ref(task, runtime)) {
		if (seen->kind == WAIT_FD)
			(void)snprintf(buf, size, "%d", (int)(intptr_t)seen->object);
		else if (seen->object)
			(void)snprintf(buf, size, "%p", seen->object);
		else
			*buf = '\0';
		return;
	}
	(void)snprintf(buf, size, "#%" PRIu64 " %s", task->id, hilo__task_label(task, label));
	if (completion_unref(&task->done))
		hilo__task_free(task);
}

static void report_task(struct hilo_task *task, void *ctx)
{
	struct wait_seen seen;
	char what[128] = "running", object[64], label[TASK_LABEL_SIZE], site[SITE_SIZE];

	if (hilo__wait_look(task, &seen)) {
		object_describe(&seen, object, sizeof(object));
		(void)snprintf(what, sizeof(what), "suspended, has waited %.3f s for %s%s%s%s",
			       (double)seen.age / (double)HILO_SECOND, waits[seen.kind].words,
			       *object ? " (" : "", object, *object ? ")" : "");
	} else if (hilo_task_get_state(task) == HILO_TASK_CREATED) {
		(void)snprintf(what, sizeof(what), "not started");
	}
	hilo__site_describe(load_relaxed(&task->spawn_site), site,
			    sizeof(site)); /* relaxed: its word published it */
	hilo__log(HILO_LOG_WARNING, "task %s %s: %s (spawned at %s)", hilo__task_label(task, label),
		  (const char *)ctx, what, site);
}

void hilo__report_tasks(struct hilo_runtime *runtime, const char *what)
{
	hilo__scheduler_foreach(runtime, report_task, (void *)(uintptr_t)what);
}

int hilo__write_line(int fd, char *line, size_t size, int length)
{
	ssize_t n;

	if (length >= (int)size) {
		length = (int)size - 1;
		line[length - 1] = '\n';
	}
	n = hilo__sys_write(fd, line, (size_t)length);
	return n < 0 ? (int)n : 0;
}

struct dump {
	int fd;
	int rc;
};

static void dump_task(struct hilo_task *task, void *ctx)
{
	static const char *const states[] = {"created", "runnable", "suspended", "done"};
	struct dump *dump = ctx;
	struct wait_seen seen;
	bool waiting = hilo__wait_look(task, &seen);
	char line[320], wait[128] = "waits=-", object[64], label[TASK_LABEL_SIZE];
	int length;

	if (waiting) {
		object_describe(&seen, object, sizeof(object));
		(void)snprintf(wait, sizeof(wait), "waits=%s since=%.3fs%s%s", waits[seen.kind].word,
			       (double)seen.age / (double)HILO_SECOND, *object ? " on=" : "", object);
	}
	length = snprintf(line, sizeof(line), "#%" PRIu64 " %s %s entry=%p %s\n", task->id,
			  hilo__task_label(task, label),
			  states[waiting ? HILO_TASK_SUSPENDED : hilo_task_get_state(task)],
			  (void *)(uintptr_t)task->entry, wait);
	if (dump->rc == 0)
		dump->rc = hilo__write_line(dump->fd, line, sizeof(line), length);
}

int hilo_runtime_dump(const hilo_runtime *runtime, int fd)
{
	struct dump dump = {fd, 0};

	if (!runtime || fd < 0)
		return -EINVAL;
	hilo__scheduler_foreach((hilo_runtime *)(uintptr_t)runtime, dump_task, &dump);
	return dump.rc;
}
