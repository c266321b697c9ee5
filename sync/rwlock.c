/* SPDX-License-Identifier: MIT */
/*
 * rwlock.c - one writer, or any number of readers. One word decides:
 *
 *	 63                                            3    2      1       0
 *	| READ: how many readers; else the writer, or 0 | READ | LIST | WAITERS |
 *
 * WAITERS  somebody waits: who comes queues up, who goes has to see about it.
 * LIST     somebody has the lists of those that wait, and with them the word: nobody else changes that.
 *
 * To read what is free, or read and not waited for, and to let it go again are one CAS each, as are writing and
 * ending that. The rest is done with LIST; the lock is always given to who waits, never let go for whoever comes
 * first. When a writer has done, all readers that wait have it, then the first writer, then readers again.
 *
 * I1  The lists and the word change together, under LIST. While the lock is free nobody waits; while it is read,
 *     readers wait only behind a writer. So who makes one of these untrue has to give it to somebody: who unlocks,
 *     and the last writer that waits, when it leaves.
 * P1  To unlock, and to give, release; to lock acquires. A store by who has LIST releases what it has acquired.
 * P2  The store that gives it, or lets it go, is the last access of who unlocks, LIST included. Who is given it is
 *     told afterwards (runtime/contend_impl.h); it was won before, so its node stays until then, and links it to
 *     the others.
 *
 * Rejected: readers first, or writers first: the others starve. One queue in order of arrival: with every other one a
 * writer there is never more than one reader. To add for a reader, and look afterwards, instead of a CAS: a reader
 * that was too late has to take back what it has added, and wake who was misled by it.
 */
#include <hilo/sync/rwlock.h>

#include <errno.h>

#include "runtime/contend_impl.h"
#include "runtime/runtime_impl.h"
#include "runtime/site_impl.h"
#include "sync/mutex_impl.h"
#include "sync/order_impl.h"

#define RW_WAITERS ((uintptr_t)1)
#define RW_LIST ((uintptr_t)2)
#define RW_READ ((uintptr_t)4)
#define RW_ONE ((uintptr_t)8) /* reader */
#define RW_WHO (~(uintptr_t)7)

/* As in mutex.c: looks, and pauses before the first one, that double with each. */
#ifdef HILO_EXPLORE
#define SPIN_LOOKS 0
#else
#define SPIN_LOOKS 5
#endif
#define SPIN_PAUSES 4

struct rwlock {
	atomic(uintptr_t) word;
	struct list readers, writers; /* LIST; zero is an empty one */
	struct order_mark order;
};

_Static_assert(sizeof(struct rwlock) <= sizeof(hilo_rwlock), "HILO_RWLOCK_INIT has room for it");

static inline struct rwlock *rwlock_of(hilo_rwlock *lock)
{
	return (struct rwlock *)lock;
}

static inline bool is_written(uintptr_t word)
{
	return !(word & RW_READ) && word & RW_WHO;
}

static inline bool is_mine(uintptr_t word, const struct hilo_task *me)
{
	return me && !(word & RW_READ) && (word & RW_WHO) == (uintptr_t)me;
}

void hilo_rwlock_init(hilo_rwlock *lock)
{
	*lock = (hilo_rwlock)HILO_RWLOCK_INIT;
}

int hilo_rwlock_destroy(hilo_rwlock *lock)
{
	uintptr_t word = load_acquire(&rwlock_of(lock)->word); /* P1 */

	if (word)
		return hilo_fail(-EBUSY, "hilo_rwlock_destroy: %p is %s", (void *)lock,
				 is_written(word) ? "written" : "read");
	return 0;
}

/* ---- the lists ---- */

/* [any] Have them; the word, without LIST. */
static uintptr_t lists_take(struct rwlock *lock)
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

/* [has the lists] Give them back; the word is @word then, and WAITERS if need be. The last access: P2. */
static inline void lists_give_back(struct rwlock *lock, uintptr_t word)
{
	bool waiters = !list_empty(&lock->readers) || !list_empty(&lock->writers);

	store_release(&lock->word, (word & ~RW_WAITERS) | (waiters ? RW_WAITERS : 0)); /* P1 */
}

/* [has the lists] All readers that wait: they are in @won then. How many. */
static uintptr_t readers_win(struct rwlock *lock, struct list *won)
{
	struct contend_node *node;
	struct contend_won each;
	uintptr_t count = 0;

	while ((node = contend_pop(&lock->readers)))
		if (contend_win(node, &each)) {
			list_add_tail(won, &node->link);
			count++;
		}
	return count;
}

/* [has the lists] The first writer that waits, in @won then; NULL: there is none. */
static struct hilo_task *writer_win(struct rwlock *lock, struct list *won)
{
	struct contend_node *node;
	struct contend_won each;

	while ((node = contend_pop(&lock->writers)))
		if (contend_win(node, &each)) {
			list_add_tail(won, &node->link);
			return each.contender->wait.task;
		}
	return NULL;
}

/* [has won them, and given back the lists] */
static void tell(struct list *won)
{
	struct list *link, *next;

	for (link = won->next; link != won; link = next) {
		struct contend_node *node = list_entry(link, struct contend_node, link);
		struct contend_won each = {node->contender, node->number};

		next = link->next; /* it goes with being told */
		contend_tell(&each);
	}
}

/* [has the lists] Nobody has it any more, after a writer or after readers: whose turn it is. */
static uintptr_t next_turn(struct rwlock *lock, bool was_written, struct list *won)
{
	struct hilo_task *writer = NULL;
	uintptr_t readers = 0;

	if (MUTANT(196, was_written, false))
		readers = readers_win(lock, won);
	if (!readers)
		writer = writer_win(lock, won);
	if (!readers && !writer)
		readers = readers_win(lock, won);
	return writer ? (uintptr_t)writer : readers ? readers * RW_ONE | RW_READ : 0;
}

/* ---- locking ---- */

/* [any] Whether one who comes now can have it, and what the word is then. */
static inline bool can_have(uintptr_t word, const struct hilo_task *writer, uintptr_t *ret)
{
	*ret = writer ? (uintptr_t)writer : (word + RW_ONE) | RW_READ;
	return writer ? word == 0 : !(word & (RW_WAITERS | RW_LIST)) && !is_written(word);
}

/* [any] Have it without waiting: as @writer, or as a reader (NULL). */
static inline bool take(struct rwlock *lock, const struct hilo_task *writer)
{
	uintptr_t word = load_relaxed(&lock->word), next; /* relaxed: the CAS acquires */

	while (can_have(word, writer, &next))
		if (MUTANT(197, cas_acquire(&lock->word, &word, next),
			   cas_relaxed(&lock->word, &word, next))) /* P1 */
			return true;
	return false;
}

static bool spin(struct rwlock *lock, const struct hilo_task *writer)
{
	const struct thread *self = thread_self();

	if (self->loop && (!self->loop->runtime->spin || self->loop->runtime->workers == 1))
		return false;
	for (int look = 0; look < SPIN_LOOKS; look++) {
		uintptr_t word = load_relaxed(&lock->word); /* relaxed: a hint */

		/* Those that wait come first; and who is parked does not let it go soon. relaxed: hints */
		if (word & RW_WAITERS ||
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

/* [has the lists] As can_have, for who has them. */
static bool may_enter(const struct rwlock *lock, uintptr_t word, const struct hilo_task *writer)
{
	if (writer)
		return !(word & RW_WHO);
	return !is_written(word) && (MUTANT(198, list_empty(&lock->writers), true));
}

/* A waiter has left: who waited behind it may come in, if it was the last writer. */
static void leave(struct rwlock *lock, struct contend_node *node)
{
	struct list won = LIST_INIT(won);
	uintptr_t word = lists_take(lock);

	(void)contend_remove(node);
	if (word & RW_READ && MUTANT(199, list_empty(&lock->writers), false))
		word += readers_win(lock, &won) * RW_ONE;
	lists_give_back(lock, word);
	tell(&won);
}

static int rwlock_wait(struct rwlock *lock, const struct hilo_task *writer, hilo_time deadline)
{
	struct contender contender;
	struct contend_node node;
	int rc = hilo__contend_begin(&contender, writer ? WAIT_RWLOCK_WRITE : WAIT_RWLOCK_READ, lock,
				     deadline);
	uintptr_t word;

	if (rc < 0)
		return rc;
	word = lists_take(lock);
	if (may_enter(lock, word, writer)) {
		lists_give_back(lock, writer ? (uintptr_t)writer : (word + RW_ONE) | RW_READ);
	} else {
		contend_add(writer ? &lock->writers : &lock->readers, &node, &contender, 0);
		lists_give_back(lock, word);
		rc = hilo__contend_wait(&contender);
		if (rc < 0)
			leave(lock, &node);
	}
	hilo__contend_end(&contender);
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

	if (take(lock, writer) || (deadline > 0 && spin(lock, writer)))
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

int hilo_rwlock_read(hilo_rwlock *lock, hilo_time deadline)
{
	if (HILO__LIKELY(ready() && take(rwlock_of(lock), NULL)))
		return 0;
	return rwlock_lock_slow(rwlock_of(lock), false, "hilo_rwlock_read", deadline,
				__builtin_return_address(0));
}

int hilo_rwlock_write(hilo_rwlock *lock, hilo_time deadline)
{
	const struct hilo_task *me = ready();

	if (HILO__LIKELY(me && take(rwlock_of(lock), me)))
		return 0;
	return rwlock_lock_slow(rwlock_of(lock), true, "hilo_rwlock_write", deadline,
				__builtin_return_address(0));
}

static int rwlock_try(struct rwlock *lock, bool writes, const char *call, const void *site)
{
	struct hilo_task *me;
	int rc = caller(lock, call, &me);

	if (rc < 0)
		return rc;
	if (!take(lock, writes ? me : NULL))
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

/* [writer, last reader] With others waiting. */
static void pass_on(struct rwlock *lock, uintptr_t word)
{
	struct list won = LIST_INIT(won);

	lists_give_back(lock, next_turn(lock, is_written(word), &won));
	tell(&won);
}

/* If too many unlock at the same time, those who come too late find that nobody reads any more. */
static int unlock_read(struct rwlock *lock, uintptr_t word)
{
	while (word & RW_READ) {
		bool last = (word & RW_WHO) == RW_ONE;

		if (word & RW_LIST || (last && word & RW_WAITERS)) {
			word = lists_take(lock);
			if (!(word & RW_READ)) {
				lists_give_back(lock, word);
				break;
			}
			if ((word & RW_WHO) == RW_ONE)
				pass_on(lock, word);
			else
				lists_give_back(lock, word - RW_ONE);
			return 0;
		}
		if (cas_release(&lock->word, &word, last ? 0 : word - RW_ONE)) /* P1 */
			return 0;
	}
	return refuse(lock, "hilo_rwlock_unlock", word);
}

static int unlock_write(struct rwlock *lock, uintptr_t me)
{
	uintptr_t word = me;

	if (!cas_release(&lock->word, &word, 0)) /* P1 */
		pass_on(lock, lists_take(lock));
	return 0;
}

int hilo_rwlock_unlock(hilo_rwlock *public)
{
	struct rwlock *lock = rwlock_of(public);
	uintptr_t word =
		load_relaxed(&lock->word); /* relaxed: if we have it, we have made it so, or were told */

	const struct thread *self = thread_self();

	if (HILO__UNLIKELY(!(word & RW_READ) && !is_mine(word, self->task)))
		return refuse(lock, "hilo_rwlock_unlock", word);
	if (order_is_on(self))
		hilo__order_lets_go(self->task, lock);
	if (word & RW_READ)
		return unlock_read(lock, word);
	return unlock_write(lock, word & RW_WHO);
}

int hilo_rwlock_downgrade(hilo_rwlock *public)
{
	struct rwlock *lock = rwlock_of(public);
	uintptr_t word = load_relaxed(&lock->word); /* relaxed: as in hilo_rwlock_unlock */
	struct list won = LIST_INIT(won);

	if (!is_mine(word, thread_self()->task))
		return refuse(lock, "hilo_rwlock_downgrade", word);
	(void)lists_take(lock);
	lists_give_back(lock, (readers_win(lock, &won) + 1) * RW_ONE | RW_READ);
	tell(&won);
	return 0;
}

static int read_enter(void *lock)
{
	return hilo_rwlock_read(lock, HILO_FOREVER);
}

static int write_enter(void *lock)
{
	return hilo_rwlock_write(lock, HILO_FOREVER);
}

static int lock_exit(void *lock, int code)
{
	int rc = hilo_rwlock_unlock(lock);

	return rc < 0 && code >= 0 ? rc : code;
}

const hilo_manager hilo_rwlock_read_manager = {read_enter, lock_exit};
const hilo_manager hilo_rwlock_write_manager = {write_enter, lock_exit};
