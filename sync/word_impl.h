/* SPDX-License-Identifier: MIT */
#ifndef HILO_SYNC_WORD_IMPL_H
#define HILO_SYNC_WORD_IMPL_H

/*
 * word_impl.h - a number, the lock of a list, and whether somebody is in that list: in one word.
 *
 *	63 ... 2  the number        1  WAITERS: the list is not empty        0  LOCKED
 *
 * P1  A word that is not locked is changed by anybody, by CAS; one that is locked, by its holder alone, who gives
 *     the lock back by storing the whole new word. The CAS that takes acquires, and so does the one that locks;
 *     the CAS that gives releases, and so does the store. CASes continue each other's release; who locks has
 *     acquired what came before. So who takes sees what all have done who gave before.
 * P2  Whatever a call changes becomes visible with its last access to the object: the CAS, or the store that
 *     unlocks. So who finds what it wanted may free the object, even though the other call has not returned. For
 *     that nobody takes what a locked word says. Who gives to many takes the lock several times; until the last time
 *     one of those he has won waits, so that nobody may free it.
 *
 * P3  `waiting` counts those who are in the list, or were taken out and not won, and are still to come for the lock, or
 *     were won by one who is still to come for it. While it is not 0 the object does not end.
 *
 * Rejected: a spinlock beside the number. Who takes without it would have to look, afterwards, whether a giver
 * still holds it.
 */
#include "runtime/contend_impl.h"
#include "scheduler/base/atomic.h"
#include "scheduler/base/list.h"
#include "scheduler/base/lock.h"
#include "sync/embed_impl.h"

struct word {
	atomic(uint64_t) bits; /* P1 */
	struct list waiters;   /* under lock */
	size_t waiting;	       /* P3; under lock */
};

#define WORD_LOCKED ((uint64_t)1)
#define WORD_WAITERS ((uint64_t)2)
#define WORD_SHIFT 2
#define WORD_ONE ((uint64_t)1 << WORD_SHIFT)
#define WORD_MAX (UINT64_MAX >> WORD_SHIFT)

static inline uint64_t word_number(uint64_t bits)
{
	return bits >> WORD_SHIFT;
}

/* [owner] Begin. */
static inline void word_init(struct word *word, uint64_t number)
{
	atomic_setup(&word->bits, number << WORD_SHIFT);
	list_init(&word->waiters);
	word->waiting = 0;
}

/* [any] What it says while nobody has locked it. */
static inline uint64_t word_look(struct word *word)
{
	uint64_t bits = load_acquire(&word->bits); /* P1 */

	for (unsigned round = 0; MUTANT(216, bits & WORD_LOCKED, false); round++) { /* P2 */
		spin_pause(round);
		bits = load_acquire(&word->bits); /* P1 */
	}
	return bits;
}

/* [any] Take @bits, which were seen, to @wanted; takes from the number, or gives. False: *@bits is what it says now. */
static inline bool word_take(struct word *word, uint64_t *bits, uint64_t wanted)
{
	if (HILO__LIKELY(MUTANT(217, cas_acquire(&word->bits, bits, wanted),
				cas_relaxed(&word->bits, bits, wanted)))) /* P1 */
		return true;
	if (*bits & WORD_LOCKED)
		*bits = word_look(word);
	return false;
}

static inline bool word_give(struct word *word, uint64_t *bits, uint64_t wanted)
{
	if (HILO__LIKELY(MUTANT(218, cas_release(&word->bits, bits, wanted),
				cas_relaxed(&word->bits, bits, wanted)))) /* P1 */
		return true;
	if (*bits & WORD_LOCKED)
		*bits = word_look(word);
	return false;
}

/* [any] Lock it. The number. */
static inline uint64_t word_lock(struct word *word)
{
	uint64_t bits = word_look(word);

	while (!cas_acquire(&word->bits, &bits, bits | WORD_LOCKED)) /* P1 */
		if (bits & WORD_LOCKED)
			bits = word_look(word);
	hilo__spin_count(1);
	return word_number(bits);
}

/* [holder] Its last access: the number is @number, and the list is what it is. */
static inline void word_unlock(struct word *word, uint64_t number)
{
	uint64_t bits = number << WORD_SHIFT;

	if (!embed_list_empty(&word->waiters))
		bits |= WORD_WAITERS;
	hilo__spin_count(-1);
	MUTANT(219, store_release(&word->bits, bits), store_relaxed(&word->bits, bits)); /* P1, P2 */
}

/* [holder] The number, if the holder does not know it; and another one, which others see when it is unlocked. */
static inline uint64_t word_held(struct word *word)
{
	return word_number(load_relaxed(&word->bits)); /* relaxed: under the lock */
}

static inline void word_hold(struct word *word, uint64_t number)
{
	store_relaxed(&word->bits, (number << WORD_SHIFT) | WORD_LOCKED); /* relaxed: nobody takes it, P2 */
}

/* [any] Nobody waits, and nobody who has waited comes for the lock. */
static inline bool word_is_left(struct word *word)
{
	uint64_t number = word_lock(word);
	bool left = MUTANT(305, word->waiting == 0, embed_list_empty(&word->waiters)); /* P3 */

	word_unlock(word, number);
	return left;
}

/* [holder] Be one of those who wait. */
static inline void word_add(struct word *word, struct contend_node *node, struct contender *contender,
			    uint32_t number)
{
	contend_add(embed_list(&word->waiters), node, contender, number);
	word->waiting++;
}

/* [holder] One whose wait has ended, and who was not won, is none of them any more. */
static inline void word_remove(struct word *word, struct contend_node *node)
{
	(void)contend_remove(node);
	word->waiting--;
}

#endif /* HILO_SYNC_WORD_IMPL_H */
