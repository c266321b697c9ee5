/* SPDX-License-Identifier: MIT */
/* queue_select.c - putting and getting as cases of a select. What the functions may do: runtime/select_impl.h. */
#include <errno.h>

#include "runtime/select_impl.h"
#include "sync/queue_impl.h"

/* One case. What was got, and how it went, is in the waiter, whoever has put it there. */
struct queue_case {
	struct queue_waiter waiter;
	struct queue_after after;
	bool failed; /* there was no memory */
};

SELECT_FITS(struct queue_case);

static struct queue_case *case_of(struct select_place *place)
{
	return (struct queue_case *)place->room;
}

static struct spinlock *queue_lock_of(void *object)
{
	return &((hilo_queue *)object)->lock;
}

/* A case that is worth looking at must not be passed over, or who always finds another one never sees it. */
static bool get_seems_ready(const void *object)
{
	hilo_queue *queue = (hilo_queue *)object;

	/* relaxed: hints */
	return load_relaxed(&queue->count) > 0 || load_relaxed(&queue->down) || queue->capacity == 0;
}

static bool put_seems_ready(const void *object)
{
	hilo_queue *queue = (hilo_queue *)object;

	/* relaxed: hints */
	return load_relaxed(&queue->count) < queue->capacity || load_relaxed(&queue->down) ||
	       queue->capacity == 0;
}

static enum select_looked case_looked(struct queue_case *c, int rc)
{
	c->waiter.code = rc;
	return rc == -EAGAIN ? SELECT_WAIT : rc == -ENOBUFS ? SELECT_PREPARE : SELECT_DONE;
}

static enum select_looked get_look(struct select_place *place)
{
	struct queue_case *c = case_of(place);

	queue_after_init(&c->after);
	return case_looked(c, hilo__queue_get_now(place->object, &c->waiter.item, &c->after));
}

static enum select_looked put_look(struct select_place *place)
{
	struct queue_case *c = case_of(place);

	queue_after_init(&c->after);
	c->waiter.item = place->item;
	return case_looked(c,
			   c->failed ? -ENOMEM : hilo__queue_put_now(place->object, place->item, &c->after));
}

static void put_prepare(struct select_place *place)
{
	struct queue_case *c = case_of(place);

	c->failed = hilo__queue_grow(place->object, c->after.need) < 0;
}

static void get_enlist(struct select_place *place, struct contender *contender, uint32_t number)
{
	hilo_queue *queue = place->object;

	hilo__queue_enlist(queue, &queue->getters, &case_of(place)->waiter, contender, number);
}

static void put_enlist(struct select_place *place, struct contender *contender, uint32_t number)
{
	hilo_queue *queue = place->object;

	hilo__queue_enlist(queue, &queue->putters, &case_of(place)->waiter, contender, number);
}

static void case_remove(struct select_place *place)
{
	hilo__queue_leave(place->object, &case_of(place)->waiter);
}

static int put_finish(struct select_place *place)
{
	struct queue_case *c = case_of(place);

	if (c->waiter.code == 0)
		hilo__queue_after(&c->after);
	return c->waiter.code;
}

static int get_finish(struct select_place *place)
{
	int rc = put_finish(place);

	if (rc == 0)
		*(void **)place->item = case_of(place)->waiter.item;
	return rc;
}

const hilo_select_ops hilo_select_get = {
	.receives = true,
	.lock = queue_lock_of,
	.seems_ready = get_seems_ready,
	.look = get_look,
	.enlist = get_enlist,
	.remove = case_remove,
	.finish = get_finish,
};

const hilo_select_ops hilo_select_put = {
	.lock = queue_lock_of,
	.seems_ready = put_seems_ready,
	.look = put_look,
	.prepare = put_prepare,
	.enlist = put_enlist,
	.remove = case_remove,
	.finish = put_finish,
};
