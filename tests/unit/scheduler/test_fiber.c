/* SPDX-License-Identifier: MIT */
/*
 * test_fiber.c - the switch, and what survives it. Assertions run on the main stack only, because a
 * failing one jumps; fibers leave their findings in a structure.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unwind.h>

#include "scheduler/base/atomic.h"
#include "scheduler/fiber/stack.h"
#include "tests/support/test.h"

/* What a test and its fiber share. */
struct flow {
	struct fiber *fiber;
	struct fiber *back; /* whom the fiber switches to */
	void (*run)(struct flow *flow);
	long count;
	long errors;
	void *pointer;
	char text[64];
};

static struct stack_cache cache;
static struct fiber root;

/* Go on in the flow's fiber until it comes back. */
static void flow_resume(struct flow *flow, struct fiber *from)
{
	struct fiber *fiber = flow->fiber;

	flow->back = from;
	fiber_tsan_release(flow);
	fiber_switch(from, fiber);
	fiber_tsan_acquire(flow);
}

/* In the fiber: go back. */
static HILO__ALWAYS_INLINE void flow_suspend(struct flow *flow)
{
	struct fiber *self = flow->fiber, *back = flow->back;

	fiber_tsan_release(flow); /* nothing of it is read from here on */
	fiber_switch(self, back);
	fiber_tsan_acquire(flow);
}

static void flow_main(struct fiber *fiber)
{
	struct fiber *back;
	struct flow *flow;

	fiber_enter_finish(fiber);
	flow = (struct flow *)(void *)fiber->task;
	fiber_tsan_acquire(flow);
	flow->run(flow);
	back = flow->back;
	fiber_tsan_release(flow);
	fiber_switch_last(fiber, back);
}

static void flow_start(struct flow *flow, unsigned class, void (*run)(struct flow *flow))
{
	memset(flow, 0, sizeof(*flow));
	flow->fiber = hilo__fiber_get(&cache, class);
	assert_non_null(flow->fiber);
	flow->run = run;
	flow->fiber->task = (struct hilo_task *)(void *)flow;
	hilo__fiber_restart(flow->fiber, flow_main);
}

static void flow_end(struct flow *flow)
{
	hilo__fiber_put(&cache, flow->fiber);
}

static int setup(void **state)
{
	(void)state;
	hilo__fiber_init_root(&root);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	hilo__stack_cache_drain(&cache);
	hilo__fiber_fini_root(&root);
	return 0;
}

static void run_count(struct flow *flow)
{
	for (int i = 0; i < 10; i++) {
		flow->count++;
		flow_suspend(flow);
	}
}

static void test_switch_goes_on_where_it_left(void **state)
{
	struct flow flow;

	(void)state;
	flow_start(&flow, STACK_CLASS_64K, run_count);
	for (int i = 1; i <= 10; i++) {
		flow_resume(&flow, &root);
		assert_int_equal(flow.count, i);
	}
	flow_resume(&flow, &root);
	assert_int_equal(flow.count, 10);
	flow_end(&flow);
}

static void run_print(struct flow *flow)
{
	double half = (double)flow->count / 2;
	long double third = (long double)flow->count / 4;

	/* Vector stores of the callee need the stack aligned as the calling convention says. */
	snprintf(flow->text, sizeof(flow->text), "%.2f %.2Lf", half, third);
}

static void test_new_fiber_has_an_aligned_stack(void **state)
{
	struct flow flow;

	(void)state;
	flow_start(&flow, STACK_CLASS_64K, run_print);
	flow.count = 3;
	flow_resume(&flow, &root);
	assert_string_equal(flow.text, "1.50 0.75");
	flow_end(&flow);
}

/* More live values than there are registers, of each kind; volatile sources, so that none is a constant. */
static volatile long source = 1;

typedef int vector __attribute__((vector_size(16)));

#define EACH(X)                                                                                              \
	X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15) X(16) X(17)

static HILO__NOINLINE void run_registers(struct flow *flow)
{
	long seed = flow->count;

	for (int round = 0; round < 100; round++) {
#define DECLARE(n)                                                                                           \
	long i##n = source * seed + n;                                                                       \
	double d##n = (double)(source * seed) + n * 0.5;                                                     \
	vector v##n = (vector){(int)(source * seed) + n, n, 2 * n, 3 * n};
		EACH(DECLARE)
		long double l0 = (long double)source * seed, l1 = l0 + 1, l2 = l0 + 2, l3 = l0 + 3;

		flow_suspend(flow);
#define COMPARE(n)                                                                                           \
	flow->errors += i##n != source * seed + n;                                                           \
	flow->errors += d##n != (double)(source * seed) + n * 0.5;                                           \
	flow->errors +=                                                                                      \
		v##n[0] != (int)(source * seed) + n || v##n[1] != n || v##n[2] != 2 * n || v##n[3] != 3 * n;
		EACH(COMPARE)
		flow->errors += l0 != seed || l1 != seed + 1 || l2 != seed + 2 || l3 != seed + 3;
	}
}

static void test_switch_preserves_integer_and_float_values(void **state)
{
	struct flow a, b;

	(void)state;
	flow_start(&a, STACK_CLASS_64K, run_registers);
	flow_start(&b, STACK_CLASS_64K, run_registers);
	a.count = 1000;
	b.count = -77;
	for (int i = 0; i <= 100; i++) {
		flow_resume(&a, &root);
		flow_resume(&b, &root);
	}
	assert_int_equal(a.errors, 0);
	assert_int_equal(b.errors, 0);
	flow_end(&a);
	flow_end(&b);
}

#if !defined(HILO_UCONTEXT) && !defined(HILO__ASAN) && !defined(HILO__TSAN)

#if defined(__x86_64__)
/* Calls the switch as a function with known values in the registers that a callee must preserve. */
static long registers_check(struct fiber *from, struct fiber *to)
{
	long wrong = 0;

	__asm__ volatile("leaq -128(%%rsp), %%rsp\n\t" /* the red zone */
			 "pushq %%rbp\n\t"
			 "movq %%rsp, %%rbx\n\t"
			 "andq $-16, %%rsp\n\t"
			 "pushq %%rbx\n\t"
			 "pushq %%rbx\n\t"
			 "movl $11, %%ebx\n\t"
			 "movl $12, %%r12d\n\t"
			 "movl $13, %%r13d\n\t"
			 "movl $14, %%r14d\n\t"
			 "movl $15, %%r15d\n\t"
			 "movl $16, %%ebp\n\t"
			 "call *%%rax\n\t"
			 "xorq $11, %%rbx\n\t"
			 "xorq $12, %%r12\n\t"
			 "xorq $13, %%r13\n\t"
			 "xorq $14, %%r14\n\t"
			 "xorq $15, %%r15\n\t"
			 "xorq $16, %%rbp\n\t"
			 "movq %%rbx, %%rax\n\t"
			 "orq %%r12, %%rax\n\t"
			 "orq %%r13, %%rax\n\t"
			 "orq %%r14, %%rax\n\t"
			 "orq %%r15, %%rax\n\t"
			 "orq %%rbp, %%rax\n\t"
			 "popq %%rbx\n\t"
			 "movq %%rbx, %%rsp\n\t"
			 "popq %%rbp\n\t"
			 "leaq 128(%%rsp), %%rsp\n\t"
			 : "=a"(wrong), "+D"(from), "+S"(to)
			 : "a"(hilo__context_switch)
			 : "rbx", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
			   "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7",
			   "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
	return wrong;
}
#elif defined(__aarch64__)
static long registers_check(struct fiber *from, struct fiber *to)
{
	register struct fiber *x0 __asm__("x0") = from;
	register struct fiber *x1 __asm__("x1") = to;
	register void (*x9)(struct context *, struct context *) __asm__("x9") = hilo__context_switch;

	__asm__ volatile("stp x29, x30, [sp, #-16]!\n\t"
			 "mov x19, #19\n\t"
			 "mov x20, #20\n\t"
			 "mov x24, #24\n\t"
			 "mov x28, #28\n\t"
			 "mov x29, #29\n\t"
			 "fmov d8, x19\n\t"
			 "fmov d15, x28\n\t"
			 "blr x9\n\t"
			 "fmov x2, d8\n\t"
			 "fmov x3, d15\n\t"
			 "eor x2, x2, x19\n\t"
			 "eor x3, x3, x28\n\t"
			 "orr x0, x2, x3\n\t"
			 "sub x2, x19, #19\n\t"
			 "orr x0, x0, x2\n\t"
			 "sub x2, x20, #20\n\t"
			 "orr x0, x0, x2\n\t"
			 "sub x2, x24, #24\n\t"
			 "orr x0, x0, x2\n\t"
			 "sub x2, x28, #28\n\t"
			 "orr x0, x0, x2\n\t"
			 "sub x2, x29, #29\n\t"
			 "orr x0, x0, x2\n\t"
			 "ldp x29, x30, [sp], #16\n\t"
			 : "+r"(x0), "+r"(x1), "+r"(x9)
			 :
			 : "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x10", "x11", "x12", "x13", "x14", "x15",
			   "x16", "x17", "x18", "x19", "x20", "x21", "x22", "x23", "x24", "x25", "x26", "x27",
			   "x28", "x30", "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10",
			   "v11", "v12", "v13", "v14", "v15", "v16", "v17", "v18", "v19", "v20", "v21", "v22",
			   "v23", "v24", "v25", "v26", "v27", "v28", "v29", "v30", "v31", "memory", "cc");
	return (long)x0;
}
#endif

static void run_scramble(struct flow *flow)
{
	for (;;) {
		run_registers(flow); /* uses whatever registers it likes */
		flow_suspend(flow);
	}
}

static void test_switch_as_a_function_preserves_callee_saved_registers(void **state)
{
	struct flow flow;

	(void)state;
	flow_start(&flow, STACK_CLASS_64K, run_scramble);
	flow.back = &root;
	flow.count = 5;
	for (int i = 0; i < 10; i++)
		assert_int_equal(registers_check(&root, flow.fiber), 0);
	flow_end(&flow);
}
#endif

/* What the calls of a sanitizer need below the last frame. */
#if defined(HILO__ASAN) || defined(HILO__TSAN)
#define RECURSION_MARGIN 8192
#else
#define RECURSION_MARGIN 1024
#endif
/* ThreadSanitizer remembers no more than 65,536 callers. */
#ifdef HILO__TSAN
#define RECURSION_FRAME 512
#else
#define RECURSION_FRAME 64
#endif

/* Down to the margin above the end of the stack, and back up. */
static HILO__NOINLINE long recurse(struct flow *flow, long depth)
{
	volatile char frame[RECURSION_FRAME];
	long below = 0;

	frame[0] = (char)depth;
	if ((char *)__builtin_frame_address(0) - (char *)flow->fiber->stack_low > RECURSION_MARGIN)
		below = recurse(flow, depth + 1);
	return below + (frame[0] == (char)depth);
}

static void run_recurse(struct flow *flow)
{
	flow->count = recurse(flow, 0);
	flow_suspend(flow);
	flow->errors = recurse(flow, 0) - flow->count;
}

static void test_recursion_within_the_stack_size(void **state)
{
	(void)state;
	for (unsigned class = 1; class <= STACK_CLASSES; class += 1) {
		struct flow flow;

		flow_start(&flow, class, run_recurse);
		flow_resume(&flow, &root);
		assert_true(flow.count > 0);
		flow_resume(&flow, &root);
		assert_int_equal(flow.errors, 0);
		flow_end(&flow);
	}
}

static void test_many_fibers_take_turns(void **state)
{
	enum {
		FIBERS = 200
	};
	static struct flow flows[FIBERS];

	(void)state;
	for (int i = 0; i < FIBERS; i++)
		flow_start(&flows[i], STACK_CLASS_16K, run_count);
	for (int round = 1; round <= 11; round++)
		for (int i = 0; i < FIBERS; i++)
			flow_resume(&flows[i], &root);
	for (int i = 0; i < FIBERS; i++) {
		assert_int_equal(flows[i].count, 10);
		flow_end(&flows[i]);
	}
}

/* A fiber that switches to another fiber, not to the root. */
static struct flow ring[3];

static void run_ring(struct flow *flow)
{
	fiber_tsan_acquire(ring);
	for (int i = 0; i < 100; i++) {
		struct flow *next = &ring[(flow - ring + 1) % 3];
		struct fiber *self = flow->fiber, *to = i == 99 && next == ring ? &root : next->fiber;

		flow->count++;
		fiber_tsan_release(ring);
		fiber_switch(self, to);
		fiber_tsan_acquire(ring);
	}
}

static void test_fibers_switch_to_each_other(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++)
		flow_start(&ring[i], STACK_CLASS_64K, run_ring);
	flow_resume(&ring[0], &root);
	for (int i = 0; i < 3; i++)
		assert_int_equal(ring[i].count, 100);
	/* All three are suspended for ever. They can be put back and restarted all the same. */
	for (int i = 0; i < 3; i++)
		flow_end(&ring[i]);
}

/* Has a frame whose address is taken, so that AddressSanitizer gives it a fake one. */
static HILO__NOINLINE void run_abandoned(struct flow *flow)
{
	char local[256];

	memset(local, (int)flow->count, sizeof(local));
	flow->pointer = local;
	flow->count += local[100] == (char)flow->count;
	flow_suspend(flow);
	flow->errors++;
}

static void test_restart_forgets_a_suspended_flow(void **state)
{
	unsigned rounds = test_rounds(20000);
	struct flow flow;

	(void)state;
	flow_start(&flow, STACK_CLASS_16K, run_abandoned);
	for (unsigned i = 0; i < rounds; i++) {
		flow_resume(&flow, &root);
		hilo__fiber_restart(flow.fiber, flow_main);
	}
	assert_int_equal(flow.count, rounds);
	assert_int_equal(flow.errors, 0);
	flow_end(&flow);
}

static void run_once(struct flow *flow)
{
	char local[512];

	snprintf(local, sizeof(local), "%ld", flow->count);
	flow->count = strtol(local, NULL, 10) + 1;
}

static void test_restart_after_the_end(void **state)
{
	unsigned rounds = test_rounds(20000);
	struct flow flow;

	(void)state;
	flow_start(&flow, STACK_CLASS_64K, run_once);
	for (unsigned i = 0; i < rounds; i++) {
		flow_resume(&flow, &root);
		hilo__fiber_restart(flow.fiber, flow_main);
	}
	assert_int_equal(flow.count, rounds);
	flow_end(&flow);
}

/*
 * The way to use errno over a suspension: through a function that the compiler cannot see into, as
 * the C library's own accessor is declared to give the same address each time.
 */
static HILO__NOINLINE int *errno_here(void)
{
	int *p;

	__asm__ volatile("" ::: "memory");
	p = &errno;
	__asm__ volatile("" : "+r"(p)::"memory");
	return p;
}

struct turn {
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	int whose;
	struct flow flow;
};

#define MIGRATIONS 2000

static void run_migrate(struct flow *flow)
{
	unsigned char *kept = NULL;
	pthread_t before = pthread_self();

	for (int i = 0; i < MIGRATIONS; i++) {
		unsigned char *p = malloc(100 + i % 1000);

		p[0] = (unsigned char)i;
		*errno_here() = 1000 + i;
		flow_suspend(flow);
		/* Another thread, which had set its errno to its own number. */
		flow->errors += *errno_here() != 1 && *errno_here() != 2;
		flow->errors += p[0] != (unsigned char)i;
		free(kept);
		kept = p;
		flow->count++;
	}
	free(kept);
	flow->pointer = (void *)before;
}

static void *thread_migrate(void *arg)
{
	struct turn *turn = ((void **)arg)[0];
	int self = *(int *)((void **)arg)[1];
	struct fiber own;

	hilo__fiber_init_root(&own);
	for (int i = 0; i < MIGRATIONS / 2; i++) {
		pthread_mutex_lock(&turn->mutex);
		while (turn->whose != self)
			pthread_cond_wait(&turn->changed, &turn->mutex);
		*errno_here() = self;
		flow_resume(&turn->flow, &own);
		turn->whose = 3 - self;
		pthread_cond_signal(&turn->changed);
		pthread_mutex_unlock(&turn->mutex);
	}
	hilo__fiber_fini_root(&own);
	return NULL;
}

static void test_fiber_migrates_between_threads(void **state)
{
	struct turn turn = {
		.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER, .whose = 1};
	int numbers[2] = {1, 2};
	pthread_t threads[2];
	void *args[2][2];

	(void)state;
	flow_start(&turn.flow, STACK_CLASS_64K, run_migrate);
	for (int i = 0; i < 2; i++) {
		args[i][0] = &turn;
		args[i][1] = &numbers[i];
		assert_int_equal(pthread_create(&threads[i], NULL, thread_migrate, args[i]), 0);
	}
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	*errno_here() = 1;
	flow_resume(&turn.flow, &root);
	assert_int_equal(turn.flow.count, MIGRATIONS);
	assert_int_equal(turn.flow.errors, 0);
	flow_end(&turn.flow);
}

static atomic(long) ticks;

static void on_tick(int signo)
{
	char scratch[512];

	memset(scratch, signo, sizeof(scratch));
	add_relaxed(&ticks, scratch[17] == signo); /* relaxed: a counter */
}

static void run_spin(struct flow *flow)
{
	for (;;) {
		run_registers(flow);
		flow->count++;
	}
}

static void test_signals_at_any_moment_spoil_nothing(void **state)
{
	struct sigaction action = {.sa_handler = on_tick}, ignore = {.sa_handler = SIG_IGN};
	struct itimerval often = {{0, 200}, {0, 200}}, never = {{0, 0}, {0, 0}};
	struct flow flow;

	(void)state;
	sigaction(SIGALRM, &action, NULL);
	flow_start(&flow, STACK_CLASS_64K, run_spin);
	setitimer(ITIMER_REAL, &often, NULL);
	while (load_relaxed(&ticks) < 100) /* relaxed: a counter */
		flow_resume(&flow, &root);
	setitimer(ITIMER_REAL, &never, NULL);
	sigaction(SIGALRM, &ignore, NULL);
	assert_int_equal(flow.errors, 0);
	flow_end(&flow);
}

struct walk {
	int frames;
	uintptr_t last;
};

static _Unwind_Reason_Code walk_frame(struct _Unwind_Context *context, void *arg)
{
	struct walk *walk = arg;

	if (_Unwind_GetIP(context)) /* the end may be shown as a frame at 0 */
		walk->last = (uintptr_t)_Unwind_GetIP(context);
	return ++walk->frames > 100 ? _URC_NORMAL_STOP : _URC_NO_REASON;
}

static void run_unwind(struct flow *flow)
{
	struct walk walk = {0, 0};

	flow->errors = _Unwind_Backtrace(walk_frame, &walk) != _URC_END_OF_STACK;
	flow->count = walk.frames;
	flow->pointer = (void *)walk.last;
}

static void test_unwinding_ends_at_the_entry(void **state)
{
	struct flow flow;

	(void)state;
	flow_start(&flow, STACK_CLASS_64K, run_unwind);
	flow_resume(&flow, &root);
	assert_int_equal(flow.errors, 0);
	assert_in_range(flow.count, 2, 10);
#ifndef HILO_UCONTEXT
	assert_in_range((uintptr_t)flow.pointer, (uintptr_t)hilo__context_entry,
			(uintptr_t)hilo__context_entry + 32);
#endif
	flow_end(&flow);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_switch_goes_on_where_it_left),
		cmocka_unit_test(test_new_fiber_has_an_aligned_stack),
		cmocka_unit_test(test_switch_preserves_integer_and_float_values),
#if !defined(HILO_UCONTEXT) && !defined(HILO__ASAN) && !defined(HILO__TSAN)
		cmocka_unit_test(test_switch_as_a_function_preserves_callee_saved_registers),
#endif
		cmocka_unit_test(test_recursion_within_the_stack_size),
		cmocka_unit_test(test_many_fibers_take_turns),
		cmocka_unit_test(test_fibers_switch_to_each_other),
		cmocka_unit_test(test_restart_forgets_a_suspended_flow),
		cmocka_unit_test(test_restart_after_the_end),
		cmocka_unit_test(test_fiber_migrates_between_threads),
		cmocka_unit_test(test_signals_at_any_moment_spoil_nothing),
		cmocka_unit_test(test_unwinding_ends_at_the_entry),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
