/* SPDX-License-Identifier: MIT */
#ifndef PARALLEL_OPTIONS_H
#define PARALLEL_OPTIONS_H

/* options.h - what comes in by the command line, and goes out as a status. */

/* [any] Read a number from @least to @most for -@option of @program, or its argument: 0. 0; -1, after a message. */
int options_number(const char *program, int option, const char *text, long least, long most, long *ret);

/* [any, at the end] What @program has printed is out. 0; -1, after a message: not all of it. */
int options_output(const char *program);

/* [any] The exit status of a program of which hilo_run returned @rc: 0; 130: Ctrl-C has ended it; else @trouble. */
int options_status(int rc, int trouble);

#endif /* PARALLEL_OPTIONS_H */
