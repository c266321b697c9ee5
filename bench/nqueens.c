/* SPDX-License-Identifier: MIT */
/* nqueens.c - count the ways to place n queens, a task for each safe placement in each row. */
#include "harness.h"

#define ROWS_MAX 16

/* Rows filled so far, as sets of columns: taken, and attacked along the two diagonals. */
struct board {
	unsigned all;
	unsigned taken;
	unsigned left;
	unsigned right;
	uint64_t solutions;
};

static struct board board_place(const struct board *b, unsigned column)
{
	return (struct board){b->all, b->taken | column, (b->left | column) << 1, (b->right | column) >> 1,
			      0};
}

static unsigned board_safe(const struct board *b)
{
	return b->all & ~(b->taken | b->left | b->right);
}

static int board_task(void *arg)
{
	struct board *board = arg, child[ROWS_MAX];
	hilo_task *task[ROWS_MAX];
	int children = 0;

	if (board->taken == board->all) {
		board->solutions = 1;
		return 0;
	}
	for (unsigned safe = board_safe(board); safe; safe &= safe - 1) {
		child[children] = board_place(board, safe & -safe);
		task[children] = hilo_spawn(board_task, &child[children]);
		children++;
	}
	for (int i = 0; i < children; i++) {
		bench_join(task[i], 0);
		board->solutions += child[i].solutions;
	}
	return 0;
}

static uint64_t nqueens(struct bench *b, long n)
{
	struct board empty = {.all = (1u << n) - 1};

	(void)b;
	board_task(&empty);
	return empty.solutions;
}

/* The number of tasks: safe placements below @board. */
static uint64_t placements_count(const struct board *board)
{
	uint64_t count = 0;

	for (unsigned safe = board_safe(board); safe; safe &= safe - 1) {
		struct board next = board_place(board, safe & -safe);

		count += 1 + placements_count(&next);
	}
	return count;
}

void bench_nqueens_tasks(struct bench *b)
{
	struct board empty = {0};

	if (b->n > ROWS_MAX)
		bench_die("nqueens_tasks: at most %d rows", ROWS_MAX);
	empty.all = (1u << b->n) - 1;
	bench_tasks(b, nqueens, b->n - 2, placements_count(&empty));
	bench_extra(b, "\"as\":\"tasks\"");
}
