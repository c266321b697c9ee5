/* SPDX-License-Identifier: MIT */
/* fiber.c - threads' own stacks, and what sanitizers need beyond the switch itself. */
#include "scheduler/fiber/fiber.h"

#include <pthread.h>
#include <string.h>

#include "scheduler/base/panic.h"

#ifdef HILO__ASAN
static void fiber_find_bounds(struct fiber *root)
{
	pthread_attr_t attr;
	void *low;

	if (pthread_getattr_np(pthread_self(), &attr) != 0)
		HILO__PANIC("the bounds of a thread's stack cannot be read");
	pthread_attr_getstack(&attr, &low, &root->asan_size);
	pthread_attr_destroy(&attr);
	root->asan_low = low;
}
#endif

void hilo__fiber_init_root(struct fiber *root)
{
	memset(root, 0, sizeof(*root));
#ifdef HILO__ASAN
	fiber_find_bounds(root);
#endif
#ifdef HILO__TSAN
	root->tsan_fiber = __tsan_get_current_fiber();
#endif
}

void hilo__fiber_fini_root(struct fiber *root)
{
	HILO__ASSERT(root->class == 0);
	fiber_tsan_acquire(root);
#ifdef HILO__TSAN
	HILO__ASSERT(root->tsan_fiber == __tsan_get_current_fiber());
#endif
	memset(root, 0, sizeof(*root));
}

void hilo__fiber_annotate_new(struct fiber *fiber)
{
#ifdef HILO__ASAN
	fiber->asan_low = fiber->stack_low;
	fiber->asan_size = fiber->stack_size;
#endif
	stack_annotate_new(fiber->stack_low, fiber);
}

/*
 * ThreadSanitizer keeps a list of the functions that a fiber is in. Those of the forgotten flow never
 * leave it, so that a fiber of its own is made for each use.
 */
void hilo__fiber_annotate_restart(struct fiber *fiber)
{
	stack_annotate_reuse(fiber->stack_low, fiber->stack_size);
#ifdef HILO__TSAN
	fiber_tsan_acquire(fiber);
	if (fiber->tsan_fiber)
		__tsan_destroy_fiber(fiber->tsan_fiber);
	fiber->tsan_fiber = __tsan_create_fiber(0);
#endif
}

void hilo__fiber_annotate_free(struct fiber *fiber)
{
#ifdef HILO__TSAN
	fiber_tsan_acquire(fiber);
	if (fiber->tsan_fiber)
		__tsan_destroy_fiber(fiber->tsan_fiber);
	fiber->tsan_fiber = NULL;
#else
	(void)fiber;
#endif
}
