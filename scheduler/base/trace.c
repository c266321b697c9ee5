/* SPDX-License-Identifier: MIT */
/*
 * trace.c - the rings of the event points, and their dump.
 *
 * P1  The push of a ring into the list releases its header; hilo__trace_dump acquires.
 * P2  A worker that ends lets its ring go with a release; the one that takes it over acquires.
 */
#include "scheduler/base/trace.h"

#ifdef HILO_TRACE

#include <hilo/runtime/error.h>

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>

#include "scheduler/base/compiler.h"
#include "scheduler/base/log.h"
#include "scheduler/base/mem.h"
#include "scheduler/base/sys.h"

static atomic(struct trace_ring *) trace_rings;

/* Of all threads that have none. */
static struct trace_ring trace_others;

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

void hilo__trace_other(enum trace_event event, uint64_t a, uint64_t b)
{
	uint64_t next = add_relaxed(&trace_others.next, 1); /* relaxed: whose place it is, nothing else */

	trace_fill(&trace_others.record[next % TRACE_RECORDS], event, a, b);
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
static bool trace_dump_record(int fd, const char *worker, struct trace_record *record)
{
	uint64_t event = load_relaxed(&record->event);
	char line[128];
	int n;

	if (event == TRACE_NONE || event >= TRACE_EVENTS)
		return true;
	n = snprintf(line, sizeof(line), "%" PRIu64 " %s %s %" PRId64 " %" PRId64 "\n",
		     load_relaxed(&record->cycles), worker, trace_names[event],
		     (int64_t)load_relaxed(&record->a), (int64_t)load_relaxed(&record->b));
	return trace_write(fd, line, (size_t)n);
}

static bool trace_dump_ring(int fd, const char *worker, struct trace_ring *ring)
{
	uint64_t next = load_relaxed(&ring->next); /* relaxed: what is missed was written later */

	for (uint64_t i = 0; i < TRACE_RECORDS; i++)
		if (!trace_dump_record(fd, worker, &ring->record[(next + i) % TRACE_RECORDS]))
			return false;
	return true;
}

void hilo__trace_dump(int fd)
{
	struct trace_ring *ring = load_acquire(&trace_rings); /* P1 */
	bool written = trace_dump_ring(fd, "-", &trace_others);

	for (; ring && written; ring = ring->older) {
		char worker[16];

		(void)snprintf(worker, sizeof(worker), "%u",
			       load_relaxed(&ring->worker)); /* relaxed: a label */
		written = trace_dump_ring(fd, worker, ring);
	}
}

void hilo__trace_save(void)
{
	const char *path = getenv("HILO_TRACE");
	int fd;

	if (!path || !*path)
		return;
	fd = hilo__sys_open(path, O_WRONLY | O_CREAT | O_TRUNC);
	if (fd < 0) {
		hilo__log_write(LOG_LEVEL_WARNING, "HILO_TRACE=%s: %s", path, hilo_errname(fd));
		return;
	}
	hilo__trace_dump(fd);
	(void)hilo__sys_close(fd);
}

#endif /* HILO_TRACE */
