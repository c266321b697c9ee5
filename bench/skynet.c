/* SPDX-License-Identifier: MIT */
/* skynet.c - a tree of tasks, ten children each; a leaf is its ordinal, a parent the sum of its children. */
#include "harness.h"

#define CHILDREN 10

struct node {
	long ordinal;
	long leaves;
	uint64_t sum;
};

static int node_task(void *arg)
{
	struct node *node = arg, child[CHILDREN];
	hilo_task *task[CHILDREN];

	if (node->leaves == 1) {
		node->sum = (uint64_t)node->ordinal;
		return 0;
	}
	for (int i = 0; i < CHILDREN; i++) {
		child[i].leaves = node->leaves / CHILDREN;
		child[i].ordinal = node->ordinal + i * child[i].leaves;
		task[i] = hilo_spawn(node_task, &child[i]);
	}
	node->sum = 0;
	for (int i = 0; i < CHILDREN; i++) {
		bench_join(task[i], 0);
		node->sum += child[i].sum;
	}
	return 0;
}

static uint64_t skynet(struct bench *b, long levels)
{
	struct node root = {.leaves = bench_power10(levels)};

	(void)b;
	bench_join(hilo_spawn(node_task, &root), 0);
	return root.sum;
}

void bench_skynet(struct bench *b)
{
	if (b->n > 9)
		bench_die("skynet: at most 9 levels");
	bench_tasks(b, skynet, b->n - 1, (uint64_t)(bench_power10(b->n + 1) - 1) / 9);
	bench_extra(b, "\"as\":\"tasks\"");
}
