/* SPDX-License-Identifier: MIT */
#ifndef PARALLEL_OPTIONS_H
#define PARALLEL_OPTIONS_H

/* options.h - what comes in by the command line, and goes out as a status. */

/* [any] Read a number from @least to @most for -@option of @program. 0; -1, after a message. */
int options_number(const char *program, int option, const char *text, long least, long most, long *ret);

/* [any] The exit status of a program of which hilo_run returned @rc: 0; 130: Ctrl-C has ended it; else @trouble. */
int options_status(int rc, int trouble);

#endif /* PARALLEL_OPTIONS_H */
