/* SPDX-License-Identifier: MIT */
#ifndef HILO_SCHEDULER_BASE_POOL_H
#define HILO_SCHEDULER_BASE_POOL_H

/*
 * pool.h - objects of 128 bytes from per-thread heaps. The protocol is explained in pool.c.
 *
 * An object may be freed by any thread; it always goes back to the heap it came from. A heap is used
 * by one thread at a time (it may be handed to another, as a loop is). Neither heaps nor slabs are
 * ever unmapped: the next lease continues with what the last one left.
 *
 * Contents   A fresh object is zero. A recycled one holds what it held when it was freed, save for
 *            bytes 8 to 15, which are zero.
 * Task word  Bytes 0 to 7 of a POOL_TASK object are an atomic(uint64_t) that the pool never touches:
 *            other threads may go on using it, atomically, after the object was freed. Memory that
 *            was a POOL_TASK object once is one for ever.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "scheduler/base/atomic.h"
#include "scheduler/base/compiler.h"
#include "scheduler/base/panic.h"

#ifdef HILO__ASAN
#include <sanitizer/asan_interface.h>
#endif
#if defined(HILO_TESTING) && defined(HILO_VALGRIND) /* else too dear for each object */
#include <valgrind/memcheck.h>
#define HILO__POOL_VALGRIND 1
#endif

enum pool_kind {
	POOL_TASK,   /* type-stable, see above */
	POOL_OBJECT, /* anything else that is hot */
	POOL_KINDS
};

#define POOL_OBJECT_SIZE 128u
#define POOL_SLAB_SIZE ((size_t)65536) /* and its alignment */
#define POOL_BATCH 32u		       /* objects sent home to another heap in one go */
#define POOL_COLOURS 8u		       /* places of the header in a slab: see pool.c */

/* Seen through this type an object is bytes: what the pool writes, the user may read as his own type. */
#define HILO__POOL_ALIAS __attribute__((may_alias))

/* What the pool knows of an object that is free. */
struct HILO__POOL_ALIAS pool_object {
	uint64_t word;		  /* the owner's, never touched here */
	struct pool_object *next; /* on the list the object is in */
};

/*
 * Header of a slab. Written before the first object of the slab is handed out and constant from then
 * on, but for `carved`.
 */
struct pool_slab {
	struct heap *owner;	 /* [any] where its objects go back to */
	struct pool_slab *older; /* [any] next in the directory of its kind */
	enum pool_kind kind;	 /* [any] */
	atomic(uint32_t) carved; /* [any] objects that were handed to the heap so far; raised by its user */
};

/* Objects of one kind in a heap. All [user of the heap]. */
struct pool_list {
	struct pool_object *free;      /* ready to be allocated, last freed first */
	struct pool_object *out_first; /* the chain on its way to out_owner, ... */
	struct pool_object *out_last;
	struct heap *out_owner; /* ... NULL when the chain is empty */
	unsigned out_count;
	struct pool_slab *slab; /* not carved to its end */
};

struct heap {
	struct pool_list list[POOL_KINDS]; /* [user] */
	char *region;			   /* [user] mapped, not yet made into slabs: from here ... */
	char *region_end;		   /* [user] ... to here */
	struct heap *next_idle;		   /* [lock heaps] in the list of heaps that nobody leases */
	struct heap *next_made;		   /* [any] next in the list of all heaps; constant */
	HILO__ISOLATED atomic(struct pool_object *) remote[POOL_KINDS]; /* [any] freed by others, P1 */
};

/* [any] A heap for the sole use of the caller until hilo__heap_return. NULL: no memory. */
struct heap *hilo__heap_lease(void);

/* [user of @heap] End the lease; what lies in @heap stays there for the next one. NULL: no-op. */
void hilo__heap_return(struct heap *heap);

/*
 * [any] The heap of the calling plain thread, leased at the first call and returned when the thread
 * ends. Not to be kept over a suspension. NULL: no memory.
 */
struct heap *hilo__heap_thread(void);

/* [user of @heap] Send what was freed here for other heaps home. Before a long sleep. */
void hilo__heap_flush(struct heap *heap);

/* [any] Free @obj without a heap of one's own. */
void hilo__pool_free_any(enum pool_kind kind, void *obj);

/* The slow halves of pool_alloc and pool_free. */
struct pool_object *hilo__pool_refill(struct heap *heap, enum pool_kind kind);
void hilo__pool_send(struct heap *mine, struct heap *owner, enum pool_kind kind, struct pool_object *obj);

/* What a debugger calls for each slab; false ends the walk. */
typedef bool (*pool_slab_fn)(struct pool_slab *slab, void *ctx);

/*
 * The newest slab of each kind, and from there by `older` all of them. Slabs are only ever added, so
 * the list can be walked at any time, by another process too.
 */
extern atomic(struct pool_slab *) hilo__pool_slabs[POOL_KINDS];

/* [any] Call @fn for each slab of @kind in the process, without a lock. */
void hilo__pool_foreach_slab(enum pool_kind kind, pool_slab_fn fn, void *ctx);

/* [any] Where the objects of @slab lie that were in use at some time. Others are zero and untouched. */
void hilo__slab_objects(struct pool_slab *slab, void **ret_first, size_t *ret_count, size_t *ret_stride);

/* [any] The slab that @obj lies in. */
static inline struct pool_slab *slab_of(const void *obj)
{
	uintptr_t p = (uintptr_t)obj;
	uintptr_t base = p & ~(uintptr_t)(POOL_SLAB_SIZE - 1);

	return (struct pool_slab *)(base + (p / POOL_SLAB_SIZE % POOL_COLOURS) * POOL_OBJECT_SIZE);
}

/*
 * Of a free object the checkers allow this much to be touched: the link, and of a task the line that
 * late wake-ups and walks over all tasks look at.
 */
static inline size_t object_free_size(enum pool_kind kind)
{
	return kind == POOL_TASK ? HILO__CACHE_LINE : sizeof(struct pool_object);
}

/* Tell the checkers that @obj is free, or in use. */
static inline void object_mark_free(enum pool_kind kind, void *obj)
{
	size_t size = object_free_size(kind);

	(void)size;
	(void)obj;
#ifdef HILO__ASAN
	if (__asan_address_is_poisoned((char *)obj + size))
		HILO__PANIC("object %p of pool %d is freed twice", obj, (int)kind);
	if (kind != POOL_TASK)
		__asan_poison_memory_region(obj, sizeof(uint64_t));
	__asan_poison_memory_region((char *)obj + size, POOL_OBJECT_SIZE - size);
#endif
#ifdef HILO__POOL_VALGRIND
	VALGRIND_MAKE_MEM_NOACCESS((char *)obj + size, POOL_OBJECT_SIZE - size);
#endif
}

static inline void object_mark_used(void *obj)
{
	(void)obj;
#ifdef HILO__ASAN
	__asan_unpoison_memory_region(obj, POOL_OBJECT_SIZE);
#endif
#ifdef HILO__POOL_VALGRIND
	VALGRIND_MAKE_MEM_DEFINED(obj, POOL_OBJECT_SIZE);
#endif
}

/* [user of @heap] An object of @kind. NULL: no memory. */
static inline void *pool_alloc(struct heap *heap, enum pool_kind kind)
{
	struct pool_list *list = &heap->list[kind];
	struct pool_object *obj = list->free;

	if (HILO__UNLIKELY(!obj)) {
		obj = hilo__pool_refill(heap, kind);
		if (!obj)
			return NULL;
	}
	list->free = obj->next;
	obj->next = NULL;
	object_mark_used(obj);
	return obj;
}

/* [user of @mine] Free @ptr, whichever heap it came from. */
static inline void pool_free(struct heap *mine, enum pool_kind kind, void *ptr)
{
	struct pool_object *obj = ptr;
	struct heap *owner = slab_of(ptr)->owner;

	object_mark_free(kind, ptr);
	if (HILO__LIKELY(owner == mine)) {
		obj->next = mine->list[kind].free;
		mine->list[kind].free = obj;
	} else {
		hilo__pool_send(mine, owner, kind, obj);
	}
}

#endif /* HILO_SCHEDULER_BASE_POOL_H */
