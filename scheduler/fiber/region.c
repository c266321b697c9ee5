/* SPDX-License-Identifier: MIT */
/*
 * region.c - address space for stacks, and their guards.
 *
 *	region | header, slabs | slot 0 | slot 1 | ...            one mapping, PROT_NONE, NORESERVE
 *	slot     | guard | stack ................ |               usable once its slab says "ready"
 *
 * Stacks in one mapping of their own: a mapping for each would end at vm.max_map_count, near 32,000.
 * Address space is never given back and never moves, so it can be looked through without a lock and in
 * a signal handler.
 *
 * A guard is, in this order:
 *  - a marker in the page table (MADV_GUARD_INSTALL, Linux 6.13): no mapping of its own, any number;
 *  - PROT_NONE, which splits the mapping in two: for as many stacks as half of vm.max_map_count allows;
 *    also where memory is locked (mlockall), which has no markers;
 *  - none: then the first slot of a slab alone has one of the second kind, within another quarter of
 *    vm.max_map_count, and each stack's gap must still be all zero when it is put back
 *    (hilo__stack_check). Such stacks are counted and the log says so once.
 * One page is enough for frames of any size in code compiled with -fstack-clash-protection; the larger
 * classes, meant for foreign code, have a 64th of their size.
 *
 * P1  ready is released by the thread that prepared the slots; the search acquires: who finds a
 *     slot ready sees its guarded bit, and may read its memory.
 * P2  A region is released into the table complete; the search acquires.
 */
#include "scheduler/fiber/region.h"

#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "scheduler/base/log.h"
#include "scheduler/base/sys.h"

/* Since Linux 6.13; the C library's headers do not have it. */
#define ADVICE_GUARD_INSTALL 102

/* Since Linux 5.14. */
#define ADVICE_POPULATE_WRITE 23

/* Stands for the calling process in process_madvise; since Linux 6.15, which also takes all advice then. */
#define PIDFD_SELF_PROCESS (-10001)

/* Since Linux 5.17: names for /proc/PID/maps. */
#define PRCTL_SET_VMA 0x53564d41
#define PRCTL_SET_VMA_ANON_NAME 0

/* Regions of one class: with no limit in the way a single one holds a million stacks. */
#define REGIONS_MAX 64

static const struct {
	size_t size;
	size_t slots; /* in one region */
} classes[STACK_CLASSES] = {
	{(size_t)16 << 10, (size_t)1280 << 10}, /* 20 GiB of address space */
	{(size_t)64 << 10, (size_t)1280 << 10}, /* 80 GiB */
	{(size_t)256 << 10, (size_t)256 << 10}, /* 64 GiB */
	{(size_t)1 << 20, (size_t)64 << 10},	/* 64 GiB */
	{(size_t)8 << 20, (size_t)8 << 10},	/* 64 GiB */
};

/* Made usable at a time, at most: what overcommit accounting and core files have to carry. */
#define STEP_SIZE ((size_t)16 << 20)

/* P2 */
static atomic(struct region *) regions[STACK_CLASSES][REGIONS_MAX];

/* Guards that cost mappings. Relaxed: budgets, exact enough however the threads meet. */
static atomic(long) guards_budget; /* 0: not read yet */
static atomic(long) guards_used;
static atomic(long) slab_guards_used;
static atomic(bool) unguarded_said;

/* Whether MADV_GUARD_INSTALL, where it succeeds, has an effect. */
enum {
	MARKERS_UNKNOWN,
	MARKERS_WORK,
	MARKERS_FAIL
};
static atomic(int) markers;

/* Whether the kernel has refused advice on several ranges in one call: it is not asked again. */
static atomic(bool) one_by_one;

/* Relaxed: statistics. */
static struct {
	atomic(size_t) reserved, prepared, unguarded;
} counts[STACK_CLASSES];

#ifdef HILO_TESTING
struct stack_test hilo__stack_test;
#define TEST_OPTION(name) (hilo__stack_test.name)
#else
#define TEST_OPTION(name) 0
#endif

static size_t page_size(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

static size_t page_round(size_t size)
{
	size_t page = page_size();

	return (size + page - 1) & ~(page - 1);
}

size_t hilo__stack_class_size(unsigned class)
{
	return classes[class - 1].size;
}

size_t hilo__stack_guard(unsigned class)
{
	return page_round(hilo__stack_class_size(class) / 64);
}

size_t hilo__stack_stride(unsigned class)
{
	size_t size = hilo__stack_class_size(class), guard = hilo__stack_guard(class);

	/* Where pages are as large as the small classes, a guard and a page of stack. */
	return size >= 2 * guard ? size : 2 * guard;
}

/* What the process may map in all, in sixteenths; 0: no limit. */
static size_t limit_share(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_AS, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY)
		return 0;
	return page_round(limit.rlim_cur / 16);
}

/* How many slots to ask for. */
static size_t region_slots(unsigned class)
{
	size_t slots = classes[class - 1].slots, share = limit_share();

	/* Valgrind keeps books on reserved address space, too. */
	if (stack_annotate_pinned() && (!share || share > (size_t)128 << 20))
		share = (size_t)128 << 20;
	if (TEST_OPTION(region_slots))
		slots = TEST_OPTION(region_slots);
	if (share && share / hilo__stack_stride(class) < slots)
		slots = share / hilo__stack_stride(class);
	return slots ? slots : 1;
}

static size_t region_header(size_t slots)
{
	size_t slabs = (slots + SLAB_SLOTS - 1) / SLAB_SLOTS;

	return page_round(sizeof(struct region) + slabs * sizeof(struct slab));
}

static size_t region_size(unsigned class, size_t slots)
{
	return region_header(slots) + slots * hilo__stack_stride(class);
}

static struct region *region_init(struct region *region, unsigned class, size_t slots)
{
	region->base = (char *)region + region_header(slots);
	region->slots = slots;
	region->slabs = (slots + SLAB_SLOTS - 1) / SLAB_SLOTS;
	region->class = class;
	return region;
}

struct region *hilo__region_reserve(unsigned class)
{
	/* The first one must be had; later ones leave as much again to the rest of the program. */
	bool first = !load_acquire(&regions[class - 1][0]); /* P2 */
	size_t slots = region_slots(class), spare = first ? 0 : limit_share();
	size_t size = region_size(class, slots);
	void *p = NULL;

	/* The limits of this process, of its control group or of overcommitting may allow for less. */
	while (hilo__sys_mmap(NULL, size + spare, PROT_NONE, MAP_NORESERVE | MAP_STACK, &p) < 0) {
		if (slots == 1)
			return NULL;
		slots /= 2;
		size = region_size(class, slots);
	}
	if (spare)
		(void)hilo__sys_munmap((char *)p + size, spare);
	/*
	 * Not having huge pages, or names, is as good as these. What is only reserved has no place in a
	 * core file; debuggers that write one would fill it with zeros.
	 */
	(void)hilo__sys_madvise(p, size, MADV_NOHUGEPAGE);
	(void)hilo__sys_madvise(p, size, MADV_DONTDUMP);
	(void)prctl(PRCTL_SET_VMA, PRCTL_SET_VMA_ANON_NAME, p, size, "hilo stacks");
	if (hilo__sys_mprotect(p, region_header(slots), PROT_READ | PROT_WRITE) < 0) {
		(void)hilo__sys_munmap(p, size);
		return NULL;
	}
	(void)hilo__sys_madvise(p, region_header(slots), MADV_DODUMP);
	return region_init(p, class, slots);
}

void hilo__region_release(struct region *region)
{
	(void)hilo__sys_munmap(region, region_size(region->class, region->slots));
}

bool hilo__region_publish(struct region *region)
{
	for (size_t i = 0; i < REGIONS_MAX; i++) {
		/* relaxed: entries are added under the pool's lock only */
		if (!load_relaxed(&regions[region->class - 1][i])) {
			store_release(&regions[region->class - 1][i], region); /* P2 */
			add_relaxed(&counts[region->class - 1].reserved,
				    region->slots); /* relaxed: statistics */
			return true;
		}
	}
	return false;
}

struct slab *hilo__slab_open(struct region *region, size_t index)
{
	struct slab *slab = &region->slab[index];
	size_t slots = region->slots - index * SLAB_SLOTS;

	if (!slab->base) {
		slab->base = region->base + index * SLAB_SLOTS * hilo__stack_stride(region->class);
		slab->raw = slots >= SLAB_SLOTS ? ~(uint64_t)0 : ((uint64_t)1 << slots) - 1;
	}
	return slab;
}

/* Half of all the mappings that a process may have, two for each stack. */
static long guards_limit(void)
{
	long limit = load_relaxed(&guards_budget);
	char text[32] = "65530";
	int fd;

	if (TEST_OPTION(mprotect_guards))
		return TEST_OPTION(mprotect_guards);
	if (limit)
		return limit;
	fd = hilo__sys_open("/proc/sys/vm/max_map_count", O_RDONLY);
	if (fd >= 0) {
		(void)hilo__sys_read(fd, text, sizeof(text) - 1);
		(void)hilo__sys_close(fd);
	}
	limit = strtol(text, NULL, 10) / 4;
	store_relaxed(&guards_budget, limit);
	return limit;
}

/* A guard that splits the mapping, if @used is below @limit. */
static bool guard_protect(char *guard, size_t size, atomic(long) * used, long limit)
{
	if (add_relaxed(used, 1) < limit && hilo__sys_mprotect(guard, size, PROT_NONE) == 0)
		return true;
	add_relaxed(used, -1);
	return false;
}

/*
 * Emulators take advice for a hint and answer 0 to what they do not know. So the first marker of all
 * is tried: the kernel, asked to write there, must refuse. By the bare call, which a test's table
 * of system calls cannot answer in its own way.
 */
static bool marker_works(char *guard)
{
	int state = load_relaxed(&markers); /* relaxed: each thread would find the same */

	if (state == MARKERS_UNKNOWN) {
		long rc = syscall(SYS_getrandom, guard, (size_t)1, GRND_NONBLOCK);

		state = rc < 0 && errno == EFAULT ? MARKERS_WORK : MARKERS_FAIL;
		if (rc > 0)
			*guard = 0;
		store_relaxed(&markers, state);
	}
	return state == MARKERS_WORK;
}

/* @n slots from @first on. */
static uint64_t slab_bits(unsigned first, unsigned n)
{
	return n ? ~(uint64_t)0 >> (SLAB_SLOTS - n) << first : 0;
}

static bool guard_install(char *guard, size_t size)
{
	/* relaxed: as above */
	return !TEST_OPTION(no_guard_install) && load_relaxed(&markers) != MARKERS_FAIL &&
	       hilo__sys_madvise(guard, size, ADVICE_GUARD_INSTALL) == 0 && marker_works(guard);
}

static void unguarded_say(void)
{
	if (!xchg_relaxed(&unguarded_said, true))
		hilo__log_write(
			LOG_LEVEL_WARNING,
			"some stacks have no guard page: this kernel has no MADV_GUARD_INSTALL (Linux 6.13, "
			"memory not locked) and vm.max_map_count allows for %ld guards; an overflow of such "
			"a stack is found only once its task has ended",
			guards_limit());
}

/*
 * Give @advice on @size bytes at @offset of each of the @slots, in one call. Returns how many of them, from
 * the lowest on, have taken it; 0 where the kernel takes it for one range at a time only.
 */
static unsigned slab_advise(struct slab *slab, unsigned class, uint64_t slots, size_t offset, size_t size,
			    int advice)
{
	size_t stride = hilo__stack_stride(class);
	struct iovec range[SLAB_SLOTS];
	unsigned n = 0;
	ssize_t done;

	if (load_relaxed(&one_by_one)) /* relaxed: each thread would find the same */
		return 0;
	for (; slots; slots &= slots - 1, n++) {
		range[n].iov_base = slab->base + (unsigned)__builtin_ctzll(slots) * stride + offset;
		range[n].iov_len = size;
	}
	done = n ? hilo__sys_process_madvise(PIDFD_SELF_PROCESS, range, n, advice) : 0;
	/* Lack of memory passes; these do not. */
	if (done == -ENOSYS || done == -EBADF || done == -EINVAL || done == -EPERM)
		store_relaxed(&one_by_one, true); /* relaxed: as above */
	return done > 0 ? (unsigned)((size_t)done / size) : 0;
}

/* Markers for the slots; returns how many of them, from the first on, have one. */
static unsigned guards_install(struct slab *slab, unsigned class, unsigned first, unsigned n)
{
	size_t stride = hilo__stack_stride(class), size = hilo__stack_guard(class);
	unsigned done = 1;

	if (!guard_install(slab->base + first * stride, size))
		return 0;
	done += slab_advise(slab, class, slab_bits(first + 1, n - 1), 0, size, ADVICE_GUARD_INSTALL);
	while (done < n && guard_install(slab->base + (first + done) * stride, size))
		done++;
	return done;
}

/* Guard the slots; returns the bits of those that have one. */
static uint64_t slab_guard(struct slab *slab, unsigned class, unsigned first, unsigned n)
{
	size_t stride = hilo__stack_stride(class), size = hilo__stack_guard(class);
	unsigned installed = guards_install(slab, class, first, n);
	uint64_t guarded = 0;

	for (unsigned i = first; i < first + n; i++) {
		char *guard = slab->base + i * stride;

		if (i < first + installed || guard_protect(guard, size, &guards_used, guards_limit()) ||
		    (i == 0 && guard_protect(guard, size, &slab_guards_used, guards_limit() / 2)))
			guarded |= (uint64_t)1 << i;
	}
	return guarded;
}

unsigned hilo__slab_step(unsigned class)
{
	size_t slots = STEP_SIZE / hilo__stack_stride(class);

	return slots < STACK_BATCH ? (unsigned)slots : STACK_BATCH;
}

unsigned hilo__slab_prepare(struct slab *slab, unsigned class, unsigned first, unsigned n)
{
	size_t stride = hilo__stack_stride(class);
	uint64_t bits, guarded;

	/* Where every byte is accounted for, a few may be had when many may not. */
	while (n && hilo__sys_mprotect(slab->base + first * stride, n * stride, PROT_READ | PROT_WRITE) < 0)
		n /= 4;
	if (!n)
		return 0;
	(void)hilo__sys_madvise(slab->base + first * stride, n * stride, MADV_DODUMP);
	bits = slab_bits(first, n);
	guarded = slab_guard(slab, class, first, n);
	or_relaxed(&slab->guarded, guarded); /* relaxed: published by P1 */
	or_release(&slab->ready, bits);	     /* P1 */
	/* relaxed: statistics */
	add_relaxed(&counts[class - 1].prepared, n);
	add_relaxed(&counts[class - 1].unguarded, n - (unsigned)__builtin_popcountll(guarded));
	if (guarded != bits)
		unguarded_say();
	return n;
}

unsigned hilo__slab_populate(struct slab *slab, unsigned class, uint64_t slots)
{
	size_t page = page_size();

	return slab_advise(slab, class, slots, hilo__stack_stride(class) - page, page, ADVICE_POPULATE_WRITE);
}

/* The slot of @region that @addr lies in, if it was made usable. */
static struct slab *region_find(struct region *region, uintptr_t addr, unsigned *ret_slot)
{
	size_t stride = hilo__stack_stride(region->class);
	size_t slot = (addr - (uintptr_t)region->base) / stride;
	struct slab *slab;

	if (addr < (uintptr_t)region->base || slot >= region->slots)
		return NULL;
	slab = &region->slab[slot / SLAB_SLOTS];
	*ret_slot = slot % SLAB_SLOTS;
	return load_acquire(&slab->ready) >> *ret_slot & 1 ? slab : NULL; /* P1 */
}

struct slab *hilo__slab_find(const void *addr, unsigned *ret_class, unsigned *ret_slot)
{
	for (unsigned i = 0; i < STACK_CLASSES; i++) {
		for (size_t j = 0; j < REGIONS_MAX; j++) {
			struct region *region = load_acquire(&regions[i][j]); /* P2 */
			struct slab *slab;

			if (!region)
				break;
			slab = region_find(region, (uintptr_t)addr, ret_slot);
			if (slab) {
				*ret_class = region->class;
				return slab;
			}
		}
	}
	return NULL;
}

struct fiber *hilo__slab_fiber(const struct slab *slab, unsigned class, unsigned slot)
{
	size_t stride = hilo__stack_stride(class);
	char *top = slab->base + (slot + 1) * stride;
	size_t colour = (uintptr_t)top / stride % FIBER_COLOURS;
	size_t size = (sizeof(struct fiber) + HILO__CACHE_LINE - 1) & ~(size_t)(HILO__CACHE_LINE - 1);

	return (struct fiber *)(void *)(top - colour * HILO__CACHE_LINE - size);
}

bool hilo__stack_find(const void *addr, struct stack_info *ret)
{
	unsigned class, slot;
	struct slab *slab = hilo__slab_find(addr, &class, &slot);
	size_t guard;

	if (!slab)
		return false;
	guard = hilo__stack_guard(class);
	ret->class = class;
	ret->slot_size = hilo__stack_stride(class);
	ret->slot = slab->base + slot * ret->slot_size;
	ret->in_guard = (uintptr_t)addr < (uintptr_t)ret->slot + guard;
	ret->guarded = load_relaxed(&slab->guarded) >> slot & 1; /* relaxed: published by P1 */
	ret->fiber = hilo__slab_fiber(slab, class, slot);
	stack_annotate_reuse(ret->fiber, sizeof(*ret->fiber)); /* frames of a neighbour that overflowed */
	if (ret->fiber->stack_low != (char *)ret->slot + guard)
		ret->fiber = NULL; /* a page of zeros: nobody was here */
	return true;
}

void hilo__region_count(unsigned class, struct stack_stats *ret)
{
	ret->reserved += load_relaxed(&counts[class - 1].reserved);
	ret->prepared += load_relaxed(&counts[class - 1].prepared);
	ret->unguarded += load_relaxed(&counts[class - 1].unguarded);
}
