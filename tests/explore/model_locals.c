/* SPDX-License-Identifier: MIT */
/*
 * model_locals.c - chains of task-local values that tasks share: the shipped locals.c.
 *
 * T0 has a value and sets another one, the others have inherited what it had at that moment. Checked: each finds
 * what it has inherited for as long as it has that; all memory is freed once, after its last use; each value is
 * dropped once.
 */
#include <string.h>

#include "scheduler/base/mem.h"
#include "scheduler/locals.h"
#include "tests/explore/explore.h"

#define PLACES 12

/* Two keys; values of the one, and of the other. */
static const char user, trace;
static unsigned values[4];
#define FIRST (&values[0])
#define SECOND (&values[1])
#define THIRD (&values[2])
#define OTHER (&values[3])

static struct binding *slot[EXPLORE_THREADS];
static struct binding *back;
static struct local_value *before;
static atomic(uint32_t) made, dropped;

/* Memory is handed out once only, so that late accesses are found. */
static _Alignas(16) unsigned char memory[EXPLORE_THREADS][PLACES][64];
static unsigned taken[EXPLORE_THREADS];
static atomic(uint32_t) allocated, freed;

void *hilo__malloc(size_t size)
{
	unsigned me = explore_self();

	EXPLORE_CHECK(size <= sizeof(memory[0][0]) && taken[me] < PLACES);
	(void)add_relaxed(&allocated, 1); /* relaxed: a count */
	return memory[me][taken[me]++];
}

void hilo__free(void *p)
{
	if (!p)
		return;
	explore_retire(p, sizeof(memory[0][0]));
	(void)add_relaxed(&freed, 1); /* relaxed: a count */
}

static void value_drop(void *data)
{
	EXPLORE_CHECK(plain_load((unsigned *)data) == 7u);
	plain_store((unsigned *)data, 8u); /* nobody uses it, and nobody drops it again */
	(void)add_relaxed(&dropped, 1);	   /* relaxed: a count */
}

static void set(const void *key, unsigned *data, struct binding **ret_back)
{
	plain_store(data, 7u);
	EXPLORE_CHECK(hilo__locals_set(&slot[explore_self()], key, data, value_drop, ret_back, &before) == 0);
	(void)add_relaxed(&made, 1); /* relaxed: a count */
}

static void reset(void)
{
	memset(memory, 0, sizeof(memory));
	memset(slot, 0, sizeof(slot));
	memset(taken, 0, sizeof(taken));
	allocated = 0;
	freed = 0;
	made = 0;
	dropped = 0;
}

/* T0 has a first value, then a second one, with the way back or without. */
static void setup_with(struct binding **ret_back)
{
	reset();
	set(&user, FIRST, NULL);
	set(&user, SECOND, ret_back);
}

/* T1 has inherited what T0 has. */
static void setup_two(void)
{
	setup_with(&back);
	slot[1] = locals_ref(slot[0]);
}

/* T2 as well. */
static void setup_three(void)
{
	setup_two();
	slot[2] = locals_ref(slot[0]);
}

static void setup_three_heirs(void)
{
	setup_with(NULL);
	slot[1] = locals_ref(slot[0]);
	slot[2] = locals_ref(slot[0]);
}

/* For the other key as well, and one more would be too many that are hidden. */
static void setup_untidy(void)
{
	reset();
	set(&trace, OTHER, NULL);
	set(&user, FIRST, NULL);
	set(&user, SECOND, NULL);
	slot[1] = locals_ref(slot[0]);
}

static void finish(void)
{
	EXPLORE_CHECK(allocated == freed);
	EXPLORE_CHECK(made == dropped);
}

static void *found(const void *key)
{
	struct local_value *value = hilo__locals_find(slot[explore_self()], key);

	return value ? value->data : NULL;
}

static void drop(void)
{
	hilo__locals_drop(&slot[explore_self()]);
}

static bool has(const void *key, unsigned *data)
{
	return found(key) == data && (!data || plain_load(data) == 7u);
}

/* Its task ends. */
static void heir(void)
{
	EXPLORE_CHECK(has(&user, SECOND) && has(&trace, NULL));
	drop();
}

static void heir_of_both(void)
{
	EXPLORE_CHECK(has(&user, SECOND) && has(&trace, OTHER));
	drop();
}

/* Sets a value of its own before. */
static void heir_sets(void)
{
	set(&trace, OTHER, NULL);
	EXPLORE_CHECK(has(&user, SECOND) && has(&trace, OTHER));
	drop();
}

/* Goes back, by changing its chain or by a binding in front. */
static void restores(void)
{
	hilo__locals_restore(&slot[0], &user, back, before);
	EXPLORE_CHECK(has(&user, FIRST));
	drop();
}

/* Gets a chain of its own, with the values that count. */
static void tidies(void)
{
	set(&user, THIRD, NULL);
	EXPLORE_CHECK(slot[0]->hidden == 0);
	EXPLORE_CHECK(has(&user, THIRD) && has(&trace, OTHER));
	drop();
}

static const struct explore_model models[] = {
	EXPLORE_MODEL("locals_drop", "T0, T1, T2 share a chain, drop it; T2 sets a value before",
		      setup_three_heirs, finish, heir, heir, heir_sets),
	EXPLORE_MODEL("locals_restore", "T0 goes back to the value before, drops; T1 has inherited, drops",
		      setup_two, finish, restores, heir),
	EXPLORE_MODEL("locals_restore_two",
		      "T0 goes back to the value before, drops; T1, T2 have inherited, drop", setup_three,
		      finish, restores, heir, heir),
	EXPLORE_MODEL("locals_tidy", "T0 makes its chain anew, drops it; T1 has inherited the old one, drops",
		      setup_untidy, finish, tidies, heir_of_both),
};

int main(int argc, char **argv)
{
	return explore_main(argc, argv, models, array_size(models));
}
