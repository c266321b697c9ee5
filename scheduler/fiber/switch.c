/* SPDX-License-Identifier: MIT */
/*
 * switch.c - the parts of a context switch that are not inline: the first code of a new context, the
 * switch as a function, and the portable version.
 *
 * Unwinding  The entry's frame information says that its return address is undefined, which is how an
 *            unwinder is told that there is no caller; the frame pointer is zero there, for those
 *            that follow frame pointers. A running fiber shows its frames down to its entry and stops.
 * Shadow     A shadow stack belongs to the thread and would hold the calls of all fibers mixed. This
 * stacks     object therefore must not claim to support them, and as a program gets one only if each
 *            of its objects claims so, it never does. Compile it with -fcf-protection=branch or none.
 */
#include "scheduler/fiber/switch.h"

#if defined(__CET__) && (__CET__ & 2)
#error "compile switch.c with -fcf-protection=branch (or none): fibers and shadow stacks exclude each other"
#endif
#if defined(__ARM_FEATURE_GCS_DEFAULT)
#error "compile switch.c with -mbranch-protection=bti+pac-ret: fibers and guarded control stacks exclude each other"
#endif

/* What sanitizers must not look into: it runs while they hold the one stack or fiber for the other. */
#if defined(__clang__)
#define NO_INSTRUMENTATION __attribute__((disable_sanitizer_instrumentation))
#else
#define NO_INSTRUMENTATION __attribute__((no_sanitize("address", "thread", "undefined")))
#endif

#ifdef HILO_UCONTEXT

/* makecontext passes ints: the pointer comes in two halves. */
static NO_INSTRUMENTATION void context_start(unsigned high, unsigned low)
{
	struct context *c = (struct context *)((uintptr_t)high << 16 << 16 | low);

	c->entry(c->arg);
	__builtin_trap();
}

void hilo__context_init(struct context *c, void *stack_top, void (*entry)(void *arg), void *arg)
{
	/*
	 * Only the upper end is known and only the upper end is used: makecontext starts at the sum of
	 * the two. Nothing below the frames that it lays out is written.
	 */
	enum {
		ROOM = 2048
	};
	uintptr_t top = (uintptr_t)stack_top & ~(uintptr_t)15;
	uintptr_t self = (uintptr_t)c;

	if (getcontext(&c->uc) < 0)
		__builtin_trap(); /* fails for a bad address only */
	c->uc.uc_stack.ss_sp = (void *)(top - ROOM);
	c->uc.uc_stack.ss_size = ROOM;
	c->uc.uc_link = NULL;
	c->entry = entry;
	c->arg = arg;
	makecontext(&c->uc, (void (*)(void))context_start, 2, (unsigned)(self >> 16 >> 16), (unsigned)self);
}

#elif defined(__x86_64__)

__asm__(".text\n"
	".p2align 4\n"
	".globl hilo__context_entry\n"
	".hidden hilo__context_entry\n"
	".type hilo__context_entry, @function\n"
	"hilo__context_entry:\n"
	".cfi_startproc\n"
	".cfi_def_cfa rsp, 16\n"
	".cfi_undefined rip\n" HILO__LANDING_PAD "movq %rbp, %rdi\n\t"
	"xorl %ebp, %ebp\n\t"
	"callq *(%rsp)\n\t"
	"ud2\n"
	".cfi_endproc\n"
	".size hilo__context_entry, . - hilo__context_entry\n");

#elif defined(__aarch64__)

__asm__(".text\n"
	".p2align 4\n"
	".globl hilo__context_entry\n"
	".hidden hilo__context_entry\n"
	".type hilo__context_entry, %function\n"
	"hilo__context_entry:\n"
	".cfi_startproc\n"
	".cfi_def_cfa sp, 16\n"
	".cfi_undefined x30\n" HILO__LANDING_PAD "ldr x9, [sp]\n\t"
	"mov x0, x29\n\t"
	"mov x29, xzr\n\t"
	"mov x30, xzr\n\t"
	"blr x9\n\t"
	"brk #1\n"
	".cfi_endproc\n"
	".size hilo__context_entry, . - hilo__context_entry\n");

#endif

HILO__NOINLINE NO_INSTRUMENTATION void hilo__context_switch(struct context *from, struct context *to)
{
#ifdef HILO_UCONTEXT
	if (swapcontext(&from->uc, &to->uc) < 0)
		__builtin_trap(); /* fails for a bad address only */
#else
	HILO__SWITCH_ASM(from, to);
#endif
}
