/* SPDX-License-Identifier: MIT */
/*
 * wait_group.c - wait groups and latches: a number that somebody counts down, and who waits until it is 0. The order
 * of all accesses is argued in word_impl.h, who is told when in contend_impl.h.
 *
 * I1  Nobody is in the list while the number is 0: the step to 0 is made under the lock if somebody waits, and takes
 *     all out. They are won in several steps, if they are many; until then each may leave by himself. Whoever finds 0
 *     meanwhile goes on at once; he may not free it, because one of them still waits (won_impl.h).
 *
 * Go's wait groups panic when they are used again while those who have waited have not run yet, since these look
 * again. Here each was told, and does not.
 */
#include <hilo/sync/latch.h>
#include <hilo/sync/wait_group.h>

#include <hilo/runtime/error.h>

#include <errno.h>

#include "runtime/contend_impl.h"
#include "runtime/error_impl.h"
#include "sync/won_impl.h"
#include "sync/word_impl.h"

static inline struct word *group_of(const hilo_wait_group *group)
{
	EMBED_FITS(word, hilo_wait_group);
	return (struct word *)group;
}

static inline struct word *latch_of(const hilo_latch *latch)
{
	EMBED_FITS(word, hilo_latch);
	return (struct word *)latch;
}

static int count_init(struct word *word, size_t count, const char *call)
{
	if (!word || count > WORD_MAX)
		return hilo_fail(-EINVAL, "%s: %p, count %zu", call, (void *)word, count);
	word_init(word, count);
	return 0;
}

static int count_destroy(struct word *word, const char *call)
{
	if (!word)
		return hilo_fail(-EINVAL, "%s: NULL", call);
	if (!word_is_left(word))
		return hilo_fail(-EBUSY, "%s: somebody waits for %p", call, (void *)word);
	return 0;
}

/* [any] Somebody waits, and it may become 0. False: it is less than @n. */
static bool count_down_waited(struct word *word, uint64_t n)
{
	struct list all = LIST_INIT(all), won = LIST_INIT(won);
	uint64_t number = word_lock(word);
	size_t count = 0;

	if (number < n) {
		word_unlock(word, number);
		return false;
	}
	number -= n;
	if (number == 0) /* I1 */
		list_splice(&all, embed_list(&word->waiters));
	while (won_some(&won, &all, &count)) {
		word_unlock(word, number);
		won_tell_but_last(&won);
		number = word_lock(word);
	}
	word->waiting -= count;
	word_unlock(word, number);
	won_tell(&won);
	return true;
}

static HILO__COLD int count_too_low(struct word *word, uint64_t n, const char *call)
{
	return hilo_fail(HILO_EINVALSTATE, "%s: %zu of %zu", call, (size_t)n,
			 (size_t)word_number(word_look(word)));
}

static int count_down(struct word *word, uint64_t n, const char *call)
{
	uint64_t bits;

	if (!word)
		return hilo_fail(-EINVAL, "%s: NULL", call);
	bits = word_look(word);
	do {
		if (word_number(bits) < n)
			return count_too_low(word, n, call);
		if (MUTANT(224, bits & WORD_WAITERS && word_number(bits) == n, false)) /* I1 */
			return count_down_waited(word, n) ? 0 : count_too_low(word, n, call);
	} while (!word_give(word, &bits, bits - (n << WORD_SHIFT)));
	return 0;
}

static int count_wait_long(struct word *word, hilo_time deadline)
{
	struct contender contender;
	struct contend_node node;
	uint64_t number;
	int rc = hilo__contend_begin(&contender, WAIT_COUNT, word, deadline);

	if (rc < 0)
		return rc;
	number = word_lock(word);
	if (number > 0) {
		word_add(word, &node, &contender, 0);
		word_unlock(word, number);
		rc = hilo__contend_wait(&contender);
		if (rc < 0) {
			number = word_lock(word);
			word_remove(word, &node);
			word_unlock(word, number);
		}
	} else {
		word_unlock(word, number);
	}
	hilo__contend_end(&contender);
	return rc;
}

static int count_wait(struct word *word, hilo_time deadline, const char *call)
{
	struct thread *self = thread_self();
	int rc;

	if (!word)
		return hilo_fail(-EINVAL, "%s: NULL", call);
	if (contend_is_interrupted(self))
		return hilo__error_own(-ECANCELED);
	if (word_number(word_look(word)) == 0) {
		if (deadline > 0)
			contend_was_free(self);
		return 0;
	}
	rc = contend_try_on(self, deadline);
	if (rc == 0)
		rc = count_wait_long(word, deadline);
	return rc < 0 ? hilo__error_own(rc) : 0;
}

int hilo_wait_group_init(hilo_wait_group *group)
{
	return count_init(group_of(group), 0, "hilo_wait_group_init");
}

int hilo_wait_group_destroy(hilo_wait_group *group)
{
	return count_destroy(group_of(group), "hilo_wait_group_destroy");
}

int hilo_wait_group_add(hilo_wait_group *group, size_t n)
{
	struct word *word = group_of(group);
	uint64_t bits;

	if (!word)
		return hilo_fail(-EINVAL, "hilo_wait_group_add: group is NULL");
	bits = word_look(word);
	do {
		if (n > WORD_MAX - word_number(bits))
			return hilo_fail(-EOVERFLOW, "hilo_wait_group_add: %zu and %zu", n,
					 (size_t)word_number(bits));
	} while (!word_give(word, &bits, bits + ((uint64_t)n << WORD_SHIFT)));
	return 0;
}

int hilo_wait_group_done(hilo_wait_group *group)
{
	return count_down(group_of(group), 1, "hilo_wait_group_done");
}

int hilo_wait_group_wait(hilo_wait_group *group, hilo_time deadline)
{
	return count_wait(group_of(group), deadline, "hilo_wait_group_wait");
}

size_t hilo_wait_group_count(const hilo_wait_group *group)
{
	return group ? (size_t)word_number(word_look(group_of(group))) : 0;
}

int hilo_latch_init(hilo_latch *latch, size_t count)
{
	return count_init(latch_of(latch), count, "hilo_latch_init");
}

int hilo_latch_destroy(hilo_latch *latch)
{
	return count_destroy(latch_of(latch), "hilo_latch_destroy");
}

int hilo_latch_count_down(hilo_latch *latch, size_t n)
{
	return count_down(latch_of(latch), n, "hilo_latch_count_down");
}

int hilo_latch_wait(hilo_latch *latch, hilo_time deadline)
{
	return count_wait(latch_of(latch), deadline, "hilo_latch_wait");
}

size_t hilo_latch_count(const hilo_latch *latch)
{
	return latch ? (size_t)word_number(word_look(latch_of(latch))) : 0;
}
