/* SPDX-License-Identifier: MIT */
/* test_share.c - who serves descriptors without a pause offers its core; who computes does not; nobody inherits it. */
#include "tests/unit/io/processes.h"
#include "tests/unit/io/streams.h"

#include <sched.h>

#include "scheduler/base/clock.h"
#include "scheduler/base/slice.h"

#define PAIRS 16

/* The slice of thread @tid, 0 of the caller's; 0: the kernel gives no thread slices of its own. */
static uint64_t slice_of(int tid)
{
	struct slice_attr attr = {0};

	if (syscall(SYS_sched_getattr, tid, &attr, sizeof(attr), 0) < 0 || attr.policy != SCHED_OTHER)
		return 0;
	return attr.runtime;
}

/* What the kernel gives who asks for nothing. */
static uint64_t slice;

struct talk {
	hilo_stream *end[2];
	uint64_t until; /* slices have ended so often */
	hilo_task *task[2];
};

static int talk_ask(void *arg)
{
	struct talk *talk = arg;
	char byte = 'a', answer;

	while (hilo__slices_ended() < talk->until) {
		TASK_CHECK(hilo_stream_write(talk->end[0], &byte, 1, HILO_FOREVER), ==, 1);
		TASK_CHECK(hilo_stream_read(talk->end[0], &answer, 1, HILO_FOREVER), ==, 1);
		TASK_CHECK(answer, ==, byte);
		byte++;
	}
	return hilo_stream_write_eof(talk->end[0]);
}

static int talk_answer(void *arg)
{
	struct talk *talk = arg;
	ssize_t n;
	char byte;

	while ((n = hilo_stream_read(talk->end[1], &byte, 1, HILO_FOREVER)) == 1)
		TASK_CHECK(hilo_stream_write(talk->end[1], &byte, 1, HILO_FOREVER), ==, 1);
	return (int)n;
}

/* Requests until workers have ended ten slices more. */
static void talk_for_slices(void)
{
	struct talk talk[PAIRS];
	uint64_t until = hilo__slices_ended() + 10;

	for (unsigned i = 0; i < PAIRS; i++) {
		talk[i].until = until;
		streams_make(KIND_UNIX, NULL, talk[i].end);
		talk[i].task[0] = hilo_spawn(talk_ask, &talk[i]);
		talk[i].task[1] = hilo_spawn(talk_answer, &talk[i]);
	}
	for (unsigned i = 0; i < PAIRS; i++) {
		TASK_CHECK(hilo_join(talk[i].task[0], HILO_FOREVER), ==, 0);
		TASK_CHECK(hilo_join(talk[i].task[1], HILO_FOREVER), ==, 0);
		hilo_stream_free(talk[i].end[0]);
		hilo_stream_free(talk[i].end[1]);
	}
}

/* Threads of ours that have asked for shorter slices. */
static unsigned short_ones(void)
{
	DIR *threads = opendir("/proc/self/task");
	struct dirent *entry;
	unsigned n = 0;

	while ((entry = readdir(threads)))
		n += isdigit((unsigned char)entry->d_name[0]) && slice_of(atoi(entry->d_name)) == SLICE_NS;
	closedir(threads);
	return n;
}

TASK_TEST(test_who_is_busy_with_requests_offers_its_core)
{
	(void)arg;
	talk_for_slices();
	TASK_CHECK(short_ones(), >, 0);
	return 0;
}

static int in_a_pool(void *arg)
{
	*(uint64_t *)arg = slice_of(0);
	return 0;
}

/* Threads of executors and children have the slices that they would have without us. */
TASK_TEST(test_nobody_inherits_that)
{
	hilo_process *process;
	uint64_t pools = 0;

	(void)arg;
	TASK_CHECK(hilo__slice_shorten(), ==, true);
	TASK_CHECK(hilo_run_in_executor(NULL, in_a_pool, &pools, HILO_FOREVER), ==, 0);
	TASK_CHECK(pools, ==, slice);
	if (!processes_work())
		return 0;
	process = start(ARGV("sleep", "1000"), NULL);
	TASK_CHECK(slice_of(hilo_process_pid(process)), ==, slice);
	TASK_CHECK(hilo_process_kill(process), ==, 0);
	TASK_CHECK(finish(process), ==, -SIGKILL);
	return 0;
}

static int computes(void *arg)
{
	uint64_t end = cycles_now() + 20 * SLICE_NS / 1000 * hilo__cycles_per_us();

	while (cycles_now() < end)
		TASK_CHECK(hilo_yield(), ==, 0);
	return arg != NULL;
}

TASK_TEST(test_who_computes_does_not)
{
	uint64_t ended = hilo__slices_ended();
	hilo_task *task[8];

	(void)arg;
	for (size_t i = 0; i < array_size(task); i++)
		task[i] = hilo_spawn(computes, NULL);
	for (size_t i = 0; i < array_size(task); i++)
		TASK_CHECK(hilo_join(task[i], HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo__slices_ended(), ==, ended);
	TASK_CHECK(slice_of(0), ==, slice);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_who_computes_does_not),
		cmocka_unit_test(test_who_is_busy_with_requests_offers_its_core),
		cmocka_unit_test(test_nobody_inherits_that),
	};

	test_begin();
	slice = slice_of(0);
	if (slice <= SLICE_NS)
		return 77; /* before Linux 6.12 there are none, nor for any but the ordinary policy */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
