/* SPDX-License-Identifier: MIT */
/*
 * queue_store.c - where a queue keeps its items. All under the queue's lock; memory is asked for and given back by
 * the callers, outside of it.
 *
 * First in, first out: a ring of segments, the first of which lies in the queue.
 *
 *	   head                    tail
 *	    v                       v
 *	[ . . x x ] -> [ x x x x ] -> [ x . . . ] -> [ spare ] -> (the first again)
 *
 * tail goes on into the next segment when its own is full and an item comes: into a spare one; or, where there are
 * slots enough for the whole capacity, into what has become free before head; else a new one is put in between.
 * head goes on at once when its segment is empty, which is a spare one from then on, unless tail is in it. One
 * spare segment is kept, the others go back. When the last item is taken both begin again where they are.
 *
 * Refused: one array that doubles. To move a million items takes a millisecond, under a spinlock.
 *
 * Other orders: entries 0 to count - 1 of a vector that grows without moving what is in it, by pieces each of which
 * doubles it: a stack, or a heap. The last piece goes back when a quarter of the rest is free as well. Equal items
 * of a heap are ordered by the number of their arrival.
 *
 * To put after a take, under one hold of the lock, never needs memory, as the queue's I3 says: a ring of segments
 * that was full has room for its capacity; the last piece of a vector is not given back as soon as it is empty.
 */
#include "sync/queue_impl.h"

#include <string.h>

#include "scheduler/base/mem.h"
#include "scheduler/base/panic.h"

/* ---- segments ---- */

static void segment_init(struct queue_segment *segment, size_t slots)
{
	segment->end = segment->item + slots;
}

static size_t segment_slots(const struct queue_segment *segment)
{
	return (size_t)(segment->end - segment->item);
}

static size_t segment_bytes(void)
{
	return sizeof(struct queue_segment) + QUEUE_SEGMENT * sizeof(void *);
}

/* How many lie in the queue itself. */
static size_t inline_slots(size_t capacity)
{
	return capacity == HILO_QUEUE_RENDEZVOUS || !capacity ? 1
	       : capacity < QUEUE_INLINE		      ? capacity
							      : QUEUE_INLINE;
}

static void tail_enter(hilo_queue *queue, struct queue_segment *segment)
{
	queue->tail_segment = segment;
	queue->tail = segment->item;
	queue->tail_end = segment->end;
}

static size_t segments_push(hilo_queue *queue, void *item)
{
	if (queue->spares)
		queue->spares--;
	else if (queue->slots < queue->capacity)
		return segment_bytes();
	tail_enter(queue, queue->tail_segment->next);
	*queue->tail++ = item;
	return 0;
}

/* Take a spare segment that is not the queue's own out of the ring; NULL: there is none. */
static struct queue_segment *segments_unlink(hilo_queue *queue)
{
	struct queue_segment *before = queue->tail_segment, *spare;
	unsigned spares = queue->spares;

	if (spares && before->next == &queue->first) {
		before = before->next;
		spares--;
	}
	if (!spares)
		return NULL;
	spare = before->next;
	before->next = spare->next;
	queue->spares--;
	queue->slots -= segment_slots(spare);
	return spare;
}

/* The oldest item is the last one of its segment, and there are others. */
static void *segments_pop(hilo_queue *queue, struct queue_after *after)
{
	struct queue_segment *emptied = queue->head_segment;
	void *item = *queue->head;

	queue->head_segment = emptied->next;
	queue->head = queue->head_segment->item;
	queue->head_end = queue->head_segment->end;
	if (emptied != queue->tail_segment && ++queue->spares > 1)
		after->memory = segments_unlink(queue);
	return item;
}

static bool segments_grow(hilo_queue *queue, void *memory, size_t bytes)
{
	struct queue_segment *segment = memory;

	if (bytes != segment_bytes() || queue->spares || queue->slots >= queue->capacity)
		return false;
	segment_init(segment, QUEUE_SEGMENT);
	segment->next = queue->tail_segment->next;
	queue->tail_segment->next = segment;
	queue->spares++;
	queue->slots += QUEUE_SEGMENT;
	return true;
}

/* ---- vectors ---- */

static size_t chunk_entries(unsigned chunk)
{
	return chunk ? (size_t)QUEUE_CHUNK << (chunk - 1) : QUEUE_CHUNK;
}

/* Entries before @chunk: its own number but for the first one, which nothing is before. */
static size_t chunk_start(unsigned chunk)
{
	return chunk ? chunk_entries(chunk) : 0;
}

static struct queue_entry *vector_at(struct queue_vector *vector, size_t i)
{
	unsigned chunk = 0;

	if (i >= QUEUE_CHUNK)
		chunk = 64 - (unsigned)__builtin_clzll(i / QUEUE_CHUNK);
	return &vector->chunk[chunk][i - chunk_start(chunk)];
}

/* Whoever uses the queue in `compare` would wait for himself. */
static void compare_begin(hilo_queue *queue)
{
	/* relaxed: only for who has stored it */
	store_relaxed(&queue->comparing, (const struct thread *)thread_self());
}

static void compare_end(hilo_queue *queue)
{
	store_relaxed(&queue->comparing, NULL); /* relaxed: as above */
}

static bool entry_is_before(const hilo_queue *queue, const struct queue_entry *a, const struct queue_entry *b)
{
	int order = queue->compare(a->item, b->item, queue->compare_arg);

	return order < 0 || (order == 0 && a->number < b->number);
}

/* Put @entry at @i or above, as far as it belongs. */
static void heap_rise(hilo_queue *queue, size_t i, struct queue_entry entry)
{
	struct queue_vector *vector = queue->vector;

	while (i > 0) {
		struct queue_entry *parent = vector_at(vector, (i - 1) / 2);

		if (!entry_is_before(queue, &entry, parent))
			break;
		*vector_at(vector, i) = *parent;
		i = (i - 1) / 2;
	}
	*vector_at(vector, i) = entry;
}

/* Put @entry at the top or below, as far as it belongs, of @count entries in all. */
static void heap_sink(hilo_queue *queue, size_t count, struct queue_entry entry)
{
	struct queue_vector *vector = queue->vector;
	size_t i = 0, child;

	while ((child = 2 * i + 1) < count) {
		struct queue_entry *lower = vector_at(vector, child);

		if (child + 1 < count && entry_is_before(queue, vector_at(vector, child + 1), lower))
			lower = vector_at(vector, ++child);
		if (!entry_is_before(queue, lower, &entry))
			break;
		*vector_at(vector, i) = *lower;
		i = child;
	}
	*vector_at(vector, i) = entry;
}

/* Of @count entries in use, is the last chunk too many? Then it is taken out. */
static void *vector_shrink(struct queue_vector *vector, size_t count)
{
	unsigned last = vector->chunks - 1;
	void *memory;

	if (!last || count > chunk_start(last) - chunk_start(last) / 4)
		return NULL;
	memory = vector->chunk[last];
	vector->chunk[last] = NULL;
	vector->chunks--;
	return memory;
}

static size_t vector_push(hilo_queue *queue, void *item)
{
	struct queue_vector *vector = queue->vector;
	size_t count = load_relaxed(&queue->count); /* relaxed: under the lock */
	struct queue_entry entry = {item, vector->number};

	if (count == chunk_start(vector->chunks - 1) + chunk_entries(vector->chunks - 1)) {
		if (vector->chunks == QUEUE_CHUNKS)
			return SIZE_MAX; /* there is no place for more pieces, and no memory is as large */
		return chunk_entries(vector->chunks) * sizeof(struct queue_entry);
	}
	vector->number++;
	if (queue->order == HILO_QUEUE_PRIORITY) {
		compare_begin(queue);
		heap_rise(queue, count, entry);
		compare_end(queue);
	} else {
		*vector_at(vector, count) = entry;
	}
	return 0;
}

static void *vector_pop(hilo_queue *queue, size_t count, struct queue_after *after)
{
	struct queue_vector *vector = queue->vector;
	struct queue_entry last = *vector_at(vector, count - 1);
	void *item = last.item;

	if (queue->order == HILO_QUEUE_PRIORITY) {
		item = vector_at(vector, 0)->item;
		compare_begin(queue);
		if (count > 1)
			heap_sink(queue, count - 1, last);
		compare_end(queue);
	}
	after->memory = vector_shrink(vector, count - 1);
	return item;
}

static bool vector_grow(hilo_queue *queue, void *memory, size_t bytes)
{
	struct queue_vector *vector = queue->vector;

	if (vector->chunks == QUEUE_CHUNKS ||
	    bytes != chunk_entries(vector->chunks) * sizeof(struct queue_entry))
		return false;
	vector->chunk[vector->chunks++] = memory;
	return true;
}

static size_t vector_trim(hilo_queue *queue, void **ret)
{
	struct queue_vector *vector = queue->vector;
	unsigned last = vector->chunks - 1;

	/* relaxed: under the lock */
	if (!last || load_relaxed(&queue->count) > chunk_start(last))
		return 0;
	*ret = vector->chunk[last];
	vector->chunks--;
	return chunk_entries(last) * sizeof(struct queue_entry);
}

/* ---- what is left when a queue ends ---- */

/* The segments go on being a ring; the one that is the queue's own is taken for our copy of it. */
static struct queue_segment *rest_segment(struct queue_rest *rest, struct queue_segment *segment)
{
	return segment == rest->home ? &rest->first : segment;
}

static void segments_detach(hilo_queue *queue, struct queue_rest *rest)
{
	size_t inside = (size_t)(queue->head - queue->head_segment->item);

	rest->home = &queue->first;
	rest->first.next = queue->first.next;
	memcpy(rest->first.item, queue->first.item, segment_slots(&queue->first) * sizeof(void *));
	rest->first.end = rest->first.item + segment_slots(&queue->first);
	rest->segment = rest_segment(rest, queue->head_segment);
	rest->head = rest->segment->item + inside;
}

static void *segments_rest_next(struct queue_rest *rest)
{
	if (rest->head == rest->segment->end) {
		rest->segment = rest_segment(rest, rest->segment->next);
		rest->head = rest->segment->item;
	}
	return *rest->head++;
}

static void segments_rest_fini(struct queue_rest *rest)
{
	struct queue_segment *next;

	for (struct queue_segment *segment = rest->first.next; segment != rest->home; segment = next) {
		next = segment->next;
		hilo__free(segment);
	}
}

void hilo__queue_store_detach(hilo_queue *queue, struct queue_rest *rest)
{
	rest->fifo = queue->order == HILO_QUEUE_FIFO;
	rest->count = load_relaxed(&queue->count); /* relaxed: under the lock */
	rest->drop = queue->drop;
	if (rest->fifo) {
		segments_detach(queue, rest);
	} else {
		rest->vector = *queue->vector;
		rest->vector.chunk[0] = rest->vector.first;
	}
	store_relaxed(&queue->count, 0); /* relaxed: under the lock, else a hint */
	hilo__queue_store_init(queue);
}

void hilo__queue_rest_drop(struct queue_rest *rest)
{
	for (; rest->count > 0; rest->count--) {
		void *item = rest->fifo ? segments_rest_next(rest)
					: vector_at(&rest->vector, rest->count - 1)->item;

		if (rest->drop)
			rest->drop(item);
	}
	if (rest->fifo)
		segments_rest_fini(rest);
	else
		for (unsigned i = 1; i < rest->vector.chunks; i++)
			hilo__free(rest->vector.chunk[i]);
}

/* ---- what queues call ---- */

void hilo__queue_lock_slowly(hilo_queue *queue)
{
	if (load_relaxed(&queue->comparing) == thread_self()) /* relaxed: ours, or another's */
		HILO__PANIC("queue %p: its compare function uses it", (void *)queue);
	hilo__spin_lock_busy(&queue->lock); /* P1 */
}

size_t hilo__queue_bytes(const hilo_queue_opts *opts)
{
	if (opts->order != HILO_QUEUE_FIFO)
		return offsetof(hilo_queue, first) + sizeof(struct queue_vector);
	return sizeof(hilo_queue) + inline_slots(opts->capacity) * sizeof(void *);
}

void hilo__queue_store_init(hilo_queue *queue)
{
	if (queue->order != HILO_QUEUE_FIFO) {
		queue->vector = (struct queue_vector *)(void *)&queue->first;
		queue->vector->chunks = 1;
		queue->vector->chunk[0] = queue->vector->first;
		return;
	}
	segment_init(&queue->first, inline_slots(queue->capacity));
	queue->spares = 0;
	queue->first.next = &queue->first;
	queue->slots = segment_slots(&queue->first);
	queue->head_segment = &queue->first;
	queue->head = queue->first.item;
	queue->head_end = queue->first.end;
	tail_enter(queue, &queue->first);
}

size_t hilo__queue_push_slowly(hilo_queue *queue, void *item)
{
	return queue->order == HILO_QUEUE_FIFO ? segments_push(queue, item) : vector_push(queue, item);
}

void *hilo__queue_pop_slowly(hilo_queue *queue, size_t count, struct queue_after *after)
{
	return queue->order == HILO_QUEUE_FIFO ? segments_pop(queue, after) : vector_pop(queue, count, after);
}

bool hilo__queue_store_grow(hilo_queue *queue, void *memory, size_t bytes)
{
	return queue->order == HILO_QUEUE_FIFO ? segments_grow(queue, memory, bytes)
					       : vector_grow(queue, memory, bytes);
}

size_t hilo__queue_store_trim(hilo_queue *queue, void **ret)
{
	struct queue_segment *spare;

	if (queue->order != HILO_QUEUE_FIFO)
		return vector_trim(queue, ret);
	/* relaxed: under the lock. An empty queue goes home: its segment is a spare one then, as the first was. */
	if (!load_relaxed(&queue->count) && queue->tail_segment != &queue->first) {
		tail_enter(queue, &queue->first);
		queue->head_segment = &queue->first;
		queue->head = queue->tail;
		queue->head_end = queue->tail_end;
	}
	*ret = spare = segments_unlink(queue);
	return spare ? segment_bytes() : 0;
}
