/* SPDX-License-Identifier: MIT */
#ifndef HILO_RUNTIME_INTERRUPT_IMPL_H
#define HILO_RUNTIME_INTERRUPT_IMPL_H

/* interrupt_impl.h - Ctrl-C while the main thread is in a run; the protocol is in interrupt.c. */
#include <hilo/runtime/types.h>

#include <stdbool.h>

/*
 * [plain thread] From here on SIGINT is for the main task of @runtime: if this is the main thread, the signal has
 * its default disposition and is not blocked, and the runtime's options do not forbid it.
 */
void hilo__interrupt_begin(hilo_runtime *runtime);

/* [the same thread] That task is @main, which the caller keeps. One that came before is for it, too. */
void hilo__interrupt_main(hilo_task *main);

/* [the same thread] It has ended with @rc, and is not to be touched any more. What the run returns. */
int hilo__interrupt_result(int rc);

/* [the same thread] As it was before; a SIGINT that came too late for @main is raised again. */
void hilo__interrupt_end(void);

/* [plain thread] The last run of the main thread, which this one is, has ended with -EINTR by a SIGINT. */
bool hilo__interrupt_has_ended_it(void);

/* [plain thread] End the process as SIGINT does by default. Returns, with what shells call that, if it is blocked. */
int hilo__interrupt_die(void);

#endif /* HILO_RUNTIME_INTERRUPT_IMPL_H */
