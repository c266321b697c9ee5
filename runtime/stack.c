/* SPDX-License-Identifier: MIT */
/* stack.c - the frames of a task: as addresses, and as text. */
#include <hilo/runtime/task.h>

#include <dlfcn.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "runtime/runtime_impl.h"
#include "scheduler/base/sys.h"

/* As many frames as a printed stack has. */
#define FRAMES_MAX 100

/* [any] @from is where the caller's own frames begin, if it is asked for those. */
static int task_frames(hilo_task *task, const void *from, void **frames, size_t max)
{
	struct thread *self = thread_self();

	if (!task)
		return -ENOMEM;
	if (self->loop && self->task == task)
		return hilo__wait_frames_here(from, frames, max);
	return hilo__wait_frames(task, frames, max);
}

#define CALLER __builtin_extract_return_addr(__builtin_return_address(0))

HILO__NOINLINE int hilo_task_get_stack(hilo_task *task, void **frames, size_t max)
{
	return task_frames(task, CALLER, frames, max);
}

/* A line: number, address, function and distance from its begin, as far as they are known, and the file. */
static int frame_print(int fd, int number, void *frame)
{
	const char *before =
		(const char *)frame - 1; /* in the call: what follows may be another function's */
	char line[512];
	Dl_info info;
	int length;

	if (!dladdr(before, &info) || !info.dli_fname)
		length = snprintf(line, sizeof(line), "  #%-2d %p\n", number, frame);
	else if (info.dli_sname)
		length = snprintf(line, sizeof(line), "  #%-2d %p %s+%#tx (%s)\n", number, frame,
				  info.dli_sname, (char *)frame - (char *)info.dli_saddr, info.dli_fname);
	else
		length = snprintf(line, sizeof(line), "  #%-2d %p (%s+%#tx)\n", number, frame, info.dli_fname,
				  (char *)frame - (char *)info.dli_fbase);
	return hilo__write_line(fd, line, sizeof(line), length);
}

HILO__NOINLINE int hilo_task_print_stack(hilo_task *task, int fd)
{
	void *frames[FRAMES_MAX];
	char line[128], label[TASK_LABEL_SIZE];
	int n, rc;

	if (fd < 0)
		return hilo_fail(-EINVAL, "hilo_task_print_stack: fd is %d", fd);
	n = task_frames(task, CALLER, frames, FRAMES_MAX);
	if (n < 0)
		return n;
	rc = snprintf(line, sizeof(line), "#%" PRIu64 " %s\n", task->id, hilo__task_label(task, label));
	rc = hilo__write_line(fd, line, sizeof(line), rc);
	for (int i = 0; i < n && rc == 0; i++)
		rc = frame_print(fd, i, frames[i]);
	return rc;
}
