/* SPDX-License-Identifier: MIT */
/*
 * stream_room.c - the memory of all streams' buffers, and its ceiling.
 *
 * What is counted is memory, when it is had and given back, not the bytes that come and go in it: no read, and no small
 * write, counts. It is counted in lines of their own for some loops each. Only while there is a ceiling does whoever
 * counts add them up, to see whether it is reached; all others look at one flag, which hardly ever changes.
 *
 * What that means to a stream is the business of stream_receive.c and stream_send.c; streams.md says why it cannot
 * stop anybody for good.
 *
 * It is set when the ceiling is reached, and cleared when an eighth of that is free again: else each buffer that one
 * has and another gives back would change the line that everybody reads.
 *
 * P1  Whoever stores the flag adds up once more afterwards, against the flag as it is then; and whoever counts, or sets
 *     the ceiling, does that before he looks; all in one order (seq_cst). So the last one to store the flag has seen
 *     what all have counted who found it right; and either who counts sees the ceiling, or who sets it what he counts.
 */
#include <hilo/runtime/error.h>

#include <errno.h>

#include "io/stream_impl.h"
#include "runtime/sized_impl.h"

#define SHARDS 16u

struct stream_room hilo__stream_room;

static struct {
	HILO__ISOLATED atomic(int64_t) bytes; /* may be below 0: what one has had another gives back */
} shards[SHARDS];

static atomic(uint64_t) reached;

static uint64_t room_used(void)
{
	int64_t used = 0;

	for (unsigned i = 0; i < SHARDS; i++)
		used += load_seq_cst(&shards[i].bytes); /* P1 */
	return used > 0 ? (uint64_t)used : 0;
}

/* It is reached; or it @was, and no eighth of it is free yet. */
static bool room_is_over(bool was)
{
	uint64_t max = load_seq_cst(&hilo__io_memory_max); /* P1 */

	return max && room_used() >= (was ? max - max / 8 : max);
}

static void room_look(void)
{
	bool was = load_seq_cst(&hilo__stream_room.over), over; /* P1 */

	while ((over = room_is_over(was)) != was) {
		store_seq_cst(&hilo__stream_room.over, over); /* P1 */
		if (over)
			(void)add_relaxed(&reached, 1);	     /* relaxed: a figure */
		was = load_seq_cst(&hilo__stream_room.over); /* P1 */
	}
}

void hilo__stream_room_add(int64_t bytes)
{
	const struct hilo_loop *loop = thread_self()->loop;

	(void)add_seq_cst(&shards[loop ? loop->index % SHARDS : SHARDS - 1].bytes, bytes); /* P1 */
	if (HILO__UNLIKELY(load_seq_cst(&hilo__io_memory_max))) /* P1; who sets it looks himself */
		room_look();
}

/* Before any stream is made. */
__attribute__((constructor)) static void room_begin(void)
{
	hilo__on_io_memory_max = room_look;
}

void hilo_stream_set_memory_max(uint64_t bytes)
{
	hilo__io_set_memory_max(bytes);
}

int hilo_stream_get_memory(hilo_stream_memory *ret)
{
	hilo_stream_memory now = {.size = sizeof(now)};

	if (!ret)
		return hilo_fail(-EINVAL, "hilo_stream_get_memory: ret is NULL");
	now.used = room_used();
	now.max = load_relaxed(&hilo__io_memory_max); /* relaxed: figures */
	now.reached = load_relaxed(&reached);
	if (SIZED_OUT(hilo_stream_memory, ret, &now, reached) < 0)
		return hilo_fail(-EINVAL, "hilo_stream_get_memory: ret->size is %zu", ret->size);
	return 0;
}
