/* SPDX-License-Identifier: MIT */
/*
 * stress_sleeper.c - tasks that call sleep(2) as any program does, while a hundred others wait on the
 * same loops for data from sockets, which comes meanwhile. A thread in a system call is left alone: the
 * call lasts its full time and leaves errno as it was; and all hundred have their data before it is over,
 * whether another worker is idle or all of them sleep. All runtimes run at the same time.
 */
#include "tests/support/test.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "scheduler/base/proc.h"

#define RECEIVES 100
#define SECONDS 2
#define SLEEPERS 2
#define MARK 4711 /* no errno has this value */

struct world;

struct receive {
	struct world *world;
	int fds[2];
	hilo_task *task;
};

/* One runtime. */
struct world {
	unsigned workers, sleepers;
	bool pinned; /* the tasks that receive are on the loops of those that sleep */
	hilo_runtime *runtime;
	struct receive receive[RECEIVES];
	hilo_task *sleeper[SLEEPERS];
	struct proc_thread proc[SLEEPERS]; /* the threads that sleep */
	pthread_t sender;
	atomic(unsigned) waiting, asleep, received, awake;
};

static int receive_main(void *arg)
{
	struct receive *receive = arg;
	struct world *world = receive->world;
	char byte;

	(void)add_release(&world->waiting, 1);
	TASK_CHECK(hilo_fd_wait(receive->fds[0], HILO_READABLE, HILO_FOREVER), ==, HILO_READABLE);
	TASK_CHECK(recv(receive->fds[0], &byte, 1, MSG_DONTWAIT), ==, 1);
	TASK_CHECK(load_acquire(&world->awake), ==, 0); /* nobody has been woken yet */
	(void)add_release(&world->received, 1);
	return 0;
}

/* All wait, each in its descriptor: state and all. */
static bool all_wait(struct world *world)
{
	if (load_acquire(&world->waiting) < RECEIVES)
		return false;
	for (int i = 0; i < RECEIVES; i++)
		if (hilo_task_get_state(world->receive[i].task) != HILO_TASK_SUSPENDED)
			return false;
	return true;
}

static int sleeper_main(void *arg)
{
	struct world *world = arg;
	hilo_time begin;
	unsigned left;

	TEST_UNTIL(all_wait(world));
	hilo__proc_thread_init(&world->proc[add_release(&world->asleep, 1)]);
	begin = hilo_now();
	test_errno_set(MARK);
	left = sleep(SECONDS);
	TASK_CHECK(test_errno_get(), ==, MARK);
	TASK_CHECK(left, ==, 0);
	TASK_CHECK(hilo_now() - begin, >=, SECONDS * HILO_SECOND);
	TASK_CHECK(load_acquire(&world->received), ==, RECEIVES);
	(void)add_release(&world->awake, 1);
	return 0;
}

/* A plain thread: once all sleep, in the kernel, all data comes. */
static void *sender_main(void *arg)
{
	struct world *world = arg;

	TEST_UNTIL(load_acquire(&world->asleep) == world->sleepers);
	for (unsigned i = 0; i < world->sleepers; i++)
		TEST_UNTIL(hilo__proc_thread_cpu(&world->proc[i]) >= 0 &&
			   test_thread_blocks(&world->proc[i]));
	for (int i = 0; i < RECEIVES; i++)
		TASK_CHECK(send(world->receive[i].fds[1], "x", 1, 0), ==, 1);
	return NULL;
}

static void world_begin(struct world *world)
{
	hilo_opts opts = {.size = sizeof(opts), .workers = world->workers};
	hilo_task_opts pinned = {.size = sizeof(pinned), .flags = HILO_TASK_PINNED};

	TASK_CHECK(hilo_runtime_new(&opts, &world->runtime), ==, 0);
	for (unsigned i = 0; i < RECEIVES; i++) {
		struct receive *receive = &world->receive[i];

		receive->world = world;
		TASK_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, receive->fds), ==, 0);
		pinned.loop = hilo_runtime_loop(world->runtime, i % world->sleepers);
		TASK_CHECK(hilo_submit(world->runtime, receive_main, receive, world->pinned ? &pinned : NULL,
				       &receive->task),
			   ==, 0);
	}
	for (unsigned i = 0; i < world->sleepers; i++) {
		pinned.loop = hilo_runtime_loop(world->runtime, i);
		TASK_CHECK(hilo_submit(world->runtime, sleeper_main, world, &pinned, &world->sleeper[i]), ==,
			   0);
	}
	TASK_CHECK(pthread_create(&world->sender, NULL, sender_main, world), ==, 0);
}

static void world_end(struct world *world)
{
	for (unsigned i = 0; i < world->sleepers; i++)
		TASK_CHECK(hilo_join(world->sleeper[i], HILO_FOREVER), ==, 0);
	for (int i = 0; i < RECEIVES; i++) {
		TASK_CHECK(hilo_join(world->receive[i].task, HILO_FOREVER), ==, 0);
		(void)close(world->receive[i].fds[0]);
		(void)close(world->receive[i].fds[1]);
	}
	TASK_CHECK(pthread_join(world->sender, NULL), ==, 0);
	TASK_CHECK(hilo_runtime_free(world->runtime), ==, 0);
}

int main(void)
{
	static struct world worlds[] = {
		{.workers = 1, .sleepers = 1, .pinned = true},
		{.workers = 2, .sleepers = 1, .pinned = true},
		{.workers = 2, .sleepers = 2, .pinned = true},
		{.workers = 2, .sleepers = 2, .pinned = false},
	};

	test_begin();
	for (size_t i = 0; i < array_size(worlds); i++)
		world_begin(&worlds[i]);
	for (size_t i = 0; i < array_size(worlds); i++)
		world_end(&worlds[i]);
	return 0;
}
