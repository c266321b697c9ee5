/* SPDX-License-Identifier: MIT */
/*
 * pool.c - object pools with a heap for each user, and the way home for what others freed.
 *
 *	heap A                                          heap B
 *	free  -> o -> o -> o         (user only)        free -> ...
 *	slab  -> carved | untouched                     out  -> a -> a -> a   at most POOL_BATCH,
 *	remote -> a -> a  <------- one CAS for all -------------'              all of one owner
 *
 *	region (256 KiB): | slab | slab | slab | slab |
 *	slab (64 KiB, aligned): | unused | header | object | object | ... 128 bytes each
 *
 * A slab belongs to one heap and one kind for ever; so the address of an object tells its heap. The
 * header lies in one of POOL_COLOURS places, chosen by the address: at the very beginning of each slab
 * all headers would compete for the same set of the cache, and each free reads one. Objects are carved
 * from a slab a page at a time, so a page that was never needed is never touched.
 *
 * I1  A heap's `list` is used by its user alone; a lease hands it on under heaps.lock.
 * I2  An object is in exactly one place: with its user, on its owner's free list, on one outgoing
 *     chain, or on its owner's remote list.
 * I3  Neither heaps nor slabs go away. So remote may be pushed to at any time, leased or not, and a
 *     task's word may be used atomically for ever.
 * P1  The push of a chain onto remote releases; the exchange that takes the whole list acquires. So
 *     the owner sees the links, and whatever the freeing threads did with the objects before. A push
 *     that meets a non-empty list is a read-modify-write and so continues the release sequences of the
 *     pushes below it: taking the top one synchronises with all of them.
 * P2  The push of a slab into the directory releases its header; walkers acquire. The same for heaps.
 *
 * There is no ABA: the only operations on remote are a push, which does not look at what it pushes
 * onto, and taking all.
 *
 * It is tempting to let the owner read remote with a relaxed load and walk it when it is not NULL, as
 * "only the owner takes". But then nothing orders its reads of the links after the writes of the
 * freeing thread; the load may only decide whether the exchange is worth its price.
 *
 * Progress: allocating and freeing locally is wait-free save for the mapping of new memory; sending is
 * lock-free. Leasing takes a spinlock.
 *
 * Rejected: a remote list in each slab instead of each heap. The owner would have to look through its
 * slabs for one that has something, and a batch would be for one slab instead of one heap.
 */
#include "scheduler/base/pool.h"

#include <pthread.h>

#include "scheduler/base/lock.h"
#include "scheduler/base/mem.h"

#ifdef HILO__ASAN
#include <sanitizer/lsan_interface.h>
#endif

#define POOL_REGION_SIZE (4 * POOL_SLAB_SIZE) /* one mapping */
#define POOL_PAGE_SIZE 4096u		      /* carved at a time */
#define POOL_SLAB_OBJECTS ((unsigned)(POOL_SLAB_SIZE / POOL_OBJECT_SIZE))

_Static_assert(sizeof(struct pool_slab) <= POOL_OBJECT_SIZE, "the header fits into an object's place");
_Static_assert(offsetof(struct pool_object, next) == 8, "bytes 0 to 7 of a task stay untouched");
_Static_assert(sizeof(struct heap) <= POOL_PAGE_SIZE, "a heap is a page");

atomic(struct pool_slab *) hilo__pool_slabs[POOL_KINDS];

static struct {
	struct spinlock lock;
	struct heap *idle;	    /* [lock] leased by nobody, last returned first */
	atomic(struct heap *) made; /* all of them, P2 */
} heaps;

static struct {
	pthread_once_t once;
	pthread_key_t key;
	bool made; /* set inside once */
} heap_key = {.once = PTHREAD_ONCE_INIT};

/* LeakSanitizer does not look into mappings by itself, and what objects point to is not leaked. */
static void pool_register_memory(void *p, size_t size)
{
#ifdef HILO__ASAN
	__lsan_register_root_region(p, size);
#else
	(void)p;
	(void)size;
#endif
}

/* [user] 64 KiB from the heap's region, mapping a new one when it is used up. NULL: no memory. */
static char *heap_take_slab(struct heap *heap)
{
	char *base;

	if (heap->region == heap->region_end) {
		base = hilo__map_aligned(POOL_SLAB_SIZE, POOL_REGION_SIZE);
		if (!base)
			return NULL;
		pool_register_memory(base, POOL_REGION_SIZE);
		heap->region = base;
		heap->region_end = base + POOL_REGION_SIZE;
	}
	base = heap->region;
	heap->region += POOL_SLAB_SIZE;
	return base;
}

/* [user] A new slab of @kind, in the directory. NULL: no memory. */
static struct pool_slab *slab_new(struct heap *heap, enum pool_kind kind)
{
	char *base = heap_take_slab(heap);
	struct pool_slab *slab;

	if (!base)
		return NULL;
	slab = slab_of(base);
	slab->owner = heap;
	slab->kind = kind;
	/* relaxed: only a guess at what the CAS will find */
	slab->older = load_relaxed(&hilo__pool_slabs[kind]);
	while (!cas_release(&hilo__pool_slabs[kind], &slab->older, slab)) /* P2 */
		;
	return slab;
}

/* The number of the place in its slab where the first object lies: behind the header. */
static unsigned slab_first(const struct pool_slab *slab)
{
	return (unsigned)((uintptr_t)slab % POOL_SLAB_SIZE / POOL_OBJECT_SIZE) + 1;
}

/* [user] Link the objects of the next page of @slab into a list, lowest address first. */
static struct pool_object *slab_carve(struct pool_slab *slab, bool *ret_full)
{
	char *base = (char *)((uintptr_t)slab & ~(uintptr_t)(POOL_SLAB_SIZE - 1));
	uint32_t carved = load_relaxed(&slab->carved); /* relaxed: own value */
	unsigned per_page = POOL_PAGE_SIZE / POOL_OBJECT_SIZE;
	unsigned first = slab_first(slab) + carved;
	unsigned end = first - first % per_page + per_page;
	struct pool_object *list = NULL;
	struct pool_object *obj;

	for (unsigned i = end; i-- > first;) {
		obj = (struct pool_object *)(base + (size_t)i * POOL_OBJECT_SIZE);
		object_mark_free(slab->kind, obj);
		obj->next = list;
		list = obj;
	}
	*ret_full = end == POOL_SLAB_OBJECTS;
	/* relaxed: for debuggers, who find zeroes where nothing was written yet */
	store_relaxed(&slab->carved, carved + (end - first));
	return list;
}

/* [user] Fill the empty free list: what others sent home, else a fresh page. Returns its first. */
struct pool_object *hilo__pool_refill(struct heap *heap, enum pool_kind kind)
{
	struct pool_list *list = &heap->list[kind];
	bool full;

	/* relaxed: spares the exchange when there is nothing; what it misses is found the next time */
	if (load_relaxed(&heap->remote[kind])) {
		list->free = xchg_acquire(&heap->remote[kind], NULL); /* P1 */
		return list->free;
	}
	if (!list->slab)
		list->slab = slab_new(heap, kind);
	if (!list->slab)
		return NULL;
	list->free = slab_carve(list->slab, &full);
	if (full)
		list->slab = NULL;
	return list->free;
}

/* [any] Put the chain from @first to @last on the remote list of @owner. */
static void heap_push_remote(struct heap *owner, enum pool_kind kind, struct pool_object *first,
			     struct pool_object *last)
{
	/* relaxed: only a guess at what the CAS will find, and never followed */
	struct pool_object *top = load_relaxed(&owner->remote[kind]);

	do {
		last->next = top;
	} while (!cas_release(&owner->remote[kind], &top, first)); /* P1 */
}

/* [user] Send the outgoing chain of @kind home, if there is one. */
static void heap_flush_kind(struct heap *heap, enum pool_kind kind)
{
	struct pool_list *list = &heap->list[kind];

	if (!list->out_owner)
		return;
	heap_push_remote(list->out_owner, kind, list->out_first, list->out_last);
	list->out_owner = NULL;
	list->out_first = NULL;
	list->out_last = NULL;
	list->out_count = 0;
}

void hilo__pool_send(struct heap *mine, struct heap *owner, enum pool_kind kind, struct pool_object *obj)
{
	struct pool_list *list = &mine->list[kind];

	if (list->out_owner != owner) {
		heap_flush_kind(mine, kind);
		list->out_owner = owner;
		list->out_last = obj;
	}
	obj->next = list->out_first;
	list->out_first = obj;
	if (++list->out_count == POOL_BATCH)
		heap_flush_kind(mine, kind);
}

void hilo__heap_flush(struct heap *heap)
{
	for (int kind = 0; kind < POOL_KINDS; kind++)
		heap_flush_kind(heap, (enum pool_kind)kind);
}

void hilo__pool_free_any(enum pool_kind kind, void *obj)
{
	struct heap *owner = slab_of(obj)->owner;

	object_mark_free(kind, obj);
	heap_push_remote(owner, kind, obj, obj);
}

static struct heap *heap_new(void)
{
	struct heap *heap = hilo__map(POOL_PAGE_SIZE);

	if (!heap)
		return NULL;
	pool_register_memory(heap, POOL_PAGE_SIZE);
	/* relaxed: only a guess at what the CAS will find */
	heap->next_made = load_relaxed(&heaps.made);
	while (!cas_release(&heaps.made, &heap->next_made, heap)) /* P2 */
		;
	return heap;
}

struct heap *hilo__heap_lease(void)
{
	struct heap *heap;

	spin_lock(&heaps.lock);
	heap = heaps.idle;
	if (heap)
		heaps.idle = heap->next_idle;
	spin_unlock(&heaps.lock);
	return heap ? heap : heap_new();
}

void hilo__heap_return(struct heap *heap)
{
	if (!heap)
		return;
	hilo__heap_flush(heap);
	spin_lock(&heaps.lock);
	heap->next_idle = heaps.idle;
	heaps.idle = heap;
	spin_unlock(&heaps.lock);
}

static void heap_end_thread(void *heap)
{
	hilo__heap_return(heap);
}

static void heap_make_key(void)
{
	heap_key.made = pthread_key_create(&heap_key.key, heap_end_thread) == 0;
}

/*
 * A thread that gets here from the destructor of another key, when its own has run already, leases a
 * second time; the key being set again makes the system run the destructor again.
 */
struct heap *hilo__heap_thread(void)
{
	struct heap *heap;

	if (pthread_once(&heap_key.once, heap_make_key) || !heap_key.made)
		return NULL;
	heap = pthread_getspecific(heap_key.key);
	if (heap)
		return heap;
	heap = hilo__heap_lease();
	if (heap && pthread_setspecific(heap_key.key, heap)) {
		hilo__heap_return(heap);
		return NULL;
	}
	return heap;
}

void hilo__pool_foreach_slab(enum pool_kind kind, pool_slab_fn fn, void *ctx)
{
	struct pool_slab *slab = load_acquire(&hilo__pool_slabs[kind]); /* P2 */

	while (slab && fn(slab, ctx))
		slab = slab->older;
}

void hilo__slab_objects(struct pool_slab *slab, void **ret_first, size_t *ret_count, size_t *ret_stride)
{
	char *base = (char *)((uintptr_t)slab & ~(uintptr_t)(POOL_SLAB_SIZE - 1));

	*ret_first = base + (size_t)slab_first(slab) * POOL_OBJECT_SIZE;
	*ret_count = load_relaxed(&slab->carved); /* relaxed: those that are missed were never used */
	*ret_stride = POOL_OBJECT_SIZE;
}
