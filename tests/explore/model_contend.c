/* SPDX-License-Identifier: MIT */
/*
 * model_contend.c - the shipped contend.c: boxes that items are put into, and who waits for one of them.
 *
 * Checked: an item is received by one, or stays in its box; whoever receives one sees it; nobody waits for ever
 * for what was given; an object that its last user gives up is not touched any more. Waiting twice reuses the
 * place of the nodes on the stack.
 */
#include <errno.h>

#include "runtime/contend_impl.h"
#include "tests/explore/waiting.h"

#define ITEM 7

struct box {
	struct spinlock lock;
	struct list getters;
	int items; /* under the lock */
};

struct getter {
	struct contend_node node;
	int item;
};

static struct box box[2];
static atomic(uint32_t) received; /* counted, for the end */

void hilo__task_wake(struct hilo_task *task, uint32_t episode)
{
	if (task_state_wake(&task->state, episode))
		waiting_ready(task);
}

int64_t hilo__cycles_to_ns(uint64_t cycles)
{
	return (int64_t)cycles;
}

uint64_t cycles_now(void)
{
	return 0;
}

static void setup(void)
{
	waiting_reset(4, 0);
	for (int i = 0; i < 2; i++) {
		spin_init(&box[i].lock);
		list_init(&box[i].getters);
		box[i].items = 0;
	}
	received = 0;
}

/* Whoever waits first gets it. */
static void give(struct box *to)
{
	struct contend_node *node;
	struct contend_won won;
	bool is_won = false;

	spin_lock(&to->lock);
	while (!is_won && (node = contend_pop(&to->getters))) {
		is_won = contend_win(node, &won);
		if (is_won)
			plain_store(&container_of(node, struct getter, node)->item, ITEM);
	}
	if (!is_won)
		plain_store(&to->items, plain_load(&to->items) + 1);
	spin_unlock(&to->lock);
	if (is_won)
		contend_tell(&won);
}

/* [lock] */
static bool box_take(struct box *from)
{
	int items = plain_load(&from->items);

	if (items)
		plain_store(&from->items, items - 1);
	return items > 0;
}

/* One of the first @n boxes, or a failure. Its nodes are in all of them. */
static int take(int n)
{
	struct contender contender;
	struct getter getter[2];
	int rc = hilo__contend_begin(&contender, WAIT_OTHER, box, HILO_FOREVER);
	bool ready = false;

	if (rc < 0)
		return rc;
	for (int i = 0; i < n; i++)
		spin_lock(&box[i].lock);
	for (int i = 0; i < n && !ready; i++)
		ready = box_take(&box[i]);
	for (int i = 0; i < n; i++) {
		if (!ready)
			contend_add(&box[i].getters, &getter[i].node, &contender, (uint32_t)i);
		spin_unlock(&box[i].lock);
	}
	if (!ready) {
		rc = hilo__contend_wait(&contender);
		if (rc >= 0)
			EXPLORE_CHECK(rc < n && plain_load(&getter[rc].item) == ITEM);
		for (int i = 0; i < n; i++) {
			if (i == rc)
				continue;
			spin_lock(&box[i].lock);
			MUTANT(174, (void)contend_remove(&getter[i].node), (void)0);
			spin_unlock(&box[i].lock);
		}
	}
	hilo__contend_end(&contender);
	if (rc >= 0)
		(void)add_relaxed(&received, 1); /* relaxed: for the count at the end */
	return rc;
}

static void finish_with(int given)
{
	waiting_check(4);
	EXPLORE_CHECK(list_empty(&box[0].getters) && list_empty(&box[1].getters));
	EXPLORE_CHECK((int)received + box[0].items + box[1].items == given);
}

static void finish_one(void)
{
	finish_with(1);
}

static void finish_two(void)
{
	finish_with(2);
}

/* As an event on the stack of who waits for it. */
static void takes_and_frees(void)
{
	EXPLORE_CHECK(take(1) == 0);
	explore_retire(&box[0], sizeof(box[0]));
}

static void finish_freed(void)
{
	waiting_check(4);
	EXPLORE_CHECK(received == 1);
}

static void takes(void)
{
	EXPLORE_CHECK(take(1) == 0);
}

static void takes_twice(void)
{
	takes();
	takes();
}

static void takes_or_leaves(void)
{
	int rc = take(1);

	EXPLORE_CHECK(rc == 0 || rc == -ECANCELED);
}

static void takes_of_both(void)
{
	EXPLORE_CHECK(take(2) >= 0);
}

static void takes_of_both_twice(void)
{
	takes_of_both();
	takes_of_both();
}

static void gives(void)
{
	give(&box[0]);
}

static void gives_second(void)
{
	give(&box[1]);
}

static void gives_two(void)
{
	gives();
	gives();
}

static void canceller_of_T0(void)
{
	if (task_state_cancel(&records[0].state, 1))
		waiting_ready(&records[0]);
}

/* A bell: rings once for all who listen then. */
static bool rang[2];

static void setup_bell(void)
{
	setup();
	rang[0] = rang[1] = false;
}

static int listen_for_bell(void)
{
	struct contender contender;
	struct contend_node node;
	int rc = hilo__contend_begin(&contender, WAIT_OTHER, box, HILO_FOREVER);

	if (rc < 0)
		return rc;
	spin_lock(&box[0].lock);
	if (!box_take(&box[0])) {
		contend_add(&box[0].getters, &node, &contender, 0);
		spin_unlock(&box[0].lock);
		rc = hilo__contend_wait(&contender);
		if (rc < 0) {
			spin_lock(&box[0].lock);
			(void)contend_remove(&node);
			spin_unlock(&box[0].lock);
		}
	} else {
		spin_unlock(&box[0].lock);
	}
	hilo__contend_end(&contender);
	return rc;
}

static void listens(void)
{
	rang[explore_self()] = listen_for_bell() == 0;
}

static void rings(void)
{
	spin_lock(&box[0].lock);
	plain_store(&box[0].items, 2); /* for those who come later */
	hilo__contend_tell_all(&box[0].getters, &box[0].lock);
}

static atomic(uint32_t) left;

/* The last of them frees it. */
static void listens_and_frees(void)
{
	listens();
	if (add_acq_rel(&left, 1) == 1) /* pairs with itself */
		explore_retire(&box[0], sizeof(box[0]));
}

static void setup_bell_freed(void)
{
	setup_bell();
	left = 0;
}

static void finish_bell_freed(void)
{
	waiting_check(4);
	EXPLORE_CHECK(rang[1]);
}

static void finish_bell(void)
{
	waiting_check(4);
	EXPLORE_CHECK(list_empty(&box[0].getters) && rang[0] && rang[1]);
}

static void finish_bell_cancel(void)
{
	waiting_check(4);
	EXPLORE_CHECK(list_empty(&box[0].getters) && rang[1]);
}

static const struct explore_model models[] = {
	EXPLORE_MODEL("contend_free", "T0 takes one, frees the box; T1 gives it", setup, finish_freed,
		      takes_and_frees, gives),
	EXPLORE_MODEL("contend_twice", "T0 takes two; T1 and T2 give one each", setup, finish_two,
		      takes_twice, gives, gives),
	EXPLORE_MODEL("contend_cancel", "T0 takes one; T1 gives it; T2 cancels T0", setup, finish_one,
		      takes_or_leaves, gives, canceller_of_T0),
	EXPLORE_MODEL_BOUND(2, "contend_next", "T0 and T1 take one each; T2 gives two; T3 cancels T0", setup,
			    finish_two, takes_or_leaves, takes, gives_two, canceller_of_T0),
	EXPLORE_MODEL_BOUND(2, "contend_both", "T0 takes one of two boxes; T1 and T2 give to one each", setup,
			    finish_two, takes_of_both, gives, gives_second),
	EXPLORE_MODEL_BOUND(2, "contend_both_twice",
			    "T0 takes one of two boxes, twice; T1 and T2 give to one each", setup, finish_two,
			    takes_of_both_twice, gives, gives_second),
	EXPLORE_MODEL_BOUND(2, "contend_all", "T0 and T1 listen; T2 rings for all", setup_bell, finish_bell,
			    listens, listens, rings),
	EXPLORE_MODEL_BOUND(2, "contend_all_cancel", "T0 and T1 listen; T2 rings for all; T3 cancels T0",
			    setup_bell, finish_bell_cancel, listens, listens, rings, canceller_of_T0),
	EXPLORE_MODEL_BOUND(2, "contend_all_free",
			    "T0 and T1 listen, the last one frees the box; T2 rings; T3 cancels T0",
			    setup_bell_freed, finish_bell_freed, listens_and_frees, listens_and_frees, rings,
			    canceller_of_T0),
};

int main(int argc, char **argv)
{
	return explore_main(argc, argv, models, array_size(models));
}
