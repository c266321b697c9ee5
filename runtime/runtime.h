/* SPDX-License-Identifier: MIT */
#ifndef HILO_RUNTIME_RUNTIME_H
#define HILO_RUNTIME_RUNTIME_H

#include <hilo/runtime/types.h>
#include <hilo/runtime/task.h>

HILO_BEGIN_DECLS

/*
 * runtime.h - everything that one hilo_run starts: workers, loops, pools, tasks. Several runtimes
 * may live in one process, one after the other or side by side; there is no default one.
 */

/* Zero means the default in every field. Environment variables override what the options say. */
typedef struct hilo_opts {
	size_t size;		      /* sizeof(hilo_opts) */
	unsigned workers;	      /* HILO_WORKERS; default: CPUs allowed by affinity and cgroups */
	enum hilo_stack_class stack;  /* HILO_STACK=16K|64K|256K|1M|8M; of tasks that ask for none */
	hilo_time shutdown;	      /* how long leftover tasks get to end once cancelled; default 10 s */
	unsigned flags;		      /* HILO_PRINT_CONFIG; HILO_CONFIG=1 */
	unsigned spin_us;	      /* HILO_SPIN_US; the most a worker spins before it sleeps; default 50 */
	const hilo_task_hooks *hooks; /* told of every task; copied; NULL: none */
} hilo_opts;

#define HILO_PRINT_CONFIG 1u /* log the effective configuration at start, at level INFO, on standard error */
#define HILO_NO_SPIN 2u	     /* never spin before sleeping */

/*
 * Start a runtime, run @main(@arg) as its first task, wait for it, and end all it started: tasks
 * that are left over are cancelled and get `shutdown` to end. Returns what @main returned.
 * @opts is borrowed and may be NULL.
 *
 * In a plain thread: a new runtime; the thread blocks. In a task: runs @main as a child task of the
 * same runtime and waits for it (-EBUSY if @opts is not NULL). In a callback: -EDEADLK.
 * -EINVAL (the value is in hilo_error_message), -E2BIG (an option that this version does not know is
 * set), -ENOMEM, -EAGAIN (no thread).
 */
HILO_API int hilo_run(hilo_task_fn main, void *arg, const hilo_opts *opts);

/*
 * [plain thread] Start a runtime in the background; tasks reach it with hilo_submit. Errors as
 * hilo_run. Ended with hilo_runtime_free.
 */
HILO_API HILO_MUST_CHECK int hilo_runtime_new(const hilo_opts *opts, hilo_runtime **ret);

/*
 * [plain thread] Take no more tasks, cancel those that are left, wait for them up to the shutdown
 * option, stop the workers and free all. 0, or -ETIMEDOUT: tasks did not end and are named in the
 * log, with what they wait for and since when; the runtime is then left running on purpose and @runtime
 * stays valid. NULL: 0. -EDEADLK from inside the runtime itself.
 */
HILO_API int hilo_runtime_free(hilo_runtime *runtime);

/* [any] The runtime of the calling task or callback; NULL in a plain thread. */
HILO_API hilo_runtime *hilo_runtime_current(void);

/*
 * [any] Write the effective configuration as text, one `name=value` a line, into @buf of @size
 * bytes, and return the length it has (as snprintf does). -EINVAL for NULL.
 */
HILO_API int hilo_runtime_config(const hilo_runtime *runtime, char *buf, size_t size);

/* Figures of one worker, read one by one without stopping it: for statistics only. */
typedef struct hilo_worker_stats {
	size_t size;	    /* sizeof(hilo_worker_stats), set by the caller */
	uint64_t switches;  /* tasks that were given the thread */
	uint64_t spawned;   /* tasks made here */
	uint64_t completed; /* tasks that ended here */
	uint64_t steals;    /* successful steals by this worker */
	uint64_t stolen;    /* tasks it got that way */
	uint64_t wakes;	    /* other workers that it woke with a system call */
	uint64_t sleeps;    /* times it went to sleep in the kernel */
	uint64_t polls;	    /* visits to the poller */
	uint64_t timers;    /* timers that fired here */
} hilo_worker_stats;

/*
 * [any] The figures of worker @index; from hilo_runtime_workers() on those of the spare ones that
 * there are. -EINVAL when there is no such worker.
 */
HILO_API HILO_MUST_CHECK int hilo_runtime_get_stats(const hilo_runtime *runtime, unsigned index,
						    hilo_worker_stats *stats);

/*
 * [any] Write every live task to @fd, one a line: id, name, state, entry address; of one that is suspended
 * also what kind of thing it waits for, since when, and on which: a task by its number and name, a
 * descriptor by its own, anything else by its address. The time may be too long by what the worker did
 * in one go before the task suspended: 50 us, more if tasks computed for longer.
 * Safe while the runtime runs; tasks that change meanwhile may be missing. -EINVAL, or write's error.
 */
HILO_API int hilo_runtime_dump(const hilo_runtime *runtime, int fd);

HILO_END_DECLS

#endif /* HILO_RUNTIME_RUNTIME_H */
