/* SPDX-License-Identifier: MIT */
/*
 * trace.c - the rings of the event points, and their dump.
 *
 * P1  The push of a ring into the list releases its header; hilo__trace_dump acquires.
 * P2  A worker that ends lets its ring go with a release; the one that takes it over acquires.
 */
#include "scheduler/base/trace.h"

#ifdef HILO_TRACE

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>

#include "scheduler/base/compiler.h"
#include "scheduler/base/mem.h"
#include "scheduler/base/sys.h"

static atomic(struct trace_ring *) trace_rings;

static const char *const trace_names[TRACE_EVENTS] = {
	"none", "spawn", "run", "park", "wake", "steal", "complete", "poll", "sleep",
};

/* A ring whose worker has ended. */
static struct trace_ring *trace_find_idle(void)
{
	struct trace_ring *ring = load_acquire(&trace_rings); /* P1 */

	for (; ring; ring = ring->older)
		if (!xchg_acq_rel(&ring->taken, 1)) /* P2 */
			return ring;
	return NULL;
}

struct trace_ring *hilo__trace_open(unsigned worker)
{
	struct trace_ring *ring = trace_find_idle();

	if (!ring) {
		ring = hilo__map(sizeof(*ring));
		if (!ring)
			return NULL;
		atomic_setup(&ring->taken, 1);
		/* relaxed: only a guess at what the CAS will find */
		ring->older = load_relaxed(&trace_rings);
		while (!cas_release(&trace_rings, &ring->older, ring)) /* P1 */
			;
	}
	store_relaxed(&ring->worker, worker); /* relaxed: a label */
	return ring;
}

void hilo__trace_close(struct trace_ring *ring)
{
	if (ring)
		store_release(&ring->taken, 0); /* P2 */
}

static bool trace_write(int fd, const char *line, size_t size)
{
	ssize_t n;

	for (size_t done = 0; done < size; done += (size_t)n) {
		n = hilo__sys_write(fd, line + done, size - done);
		if (n == -EINTR)
			n = 0;
		else if (n <= 0)
			return false;
	}
	return true;
}

/* All relaxed: a record that is being overwritten shows a mixture of two. */
static bool trace_dump_record(int fd, unsigned worker, const struct trace_record *record)
{
	uint64_t event = load_relaxed(&record->event);
	char line[128];
	int n;

	if (event == TRACE_NONE || event >= TRACE_EVENTS)
		return true;
	n = snprintf(line, sizeof(line), "%" PRIu64 " %u %s %" PRIu64 " %" PRIu64 "\n",
		     load_relaxed(&record->cycles), worker, trace_names[event], load_relaxed(&record->a),
		     load_relaxed(&record->b));
	return trace_write(fd, line, (size_t)n);
}

void hilo__trace_dump(int fd)
{
	struct trace_ring *ring = load_acquire(&trace_rings); /* P1 */

	for (; ring; ring = ring->older) {
		uint64_t next = load_relaxed(&ring->next); /* relaxed: what is missed was written later */

		for (uint64_t i = 0; i < TRACE_RECORDS; i++)
			if (!trace_dump_record(fd, load_relaxed(&ring->worker), /* relaxed: a label */
					       &ring->record[(next + i) % TRACE_RECORDS]))
				return;
	}
}

#endif /* HILO_TRACE */
