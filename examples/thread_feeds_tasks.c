/* SPDX-License-Identifier: MIT */
/*
 * thread_feeds_tasks.c - a plain thread reads, a pool of tasks works: lines of a file, or of a text that is made up.
 *
 *	thread_feeds_tasks [FILE]
 *
 * The thread is not one of Hilo's and blocks as it likes, in fgets and in hilo_queue_put: the queue is bounded, so
 * a fast reader waits for the tasks instead of filling the memory. When there is nothing more to read it shuts the
 * queue down; each task gets what is left, is told then that there will be no more, and ends.
 */
#include <hilo/hilo.h>

#include <ctype.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	QUEUED = 64,	 /* lines that wait, at most */
	MADE_UP = 20000, /* lines, without a file */
	LINE = 4096,
};

struct job {
	FILE *file; /* NULL: made up */
	hilo_queue *lines;
	long fed;
};

struct count {
	hilo_queue *lines; /* where from */
	long done, words;
};

/* The next line into @line; 0: there is none. */
static int read_line(const struct job *job, char line[LINE])
{
	if (job->file)
		return fgets(line, LINE, job->file) != NULL;
	if (job->fed == MADE_UP)
		return 0;
	snprintf(line, LINE, "line %ld of a text that nobody has written\n", job->fed);
	return 1;
}

/* The thread. A line is the queue's from a put that succeeds on, and belongs to whoever gets it. */
static void *feed(void *arg)
{
	struct job *job = arg;
	char line[LINE], *copy;

	while (read_line(job, line)) {
		copy = strdup(line);
		if (!copy || hilo_queue_put(job->lines, copy, HILO_FOREVER) < 0) {
			free(copy);
			break; /* the pool has given up */
		}
		job->fed++;
	}
	hilo_queue_shutdown(job->lines, 0);
	return NULL;
}

static long words_in(const char *line)
{
	long words = 0;

	for (int inside = 0; *line; line++) {
		int letter = !isspace((unsigned char)*line);

		words += letter && !inside;
		inside = letter;
	}
	return words;
}

/* A task of the pool. */
static int count_words(void *arg)
{
	struct count *count = arg;
	void *line;
	int rc;

	while ((rc = hilo_queue_get(count->lines, &line, HILO_FOREVER)) == 0) {
		count->words += words_in(line);
		count->done++;
		free(line);
	}
	return rc == -EPIPE ? 0 : rc; /* no more lines: that is how it ends */
}

/* So many tasks as there are workers, each with a count of its own. */
static int run_pool(struct job *job, long *ret_done, long *ret_words)
{
	unsigned tasks = hilo_runtime_workers(hilo_runtime_current());
	struct count *counts = calloc(tasks, sizeof(*counts));
	int rc;

	if (!counts)
		return -ENOMEM;
	HILO_GROUP (group, &rc)
		for (unsigned i = 0; i < tasks; i++) {
			counts[i].lines = job->lines;
			hilo_group_spawn(group, count_words, &counts[i]);
		}
	for (unsigned i = 0; i < tasks; i++) {
		*ret_done += counts[i].done;
		*ret_words += counts[i].words;
	}
	free(counts);
	return rc;
}

static int main_task(void *arg)
{
	hilo_queue_opts opts = {.size = sizeof(opts), .capacity = QUEUED, .drop = free};
	struct job *job = arg;
	long done = 0, words = 0;
	pthread_t thread;
	int rc = hilo_queue_new_with(&opts, &job->lines);

	if (rc < 0)
		return rc;
	rc = -pthread_create(&thread, NULL, feed, job);
	if (rc == 0) {
		rc = run_pool(job, &done, &words);
		hilo_queue_shutdown(job->lines,
				    1); /* if the pool has failed: the thread is told, what is left freed */
		pthread_join(thread, NULL); /* it does nothing any more, so this is short */
		printf("%ld lines, %ld words\n", done, words);
		if (rc == 0 && done != job->fed)
			rc = -EIO;
	}
	hilo_queue_free(job->lines);
	return rc;
}

int main(int argc, char **argv)
{
	struct job job = {.file = argc > 1 ? fopen(argv[1], "r") : NULL};
	int rc;

	if (argc > 1 && !job.file) {
		perror(argv[1]);
		return 1;
	}
	rc = hilo_run(main_task, &job, NULL);
	if (rc < 0)
		fprintf(stderr, "thread_feeds_tasks: %s\n", hilo_strerror(rc));
	if (job.file)
		fclose(job.file);
	return rc < 0;
}
