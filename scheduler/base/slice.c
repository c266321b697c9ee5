/* SPDX-License-Identifier: MIT */
/* slice.c - the length of a thread's slices, and their end. */
#include "scheduler/base/slice.h"

#include <sched.h>

#include "scheduler/base/atomic.h"
#include "scheduler/base/sys.h"

#ifdef HILO_TESTING
static atomic(uint64_t) slices_ended;

uint64_t hilo__slices_ended(void)
{
	return load_relaxed(&slices_ended); /* relaxed: a count */
}

static void slice_count(void)
{
	(void)add_relaxed(&slices_ended, 1); /* relaxed: a count */
}
#else
static void slice_count(void)
{
}
#endif

/* False: the kernel does not give this thread slices of its own. */
static bool slice_get(struct slice_attr *ret)
{
	*ret = (struct slice_attr){0};
	return syscall(SYS_sched_getattr, 0, ret, sizeof(*ret), 0) == 0 && ret->policy == SCHED_OTHER &&
	       ret->runtime != 0;
}

/* All else, the nice value for one, as it is. */
static bool slice_set(struct slice_attr *attr, uint64_t runtime)
{
	attr->size = sizeof(*attr);
	attr->runtime = runtime;
	return syscall(SYS_sched_setattr, 0, attr, 0) == 0;
}

bool hilo__slice_shorten(void)
{
	struct slice_attr attr;

	return slice_get(&attr) && (attr.runtime <= SLICE_NS || slice_set(&attr, SLICE_NS));
}

void hilo__slice_restore(void)
{
	struct slice_attr attr;

	if (slice_get(&attr) && attr.runtime == SLICE_NS)
		(void)slice_set(&attr, 0);
}

void hilo__slice_end(void)
{
	slice_count();
	(void)sched_yield();
}
