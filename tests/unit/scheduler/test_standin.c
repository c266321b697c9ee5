/* SPDX-License-Identifier: MIT */
/*
 * Who stands in for a held loop, what is taken from it, and until when. The loops have no threads: each
 * test says itself what a thread has done or not done. That work is served at all, by real threads, is
 * what runtime/test_starvation.c and stress_standin.c show. So are searches counted here, and nobody sleeps.
 */
#include "tests/support/test.h"

#include <string.h>

#include "scheduler/base/clock.h"
#include "scheduler/fork.h"
#include "scheduler/spare.h"
#include "scheduler/standin.h"

#define WORKERS 3
#define LATER (1000 * HILO_SECOND)

static hilo_runtime *runtime;
static struct hilo_loop *held, *worker, *other, *spare;
static struct hilo_task tasks[64];
static unsigned fired;

static int setup(void **state)
{
	hilo_opts opts = {.size = sizeof(opts), .workers = WORKERS, .flags = HILO_NO_SPIN};

	(void)state;
	hilo__scheduler_threadless = true;
	assert_int_equal(hilo_runtime_new(&opts, &runtime), 0);
	hilo__scheduler_threadless = false;
	held = runtime->loops[0];
	worker = runtime->loops[1];
	other = runtime->loops[2];
	spare = runtime->loops[WORKERS];
	memset(tasks, 0, sizeof(tasks));
	fired = 0;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	return hilo_runtime_free(runtime);
}

static void timer_fired(struct timer *timer)
{
	(void)timer;
	fired++;
}

/* What its thread does in each turn. */
static void makes_a_turn(struct hilo_loop *loop)
{
	store_relaxed(&loop->turns, load_relaxed(&loop->turns) + 1);
	loop->turn_cycles = cycles_now();
}

static void serves(struct hilo_loop *loop)
{
	makes_a_turn(loop);
	loop->serve_cycles = 0;
	hilo__standin_serve(loop);
}

static void stands_in(struct hilo_loop *loop)
{
	hilo__stand_in(loop, held, cycles_now());
}

static void assert_stands_in(struct hilo_loop *loop)
{
	assert_int_equal(load_relaxed(&held->standin), loop ? loop->index + 1 : 0);
}

static void test_all_that_waits_is_taken(void **state)
{
	struct call call = {0};
	struct timer timer;
	struct link *link;

	(void)state;
	timer_init(&timer, timer_fired);
	hilo__timer_add(&held->timers, &timer, 1);
	store_relaxed(&held->slot, &tasks[0]);
	hilo__inbox_fill(&held->backlog, hilo__task_link(&tasks[1]));
	(void)hilo__inbox_push(&held->inbox, hilo__task_link(&tasks[2]));
	(void)hilo__inbox_push(&held->pinned.inbox, hilo__task_link(&tasks[3]));
	(void)hilo__inbox_push(&held->starved, hilo__task_link(&tasks[4]));
	hilo__inbox_fill(&held->fresh, hilo__task_link(&tasks[5]));
	hilo__loop_call(held, &call);
	stands_in(worker);
	stands_in(worker);
	assert_int_equal(fired, 1);
	/* The slot first; then the backlog, which has waited longer, and at the next look the inbox. */
	for (int i = 0; i < 3; i++)
		assert_ptr_equal(hilo__ring_pop(&worker->ring), &tasks[i]);
	assert_null(hilo__ring_pop(&worker->ring));
	link = hilo__queue_take(&worker->pinned);
	assert_ptr_equal(link, hilo__task_link(&tasks[3]));
	assert_ptr_equal(hilo__inbox_take_all(&worker->starved), hilo__task_link(&tasks[4]));
	assert_ptr_equal(hilo__inbox_take_all(&worker->fresh), hilo__task_link(&tasks[5]));
	assert_ptr_equal(worker->held, held); /* it has a callback */
	worker->held = NULL;
	assert_true(hilo__loop_uncall(held, &call));
	assert_false(hilo__standin_finds(held));
}

/* What the stand-in has not come to itself must not be overwritten. */
static void test_lists_wait_for_a_place(void **state)
{
	(void)state;
	hilo__inbox_fill(&held->backlog, hilo__task_link(&tasks[0]));
	hilo__inbox_fill(&held->fresh, hilo__task_link(&tasks[1]));
	hilo__inbox_fill(&worker->backlog, hilo__task_link(&tasks[2]));
	hilo__inbox_fill(&worker->fresh, hilo__task_link(&tasks[3]));
	stands_in(worker);
	assert_ptr_equal(hilo__inbox_take_all(&held->backlog), hilo__task_link(&tasks[0]));
	assert_ptr_equal(hilo__inbox_take_all(&held->fresh), hilo__task_link(&tasks[1]));
	assert_ptr_equal(hilo__inbox_take_all(&worker->backlog), hilo__task_link(&tasks[2]));
	assert_ptr_equal(hilo__inbox_take_all(&worker->fresh), hilo__task_link(&tasks[3]));
}

static void test_until_the_loop_makes_a_turn(void **state)
{
	(void)state;
	stands_in(worker);
	assert_stands_in(worker);
	(void)hilo__inbox_push(&held->inbox, hilo__task_link(&tasks[0]));
	serves(worker);
	assert_true(worker->standing);
	assert_ptr_equal(hilo__ring_pop(&worker->ring), &tasks[0]);

	makes_a_turn(held);
	/* Looks for other reasons must not hide that it has. */
	hilo__sighting_update(&worker->sightings[held->index], held, cycles_now());
	(void)hilo__inbox_push(&held->inbox, hilo__task_link(&tasks[1]));
	serves(worker);
	assert_false(worker->standing);
	assert_stands_in(NULL);
	assert_null(hilo__ring_pop(&worker->ring));
	assert_ptr_equal(hilo__inbox_take_all(&held->inbox), hilo__task_link(&tasks[1]));
}

static void test_until_the_loop_sleeps(void **state)
{
	(void)state;
	stands_in(spare);
	store_relaxed(&held->park, PARK_SLEEPING);
	serves(spare);
	assert_false(spare->standing);
	assert_stands_in(NULL);
}

/* With work of its own it takes from ring and deque now and then only, else at each look. */
static void test_bulk_is_taken_now_and_then(void **state)
{
	unsigned looks = 0;

	(void)state;
	stands_in(worker);
	for (int i = 0; i < 32; i++)
		assert_int_equal(hilo__deque_push(&held->deque, &tasks[i]), 0);
	loop_push_ring(worker, &tasks[32]);
	while (hilo__deque_size(&held->deque) == 32) {
		serves(worker);
		looks++;
	}
	assert_in_range(looks, 1, 4);
	while (hilo__ring_pop(&worker->ring) || hilo__deque_pop(&worker->deque))
		continue;
	serves(worker);
	assert_true(hilo__ring_size(&worker->ring) + hilo__deque_size(&worker->deque) > 0);
}

static void test_its_timers_bound_the_sleep(void **state)
{
	hilo_time when = hilo__clock_now() + LATER;
	struct timer timer, sooner;

	(void)state;
	timer_init(&timer, timer_fired);
	timer_init(&sooner, timer_fired);
	stands_in(spare);
	assert_true(hilo__standin_next(spare) == HILO_FOREVER);
	hilo__timer_add(&held->timers, &timer, when);
	hilo__timer_add(&held->timers, &sooner, when - HILO_SECOND);
	assert_true(hilo__standin_next(spare) == when - HILO_SECOND);
	assert_true(hilo__timer_del(&held->timers, &sooner));
	assert_true(hilo__standin_next(spare) == when);
	makes_a_turn(held);
	assert_true(hilo__standin_next(spare) == HILO_FOREVER);
	assert_true(hilo__timer_del(&held->timers, &timer));
}

/* Who sleeps while it stands in is woken for a timer that is armed now. */
static void test_a_sleeping_stand_in_is_told_of_timers(void **state)
{
	(void)state;
	stands_in(worker);
	store_relaxed(&worker->park, PARK_SLEEPING);
	hilo__standin_armed(spare, held);
	assert_int_equal(load_relaxed(&worker->park), PARK_NOTIFIED);
	/* The stand-in itself sees it before it sleeps. */
	store_relaxed(&worker->park, PARK_SLEEPING);
	hilo__standin_armed(worker, held);
	assert_int_equal(load_relaxed(&worker->park), PARK_SLEEPING);
}

/* Tasks on a spare worker wait on the wheel of the worker that it stood in for last. */
static void test_host_of_a_spare_worker(void **state)
{
	(void)state;
	assert_ptr_equal(worker->host, worker);
	hilo__stand_in(spare, other, cycles_now());
	assert_ptr_equal(spare->host, other);
	stands_in(spare);
	assert_ptr_equal(spare->host, held);
	stands_in(worker);
	assert_ptr_equal(worker->host, worker);
}

static void test_a_worker_is_preferred_to_a_spare_one(void **state)
{
	(void)state;
	stands_in(spare);
	assert_stands_in(spare);
	stands_in(worker);
	assert_stands_in(worker);
	serves(spare);
	assert_false(spare->standing);
	assert_stands_in(worker);
}

/* Two idle workers do not take it from each other, unless one of them is held in turn. */
static void test_a_worker_leaves_it_to_a_worker(void **state)
{
	struct sighting *seen = &other->sightings[worker->index];
	uint64_t now;

	(void)state;
	stands_in(worker);
	makes_a_turn(worker);
	(void)hilo__inbox_push(&held->inbox, hilo__task_link(&tasks[0]));
	stands_in(other);
	assert_stands_in(worker);
	assert_false(other->standing);
	assert_ptr_equal(hilo__ring_pop(&other->ring), &tasks[0]); /* what is there is taken all the same */

	now = cycles_now();
	hilo__sighting_update(seen, worker, now);
	hilo__stand_in(other, held, now + 2 * HELD_US * hilo__cycles_per_us());
	assert_stands_in(other);
	assert_true(other->standing);
}

/* As it is after some looks of spare workers. */
static void is_found_held(struct hilo_loop *loop, bool is_held)
{
	struct sighting *seen = &runtime->spare_seen[loop->index];

	hilo__sighting_update(seen, loop, cycles_now());
	seen->is_held = is_held;
	seen->cpu = SIGHTING_NO_CPU; /* the next look asks for that, and decides nothing */
}

static void all_are_found(bool held_is, bool worker_is)
{
	is_found_held(held, held_is);
	is_found_held(worker, worker_is);
	is_found_held(other, false);
}

static void test_a_spare_one_takes_over_from_who_is_held(void **state)
{
	(void)state;
	stands_in(worker);
	(void)hilo__inbox_push(&held->inbox, hilo__task_link(&tasks[0]));
	all_are_found(true, false);
	assert_null(hilo__spare_search(spare));
	assert_stands_in(worker);
	assert_null(hilo__ring_pop(&spare->ring));

	all_are_found(true, true);
	assert_null(hilo__spare_search(spare));
	assert_stands_in(spare);
	assert_ptr_equal(hilo__ring_pop(&spare->ring), &tasks[0]);

	/* Not for one that has nothing, nor for one that is not held. */
	store_relaxed(&held->standin, 0);
	all_are_found(true, false);
	assert_null(hilo__spare_search(spare));
	assert_stands_in(NULL);
	(void)hilo__inbox_push(&held->inbox, hilo__task_link(&tasks[0]));
	all_are_found(false, false);
	assert_null(hilo__spare_search(spare));
	assert_stands_in(NULL);
	assert_ptr_equal(hilo__inbox_take_all(&held->inbox), hilo__task_link(&tasks[0]));
}

/* A task of @loop is in the region @forks; NULL: none is. */
static void forks_in(struct hilo_loop *loop, struct forks *forks)
{
	static struct fiber fiber;

	store_release(&fiber.forks, forks); /* as hilo__fork_attach */
	store_release(&tasks[0].fiber, &fiber);
	store_release(&loop->current, forks ? &tasks[0] : NULL);
}

/* A search in which nobody is found held. Who forks is asked to give way: the answer. */
static bool search_asks(struct forks *forks)
{
	hilo__forks_open(forks, runtime, 0, NULL);
	all_are_found(false, false);
	assert_null(hilo__spare_search(spare));
	return load_relaxed(&forks->limit) == NULL && load_relaxed(&forks->floor) == FORK_EVERY;
}

/* Where something waits the task is to give way, and the spare one ticks each millisecond while somebody forks. */
static void test_a_spare_one_has_who_forks_give_way(void **state)
{
	struct forks *forks = hilo__forks_get(held);

	(void)state;
	assert_non_null(forks);
	assert_false(search_asks(forks));
	assert_int_equal(spare->forking, 0);
	forks_in(held, forks);
	assert_false(search_asks(forks)); /* nothing waits there */
	assert_false(load_relaxed(&held->turn_called));
	assert_true(spare->forking > 0);
	(void)hilo__inbox_push(&held->inbox, hilo__task_link(&tasks[1]));
	assert_true(search_asks(forks));
	assert_true(load_relaxed(&held->turn_called));
	assert_false(load_relaxed(&worker->turn_called));
	assert_ptr_equal(hilo__inbox_take_all(&held->inbox), hilo__task_link(&tasks[1]));
	forks_in(held, NULL);
	hilo__forks_put(held, forks);
}

/* It gives way, so another one may run when the spare one looks: that one goes on ticking for as many searches. */
static void test_a_spare_one_goes_on_looking_for_who_forks(void **state)
{
	struct forks *forks = hilo__forks_get(held);
	unsigned most;

	(void)state;
	assert_non_null(forks);
	forks_in(held, forks);
	(void)search_asks(forks);
	most = spare->forking;
	assert_true(most > 1);
	forks_in(held, NULL);
	for (unsigned left = most - 1; left > most / 2; left--) {
		(void)search_asks(forks);
		assert_int_equal(spare->forking, left);
	}
	/* Whichever loop somebody forks on again, it begins anew; and it ends. */
	forks_in(other, forks);
	for (int i = 0; i < 3; i++) {
		(void)search_asks(forks);
		assert_int_equal(spare->forking, most);
	}
	forks_in(other, NULL);
	for (unsigned left = most; left > 0; left--) {
		assert_int_equal(spare->forking, left);
		(void)search_asks(forks);
	}
	assert_int_equal(spare->forking, 0);
	(void)search_asks(forks);
	assert_int_equal(spare->forking, 0);
	hilo__forks_put(held, forks);
}

static void gives_back(void)
{
	makes_a_turn(spare);
	spare->relief_cycles = 0;
	hilo__spare_turn(spare);
}

static void test_a_spare_one_gives_back(void **state)
{
	(void)state;
	loop_push_ring(spare, &tasks[0]);
	gives_back(); /* a first look, which only compares with an old one */
	gives_back();
	assert_int_equal(hilo__ring_size(&spare->ring), 1); /* nobody moves */
	makes_a_turn(worker);
	gives_back();
	assert_int_equal(hilo__ring_size(&spare->ring), 0);
	assert_ptr_equal(hilo__inbox_take_all(&worker->inbox), hilo__task_link(&tasks[0]));

	/* Rather to one that sleeps; not to one that has not come to what it was given before. */
	loop_push_ring(spare, &tasks[1]);
	store_relaxed(&other->park, PARK_SLEEPING);
	makes_a_turn(worker);
	gives_back();
	assert_int_equal(load_relaxed(&other->park), PARK_NOTIFIED);
	loop_push_ring(spare, &tasks[2]);
	makes_a_turn(other);
	gives_back();
	assert_int_equal(hilo__ring_size(&spare->ring), 1);
	assert_ptr_equal(hilo__inbox_take_all(&other->inbox), hilo__task_link(&tasks[1]));
	assert_ptr_equal(hilo__ring_pop(&spare->ring), &tasks[2]);
}

/* Fresh tasks go to who has few, and no more than some at a time. */
static void test_fresh_tasks_go_to_who_has_few(void **state)
{
	(void)state;
	for (int i = 0; i < 16; i++) {
		assert_int_equal(hilo__deque_push(&spare->deque, &tasks[i]), 0);
		assert_int_equal(hilo__deque_push(&worker->deque, &tasks[16 + i]), 0);
	}
	gives_back();
	makes_a_turn(worker);
	gives_back();
	assert_int_equal(hilo__deque_size(&spare->deque), 16);
	assert_ptr_equal(hilo__deque_pop(&worker->deque), &tasks[31]);
	makes_a_turn(worker);
	gives_back();
	assert_int_equal(hilo__deque_size(&spare->deque), 0);
	assert_non_null(hilo__inbox_take_all(&worker->inbox));
	while (hilo__deque_pop(&worker->deque))
		continue;
}

#define STANDIN_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		STANDIN_TEST(test_all_that_waits_is_taken),
		STANDIN_TEST(test_lists_wait_for_a_place),
		STANDIN_TEST(test_until_the_loop_makes_a_turn),
		STANDIN_TEST(test_until_the_loop_sleeps),
		STANDIN_TEST(test_bulk_is_taken_now_and_then),
		STANDIN_TEST(test_its_timers_bound_the_sleep),
		STANDIN_TEST(test_a_sleeping_stand_in_is_told_of_timers),
		STANDIN_TEST(test_host_of_a_spare_worker),
		STANDIN_TEST(test_a_worker_is_preferred_to_a_spare_one),
		STANDIN_TEST(test_a_worker_leaves_it_to_a_worker),
		STANDIN_TEST(test_a_spare_one_takes_over_from_who_is_held),
		STANDIN_TEST(test_a_spare_one_has_who_forks_give_way),
		STANDIN_TEST(test_a_spare_one_goes_on_looking_for_who_forks),
		STANDIN_TEST(test_a_spare_one_gives_back),
		STANDIN_TEST(test_fresh_tasks_go_to_who_has_few),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
