/* SPDX-License-Identifier: MIT */
/*
 * log.c - see log.h. Two halves: lines are added to one while the other one is written.
 *
 * A file is written by a thread of the executor. A pipe or a terminal is waited for, and given no more at a time
 * than it takes for sure, so that somebody who does not read holds up nothing but the log.
 */
#include "log.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define HALF (1u << 20)
#define GATHER (50 * HILO_MILLISECOND)
#define PATIENCE (3 * HILO_SECOND) /* at the end */

struct half {
	char *data;
	size_t used;
};

struct log {
	pthread_mutex_t lock; /* of `now`; nothing is waited for under it */
	struct half *now, half[2];
	hilo_event some, much; /* there is something in `now`; it is half full */
	hilo_event end;
	uint64_t told; /* of those that were lost */
	_Atomic uint64_t lost;
	int fd; /* -1: nothing is logged */
	bool owns_fd;
	hilo_task *task;
};

/* ---- Lines ---- */

static void log_line(struct log *log, const struct text *line)
{
	bool first = false, much = false, lost = true;

	pthread_mutex_lock(&log->lock);
	if (!line->failed && HALF - log->now->used >= line->used) {
		first = log->now->used == 0;
		memcpy(log->now->data + log->now->used, line->data, line->used);
		log->now->used += line->used;
		much = log->now->used > HALF / 2;
		lost = false;
	}
	pthread_mutex_unlock(&log->lock);
	if (lost)
		atomic_fetch_add_explicit(&log->lost, 1, memory_order_relaxed); /* a figure */
	if (first)
		(void)hilo_event_set(&log->some);
	if (much)
		(void)hilo_event_set(&log->much);
}

/* "2026-01-31T12:00:00.123Z" */
static void add_time(struct text *line)
{
	struct timespec now;
	struct tm tm;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	(void)gmtime_r(&now.tv_sec, &tm);
	text_add_format(line, "{\"time\":\"%04d-%02d-%02dT%02d:%02d:%02d.%03ldZ\"", tm.tm_year + 1900,
			tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, now.tv_nsec / 1000000);
}

static void add_member(struct text *line, const char *name, const char *value)
{
	text_add_format(line, ",\"%s\":", name);
	text_add_json(line, value, strlen(value));
}

static void add_number(struct text *line, const char *name, int64_t value)
{
	text_add_format(line, ",\"%s\":", name);
	text_add_number(line, value);
}

static void begin_event(struct text *line, const char *event)
{
	text_init(line);
	add_time(line);
	add_member(line, "event", event);
	add_number(line, "pid", getpid());
}

static void end_event(struct log *log, struct text *line)
{
	text_add_string(line, "}\n");
	if (log->fd >= 0)
		log_line(log, line);
	text_fini(line);
}

void log_event(struct log *log, const char *event, const char *format, ...)
{
	char message[HILO_ERROR_MESSAGE_SIZE];
	struct text line;
	va_list args;

	va_start(args, format);
	(void)vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	begin_event(&line, event);
	add_member(&line, "message", message);
	end_event(log, &line);
}

void log_number(struct log *log, const char *event, const char *name, int64_t number)
{
	struct text line;

	begin_event(&line, event);
	add_number(&line, name, number);
	end_event(log, &line);
}

void log_access(const hilo_http_access *access, void *arg)
{
	struct log *log = arg;
	char peer[HILO_ADDRESS_SIZE];
	struct text line;

	if (log->fd < 0)
		return;
	if (!access->peer || hilo_address_format(access->peer, peer, sizeof(peer)) < 0)
		peer[0] = '\0';
	text_init(&line);
	add_time(&line);
	add_member(&line, "peer", peer);
	add_member(&line, "method", access->method);
	add_member(&line, "target", access->target);
	add_number(&line, "status", access->status);
	add_number(&line, "received", (int64_t)access->received);
	add_number(&line, "sent", (int64_t)access->sent);
	add_number(&line, "us", access->span / HILO_MICROSECOND);
	if (access->user_agent && *access->user_agent)
		add_member(&line, "agent", access->user_agent);
	text_add_string(&line, "}\n");
	log_line(log, &line);
	text_fini(&line);
}

uint64_t log_lost(const struct log *log)
{
	return atomic_load_explicit(&log->lost, memory_order_relaxed); /* a figure */
}

/* ---- Writing ---- */

struct writing {
	int fd;
	const char *data;
	size_t size;
};

/* [executor] All of it, into a file. */
static int writing_run(void *arg)
{
	struct writing *writing = arg;
	ssize_t n;

	while (writing->size > 0) {
		n = write(writing->fd, writing->data, writing->size);
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			writing->data += n;
			writing->size -= (size_t)n;
		}
	}
	return 0;
}

/*
 * Without waiting: what is writable takes so much. Not inlined: the address of errno is not kept over a suspension.
 */
__attribute__((noinline)) static int writing_some(struct writing *writing)
{
	size_t size = writing->size < PIPE_BUF ? writing->size : PIPE_BUF;
	ssize_t n = write(writing->fd, writing->data, size);

	if (n < 0)
		return errno == EINTR || errno == EAGAIN ? 0 : -errno;
	writing->data += n;
	writing->size -= (size_t)n;
	return 0;
}

/* [suspends] */
static int log_write(struct log *log, const char *data, size_t size, hilo_time deadline)
{
	struct writing writing = {log->fd, data, size};
	int rc = 0;

	while (writing.size > 0 && rc >= 0) {
		rc = hilo_fd_wait(log->fd, HILO_WRITABLE, deadline);
		if (rc == -EPERM) /* a file, which is always ready */
			return hilo_run_in_executor(NULL, writing_run, &writing, HILO_FOREVER);
		if (rc >= 0)
			rc = writing_some(&writing);
	}
	return rc;
}

/* [suspends] What there is now. */
static int log_flush(struct log *log, hilo_time deadline)
{
	uint64_t lost = log_lost(log);
	struct half *half;
	int rc;

	if (lost != log->told) {
		log_number(log, "lines lost", "count", (int64_t)(lost - log->told));
		log->told = lost;
	}
	pthread_mutex_lock(&log->lock);
	half = log->now;
	log->now = half == &log->half[0] ? &log->half[1] : &log->half[0];
	pthread_mutex_unlock(&log->lock);
	(void)hilo_event_clear(&log->much);
	rc = log_write(log, half->data, half->used, deadline);
	half->used = 0;
	return rc;
}

/* [task] Write every now and then, up to the end. */
static int log_task(void *arg)
{
	struct log *log = arg;
	int rc = 0;

	while (rc >= 0 && !hilo_event_is_set(&log->end)) {
		rc = hilo_event_wait(&log->some, HILO_FOREVER);
		(void)hilo_event_clear(&log->some);
		if (rc >= 0)
			rc = hilo_event_wait(&log->much, hilo_after(GATHER));
		if (rc >= 0 || rc == -ETIMEDOUT)
			rc = log_flush(log, HILO_FOREVER);
		if (rc < 0 && rc != -ECANCELED)
			rc = hilo_sleep(HILO_SECOND); /* the disk is full, say; those lines are gone */
	}
	return rc;
}

int log_open(const char *path, struct log **ret)
{
	struct log *log = calloc(1, sizeof(*log));
	int rc = 0;

	if (!log)
		return -ENOMEM;
	pthread_mutex_init(&log->lock, NULL);
	log->owns_fd = strcmp(path, "-") != 0 && strcmp(path, "none") != 0;
	log->fd = strcmp(path, "-") == 0 ? STDOUT_FILENO : -1;
	log->now = &log->half[0];
	log->half[0].data = malloc(2 * HALF);
	log->half[1].data = log->half[0].data ? log->half[0].data + HALF : NULL;
	if (log->half[0].data && log->owns_fd) {
		log->fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
		rc = log->fd < 0 ? hilo_fail(-errno, "%s: %s", path, strerror(errno)) : 0;
	}
	if (rc == 0) {
		log->task = log->half[0].data ? hilo_spawn(log_task, log) : NULL;
		rc = log->task ? 0 : -ENOMEM;
	}
	if (rc < 0)
		log_close(log);
	else
		*ret = log;
	return rc;
}

void log_close(struct log *log)
{
	if (!log)
		return;
	(void)hilo_shield_enter();
	(void)hilo_event_set(&log->end);
	(void)hilo_event_set(&log->some);
	(void)hilo_event_set(&log->much);
	if (log->task && hilo_await(log->task, hilo_after(PATIENCE)) == -ETIMEDOUT)
		(void)hilo_task_cancel(log->task);
	if (log->task && hilo_join(log->task, HILO_FOREVER) == 0 && log->fd >= 0)
		(void)log_flush(log, hilo_after(PATIENCE)); /* what came with the last one */
	(void)hilo_shield_leave();
	if (log->owns_fd && log->fd >= 0)
		(void)close(log->fd);
	pthread_mutex_destroy(&log->lock);
	free(log->half[0].data);
	free(log);
}
