/* SPDX-License-Identifier: MIT */
#ifndef HILO_RUNTIME_FORK_H
#define HILO_RUNTIME_FORK_H

#include <hilo/runtime/types.h>

/*
 * fork.h - forks: strictly nested pieces of work, for the price of some instructions each.
 *
 *	HILO_FORKABLE(long, fib, long, n)
 *	{
 *		if (n < 2)
 *			return n;
 *		HILO_FORK(fib, n - 1);                  (may run elsewhere from here on)
 *		long right = HILO_CALL(fib, n - 2);     (an ordinary call)
 *		return HILO_JOIN(fib) + right;          (its result)
 *	}
 *
 *	rc = HILO_REGION(fib, &result, 40);             (from any task)
 *
 * A fork runs on the stack of whoever made it, at its join, unless an idle worker has taken it before. It may
 * run anywhere between fork and join, at once too.
 *
 * Joins come in the reverse order of forks, in the function that has forked, which joins all of them before it
 * returns; two forks or joins in one expression have no order. A function that forks is a HILO_FORKABLE, and calls
 * others of the kind with HILO_CALL; HILO_REGION calls one from anywhere else, from within a fork too.
 *
 * A fork may do all that a task may: wait, lock, spawn, read and write. While it waits what its ancestors have forked
 * is there for other workers, if there is memory for a task that runs it; otherwise it begins at its join, so that who
 * waits for it without joining it waits for ever. Who looks for something again and again does not wait, and what its
 * ancestors have forked may stay theirs. It must not wait for what its ancestors do after their fork. Locks taken,
 * scopes entered and shields begun in a fork end in it; those of its ancestors are not its own: debug mode tells, of
 * locks. It sees the task-local values of its region, and sets none. hilo_task_current() is the task that it happens to
 * run in. If the fork was taken that is another one than the region's, and bound to no loop. What is attached to a
 * failure with hilo_fail reaches whoever joins a fork that returns an int.
 *
 * A cancel of the region's task, or a scope around the region, is seen by a fork as by the task itself; and who waits
 * at a join when he is asked to stop passes that on to the fork that he waits for, and goes on waiting. Forks that have
 * not begun run nevertheless, unless the region is HILO_REGION_CANCELLABLE: then they are left out, and the join
 * of one that returns an int answers -ECANCELED, of any other kind zero.
 *
 * Where the stack of a task comes to its end, a call or join goes on on that of a new one, so that recursion may
 * be as deep as there is memory. If there is none, the fork is left out as above with -ENOMEM, and so says the region.
 * A function that forks, with all that it calls besides, has a quarter of the stack for sure, 6 KiB of one of 16 KiB,
 * and no more than 32 KiB of larger ones.
 */

/* The layout below is compiled into programs: raised whenever it changes. A region compares it. */
#define HILO_FORK_ABI 1u

HILO_BEGIN_DECLS

/* One fork: its function, then what is the library's, then its arguments, later its result. */
struct hilo_forks;
struct hilo_fork {
	int (*run)(struct hilo_forks *forks, struct hilo_fork *head, struct hilo_fork *fork);
	void *hilo_private[2];
	uint64_t data[5];
};

/* The beginning of the forks of one task in one region. All are the library's to change, at any time. */
struct hilo_forks {
	struct hilo_fork *limit; /* a fork from here on asks the library */
	struct hilo_fork *floor; /* a join below it asks the library */
	char *stack_low;	 /* a call below it goes on elsewhere */
};

/* Begin with `size`; zero is the default. */
typedef struct hilo_region_opts {
	size_t size;	       /* sizeof(hilo_region_opts) */
	unsigned flags;	       /* HILO_REGION_* below */
	unsigned stack;	       /* of the task that is made for it: enum hilo_stack_class */
	hilo_runtime *runtime; /* where it runs; NULL: that of the caller */
} hilo_region_opts;

#define HILO_REGION_CANCELLABLE 1u /* once it is cancelled, forks that have not begun are left out */

/* [generated code] What the macros below call, for what is not the common case. */
HILO_API struct hilo_fork *hilo_fork_place(struct hilo_forks *forks, struct hilo_fork *fork);
HILO_API void hilo_fork_made(struct hilo_forks *forks, struct hilo_fork *fork, int is_code);
HILO_API struct hilo_fork *hilo_fork_join(struct hilo_forks *forks, struct hilo_fork *fork, int is_code);
HILO_API void hilo_fork_elsewhere(struct hilo_forks *forks, struct hilo_fork *fork, int is_code);
HILO_API int hilo_fork_region(struct hilo_fork *fork, const hilo_region_opts *opts, int is_code,
			      unsigned abi);

HILO_END_DECLS

/* What `run` of a record is while nothing is forked there. */
#define HILO__FORK_FREE 1
#define HILO__FORK_IS(x) __builtin_expect(!!(x), 0)
#define HILO__FORK_INLINE static inline __attribute__((always_inline, unused))
#define HILO__FORK_APART static __attribute__((noinline, unused))
#define HILO__FORK_COLD static __attribute__((cold, noinline, unused))
#ifdef __cplusplus
#define HILO__FORK_IS_CODE(R) __is_same(R, int)
#define HILO__FORK_ASSERT(x, text) static_assert(x, text)
#else
#define HILO__FORK_IS_CODE(R) __builtin_types_compatible_p(R, int)
#define HILO__FORK_ASSERT(x, text) _Static_assert(x, text)
#endif

typedef int __attribute__((may_alias)) hilo__fork_code;

/*
 * [generated code] The library is to be asked: a fork has no room, a join may find its fork gone, less than a quarter
 * of the stack is left; or somebody has asked for that. What others put there in between is a request, so nothing is
 * ordered by it. One instruction compares with memory; as C, compilers would need two and a register.
 */
#if defined(__x86_64__) && defined(__GCC_ASM_FLAG_OUTPUTS__)
HILO__FORK_INLINE int hilo__fork_is_beyond(const struct hilo_forks *forks, const struct hilo_fork *fork)
{
	int is;

	__asm__("cmpq %1, %2" : "=@ccae"(is) : "m"(forks->limit), "r"(fork));
	return is;
}

HILO__FORK_INLINE int hilo__fork_is_below(const struct hilo_forks *forks, const struct hilo_fork *fork)
{
	int is;

	__asm__("cmpq %1, %2" : "=@ccb"(is) : "m"(forks->floor), "r"(fork));
	return is;
}

HILO__FORK_INLINE int hilo__fork_is_low(const struct hilo_forks *forks)
{
	int is;

	__asm__("cmpq %1, %%rsp" : "=@ccb"(is) : "m"(forks->stack_low));
	return is;
}
#else
HILO__FORK_INLINE int hilo__fork_is_beyond(const struct hilo_forks *forks, const struct hilo_fork *fork)
{
	return fork >= __atomic_load_n(&forks->limit, __ATOMIC_RELAXED);
}

HILO__FORK_INLINE int hilo__fork_is_below(const struct hilo_forks *forks, const struct hilo_fork *fork)
{
	return fork < __atomic_load_n(&forks->floor, __ATOMIC_RELAXED);
}

HILO__FORK_INLINE int hilo__fork_is_low(const struct hilo_forks *forks)
{
#if defined(__aarch64__)
	char *sp;

	__asm__("mov %0, sp" : "=r"(sp));
	return sp < forks->stack_low;
#else
	return (char *)__builtin_frame_address(0) < forks->stack_low;
#endif
}
#endif

/*
 * HILO_FORKABLE(result, name, type, parameter, ...) { body }: define a function that can be forked. 1 to 5 parameters,
 * up to 40 bytes in all, aligned to 8 at most, as is the result. It is static. HILO_FORK_DECLARE(...); before its
 * definition declares it; HILO_FORK_DEFINE(...) { body } defines what was declared.
 */
#define HILO_FORKABLE(...)                                                                                   \
	HILO_FORK_DECLARE(__VA_ARGS__);                                                                      \
	HILO_FORK_DEFINE(__VA_ARGS__)
#define HILO_FORK_DECLARE(...)                                                                               \
	HILO__FORK_ARITY(HILO__FORK_DECLARE_, __VA_ARGS__)(HILO__FORK_AS_CALL, __VA_ARGS__)
#define HILO_FORK_DEFINE(...) HILO__FORK_ARITY(HILO__FORK_DEFINE_, __VA_ARGS__)(__VA_ARGS__)

/*
 * HILO_FORKABLE_INLINE(...) { body }, HILO_FORK_DECLARE_INLINE(...): the same for a few lines, which compilers may then
 * put into other functions and into themselves. GCC makes one function of up to nine levels of a recursion: leaves cost
 * half as much, but the locals of all nine are there at once, and count as one function's for the quarter of the stack
 * above. So not with large arrays. What is not inline stays a function of its own.
 */
#define HILO_FORKABLE_INLINE(...)                                                                            \
	HILO_FORK_DECLARE_INLINE(__VA_ARGS__);                                                               \
	HILO_FORK_DEFINE(__VA_ARGS__)
#define HILO_FORK_DECLARE_INLINE(...)                                                                        \
	HILO__FORK_ARITY(HILO__FORK_DECLARE_, __VA_ARGS__)(HILO__FORK_AS_INLINE, __VA_ARGS__)
#define HILO__FORK_AS_CALL __attribute__((noinline, unused))
#define HILO__FORK_AS_INLINE inline __attribute__((unused))

/* HILO_FORK(name, argument, ...): let it run elsewhere from here on. In a HILO_FORKABLE, as the two below. */
#define HILO_FORK(name, ...) HILO_PASTE(name, __fork)(hilo__forks, &hilo__head, __VA_ARGS__)

/* HILO_CALL(name, argument, ...): call it; its result. */
#define HILO_CALL(name, ...) HILO_PASTE(name, __call)(hilo__forks, &hilo__head, __VA_ARGS__)

/* HILO_JOIN(name): the result of the latest fork that was not joined yet, which was one of @name. Suspends. */
#define HILO_JOIN(name) HILO_PASTE(name, __join)(hilo__forks, &hilo__head)

/*
 * HILO_REGION(name, ret, argument, ...): [task, suspends] call it, with its result in *ret, which may be NULL. 0 when
 * all has run; the code of the function itself if it returns an int and ret is NULL.
 * -ENOMEM, -ECANCELED (with HILO_REGION_CANCELLABLE): something was left out; -EDEADLK, in a callback, and
 * in a plain thread without a runtime; HILO_ECLOSED, as hilo_submit; -ENOTSUP: the program was compiled for a library
 * of another HILO_FORK_ABI. *ret is zero, or the code, when nothing has run.
 */
#define HILO_REGION(name, ret, ...) HILO_PASTE(name, __region)(NULL, ret, __VA_ARGS__)

/*
 * HILO_REGION_WITH(opts, name, ret, argument, ...): [any, suspends] the same with options. In a runtime that is not
 * the caller's, or from a plain thread, a task is made there for it, and waited for; an executor's thread is in the
 * runtime whose call it runs. It is not left early: who is asked to stop passes that on. Besides: -EINVAL, -E2BIG.
 */
#define HILO_REGION_WITH(opts, name, ret, ...) HILO_PASTE(name, __region)(opts, ret, __VA_ARGS__)

#define HILO__FORK_ARITY(prefix, ...)                                                                        \
	HILO__FORK_PICK(__VA_ARGS__, prefix##5, , prefix##4, , prefix##3, , prefix##2, , prefix##1, , , )
#define HILO__FORK_PICK(r, n, t1, a1, t2, a2, t3, a3, t4, a4, t5, a5, pick, ...) pick

#define HILO__FORK_DECLARE_1(AS, R, N, T1, a)                                                                \
	HILO__FORK_TYPED(AS, R, N, (T1 a;), (T1 a), (a), (hilo__data->a), (hilo__data->a = a;))
#define HILO__FORK_DECLARE_2(AS, R, N, T1, a, T2, b)                                                         \
	HILO__FORK_TYPED(AS, R, N, (T1 a; T2 b;), (T1 a, T2 b), (a, b), (hilo__data->a, hilo__data->b),      \
			 (hilo__data->a = a; hilo__data->b = b;))
#define HILO__FORK_DECLARE_3(AS, R, N, T1, a, T2, b, T3, c)                                                  \
	HILO__FORK_TYPED(AS, R, N, (T1 a; T2 b; T3 c;), (T1 a, T2 b, T3 c), (a, b, c),                       \
			 (hilo__data->a, hilo__data->b, hilo__data->c),                                      \
			 (hilo__data->a = a; hilo__data->b = b; hilo__data->c = c;))
#define HILO__FORK_DECLARE_4(AS, R, N, T1, a, T2, b, T3, c, T4, d)                                           \
	HILO__FORK_TYPED(AS, R, N, (T1 a; T2 b; T3 c; T4 d;), (T1 a, T2 b, T3 c, T4 d), (a, b, c, d),        \
			 (hilo__data->a, hilo__data->b, hilo__data->c, hilo__data->d),                       \
			 (hilo__data->a = a; hilo__data->b = b; hilo__data->c = c; hilo__data->d = d;))
#define HILO__FORK_DECLARE_5(AS, R, N, T1, a, T2, b, T3, c, T4, d, T5, e)                                    \
	HILO__FORK_TYPED(AS, R, N, (T1 a; T2 b; T3 c; T4 d; T5 e;), (T1 a, T2 b, T3 c, T4 d, T5 e),          \
			 (a, b, c, d, e),                                                                    \
			 (hilo__data->a, hilo__data->b, hilo__data->c, hilo__data->d, hilo__data->e),        \
			 (hilo__data->a = a; hilo__data->b = b; hilo__data->c = c; hilo__data->d = d;        \
			  hilo__data->e = e;))

#define HILO__FORK_DEFINE_1(R, N, T1, a) HILO__FORK_BODY(, R, N, T1 a)
#define HILO__FORK_DEFINE_2(R, N, T1, a, T2, b) HILO__FORK_BODY(, R, N, T1 a, T2 b)
#define HILO__FORK_DEFINE_3(R, N, T1, a, T2, b, T3, c) HILO__FORK_BODY(, R, N, T1 a, T2 b, T3 c)
#define HILO__FORK_DEFINE_4(R, N, T1, a, T2, b, T3, c, T4, d) HILO__FORK_BODY(, R, N, T1 a, T2 b, T3 c, T4 d)
#define HILO__FORK_DEFINE_5(R, N, T1, a, T2, b, T3, c, T4, d, T5, e)                                         \
	HILO__FORK_BODY(, R, N, T1 a, T2 b, T3 c, T4 d, T5 e)

#define HILO__FORK_BODY(AS, R, N, ...)                                                                       \
	static AS R N##__body(struct hilo_forks *hilo__forks __attribute__((unused)),                        \
			      struct hilo_fork *hilo__head __attribute__((unused)), __VA_ARGS__)

#define HILO__FORK_OPEN(...) __VA_ARGS__

/*
 * What is made for each function: its arguments as a structure, its body with two more parameters, and fork, join,
 * call and region. A join calls the body directly, so that the compiler sees through it. `run` is not cold: a body that
 * nobody else calls would be compiled for size as well. Fork, call and join get the head's address: an argument may
 * be a join, which moves it, and is evaluated first, second or last.
 */
#define HILO__FORK_TYPED(AS, R, N, FIELDS, PARAMS, PASS, TAKE, FILL)                                         \
	struct __attribute__((may_alias)) N##__data {                                                        \
		HILO__FORK_OPEN FIELDS                                                                       \
	};                                                                                                   \
	struct __attribute__((may_alias)) N##__result {                                                      \
		R value;                                                                                     \
	};                                                                                                   \
	HILO__FORK_ASSERT(sizeof(struct N##__data) <= sizeof(((struct hilo_fork *)0)->data),                 \
			  "the arguments of a fork have 40 bytes");                                          \
	HILO__FORK_ASSERT(sizeof(R) <= sizeof(((struct hilo_fork *)0)->data),                                \
			  "the result of a fork has 40 bytes");                                              \
	HILO__FORK_ASSERT(__alignof__(struct N##__data) <= 8 && __alignof__(struct N##__result) <= 8,        \
			  "the arguments and the result of a fork are aligned to 8 bytes at most");          \
	HILO__FORK_BODY(AS, R, N, HILO__FORK_OPEN PARAMS);                                                   \
	HILO__FORK_APART int N##__run(struct hilo_forks *hilo__forks, struct hilo_fork *hilo__head,          \
				      struct hilo_fork *hilo__fork)                                          \
	{                                                                                                    \
		struct N##__data *hilo__data = (struct N##__data *)(void *)hilo__fork->data;                 \
                                                                                                             \
		((struct N##__result *)(void *)hilo__fork->data)->value =                                    \
			N##__body(hilo__forks, hilo__head, HILO__FORK_OPEN TAKE);                            \
		return HILO__FORK_IS_CODE(R) ? *(hilo__fork_code *)(void *)hilo__fork->data : 0;             \
	}                                                                                                    \
	HILO__FORK_INLINE void N##__fill(struct hilo_fork *hilo__fork, HILO__FORK_OPEN PARAMS)               \
	{                                                                                                    \
		struct N##__data *hilo__data = (struct N##__data *)(void *)hilo__fork->data;                 \
                                                                                                             \
		hilo__fork->run = N##__run;                                                                  \
		HILO__FORK_OPEN FILL                                                                         \
	}                                                                                                    \
	HILO__FORK_COLD void N##__fork_slow(struct hilo_forks *hilo__forks, struct hilo_fork *hilo__fork,    \
					    HILO__FORK_OPEN PARAMS)                                          \
	{                                                                                                    \
		hilo__fork = hilo_fork_place(hilo__forks, hilo__fork);                                       \
		if (!hilo__fork)                                                                             \
			return;                                                                              \
		N##__fill(hilo__fork, HILO__FORK_OPEN PASS);                                                 \
		hilo_fork_made(hilo__forks, hilo__fork, HILO__FORK_IS_CODE(R));                              \
	}                                                                                                    \
	HILO__FORK_INLINE void N##__fork(struct hilo_forks *hilo__forks, struct hilo_fork **hilo__head,      \
					 HILO__FORK_OPEN PARAMS)                                             \
	{                                                                                                    \
		struct hilo_fork *hilo__fork = (*hilo__head)++;                                              \
                                                                                                             \
		if (HILO__FORK_IS(hilo__fork_is_beyond(hilo__forks, hilo__fork)))                            \
			N##__fork_slow(hilo__forks, hilo__fork, HILO__FORK_OPEN PASS);                       \
		else                                                                                         \
			N##__fill(hilo__fork, HILO__FORK_OPEN PASS);                                         \
	}                                                                                                    \
	HILO__FORK_COLD R N##__deep(struct hilo_forks *hilo__forks, HILO__FORK_OPEN PARAMS)                  \
	{                                                                                                    \
		struct hilo_fork hilo__fork;                                                                 \
                                                                                                             \
		N##__fill(&hilo__fork, HILO__FORK_OPEN PASS);                                                \
		hilo_fork_elsewhere(hilo__forks, &hilo__fork, HILO__FORK_IS_CODE(R));                        \
		return ((struct N##__result *)(void *)hilo__fork.data)->value;                               \
	}                                                                                                    \
	HILO__FORK_INLINE R N##__call_at(struct hilo_forks *hilo__forks, struct hilo_fork *hilo__head,       \
					 HILO__FORK_OPEN PARAMS)                                             \
	{                                                                                                    \
		if (HILO__FORK_IS(hilo__fork_is_low(hilo__forks)))                                           \
			return N##__deep(hilo__forks, HILO__FORK_OPEN PASS);                                 \
		return N##__body(hilo__forks, hilo__head, HILO__FORK_OPEN PASS);                             \
	}                                                                                                    \
	HILO__FORK_INLINE R N##__call(struct hilo_forks *hilo__forks, struct hilo_fork **hilo__head,         \
				      HILO__FORK_OPEN PARAMS)                                                \
	{                                                                                                    \
		return N##__call_at(hilo__forks, *hilo__head, HILO__FORK_OPEN PASS);                         \
	}                                                                                                    \
	HILO__FORK_INLINE R N##__join(struct hilo_forks *hilo__forks, struct hilo_fork **hilo__head)         \
	{                                                                                                    \
		struct hilo_fork *hilo__fork = --*hilo__head, *hilo__done;                                   \
		struct N##__data *hilo__data = (struct N##__data *)(void *)hilo__fork->data;                 \
                                                                                                             \
		if (HILO__FORK_IS(hilo__fork_is_below(hilo__forks, hilo__fork))) {                           \
			hilo__done = hilo_fork_join(hilo__forks, hilo__fork, HILO__FORK_IS_CODE(R));         \
			if (hilo__done)                                                                      \
				return ((struct N##__result *)(void *)hilo__done->data)->value;              \
		}                                                                                            \
		hilo__fork->run = (int (*)(struct hilo_forks *, struct hilo_fork *,                          \
					   struct hilo_fork *))HILO__FORK_FREE;                              \
		return N##__call_at(hilo__forks, hilo__fork, HILO__FORK_OPEN TAKE);                          \
	}                                                                                                    \
	HILO__FORK_COLD int N##__region(const hilo_region_opts *hilo__opts, R *hilo__ret,                    \
					HILO__FORK_OPEN PARAMS)                                              \
	{                                                                                                    \
		struct hilo_fork hilo__fork;                                                                 \
		int hilo__rc;                                                                                \
                                                                                                             \
		N##__fill(&hilo__fork, HILO__FORK_OPEN PASS);                                                \
		hilo__rc = hilo_fork_region(&hilo__fork, hilo__opts, HILO__FORK_IS_CODE(R), HILO_FORK_ABI);  \
		if (hilo__ret)                                                                               \
			*hilo__ret = ((struct N##__result *)(void *)hilo__fork.data)->value;                 \
		else if (hilo__rc == 0 && HILO__FORK_IS_CODE(R))                                             \
			hilo__rc = *(hilo__fork_code *)(void *)hilo__fork.data;                              \
		return hilo__rc;                                                                             \
	}                                                                                                    \
	HILO__FORK_ASSERT(sizeof(struct hilo_fork) == 64, "a fork is a cache line")

#endif /* HILO_RUNTIME_FORK_H */
