/* SPDX-License-Identifier: MIT */
/*
 * pipeline.c - sort | uniq -c, with the bytes going through this program: what we write is counted by others.
 *
 * Each program is a process with streams; what one says is pumped to the next one by a task, and all of them end in
 * the block that they were started in.
 */
#include <hilo/hilo.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char words[] = "pear\napple\npear\nfig\npear\napple\n";

struct pipeline {
	hilo_process *sort, *count;
};

static int feed(void *arg)
{
	struct pipeline *line = arg;
	hilo_stream *to = hilo_process_stdin(line->sort);
	ssize_t n = hilo_stream_write(to, words, strlen(words), HILO_FOREVER);

	return n < 0 ? (int)n : hilo_stream_write_eof(to);
}

static int pass_on(void *arg)
{
	struct pipeline *line = arg;
	hilo_stream *to = hilo_process_stdin(line->count);
	int rc = hilo_stream_pump(hilo_process_stdout(line->sort), to, UINT64_MAX, NULL, HILO_FOREVER);

	return rc < 0 ? rc : hilo_stream_write_eof(to);
}

/* "   3 pear" is what uniq writes. */
static int print(struct pipeline *line)
{
	char text[256], word[128];
	ssize_t n;
	int times;

	while ((n = hilo_stream_read_line(hilo_process_stdout(line->count), text, sizeof(text),
					  HILO_FOREVER)) > 0)
		if (sscanf(text, "%d %127s", &times, word) == 2)
			printf("%s: %d\n", word, times);
	return (int)n;
}

static int run(struct pipeline *line)
{
	int rc, status[2] = {0, 0};

	HILO_GROUP (group, &rc) {
		hilo_group_spawn(group, feed, line);
		hilo_group_spawn(group, pass_on, line);
		rc = print(line);
	}
	if (rc == 0)
		rc = hilo_process_wait(line->sort, &status[0], HILO_FOREVER);
	if (rc == 0)
		rc = hilo_process_wait(line->count, &status[1], HILO_FOREVER);
	if (rc == 0)
		printf("sort: %d, uniq: %d\n", status[0], status[1]);
	return rc;
}

static int main_task(void *arg)
{
	hilo_process_opts opts = {.size = sizeof(opts), .in = HILO_STDIO_PIPE, .out = HILO_STDIO_PIPE};
	struct pipeline line = {NULL, NULL};
	int rc;

	(void)arg;
	opts.env_add = (const char *const[]){"LC_ALL=C", NULL};
	rc = hilo_process_spawn((const char *const[]){"sort", NULL}, &opts, &line.sort, HILO_FOREVER);
	if (rc == 0)
		rc = hilo_process_spawn((const char *const[]){"uniq", "-c", NULL}, &opts, &line.count,
					HILO_FOREVER);
	if (rc == 0)
		rc = run(&line);
	hilo_process_free(line.sort); /* whatever has failed: nobody is left */
	hilo_process_free(line.count);
	return rc;
}

HILO_MAIN(main_task);
