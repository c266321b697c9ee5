/* SPDX-License-Identifier: MIT */
#ifndef HILO_SCHEDULER_FIBER_UNWIND_H
#define HILO_SCHEDULER_FIBER_UNWIND_H

/*
 * unwind.h - the frames of a flow of control: the one that asks, or a suspended one.
 *
 * A suspended one is walked without being run. A few lines of assembly call the walk, and their frame
 * information says that they themselves were called from where the suspended flow left off, with the stack
 * pointer and the frame pointer that it had. So the compiler's own unwinder goes from the walker's stack
 * over to the other one. Its remaining registers are not told: they were saved in its frames.
 */
#include <stddef.h>

#include "scheduler/fiber/fiber.h"

/*
 * [any] Return addresses of the caller, the innermost first, from @from on, which is one of them. How many
 * there are in @frames then, @max at most; -EOPNOTSUPP.
 */
int hilo__unwind_here(const void *from, void **frames, size_t max);

/*
 * [holder] The same of @fiber, which nobody runs on, from where it was left on. Needs some 2 KB of the
 * caller's stack, the first time in a process 5.
 */
int hilo__unwind_fiber(const struct fiber *fiber, void **frames, size_t max);

#endif /* HILO_SCHEDULER_FIBER_UNWIND_H */
