/* SPDX-License-Identifier: MIT */
/*
 * model_broadcast.c - the shipped broadcast.c and watch.c.
 *
 * Checked: a receiver sees each item once and in order, or is told how many it has missed; an item is dropped once,
 * when nobody looks at it any more; a sender that has waited for a place sends, and no promise of one is
 * lost; a channel that is given up is freed once, and not touched afterwards.
 */
#include <hilo/runtime/error.h>
#include <hilo/sync/broadcast.h>
#include <hilo/sync/watch.h>

#include <errno.h>

#include "runtime/error_impl.h"
#include "scheduler/base/mem.h"
#include "tests/explore/waking.h"

/* Items are the addresses of these. */
#define ITEMS 7

static int item[ITEMS];
static atomic(uint32_t) dropped[ITEMS]; /* counted */

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

/* All memory is asked for by setup, and never given out again. */
static _Alignas(16) unsigned char heap[4096];
static size_t heap_used;
static size_t heap_size[64];

void *hilo__malloc(size_t size)
{
	void *p = &heap[heap_used];

	heap_size[heap_used / 64] = size;
	heap_used += (size + 63) / 64 * 64;
	EXPLORE_CHECK(heap_used <= sizeof(heap));
	return p;
}

void *hilo__calloc(size_t n, size_t size)
{
	return memset(hilo__malloc(n * size), 0, n * size);
}

void hilo__free(void *p)
{
	if (p)
		explore_retire(p, heap_size[((unsigned char *)p - heap) / 64]);
}

static void drop(void *value)
{
	int i = (int)((int *)value - item);

	EXPLORE_CHECK(plain_load(&item[i]) == 7);
	plain_store(&item[i], 0); /* nobody may look at it any more, or have looked without our knowing it */
	(void)add_relaxed(&dropped[i], 1); /* relaxed: for the count at the end */
}

static hilo_broadcast *b;
static hilo_receiver *receivers[EXPLORE_THREADS];
static hilo_watch *watch;
static hilo_watcher *watchers[EXPLORE_THREADS];
static int result[EXPLORE_THREADS];

static void setup_any(void)
{
	waiting_reset(4, 0);
	memset(heap, 0, sizeof(heap));
	heap_used = 0;
	for (int i = 0; i < ITEMS; i++) {
		item[i] = 7;
		dropped[i] = 0;
	}
	for (int i = 0; i < EXPLORE_THREADS; i++)
		result[i] = -1;
}

static void setup_with(size_t capacity, unsigned subscribed)
{
	setup_any();
	b = hilo_broadcast_new(capacity, drop);
	for (unsigned i = 0; i < EXPLORE_THREADS; i++)
		receivers[i] = subscribed & 1u << i ? hilo_broadcast_subscribe(b) : NULL;
}

/* A receiver for T1, for T2, for both. */
static void setup_T1(void)
{
	setup_with(1, 1 << 1);
}

static void setup_both(void)
{
	setup_with(2, 1 << 1 | 1 << 2);
}

static void setup_both_small(void)
{
	setup_with(1, 1 << 1 | 1 << 2);
}

static void finish_dropped(unsigned items)
{
	waiting_check(4);
	for (unsigned i = 0; i < items; i++)
		EXPLORE_CHECK(dropped[i] == 1);
}

static void finish_one(void)
{
	finish_dropped(1);
}

static void finish_two(void)
{
	finish_dropped(2);
}

static void send(int i)
{
	EXPLORE_CHECK(hilo_broadcast_send(b, &item[i]) >= 0);
}

static void sends_one_frees(void)
{
	send(0);
	hilo_broadcast_free(b);
}

static void sends_two_frees(void)
{
	send(0);
	send(1);
	hilo_broadcast_free(b);
}

static void sends_two_waiting_frees(void)
{
	for (int i = 0; i < 2; i++)
		EXPLORE_CHECK(hilo_broadcast_send_wait(b, &item[i], HILO_FOREVER) >= 0);
	hilo_broadcast_free(b);
}

/* All that comes: items in order, with gaps that were told. Then it leaves. */
static void receives_all(void)
{
	hilo_receiver *receiver = receivers[explore_self()];
	int next = 0, rc;
	void *value;

	while ((rc = hilo_broadcast_receive(receiver, &value, HILO_FOREVER)) != -EPIPE) {
		EXPLORE_CHECK(rc == 0 || rc == -ENOBUFS);
		if (rc < 0) {
			next += (int)hilo_broadcast_missed(receiver);
		} else {
			EXPLORE_CHECK(value == &item[next]);
			EXPLORE_CHECK(plain_load(&item[next]) == 7);
			next++;
		}
	}
	result[explore_self()] = next;
	EXPLORE_CHECK(hilo_broadcast_unsubscribe(receiver) == 0);
}

static void receives_one_leaves(void)
{
	hilo_receiver *receiver = receivers[explore_self()];
	void *value;

	EXPLORE_CHECK(hilo_broadcast_receive(receiver, &value, HILO_FOREVER) == 0);
	EXPLORE_CHECK(value == &item[0] && plain_load(&item[0]) == 7);
	EXPLORE_CHECK(hilo_broadcast_unsubscribe(receiver) == 0);
}

static void leaves(void)
{
	EXPLORE_CHECK(hilo_broadcast_unsubscribe(receivers[explore_self()]) == 0);
}

/* T1 has three to see, T2 none. One of the shares of those is needed before T1 has dropped them. */
static void setup_behind(void)
{
	setup_with(3, 1 << 1);
	for (int i = 0; i < 3; i++)
		EXPLORE_CHECK(hilo_broadcast_send(b, &item[i]) == 1);
	receivers[2] = hilo_broadcast_subscribe(b);
}

static void sends_four_looks_at_one(void)
{
	void *value;

	EXPLORE_CHECK(hilo_broadcast_send(b, &item[3]) >= 1);
	EXPLORE_CHECK(hilo_broadcast_try_receive(receivers[2], &value) == 0 && value == &item[3]);
	for (int i = 4; i < ITEMS; i++)
		EXPLORE_CHECK(hilo_broadcast_send(b, &item[i]) >= 1);
	EXPLORE_CHECK(plain_load(&item[3]) == 7);
	EXPLORE_CHECK(hilo_broadcast_unsubscribe(receivers[2]) == 0);
	hilo_broadcast_free(b);
}

static void finish_behind(void)
{
	finish_dropped(ITEMS);
}

/* Cancelled or not: it has missed nothing. */
static void receives_or_is_cancelled(void)
{
	hilo_receiver *receiver = receivers[explore_self()];
	void *value;
	int rc = hilo_broadcast_receive(receiver, &value, HILO_FOREVER);

	EXPLORE_CHECK(rc == 0 || rc == -ECANCELED);
	while (rc < 0) {
		rc = hilo_broadcast_try_receive(receiver, &value);
		EXPLORE_CHECK(rc == 0 || rc == -EAGAIN);
		if (rc < 0)
			cpu_relax();
	}
	EXPLORE_CHECK(value == &item[0] && plain_load(&item[0]) == 7);
	EXPLORE_CHECK(hilo_broadcast_unsubscribe(receiver) == 0);
}

static void canceller_of_T1(void)
{
	if (task_state_cancel(&records[1].state, 1))
		waiting_ready(&records[1]);
}

static void finish_all(void)
{
	finish_two();
	EXPLORE_CHECK(result[1] == 2);
}

static void finish_all_both(void)
{
	finish_all();
	EXPLORE_CHECK(result[2] == 2);
}

/* What it hears makes it give the channel up, though the sender may not be through with it. */
static void sends_one(void)
{
	send(0);
}

static void receives_one_frees(void)
{
	void *value;

	EXPLORE_CHECK(hilo_broadcast_receive(receivers[explore_self()], &value, HILO_FOREVER) == 0);
	hilo_broadcast_free(b);
	leaves();
}

/* Two that wait for a place, and the receiver leaves: neither may wait for ever. */
static void setup_full(void)
{
	setup_T1();
	EXPLORE_CHECK(hilo_broadcast_send(b, &item[2]) == 1);
}

static void sends_waiting(void)
{
	EXPLORE_CHECK(hilo_broadcast_send_wait(b, &item[explore_self() / 2], HILO_FOREVER) >= 0);
}

/* Cancelled at some time, perhaps while the place is promised: then again. */
static void sends_in_spite_of_a_cancel(int i)
{
	int rc = hilo_broadcast_send_wait(b, &item[i], HILO_FOREVER);

	if (rc == -ECANCELED) {
		(void)task_state_uncancel(&records[0].state);
		rc = hilo_broadcast_send_wait(b, &item[i], HILO_FOREVER);
	}
	EXPLORE_CHECK(rc >= 0);
}

static void sends_two_in_spite_of_a_cancel(void)
{
	sends_in_spite_of_a_cancel(0);
	sends_in_spite_of_a_cancel(1);
}

static void receives_one_then_leaves(void)
{
	void *value;

	EXPLORE_CHECK(hilo_broadcast_receive(receivers[explore_self()], &value, HILO_FOREVER) == 0);
	EXPLORE_CHECK(value == &item[2]);
	leaves();
}

static void canceller_of_T0(void)
{
	if (task_state_cancel(&records[0].state, 1))
		waiting_ready(&records[0]);
}

static void finish_full(void)
{
	finish_dropped(3);
}

/* The same for the latest value. */
static void setup_watch(void)
{
	void *value;

	setup_any();
	watch = hilo_watch_new(&item[0], drop);
	for (int i = 1; i <= 2; i++) {
		watchers[i] = hilo_watch_subscribe(watch);
		EXPLORE_CHECK(hilo_watch_get(watchers[i], &value) == 1 && value == &item[0]);
	}
}

static void sets_two_frees(void)
{
	EXPLORE_CHECK(hilo_watch_set(watch, &item[1]) == 0);
	EXPLORE_CHECK(hilo_watch_set(watch, &item[2]) == 0);
	hilo_watch_free(watch);
}

static void follows(void)
{
	hilo_watcher *watcher = watchers[explore_self()];
	int last = 0, rc;
	void *value;

	while ((rc = hilo_watch_wait(watcher, &value, HILO_FOREVER)) == 0) {
		int i = (int)((int *)value - item);

		EXPLORE_CHECK(i > last && plain_load(&item[i]) == 7);
		last = i;
	}
	EXPLORE_CHECK(rc == -EPIPE && last == 2);
	EXPLORE_CHECK(hilo_watch_unsubscribe(watcher) == 0);
}

static void sets_one(void)
{
	EXPLORE_CHECK(hilo_watch_set(watch, &item[1]) == 0);
}

static void follows_one_frees(void)
{
	void *value;

	EXPLORE_CHECK(hilo_watch_wait(watchers[explore_self()], &value, HILO_FOREVER) == 0);
	hilo_watch_free(watch);
	EXPLORE_CHECK(hilo_watch_unsubscribe(watchers[explore_self()]) == 0);
}

static void follows_one(void)
{
	void *value;

	EXPLORE_CHECK(hilo_watch_wait(watchers[explore_self()], &value, HILO_FOREVER) == 0);
	EXPLORE_CHECK(hilo_watch_unsubscribe(watchers[explore_self()]) == 0);
}

static void unwatches(void)
{
	EXPLORE_CHECK(hilo_watch_unsubscribe(watchers[explore_self()]) == 0);
}

static void finish_watch(void)
{
	finish_dropped(3);
}

static const struct explore_model models[] = {
	EXPLORE_MODEL("broadcast_lag", "T0 sends two into a place for one, frees; T1 receives all", setup_T1,
		      finish_all, sends_two_frees, receives_all),
	EXPLORE_MODEL_LONG(2, "broadcast_two", "T0 sends one, frees; T1 and T2 receive all", setup_both,
			   finish_one, sends_one_frees, receives_all, receives_all),
	EXPLORE_MODEL_BOUND(1, "broadcast_both", "T0 sends two, frees; T1 and T2 receive all", setup_both,
			    finish_all_both, sends_two_frees, receives_all, receives_all),
	EXPLORE_MODEL_BOUND(2, "broadcast_leave", "T0 sends two, frees; T1 receives all; T2 leaves",
			    setup_both, finish_all, sends_two_frees, receives_all, leaves),
	EXPLORE_MODEL("broadcast_leave_busy", "T0 sends four, frees; T1, which is behind by three, leaves",
		      setup_behind, finish_behind, sends_four_looks_at_one, leaves),
	EXPLORE_MODEL("broadcast_cancel", "T0 sends one, frees; T1 receives it; T2 cancels T1", setup_T1,
		      finish_one, sends_one_frees, receives_or_is_cancelled, canceller_of_T1),
	EXPLORE_MODEL_BOUND(2, "broadcast_room",
			    "T0 sends two, waiting for a place; T1 receives all; T2 leaves", setup_both_small,
			    finish_all, sends_two_waiting_frees, receives_all, leaves),
	EXPLORE_MODEL("broadcast_promise", "T0 and T2 wait for a place to send; T1 leaves", setup_full,
		      finish_full, sends_waiting, leaves, sends_waiting),
	EXPLORE_MODEL_BOUND(2, "broadcast_free", "T0 sends one; T1 receives it, frees; T2 receives it",
			    setup_both, finish_one, sends_one, receives_one_frees, receives_one_leaves),
	EXPLORE_MODEL_LONG(0, "watch_set", "T0 sets two, frees; T1 follows; T2 leaves", setup_watch,
			   finish_watch, sets_two_frees, follows, unwatches),
	EXPLORE_MODEL_LONG(2, "watch_both", "T0 sets two, frees; T1 and T2 follow", setup_watch, finish_watch,
			   sets_two_frees, follows, follows),
	EXPLORE_MODEL_BOUND(2, "watch_free", "T0 sets one; T1 follows, frees; T2 follows", setup_watch,
			    finish_two, sets_one, follows_one_frees, follows_one),
	EXPLORE_MODEL_BOUND(2, "broadcast_promise_cancel",
			    "T0 waits for a place to send two; T1 makes room, leaves; T2 cancels T0",
			    setup_full, finish_full, sends_two_in_spite_of_a_cancel, receives_one_then_leaves,
			    canceller_of_T0),
};

int main(int argc, char **argv)
{
	return explore_main(argc, argv, models, array_size(models));
}
