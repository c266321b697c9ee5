/* SPDX-License-Identifier: MIT */
/*
 * test_stack.c - caches, pools, guards, what is left to older kernels and smaller limits, and the
 * report of overflows.
 *
 * Slots keep their guard for as long as the process lives, so whatever needs other ones runs in a
 * child. A child checks with CHECK, which says what is wrong and ends it with status 1.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <hilo/runtime/task.h>

#include "scheduler/base/sys.h"
#include "scheduler/fiber/stack.h"
#include "tests/support/test.h"

/* Why some tests are skipped. */
#define PINNED "under Valgrind stacks keep their pages"
#define TOOLS_TAKE_MORE "sanitizers and Valgrind have larger frames and address space of their own"

#if defined(HILO__ASAN) || defined(HILO__TSAN)
#define SANITIZED 1 /* larger frames, address space by the terabyte */
#else
#define SANITIZED 0
#endif

#define CHECK(x)                                                                                             \
	do {                                                                                                 \
		if (!(x)) {                                                                                  \
			fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #x);                    \
			_exit(1);                                                                            \
		}                                                                                            \
	} while (0)

static struct stack_cache cache;
static struct fiber root;

/* Run @fn in a child; its wait status, and what it wrote to standard error in @text. */
static int child_run(void (*fn)(void), char *text, size_t size)
{
	int fds[2], status;
	size_t length = 0;
	ssize_t n;
	pid_t pid;

	assert_int_equal(pipe(fds), 0);
	pid = fork();
	if (pid == 0) {
		dup2(fds[1], 2);
		close(fds[0]);
		/* The handlers of cmocka would go on with the next test. */
		signal(SIGSEGV, SIG_DFL);
		signal(SIGBUS, SIG_DFL);
		signal(SIGABRT, SIG_DFL);
		fn();
		_exit(0);
	}
	close(fds[1]);
	while ((n = read(fds[0], text + length, size - 1 - length)) > 0)
		length += (size_t)n;
	text[length] = '\0';
	close(fds[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

/* Run @fn in a child, which must end well; status 77 says that the machine cannot do it, its text why. */
static void child_must_pass(void (*fn)(void))
{
	char text[4096];
	int status = child_run(fn, text, sizeof(text));

	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		TEST_SKIP(text);
	if (status != 0)
		fail_msg("child ended with status 0x%x and said: %s", (unsigned)status, text);
}

static void child_cannot(const char *why)
{
	fputs(why, stderr);
	_exit(77);
}

static void on_entry(struct fiber *fiber)
{
	fiber_enter_finish(fiber);
	for (;;) {
		fiber_tsan_release(fiber);
		fiber_switch(fiber, &root);
	}
}

/* Let @fiber run from its start to its first suspension. */
static void fiber_touch(struct fiber *fiber)
{
	hilo__fiber_restart(fiber, on_entry);
	fiber_switch(&root, fiber);
	fiber_tsan_acquire(fiber);
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

static void test_classes_are_those_of_the_public_header(void **state)
{
	(void)state;
	assert_int_equal(STACK_CLASS_16K, HILO_STACK_16K);
	assert_int_equal(STACK_CLASS_64K, HILO_STACK_64K);
	assert_int_equal(STACK_CLASS_256K, HILO_STACK_256K);
	assert_int_equal(STACK_CLASS_1M, HILO_STACK_1M);
	assert_int_equal(STACK_CLASS_8M, HILO_STACK_8M);
	assert_int_equal(hilo__stack_class_size(STACK_CLASS_64K), 65536);
	assert_int_equal(hilo__stack_class_size(STACK_CLASS_8M), 8 << 20);
}

static void test_put_then_get_returns_the_same_fiber(void **state)
{
	(void)state;
	for (unsigned class = 1; class <= STACK_CLASSES; class += 1) {
		struct fiber *fiber = hilo__fiber_get(&cache, class);

		assert_non_null(fiber);
		assert_int_equal(fiber->class, class);
		hilo__fiber_put(&cache, fiber);
		assert_ptr_equal(hilo__fiber_get(&cache, class), fiber);
		hilo__fiber_put(&cache, fiber);
	}
}

static void test_fiber_lies_at_the_top_of_its_stack(void **state)
{
	(void)state;
	for (unsigned class = 1; class <= STACK_CLASSES; class += 1) {
		struct fiber *fiber = hilo__fiber_get(&cache, class);
		struct stack_info info;

		assert_ptr_equal((char *)fiber->stack_low + fiber->stack_size, fiber);
		assert_true(hilo__stack_find(fiber, &info));
		assert_ptr_equal(info.fiber, fiber);
		assert_int_equal(info.class, class);
		assert_int_equal(info.slot_size, hilo__stack_class_size(class));
		assert_true((uintptr_t)info.slot + info.slot_size - (uintptr_t)fiber <=
			    2048 + sizeof(*fiber) + 64);
		assert_true(fiber->stack_size + sizeof(*fiber) > info.slot_size / 2);
		hilo__fiber_put(&cache, fiber);
	}
}

static void test_tops_of_adjacent_stacks_have_different_colours(void **state)
{
	struct fiber *fibers[FIBER_COLOURS];
	uint64_t seen = 0;

	(void)state;
	hilo__stack_cache_drain(&cache);
	for (int i = 0; i < FIBER_COLOURS; i++) {
		struct stack_info info;

		fibers[i] = hilo__fiber_get(&cache, STACK_CLASS_1M);
		assert_true(hilo__stack_find(fibers[i], &info));
		seen |= (uint64_t)1 << ((uintptr_t)fibers[i] % 4096 / 64);
	}
	for (int i = 0; i < FIBER_COLOURS; i++)
		hilo__fiber_put(&cache, fibers[i]);
	/* The first few slots may have been in use before. */
	assert_true(__builtin_popcountll(seen) >= FIBER_COLOURS - 4);
}

static void test_suspended_fiber_costs_one_page(void **state)
{
	enum {
		FIBERS = 300
	};
	static struct fiber *fibers[FIBERS];
	size_t page = (size_t)sysconf(_SC_PAGESIZE), more = 0;

	(void)state;
	if (SANITIZED || stack_annotate_pinned() || sizeof(struct fiber) > 1024)
		TEST_SKIP("sanitizers, Valgrind and the portable switch take more of the first page");
	hilo__stack_cache_drain(&cache);
	hilo__stack_release();
	for (int i = 0; i < FIBERS; i++) {
		fibers[i] = hilo__fiber_get(&cache, STACK_CLASS_64K);
		fiber_touch(fibers[i]);
	}
	for (int i = 0; i < FIBERS; i++) {
		more += hilo__stack_high_water(fibers[i]) != page;
		hilo__fiber_put(&cache, fibers[i]);
	}
	assert_int_equal(more, 0);
}

static int compare_pointers(const void *a, const void *b)
{
	uintptr_t x = *(const uintptr_t *)a, y = *(const uintptr_t *)b;

	return x < y ? -1 : x > y;
}

/* The number of different fibers among @fibers; sorts them. */
static size_t count_different(struct fiber **fibers, size_t n)
{
	size_t different = n > 0;

	qsort(fibers, n, sizeof(*fibers), compare_pointers);
	for (size_t i = 1; i < n; i++)
		different += fibers[i] != fibers[i - 1];
	return different;
}

static void test_no_fiber_is_handed_out_twice(void **state)
{
	enum {
		FIBERS = 1000
	};
	static struct fiber *fibers[FIBERS];
	struct stack_cache other = {0};

	(void)state;
	for (int round = 0; round < 5; round++) {
		for (int i = 0; i < FIBERS; i++) {
			fibers[i] = hilo__fiber_get(i % 3 ? &cache : &other, STACK_CLASS_16K);
			assert_non_null(fibers[i]);
		}
		assert_int_equal(count_different(fibers, FIBERS), FIBERS);
		for (int i = 0; i < FIBERS; i++)
			hilo__fiber_put((i * 7 + round) % 5 ? &cache : &other, fibers[i]);
		if (round == 2)
			hilo__stack_cache_drain(&other);
	}
	hilo__stack_cache_drain(&other);
}

static void test_drained_fibers_go_to_the_next_cache(void **state)
{
	struct stack_cache other = {0};
	struct fiber *fiber = hilo__fiber_get(&cache, STACK_CLASS_256K);

	(void)state;
	hilo__fiber_put(&cache, fiber);
	hilo__stack_cache_drain(&cache);
	assert_ptr_equal(hilo__fiber_get(&other, STACK_CLASS_256K), fiber);
	hilo__fiber_put(&other, fiber);
	hilo__stack_cache_drain(&other);
}

static void test_trim_spares_what_was_used_since_the_last_one(void **state)
{
	enum {
		FIBERS = 320
	};
	static struct fiber *fibers[FIBERS];
	struct stack_stats before, after;

	(void)state;
	if (stack_annotate_pinned())
		TEST_SKIP(PINNED);
	hilo__stack_cache_drain(&cache);
	hilo__stack_release();
	for (int i = 0; i < FIBERS; i++) {
		fibers[i] = hilo__fiber_get(&cache, STACK_CLASS_64K);
		fiber_touch(fibers[i]);
	}
	for (int i = 0; i < FIBERS; i++)
		hilo__fiber_put(&cache, fibers[i]);
	hilo__stack_cache_drain(&cache);
	hilo__stack_get_stats(STACK_CLASS_64K, &before);
	assert_true(before.warm >= FIBERS);
	assert_int_equal(hilo__stack_trim(), 0);
	/* 64 of them are wanted meanwhile. */
	for (int i = 0; i < 64; i++)
		fibers[i] = hilo__fiber_get(&cache, STACK_CLASS_64K);
	for (int i = 0; i < 64; i++)
		hilo__fiber_put(&cache, fibers[i]);
	hilo__stack_cache_drain(&cache);
	assert_int_equal(hilo__stack_trim(), before.warm - 64);
	hilo__stack_get_stats(STACK_CLASS_64K, &after);
	assert_int_equal(after.warm, 64);
	assert_int_equal(after.cold, before.cold + before.warm - 64);
	assert_int_equal(after.prepared, before.prepared);
	assert_int_equal(hilo__stack_trim(), 64);
}

static void test_trimmed_stacks_lose_their_pages_and_work_again(void **state)
{
	enum {
		FIBERS = 100
	};
	static struct fiber *fibers[FIBERS];
	struct stack_info info;

	(void)state;
	if (stack_annotate_pinned())
		TEST_SKIP(PINNED);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < FIBERS; i++) {
			fibers[i] = hilo__fiber_get(&cache, STACK_CLASS_64K);
			fiber_touch(fibers[i]);
			memset((char *)fibers[i]->stack_low, 1, 100);
		}
		assert_int_equal(count_different(fibers, FIBERS), FIBERS);
		for (int i = 0; i < FIBERS; i++)
			hilo__fiber_put(&cache, fibers[i]);
		hilo__stack_cache_drain(&cache);
		assert_true(hilo__stack_release() >= FIBERS);
		assert_true(hilo__stack_find(fibers[0], &info));
		assert_null(info.fiber);
		assert_int_equal(((char *)info.slot)[hilo__stack_class_size(STACK_CLASS_64K) / 2], 0);
	}
}

static void test_trim_keeps_what_the_system_does_not_take(void **state)
{
	struct stack_stats stats;
	struct fiber *fiber;

	(void)state;
	if (stack_annotate_pinned())
		TEST_SKIP(PINNED);
	hilo__stack_cache_drain(&cache);
	hilo__stack_release();
	fiber = hilo__fiber_get(&cache, STACK_CLASS_16K);
	hilo__fiber_put(&cache, fiber);
	hilo__stack_cache_drain(&cache);
	hilo__sys_fail(SYS_CALL_MADVISE, 1, EINVAL, true);
	assert_int_equal(hilo__stack_release(), 0);
	hilo__sys_reset();
	hilo__stack_get_stats(STACK_CLASS_16K, &stats);
	assert_int_equal(stats.warm, 1);
	assert_ptr_equal(hilo__fiber_get(&cache, STACK_CLASS_16K), fiber);
	fiber_touch(fiber);
	hilo__fiber_put(&cache, fiber);
}

static void test_high_water_tells_the_deepest_page(void **state)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	struct fiber *fiber;

	(void)state;
	if (SANITIZED || stack_annotate_pinned())
		TEST_SKIP(TOOLS_TAKE_MORE);
	hilo__stack_cache_drain(&cache);
	hilo__stack_release();
	fiber = hilo__fiber_get(&cache, STACK_CLASS_8M);
	fiber_touch(fiber);
	assert_in_range(hilo__stack_high_water(fiber), page, 3 * page);
	((volatile char *)fiber)[-(ptrdiff_t)(5 << 20)] = 1;
	assert_in_range(hilo__stack_high_water(fiber), 5 << 20, (5 << 20) + 4 * page);
	hilo__fiber_put(&cache, fiber);
}

static void test_find_knows_guards_stacks_and_strangers(void **state)
{
	struct fiber *fiber = hilo__fiber_get(&cache, STACK_CLASS_64K);
	struct stack_info info;
	int local;

	(void)state;
	assert_true(hilo__stack_find((char *)fiber->stack_low - 1, &info));
	assert_true(info.in_guard);
	assert_ptr_equal(info.fiber, fiber);
	assert_true(hilo__stack_find(info.slot, &info));
	assert_true(info.in_guard);
	assert_ptr_equal(info.fiber, fiber);
	assert_true(hilo__stack_find(fiber->stack_low, &info));
	assert_false(info.in_guard);
	assert_false(hilo__stack_find(&local, &info));
	assert_false(hilo__stack_find(NULL, &info));
	assert_false(hilo__stack_find((char *)fiber + ((size_t)40 << 30), &info));
	hilo__fiber_put(&cache, fiber);
}

/* What the kernel says of writing to @addr: 0, or EFAULT for a guard. */
static int write_error(void *addr)
{
	int fd[2], error;

	CHECK(pipe(fd) == 0);
	CHECK(write(fd[1], "", 1) == 1);
	error = read(fd[0], addr, 1) == 1 ? 0 : errno;
	close(fd[0]);
	close(fd[1]);
	return error;
}

static void test_every_stack_has_a_guard(void **state)
{
	struct stack_stats stats;

	(void)state;
	for (unsigned class = 1; class <= STACK_CLASSES; class += 1) {
		struct fiber *fiber = hilo__fiber_get(&cache, class);
		struct stack_info info;

		assert_true(hilo__stack_find(fiber, &info));
		assert_true(info.guarded);
		assert_int_equal(fiber->unguarded, 0);
		assert_int_equal(write_error((char *)fiber->stack_low - 1), EFAULT);
		assert_int_equal(write_error(info.slot), EFAULT);
		assert_int_equal(write_error(fiber->stack_low), 0);
		hilo__fiber_put(&cache, fiber);
	}
	hilo__stack_get_stats(0, &stats);
	assert_int_equal(stats.unguarded, 0);
}

/* A class that the parent has no slots of: nothing of it was prepared before the fork. */
static struct stack_cache fresh;

static void fresh_start(void)
{
	struct stack_stats stats;

	/* The parent's unused slots stay away: they have their guards already. */
	hilo__stack_get_stats(STACK_CLASS_256K, &stats);
	for (size_t i = 0; i < stats.warm + stats.cold; i++)
		CHECK(hilo__fiber_get(&fresh, STACK_CLASS_256K));
	CHECK(!fresh.bin[STACK_CLASS_256K - 1].head && !fresh.bin[STACK_CLASS_256K - 1].cold);
}

static void fresh_must_be_guarded(void)
{
	for (int i = 0; i < 200; i++) {
		struct fiber *fiber = hilo__fiber_get(&fresh, STACK_CLASS_256K);

		CHECK(fiber && !fiber->unguarded);
		CHECK(write_error((char *)fiber->stack_low - 1) == EFAULT);
		CHECK(write_error(fiber->stack_low) == 0);
		fiber_touch(fiber);
	}
}

/* Whether this kernel takes advice for several ranges, of a process for itself: Linux 6.15. */
static bool kernel_advises_many(void)
{
	struct iovec range = {&cache, 0};

	return hilo__sys_process_madvise(-10001, &range, 1, MADV_NORMAL) >= 0;
}

static void child_guards_by_the_batch(void)
{
	bool many = kernel_advises_many(); /* else the parent may know already, and not ask any more */
	long calls = hilo__sys_calls(SYS_CALL_PROCESS_MADVISE);

	fresh_start();
	fresh_must_be_guarded();
	CHECK(hilo__sys_calls(SYS_CALL_PROCESS_MADVISE) > calls || !many);
}

static void child_guards_one_by_one(void)
{
	hilo__sys_fail(SYS_CALL_PROCESS_MADVISE, 1, EBADF, true);
	fresh_start();
	fresh_must_be_guarded();
	CHECK(hilo__sys_calls(SYS_CALL_PROCESS_MADVISE) <= 1); /* once refused, it is not tried again */
}

/* As the kernel does when it runs out of memory on the way. */
static ssize_t advise_some(int pidfd, const struct iovec *ranges, size_t n, int advice)
{
	return sys_real_process_madvise(pidfd, ranges, (n + 1) / 2, advice);
}

static void child_guards_by_half_a_batch(void)
{
	hilo__sys.process_madvise = advise_some;
	fresh_start();
	fresh_must_be_guarded();
}

static void test_guards_come_by_the_batch_or_one_by_one(void **state)
{
	(void)state;
	child_must_pass(child_guards_by_the_batch);
	child_must_pass(child_guards_one_by_one);
	child_must_pass(child_guards_by_half_a_batch);
}

/* The pages of a batch are there before it is used; of a few stacks, no more than as many again. */
static void test_pages_come_by_the_batch(void **state)
{
	static const int wanted[] = {1, 2, 3, 5, 30, 200};
	static struct fiber *fibers[256];
	bool batches = false;
	int n = 0;

	(void)state;
	if (SANITIZED || stack_annotate_pinned())
		TEST_SKIP(TOOLS_TAKE_MORE);
	hilo__stack_cache_drain(&cache);
	hilo__stack_release();
	for (size_t i = 0; i < array_size(wanted); i++) {
		for (; n < wanted[i]; n++)
			fibers[n] = hilo__fiber_get(&cache, STACK_CLASS_64K);
		assert_in_range(cache.bin[STACK_CLASS_64K - 1].count, 0, n < STACK_BATCH ? n : STACK_BATCH);
		for (struct fiber *at = cache.bin[STACK_CLASS_64K - 1].head; at; at = at->next)
			assert_int_equal(hilo__stack_high_water(at), sysconf(_SC_PAGESIZE));
		batches |= cache.bin[STACK_CLASS_64K - 1].count > 0;
	}
	assert_true(batches || !kernel_advises_many());
	while (n > 0)
		hilo__fiber_put(&cache, fibers[--n]);
}

static void child_older_kernel(void)
{
	hilo__stack_test.no_guard_install = true;
	fresh_start();
	fresh_must_be_guarded();
}

static void test_older_kernel_gets_guards_by_mprotect(void **state)
{
	(void)state;
	child_must_pass(child_older_kernel);
}

static void child_beyond_the_budget(void)
{
	struct stack_stats before, stats;
	size_t unguarded = 0;

	hilo__stack_test.no_guard_install = true;
	hilo__stack_test.mprotect_guards = 40;
	fresh_start();
	hilo__stack_get_stats(STACK_CLASS_256K, &before);
	for (int i = 0; i < 256; i++) {
		struct fiber *fiber = hilo__fiber_get(&fresh, STACK_CLASS_256K);

		CHECK(fiber);
		CHECK(write_error((char *)fiber->stack_low - 1) == (fiber->unguarded ? 0 : EFAULT));
		memset((char *)fiber->stack_low - 1, 0, fiber->unguarded);
		unguarded += fiber->unguarded;
	}
	hilo__stack_get_stats(STACK_CLASS_256K, &stats);
	/* 40 guards, less what the parent has used of them, and one for each slab thereafter. */
	CHECK(unguarded >= 256 - 40 - 5 && unguarded <= 256 - 3);
	CHECK(stats.unguarded - before.unguarded >= unguarded);
	CHECK(stats.unguarded - before.unguarded <= unguarded + 64);
}

static void test_stacks_beyond_the_budget_are_counted_and_said(void **state)
{
	char text[4096];
	int status;

	(void)state;
	status = child_run(child_beyond_the_budget, text, sizeof(text));
	if (status != 0)
		fail_msg("child: status 0x%x, %s", (unsigned)status, text);
	assert_non_null(strstr(text, "some stacks have no guard page"));
	assert_null(strstr(strstr(text, "some stacks") + 1, "some stacks"));
}

static void child_locked_memory(void)
{
	struct fiber *fiber;

	if (mlockall(MCL_FUTURE) < 0)
		child_cannot("this user may not lock memory");
	fresh_start();
	fiber = hilo__fiber_get(&fresh, STACK_CLASS_256K);
	CHECK(fiber && !fiber->unguarded);
	CHECK(write_error((char *)fiber->stack_low - 1) == EFAULT);
	fiber_touch(fiber);
	hilo__fiber_put(&fresh, fiber);
	hilo__stack_cache_drain(&fresh);
	(void)hilo__stack_release(); /* refused for locked pages */
	CHECK(hilo__fiber_get(&fresh, STACK_CLASS_256K));
}

static void test_locked_memory_gets_guards_by_mprotect(void **state)
{
	(void)state;
	if (SANITIZED)
		TEST_SKIP("sanitizers lock no memory");
	child_must_pass(child_locked_memory);
}

static void child_small_address_space(void)
{
	struct rlimit limit = {(rlim_t)1 << 30, (rlim_t)1 << 30};
	size_t fibers = 0;
	void *volatile block;

	CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
	block = malloc((size_t)2 << 30);
	if (block)
		child_cannot("an emulator does not pass the limit of address space on");
	while (fibers < 100000 && hilo__fiber_get(&fresh, STACK_CLASS_16K))
		fibers++;
	/* Ends without memory, not before some ten thousand, and leaves the rest of the program some. */
	CHECK(fibers > 10000 && fibers < 100000);
	block = malloc(4 << 20);
	CHECK(block);
	free(block);
}

static void test_small_address_space_gives_fewer_stacks(void **state)
{
	(void)state;
	if (SANITIZED || stack_annotate_pinned())
		TEST_SKIP(TOOLS_TAKE_MORE);
	/* Slots of the parent are in address space that it has already. */
	child_must_pass(child_small_address_space);
}

static void child_regions_run_out(void)
{
	enum {
		FIBERS = 500
	};
	static struct fiber *fibers[FIBERS];
	struct stack_stats before, after;
	struct stack_info info;

	hilo__stack_get_stats(STACK_CLASS_16K, &before);
	hilo__stack_test.region_slots = 100;
	for (int i = 0; i < FIBERS; i++) {
		fibers[i] = hilo__fiber_get(&fresh, STACK_CLASS_16K);
		CHECK(fibers[i]);
		CHECK(hilo__stack_find(fibers[i], &info) && info.fiber == fibers[i]);
	}
	CHECK(count_different(fibers, FIBERS) == FIBERS);
	hilo__stack_get_stats(STACK_CLASS_16K, &after);
	CHECK(before.reserved || after.reserved == 500);
}

/* Runs first, while no region exists yet. */
static void test_exhausted_region_is_followed_by_another(void **state)
{
	(void)state;
	child_must_pass(child_regions_run_out);
}

static void child_no_memory(void)
{
	/* No mapping, then no header, then no slab: NULL each time, and all is well afterwards. */
	hilo__sys_fail(SYS_CALL_MMAP, 1, ENOMEM, true);
	CHECK(!hilo__fiber_get(&fresh, STACK_CLASS_64K));
	hilo__sys_reset();
	hilo__sys_fail(SYS_CALL_MPROTECT, 1, ENOMEM, true);
	CHECK(!hilo__fiber_get(&fresh, STACK_CLASS_64K));
	hilo__sys_reset();
	CHECK(hilo__fiber_get(&fresh, STACK_CLASS_1M));
	hilo__sys_fail(SYS_CALL_MPROTECT, 2, ENOMEM, true);
	CHECK(!hilo__fiber_get(&fresh, STACK_CLASS_64K));
	hilo__sys_reset();
	for (int i = 0; i < 200; i++)
		CHECK(hilo__fiber_get(&fresh, STACK_CLASS_64K));
}

/* Runs first, too. */
static void test_get_answers_null_without_memory(void **state)
{
	(void)state;
	child_must_pass(child_no_memory);
}

static void child_prepare_in_part(void)
{
	static struct fiber *fibers[128];

	CHECK(hilo__fiber_get(&fresh, STACK_CLASS_64K));
	fresh.bin[STACK_CLASS_64K - 1].cold = 0; /* out of the way; they are lost */
	/* The first try, for 32 slots, fails; the one for 8 does not. */
	hilo__sys_fail(SYS_CALL_MPROTECT, 1, ENOMEM, false);
	for (int i = 0; i < 128; i++) {
		fibers[i] = hilo__fiber_get(&fresh, STACK_CLASS_64K);
		CHECK(fibers[i]);
	}
	hilo__sys_reset();
	CHECK(count_different(fibers, 128) == 128);
}

static void test_less_is_prepared_when_all_is_refused(void **state)
{
	(void)state;
	child_must_pass(child_prepare_in_part);
}

static void child_goes_on(void)
{
	struct fiber *fiber = hilo__fiber_get(&cache, STACK_CLASS_64K);

	CHECK(fiber);
	fiber_touch(fiber);
	hilo__fiber_put(&cache, fiber);
	hilo__stack_cache_drain(&cache);
	(void)hilo__stack_release();
	CHECK(hilo__fiber_get(&cache, STACK_CLASS_64K));
}

static void *thread_get_and_put(void *arg)
{
	struct stack_cache mine = {0};
	struct fiber *fibers[100];
	unsigned seed = (unsigned)(uintptr_t)arg;
	long rounds = 0;

	for (; rounds < (long)test_rounds(300); rounds++) {
		unsigned class = STACK_CLASS_16K + rand_r(&seed) % 2;
		int n = rand_r(&seed) % 100;

		for (int i = 0; i < n; i++) {
			fibers[i] = hilo__fiber_get(&mine, class);
			memset((char *)fibers[i]->stack_low + fibers[i]->stack_size - 64, (int)seed, 64);
		}
		for (int i = 0; i < n; i++)
			hilo__fiber_put(&mine, fibers[i]);
		if (rounds % 10 == 0)
			hilo__stack_cache_drain(&mine);
		if (rounds % 25 == 24)
			(void)hilo__stack_trim();
	}
	hilo__stack_cache_drain(&mine);
	return NULL;
}

static void test_threads_share_the_pools(void **state)
{
	struct stack_stats stats;
	pthread_t threads[4];
	size_t taken = 0;

	(void)state;
	hilo__stack_cache_drain(&cache);
	for (uintptr_t i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, thread_get_and_put, (void *)(i + 1)), 0);
	/* Meanwhile children find no lock taken by a thread that they do not have; tools miss the threads. */
	for (unsigned i = 0; i < test_rounds(20) && !SANITIZED && !stack_annotate_pinned(); i++)
		child_must_pass(child_goes_on);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	/* All came back, each once. */
	hilo__stack_get_stats(STACK_CLASS_16K, &stats);
	assert_int_equal(stats.warm + stats.cold, stats.prepared);
	while (stats.warm + stats.cold) {
		assert_non_null(hilo__fiber_get(&cache, STACK_CLASS_16K));
		hilo__stack_get_stats(STACK_CLASS_16K, &stats);
		taken++;
	}
	assert_true(taken > 0);
	memset(&cache, 0, sizeof(cache)); /* they are not seen again */
}

/* What the task layer would say. */
static void describe(struct fiber *fiber, char *buf, size_t size)
{
	snprintf(buf, size, "task %s (#42), entry deep", (const char *)(const void *)fiber->task);
}

static struct fiber *running;

static struct fiber *get_running(void)
{
	return running;
}

static volatile int for_ever = 1;

static HILO__NOINLINE int deep(volatile char *above)
{
	volatile char frame[256];

	frame[0] = above ? (char)(above[0] + 1) : 1;
	return (for_ever ? deep(frame) : 0) + frame[0];
}

static void on_overflow(struct fiber *fiber)
{
	fiber_enter_finish(fiber);
	deep(NULL);
	fiber_switch_last(fiber, &root);
}

static void overflow_start(unsigned class)
{
	struct rlimit none = {0, 0};
	struct fiber *fiber = hilo__fiber_get(&fresh, class);

	setrlimit(RLIMIT_CORE, &none);
	hilo__overflow_describe = describe;
	CHECK(hilo__overflow_install() == 0);
	CHECK(hilo__overflow_thread_init() == 0);
	CHECK(fiber);
	fiber->task = (struct hilo_task *)(void *)"fetch";
	running = fiber;
	hilo__fiber_restart(fiber, on_overflow);
	fiber_switch(&root, fiber);
}

static void child_overflow_64k(void)
{
	overflow_start(STACK_CLASS_64K);
}

static void child_overflow_8m(void)
{
	hilo__overflow_running = get_running;
	overflow_start(STACK_CLASS_8M);
}

static void child_overflow_mprotect(void)
{
	hilo__stack_test.no_guard_install = true;
	fresh_start();
	overflow_start(STACK_CLASS_256K);
}

static void child_overflow_into_slab_guard(void)
{
	struct fiber *fiber;

	hilo__stack_test.no_guard_install = true;
	hilo__stack_test.mprotect_guards = -1;
	fresh_start();
	hilo__stack_test.mprotect_guards = 2; /* half of it for slabs */
	for (int unguarded = 0; unguarded < 5; unguarded += fiber->unguarded)
		fiber = hilo__fiber_get(&fresh, STACK_CLASS_256K);
	/* Runs through the stacks below, which do not stop it, to the guard of the slab. */
	hilo__fiber_put(&fresh, fiber);
	overflow_start(STACK_CLASS_256K);
}

static void assert_overflow_reported(void (*fn)(void), const char *line)
{
	char text[4096];
	int status = child_run(fn, text, sizeof(text));

	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGABRT || !strstr(text, line))
		fail_msg("child: status 0x%x, %s", (unsigned)status, text);
}

static void test_overflow_names_task_size_and_remedy(void **state)
{
	(void)state;
	assert_overflow_reported(
		child_overflow_64k,
		"hilo: stack overflow in task fetch (#42), entry deep, stack size 64 KiB: set "
		"hilo_task_opts.stack = HILO_STACK_256K (or HILO_STACK=256K)\n");
	assert_overflow_reported(child_overflow_8m, "stack size 8 MiB, the largest there is");
	assert_overflow_reported(child_overflow_mprotect,
				 "stack size 256 KiB: set hilo_task_opts.stack = HILO_STACK_1M");
}

static void test_overflow_through_unguarded_stacks_names_the_culprit(void **state)
{
	(void)state;
	assert_overflow_reported(child_overflow_into_slab_guard, "task fetch (#42)");
}

static void child_late(void)
{
	struct rlimit none = {0, 0};
	struct fiber *fiber;

	setrlimit(RLIMIT_CORE, &none);
	hilo__stack_test.no_guard_install = true;
	hilo__stack_test.mprotect_guards = -1;
	fresh_start();
	hilo__overflow_describe = describe;
	fiber = hilo__fiber_get(&fresh, STACK_CLASS_256K);
	CHECK(fiber && fiber->unguarded);
	fiber->task = (struct hilo_task *)(void *)"late";
	hilo__fiber_put(&fresh, fiber);
	CHECK(hilo__fiber_get(&fresh, STACK_CLASS_256K) == fiber);
	((char *)fiber->stack_low)[-200] = 1;
	hilo__fiber_put(&fresh, fiber);
}

static void test_overflow_without_guard_is_noticed_at_the_end(void **state)
{
	(void)state;
	assert_overflow_reported(
		child_late,
		"stack overflow in task late (#42), entry deep, stack size 256 KiB (it has no guard");
}

static void on_stray_write(struct fiber *fiber)
{
	struct fiber *other;

	fiber_enter_finish(fiber);
	other = (struct fiber *)(void *)fiber->task;
	((volatile char *)other->stack_low)[-8] = 1;
	fiber_switch_last(fiber, &root);
}

/* From a fiber into the guard of the stack right above its own. */
static void child_stray_write(void)
{
	struct rlimit none = {0, 0};
	struct fiber *fibers[2];

	fresh_start();
	for (int i = 0; i < 2; i++)
		fibers[i] = hilo__fiber_get(&fresh, STACK_CLASS_256K);
	qsort(fibers, 2, sizeof(fibers[0]), compare_pointers);
	setrlimit(RLIMIT_CORE, &none);
	CHECK(hilo__overflow_install() == 0);
	CHECK(hilo__overflow_thread_init() == 0);
	fibers[0]->task = (struct hilo_task *)(void *)fibers[1];
	running = fibers[0];
	hilo__fiber_restart(fibers[0], on_stray_write);
	fiber_switch(&root, fibers[0]);
}

static void child_stray_write_running_known(void)
{
	hilo__overflow_running = get_running;
	child_stray_write();
}

static void test_stray_write_into_a_guard_is_no_overflow(void **state)
{
	void (*children[])(void) = {child_stray_write, child_stray_write_running_known};
	char text[8192];

	(void)state;
	for (size_t i = 0; i < array_size(children); i++) {
		int status = child_run(children[i], text, sizeof(text));

		assert_null(strstr(text, "hilo: stack overflow"));
		assert_int_not_equal(status, 0);
		if (!SANITIZED && (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSEGV))
			fail_msg("child %zu: status 0x%x, %s", i, (unsigned)status, text);
	}
}

static void on_fault(int signo)
{
	_exit(signo == SIGSEGV ? 55 : 1);
}

static void child_other_fault(void)
{
	struct sigaction action = {.sa_handler = on_fault};

	sigaction(SIGSEGV, &action, NULL);
	CHECK(hilo__overflow_install() == 0);
	CHECK(hilo__overflow_install() == 0);
	CHECK(hilo__overflow_thread_init() == 0);
	*(volatile char *)mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) = 1;
}

static void child_sent_signal(void)
{
	struct rlimit none = {0, 0};
	struct sigaction action = {.sa_handler = SIG_DFL};

	setrlimit(RLIMIT_CORE, &none);
	sigaction(SIGSEGV, &action, NULL);
	CHECK(hilo__overflow_install() == 0);
	raise(SIGSEGV);
	CHECK(!"alive");
}

static void test_other_faults_go_to_the_earlier_handler(void **state)
{
	char text[4096];
	int status;

	(void)state;
	status = child_run(child_other_fault, text, sizeof(text));
	if (!stack_annotate_pinned()) /* Valgrind has a status of its own after an error */
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 55);
	status = child_run(child_sent_signal, text, sizeof(text));
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
}

static void *thread_altstack(void *arg)
{
	static char own[1 << 16];
	stack_t stack = {.ss_flags = SS_DISABLE}, now;
	struct stack_info info;
	long *errors = arg;

	sigaltstack(&stack, NULL);
	*errors += hilo__overflow_thread_init() != 0;
	*errors += sigaltstack(NULL, &now) != 0 || now.ss_flags & SS_DISABLE;
	*errors += !hilo__stack_find(now.ss_sp, &info) || !info.guarded || !info.fiber || now.ss_size < 32768;
	hilo__overflow_thread_fini();
	*errors += sigaltstack(NULL, &now) != 0 || !(now.ss_flags & SS_DISABLE);

	/* One that the thread has already stays. */
	stack = (stack_t){.ss_sp = own, .ss_size = sizeof(own)};
	sigaltstack(&stack, NULL);
	*errors += hilo__overflow_thread_init() != 0;
	*errors += sigaltstack(NULL, &now) != 0 || now.ss_sp != own;
	hilo__overflow_thread_fini();
	*errors += sigaltstack(NULL, &now) != 0 || now.ss_sp != own;
	stack = (stack_t){.ss_flags = SS_DISABLE};
	sigaltstack(&stack, NULL);
	return NULL;
}

static void test_thread_gets_and_returns_a_signal_stack(void **state)
{
	pthread_t thread;
	long errors = 0;

	(void)state;
#ifdef HILO__ASAN
	TEST_SKIP("AddressSanitizer gives each thread a signal stack and expects it back");
#endif
	assert_int_equal(pthread_create(&thread, NULL, thread_altstack, &errors), 0);
	pthread_join(thread, NULL);
	assert_int_equal(errors, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_exhausted_region_is_followed_by_another),
		cmocka_unit_test(test_get_answers_null_without_memory),
		cmocka_unit_test(test_less_is_prepared_when_all_is_refused),
		cmocka_unit_test(test_small_address_space_gives_fewer_stacks),
		cmocka_unit_test(test_classes_are_those_of_the_public_header),
		cmocka_unit_test(test_put_then_get_returns_the_same_fiber),
		cmocka_unit_test(test_fiber_lies_at_the_top_of_its_stack),
		cmocka_unit_test(test_tops_of_adjacent_stacks_have_different_colours),
		cmocka_unit_test(test_suspended_fiber_costs_one_page),
		cmocka_unit_test(test_no_fiber_is_handed_out_twice),
		cmocka_unit_test(test_drained_fibers_go_to_the_next_cache),
		cmocka_unit_test(test_trim_spares_what_was_used_since_the_last_one),
		cmocka_unit_test(test_trimmed_stacks_lose_their_pages_and_work_again),
		cmocka_unit_test(test_trim_keeps_what_the_system_does_not_take),
		cmocka_unit_test(test_high_water_tells_the_deepest_page),
		cmocka_unit_test(test_find_knows_guards_stacks_and_strangers),
		cmocka_unit_test(test_every_stack_has_a_guard),
		cmocka_unit_test(test_guards_come_by_the_batch_or_one_by_one),
		cmocka_unit_test(test_pages_come_by_the_batch),
		cmocka_unit_test(test_older_kernel_gets_guards_by_mprotect),
		cmocka_unit_test(test_stacks_beyond_the_budget_are_counted_and_said),
		cmocka_unit_test(test_locked_memory_gets_guards_by_mprotect),
		cmocka_unit_test(test_threads_share_the_pools),
		cmocka_unit_test(test_overflow_names_task_size_and_remedy),
		cmocka_unit_test(test_overflow_through_unguarded_stacks_names_the_culprit),
		cmocka_unit_test(test_overflow_without_guard_is_noticed_at_the_end),
		cmocka_unit_test(test_stray_write_into_a_guard_is_no_overflow),
		cmocka_unit_test(test_other_faults_go_to_the_earlier_handler),
		cmocka_unit_test(test_thread_gets_and_returns_a_signal_stack),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
