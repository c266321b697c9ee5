/* SPDX-License-Identifier: MIT */
/*
 * model_signal_call.c - the shipped signal_call.c over the queue of callbacks of loop.c.
 *
 * Checked: a request is answered by a turn that sees what was done before it, however many there are for one
 * node; a call that was taken back does not come; who calls or takes back leaves the node alone afterwards. A
 * signal handler is a thread here that could be run to its end at any point of another; that nobody waits for
 * what it has interrupted is argued in the source.
 */
#include <hilo/runtime/loop.h>

#include <errno.h>
#include <string.h>

#include "scheduler/base/mem.h"
#include "scheduler/scheduler.h"
#include "scheduler/worker.h"
#include "tests/explore/explore.h"

/* T0 drives the loop, the others make requests. */
static struct hilo_runtime runtime;
static struct hilo_loop loop;
static struct thread threads[EXPLORE_THREADS];
static hilo_call_node node;
static atomic(uint32_t) note[2];
static unsigned seen, called, removed;

struct thread *thread_self(void)
{
	return &threads[explore_self()];
}

/* Nobody has task-local values. */
void hilo__free(void *p)
{
	EXPLORE_CHECK(!p);
}

/* Nobody sleeps here: T0 looks until it is there. */
void hilo__loop_post(struct hilo_loop *to, struct inbox *inbox, struct link *link)
{
	EXPLORE_CHECK(to == &loop);
	(void)hilo__inbox_push(inbox, link);
}

void hilo__loop_notify(struct hilo_loop *to)
{
	(void)to;
}

void hilo__worker_awake(struct hilo_loop *to)
{
	(void)to;
}

static void setup(void)
{
	memset(&node, 0, sizeof(node));
	memset(threads, 0, sizeof(threads));
	queue_init(&loop.calls);
	loop.calling = 0;
	loop.slept = false;
	loop.runtime = &runtime;
	runtime.phase = PHASE_OPEN;
	threads[0].loop = &loop;
	note[0] = 0;
	note[1] = 0;
	seen = 0;
	called = 0;
	removed = 0;
}

/* From here on the node is free. */
static void sees(void *arg)
{
	EXPLORE_CHECK(arg == &node);
	called++;
	seen = load_relaxed(&note[0]) + load_relaxed(&note[1]); /* relaxed: what orders them is looked for */
}

static void turn(void)
{
	hilo__loop_run_calls(thread_self(), &loop);
}

static void turns_until(unsigned wanted)
{
	while (seen < wanted) {
		unsigned before = called;

		turn();
		if (called == before)
			cpu_relax();
	}
}

static void sees_one(void)
{
	turns_until(1);
}

static void sees_two(void)
{
	turns_until(2);
}

static int request(int i)
{
	int rc;

	store_relaxed(&note[i], 1); /* relaxed: the request orders it */
	rc = hilo_call_soon_signalsafe(&loop, &node, sees, &node);
	EXPLORE_CHECK(rc == 0 || rc == -EALREADY);
	return rc;
}

static void request_first(void)
{
	(void)request(0);
}

static void request_second(void)
{
	(void)request(1);
}

static void request_both(void)
{
	request_first();
	request_second();
}

/* The only request, and nobody else's turn is to come once it was taken back. */
static void request_and_cancel(void)
{
	EXPLORE_CHECK(request(0) == 0);
	removed = hilo_call_node_cancel(&node) == 0;
	explore_retire(&node, sizeof(node));
}

static void turns_twice(void)
{
	turn();
	turn();
}

static void finish_cancel(void)
{
	EXPLORE_CHECK(queue_is_empty(&loop.calls));
	EXPLORE_CHECK(called + removed == 1);
}

static const struct explore_model models[] = {
	EXPLORE_MODEL("signal_call_one", "T0 turns until it has seen it; T1 makes a request", setup, NULL,
		      sees_one, request_first),
	EXPLORE_MODEL("signal_call_again", "T0 turns until it has seen both; T1 makes two requests", setup,
		      NULL, sees_two, request_both),
	EXPLORE_MODEL("signal_call_two", "T0 turns until it has seen both; T1 and T2 make one request each",
		      setup, NULL, sees_two, request_first, request_second),
	EXPLORE_MODEL("signal_call_cancel", "T0 turns twice; T1 makes a request, takes it back", setup,
		      finish_cancel, turns_twice, request_and_cancel),
};

int main(int argc, char **argv)
{
	return explore_main(argc, argv, models, array_size(models));
}
