/* SPDX-License-Identifier: MIT */
/*
 * affinity.c - loops whose pieces prefer the workers that have done them before: a task for each worker, bound to its
 * loop, and a word for each piece.
 *
 * I1  The word of a piece says whose it is, and whether it has begun in this round. It changes by compare-and-swap from
 *     not begun to begun, once in each round, and by nobody but who runs the loop between rounds. So it is done once.
 *
 * What a piece writes is ordered by the joins of the tasks, of all rounds; the words order nothing.
 */
#include <hilo/runtime/affinity.h>
#include <hilo/runtime/error.h>
#include <hilo/runtime/loop.h>
#include <hilo/runtime/runtime.h>
#include <hilo/runtime/task.h>

#include <errno.h>

#include "runtime/error_impl.h"
#include "runtime/parallel_impl.h"
#include "scheduler/base/mem.h"
#include "scheduler/scheduler.h"

#define PIECES_PER_WORKER 8
#define BEGUN 1u
#define NO_PIECE SIZE_MAX

struct hilo_affinity {
	atomic(bool) running;
	/* What the words are of. */
	hilo_runtime *runtime;
	int64_t begin, end, grain;
	unsigned workers;
	size_t pieces;
	atomic(uint32_t) * word; /* I1: a worker's number, times two, and BEGUN */
};

/* One round. */
struct round {
	struct hilo_affinity *affinity;
	struct parallel parallel;
	hilo_range_fn body;
	void *arg;
	bool asked; /* the shares, to stop: who runs the round was */
};

/* What one worker does in it. */
struct share {
	struct round *round;
	hilo_task *task;
	unsigned worker;
	int rc;
	size_t failed; /* the piece that rc is of; or NO_PIECE */
	struct error *said;
};

hilo_affinity *hilo_affinity_new(void)
{
	hilo_affinity *affinity = hilo__calloc(1, sizeof(*affinity));

	if (affinity)
		atomic_setup(&affinity->running, false);
	return affinity;
}

void hilo_affinity_free(hilo_affinity *affinity)
{
	if (!affinity)
		return;
	hilo__free(affinity->word);
	hilo__free(affinity);
}

static int64_t piece_begin(const hilo_affinity *affinity, size_t piece)
{
	uint64_t from = (uint64_t)piece * (uint64_t)affinity->grain,
		 all = range_length(affinity->begin, affinity->end);

	return (int64_t)((uint64_t)affinity->begin + (from < all ? from : all));
}

/* [task] A round of these begins: with the words of the one before, or new ones. 0, -ENOMEM. */
static int affinity_prepare(hilo_affinity *affinity, int64_t begin, int64_t end, int64_t grain)
{
	hilo_runtime *runtime = hilo_runtime_current();
	unsigned workers = hilo__parallel_workers();
	uint64_t pieces = (range_length(begin, end) - 1) / (uint64_t)grain + 1;
	atomic(uint32_t) * word;

	if (affinity->word && affinity->begin == begin && affinity->end == end && affinity->grain == grain &&
	    affinity->runtime == runtime && affinity->workers == workers) {
		for (size_t i = 0; i < affinity->pieces; i++) /* relaxed: no round is on */
			store_relaxed(&affinity->word[i], load_relaxed(&affinity->word[i]) & ~BEGUN);
		return 0;
	}
	if (pieces > PTRDIFF_MAX / sizeof(*word) || !(word = hilo__malloc((size_t)pieces * sizeof(*word))))
		return -ENOMEM;
	hilo__free(affinity->word);
	affinity->word = word;
	affinity->pieces = (size_t)pieces;
	affinity->runtime = runtime;
	affinity->begin = begin;
	affinity->end = end;
	affinity->grain = grain;
	affinity->workers = workers;
	for (size_t i = 0; i < affinity->pieces; i++)
		atomic_setup(&word[i], (uint32_t)((uint64_t)i * workers / pieces) * 2);
	return 0;
}

/* [task] Do @piece, unless it has begun. false: nothing more is to begin. */
static bool share_do(struct share *share, size_t piece)
{
	struct round *round = share->round;
	hilo_affinity *affinity = round->affinity;
	uint32_t word = load_relaxed(&affinity->word[piece]); /* relaxed: I1 */
	int64_t begin = piece_begin(affinity, piece), end = piece_begin(affinity, piece + 1);

	if (word & BEGUN)
		return true;
	share->rc = hilo__parallel_stops(&round->parallel);
	if (share->rc < 0)
		return false;
	if (!cas_relaxed(&affinity->word[piece], &word, share->worker * 2 | BEGUN)) /* relaxed: I1 */
		return true;
	share->rc = round->body(begin, end, round->arg);
	if (share->rc < 0) {
		share->failed = piece;
		store_relaxed(&round->parallel.stopped, true); /* relaxed: a hint */
		return false;
	}
	share->rc = 0;
	hilo__parallel_done(&round->parallel, end - begin);
	return true;
}

/* A worker's own pieces in order; then those of others, the last ones first. */
static int share_task(void *arg)
{
	struct share *share = arg;
	const hilo_affinity *affinity = share->round->affinity;

	for (size_t i = 0; i < affinity->pieces; i++)
		if (load_relaxed(&affinity->word[i]) == share->worker * 2 &&
		    !share_do(share, i)) /* relaxed: I1 */
			return share->rc;
	for (size_t i = affinity->pieces; i-- > 0;)
		if (!share_do(share, i))
			return share->rc;
	return 0;
}

/*
 * [task, suspends] Wait until the task of @share has ended; whoever is asked to stop passes that on, once. The shield
 * is for what it has ended with, which who is asked to stop would not be told.
 */
static void share_join(struct share *shares, unsigned count, unsigned which)
{
	struct hilo_task *task = shares[which].task;
	struct round *round = shares[which].round;
	int rc;

	if (!round->asked && !hilo_task_is_done(task))
		(void)hilo_await(task, HILO_FOREVER);
	if (!round->asked && !hilo_task_is_done(task)) {
		round->asked = true;
		for (unsigned i = which; i < count; i++)
			(void)hilo_task_cancel(shares[i].task);
	}
	(void)hilo_shield_enter();
	rc = hilo_await(task, HILO_FOREVER);
	(void)hilo_shield_leave();
	shares[which].rc = rc < 0 ? rc : 0;
	shares[which].said = hilo__parallel_keep(shares[which].rc);
	hilo_task_unref(task);
}

/* [who runs the round, all shares have ended] Every piece has begun, and so has ended. */
static bool round_is_complete(const hilo_affinity *affinity)
{
	for (size_t i = 0; i < affinity->pieces; i++)
		if (!(load_relaxed(&affinity->word[i]) & BEGUN)) /* relaxed: I1 */
			return false;
	return true;
}

/*
 * The code of the lowest piece that has failed, with what was said about it; -ECANCELED only if there is no other. A
 * share may also end without a piece that has failed, when it is cancelled (by who closes the runtime, for one, and
 * before it began) or gets no stack: that counts if something was left undone by it.
 */
static int shares_code(const struct round *round, struct share *shares, unsigned count)
{
	bool complete = round_is_complete(round->affinity);
	struct share *first = NULL;

	for (unsigned i = 0; i < count; i++) {
		struct share *share = &shares[i];

		if (share->rc == 0)
			continue;
		if (complete && share->failed == NO_PIECE) {
			hilo__error_free(share->said);
		} else if (!first || (first->rc == -ECANCELED && share->rc != -ECANCELED) ||
			   (share->rc != -ECANCELED && share->failed < first->failed)) {
			if (first)
				hilo__error_free(first->said);
			first = share;
		} else {
			hilo__error_free(share->said);
		}
	}
	if (!first)
		return 0;
	hilo__error_free(hilo__error_swap(first->said));
	return first->rc;
}

/* [task, suspends] One round: a task for each worker. If there is no memory for some the others do their pieces. */
static int round_run(struct round *round)
{
	hilo_affinity *affinity = round->affinity;
	struct share *shares = hilo__calloc(affinity->workers, sizeof(*shares));
	unsigned count = 0;
	int rc = shares ? 0 : -ENOMEM, code;

	for (unsigned i = 0; shares && i < affinity->workers; i++) {
		hilo_task_opts opts = {.size = sizeof(opts),
				       .flags = HILO_TASK_PINNED,
				       .loop = hilo_runtime_loop(affinity->runtime, i)};
		struct share *share = &shares[count];

		*share = (struct share){.round = round, .worker = i, .failed = NO_PIECE};
		rc = hilo_spawn_with(share_task, share, &opts, &share->task);
		if (rc == 0)
			count++;
	}
	for (unsigned i = 0; i < count; i++)
		share_join(shares, count, i);
	code = count > 0 ? shares_code(round, shares, count) : rc;
	hilo__free(shares);
	return code;
}

static int64_t grain_of(uint64_t length, int64_t grain)
{
	if (grain != HILO_GRAIN_AUTO)
		return hilo__parallel_grain(length, grain);
	return (int64_t)((length - 1) / ((uint64_t)PIECES_PER_WORKER * hilo__parallel_workers())) + 1;
}

int hilo_affinity_run(hilo_affinity *affinity, int64_t begin, int64_t end, hilo_range_fn body, void *arg,
		      const hilo_parallel_opts *opts)
{
	struct round round = {.affinity = affinity, .body = body, .arg = arg};
	uint64_t length = begin < end ? range_length(begin, end) : 0;
	int rc;

	if (!affinity || !body)
		return hilo_fail(-EINVAL, "hilo_affinity_run: affinity or body is NULL");
	rc = hilo__parallel_begin(&round.parallel, opts, length < INT64_MAX ? (int64_t)length : INT64_MAX, 1,
				  "hilo_affinity_run");
	if (rc < 0 || length == 0)
		return rc;
	if (!thread_self()->loop || !thread_self()->task)
		return hilo_fail(-EDEADLK, "hilo_affinity_run is for tasks");
	rc = hilo__parallel_stops(&round.parallel);
	if (rc < 0)
		return rc;
	if (xchg_acquire(&affinity->running, true)) /* pairs with the release below */
		return hilo_fail(-EBUSY, "hilo_affinity_run: a loop of it runs already");
	rc = affinity_prepare(affinity, begin, end, grain_of(length, round.parallel.opts.grain));
	if (rc == 0)
		rc = round_run(&round);
	store_release(&affinity->running, false); /* pairs with the acquire above */
	return hilo__parallel_end(&round.parallel, rc);
}
