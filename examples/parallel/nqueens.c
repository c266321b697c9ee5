/* SPDX-License-Identifier: MIT */
/*
 * nqueens.c - counts the ways to place n queens on n rows so that none attacks another one: a fork for each queen that
 * is placed safely. The placements of the first two are the items of a reduction, so that progress can be told.
 */
#include <hilo/hilo.h>

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "options.h"
#include "progress.h"

static const char help[] = "Usage: nqueens [OPTION]... [N]\n"
			   "Count the ways to place N queens, default 12, so that none attacks another one.\n"
			   "\n"
			   "  -p, --parallel N  on N cores, default all (HILO_WORKERS overrides it)\n"
			   "  -q, --quiet       no progress, only the number\n"
			   "  -h, --help        print this\n";

#define ROWS_MOST 22 /* that takes days */

struct job {
	struct options options;
	long rows;
	struct progress progress;
};

/* Rows filled so far, as sets of columns: taken, and attacked along the two diagonals. */
HILO_FORKABLE_INLINE(uint64_t, queens, unsigned, all, unsigned, taken, unsigned, left, unsigned, right)
{
	uint64_t ways = 0;
	int forks = 0;

	if (taken == all)
		return 1;
	for (unsigned safe = all & ~(taken | left | right), column; safe; safe &= safe - 1) {
		column = safe & -safe;
		HILO_FORK(queens, all, taken | column, (left | column) << 1, (right | column) >> 1);
		forks++;
	}
	while (forks-- > 0)
		ways += HILO_JOIN(queens);
	return ways;
}

/* What an item stands for: the column of the first queen, times the rows, and that of the second one. */
static int count_ways(int64_t begin, int64_t end, void *value, void *arg)
{
	const struct job *job = arg;
	unsigned all = (1u << job->rows) - 1;
	const hilo_region_opts opts = {.size = sizeof(opts), .flags = HILO_REGION_CANCELLABLE};
	int rc = 0;

	for (int64_t i = begin; i < end && rc == 0; i++) {
		unsigned first = 1u << i / job->rows, second = 1u << i % job->rows;
		uint64_t ways = 0;

		if (second & (first | first << 1 | first >> 1))
			continue; /* attacked */
		rc = HILO_REGION_WITH(&opts, queens, &ways, all, first | second, (first << 1 | second) << 1,
				      (first >> 1 | second) >> 1);
		*(uint64_t *)value += ways;
	}
	return rc;
}

static int add_ways(void *value, void *right, void *arg)
{
	(void)arg;
	*(uint64_t *)value += *(uint64_t *)right;
	return 0;
}

static int count_all(void *arg)
{
	struct job *job = arg;
	const hilo_reduction adding = {sizeof(adding), sizeof(uint64_t), count_ways, add_ways};
	hilo_parallel_opts opts = {.size = sizeof(opts), .grain = 1, .progress_arg = &job->progress};
	hilo_time start = hilo_now();
	uint64_t ways = 0;
	int rc = 0;

	opts.progress = job->progress.on ? progress_tell : NULL;
	progress_step(&job->progress, "placing");
	if (job->rows == 1)
		ways = 1;
	else
		rc = hilo_parallel_reduce_with(0, job->rows * job->rows, &adding, &ways, job, &opts);
	progress_end(&job->progress);
	if (rc < 0)
		return rc;
	printf("%llu\n", (unsigned long long)ways);
	if (!job->options.quiet)
		fprintf(stderr, "%ld queens, %u workers, %.3f s\n", job->rows,
			hilo_runtime_workers(hilo_runtime_current()),
			(double)(hilo_now() - start) / HILO_SECOND);
	return 0;
}

/* -1: go on; else the exit status. */
static int arguments_parse(struct job *job, char **argv)
{
	job->rows = 12;
	if (!argv[0])
		return -1;
	if (options_number("nqueens", 0, argv[0], 1, ROWS_MOST, &job->rows) < 0)
		return 2;
	if (argv[1]) {
		fputs("nqueens: one number of queens is taken\n", stderr);
		return 2;
	}
	return -1;
}

int main(int argc, char **argv)
{
	static struct job job = {.options = {.program = "nqueens", .help = help}};
	hilo_opts opts = {.size = sizeof(opts)};
	int status = options_parse(&job.options, argc, argv, NULL), rc;

	if (status < 0)
		status = arguments_parse(&job, argv + optind);
	if (status >= 0)
		return status;
	progress_begin(&job.progress, "nqueens", job.options.quiet);
	opts.workers = (unsigned)job.options.workers;
	rc = hilo_run(count_all, &job, &opts);
	progress_end(&job.progress);
	if (options_status(rc, 1) == 1)
		fprintf(stderr, "nqueens: %s\n", hilo_error_message());
	if (rc >= 0 && options_output("nqueens") < 0)
		return 1;
	return options_status(rc, 1);
}
