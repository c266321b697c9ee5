/* SPDX-License-Identifier: MIT */
/*
 * model_queue.c - the shipped queues: putting, getting, joining, shutting down, and a select over two of them.
 *
 * Checked: an item is got once or is still there, and whoever gets it sees what its putter has done; nobody waits
 * for ever for what is there, or for room that there is; an early end takes nothing; whoever was told last may free
 * the queue. QUEUE_INLINE and QUEUE_SEGMENT are 2 here.
 */
#include <errno.h>
#include <string.h>

#include <hilo/runtime/error.h>

#include "runtime/error_impl.h"
#include "runtime/sized_impl.h"
#include "sync/queue_impl.h"
#include "tests/explore/waiting.h"
#include "tests/explore/waking.h"

#define ITEMS 4
#define BLOCKS 4

/* Items; what they hold is written without any order. */
static unsigned item[ITEMS + 1];
static atomic(uint32_t) got[ITEMS + 1]; /* counted, for the end */
static atomic(uint32_t) dropped;	/* these as well */
static atomic(uint32_t) kept;		/* by who was cancelled */
static atomic(uint32_t) given, freed, told;
static atomic(uint32_t) gone; /* the first queue */
static hilo_queue *queue[2];

/* Memory: of each thread, and of the setup. */
static struct {
	_Alignas(64) unsigned char bytes[384];
	size_t size;
} block[EXPLORE_THREADS + 1][BLOCKS];
static unsigned blocks[EXPLORE_THREADS + 1];
static bool setting_up;

void *hilo__malloc(size_t size)
{
	unsigned owner = setting_up ? EXPLORE_THREADS : explore_self();
	unsigned n = blocks[owner]++;

	EXPLORE_CHECK(n < BLOCKS && size <= sizeof(block[0][0].bytes));
	block[owner][n].size = size;
	return block[owner][n].bytes;
}

void *hilo__aligned_alloc(size_t alignment, size_t size)
{
	(void)alignment;
	return hilo__malloc(size);
}

void hilo__free(void *p)
{
	if (p == queue[0])
		(void)add_relaxed(&gone, 1); /* relaxed: for the count at the end */
	if (p)
		explore_retire(p, container_of(p, __typeof__(block[0][0]), bytes)->size);
}

int hilo__error_own(int code)
{
	return code;
}

int hilo_fail(int code, const char *format, ...)
{
	(void)format;
	return code;
}

int hilo__sized_in(void *to, size_t known, size_t least, const void *from, const char *name)
{
	(void)least, (void)name;
	memcpy(to, from, known);
	return 0;
}

static void drop(void *of)
{
	plain_store((unsigned *)of, 0); /* whoever is told that it was dropped knows */
	(void)add_relaxed(&dropped, 1); /* relaxed: for the count at the end */
}

static void setup_with(size_t capacity, unsigned filled)
{
	hilo_queue_opts opts = {.size = sizeof(opts), .capacity = capacity, .drop = drop};

	waiting_reset(4, 0);
	memset(item, 0, sizeof(item));
	for (unsigned i = 0; i <= ITEMS; i++)
		got[i] = 0;
	dropped = kept = given = freed = told = gone = 0;
	memset(block, 0, sizeof(block));
	memset(blocks, 0, sizeof(blocks));
	setting_up = true;
	for (unsigned i = 0; i < 2; i++)
		EXPLORE_CHECK(hilo_queue_new_with(&opts, &queue[i]) == 0);
	setting_up = false;
	for (unsigned i = 0; i < filled; i++) {
		item[i] = i + 1;
		*queue[0]->tail++ = &item[i];
	}
	queue[0]->count = filled;
	queue[0]->unfinished = filled;
}

static void setup(void)
{
	setup_with(1, 0);
}

static void setup_full(void)
{
	setup_with(1, 1);
}

/* With room for one more. */
static void setup_half_full(void)
{
	setup_with(2, 1);
}

static void setup_two(void)
{
	setup_with(2, 2);
}

static void setup_rendezvous(void)
{
	setup_with(HILO_QUEUE_RENDEZVOUS, 0);
}

static void setup_unbounded(void)
{
	setup_with(HILO_QUEUE_UNBOUNDED, 2);
}

static int put_to(hilo_queue *to, unsigned i)
{
	plain_store(&item[i], i + 1);
	return hilo_queue_put(to, &item[i], HILO_FOREVER);
}

static int get_from(hilo_queue *from)
{
	void *p = NULL;
	int rc = hilo_queue_get(from, &p, HILO_FOREVER);

	if (rc < 0)
		return rc;
	EXPLORE_CHECK(plain_load((unsigned *)p) == (unsigned)((unsigned *)p - item) + 1);
	(void)add_relaxed(&got[(unsigned *)p - item], 1); /* relaxed: for the count at the end */
	return 0;
}

/* Each of the first @n items was got once, or is still in one of the queues. */
static void finish_with(unsigned n)
{
	size_t left = 0;

	waiting_check(4);
	for (unsigned i = 0; i < 2; i++) {
		EXPLORE_CHECK(queue[i]->waiting == 0);
		EXPLORE_CHECK(list_empty(&queue[i]->getters) && list_empty(&queue[i]->putters));
		left += queue[i]->count;
	}
	for (unsigned i = 0; i < ITEMS; i++) {
		EXPLORE_CHECK(got[i] <= 1);
		left += got[i];
	}
	EXPLORE_CHECK(left == n);
}

static void finish_one(void)
{
	finish_with(1);
}

static void finish_two(void)
{
	finish_with(2);
}

static void finish_none(void)
{
	finish_with(0);
}

static void finish_given(void)
{
	finish_with(1 + given);
}

static void finish_moved(void)
{
	finish_with(2 + given);
}

static void finish_three(void)
{
	finish_with(3);
}

static void finish_four(void)
{
	finish_with(4);
}

/* Who was cancelled may have kept his item, the second one. */
static void finish_kept(void)
{
	finish_with(2 - kept);
}

/* The queue is gone. */
static void finish_freed(void)
{
	waiting_check(4);
	EXPLORE_CHECK(got[0] + got[1] + dropped == 1);
	EXPLORE_CHECK(gone == 1);
}

static void finish_freed_two(void)
{
	waiting_check(4);
	EXPLORE_CHECK(got[0] + got[1] == 2);
	EXPLORE_CHECK(gone == 1);
}

static void finish_freed_empty(void)
{
	waiting_check(4);
	EXPLORE_CHECK(got[0] + dropped == 0);
	EXPLORE_CHECK(gone == 1);
}

static void gets(void)
{
	EXPLORE_CHECK(get_from(queue[0]) == 0);
}

static void gets_two(void)
{
	gets();
	gets();
}

static void gets_or_leaves(void)
{
	int rc = get_from(queue[0]);

	EXPLORE_CHECK(rc == 0 || rc == -ECANCELED);
}

static void puts_first(void)
{
	EXPLORE_CHECK(put_to(queue[0], 0) == 0);
}

static void puts_second(void)
{
	EXPLORE_CHECK(put_to(queue[0], 1) == 0);
}

static void puts_third(void)
{
	EXPLORE_CHECK(put_to(queue[0], 2) == 0);
}

static void puts_fourth(void)
{
	EXPLORE_CHECK(put_to(queue[0], 3) == 0);
}

static void puts_two(void)
{
	puts_first();
	puts_second();
}

static void puts_second_or_leaves(void)
{
	int rc = put_to(queue[0], 1);

	EXPLORE_CHECK(rc == 0 || rc == -ECANCELED);
	if (rc < 0)
		(void)add_relaxed(&kept, 1); /* relaxed: for the count at the end */
}

static void gets_and_puts_or_leaves(void)
{
	int rc = get_from(queue[0]);

	EXPLORE_CHECK(rc == 0 || rc == -ECANCELED);
	if (rc < 0)
		return;
	(void)add_relaxed(&given, 1); /* relaxed: for the count at the end */
	plain_store(&item[1], 2u);
	EXPLORE_CHECK(hilo_queue_try_put(queue[0], &item[1]) == 0);
}

static void canceller_of_T0(void)
{
	if (task_state_cancel(&records[0].state, 1))
		waiting_ready(&records[0]);
}

/* Who has got the only item, or was told that there is none, frees the queue. */
static void gets_and_frees(void)
{
	int rc = get_from(queue[0]);

	EXPLORE_CHECK(rc == 0 || rc == -EPIPE);
	EXPLORE_CHECK(hilo_queue_free(queue[0]) == 0);
}

static void gets_two_and_frees(void)
{
	gets();
	gets_and_frees();
}

static void shuts_down(void)
{
	EXPLORE_CHECK(hilo_queue_shutdown(queue[0], 1) == 0);
}

/* Once somebody waits, who puts tries to free the queue: he is refused until that one has left it for good. */
static void puts_and_may_free(void)
{
	bool waits;
	int rc;

	hilo__queue_lock(queue[0]);
	waits = queue[0]->waiting > 0;
	hilo__queue_unlock(queue[0]);
	if (!waits)
		return;
	puts_first();
	(void)add_relaxed(&given, 1); /* relaxed: for the count at the end */
	rc = hilo_queue_free(queue[0]);
	EXPLORE_CHECK(rc == 0 || rc == -EBUSY);
	if (rc == 0)
		(void)add_relaxed(&freed, 1); /* relaxed: as above */
}

static void finish_may_be_freed(void)
{
	EXPLORE_CHECK(got[0] + dropped + (freed ? 0 : queue[0]->count) == given);
}

static void joins_and_frees(void)
{
	EXPLORE_CHECK(hilo_queue_join(queue[0], HILO_FOREVER) == 0);
	EXPLORE_CHECK(hilo_queue_free(queue[0]) == 0);
}

static void gets_and_is_done(void)
{
	gets();
	EXPLORE_CHECK(hilo_queue_task_done(queue[0]) == 0);
}

static void drops_all(void)
{
	EXPLORE_CHECK(hilo_queue_shutdown(queue[0], 1) == 0);
}

/* What was there was dropped by the time that all is done. */
static void joins_sees_the_drop(void)
{
	EXPLORE_CHECK(hilo_queue_join(queue[0], HILO_FOREVER) == 0);
	EXPLORE_CHECK(plain_load(&item[0]) == 0);
	EXPLORE_CHECK(hilo_queue_free(queue[0]) == 0);
}

/* Frees once it was told that there is nothing any more, perhaps while the item is being dropped. */
static void gets_all_and_frees(void)
{
	while (get_from(queue[0]) == 0)
		;
	EXPLORE_CHECK(hilo_queue_free(queue[0]) == 0);
}

static void gets_in_vain(void)
{
	EXPLORE_CHECK(get_from(queue[0]) == -EPIPE);
}

/* Two who wait are told; the one who frees does so when both have left. */
static void told_frees(void)
{
	gets_in_vain();
	if (add_acq_rel(&told, 1) == 1) /* pairs with itself */
		EXPLORE_CHECK(hilo_queue_free(queue[0]) == 0);
}

static void finish_told(void)
{
	waiting_check(4);
	EXPLORE_CHECK(told == 2);
}

/* A select over the two, as queue_impl.h tells it. */
static unsigned select_one(void)
{
	struct contender contender;
	struct queue_waiter waiter[2];
	struct queue_after after;
	void *p = NULL;
	int rc;

	EXPLORE_CHECK(hilo__contend_begin(&contender, WAIT_SELECT, queue, HILO_FOREVER) == 0);
	queue_after_init(&after);
	for (unsigned i = 0; i < 2; i++)
		hilo__queue_lock(queue[i]);
	rc = hilo__queue_get_now(queue[0], &p, &after);
	if (rc < 0)
		rc = hilo__queue_get_now(queue[1], &p, &after);
	for (unsigned i = 0; i < 2; i++) {
		if (rc == -EAGAIN)
			hilo__queue_enlist(queue[i], &queue[i]->getters, &waiter[i], &contender, i);
		hilo__queue_unlock(queue[i]);
	}
	if (rc == 0)
		hilo__queue_after(&after);
	if (rc == -EAGAIN) {
		rc = hilo__contend_wait(&contender);
		EXPLORE_CHECK(rc >= 0 && waiter[rc].code == 0);
		p = waiter[rc].item;
		hilo__queue_lock(queue[1 - rc]);
		hilo__queue_leave(queue[1 - rc], &waiter[1 - rc]);
		hilo__queue_unlock(queue[1 - rc]);
	}
	hilo__contend_end(&contender);
	EXPLORE_CHECK(plain_load((unsigned *)p) == (unsigned)((unsigned *)p - item) + 1);
	(void)add_relaxed(&got[(unsigned *)p - item], 1); /* relaxed: for the count at the end */
	return (unsigned)((unsigned *)p - item);
}

static void selects(void)
{
	(void)select_one();
}

/* Hands on what was meant for T1, so that it gets one in any case. */
static void selects_and_moves(void)
{
	if (select_one() != 0)
		return;
	EXPLORE_CHECK(get_from(queue[1]) == 0);
	(void)add_relaxed(&given, 1); /* relaxed: for the count at the end */
	EXPLORE_CHECK(put_to(queue[0], 2) == 0);
}

static void puts_to_second_queue(void)
{
	EXPLORE_CHECK(put_to(queue[1], 1) == 0);
}

/* Once somebody waits in the first queue, puts into it and tries to free it. */
static void finish_select_freed(void)
{
	EXPLORE_CHECK(got[0] + dropped + (freed ? 0 : queue[0]->count) == given);
	EXPLORE_CHECK(got[1] + queue[1]->count == 1);
}

static const struct explore_model models[] = {
	EXPLORE_MODEL("queue_one", "T0 puts; T1 gets", setup, finish_one, puts_first, gets),
	EXPLORE_MODEL("queue_two", "T0 puts two into a queue for one; T1 gets two", setup, finish_two,
		      puts_two, gets_two),
	EXPLORE_MODEL_BOUND(2, "queue_getters", "T0 and T1 get; T2 puts two", setup, finish_two, gets, gets,
			    puts_two),
	EXPLORE_MODEL_BOUND(2, "queue_putters", "T0 and T1 put into a full queue; T2 gets two", setup_full,
			    finish_three, puts_second, puts_third, gets_two),
	EXPLORE_MODEL("queue_get_cancel", "T0 gets; T1 puts; T2 cancels T0", setup, finish_one,
		      gets_or_leaves, puts_first, canceller_of_T0),
	EXPLORE_MODEL_BOUND(2, "queue_next",
			    "T0 gets, puts one back, unless T3 cancels it; T1 gets; T2 puts one", setup,
			    finish_given, gets_and_puts_or_leaves, gets, puts_first, canceller_of_T0),
	EXPLORE_MODEL_BOUND(
		2, "queue_select_next",
		"T0 gets from either of two queues, moves what T1 gets; T2 and T3 put into one each", setup,
		finish_moved, selects_and_moves, gets, puts_first, puts_to_second_queue),
	EXPLORE_MODEL_BOUND(
		2, "queue_select_free",
		"T0 gets from either of two queues; T1 puts into the first, frees it if it may; T2 puts into "
		"the second",
		setup, finish_select_freed, selects, puts_and_may_free, puts_to_second_queue),
	EXPLORE_MODEL("queue_leave", "T0 gets in vain; T1 cancels T0", setup, finish_none, gets_or_leaves,
		      canceller_of_T0),
	EXPLORE_MODEL("queue_put_cancel", "T0 puts into a full queue; T1 gets; T2 cancels T0", setup_full,
		      finish_kept, puts_second_or_leaves, gets, canceller_of_T0),
	EXPLORE_MODEL("queue_rendezvous", "T0 puts two without room; T1 gets two", setup_rendezvous,
		      finish_two, puts_two, gets_two),
	EXPLORE_MODEL_BOUND(1, "queue_rendezvous_two", "T0 puts, T1 gets, T2 puts, T3 gets, all without room",
			    setup_rendezvous, finish_two, puts_first, gets, puts_second, gets),
	EXPLORE_MODEL("queue_grow", "T0 and T1 put where memory is needed; T2 gets two", setup_unbounded,
		      finish_four, puts_third, puts_fourth, gets_two),
	EXPLORE_MODEL_BOUND(2, "queue_hint", "T0 and T1 get, where one item is; T2 puts", setup_half_full,
			    finish_two, gets, gets, puts_second),
	EXPLORE_MODEL("queue_refill", "T0 puts into a full queue for two; T1 gets one", setup_two,
		      finish_three, puts_third, gets),
	EXPLORE_MODEL("queue_some_free", "T0 gets two, frees the queue; T1 puts beside an item",
		      setup_half_full, finish_freed_two, gets_two_and_frees, puts_second),
	EXPLORE_MODEL("queue_free", "T0 gets, frees the queue; T1 puts", setup, finish_freed, gets_and_frees,
		      puts_first),
	EXPLORE_MODEL("queue_free_rendezvous", "T0 gets, frees the queue; T1 puts without room",
		      setup_rendezvous, finish_freed, gets_and_frees, puts_first),
	EXPLORE_MODEL("queue_free_busy", "T0 gets; T1 puts, frees the queue if it may; T2 cancels T0", setup,
		      finish_may_be_freed, gets_or_leaves, puts_and_may_free, canceller_of_T0),
	EXPLORE_MODEL("queue_shutdown", "T0 gets in vain, frees; T1 shuts down", setup, finish_freed_empty,
		      gets_and_frees, shuts_down),
	EXPLORE_MODEL("queue_shutdown_two", "T0 and T1 get in vain, the last one frees; T2 shuts down", setup,
		      finish_told, told_frees, told_frees, shuts_down),
	EXPLORE_MODEL("queue_join", "T0 joins, frees; T1 gets, is done", setup_full, finish_freed,
		      joins_and_frees, gets_and_is_done),
	EXPLORE_MODEL("queue_join_drop", "T0 joins, frees; T1 drops what is there", setup_full, finish_freed,
		      joins_sees_the_drop, drops_all),
	EXPLORE_MODEL("queue_shutdown_items", "T0 gets all, frees; T1 drops what is there", setup_full,
		      finish_freed, gets_all_and_frees, drops_all),
	EXPLORE_MODEL_BOUND(2, "queue_select",
			    "T0 gets from either of two queues; T1 and T2 put into one each", setup,
			    finish_two, selects, puts_first, puts_to_second_queue),
};

int main(int argc, char **argv)
{
	return explore_main(argc, argv, models, array_size(models));
}
