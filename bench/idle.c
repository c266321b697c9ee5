/* SPDX-License-Identifier: MIT */
/*
 * idle.c - what a runtime does that has nothing to do.
 *
 * A timer an hour away is armed and a listening socket watched; then the main thread, which is no
 * part of the runtime, sleeps for n ms and counts how often all other threads went to sleep and came
 * back meanwhile.
 */
#include "harness.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SETTLE (500 * HILO_MILLISECOND)

struct switches {
	long threads;
	long voluntary;
	long involuntary;
};

static void switches_add(struct switches *sum, const char *tid)
{
	char path[64], line[256];
	FILE *f;

	snprintf(path, sizeof path, "/proc/self/task/%.16s/status", tid);
	f = fopen(path, "re");
	if (!f)
		return; /* it ended meanwhile */
	sum->threads++;
	while (fgets(line, sizeof line, f)) {
		if (strncmp(line, "voluntary_ctxt_switches:", 24) == 0)
			sum->voluntary += strtol(line + 24, NULL, 10);
		else if (strncmp(line, "nonvoluntary_ctxt_switches:", 27) == 0)
			sum->involuntary += strtol(line + 27, NULL, 10);
	}
	fclose(f);
}

/* Of all threads but the calling one. */
static struct switches switches_count(void)
{
	struct switches sum = {0};
	long own = syscall(SYS_gettid);
	DIR *dir = opendir("/proc/self/task");
	struct dirent *entry;

	if (!dir)
		bench_die("/proc/self/task cannot be read");
	while ((entry = readdir(dir)))
		if (entry->d_name[0] != '.' && strtol(entry->d_name, NULL, 10) != own)
			switches_add(&sum, entry->d_name);
	closedir(dir);
	return sum;
}

struct armed {
	int listener;
	hilo_fd_watcher *watch;
	hilo_handle *timer;
	struct counter called;
};

static void armed_fd(int fd, unsigned events, void *arg)
{
	struct armed *armed = arg;

	(void)fd;
	(void)events;
	counter_add(&armed->called, 1);
}

static void armed_timer(void *arg)
{
	struct armed *armed = arg;

	counter_add(&armed->called, 1);
}

static int arm_task(void *arg)
{
	struct armed *armed = arg;
	int rc = hilo_fd_watch(armed->listener, HILO_READABLE, armed_fd, armed, &armed->watch);

	if (rc == 0)
		rc = hilo_call_later(60 * HILO_MINUTE, armed_timer, armed, &armed->timer);
	return rc;
}

static int disarm_task(void *arg)
{
	struct armed *armed = arg;

	hilo_fd_unwatch(armed->watch);
	hilo_handle_cancel(armed->timer);
	hilo_handle_unref(armed->timer);
	return 0;
}

static void task_run_on(hilo_runtime *runtime, hilo_task_fn entry, void *arg)
{
	hilo_task *task;
	int rc = hilo_submit(runtime, entry, arg, NULL, &task);

	if (rc < 0)
		bench_die("submit: %s", hilo_strerror(rc));
	bench_join(task, 0);
}

void bench_idle(struct bench *b)
{
	struct armed armed = {.listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
	hilo_runtime *runtime = bench_runtime_new(b);
	struct switches before, after;
	hilo_time start;

	if (armed.listener < 0 || listen(armed.listener, 16) < 0)
		bench_die("no socket to listen on");
	task_run_on(runtime, arm_task, &armed);
	hilo_sleep(SETTLE);
	before = switches_count();
	start = hilo_now();
	hilo_sleep(b->n * HILO_MILLISECOND);
	b->took = hilo_now() - start;
	after = switches_count();
	task_run_on(runtime, disarm_task, &armed);
	bench_runtime_free(b, runtime);
	close(armed.listener);
	if (counter_get(&armed.called))
		bench_die("something was called that was not due");
	b->ops = b->check = (uint64_t)b->n;
	bench_extra(b, "\"voluntary_switches\":%ld,\"involuntary_switches\":%ld,\"threads\":%ld",
		    after.voluntary - before.voluntary, after.involuntary - before.involuntary,
		    after.threads);
}
