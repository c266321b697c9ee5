/* SPDX-License-Identifier: MIT */
#ifndef PGZIP_INTERRUPT_H
#define PGZIP_INTERRUPT_H

#include <hilo/hilo.h>

/*
 * interrupt.h - Ctrl-C and its kin as something that a task can wait for.
 */
struct interrupt {
	int fd;	    /* readable when a signal has come */
	int signal; /* which one; 0: none */
};

/*
 * [plain thread] Block SIGINT, SIGTERM and SIGHUP and have them come through a descriptor. To be
 * called before hilo_run, whose threads inherit the mask. 0 or a negative errno.
 */
int interrupt_init(struct interrupt *interrupt);

/* [suspends] Wait for a signal. 0 once interrupt->signal is set, or a negative errno. */
int interrupt_wait(struct interrupt *interrupt, hilo_time deadline);

#endif /* PGZIP_INTERRUPT_H */
