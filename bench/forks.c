/* SPDX-License-Identifier: MIT */
/*
 * forks.c - fork-join recursion down to the leaves, as forks: fib, queens, a 10-ary tree, and batches of empty ones.
 * The first two also time what they do without forks, in the same run: "serial_ns".
 */
#include "harness.h"

#include <string.h>

#define ROWS_MAX 16
#define CHILDREN 10
#define BATCH 1000
/* What is to be computed without forks takes some 10 ms at most. */
#define SERIAL_MOST 31

HILO_FORKABLE_INLINE(long, fib, long, n)
{
	long right;

	if (n < 2)
		return n;
	HILO_FORK(fib, n - 1);
	right = HILO_CALL(fib, n - 2);
	return HILO_JOIN(fib) + right;
}

/* Not a copy for each value that an argument has: what a fork is given is not known to the compiler either. */
#ifdef __clang__
#define NOT_CLONED
#else
#define NOT_CLONED __attribute__((noclone))
#endif

/* Compilers make a loop of the second call, here as in the fork. */
static NOT_CLONED __attribute__((noinline)) long fib_serial(long n)
{
	return n < 2 ? n : fib_serial(n - 1) + fib_serial(n - 2);
}

/* Ends the program if a region has not run. */
static void region_check(int rc)
{
	if (rc < 0)
		bench_die("a region: %s", hilo_error_message());
}

/* The time of a serial run that has given @value, which must be @expected. */
static void serial_report(struct bench *b, hilo_time took, uint64_t value, uint64_t expected, uint64_t ops)
{
	if (value != expected)
		bench_die("the serial run has another result");
	bench_extra(b, "\"as\":\"forks\",\"serial_ns\":%.3f", (double)took / (double)ops);
}

uint64_t bench_fib_forks(long n)
{
	long value;

	region_check(HILO_REGION(fib, &value, n));
	return (uint64_t)value;
}

static uint64_t fib_run(struct bench *b, long n)
{
	(void)b;
	return bench_fib_forks(n);
}

void bench_fib(struct bench *b)
{
	long serial = b->n < SERIAL_MOST ? b->n : SERIAL_MOST;
	hilo_time start = hilo_now();
	uint64_t value = (uint64_t)fib_serial(serial);

	if (b->n > 60)
		bench_die("fib: at most 60");
	serial_report(b, hilo_now() - start, value, bench_fib_value(serial),
		      2 * bench_fib_value(serial + 1) - 1);
	bench_tasks(b, fib_run, b->n - 6, 2 * bench_fib_value(b->n + 1) - 1);
}

/* Rows filled so far, as sets of columns: taken, and attacked along the two diagonals. */
HILO_FORKABLE_INLINE(uint64_t, queens, unsigned, all, unsigned, taken, unsigned, left, unsigned, right)
{
	uint64_t solutions = 0;
	int forks = 0;

	if (taken == all)
		return 1;
	for (unsigned safe = all & ~(taken | left | right), column; safe; safe &= safe - 1) {
		column = safe & -safe;
		HILO_FORK(queens, all, taken | column, (left | column) << 1, (right | column) >> 1);
		forks++;
	}
	while (forks-- > 0)
		solutions += HILO_JOIN(queens);
	return solutions;
}

static uint64_t queens_serial(unsigned all, unsigned taken, unsigned left, unsigned right)
{
	uint64_t solutions = 0;

	if (taken == all)
		return 1;
	for (unsigned safe = all & ~(taken | left | right), column; safe; safe &= safe - 1) {
		column = safe & -safe;
		solutions += queens_serial(all, taken | column, (left | column) << 1, (right | column) >> 1);
	}
	return solutions;
}

/* The number of forks: safe placements. */
static uint64_t queens_count(unsigned all, unsigned taken, unsigned left, unsigned right)
{
	uint64_t count = 0;

	for (unsigned safe = all & ~(taken | left | right), column; safe; safe &= safe - 1) {
		column = safe & -safe;
		count += 1 + queens_count(all, taken | column, (left | column) << 1, (right | column) >> 1);
	}
	return count;
}

static uint64_t queens_run(struct bench *b, long n)
{
	uint64_t solutions;

	(void)b;
	region_check(HILO_REGION(queens, &solutions, (1u << n) - 1, 0, 0, 0));
	return solutions;
}

void bench_nqueens(struct bench *b)
{
	unsigned all = (1u << b->n) - 1;
	uint64_t ops, value;
	hilo_time start;

	if (b->n > ROWS_MAX)
		bench_die("nqueens: at most %d rows", ROWS_MAX);
	ops = queens_count(all, 0, 0, 0);
	start = hilo_now();
	value = queens_serial(all, 0, 0, 0);
	serial_report(b, hilo_now() - start, value, value, ops);
	bench_tasks(b, queens_run, b->n - 2, ops);
	if (b->check != value)
		bench_die("nqueens: as forks %llu solutions", (unsigned long long)b->check);
}

/* The same with boards that are copied and looked at row by row: nodes of some 100 ns, as they mostly are elsewhere. */
static int board_is_safe(const char *board, int row)
{
	for (int i = 0; i < row; i++)
		if (board[i] == board[row] || board[i] - board[row] == i - row ||
		    board[i] - board[row] == row - i)
			return 0;
	return 1;
}

HILO_FORKABLE_INLINE(long, boards, const char *, board, int, row, int, rows)
{
	char child[ROWS_MAX][ROWS_MAX];
	long solutions = 0;
	int forks = 0;

	if (row == rows)
		return 1;
	for (char column = 0; column < rows; column++) {
		memcpy(child[forks], board, ROWS_MAX);
		child[forks][row] = column;
		if (board_is_safe(child[forks], row)) {
			HILO_FORK(boards, child[forks], row + 1, rows);
			forks++;
		}
	}
	while (forks-- > 0)
		solutions += HILO_JOIN(boards);
	return solutions;
}

/* As inline as the fork. With a copy for each of the first eight rows GCC saves another 15 % of the time. */
static inline NOT_CLONED long boards_serial(const char *board, int row, int rows)
{
	char child[ROWS_MAX][ROWS_MAX];
	long solutions = 0;
	int calls = 0;

	if (row == rows)
		return 1;
	for (char column = 0; column < rows; column++) {
		memcpy(child[calls], board, ROWS_MAX);
		child[calls][row] = column;
		if (board_is_safe(child[calls], row))
			calls++;
	}
	while (calls-- > 0)
		solutions += boards_serial(child[calls], row + 1, rows);
	return solutions;
}

static uint64_t boards_run(struct bench *b, long n)
{
	char empty[ROWS_MAX] = {0};
	long solutions;

	(void)b;
	region_check(HILO_REGION(boards, &solutions, empty, 0, (int)n));
	return (uint64_t)solutions;
}

void bench_nqueens_boards(struct bench *b)
{
	char empty[ROWS_MAX] = {0};
	hilo_time start;
	uint64_t ops;
	long value;

	if (b->n > ROWS_MAX)
		bench_die("nqueens_boards: at most %d rows", ROWS_MAX);
	ops = queens_count((1u << b->n) - 1, 0, 0, 0);
	start = hilo_now();
	value = boards_serial(empty, 0, (int)b->n);
	serial_report(b, hilo_now() - start, (uint64_t)value, (uint64_t)value, ops);
	bench_tasks(b, boards_run, b->n - 2, ops);
	if (b->check != (uint64_t)value)
		bench_die("nqueens_boards: as forks %llu solutions", (unsigned long long)b->check);
}

HILO_FORKABLE_INLINE(uint64_t, skynet, long, ordinal, long, leaves)
{
	uint64_t sum = 0;

	if (leaves == 1)
		return (uint64_t)ordinal;
	leaves /= CHILDREN;
	for (int i = 0; i < CHILDREN; i++)
		HILO_FORK(skynet, ordinal + i * leaves, leaves);
	for (int i = 0; i < CHILDREN; i++)
		sum += HILO_JOIN(skynet);
	return sum;
}

static uint64_t skynet_run(struct bench *b, long levels)
{
	uint64_t sum;

	(void)b;
	region_check(HILO_REGION(skynet, &sum, 0, bench_power10(levels)));
	return sum;
}

void bench_skynet_forks(struct bench *b)
{
	if (b->n > 9)
		bench_die("skynet_forks: at most 9 levels");
	bench_tasks(b, skynet_run, b->n - 1, (uint64_t)(bench_power10(b->n + 1) - 1) / 9);
	bench_extra(b, "\"as\":\"forks\"");
}

HILO_FORKABLE_INLINE(uint64_t, one, uint64_t, n)
{
	__asm__ volatile("" : "+r"(n)); /* a call is a call, even of this */
	return n;
}

HILO_FORKABLE(uint64_t, batches, long, rounds)
{
	uint64_t sum = 0;

	for (long r = 0; r < rounds; r++) {
		for (int i = 0; i < BATCH; i++)
			HILO_FORK(one, 1);
		for (int i = 0; i < BATCH; i++)
			sum += HILO_JOIN(one);
	}
	return sum;
}

static uint64_t batches_run(struct bench *b, long rounds)
{
	uint64_t sum;

	(void)b;
	region_check(HILO_REGION(batches, &sum, rounds));
	return sum;
}

void bench_spawn_join_forks(struct bench *b)
{
	bench_tasks(b, batches_run, b->n / 10, (uint64_t)b->n * BATCH);
	bench_extra(b, "\"as\":\"forks\"");
}
