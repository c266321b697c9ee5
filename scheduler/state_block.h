/* SPDX-License-Identifier: MIT */
#ifndef HILO_SCHEDULER_STATE_BLOCK_H
#define HILO_SCHEDULER_STATE_BLOCK_H

/*
 * state_block.h - where everything is, for a reader in another process or of a core file, that runs
 * no code of the program. It finds the symbol hilo_state_block, checks magic, version and size, and
 * walks with the offsets it finds here; layouts may change from build to build, this table does not
 * but by a new version.
 *
 * The walk: runtimes is a list through runtime_next. Tasks are not in lists but in slabs: task_slabs
 * points at the head of a list through slab_older; behind its header of slab_header bytes a slab holds
 * records of task_size bytes, of which the first slab_carved were ever used. A record is a live task
 * of a runtime when task_runtime points at it and its done word has no DONE bit; the episode in its
 * first word, read before and after, tells whether what was read in between belongs together.
 *
 * What a task waits for is in its fiber: kind (enum wait_kind), object, deadline, and since when. The
 * object of a task that waits for a task is that task's record: the edges of the graph of who waits for
 * whom. Since when is a moment of the machine's counter (the time stamp counter; cntvct_el0), early by
 * what its worker did in the same turn before. A core file has no clock: its newest moment is the
 * greatest loop_turn_cycles of all loops. A cycle is *cycle_scale / 2^32 ns (0: not known yet).
 *
 * Version 2 has fiber_wait_since, loop_turn_cycles and cycle_scale.
 */
#include <stdint.h>

#define HILO_STATE_MAGIC UINT64_C(0x31304f4c4948) /* "HILO01" */
#define HILO_STATE_VERSION 2

struct hilo_state_block {
	uint64_t magic;
	uint32_t version;
	uint32_t size; /* of this structure */

	const void *runtimes;	/* address of the pointer to the first runtime */
	const void *task_slabs; /* address of the pointer to the newest slab of tasks */

	uint32_t runtime_next, runtime_workers, runtime_loops, runtime_phase;
	uint32_t loop_index, loop_current, loop_tick, loop_park;
	uint32_t slab_header, slab_older, slab_carved;
	uint32_t task_size, task_state, task_fiber, task_entry, task_done, task_runtime, task_id, task_name,
		task_spawn_site;
	uint32_t fiber_context, fiber_stack_low, fiber_wait_kind, fiber_wait_object, fiber_wait_deadline;
	uint32_t state_parked_bit, state_cancel_shift, state_episode_shift, done_bit;
	uint32_t fiber_wait_since, loop_turn_cycles;
	const void *cycle_scale; /* address of a uint64_t */
};

/* Constant; exported, so that a reader finds it by its name. */
extern const struct hilo_state_block hilo_state_block;

#endif /* HILO_SCHEDULER_STATE_BLOCK_H */
