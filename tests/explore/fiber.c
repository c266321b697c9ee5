/* SPDX-License-Identifier: MIT */
/*
 * fiber.c - the stacks of the model threads, and the switch between them.
 *
 * The library's own switch is not used: an explorer should not fall over a fault in what it explores,
 * and a million executions a second want no annotations. An execution that is abandoned leaves its
 * stacks as they are; the next one starts them anew.
 */
#include "tests/explore/explore_impl.h"

#include <signal.h>
#include <string.h>

#define STACK_SIZE (128 * 1024)

static _Alignas(64) unsigned char stacks[EXPLORE_THREADS][STACK_SIZE];

/* A model thread has followed a bad pointer: that execution has failed. */
static void crash_caught(int signal, siginfo_t *info, void *context)
{
	(void)signal;
	(void)context;
	explore_fail("crash: access to %p", info->si_addr);
}

void fiber_catch_crashes(void)
{
	static unsigned char handler_stack[64 * 1024];
	stack_t stack = {.ss_sp = handler_stack, .ss_size = sizeof(handler_stack)};
	struct sigaction action = {.sa_sigaction = crash_caught,
				   .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};

	(void)sigaltstack(&stack, NULL);
	(void)sigaction(SIGSEGV, &action, NULL);
	(void)sigaction(SIGBUS, &action, NULL);
}

#if defined(__x86_64__)
__asm__(".text\n"
	".p2align 4\n"
	".globl fiber_switch\n"
	".type fiber_switch, @function\n"
	"fiber_switch:\n"
	"	endbr64\n"
	"	pushq %rbp\n"
	"	pushq %rbx\n"
	"	pushq %r12\n"
	"	pushq %r13\n"
	"	pushq %r14\n"
	"	pushq %r15\n"
	"	movq %rsp, (%rdi)\n"
	"	movq %rsi, %rsp\n"
	"	popq %r15\n"
	"	popq %r14\n"
	"	popq %r13\n"
	"	popq %r12\n"
	"	popq %rbx\n"
	"	popq %rbp\n"
	"	ret\n"
	".size fiber_switch, . - fiber_switch\n");

void fiber_reset(unsigned thread, void (*entry)(void))
{
	void **top = (void **)(void *)(stacks[thread] + STACK_SIZE);

	/* Six saved registers, the address to return to, and none for `entry` itself. */
	memset(top - 8, 0, 8 * sizeof(void *));
	memcpy(top - 2, &entry, sizeof(entry));
	explore_threads[thread].stack = top - 8;
}
#elif defined(__aarch64__)
__asm__(".text\n"
	".p2align 4\n"
	".globl fiber_switch\n"
	".type fiber_switch, %function\n"
	"fiber_switch:\n"
	"	sub sp, sp, #160\n"
	"	stp x19, x20, [sp, #0]\n"
	"	stp x21, x22, [sp, #16]\n"
	"	stp x23, x24, [sp, #32]\n"
	"	stp x25, x26, [sp, #48]\n"
	"	stp x27, x28, [sp, #64]\n"
	"	stp x29, x30, [sp, #80]\n"
	"	stp d8, d9, [sp, #96]\n"
	"	stp d10, d11, [sp, #112]\n"
	"	stp d12, d13, [sp, #128]\n"
	"	stp d14, d15, [sp, #144]\n"
	"	mov x9, sp\n"
	"	str x9, [x0]\n"
	"	mov sp, x1\n"
	"	ldp x19, x20, [sp, #0]\n"
	"	ldp x21, x22, [sp, #16]\n"
	"	ldp x23, x24, [sp, #32]\n"
	"	ldp x25, x26, [sp, #48]\n"
	"	ldp x27, x28, [sp, #64]\n"
	"	ldp x29, x30, [sp, #80]\n"
	"	ldp d8, d9, [sp, #96]\n"
	"	ldp d10, d11, [sp, #112]\n"
	"	ldp d12, d13, [sp, #128]\n"
	"	ldp d14, d15, [sp, #144]\n"
	"	add sp, sp, #160\n"
	"	ret\n"
	".size fiber_switch, . - fiber_switch\n");

void fiber_reset(unsigned thread, void (*entry)(void))
{
	void **frame = (void **)(void *)(stacks[thread] + STACK_SIZE - 160);

	memset(frame, 0, 160);
	memcpy(frame + 11, &entry, sizeof(entry)); /* x30 */
	explore_threads[thread].stack = frame;
}
#else
#error "the explorer switches stacks on x86-64 and aarch64 only"
#endif
