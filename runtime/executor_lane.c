/* SPDX-License-Identifier: MIT */
/*
 * executor_lane.c - the executors that a runtime has itself: the default one, that of resolvers and that of files. Each
 * is made at first use, unless the program has supplied one, and is closed by whoever ends the runtime.
 *
 *	lane[]	0 -> the executor		for ever
 *		0 -> LANE_REFUSED		the runtime ends, and it was never used
 *
 * P1  The CAS that puts an executor into its lane releases it, whoever finds it there acquires.
 *
 * Rejected: one pool in which some calls have precedence. Names are resolved by calls that block for seconds;
 * whatever precedence they have, they wait while all threads are in other calls, and the program sees
 * timeouts of a server that was never asked.
 */
#include <hilo/runtime/error.h>
#include <hilo/runtime/executor.h>
#include <hilo/runtime/runtime.h>

#include <errno.h>

#include "runtime/executor_impl.h"

/* Instead of an executor, when its runtime ends without one. */
#define LANE_REFUSED ((uintptr_t)1)

/* More at once hardly helps: a resolver library asks the same few servers. */
#define RESOLVER_THREADS 16
/* Calls on files wait for disks and servers: more than those can serve at a time is of no use. */
#define FILES_THREADS 64

static const hilo_executor_opts lane_opts[LANES] = {
	[LANE_DEFAULT] = {.size = sizeof(hilo_executor_opts)},
	[LANE_RESOLVER] = {.size = sizeof(hilo_executor_opts),
			   .name = "hilo-resolve",
			   .max_threads = RESOLVER_THREADS},
	[LANE_FILES] = {.size = sizeof(hilo_executor_opts),
			.name = "hilo-files",
			.max_threads = FILES_THREADS},
};

/* What to say of @found in a lane. */
static int lane_found(uintptr_t found, hilo_executor **ret)
{
	if (found == LANE_REFUSED)
		return HILO_ECLOSED;
	*ret = (hilo_executor *)found;
	return 0;
}

/* [any] Put @executor into a lane of @runtime which has none. False: it has, *@found. */
static bool lane_put(struct hilo_runtime *runtime, enum lane lane, hilo_executor *executor, uintptr_t *found)
{
	*found = 0;
	return cas_acq_rel(&runtime->lane[lane], found, (uintptr_t)executor); /* P1: the first one stays */
}

static HILO__COLD int lane_make(struct hilo_runtime *runtime, enum lane lane, hilo_executor **ret)
{
	hilo_executor *made;
	uintptr_t found;
	int rc = hilo__executor_new(&lane_opts[lane], runtime->cpus, runtime->spin, &made);

	if (rc < 0)
		return rc;
	atomic_setup(&made->owned, true);
	atomic_setup(&made->runtime, runtime);
	if (lane_put(runtime, lane, made, &found))
		return lane_found((uintptr_t)made, ret);
	hilo__executor_free(made);
	return lane_found(found, ret);
}

/* The executor of @lane of the caller's runtime. */
static int lane_get(enum lane lane, hilo_executor **ret)
{
	struct hilo_runtime *runtime = runtime_of_caller();
	uintptr_t found;

	if (!runtime)
		return -EDEADLK;
	found = load_acquire(&runtime->lane[lane]); /* P1 */
	return HILO__LIKELY(found != 0) ? lane_found(found, ret) : lane_make(runtime, lane, ret);
}

int hilo__executor_pick(hilo_executor *given, hilo_executor **ret)
{
	if (!given)
		return lane_get(LANE_DEFAULT, ret);
	*ret = given;
	return 0;
}

int hilo_resolver_executor(hilo_executor **ret)
{
	if (!ret)
		return hilo_fail(-EINVAL, "hilo_resolver_executor: ret is NULL");
	return lane_get(LANE_RESOLVER, ret);
}

int hilo_files_executor(hilo_executor **ret)
{
	if (!ret)
		return hilo_fail(-EINVAL, "hilo_files_executor: ret is NULL");
	return lane_get(LANE_FILES, ret);
}

int hilo_runtime_set_default_executor(hilo_runtime *runtime, hilo_executor *executor)
{
	bool no = false, visits;
	uintptr_t found;

	if (!runtime || !executor)
		return hilo_fail(-EINVAL, "hilo_runtime_set_default_executor: %s is NULL",
				 runtime ? "executor" : "runtime");
	/* pairs with itself: one owner. Before it is in the lane, where others find it. */
	if (!cas_acq_rel(&executor->owned, &no, true))
		return hilo_fail(-EBUSY,
				 "hilo_runtime_set_default_executor: executor %s is a runtime's already",
				 executor->name);
	/* Whoever closes the runtime meanwhile does not free it under us. Closed already: the lane does not care. */
	visits = hilo__executor_visit(executor) == 0;
	if (lane_put(runtime, LANE_DEFAULT, executor, &found)) {
		store_relaxed(&executor->runtime, runtime); /* relaxed: who comes before sees none */
		if (visits)
			hilo__executor_leave(executor);
		return 0;
	}
	if (visits)
		hilo__executor_leave(executor);
	store_relaxed(&executor->owned, false); /* relaxed: still the caller's alone */
	if (found == LANE_REFUSED)
		return HILO_ECLOSED;
	return hilo_fail(-EBUSY, "hilo_runtime_set_default_executor: the runtime has one already");
}

bool hilo__runtime_has_executor(const hilo_runtime *runtime, const hilo_executor *executor)
{
	bool has = false;

	for (unsigned i = 0; i < LANES && executor; i++) /* P1 */
		has |= load_acquire(&((hilo_runtime *)(uintptr_t)runtime)->lane[i]) == (uintptr_t)executor;
	return has;
}

/* [closing thread] P1: callbacks may still ask for it, and make none from here on. */
static int lane_close(struct hilo_runtime *runtime, enum lane lane, hilo_time deadline)
{
	uintptr_t found = 0;

	if (cas_acq_rel(&runtime->lane[lane], &found, LANE_REFUSED) || found == LANE_REFUSED) /* P1 */
		return 0;
	return hilo__executor_end((hilo_executor *)found, HILO_EXECUTOR_CANCEL_QUEUED, deadline);
}

int hilo__runtime_close_executors(hilo_runtime *runtime, hilo_time deadline)
{
	int rc = 0;

	/* All of them, even if one is late: the others' calls are not to wait for it. */
	for (unsigned i = 0; i < LANES; i++) {
		int closed = lane_close(runtime, (enum lane)i, deadline);

		rc = rc < 0 ? rc : closed;
	}
	return rc;
}

void hilo__runtime_report_executors(hilo_runtime *runtime)
{
	for (unsigned i = 0; i < LANES; i++) {
		uintptr_t found = load_acquire(&runtime->lane[i]); /* P1 */

		if (found > LANE_REFUSED)
			hilo__executor_report((hilo_executor *)found);
	}
}

void hilo__runtime_free_executors(hilo_runtime *runtime)
{
	for (unsigned i = 0; i < LANES; i++) {
		/* relaxed: nobody else is left; who asks later is told that it is closed */
		uintptr_t found = xchg_relaxed(&runtime->lane[i], LANE_REFUSED);

		if (found > LANE_REFUSED)
			hilo__executor_free((hilo_executor *)found);
	}
}
