/* SPDX-License-Identifier: MIT */
/*
 * model_closing.c - the end of a runtime against those who make tasks and those who end them: the shipped
 * closing.c, hilo__submit and hilo__spawn of runtime/task.c, the queues of task.c, the wait of a plain thread.
 *
 * T0 closes. Checked: when it is told that all tasks have ended, all that were accepted have, in its sight; who
 * was refused does not touch the runtime any more; the end of the last task wakes it. A task may end without
 * noticing that somebody closes, for closing looks again after 20 ms. So where that may happen the wait has a
 * limit here, and the time is up whenever it likes.
 */
#include <errno.h>

#include "runtime/runtime_impl.h"
#include "runtime/sized_impl.h"
#include "tests/explore/heaps.h"

#define LIMIT ((hilo_time)1)

static struct hilo_runtime runtime, other;
static struct hilo_loop *loop_places[2] = {&loops[1], &loops[2]};
static struct hilo_task *running;	 /* when the model begins; NULL: none */
static atomic(uint32_t) accepted, ended; /* tasks */
static atomic(uint32_t) made;		 /* T1 makes no more tasks */
static atomic(uint32_t) stopped, left;	 /* T0 has closed; T2 has seen it */
static bool closed;
static uint32_t ended_when_closed;

void hilo__scheduler_foreach(struct hilo_runtime *of, void (*fn)(struct hilo_task *task, void *ctx),
			     void *ctx)
{
	(void)of;
	(void)fn;
	(void)ctx; /* all tasks end by themselves */
}

void hilo__scheduler_need_spare(struct hilo_runtime *of)
{
	(void)of;
}

struct heap *hilo__thread_heap(struct thread *self)
{
	return self->heap;
}

void hilo__loop_notify(struct hilo_loop *loop)
{
	(void)loop; /* nobody sleeps */
}

void hilo__worker_look(struct hilo_loop *loop)
{
	(void)loop;
}

bool hilo__worker_wake_one(struct hilo_runtime *of, struct hilo_loop *from)
{
	(void)of;
	(void)from;
	return false;
}

/* Nobody asks to be started at once. */
void hilo__leave_for(struct thread *self, struct hilo_task *task)
{
	(void)self;
	(void)task;
	explore_fail("hilo__leave_for");
}

void hilo__leave_late_for(struct thread *self)
{
	(void)self;
	explore_fail("hilo__leave_late_for");
}

/* Without options nothing is wrong, and nothing copied. */
int hilo_fail(int code, const char *format, ...)
{
	explore_fail("hilo_fail(%d, \"%s\")", code, format);
}

int hilo__sized_in(void *to, size_t known, size_t least, const void *from, const char *name)
{
	(void)to;
	(void)from;
	explore_fail("hilo__sized_in(%zu, %zu, \"%s\")", known, least, name);
}

char *hilo__strdup(const char *text)
{
	explore_fail("hilo__strdup(\"%s\")", text);
}

void *hilo__malloc(size_t size)
{
	explore_fail("hilo__malloc(%zu)", size);
}

void hilo__free(void *p)
{
	EXPLORE_CHECK(p == NULL);
}

static int entry(void *arg)
{
	(void)arg;
	return 0;
}

/* T0 is a plain thread, T1 and T2 drive the loops. */
static void setup_empty(void)
{
	waiting_reset(EXPLORE_THREADS, 1u << 0);
	heaps_reset();
	memset(&runtime, 0, sizeof(runtime));
	runtime.loops = loop_places;
	runtime.workers = runtime.all = array_size(loop_places);
	for (unsigned i = 0; i < EXPLORE_THREADS; i++) {
		struct hilo_loop *loop = &loops[i];

		memset(&loop->stats, 0, sizeof(loop->stats));
		loop->runtime = &runtime;
		loop->heap = &heaps[i];
		loop->next_id = 1; /* not from the counter that all models share */
		loop->last_id = 100;
		loop->park = 0;
		loop->visitors = 0;
		hilo__inbox_init(&loop->inbox);
		hilo__deque_init(&loop->deque);
	}
	heaps_fill(1, POOL_TASK, 1);
	running = NULL;
	accepted = 0;
	ended = 0;
	made = 0;
	stopped = 0;
	left = 0;
	closed = false;
	ended_when_closed = 0;
}

/* One task is there, from the loop of @index. */
static void setup_running(unsigned index)
{
	static const struct task_spec spec = {.entry = entry};

	setup_empty();
	heaps_fill(0, POOL_TASK, 1);
	threads[0].loop = &loops[0]; /* for the number of the task */
	running = hilo__task_new(&heaps[0], &runtime, &spec);
	threads[0].loop = NULL;
	loops[index].stats.spawned = 1;
	accepted = 1;
}

/* T1 is a thread of another runtime, and the loop of T2 is the only one. */
static void make_other(void)
{
	runtime.loops = &loop_places[1];
	runtime.workers = runtime.all = 1;
	loops[1].runtime = &other;
}

static void setup_submit(void)
{
	setup_empty();
	make_other();
}

static void setup_submit_running(void)
{
	setup_running(2);
	make_other();
}

static void setup_spawn(void)
{
	setup_running(1);
}

/* A second task is there; the runtime closes already. */
static void setup_closing(void)
{
	setup_running(1);
	loops[2].stats.spawned = 1;
	accepted = 2;
	runtime.phase = PHASE_CLOSING;
}

static void setup_callback(void)
{
	setup_empty();
	threads[1].task = NULL;
}

static void finish(void)
{
	EXPLORE_CHECK(!closed || ended_when_closed == accepted);
}

/* ---- T0 ---- */

static void close_until(hilo_time deadline)
{
	int rc = hilo__scheduler_close(&runtime, deadline);

	EXPLORE_CHECK(rc == 0 || rc == -ETIMEDOUT);
	closed = rc == 0;
	ended_when_closed = load_relaxed(&ended); /* relaxed: what we have to see is ordered before */
	store_release(&stopped, 1);		  /* read with acquire by T2 */
}

static void closes(void)
{
	close_until(LIMIT);
}

/* Whoever ends the last task knows that somebody closes. */
static void closes_woken(void)
{
	close_until(HILO_FOREVER);
	EXPLORE_CHECK(closed);
}

/* Joins T2, and frees the runtime. */
static void closes_for_good(void)
{
	closes();
	while (!load_acquire(&left))
		cpu_relax();
	if (closed)
		explore_retire(&runtime, sizeof(runtime));
}

/* ---- T1 ---- */

static void accept(int rc)
{
	EXPLORE_CHECK(rc == 0 || rc == HILO_ECLOSED);
	(void)add_relaxed(&accepted, rc == 0); /* relaxed: a count */
	store_release(&made, 1);	       /* read with acquire by T2 */
}

static void submits(void)
{
	struct task_spec spec = {.entry = entry};

	accept(hilo__submit(&runtime, &spec, NULL, NULL));
}

static void spawn(void)
{
	struct task_spec spec = {.entry = entry};

	accept(hilo__spawn(&spec, NULL, NULL));
}

/* As a worker that runs it. */
static void task_runs(struct hilo_task *task)
{
	(void)add_relaxed(&ended, 1); /* relaxed: ordered by the end of the task */
	task->done.result = 0;
	if (completion_set(&task->done))
		hilo__task_free(task);
	loop_count_end(thread_self()->loop);
	loop_tell_end(thread_self()->loop);
}

static void spawns_and_ends(void)
{
	spawn();
	task_runs(running);
}

static void callback_spawns(void)
{
	struct hilo_task *task;

	spawn();
	task = hilo__deque_pop(&loops[1].deque);
	if (task)
		task_runs(task);
}

static void ends(void)
{
	task_runs(running);
}

/* ---- T2 ---- */

/* No more than the count of it. */
static void ends_another(void)
{
	(void)add_relaxed(&ended, 1); /* relaxed: ordered by the next line */
	loop_count_end(&loops[2]);
	loop_tell_end(&loops[2]);
}

static void serves(void)
{
	for (;;) {
		struct link *link = hilo__inbox_take_fifo(&loops[2].inbox);

		if (link)
			task_runs(hilo__link_task(link));
		else if (load_acquire(&stopped))
			break;
		else
			cpu_relax();
	}
	store_release(&left, 1); /* read with acquire by T0 */
}

/* The runtime lives as long as this task, which lasts until T1 is counted. */
static void ends_and_serves(void)
{
	while (!load_acquire(&runtime.submitted) && !load_acquire(&made))
		cpu_relax();
	task_runs(running);
	serves();
}

/* What T1 has spawned, if it was allowed to. */
static void steals(void)
{
	struct hilo_task *task;

	while (!load_acquire(&made))
		cpu_relax();
	if (hilo__deque_steal(&loops[1].deque, &task) == 0)
		task_runs(task);
}

static const struct explore_model models[] = {
	EXPLORE_MODEL("closing_submit", "T0 closes; T1 submits; T2 runs what comes", setup_submit, finish,
		      closes, submits, serves),
	EXPLORE_MODEL_LONG(2, "closing_free",
			   "T0 closes, frees the runtime; T1 submits; T2 ends a task, runs what comes",
			   setup_submit_running, finish, closes_for_good, submits, ends_and_serves),
	EXPLORE_MODEL("closing_spawn",
		      "T0 closes; T1 spawns from a task, ends that; T2 steals and ends the other",
		      setup_spawn, finish, closes, spawns_and_ends, steals),
	EXPLORE_MODEL("closing_quiet", "T0 closes; T1, T2 end a task each", setup_closing, finish,
		      closes_woken, ends, ends_another),
	EXPLORE_MODEL("closing_callback", "T0 closes; T1 spawns from a callback, runs that", setup_callback,
		      finish, closes, callback_spawns),
};

int main(int argc, char **argv)
{
	return explore_main(argc, argv, models, array_size(models));
}
