/* SPDX-License-Identifier: MIT */
/*
 * mem.c - page mappings, and the counting front of test builds.
 *
 * All counters are relaxed: each is exact by itself, and a test reads them when its threads have ended.
 */
#include "scheduler/base/mem.h"

#include "scheduler/base/atomic.h"
#include "scheduler/base/compiler.h"
#include "scheduler/base/sys.h"

#ifdef HILO__ASAN
#include <sanitizer/asan_interface.h>
#endif

#ifdef HILO_TESTING

static struct {
	atomic(long) calls;
	atomic(long) fail_at;
	atomic(bool) persistent;
	atomic(long) live;
	atomic(size_t) mapped;
} mem; /* all relaxed: see the head of the file */

static _Thread_local long mem_calls_here;

/* Count a request; true if it is one that the test wants to fail. */
static bool mem_fails(void)
{
	long call = add_relaxed(&mem.calls, 1) + 1;
	long nth = load_relaxed(&mem.fail_at);

	mem_calls_here++;
	return nth && (call == nth || (call > nth && load_relaxed(&mem.persistent)));
}

static void *mem_count(void *p)
{
	if (p)
		add_relaxed(&mem.live, 1);
	return p;
}

static void mem_count_mapped(size_t more, size_t less)
{
	add_relaxed(&mem.mapped, more - less);
}

void *hilo__malloc(size_t size)
{
	return mem_fails() ? NULL : mem_count(malloc(size));
}

void *hilo__calloc(size_t n, size_t size)
{
	return mem_fails() ? NULL : mem_count(calloc(n, size));
}

void *hilo__aligned_alloc(size_t alignment, size_t size)
{
	void *p = NULL;

	if (mem_fails() || posix_memalign(&p, alignment, size))
		return NULL;
	return mem_count(p);
}

char *hilo__strdup(const char *s)
{
	return mem_fails() ? NULL : mem_count(strdup(s));
}

void hilo__free(void *p)
{
	if (p)
		sub_relaxed(&mem.live, 1);
	free(p);
}

void hilo__mem_fail_at(long n, bool persistent)
{
	store_relaxed(&mem.fail_at, 0);
	store_relaxed(&mem.calls, 0);
	store_relaxed(&mem.persistent, persistent);
	store_relaxed(&mem.fail_at, n);
}

long hilo__mem_calls(void)
{
	return load_relaxed(&mem.calls);
}

HILO__NOINLINE long hilo__mem_calls_here(void)
{
	return mem_calls_here;
}

long hilo__mem_live(void)
{
	return load_relaxed(&mem.live);
}

size_t hilo__mem_mapped(void)
{
	return load_relaxed(&mem.mapped);
}

#else

static bool mem_fails(void)
{
	return false;
}

static void mem_count_mapped(size_t more, size_t less)
{
	(void)more;
	(void)less;
}

#endif /* HILO_TESTING */

/* @size fresh bytes, or NULL. */
static char *pages_map(size_t size)
{
	void *p = NULL;

	if (hilo__sys_mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_NORESERVE, &p) < 0)
		return NULL;
	mem_count_mapped(size, 0);
#ifdef HILO__ASAN
	/* Whoever had these addresses before may have left them poisoned. */
	__asan_unpoison_memory_region(p, size);
#endif
	return p;
}

/* A trim that the kernel refuses costs address space and nothing else; it stays counted as mapped. */
static void pages_unmap(char *p, size_t size)
{
	if (size && hilo__sys_munmap(p, size) == 0)
		mem_count_mapped(0, size);
}

void *hilo__map(size_t size)
{
	return mem_fails() ? NULL : pages_map(size);
}

/*
 * The kernel hands out addresses downwards, without gaps, so once one mapping of a size that is a
 * multiple of its alignment is aligned, the next one usually is.
 */
void *hilo__map_aligned(size_t alignment, size_t size)
{
	char *p, *aligned;

	if (mem_fails() || !(p = pages_map(size)))
		return NULL;
	if ((uintptr_t)p % alignment == 0)
		return p;
	pages_unmap(p, size);

	p = pages_map(size + alignment);
	if (!p)
		return NULL;
	aligned = p + (alignment - (uintptr_t)p % alignment) % alignment;
	pages_unmap(p, (size_t)(aligned - p));
	pages_unmap(aligned + size, (size_t)(p + alignment - aligned));
	return aligned;
}

void hilo__unmap(void *p, size_t size)
{
	if (p)
		pages_unmap(p, size);
}
