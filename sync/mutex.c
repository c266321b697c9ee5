/* SPDX-License-Identifier: MIT */
/*
 * mutex.c - one owner at a time. All that is to be decided is in one word:
 *
 *	 63                                   3  2      1      0
 *	| owner: its record, or 0: it is free  | WOKEN | LIST | WAITERS |
 *
 * WAITERS  somebody is in the list of those that wait, so that who unlocks has to see about it.
 * LIST     somebody has the list, and with it the word: nobody else changes that meanwhile.
 * WOKEN    the first of the list was woken to try again, and has not looked since: nobody else need be woken.
 *
 * A mutex that nobody waits for costs one CAS to lock, 0 to owner, and one to unlock, owner to 0. Who finds it
 * taken, and sees no good in spinning, adds itself to the list and parks. Who unlocks it while others wait has
 * two ways. It may let it go and wake the first of them, who stays in the list, first, until it has won the
 * mutex, or was given it, or left: so whoever runs now gets on, and the mutex is not without an owner for as long
 * as it takes to get a task to run. Or it gives the mutex to the first, who is its owner from then on.
 *
 * I1  The list changes only by who has LIST, who has exclusive use of the word. WAITERS is set while it is not
 *     empty, or about to be.
 * I2  Nobody parks while the mutex is free: who adds itself has seen, in the CAS that took LIST, or that
 *     cleared WOKEN, that there is an owner; and that one, when it unlocks, finds WAITERS without WOKEN, and wakes.
 *     So no wake-up is lost: if the one that was woken is cancelled and leaves, it clears WOKEN by then, and if
 *     it finds the mutex free, it takes it. It has nothing to pass on.
 * P1  To unlock releases, to lock acquires. A store by who has LIST releases as well, since it has acquired.
 * P2  To let go, or to give, is the last access of who unlocks to the mutex, list and LIST bit included: one
 *     store. Whoever takes it then may unlock it and free it. Whom to wake was copied before: record and episode
 *     of a wait, which do no harm if that wait is over.
 * P3  That it was given the mutex is told to a waiter by the word alone, which names it. So it needs no outcome
 *     of its own, and whether a cancel or the mutex came first is decided by the word, too.
 *
 * Rejected: the contenders of contend_impl.h. Who is to be given something is won first, by a CAS of its own, and
 * told afterwards; here the store that gives the mutex says both (P3), and most wake-ups give nothing. Rejected: a
 * spinlock beside the word. Who unlocks would have to give back first the one and then the other, and the mutex may
 * be gone in between. Rejected: to give the mutex always. Each unlocking of one that is fought for then waits until
 * the next owner runs, some hundreds of ns; so FAIR is an option, and STARVED limits the damage where it is not
 * chosen. Rejected: yielding now and then in a lock that was free, as other calls do whose waits are over at once.
 * It would be done with the mutex, which then is fought for, or at the cost of a count for each; and as in asyncio,
 * what is free is taken without suspending.
 */
#include <hilo/sync/mutex.h>

#include <errno.h>

#include "runtime/contend_impl.h"
#include "runtime/runtime_impl.h"
#include "runtime/site_impl.h"
#include "scheduler/base/clock.h"
#include "sync/barge_impl.h"
#include "sync/mutex_impl.h"
#include "sync/order_impl.h"

#define MUTEX_WAITERS ((uintptr_t)1)
#define MUTEX_LIST ((uintptr_t)2)
#define MUTEX_WOKEN ((uintptr_t)4)
#define MUTEX_OWNER (~(uintptr_t)7)

struct mutex {
	atomic(uintptr_t) word;
	struct list waiters; /* I1; zero is an empty one */
	unsigned flags;	     /* HILO_MUTEX_*, fixed */
	unsigned passes;     /* unlockings that have woken nobody; the owner's, as the next one */
	const void *home;    /* LIST; while somebody waits: sync/barge_impl.h */
	struct order_mark order;
	uint64_t since; /* while WOKEN is set: since when the first waits, in cycles */
};

_Static_assert(sizeof(struct mutex) <= sizeof(hilo_mutex), "HILO_MUTEX_INIT has room for it");

/* One that waits; on its stack. */
struct mutex_waiter {
	struct list link;
	struct wait wait;
	uint64_t since; /* cycles */
};

static inline struct mutex *mutex_of(const hilo_mutex *mutex)
{
	return (struct mutex *)(uintptr_t)mutex;
}

static inline struct hilo_task *owner_of(uintptr_t word)
{
	return (struct hilo_task *)(word & MUTEX_OWNER);
}

int hilo__locker(struct hilo_task **ret)
{
	struct thread *self = thread_self();

	*ret = self->task;
	if (self->loop)
		return *ret ? 0 : -EDEADLK;
	if (self->closing)
		return -EDEADLK;
	*ret = hilo__thread_record(self);
	hilo__order_begin(self);
	return *ret ? 0 : -ENOMEM;
}

int hilo_mutex_init(hilo_mutex *mutex, unsigned flags)
{
	if (flags & ~HILO_MUTEX_FAIR)
		return hilo_fail(-EINVAL, "hilo_mutex_init: there are no flags %#x",
				 flags & ~HILO_MUTEX_FAIR);
	*mutex = (hilo_mutex)HILO_MUTEX_INIT;
	mutex_of(mutex)->flags = flags;
	return 0;
}

int hilo_mutex_destroy(hilo_mutex *mutex)
{
	uintptr_t word = load_acquire(&mutex_of(mutex)->word); /* P1: all that its owners did is done */

	if (word)
		return hilo_fail(-EBUSY, "hilo_mutex_destroy: the mutex %p is %s", (void *)mutex,
				 owner_of(word) ? "locked" : "waited for");
	return 0;
}

int hilo_mutex_is_locked(const hilo_mutex *mutex)
{
	/* relaxed: at some moment */
	return owner_of(load_relaxed(&mutex_of(mutex)->word)) != NULL;
}

bool hilo__mutex_is_mine(const hilo_mutex *mutex)
{
	struct hilo_task *me = thread_self()->task;

	/* relaxed: if it is ours, we have made it so */
	return me && owner_of(load_relaxed(&mutex_of(mutex)->word)) == me;
}

int hilo__mutex_check_fork(const hilo_mutex *mutex, const char *call)
{
	const struct thread *self = thread_self();

	return order_is_on(self) ? hilo__order_check_fork(self->task, mutex_of(mutex), call) : 0;
}

/* [has the list] Give it back, and the word, which is @word from now on. The last access: P2. */
static inline void list_give_back(struct mutex *mutex, uintptr_t word)
{
	MUTANT(185, store_release(&mutex->word, word), store_relaxed(&mutex->word, word)); /* P1 */
}

/* [has the list] WAITERS, or 0. */
static inline uintptr_t list_bits(const struct mutex *mutex)
{
	return list_empty(&mutex->waiters) ? 0 : MUTEX_WAITERS;
}

/* [any] While somebody has the list, so that the word cannot be changed: what the word is then. */
static uintptr_t word_unlisted(struct mutex *mutex, uintptr_t word)
{
	for (unsigned round = 0; word & MUTEX_LIST; round++) {
		spin_pause(round);
		word = load_relaxed(&mutex->word); /* relaxed: whoever changes it acquires */
	}
	return word;
}

/* ---- locking ---- */

/* [any] Take it if it is free, also before those that wait. False: *@word says who has it. */
static bool mutex_take(struct mutex *mutex, struct hilo_task *me, uintptr_t *word)
{
	while (!(*word & MUTEX_OWNER)) {
		*word = word_unlisted(mutex, *word);
		if (!(*word & MUTEX_OWNER) && cas_acquire(&mutex->word, word, *word | (uintptr_t)me)) /* P1 */
			return true;
	}
	return false;
}

/* Its owner runs, maybe, on another CPU, and may let it go at any moment: to wait for that is cheaper than to park. */
static bool spin_pays(uintptr_t word)
{
	struct hilo_task *owner = owner_of(word);

	if (!barge_may_spin())
		return false;
	/* relaxed: a hint, of a record, whose memory stays one */
	return !(load_relaxed(&owner->state) & TASK_PARKED);
}

static bool mutex_spin(struct mutex *mutex, struct hilo_task *me, uintptr_t *word)
{
	if (mutex->flags & HILO_MUTEX_FAIR)
		return false;
	for (int look = 0; look < SPIN_LOOKS && spin_pays(*word); look++) {
		for (unsigned i = 0; i < (unsigned)SPIN_PAUSES << look; i++)
			cpu_relax();
		*word = load_relaxed(&mutex->word); /* relaxed: the CAS acquires */
		if (mutex_take(mutex, me, word))
			return true;
	}
	return false;
}

/* Be the last in the list. False: it was free, and is ours. */
static bool waiter_add(struct mutex *mutex, struct mutex_waiter *waiter, uintptr_t *word)
{
	const void *home = barge_home();

	do {
		if (MUTANT(180, mutex_take(mutex, waiter->wait.task, word), false))
			return false;
		*word = word_unlisted(mutex, *word);
	} while (MUTANT(180, !(*word & MUTEX_OWNER), false) ||
		 !cas_acquire(&mutex->word, word, *word | MUTEX_LIST)); /* P1, I2 */
	if (!mutex->waiters.next)
		list_init(&mutex->waiters);
	mutex->home = list_empty(&mutex->waiters) ? home : barge_both(mutex->home, home);
	list_init(&waiter->link);
	list_add_tail(&mutex->waiters, &waiter->link);
	list_give_back(mutex, *word | MUTEX_WAITERS);
	return true;
}

/* [has the list] Out of it, as owner if the mutex is free: 0; else @rc. Nobody need be woken: I2. */
static int waiter_leave(struct mutex *mutex, struct mutex_waiter *waiter, uintptr_t word, int rc)
{
	bool first = list_first(&mutex->waiters) == &waiter->link;

	list_del(&waiter->link);
	word &= ~MUTEX_WAITERS;
	if (MUTANT(181, first, false))
		word &= ~MUTEX_WOKEN;
	if (MUTANT(182, !(word & MUTEX_OWNER), rc == 0)) {
		word |= (uintptr_t)waiter->wait.task;
		rc = 0;
	}
	list_give_back(mutex, word | list_bits(mutex));
	return rc;
}

/* Woken, or to leave (*@rc is why). True: the wait is over, with *@rc; else the mutex has an owner, as before. */
static bool waiter_look(struct mutex *mutex, struct mutex_waiter *waiter, int *rc)
{
	uintptr_t word = load_relaxed(&mutex->word),
		  me = (uintptr_t)waiter->wait.task; /* relaxed: what follows acquires */

	for (;;) {
		word = word_unlisted(mutex, word);
		if ((word & MUTEX_OWNER) == me) {
			/* P1, P3: given, and out of the list */
			(void)MUTANT(184, load_acquire(&mutex->word), load_relaxed(&mutex->word));
			*rc = 0;
			return true;
		}
		if (*rc < 0 || MUTANT(183, !(word & MUTEX_OWNER), false)) {
			if (cas_acquire(&mutex->word, &word, word | MUTEX_LIST)) { /* P1 */
				*rc = waiter_leave(mutex, waiter, word, *rc);
				return true;
			}
		} else if (cas_relaxed(&mutex->word, &word, /* relaxed: nothing is handed over */
				       word & ~MUTANT(186, MUTEX_WOKEN, (uintptr_t)0))) { /* I2 */
			return false;
		}
	}
}

static int mutex_wait(struct mutex *mutex, uintptr_t *word, hilo_time deadline)
{
	struct mutex_waiter waiter;
	int rc = hilo__wait_begin(&waiter.wait, WAIT_MUTEX, mutex, deadline);

	if (rc < 0)
		return rc;
	waiter.since = cycles_now();
	if (waiter_add(mutex, &waiter, word)) {
		do
			rc = hilo__wait_park(&waiter.wait);
		while (!waiter_look(mutex, &waiter, &rc));
	}
	hilo__wait_end(&waiter.wait);
	return rc;
}

/* ---- the calls ---- */

static int refuse_callback(const char *call)
{
	return hilo_fail(-EDEADLK, "%s: a callback cannot have a mutex", call);
}

static HILO__COLD int refuse_again(const char *call, const struct mutex *mutex, const struct hilo_task *me,
				   const void *site)
{
	const void *before = order_is_on(thread_self()) ? hilo__order_where(me, mutex) : NULL;
	const char *who;
	char label[TASK_LABEL_SIZE], first[SITE_SIZE], second[SITE_SIZE];

	who = me->flags & TASK_THREAD ? "the thread" : hilo__task_label(me, label);
	if (!before)
		return hilo_fail(-EDEADLK, "%s: %s has the mutex %p already", call, who, (const void *)mutex);
	hilo__site_describe(before, first, sizeof(first));
	hilo__site_describe(site, second, sizeof(second));
	return hilo_fail(-EDEADLK, "%s: %s has the mutex %p already, locked at %.70s; again at %.70s", call,
			 who, (const void *)mutex, first, second);
}

/* [any] What the word of the next mutex will have beside its owner, maybe: what the last one had. */
static inline void guess_set(uintptr_t word)
{
	struct thread *self = thread_self();

	if (!order_is_on(self))
		self->mutex_guess = word & (MUTEX_WAITERS | MUTEX_WOKEN);
}

/* Who has no record yet, is to be cancelled, or finds it other than expected. */
static int mutex_lock_as(struct mutex *mutex, struct hilo_task *me, hilo_time deadline, const void *site)
{
	uintptr_t word;
	int rc;

	word = load_relaxed(&mutex->word); /* relaxed: the CAS acquires */
	guess_set(word);
	if (mutex_take(mutex, me, &word))
		return 0;
	if (owner_of(word) == me)
		return refuse_again("hilo_mutex_lock", mutex, me, site);
	if (MUTANT(327, barge_is_over(deadline), false))
		return hilo__error_own(-ETIMEDOUT);
	if (mutex_spin(mutex, me, &word))
		return 0;
	rc = mutex_wait(mutex, &word, deadline);
	return rc < 0 ? hilo__error_own(rc) : 0;
}

static HILO__NOINLINE int mutex_lock_slow(struct mutex *mutex, hilo_time deadline, const void *site)
{
	struct hilo_task *me;
	int rc = hilo__locker(&me);

	if (rc < 0)
		return rc == -EDEADLK ? refuse_callback("hilo_mutex_lock") : rc;
	if (task_is_interrupted(me))
		return hilo__error_own(-ECANCELED);
	if (HILO__LIKELY(!order_is_on(thread_self())))
		return mutex_lock_as(mutex, me, deadline, site);
	if (!barge_is_over(deadline))
		hilo__order_wants(me, mutex, &mutex->order, site);
	rc = mutex_lock_as(mutex, me, deadline, site);
	if (rc == 0)
		hilo__order_has(me, mutex, &mutex->order, site);
	return rc;
}

/*
 * The word is not looked at before: the CAS would have to wait for that, after the CAS before it, and cost 2 ns more
 * where nobody else is. Where somebody is the guess is right, mostly, and saves one that fails: 8 ns.
 */
static inline int mutex_lock_at(hilo_mutex *mutex, hilo_time deadline, const void *site)
{
	const struct thread *self = thread_self();
	struct hilo_task *me = self->task;
	uintptr_t word = self->mutex_guess;

	if (HILO__LIKELY(me && !self->closing && !task_is_cancelled(me)) &&
	    HILO__LIKELY(MUTANT(187, cas_acquire(&mutex_of(mutex)->word, &word, word | (uintptr_t)me),
				cas_relaxed(&mutex_of(mutex)->word, &word, word | (uintptr_t)me)))) /* P1 */
		return 0;
	return mutex_lock_slow(mutex_of(mutex), deadline, site);
}

int hilo_mutex_lock(hilo_mutex *mutex, hilo_time deadline)
{
	return mutex_lock_at(mutex, deadline, __builtin_return_address(0));
}

int hilo__mutex_lock_at(hilo_mutex *mutex, const void *site)
{
	return mutex_lock_at(mutex, HILO_FOREVER, site);
}

int hilo_mutex_try_lock(hilo_mutex *public)
{
	struct mutex *mutex = mutex_of(public);
	const void *site = __builtin_return_address(0);
	struct hilo_task *me;
	uintptr_t word;
	int rc = hilo__locker(&me);

	if (rc < 0)
		return rc == -EDEADLK ? refuse_callback("hilo_mutex_try_lock") : rc;
	word = load_relaxed(&mutex->word); /* relaxed: the CAS acquires */
	if (!mutex_take(mutex, me, &word))
		return owner_of(word) == me ? refuse_again("hilo_mutex_try_lock", mutex, me, site) : -EAGAIN;
	if (order_is_on(thread_self()))
		hilo__order_has(me, mutex, &mutex->order, site);
	return 0;
}

static HILO__COLD int refuse_unlock(const struct mutex *mutex, uintptr_t word)
{
	struct hilo_task *owner = owner_of(word);

	if (!owner)
		return hilo_fail(-EPERM, "hilo_mutex_unlock: the mutex %p is not locked",
				 (const void *)mutex);
	return hilo_fail(-EPERM, "hilo_mutex_unlock: the mutex %p is another's", (const void *)mutex);
}

/* [has the list, owner] Whether to give it to @first: nobody is to get past it, or somebody has for long enough. */
static bool first_is_given(const struct mutex *mutex, const struct mutex_waiter *first)
{
	return mutex->flags & HILO_MUTEX_FAIR || mutex->home != BARGE_ANYWHERE || barge_is_late(first->since);
}

/* [has the list, owner] Let it go and wake the first, or give it away. Whom to wake is copied: P2. */
static void mutex_pass_on(struct mutex *mutex, bool woken)
{
	struct mutex_waiter *first = list_entry(list_first(&mutex->waiters), struct mutex_waiter, link);
	struct hilo_task *task = first->wait.task;
	uint32_t episode = first->wait.episode;

	mutex->home = barge_both(mutex->home, barge_place());
	if (first_is_given(mutex, first)) {
		list_del(&first->link);
		list_give_back(mutex, (uintptr_t)task | list_bits(mutex));
	} else {
		mutex->since = first->since;
		list_give_back(mutex, MUTEX_WAITERS | MUTEX_WOKEN);
		if (woken)
			return;
	}
	if (MUTANT(189, true, mutex->waiters.next != NULL)) /* P2 */
		hilo__task_wake(task, episode);
}

/* [owner] The first is on its way already, and has time. */
static inline bool may_pass(struct mutex *mutex, uintptr_t word)
{
	return word & MUTEX_WOKEN && (++mutex->passes % PASSES_PER_LOOK != 0 || !barge_is_late(mutex->since));
}

/* Others wait, or it is not the caller's. */
static HILO__NOINLINE int mutex_unlock_slow(struct mutex *mutex)
{
	const struct hilo_task *me = thread_self()->task;
	uintptr_t word = load_relaxed(&mutex->word); /* relaxed: if it is ours, we have made it so */

	if (!me || owner_of(word) != me)
		return refuse_unlock(mutex, word);
	if (order_is_on(thread_self())) {
		int rc = hilo__order_check_fork(me, mutex, "hilo_mutex_unlock");

		if (rc < 0)
			return rc;
		hilo__order_lets_go(me, mutex);
	}
	guess_set(word);
	for (;;) {
		if (word & MUTEX_LIST) {
			word = word_unlisted(mutex, word);
		} else if (!(word & MUTEX_WAITERS) || may_pass(mutex, word)) {
			if (MUTANT(328, cas_release(&mutex->word, &word, word & ~MUTEX_OWNER),
				   cas_relaxed(&mutex->word, &word, word & ~MUTEX_OWNER))) /* P1 */
				return 0;
		} else if (cas_acquire(&mutex->word, &word, word | MUTEX_LIST)) { /* P1 */
			mutex_pass_on(mutex, word & MUTEX_WOKEN);
			return 0;
		}
	}
}

int hilo_mutex_unlock(hilo_mutex *mutex)
{
	const struct thread *self = thread_self();
	uintptr_t me = (uintptr_t)self->task, word = me;

	if (HILO__LIKELY(me && !self->mutex_guess) &&
	    HILO__LIKELY(MUTANT(188, cas_release(&mutex_of(mutex)->word, &word, 0),
				cas_relaxed(&mutex_of(mutex)->word, &word, 0)))) /* P1 */
		return 0;
	return mutex_unlock_slow(mutex_of(mutex));
}

static int mutex_enter(void *mutex)
{
	return mutex_lock_at(mutex, HILO_FOREVER, __builtin_return_address(0));
}

static int mutex_exit(void *mutex, int code)
{
	int rc = hilo_mutex_unlock(mutex);

	return rc < 0 && code >= 0 ? rc : code;
}

const hilo_manager hilo_mutex_manager = {mutex_enter, mutex_exit};
