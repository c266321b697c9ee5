/* SPDX-License-Identifier: MIT */
/*
 * stress_stream.c - streams under cancels and deadlines: no byte is lost, none is doubled, none is out of order,
 * nobody is left waiting. First by many at once, in frames, over memory and sockets that hold little; then in long
 * runs of numbered bytes over all that there is, where system calls do less than they could, or are interrupted.
 */
#include <stdlib.h>

#include "scheduler/base/sys.h"
#include "tests/stress/cancel_safety.h"
#include "tests/unit/io/streams.h"

#define FRAME 24

/* What is written by one call, and read by one. */
struct frame {
	uint32_t actor, size;
	uint64_t number, check;
};

_Static_assert(sizeof(struct frame) == FRAME, "no padding");

struct pair {
	hilo_stream *a, *b;
	atomic(uint64_t) sent, received;	 /* frames */
	atomic(uint64_t) sent_sum, received_sum; /* of what tells them apart */
};

static uint64_t frame_check(const struct frame *frame)
{
	return random_mix(((uint64_t)frame->actor << 48) + frame->number);
}

static void *pair_up(unsigned workers)
{
	hilo_stream_opts opts = {.size = sizeof(opts), .high = 4 * FRAME, .low = FRAME};
	struct pair *pair = calloc(1, sizeof(*pair));
	hilo_stream *stream[2];

	(void)workers;
	TASK_CHECK(hilo_stream_pair(2 * FRAME + 5, &opts, stream), ==, 0);
	pair->a = stream[0];
	pair->b = stream[1];
	return pair;
}

static void pair_down(void *object)
{
	struct pair *pair = object;

	hilo_stream_free(pair->a);
	hilo_stream_free(pair->b);
	free(pair);
}

struct own {
	uint64_t number;
};

static int pair_write_frame(struct pair *pair, uint32_t actor, uint64_t number, hilo_time deadline)
{
	struct frame frame = {.actor = actor, .size = FRAME, .number = number};
	ssize_t n;

	frame.check = frame_check(&frame);
	n = hilo_stream_write(pair->a, &frame, FRAME, deadline);
	if (n < 0)
		return (int)n;
	TASK_CHECK(n, ==, FRAME);
	(void)add_relaxed(&pair->sent, 1);
	(void)add_relaxed(&pair->sent_sum, frame.check);
	return 0;
}

static int pair_write(void *object, struct safety_actor *actor, hilo_time deadline)
{
	struct own *own = actor->own;

	return pair_write_frame(object, actor->number, own->number++, deadline);
}

static int pair_read(void *object, struct safety_actor *actor, hilo_time deadline)
{
	struct pair *pair = object;
	struct frame frame;
	ssize_t n = hilo_stream_read_exactly(pair->b, &frame, FRAME, deadline);

	(void)actor;
	if (n < 0)
		return (int)n;
	TASK_CHECK(n, ==, FRAME);
	TASK_CHECK(frame.size, ==, FRAME);
	TASK_CHECK(frame.check, ==, frame_check(&frame));
	(void)add_relaxed(&pair->received, 1);
	(void)add_relaxed(&pair->received_sum, frame.check);
	return 0;
}

static int pair_drain(void *object, struct safety_actor *actor, hilo_time deadline)
{
	struct pair *pair = object;

	(void)actor;
	return hilo_stream_drain(pair->a, deadline);
}

static int pair_flush(void *object, struct safety_actor *actor, hilo_time deadline)
{
	struct pair *pair = object;

	(void)actor;
	return hilo_stream_flush(pair->a, deadline);
}

/*
 * [driver] Those who read lack a frame. Those who write, drain or flush lack readers, who take all there is: if one
 * were read for each that is written here, what is on its way would never come down.
 */
static void pair_wake(void *object)
{
	struct pair *pair = object;
	static uint64_t number;

	(void)pair_write_frame(pair, 1000, number++, HILO_NO_WAIT);
	while (pair_read(pair, NULL, HILO_NO_WAIT) == 0)
		;
}

static void pair_check(void *object, struct safety_actor *actors, unsigned count)
{
	struct pair *pair = object;

	(void)actors, (void)count;
	while (load_relaxed(&pair->received) < load_relaxed(&pair->sent))
		TASK_CHECK(pair_read(pair, NULL, HILO_FOREVER), ==, 0);
	TASK_CHECK(load_relaxed(&pair->received), ==, load_relaxed(&pair->sent));
	TASK_CHECK(load_relaxed(&pair->received_sum), ==, load_relaxed(&pair->sent_sum));
	TASK_CHECK(hilo_stream_read_buffered(pair->b), ==, 0);
	TASK_CHECK(hilo_stream_write_buffered(pair->a), ==, 0);
}

static const struct safety_op pair_ops[] = {
	{"write", pair_write, {-ETIMEDOUT, -ECANCELED}, .weight = 5},
	{"read", pair_read, {-ETIMEDOUT, -ECANCELED, -EBUSY}, .weight = 5},
	{"drain", pair_drain, {-ETIMEDOUT, -ECANCELED}, .weight = 6},
	{"flush", pair_flush, {-ETIMEDOUT, -ECANCELED}, .weight = 2},
};

static const struct safety_object pair_of_streams = {
	"stream",
	.own_size = sizeof(struct own),
	.up = pair_up,
	.down = pair_down,
	.wake = pair_wake,
	.check = pair_check,
	SAFETY_OPS(pair_ops),
};

#define BYTES (300 * 1024)

/* Two that write and read numbered bytes, and are disturbed. */
struct run {
	hilo_stream *stream[2];
	struct random random;
	atomic(unsigned) begun, left;
	uint64_t written, read, seed;
};

static hilo_time some_deadline(struct random *random)
{
	switch (random_below(random, 4)) {
	case 0:
		return HILO_NO_WAIT;
	case 1:
		return hilo_after(random_below(random, 100000));
	default:
		return HILO_FOREVER;
	}
}

static void calm(void)
{
	while (hilo_task_uncancel() > 0)
		;
}

static int run_writes(void *arg)
{
	struct run *run = arg;
	char *block = malloc(50000);
	struct random random;

	(void)add_relaxed(&run->begun, 1);
	random_init(&random, run->seed, 0);
	while (run->written < BYTES) {
		size_t size = 1 + random_below(&random, random_below(&random, 8) ? 300 : 50000);
		ssize_t n;

		bytes_fill(block, size, run->written);
		n = hilo_stream_write(run->stream[0], block, size, some_deadline(&random));
		calm();
		if (n < 0) {
			TASK_CHECK(n == -ECANCELED || n == -ETIMEDOUT, ==, 1);
			continue;
		}
		TASK_CHECK(n, ==, size);
		run->written += size;
	}
	free(block);
	/* A close that is cancelled drops what is left. */
	TASK_CHECK(hilo_shield_enter(), ==, 0);
	TASK_CHECK(hilo_stream_close(run->stream[0], HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_shield_leave(), ==, 0);
	(void)sub_relaxed(&run->left, 1);
	return 0;
}

static ssize_t run_read_some(struct run *run, struct random *random, char *block, size_t size)
{
	hilo_time deadline = some_deadline(random);

	return random_below(random, 2) ? hilo_stream_read(run->stream[1], block, size, deadline)
				       : hilo_stream_read_exactly(run->stream[1], block, size, deadline);
}

static int run_reads(void *arg)
{
	struct run *run = arg;
	char *block = malloc(20000);
	struct random random;
	ssize_t n;

	(void)add_relaxed(&run->begun, 1);
	random_init(&random, run->seed + 1, 0);
	for (;;) {
		size_t size = 1 + random_below(&random, random_below(&random, 8) ? 500 : 20000);

		n = run_read_some(run, &random, block, size);
		calm();
		if (n == 0)
			break;
		if (n == HILO_EINCOMPLETE)
			n = hilo_stream_read(run->stream[1], block, size, HILO_FOREVER);
		if (n < 0) {
			TASK_CHECK(n == -ECANCELED || n == -ETIMEDOUT, ==, 1);
			continue;
		}
		bytes_check(block, (size_t)n, run->read);
		run->read += (uint64_t)n;
	}
	free(block);
	(void)sub_relaxed(&run->left, 1);
	return 0;
}

static int run_kind(struct run *run)
{
	hilo_task *task[2];

	store_relaxed(&run->left, 2);
	task[0] = hilo_spawn(run_writes, run);
	task[1] = hilo_spawn(run_reads, run);
	TEST_UNTIL(load_relaxed(&run->begun) == 2); /* what is cancelled before never begins */
	while (load_relaxed(&run->left) == 2) {
		(void)hilo_sleep(random_below(&run->random, 200000));
		(void)hilo_task_cancel(task[random_below(&run->random, 2)]);
	}
	TASK_CHECK(hilo_join(task[0], HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_join(task[1], HILO_FOREVER), ==, 0);
	TASK_CHECK(run->read, ==, run->written);
	return 0;
}

static int run_task(void *arg)
{
	struct sys_chaos chaos = {.seed = test_seed(), .interrupt = 50, .shorten = 300};

	(void)arg;
	for (enum stream_kind kind = 0; kind < KINDS; kind++) {
		struct run run = {.seed = test_seed() + kind};

		random_init(&run.random, run.seed + 7, 0);
		streams_make(kind, NULL, run.stream);
		hilo__sys_chaos(&chaos);
		TASK_CHECK(run_kind(&run), ==, 0);
		hilo__sys_chaos(NULL);
		hilo_stream_free(run.stream[0]);
		hilo_stream_free(run.stream[1]);
	}
	return 0;
}

int main(void)
{
	static const unsigned workers[] = {1, 2, 8};

	test_begin();
	for (unsigned i = 0; i < test_rounds(6); i++)
		TASK_CHECK(test_run(workers[i % 3], run_task, NULL), ==, 0);
	safety_prove(&pair_of_streams);
	return 0;
}
