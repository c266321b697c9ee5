/* SPDX-License-Identifier: MIT */
#ifndef TESTS_STRESS_CANCEL_SAFETY_H
#define TESTS_STRESS_CANCEL_SAFETY_H

/*
 * cancel_safety.h - an object under random operations that are cancelled and time out: is anything lost or doubled?
 *
 * An object brings a table of its operations. Actors, tasks on 1, 2 and 8 workers and plain threads among them,
 * make them at random, until there were enough and each outcome of each operation has come often enough. Tasks are
 * cancelled by each other and by the driver while they are in an operation, and cancel themselves before one. Of
 * the deadlines some have passed, some are near, some far, some are those of a block around the operation; tasks
 * are shielded at times. Nothing depends on the clock: the driver cancels those that stand still. Part of the time
 * it is calm: actors rest between operations, so that who waits does so long enough for its deadline.
 *
 * Some actors are patient: no deadline, no cancel. They show what is lost: a wake-up, an item, a permit that did
 * not come ends the program, with a list of who waits. So they must not wait while they hold what others wait for.
 * For the same reason nobody is cancelled at the end of a round: all must leave by themselves, if necessary after
 * the object's `wake`.
 *
 *	static int wait(void *object, struct safety_actor *actor, hilo_time deadline)
 *	{
 *		return hilo_event_wait(object, deadline);
 *	}
 *	...
 *	static const struct safety_op ops[] = {
 *		{"wait", wait, {-ETIMEDOUT, -ECANCELED}, .weight = 3},
 *		{"set", set},
 *	};
 *	static const struct safety_object event = {
 *		"event", .up = up, .down = down, .wake = wake, .check = check, SAFETY_OPS(ops)};
 *
 *	int main(void)
 *	{
 *		test_begin();
 *		safety_prove(&event);
 *		return 0;
 *	}
 *
 * What the driver demands of every operation, beside that its code is one of those declared: no -ETIMEDOUT before its
 * deadline; no -ECANCELED without a request, in a plain thread, or under a shield; and a cancel that is set before an
 * operation that can be cancelled ends it with -ECANCELED.
 *
 * Each of these two is counted in two cells, and both must be full: was the request set, the deadline over, when
 * the operation was called, or did it come while that waited? It did so if the actor has slept in the operation,
 * which the hooks of its runtime tell, or `on_park` of a plain thread: a yield is not counted. What comes between
 * the call and the wait is in neither cell.
 */
#include "tests/support/test.h"

#include <limits.h>

#define SAFETY_OPS_MAX 12
#define SAFETY_FAILURES 6
#define SAFETY_MOMENTS 3

/* An operation was not possible now (the actor holds no permit that it could give back); it does not count. */
#define SAFETY_SKIP INT_MIN

/* One that acts. */
struct safety_actor {
	struct random random; /* for the operations as well */
	void *own;	      /* own_size bytes, zero when the object is set up */
	unsigned number;      /* from 0; the same one in each round */
	bool plain;	      /* a plain thread */
	bool patient;	      /* neither cancelled nor limited */

	/* The driver's. */
	uint32_t waits;		  /* times that it has slept */
	atomic(bool) sleeps;	  /* it does */
	atomic(hilo_task *) task; /* while the round lasts */
	atomic(uint32_t) steps;	  /* odd: in an operation */
	atomic(unsigned) op;	  /* which */
	atomic(uint64_t) count[SAFETY_OPS_MAX][SAFETY_FAILURES + 1][SAFETY_MOMENTS];
	atomic(uint64_t) operations;
	uint64_t made_before; /* this round */
	uint32_t seen;	      /* steps at the last nap */
	unsigned naps;	      /* in an operation, without a step */
};

struct safety_op {
	const char *name;
	/* [actor] 0 or more, one of the failures, or SAFETY_SKIP. Waits until @deadline at most, if it waits. */
	int (*run)(void *object, struct safety_actor *actor, hilo_time deadline);
	int failures[SAFETY_FAILURES]; /* that have to come, beside success; the rest is 0 */
	unsigned weight;	       /* how often it is chosen; 0: 1 */
	bool several; /* it makes several calls: a cancel that is set may not be what ends it */
	bool instant; /* it never waits, though it can be cancelled */
};

struct safety_object {
	const char *name;
	size_t own_size;
	/* Make one, for actors on @workers workers; end it. */
	void *(*up)(unsigned workers);
	void (*down)(void *object);
	/* [actor] At the end of a round, cancelled and shielded or not: give back what is held. NULL: nothing is. */
	void (*leave)(void *object, struct safety_actor *actor);
	/*
	 * [driver] Nothing seems to move: let some go on who wait for what will not come by itself, but in no way that
	 * helps one who should have gone on before. Called again and again until all do. NULL: it comes by itself.
	 */
	void (*wake)(void *object);
	/* At quiet points: all actors have left, and nobody uses the object. NULL: nothing to look at. */
	void (*check)(void *object, struct safety_actor *actors, unsigned count);
	const struct safety_op *ops;
	size_t ops_count;
};

#define SAFETY_OPS(table) .ops = (table), .ops_count = array_size(table)

/* How many operations there are for an object in all, and how many in each cell at least. */
#define SAFETY_OPERATIONS 1000000
#define SAFETY_CELL 1000

/* [main] Do all that, print the table of operations and outcomes; the program ends if anything is wrong. */
void safety_prove(const struct safety_object *object);

/* [actor] One of @n, by lot. */
static inline unsigned safety_choose(struct safety_actor *actor, unsigned n)
{
	return random_below(&actor->random, n);
}

#endif /* TESTS_STRESS_CANCEL_SAFETY_H */
