/* SPDX-License-Identifier: MIT */
#ifndef PGZIP_JOB_H
#define PGZIP_JOB_H

#include "input.h"
#include "options.h"
#include "output.h"
#include "progress.h"

#include <hilo/hilo.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* job.h - one file that is compressed, decompressed or tested. */

/* The first failure of many, with its message. */
struct failure {
	int code; /* 0: none */
	char message[HILO_ERROR_MESSAGE_SIZE];
};

struct job {
	const struct options *options;
	struct input input;
	struct output output;
	struct progress progress;
	bool garbage;	       /* something follows the last member and was left aside */
	atomic_ullong *blocks; /* for each worker: blocks compressed there, all files together */
	uint64_t total_in;     /* bytes of all files that are done */
	uint64_t total_out;
};

/*
 * [suspends] The whole way of one file, "-" for standard input. A failure carries its message and
 * leaves no output behind.
 */
int job_run(struct job *job, const char *path);

/* compress.c, decompress.c: [suspends] from job->input to job->output. A failure carries its message. */
int job_compress(struct job *job);
int job_decompress(struct job *job);

/* Keep @code and the caller's hilo_error_message() if it is the first failure. Returns @code. */
int failure_note(struct failure *failure, int code);

/* Give it back as the caller's own failure, message and all: 0 or its code. */
int failure_return(const struct failure *failure);

#endif /* PGZIP_JOB_H */
