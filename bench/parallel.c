/* SPDX-License-Identifier: MIT */
/*
 * parallel.c - algorithms over forks: n numbers sorted, an unbalanced tree searched, two matrices multiplied. The last
 * two are also done without forks, in the same run: "serial_ns".
 */
#include "harness.h"

#include <string.h>

/* ---- sorting ---- */

#define HILO_SORT_NAME sort_ints
#define HILO_SORT_TYPE int
#define HILO_SORT_LESS(a, b, arg) (*(a) < *(b))
#include <hilo/runtime/sort_typed.h>

static int *numbers;

/* The numbers to be warm with lie behind those that count. */
static uint64_t sort_run(struct bench *b, long n)
{
	int *from = n == b->n ? numbers : numbers + b->n;
	int rc = strcmp(b->workload, "sort") == 0 ? sort_ints(from, (size_t)n, NULL, NULL)
						  : sort_ints_stable(from, (size_t)n, NULL, NULL);

	if (rc < 0)
		bench_die("%s: %s", b->workload, hilo_error_message());
	return (uint64_t)n;
}

void bench_sort(struct bench *b)
{
	long warm = b->n > 10 ? b->n / 10 : 0;
	uint64_t state = 1, sum = 0;

	numbers = bench_alloc((size_t)(b->n + warm), sizeof(*numbers));
	for (long i = 0; i < b->n + warm; i++) {
		numbers[i] = (int)bench_random(&state);
		sum += i < b->n ? (unsigned)numbers[i] : 0;
	}
	bench_tasks(b, sort_run, warm, (uint64_t)b->n);
	for (long i = 0; i < b->n; i++) {
		if (i > 0 && numbers[i - 1] > numbers[i])
			bench_die("%s: number %ld is not where it belongs", b->workload, i);
		sum -= (unsigned)numbers[i];
	}
	if (sum)
		bench_die("%s: they are not the numbers that were to be sorted", b->workload);
}

/* ---- a tree whose shape nobody knows before ---- */

/*
 * A node is its random number. The root has n children, each other node eight, with a probability of nearly one
 * eighth: most are leaves, some have a subtree of hundreds of thousands (Olivier et al., "UTS", binomial trees, with
 * another generator).
 */
#define UTS_CHILDREN 8
#define UTS_INNER ((uint64_t)(0.124875 * 18446744073709551616.0))

static uint64_t uts_child(uint64_t node, unsigned i)
{
	uint64_t state = node + (i + 1) * UINT64_C(0xd1342543de82ef95);

	return bench_random(&state);
}

HILO_FORKABLE(uint64_t, uts, uint64_t, node)
{
	uint64_t nodes = 1;

	if (node >= UTS_INNER)
		return nodes;
	for (unsigned i = 0; i < UTS_CHILDREN; i++)
		HILO_FORK(uts, uts_child(node, i));
	for (unsigned i = 0; i < UTS_CHILDREN; i++)
		nodes += HILO_JOIN(uts);
	return nodes;
}

/* The children of the root: halved, as their number has no limit. */
HILO_FORKABLE(uint64_t, uts_root, unsigned, first, unsigned, last)
{
	unsigned middle = first + (last - first) / 2;
	uint64_t nodes;

	if (last - first == 1)
		return HILO_CALL(uts, uts_child(1, first));
	HILO_FORK(uts_root, middle, last);
	nodes = HILO_CALL(uts_root, first, middle);
	return HILO_JOIN(uts_root) + nodes;
}

static uint64_t uts_serial(uint64_t node)
{
	uint64_t nodes = 1;

	for (unsigned i = 0; node < UTS_INNER && i < UTS_CHILDREN; i++)
		nodes += uts_serial(uts_child(node, i));
	return nodes;
}

static uint64_t uts_run(struct bench *b, long n)
{
	uint64_t nodes;

	(void)b;
	if (HILO_REGION(uts_root, &nodes, 0, (unsigned)n) < 0)
		bench_die("uts: %s", hilo_error_message());
	return nodes + 1;
}

void bench_uts(struct bench *b)
{
	hilo_time start = hilo_now();
	uint64_t nodes = 1;

	if (b->n > 10000000)
		bench_die("uts: at most 10000000 children of the root");
	for (unsigned i = 0; i < (unsigned)b->n; i++)
		nodes += uts_serial(uts_child(1, i));
	bench_extra(b, "\"serial_ns\":%.3f", (double)(hilo_now() - start) / (double)nodes);
	bench_tasks(b, uts_run, b->n > 10 ? b->n / 10 : 0, nodes);
	if (b->check != nodes)
		bench_die("uts: %llu nodes as forks, %llu without", (unsigned long long)b->check,
			  (unsigned long long)nodes);
}

/* ---- matrices ---- */

/* Rows of one piece, and how much of the second matrix is used again while it is near: a block of 128 KiB. */
#define MATMUL_ROWS 4
#define MATMUL_DEPTH 64
#define MATMUL_WIDTH 256

struct matmul {
	double *a, *b, *c;
	long n;
};

static long least(long a, long b)
{
	return a < b ? a : b;
}

/* Rows [begin, end) of c += a * b, for a block of b. */
static void matmul_block(const struct matmul *m, long begin, long end, long depth, long column)
{
	long depth_end = least(depth + MATMUL_DEPTH, m->n), width = least(MATMUL_WIDTH, m->n - column);

	for (long i = begin; i < end; i++) {
		double *c = m->c + i * m->n + column;

		for (long k = depth; k < depth_end; k++) {
			const double *b = m->b + k * m->n + column;
			double a = m->a[i * m->n + k];

			for (long j = 0; j < width; j++)
				c[j] += a * b[j];
		}
	}
}

static int matmul_rows(int64_t begin, int64_t end, void *arg)
{
	const struct matmul *m = arg;

	memset(m->c + begin * m->n, 0, (size_t)((end - begin) * m->n) * sizeof(*m->c));
	for (long column = 0; column < m->n; column += MATMUL_WIDTH)
		for (long depth = 0; depth < m->n; depth += MATMUL_DEPTH)
			matmul_block(m, begin, end, depth, column);
	return 0;
}

static struct matmul matrices;

/* Whole numbers, small enough that all is exact. */
static void matmul_make(long n)
{
	struct matmul *m = &matrices;

	*m = (struct matmul){.n = n};
	m->a = bench_alloc((size_t)(n * n), sizeof(*m->a));
	m->b = bench_alloc((size_t)(n * n), sizeof(*m->b));
	m->c = bench_alloc((size_t)(n * n), sizeof(*m->c));
	for (long i = 0; i < n; i++) {
		for (long j = 0; j < n; j++) {
			m->a[i * n + j] = (double)((i + j) % 7);
			m->b[i * n + j] = (double)((3 * i + j) % 5);
		}
	}
}

/* The sum of all that the product has. */
static uint64_t matmul_sum(const struct matmul *m)
{
	double sum = 0;

	for (long i = 0; i < m->n * m->n; i++)
		sum += m->c[i];
	return (uint64_t)sum;
}

static uint64_t matmul_run(struct bench *b, long n)
{
	(void)b;
	if (hilo_parallel_for(0, n, MATMUL_ROWS, matmul_rows, &matrices) < 0)
		bench_die("matmul: %s", hilo_error_message());
	return matmul_sum(&matrices);
}

void bench_matmul(struct bench *b)
{
	uint64_t ops = (uint64_t)b->n * (uint64_t)b->n * (uint64_t)b->n, serial;
	hilo_time start;

	if (b->n > 16384)
		bench_die("matmul: at most 16384 rows");
	matmul_make(b->n);
	start = hilo_now();
	for (long i = 0; i < b->n; i += MATMUL_ROWS)
		(void)matmul_rows(i, least(i + MATMUL_ROWS, b->n), &matrices);
	bench_extra(b, "\"serial_ns\":%.5f", (double)(hilo_now() - start) / (double)ops);
	serial = matmul_sum(&matrices);
	memset(matrices.c, 0, (size_t)(b->n * b->n) * sizeof(*matrices.c));
	bench_tasks(b, matmul_run, b->n / 10, ops);
	if (b->check != serial)
		bench_die("matmul: another product than without forks");
	bench_extra(b, "\"gflops\":%.3f", 2 * (double)ops / (double)b->took);
}
