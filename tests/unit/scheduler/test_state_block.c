/* SPDX-License-Identifier: MIT */
/* Another process finds the tasks of this one, and what they wait for, through the state block alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <hilo/hilo.h>

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "scheduler/state_block.h"
#include "scheduler/wait.h"

/* Read @size bytes at @from of the other process. */
static int peek(pid_t pid, const void *from, void *to, size_t size)
{
	struct iovec mine = {to, size}, its = {(void *)(uintptr_t)from, size};

	return process_vm_readv(pid, &mine, 1, &its, 1, 0) == (ssize_t)size ? 0 : -1;
}

static const char *peek_pointer(pid_t pid, const void *base, uint32_t offset)
{
	const char *pointer = NULL;

	assert_int_equal(peek(pid, (const char *)base + offset, &pointer, sizeof(pointer)), 0);
	return pointer;
}

static uint32_t peek_u32(pid_t pid, const void *base, uint32_t offset)
{
	uint32_t word = 0;

	assert_int_equal(peek(pid, (const char *)base + offset, &word, sizeof(word)), 0);
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

static int tell(void *fd)
{
	(void)hilo_sleep(20 * HILO_MILLISECOND); /* both have had their turn: they were spawned before */
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
	return tell(fd);
}

struct found {
	const void *sleeper;
	const void *waited_for;
	unsigned tasks;
};

/* One record of the other process. */
static void look_at(pid_t pid, const char *record, const void *runtime, struct found *found)
{
	const struct hilo_state_block *b = &hilo_state_block;
	const char *fiber, *name;
	char text[32] = "";

	if (peek_pointer(pid, record, b->task_runtime) != runtime ||
	    peek_u32(pid, record, b->task_done) & b->done_bit)
		return;
	found->tasks++;
	fiber = peek_pointer(pid, record, b->task_fiber);
	name = peek_pointer(pid, record, b->task_name);
	if (!name || peek(pid, name, text, 12) < 0)
		return;
	assert_non_null(fiber);
	if (strncmp(text, "the sleeper", 11) == 0) {
		found->sleeper = record;
		assert_int_equal(peek_u32(pid, fiber, b->fiber_wait_kind), WAIT_SLEEP);
	} else if (strncmp(text, "the joiner", 10) == 0) {
		found->waited_for = peek_pointer(pid, fiber, b->fiber_wait_object);
		assert_int_equal(peek_u32(pid, fiber, b->fiber_wait_kind), WAIT_TASK);
	}
}

static void walk(pid_t pid, struct found *found)
{
	const struct hilo_state_block *b = &hilo_state_block;
	const char *runtime = peek_pointer(pid, b->runtimes, 0);
	const char *slab;

	assert_non_null(runtime);
	assert_int_equal(peek_u32(pid, runtime, b->runtime_workers), 2);
	for (slab = peek_pointer(pid, b->task_slabs, 0); slab;
	     slab = peek_pointer(pid, slab, b->slab_older)) {
		uint32_t carved = peek_u32(pid, slab, b->slab_carved);

		for (uint32_t i = 0; i < carved; i++)
			look_at(pid, slab + b->slab_header + (size_t)i * b->task_size, runtime, found);
	}
}

static void test_another_process_finds_tasks_and_what_they_wait_for(void **state)
{
	struct found found = {NULL, NULL, 0};
	int fds[2], status;
	char byte;
	pid_t pid;

	(void)state;
	assert_int_equal(hilo_state_block.magic, HILO_STATE_MAGIC);
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
	walk(pid, &found);
	(void)kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	(void)close(fds[0]);
	(void)close(fds[1]);
	assert_int_equal(found.tasks, 3);
	assert_non_null(found.sleeper);
	assert_ptr_equal(found.waited_for, found.sleeper);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_another_process_finds_tasks_and_what_they_wait_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
