/* SPDX-License-Identifier: MIT */
/*
 * operation.c - the operations of atomic.h as models execute them: each is a scheduling point, then one
 * step on the memory of memory.c. Outside of an execution they are what they are called.
 */
#include "tests/explore/explore_impl.h"

#include <string.h>

static uint64_t raw_load(const void *p, size_t size)
{
	uint64_t value = 0;

	memcpy(&value, p, size);
	return value;
}

static void raw_store(void *p, size_t size, uint64_t value)
{
	memcpy(p, &value, size);
}

/* Message @index of @loc is not the newest. */
static const char *old_mark(const struct location *loc, unsigned index)
{
	return index + 1 < loc->count ? " (old)" : "";
}

uint64_t explore_load(const void *p, size_t size, enum explore_order order, const struct explore_site *site)
{
	struct location *loc;
	unsigned index;
	uint64_t value;

	if (!explore_live)
		return raw_load(p, size);
	loc = memory_location(p, size, site);
	explore_point(false);
	memory_touch(loc, site);
	index = loc->count - 1 - search_choose(loc->count - memory_oldest(loc, order), CHOICE_READ);
	value = memory_read(loc, index, order);
	explore_thread()->glued = order != EXPLORE_SEQ_CST; /* R2 */
	if (explore_tracing)
		explore_trace(site, "= %lld%s", (long long)value, old_mark(loc, index));
	return value;
}

void explore_store(void *p, size_t size, uint64_t value, enum explore_order order,
		   const struct explore_site *site)
{
	struct location *loc;

	if (!explore_live) {
		raw_store(p, size, value);
		return;
	}
	loc = memory_location(p, size, site);
	memory_claim(loc);
	explore_point(order != EXPLORE_SEQ_CST && loc->writer == explore_current); /* R3 */
	memory_touch(loc, site);
	memory_append(loc, value, order, NULL);
	explore_thread()->glued = false;
	if (explore_tracing)
		explore_trace(site, ": %lld", (long long)value);
}

static uint64_t rmw_apply(enum explore_rmw op, uint64_t old, uint64_t operand)
{
	switch (op) {
	case EXPLORE_XCHG:
		return operand;
	case EXPLORE_ADD:
		return old + operand;
	case EXPLORE_SUB:
		return old - operand;
	case EXPLORE_OR:
		return old | operand;
	case EXPLORE_AND:
		return old & operand;
	}
	return old;
}

/* @value cut to the size of @loc, as memory would. */
static uint64_t value_cut(const struct location *loc, uint64_t value)
{
	return loc->size == 8 ? value : value & (((uint64_t)1 << (8 * loc->size)) - 1);
}

/* Read the newest message and append @value behind it, in one step. */
static void newest_replace(struct location *loc, uint64_t value, enum explore_order order)
{
	const struct message *newest = &loc->messages[loc->count - 1];

	(void)memory_read(loc, loc->count - 1, order);
	memory_append(loc, value_cut(loc, value), order, &newest->view);
	explore_thread()->glued = false;
}

uint64_t explore_rmw(void *p, size_t size, enum explore_rmw op, uint64_t operand, enum explore_order order,
		     const struct explore_site *site)
{
	struct location *loc;
	uint64_t old, value;

	if (!explore_live) {
		old = raw_load(p, size);
		raw_store(p, size, rmw_apply(op, old, operand));
		return old;
	}
	loc = memory_location(p, size, site);
	memory_claim(loc);
	explore_point(false);
	memory_touch(loc, site);
	old = loc->messages[loc->count - 1].value;
	value = rmw_apply(op, old, operand);
	newest_replace(loc, value, order);
	if (explore_tracing)
		explore_trace(site, "= %lld: %lld", (long long)old, (long long)value_cut(loc, value));
	return old;
}

/*
 * R5: the operation before this compare-and-swap has read @expected there though it could have read
 * message @index: then the thread would have known what it learns by failing.
 */
static bool cas_fails_in_vain(const struct location *loc, unsigned index, uint64_t expected)
{
	const struct thread *t = explore_thread();

	return explore_options.retry && t->old_read == loc->address && t->old_value == expected &&
	       index < t->old_newest;
}

/* How a compare-and-swap may go: the newest message, or any older readable one that makes it fail. */
static unsigned cas_choices(const struct location *loc, enum explore_order failure, uint64_t expected,
			    unsigned *ret)
{
	unsigned oldest = memory_oldest(loc, failure), n = 0;

	for (unsigned i = loc->count; i-- > oldest;) {
		bool fails = loc->messages[i].value != expected;

		if (fails ? !cas_fails_in_vain(loc, i, expected) : i == loc->count - 1)
			ret[n++] = i;
	}
	if (n == 0)
		explore_abandon();
	return n;
}

bool explore_cas(void *p, size_t size, void *expected, uint64_t value, enum explore_order success,
		 enum explore_order failure, const struct explore_site *site)
{
	uint64_t wanted = raw_load(expected, size);
	unsigned choices[HISTORY], index;
	struct location *loc;
	uint64_t old;

	if (!explore_live) {
		old = raw_load(p, size);
		raw_store(old == wanted ? p : expected, size, old == wanted ? value : old);
		return old == wanted;
	}
	loc = memory_location(p, size, site);
	memory_claim(loc); /* also if it is going to fail: in another order it might not */
	explore_point(false);
	memory_touch(loc, site);
	index = choices[search_choose(cas_choices(loc, failure, wanted, choices), CHOICE_READ)];
	old = loc->messages[index].value;
	if (explore_tracing)
		explore_trace(site, "%s %lld = %lld%s", old == wanted ? "done, from" : "failed, expected",
			      (long long)wanted, (long long)old, old_mark(loc, index));
	if (old == wanted) {
		newest_replace(loc, value, success);
		return true;
	}
	(void)memory_read(loc, index, failure);
	explore_thread()->glued = failure != EXPLORE_SEQ_CST; /* R2 */
	raw_store(expected, size, old);
	return false;
}

void explore_setup(void *p, size_t size, uint64_t value, const struct explore_site *site)
{
	struct location *loc;

	if (!explore_live) {
		raw_store(p, size, value);
		return;
	}
	loc = memory_location(p, size, site);
	memory_claim(loc);
	explore_point(loc->writer == explore_current); /* R3 */
	memory_touch(loc, site);
	if (!memory_is_quiet(loc))
		explore_fail("data race: %s:%d: %s while another thread uses it", site->file, site->line,
			     site->what);
	memory_append(loc, value, EXPLORE_RELAXED, NULL);
	explore_thread()->glued = false;
	if (explore_tracing)
		explore_trace(site, ": %lld", (long long)value);
}
