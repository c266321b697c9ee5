/* SPDX-License-Identifier: MIT */
/*
 * rwlock.c - one writer, or any number of readers. One word decides:
 *
 *	 63                                            6    5      4       3       2      1      0
 *	| READ: how many readers; else the writer, or 0 | APART | WOKEN | TURNS | READ | LIST | WAITERS |
 *
 * WAITERS  somebody waits, in one of two lists.
 * LIST     somebody has the lists, and with them the word: nobody else changes that.
 * TURNS    with WAITERS: who comes queues up, and the lock is given to those that wait, in turns.
 * WOKEN    with WAITERS, without TURNS: somebody was woken to look, and has not done so yet.
 * APART    without WAITERS: the last that waited were not tasks of one thread, and it was not free since. So who was
 *          given it and does not run yet does not begin an order in which all others have to wait for him.
 *
 * To read what is free, or read, and to let it go again are one CAS each, as are writing and ending that. The rest is
 * done with LIST, and ends in one place, settle. While nobody has waited for long (sync/barge_impl.h) who comes may
 * pass those that wait; the lock is let go, and those that could have it are woken and try again. When the one that has
 * waited longest is late, TURNS is set: nobody passes any more, and the lock is given. When a writer has done, all
 * readers that wait have it, then the first writer, then readers again.
 *
 * I1  The lists, and what follows from them in the word, change together, under LIST.
 * I2  While TURNS is set, nobody waits for what he could have: the lock is not free, and if it is read, then readers
 *     wait only behind a writer. So who makes one of these untrue has to give it: who unlocks, and who leaves.
 * I3  While it is not, and somebody waits for what he could have, WOKEN is set. Who was woken looks, or leaves, under
 *     LIST, and settles: he takes it, or those who could have it are woken next. So nobody is forgotten, though most
 *     who unlock do not look at the lists.
 * P1  To unlock, and to give, release; to lock acquires. A store by who has LIST releases what it has acquired.
 * P2  The store that gives it, or lets it go, is the last access of who unlocks, LIST included. Who is given it is
 *     told afterwards (runtime/contend_impl.h); it was won before, so its node stays until then, and links it to
 *     the others. Of who is woken, record and episode were copied before; they do no harm if that wait is over.
 * P3  Who waits is won under LIST, and leaves, or takes it, under LIST: which of them is first is clear there.
 *
 * Rejected: to give it always. One who was given it and does not run yet keeps the others out, who wait, and so on:
 * from the first collision on all waited at each lock. Rejected: readers first, or writers first: the others starve.
 * One queue in order of arrival: with every other one a writer there is never more than one reader. To add for a
 * reader, and look afterwards, instead of a CAS: a reader that was too late has to take back what it has added, and
 * wake who was misled by it. To wake all readers at once: they would be woken under LIST, or linked by their nodes,
 * which may be gone; so some at a time, and the last of these to look wakes the next.
 */
#include "sync/rwlock_impl.h"

#include <errno.h>

#include "runtime/runtime_impl.h"
#include "runtime/site_impl.h"

void hilo_rwlock_init(hilo_rwlock *lock)
{
	*lock = (hilo_rwlock)HILO_RWLOCK_INIT;
}

int hilo_rwlock_destroy(hilo_rwlock *lock)
{
	uintptr_t word = load_acquire(&rwlock_of(lock)->word); /* P1 */

	if (word)
		return hilo_fail(-EBUSY, "hilo_rwlock_destroy: %p is %s", (void *)lock,
				 is_written(word) ? "written"
				 : word & RW_READ ? "read"
						  : "waited for");
	return 0;
}
/* ---- locking ---- */

/* [any] Whether one who comes now can have it, and what the word is then. */
static inline bool can_have(uintptr_t word, const struct hilo_task *writer, uintptr_t *ret)
{
	*ret = writer ? word | (uintptr_t)writer : (word + RW_ONE) | RW_READ;
	if (word & (RW_LIST | MUTANT(198, RW_TURNS, (uintptr_t)0)))
		return false;
	return writer ? !(word & RW_HOLDER) : !is_written(word);
}

/* [any] Have it without waiting: as @writer, or as a reader (NULL). False also if somebody has the lists. */
static inline bool take(struct rwlock *lock, const struct hilo_task *writer)
{
	uintptr_t word = load_relaxed(&lock->word), next; /* relaxed: the CAS acquires */

	while (can_have(word, writer, &next))
		if (MUTANT(197, cas_acquire(&lock->word, &word, next),
			   cas_relaxed(&lock->word, &word, next))) /* P1 */
			return true;
	return false;
}

/* [any] The same, but lists that somebody has are waited for. False: somebody has the lock, or is to have it first. */
static bool try(struct rwlock *lock, const struct hilo_task *writer)
{
	uintptr_t word = load_relaxed(&lock->word), next; /* relaxed: the CAS acquires */

	for (unsigned round = 0;;) {
		if (MUTANT(326, word & RW_LIST, false)) {
			spin_pause(round++);
			word = load_relaxed(&lock->word); /* relaxed: as above */
		} else if (!can_have(word, writer, &next)) {
			return false;
		} else if (cas_acquire(&lock->word, &word, next)) { /* P1 */
			return true;
		}
	}
}

static bool spin(struct rwlock *lock, const struct hilo_task *writer)
{
	for (int look = 0; look < SPIN_LOOKS && barge_may_spin(); look++) {
		uintptr_t word = load_relaxed(&lock->word); /* relaxed: a hint */

		/* It is given in turns; and who is parked does not let it go soon. relaxed: hints */
		if (word & RW_TURNS ||
		    (is_written(word) &&
		     load_relaxed(&((struct hilo_task *)(word & RW_WHO))->state) & TASK_PARKED))
			return false;
		for (unsigned i = 0; i < (unsigned)SPIN_PAUSES << look; i++)
			cpu_relax();
		if (take(lock, writer))
			return true;
	}
	return false;
}

/* Woken, or to leave (*@rc is why). True: the wait is over, with *@rc. P3 */
static bool waiter_look(struct rwlock *lock, struct rw_waiter *waiter, const struct hilo_task *writer,
			int *rc)
{
	uintptr_t word, next;
	bool in;

	if (contend_is_open(&waiter->contender)) {
		word = hilo__rwlock_take_lists(lock);
		if (contend_is_open(&waiter->contender)) {
			in = can_have(word, writer, &next);
			MUTANT(324, waiter_has_looked(lock, waiter), (void)0);
			if (in || *rc < 0)
				(void)contend_remove(&waiter->node);
			MUTANT(199, hilo__rwlock_settle(lock, (in ? next : word) & RW_HOLDER, false),
			       lists_give_back(lock, in ? next : word));
			if (in)
				*rc = 0;
			return in || *rc < 0;
		}
		lists_give_back(lock, word);
	}
	*rc = hilo__contend_wait(&waiter->contender); /* until told */
	return true;
}

/* [has the lists] Be the last of those that wait, and give them back. */
static void waiter_add(struct rwlock *lock, struct rw_waiter *waiter, const struct hilo_task *writer,
		       uintptr_t word)
{
	const void *home = word & RW_APART ? BARGE_ANYWHERE : barge_home();

	waiter->woken = false;
	waiter->since = cycles_now();
	lock->home = somebody_waits(lock) ? barge_both(lock->home, home) : home;
	contend_add(writer ? &lock->writers : &lock->readers, &waiter->node, &waiter->contender, 0);
	hilo__rwlock_settle(lock, word & RW_HOLDER, false);
}

static int rwlock_wait(struct rwlock *lock, const struct hilo_task *writer, hilo_time deadline)
{
	struct rw_waiter waiter;
	int rc = hilo__contend_begin(&waiter.contender, writer ? WAIT_RWLOCK_WRITE : WAIT_RWLOCK_READ, lock,
				     deadline);
	uintptr_t word, next;

	if (rc < 0)
		return rc;
	word = hilo__rwlock_take_lists(lock);
	if (can_have(word, writer, &next)) {
		lists_give_back(lock, next);
	} else {
		waiter_add(lock, &waiter, writer, word);
		do
			rc = hilo__wait_park(&waiter.contender.wait);
		while (!waiter_look(lock, &waiter, writer, &rc));
	}
	hilo__contend_end(&waiter.contender);
	return rc;
}

/* Who it is that calls. 0; -EDEADLK, -ENOMEM, which were told. */
static int caller(struct rwlock *lock, const char *call, struct hilo_task **ret)
{
	char label[TASK_LABEL_SIZE];
	int rc = hilo__locker(ret);

	if (rc < 0)
		return rc == -EDEADLK ? hilo_fail(rc, "%s: a callback cannot have a lock", call) : rc;
	if (is_mine(load_relaxed(&lock->word),
		    *ret)) /* relaxed: if it is ours, we have made it so, or were told */
		return hilo_fail(-EDEADLK, "%s: %s writes %p already", call,
				 (*ret)->flags & TASK_THREAD ? "the thread" : hilo__task_label(*ret, label),
				 (void *)lock);
	return 0;
}

static int rwlock_lock_as(struct rwlock *lock, const struct hilo_task *writer, hilo_time deadline)
{
	int rc;

	if (try(lock, writer))
		return 0;
	if (MUTANT(329, barge_is_over(deadline), false))
		return hilo__error_own(-ETIMEDOUT);
	if (spin(lock, writer))
		return 0;
	rc = rwlock_wait(lock, writer, deadline);
	return rc < 0 ? hilo__error_own(rc) : 0;
}

/* In debug mode: a reader that locks it once more. Without, it waits, for itself, if a writer waits. */
static int refuse_nested(struct rwlock *lock, const char *call, const struct hilo_task *me, const void *site)
{
	const void *before = hilo__order_where(me, lock);
	char first[SITE_SIZE], second[SITE_SIZE], label[TASK_LABEL_SIZE];

	if (!before)
		return 0;
	hilo__site_describe(before, first, sizeof(first));
	hilo__site_describe(site, second, sizeof(second));
	return hilo_fail(-EDEADLK, "%s: %s has %p already, locked at %.70s; again at %.70s", call,
			 me->flags & TASK_THREAD ? "the thread" : hilo__task_label(me, label), (void *)lock,
			 first, second);
}

static HILO__NOINLINE int rwlock_lock_slow(struct rwlock *lock, bool writes, const char *call,
					   hilo_time deadline, const void *site)
{
	struct hilo_task *me;
	int rc = caller(lock, call, &me);

	if (rc < 0)
		return rc;
	if (task_is_interrupted(me))
		return hilo__error_own(-ECANCELED);
	if (HILO__LIKELY(!order_is_on(thread_self())))
		return rwlock_lock_as(lock, writes ? me : NULL, deadline);
	rc = refuse_nested(lock, call, me, site);
	if (rc < 0)
		return rc;
	if (!barge_is_over(deadline))
		hilo__order_wants(me, lock, &lock->order, site);
	rc = rwlock_lock_as(lock, writes ? me : NULL, deadline);
	if (rc == 0)
		hilo__order_has(me, lock, &lock->order, site);
	return rc;
}

/* [any] The running task, or a plain thread that has a record, if nothing keeps it from locking at once; else NULL. */
static inline struct hilo_task *ready(void)
{
	const struct thread *self = thread_self();

	return self->task && !self->closing && !order_is_on(self) && !task_is_cancelled(self->task)
		       ? self->task
		       : NULL;
}

static inline int read_at(hilo_rwlock *lock, hilo_time deadline, const void *site)
{
	if (HILO__LIKELY(ready() && take(rwlock_of(lock), NULL)))
		return 0;
	return rwlock_lock_slow(rwlock_of(lock), false, "hilo_rwlock_read", deadline, site);
}

int hilo_rwlock_read(hilo_rwlock *lock, hilo_time deadline)
{
	return read_at(lock, deadline, __builtin_return_address(0));
}

static inline int write_at(hilo_rwlock *lock, hilo_time deadline, const void *site)
{
	const struct hilo_task *me = ready();

	if (HILO__LIKELY(me && take(rwlock_of(lock), me)))
		return 0;
	return rwlock_lock_slow(rwlock_of(lock), true, "hilo_rwlock_write", deadline, site);
}

int hilo_rwlock_write(hilo_rwlock *lock, hilo_time deadline)
{
	return write_at(lock, deadline, __builtin_return_address(0));
}

static int rwlock_try(struct rwlock *lock, bool writes, const char *call, const void *site)
{
	struct hilo_task *me;
	int rc = caller(lock, call, &me);

	if (rc < 0)
		return rc;
	if (!try(lock, writes ? me : NULL))
		return -EAGAIN;
	if (order_is_on(thread_self()))
		hilo__order_has(me, lock, &lock->order, site);
	return 0;
}

int hilo_rwlock_try_read(hilo_rwlock *lock)
{
	return rwlock_try(rwlock_of(lock), false, "hilo_rwlock_try_read", __builtin_return_address(0));
}

int hilo_rwlock_try_write(hilo_rwlock *lock)
{
	return rwlock_try(rwlock_of(lock), true, "hilo_rwlock_try_write", __builtin_return_address(0));
}

/* ---- unlocking ---- */

static HILO__COLD int refuse(const struct rwlock *lock, const char *call, uintptr_t word)
{
	return hilo_fail(-EPERM, "%s: %p is %s", call, (const void *)lock,
			 word & RW_READ	    ? "read, not written"
			 : is_written(word) ? "written by another one"
					    : "not locked");
}

/* [who has it] It goes, and leaves a lock that is free or not: it has to see about those that wait. */
static bool has_to_settle(struct rwlock *lock, uintptr_t word, bool leaves_it_free)
{
	uint32_t passes;

	if (!(word & RW_WAITERS))
		return false;
	if (word & RW_TURNS || (leaves_it_free && !(word & MUTANT(320, RW_WOKEN, RW_WAITERS))))
		return leaves_it_free;
	/* Whether they have waited for long. relaxed: about so often */
	passes = load_relaxed(&lock->passes) + 1;
	store_relaxed(&lock->passes, passes); /* relaxed: as above */
	return passes % PASSES_PER_LOOK == 0;
}

/* [any] While somebody has the lists: wait. False: nobody has. */
static inline bool lists_are_taken(struct rwlock *lock, uintptr_t *word, unsigned *round)
{
	if (HILO__LIKELY(!(*word & RW_LIST)))
		return false;
	spin_pause((*round)++);
	*word = load_relaxed(&lock->word); /* relaxed: what follows has its order */
	return true;
}

/* If too many unlock at the same time, those who come too late find that nobody reads any more. */
static int unlock_read(struct rwlock *lock, uintptr_t word)
{
	unsigned round = 0;

	while (word & RW_READ) {
		bool last = (word & RW_WHO) == RW_ONE;
		uintptr_t next = last ? word & (RW_WAITERS | RW_WOKEN) : word - RW_ONE;

		if (lists_are_taken(lock, &word, &round))
			continue;
		if (!has_to_settle(lock, word, last)) {
			if (MUTANT(321, cas_release(&lock->word, &word, next),
				   cas_relaxed(&lock->word, &word, next))) /* P1 */
				return 0;
		} else if (cas_acquire(&lock->word, &word, word | RW_LIST)) { /* P1 */
			hilo__rwlock_settle(lock, last ? 0 : (word - RW_ONE) & RW_HOLDER, false);
			return 0;
		}
	}
	return refuse(lock, "hilo_rwlock_unlock", word);
}

static int unlock_write(struct rwlock *lock, uintptr_t word)
{
	unsigned round = 0;

	for (;;) {
		uintptr_t next = word & (RW_WAITERS | RW_WOKEN);

		if (lists_are_taken(lock, &word, &round))
			continue;
		if (!has_to_settle(lock, word, true)) {
			if (MUTANT(322, cas_release(&lock->word, &word, next),
				   cas_relaxed(&lock->word, &word, next))) /* P1 */
				return 0;
		} else if (cas_acquire(&lock->word, &word, word | RW_LIST)) { /* P1 */
			hilo__rwlock_settle(lock, 0, true);
			return 0;
		}
	}
}

int hilo_rwlock_unlock(hilo_rwlock *public)
{
	struct rwlock *lock = rwlock_of(public);
	uintptr_t word =
		load_relaxed(&lock->word); /* relaxed: if we have it, we have made it so, or were told */

	const struct thread *self = thread_self();

	if (HILO__UNLIKELY(!(word & RW_READ) && !is_mine(word, self->task)))
		return refuse(lock, "hilo_rwlock_unlock", word);
	if (order_is_on(self)) {
		int rc = hilo__order_check_fork(self->task, lock, "hilo_rwlock_unlock");

		if (rc < 0)
			return rc;
		hilo__order_lets_go(self->task, lock);
	}
	if (word & RW_READ)
		return unlock_read(lock, word);
	return unlock_write(lock, word);
}

int hilo_rwlock_downgrade(hilo_rwlock *public)
{
	struct rwlock *lock = rwlock_of(public);
	uintptr_t word = load_relaxed(&lock->word); /* relaxed: as in hilo_rwlock_unlock */
	const struct thread *self = thread_self();

	if (!is_mine(word, self->task))
		return refuse(lock, "hilo_rwlock_downgrade", word);
	if (order_is_on(self)) {
		int rc = hilo__order_check_fork(self->task, lock, "hilo_rwlock_downgrade");

		if (rc < 0)
			return rc;
	}
	word &= ~(RW_WAITERS | RW_LIST | RW_WOKEN | RW_TURNS);
	if (cas_release(&lock->word, &word, (word & RW_APART) | RW_ONE | RW_READ)) /* P1 */
		return 0;
	(void)hilo__rwlock_take_lists(lock);
	hilo__rwlock_settle(lock, RW_ONE | RW_READ, true);
	return 0;
}

static int read_enter(void *lock)
{
	return read_at(lock, HILO_FOREVER, __builtin_return_address(0));
}

static int write_enter(void *lock)
{
	return write_at(lock, HILO_FOREVER, __builtin_return_address(0));
}

static int lock_exit(void *lock, int code)
{
	int rc = hilo_rwlock_unlock(lock);

	return rc < 0 && code >= 0 ? rc : code;
}

const hilo_manager hilo_rwlock_read_manager = {read_enter, lock_exit};
const hilo_manager hilo_rwlock_write_manager = {write_enter, lock_exit};
