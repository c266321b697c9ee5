/* SPDX-License-Identifier: MIT */
/*
 * model_sleep.c - a worker's sleep against those who post to it: the shipped search.c, the posting half
 * of task.c, the draining half of worker.c, inbox and ring.
 *
 * The poller is an event that stays set until the next wait (an eventfd), and never times out: what
 * comes from outside must not rely on ticks. Checked: no task is left lying while the worker sleeps;
 * a stop is seen; whoever posts may be the last to touch the loop.
 */
#include "scheduler/worker.h"
#include "tests/explore/waiting.h"

#define TASKS_MAX 4

static struct hilo_runtime runtime;
static struct hilo_loop *runtime_loops[EXPLORE_THREADS];
static struct hilo_task posted[EXPLORE_THREADS][TASKS_MAX];
static unsigned posted_count[EXPLORE_THREADS];
static struct sighting sightings[EXPLORE_THREADS][EXPLORE_THREADS];
static unsigned taken;
static uint64_t cycles[EXPLORE_THREADS];

/* ---- what search.c and its like call ---- */

void hilo__heap_flush(struct heap *heap)
{
	(void)heap;
}

uint64_t hilo__cycles_per_us(void)
{
	return 1000;
}

/* Each look at the clock takes a second: whoever spins for a while has spun enough. */
uint64_t cycles_now(void)
{
	return cycles[explore_self()] += 1000000000;
}

int hilo__poller_wait(struct poller *poller, hilo_time deadline)
{
	(void)poller;
	(void)deadline;
	explore_park();
	return 0;
}

int hilo__poller_reap(struct poller *poller, unsigned max)
{
	(void)poller;
	(void)max;
	return 0;
}

void hilo__poller_wake(struct poller *poller)
{
	struct hilo_loop *loop = container_of(poller, struct hilo_loop, poller);

	explore_unpark((unsigned)(loop - loops));
}

/* ---- the scenario ---- */

static void loop_setup(unsigned i)
{
	struct hilo_loop *loop = &loops[i];

	memset(loop, 0, sizeof(*loop));
	loop->runtime = &runtime;
	loop->index = i;
	loop->calls_last = &loop->calls_first;
	loop->pinned_last = &loop->pinned_first;
	loop->sleeps_until = HILO_FOREVER;
	hilo__inbox_init(&loop->inbox);
	hilo__inbox_init(&loop->backlog);
	hilo__inbox_init(&loop->fresh);
	hilo__inbox_init(&loop->pinned);
	hilo__inbox_init(&loop->calls);
	hilo__deque_init(&loop->deque);
	hilo__ring_init(&loop->ring);
	loop->timers.next = HILO_FOREVER;
	runtime_loops[i] = loop;
}

/* @workers, T0 and perhaps T1, and the spare one, which sleeps through the model. */
static void setup_workers(unsigned workers)
{
	waiting_reset(EXPLORE_THREADS, 0xe);
	memset(&runtime, 0, sizeof(runtime));
	runtime.workers = workers;
	runtime.all = workers + 1;
	runtime.loops = runtime_loops;
	for (unsigned i = 0; i <= workers; i++) {
		loop_setup(i);
		loops[i].sightings = sightings[i];
	}
	memset(sightings, 0, sizeof(sightings));
	loops[workers].park = PARK_SLEEPING;
	runtime.idle.spare_ticking = 1;
	memset(posted, 0, sizeof(posted));
	memset(posted_count, 0, sizeof(posted_count));
	memset(cycles, 0, sizeof(cycles));
	taken = 0;
}

static void setup(void)
{
	setup_workers(1);
}

static void setup_two(void)
{
	setup_workers(2);
}

static void finish(void)
{
	EXPLORE_CHECK(loops[0].visitors == 0);
}

static bool work_remains(void)
{
	return loops[0].inbox.head != NULL || loops[0].pinned.head != NULL || runtime.phase == PHASE_STOPPED;
}

static void task_take(struct hilo_task *task)
{
	EXPLORE_CHECK(plain_load(&task->arg) == task);
	plain_store(&task->arg, NULL);
	taken++;
}

static void worker_turn(struct hilo_loop *loop)
{
	struct hilo_task *task;

	loop->countdown = 8;
	hilo__worker_drain(loop);
	while ((task = hilo__ring_pop(&loop->ring)) != NULL)
		task_take(task);
	while (loop->pinned_first != NULL) {
		task = hilo__link_task(loop->pinned_first);
		loop->pinned_first = plain_load(&loop->pinned_first->next);
		if (loop->pinned_first == NULL)
			loop->pinned_last = &loop->pinned_first;
		task_take(task);
	}
}

static void worker_take(unsigned n)
{
	for (;;) {
		worker_turn(&loops[0]);
		if (taken >= n)
			break;
		EXPLORE_CHECK(hilo__worker_search(&loops[0]) == NULL);
	}
}

static void worker_two(void)
{
	worker_take(2);
}

static void worker_three(void)
{
	worker_take(3);
}

static void worker_until_stopped(void)
{
	while (load_acquire(&runtime.phase) != PHASE_STOPPED) {
		worker_turn(&loops[0]);
		(void)hilo__worker_search(&loops[0]);
	}
}

/* Takes a task, from outside or from the other worker, and is in it for ever. */
static void worker_gets_stuck(void)
{
	struct hilo_loop *loop = &loops[explore_self()];

	do {
		loop->countdown = 8;
		hilo__worker_drain(loop);
	} while (hilo__ring_pop(&loop->ring) == NULL && hilo__worker_search(loop) == NULL);
	if (loop->slept)
		hilo__worker_awake(loop);
}

/* I1 of idle.h: a worker runs, another sleeps, and nobody would look after what the first one queues. */
static bool nobody_watches(void)
{
	bool runs = loops[0].park == PARK_RUNNING || loops[1].park == PARK_RUNNING;
	bool sleeps = loops[0].park == PARK_SLEEPING || loops[1].park == PARK_SLEEPING;

	return work_remains() || (runs && sleeps && !runtime.idle.ticking);
}

static struct hilo_task *task_make(void)
{
	unsigned me = explore_self();
	struct hilo_task *task = &posted[me][posted_count[me]++];

	plain_store(&task->arg, task);
	return task;
}

static void post(struct inbox *inbox)
{
	hilo__loop_post(&loops[0], inbox, &task_make()->link);
}

static void poster_one(void)
{
	post(&loops[0].inbox);
}

static void poster_two(void)
{
	post(&loops[0].inbox);
	post(&loops[0].inbox);
}

static void poster_pinned(void)
{
	post(&loops[0].pinned);
}

/* What scheduler_join does. */
static void stopper(void)
{
	store_seq_cst(&runtime.phase, PHASE_STOPPED); /* P1 of idle.h */
	hilo__loop_notify(&loops[0]);
}

/* What hilo__loop_fini does first, when the worker is gone. */
static void worker_then_fini(void)
{
	worker_two();
	while (load_acquire(&loops[0].visitors))
		cpu_relax();
	explore_retire(&loops[0], sizeof(loops[0]));
}

#define SLEEP_MODEL(NAME, OPERATIONS, FINISH, ...)                                                           \
	{                                                                                                    \
		.name = NAME, .operations = OPERATIONS, .setup = setup, .finish = FINISH,                    \
		.work_remains = work_remains,                                                                \
		.threads = sizeof((void (*[])(void)){__VA_ARGS__}) / sizeof(void (*)(void)),                 \
		.thread = {__VA_ARGS__},                                                                     \
	}

static const struct explore_model models[] = {
	SLEEP_MODEL("sleep_post", "T0 runs 2 tasks, asleep in between; T1 posts 2", finish, worker_two,
		    poster_two),
	SLEEP_MODEL("sleep_post_two", "T0 runs 2 tasks, asleep in between; T1, T2 post one each", finish,
		    worker_two, poster_one, poster_one),
	SLEEP_MODEL("sleep_post_three", "T0 runs 3 tasks, asleep in between; T1 posts 2, T2 one", finish,
		    worker_three, poster_two, poster_one),
	SLEEP_MODEL("sleep_pinned", "T0 runs 2 tasks; T1 posts a pinned one, T2 another", finish, worker_two,
		    poster_pinned, poster_one),
	SLEEP_MODEL("sleep_stop", "T0 works until stopped; T1 posts; T2 stops", finish, worker_until_stopped,
		    poster_one, stopper),
	SLEEP_MODEL("sleep_fini", "T0 runs 2 tasks, then frees the loop; T1, T2 post one each", NULL,
		    worker_then_fini, poster_one, poster_one),
	{
		.name = "sleep_watch",
		.operations = "T2 posts a task to T0; T0 or T1 gets stuck in it, the other one idles",
		.setup = setup_two,
		.work_remains = nobody_watches,
		.threads = 3,
		.thread = {worker_gets_stuck, worker_gets_stuck, poster_one},
		.pauses_end = true,
	},
};

int main(int argc, char **argv)
{
	return explore_main(argc, argv, models, array_size(models));
}
