/* SPDX-License-Identifier: MIT */
/* queue.c - putting and getting. How a queue is made of is in queue_impl.h. */
#include "sync/queue_impl.h"

#include <errno.h>

#include "runtime/error_impl.h"
#include "scheduler/base/mem.h"

/* [lock] The first of @list that can be won, or NULL; *@after is to tell him. */
static struct queue_waiter *queue_win(hilo_queue *queue, struct list *list, struct queue_after *after)
{
	struct contend_node *node;
	struct queue_waiter *waiter;

	while ((node = contend_pop(list))) {
		waiter = container_of(node, struct queue_waiter, node);
		if (contend_win(node, &after->won)) {
			queue->waiting--;
			waiter->code = 0;
			return waiter;
		}
		MUTANT(208, (void)0, (void)queue->waiting--); /* I4: it still has to leave */
		if (MUTANT(200, false, true))
			break;
	}
	after->won.contender = NULL;
	return NULL;
}

/* [lock] There is room, since something was taken out: for what somebody waits to put. */
static void queue_refill(hilo_queue *queue, struct queue_after *after)
{
	struct queue_waiter *putter = queue_win(queue, &queue->putters, after);

	if (!putter)
		return;
	if (queue_push(queue, putter->item) > 0) /* I3 */
		HILO__PANIC("queue %p: no room in place of an item", (void *)queue);
	queue->unfinished++;
	store_relaxed(&queue->count,
		      load_relaxed(&queue->count) + 1); /* relaxed: under the lock, else a hint */
}

/* [lock, nothing is stored] From one who waits to put: a rendezvous. */
static int queue_take_from_putter(hilo_queue *queue, void **ret, struct queue_after *after)
{
	struct queue_waiter *putter =
		list_empty(&queue->putters) ? NULL : queue_win(queue, &queue->putters, after);

	if (!putter)
		return queue->shut ? -EPIPE : -EAGAIN;
	queue->unfinished++;
	*ret = putter->item;
	return 0;
}

static HILO__ALWAYS_INLINE int queue_take(hilo_queue *queue, void **ret, struct queue_after *after)
{
	size_t count = load_relaxed(&queue->count); /* relaxed: under the lock */

	if (HILO__UNLIKELY(!count))
		return queue_take_from_putter(queue, ret, after);
	if (HILO__UNLIKELY(queue->shut == QUEUE_DROPPED))
		return -EPIPE;
	*ret = queue_pop(queue, count, after);
	store_relaxed(&queue->count, count - 1); /* relaxed: under the lock, else a hint */
	if (HILO__UNLIKELY(MUTANT(201, !list_empty(&queue->putters), false)))
		queue_refill(queue, after); /* I2, I3 */
	return 0;
}

static HILO__ALWAYS_INLINE int queue_give(hilo_queue *queue, void *item, struct queue_after *after)
{
	size_t count = load_relaxed(&queue->count); /* relaxed: under the lock */
	struct queue_waiter *getter;

	if (HILO__UNLIKELY(queue->shut))
		return -EPIPE;
	if (!list_empty(&queue->getters) && (getter = queue_win(queue, &queue->getters, after))) {
		getter->item = item;
		queue->unfinished++;
		return 0;
	}
	if (HILO__UNLIKELY(count >= queue->capacity))
		return -EAGAIN;
	after->need = queue_push(queue, item);
	if (HILO__UNLIKELY(after->need))
		return -ENOBUFS;
	queue->unfinished++;
	store_relaxed(&queue->count, count + 1); /* relaxed: under the lock, else a hint */
	return 0;
}

int hilo__queue_get_now(hilo_queue *queue, void **ret, struct queue_after *after)
{
	return queue_take(queue, ret, after);
}

int hilo__queue_put_now(hilo_queue *queue, void *item, struct queue_after *after)
{
	return queue_give(queue, item, after);
}

int hilo__queue_grow(hilo_queue *queue, size_t bytes)
{
	void *memory = hilo__malloc(bytes);
	bool used;

	if (!memory)
		return -ENOMEM;
	hilo__queue_lock(queue);
	used = hilo__queue_store_grow(queue, memory, bytes);
	hilo__queue_unlock(queue);
	if (!used)
		hilo__free(memory); /* somebody else was faster, or it is not that full any more */
	return 0;
}

/* [lock] One try to get; gives the lock back. */
static HILO__ALWAYS_INLINE int get_held(hilo_queue *queue, void **ret)
{
	struct queue_after after;
	void *item;
	int rc;

	queue_after_init(&after);
	rc = queue_take(queue, &item, &after);
	hilo__queue_unlock(queue);
	if (rc < 0)
		return rc;
	hilo__queue_after(&after);
	*ret = item;
	return 0;
}

/* [any] One try to get. */
static HILO__ALWAYS_INLINE int get_once(hilo_queue *queue, void **ret)
{
	hilo__queue_lock(queue);
	return get_held(queue, ret);
}

/* [lock] One try to put; or, while memory is needed, several. Gives the lock back. */
static HILO__ALWAYS_INLINE int put_held(hilo_queue *queue, void *item)
{
	struct queue_after after;
	int rc;

	queue_after_init(&after);
	for (;;) {
		rc = queue_give(queue, item, &after);
		hilo__queue_unlock(queue);
		if (HILO__LIKELY(rc != -ENOBUFS))
			break;
		rc = hilo__queue_grow(queue, after.need);
		if (rc < 0)
			return rc;
		hilo__queue_lock(queue);
	}
	if (rc == 0)
		hilo__queue_after(&after);
	MUTANT(205, (void)0, (void)load_relaxed(&queue->count)); /* P1 */
	return rc;
}

/* [any] One try to put, as above. */
static HILO__ALWAYS_INLINE int put_once(hilo_queue *queue, void *item)
{
	hilo__queue_lock(queue);
	return put_held(queue, item);
}

/* The wait has begun. Get, or be the last of those who wait; *@ret is set on 0. */
static int get_waiting(hilo_queue *queue, struct contender *contender, void **ret)
{
	struct queue_waiter waiter;
	struct queue_after after;
	int rc;

	queue_after_init(&after);
	hilo__queue_lock(queue);
	rc = MUTANT(202, queue_take(queue, &waiter.item, &after), -EAGAIN); /* I1 */
	if (rc == -EAGAIN)
		hilo__queue_enlist(queue, &queue->getters, &waiter, contender, 0);
	hilo__queue_unlock(queue);
	if (rc == -EAGAIN)
		rc = hilo__queue_wait(queue, &waiter, contender);
	else if (rc == 0)
		hilo__queue_after(&after);
	if (rc == 0)
		*ret = waiter.item;
	return rc;
}

static int put_waiting(hilo_queue *queue, struct contender *contender, void *item)
{
	struct queue_waiter waiter = {.item = item};
	struct queue_after after;
	int rc;

	queue_after_init(&after);
	for (;;) {
		hilo__queue_lock(queue);
		rc = MUTANT(203, queue_give(queue, item, &after), -EAGAIN); /* I2 */
		if (rc == -EAGAIN)
			hilo__queue_enlist(queue, &queue->putters, &waiter, contender, 0);
		hilo__queue_unlock(queue);
		if (rc != -ENOBUFS)
			break;
		rc = hilo__queue_grow(queue, after.need);
		if (rc < 0)
			return rc;
	}
	if (rc == -EAGAIN)
		return hilo__queue_wait(queue, &waiter, contender);
	if (rc == 0)
		hilo__queue_after(&after);
	return rc;
}

/* [contender, whose call has succeeded] What it asked for was there at once. */
static inline bool contend_has_not_waited(struct contender *contender)
{
	return load_relaxed(&contender->outcome) == CONTEND_OPEN; /* relaxed: in no list, or was told */
}

/*
 * Put *@item, or get it, where that may have to wait. A cancel is obeyed; where nobody may wait, or cannot, it is tried
 * all the same.
 */
static HILO__ALWAYS_INLINE int do_slowly(hilo_queue *queue, bool put, void **item, hilo_time deadline)
{
	struct contender contender;
	int rc = hilo__contend_begin(&contender, put ? WAIT_QUEUE_PUT : WAIT_QUEUE_GET, queue, deadline),
	    once;

	if (rc == 0) {
		rc = put ? put_waiting(queue, &contender, *item) : get_waiting(queue, &contender, item);
		hilo__contend_end(&contender);
		if (rc == 0 && contend_has_not_waited(&contender))
			contend_was_free(thread_self());
	} else if (rc != -ECANCELED) {
		once = put ? put_once(queue, *item) : get_once(queue, item);
		rc = once == -EAGAIN ? contend_cannot_wait(rc, deadline) : once;
	}
	return rc < 0 ? hilo__error_own(rc) : 0;
}

static HILO__NOINLINE int get_slowly(hilo_queue *queue, void **ret, hilo_time deadline)
{
	return do_slowly(queue, false, ret, deadline);
}

static HILO__NOINLINE int put_slowly(hilo_queue *queue, void *item, hilo_time deadline)
{
	return do_slowly(queue, true, &item, deadline);
}

/* [any] Who waits is in the queue's second line: have it come while the lock is taken. */
static inline void queue_prefetch(const hilo_queue *queue)
{
	__builtin_prefetch(&queue->getters);
}

/* [task] What it asks for was there at once, as often before. */
static HILO__NOINLINE int let_others(struct thread *self)
{
	hilo__leave_late(self);
	return 0;
}

/* [any; lock, if @is_locked] Get, whatever the state is. */
static HILO__NOINLINE int get_fully(hilo_queue *queue, void **ret, hilo_time deadline, bool is_locked)
{
	int rc;

	if (!is_locked)
		hilo__queue_lock(queue);
	rc = get_held(queue, ret);
	if (HILO__UNLIKELY(rc < 0))
		return get_slowly(queue, ret, deadline);
	contend_was_free(thread_self());
	return 0;
}

/* [any; lock, if @is_locked] Put, whatever the state is. */
static HILO__NOINLINE int put_fully(hilo_queue *queue, void *item, hilo_time deadline, bool is_locked)
{
	int rc;

	if (!is_locked)
		hilo__queue_lock(queue);
	rc = put_held(queue, item);
	if (HILO__UNLIKELY(rc < 0))
		return put_slowly(queue, item, deadline);
	contend_was_free(thread_self());
	return 0;
}

/* [lock] The next item can be taken without a call: there are others in its segment, and nobody waits to put. */
static inline bool get_is_simple(const hilo_queue *queue, size_t count)
{
	return count > 1 && queue->order == HILO_QUEUE_FIFO && queue->head + 1 != queue->head_end &&
	       MUTANT(526, list_empty(&queue->putters), true);
}

/* [lock] An item can be put without a call: there is room in the segment, and nobody waits to get. */
static inline bool put_is_simple(const hilo_queue *queue, size_t count)
{
	return count < queue->capacity && queue->shut == QUEUE_OPEN && queue->tail != queue->tail_end &&
	       MUTANT(527, list_empty(&queue->getters), true);
}

/*
 * Both below have, for a queue with some items, the usual case of queue_take and queue_give, and besides nothing but
 * calls at their ends: so that nothing is saved on the stack, which the exchange of the lock would have to wait for. It
 * takes a quarter less time.
 */
int hilo_queue_get(hilo_queue *queue, void **ret, hilo_time deadline)
{
	struct thread *self = thread_self();
	size_t count;
	void *item;

	if (HILO__UNLIKELY(!queue || !ret))
		return !queue ? -ENOMEM : hilo_fail(-EINVAL, "hilo_queue_get: ret is NULL");
	queue_prefetch(queue);
	count = load_relaxed(&queue->count); /* relaxed: a hint, so that who will wait locks it once */
	if (HILO__UNLIKELY(!count || contend_may_be_interrupted(self)))
		return get_slowly(queue, ret, deadline);
	if (count == 1 || HILO__UNLIKELY(!spin_lock_once(&queue->lock))) /* P1 */
		return get_fully(queue, ret, deadline, false);
	count = load_relaxed(&queue->count); /* relaxed: under the lock */
	if (HILO__UNLIKELY(!get_is_simple(queue, count)))
		return get_fully(queue, ret, deadline, true);
	item = *queue->head++;
	store_relaxed(&queue->count, count - 1); /* relaxed: under the lock, else a hint */
	hilo__queue_unlock(queue);
	*ret = item;
	return contend_was_often_free(self) ? let_others(self) : 0;
}

int hilo_queue_put(hilo_queue *queue, void *item, hilo_time deadline)
{
	struct thread *self = thread_self();
	size_t count;

	if (HILO__UNLIKELY(!queue))
		return -ENOMEM;
	queue_prefetch(queue);
	count = load_relaxed(&queue->count); /* relaxed: a hint, so that who will wait locks it once */
	if (HILO__UNLIKELY((count >= queue->capacity && queue->capacity) || contend_may_be_interrupted(self)))
		return put_slowly(queue, item, deadline);
	if (!count || HILO__UNLIKELY(!spin_lock_once(&queue->lock))) /* P1 */
		return put_fully(queue, item, deadline, false);
	count = load_relaxed(&queue->count); /* relaxed: under the lock */
	if (HILO__UNLIKELY(!put_is_simple(queue, count)))
		return put_fully(queue, item, deadline, true);
	*queue->tail++ = item;
	queue->unfinished++;
	store_relaxed(&queue->count, count + 1); /* relaxed: under the lock, else a hint */
	hilo__queue_unlock(queue);
	MUTANT(528, (void)0, (void)load_relaxed(&queue->count)); /* P1 */
	return contend_was_often_free(self) ? let_others(self) : 0;
}

int hilo_queue_try_get(hilo_queue *queue, void **ret)
{
	if (HILO__UNLIKELY(!queue || !ret))
		return !queue ? -ENOMEM : hilo_fail(-EINVAL, "hilo_queue_try_get: ret is NULL");
	return get_once(queue, ret);
}

int hilo_queue_try_put(hilo_queue *queue, void *item)
{
	return queue ? put_once(queue, item) : -ENOMEM;
}

size_t hilo_queue_size(const hilo_queue *queue)
{
	/* relaxed: a number */
	return queue ? load_relaxed(&((hilo_queue *)queue)->count) : 0;
}

size_t hilo_queue_capacity(const hilo_queue *queue)
{
	return queue ? queue->capacity : 0;
}

int hilo_queue_is_empty(const hilo_queue *queue)
{
	return hilo_queue_size(queue) == 0;
}

int hilo_queue_is_full(const hilo_queue *queue)
{
	return hilo_queue_size(queue) >= hilo_queue_capacity(queue);
}
