/* SPDX-License-Identifier: MIT */
/*
 * timer.c - hierarchical timer wheel of one loop.
 *
 *	when:   62 60 59 54            17 12 11  6 5   0
 *	       |digit|digit|  ...     |digit|digit|digit|
 *	level    10     9                2     1     0
 *
 * A deadline is a number of 11 digits of 6 bits. A timer lies on the level of the highest digit in
 * which it differs from the wheel's position, in the slot of its own digit there. So a slot of level
 * 0 holds one single nanosecond and needs no sorting, whatever lies on a level comes before all that
 * lies on the next, and the first occupied slot of the lowest occupied level holds the earliest
 * deadline. When the position enters a slot of a higher level, its timers are dealt out to the levels
 * below; but a slot with one timer is not: it fires from where it is. So a timer is moved two or
 * three times in its life if the wheel is crowded, and not at all if it is not.
 *
 * The nodes of a wide slot lie all over the memory and were last touched long ago, so dealing out one
 * list of them waits for memory once a node: 1600 timers in a slot of 17 ms took 0.8 ms, which is how
 * late the first of them fired. Hence a wide slot has several lists, dealt out in turn: while the
 * first node of one is looked at, those of the others are on their way. The lane is a function of
 * the deadline alone, for the sake of I2.
 *
 * I1  position only grows, and is never beyond the start of an occupied slot.
 * I2  Timers with the same deadline are in the same list, in the order of their arming. For the slot
 *     is a function of deadline and position; dealing out keeps the order; and what is armed for a
 *     slot that is being dealt out goes to the end of its lane's spill, not past it.
 * I3  Deadlines: past < position <= spill < every slot, whenever the lock is free. `past` are timers
 *     that were armed behind the position; it is sorted when somebody looks at it.
 * I4  next <= the earliest deadline, whenever the lock is free.
 * P1  The store of pending = 0 is the wheel's last access to a fired timer and releases; del's load
 *     acquires: whoever has read 0 may reuse the node.
 * `next` is a number without anything behind it, hence relaxed everywhere: who acts on it takes the
 * lock first. For the order against park words see hilo__timer_add.
 *
 * Progress: add, del and move are a few dozen instructions under the lock; expire lets it go after
 * TIMER_BATCH nodes. One exception: timers armed for the past, out of order, are sorted in one go.
 *
 * Rejected: ticks of 65 us with a sort of each slot before it fires (cheap on the average, but the
 * lock is held while a slot of any size is sorted); a heap (7 ns to insert and 22 to cancel at 100000
 * timers, where the wheel needs 3 and 3).
 */
#include "scheduler/timer.h"

#define TIMER_NO_SLOT UINT32_MAX

/* Two lists have room for 2^TIMER_BINS timers when they are sorted. */
#define TIMER_BINS 40

enum timer_step {
	STEP_IDLE,  /* nothing is due */
	STEP_MOVED, /* one node was dealt out, or a slot was opened */
	STEP_FIRED,
};

static inline struct timer *timer_of(struct list *node)
{
	return list_entry(node, struct timer, link);
}

/* The place of @when on the wheel; the lowest bit makes "no difference" a level as well. */
static inline unsigned timers_level(const struct timers *timers, hilo_time when)
{
	uint64_t difference = (uint64_t)(when ^ timers->position) | 1;

	return (63 - (unsigned)__builtin_clzll(difference)) / TIMER_BITS;
}

/* The lane of a deadline. Mixed, since deadlines may be multiples of some power of two. */
static inline unsigned timers_lane(hilo_time when)
{
	return (unsigned)((uint64_t)when * UINT64_C(0x9e3779b97f4a7c15) >> 32) % TIMER_LANES;
}

/* The first list of @slot, and how many there are. */
static inline struct list *timers_lists(struct timers *timers, unsigned slot, unsigned *ret_lanes)
{
	if (slot < TIMER_WIDE * 64) {
		*ret_lanes = 1;
		return &timers->slot[slot];
	}
	*ret_lanes = TIMER_LANES;
	return &timers->slot[TIMER_WIDE * 64 + (slot - TIMER_WIDE * 64) * TIMER_LANES];
}

/* [lock] Put @timer, which is not before the position, into its slot. */
static inline void timers_place(struct timers *timers, struct timer *timer)
{
	unsigned level = timers_level(timers, timer->when);
	unsigned digit = (unsigned)((uint64_t)timer->when >> (level * TIMER_BITS)) & 63;
	unsigned lanes;
	struct list *list;

	timer->slot = level * 64 + digit;
	timers->occupied[level] |= (uint64_t)1 << digit;
	timers->levels |= 1u << level;
	list = timers_lists(timers, timer->slot, &lanes);
	list_add_tail(lanes > 1 ? &list[timers_lane(timer->when)] : list, &timer->link);
}

/* [lock] Arm behind the position. */
HILO__COLD static void timers_insert_past(struct timers *timers, struct timer *timer)
{
	struct list *last = list_last(&timers->past);

	if (last && timer_of(last)->when > timer->when)
		timers->past_unsorted = true;
	timer->slot = TIMER_NO_SLOT;
	list_add_tail(&timers->past, &timer->link);
}

/* [lock] */
static inline bool timers_spill_is_empty(const struct timers *timers)
{
	if (HILO__LIKELY(!timers->spills))
		return true;
	for (unsigned i = 0; i < TIMER_LANES; i++)
		if (!list_empty(&timers->spill[i]))
			return false;
	return true;
}

/* [lock] Where the timers for @when are that came from the slot which is being dealt out. */
static inline struct list *timers_spill_of(struct timers *timers, hilo_time when)
{
	return &timers->spill[timers->spilling < TIMER_WIDE * TIMER_BITS ? 0 : timers_lane(when)];
}

/* [lock] Put @timer where it belongs, I2 and I3. */
static inline void timers_insert(struct timers *timers, struct timer *timer)
{
	hilo_time when = timer->when;

	if (HILO__UNLIKELY(when < timers->position)) {
		timers_insert_past(timers, timer);
	} else if (HILO__UNLIKELY(!timers_spill_is_empty(timers)) &&
		   !((when ^ timers->position) >> timers->spilling)) {
		timer->slot = TIMER_NO_SLOT;
		list_add_tail(timers_spill_of(timers, when), &timer->link);
	} else {
		timers_place(timers, timer);
	}
	if (when < load_relaxed(&timers->next)) {   /* relaxed: under the lock */
		store_relaxed(&timers->next, when); /* relaxed: see the file's head */
		timers->stale = false;
	}
}

/* [lock] Slot @slot has become empty. */
static inline void timers_vacate(struct timers *timers, unsigned slot)
{
	unsigned level = slot / 64;

	timers->occupied[level] &= ~((uint64_t)1 << (slot % 64));
	if (!timers->occupied[level])
		timers->levels &= ~(1u << level);
}

/* [lock] */
static inline bool timers_slot_is_empty(struct timers *timers, unsigned slot)
{
	unsigned lanes;
	struct list *list = timers_lists(timers, slot, &lanes);

	while (lanes > 0)
		if (!list_empty(&list[--lanes]))
			return false;
	return true;
}

/*
 * [lock] Take @timer out. A timer in the spill still bears the slot that it came from: vacating that
 * again does no harm, because the position is in it and nothing is put there (I2).
 */
static inline void timers_unlink(struct timers *timers, struct timer *timer)
{
	bool only = timer->link.next == timer->link.prev;

	list_del(&timer->link);
	if (only && timer->slot != TIMER_NO_SLOT && timers_slot_is_empty(timers, timer->slot))
		timers_vacate(timers, timer->slot);
}

/* [lock] True if nothing is armed. */
static inline bool timers_is_empty(const struct timers *timers)
{
	return !timers->levels && timers_spill_is_empty(timers) && list_empty(&timers->past);
}

/* [lock] Take @timer out and keep I4; `next` may be early from then on. */
static inline void timers_remove(struct timers *timers, struct timer *timer)
{
	timers_unlink(timers, timer);
	if (timers_is_empty(timers)) {
		store_relaxed(&timers->next, HILO_FOREVER); /* relaxed: see the file's head */
		timers->stale = false;
	} else if (timer->when == load_relaxed(&timers->next)) { /* relaxed: under the lock */
		timers->stale = true;
	}
}

/* Merge two sorted chains; those of @older come first among equals. */
static struct list *timers_merge(struct list *older, struct list *newer)
{
	struct list *first = NULL;
	struct list **end = &first;

	while (older && newer) {
		struct list **from = timer_of(newer)->when < timer_of(older)->when ? &newer : &older;

		*end = *from;
		end = &(*from)->next;
		*from = *end;
	}
	*end = older ? older : newer;
	return first;
}

/* [lock] Sort the past by deadline, keeping the order of equals. Bin i holds a chain of 2^i, or none. */
HILO__COLD static void timers_sort_past(struct timers *timers)
{
	struct list *bin[TIMER_BINS] = {NULL};
	struct list *head = &timers->past;
	struct list *rest = head->next;
	struct list *sorted = NULL;

	head->prev->next = NULL;
	while (rest) {
		struct list *chain = rest;
		unsigned i = 0;

		rest = chain->next;
		chain->next = NULL;
		for (; bin[i]; i++) {
			chain = timers_merge(bin[i], chain);
			bin[i] = NULL;
		}
		bin[i] = chain;
	}
	for (unsigned i = 0; i < TIMER_BINS; i++)
		sorted = timers_merge(bin[i], sorted);

	head->next = sorted;
	for (rest = head; rest->next; rest = rest->next)
		rest->next->prev = rest;
	rest->next = head;
	head->prev = rest;
	timers->past_unsorted = false;
}

/* [lock] The first of the past, which is not empty. */
static struct timer *timers_first_past(struct timers *timers)
{
	if (timers->past_unsorted)
		timers_sort_past(timers);
	return timer_of(timers->past.next);
}

/* [lock] The first occupied slot; *@ret_start is the first moment that belongs to it. */
static inline unsigned timers_first_slot(const struct timers *timers, hilo_time *ret_start)
{
	unsigned level = (unsigned)__builtin_ctz(timers->levels);
	unsigned digit = (unsigned)__builtin_ctzll(timers->occupied[level]);
	unsigned shift = level * TIMER_BITS;
	uint64_t above = (uint64_t)timers->position >> shift >> TIMER_BITS << TIMER_BITS;

	*ret_start = (hilo_time)((above | digit) << shift);
	return level * 64 + digit;
}

/* [lock] The earliest deadline of a slot; its start, which is early, if it holds too many to look at. */
static hilo_time timers_slot_earliest(struct timers *timers, unsigned slot, hilo_time start)
{
	hilo_time earliest = HILO_FOREVER;
	struct list *node;
	unsigned lanes, n = 0;
	struct list *list = timers_lists(timers, slot, &lanes);

	for (; lanes > 0; lanes--, list++) {
		list_for_each (node, list) {
			if (n++ == TIMER_LOOK)
				return start;
			if (timer_of(node)->when < earliest)
				earliest = timer_of(node)->when;
		}
	}
	return earliest;
}

/* [lock] What `next` should be. */
static hilo_time timers_earliest(struct timers *timers)
{
	hilo_time start;
	unsigned slot;

	if (!list_empty(&timers->past))
		return timers_first_past(timers)->when;
	if (!timers_spill_is_empty(timers))
		return timers->position;
	if (!timers->levels)
		return HILO_FOREVER;
	slot = timers_first_slot(timers, &start);
	return slot < 64 ? start : timers_slot_earliest(timers, slot, start);
}

/* [lock] Make `next` exact, or as exact as it gets. */
static void timers_publish(struct timers *timers)
{
	store_relaxed(&timers->next, timers_earliest(timers)); /* relaxed: see the file's head */
	timers->stale = false;
}

/* [lock] Fire @timer, which is due. The contract with fire is in timer.h. */
static inline enum timer_step timers_fire(struct timers *timers, struct timer *timer)
{
	timers_unlink(timers, timer);
	MUTANT(80, (void)0, store_release(&timer->pending, 0)); /* P1: not yet */
	timer->fire(timer);
	MUTANT(81, store_release(&timer->pending, 0), store_relaxed(&timer->pending, 0)); /* P1 */
	return STEP_FIRED;
}

/* [lock] The position reaches @slot, of a level above 0, which holds several timers. */
static enum timer_step timers_open(struct timers *timers, unsigned slot, hilo_time start)
{
	unsigned lanes;
	struct list *list = timers_lists(timers, slot, &lanes);

	timers->position = start;
	timers->spilling = slot / 64 * TIMER_BITS;
	timers->spills = true;
	while (lanes-- > 0)
		list_splice(&timers->spill[lanes], &list[lanes]);
	timers_vacate(timers, slot);
	return STEP_MOVED;
}

/* [lock] The next one to be dealt out, from one lane after the other; NULL: no more. */
static inline struct timer *timers_take_spilled(struct timers *timers)
{
	for (unsigned i = 0; i < TIMER_LANES; i++) {
		struct list *node = list_pop_first(&timers->spill[++timers->lane % TIMER_LANES]);

		if (node)
			return timer_of(node);
	}
	timers->spills = false;
	return NULL;
}

/* [lock] The first timer of @slot if it is the only one, else NULL. */
static inline struct timer *timers_only(struct timers *timers, unsigned slot)
{
	unsigned lanes;
	struct list *list = timers_lists(timers, slot, &lanes), *only = NULL;

	for (; lanes > 0; lanes--, list++) {
		if (list_empty(list))
			continue;
		if (only || list->next != list->prev)
			return NULL;
		only = list->next;
	}
	return timer_of(only);
}

/* [lock] The first slot, if @now has reached it; past and spill are empty. */
static enum timer_step timers_step_slot(struct timers *timers, hilo_time now)
{
	struct timer *timer;
	hilo_time start;
	unsigned slot;

	if (!timers->levels)
		return STEP_IDLE;
	slot = timers_first_slot(timers, &start);
	if (start > now)
		return STEP_IDLE;
	timer = slot < 64 ? timer_of(timers->slot[slot].next) : timers_only(timers, slot);
	if (!timer)
		return timers_open(timers, slot, start);

	/* Level 0, or the only one in its slot: nothing else lies between the position and it. */
	if (timer->when <= now) {
		timers->position = timer->when;
		return timers_fire(timers, timer);
	}
	timers_unlink(timers, timer);
	timers->position = now;
	timers_place(timers, timer);
	return STEP_IDLE;
}

/* [lock] Handle one node. The order of the cases is I3. */
static inline enum timer_step timers_step(struct timers *timers, hilo_time now)
{
	if (HILO__UNLIKELY(!list_empty(&timers->past))) {
		struct timer *timer = timers_first_past(timers);

		return timer->when <= now ? timers_fire(timers, timer) : STEP_IDLE;
	}
	if (timers->spills) {
		struct timer *timer = timers_take_spilled(timers);

		if (timer) {
			timers_place(timers, timer);
			return STEP_MOVED;
		}
	}
	return timers_step_slot(timers, now);
}

/* [lock] Handle up to TIMER_BATCH nodes. *@ret_idle: nothing more was due. Returns how many fired. */
static unsigned timers_run(struct timers *timers, hilo_time now, unsigned max, bool *ret_idle)
{
	unsigned fired = 0;

	*ret_idle = false;
	timers->stale = true;
	for (unsigned n = 0; n < TIMER_BATCH && fired < max; n++) {
		enum timer_step step = timers_step(timers, now);

		if (step == STEP_FIRED) {
			fired++;
		} else if (step == STEP_IDLE) {
			if (timers->position < now)
				timers->position = now;
			timers_publish(timers);
			*ret_idle = true;
			break;
		}
	}
	return fired;
}

void hilo__timers_init(struct timers *timers, hilo_time now)
{
	atomic_setup(&timers->next, HILO_FOREVER);
	spin_init(&timers->lock);
	timers->stale = false;
	timers->past_unsorted = false;
	timers->levels = 0;
	timers->spills = false;
	timers->spilling = 0;
	timers->lane = 0;
	timers->position = now < 0 ? 0 : now;
	for (unsigned i = 0; i < TIMER_LEVELS; i++)
		timers->occupied[i] = 0;
	list_init(&timers->past);
	for (unsigned i = 0; i < TIMER_LANES; i++)
		list_init(&timers->spill[i]);
	for (unsigned i = 0; i < TIMER_LISTS; i++)
		list_init(&timers->slot[i]);
}

void hilo__timer_add(struct timers *timers, struct timer *timer, hilo_time when)
{
	HILO__ASSERT(!load_relaxed(&timer->pending)); /* relaxed: the caller's own */
	timer->when = when;
	store_relaxed(&timer->pending, 1); /* relaxed: published by the lock */
	spin_lock(&timers->lock);
	timers_insert(timers, timer);
	spin_unlock(&timers->lock);
}

bool hilo__timer_del(struct timers *timers, struct timer *timer)
{
	bool pending;

	if (!MUTANT(82, load_acquire(&timer->pending), load_relaxed(&timer->pending))) /* P1 */
		return false;
	spin_lock(&timers->lock);
	pending = MUTANT(83, load_relaxed(&timer->pending), true); /* relaxed: under the lock */
	if (pending) {
		timers_remove(timers, timer);
		store_relaxed(&timer->pending, 0); /* relaxed: the caller's own from here on */
	}
	spin_unlock(&timers->lock);
	return pending;
}

bool hilo__timer_move(struct timers *timers, struct timer *timer, hilo_time when)
{
	bool pending;

	spin_lock(&timers->lock);
	pending = load_relaxed(&timer->pending); /* relaxed: under the lock */
	if (pending)
		timers_remove(timers, timer);
	timer->when = when;
	store_relaxed(&timer->pending, 1); /* relaxed: published by the lock */
	timers_insert(timers, timer);
	spin_unlock(&timers->lock);
	return pending;
}

hilo_time hilo__timers_settle(struct timers *timers)
{
	hilo_time next;

	spin_lock(&timers->lock);
	if (timers->stale)
		timers_publish(timers);
	next = load_relaxed(&timers->next); /* relaxed: under the lock */
	spin_unlock(&timers->lock);
	return next;
}

unsigned hilo__timers_expire(struct timers *timers, hilo_time now, unsigned max)
{
	unsigned fired = 0;
	bool idle = load_relaxed(&timers->next) > now; /* relaxed: see the file's head */

	while (!idle && fired < max) {
		spin_lock(&timers->lock);
		fired += timers_run(timers, now, max - fired, &idle);
		spin_unlock(&timers->lock);
	}
	return fired;
}

unsigned hilo__timers_try_expire(struct timers *timers, hilo_time now, unsigned max)
{
	unsigned fired = 0;
	bool idle = load_relaxed(&timers->next) > now; /* relaxed: see the file's head */

	/* relaxed: a planted fault */
	while (!idle && fired < max &&
	       MUTANT(85, spin_trylock(&timers->lock), (store_relaxed(&timers->lock.held, 1), true))) {
		fired += timers_run(timers, now, max - fired, &idle);
		spin_unlock(&timers->lock);
	}
	return fired;
}
