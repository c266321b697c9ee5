/* SPDX-License-Identifier: MIT */
/* tbb.cpp - what oneTBB has of the workloads: its tasks run to their end, so none of those that wait. */
#include "peer.h"

#include <atomic>
#include <future>

#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/task_arena.h>
#include <oneapi/tbb/task_group.h>
#include <oneapi/tbb/version.h>

static long spawn_join(long rounds)
{
	std::atomic<long> ran{0};

	while (rounds-- > 0) {
		tbb::task_group group;

		for (int i = 0; i < 1000; i++)
			group.run([&] { ran.fetch_add(1, std::memory_order_relaxed); });
		group.wait();
	}
	return ran;
}

static long skynet(long ordinal, long leaves)
{
	long sums[10], sum = 0;
	tbb::task_group group;

	if (leaves == 1)
		return ordinal;
	for (int i = 0; i < 10; i++)
		group.run([&sums, i, ordinal, leaves] {
			sums[i] = skynet(ordinal + i * (leaves / 10), leaves / 10);
		});
	group.wait();
	for (long s : sums)
		sum += s;
	return sum;
}

/* No slot of the arena is kept for this thread: it submits, the workers run. */
static long spawn_inject(tbb::task_arena &arena, long n)
{
	std::atomic<long> ran{0};
	std::promise<void> done;

	for (long i = 0; i < n; i++)
		arena.enqueue([&ran, &done, n] {
			if (ran.fetch_add(1, std::memory_order_relaxed) + 1 == n)
				done.set_value();
		});
	if (n > 0)
		done.get_future().wait();
	return ran;
}

static long power10(long e)
{
	return e > 0 ? 10 * power10(e - 1) : 1;
}

template <typename Run> static int measure(const struct peer *p, long n, long warm, long ops, Run run)
{
	if (warm > 0)
		run(warm);
	int64_t start = peer_now();
	long check = run(n);
	return peer_report(p, n, ops, peer_now() - start, check, "");
}

int main(int argc, char **argv)
{
	struct peer p = peer_start("tbb", TBB_VERSION_STRING, argc, argv);
	bool outside = peer_is(&p, "spawn_inject");
	tbb::global_control control(tbb::global_control::max_allowed_parallelism,
				    static_cast<size_t>(p.workers) + outside);
	tbb::task_arena arena(p.workers, outside ? 0 : 1);

	if (outside) {
		long n = peer_n(&p, 1000000);

		return measure(&p, n, n / 10, n, [&](long k) { return spawn_inject(arena, k); });
	}
	if (peer_is(&p, "spawn_join")) {
		long n = peer_n(&p, 1000);

		return measure(&p, n, n / 10, n * 1000,
			       [&](long k) { return arena.execute([=] { return spawn_join(k); }); });
	}
	if (peer_is(&p, "skynet")) {
		long n = peer_n(&p, 6);

		return measure(&p, n, n - 1, (power10(n + 1) - 1) / 9,
			       [&](long k) { return arena.execute([=] { return skynet(0, power10(k)); }); });
	}
	return peer_cannot("oneTBB's tasks cannot wait");
}
