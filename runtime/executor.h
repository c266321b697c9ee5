/* SPDX-License-Identifier: MIT */
#ifndef HILO_RUNTIME_EXECUTOR_H
#define HILO_RUNTIME_EXECUTOR_H

#include <hilo/runtime/types.h>

HILO_BEGIN_DECLS

/*
 * executor.h - where blocking functions run: elastic pools of plain threads.
 *
 * The default executor of a runtime starts without a thread, grows at once to cores + 4, beyond
 * that only while the oldest call has waited for 200 us, up to 512, and lets threads go that had
 * nothing to do for 10 s. Its queue is bounded; when it is full, the overflow policy says what
 * happens to the call. Names are resolved in a pool of their own, hilo_resolver_executor, and so are calls on files
 * made: hilo_files_executor.
 *
 * A call may wait for calls in its own executor, which grows meanwhile. When all threads that it may have wait
 * so, for calls, maps, room in the queue or the futures of submitted calls, nobody is left who could end these
 * waits: the last of them fails at once with -EDEADLK, and the log says so once.
 */

/* What runs on a pool thread: blocks as it likes; 0 or more on success, a negative errno on failure. */
typedef int (*hilo_blocking_fn)(void *arg);

/* What happens to a call when the queue is full. */
enum hilo_overflow {
	HILO_OVERFLOW_SUSPEND = 0, /* the caller waits for room, up to its deadline */
	HILO_OVERFLOW_FAIL = 1,	   /* HILO_EOVERFLOW at once */
	HILO_OVERFLOW_INLINE = 2   /* the caller runs it itself, on its own thread */
};

/* Zero means the default in every field. */
typedef struct hilo_executor_opts {
	size_t size;	      /* sizeof(hilo_executor_opts) */
	const char *name;     /* of the threads; copied, up to 15 bytes; default "hilo-pool" */
	unsigned max_threads; /* default 512 */
	unsigned max_queued;  /* calls waiting for a thread; default 65536 */
	hilo_time idle;	      /* a thread without work ends after this; default 10 s */
	size_t stack_size; /* of a thread, in bytes, at least what the system needs; default as pthread_create */
	/*
	 * Called with init_arg by each thread, before its first call and, if that has succeeded, after its last. An
	 * initializer that fails, with a negative code, breaks the executor: what is queued and what comes later
	 * fails with it, and the log says so once. init_arg is kept until the executor is closed.
	 */
	hilo_blocking_fn initializer;
	void (*finalizer)(void *init_arg);
	void *init_arg;
	enum hilo_overflow overflow;
	unsigned flags; /* none yet: 0 */
} hilo_executor_opts;

/*
 * [task, plain thread; suspends] Run @fn(@arg) on a thread of @executor (NULL: the default one of the caller's
 * runtime) and return what it returned. Suspends a task, blocks a plain thread.
 *
 * Ends early only while the call is still queued: -ETIMEDOUT or -ECANCELED then mean that @fn was
 * never called. Once @fn runs, the caller waits for it, because @arg is usually on its stack;
 * the cancel stays set and is seen at the next suspending call.
 * hilo_error_message() is then what @fn said with hilo_fail, if it returned that code. In the call hilo_run runs
 * a task of the caller's runtime.
 * HILO_ECLOSED, HILO_EOVERFLOW, -EAGAIN (no thread could be started and there is none to come), the code of an
 * initializer that has failed, -EINVAL (@fn is NULL), -ENOMEM (a plain thread waits for the first time), -EDEADLK
 * from a callback, when all threads of the pool wait for the pool, and NULL for @executor outside of a runtime.
 */
HILO_API int hilo_run_in_executor(hilo_executor *executor, hilo_blocking_fn fn, void *arg,
				  hilo_time deadline);

/* [task, plain thread; suspends] hilo_run_in_executor on the default executor. */
HILO_API int hilo_to_thread(hilo_blocking_fn fn, void *arg, hilo_time deadline);

/*
 * [task, plain thread; suspends] Have @fn(@arg) called on a thread of @executor (NULL: as above) and do not wait
 * for it: *@ret receives a future for its result, with one reference, the caller's; for a moment after it
 * is complete the executor has another one, so that hilo_future_take may be refused. Its value is what @fn returned, 0
 * or more, as a pointer; a negative code is its failure, with what @fn has said about it. Suspends while the
 * queue is full, if that is what its policy says, and now and then to let others run.
 *
 * hilo_future_cancel takes a call that is still queued out of the queue: it never runs, and its place is free
 * at once. One that runs is abandoned: it goes on by itself, its result is dropped, and the future does
 * not tell any more when @arg can go. To complete the future in another way leaves the call where it is.
 *
 * With @ret NULL the call is on its own, and its failure is told to the exception handler.
 * The future fails with HILO_ECLOSED when the executor closes without running what is queued (a call on its own
 * is dropped silently then), and as above when no thread can be had or prepared for it.
 * If @executor is a runtime's, hilo_run in the call runs a task of that one; else it starts a new one.
 *
 * On failure nothing was queued and *@ret is left alone: -ENOMEM, -EINVAL (@fn is NULL), -ETIMEDOUT, -ECANCELED,
 * HILO_ECLOSED, HILO_EOVERFLOW, -EDEADLK as above.
 */
HILO_API HILO_MUST_CHECK int hilo_executor_submit(hilo_executor *executor, hilo_blocking_fn fn, void *arg,
						  hilo_future **ret, hilo_time deadline);

/*
 * [task, plain thread; suspends] Call @fn on threads of @executor (NULL: as above) for each of @n arguments, the
 * first at @args and each @stride bytes after the one before, and wait until all calls have ended. At most
 * @in_flight of them (0: 32) are queued or run at a time; nothing is allocated for those up to 32. A queue that
 * is full is no failure while some of them are out. @results (or NULL) has @n places, for their codes by
 * position.
 *
 * 0 when all have succeeded. Once one has failed no more are begun, those that are queued are not called, and
 * those that run are waited for: the code of the one with the lowest position, with what it has said. In the
 * same way the wait ends early, -ETIMEDOUT or -ECANCELED, unless all have been called by then. For
 * those that were not called -ECANCELED is in @results, or why the executor has refused them.
 * -ENOMEM, -EINVAL (@fn or @args is NULL), HILO_ECLOSED, HILO_EOVERFLOW, -EDEADLK as above: some may have run,
 * none does any more.
 */
HILO_API int hilo_executor_map(hilo_executor *executor, hilo_blocking_fn fn, void *args, size_t stride,
			       size_t n, int *results, unsigned in_flight, hilo_time deadline);

/* [any] A pool of one's own. -EINVAL, -E2BIG, -ENOMEM. @opts is borrowed and may be NULL. */
HILO_API HILO_MUST_CHECK int hilo_executor_new(const hilo_executor_opts *opts, hilo_executor **ret);

/*
 * [task, plain thread; suspends] Take no more calls, wait until those that run have ended (and, without
 * HILO_EXECUTOR_CANCEL_QUEUED, those that are queued), join the threads and free. On -ETIMEDOUT and
 * -ECANCELED nothing is freed and the call can be made again; after a deadline the log says what still runs, and
 * since when. By one caller at a time.
 * Consumes @executor on success. -EINVAL (unknown flags), -EDEADLK (from a callback, from a call that runs in it),
 * -EBUSY (it is a runtime's), -ENOMEM (a plain thread waits for the first time): nothing has happened. NULL: 0.
 */
#define HILO_EXECUTOR_CANCEL_QUEUED 1u
HILO_API int hilo_executor_close(hilo_executor *executor, unsigned flags, hilo_time deadline);

/*
 * [any] Make @executor the default one of @runtime, which closes it at its end, without running what is
 * queued then. Consumes @executor on success: hilo_executor_close answers -EBUSY from then on.
 * -EBUSY: the default executor has been used or set before, or @executor is a runtime's already. -EINVAL
 * (NULL), HILO_ECLOSED (the runtime ends).
 */
HILO_API HILO_MUST_CHECK int hilo_runtime_set_default_executor(hilo_runtime *runtime,
							       hilo_executor *executor);

/*
 * [any] The executor of the caller's runtime for getaddrinfo and its like, made at first use: at most 16
 * threads, "hilo-resolve". A name is resolved there however busy the default executor is, and a server of
 * names that does not answer holds up nothing but other names. Borrowed; it ends with the runtime.
 * -ENOMEM, -EDEADLK outside of a runtime, HILO_ECLOSED, -EINVAL (@ret is NULL).
 */
HILO_API HILO_MUST_CHECK int hilo_resolver_executor(hilo_executor **ret);

/*
 * [any] The executor of the caller's runtime for calls on files that io_uring does not make (io/file.h), made at first
 * use: at most 64 threads, "hilo-files". Borrowed; it ends with the runtime. Errors as hilo_resolver_executor.
 */
HILO_API HILO_MUST_CHECK int hilo_files_executor(hilo_executor **ret);

/* Figures of a pool, read one by one: for statistics only. */
typedef struct hilo_executor_stats {
	size_t size;	    /* sizeof(hilo_executor_stats), set by the caller */
	uint64_t calls;	    /* calls that were run */
	uint64_t cancelled; /* calls that left the queue without being run */
	uint64_t abandoned; /* calls that were run to their end though their futures were complete before */
	unsigned threads;   /* now */
	unsigned peak;	    /* the most threads at any time */
	unsigned queued;    /* calls waiting now */
	unsigned running;   /* calls that threads are in now */
} hilo_executor_stats;

/* [any] Read the figures of @executor (NULL: the default one). -EINVAL, -EDEADLK as above. */
HILO_API HILO_MUST_CHECK int hilo_executor_get_stats(hilo_executor *executor, hilo_executor_stats *stats);

HILO_END_DECLS

#endif /* HILO_RUNTIME_EXECUTOR_H */
