/* SPDX-License-Identifier: MIT */
/*
 * model_record.c - the record of a task between its run, its joiner and a visitor who only found it:
 * the shipped task.c, completion.c and pool.c.
 *
 * A record goes back to the pool once, after its last use, and may be another task the moment after.
 * Checked: it is freed once in each life; what is allocated is nobody else's; a visitor's reference
 * keeps the life that it holds.
 */
#include <errno.h>

#include "tests/explore/heaps.h"

#define RESULT 7

static struct hilo_runtime runtime;
static struct hilo_task *task; /* the one whose end the model is about */

/* Nothing here is ever allocated but the record. */
void hilo__free(void *p)
{
	EXPLORE_CHECK(p == NULL);
}

void hilo__loop_notify(struct hilo_loop *loop)
{
	(void)loop;
}

void hilo__worker_look(struct hilo_loop *loop)
{
	(void)loop;
}

static int entry(void *arg)
{
	(void)arg;
	return RESULT;
}

static struct hilo_task *task_make(uint32_t references)
{
	struct task_spec spec = {.entry = entry, .references = references};
	struct hilo_task *made = hilo__task_new(thread_self()->heap, &runtime, &spec);

	EXPLORE_CHECK(made != NULL);
	return made;
}

static void setup_with(uint32_t references)
{
	waiting_reset(EXPLORE_THREADS, 0);
	heaps_reset();
	heaps_fill(0, POOL_TASK, 1);
	task = task_make(references);
}

static void setup_detached(void)
{
	setup_with(0);
}

static void setup_joined(void)
{
	setup_with(1);
}

static void setup_joined_twice(void)
{
	setup_with(2);
}

/* The record is in one place: free, on its way, or back home. */
static void finish(void)
{
	EXPLORE_CHECK(heaps_count(POOL_TASK) == 1);
	EXPLORE_CHECK(task->done.word == COMPLETION_DONE);
}

/* What a worker does at the end of a task. */
static void task_ends(struct hilo_task *ending)
{
	plain_store(&ending->done.result, RESULT);
	if (completion_set(&ending->done))
		hilo__task_free(ending);
}

static void runner(void)
{
	task_ends(task);
}

/* And then begins another one, in the same record if it is free already. */
static void runner_again(void)
{
	struct hilo_task *next;

	task_ends(task);
	if (heaps[0].list[POOL_TASK].free == NULL && load_relaxed(&heaps[0].remote[POOL_TASK]) == NULL)
		return;
	next = task_make(1);
	task_ends(next);
	EXPLORE_CHECK(completion_is_done(&next->done));
	if (completion_unref(&next->done))
		hilo__task_free(next);
}

/* Drop a reference; what that freed goes home at once. */
static void let_go(void)
{
	if (completion_unref(&task->done)) {
		hilo__task_free(task);
		hilo__heap_flush(thread_self()->heap);
	}
}

/* Holds a handle: waits for the end if it is not there, takes the result, lets go. */
static void joiner(void)
{
	while (!completion_is_done(&task->done))
		cpu_relax();
	EXPLORE_CHECK(plain_load(&task->done.result) == RESULT);
	let_go();
}

static void detacher(void)
{
	let_go();
}

/* Cancels by a handle that it holds. */
static void canceller(void)
{
	(void)hilo__task_cancel(task, 1);
	let_go();
}

/* Has only found the record in a slab: takes a reference if there is a task in it. */
static void visitor(void)
{
	if (hilo__task_try_ref(task, &runtime)) {
		(void)plain_load(&task->entry);
		let_go();
	}
}

static const struct explore_model models[] = {
	EXPLORE_MODEL("record_detached_visit", "T0 ends the task, nobody holds it; T1 visits", setup_detached,
		      finish, runner, visitor),
	EXPLORE_MODEL("record_join", "T0 ends the task; T1 joins it", setup_joined, finish, runner, joiner),
	EXPLORE_MODEL("record_join_detach", "T0 ends the task; T1 joins it; T2 lets go of it",
		      setup_joined_twice, finish, runner, joiner, detacher),
	EXPLORE_MODEL("record_join_cancel", "T0 ends the task; T1 joins it; T2 cancels it, lets go",
		      setup_joined_twice, finish, runner, joiner, canceller),
	EXPLORE_MODEL("record_join_visit", "T0 ends the task; T1 joins it; T2 visits", setup_joined, finish,
		      runner, joiner, visitor),
	EXPLORE_MODEL("record_reuse_visit",
		      "T0 ends the task, makes another one, ends and joins it; T1 visits", setup_detached,
		      finish, runner_again, visitor),
	EXPLORE_MODEL("record_reuse_join_visit",
		      "T0 ends the task, makes another one, ends and joins it; T1 joins the first; T2 visits",
		      setup_joined, finish, runner_again, joiner, visitor),
};

int main(int argc, char **argv)
{
	return explore_main(argc, argv, models, array_size(models));
}
