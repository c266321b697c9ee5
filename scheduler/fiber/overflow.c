/* SPDX-License-Identifier: MIT */
/*
 * overflow.c - tells whoever let a task run out of stack which task it was and what to set.
 *
 * The kernel delivers the fault in a guard on the thread's signal stack, as there is no room left on
 * the other one. The handler looks the address up; if it is in the guard of the stack that the thread
 * runs on, it prints one line and aborts. Everything else is passed on to the handler that was there
 * before, or to the default action.
 *
 * Signal stacks are stacks of the pool like those of tasks, with a guard of their own.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

#include "scheduler/base/atomic.h"
#include "scheduler/fiber/region.h"
#include "scheduler/fiber/stack.h"

#define ALTSTACK_CLASS STACK_CLASS_64K

void (*hilo__overflow_describe)(struct fiber *fiber, char *buf, size_t size);
struct fiber *(*hilo__overflow_running)(void);

/* The handlers that were there before; written before ours is installed. */
static struct sigaction earlier_segv, earlier_bus;
static atomic(bool) installed;

/* What to ask for instead, by class. */
static const struct {
	const char *size, *next, *next_short;
} advice[STACK_CLASSES] = {
	{"16 KiB", "HILO_STACK_64K", "64K"},
	{"64 KiB", "HILO_STACK_256K", "256K"},
	{"256 KiB", "HILO_STACK_1M", "1M"},
	{"1 MiB", "HILO_STACK_8M", "8M"},
	{"8 MiB", NULL, NULL},
};

/* A line put together without stdio, which must not be used in a handler. */
struct line {
	char text[768];
	size_t length;
};

static void line_add(struct line *line, const char *text)
{
	while (*text && line->length < sizeof(line->text))
		line->text[line->length++] = *text++;
}

static void line_write(const struct line *line)
{
	size_t done = 0;

	while (done < line->length) {
		ssize_t n = write(STDERR_FILENO, line->text + done, line->length - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return;
		done += (size_t)n;
	}
}

/* Print who ran out of stack. @late: it was noticed afterwards only. */
static void overflow_print(struct fiber *fiber, bool late)
{
	struct line line = {.length = 0};
	char who[512] = "";

	if (hilo__overflow_describe)
		hilo__overflow_describe(fiber, who, sizeof(who));
	who[sizeof(who) - 1] = '\0';
	line_add(&line, "hilo: stack overflow in ");
	line_add(&line, who[0] ? who : "a fiber without a task");
	line_add(&line, ", stack size ");
	line_add(&line, advice[fiber->class - 1].size);
	if (late)
		line_add(&line, " (it has no guard page: noticed late, other stacks may be damaged)");
	if (advice[fiber->class - 1].next) {
		line_add(&line, ": set hilo_task_opts.stack = ");
		line_add(&line, advice[fiber->class - 1].next);
		line_add(&line, " (or HILO_STACK=");
		line_add(&line, advice[fiber->class - 1].next_short);
		line_add(&line, ")\n");
	} else {
		line_add(&line, ", the largest there is: use less of it\n");
	}
	line_write(&line);
}

static HILO__NORETURN void overflow_die(void)
{
	struct sigaction action = {.sa_handler = SIG_DFL};

	(void)sigaction(SIGSEGV, &action, NULL);
	(void)sigaction(SIGBUS, &action, NULL);
	abort();
}

/* True if a page that nobody should have written to is no longer all zero. */
static bool gap_is_dirty(const char *gap, size_t size)
{
	const uint64_t *word = (const uint64_t *)(const void *)gap;
	uint64_t any = 0;

	for (size_t i = 0; i < size / sizeof(*word); i++)
		any |= word[i];
	return any != 0;
}

/* Whether the page right below a stack without guard was written to. */
static bool stack_has_overflowed(void *stack_low)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char *gap = (char *)stack_low - page;

	stack_annotate_reuse(gap, page); /* frames that had no business there */
	return gap_is_dirty(gap, page);
}

HILO__COLD void hilo__stack_check(struct fiber *fiber)
{
	if (!fiber->unguarded || !stack_has_overflowed(fiber->stack_low))
		return;
	overflow_print(fiber, true);
	overflow_die();
}

/*
 * The slot whose stack ran into the guard that was hit. Where slots above it have no guard, it may be
 * one of those: the highest in an unbroken row that have something in their gaps. The stacks between,
 * their fibers included, are rubble.
 */
static struct stack_info overflow_find_slot(const struct stack_info *hit)
{
	struct stack_info culprit = *hit, above;
	size_t guard = hilo__stack_guard(hit->class);

	while (hilo__stack_find((char *)culprit.slot + culprit.slot_size, &above) && !above.guarded &&
	       stack_has_overflowed((char *)above.slot + guard))
		culprit = above;
	return culprit;
}

/* The stack pointer of the code that faulted; 0: unknown. */
static uintptr_t fault_stack_pointer(const void *context)
{
#if defined(__x86_64__)
	return (uintptr_t)((const ucontext_t *)context)->uc_mcontext.gregs[REG_RSP];
#elif defined(__aarch64__)
	return (uintptr_t)((const ucontext_t *)context)->uc_mcontext.sp;
#else
	(void)context;
	return 0;
#endif
}

/*
 * The fiber that overflowed, if that is what the fault means, and not that a stray pointer met some
 * other stack's guard. Either that one runs on this thread (a large frame that was entered without
 * probing may have taken the stack pointer beyond the slot), or the stack pointer is in its slot.
 */
static struct fiber *fault_find_culprit(const siginfo_t *info, const void *context)
{
	uintptr_t sp = fault_stack_pointer(context);
	struct fiber *culprit, *running;
	struct stack_info hit;

	if (info->si_code <= 0 || !hilo__stack_find(info->si_addr, &hit) || !hit.in_guard || !hit.guarded)
		return NULL;
	culprit = overflow_find_slot(&hit).fiber;
	running = hilo__overflow_running ? hilo__overflow_running() : NULL;
	if (running && (running == culprit || running == hit.fiber))
		return running;
	/* In the middle of a switch the next fiber is the running one already. */
	if (!sp)
		return running ? NULL : culprit;
	return sp >= (uintptr_t)hit.slot && sp < (uintptr_t)hit.slot + hit.slot_size ? culprit : NULL;
}

/* Do with the signal what would have been done without us. */
static void fault_pass_on(int signo, siginfo_t *info, void *context)
{
	const struct sigaction *earlier = signo == SIGSEGV ? &earlier_segv : &earlier_bus;
	struct sigaction action = {.sa_handler = SIG_DFL};

	if (earlier->sa_flags & SA_SIGINFO) {
		earlier->sa_sigaction(signo, info, context);
	} else if (earlier->sa_handler != SIG_DFL && earlier->sa_handler != SIG_IGN) {
		earlier->sa_handler(signo);
	} else if (earlier->sa_handler == SIG_DFL || info->si_code > 0) {
		/* The kernel ignores no fault either. The same access faults again after the return. */
		(void)sigaction(signo, &action, NULL);
		if (info->si_code <= 0)
			(void)raise(signo); /* was sent: pending until the return */
	}
}

static void fault_handle(int signo, siginfo_t *info, void *context)
{
	struct fiber *culprit = fault_find_culprit(info, context);
	int saved = errno;

	if (culprit) {
		overflow_print(culprit, false);
		overflow_die();
	}
	fault_pass_on(signo, info, context);
	errno = saved;
}

static int fault_install(int signo, struct sigaction *earlier)
{
	struct sigaction action = {.sa_flags = 0};

	if (sigaction(signo, NULL, earlier) < 0)
		return -errno;
	action.sa_sigaction = fault_handle;
	action.sa_mask = earlier->sa_mask;
	action.sa_flags = SA_SIGINFO | SA_ONSTACK | (earlier->sa_flags & (SA_NODEFER | SA_RESTART));
	return sigaction(signo, &action, NULL) < 0 ? -errno : 0;
}

int hilo__overflow_install(void)
{
	int rc;

	/* relaxed: decides who installs; a second caller needs nothing of the first */
	if (xchg_relaxed(&installed, true))
		return 0;
	rc = fault_install(SIGSEGV, &earlier_segv);
	return rc < 0 ? rc : fault_install(SIGBUS, &earlier_bus);
}

int hilo__overflow_thread_init(void)
{
	struct stack_cache cache = {0};
	struct fiber *fiber;
	stack_t stack;

	if (sigaltstack(NULL, &stack) < 0 || !(stack.ss_flags & SS_DISABLE))
		return 0; /* has one, from the program or from a sanitizer */
	fiber = hilo__fiber_get(&cache, ALTSTACK_CLASS);
	hilo__stack_cache_drain(&cache);
	if (!fiber)
		return -ENOMEM;
	fiber->task = NULL;
	fiber->altstack = 1;
	stack_annotate_reuse(fiber->stack_low, fiber->stack_size);
	stack = (stack_t){.ss_sp = fiber->stack_low, .ss_size = fiber->stack_size};
	(void)sigaltstack(&stack, NULL); /* fails only while it is in use or for sizes below 2 KiB */
	return 0;
}

void hilo__overflow_thread_fini(void)
{
	struct stack_cache cache = {0};
	struct stack_info info;
	stack_t stack;

	if (sigaltstack(NULL, &stack) < 0 || stack.ss_flags & SS_DISABLE)
		return;
	if (!hilo__stack_find(stack.ss_sp, &info) || !info.fiber || !info.fiber->altstack)
		return;
	stack = (stack_t){.ss_flags = SS_DISABLE};
	(void)sigaltstack(&stack, NULL);
	info.fiber->altstack = 0;
	hilo__fiber_put(&cache, info.fiber);
	hilo__stack_cache_drain(&cache);
}
