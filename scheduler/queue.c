/* SPDX-License-Identifier: MIT */
/* queue.c - the taking side of a queue; invariants and pairs are in queue.h. */
#include "scheduler/queue.h"

/* [lock] The inbox to the end of the list. */
static void queue_append(struct queue *queue)
{
	struct link **end = queue->last;
	uint32_t count = load_relaxed(&queue->count); /* relaxed: under the lock */

	hilo__inbox_append(&queue->inbox, &queue->last);
	if (end == queue->last)
		return;
	for (; end != queue->last; end = &(*end)->next)
		count++;
	store_seq_cst(&queue->count, count); /* P2 */
}

unsigned hilo__queue_gather(struct queue *queue)
{
	unsigned count;

	spin_lock(&queue->lock);
	queue_append(queue);
	count = load_relaxed(&queue->count); /* relaxed: under the lock */
	spin_unlock(&queue->lock);
	return count;
}

/* [lock] Take out what *@at points at. */
static void queue_unlink(struct queue *queue, struct link **at)
{
	*at = (*at)->next;
	if (!*at)
		queue->last = at;
	/* relaxed: nobody sleeps over less, and under the lock */
	store_relaxed(&queue->count, load_relaxed(&queue->count) - 1);
}

struct link *hilo__queue_take(struct queue *queue)
{
	struct link *link;

	spin_lock(&queue->lock);
	link = queue->first;
	if (link)
		queue_unlink(queue, &queue->first);
	spin_unlock(&queue->lock);
	return link;
}

unsigned hilo__queue_take_some(struct queue *queue, unsigned most, bool (*may)(struct link *link),
			       struct link **ret)
{
	struct link **last = ret;
	unsigned n;

	spin_lock(&queue->lock);
	for (n = 0; n < most && queue->first && may(queue->first); n++) {
		*last = queue->first;
		queue_unlink(queue, &queue->first);
		last = &(*last)->next;
	}
	spin_unlock(&queue->lock);
	*last = NULL;
	return n;
}

void hilo__queue_move(struct queue *from, struct queue *to)
{
	struct link *first, **last;
	uint32_t count;

	/* One lock at a time: two that move to each other could wait for each other. */
	spin_lock(&from->lock);
	queue_append(from);
	first = from->first;
	last = from->last;
	count = load_relaxed(&from->count); /* relaxed: under the lock */
	from->first = NULL;
	from->last = &from->first;
	store_relaxed(&from->count, 0); /* relaxed: as in queue_unlink */
	spin_unlock(&from->lock);
	if (!first)
		return;
	spin_lock(&to->lock);
	*to->last = first;
	to->last = last;
	/* relaxed: the owner's own, who does not sleep now, and under the lock */
	store_relaxed(&to->count, load_relaxed(&to->count) + count);
	spin_unlock(&to->lock);
}

bool hilo__queue_remove(struct queue *queue, struct link *link)
{
	bool found = false;

	spin_lock(&queue->lock);
	queue_append(queue);
	for (struct link **at = &queue->first; *at; at = &(*at)->next)
		if (*at == link) {
			queue_unlink(queue, at);
			found = true;
			break;
		}
	spin_unlock(&queue->lock);
	return found;
}
