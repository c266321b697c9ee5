/* SPDX-License-Identifier: MIT */
/*
 * job.c - one file from opening to its final name.
 */
#include "job.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

/* What decompressing makes of the end of a name. */
static const struct suffix {
	const char *packed;
	const char *plain;
} suffixes[] = {{".gz", ""}, {".tgz", ".tar"}, {".taz", ".tar"}, {"-gz", ""}, {".z", ""}};

int failure_note(struct failure *failure, int code)
{
	const char *message = hilo_error_code() == code ? hilo_error_message() : hilo_strerror(code);

	if (code >= 0 || failure->code < 0)
		return code;
	failure->code = code;
	snprintf(failure->message, sizeof(failure->message), "%s", message);
	return code;
}

int failure_return(const struct failure *failure)
{
	return failure->code < 0 ? hilo_fail(failure->code, "%s", failure->message) : 0;
}

static const struct suffix *suffix_find(const char *path)
{
	size_t length = strlen(path), end;
	unsigned i;

	for (i = 0; i < sizeof(suffixes) / sizeof(*suffixes); i++) {
		end = strlen(suffixes[i].packed);
		if (length > end && path[length - end - 1] != '/' &&
		    strcasecmp(path + length - end, suffixes[i].packed) == 0)
			return &suffixes[i];
	}
	return NULL;
}

/* The name of the output that goes with @path, in @name of PATH_MAX bytes. */
static int output_name(const struct options *options, const char *path, char *name)
{
	const struct suffix *suffix = suffix_find(path);
	int length;

	if (options->mode == MODE_COMPRESS && suffix && !options->force)
		return hilo_fail(-EINVAL, "%s ends in %s already; use -f to compress it again", path,
				 suffix->packed);
	if (options->mode == MODE_DECOMPRESS && !suffix)
		return hilo_fail(-EINVAL, "%s does not end in .gz; use -o to name the output", path);
	if (options->mode == MODE_COMPRESS)
		length = snprintf(name, PATH_MAX, "%s.gz", path);
	else
		length = snprintf(name, PATH_MAX, "%.*s%s", (int)(strlen(path) - strlen(suffix->packed)),
				  path, suffix->plain);
	if (length >= PATH_MAX)
		return hilo_fail(-ENAMETOOLONG, "%s: the name is too long", path);
	return 0;
}

/* Compressed data are not for eyes, and a file is not to be read and written at the same time. */
static int job_check(struct job *job)
{
	const struct options *options = job->options;
	const struct stat *in = &job->input.stat;
	struct stat out;

	if (options->mode == MODE_COMPRESS && !options->force && isatty(job->output.fd))
		return hilo_fail(-EINVAL,
				 "compressed data are not written to a terminal; use -f if you mean it");
	if (options->mode != MODE_COMPRESS && !options->force && isatty(job->input.fd))
		return hilo_fail(-EINVAL,
				 "compressed data are not read from a terminal; use -f if you mean it");
	if (job->output.path && stat(job->output.path, &out) < 0)
		return 0;
	if (!job->output.path && fstat(job->output.fd, &out) < 0)
		return 0;
	if (S_ISREG(in->st_mode) && in->st_dev == out.st_dev && in->st_ino == out.st_ino)
		return hilo_fail(-EINVAL, "%s is input and output at once", job->input.name);
	return 0;
}

/* [suspends] */
static int job_open(struct job *job, const char *path, char *name)
{
	const struct options *options = job->options;
	const char *out = options->output;
	int ret = input_open(&job->input, path);

	if (ret < 0)
		return ret;
	if (options->mode == MODE_TEST) {
		output_open_nothing(&job->output);
		return job_check(job);
	}
	if (out && strcmp(out, "-") == 0)
		out = NULL;
	if (!options->output && !options->to_stdout && job->input.path) {
		ret = output_name(options, path, name);
		if (ret < 0)
			return ret;
		out = name;
	}
	ret = output_open(&job->output, out, options->force);
	return ret < 0 ? ret : job_check(job);
}

/* What is left on the terminal once the line of progress is gone. */
static void job_summarize(const struct job *job, hilo_time span)
{
	char in[PROGRESS_SIZE_TEXT], out[PROGRESS_SIZE_TEXT], rate[PROGRESS_SIZE_TEXT];
	unsigned long long bytes = job->progress.in;
	double seconds = (double)span / HILO_SECOND;

	fprintf(stderr, "%s: %s -> %s in %.1f s, %s/s\n", job->input.name, progress_size(in, (double)bytes),
		progress_size(out, (double)job->progress.out), seconds,
		progress_size(rate, seconds > 0 ? (double)bytes / seconds : 0));
}

/* [suspends] The work itself, under the eyes of the progress line. */
static int job_work(struct job *job)
{
	const struct stat *in = &job->input.stat;
	bool draw = !job->options->quiet && progress_is_possible();
	int ret;

	progress_start(&job->progress, S_ISREG(in->st_mode) ? (uint64_t)in->st_size : 0, draw);
	ret = job->options->mode == MODE_COMPRESS ? job_compress(job) : job_decompress(job);
	progress_stop(&job->progress);
	if (ret < 0)
		return ret;
	if (draw)
		job_summarize(job, hilo_now() - job->progress.start);
	job->total_in += job->progress.in;
	job->total_out += job->progress.out;
	return 0;
}

int job_run(struct job *job, const char *path)
{
	char name[PATH_MAX];
	struct failure failure = {0};

	job->garbage = false;
	job->output.fd = -1;
	job->output.path = NULL;
	if (failure_note(&failure, job_open(job, path, name)) == 0 &&
	    failure_note(&failure, job_work(job)) == 0)
		failure_note(&failure, output_commit(&job->output, &job->input.stat));
	output_discard(&job->output); /* nothing to do after a commit */
	input_close(&job->input);
	return failure_return(&failure);
}
