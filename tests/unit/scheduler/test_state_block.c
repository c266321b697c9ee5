/* SPDX-License-Identifier: MIT */
/* Another process finds the tasks of this one, and what they wait for, through the state block alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <hilo/hilo.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "scheduler/base/clock.h"
#include "scheduler/state_block.h"
#include "scheduler/wait.h"

/* Open the memory of the other process. Not process_vm_readv: qemu-user does not pass it on. */
static int memory_open(pid_t pid)
{
	char path[32];

	(void)snprintf(path, sizeof(path), "/proc/%d/mem", (int)pid);
	return open(path, O_RDONLY | O_CLOEXEC);
}

/* Read @size bytes at @from of the other process. */
static int peek(int memory, const void *from, void *to, size_t size)
{
	return pread(memory, to, size, (off_t)(uintptr_t)from) == (ssize_t)size ? 0 : -1;
}

static const char *peek_pointer(int memory, const void *base, uint32_t offset)
{
	const char *pointer = NULL;

	assert_int_equal(peek(memory, (const char *)base + offset, &pointer, sizeof(pointer)), 0);
	return pointer;
}

static uint32_t peek_u32(int memory, const void *base, uint32_t offset)
{
	uint32_t word = 0;

	assert_int_equal(peek(memory, (const char *)base + offset, &word, sizeof(word)), 0);
	return word;
}

static uint64_t peek_u64(int memory, const void *base, uint32_t offset)
{
	uint64_t word = 0;

	assert_int_equal(peek(memory, (const char *)base + offset, &word, sizeof(word)), 0);
	return word;
}

static int sleeper(void *arg)
{
	(void)arg;
	return hilo_sleep_until(HILO_FOREVER);
}

static int joiner(void *task)
{
	return hilo_await(task, HILO_FOREVER);
}

static int tell(void *fd, hilo_task *first, hilo_task *second)
{
	/* A task is suspended once what it waits for has been written down. */
	while (hilo_task_get_state(first) != HILO_TASK_SUSPENDED ||
	       hilo_task_get_state(second) != HILO_TASK_SUSPENDED)
		(void)hilo_sleep(HILO_MILLISECOND);
	return write(*(int *)fd, "x", 1) == 1 ? hilo_sleep_until(HILO_FOREVER) : -EIO;
}

static int child_main(void *fd)
{
	static const hilo_task_opts asleep = {.size = sizeof(asleep), .name = "the sleeper"};
	static const hilo_task_opts waits = {.size = sizeof(waits), .name = "the joiner"};
	hilo_task *first, *second;

	if (hilo_spawn_with(sleeper, NULL, &asleep, &first) < 0 ||
	    hilo_spawn_with(joiner, first, &waits, &second) < 0)
		return -ENOMEM;
	return tell(fd, first, second);
}

struct found {
	const void *sleeper;
	const void *waited_for;
	uint64_t since; /* the sleeper sleeps */
	unsigned tasks;
};

/* One record of the other process. */
static void look_at(int memory, const char *record, const void *runtime, struct found *found)
{
	const struct hilo_state_block *b = &hilo_state_block;
	const char *fiber, *name;
	char text[32] = "";

	if (peek_pointer(memory, record, b->task_runtime) != runtime ||
	    peek_u32(memory, record, b->task_done) & b->done_bit)
		return;
	found->tasks++;
	fiber = peek_pointer(memory, record, b->task_fiber);
	name = peek_pointer(memory, record, b->task_name);
	if (!name || peek(memory, name, text, 12) < 0)
		return;
	assert_non_null(fiber);
	if (strncmp(text, "the sleeper", 11) == 0) {
		found->sleeper = record;
		assert_int_equal(peek_u32(memory, fiber, b->fiber_wait_kind), WAIT_SLEEP);
		found->since = peek_u64(memory, fiber, b->fiber_wait_since);
	} else if (strncmp(text, "the joiner", 10) == 0) {
		found->waited_for = peek_pointer(memory, fiber, b->fiber_wait_object);
		assert_int_equal(peek_u32(memory, fiber, b->fiber_wait_kind), WAIT_TASK);
	}
}

static void walk(int memory, struct found *found)
{
	const struct hilo_state_block *b = &hilo_state_block;
	const char *runtime = peek_pointer(memory, b->runtimes, 0);
	const char *slab;

	assert_non_null(runtime);
	assert_int_equal(peek_u32(memory, runtime, b->runtime_workers), 2);
	assert_true(peek_u64(memory, b->cycle_scale, 0) > 0);
	for (slab = peek_pointer(memory, b->task_slabs, 0); slab;
	     slab = peek_pointer(memory, slab, b->slab_older)) {
		uint32_t carved = peek_u32(memory, slab, b->slab_carved);

		for (uint32_t i = 0; i < carved; i++)
			look_at(memory, slab + b->slab_header + (size_t)i * b->task_size, runtime, found);
	}
}

static void test_another_process_finds_tasks_and_what_they_wait_for(void **state)
{
	struct found found = {NULL, NULL, 0, 0};
	uint64_t before = hilo__cycles_raw();
	int fds[2], status, memory;
	char byte;
	pid_t pid;

	(void)state;
	assert_int_equal(hilo_state_block.magic, HILO_STATE_MAGIC);
	assert_int_equal(hilo_state_block.version, HILO_STATE_VERSION);
	assert_int_equal(hilo_state_block.size, sizeof(hilo_state_block));
	assert_int_equal(pipe(fds), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		static const hilo_opts opts = {.size = sizeof(opts), .workers = 2};

		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(hilo_run(child_main, &fds[1], &opts) < 0);
	}
	assert_int_equal(read(fds[0], &byte, 1), 1);
	memory = memory_open(pid);
	assert_true(memory >= 0);
	walk(memory, &found);
	(void)close(memory);
	(void)kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	(void)close(fds[0]);
	(void)close(fds[1]);
	assert_int_equal(found.tasks, 3);
	assert_non_null(found.sleeper);
	assert_in_range(found.since, before, hilo__cycles_raw());
	assert_ptr_equal(found.waited_for, found.sleeper);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_another_process_finds_tasks_and_what_they_wait_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
