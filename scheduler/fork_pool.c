/* SPDX-License-Identifier: MIT */
/*
 * fork_pool.c - blocks for the forks of a task. A few stay with each loop, the others in a list of the process. They
 * are never unmapped: a thief may look at the word of one that it has heard of long ago. What was touched beyond
 * the first pages is given back.
 */
#include "scheduler/fork.h"

#include <sys/mman.h>

#include "scheduler/base/lock.h"
#include "scheduler/base/mem.h"
#include "scheduler/base/sys.h"
#include "scheduler/loop.h"

/* That many a loop keeps, for regions that are entered again and again, and for what it steals. */
#define KEPT 8
/* The pages that a block keeps: of some 120 forks at the same time. */
#define KEPT_BYTES ((size_t)8192)

static struct {
	struct spinlock lock;
	struct forks *first;
} idle_blocks = {SPINLOCK_INIT, NULL};

/* [holder] Give back the pages of a block that was used deep. The records are used from the first one on. */
static void forks_trim(struct forks *forks)
{
	char *rest = (char *)forks + KEPT_BYTES;

	if (((struct hilo_fork *)(void *)rest)->run)
		(void)hilo__sys_madvise(rest, FORKS_SIZE - KEPT_BYTES, MADV_DONTNEED);
}

static HILO__COLD struct forks *forks_map(void)
{
	void *block = hilo__map(FORKS_SIZE);

	if (block)
		(void)hilo__sys_madvise(block, FORKS_SIZE,
					MADV_NOHUGEPAGE); /* of most a page or two is used */
	return block;
}

struct forks *hilo__forks_get(struct hilo_loop *loop)
{
	struct forks *forks = loop->forks;

	if (HILO__LIKELY(forks != NULL)) {
		loop->forks = forks->next;
		loop->forks_kept--;
		return forks;
	}
	spin_lock(&idle_blocks.lock);
	forks = idle_blocks.first;
	if (forks)
		idle_blocks.first = forks->next;
	spin_unlock(&idle_blocks.lock);
	return forks ? forks : forks_map();
}

static void forks_put_idle(struct forks *forks)
{
	spin_lock(&idle_blocks.lock);
	forks->next = idle_blocks.first;
	idle_blocks.first = forks;
	spin_unlock(&idle_blocks.lock);
}

void hilo__forks_put(struct hilo_loop *loop, struct forks *forks)
{
	forks_trim(forks);
	if (loop->forks_kept == KEPT) {
		forks_put_idle(forks);
		return;
	}
	forks->next = loop->forks;
	loop->forks = forks;
	loop->forks_kept++;
}

void hilo__forks_drain(struct hilo_loop *loop)
{
	struct forks *forks;

	while ((forks = loop->forks)) {
		loop->forks = forks->next;
		forks_put_idle(forks);
	}
	loop->forks_kept = 0;
}
