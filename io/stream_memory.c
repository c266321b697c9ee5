/* SPDX-License-Identifier: MIT */
/*
 * stream_memory.c - the transport that is memory: two streams that are connected to each other.
 *
 *	end 0 --send--> way 0: bytes --receive--> end 1
 *	end 1 --send--> way 1: bytes --receive--> end 0
 *
 * A way holds bytes as the kernel does for a socket, so that who writes and closes need not wait for who reads. A
 * receive that finds nothing, a send that finds no room, stays until the other end comes, copies, and completes it.
 *
 * All is under one lock, which is given back before an operation of the other end is completed: that stream's lock is
 * taken for it. The stream is there, because it counts the operation.
 */
#include <errno.h>

#include "io/stream_impl.h"
#include "runtime/error_impl.h"
#include "scheduler/base/mem.h"

/* The most that is copied under the lock: about 1 us. */
#define MEMORY_COPY ((size_t)16 * 1024)

struct way {
	char *data;
	size_t size, head, level;
	void *into; /* of the receive that waits; NULL: none does */
	size_t into_size;
	const void *from; /* of the send that waits */
	size_t from_size;
	bool shut;	/* nothing more will be sent */
	bool abandoned; /* nothing more will be received */
};

struct memory_end {
	struct transport base;
	struct memory *memory;
	unsigned number;
};

struct memory {
	struct spinlock lock;
	unsigned refs; /* ends */
	struct memory_end end[2];
	struct way way[2];
	char data[];
};

/* What was completed, to be told without the lock. */
struct completed {
	struct memory_end *received, *sent;
	ssize_t received_n, sent_n;
	bool more;
};

static inline struct memory_end *end_of(struct transport *transport)
{
	return container_of(transport, struct memory_end, base);
}

static void completed_tell(const struct completed *completed)
{
	if (completed->received)
		completed->received->base.up->received(completed->received->base.owner, completed->received_n,
						       completed->more);
	if (completed->sent)
		completed->sent->base.up->sent(completed->sent->base.owner, completed->sent_n);
}

static inline size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* [lock] Put bytes in, as many as there is room for. */
static size_t way_put(struct way *way, const char *from, size_t size)
{
	size_t n = least(least(size, way->size - way->level), MEMORY_COPY);
	size_t at = (way->head + way->level) % way->size, first = least(n, way->size - at);

	memcpy(way->data + at, from, first);
	memcpy(way->data, from + first, n - first);
	way->level += n;
	return n;
}

/* [lock] Take bytes out, as many as there are. */
static size_t way_get(struct way *way, char *to, size_t size)
{
	size_t n = least(least(size, way->level), MEMORY_COPY);
	size_t first = least(n, way->size - way->head);

	memcpy(to, way->data + way->head, first);
	memcpy(to + first, way->data, n - first);
	way->head = (way->head + n) % way->size;
	way->level -= n;
	return n;
}

/* [lock] What @end receives at once, or -EAGAIN. */
static ssize_t end_receive(struct memory_end *end, void *data, size_t size, struct completed *completed)
{
	struct way *way = &end->memory->way[!end->number];
	size_t n = way_get(way, data, size);

	if (!n)
		return way->shut ? 0 : -EAGAIN;
	if (way->from) {
		completed->sent = &end->memory->end[!end->number];
		completed->sent_n = (ssize_t)way_put(way, way->from, way->from_size);
		way->from = NULL;
	}
	return (ssize_t)n;
}

static bool memory_receive(struct transport *transport, void *data, size_t size, bool later, ssize_t *ret)
{
	struct memory_end *end = end_of(transport);
	struct way *way = &end->memory->way[!end->number];
	struct completed completed = {0};

	(void)later;
	spin_lock(&end->memory->lock);
	*ret = end_receive(end, data, size, &completed);
	if (*ret == -EAGAIN) {
		way->into = data;
		way->into_size = size;
	}
	spin_unlock(&end->memory->lock);
	completed_tell(&completed);
	return *ret != -EAGAIN;
}

static ssize_t memory_receive_now(struct transport *transport, void *data, size_t size)
{
	struct memory_end *end = end_of(transport);
	struct completed completed = {0};
	ssize_t n;

	spin_lock(&end->memory->lock);
	n = end_receive(end, data, size, &completed);
	spin_unlock(&end->memory->lock);
	completed_tell(&completed);
	return n;
}

/* [lock] What @end sends at once, or -EAGAIN. */
static ssize_t end_send(struct memory_end *end, const char *data, size_t size, struct completed *completed)
{
	struct way *way = &end->memory->way[end->number];
	size_t n = 0;

	if (way->abandoned)
		return -EPIPE;
	if (way->into) {
		n = least(least(size, way->into_size), MEMORY_COPY);
		memcpy(way->into, data, n);
		way->into = NULL;
		completed->received = &end->memory->end[!end->number];
		completed->received_n = (ssize_t)n;
	}
	n += way_put(way, data + n, size - n);
	completed->more = way->level != 0;
	return n ? (ssize_t)n : -EAGAIN;
}

static bool memory_send(struct transport *transport, const void *data, size_t size, ssize_t *ret)
{
	struct memory_end *end = end_of(transport);
	struct way *way = &end->memory->way[end->number];
	struct completed completed = {0};

	spin_lock(&end->memory->lock);
	*ret = end_send(end, data, size, &completed);
	if (*ret == -EAGAIN) {
		way->from = data;
		way->from_size = size;
	}
	spin_unlock(&end->memory->lock);
	completed_tell(&completed);
	return *ret != -EAGAIN;
}

static ssize_t memory_send_now(struct transport *transport, const void *data, size_t size)
{
	struct memory_end *end = end_of(transport);
	struct completed completed = {0};
	ssize_t n;

	spin_lock(&end->memory->lock);
	n = end_send(end, data, size, &completed);
	spin_unlock(&end->memory->lock);
	completed_tell(&completed);
	return n;
}

/* [lock] End a receive of @end that waits, with @n. */
static void end_receive_with(struct memory_end *end, ssize_t n, struct completed *completed)
{
	struct way *way = &end->memory->way[!end->number];

	if (!way->into)
		return;
	way->into = NULL;
	completed->received = end;
	completed->received_n = n;
}

/* [lock] The same of a send. */
static void end_send_with(struct memory_end *end, ssize_t n, struct completed *completed)
{
	struct way *way = &end->memory->way[end->number];

	if (!way->from)
		return;
	way->from = NULL;
	completed->sent = end;
	completed->sent_n = n;
}

static void memory_stop(struct transport *transport, bool receive, bool send)
{
	struct memory_end *end = end_of(transport);
	struct completed completed = {0};

	spin_lock(&end->memory->lock);
	if (receive)
		end_receive_with(end, -ECANCELED, &completed);
	if (send)
		end_send_with(end, -ECANCELED, &completed);
	spin_unlock(&end->memory->lock);
	completed_tell(&completed);
}

static int memory_shut(struct transport *transport)
{
	struct memory_end *end = end_of(transport);
	struct completed completed = {0};

	spin_lock(&end->memory->lock);
	end->memory->way[end->number].shut = true;
	end_receive_with(&end->memory->end[!end->number], 0, &completed);
	spin_unlock(&end->memory->lock);
	completed_tell(&completed);
	return 0;
}

/* The other end reads what is on its way, and then the end; what it writes has nobody to read it. */
static void memory_close(struct transport *transport)
{
	struct memory_end *end = end_of(transport), *other = &end->memory->end[!end->number];
	struct completed completed = {0};

	spin_lock(&end->memory->lock);
	end->memory->way[end->number].shut = true;
	end->memory->way[!end->number].abandoned = true;
	end_receive_with(other, 0, &completed);
	end_send_with(other, -EPIPE, &completed);
	spin_unlock(&end->memory->lock);
	completed_tell(&completed);
}

static void memory_free(struct transport *transport)
{
	struct memory *memory = end_of(transport)->memory;
	bool last;

	spin_lock(&memory->lock);
	last = --memory->refs == 0;
	spin_unlock(&memory->lock);
	if (!last)
		return;
	hilo__stream_room_add(-(int64_t)(memory->way[0].size + memory->way[1].size));
	hilo__free(memory);
}

static const struct transport_ops memory_ops = {
	.name = "pair",
	.receive = memory_receive,
	.receive_now = memory_receive_now,
	.send = memory_send,
	.send_now = memory_send_now,
	.stop = memory_stop,
	.shut = memory_shut,
	.close = memory_close,
	.free = memory_free,
};

static struct memory *memory_new(size_t capacity)
{
	struct memory *memory;

	if (capacity > (SIZE_MAX - sizeof(*memory)) / 2)
		return NULL;
	memory = hilo__malloc(sizeof(*memory) + 2 * capacity);
	if (!memory)
		return NULL;
	memset(memory, 0, sizeof(*memory));
	memory->refs = 2;
	hilo__stream_room_add((int64_t)(2 * capacity));
	for (unsigned i = 0; i < 2; i++) {
		struct memory_end *end = &memory->end[i];

		end->memory = memory;
		end->number = i;
		end->base.ops = &memory_ops;
		end->base.fd = -1;
		end->base.can_read = end->base.can_write = end->base.can_shut = true;
		memory->way[i].data = memory->data + i * capacity;
		memory->way[i].size = capacity;
	}
	return memory;
}

int hilo_stream_pair(size_t capacity, const hilo_stream_opts *opts, hilo_stream *ret[2])
{
	hilo_stream *stream[2];
	struct memory *memory;
	const void *site = __builtin_return_address(0);
	int rc;

	if (!ret)
		return hilo_fail(-EINVAL, "hilo_stream_pair: ret is NULL");
	rc = hilo__stream_new("hilo_stream_pair", opts, site, &stream[0]);
	if (rc < 0)
		return rc;
	rc = hilo__stream_new("hilo_stream_pair", opts, site, &stream[1]);
	memory = rc == 0 ? memory_new(capacity ? capacity : STREAM_LIMIT) : NULL;
	if (!memory) {
		if (rc == 0)
			hilo__stream_undo(stream[1]);
		hilo__stream_undo(stream[0]);
		return rc < 0 ? rc : -ENOMEM;
	}
	for (unsigned i = 0; i < 2; i++) {
		hilo__stream_attach(stream[i], &memory->end[i].base);
		ret[i] = stream[i];
	}
	return 0;
}
