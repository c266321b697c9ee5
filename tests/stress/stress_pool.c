/* SPDX-License-Identifier: MIT */
/*
 * stress_pool.c - threads that allocate, hand objects to each other, free what others allocated, end,
 * and leave their heaps to the next ones; while late wake-ups go on hitting tasks that are long gone.
 *
 * What is checked:
 *   - no object is handed out twice: its user stamps it and finds the stamp again;
 *   - an object comes back to the heap it is from, and to no other;
 *   - a task's word is only ever changed by users: at the end the sum of all words in all slabs is the
 *     number of additions that were made, on live and on freed tasks alike;
 *   - memory is bounded by what is alive at once, however many generations there were.
 *
 * HILO_TEST_SCALE multiplies the work (default 1), HILO_TEST_SEED repeats a run.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scheduler/base/mem.h"
#include "scheduler/base/pool.h"
#include "scheduler/base/random.h"
#include "tests/support/test.h"

#define CHECK(x)                                                                                             \
	do {                                                                                                 \
		if (!(x)) {                                                                                  \
			fprintf(stderr, "stress_pool: %s:%d: %s is false\n", __FILE__, __LINE__, #x);        \
			abort();                                                                             \
		}                                                                                            \
	} while (0)

#define THREADS 8
#define GENERATIONS 24
#define STEPS 60000
#define SLOTS 1024
#define KEPT 64 /* objects that a thread holds at most */

/*
 * What one heap can have made of a kind: every slot filled by it, what all threads hold, what lies in
 * their outgoing chains, and a page carved too much. Its own chain home is empty before it carves.
 */
#define OBJECTS_MOST (SLOTS + THREADS * (KEPT + POOL_BATCH) + 32)
#define SLABS_MOST ((THREADS + 1) * (OBJECTS_MOST / 500 + 1))

/* A user's view of an object. */
struct object {
	atomic(uint64_t) word;
	void *link; /* not ours while free, zero when allocated */
	uint64_t stamp;
	uint64_t filling[13];
};

_Static_assert(sizeof(struct object) == POOL_OBJECT_SIZE, "an object fills its place");

/*
 * Where threads leave objects for each other, P1: the exchange that puts one in releases, the one that
 * takes it out acquires.
 */
static atomic(struct object *) slots[POOL_KINDS][SLOTS];

/*
 * Tasks that were seen at some time, alive or not: targets for late additions. P2: leaving one here
 * releases, so that whoever finds it comes after its memory was made.
 */
static atomic(struct object *) seen[SLOTS];

static atomic(uint64_t) additions;

struct worker {
	struct random random;
	unsigned number;
	struct heap *heap; /* NULL: a thread that only frees */
};

static void object_fill(struct object *object, uint64_t stamp)
{
	CHECK(object->link == NULL);
	object->stamp = stamp;
	for (size_t i = 0; i < array_size(object->filling); i++)
		object->filling[i] = stamp + i;
}

static void object_check(const struct object *object)
{
	for (size_t i = 0; i < array_size(object->filling); i++)
		CHECK(object->filling[i] == object->stamp + i);
}

static void worker_free(struct worker *worker, enum pool_kind kind, struct object *object)
{
	object_check(object);
	memset(&object->stamp, 0, sizeof(object->stamp) + sizeof(object->filling));
	if (!worker->heap || random_below(&worker->random, 64) == 0)
		hilo__pool_free_any(kind, object);
	else
		pool_free(worker->heap, kind, object);
}

static void worker_put(struct worker *worker, enum pool_kind kind, struct object *object)
{
	uint32_t slot = random_below(&worker->random, SLOTS);
	struct object *old = xchg_acq_rel(&slots[kind][slot], object); /* P1 */

	if (old)
		worker_free(worker, kind, old);
}

static void worker_make(struct worker *worker, enum pool_kind kind)
{
	uint32_t count = 1 + random_below(&worker->random, KEPT);
	struct object *kept[KEPT];

	for (uint32_t i = 0; i < count; i++) {
		kept[i] = pool_alloc(worker->heap, kind);
		CHECK(kept[i]);
		CHECK(slab_of(kept[i])->owner == worker->heap && slab_of(kept[i])->kind == kind);
		object_fill(kept[i], random_u64(&worker->random));
		if (kind == POOL_TASK)
			store_release(&seen[random_below(&worker->random, SLOTS)], kept[i]); /* P2 */
	}
	for (uint32_t i = 0; i < count; i++) {
		if (random_below(&worker->random, 3) == 0)
			worker_free(worker, kind, kept[i]);
		else
			worker_put(worker, kind, kept[i]);
	}
}

static void worker_take(struct worker *worker, enum pool_kind kind)
{
	uint32_t slot = random_below(&worker->random, SLOTS);
	struct object *object = xchg_acq_rel(&slots[kind][slot], NULL); /* P1 */

	if (object)
		worker_free(worker, kind, object);
}

/* A wake-up that comes too late, or in time: nobody knows. */
static void worker_wake_late(struct worker *worker)
{
	struct object *task = load_acquire(&seen[random_below(&worker->random, SLOTS)]); /* P2 */

	if (!task)
		return;
	add_relaxed(&task->word, 1); /* relaxed: counted, not read, until all threads have ended */
	add_relaxed(&additions, 1);  /* relaxed: as above */
}

static bool words_add_up(struct pool_slab *slab, void *ctx)
{
	uint64_t *sum = ctx;
	size_t count, stride;
	void *first;

	hilo__slab_objects(slab, &first, &count, &stride);
	for (size_t i = 0; i < count; i++) /* relaxed: only numbers */
		*sum += load_relaxed((atomic(uint64_t) *)((char *)first + i * stride));
	return true;
}

static void *worker_main(void *arg)
{
	struct worker *worker = arg;
	struct heap *leased = NULL;
	uint64_t sum = 0;

	switch (worker->number % 3) {
	case 0:
		worker->heap = hilo__heap_thread();
		break;
	case 1:
		worker->heap = leased = hilo__heap_lease();
		break;
	default:
		worker->heap = worker->number == 2 ? NULL : hilo__heap_thread();
	}
	for (int step = 0; step < STEPS / KEPT; step++) {
		enum pool_kind kind = random_below(&worker->random, 2) ? POOL_TASK : POOL_OBJECT;

		if (worker->heap)
			worker_make(worker, kind);
		for (int i = 0; i < KEPT; i++) {
			worker_take(worker, kind);
			worker_wake_late(worker);
		}
		if (worker->heap && random_below(&worker->random, 8) == 0)
			hilo__heap_flush(worker->heap);
		if (random_below(&worker->random, 64) == 0) /* as a debugger does, meanwhile */
			hilo__pool_foreach_slab(POOL_TASK, words_add_up, &sum);
	}
	hilo__heap_return(leased);
	return NULL;
}

static void generation_run(uint64_t seed, unsigned generation)
{
	static struct worker workers[THREADS];
	pthread_t threads[THREADS];

	for (unsigned i = 0; i < THREADS; i++) {
		random_init(&workers[i].random, seed, (uint64_t)generation * THREADS + i);
		workers[i].number = i;
		CHECK(pthread_create(&threads[i], NULL, worker_main, &workers[i]) == 0);
	}
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
}

static void slots_empty(void)
{
	struct worker worker = {.heap = hilo__heap_thread()};

	random_init(&worker.random, 1, 0);
	for (int kind = 0; kind < POOL_KINDS; kind++)
		for (int slot = 0; slot < SLOTS; slot++) {
			struct object *object = xchg_acq_rel(&slots[kind][slot], NULL); /* P1 */

			if (object)
				worker_free(&worker, (enum pool_kind)kind, object);
		}
	hilo__heap_flush(worker.heap);
}

static bool slabs_count(struct pool_slab *slab, void *ctx)
{
	(void)slab;
	++*(size_t *)ctx;
	return true;
}

int main(void)
{
	unsigned generations = GENERATIONS * test_scale();
	size_t slabs = 0;
	uint64_t sum = 0;

	test_begin();
	for (unsigned generation = 0; generation < generations; generation++)
		generation_run(test_seed(), generation);
	slots_empty();
	hilo__pool_foreach_slab(POOL_TASK, slabs_count, &slabs);
	hilo__pool_foreach_slab(POOL_TASK, words_add_up, &sum);
	printf("stress_pool: %u generations, %zu slabs of tasks, %" PRIu64 " additions\n", generations, slabs,
	       sum);
	CHECK(sum == load_relaxed(&additions));
	CHECK(slabs <= SLABS_MOST);
	CHECK(hilo__mem_live() == 0);
	return 0;
}
