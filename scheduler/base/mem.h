/* SPDX-License-Identifier: MIT */
#ifndef HILO_SCHEDULER_BASE_MEM_H
#define HILO_SCHEDULER_BASE_MEM_H

/*
 * mem.h - the one front through which the library asks for memory.
 *
 * Everything here is callable from any thread and answers NULL when there is no memory. The heap
 * behind it is whatever the program was linked with. What is hot does not come from here but from
 * the pools of pool.h, whose slabs in turn are mapped with hilo__map_aligned.
 *
 * In HILO_TESTING builds each request is counted, and a test can make the n-th one fail.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "scheduler/base/compiler.h"

#ifdef HILO__ASAN
#include <sanitizer/lsan_interface.h>
#endif

/* [any] @p, which was asked for here, is left for good to one who may use it whenever: nobody frees it. */
static inline void hilo__mem_leave(const void *p)
{
#ifdef HILO__ASAN
	__lsan_ignore_object(p);
#else
	(void)p;
#endif
}

/*
 * [any] @size bytes of zeroed pages, aligned to a page; or aligned to @alignment, a power of two that
 * is a multiple of the page size. Only what is touched costs memory. NULL: no memory.
 */
void *hilo__map(size_t size);
void *hilo__map_aligned(size_t alignment, size_t size);

/* [any] Give back @size bytes that hilo__map or hilo__map_aligned returned as @p. NULL: no-op. */
void hilo__unmap(void *p, size_t size);

#ifdef HILO_TESTING

void *hilo__malloc(size_t size);
void *hilo__calloc(size_t n, size_t size);
void *hilo__aligned_alloc(size_t alignment, size_t size);
char *hilo__strdup(const char *s);
void hilo__free(void *p);

/*
 * [any] Fail the @n-th request from now on (1: the next one), and every later one too if @persistent;
 * 0: none. Sets the counter of hilo__mem_calls back to 0. Mappings are requests like any other.
 */
void hilo__mem_fail_at(long n, bool persistent);

/* [any] Requests since the last hilo__mem_fail_at, failed ones included. */
long hilo__mem_calls(void);

/* [any] Requests that the calling thread has ever made. */
long hilo__mem_calls_here(void);

/* [any] Blocks that were allocated and not freed. Mappings are not in it: hilo__mem_mapped. */
long hilo__mem_live(void);

/* [any] Bytes that are mapped now. Heaps and slabs of pools stay mapped on purpose. */
size_t hilo__mem_mapped(void);

#else

/* [any] As malloc. */
static inline void *hilo__malloc(size_t size)
{
	return malloc(size);
}

/* [any] As calloc: zeroed, NULL also when the product overflows. */
static inline void *hilo__calloc(size_t n, size_t size)
{
	return calloc(n, size);
}

/* [any] @size bytes aligned to @alignment, a power of two; not zeroed. Ended with hilo__free. */
static inline void *hilo__aligned_alloc(size_t alignment, size_t size)
{
	void *p = NULL;

	return posix_memalign(&p, alignment, size) ? NULL : p;
}

/* [any] A copy of @s. */
static inline char *hilo__strdup(const char *s)
{
	return strdup(s);
}

/* [any] As free: ends what any of the above returned. NULL: no-op. */
static inline void hilo__free(void *p)
{
	free(p);
}

#endif /* HILO_TESTING */

#endif /* HILO_SCHEDULER_BASE_MEM_H */
