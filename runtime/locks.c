/* SPDX-License-Identifier: MIT */
/*
 * locks.c - tells of tasks that suspend while they hold a lock of their thread. Who knows the locks is
 * libhilo-locks.so, which the program was started with; else nobody comes here.
 */
#include <hilo/runtime/log.h>

#include <dlfcn.h>
#include <stddef.h>
#include <stdio.h>

#include "runtime/log_impl.h"
#include "runtime/runtime_impl.h"
#include "scheduler/debug/locks.h"

#define HELD_MAX 8
#define SITES_MAX 256

static hilo_locks_take_fn *locks_take;

/* Where locks were taken that have been told of. */
static atomic(const void *) sites[SITES_MAX];

/* [any] Nothing was said of @site yet, and there is room to remember it. */
static bool site_is_new(const void *site)
{
	for (unsigned i = 0; i < SITES_MAX; i++) {
		const void *known = NULL;

		/* relaxed: the address is all that there is */
		if (cas_relaxed(&sites[i], &known, site))
			return true;
		if (known == site)
			return false;
	}
	return false;
}

static void report(const struct hilo_task *task, const struct held_lock *held)
{
	char label[TASK_LABEL_SIZE], where[256] = "?";
	Dl_info info;

	if (dladdr((const char *)held->site - 1, &info) && info.dli_sname)
		(void)snprintf(where, sizeof(where), "%s+%#tx", info.dli_sname,
			       (const char *)held->site - (const char *)info.dli_saddr);
	else if (info.dli_fname)
		(void)snprintf(where, sizeof(where), "%s+%#tx", info.dli_fname,
			       (const char *)held->site - (const char *)info.dli_fbase);
	hilo__log(HILO_LOG_WARNING,
		  "task %s suspends while it holds a pthread %s at %p, locked at %p (%s): it may go on on "
		  "another thread, and others that want it block this one",
		  hilo__task_label(task, label), held->kind, held->lock, held->site, where);
}

/* [task, about to suspend] */
static void locks_look(struct hilo_task *task)
{
	struct held_lock held[HELD_MAX];
	unsigned n = locks_take(held, HELD_MAX);

	for (unsigned i = 0; i < n; i++)
		if (site_is_new(held[i].site))
			report(task, &held[i]);
}

void hilo__locks_find(void)
{
	locks_take = (hilo_locks_take_fn *)dlsym(RTLD_DEFAULT, HILO_LOCKS_TAKE);
	if (locks_take)
		hilo__on_suspend = locks_look;
}
