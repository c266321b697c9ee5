/* SPDX-License-Identifier: MIT */
/*
 * order.c - who has which locks, and which were taken while others were held.
 *
 * Who locks B while it has A makes the pair A, B. Who locks A while it has B, at any other time, may wait for the first
 * one while that waits for it: so that is told when the second pair is made, before it waits, and once for each pair of
 * places in the program. Only locks that are waited for make pairs, trying does not.
 *
 * What is held is found by who has it, the last one first; pairs are found by both their locks. So each call looks at
 * what its caller has, and at one bucket for each of these, however many locks there are.
 *
 * The tables have fixed sizes: of the pairs that share a bucket the oldest one is forgotten, and of what is held the
 * oldest of all; that is mostly what tasks had when they ended. Such an entry is nobody's: a record that is used again
 * has another number. All is under one spinlock, in debug mode only.
 */
#include "sync/order_impl.h"

#include <hilo/runtime/error.h>
#include <hilo/runtime/log.h>

#include <errno.h>

#include "runtime/debug_impl.h"
#include "runtime/fork_impl.h"
#include "runtime/log_impl.h"
#include "runtime/runtime_impl.h"
#include "runtime/site_impl.h"
#include "scheduler/base/lock.h"

#define HELD_MAX 16384
#define HOLDERS 4096 /* lists of what is held */
#define PAIR_SETS 4096
#define PAIR_WAYS 8
#define TOLD_MAX 256

/* What a task has; number 0 of these is nobody's, and ends a list. */
struct held {
	const struct hilo_task *who; /* NULL: free */
	uint64_t who_id;
	const void *lock, *site;
	uint64_t number;
	uint64_t taken; /* all that were taken by then, with this one */
	unsigned next;	/* of its list, or of the free ones */
};

/* @second was locked, at its site, by one who had @first, locked at its site. */
struct pair {
	uint64_t first, second; /* 0: none */
	const void *first_site, *second_site;
};

/* Those whose locks have the same hash. */
struct pair_set {
	struct pair pair[PAIR_WAYS];
	unsigned next; /* which is the oldest */
};

/* Where the later locks of two pairs were locked, one against the other, that were told. */
struct told {
	const void *one, *other;
};

static struct {
	struct spinlock lock;
	struct held held[HELD_MAX];
	unsigned holder[HOLDERS]; /* the first of each list */
	unsigned held_free, held_used, held_oldest;
	struct pair_set set[PAIR_SETS];
	struct told told[TOLD_MAX];
	unsigned told_count;
	uint64_t last;
} table;

static uint64_t hash(uint64_t value)
{
	return (value * UINT64_C(0x9e3779b97f4a7c15)) >> 32;
}

void hilo__order_begin(struct thread *self)
{
	if (debug_was_used())
		self->mutex_guess = MUTEX_GUESS_NEVER;
}

/* [lock] */
static void mark_set(struct order_mark *mark)
{
	if (!mark->number)
		mark->number = ++table.last;
}

/* [lock] */
static struct pair_set *pair_set(uint64_t first, uint64_t second)
{
	return &table.set[hash(first + hash(second)) % PAIR_SETS];
}

/* [lock] */
static const struct pair *pair_find(uint64_t first, uint64_t second)
{
	const struct pair_set *set = pair_set(first, second);

	for (unsigned i = 0; i < PAIR_WAYS; i++)
		if (set->pair[i].first == first && set->pair[i].second == second)
			return &set->pair[i];
	return NULL;
}

/* [lock] */
static void pair_add(const struct pair *pair)
{
	struct pair_set *set = pair_set(pair->first, pair->second);

	if (pair_find(pair->first, pair->second))
		return;
	set->pair[set->next] = *pair;
	set->next = (set->next + 1) % PAIR_WAYS;
}

/* [lock] The list of what @me has; others may be in it. */
static unsigned *held_list(const struct hilo_task *me)
{
	return &table.holder[hash((uintptr_t)me) % HOLDERS];
}

/* [lock] */
static bool is_held_by(const struct held *held, const struct hilo_task *me)
{
	return held->who == me && held->who_id == me->id;
}

/* [lock] Free the one that *@link leads to. */
static void held_drop(unsigned *link)
{
	unsigned i = *link;

	*link = table.held[i].next;
	table.held[i].who = NULL;
	table.held[i].next = table.held_free;
	table.held_free = i;
}

/* [lock] Forget the oldest one that is there. */
static void held_forget(void)
{
	unsigned *link;

	do
		table.held_oldest = table.held_oldest % (HELD_MAX - 1) + 1;
	while (!table.held[table.held_oldest].who);
	for (link = held_list(table.held[table.held_oldest].who); *link != table.held_oldest;)
		link = &table.held[*link].next;
	held_drop(link);
}

/* [lock] A free one. */
static unsigned held_new(void)
{
	unsigned i;

	if (!table.held_free && table.held_used < HELD_MAX - 1)
		return ++table.held_used;
	if (!table.held_free)
		held_forget();
	i = table.held_free;
	table.held_free = table.held[i].next;
	return i;
}

/* [lock] Nothing was said of these two places yet, and there is room to remember that it is now. */
static bool is_news(const void *one, const void *other)
{
	for (unsigned i = 0; i < table.told_count; i++) {
		const struct told *told = &table.told[i];

		if ((told->one == one && told->other == other) || (told->one == other && told->other == one))
			return false;
	}
	if (table.told_count == TOLD_MAX)
		return false;
	table.told[table.told_count++] = (struct told){one, other};
	return true;
}

static void tell(const struct hilo_task *me, const void *lock, const struct held *held,
		 const struct pair *mine, const struct pair *other)
{
	char label[TASK_LABEL_SIZE], site[4][SITE_SIZE];

	hilo__site_describe(mine->second_site, site[0], SITE_SIZE);
	hilo__site_describe(mine->first_site, site[1], SITE_SIZE);
	hilo__site_describe(other->second_site, site[2], SITE_SIZE);
	hilo__site_describe(other->first_site, site[3], SITE_SIZE);
	hilo__log(HILO_LOG_WARNING,
		  "debug: lock order: %s locks %p at %s while it has %p, locked at %s; the other way round "
		  "before: "
		  "%p was locked at %s by one who had %p, locked at %s",
		  me->flags & TASK_THREAD ? "a thread" : hilo__task_label(me, label), lock, site[0],
		  held->lock, site[1], held->lock, site[2], lock, site[3]);
}

/*
 * [lock] The pair of what is held and the lock that is wanted. True: *@other is the one against it, and new.
 */
static bool pair_is_inverse(const struct held *held, uint64_t number, const void *site, struct pair *mine,
			    struct pair *other)
{
	const struct pair *found;

	*mine = (struct pair){held->number, number, held->site, site};
	found = pair_find(number, held->number);
	if (found)
		*other = *found;
	pair_add(mine);
	return found && is_news(mine->second_site, other->second_site);
}

/* What is held by the caller does not change meanwhile, only what others have: so the list is looked at again. */
void hilo__order_wants(const struct hilo_task *me, const void *lock, struct order_mark *mark,
		       const void *site)
{
	struct pair mine, other = {0};
	struct held held;
	unsigned i;

	spin_lock(&table.lock);
	mark_set(mark);
again:
	for (i = *held_list(me); i; i = table.held[i].next) {
		held = table.held[i];
		if (!is_held_by(&held, me) || held.lock == lock ||
		    !pair_is_inverse(&held, mark->number, site, &mine, &other))
			continue;
		spin_unlock(&table.lock);
		tell(me, lock, &held, &mine, &other); /* calls the user's log */
		spin_lock(&table.lock);
		goto again; /* of those before, none is news any more */
	}
	spin_unlock(&table.lock);
}

/* [lock] The next of those that @me has taken after @since and has still, and of which nothing was said; 0: none. */
static unsigned left_find(const struct hilo_task *me, uint64_t since, const void *run)
{
	for (unsigned i = *held_list(me); i; i = table.held[i].next)
		if (is_held_by(&table.held[i], me) && table.held[i].taken > since &&
		    is_news(table.held[i].site, run))
			return i;
	return 0;
}

/* [runs a fork] As hilo__locks_left. */
static void order_left(const struct hilo_task *me, uint64_t since, const void *run)
{
	char site[2][SITE_SIZE];
	struct held held;
	unsigned i;

	spin_lock(&table.lock);
	while ((i = left_find(me, since, run))) {
		held = table.held[i];
		spin_unlock(&table.lock);
		hilo__site_describe(held.site, site[0], SITE_SIZE);
		hilo__site_describe((const char *)run + 1, site[1], SITE_SIZE);
		hilo__log(HILO_LOG_WARNING,
			  "debug: lock kept: the fork %s ends and has %p, locked at %s: if it was stolen "
			  "nobody can unlock that",
			  site[1], held.lock, site[0]);
		spin_lock(&table.lock);
	}
	spin_unlock(&table.lock);
}

void hilo__order_has(const struct hilo_task *me, const void *lock, struct order_mark *mark, const void *site)
{
	unsigned *list, i;

	spin_lock(&table.lock);
	mark_set(mark);
	i = held_new();
	list = held_list(me);
	table.held[i] = (struct held){.who = me,
				      .who_id = me->id,
				      .lock = lock,
				      .site = site,
				      .number = mark->number,
				      /* relaxed, both: as in scheduler/fork_locks.c */
				      .taken = add_relaxed(&hilo__locks_taken, 1) + 1,
				      .next = *list};
	*list = i;
	store_relaxed(&hilo__locks_left, order_left);
	spin_unlock(&table.lock);
}

/* [lock] What leads to the entry, or to 0. */
static unsigned *held_find(const struct hilo_task *me, const void *lock)
{
	unsigned *link = held_list(me);

	while (*link && !(is_held_by(&table.held[*link], me) && table.held[*link].lock == lock))
		link = &table.held[*link].next;
	return link;
}

void hilo__order_lets_go(const struct hilo_task *me, const void *lock)
{
	unsigned *link;

	spin_lock(&table.lock);
	link = held_find(me, lock);
	if (*link)
		held_drop(link);
	spin_unlock(&table.lock);
}

const void *hilo__order_where(const struct hilo_task *me, const void *lock)
{
	const void *site;
	unsigned i;

	spin_lock(&table.lock);
	i = *held_find(me, lock);
	site = i ? table.held[i].site : NULL;
	spin_unlock(&table.lock);
	return site;
}

int hilo__order_check_fork(const struct hilo_task *me, const void *lock, const char *call)
{
	uint64_t since = hilo__fork_locks_since(thread_self());
	char label[TASK_LABEL_SIZE], where[SITE_SIZE];
	const void *site;
	unsigned i;

	if (!since)
		return 0;
	spin_lock(&table.lock);
	i = *held_find(me, lock);
	site = i && table.held[i].taken <= since ? table.held[i].site : NULL;
	spin_unlock(&table.lock);
	if (!site)
		return 0;
	hilo__site_describe(site, where, sizeof(where));
	return hilo_fail(
		-EPERM,
		"%s: a fork on the stack of %s does not have %p: an ancestor of it does, locked at %.70s",
		call, hilo__task_label(me, label), lock, where);
}
