/* SPDX-License-Identifier: MIT */
/* libuv.c - what libuv has of the workloads: timers, on a loop for each worker, the thread pool, wake-ups. */
#include "peer.h"

#include <uv.h>

/* `timers`: each loop arms its part of all. */
struct timer {
	uv_timer_t handle;
	int64_t start, span, late;
};

struct part {
	uv_thread_t thread;
	struct timer *first;
	long count;
};

static void timer_fired(uv_timer_t *handle)
{
	struct timer *t = (struct timer *)handle;

	t->late = (int64_t)uv_hrtime() - t->start - t->span;
	uv_close((uv_handle_t *)handle, NULL);
}

static void part_run(void *arg)
{
	struct part *part = arg;
	uv_loop_t loop;

	uv_loop_init(&loop);
	for (struct timer *t = part->first; t < part->first + part->count; t++) {
		uv_timer_init(&loop, &t->handle);
		uv_update_time(&loop);
		t->start = (int64_t)uv_hrtime();
		uv_timer_start(&t->handle, timer_fired, (uint64_t)t->span / 1000000, 0);
	}
	uv_run(&loop, UV_RUN_DEFAULT);
	uv_loop_close(&loop);
}

static void timers_run(struct timer *timers, long n, int loops)
{
	struct part *part = calloc((size_t)loops, sizeof *part);
	uint64_t seed = 1;

	for (long i = 0; i < n; i++)
		timers[i].span = (int64_t)peer_random_ms(&seed) * 1000000;
	for (int i = 0; i < loops; i++) {
		part[i].first = timers + n * i / loops;
		part[i].count = n * (i + 1) / loops - n * i / loops;
		uv_thread_create(&part[i].thread, part_run, &part[i]);
	}
	for (int i = 0; i < loops; i++)
		uv_thread_join(&part[i].thread);
	free(part);
}

static int timers(const struct peer *p, long n)
{
	struct timer *timers = calloc((size_t)n, sizeof *timers);
	int64_t *late = calloc((size_t)n, sizeof *late), took;
	char extra[256];
	double cpu;
	int len;

	timers_run(timers, n / 10, p->workers);
	cpu = peer_cpu();
	took = -peer_now();
	timers_run(timers, n, p->workers);
	took += peer_now();
	len = snprintf(extra, sizeof extra, ",\"cpu_seconds\":%.4f", peer_cpu() - cpu);
	/* A loop counts in whole milliseconds, so it may be up to one early: that is not late. */
	for (long i = 0; i < n; i++)
		late[i] = timers[i].late > 0 ? timers[i].late : 0;
	peer_late(extra + len, sizeof extra - (size_t)len, late, n);
	free(timers);
	free(late);
	return peer_report(p, n, n, took, n, extra);
}

/* `offload`: 64 requests, each queued again from its own completion. */
struct call {
	uv_work_t work;
	long left;
};

static long ran;

static void call_run(uv_work_t *work)
{
	(void)work;
	__atomic_fetch_add(&ran, 1, __ATOMIC_RELAXED);
}

static void call_ended(uv_work_t *work, int status)
{
	if (status == 0 && --((struct call *)work)->left > 0)
		uv_queue_work(work->loop, work, call_run, call_ended);
}

static long calls_run(long n)
{
	struct call calls[64];
	uv_loop_t loop;

	ran = 0;
	uv_loop_init(&loop);
	for (int i = 0; i < 64 && n >= 64; i++) {
		calls[i].left = n / 64;
		uv_queue_work(&loop, &calls[i].work, call_run, call_ended);
	}
	uv_run(&loop, UV_RUN_DEFAULT);
	uv_loop_close(&loop);
	return ran;
}

static int offload(const struct peer *p, long n)
{
	int64_t took;
	long check;

	if (p->workers != 1)
		return peer_cannot("one loop waits for the calls: --workers=1");
	calls_run(n / 10);
	took = -peer_now();
	check = calls_run(n);
	took += peer_now();
	return peer_report(p, n, n - n % 64, took, check, "");
}

/* `done_roundtrip`: two sides wake each other, on loops of their own, or on one. */
struct side {
	uv_async_t handle;
	uv_loop_t loop;
	struct side *other;
	long called, calls, wakes;
};

static void side_called(uv_async_t *handle)
{
	struct side *side = (struct side *)handle;

	if (++side->called == side->calls)
		uv_close((uv_handle_t *)handle, NULL);
	if (side->called <= side->wakes)
		uv_async_send(&side->other->handle);
}

static void side_run(void *arg)
{
	uv_run(arg, UV_RUN_DEFAULT);
}

static long roundtrips_run(int loops, long n)
{
	struct side side[2] = {{.other = &side[1], .calls = n, .wakes = n},
			       {.other = &side[0], .calls = n, .wakes = n - 1}};
	uv_thread_t thread;

	for (int i = 0; i < loops; i++)
		uv_loop_init(&side[i].loop);
	for (int i = 0; i < 2; i++)
		uv_async_init(&side[i % loops].loop, &side[i].handle, side_called);
	uv_async_send(&side[0].handle);
	if (loops == 2)
		uv_thread_create(&thread, side_run, &side[1].loop);
	side_run(&side[0].loop);
	if (loops == 2)
		uv_thread_join(&thread);
	for (int i = 0; i < loops; i++)
		uv_loop_close(&side[i].loop);
	return side[0].called + side[1].called;
}

static int done_roundtrip(const struct peer *p, long n)
{
	int64_t took;
	long check;

	roundtrips_run(p->workers, n / 10 + 1);
	took = -peer_now();
	check = roundtrips_run(p->workers, n);
	took += peer_now();
	return peer_report(p, n, 2 * n, took, check, "");
}

int main(int argc, char **argv)
{
	struct peer p = peer_start("libuv", uv_version_string(), argc, argv);

	if (peer_is(&p, "timers"))
		return timers(&p, peer_n(&p, 100000));
	if (peer_is(&p, "offload"))
		return offload(&p, peer_n(&p, 200000));
	if (peer_is(&p, "done_roundtrip") && p.workers <= 2)
		return done_roundtrip(&p, peer_n(&p, 100000));
	return peer_cannot("libuv has callbacks, no tasks");
}
