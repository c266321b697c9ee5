/* SPDX-License-Identifier: MIT */
/* pipeline_stop.c - what a failure, the end of the input and a cancel stop of a pipeline. Pairs: pipeline_impl.h. */
#include <hilo/runtime/error.h>

#include "runtime/error_impl.h"
#include "runtime/pipeline_impl.h"
#include "runtime/runtime_impl.h"
#include "scheduler/reason.h"

/* [who has lowered the limit] Cancel the runner of @token, if its item is doomed now. */
static void token_tell(struct token *token)
{
	uintptr_t word = load_seq_cst(&token->runner); /* P1 */

	for (unsigned round = 0; word; round++) {
		/* Somebody else may be at it, who has read an older limit. */
		if (!(word & TOKEN_KEPT) && cas_acq_rel(&token->runner, &word, word | TOKEN_KEPT)) /* P2 */
			break;
		spin_pause(round);
		word = load_seq_cst(&token->runner); /* P1 */
	}
	if (!word)
		return;
	if (load_seq_cst(&token->number) >= load_seq_cst(&token->pipeline->limit)) /* P1 */
		(void)hilo__task_cancel((struct hilo_task *)word, REASON_SIBLING);
	store_release(&token->runner, word); /* P2 */
}

static void pipeline_tell(struct pipeline *p)
{
	for (unsigned i = 0; i < p->in_flight; i++)
		token_tell(&p->tokens[i]);
}

void hilo__pipeline_limit(struct pipeline *p, uint64_t number, int code)
{
	struct error *said = code < 0 ? hilo__error_match(hilo__error_swap(NULL), code) : NULL;
	bool lower;

	spin_lock(&p->lock);
	lower = number < load_relaxed(&p->limit); /* relaxed: written under the lock */
	if (lower) {
		struct error *other = p->said;

		store_seq_cst(&p->limit, number); /* P1 */
		p->code = code;
		p->said = said;
		said = other;
	}
	spin_unlock(&p->lock);
	hilo__error_free(said);
	if (lower && code < 0)
		pipeline_tell(p);
}

void hilo__pipeline_stop(struct pipeline *p, int code)
{
	spin_lock(&p->lock);
	if (!p->stopped)
		p->stopped = code;
	store_seq_cst(&p->limit, 0); /* P1 */
	spin_unlock(&p->lock);
	pipeline_tell(p);
}
