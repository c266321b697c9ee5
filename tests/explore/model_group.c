/* SPDX-License-Identifier: MIT */
/*
 * model_group.c - groups of tasks: the shipped group.c over completion.c, wait.c, scope.c and pool.c.
 *
 * T0 is the owner; T1 and T2 run one task each, whose record is that of the thread, so that it may wait.
 * Checked: the owner leaves when all tasks have ended, with the code that the block has then; those that are
 * left when one fails are cancelled, those included that are just being spawned, and so is what the owner
 * waits for; its request is taken back; nobody touches the group once its owner has left it, nor a record
 * after its end; each child goes back to the pool.
 */
#include <errno.h>

#include <hilo/runtime/group.h>

#include "runtime/runtime_impl.h"
#include "tests/explore/heaps.h"
#include "tests/explore/waking.h"

#define CHILDREN 3
#define FAILURE (-EIO)

/* What comes for a thread. */
enum {
	TASK = 1,
	NOTHING, /* there will be none */
};

static hilo_group group;
static struct hilo_runtime runtime;
static atomic(uint32_t) fresh[EXPLORE_THREADS]; /* the queue of fresh tasks */
static atomic(uint32_t) freed;
static unsigned spawned;
static int result[EXPLORE_THREADS]; /* how their tasks have ended */
static unsigned received, others;   /* failures that the owner was told of */

hilo_task *hilo_task_ref(hilo_task *task)
{
	completion_ref(&task->done);
	return task;
}

/* What others may touch of a record that is free is its state word alone. */
static void record_free(struct hilo_task *task)
{
	explore_retire(&task->done, sizeof(task->done));
	(void)add_relaxed(&freed, 1); /* relaxed: a count */
}

void hilo_task_detach(hilo_task *task)
{
	if (completion_unref(&task->done))
		record_free(task);
}

void hilo_task_unref(hilo_task *task)
{
	hilo_task_detach(task);
}

int hilo_fail(int code, const char *format, ...)
{
	explore_fail("hilo_fail(%d, \"%s\")", code, format);
}

int hilo__error_own(int code)
{
	return code;
}

void hilo__error_keep(int code)
{
	(void)code;
}

void hilo__error_receive(struct hilo_task *task, int code)
{
	EXPLORE_CHECK(completion_is_done(&task->done) && code == FAILURE);
	received++;
}

void hilo__error_list_init(struct error_list *list)
{
	(void)list;
}

void hilo__error_list_add(struct error_list *list, struct hilo_task *task, int code)
{
	(void)list;
	EXPLORE_CHECK(completion_is_done(&task->done) && code == FAILURE);
	others++;
}

void hilo__error_list_attach(struct error_list *list)
{
	(void)list;
}

static int ends(void *arg)
{
	(void)arg;
	return 0;
}

/* The argument of a spawn is the index of the thread that is to run it. */
static void *on_thread(unsigned index)
{
	return &fresh[index];
}

static void hand_over(unsigned index, uint32_t what)
{
	store_release(&fresh[index], what); /* as a queue's push */
}

/* As a worker: the task goes to its thread, which is idle. */
int hilo__spawn(struct task_spec *spec, const hilo_task_opts *opts, hilo_task **ret)
{
	unsigned index = (unsigned)((atomic(uint32_t) *)spec->arg - fresh);
	struct hilo_task *task = &records[index];

	EXPLORE_CHECK(!opts);
	task->entry = spec->entry;
	*ret = task;
	hand_over(index, TASK);
	return 0;
}

static void setup(void)
{
	waiting_reset(EXPLORE_THREADS, 0);
	heaps_reset();
	heaps_fill(0, POOL_OBJECT, CHILDREN - 1);
	heaps_fill(1, POOL_OBJECT, 1);
	memset(&group, 0, sizeof(group));
	for (unsigned i = 0; i < EXPLORE_THREADS; i++) {
		loops[i].runtime = &runtime;
		loops[i].heap = &heaps[i];
		fibers[i].scopes = NULL;
		records[i].runtime = &runtime;
		records[i].fiber = &fibers[i];
		completion_init(&records[i].done, 1);
		fresh[i] = 0;
		result[i] = 1;
	}
	freed = 0;
	spawned = 0;
	received = 0;
	others = 0;
}

static void enter(void)
{
	EXPLORE_CHECK(hilo_group_enter(&group) == 0);
}

/* [owner, task] The thread has nothing to do if the group stops. */
static void spawn_on(unsigned index)
{
	int rc = hilo_group_spawn(&group, ends, on_thread(index));

	EXPLORE_CHECK(rc == 0 || rc == HILO_ECLOSED);
	if (rc < 0)
		hand_over(index, NOTHING);
}

/* The block has begun, with a task for T1, ... */
static void setup_one(void)
{
	setup();
	enter();
	spawn_on(1);
}

/* ... and one for T2. */
static void setup_two(void)
{
	setup_one();
	spawn_on(2);
}

static void finish(void)
{
	EXPLORE_CHECK(freed == spawned);
	EXPLORE_CHECK(heaps_count(POOL_OBJECT) == CHILDREN);
	EXPLORE_CHECK(!fibers[0].scopes);
	waiting_check(EXPLORE_THREADS);
}

/* What the group has asked of its owner was taken back. */
static void finish_alone(void)
{
	finish();
	EXPLORE_CHECK(task_state_cancels(records[0].state) == 0);
}

static void finish_asked(void)
{
	finish();
	EXPLORE_CHECK(task_state_cancels(records[0].state) == 1);
}

/* ---- the owner ---- */

/* The task of thread @index has ended; its record may be another's by now. */
static int ended_with(unsigned index)
{
	return plain_load(&result[index]);
}

/* Its frame goes with its block. */
static int leave_for_good(int code)
{
	int rc = hilo_group_leave(&group, code);

	explore_retire(&group, sizeof(group));
	return rc;
}

static void owner_of_two(void)
{
	enter();
	spawn_on(1);
	spawn_on(2);
	EXPLORE_CHECK(leave_for_good(0) == 0);
	EXPLORE_CHECK(ended_with(1) == 0 && ended_with(2) == 0);
}

/* One of them fails, and the other one would never end. */
static void owner_of_failure(void)
{
	EXPLORE_CHECK(leave_for_good(0) == FAILURE);
	EXPLORE_CHECK(ended_with(1) == FAILURE && ended_with(2) == -ECANCELED);
	EXPLORE_CHECK(received == 1 && others == 0);
}

static void owner_of_two_failures(void)
{
	EXPLORE_CHECK(leave_for_good(0) == FAILURE);
	EXPLORE_CHECK(received == 1 && others == 1);
}

/* Two groups, in one place: who is late with the first one meets the second. */
static void owner_twice(void)
{
	enter();
	spawn_on(1);
	EXPLORE_CHECK(hilo_group_leave(&group, 0) == 0);
	enter();
	spawn_on(2);
	EXPLORE_CHECK(leave_for_good(0) == 0);
	EXPLORE_CHECK(ended_with(1) == 0 && ended_with(2) == 0);
}

static int sleep_for_ever(void)
{
	struct wait wait;
	int rc = hilo__wait_begin(&wait, WAIT_SLEEP, NULL, HILO_FOREVER);

	if (rc < 0)
		return rc;
	while (rc == 0)
		rc = hilo__wait_park(&wait);
	hilo__wait_end(&wait);
	return rc;
}

/* The block waits for something that never comes. */
static void owner_waits(void)
{
	int rc = sleep_for_ever();

	EXPLORE_CHECK(rc == -ECANCELED && leave_for_good(rc) == FAILURE);
	EXPLORE_CHECK(received == 1);
	EXPLORE_CHECK(!task_is_cancelled(&records[0]));
}

static void owner_stopped(void)
{
	EXPLORE_CHECK(leave_for_good(0) == 0);
	EXPLORE_CHECK(ended_with(1) == 0 && ended_with(2) == -ECANCELED);
}

static void owner_cancelled(void)
{
	EXPLORE_CHECK(leave_for_good(0) == -ECANCELED);
	EXPLORE_CHECK(ended_with(1) == -ECANCELED);
}

/* Asked to stop as its only task ends. */
static void owner_cancelled_late(void)
{
	int rc = leave_for_good(0);

	EXPLORE_CHECK(rc == 0 || rc == -ECANCELED);
	EXPLORE_CHECK(ended_with(1) == 0);
}

static void owner_of_spawner(void)
{
	EXPLORE_CHECK(leave_for_good(0) == 0);
	EXPLORE_CHECK(ended_with(1) == 0 && ended_with(2) == 0);
}

/* What it spawns may come too late, or just in time to be cancelled. */
static void owner_of_late_spawn(void)
{
	spawn_on(2);
	EXPLORE_CHECK(leave_for_good(0) == FAILURE);
	EXPLORE_CHECK(ended_with(2) == -ECANCELED || ended_with(2) == 1);
}

/* ---- the tasks ---- */

/* [thread] Wait for its task. False: there is none. */
static bool task_begins(void)
{
	unsigned me = explore_self();
	uint32_t what;

	while (!(what = load_acquire(&fresh[me]))) /* as a queue's pop */
		cpu_relax();
	if (what == NOTHING)
		return false;
	EXPLORE_CHECK(what == TASK && plain_load(&records[me].entry) == ends);
	spawned++;
	return true;
}

/* As hilo__task_finish. */
static void task_ends(int code)
{
	struct hilo_task *task = &records[explore_self()];

	plain_store(&result[explore_self()], code);
	plain_store(&task->done.result, code);
	if (completion_set(&task->done))
		record_free(task);
}

static void succeeds(void)
{
	if (task_begins())
		task_ends(0);
}

static void fails(void)
{
	if (task_begins())
		task_ends(FAILURE);
}

static void waits_for_cancel(void)
{
	if (task_begins())
		task_ends(sleep_for_ever());
}

static void stops_group(void)
{
	EXPLORE_CHECK(task_begins());
	EXPLORE_CHECK(hilo_group_cancel(&group) == 0);
	task_ends(0);
}

/* Spawns another one, which the group has to wait for as well. */
static void spawns(void)
{
	EXPLORE_CHECK(task_begins());
	spawn_on(2);
	task_ends(0);
}

/* ---- others ---- */

static void canceller_of_T0(void)
{
	(void)hilo__task_cancel(&records[0], 1);
}

static const struct explore_model models[] = {
	EXPLORE_MODEL_BOUND(2, "group_two", "T0 spawns two; T1, T2 run them", setup, finish_alone,
			    owner_of_two, succeeds, succeeds),
	EXPLORE_MODEL("group_twice", "T0 has a group, then another one; T1, T2 run their tasks", setup,
		      finish_alone, owner_twice, succeeds, succeeds),
	EXPLORE_MODEL_LONG(2, "group_failure",
			   "T0 waits for its group of two; T1 fails; T2 waits to be cancelled", setup_two,
			   finish_alone, owner_of_failure, fails, waits_for_cancel),
	EXPLORE_MODEL_BOUND(1, "group_failures", "T0 waits for its group of two; T1, T2 fail", setup_two,
			    finish_alone, owner_of_two_failures, fails, fails),
	EXPLORE_MODEL("group_block", "T0 waits in the block of a group of one; T1 fails", setup_one,
		      finish_alone, owner_waits, fails),
	EXPLORE_MODEL_LONG(2, "group_cancel",
			   "T0 waits for its group of two; T1 stops the group; T2 waits to be cancelled",
			   setup_two, finish_alone, owner_stopped, stops_group, waits_for_cancel),
	EXPLORE_MODEL("group_owner", "T0 waits for its group of one; T1 waits to be cancelled; T2 cancels T0",
		      setup_one, finish_asked, owner_cancelled, waits_for_cancel, canceller_of_T0),
	EXPLORE_MODEL("group_owner_late", "T0 waits for its group of one; T1 ends; T2 cancels T0", setup_one,
		      finish_asked, owner_cancelled_late, succeeds, canceller_of_T0),
	EXPLORE_MODEL("group_spawn", "T0 waits for its group of one; T1 spawns another one, which T2 runs",
		      setup_one, finish_alone, owner_of_spawner, spawns, succeeds),
	EXPLORE_MODEL_BOUND(1, "group_spawn_late",
			    "T0 spawns a second one, waits; T1 fails; T2 waits to be cancelled", setup_one,
			    finish_alone, owner_of_late_spawn, fails, waits_for_cancel),
};

int main(int argc, char **argv)
{
	return explore_main(argc, argv, models, array_size(models));
}
