/* SPDX-License-Identifier: MIT */
#ifndef HILO_SCHEDULER_FIBER_SANITIZE_H
#define HILO_SCHEDULER_FIBER_SANITIZE_H

/*
 * sanitize.h - what the tools have to be told about stacks that are not a thread's. Nothing of it is
 * left in a build without them.
 *
 * AddressSanitizer   must know the bounds of the stack in use and keep a fake stack for each fiber
 *                    (detect_stack_use_after_return). The bounds are announced at every switch, as a
 *                    fiber may go on on another thread.
 * ThreadSanitizer    sees each fiber as a thread of its own. Switches are announced as not
 *                    synchronising: with the default, whatever two fibers of one worker do would count
 *                    as ordered and no race between them could ever be reported. What does order them
 *                    is said by whoever queues and takes a task: fiber_tsan_release(task) as the last
 *                    thing before it becomes visible to others, fiber_tsan_acquire(task) as the first
 *                    after it was taken. The runtime library of GCC 12 ends the program at 8,128
 *                    threads and fibers together; that of Clang is good for many more.
 * Valgrind           is told of each stack once, so that it takes a switch for a switch and not for a
 *                    huge frame. HILO_VALGRIND is defined by the build where the header exists.
 *                    Helgrind and DRD have no notion of fibers: their reports mean nothing here.
 * LeakSanitizer      does not look into the stacks of suspended fibers. Programs end with none.
 */
#include <stdbool.h>
#include <stddef.h>

#include "scheduler/base/compiler.h"

#ifdef HILO__ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
void __asan_handle_no_return(void);
#endif
#ifdef HILO__TSAN
#include <sanitizer/tsan_interface.h>
#endif
#ifdef HILO_VALGRIND
#include <valgrind/valgrind.h>
#endif

/* [any] All that this thread or fiber did so far happens before what follows an acquire of @address. */
static inline void fiber_tsan_release(void *address)
{
#ifdef HILO__TSAN
	__tsan_release(address);
#else
	(void)address;
#endif
}

/* [any] What was done before the releases of @address happens before what follows here. */
static inline void fiber_tsan_acquire(void *address)
{
#ifdef HILO__TSAN
	__tsan_acquire(address);
#else
	(void)address;
#endif
}

/* [any] What ThreadSanitizer keeps for a fiber is large, and there is an end to it: none is made in advance. */
static inline bool fibers_are_large(void)
{
#ifdef HILO__TSAN
	return true;
#else
	return false;
#endif
}

/* [any] Tell Valgrind that [low, high) is a stack. Stacks keep their place as long as the process lives. */
static inline void stack_annotate_new(void *low, void *high)
{
#ifdef HILO_VALGRIND
	(void)VALGRIND_STACK_REGISTER(low, high);
#else
	(void)low;
	(void)high;
#endif
}

/* [any] A stack is given to its next user: what the last one left poisoned is ordinary memory again. */
static inline void stack_annotate_reuse(void *low, size_t size)
{
#ifdef HILO__ASAN
	__asan_unpoison_memory_region(low, size);
#else
	(void)low;
	(void)size;
#endif
}

static inline int runs_on_valgrind(void)
{
#ifdef HILO_VALGRIND
	return RUNNING_ON_VALGRIND != 0;
#else
	return 0;
#endif
}

/* True where stacks are to keep their pages, because a tool was told of them by address. */
static inline int stack_annotate_pinned(void)
{
	return runs_on_valgrind();
}

#endif /* HILO_SCHEDULER_FIBER_SANITIZE_H */
