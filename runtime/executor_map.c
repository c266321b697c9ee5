/* SPDX-License-Identifier: MIT */
/*
 * executor_map.c - one function for many arguments, some calls at a time.
 *
 *	 places: a fixed set of jobs, used again and again
 *
 *	 idle -> queued in the executor -> run -> ended (a stack, taken whole) -> idle
 *	 the caller				  the caller
 *
 * Nothing is allocated for a call. The places lie on the caller's stack, and so does what they belong to; the
 * call waits for every one that it has given away before it returns.
 *
 * P1  To push a place on `ended` is a thread's last touch of it, and of all that is the caller's; the push
 *     releases, taking all acquires. Whom to wake was copied before. Who has found it empty wakes.
 *
 * The order: calls are queued by position and the queue is first in, first out. So of those that have failed,
 * the one with the lowest position is known once all that were begun have ended.
 *
 * A queue that is full is no failure while calls of one's own are out: with the next that ends there may be
 * room. Only with none out is the executor's policy asked.
 *
 * Rejected: a window of consecutive calls, which needs no such stack. One slow call then holds up all that come
 * after the window, however many threads are idle.
 */
#include <hilo/runtime/error.h>
#include <hilo/runtime/executor.h>

#include <errno.h>

#include "runtime/executor_impl.h"
#include "scheduler/base/mem.h"

/* Calls that are out unless the caller says how many; so many places lie on the stack. */
#define PLACES_AT_HAND 32

struct place {
	struct job job;
	struct place *next; /* of those that are idle, or have ended */
	struct map *map;
	size_t at; /* the position of its argument */
};

struct map {
	struct hilo_executor *executor;
	hilo_blocking_fn fn;
	char *args;
	size_t stride, n;
	int *results;
	size_t next;	     /* position of the first that was not begun */
	size_t failed;	     /* position of the first that has failed; n: none */
	struct error *error; /* what it has said */
	int code;
	unsigned out; /* places that are queued or run */
	bool ending;  /* no more are begun, and the wait for those that run has no other end */
	bool early;   /* it has ended so, and not all were called */
	struct place *idle;
	struct wait wait;
	atomic(struct place *) ended; /* P1 */
};

/* [who has the call] */
static void place_over(struct job *job)
{
	struct place *place = container_of(job, struct place, job);
	struct map *map = place->map;
	struct hilo_task *task = map->wait.task;
	uint32_t episode = map->wait.episode;
	struct place *head = load_relaxed(&map->ended); /* relaxed: a guess that the CAS checks */

	do
		place->next = head;
	while (!cas_release(&map->ended, &head, place)); /* P1: our last touch */
	if (!head)
		hilo__task_wake(task, episode);
}

/* @place is not out: it is in no queue, and not to be won there. */
static void place_idle(struct map *map, struct place *place)
{
	store_relaxed(&place->job.state, JOB_OVER); /* relaxed: the caller's alone */
	place->next = map->idle;
	map->idle = place;
}

/* Take @place back, which has ended with its job's result. */
static void place_ended(struct map *map, struct place *place)
{
	struct error *error = place->job.error;
	int result = place->job.result;

	place_idle(map, place);
	map->out--;
	if (map->results)
		map->results[place->at] = result;
	if (result >= 0 || place->at > map->failed) {
		hilo__error_free(error);
		return;
	}
	hilo__error_free(map->error);
	map->failed = place->at;
	map->error = error;
	map->code = result;
}

/* Take all back that have ended. */
static void map_collect(struct map *map)
{
	struct place *place = xchg_acquire(&map->ended, NULL), *next; /* P1 */

	for (; place; place = next) {
		next = place->next;
		place_ended(map, place);
	}
}

static bool map_may_begin(const struct map *map)
{
	return map->next < map->n && map->failed == map->n && map->idle;
}

/*
 * The caller runs @place itself: nothing else is out, so nobody wakes the wait. It ends meanwhile, since the call
 * may wait for something, and that would be another one.
 */
static void map_run_inline(struct map *map, struct place *place)
{
	hilo_time deadline = map->wait.deadline;

	hilo__wait_end(&map->wait);
	hilo__job_run(&place->job); /* its wake-up is for a wait that is over, and wakes nobody */
	map->wait.task->shield++;   /* so that it begins: a request is found where it parks */
	(void)hilo__wait_begin(&map->wait, WAIT_EXECUTOR, map->executor, deadline);
	map->wait.task->shield--;
}

/* Begin one more. 0; HILO_EOVERFLOW: not now; else why none can be begun. */
static int map_begin_one(struct map *map)
{
	struct place *place = map->idle;
	int rc;

	job_init(&place->job, map->fn, map->args ? map->args + map->next * map->stride : NULL, place_over);
	place->at = map->next;
	map->idle = place->next; /* once it is queued it may end at once */
	rc = map->out ? hilo__executor_try(map->executor, &place->job)
		      : hilo__executor_put(map->executor, &place->job, &map->wait);
	if (rc < 0) {
		map->error = place->job.error;
		place_idle(map, place);
		return rc;
	}
	map->out++;
	map->next++;
	if (rc == PUT_INLINE)
		map_run_inline(map, place);
	return 0;
}

/* Begin as many as may be out. 0, or why one cannot be begun. */
static int map_begin(struct map *map)
{
	int rc = 0;

	while (rc == 0 && map_may_begin(map))
		rc = map_begin_one(map);
	return rc == HILO_EOVERFLOW && map->out ? 0 : rc;
}

static bool map_happened(const void *object)
{
	return load_relaxed(&((struct map *)(uintptr_t)object)->ended); /* relaxed: taking them acquires */
}

/* Wait until one of those that are out has ended. 0; -ETIMEDOUT; -ECANCELED; -EDEADLK. */
static int map_wait(struct map *map)
{
	struct stuck stuck = {.happened = map_happened, .object = map, .leaves = !map->ending};
	int rc = hilo__stuck_begin(&stuck, map->executor, map->wait.deadline);

	while (!map_happened(map) && rc == 0)
		rc = hilo__wait_park(&map->wait);
	rc = hilo__stuck_end(&stuck, rc);
	if (HILO__UNLIKELY(rc == -EDEADLK))
		map->error = hilo__stuck_say(map->executor);
	map_collect(map);
	return rc;
}

/* Until all have ended, or one has failed: 0; else why that ended early. */
static int map_run(struct map *map)
{
	int rc = map_begin(map);

	while (rc == 0 && map->out && map->failed == map->n) {
		rc = map_wait(map);
		if (rc == 0 && map->wait.deadline > 0) /* one that has passed before tries once */
			rc = map_begin(map);
	}
	if (rc == 0 && map_may_begin(map))
		rc = -ETIMEDOUT;
	return map->failed < map->n ? 0 : rc;
}

/*
 * No more are begun: take out what is queued, wait for what runs. Returns how many were never called.
 */
static size_t map_wind_up(struct map *map, struct place *places, unsigned count)
{
	size_t uncalled = map->n - map->next;

	for (unsigned i = 0; i < count && map->out; i++) {
		if (!hilo__executor_withdraw(map->executor, &places[i].job))
			continue;
		map->out--;
		uncalled++;
	}
	map->ending = true;
	map->wait.deadline = HILO_FOREVER;
	map->wait.task->shield++;
	while (map->out)
		(void)map_wait(map);
	map->wait.task->shield--;
	return uncalled;
}

/* The whole of it, once the wait has begun. */
static int map_do(struct map *map, struct place *places, unsigned count)
{
	size_t uncalled;
	int rc;

	for (unsigned i = count; i-- > 0;) {
		places[i].map = map;
		place_idle(map, &places[i]);
	}
	rc = map_run(map);
	uncalled = map_wind_up(map, places, count);
	if (map->failed < map->n && (rc == 0 || !uncalled))
		return map->code;
	map->early = uncalled;
	return uncalled ? rc : 0; /* all were called: the end came too late to be early */
}

/* The same with its places. */
static int map_alloc(struct map *map, unsigned in_flight)
{
	struct place at_hand[PLACES_AT_HAND], *places = at_hand;
	unsigned count = in_flight ? in_flight : PLACES_AT_HAND;
	int rc;

	if (count > map->n)
		count = (unsigned)map->n;
	if (count > PLACES_AT_HAND)
		places = hilo__malloc(count * sizeof(*places));
	if (!places)
		return -ENOMEM;
	rc = map_do(map, places, count);
	if (places != at_hand)
		hilo__free(places);
	return rc;
}

static int map_check(const struct map *map)
{
	if (!map->fn)
		return hilo_fail(-EINVAL, "hilo_executor_map: fn is NULL");
	if (!map->args && map->n && map->stride)
		return hilo_fail(-EINVAL, "hilo_executor_map: args is NULL, of %zu arguments", map->n);
	return 0;
}

int hilo_executor_map(hilo_executor *executor, hilo_blocking_fn fn, void *args, size_t stride, size_t n,
		      int *results, unsigned in_flight, hilo_time deadline)
{
	struct map map = {.fn = fn, .args = args, .stride = stride, .n = n, .results = results, .failed = n};
	struct hilo_runtime *runtime = runtime_of_caller();
	int rc = map_check(&map);

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < n && results; i++)
		results[i] = -ECANCELED; /* until it has been called */
	atomic_setup(&map.ended, NULL);
	rc = hilo__executor_pick(executor, &map.executor);
	if (rc == 0)
		rc = hilo__wait_begin(&map.wait, WAIT_EXECUTOR, map.executor, deadline);
	if (rc < 0) {
		hilo__error_own(rc);
		return rc;
	}
	if (!map.wait.thread)
		(void)add_relaxed(&runtime->calls_out, 1); /* relaxed: a hint for how to idle */
	rc = hilo__executor_visit(map.executor);
	if (rc == 0) {
		rc = map_alloc(&map, in_flight);
		hilo__executor_leave(map.executor);
	}
	if (!map.wait.thread)
		(void)sub_relaxed(&runtime->calls_out, 1); /* relaxed: as above */
	hilo__wait_end(&map.wait);
	if (!map.wait.thread && deadline > 0)
		hilo__wait_was_free(thread_self());
	map.error = hilo__error_match(map.error, rc);
	if (rc < 0 && map.early && !map.error)
		(void)hilo__error_own_wait(rc, WAIT_EXECUTOR, NULL);
	else if (rc < 0)
		hilo__error_adopt(rc, map.error);
	return rc;
}
