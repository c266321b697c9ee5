/* SPDX-License-Identifier: MIT */
/*
 * stress_queue.c - queues of each kind under random operations that are cancelled and time out: no item is lost or
 * doubled, and who waits is served or told.
 *
 * Each item is a number of its own. Everybody counts what he has put and got, and sums up a hash of it; what was put
 * must be what was got, what was dropped, and what is still there.
 */
#include "tests/stress/cancel_safety.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sync/queue_impl.h"

#define CAPACITY 4
/* Of a life: so many queues, one after the other; who still waits in an older one is told of its end. */
#define LIVES 4096

/* How many items, and which. */
struct amount {
	atomic(uint64_t) count, sum;
};

struct own {
	struct amount put, got;
	uint64_t last;
};

struct shared {
	hilo_queue *queue[LIVES];
	atomic(bool) ending[LIVES];
	atomic(unsigned) life;
	struct amount waker_put, waker_got; /* the driver's */
	uint64_t waker_last;
};

static struct amount dropped;
static const hilo_queue_opts *kind;

static void amount_add(struct amount *amount, const void *item)
{
	/* relaxed: looked at when all have left */
	(void)add_relaxed(&amount->count, 1);
	(void)add_relaxed(&amount->sum, random_mix((uintptr_t)item));
}

static void drop(void *item)
{
	amount_add(&dropped, item);
}

static int compare(const void *a, const void *b, void *arg)
{
	unsigned x = (uintptr_t)a % 5, y = (uintptr_t)b % 5;

	(void)arg;
	return (x > y) - (x < y);
}

static const hilo_queue_opts bounded = {.size = sizeof(bounded), .capacity = CAPACITY, .drop = drop};
static const hilo_queue_opts unbounded = {
	.size = sizeof(unbounded), .capacity = HILO_QUEUE_UNBOUNDED, .drop = drop};
static const hilo_queue_opts rendezvous = {
	.size = sizeof(rendezvous), .capacity = HILO_QUEUE_RENDEZVOUS, .drop = drop};
static const hilo_queue_opts lifo = {
	.size = sizeof(lifo), .capacity = CAPACITY, .order = HILO_QUEUE_LIFO, .drop = drop};
static const hilo_queue_opts priority = {.size = sizeof(priority),
					 .capacity = CAPACITY,
					 .order = HILO_QUEUE_PRIORITY,
					 .compare = compare,
					 .drop = drop};
static const hilo_queue_opts priority_unbounded = {.size = sizeof(priority),
						   .capacity = HILO_QUEUE_UNBOUNDED,
						   .order = HILO_QUEUE_PRIORITY,
						   .compare = compare,
						   .drop = drop};

static hilo_queue *current(struct shared *shared)
{
	return shared->queue[load_acquire(&shared->life)]; /* pairs with who has made it */
}

static void *up(unsigned workers)
{
	struct shared *shared = calloc(1, sizeof(*shared));

	(void)workers;
	TASK_CHECK(shared, !=, NULL);
	memset(&dropped, 0, sizeof(dropped));
	TASK_CHECK(hilo_queue_new_with(kind, &shared->queue[0]), ==, 0);
	return shared;
}

static void down(void *object)
{
	struct shared *shared = object;

	for (unsigned i = 0; i <= load_relaxed(&shared->life); i++)
		TASK_CHECK(hilo_queue_free(shared->queue[i]), ==, 0);
	free(shared);
}

static void *item_new(struct safety_actor *actor)
{
	struct own *own = actor->own;

	return (void *)(uintptr_t)(((uint64_t)(actor->number + 1) << 40) + ++own->last);
}

static int count_put(struct safety_actor *actor, const void *item, int rc)
{
	struct own *own = actor->own;

	if (rc == 0)
		amount_add(&own->put, item);
	return rc;
}

static int count_got(hilo_queue *queue, struct safety_actor *actor, const void *item, int rc)
{
	struct own *own = actor->own;

	if (rc == 0) {
		amount_add(&own->got, item);
		TASK_CHECK(hilo_queue_task_done(queue), ==, 0);
	}
	return rc;
}

static int op_put(void *object, struct safety_actor *actor, hilo_time deadline)
{
	void *item = item_new(actor);

	return count_put(actor, item, hilo_queue_put(current(object), item, deadline));
}

static int op_get(void *object, struct safety_actor *actor, hilo_time deadline)
{
	hilo_queue *queue = current(object);
	void *item;
	int rc = hilo_queue_get(queue, &item, deadline);

	return count_got(queue, actor, item, rc);
}

static int op_try_put(void *object, struct safety_actor *actor, hilo_time deadline)
{
	void *item = item_new(actor);
	int rc = hilo_queue_try_put(current(object), item);

	(void)deadline;
	return rc == -EPIPE ? SAFETY_SKIP : count_put(actor, item, rc); /* just ended: rare */
}

static int op_try_get(void *object, struct safety_actor *actor, hilo_time deadline)
{
	hilo_queue *queue = current(object);
	void *item;
	int rc = hilo_queue_try_get(queue, &item);

	(void)deadline;
	return rc == -EPIPE ? SAFETY_SKIP : count_got(queue, actor, item, rc);
}

static int op_join(void *object, struct safety_actor *actor, hilo_time deadline)
{
	(void)actor;
	return hilo_queue_join(current(object), deadline);
}

/* The end of this queue, while others are in it; those who come later find the next one. */
static int end_life(struct shared *shared, struct safety_actor *actor, int immediate)
{
	unsigned life = load_acquire(&shared->life); /* pairs with who has made it */
	hilo_queue *next;
	void *item;

	if (life + 1 == LIVES ||
	    xchg_acq_rel(&shared->ending[life], true)) /* by one, which pairs with nothing else */
		return SAFETY_SKIP;
	TASK_CHECK(hilo_queue_new_with(kind, &next), ==, 0);
	TASK_CHECK(hilo_queue_shutdown(shared->queue[life], immediate), ==, 0);
	shared->queue[life + 1] = next;
	store_release(&shared->life, life + 1);			    /* pairs with who looks for it */
	while (hilo_queue_try_get(shared->queue[life], &item) == 0) /* for those who join */
		(void)count_got(shared->queue[life], actor, item, 0);
	return 0;
}

static int op_shutdown(void *object, struct safety_actor *actor, hilo_time deadline)
{
	(void)deadline;
	return end_life(object, actor, 0);
}

static int op_shutdown_now(void *object, struct safety_actor *actor, hilo_time deadline)
{
	(void)deadline;
	return end_life(object, actor, 1);
}

static bool somebody_gets(hilo_queue *queue)
{
	bool some;

	hilo__queue_lock(queue);
	some = !list_empty(&queue->getters);
	hilo__queue_unlock(queue);
	return some;
}

static void drain(struct shared *shared, hilo_queue *queue)
{
	void *item;

	while (hilo_queue_try_get(queue, &item) == 0) {
		amount_add(&shared->waker_got, item);
		TASK_CHECK(hilo_queue_task_done(queue), ==, 0);
	}
}

/* [driver] Serve all who wait, so that the patient ones get on. */
static void wake(void *object)
{
	struct shared *shared = object;
	hilo_queue *queue = current(shared);
	void *item;

	for (unsigned i = 0; i <= load_relaxed(&shared->life); i++)
		drain(shared, shared->queue[i]);
	while (somebody_gets(queue)) {
		item = (void *)(uintptr_t)++shared->waker_last;
		if (hilo_queue_try_put(queue, item) == 0)
			amount_add(&shared->waker_put, item);
	}
}

/* Nobody is in it: what came in is what came out. */
static void check(void *object, struct safety_actor *actors, unsigned count)
{
	struct shared *shared = object;
	uint64_t balance, sum;

	for (unsigned i = 0; i <= load_relaxed(&shared->life); i++) {
		drain(shared, shared->queue[i]);
		TASK_CHECK(hilo_queue_size(shared->queue[i]), ==, 0);
		TASK_CHECK(hilo_queue_join(shared->queue[i], HILO_NO_WAIT), ==, 0);
		TASK_CHECK(shared->queue[i]->waiting, ==, 0);
	}
	balance = shared->waker_put.count - shared->waker_got.count - dropped.count;
	sum = shared->waker_put.sum - shared->waker_got.sum - dropped.sum;
	for (unsigned i = 0; i < count; i++) {
		const struct own *own = actors[i].own;

		balance += own->put.count - own->got.count;
		sum += own->put.sum - own->got.sum;
	}
	TASK_CHECK(balance, ==, 0);
	TASK_CHECK(sum, ==, 0);
}

/* Name, function, how often it is chosen, and how it may fail. */
#define OP(op_name, function, often, ...)                                                                    \
	{                                                                                                    \
		.name = op_name, .run = function, .weight = often, .failures = { __VA_ARGS__ }               \
	}
#define OBJECT(object_name, ops)                                                                             \
	{                                                                                                    \
		object_name, sizeof(struct own), .up = up, .down = down, .wake = wake, .check = check,       \
						 SAFETY_OPS(ops)                                             \
	}

static const struct safety_op bounded_ops[] = {
	OP("put", op_put, 4, -ETIMEDOUT, -ECANCELED),	OP("get", op_get, 4, -ETIMEDOUT, -ECANCELED),
	OP("try_put", op_try_put, 1, -EAGAIN),		OP("try_get", op_try_get, 1, -EAGAIN),
	OP("join", op_join, 1, -ETIMEDOUT, -ECANCELED),
};
/* Mostly empty, else nobody would wait in it. */
static const struct safety_op unbounded_ops[] = {
	{.name = "put", .run = op_put, .weight = 3, .failures = {-ECANCELED}, .instant = true},
	OP("get", op_get, 5, -ETIMEDOUT, -ECANCELED),
	OP("try_put", op_try_put, 1, 0),
	OP("try_get", op_try_get, 1, -EAGAIN),
	OP("join", op_join, 1, -ETIMEDOUT, -ECANCELED),
};
static const struct safety_op ending_ops[] = {
	OP("put", op_put, 300, -ETIMEDOUT, -ECANCELED, -EPIPE),
	OP("get", op_get, 300, -ETIMEDOUT, -ECANCELED, -EPIPE),
	OP("try_put", op_try_put, 80, -EAGAIN),
	OP("try_get", op_try_get, 80, -EAGAIN),
	OP("join", op_join, 80, -ETIMEDOUT, -ECANCELED),
	OP("shutdown", op_shutdown, 4, 0),
	OP("shutdown now", op_shutdown_now, 4, 0),
};

static const struct {
	const hilo_queue_opts *opts;
	struct safety_object object;
} objects[] = {
	{&bounded, OBJECT("queue of 4", bounded_ops)},
	{&unbounded, OBJECT("queue without limit", unbounded_ops)},
	{&rendezvous, OBJECT("rendezvous", bounded_ops)},
	{&lifo, OBJECT("lifo queue of 4", bounded_ops)},
	{&priority, OBJECT("priority queue of 4", bounded_ops)},
	{&priority_unbounded, OBJECT("priority queue without limit", unbounded_ops)},
	{&bounded, OBJECT("queues of 4 that end", ending_ops)},
};

int main(void)
{
	test_begin();
	for (size_t i = 0; i < array_size(objects); i++) {
		kind = objects[i].opts;
		safety_prove(&objects[i].object);
	}
	return 0;
}
