/* SPDX-License-Identifier: MIT */
/*
 * semaphore.c - permits. The order of all accesses is argued in word_impl.h, who is told when in contend_impl.h.
 *
 * I1  While somebody waits the first of them asks for more than there is: whoever changes that, one who gives or
 *     one who leaves, goes on to serve them. If they are many he unlocks now and then (won_impl.h), and until he has
 *     done others who lock may find, and serve, the first of the rest.
 * I2  While somebody waits nobody takes by CAS: he would overtake.
 *
 * Who leaves gives nothing back, because nothing was taken for him: he was not won. Rejected: permits that are set
 * aside for one who is woken. He may be cancelled before he runs, and has to hand them on then.
 */
#include <hilo/sync/semaphore.h>

#include <hilo/runtime/error.h>

#include <errno.h>

#include "runtime/contend_impl.h"
#include "runtime/error_impl.h"
#include "runtime/select_impl.h"
#include "sync/won_impl.h"
#include "sync/word_impl.h"

struct semaphore {
	struct word word; /* the number: permits */
	uint64_t max;	  /* fixed; 0: WORD_MAX */
};

/* One who waits. */
struct taker {
	struct contend_node node;
	uint64_t n;
};

_Static_assert(WORD_MAX == HILO_SEMAPHORE_MAX, "HILO_SEMAPHORE_INIT knows the shift");

static inline struct semaphore *semaphore_of(const hilo_semaphore *semaphore)
{
	EMBED_FITS(semaphore, hilo_semaphore);
	return (struct semaphore *)semaphore;
}

static inline uint64_t semaphore_max(const struct semaphore *semaphore)
{
	return semaphore->max ? semaphore->max : WORD_MAX;
}

int hilo_semaphore_init(hilo_semaphore *public, size_t value, size_t max)
{
	struct semaphore *semaphore = semaphore_of(public);

	if (!semaphore || max > HILO_SEMAPHORE_MAX || value > (max ? max : HILO_SEMAPHORE_MAX))
		return hilo_fail(-EINVAL, "hilo_semaphore_init: semaphore %p, value %zu, max %zu",
				 (void *)semaphore, value, max);
	word_init(&semaphore->word, value);
	semaphore->max = max;
	return 0;
}

int hilo_semaphore_destroy(hilo_semaphore *public)
{
	struct semaphore *semaphore = semaphore_of(public);

	if (!semaphore)
		return hilo_fail(-EINVAL, "hilo_semaphore_destroy: semaphore is NULL");
	if (!word_is_left(&semaphore->word))
		return hilo_fail(-EBUSY, "hilo_semaphore_destroy: somebody waits for semaphore %p",
				 (void *)semaphore);
	return 0;
}

/* [any] Take @n if there are so many and nobody waits: I2. */
static inline bool semaphore_take(struct semaphore *semaphore, uint64_t n)
{
	uint64_t bits = word_look(&semaphore->word);

	while (MUTANT(220, !(bits & WORD_WAITERS), true) && word_number(bits) >= n)
		if (word_take(&semaphore->word, &bits, bits - (n << WORD_SHIFT)))
			return true;
	return false;
}

/* [holder of the lock] The first who waits, if @number is enough for him; else NULL. */
static struct taker *semaphore_next(struct semaphore *semaphore, uint64_t number)
{
	struct list *first = list_first(embed_list(&semaphore->word.waiters));
	struct taker *taker = first ? list_entry(first, struct taker, node.link) : NULL;

	return taker && taker->n <= number ? taker : NULL;
}

/* [holder of the lock] Win some of those for whom @number is enough. What is left of it; *@count counts them. */
static uint64_t semaphore_win(struct semaphore *semaphore, uint64_t number, struct list *won, size_t *count)
{
	struct taker *taker;

	for (unsigned n = 0; n < WON_BATCH && (taker = semaphore_next(semaphore, number));) {
		(void)contend_remove(&taker->node);
		if (won_add(won, &taker->node)) {
			number -= taker->n;
			n++;
			++*count;
		}
	}
	return number;
}

/* [holder of the lock, which is given back] There are @number: serve those who wait, as far as that goes. I1. */
static void semaphore_serve(struct semaphore *semaphore, uint64_t number)
{
	struct list won = LIST_INIT(won);
	size_t count = 0;

	number = semaphore_win(semaphore, number, &won, &count);
	while (semaphore_next(semaphore, number)) {
		word_unlock(&semaphore->word, number);
		won_tell_but_last(&won);
		number = word_lock(&semaphore->word);
		number = semaphore_win(semaphore, number, &won, &count);
	}
	semaphore->word.waiting -= count;
	word_unlock(&semaphore->word, number);
	won_tell(&won);
}

static int semaphore_wait(struct semaphore *semaphore, uint64_t n, hilo_time deadline)
{
	struct contender contender;
	struct taker taker = {.n = n};
	uint64_t number;
	int rc = hilo__contend_begin(&contender, WAIT_SEMAPHORE, semaphore, deadline);

	if (rc < 0)
		return rc;
	number = word_lock(&semaphore->word);
	if (number >= n && embed_list_empty(&semaphore->word.waiters)) {
		word_unlock(&semaphore->word, number - n);
		hilo__contend_end(&contender);
		return 0;
	}
	word_add(&semaphore->word, &taker.node, &contender, 0);
	word_unlock(&semaphore->word, number);
	rc = hilo__contend_wait(&contender);
	if (rc < 0) {
		number = word_lock(&semaphore->word);
		word_remove(&semaphore->word, &taker.node);
		MUTANT(221, semaphore_serve(semaphore, number),
		       word_unlock(&semaphore->word, number)); /* I1 */
	}
	hilo__contend_end(&contender);
	return rc;
}

static int semaphore_check(const struct semaphore *semaphore, size_t n, const char *call)
{
	if (!semaphore)
		return hilo_fail(-EINVAL, "%s: semaphore is NULL", call);
	if (n > semaphore_max(semaphore))
		return hilo_fail(-EINVAL, "%s: %zu permits, there can be %zu", call, n,
				 (size_t)semaphore_max(semaphore));
	return 0;
}

int hilo_semaphore_acquire(hilo_semaphore *public, size_t n, hilo_time deadline)
{
	struct semaphore *semaphore = semaphore_of(public);
	struct thread *self = thread_self();
	int rc;

	if (HILO__UNLIKELY(!semaphore || n > semaphore_max(semaphore)))
		return semaphore_check(semaphore, n, "hilo_semaphore_acquire");
	if (contend_is_interrupted(self))
		return hilo__error_own(-ECANCELED);
	if (HILO__LIKELY(n == 0 || semaphore_take(semaphore, n))) {
		if (deadline > 0)
			contend_was_free(self);
		return 0;
	}
	rc = MUTANT(306, contend_try_on(self, deadline), 0);
	if (rc == 0)
		rc = semaphore_wait(semaphore, n, deadline);
	return rc < 0 ? hilo__error_own(rc) : 0;
}

int hilo_semaphore_try_acquire(hilo_semaphore *public, size_t n)
{
	struct semaphore *semaphore = semaphore_of(public);

	if (HILO__UNLIKELY(!semaphore || n > semaphore_max(semaphore)))
		return semaphore_check(semaphore, n, "hilo_semaphore_try_acquire");
	return n == 0 || semaphore_take(semaphore, n) ? 0 : -EAGAIN;
}

static HILO__COLD int semaphore_over(const struct semaphore *semaphore, uint64_t number, size_t n)
{
	return hilo_fail(-EOVERFLOW, "hilo_semaphore_release: %zu permits, there are %zu of at most %zu", n,
			 (size_t)number, (size_t)semaphore_max(semaphore));
}

/* Somebody waits. */
static int semaphore_give(struct semaphore *semaphore, size_t n)
{
	uint64_t max = semaphore_max(semaphore), number = word_lock(&semaphore->word);

	if (n > max - number) {
		word_unlock(&semaphore->word, number);
		return semaphore_over(semaphore, number, n);
	}
	semaphore_serve(semaphore, number + n);
	return 0;
}

int hilo_semaphore_release(hilo_semaphore *public, size_t n)
{
	struct semaphore *semaphore = semaphore_of(public);
	uint64_t bits;

	if (HILO__UNLIKELY(!semaphore))
		return hilo_fail(-EINVAL, "hilo_semaphore_release: semaphore is NULL");
	bits = word_look(&semaphore->word);
	do {
		if (MUTANT(222, bits & WORD_WAITERS, false)) /* I1 */
			return n ? semaphore_give(semaphore, n) : 0;
		if (n > semaphore_max(semaphore) - word_number(bits))
			return semaphore_over(semaphore, word_number(bits), n);
	} while (!word_give(&semaphore->word, &bits, bits + ((uint64_t)n << WORD_SHIFT)));
	return 0;
}

size_t hilo_semaphore_value(const hilo_semaphore *public)
{
	return public ? (size_t)word_number(word_look(&semaphore_of(public)->word)) : 0;
}

static int semaphore_enter(void *self)
{
	return hilo_semaphore_acquire(self, 1, HILO_FOREVER);
}

static int semaphore_exit(void *self, int code)
{
	int rc = hilo_semaphore_release(self, 1);

	return code < 0 ? code : rc < 0 ? rc : code;
}

const hilo_manager hilo_semaphore_manager = {semaphore_enter, semaphore_exit};

/* A case of a select: one who waits, and is in the list under the number of his case. */
struct acquire_case {
	struct taker taker;
	bool ahead; /* what he has left is enough for those behind him */
	int code;
};

SELECT_FITS(struct acquire_case);

static struct acquire_case *case_of(struct select_place *place)
{
	return (struct acquire_case *)place->room;
}

/* Nobody else's address: it says which lock that is, and in which order it is taken. */
static struct spinlock *select_lock(void *object)
{
	return (struct spinlock *)object;
}

static void select_enter(void *object)
{
	(void)word_lock(&semaphore_of(object)->word);
}

static void select_leave(void *object)
{
	struct word *word = &semaphore_of(object)->word;

	word_unlock(word, word_held(word));
}

static enum select_looked select_look(struct select_place *place)
{
	struct semaphore *semaphore = semaphore_of(place->object);
	uint64_t n = (uintptr_t)place->item, number = word_held(&semaphore->word);

	case_of(place)->code = n > semaphore_max(semaphore) ? -EINVAL : 0;
	if (n == 0 || n > semaphore_max(semaphore))
		return SELECT_DONE;
	if (number < n || MUTANT(307, !embed_list_empty(&semaphore->word.waiters), false)) /* I2 */
		return SELECT_WAIT;
	word_hold(&semaphore->word, number - n);
	return SELECT_DONE;
}

static void select_enlist(struct select_place *place, struct contender *contender, uint32_t number)
{
	struct taker *taker = &case_of(place)->taker;

	taker->n = (uintptr_t)place->item;
	word_add(&semaphore_of(place->object)->word, &taker->node, contender, number);
}

/* Those behind it may be enough now for what is there: they are served when no lock of another object is held. I1. */
static void select_remove(struct select_place *place)
{
	struct semaphore *semaphore = semaphore_of(place->object);
	struct acquire_case *c = case_of(place);

	(void)contend_remove(&c->taker.node);
	c->ahead = semaphore_next(semaphore, word_held(&semaphore->word));
	if (!c->ahead)
		semaphore->word.waiting--;
}

static void select_removed(struct select_place *place)
{
	struct semaphore *semaphore = semaphore_of(place->object);
	uint64_t number;

	if (MUTANT(308, !case_of(place)->ahead, true)) /* I1 */
		return;
	number = word_lock(&semaphore->word);
	semaphore->word.waiting--;
	semaphore_serve(semaphore, number);
}

static int select_finish(struct select_place *place)
{
	size_t n = (uintptr_t)place->item;

	/* The semaphore may be gone. */
	return case_of(place)->code
		       ? hilo_fail(-EINVAL, "hilo_select: %zu permits, more than there can be", n)
		       : 0;
}

const hilo_select_ops hilo_select_acquire = {
	.lock = select_lock,
	.enter = select_enter,
	.leave = select_leave,
	.look = select_look,
	.enlist = select_enlist,
	.remove = select_remove,
	.removed = select_removed,
	.finish = select_finish,
};
