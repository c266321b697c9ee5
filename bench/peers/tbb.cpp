/* SPDX-License-Identifier: MIT */
/* tbb.cpp - what oneTBB has of the workloads: its tasks run to their end, so none of those that wait. */
#include "peer.h"

#include <algorithm>
#include <atomic>
#include <future>
#include <vector>

#include <oneapi/tbb/blocked_range.h>
#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/parallel_for.h>
#include <oneapi/tbb/parallel_sort.h>
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

static uint64_t random_next(uint64_t &state)
{
	uint64_t z = state += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

static std::vector<int> numbers(long n)
{
	std::vector<int> all(static_cast<size_t>(n));
	uint64_t state = 1;

	for (int &one : all)
		one = static_cast<int>(random_next(state));
	return all;
}

/* As hilo-bench: a node is its random number. */
static const uint64_t uts_inner = static_cast<uint64_t>(0.124875 * 18446744073709551616.0);

static uint64_t uts_child(uint64_t node, unsigned i)
{
	uint64_t state = node + (i + 1) * 0xd1342543de82ef95u;

	return random_next(state);
}

static long uts(uint64_t node)
{
	long nodes = 1, below[8];
	tbb::task_group group;

	if (node >= uts_inner)
		return nodes;
	for (unsigned i = 0; i < 8; i++)
		group.run([&below, node, i] { below[i] = uts(uts_child(node, i)); });
	group.wait();
	for (long b : below)
		nodes += b;
	return nodes;
}

static long uts_root(long n)
{
	std::atomic<long> nodes{1};

	tbb::parallel_for(0L, n, [&](long i) { nodes += uts(uts_child(1, static_cast<unsigned>(i))); });
	return nodes;
}

struct matmul {
	long n;
	std::vector<double> a, b, c;

	explicit matmul(long rows) : n(rows), a(rows * rows), b(rows * rows), c(rows * rows)
	{
		for (long i = 0; i < n; i++) {
			for (long j = 0; j < n; j++) {
				a[i * n + j] = static_cast<double>((i + j) % 7);
				b[i * n + j] = static_cast<double>((3 * i + j) % 5);
			}
		}
	}

	/* The same blocks as in hilo-bench. */
	void rows(long begin, long end)
	{
		std::fill(c.begin() + begin * n, c.begin() + end * n, 0.0);
		for (long column = 0; column < n; column += 256)
			for (long depth = 0; depth < n; depth += 64)
				block(begin, end, depth, column);
	}

	void block(long begin, long end, long depth, long column)
	{
		long depth_end = std::min(depth + 64, n), width = std::min(256L, n - column);

		for (long i = begin; i < end; i++) {
			double *to = c.data() + i * n + column;

			for (long k = depth; k < depth_end; k++) {
				const double *from = b.data() + k * n + column;
				double factor = a[i * n + k];

				for (long j = 0; j < width; j++)
					to[j] += factor * from[j];
			}
		}
	}

	long run(long count)
	{
		tbb::parallel_for(tbb::blocked_range<long>(0, count, 4),
				  [this](const tbb::blocked_range<long> &r) { rows(r.begin(), r.end()); });
		double sum = 0;
		for (double x : c)
			sum += x;
		return static_cast<long>(sum);
	}
};

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
	if (peer_is(&p, "sort")) {
		long n = peer_n(&p, 20000000);
		std::vector<int> all = numbers(n), few(all.begin(), all.begin() + n / 10);

		return measure(&p, n, n / 10, n, [&](long k) {
			std::vector<int> &of = k == n ? all : few;

			arena.execute([&] { tbb::parallel_sort(of.begin(), of.end()); });
			return k;
		});
	}
	if (peer_is(&p, "uts")) {
		long n = peer_n(&p, 10000), nodes = arena.execute([=] { return uts_root(n); });

		return measure(&p, n, 0, nodes, [&](long k) { return arena.execute([=] { return uts_root(k); }); });
	}
	if (peer_is(&p, "matmul")) {
		long n = peer_n(&p, 1024);
		matmul m(n);

		return measure(&p, n, n / 10, n * n * n,
			       [&](long k) { return arena.execute([&] { return m.run(k); }); });
	}
	return peer_cannot("oneTBB's tasks cannot wait");
}
