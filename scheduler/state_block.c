/* SPDX-License-Identifier: MIT */
/* state_block.c - the table of state_block.h, filled in by the compiler. */
#include "scheduler/state_block.h"

#include "scheduler/base/clock.h"
#include "scheduler/scheduler.h"

#define AT(type, member) ((uint32_t)offsetof(struct type, member))

__attribute__((visibility("default"))) const struct hilo_state_block hilo_state_block = {
	.magic = HILO_STATE_MAGIC,
	.version = HILO_STATE_VERSION,
	.size = sizeof(struct hilo_state_block),
	.runtimes = &hilo__runtimes,
	.task_slabs = &hilo__pool_slabs[POOL_TASK],
	.runtime_next = AT(hilo_runtime, next),
	.runtime_workers = AT(hilo_runtime, workers),
	.runtime_loops = AT(hilo_runtime, loops),
	.runtime_phase = AT(hilo_runtime, phase),
	.loop_index = AT(hilo_loop, index),
	.loop_current = AT(hilo_loop, current),
	.loop_tick = AT(hilo_loop, tick),
	.loop_park = AT(hilo_loop, park),
	.slab_header = POOL_OBJECT_SIZE,
	.slab_older = AT(pool_slab, older),
	.slab_carved = AT(pool_slab, carved),
	.task_size = POOL_OBJECT_SIZE,
	.task_state = AT(hilo_task, state),
	.task_fiber = AT(hilo_task, fiber),
	.task_entry = AT(hilo_task, entry),
	.task_done = AT(hilo_task, done.word),
	.task_runtime = AT(hilo_task, runtime),
	.task_id = AT(hilo_task, id),
	.task_name = AT(hilo_task, name),
	.task_spawn_site = AT(hilo_task, spawn_site),
	.fiber_context = AT(fiber, context),
	.fiber_stack_low = AT(fiber, stack_low),
	.fiber_wait_kind = AT(fiber, wait.kind),
	.fiber_wait_object = AT(fiber, wait.object),
	.fiber_wait_deadline = AT(fiber, wait.deadline),
	.state_parked_bit = TASK_PARKED,
	.state_cancel_shift = TASK_CANCEL_SHIFT,
	.state_episode_shift = TASK_EPISODE_SHIFT,
	.done_bit = COMPLETION_DONE,
	.fiber_wait_since = AT(fiber, wait.since),
	.loop_turn_cycles = AT(hilo_loop, turn_cycles),
	.cycle_scale = &hilo__cycle_scale,
};
