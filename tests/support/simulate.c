/* SPDX-License-Identifier: MIT */
#include "tests/support/simulate.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "scheduler/base/clock.h"
#include "scheduler/base/sys.h"
#include "scheduler/worker.h"

static struct {
	atomic(int64_t) now; /* written by the worker's thread, and before it starts */
	atomic(uint64_t) jumps;
	hilo_runtime *runtime;
	hilo_task_fn main;
	void *arg;
	int result;
} simulation;

static struct sys_table machine;

static int64_t virtual_now(void *ctx)
{
	int64_t now = load_relaxed(&simulation.now);

	(void)ctx;
	/* Other threads only look: their looks come in no certain order. */
	if (thread_self()->loop)
		store_relaxed(&simulation.now, now + 1);
	return now;
}

static void dead_end(void)
{
	static const char text[] = "simulation: nothing is ready, and nothing ever will be:\n";

	(void)!write(STDERR_FILENO, text, sizeof(text) - 1);
	(void)hilo_runtime_dump(simulation.runtime, STDERR_FILENO);
	abort();
}

/* Instead of sleeping for so long. */
static int virtual_pwait2(int epfd, struct epoll_event *events, int max, const struct timespec *timeout)
{
	int n = machine.epoll_wait(epfd, events, max, 0);

	if (n || !timeout)
		return n;
	(void)add_relaxed(&simulation.now, (int64_t)timeout->tv_sec * HILO_SECOND + timeout->tv_nsec);
	(void)add_relaxed(&simulation.jumps, timeout->tv_sec || timeout->tv_nsec);
	return 0;
}

static int virtual_wait(int epfd, struct epoll_event *events, int max, int ms)
{
	struct timespec span = {ms / 1000, (long)(ms % 1000) * 1000000};
	int n = machine.epoll_wait(epfd, events, max, 0);

	if (n || ms == 0)
		return n;
	if (ms < 0)
		dead_end();
	return virtual_pwait2(epfd, events, max, &span);
}

static int no_thread(pthread_t *ret, const pthread_attr_t *attr, void *(*fn)(void *), void *arg)
{
	(void)ret, (void)attr, (void)fn, (void)arg;
	return -EAGAIN;
}

static void cancel_left(struct hilo_task *task, void *ctx)
{
	if (task != ctx)
		(void)hilo_task_cancel(task);
}

/* The first task: the program, then the end of all it has left, then of the worker. */
static int simulated_main(void *arg)
{
	hilo_runtime *runtime = simulation.runtime;

	(void)arg;
	simulation.result = simulation.main(simulation.arg);
	store_seq_cst(&runtime->phase, PHASE_CLOSING);
	(void)hilo_shield_enter();
	while (hilo__scheduler_live(runtime) > 1) {
		hilo__scheduler_foreach(runtime, cancel_left, hilo_task_current());
		(void)hilo_sleep(HILO_MILLISECOND);
	}
	(void)hilo_shield_leave();
	store_seq_cst(&runtime->phase, PHASE_STOPPED);
	return 0;
}

/* With @seed NULL there are no choices. */
static hilo_runtime *runtime_make(const uint64_t *seed)
{
	hilo_opts opts = {.size = sizeof(opts), .workers = 1, .flags = HILO_NO_SPIN};
	hilo_runtime *runtime = NULL;

	hilo__scheduler_threadless = true;
	assert_int_equal(hilo_runtime_new(&opts, &runtime), 0);
	hilo__scheduler_threadless = false;
	runtime->loops[0]->chaos = seed != NULL;
	random_init(&runtime->loops[0]->random, seed ? *seed : 0, 0);
	/* Loops without a thread look asleep for good: nobody wakes them, nobody waits for them. */
	for (unsigned i = 1; i < runtime->all; i++)
		store_relaxed(&runtime->loops[i]->park, PARK_SLEEPING);
	store_relaxed(&runtime->idle.spare_ticking, 1);
	return runtime;
}

static int simulate(const uint64_t *seed, hilo_task_fn main, void *arg)
{
	pthread_t thread;

	machine = hilo__sys;
	hilo__sys.epoll_wait = virtual_wait;
	hilo__sys.epoll_pwait2 = virtual_pwait2;
	hilo__sys.pthread_create = no_thread;
	hilo__stack_test.trim_period = -1;
	store_relaxed(&simulation.now, SIMULATE_BEGIN);
	store_relaxed(&simulation.jumps, 0);
	hilo__clock_set_source(virtual_now, NULL);
	simulation.main = main;
	simulation.arg = arg;
	simulation.runtime = runtime_make(seed);
	assert_int_equal(hilo_submit(simulation.runtime, simulated_main, NULL, NULL, NULL), 0);
	assert_int_equal(pthread_create(&thread, NULL, hilo__worker_main, simulation.runtime->loops[0]), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(hilo_runtime_free(simulation.runtime), 0);
	hilo__clock_set_source(NULL, NULL);
	hilo__stack_test.trim_period = 0;
	hilo__sys = machine;
	return simulation.result;
}

int test_simulate(uint64_t seed, hilo_task_fn main, void *arg)
{
	return simulate(&seed, main, arg);
}

int test_simulate_natural(hilo_task_fn main, void *arg)
{
	return simulate(NULL, main, arg);
}

uint64_t test_simulate_jumps(void)
{
	return load_relaxed(&simulation.jumps);
}
