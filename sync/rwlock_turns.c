/* SPDX-License-Identifier: MIT */
/*
 * rwlock_turns.c - whose turn it is: those that wait for a rwlock, and what becomes of them when it is let go. The
 * rules are at the head of rwlock.c.
 */
#include "sync/rwlock_impl.h"

#include "sync/won_impl.h"

/* How many are woken at once. */
#ifdef HILO_EXPLORE
#define WAKES 1
#else
#define WAKES 8
#endif

/* Whom to wake. */
struct wakes {
	unsigned count;
	struct {
		struct hilo_task *task;
		uint32_t episode;
	} one[WAKES];
};

uintptr_t hilo__rwlock_take_lists(struct rwlock *lock)
{
	uintptr_t word = load_relaxed(&lock->word); /* relaxed: the CAS acquires */

	for (unsigned round = 0;; round++) {
		if (word & RW_LIST) {
			spin_pause(round);
			word = load_relaxed(&lock->word);		      /* relaxed: as above */
		} else if (cas_acquire(&lock->word, &word, word | RW_LIST)) { /* P1 */
			break;
		}
	}
	if (!lock->readers.next) {
		list_init(&lock->readers);
		list_init(&lock->writers);
	}
	return word;
}

static inline struct rw_waiter *waiter_of(const struct list *link)
{
	return list_entry(link, struct rw_waiter, node.link);
}

/* [has the lists, somebody waits] A reader has waited longest. */
static bool reader_is_first(const struct rwlock *lock)
{
	if (list_empty(&lock->readers) || list_empty(&lock->writers))
		return list_empty(&lock->writers);
	return (int64_t)(waiter_of(list_first(&lock->readers))->since -
			 waiter_of(list_first(&lock->writers))->since) < 0;
}

/* [has the lists] Those that wait come first. */
static bool takes_turns(const struct rwlock *lock)
{
	const struct list *list;

	if (!somebody_waits(lock))
		return false;
	list = reader_is_first(lock) ? &lock->readers : &lock->writers;
	return lock->home != BARGE_ANYWHERE || barge_is_late(waiter_of(list_first(list))->since);
}

/* [has the lists] Take up to @most out of @list: they are in @won then. What they add to the word. */
static uintptr_t waiters_win(struct rwlock *lock, struct list *list, uintptr_t most, struct list *won)
{
	struct contend_node *node;
	uintptr_t count = 0;

	while (count < most && (node = contend_pop(list))) {
		waiter_has_looked(lock, container_of(node, struct rw_waiter, node));
		count += won_add(won, node);
	}
	return count;
}

/* [has the lists] It is held by @holder, after a writer or after readers: by whom then. I2. */
static uintptr_t next_turn(struct rwlock *lock, uintptr_t holder, bool was_written, struct list *won)
{
	bool readers = MUTANT(196, was_written, false) || reader_is_first(lock);
	struct contend_node *writer;

	if (is_written(holder))
		return holder;
	if (readers)
		holder += waiters_win(lock, &lock->readers, UINTPTR_MAX, won) * RW_ONE;
	if (holder & RW_WHO)
		return holder | RW_READ;
	if (waiters_win(lock, &lock->writers, 1, won) > 0) {
		writer = list_entry(list_first(won), struct contend_node, link);
		return (uintptr_t)writer->contender->wait.task;
	}
	holder = waiters_win(lock, &lock->readers, UINTPTR_MAX, won) * RW_ONE;
	return holder ? holder | RW_READ : 0;
}

/* [has the lists] @waiter is to look. */
static void wake_add(struct rwlock *lock, struct rw_waiter *waiter, struct wakes *wakes)
{
	waiter->woken = true;
	lock->woken++;
	wakes->one[wakes->count].task = waiter->contender.wait.task;
	wakes->one[wakes->count++].episode = waiter->contender.wait.episode;
}

/* [has the lists] It is held by @holder, and who could have it is to look: I3. */
static void wake_some(struct rwlock *lock, uintptr_t holder, bool was_written, struct wakes *wakes)
{
	bool writers = !list_empty(&lock->writers) && !(was_written && !list_empty(&lock->readers));

	if (lock->woken || is_written(holder))
		return;
	if (!(holder & RW_READ) && writers) {
		wake_add(lock, waiter_of(list_first(&lock->writers)), wakes);
		return;
	}
	for (struct list *link = lock->readers.next; link != &lock->readers && wakes->count < WAKES;
	     link = link->next)
		wake_add(lock, waiter_of(link), wakes);
}

void hilo__rwlock_settle(struct rwlock *lock, uintptr_t holder, bool was_written)
{
	struct list won = LIST_INIT(won);
	struct wakes wakes = {0};
	uintptr_t bits = 0;
	bool turns;

	lock->home = barge_both(lock->home, barge_place());
	turns = takes_turns(lock);
	if (turns) {
		holder = next_turn(lock, holder, was_written, &won);
		turns = takes_turns(lock); /* those that are left; but not if it was not before, I2 */
	}
	if (turns) {
		bits = RW_WAITERS | RW_TURNS;
	} else if (somebody_waits(lock)) {
		wake_some(lock, holder, was_written, &wakes);
		bits = RW_WAITERS | (lock->woken ? RW_WOKEN : 0);
	} else if (holder && lock->home == BARGE_ANYWHERE) {
		bits = RW_APART;
	}
	MUTANT(325, (void)0, won_tell(&won)); /* P2 */
	lists_give_back(lock, holder | bits);
	won_tell(&won);
	for (unsigned i = 0; i < wakes.count; i++)
		hilo__task_wake(wakes.one[i].task, wakes.one[i].episode);
}
