/* SPDX-License-Identifier: MIT */
#ifndef SERVICE_LOG_H
#define SERVICE_LOG_H

#include <hilo/hilo.h>
#include <hilo/http/server.h>

#include <stdint.h>

/*
 * log.h - lines of JSON: one for each request, and for what happens to the service.
 *
 * Who logs never waits: a line is copied into memory, and a task writes what has gathered, every 50 ms or as soon
 * as the memory is half full. Lines that find no room, because nobody takes them fast enough, are dropped and
 * counted; the next line that is written says how many.
 */
struct log;

/*
 * [task] @path: a file, which is appended to; "-": standard output; "none". 0, and *@ret; what open says, with a
 * message.
 */
int log_open(const char *path, struct log **ret);

/* [any] One event: {"time": ..., "event": @event, "message": ...}. */
__attribute__((format(printf, 3, 4))) void log_event(struct log *log, const char *event, const char *format,
						     ...);

/* [any] An event with a number: "listening", "port", 8080. */
void log_number(struct log *log, const char *event, const char *name, int64_t number);

/* [any] A request; for hilo_http_opts.access. @arg is the log. */
void log_access(const hilo_http_access *access, void *arg);

/* [any] Lines that were dropped. */
uint64_t log_lost(const struct log *log);

/* [task, suspends] Write what is there, for some seconds at most. Consumes it; NULL: no-op. */
void log_close(struct log *log);

#endif /* SERVICE_LOG_H */
