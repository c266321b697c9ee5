/* SPDX-License-Identifier: MIT */
/*
 * model_select.c - the shipped select.c with the shipped queues: one case is done, the others leave no trace.
 *
 * Checked: an item is got by one, or stays in its queue; two selects that want the two ends of a rendezvous find each
 * other; nobody waits for ever for what is there; at the end nobody is in a list, and the stack of who has
 * selected is not touched any more.
 */
#include <hilo/runtime/error.h>
#include <hilo/runtime/task.h>

#include <errno.h>

#include <hilo/sync/semaphore.h>

#include "runtime/runtime_impl.h"
#include "scheduler/base/mem.h"
#include "sync/queue_impl.h"
#include "tests/explore/waking.h"

#define DEADLINE ((hilo_time)1000)

/* q[0] and q[1], with room for their first items. */
static union {
	hilo_queue queue;
	_Alignas(64) unsigned char room[512];
} memory[2];
static hilo_queue *const q[] = {&memory[0].queue, &memory[1].queue};
static struct hilo_task work; /* no thread runs it */
static hilo_semaphore s[2];

static int won[EXPLORE_THREADS];
static void *got[EXPLORE_THREADS];

int hilo__error_own(int code)
{
	return code;
}

int hilo__error_own_wait(int code, enum wait_kind kind, const struct hilo_task *task)
{
	(void)kind;
	(void)task;
	return code;
}

int hilo_fail(int code, const char *format, ...)
{
	(void)format;
	return code;
}

/* A future here is a task that nobody runs. */
struct completion *hilo__future_done(hilo_future *future)
{
	return &((hilo_task *)(void *)future)->done;
}

const char *hilo_task_name(const hilo_task *task)
{
	(void)task;
	return NULL;
}

void *hilo__malloc(size_t size)
{
	(void)size;
	EXPLORE_CHECK(!"memory for so little");
	return NULL;
}

void hilo__free(void *p)
{
	(void)p;
}

static void setup_with(size_t capacity)
{
	waiting_reset(4, 0);
	for (int i = 0; i < 2; i++) {
		memset(&memory[i], 0, sizeof(memory[i]));
		q[i]->capacity = capacity;
		list_init(&q[i]->getters);
		list_init(&q[i]->putters);
		list_init(&q[i]->joiners);
		hilo__queue_store_init(q[i]);
	}
	memset(&work, 0, sizeof(work));
	completion_init(&work.done, 2);
	for (int i = 0; i < EXPLORE_THREADS; i++) {
		won[i] = -1;
		got[i] = NULL;
	}
	hilo__timers_init(&loops[0].timers, 0);
	for (int i = 0; i < 2; i++)
		EXPLORE_CHECK(hilo_semaphore_init(&s[i], 0, 0) == 0);
}

static void setup(void)
{
	setup_with(1);
}

static void setup_meet(void)
{
	setup_with(0);
}

static void finish(void)
{
	waiting_check(4);
	for (int i = 0; i < 2; i++) {
		EXPLORE_CHECK(list_empty(&q[i]->getters) && list_empty(&q[i]->putters));
		EXPLORE_CHECK(q[i]->waiting == 0);
	}
	EXPLORE_CHECK(!work.done.waiters);
}

static void *number(intptr_t i)
{
	return (void *)i;
}

/* What thread @i has got by its select, and what is left in both queues, is @items in all, or less, if all wait. */
static void finish_items(intptr_t items)
{
	intptr_t sum = 0;

	finish();
	for (int i = 0; i < 2; i++)
		if (q[i]->count)
			sum += (intptr_t)*q[i]->head;
	for (int i = 0; i < EXPLORE_THREADS; i++)
		sum += (intptr_t)got[i];
	EXPLORE_CHECK(sum == items);
}

static void finish_one(void)
{
	finish_items(1);
}

static void finish_two(void)
{
	finish_items(3);
}

/* The cases lie on the thread's stack, as they mostly do, and so does what is got. */
static int select_two(hilo_select_case first, hilo_select_case second)
{
	hilo_select_case cases[] = {first, second};
	int ready = hilo_select(cases, 2, HILO_FOREVER);

	if (ready >= 0)
		EXPLORE_CHECK(cases[ready].code == 0);
	won[explore_self()] = ready;
	return ready;
}

static void gets_of_both(void)
{
	void *item[2] = {NULL, NULL};
	int ready = select_two((hilo_select_case)HILO_SELECT_GET(q[0], &item[0]),
			       (hilo_select_case)HILO_SELECT_GET(q[1], &item[1]));

	if (ready >= 0)
		got[explore_self()] = (void *)((intptr_t)item[ready] + (intptr_t)got[explore_self()]);
}

static void gets_of_both_twice(void)
{
	gets_of_both();
	gets_of_both();
}

static void puts_first(void)
{
	EXPLORE_CHECK(hilo_queue_put(q[0], number(1), HILO_FOREVER) == 0);
}

static void puts_second(void)
{
	EXPLORE_CHECK(hilo_queue_put(q[1], number(2), HILO_FOREVER) == 0);
}

static void canceller_of_T0(void)
{
	if (task_state_cancel(&records[0].state, 1))
		waiting_ready(&records[0]);
}

static void finish_cancel(void)
{
	finish_items(1);
	EXPLORE_CHECK((won[0] == 0) == (got[0] != NULL));
	EXPLORE_CHECK(won[0] == 0 || won[0] == -ECANCELED);
}

/* Whoever puts to one must find the other, who gets there, whichever comes first. */
static void puts_or_gets(void)
{
	void *item = NULL;
	int ready = select_two((hilo_select_case)HILO_SELECT_PUT(q[0], number(1)),
			       (hilo_select_case)HILO_SELECT_GET(q[1], &item));

	EXPLORE_CHECK(item == (ready == 1 ? number(2) : NULL));
}

static void puts_or_gets_the_other_way(void)
{
	void *item = NULL;
	int ready = select_two((hilo_select_case)HILO_SELECT_PUT(q[1], number(2)),
			       (hilo_select_case)HILO_SELECT_GET(q[0], &item));

	EXPLORE_CHECK(item == (ready == 1 ? number(1) : NULL));
}

static void finish_meet(void)
{
	finish();
	EXPLORE_CHECK((won[0] == 0 && won[1] == 1) || (won[0] == 1 && won[1] == 0));
}

/* The same end twice, and both ends of one: nobody meets itself. */
static void meets_itself(void)
{
	void *item = NULL;
	int ready = select_two((hilo_select_case)HILO_SELECT_PUT(q[0], number(1)),
			       (hilo_select_case)HILO_SELECT_GET(q[0], &item));

	EXPLORE_CHECK(item == (ready == 1 ? number(1) : NULL));
}

/* A queue and a completion. */
static void gets_or_ends(void)
{
	void *item = NULL;
	int ready = select_two((hilo_select_case)HILO_SELECT_GET(q[0], &item),
			       (hilo_select_case)HILO_SELECT_TASK(&work));

	EXPLORE_CHECK(ready == 0 || completion_is_done(&work.done));
	got[explore_self()] = item;
}

/* The second time the places of the first are used again. */
static void gets_or_ends_twice(void)
{
	void *item = NULL;

	gets_or_ends();
	(void)select_two((hilo_select_case)HILO_SELECT_GET(q[1], &item),
			 (hilo_select_case)HILO_SELECT_TASK(&work));
	EXPLORE_CHECK(completion_is_done(&work.done));
}

static void completes(void)
{
	plain_store(&work.done.result, 0);
	EXPLORE_CHECK(!completion_set(&work.done)); /* others hold it */
}

/* Permits. */
static void setup_permit(void)
{
	setup();
	EXPLORE_CHECK(hilo_semaphore_init(&s[0], 1, 0) == 0);
}

static void acquires_of_both(void)
{
	(void)select_two((hilo_select_case)HILO_SELECT_ACQUIRE(&s[0], 1),
			 (hilo_select_case)HILO_SELECT_ACQUIRE(&s[1], 1));
}

static void acquires_of_both_and_frees(void)
{
	acquires_of_both();
	EXPLORE_CHECK(won[0] == 0);
	explore_retire(&s[0], sizeof(s[0]));
}

static void releases_first(void)
{
	EXPLORE_CHECK(hilo_semaphore_release(&s[0], 1) == 0);
}

static void releases_second(void)
{
	EXPLORE_CHECK(hilo_semaphore_release(&s[1], 1) == 0);
}

static void finish_permits(void)
{
	finish();
	for (int i = 0; i < 2; i++) {
		EXPLORE_CHECK(hilo_semaphore_value(&s[i]) == (won[0] != i));
		EXPLORE_CHECK(hilo_semaphore_destroy(&s[i]) == 0);
	}
}

static void acquires_two_or_gets(void)
{
	void *item = NULL;
	int ready = select_two((hilo_select_case)HILO_SELECT_ACQUIRE(&s[0], 2),
			       (hilo_select_case)HILO_SELECT_GET(q[0], &item));

	EXPLORE_CHECK(ready == 1 && item == number(1));
}

static void acquires_one(void)
{
	EXPLORE_CHECK(hilo_semaphore_acquire(&s[0], 1, HILO_FOREVER) == 0);
}

static void finish_permit_next(void)
{
	finish();
	EXPLORE_CHECK(hilo_semaphore_value(&s[0]) == 0 && hilo_semaphore_destroy(&s[0]) == 0);
}

static void acquires_two(void)
{
	EXPLORE_CHECK(hilo_semaphore_acquire(&s[0], 2, HILO_FOREVER) == 0);
}

/* There is one, and T0 waits for two. */
static void acquires_behind(void)
{
	bool waiting = load_acquire(&records[0].state) & TASK_PARKED;
	hilo_select_case one = HILO_SELECT_ACQUIRE(&s[0], 1);
	int rc = hilo_select(&one, 1, HILO_NO_WAIT);

	EXPLORE_CHECK(rc == -ETIMEDOUT || (rc == 0 && one.code == 0 && !waiting));
	EXPLORE_CHECK(hilo_semaphore_release(&s[0], rc == 0 ? 2 : 1) == 0);
}

static const struct explore_model models[] = {
	EXPLORE_MODEL("select_queue", "T0 gets from one of two queues; T1 puts into the first", setup,
		      finish_one, gets_of_both, puts_first),
	EXPLORE_MODEL("select_both", "T0 gets from one of two queues, twice; T1 and T2 put into one each",
		      setup, finish_two, gets_of_both_twice, puts_first, puts_second),
	EXPLORE_MODEL("select_cancel", "T0 gets from one of two queues; T1 puts into one; T2 cancels T0",
		      setup, finish_cancel, gets_of_both, puts_first, canceller_of_T0),
	EXPLORE_MODEL("select_meet", "T0 puts to or gets from T1, at one of two meetings; so does T1",
		      setup_meet, finish_meet, puts_or_gets, puts_or_gets_the_other_way),
	EXPLORE_MODEL("select_meet_one", "T0 and T1 put to or get from each other, at one meeting",
		      setup_meet, finish_meet, meets_itself, meets_itself),
	EXPLORE_MODEL("select_end", "T0 gets from a queue or sees a task end; T1 puts; T2 ends the task",
		      setup, finish_one, gets_or_ends, puts_first, completes),
	EXPLORE_MODEL_BOUND(
		2, "select_end_twice",
		"T0 gets from a queue or sees a task end, then sees that; T1 puts; T2 ends the task", setup,
		finish_one, gets_or_ends_twice, puts_first, completes),
	EXPLORE_MODEL_BOUND(2, "select_permits", "T0 acquires of one of two; T1 and T2 release one each",
			    setup, finish_permits, acquires_of_both, releases_first, releases_second),
	EXPLORE_MODEL("select_permit_free", "T0 acquires of one of two, frees that; T1 releases the first",
		      setup, finish, acquires_of_both_and_frees, releases_first),
	EXPLORE_MODEL_BOUND(2, "select_permit_next",
			    "T0 acquires two, of which one is there, or gets; T1 acquires one; T2 puts",
			    setup_permit, finish_permit_next, acquires_two_or_gets, acquires_one, puts_first),
	EXPLORE_MODEL("select_permit_order",
		      "T0 acquires two, of which one is there; T1 selects it at once, releases", setup_permit,
		      finish, acquires_two, acquires_behind),
};

int main(int argc, char **argv)
{
	return explore_main(argc, argv, models, array_size(models));
}
