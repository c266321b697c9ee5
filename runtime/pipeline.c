/* SPDX-License-Identifier: MIT */
/* pipeline.c - runners, which take items through the stages of a pipeline. How, and invariants: pipeline_impl.h. */
#include <hilo/runtime/error.h>
#include <hilo/runtime/executor.h>
#include <hilo/runtime/pipeline.h>

#include <errno.h>

#include "runtime/error_impl.h"
#include "runtime/pipeline_impl.h"
#include "runtime/runtime_impl.h"
#include "scheduler/base/clock.h"
#include "scheduler/base/mem.h"

/* What a runner could go on with, and what it could not find another one for: a chain. */
struct runner {
	struct gate_node *ready;
};

static struct token *token_of(struct gate_node *node)
{
	return (struct token *)(void *)node;
}

/* [runner] Its item, or the one that it would make, is not wanted any more. */
static bool token_is_doomed(struct token *token)
{
	/* relaxed: our own */
	return load_relaxed(&token->number) >= load_seq_cst(&token->pipeline->limit); /* P1 */
}

/* [runner] Take @token in hand, where it can be asked to stop. Requests for the last one are over. */
static void token_hold(struct token *token)
{
	struct hilo_task *task = thread_self()->task;

	if (load_relaxed(&token->runner)) /* relaxed: our own */
		return;
	while (HILO__UNLIKELY(task_is_cancelled(task)) && hilo_task_uncancel() > 0)
		;
	store_seq_cst(&token->runner, (uintptr_t)task); /* P1 */
}

/* [runner] From here on others may have it. */
static void token_release(struct token *token)
{
	uintptr_t word = load_relaxed(&token->runner); /* relaxed: our own, if not 0 */
	uintptr_t task = word & ~TOKEN_KEPT;

	if (!task)
		return;
	word = task;
	for (unsigned round = 0; !cas_acq_rel(&token->runner, &word, 0); round++) { /* P2 */
		word = task;
		spin_pause(round);
	}
}

static void token_parks(struct gate_node *node)
{
	token_release(token_of(node));
}

/* [who is counted] Not any more. The last one tells the caller; the pipeline may be gone then. */
static void pipeline_uncount(struct pipeline *p)
{
	hilo_future *over = p->over;

	if (sub_acq_rel(&p->runners, 1) != 1) /* P3 */
		return;
	(void)hilo_future_set(over, NULL, NULL);
	hilo_future_unref(over);
}

/* [task] Its item does not come to the end. Suspends if the user's function does. */
static void token_drop(struct token *token)
{
	struct pipeline *p = token->pipeline;
	void *item = token->item;

	if (!item)
		return;
	token->item = NULL;
	store_relaxed(&p->lost, true); /* relaxed: read at the end; P3 */
	if (!p->opts.drop)
		return;
	(void)hilo_shield_enter();
	p->opts.drop(item, p->opts.arg);
	(void)hilo_shield_leave();
}

/* Stages. */

static struct stage *token_stage(const struct token *token)
{
	return &token->pipeline->stages[token->stage];
}

/* [executor] */
static int stage_block(void *arg)
{
	struct token *token = arg;
	const hilo_stage *what = &token_stage(token)->what;

	return what->fn(&token->item, what->arg);
}

/* [runner, suspends] Call its stage for @token. */
static int stage_call(struct token *token)
{
	const hilo_stage *what = &token_stage(token)->what;

	if (what->flags & HILO_STAGE_BLOCKING)
		return hilo_run_in_executor(NULL, stage_block, token, HILO_FOREVER);
	return what->fn(&token->item, what->arg);
}

/* [runner, suspends] The same, measured if that is wanted. */
static int token_call(struct token *token)
{
	struct stage *stage = token_stage(token);
	struct count *count;
	hilo_time now;
	int rc;

	if (HILO__UNLIKELY(thread_self()->task->error != NULL)) /* of another item, and dealt with */
		hilo__error_free(hilo__error_swap(NULL));
	if (HILO__LIKELY(!token->counts))
		return stage_call(token);
	count = &token->counts[token->stage];
	now = hilo__clock_now();
	if (stage->gate.kind != GATE_NONE && token->stage > 0)
		count->waited += now - token->since;
	rc = stage_call(token);
	token->since = hilo__clock_now();
	count->busy += token->since - now;
	count->items += token->stage > 0 ? rc >= 0 : rc > 0 && token->item;
	return rc;
}

/* [runner] The first stage is called by several at a time: its items get their numbers afterwards. */
static bool numbers_come_late(const struct pipeline *p)
{
	return p->stages[0].gate.kind != GATE_ONE;
}

/*
 * [runner] What it has made is item @number. Who has lowered the limit meanwhile may have cancelled us, not knowing
 * that we come before that.
 */
static void token_number(struct token *token, uint64_t number)
{
	token->node.number = number;
	if (!numbers_come_late(token->pipeline))
		return;
	store_seq_cst(&token->number, number); /* P1 */
	token_release(token);
	token_hold(token);
}

/* [runner] It is to make item @number: P1. Not in hand yet, it is taken, and that is stored afterwards. */
static void token_take_number(struct token *token, uint64_t number)
{
	if (load_relaxed(&token->runner)) {	       /* relaxed: our own */
		store_seq_cst(&token->number, number); /* P1 */
		return;
	}
	store_relaxed(&token->number, number); /* relaxed: the next line publishes it */
	token_hold(token);
}

/* [runner, suspends] An item from the first stage. False: there is none for this token, now and later. */
static bool token_make(struct token *token)
{
	struct pipeline *p = token->pipeline;
	bool late = numbers_come_late(p);
	uint64_t number =
		late ? NO_NUMBER - 1 : load_relaxed(&p->made); /* relaxed: who is inside changes it */
	int rc;

	if (late)
		(void)hilo_checkpoint(); /* nobody else is waited for, so others would wait for us */
	token_take_number(token, number);
	do {
		if (token_is_doomed(token) || load_relaxed(&p->ended)) /* relaxed: a hint */
			return false;
		token->item = NULL;
		rc = token_call(token);
	} while (rc > 0 && !token->item);
	if (rc == 0)
		store_relaxed(&p->ended, true); /* relaxed: as above, and read at the end; P3 */
	if (rc <= 0)
		token->item = NULL;
	if (rc < 0)
		store_relaxed(&p->lost, true); /* relaxed: as above; counts if all were asked to stop */
	if (rc == 0 && late)
		return false;
	if (late)
		number = add_relaxed(&p->made, 1); /* relaxed: a number, orders nothing */
	else
		store_relaxed(&p->made, number + (rc > 0)); /* relaxed: as above */
	if (rc > 0) {
		token_number(token, number);
		return true;
	}
	hilo__pipeline_limit(p, number, rc);
	return false;
}

/* [runner, suspends] Its stage, a later one. False: it goes no further. */
static bool token_work(struct token *token)
{
	struct pipeline *p = token->pipeline;
	int rc;

	token_hold(token);
	if (HILO__UNLIKELY(token_is_doomed(token))) {
		token_drop(token);
		return false;
	}
	rc = token->item ? token_call(token) : 0;
	if (HILO__UNLIKELY(rc < 0)) {
		store_relaxed(&p->lost, true); /* relaxed: as in token_drop; it may have taken the item */
		hilo__pipeline_limit(p, token->node.number, rc);
		token_drop(token);
		return false;
	}
	if (token->stage == p->count - 1)
		token->item = NULL;
	return true;
}

/* Runners. */

static int runner_main(void *arg);
static void runner_not_begun(void *arg);

/* [counted] A runner for @token, which is in nobody's hand. 0, -ENOMEM, HILO_ECLOSED. */
static int token_spawn(struct token *token)
{
	struct pipeline *p = token->pipeline;
	struct task_spec spec = {.entry = runner_main,
				 .arg = token,
				 .destroy = runner_not_begun,
				 .site = (const void *)(uintptr_t)token_stage(token)->what.fn};
	int rc;

	(void)add_relaxed(&p->runners, 1); /* relaxed: we are counted */
	rc = hilo__spawn(&spec, p->opts.stack ? &p->task_opts : NULL, NULL);
	if (rc < 0)
		(void)sub_relaxed(&p->runners, 1); /* relaxed: as above */
	return rc;
}

static void runner_add(struct runner *r, struct gate_node *chain)
{
	struct gate_node *next;

	for (; chain; chain = next) {
		next = chain->next;
		chain->next = r->ready;
		r->ready = chain;
	}
}

/* [runner] Of those that can go on the one that is furthest; other runners for the rest. NULL: there is none. */
static struct token *runner_choose(struct runner *r)
{
	struct gate_node *best = r->ready, *node, *next;

	if (!best)
		return NULL;
	for (node = best->next; node; node = node->next)
		if (token_of(node)->stage > token_of(best)->stage)
			best = node;
	node = r->ready;
	r->ready = NULL;
	for (; node; node = next) {
		next = node->next;
		if (node == best)
			continue;
		token_release(token_of(node));
		if (token_spawn(token_of(node)) == 0)
			continue; /* it may be anywhere by now */
		node->next = r->ready;
		r->ready = node;
	}
	return token_of(best);
}

/* The stage that comes next for @token; 0: it is through. Where there is no item only gates in order have to know. */
static unsigned token_next_stage(const struct token *token)
{
	const struct pipeline *p = token->pipeline;
	unsigned stage = token->stage + 1;

	while (stage < p->count && !token->item && p->stages[stage].gate.kind != GATE_ORDER)
		stage++;
	return stage < p->count ? stage : 0;
}

/* [who has it in hand] @token comes to its stage. True: it goes in; else others may, who are ready then. */
static bool token_go_in(struct runner *r, struct token *token)
{
	struct gate *gate = &token_stage(token)->gate;
	struct gate_node *chain;

	if (gate->kind == GATE_NONE)
		return true;
	chain = hilo__gate_enter(gate, &token->node, token_parks);
	if (HILO__LIKELY(chain == &token->node && !chain->next))
		return true;
	runner_add(r, chain);
	return false;
}

/* [runner] @token has left its stage, and goes on. As above. */
static bool token_advance(struct runner *r, struct token *token)
{
	token->stage = token_next_stage(token);
	if (token->stage == 0)
		store_relaxed(&token->through, /* relaxed: a figure; our own */
			      load_relaxed(&token->through) + 1);
	return token_go_in(r, token);
}

/* [runner, suspends] Call its stage for @token, which was let in; what to go on with, or NULL. */
static struct token *runner_pass(struct runner *r, struct token *token)
{
	struct gate *gate = &token_stage(token)->gate;
	bool goes_on = token->stage == 0 ? token_make(token) : token_work(token);

	if (gate->kind != GATE_NONE)
		runner_add(r, hilo__gate_leave(gate));
	if (!goes_on) {
		token_release(token);
	} else if (token_advance(r, token)) {
		if (!r->ready)
			return token;
		token->node.next = NULL;
		runner_add(r, &token->node);
	}
	return runner_choose(r);
}

static int runner_main(void *arg)
{
	struct token *token = arg;
	struct pipeline *p = token->pipeline;
	struct runner r = {0};

	thread_self()->task->destroy = NULL; /* it has begun */
	while (token)
		token = runner_pass(&r, token);
	pipeline_uncount(p);
	return 0;
}

/* It was cancelled by somebody else before it could begin, or no stack was to be had. The caller drops what it has. */
static void runner_not_begun(void *arg)
{
	struct token *token = arg;
	struct pipeline *p = token->pipeline;

	store_relaxed(&p->lost, true); /* relaxed: as in token_drop */
	hilo__pipeline_stop(p, thread_self()->task ? -ECANCELED : -ENOMEM);
	pipeline_uncount(p);
}

/* The caller. */

/* [caller] Send all tokens to the first stage. 0, or why there is no runner at all. */
static int pipeline_begin(struct pipeline *p)
{
	struct runner r = {0};
	struct gate *gate = &p->stages[0].gate;
	struct gate_node *node;
	int rc, refused = 0;
	bool some = false;

	for (unsigned i = p->in_flight; i-- > 0;) {
		if (!token_go_in(&r, &p->tokens[i]))
			continue;
		p->tokens[i].node.next = NULL;
		runner_add(&r, &p->tokens[i].node);
	}
	while ((node = r.ready)) {
		r.ready = node->next;
		rc = token_spawn(token_of(node));
		if (rc == 0)
			some = true;
		else if (gate->kind != GATE_NONE)
			runner_add(&r, hilo__gate_leave(gate));
		refused = rc < 0 ? rc : refused;
	}
	return some ? 0 : refused;
}

static void pipeline_progress(struct pipeline *p)
{
	if (p->opts.progress)
		p->opts.progress(hilo__pipeline_through(p), p->opts.arg);
}

/* [caller, suspends] Until the last runner has ended. Asked to stop, or late, we pass that on and wait on. */
static void pipeline_wait(struct pipeline *p, hilo_time deadline)
{
	hilo_time when;
	int rc;

	do {
		when = p->opts.progress ? hilo_after(p->opts.every) : deadline;
		when = when < deadline ? when : deadline;
		rc = hilo_future_await(p->over, NULL, when);
		if (rc == 0)
			return;
		pipeline_progress(p);
	} while (rc == -ETIMEDOUT && when < deadline);
	hilo__pipeline_stop(p, rc);
	(void)hilo_shield_enter();
	(void)hilo_future_await(p->over, NULL, HILO_FOREVER);
	(void)hilo_shield_leave();
}

/* [caller, all runners have ended] What it has come to. */
static int pipeline_code(struct pipeline *p)
{
	bool lost = load_relaxed(&p->lost), ended = load_relaxed(&p->ended); /* relaxed: P3 */

	if (p->code < 0) {
		hilo__error_adopt(p->code, p->said);
		return p->code;
	}
	return p->stopped && (lost || !ended) ? hilo__error_own(p->stopped) : 0;
}

/* [caller, suspends] Run what was made. */
static int pipeline_run(struct pipeline *p, hilo_time deadline)
{
	int rc;

	(void)hilo_future_ref(p->over);
	rc = pipeline_begin(p);
	pipeline_uncount(p);
	if (rc < 0)
		return rc;
	pipeline_wait(p, deadline);
	for (unsigned i = 0; i < p->in_flight; i++)
		token_drop(&p->tokens[i]);
	hilo__pipeline_tell_stats(p);
	pipeline_progress(p);
	return pipeline_code(p);
}

int hilo_pipeline_run(const hilo_stage *stages, size_t count, const hilo_pipeline_opts *opts,
		      hilo_time deadline)
{
	struct thread *self = thread_self();
	struct pipeline *p;
	int rc;

	if (!self->loop || !self->task)
		return hilo_fail(-EDEADLK, "hilo_pipeline_run: only a task can");
	if (task_is_interrupted(self->task))
		return hilo__error_own(-ECANCELED);
	/* Not on the stack: not every compiler aligns a frame to more than a line of a cache. */
	p = hilo__aligned_alloc(_Alignof(struct pipeline), sizeof(*p));
	if (!p)
		return -ENOMEM;
	rc = hilo__pipeline_make(p, stages, count, opts);
	p->task_opts = (hilo_task_opts){.size = sizeof(p->task_opts),
					.stack = (enum hilo_stack_class)p->opts.stack,
					.destroy = runner_not_begun};
	if (rc == 0)
		rc = pipeline_run(p, deadline);
	hilo__pipeline_free(p);
	hilo__free(p);
	return rc;
}
