/* SPDX-License-Identifier: MIT */
#ifndef HILO_RUNTIME_PIPELINE_H
#define HILO_RUNTIME_PIPELINE_H

#include <hilo/runtime/types.h>

HILO_BEGIN_DECLS

/*
 * pipeline.h - items that go through several stages one after the other, many of them at the same time.
 *
 *	static int read_block(void **item, void *arg);		(1: *item is one; 0: there are no more)
 *	static int pack_block(void **item, void *arg);
 *	static int write_block(void **item, void *arg);
 *
 *	const hilo_stage stages[] = {
 *		{.fn = read_block, .arg = file, .flags = HILO_STAGE_BLOCKING},
 *		{.fn = pack_block, .arg = job, .kind = HILO_STAGE_PARALLEL},
 *		{.fn = write_block, .arg = file, .flags = HILO_STAGE_BLOCKING},
 *	};
 *
 *	rc = hilo_pipeline_run(stages, 3, NULL, HILO_FOREVER);
 *
 * The first stage makes items until it says that there are no more, the last one takes them. Who works on an item
 * takes it as far as it comes: as a rule it goes through all stages on the same worker, while its memory is warm. Only
 * so many items are in flight at the same time, so that what reads fast does not run away from what writes slowly.
 *
 * Stages are called by tasks that are made for it, with the task-local values of the caller. They may do all that a
 * task may: wait, lock, read and write, and begin pipelines of their own. While one waits its worker goes on with
 * other items. One that blocks its thread is a HILO_STAGE_BLOCKING, and is called on a thread of the executor.
 *
 * Failures are those of the loop that takes one item after the other through all stages: items that come before the
 * one that has failed go on to the end; those behind it go no further, what works on them is cancelled, and
 * they are dropped. If an item before it fails, too, that one counts.
 */

/* How often a stage is called at the same time. */
enum hilo_stage_kind {
	HILO_STAGE_IN_ORDER =
		0,		/* once, with the items in the order in which the first stage has made them */
	HILO_STAGE_SERIAL = 1,	/* once, with the items as they come */
	HILO_STAGE_PARALLEL = 2 /* with several items at the same time */
};

#define HILO_STAGE_BLOCKING 1u /* it blocks its thread: call it in the default executor of the runtime */

/* What there is to know of a stage at the end. Figures but `items` say what it has come to, whoever waited. */
typedef struct hilo_stage_stats {
	size_t size;	      /* sizeof(hilo_stage_stats) */
	uint64_t items;	      /* calls that have succeeded; of the first stage: items that it has made */
	hilo_time busy;	      /* the time in its calls, together, with what they waited for */
	uint64_t waits;	      /* items that had to wait until they could go in */
	hilo_time waited;     /* the time that they have waited, together */
	unsigned most_queued; /* items that waited at the same time, at most */
} hilo_stage_stats;

/* One stage. Zero means the default in every field but `fn`. */
typedef struct hilo_stage {
	/*
	 * The first one makes an item: 1 or more, and *item is one; 0: there are no more; *item is NULL when it is
	 * called. An item that is NULL is none, and the next one is asked for.
	 * Any other one works on *item, and may put another one in its place; or NULL: it has been taken, and is not
	 * seen by the stages behind. 0 or more. The last one takes the item, whatever it leaves in *item.
	 * A negative code is a failure. Then *item, if it is not NULL, is dropped, but of the first stage.
	 */
	int (*fn)(void **item, void *arg);
	void *arg;
	enum hilo_stage_kind kind;
	unsigned flags;		 /* HILO_STAGE_* */
	unsigned most;		 /* HILO_STAGE_PARALLEL: calls at the same time, at most; 0: no such limit */
	hilo_stage_stats *stats; /* NULL: not wanted; else to be filled in, also after a failure */
} hilo_stage;

/* Begin with `size`; zero means the default in every field. */
typedef struct hilo_pipeline_opts {
	size_t size;	    /* sizeof(hilo_pipeline_opts) */
	unsigned in_flight; /* items at the same time, at most; default 4 for each worker; up to 65536 */
	unsigned stack;	    /* of the tasks: enum hilo_stack_class */
	/*
	 * Called with each item that was made and has not come to the end: once, in a task, shielded from cancels.
	 * It may suspend. NULL: they are forgotten.
	 */
	void (*drop)(void *item, void *arg);
	/* Called by the caller's task, now and then and once at the end, with the items that are through. */
	void (*progress)(uint64_t items, void *arg);
	hilo_time every; /* how often at most; default 100 ms */
	void *arg;	 /* of `drop` and `progress` */
} hilo_pipeline_opts;

/*
 * [task, suspends] Run the pipeline of @count stages, 2 to 64, until its first stage has no more items and all of them
 * are through. Everything is over on return, calls on other threads included; each item has been taken or dropped.
 *
 * 0; the code of the stage that has failed, of the first item that did, with what hilo_fail has attached to it;
 * -ECANCELED, -ETIMEDOUT (@deadline): all items were told to stop, something was left undone, and no failure was known
 * by then; -ENOMEM: nothing was begun, or no stack was to be had for any task; -EINVAL (a field out of its range),
 * -E2BIG; -EDEADLK outside of a task; HILO_ECLOSED when the runtime is shutting down. A shortage of memory in between
 * costs speed, not items.
 *
 * Of a first stage that is HILO_STAGE_PARALLEL the order of the items is that in which its calls return; once one
 * of them has said that there are no more, no other is begun.
 */
HILO_API HILO_MUST_CHECK int hilo_pipeline_run(const hilo_stage *stages, size_t count,
					       const hilo_pipeline_opts *opts, hilo_time deadline);

HILO_END_DECLS

#endif /* HILO_RUNTIME_PIPELINE_H */
