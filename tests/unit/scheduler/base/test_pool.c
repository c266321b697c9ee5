/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "scheduler/base/mem.h"
#include "scheduler/base/pool.h"
#include "tests/support/test.h"

/* A heap that no other test used: every idle one is held for the time of the test. */
struct fixture {
	struct heap *held[64];
	unsigned count;
	struct heap *a, *b;
};

static bool heap_is_unused(const struct heap *heap)
{
	return !heap->region && !heap->list[POOL_TASK].free && !heap->list[POOL_OBJECT].free;
}

static struct heap *fixture_lease(struct fixture *fixture)
{
	for (;;) {
		struct heap *heap = hilo__heap_lease();

		assert_non_null(heap);
		if (heap_is_unused(heap))
			return heap;
		assert_true(fixture->count < 64);
		fixture->held[fixture->count++] = heap;
	}
}

static int fixture_setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	fixture->a = fixture_lease(fixture);
	fixture->b = fixture_lease(fixture);
	*state = fixture;
	return 0;
}

static int fixture_teardown(void **state)
{
	struct fixture *fixture = *state;

	hilo__mem_fail_at(0, false);
	hilo__heap_return(fixture->b);
	hilo__heap_return(fixture->a);
	for (unsigned i = 0; i < fixture->count; i++)
		hilo__heap_return(fixture->held[i]);
	free(fixture);
	return 0;
}

static bool bytes_are_zero(const void *p, size_t size)
{
	const unsigned char *bytes = p;

	for (size_t i = 0; i < size; i++)
		if (bytes[i])
			return false;
	return true;
}

static void test_pool_fresh_objects_are_zero_aligned_and_distinct(void **state)
{
	enum {
		COUNT = 3000
	};
	struct fixture *fixture = *state;
	static unsigned char *objects[COUNT];

	for (int i = 0; i < COUNT; i++) {
		objects[i] = pool_alloc(fixture->a, POOL_OBJECT);
		assert_non_null(objects[i]);
		assert_int_equal((uintptr_t)objects[i] % POOL_OBJECT_SIZE, 0);
		assert_true(bytes_are_zero(objects[i], POOL_OBJECT_SIZE));
		assert_ptr_equal(slab_of(objects[i])->owner, fixture->a);
		assert_true((void *)objects[i] != (void *)slab_of(objects[i]));
		memset(objects[i], 0xff, POOL_OBJECT_SIZE);
	}
	for (int i = 0; i < COUNT; i++) /* each was zero when all before it were written: no two overlap */
		pool_free(fixture->a, POOL_OBJECT, objects[i]);
}

static void test_pool_last_freed_is_first_allocated(void **state)
{
	struct fixture *fixture = *state;
	void *first = pool_alloc(fixture->a, POOL_OBJECT);
	void *second = pool_alloc(fixture->a, POOL_OBJECT);

	pool_free(fixture->a, POOL_OBJECT, first);
	pool_free(fixture->a, POOL_OBJECT, second);
	assert_ptr_equal(pool_alloc(fixture->a, POOL_OBJECT), second);
	assert_ptr_equal(pool_alloc(fixture->a, POOL_OBJECT), first);
	pool_free(fixture->a, POOL_OBJECT, first);
	pool_free(fixture->a, POOL_OBJECT, second);
}

static void test_pool_task_word_survives_free(void **state)
{
	struct fixture *fixture = *state;
	atomic(uint64_t) *word = pool_alloc(fixture->a, POOL_TASK);

	store_relaxed(word, 42);
	pool_free(fixture->a, POOL_TASK, word);
	assert_int_equal(load_relaxed(word), 42);
	add_relaxed(word, 1); /* a late wake-up of a task that is gone */
	assert_ptr_equal(pool_alloc(fixture->a, POOL_TASK), word);
	assert_int_equal(load_relaxed(word), 43);
	assert_true(bytes_are_zero((char *)word + 8, 8));
	store_relaxed(word, 0);
	pool_free(fixture->a, POOL_TASK, word);
}

static void test_pool_task_word_survives_the_way_home(void **state)
{
	struct fixture *fixture = *state;
	atomic(uint64_t) *word = pool_alloc(fixture->a, POOL_TASK);

	store_relaxed(word, 7);
	pool_free(fixture->b, POOL_TASK, word);
	assert_int_equal(load_relaxed(word), 7);
	hilo__heap_flush(fixture->b);
	assert_int_equal(load_relaxed(word), 7);
	store_relaxed(word, 0);
}

/* Allocate from @heap until what lay ready is used up; the number that was. */
static unsigned heap_drain_local(struct heap *heap, enum pool_kind kind, void **objects)
{
	unsigned count = 0;

	while (heap->list[kind].free)
		objects[count++] = pool_alloc(heap, kind);
	return count;
}

static void test_pool_foreign_objects_go_home_in_batches(void **state)
{
	struct fixture *fixture = *state;
	void *objects[POOL_BATCH];
	void *rest[64];
	unsigned count;

	for (unsigned i = 0; i < POOL_BATCH; i++)
		objects[i] = pool_alloc(fixture->a, POOL_OBJECT);
	count = heap_drain_local(fixture->a, POOL_OBJECT, rest);
	for (unsigned i = 0; i < POOL_BATCH - 1; i++)
		pool_free(fixture->b, POOL_OBJECT, objects[i]);
	assert_null(load_relaxed(&fixture->a->remote[POOL_OBJECT]));
	pool_free(fixture->b, POOL_OBJECT, objects[POOL_BATCH - 1]);
	assert_ptr_equal(load_relaxed(&fixture->a->remote[POOL_OBJECT]), objects[POOL_BATCH - 1]);
	assert_int_equal(fixture->b->list[POOL_OBJECT].out_count, 0);
	assert_null(fixture->b->list[POOL_OBJECT].free);
	for (unsigned i = POOL_BATCH; i-- > 0;) /* they come back before anything fresh is carved */
		assert_ptr_equal(pool_alloc(fixture->a, POOL_OBJECT), objects[i]);
	for (unsigned i = 0; i < POOL_BATCH; i++)
		pool_free(fixture->a, POOL_OBJECT, objects[i]);
	for (unsigned i = 0; i < count; i++)
		pool_free(fixture->a, POOL_OBJECT, rest[i]);
}

static void test_pool_change_of_owner_sends_the_batch(void **state)
{
	struct fixture *fixture = *state;
	struct heap *c = fixture_lease(fixture);
	void *of_a = pool_alloc(fixture->a, POOL_OBJECT);
	void *of_b = pool_alloc(fixture->b, POOL_OBJECT);

	pool_free(c, POOL_OBJECT, of_a);
	assert_null(load_relaxed(&fixture->a->remote[POOL_OBJECT]));
	pool_free(c, POOL_OBJECT, of_b);
	assert_ptr_equal(load_relaxed(&fixture->a->remote[POOL_OBJECT]), of_a);
	assert_null(load_relaxed(&fixture->b->remote[POOL_OBJECT]));
	hilo__heap_return(c); /* flushes */
	assert_ptr_equal(load_relaxed(&fixture->b->remote[POOL_OBJECT]), of_b);
}

static void test_pool_kinds_travel_in_separate_batches(void **state)
{
	struct fixture *fixture = *state;
	void *task = pool_alloc(fixture->a, POOL_TASK);
	void *object = pool_alloc(fixture->a, POOL_OBJECT);

	pool_free(fixture->b, POOL_TASK, task);
	pool_free(fixture->b, POOL_OBJECT, object);
	hilo__heap_flush(fixture->b);
	hilo__heap_flush(fixture->b); /* nothing left to send */
	assert_ptr_equal(load_relaxed(&fixture->a->remote[POOL_TASK]), task);
	assert_ptr_equal(load_relaxed(&fixture->a->remote[POOL_OBJECT]), object);
}

static void test_pool_free_any_goes_home_at_once(void **state)
{
	struct fixture *fixture = *state;
	void *first = pool_alloc(fixture->a, POOL_TASK);
	void *second = pool_alloc(fixture->a, POOL_TASK);
	void *rest[64];
	unsigned count = heap_drain_local(fixture->a, POOL_TASK, rest);

	hilo__pool_free_any(POOL_TASK, first);
	hilo__pool_free_any(POOL_TASK, second);
	assert_ptr_equal(pool_alloc(fixture->a, POOL_TASK), second);
	assert_ptr_equal(pool_alloc(fixture->a, POOL_TASK), first);
	pool_free(fixture->a, POOL_TASK, first);
	pool_free(fixture->a, POOL_TASK, second);
	for (unsigned i = 0; i < count; i++)
		pool_free(fixture->a, POOL_TASK, rest[i]);
}

/* What a walk over the slabs of one heap found. */
struct census {
	struct heap *owner;
	const void *wanted;
	size_t slabs, objects;
	bool found, first_is_wrong;
};

static bool census_visit(struct pool_slab *slab, void *ctx)
{
	struct census *census = ctx;
	size_t count, stride;
	void *first;
	char *wanted = (char *)(uintptr_t)census->wanted;

	if (slab->owner != census->owner)
		return true;
	hilo__slab_objects(slab, &first, &count, &stride);
	census->slabs++;
	census->objects += count;
	if (slab_of(first) != slab || (count && slab_of((char *)first + (count - 1) * stride) != slab))
		census->first_is_wrong = true;
	if (wanted >= (char *)first && wanted < (char *)first + count * stride)
		census->found = (size_t)(wanted - (char *)first) % stride == 0;
	return true;
}

static void test_pool_directory_shows_every_object(void **state)
{
	enum {
		COUNT = 1200
	};
	struct fixture *fixture = *state;
	static void *tasks[COUNT];
	struct census census;

	for (int i = 0; i < COUNT; i++)
		tasks[i] = pool_alloc(fixture->a, POOL_TASK);
	for (int i = 0; i < COUNT; i++) {
		census = (struct census){.owner = fixture->a, .wanted = tasks[i]};
		hilo__pool_foreach_slab(POOL_TASK, census_visit, &census);
		assert_true(census.found);
		assert_false(census.first_is_wrong);
	}
	assert_true(census.objects >= COUNT && census.objects < COUNT + 64);
	assert_true(census.slabs == 3);
	census = (struct census){.owner = fixture->a, .wanted = tasks[0]};
	hilo__pool_foreach_slab(POOL_OBJECT, census_visit, &census);
	assert_int_equal(census.slabs, 0);
	for (int i = 0; i < COUNT; i++)
		pool_free(fixture->a, POOL_TASK, tasks[i]);
}

static void *thread_alloc_task(void *heap)
{
	return pool_alloc(heap, POOL_TASK);
}

/* Nothing but the directory itself orders the walk after the making of the slab. */
static void test_pool_directory_can_be_walked_while_it_grows(void **state)
{
	struct fixture *fixture = *state;
	struct census census;
	pthread_t thread;
	void *task;

	assert_int_equal(pthread_create(&thread, NULL, thread_alloc_task, fixture->a), 0);
	do {
		census = (struct census){.owner = fixture->a};
		hilo__pool_foreach_slab(POOL_TASK, census_visit, &census);
	} while (!census.slabs);
	assert_int_equal(pthread_join(thread, &task), 0);
	assert_non_null(task);
	pool_free(fixture->a, POOL_TASK, task);
}

static bool visit_once(struct pool_slab *slab, void *ctx)
{
	(void)slab;
	++*(int *)ctx;
	return false;
}

static void test_pool_walk_ends_when_asked(void **state)
{
	struct fixture *fixture = *state;
	int visits = 0;

	pool_free(fixture->a, POOL_TASK, pool_alloc(fixture->a, POOL_TASK));
	pool_free(fixture->b, POOL_TASK, pool_alloc(fixture->b, POOL_TASK));
	hilo__pool_foreach_slab(POOL_TASK, visit_once, &visits);
	assert_int_equal(visits, 1);
}

static void test_pool_out_of_memory_is_null_and_passes(void **state)
{
	struct fixture *fixture = *state;
	struct heap *heap = NULL;
	void *object;

	hilo__mem_fail_at(1, true);
	assert_null(pool_alloc(fixture->a, POOL_OBJECT));
	assert_null(pool_alloc(fixture->a, POOL_TASK));
	while ((heap = hilo__heap_lease())) /* idle ones need no memory */
		fixture->held[fixture->count++] = heap;
	hilo__mem_fail_at(0, false);
	object = pool_alloc(fixture->a, POOL_OBJECT);
	assert_non_null(object);
	pool_free(fixture->a, POOL_OBJECT, object);
}

static void test_pool_heaps_are_reused_without_growth(void **state)
{
	struct heap *heap = hilo__heap_lease();
	size_t mapped;
	void *objects[100];

	(void)state;
	for (int round = 0; round < 1000; round++) {
		for (int i = 0; i < 100; i++)
			objects[i] = pool_alloc(heap, POOL_TASK);
		for (int i = 0; i < 100; i++)
			pool_free(heap, POOL_TASK, objects[i]);
		if (round == 0)
			mapped = hilo__mem_mapped();
		hilo__heap_return(heap);
		assert_ptr_equal(hilo__heap_lease(), heap);
	}
	assert_int_equal(hilo__mem_mapped(), mapped);
	hilo__heap_return(heap);
	hilo__heap_return(NULL);
}

static void *thread_heap_twice(void *arg)
{
	struct heap *heap = hilo__heap_thread();

	(void)arg;
	return heap && heap == hilo__heap_thread() ? heap : NULL;
}

static void *thread_run(void *(*fn)(void *), void *arg)
{
	pthread_t thread;
	void *result;

	assert_int_equal(pthread_create(&thread, NULL, fn, arg), 0);
	assert_int_equal(pthread_join(thread, &result), 0);
	return result;
}

static void test_pool_thread_heap_is_returned_at_exit(void **state)
{
	struct heap *mine = hilo__heap_thread();
	struct heap *first = thread_run(thread_heap_twice, NULL);

	(void)state;
	assert_non_null(first);
	assert_ptr_not_equal(first, mine);
	assert_ptr_equal(thread_run(thread_heap_twice, NULL), first);
}

static pthread_key_t late_key;

/* Runs after the heap's own destructor had its turn in this round or before it: either must do. */
static void late_destructor(void *arg)
{
	struct heap *heap = hilo__heap_thread();

	pool_free(heap, POOL_OBJECT, pool_alloc(heap, POOL_OBJECT));
	*(int *)arg += 1;
}

static void *thread_use_late(void *arg)
{
	pthread_setspecific(late_key, arg);
	return hilo__heap_thread();
}

static void test_pool_thread_heap_works_in_other_destructors(void **state)
{
	int calls = 0;
	void *heap;

	(void)state;
	assert_int_equal(pthread_key_create(&late_key, late_destructor), 0);
	heap = thread_run(thread_use_late, &calls);
	assert_int_equal(calls, 1);
	assert_ptr_equal(thread_run(thread_heap_twice, NULL), heap); /* it came back */
	pthread_key_delete(late_key);
}

static void test_pool_use_after_free_is_reported(void **state)
{
#ifdef HILO__ASAN
	struct fixture *fixture = *state;
	volatile char *object = pool_alloc(fixture->a, POOL_TASK);

	assert_false(__asan_address_is_poisoned((char *)(uintptr_t)object + 100));
	pool_free(fixture->a, POOL_TASK, (void *)(uintptr_t)object);
	assert_true(__asan_address_is_poisoned((char *)(uintptr_t)object + 64));
	assert_true(__asan_address_is_poisoned((char *)(uintptr_t)object + 127));
	assert_false(__asan_address_is_poisoned((char *)(uintptr_t)object));
#else
	(void)state;
	TEST_SKIP("only AddressSanitizer sees it");
#endif
}

static void test_pool_double_free_panics(void **state)
{
#ifdef HILO__ASAN
	struct fixture *fixture = *state;
	void *object = pool_alloc(fixture->a, POOL_OBJECT);
	pid_t child = fork();
	int status;

	if (child == 0) {
		close(STDERR_FILENO);
		signal(SIGABRT, SIG_DFL);
		pool_free(fixture->a, POOL_OBJECT, object);
		pool_free(fixture->a, POOL_OBJECT, object);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
	pool_free(fixture->a, POOL_OBJECT, object);
#else
	(void)state;
	TEST_SKIP("only AddressSanitizer sees it");
#endif
}

#define POOL_TEST(f) cmocka_unit_test_setup_teardown(f, fixture_setup, fixture_teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		POOL_TEST(test_pool_fresh_objects_are_zero_aligned_and_distinct),
		POOL_TEST(test_pool_last_freed_is_first_allocated),
		POOL_TEST(test_pool_task_word_survives_free),
		POOL_TEST(test_pool_task_word_survives_the_way_home),
		POOL_TEST(test_pool_foreign_objects_go_home_in_batches),
		POOL_TEST(test_pool_change_of_owner_sends_the_batch),
		POOL_TEST(test_pool_kinds_travel_in_separate_batches),
		POOL_TEST(test_pool_free_any_goes_home_at_once),
		POOL_TEST(test_pool_directory_shows_every_object),
		POOL_TEST(test_pool_directory_can_be_walked_while_it_grows),
		POOL_TEST(test_pool_walk_ends_when_asked),
		POOL_TEST(test_pool_out_of_memory_is_null_and_passes),
		POOL_TEST(test_pool_use_after_free_is_reported),
		POOL_TEST(test_pool_double_free_panics),
		cmocka_unit_test(test_pool_heaps_are_reused_without_growth),
		cmocka_unit_test(test_pool_thread_heap_is_returned_at_exit),
		cmocka_unit_test(test_pool_thread_heap_works_in_other_destructors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
