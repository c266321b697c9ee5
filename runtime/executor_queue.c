/* SPDX-License-Identifier: MIT */
/*
 * executor_queue.c - the queue of an executor: how jobs get in, wait for room, come out, and how
 * callers leave. The protocol is in executor_impl.h.
 */
#include <hilo/runtime/error.h>

#include <errno.h>

#include "runtime/executor_impl.h"

/* Calls that are refused, or waiters for room that are woken, under one hold of the lock. */
#define BATCH 16

/* [lock ex] */
static void queue_count(struct hilo_executor *ex, int change)
{
	/* relaxed: P2 */
	store_relaxed(&ex->queued, (uint32_t)((int)load_relaxed(&ex->queued) + change));
}

/* [any] Decide what becomes of a queued job; one of its maker and the executor wins. */
static bool job_decide(struct job *job, enum job_state state)
{
	uint32_t queued = JOB_QUEUED;

	/* pairs with itself; the lock orders the rest */
	return cas_acq_rel(&job->state, &queued, (uint32_t)state);
}

/* [lock ex] Take the one who has waited longest for room out: he may try again. Nobody: a task of NULL. */
static struct wakeup rooms_take(struct hilo_executor *ex)
{
	struct wakeup wakeup = {NULL, 0};
	struct room *room;

	if (HILO__LIKELY(list_empty(&ex->rooms)))
		return wakeup;
	room = container_of(list_first(&ex->rooms), struct room, link);
	list_del(&room->link);
	wakeup.task = room->task;
	wakeup.episode = room->episode;
	return wakeup;
}

static void wake(struct wakeup wakeup)
{
	if (HILO__UNLIKELY(wakeup.task != NULL))
		hilo__task_wake(wakeup.task, wakeup.episode);
}

/* [lock ex] Put @job into the queue if the executor takes it. 0, HILO_EOVERFLOW, HILO_ECLOSED, broken. */
static int queue_put(struct hilo_executor *ex, struct job *job)
{
	if (ex->closed)
		return HILO_ECLOSED;
	if (HILO__UNLIKELY(ex->broken)) {
		job->error = hilo__error_ref(ex->broken_error);
		return ex->broken;
	}
	if (executor_queued(ex) >= ex->max_queued)
		return HILO_EOVERFLOW;
	list_add_tail(&ex->queue, &job->link);
	queue_count(ex, 1);
	return 0;
}

/* [lock ex] Take the oldest job out of the queue, now in @state and the caller's alone; NULL: none. */
static struct job *queue_pop(struct hilo_executor *ex, enum job_state state)
{
	struct list *at;

	list_for_each (at, &ex->queue) {
		struct job *job = container_of(at, struct job, link);

		if (!job_decide(job, state)) /* I3: at most one for each thread that takes some out */
			continue;
		list_del(&job->link);
		queue_count(ex, -1);
		return job;
	}
	return NULL;
}

struct job *hilo__executor_take(struct hilo_executor *ex, struct errands *errands)
{
	struct job *job = queue_pop(ex, JOB_TAKEN);

	if (!job)
		return NULL;
	ex->taken++;
	errands->thread = NULL;
	errands->grow = GROW_NOT;
	errands->room = rooms_take(ex);
	hilo__pool_summon(ex, errands);
	return job;
}

bool hilo__executor_refuse(struct hilo_executor *ex, int code, struct error *error)
{
	struct job *jobs[BATCH];
	struct wakeup rooms[BATCH];
	unsigned n = 0;

	for (; n < BATCH && (jobs[n] = queue_pop(ex, JOB_REFUSED)); n++) {
		ex->cancelled++;
		rooms[n] = rooms_take(ex);
	}
	if (!n)
		return false;
	spin_unlock(&ex->lock);
	for (unsigned i = 0; i < n; i++) {
		jobs[i]->result = code;
		jobs[i]->error = hilo__error_ref(error);
		jobs[i]->over(jobs[i]);
		wake(rooms[i]);
	}
	spin_lock(&ex->lock);
	return true;
}

void hilo__executor_abandoned(struct hilo_executor *ex)
{
	spin_lock(&ex->lock);
	ex->abandoned++;
	spin_unlock(&ex->lock);
}

void hilo__executor_clear_rooms(struct hilo_executor *ex)
{
	struct wakeup rooms[BATCH];

	while (!list_empty(&ex->rooms)) {
		unsigned n = 0;

		for (; n < BATCH && !list_empty(&ex->rooms); n++)
			rooms[n] = rooms_take(ex);
		spin_unlock(&ex->lock);
		for (unsigned i = 0; i < n; i++)
			wake(rooms[i]);
		spin_lock(&ex->lock);
	}
}

/* [lock ex] @room's owner is no visitor any more. True: the last one. */
static bool room_leave(struct hilo_executor *ex, struct room *room)
{
	if (!room->counted)
		return false;
	room->counted = false;
	ex->visitors--;
	return executor_is_last(ex);
}

/* Queue @job and see to it that somebody comes for it, or wait in @room. Results as queue_put. */
static int queue_try(struct hilo_executor *ex, struct job *job, struct room *room)
{
	struct errands errands = {.thread = NULL};
	bool last = false;
	int rc;

	spin_lock(&ex->lock);
	rc = queue_put(ex, job);
	if (rc == 0)
		hilo__pool_summon(ex, &errands);
	if (HILO__UNLIKELY(room && rc == HILO_EOVERFLOW)) {
		/* Who was woken, and found that a newcomer was faster, is the next one again. */
		if (room->counted)
			list_add_head(&ex->rooms, &room->link);
		else
			list_add_tail(&ex->rooms, &room->link);
		ex->visitors += !room->counted;
		room->counted = true;
	} else if (room) {
		last = room_leave(ex, room);
	}
	spin_unlock(&ex->lock);
	hilo__pool_run_errands(ex, &errands);
	if (HILO__UNLIKELY(last))
		(void)completion_set(&ex->gone);
	return rc;
}

static bool room_happened(const void *object)
{
	return list_empty(&((const struct room *)object)->link);
}

/* Wait until there may be room. 0: try again. */
static int room_wait(struct hilo_executor *ex, struct room *room, struct wait *wait)
{
	struct stuck stuck = {.happened = room_happened, .object = room, .leaves = true};
	struct wakeup next = {NULL, 0};
	bool linked, last = false;
	int rc = hilo__stuck_begin(&stuck, ex, wait->deadline);

	do {
		if (rc == 0)
			rc = hilo__wait_park(wait);
		spin_lock(&ex->lock);
		linked = !list_empty(&room->link);
		if (rc < 0 && linked)
			list_del(&room->link);
		else if (rc < 0)
			next = rooms_take(ex); /* it was our turn, but we leave: the next one's, then */
		if (rc < 0)
			last = room_leave(ex, room);
		spin_unlock(&ex->lock);
	} while (rc == 0 && linked);
	rc = hilo__stuck_end(&stuck, rc);
	wake(next);
	if (last)
		(void)completion_set(&ex->gone);
	return rc;
}

int hilo__executor_put(struct hilo_executor *ex, struct job *job, struct wait *wait)
{
	struct room room = {.task = wait->task, .episode = wait->episode};
	const enum hilo_overflow overflow =
		ex->overflow; /* read before: a refused caller does not keep it open */
	bool suspend = overflow == HILO_OVERFLOW_SUSPEND && wait->deadline > 0;
	int rc;

	list_init(&room.link);
	do {
		rc = queue_try(ex, job, suspend ? &room : NULL);
		if (rc != HILO_EOVERFLOW)
			return rc;
		if (overflow == HILO_OVERFLOW_INLINE) {
			store_relaxed(&job->state,
				      JOB_TAKEN); /* relaxed: the caller's alone, as it has been */
			return PUT_INLINE;
		}
		if (overflow == HILO_OVERFLOW_FAIL)
			return rc;
		rc = suspend ? room_wait(ex, &room, wait) : -ETIMEDOUT;
	} while (rc == 0);
	if (HILO__UNLIKELY(rc == -EDEADLK))
		job->error = hilo__stuck_say(ex);
	return rc;
}

int hilo__executor_try(struct hilo_executor *ex, struct job *job)
{
	return queue_try(ex, job, NULL);
}

int hilo__executor_visit(struct hilo_executor *ex)
{
	bool closed;

	spin_lock(&ex->lock);
	closed = ex->closed;
	ex->visitors += !closed;
	spin_unlock(&ex->lock);
	return closed ? HILO_ECLOSED : 0;
}

void hilo__executor_leave(struct hilo_executor *ex)
{
	bool last;

	spin_lock(&ex->lock);
	ex->visitors--;
	last = executor_is_last(ex);
	spin_unlock(&ex->lock);
	if (last)
		(void)completion_set(&ex->gone);
}

bool hilo__executor_withdraw(struct hilo_executor *ex, struct job *job)
{
	struct wakeup room;
	bool last;

	if (!job_decide(job, JOB_LEAVING))
		return false;
	spin_lock(&ex->lock);
	list_del(&job->link);
	queue_count(ex, -1);
	ex->cancelled++;
	room = rooms_take(ex);
	last = executor_is_last(ex);
	spin_unlock(&ex->lock);
	wake(room);
	if (last)
		(void)completion_set(&ex->gone);
	return true;
}

bool hilo__waited_is_over(const struct waited *call)
{
	return load_acquire(&((struct waited *)(uintptr_t)call)->job.state) == JOB_OVER; /* P1 */
}

static bool waited_happened(const void *object)
{
	return hilo__waited_is_over(object);
}

/* Wait until @call is over, or until the wait ends if it may. */
static int waited_park(struct hilo_executor *ex, struct waited *call, struct wait *wait, bool leaves)
{
	struct stuck stuck = {.happened = waited_happened, .object = call, .leaves = leaves};
	int rc = hilo__stuck_begin(&stuck, ex, wait->deadline);

	while (!hilo__waited_is_over(call) && rc == 0)
		rc = hilo__wait_park(wait);
	return hilo__stuck_end(&stuck, rc);
}

int hilo__executor_await(struct hilo_executor *ex, struct waited *call, struct wait *wait)
{
	int rc = waited_park(ex, call, wait, true);

	if (HILO__LIKELY(rc == 0))
		return call->job.result;
	if (hilo__executor_withdraw(ex, &call->job)) {
		if (HILO__UNLIKELY(rc == -EDEADLK))
			call->job.error = hilo__stuck_say(ex);
		return rc;
	}
	/* It runs, or has run: its argument is usually on our caller's stack. */
	wait->deadline = HILO_FOREVER;
	wait->task->shield++;
	(void)waited_park(ex, call, wait, false);
	wait->task->shield--;
	return call->job.result;
}
