/* SPDX-License-Identifier: MIT */
/* fork.c - what is private, public and stolen of a task's forks. Invariants and pairs: fork.h. */
#include "scheduler/fork.h"

#include "scheduler/base/lock.h"

void hilo__forks_open(struct forks *forks, struct hilo_runtime *runtime, unsigned kind, struct forks *outer)
{
	uint64_t word = load_relaxed(&forks->word); /* relaxed: nobody changes it between regions */

	forks->split = forks->record;
	forks->failed = 0;
	forks->late = NULL;
	forks->late_forks = 0;
	store_relaxed(&forks->limit, forks_end(forks)); /* relaxed: whoever asks us now asks again */
	store_relaxed(&forks->floor, forks->record);	/* relaxed: as above */
	store_relaxed(&forks->runtime, runtime); /* relaxed: published with the first fork, as those below */
	store_relaxed(&forks->outer, outer);
	store_relaxed(&forks->kind, kind);
	store_relaxed(&forks->helped, 0);
	word += MUTANT(491, (uint64_t)1 << 32, 0);
	/* relaxed: there is nothing to take until something is published */
	store_relaxed(&forks->word, forks_word(word, 0, 0));
}

void hilo__forks_publish(struct forks *forks, struct hilo_fork *end, bool all)
{
	struct hilo_fork *split = forks->split;
	ptrdiff_t n = end - split;

	if (n <= 0)
		return;
	n = all ? n : (n + 1) / 2;
	for (ptrdiff_t i = 0; i < n; i++) {
		store_relaxed(&fork_state(&split[i])->thief, NULL); /* relaxed: published with the record */
		store_relaxed(&fork_state(&split[i])->flags, 0);    /* relaxed: as above */
	}
	forks->split = split + n;
	(void)MUTANT(481, add_release(&forks->word, (uint64_t)n << 16),
		     add_relaxed(&forks->word, (uint64_t)n << 16)); /* P1 */
}

bool hilo__forks_settle(struct forks *forks)
{
	(void)MUTANT(487, xchg_acquire(&forks->floor, forks->split),
		     xchg_relaxed(&forks->floor, forks->split)); /* P4 */
	return MUTANT(487, xchg_acquire(&forks->limit, forks_end(forks)),
		      xchg_relaxed(&forks->limit, forks_end(forks))) != forks_end(forks); /* P4 */
}

void hilo__forks_give(struct forks *forks, struct hilo_fork *end)
{
	if (end > forks->split) {
		hilo__forks_publish(forks, end, false);
		forks_set_floor(forks);
	} else {
		store_relaxed(&forks->limit,
			      forks->record); /* relaxed: a request that is overwritten is in the floor,
					       * and counts as one by this */
	}
}

bool hilo__forks_retract(struct forks *forks, struct hilo_fork *fork)
{
	unsigned index = (unsigned)(fork - forks->record), tail, split;
	uint64_t word = load_relaxed(&forks->word); /* relaxed: only an expected value */

	do {
		tail = forks_word_tail(word);
		if (MUTANT(486, tail > index, tail > index + 1))
			return false;
		split = tail + MUTANT(482, index + 1 - tail, index + 2 - tail) / 2;
	} while (!cas_relaxed(&forks->word, &word,
			      forks_word(word, split, tail))); /* relaxed: what becomes private is our own */
	forks->split = forks->record + split;
	forks_set_floor(forks);
	return true;
}

void hilo__forks_joined(struct forks *forks, struct hilo_fork *fork)
{
	unsigned index = (unsigned)(fork - forks->record);
	uint64_t word = load_relaxed(&forks->word); /* relaxed: all is taken, so nobody else changes it */

	fork_set_free(fork);
	forks->split = fork;
	/* relaxed: there is nothing to take */
	store_relaxed(&forks->word, forks_word(word, MUTANT(489, index, index + 1), index));
	forks_set_floor(forks);
}

struct hilo_fork *hilo__forks_take(struct forks *forks, struct hilo_runtime *runtime, unsigned kind)
{
	uint64_t word = MUTANT(492, load_acquire(&forks->word), load_relaxed(&forks->word)); /* P1 */
	unsigned tail;

	do {
		tail = forks_word_tail(word);
		if (tail >= forks_word_split(word))
			return NULL;
		/* relaxed: of the region that the word is of, or the exchange fails */
		if (load_relaxed(&forks->runtime) != runtime ||
		    load_relaxed(&forks->kind) != kind) /* relaxed: as above */
			return NULL;
	} while (!MUTANT(483, cas_acquire(&forks->word, &word, word + 1),
			 cas_relaxed(&forks->word, &word, word + 1))); /* P1 */
	return &forks->record[tail];
}

struct hilo_task *hilo__fork_thief(struct hilo_fork *fork)
{
	struct hilo_task *thief;

	for (unsigned round = 0; !(thief = load_acquire(&fork_state(fork)->thief)); round++) /* P2 */
		spin_pause(round);
	return thief;
}
