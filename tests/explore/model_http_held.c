/* SPDX-License-Identifier: MIT */
/*
 * model_http_held.c - the shipped held.c: a task that holds answers back, and a loop that calls what was left with it.
 *
 * Checked: what is held is sent once, also when the task does nothing more; nobody touches it while the other does; and
 * once the task has ended the connection, it is left alone.
 */
#include "io/http/http_impl.h"

#include <errno.h>
#include <string.h>

#include "tests/explore/explore.h"

/* T0 is the task, T1 its loop. */
static struct connection c;
static hilo_callback_fn called;
static atomic(uint32_t) queued, over, sent;
static uint32_t held;

hilo_loop *hilo_loop_current(void)
{
	return NULL;
}

int hilo_call_soon_signalsafe(hilo_loop *loop, hilo_call_node *node, hilo_callback_fn fn, void *arg)
{
	(void)loop;
	EXPLORE_CHECK(node == &c.call && arg == &c && !load_relaxed(&queued));
	called = fn;
	store_release(&queued, 1);
	return 0;
}

int hilo_call_node_cancel(hilo_call_node *node)
{
	uint32_t expected = load_relaxed(&queued);

	EXPLORE_CHECK(node == &c.call);
	return expected && cas_acq_rel(&queued, &expected, 0) ? 0 : -EALREADY;
}

ssize_t hilo_stream_write(hilo_stream *stream, const void *data, size_t size, hilo_time deadline)
{
	(void)stream, (void)data;
	EXPLORE_CHECK(size && deadline == HILO_NO_WAIT && explore_self() == 1);
	(void)add_relaxed(&sent, (uint32_t)size);
	return (ssize_t)size;
}

int hilo__http_flush(struct connection *connection, const void *data, size_t n, hilo_time deadline)
{
	(void)connection, (void)data, (void)n, (void)deadline;
	explore_fail("a call could be left with the loop, and it was flushed");
}

static void setup(void)
{
	memset(&c, 0, sizeof(c));
	atomic_setup(&c.held, 0);
	c.out.data = c.own_out;
	c.out.size = sizeof(c.own_out);
	called = NULL;
	held = 0;
	atomic_setup(&queued, 0);
	atomic_setup(&over, 0);
	atomic_setup(&sent, 0);
}

/* One more byte to send. */
static void task_adds(void)
{
	hilo__http_out_take(&c);
	plain_store(&c.out.used, plain_load(&c.out.used) + 1);
	held++;
	hilo__http_out_give(&c);
}

static void task_flushes(void)
{
	hilo__http_out_take(&c);
	(void)add_relaxed(&sent, (uint32_t)plain_load(&c.out.used));
	plain_store(&c.out.used, 0);
}

static void task_ends(void)
{
	hilo__http_out_end(&c);
	explore_retire(&c, sizeof(c));
	store_release(&over, 1);
}

/* It adds twice, sends what is left, and ends. */
static void t_flushes(void)
{
	task_adds();
	task_adds();
	task_flushes();
	task_ends();
}

/* It sends in between: the callback that was left meets nothing, or what comes later. */
static void t_flushes_between(void)
{
	task_adds();
	task_flushes();
	task_adds();
	task_flushes();
	task_ends();
}

/* It waits for something else: who sends it is the loop. */
static void t_waits(void)
{
	task_adds();
	task_adds();
	while (load_relaxed(&sent) < 2)
		cpu_relax();
	task_ends();
}

static void t_loop(void)
{
	for (;;) {
		uint32_t expected = load_acquire(&queued);

		if (expected && cas_acq_rel(&queued, &expected, 0))
			called(&c);
		else if (load_acquire(&over))
			return;
		else
			cpu_relax();
	}
}

static void finish(void)
{
	EXPLORE_CHECK(load_relaxed(&sent) == held);
}

static const struct explore_model models[] = {
	EXPLORE_MODEL("held_flush", "hold, hold, send, end | the loop", setup, finish, t_flushes, t_loop),
	EXPLORE_MODEL("held_between", "hold, send, hold, send, end | the loop", setup, finish,
		      t_flushes_between, t_loop),
	EXPLORE_MODEL("held_wait", "hold, hold, wait until it is sent, end | the loop", setup, finish,
		      t_waits, t_loop),
};

int main(int argc, char **argv)
{
	return explore_main(argc, argv, models, sizeof(models) / sizeof(models[0]));
}
