/* SPDX-License-Identifier: MIT */
#ifndef TESTS_SUPPORT_CROWD_H
#define TESTS_SUPPORT_CROWD_H

/*
 * crowd.h - many clients in a process of their own, which know nothing of Hilo: the test's program, run once more.
 *
 *	int main(int argc, char **argv)
 *	{
 *		crowd_main(argc, argv);                              returns only if this is the test itself
 *		...
 *		crowd_start(&crowd, CROWD_TOGETHER, 10000, 0);
 *		crowd_go(&crowd, port);                              10,000 clients of a server on 127.0.0.1
 *		crowd_wait(&crowd);                                  all have been answered, and all are there
 *		crowd_end(&crowd);
 *
 * A client sends a question, CROWD_QUESTION bytes, and expects crowd_answer of it, as long. They come from several
 * addresses of this machine, so that there are ports enough.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum crowd_kind {
	CROWD_TOGETHER, /* all connect, all ask, all stay until crowd_end */
	CROWD_STORM, /* some at a time; each asks, and leaves by a reset; one that is turned away comes again */
	CROWD_SLOW, /* all connect; question and answer go a byte at a time */
	CROWD_DEAF, /* all connect and ask, none reads, all stay until crowd_end */
};

#define CROWD_QUESTION 8

struct crowd {
	pid_t pid;
	int to, from; /* pipes; both block */
};

static inline uint64_t crowd_answer(uint64_t question)
{
	return question * 0x9e3779b97f4a7c15u + 1;
}

/* [main, first] If this process is to be a crowd: be it, and exit. */
void crowd_main(int argc, char **argv);

/* [any] Start @count clients, @at_once at a time (storms), which wait for crowd_go. */
void crowd_start(struct crowd *crowd, enum crowd_kind kind, unsigned count, unsigned at_once);

/* [any] Have them connect to @port of 127.0.0.1. */
void crowd_go(struct crowd *crowd, unsigned port);

/* [task] Wait until all have what they came for. */
void crowd_wait(struct crowd *crowd);

/* [any] Have them leave, wait for the end of the process, which must have found nothing wrong. */
void crowd_end(struct crowd *crowd);

/* [any] Raise the limit of descriptors as far as it goes; what it is then. */
unsigned crowd_raise_limit(void);

#endif /* TESTS_SUPPORT_CROWD_H */
