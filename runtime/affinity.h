/* SPDX-License-Identifier: MIT */
#ifndef HILO_RUNTIME_AFFINITY_H
#define HILO_RUNTIME_AFFINITY_H

#include <hilo/runtime/parallel.h>

HILO_BEGIN_DECLS

/*
 * affinity.h - the same loop again and again, the same pieces on the same workers: for data that is worked on in
 * rounds and would be in the wrong caches otherwise.
 *
 *	hilo_affinity *affinity = hilo_affinity_new();
 *
 *	for (int round = 0; round < rounds && rc == 0; round++)
 *		rc = hilo_affinity_run(affinity, 0, count, relax_cells, &grid, NULL);
 *	hilo_affinity_free(affinity);
 *
 * The range is cut into pieces, a run of them for each worker at first. Every worker does its own pieces, in order;
 * who is through takes those of others that have not begun, their last ones first, and they are his the next time. So
 * where the load is even and all workers are free nothing moves; a worker that is held by something else does less.
 * It is a preference, not a promise: no piece waits for its worker while another one is idle.
 *
 * A worker is a thread of the runtime, and stays on its processor as far as the system leaves it there. Each worker
 * gets a task, so a loop costs some microseconds for each of them: one that takes less than a millisecond is better
 * off with hilo_parallel_for.
 */
typedef struct hilo_affinity hilo_affinity;

/* [any] One that has no preferences yet. NULL: no memory. */
HILO_API hilo_affinity *hilo_affinity_new(void);

/* [any] NULL: no-op. Not while a loop runs. */
HILO_API void hilo_affinity_free(hilo_affinity *affinity);

/*
 * [task, suspends] As hilo_parallel_for_with. Preferences are kept for the latest range, grain and runtime; with
 * others they begin anew. With HILO_GRAIN_AUTO there are 8 pieces for each worker. @body runs in tasks that are bound
 * to a loop each, and sees the task-local values of the caller. Besides: -EBUSY: a loop of @affinity runs already.
 */
HILO_API HILO_MUST_CHECK int hilo_affinity_run(hilo_affinity *affinity, int64_t begin, int64_t end,
					       hilo_range_fn body, void *arg, const hilo_parallel_opts *opts);

HILO_END_DECLS

#endif /* HILO_RUNTIME_AFFINITY_H */
