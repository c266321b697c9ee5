/* SPDX-License-Identifier: MIT */
/*
 * library.c - the edge of the explored library: what it would ask the system for, and what the
 * compiler's instrumentation calls.
 *
 * The shipped sources are compiled with -fsanitize=thread, but without its runtime: the compiler then
 * calls a function for each plain access, and those functions are here. So every plain access of the
 * shipped code is checked for races, annotated or not.
 */
#include "tests/explore/explore_impl.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "scheduler/base/clock.h"
#include "scheduler/base/lock.h"
#include "scheduler/base/panic.h"

/* A broken invariant is what we look for. */
void hilo__panic(const char *file, int line, const char *format, ...)
{
	char text[256];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	explore_fail("panic: %s:%d: %s", file, line, text);
}

void hilo__spin_wait(struct spinlock *lock)
{
	while (load_relaxed(&lock->held)) /* relaxed: the exchange that follows decides */
		cpu_relax();
}

void hilo__spin_count(int change)
{
	(void)change;
}

int64_t explore_clock; /* atomic */

int64_t hilo__clock_now(void)
{
	return load_relaxed(&explore_clock); /* relaxed: a clock orders nothing */
}

/* When the time is up, the clock says so too. */
int hilo__futex_wait(atomic(uint32_t) * word, uint32_t expected, int64_t deadline)
{
	bool timeout;

	if (!explore_futex_wait(word, sizeof(*word), expected, deadline != INT64_MAX, &timeout))
		return -EAGAIN;
	if (!timeout)
		return 0;
	if (load_relaxed(&explore_clock) < deadline)	 /* relaxed: as above */
		store_relaxed(&explore_clock, deadline); /* relaxed: as above */
	return -ETIMEDOUT;
}

int hilo__futex_wake(atomic(uint32_t) * word, int n)
{
	return (int)explore_futex_wake(word, n < 0 ? 0 : (unsigned)n);
}

/* ---- called by instrumented code ---- */

static void touched(const void *p, bool write, const void *pc)
{
	if (explore_live)
		race_access(p, write, NULL, pc);
}

static void range_touched(const void *p, size_t size, bool write, const void *pc)
{
	for (size_t i = 0; explore_live && i < size; i++)
		race_access((const char *)p + i, write, NULL, pc);
}

#define TOUCH(NAME, WRITE)                                                                                   \
	void NAME(const void *p);                                                                            \
	void NAME(const void *p)                                                                             \
	{                                                                                                    \
		touched(p, WRITE, __builtin_return_address(0));                                              \
	}
TOUCH(__tsan_read1, false)
TOUCH(__tsan_read2, false)
TOUCH(__tsan_read4, false)
TOUCH(__tsan_read8, false)
TOUCH(__tsan_write1, true)
TOUCH(__tsan_write2, true)
TOUCH(__tsan_write4, true)
TOUCH(__tsan_write8, true)
TOUCH(__tsan_unaligned_read2, false)
TOUCH(__tsan_unaligned_read4, false)
TOUCH(__tsan_unaligned_read8, false)
TOUCH(__tsan_unaligned_write2, true)
TOUCH(__tsan_unaligned_write4, true)
TOUCH(__tsan_unaligned_write8, true)

/* Two words at once; variables are known by their first bytes. */
#define TOUCH_TWO(NAME, WRITE)                                                                               \
	void NAME(const void *p);                                                                            \
	void NAME(const void *p)                                                                             \
	{                                                                                                    \
		touched(p, WRITE, __builtin_return_address(0));                                              \
		touched((const char *)p + 8, WRITE, __builtin_return_address(0));                            \
	}
TOUCH_TWO(__tsan_read16, false)
TOUCH_TWO(__tsan_write16, true)
TOUCH_TWO(__tsan_unaligned_read16, false)
TOUCH_TWO(__tsan_unaligned_write16, true)

void __tsan_read_range(const void *p, size_t size);
void __tsan_read_range(const void *p, size_t size)
{
	range_touched(p, size, false, __builtin_return_address(0));
}

void __tsan_write_range(const void *p, size_t size);
void __tsan_write_range(const void *p, size_t size)
{
	range_touched(p, size, true, __builtin_return_address(0));
}

void *__tsan_memset(void *p, int c, size_t size);
void *__tsan_memset(void *p, int c, size_t size)
{
	range_touched(p, size, true, __builtin_return_address(0));
	return memset(p, c, size);
}

void *__tsan_memcpy(void *to, const void *from, size_t size);
void *__tsan_memcpy(void *to, const void *from, size_t size)
{
	range_touched(from, size, false, __builtin_return_address(0));
	range_touched(to, size, true, __builtin_return_address(0));
	return memcpy(to, from, size);
}

void *__tsan_memmove(void *to, const void *from, size_t size);
void *__tsan_memmove(void *to, const void *from, size_t size)
{
	range_touched(from, size, false, __builtin_return_address(0));
	range_touched(to, size, true, __builtin_return_address(0));
	return memmove(to, from, size);
}

void __tsan_init(void);
void __tsan_init(void)
{
}

void __tsan_func_entry(const void *pc);
void __tsan_func_entry(const void *pc)
{
	(void)pc;
}

void __tsan_func_exit(void);
void __tsan_func_exit(void)
{
}
