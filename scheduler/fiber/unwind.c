/* SPDX-License-Identifier: MIT */
/*
 * unwind.c - walking frames with the compiler's own unwinder; see unwind.h.
 *
 * Rejected: to follow frame pointers. It needs no frame information, but the user's code, and the C
 * library's, have to be compiled with them. Rejected: backtrace(3), which loads the same unwinder when it
 * is called first, and does not tell where one flow ends and the other begins.
 */
#include "scheduler/fiber/unwind.h"

#include <errno.h>
#include <limits.h>
#include <unwind.h>

/* Where a suspended flow goes on: as struct context without ucontext has it. */
struct place {
	void *sp;
	void *fp;
	void *ip;
};

#if defined(__x86_64__) && defined(__LP64__)

/*
 * hilo__unwind_call(at, fn, arg) calls fn(arg). While it does its own stack holds `at`, from where the frame
 * information fetches the caller's registers: the address of the caller's frame is at->sp (expression:
 * rsp + 0, fetch, fetch), rbp was saved in at->fp, the return address in at->ip (rsp + 0, fetch, + 8 or 16).
 */
__asm__(".text\n"
	".p2align 4\n"
	".globl hilo__unwind_call\n"
	".hidden hilo__unwind_call\n"
	".type hilo__unwind_call, @function\n"
	"hilo__unwind_call:\n"
	".cfi_startproc\n"
	"pushq %rdi\n\t"
	".cfi_adjust_cfa_offset 8\n"
	"movq %rdx, %rdi\n"
	".cfi_remember_state\n"
	".cfi_escape 0x0f, 4, 0x77, 0, 0x06, 0x06\n"
	".cfi_escape 0x10, 6, 5, 0x77, 0, 0x06, 0x23, 8\n"
	".cfi_escape 0x10, 16, 5, 0x77, 0, 0x06, 0x23, 16\n\t"
	"callq *%rsi\n"
	".cfi_restore_state\n\t"
	"popq %rdi\n\t"
	".cfi_adjust_cfa_offset -8\n"
	"retq\n"
	".cfi_endproc\n"
	".size hilo__unwind_call, . - hilo__unwind_call\n");

#elif defined(__aarch64__) && defined(__LP64__)

/* As above; `at` lies at sp + 16, and what was saved besides is x29 and x30. */
__asm__(".text\n"
	".p2align 4\n"
	".globl hilo__unwind_call\n"
	".hidden hilo__unwind_call\n"
	".type hilo__unwind_call, %function\n"
	"hilo__unwind_call:\n"
	".cfi_startproc\n"
	"stp x29, x30, [sp, #-32]!\n\t"
	".cfi_def_cfa_offset 32\n"
	".cfi_offset 29, -32\n"
	".cfi_offset 30, -24\n"
	"str x0, [sp, #16]\n\t"
	"mov x0, x2\n"
	".cfi_remember_state\n"
	".cfi_escape 0x0f, 4, 0x8f, 16, 0x06, 0x06\n"
	".cfi_escape 0x10, 29, 5, 0x8f, 16, 0x06, 0x23, 8\n"
	".cfi_escape 0x10, 30, 5, 0x8f, 16, 0x06, 0x23, 16\n\t"
	"blr x1\n"
	".cfi_restore_state\n\t"
	"ldp x29, x30, [sp], #32\n\t"
	".cfi_def_cfa_offset 0\n"
	".cfi_restore 29\n"
	".cfi_restore 30\n"
	"ret\n"
	".cfi_endproc\n"
	".size hilo__unwind_call, . - hilo__unwind_call\n");

#else
#define NO_UNWIND 1
#endif

#ifndef NO_UNWIND

void hilo__unwind_call(const struct place *at, void (*fn)(void *arg), void *arg);

struct walk {
	const void *from;
	void **frames;
	size_t max;
	size_t count;
	bool begun;
};

static _Unwind_Reason_Code walk_frame(struct _Unwind_Context *context, void *arg)
{
	struct walk *walk = arg;
	void *ip = (void *)(uintptr_t)_Unwind_GetIP(context);

	walk->begun = walk->begun || ip == walk->from;
	if (!ip || walk->count == walk->max)
		return _URC_END_OF_STACK;
	if (walk->begun)
		walk->frames[walk->count++] = ip;
	return _URC_NO_REASON;
}

static HILO__NOINLINE void walk_run(void *arg)
{
	(void)_Unwind_Backtrace(walk_frame, arg);
}

static inline struct place place_of(const struct context *context)
{
#ifndef HILO_UCONTEXT
	return (struct place){context->sp, context->fp, context->ip};
#elif defined(__x86_64__)
	const greg_t *reg = context->uc.uc_mcontext.gregs;

	return (struct place){(void *)reg[REG_RSP], (void *)reg[REG_RBP], (void *)reg[REG_RIP]};
#else
	const mcontext_t *reg = &context->uc.uc_mcontext;

	return (struct place){(void *)reg->sp, (void *)reg->regs[29], (void *)reg->pc};
#endif
}

int hilo__unwind_fiber(const struct fiber *fiber, void **frames, size_t max)
{
	struct place place = place_of(&fiber->context);
	struct walk walk = {.from = place.ip, .frames = frames, .max = max < INT_MAX ? max : INT_MAX};

	hilo__unwind_call(&place, walk_run, &walk);
	return (int)walk.count;
}

int hilo__unwind_here(const void *from, void **frames, size_t max)
{
	struct walk walk = {.from = from, .frames = frames, .max = max < INT_MAX ? max : INT_MAX};

	walk_run(&walk);
	return (int)walk.count;
}

#else

int hilo__unwind_fiber(const struct fiber *fiber, void **frames, size_t max)
{
	(void)fiber, (void)frames, (void)max;
	return -EOPNOTSUPP;
}

int hilo__unwind_here(const void *from, void **frames, size_t max)
{
	(void)from, (void)frames, (void)max;
	return -EOPNOTSUPP;
}

#endif /* NO_UNWIND */
