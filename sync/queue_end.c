/* SPDX-License-Identifier: MIT */
/*
 * queue_end.c - making queues, waiting until all is done, shutting down, freeing.
 *
 * Who is told that a queue was shut down, or that all is done, may free it. So all who wait are won under one hold
 * of the lock, and told after it: some 10 ns for each. Refused: so many at a time, as others are told of an event.
 * The first of them may free the queue while the last still waits for its lock. For the same reason all that is
 * dropped is taken out under that hold, with its memory, and looked at afterwards. Refused: some items at a time. Who
 * is told between two of them that there are no more finds a queue that he cannot free.
 *
 * Who joins is told when what was taken out has been dropped, under a second hold. Those who wait for items hear of the
 * shutdown at once, and may free the queue meanwhile: then the memory stays until that hold (I5). Refused: to have
 * them wait for the drops as well. Who comes later, and is told that there are no more, could free it all the same.
 */
#include <hilo/runtime/error.h>

#include <errno.h>
#include <string.h>
#include <sys/types.h>

#include "runtime/error_impl.h"
#include "runtime/sized_impl.h"
#include "scheduler/base/mem.h"
#include "sync/queue_impl.h"

static int opts_check(const hilo_queue_opts *opts)
{
	if ((unsigned)opts->order > HILO_QUEUE_PRIORITY)
		return hilo_fail(-EINVAL, "hilo_queue_opts.order is %d: no such order", (int)opts->order);
	if (!opts->capacity)
		return hilo_fail(-EINVAL, "hilo_queue_opts.capacity is 0: no limit is HILO_QUEUE_UNBOUNDED, "
					  "no room HILO_QUEUE_RENDEZVOUS");
	if (opts->capacity > SIZE_MAX / 16 && opts->capacity != HILO_QUEUE_UNBOUNDED &&
	    opts->capacity != HILO_QUEUE_RENDEZVOUS)
		return hilo_fail(-EINVAL, "hilo_queue_opts.capacity is %zd: no limit is HILO_QUEUE_UNBOUNDED",
				 (ssize_t)opts->capacity);
	if (opts->capacity == HILO_QUEUE_RENDEZVOUS && opts->order != HILO_QUEUE_FIFO)
		return hilo_fail(-EINVAL, "hilo_queue_opts.order is %d: a rendezvous has no order",
				 (int)opts->order);
	if (opts->order == HILO_QUEUE_PRIORITY && !opts->compare)
		return hilo_fail(-EINVAL, "hilo_queue_opts.compare is NULL: priorities are compared");
	if (opts->order != HILO_QUEUE_PRIORITY && opts->compare)
		return hilo_fail(-EINVAL, "hilo_queue_opts.compare is set, but the order is %d",
				 (int)opts->order);
	return 0;
}

/* As hilo_queue_new_with, called from @site. */
static int queue_make(const hilo_queue_opts *given, const void *site, hilo_queue **ret)
{
	hilo_queue_opts opts;
	hilo_queue *queue;
	int rc;

	if (!given || !ret)
		return hilo_fail(-EINVAL, "hilo_queue_new_with: %s is NULL", given ? "ret" : "opts");
	rc = SIZED_IN(hilo_queue_opts, &opts, given, drop);
	if (rc == 0)
		rc = opts_check(&opts);
	if (rc < 0)
		return rc;
	queue = hilo__aligned_alloc(HILO__CACHE_LINE, hilo__queue_bytes(&opts));
	if (!queue)
		return -ENOMEM;
	memset(queue, 0, hilo__queue_bytes(&opts));
	spin_init(&queue->lock);
	atomic_setup(&queue->count, 0);
	queue->order = (uint8_t)opts.order;
	queue->capacity = opts.capacity == HILO_QUEUE_RENDEZVOUS ? 0 : opts.capacity;
	list_init(&queue->getters);
	list_init(&queue->putters);
	list_init(&queue->joiners);
	queue->compare = opts.compare;
	queue->compare_arg = opts.compare_arg;
	queue->drop = opts.drop;
	hilo__queue_store_init(queue);
	debug_opened_here(&queue->open, DEBUG_QUEUE, site);
	*ret = queue;
	return 0;
}

int hilo_queue_new_with(const hilo_queue_opts *given, hilo_queue **ret)
{
	return queue_make(given, __builtin_return_address(0), ret);
}

static hilo_queue *queue_new(size_t capacity, enum hilo_queue_order order, hilo_queue_compare_fn compare,
			     void *arg, const void *site)
{
	hilo_queue_opts opts = {sizeof(opts), capacity, order, compare, arg, NULL};
	hilo_queue *queue;

	return queue_make(&opts, site, &queue) == 0 ? queue : NULL;
}

hilo_queue *hilo_queue_new(size_t capacity)
{
	return queue_new(capacity, HILO_QUEUE_FIFO, NULL, NULL, __builtin_return_address(0));
}

hilo_queue *hilo_queue_new_unbounded(void)
{
	return queue_new(HILO_QUEUE_UNBOUNDED, HILO_QUEUE_FIFO, NULL, NULL, __builtin_return_address(0));
}

hilo_queue *hilo_queue_new_rendezvous(void)
{
	return queue_new(HILO_QUEUE_RENDEZVOUS, HILO_QUEUE_FIFO, NULL, NULL, __builtin_return_address(0));
}

hilo_queue *hilo_queue_new_lifo(size_t capacity)
{
	return queue_new(capacity, HILO_QUEUE_LIFO, NULL, NULL, __builtin_return_address(0));
}

hilo_queue *hilo_queue_new_priority(size_t capacity, hilo_queue_compare_fn compare, void *compare_arg)
{
	return queue_new(capacity, HILO_QUEUE_PRIORITY, compare, compare_arg, __builtin_return_address(0));
}

/* [lock] Win all of @list, and have them in @won, in order. They get the code that they have, -EPIPE, or @code. */
static void queue_win_all(hilo_queue *queue, struct list *list, int code, struct list *won)
{
	struct contend_node *node;
	struct contend_won unused;

	while ((node = contend_pop(list))) {
		if (!contend_win(node, &unused))
			continue;
		queue->waiting--;
		container_of(node, struct queue_waiter, node)->code = code;
		list_add_tail(won, &node->link);
	}
}

/* [no lock] Tell them. The queue may be gone, and of each that was told the node. */
static void tell_all(struct list *won)
{
	struct contend_node *node;

	while ((node = contend_pop(won))) {
		struct contend_won one = {node->contender, node->number};

		contend_tell(&one);
	}
}

/* [lock] @n items less are unfinished; some of them may have been said to be done while they were still in it. */
static void queue_finish(hilo_queue *queue, size_t n, struct list *won)
{
	queue->unfinished -= n < queue->unfinished ? n : queue->unfinished;
	if (!queue->unfinished && !list_empty(&queue->joiners))
		queue_win_all(queue, &queue->joiners, 0, won);
}

int hilo_queue_task_done(hilo_queue *queue)
{
	struct list won = LIST_INIT(won);
	bool less;

	if (!queue)
		return -ENOMEM;
	hilo__queue_lock(queue);
	less = queue->unfinished > 0;
	if (less)
		queue_finish(queue, 1, &won);
	hilo__queue_unlock(queue);
	tell_all(&won);
	MUTANT(207, (void)0, (void)load_relaxed(&queue->count)); /* P1 */
	return less ? 0
		    : hilo_fail(HILO_EINVALSTATE,
				"hilo_queue_task_done: called more often than items were put");
}

/* The wait has begun. */
static int join_waiting(hilo_queue *queue, struct contender *contender)
{
	struct queue_waiter waiter;
	bool done;

	hilo__queue_lock(queue);
	done = MUTANT(209, !queue->unfinished, false);
	if (!done)
		hilo__queue_enlist(queue, &queue->joiners, &waiter, contender, 0);
	hilo__queue_unlock(queue);
	return done ? 0 : hilo__queue_wait(queue, &waiter, contender);
}

static bool queue_is_done(hilo_queue *queue)
{
	bool done;

	hilo__queue_lock(queue);
	done = !queue->unfinished;
	hilo__queue_unlock(queue);
	return done;
}

int hilo_queue_join(hilo_queue *queue, hilo_time deadline)
{
	struct contender contender;
	int rc;

	if (!queue)
		return -ENOMEM;
	rc = hilo__contend_begin(&contender, WAIT_QUEUE_JOIN, queue, deadline);
	if (rc == 0) {
		rc = join_waiting(queue, &contender);
		hilo__contend_end(&contender);
	} else if (rc != -ECANCELED) {
		rc = queue_is_done(queue) ? 0 : contend_cannot_wait(rc, deadline);
	}
	if (rc < 0)
		return hilo__error_own(rc);
	contend_was_free(thread_self()); /* not the one that we began on: that may have been another */
	return 0;
}

/* [no lock] The items of @rest are dropped: they count as done. The last access to the queue, or its end. */
static void queue_drop(hilo_queue *queue, struct queue_rest *rest)
{
	struct list won = LIST_INIT(won);
	size_t n = rest->count;
	bool freed;

	hilo__queue_rest_drop(rest);
	hilo__queue_lock(queue);
	queue->dropping--;
	queue_finish(queue, n, &won);
	freed = queue->freed && !queue->dropping;
	hilo__queue_unlock(queue);
	tell_all(&won);
	MUTANT(206, (void)0, (void)load_relaxed(&queue->count)); /* P1 */
	if (MUTANT(342, freed, false))
		hilo__free(queue);
}

int hilo_queue_shutdown(hilo_queue *queue, int immediate)
{
	struct list won = LIST_INIT(won);
	struct queue_rest rest;

	if (!queue)
		return -ENOMEM;
	hilo__queue_lock(queue);
	if (immediate || !queue->shut)
		queue->shut = immediate ? QUEUE_DROPPED : QUEUE_DRAINING;
	store_relaxed(&queue->down, true); /* relaxed: a hint */
	if (immediate) {
		hilo__queue_store_detach(queue, &rest);
		MUTANT(343, queue->dropping++, queue->dropping); /* I5 */
	}
	queue_win_all(queue, &queue->putters, -EPIPE, &won);
	queue_win_all(queue, &queue->getters, -EPIPE, &won);
	hilo__queue_unlock(queue);
	tell_all(&won);
	if (immediate)
		queue_drop(queue, &rest);
	return 0;
}

int hilo_queue_free(hilo_queue *queue)
{
	struct queue_rest rest;
	struct debug_mark open;
	size_t waiting;
	bool dropping;

	if (!queue)
		return 0;
	hilo__queue_lock(queue);
	waiting = queue->waiting;
	dropping = queue->dropping;
	open = queue->open;
	if (!waiting && dropping)
		queue->freed = true; /* I5: there are no items, and there will be none */
	else if (!waiting)
		hilo__queue_store_detach(queue, &rest);
	hilo__queue_unlock(queue);
	if (waiting)
		return hilo_fail(-EBUSY, "hilo_queue_free: %zu wait in queue %p", waiting, (void *)queue);
	debug_ended(&open);
	if (dropping)
		return 0;
	hilo__free(queue);
	hilo__queue_rest_drop(&rest);
	return 0;
}

size_t hilo_queue_trim(hilo_queue *queue)
{
	size_t bytes, all = 0;
	void *memory;

	if (!queue)
		return 0;
	do {
		memory = NULL;
		hilo__queue_lock(queue);
		bytes = hilo__queue_store_trim(queue, &memory);
		hilo__queue_unlock(queue);
		hilo__free(memory);
		all += bytes;
	} while (bytes);
	return all;
}
