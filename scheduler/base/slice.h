/* SPDX-License-Identifier: MIT */
#ifndef HILO_SCHEDULER_BASE_SLICE_H
#define HILO_SCHEDULER_BASE_SLICE_H

/* slice.h - for how long a thread keeps a core to itself while others wait for it. */
#include <stdbool.h>
#include <stdint.h>

#define SLICE_NS 250000

/* The argument of sched_getattr(2) and sched_setattr(2), as it was first. */
struct slice_attr {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t
		runtime; /* of an ordinary thread: its slice; 0: the kernel's, or the kernel has none to tell of */
	uint64_t deadline, period;
};

/*
 * [the thread itself] Ask for slices of SLICE_NS, unless it has shorter ones. False: the kernel does not give a thread
 * its own ones (before Linux 6.12), forbids it, or the thread is none of the ordinary ones.
 */
bool hilo__slice_shorten(void);

/* [the thread itself] Slices are inherited: if it has those of hilo__slice_shorten it has the kernel's again. */
void hilo__slice_restore(void);

/* [the thread itself] Who waits for this core comes first, if his turn it is. What is left of the slice is lost. */
void hilo__slice_end(void);

#ifdef HILO_TESTING
/* So often has a thread of this process ended its slice. */
uint64_t hilo__slices_ended(void);
#endif

#endif /* HILO_SCHEDULER_BASE_SLICE_H */
