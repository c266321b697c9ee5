/* SPDX-License-Identifier: MIT */
#ifndef HILO_SCHEDULER_FIBER_SWITCH_H
#define HILO_SCHEDULER_FIBER_SWITCH_H

/*
 * switch.h - leave one stack and go on on another.
 *
 * A switch is inline assembly that stores three words (stack pointer, frame pointer, where to go on)
 * and declares every other register as overwritten. So the compiler saves what is live at that place
 * and nothing else: no call, no return, no push of registers that nobody uses.
 *
 *	from->sp, fp, ip  <-  sp, fp, label 1
 *	sp, fp            <-  to->sp, fp
 *	jump to->ip                              ... until somebody jumps back to label 1
 *
 * What holds on both sides of it:
 *  - Nothing is written to either stack, so a leaf function's red zone stays whole. The stack pointer
 *    is the same before and after, so the unwind information of the function around it stays right
 *    (but not for the two instructions between the change of stack and the jump).
 *  - It ends in a jump, never in `ret`: the processor's predictor of returns would be wrong each time.
 *  - Not saved: mxcsr and the x87 control word, FPCR on aarch64, the signal mask, errno. The rounding
 *    mode belongs to the thread; code that changes it restores it before it suspends.
 *  - Shadow stacks (CET SHSTK, GCS) do not survive a switch; see switch.c. Landing pads (CET IBT, BTI)
 *    are emitted when the compiler is told to use them.
 *  - Not to be used in a function that calls alloca or has over-aligned locals: that function may
 *    need a base register of its own, which is declared overwritten here.
 *
 * Where the compiler cannot be trusted with that many overwritten registers (without optimisation,
 * under sanitizers) or has registers not listed here (APX, SVE), the same assembly sits in a function,
 * hilo__context_switch, and the calling convention does the rest.
 *
 * Other architectures, and HILO_UCONTEXT, use <ucontext.h>: correct, and slow by two system calls.
 */
#include <stddef.h>
#include <stdint.h>

#include "scheduler/base/compiler.h"

#if !defined(HILO_UCONTEXT) && !(defined(__x86_64__) && defined(__LP64__)) &&                                \
	!(defined(__aarch64__) && defined(__LP64__))
#define HILO_UCONTEXT 1
#endif

#if defined(__has_feature)
#if __has_feature(memory_sanitizer)
#define HILO__MSAN 1
#endif
#endif

#if defined(HILO_UCONTEXT) || !defined(__OPTIMIZE__) || defined(HILO__ASAN) || defined(HILO__TSAN) ||        \
	defined(HILO__MSAN) || defined(__APX_F__) || defined(__ARM_FEATURE_SVE)
#define HILO__SWITCH_OUT_OF_LINE 1
#endif

#ifdef HILO_UCONTEXT

#include <ucontext.h>

/* A suspended flow of control: valid from the switch away from it to the switch back. */
struct context {
	ucontext_t uc;
	void (*entry)(void *arg);
	void *arg;
};

/* As below. */
void hilo__context_init(struct context *c, void *stack_top, void (*entry)(void *arg), void *arg);

#else

/* A suspended flow of control: valid from the switch away from it to the switch back. */
struct context {
	void *sp;
	void *fp;
	void *ip;
};

/* The first code of every new context, in assembly: calls *(sp) with the frame pointer as argument. */
extern const char hilo__context_entry[] __attribute__((visibility("hidden")));

#endif /* HILO_UCONTEXT */

/*
 * [any] Make @c such that the first switch to it calls @entry(@arg) on the stack that ends below
 * @stack_top. @entry never returns. Writes two words below @stack_top. Unwinding ends in @entry's caller.
 */
static inline void context_init(struct context *c, void *stack_top, void (*entry)(void *arg), void *arg)
{
#ifdef HILO_UCONTEXT
	hilo__context_init(c, stack_top, entry, arg);
#else
	uintptr_t *sp = (uintptr_t *)((uintptr_t)stack_top & ~(uintptr_t)15) - 2;

	sp[0] = (uintptr_t)entry;
	sp[1] = 0; /* where the outermost frame's return address is looked for */
	c->sp = sp;
	c->fp = arg;
	c->ip = (void *)(uintptr_t)hilo__context_entry;
#endif
}

/* [any] context_switch as a function. */
void hilo__context_switch(struct context *from, struct context *to);

#if defined(__x86_64__) && !defined(HILO_UCONTEXT)

#if defined(__CET__) && (__CET__ & 1)
#define HILO__LANDING_PAD "endbr64\n\t"
#else
#define HILO__LANDING_PAD ""
#endif

#ifdef __AVX512F__
#define HILO__AVX512_REGISTERS                                                                               \
	, "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25", "xmm26", \
		"xmm27", "xmm28", "xmm29", "xmm30", "xmm31", "k0", "k1", "k2", "k3", "k4", "k5", "k6", "k7"
#else
#define HILO__AVX512_REGISTERS
#endif

/* The flow that goes away is in rdi, the other one in rsi; neither survives. */
#define HILO__SWITCH_ASM(from, to)                                                                           \
	do {                                                                                                 \
		struct context *from_ = (from), *to_ = (to);                                                 \
		__asm__ volatile("leaq 1f(%%rip), %%rax\n\t"                                                 \
				 "movq %%rsp, 0(%%rdi)\n\t"                                                  \
				 "movq %%rbp, 8(%%rdi)\n\t"                                                  \
				 "movq %%rax, 16(%%rdi)\n\t"                                                 \
				 "movq 0(%%rsi), %%rsp\n\t"                                                  \
				 "movq 8(%%rsi), %%rbp\n\t"                                                  \
				 "jmpq *16(%%rsi)\n"                                                         \
				 "1:\n\t" HILO__LANDING_PAD                                                  \
				 : "+D"(from_), "+S"(to_)                                                    \
				 :                                                                           \
				 : "memory", "cc", "rax", "rbx", "rcx", "rdx", "r8", "r9", "r10", "r11",     \
				   "r12", "r13", "r14", "r15", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4",       \
				   "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12",        \
				   "xmm13", "xmm14", "xmm15", "st", "st(1)", "st(2)", "st(3)", "st(4)",      \
				   "st(5)", "st(6)", "st(7)", "mm0", "mm1", "mm2", "mm3", "mm4", "mm5",      \
				   "mm6", "mm7" HILO__AVX512_REGISTERS);                                     \
	} while (0)

#elif defined(__aarch64__) && !defined(HILO_UCONTEXT)

#if defined(__ARM_FEATURE_BTI_DEFAULT)
#define HILO__LANDING_PAD "hint #36\n\t" /* bti j */
#else
#define HILO__LANDING_PAD ""
#endif

/* The flow that goes away is in x0, the other one in x1; neither survives. */
#define HILO__SWITCH_ASM(from, to)                                                                           \
	do {                                                                                                 \
		register struct context *from_ __asm__("x0") = (from);                                       \
		register struct context *to_ __asm__("x1") = (to);                                           \
		__asm__ volatile("adr x9, 1f\n\t"                                                            \
				 "mov x10, sp\n\t"                                                           \
				 "stp x10, x29, [x0]\n\t"                                                    \
				 "str x9, [x0, #16]\n\t"                                                     \
				 "ldp x10, x29, [x1]\n\t"                                                    \
				 "ldr x9, [x1, #16]\n\t"                                                     \
				 "mov sp, x10\n\t"                                                           \
				 "br x9\n"                                                                   \
				 "1:\n\t" HILO__LANDING_PAD                                                  \
				 : "+r"(from_), "+r"(to_)                                                    \
				 :                                                                           \
				 : "memory", "cc", "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10",    \
				   "x11", "x12", "x13", "x14", "x15", "x16", "x17", "x18", "x19", "x20",     \
				   "x21", "x22", "x23", "x24", "x25", "x26", "x27", "x28", "x30", "v0",      \
				   "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11",       \
				   "v12", "v13", "v14", "v15", "v16", "v17", "v18", "v19", "v20", "v21",     \
				   "v22", "v23", "v24", "v25", "v26", "v27", "v28", "v29", "v30", "v31");    \
	} while (0)

#endif

/*
 * [any] Suspend the running flow in @from and go on in @to. Returns when somebody switches to @from,
 * which may be another thread: no thread-local address is to be kept across it.
 */
static HILO__ALWAYS_INLINE void context_switch(struct context *from, struct context *to)
{
#ifdef HILO__SWITCH_OUT_OF_LINE
	hilo__context_switch(from, to);
#else
	HILO__SWITCH_ASM(from, to);
#endif
}

#endif /* HILO_SCHEDULER_FIBER_SWITCH_H */
