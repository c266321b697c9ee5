/* SPDX-License-Identifier: MIT */
#ifndef HILO_SCHEDULER_BASE_PROC_H
#define HILO_SCHEDULER_BASE_PROC_H

/* proc.h - what the kernel says of a thread of this process: is it on a CPU, waiting for one, or asleep? */
#include <stdbool.h>
#include <stdint.h>

#include "scheduler/base/atomic.h"

/* What another thread needs to know to ask about a thread. Zero: a thread that has not started. */
struct proc_thread {
	atomic(int32_t) clock; /* published by tid */
	atomic(int32_t) tid;   /* 0: not known */
};

/* [the thread itself] Make it known. */
void hilo__proc_thread_init(struct proc_thread *ret);

/* [any, while the thread lives] The CPU time that it has used, in nanoseconds; -1: cannot be told. */
int64_t hilo__proc_thread_cpu(const struct proc_thread *thread);

/*
 * [any] True if it sleeps in the kernel at this moment, or if that cannot be told. A thread that others
 * keep from its CPU is seen asleep as well, now and then, in a page fault or at a lock: who needs to
 * know that it goes on sleeping looks again, and at the CPU time, after PROC_LOOK_AGAIN_NS.
 */
bool hilo__proc_thread_sleeps(const struct proc_thread *thread);

#define PROC_LOOK_AGAIN_NS 200000

#endif /* HILO_SCHEDULER_BASE_PROC_H */
