/* SPDX-License-Identifier: MIT */
/*
 * select.c - waiting for the first of several different things, and doing that one.
 *
 * One contender (contend_impl.h) has a node for each case: in the list of an object of sync/, or in that of a
 * completion, of the kind that is called. Whoever has something for it wins it for one case, and only for one:
 * what the others have to give stays with them.
 *
 * First the cases are tried in turn, each by itself, an object under its lock. That finds what is there already, which
 * is the common case, at the price of one or two locks. If it finds nothing, the locks of all objects are taken, each
 * once, in the order of their addresses, so that selects do not wait for each other in a circle. Under them the
 * cases are looked at in turn again, and the first that can be done is done. If there is none, the contender
 * goes into all lists under the same hold. So who looks is in no list, and finds all who have come before; two
 * selects that want the two ends of one rendezvous cannot both pass the other over, and neither can meet itself.
 *
 * Completions are added to without those locks, afterwards: one that is done by then wins the contender, as its
 * call would have.
 *
 * The order of reasons: a cancel that is set at entry is looked for at entry, once. What has won outranks a cancel and
 * the deadline. If these have ended the wait, the cases are looked at once more, under all locks: a task may
 * be done and not have called yet, a timer may have come.
 *
 * P1  of several_impl.h: the count is a call's last access to the select, but to the contender, if it has won
 *     that: then the contender waits until it was told.
 *
 * Rejected: one lock after the other, and to enlist where nothing was found. Of two selects that look for each other
 * both may be enlisted by the time that they look. Each would have to win itself before it takes what the other
 * offers, and give itself back if the other is gone.
 */
#include <hilo/runtime/select.h>

#include <hilo/runtime/error.h>

#include <errno.h>
#include <limits.h>

#include "runtime/runtime_impl.h"
#include "runtime/select_impl.h"
#include "runtime/several_impl.h"
#include "scheduler/base/clock.h"
#include "scheduler/base/mem.h"

/* So many cases need no memory. */
#define CASES_AT_HAND 8

/* One for each case; `order` and `turn` are of the array, not of the case at the same place. */
struct select_entry {
	union {
		struct select_place place; /* of an object */
		struct several_node node;  /* of a completion */
	};
	struct spinlock *lock; /* of an object */
	uint32_t order;	       /* the case whose lock comes here */
	uint32_t turn;	       /* the case that is looked at here, once that was drawn */
};

/* One call. */
struct select {
	hilo_select_case *cases;
	struct select_entry *entries;
	size_t n;
	size_t objects; /* so many have a place in the order */
	size_t added;	/* the completions among so many cases were added to */
	bool fair;
	bool at_once;	 /* nothing was waited for */
	bool timers;	 /* there are some */
	hilo_time until; /* the first of them, or the deadline */
	hilo_time now;	 /* for the timers */
	struct contender contender;
	struct several calls; /* P1 */
};

static bool case_is_off(const hilo_select_case *c)
{
	return c->off || c->kind == HILO_SELECT_KIND_OFF;
}

static bool case_is_object(const hilo_select_case *c)
{
	return c->kind == HILO_SELECT_KIND_OBJECT && !case_is_off(c) && c->of.object;
}

/* The completion of a case; NULL: it has none, or could not be made. */
static struct completion *case_done(const hilo_select_case *c)
{
	if (case_is_off(c))
		return NULL;
	if (c->kind == HILO_SELECT_KIND_TASK)
		return c->task ? &c->task->done : NULL;
	if (c->kind == HILO_SELECT_KIND_FUTURE)
		return c->future ? hilo__future_done(c->future) : NULL;
	return NULL;
}

/* [all locks] Whether case @i is ready; an object's operation is done then. */
static enum select_looked case_look(struct select *select, size_t i)
{
	const hilo_select_case *c = &select->cases[i];
	struct completion *done;

	if (case_is_off(c))
		return SELECT_WAIT;
	if (c->kind == HILO_SELECT_KIND_TIMER)
		return select->now >= c->when ? SELECT_DONE : SELECT_WAIT;
	if (c->kind == HILO_SELECT_KIND_OBJECT)
		return c->of.object ? c->of.ops->look(&select->entries[i].place) : SELECT_DONE;
	done = case_done(c);
	return !done || completion_is_done(done) ? SELECT_DONE : SELECT_WAIT;
}

/* [all locks] The first that is ready, which is done then. *@ret is its position, or -1, with SELECT_WAIT. */
static enum select_looked select_look_once(struct select *select, int *ret)
{
	enum select_looked looked;

	for (size_t i = 0; i < select->n; i++) {
		*ret = (int)(select->fair ? select->entries[i].turn : i);
		looked = case_look(select, (size_t)*ret);
		if (looked != SELECT_WAIT)
			return looked;
	}
	*ret = -1;
	return SELECT_WAIT;
}

/* The case at the @k-th place in the order of locks. */
static struct select_entry *entry_in_order(const struct select *select, size_t k)
{
	return &select->entries[select->entries[k].order];
}

/* Shell's way: no memory, and fast enough for any number that somebody would lock together. */
static void select_sort(struct select *select)
{
	for (size_t gap = select->objects; gap > 1;) {
		gap = gap == 2 || gap == 3 ? 1 : gap * 5 / 11;
		for (size_t i = gap; i < select->objects; i++) {
			uint32_t moved = select->entries[i].order;
			uintptr_t lock = (uintptr_t)select->entries[moved].lock;
			size_t k = i;

			for (; k >= gap && (uintptr_t)entry_in_order(select, k - gap)->lock > lock; k -= gap)
				select->entries[k].order = select->entries[k - gap].order;
			select->entries[k].order = moved;
		}
	}
}

/* [no lock] The place of case @i, an object, as at the begin. */
static void case_prepare(struct select *select, size_t i)
{
	const hilo_select_case *c = &select->cases[i];
	struct select_entry *entry = &select->entries[i];

	entry->place = (struct select_place){.object = c->of.object, .item = c->of.item};
	entry->lock = c->of.ops->lock(c->of.object);
}

/* What is needed to wait. */
static void select_prepare(struct select *select)
{
	for (size_t i = 0; i < select->n; i++) {
		const hilo_select_case *c = &select->cases[i];

		if (c->kind == HILO_SELECT_KIND_TIMER && !case_is_off(c)) {
			select->timers = true;
			if (c->when < select->until)
				select->until = c->when;
		}
		if (!case_is_object(c))
			continue;
		case_prepare(select, i);
		select->entries[select->objects++].order = (uint32_t)i;
	}
	MUTANT(233, select_sort(select), (void)0);
}

/* [no lock, or those before it in the order] Take the lock of case @i, an object; and give it back. */
static void case_lock(const struct select *select, size_t i)
{
	const hilo_select_object *of = &select->cases[i].of;

	if (of->ops->enter)
		of->ops->enter(of->object);
	else
		spin_lock(select->entries[i].lock);
}

static void case_unlock(const struct select *select, size_t i)
{
	const hilo_select_object *of = &select->cases[i].of;

	if (of->ops->leave)
		of->ops->leave(of->object);
	else
		spin_unlock(select->entries[i].lock);
}

static void select_lock(const struct select *select)
{
	struct spinlock *last = NULL;

	for (size_t k = 0; k < select->objects; k++) {
		size_t i = select->entries[k].order;

		if (select->entries[i].lock != last)
			case_lock(select, i);
		last = select->entries[i].lock;
	}
}

static void select_unlock(const struct select *select)
{
	struct spinlock *last = NULL;

	for (size_t k = 0; k < select->objects; k++) {
		size_t i = select->entries[k].order;

		if (select->entries[i].lock != last)
			case_unlock(select, i);
		last = select->entries[i].lock;
	}
}

/* [all locks, perhaps not all the time] The position of the first that is ready, which is done then; -1: none. */
static int select_look(struct select *select)
{
	int ready;

	while (select_look_once(select, &ready) == SELECT_PREPARE) {
		select_unlock(select);
		select->cases[ready].of.ops->prepare(&select->entries[ready].place);
		select_lock(select);
	}
	return ready;
}

/* [no lock] Take all locks to look. */
static void select_begin_look(struct select *select)
{
	if (select->timers)
		select->now = hilo__clock_now();
	select_lock(select);
}

/* [all locks] Into the lists of all objects. */
static void select_enlist(struct select *select)
{
	for (size_t i = 0; i < select->n; i++)
		if (case_is_object(&select->cases[i]))
			select->cases[i].of.ops->enlist(&select->entries[i].place, &select->contender,
							(uint32_t)i);
}

/* [its lock] Out of the list of case @i; case_removed follows. */
static inline void case_take_out(struct select *select, size_t i)
{
	MUTANT(231, select->cases[i].of.ops->remove(&select->entries[i].place), (void)0);
}

/* [no lock] The object is not to be touched any more after it. */
static inline void case_removed(struct select *select, size_t i)
{
	const hilo_select_ops *ops = select->cases[i].of.ops;

	if (ops->removed)
		ops->removed(&select->entries[i].place);
}

/* [no lock] Out of the list of case @i. */
static void case_remove(struct select *select, size_t i)
{
	case_lock(select, i);
	case_take_out(select, i);
	case_unlock(select, i);
	case_removed(select, i);
}

/* [who has completed node->of] */
static void case_called(struct waiter *w)
{
	struct select_entry *entry = container_of(w, struct select_entry, node.waiter);
	struct select *select = container_of(entry->node.several, struct select, calls);
	const struct contend_node node = {.contender = &select->contender,
					  .number = (uint32_t)(entry - select->entries)};
	struct contend_won won;
	bool wins = contend_win(&node, &won);

	(void)several_count(&select->calls); /* P1 */
	if (wins)
		contend_tell(&won);
}

/* [selector] Be called by the tasks and futures; won for the first that is done by now. */
static void select_add_calls(struct select *select)
{
	for (; select->added < select->n; select->added++) {
		struct select_entry *entry = &select->entries[select->added];
		struct completion *done = case_done(&select->cases[select->added]);
		const struct contend_node node = {.contender = &select->contender,
						  .number = (uint32_t)select->added};
		struct contend_won won;

		if (!done || hilo__several_add(&select->calls, &entry->node, done, case_called))
			continue;
		if (MUTANT(230, contend_win(&node, &won), false))
			contend_tell(&won);
		return;
	}
}

/* [selector] Nobody calls any more. */
static void select_remove_calls(struct select *select)
{
	size_t removed = 0;

	for (size_t i = 0; i < select->added; i++)
		if (case_done(&select->cases[i]))
			removed += several_take_out(&select->entries[i].node);
	MUTANT(234, hilo__several_settle(&select->calls, removed), (void)0); /* P1 */
}

/* [selector] Case @winner has been won for: leave the other objects alone. */
static void select_remove(struct select *select, size_t winner)
{
	for (size_t k = 0; k < select->objects; k++)
		if (select->entries[k].order != winner)
			case_remove(select, select->entries[k].order);
}

/* The lowest of the tasks and futures that are done by now, if it was one that has woken us: nothing is consumed. */
static int select_lower(const struct select *select, int winner)
{
	if (select->fair || !case_done(&select->cases[winner]))
		return winner;
	for (int i = 0; i < winner; i++) {
		struct completion *done = case_done(&select->cases[i]);

		if (done && completion_is_done(done))
			return i;
	}
	return winner;
}

/*
 * [selector] The wait has ended early, and nobody wins us any more: leave all objects alone, and look once more, in
 * one hold of all locks. Whoever finds that we have left an object may free it. What would have to be prepared now
 * was looked for in vain before.
 */
static int select_look_again(struct select *select)
{
	int ready = -1;

	select_begin_look(select);
	for (size_t k = 0; k < select->objects; k++)
		case_take_out(select, select->entries[k].order);
	if (MUTANT(120, select_look_once(select, &ready), SELECT_WAIT) != SELECT_DONE)
		ready = -1;
	select_unlock(select);
	for (size_t k = 0; k < select->objects; k++)
		case_removed(select, select->entries[k].order);
	return ready;
}

/* [selector, enlisted; suspends] The position of the one that has won; else why the wait has ended. */
static int select_wait(struct select *select)
{
	int rc, ready;

	several_init(&select->calls);
	select_add_calls(select);
	rc = hilo__contend_wait(&select->contender);
	select_remove_calls(select);
	if (rc >= 0) {
		select_remove(select, (size_t)rc);
		return select_lower(select, rc);
	}
	ready = select_look_again(select);
	return ready >= 0 ? ready : rc;
}

/* [no lock] Do case @i, by itself, if it is ready. */
static bool case_try(struct select *select, size_t i)
{
	const hilo_select_case *c = &select->cases[i];
	enum select_looked looked;

	if (!case_is_object(c)) {
		if (c->kind == HILO_SELECT_KIND_TIMER)
			select->now = hilo__clock_now();
		return case_look(select, i) == SELECT_DONE;
	}
	if (c->of.ops->seems_ready && !c->of.ops->seems_ready(c->of.object))
		return false;
	case_prepare(select, i);
	for (;;) {
		case_lock(select, i);
		looked = case_look(select, i);
		case_unlock(select, i);
		if (looked != SELECT_PREPARE)
			return looked == SELECT_DONE;
		c->of.ops->prepare(&select->entries[i].place);
	}
}

/* [no lock] One after the other, in the order of the cases. */
static int select_try(struct select *select)
{
	for (size_t i = 0; i < select->n; i++)
		if (case_try(select, i))
			return (int)i;
	return -1;
}

/* [no lock] The same in an order that is drawn as far as it is needed, and kept. */
static int select_try_by_lot(struct select *select)
{
	struct thread *self = thread_self();
	struct random own, *random = &own;

	if (self->loop)
		random = &self->loop->random;
	else
		random_init(random, (uint64_t)hilo__clock_now(), (uintptr_t)self);
	for (size_t i = 0; i < select->n; i++)
		select->entries[i].turn = (uint32_t)i;
	for (size_t i = 0; i < select->n; i++) {
		size_t k = i + random_below(random, (uint32_t)(select->n - i));
		uint32_t turn = select->entries[k].turn;

		select->entries[k].turn = select->entries[i].turn;
		select->entries[i].turn = turn;
		if (case_try(select, turn))
			return (int)turn;
	}
	return -1;
}

/* [suspends] As hilo_select, when the first try has found nothing, and without finishing what has won. */
static int select_slowly(struct select *select, hilo_time deadline)
{
	int begun, rc;
	bool waits;

	select_prepare(select);
	begun = hilo__contend_begin(&select->contender, WAIT_SELECT, select->cases, select->until);
	/* Where nobody may wait, or cannot, the cases are looked at all the same. */
	if (begun == -ECANCELED)
		return begun;
	select_begin_look(select);
	rc = select_look(select);
	select->at_once = rc >= 0;
	waits = !select->at_once && begun == 0 && deadline > 0;
	if (waits) {
		MUTANT(232, (void)0, (select_unlock(select), select_lock(select)));
		select_enlist(select);
	}
	select_unlock(select);
	if (waits)
		rc = select_wait(select);
	else if (!select->at_once)
		rc = contend_cannot_wait(begun, deadline);
	if (begun == 0)
		hilo__contend_end(&select->contender);
	return rc;
}

/* As hilo_select, without its checks, and without finishing what has won. @select has cases and entries. */
static int select_run(struct select *select, hilo_time deadline)
{
	int rc;

	if (contend_is_interrupted(thread_self()))
		return -ECANCELED;
	rc = select->fair ? select_try_by_lot(select) : select_try(select);
	return rc < 0 ? select_slowly(select, deadline) : rc;
}

/* What is left to do of case @c, which has won. */
static int select_finish(hilo_select_case *c, struct select_place *place)
{
	switch (c->kind) {
	case HILO_SELECT_KIND_OBJECT:
		return c->of.object ? c->of.ops->finish(place) : -ENOMEM;
	case HILO_SELECT_KIND_TASK:
		return c->task ? 0 : -ENOMEM;
	case HILO_SELECT_KIND_FUTURE:
		return c->future ? 0 : -ENOMEM;
	default:
		return 0;
	}
}

static int select_check(const char *call, const hilo_select_case *cases, size_t n)
{
	int rc = 0;

	if (!cases || !n || n > INT_MAX)
		return hilo_fail(-EINVAL, "%s: %zu cases%s", call, n, cases ? "" : ", cases is NULL");
	for (size_t i = 0; i < n && rc == 0; i++) {
		const hilo_select_case *c = &cases[i];

		if ((unsigned)c->kind > HILO_SELECT_KIND_OBJECT)
			rc = hilo_fail(-EINVAL, "%s: case %zu is of kind %d", call, i, (int)c->kind);
		else if (c->kind == HILO_SELECT_KIND_OBJECT && !c->of.ops)
			rc = hilo_fail(-EINVAL, "%s: case %zu is of no kind of object", call, i);
		else if (c->kind == HILO_SELECT_KIND_OBJECT && c->of.ops->receives && !c->of.item)
			rc = hilo_fail(-EINVAL, "%s: case %zu has no place for what it receives", call, i);
		else if (c->kind == HILO_SELECT_KIND_TASK && !c->off)
			rc = hilo__several_check_task(call, c->task);
	}
	return rc;
}

static int select_call(const char *call, bool fair, hilo_select_case *cases, size_t n, hilo_time deadline)
{
	struct select_entry at_hand[CASES_AT_HAND];
	struct select select = {
		.cases = cases, .entries = at_hand, .n = n, .fair = fair, .at_once = true, .until = deadline};
	int rc = select_check(call, cases, n);

	if (rc < 0)
		return rc;
	if (n > CASES_AT_HAND)
		select.entries = n <= SIZE_MAX / sizeof(*select.entries)
					 ? hilo__malloc(n * sizeof(*select.entries))
					 : NULL;
	if (!select.entries)
		return hilo__error_own(-ENOMEM);
	rc = select_run(&select, deadline);
	/* Somebody may have to be told: before we suspend, or what we have dropped does. */
	if (rc >= 0)
		cases[rc].code = select_finish(&cases[rc], &select.entries[rc].place);
	if (select.entries != at_hand)
		hilo__free(select.entries);
	if (rc >= 0 && select.at_once && deadline > 0)
		contend_was_free(thread_self());
	return rc >= 0 ? rc : hilo__error_own_wait(rc, WAIT_SELECT, NULL);
}

int hilo_select(hilo_select_case *cases, size_t n, hilo_time deadline)
{
	return select_call("hilo_select", false, cases, n, deadline);
}

int hilo_select_fair(hilo_select_case *cases, size_t n, hilo_time deadline)
{
	return select_call("hilo_select_fair", true, cases, n, deadline);
}
