/* SPDX-License-Identifier: MIT */
/*
 * model_sleep.c - a worker's sleep against those who post to it: the shipped search.c, the posting half
 * of task.c, the draining half of worker.c, inbox and ring.
 *
 * The poller is an event that stays set until the next wait (an eventfd), and never times out: what
 * comes from outside must not rely on ticks. Checked: no task is left lying while the worker sleeps;
 * a stop is seen; whoever posts may be the last to touch the loop.
 */
#include <limits.h>

#include "scheduler/worker.h"
#include "tests/explore/waiting.h"

#define TASKS_MAX 4

static struct hilo_runtime runtime;
static struct hilo_loop *loop_places[EXPLORE_THREADS];
static struct hilo_task posted[EXPLORE_THREADS][TASKS_MAX];
static unsigned posted_count[EXPLORE_THREADS];
static struct sighting sightings[EXPLORE_THREADS][EXPLORE_THREADS];
static struct sighting spare_seen[EXPLORE_THREADS];
static unsigned taken;
static uint64_t cycles[EXPLORE_THREADS];

/* ---- what search.c and its like call ---- */

bool hilo__stack_trim_some(int64_t now)
{
	(void)now;
	return false;
}

int64_t hilo__stack_trim_due(void)
{
	return INT64_MAX;
}

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

int64_t hilo__proc_thread_cpu(const struct proc_thread *thread)
{
	(void)thread;
	return 0;
}

bool hilo__proc_thread_sleeps(const struct proc_thread *thread)
{
	(void)thread;
	return false; /* nobody naps to look again */
}

static unsigned added;

void hilo__scheduler_add_spare(struct hilo_runtime *growing)
{
	(void)growing;
	added++;
}

int hilo__poller_wait(struct poller *poller, hilo_time deadline)
{
	(void)poller;
	(void)deadline;
	explore_park();
	return 0;
}

int hilo__poller_reap(struct poller *poller, unsigned max, enum poll_reaper reaper)
{
	(void)poller;
	(void)max;
	(void)reaper;
	return 0;
}

bool hilo__poller_has_news(const struct poller *poller)
{
	(void)poller;
	return false;
}

void hilo__poller_wake(struct poller *poller)
{
	struct hilo_loop *loop = container_of(poller, struct hilo_loop, poller);

	explore_unpark((unsigned)(loop - loops));
}

/* ---- the scenario ---- */

/* A callback; a payload without any order of its own, so that two at a time, or unordered, are a race. */
static struct call calls[3];
static unsigned called;

static void call_run(struct call *call)
{
	EXPLORE_CHECK(threads[explore_self()].calling == &loops[0]);
	EXPLORE_CHECK(plain_load(&called) == (unsigned)(call - calls));
	plain_store(&called, (unsigned)(call - calls) + 1);
	if (call == &calls[0])
		hilo__loop_call(&loops[0], &calls[1]);
}

static void loop_setup(unsigned i)
{
	struct hilo_loop *loop = &loops[i];

	memset(loop, 0, sizeof(*loop));
	loop->runtime = &runtime;
	loop->index = i;
	loop->host = loop;
	loop->sleeps_until = HILO_FOREVER;
	hilo__inbox_init(&loop->inbox);
	hilo__inbox_init(&loop->backlog);
	hilo__inbox_init(&loop->fresh);
	hilo__inbox_init(&loop->starved);
	queue_init(&loop->pinned);
	queue_init(&loop->calls);
	hilo__deque_init(&loop->deque);
	hilo__ring_init(&loop->ring);
	loop->timers.next = HILO_FOREVER;
	loop_places[i] = loop;
}

/* @workers, T0 and perhaps T1, and the spare one, which sleeps through the model. */
static void setup_workers(unsigned workers)
{
	waiting_reset(EXPLORE_THREADS, 0xe);
	memset(&runtime, 0, sizeof(runtime));
	runtime.workers = workers;
	runtime.limit = runtime.all = workers + 1;
	runtime.loops = loop_places;
	for (unsigned i = 0; i <= workers; i++) {
		loop_setup(i);
		loops[i].sightings = sightings[i];
	}
	memset(sightings, 0, sizeof(sightings));
	memset(spare_seen, 0, sizeof(spare_seen));
	runtime.spare_seen = spare_seen;
	loops[workers].park = PARK_SLEEPING;
	runtime.idle.duty = workers + 1;
	runtime.idle.spare_ticking = 1;
	memset(posted, 0, sizeof(posted));
	memset(posted_count, 0, sizeof(posted_count));
	memset(cycles, 0, sizeof(cycles));
	taken = 0;
	called = 0;
	for (unsigned i = 0; i < array_size(calls); i++)
		calls[i].run = call_run;
}

static void setup(void)
{
	setup_workers(1);
}

static void setup_two(void)
{
	setup_workers(2);
}

static void setup_calls(void)
{
	setup_workers(1);
	threads[1].loop = &loops[1];
	runtime.idle.searching = 1; /* somebody else searches, and watches */
	runtime.idle.watcher = 2;
	runtime.idle.ticking = 1;
	(void)hilo__inbox_push(&loops[0].calls.inbox, &calls[0].link);
}

/* The worker T0 sleeps, the spare one T1 is on duty and about to sleep for good, the spare one T2 does so. */
static void setup_duty(void)
{
	setup_workers(2);
	runtime.workers = 1;
	added = 0;
	for (unsigned i = 0; i <= 2; i++) {
		threads[i].loop = &loops[i];
		loops[i].host = &loops[0];
		loops[i].spare = i > 0;
		loops[i].slept = true;
		loops[i].idle_ticks = UINT_MAX - 8;
	}
	loops[0].park = PARK_SLEEPING;
	loops[2].park = PARK_SLEEPING;
	runtime.idle.duty = 2;
}

/* The same, but T2 is about to as well. */
static void setup_leave(void)
{
	setup_duty();
	loops[2].park = PARK_RUNNING;
}

static void finish(void)
{
	EXPLORE_CHECK(loops[0].visitors == 0);
}

static bool calls_remain(void)
{
	return called != 2 || loops[0].calling != 0 || !queue_is_empty(&loops[0].calls);
}

static bool work_remains(void)
{
	return loops[0].inbox.head != NULL || !queue_is_empty(&loops[0].pinned) ||
	       runtime.phase == PHASE_STOPPED;
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
	struct link *link;

	loop->countdown = 8;
	hilo__worker_drain(loop);
	while ((task = hilo__ring_pop(&loop->ring)) != NULL)
		task_take(task);
	while ((link = hilo__queue_take(&loop->pinned)) != NULL)
		task_take(hilo__link_task(link));
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

/* The owner, for ever: at the end it sleeps for good, which it must not do over a callback. */
static void worker_calls(void)
{
	struct thread *self = thread_self();
	struct hilo_loop *loop = self->loop;

	self->task = NULL;
	for (;;) {
		loop->countdown = 8;
		hilo__loop_run_calls(self, loop);
		EXPLORE_CHECK(hilo__worker_search(loop) == NULL);
	}
}

/* A worker that has seen the owner held, and looks once. */
static void stands_in(void)
{
	struct thread *self = thread_self();

	self->task = NULL;
	hilo__loop_run_calls(self, &loops[0]);
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

/* A spare one with nothing to do, for ever. */
static void spare_idles(void)
{
	struct hilo_loop *loop = &loops[explore_self()];

	for (;;) {
		loop->countdown = 8;
		EXPLORE_CHECK(hilo__worker_search(loop) == NULL);
	}
}

/* Wakes, or has found something as a spare one, and runs it for ever. */
static void wakes_and_runs(void)
{
	struct hilo_loop *loop = &loops[explore_self()];

	(void)xchg_seq_cst(&loop->park, PARK_RUNNING); /* P3 of search.c, as worker_sleep */
	hilo__worker_awake(loop);
}

static void worker_sleeps_on(void)
{
}

/* Somebody runs, and nobody would see that it is held. */
static bool nobody_on_duty(void)
{
	uint32_t duty = runtime.idle.duty;
	bool runs = false;

	for (unsigned i = 0; i <= 2; i++)
		runs |= loops[i].park == PARK_RUNNING;
	if (!runs || added)
		return false;
	return !duty || loops[duty - 1].park != PARK_SLEEPING || !runtime.idle.spare_ticking;
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
	post(&loops[0].pinned.inbox);
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
	{
		.name = "sleep_post_three",
		.operations = "T0 runs 3 tasks, asleep in between; T1 posts 2, T2 one",
		.setup = setup,
		.finish = finish,
		.work_remains = work_remains,
		.threads = 3,
		.thread = {worker_three, poster_two, poster_one},
		.is_long = true,
	},
	SLEEP_MODEL("sleep_pinned", "T0 runs 2 tasks; T1 posts a pinned one, T2 another", finish, worker_two,
		    poster_pinned, poster_one),
	SLEEP_MODEL("sleep_stop", "T0 works until stopped; T1 posts; T2 stops", finish, worker_until_stopped,
		    poster_one, stopper),
	{
		.name = "sleep_calls",
		.operations = "T0 has a callback, runs those that come, asleep in between; T1 stands in for "
			      "it once; T2 posts one",
		.setup = setup_calls,
		.work_remains = calls_remain,
		.threads = 2,
		.thread = {worker_calls, stands_in},
		.pauses_end = true,
	},
	SLEEP_MODEL("sleep_fini", "T0 runs 2 tasks, then frees the loop; T1, T2 post one each", NULL,
		    worker_then_fini, poster_one, poster_one),
	{
		.name = "sleep_watch",
		.is_long = true,
		.operations = "T2 posts a task to T0; T0 or T1 gets stuck in it, the other one idles",
		.setup = setup_two,
		.work_remains = nobody_watches,
		.threads = 3,
		.thread = {worker_gets_stuck, worker_gets_stuck, poster_one},
		.pauses_end = true,
	},
	{
		.name = "sleep_duty",
		.operations = "T0 wakes and runs something; T1, the spare one on duty, goes to sleep",
		.setup = setup_duty,
		.work_remains = nobody_on_duty,
		.threads = 2,
		.thread = {wakes_and_runs, spare_idles},
		.pauses_end = true,
	},
	{
		.name = "sleep_duty_leave",
		.operations = "T1, the spare one on duty, has found something and runs it; T2, another one, "
			      "goes to sleep; T0 sleeps",
		.setup = setup_leave,
		.work_remains = nobody_on_duty,
		.threads = 3,
		.thread = {worker_sleeps_on, wakes_and_runs, spare_idles},
		.pauses_end = true,
	},
};

int main(int argc, char **argv)
{
	return explore_main(argc, argv, models, array_size(models));
}
