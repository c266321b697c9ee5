/* SPDX-License-Identifier: MIT */
#ifndef HILO_SCHEDULER_THREAD_H
#define HILO_SCHEDULER_THREAD_H

/*
 * thread.h - what belongs to an operating system thread, and the only way to get at it.
 *
 * A task may go on on another thread after any suspension, and compilers keep the addresses of
 * thread-local variables in registers. So there is one thread-local variable, and one accessor, in
 * volatile assembly that no compiler may move, merge or remember. Whoever holds its result across a
 * switch has a bug: read it again. Where there is no assembly for it, it is a call.
 */
#include "scheduler/base/compiler.h"
#include "scheduler/fiber/fiber.h"

struct hilo_executor;
struct hilo_loop;
struct hilo_task;
struct binding;
struct heap;
struct error;

/* What to do with the fiber that was left, once the next one runs. */
enum leave {
	LEAVE_NOTHING,
	LEAVE_PARK,  /* commit its task's wait, or queue it if it was notified */
	LEAVE_YIELD, /* to the back of the queue */
	LEAVE_NEXT,  /* it is to go on after the one that runs now: to the slot */
	LEAVE_FREE,  /* its task has ended: the fiber goes to the cache */
};

struct thread {
	struct hilo_loop *loop; /* the loop that it drives; NULL: a plain thread */
	struct hilo_task *task; /* the task that runs now; a plain thread's record */
	struct fiber *fiber;	/* the fiber that runs now */
	struct heap *heap;
	enum leave leave;	      /* for the fiber just left ... */
	struct fiber *left;	      /* ... this one ... */
	struct hilo_task *left_task;  /* ... whose task is, or was, this one */
	struct error *error;	      /* hilo_fail outside of a task */
	struct binding *locals;	      /* of a callback, or a plain thread: locals.h; owned */
	uint64_t locals_number;	      /* of the callback or call that `locals` is of; 0: the thread itself */
	uint64_t locals_last;	      /* the last number given */
	struct hilo_loop *calling;    /* the loop whose callback it runs; NULL: none */
	struct hilo_runtime *closing; /* whose loops it ends: it acts for each of them */
	struct hilo_executor *pool;   /* the executor whose thread it is; NULL: none */
	struct hilo_runtime *pool_runtime; /* that the call which it runs belongs to, if it is */
	void (*on_park)(void);		   /* of a plain thread: called before it sleeps, or NULL */
	uintptr_t mutex_guess; /* what it may find beside the owner in the next mutex; sync/mutex.c */
	struct fiber root;     /* of a worker: the loop itself runs here */
};

/* A guess that is never right: locks are looked after, sync/order_impl.h. */
#define MUTEX_GUESS_NEVER (~(uintptr_t)7)

#ifdef __cplusplus
#error "private header"
#endif

extern _Thread_local struct thread hilo__thread __attribute__((tls_model("initial-exec")));

#if defined(__x86_64__) && !defined(HILO_UCONTEXT)
static inline struct thread *thread_self(void)
{
	struct thread *self;

	__asm__ volatile("movq %%fs:0, %0\n\taddq hilo__thread@gottpoff(%%rip), %0" : "=r"(self) : : "cc");
	return self;
}
#elif defined(__aarch64__) && !defined(HILO_UCONTEXT)
static inline struct thread *thread_self(void)
{
	struct thread *self;
	uintptr_t offset;

	__asm__ volatile("mrs %0, tpidr_el0\n\t"
			 "adrp %1, :gottprel:hilo__thread\n\t"
			 "ldr %1, [%1, :gottprel_lo12:hilo__thread]\n\t"
			 "add %0, %0, %1"
			 : "=&r"(self), "=&r"(offset));
	return self;
}
#else
struct thread *thread_self(void);
#endif

#endif /* HILO_SCHEDULER_THREAD_H */
