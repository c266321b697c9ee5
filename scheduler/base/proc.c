/* SPDX-License-Identifier: MIT */
/* proc.c - the CPU clock of a thread, and its state as /proc tells it. */
#include "scheduler/base/proc.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "scheduler/base/sys.h"

void hilo__proc_thread_init(struct proc_thread *ret)
{
	clockid_t clock;

	if (pthread_getcpuclockid(pthread_self(), &clock) != 0)
		return;
	store_relaxed(&ret->clock, (int32_t)clock);		/* relaxed: published by the next line */
	store_release(&ret->tid, (int32_t)syscall(SYS_gettid)); /* pairs with the acquires below */
}

int64_t hilo__proc_thread_cpu(const struct proc_thread *thread)
{
	struct proc_thread *known = (struct proc_thread *)thread;
	struct timespec used;

	if (!load_acquire(&known->tid)) /* pairs with hilo__proc_thread_init */
		return -1;
	if (clock_gettime((clockid_t)load_relaxed(&known->clock), &used) != 0) /* relaxed: shown by tid */
		return -1;
	return (int64_t)used.tv_sec * 1000000000 + used.tv_nsec;
}

/* The state is the letter behind the program's name, which stands in brackets and may hold any. */
bool hilo__proc_thread_sleeps(const struct proc_thread *thread)
{
	char path[64], text[128];
	const char *end;
	ssize_t n;
	int fd;

	/* relaxed: a number, tried */
	(void)snprintf(path, sizeof(path), "/proc/self/task/%d/stat",
		       (int)load_relaxed(&((struct proc_thread *)thread)->tid));
	fd = hilo__sys_open(path, O_RDONLY);
	if (fd < 0)
		return true;
	n = hilo__sys_read(fd, text, sizeof(text) - 1);
	(void)hilo__sys_close(fd);
	if (n <= 0)
		return true;
	text[n] = '\0';
	end = strrchr(text, ')');
	return !end || end[1] != ' ' || end[2] != 'R';
}
