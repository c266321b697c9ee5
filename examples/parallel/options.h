/* SPDX-License-Identifier: MIT */
#ifndef PARALLEL_OPTIONS_H
#define PARALLEL_OPTIONS_H

/* options.h - what comes in by the command line, and goes out as a status. */

struct option;

/* What every program here takes, -p, -q and -h, and what it takes beside. */
struct options {
	const char *program, *help;
	const struct option *own; /* as for getopt_long, each with a letter, and an empty one; NULL: none */
	int (*take)(int option, const char *value, void *arg); /* one of its own: 0; -1, after a message */
	long workers;					       /* -p; 0: it was not given */
	int quiet;					       /* -q */
};

/*
 * [any, at the beginning] Read the options of a command line; @arg is handed to `take`. -1: go on, with the arguments
 * from @argv[optind] on; else the exit status.
 */
int options_parse(struct options *options, int argc, char **argv, void *arg);

/* [any] Read a number from @least to @most for -@option of @program, or its argument: 0. 0; -1, after a message. */
int options_number(const char *program, int option, const char *text, long least, long most, long *ret);

/* [any, at the end] What @program has printed is out. 0; -1, after a message: not all of it. */
int options_output(const char *program);

/* [any] The exit status of a program of which hilo_run returned @rc: 0; 130: Ctrl-C has ended it; else @trouble. */
int options_status(int rc, int trouble);

#endif /* PARALLEL_OPTIONS_H */
