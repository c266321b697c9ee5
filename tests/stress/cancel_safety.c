/* SPDX-License-Identifier: MIT */
/*
 * cancel_safety.c - actors, the driver, and the table of what has come out. See cancel_safety.h.
 *
 * Relaxed: what the driver and the actors tell each other are counts and hints; threads are joined and tasks awaited
 * before anything else is looked at.
 */
#include "tests/stress/cancel_safety.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TASKS 24
#define THREADS 3
#define ACTORS (TASKS + THREADS)
#define ROUNDS 4 /* for each number of workers, each ends in a quiet point */
#define SHARE 60 /* operations of each actor in a round, at least */
#define NEAR_NS 40000
#define FAR_NS (2 * HILO_MILLISECOND)
#define NAP_NS 50000
/* How many times the operations that should do. Cells that are not full then will never be. */
#define ENOUGH 12
/* After so many naps in which nothing has moved the object is asked to wake somebody. */
#define STANDSTILL 20
/* One who has not moved for so many naps, 20 s at least, is lost: he should have got what he waits for. */
#define LOST (20 * (unsigned)(HILO_SECOND / NAP_NS))

static const unsigned workers_of[] = {1, 2, 8};

static struct {
	const struct safety_object *of;
	void *object;
	struct safety_actor actors[ACTORS];
	unsigned weights; /* of all operations */
	uint64_t before;  /* operations before this number of workers */
	uint64_t count[SAFETY_OPS_MAX][SAFETY_FAILURES + 1];
	atomic(bool) stop;
	atomic(unsigned) left; /* actors that have not left */
	unsigned round;
} stage;

/* How an operation is limited. */
enum limit {
	LIMIT_NONE,
	LIMIT_NO_WAIT,
	LIMIT_PASSED,
	LIMIT_NEAR,
	LIMIT_FAR,
	LIMIT_BLOCK,	/* of a block around it */
	LIMIT_SHIELDED, /* and no cancel reaches it */
	LIMIT_CANCELLED /* it is cancelled before */
};

/* The column of @code; ends the program if nobody has declared it. */
static unsigned outcome_of(const struct safety_op *op, int code)
{
	if (code >= 0)
		return 0;
	for (unsigned i = 0; i < SAFETY_FAILURES && op->failures[i]; i++)
		if (op->failures[i] == code)
			return i + 1;
	(void)fprintf(stderr, "%s: %s has ended with %s (%s), which is not in its table\n", stage.of->name,
		      op->name, hilo_errname(code), hilo_error_message());
	test_die(__FILE__, __LINE__, op->name, code, 0);
}

static bool can_fail_with(const struct safety_op *op, int code)
{
	for (unsigned i = 0; i < SAFETY_FAILURES; i++)
		if (op->failures[i] == code)
			return true;
	return false;
}

static const struct safety_op *op_choose(struct safety_actor *actor)
{
	const struct safety_op *op = stage.of->ops;
	unsigned weight = safety_choose(actor, stage.weights);

	while (weight >= (op->weight ? op->weight : 1))
		weight -= op->weight ? op->weight : 1, op++;
	return op;
}

static enum limit limit_choose(struct safety_actor *actor)
{
	static const enum limit of_tasks[16] = {LIMIT_NONE,  LIMIT_NONE,    LIMIT_NONE,	    LIMIT_NONE,
						LIMIT_NONE,  LIMIT_NO_WAIT, LIMIT_PASSED,   LIMIT_NEAR,
						LIMIT_NEAR,  LIMIT_NEAR,    LIMIT_FAR,	    LIMIT_FAR,
						LIMIT_BLOCK, LIMIT_BLOCK,   LIMIT_SHIELDED, LIMIT_CANCELLED};
	static const enum limit of_threads[8] = {LIMIT_FAR,    LIMIT_FAR,  LIMIT_FAR,  LIMIT_NO_WAIT,
						 LIMIT_PASSED, LIMIT_NEAR, LIMIT_NEAR, LIMIT_NEAR};

	if (actor->patient)
		return LIMIT_NONE;
	return actor->plain ? of_threads[safety_choose(actor, 8)] : of_tasks[safety_choose(actor, 16)];
}

static hilo_time deadline_near(struct safety_actor *actor)
{
	return hilo_after(safety_choose(actor, NEAR_NS));
}

static hilo_time deadline_choose(struct safety_actor *actor, enum limit limit)
{
	switch (limit) {
	case LIMIT_NO_WAIT:
		return HILO_NO_WAIT;
	case LIMIT_PASSED:
		return hilo_now() - 1;
	case LIMIT_NEAR:
		return deadline_near(actor);
	case LIMIT_FAR:
		return hilo_after(FAR_NS);
	case LIMIT_SHIELDED:
		return safety_choose(actor, 2) ? deadline_near(actor) : hilo_after(FAR_NS);
	default:
		return HILO_FOREVER;
	}
}

static int op_run(const struct safety_op *op, struct safety_actor *actor, enum limit limit)
{
	hilo_time deadline = deadline_choose(actor, limit);
	hilo_timeout timeout;
	int code;

	if (limit == LIMIT_BLOCK)
		TASK_CHECK(hilo_timeout_enter(&timeout, safety_choose(actor, 4) ? deadline_near(actor)
										: hilo_after(FAR_NS)),
			   ==, 0);
	else if (limit == LIMIT_SHIELDED)
		TASK_CHECK(hilo_shield_enter(), ==, 0);
	code = op->run(stage.object, actor, deadline);
	if (limit == LIMIT_BLOCK)
		(void)hilo_timeout_leave(&timeout, 0);
	else if (limit == LIMIT_SHIELDED)
		TASK_CHECK(hilo_shield_leave(), ==, 0);
	return code;
}

/* What no operation may do, whatever it is. */
static void code_check(const struct safety_op *op, const struct safety_actor *actor, enum limit limit,
		       bool cancelled, int code)
{
	const char *wrong = NULL;

	if (code == -ETIMEDOUT && (limit == LIMIT_NONE || limit == LIMIT_BLOCK || limit == LIMIT_CANCELLED))
		wrong = "has timed out without a deadline";
	else if (code == -ECANCELED && (actor->plain || limit == LIMIT_SHIELDED))
		wrong = "was cancelled, which it cannot be";
	else if (code != -ECANCELED && cancelled && limit != LIMIT_SHIELDED && !op->several &&
		 can_fail_with(op, -ECANCELED))
		wrong = "was tried though a cancel was set";
	if (!wrong)
		return;
	(void)fprintf(stderr, "%s: %s %s\n", stage.of->name, op->name, wrong);
	test_die(__FILE__, __LINE__, op->name, code, (int)limit);
}

static void count_one(atomic(uint64_t) * count)
{
	store_relaxed(count, load_relaxed(count) + 1);
}

/* False: it was not possible now. */
static bool actor_act(struct safety_actor *actor)
{
	const struct safety_op *op = op_choose(actor);
	enum limit limit = limit_choose(actor);
	unsigned number = (unsigned)(op - stage.of->ops);
	hilo_task *task = actor->plain ? NULL : hilo_task_current();
	bool cancelled;
	int code;

	store_relaxed(&actor->op, number);
	store_relaxed(&actor->steps, load_relaxed(&actor->steps) + 1);
	if (limit == LIMIT_CANCELLED)
		TASK_CHECK(hilo_task_cancel(task), ==, 0);
	cancelled = task && hilo_task_cancelling(task) > 0;
	code = op_run(op, actor, limit);
	store_relaxed(&actor->steps, load_relaxed(&actor->steps) + 1);
	if (task && hilo_task_cancelling(task) > 0)
		while (hilo_task_uncancel() > 0)
			;
	if (code == SAFETY_SKIP)
		return false;
	code_check(op, actor, limit, cancelled, code);
	count_one(&actor->count[number][outcome_of(op, code)]);
	count_one(&actor->operations);
	return true;
}

/* Cancel a task that is in an operation, if the lot has met one. */
static void actor_cancel_another(struct safety_actor *actor)
{
	struct safety_actor *other = &stage.actors[safety_choose(actor, TASKS)];
	hilo_task *task = load_acquire(&other->task); /* pairs with the driver's store */

	if (other != actor && !other->patient && task && load_relaxed(&other->steps) % 2)
		(void)hilo_task_cancel(task);
}

static int actor_main(void *arg)
{
	struct safety_actor *actor = arg;

	while (!load_relaxed(&stage.stop)) {
		bool acted;

		if (safety_choose(actor, 8) == 0)
			actor_cancel_another(actor);
		acted = actor_act(actor);
		if (!acted || safety_choose(actor, 2))
			(void)hilo_yield();
	}
	if (!actor->plain)
		(void)hilo_shield_enter();
	if (stage.of->leave)
		stage.of->leave(stage.object, actor);
	(void)sub_release(&stage.left, 1); /* pairs with the driver's load */
	return 0;
}

static void *thread_main(void *arg)
{
	(void)actor_main(arg);
	return NULL;
}

/* Operations of this number of workers so far, and those before. */
static uint64_t operations(void)
{
	uint64_t sum = stage.before;

	for (unsigned i = 0; i < ACTORS; i++)
		sum += load_relaxed(&stage.actors[i].operations);
	return sum;
}

static uint64_t cell(size_t op, unsigned outcome)
{
	uint64_t sum = stage.count[op][outcome];

	for (unsigned i = 0; i < ACTORS; i++)
		sum += load_relaxed(&stage.actors[i].count[op][outcome]);
	return sum;
}

/* So many operations has the laziest actor made in this round. */
static uint64_t laziest(void)
{
	uint64_t least = UINT64_MAX;

	for (unsigned i = 0; i < ACTORS; i++) {
		uint64_t made = load_relaxed(&stage.actors[i].operations) - stage.actors[i].made_before;

		least = made < least ? made : least;
	}
	return least;
}

/* The operation of which one outcome has not come often enough; NULL: there is none. */
static const struct safety_op *cell_not_full(int *ret_code)
{
	for (size_t i = 0; i < stage.of->ops_count; i++) {
		const struct safety_op *op = &stage.of->ops[i];

		for (unsigned k = 0; k <= SAFETY_FAILURES; k++) {
			*ret_code = k ? op->failures[k - 1] : 0;
			if (k && !*ret_code)
				break;
			if (cell(i, k) < test_rounds(SAFETY_CELL))
				return op;
		}
	}
	return NULL;
}

static HILO__NORETURN void somebody_is_lost(void)
{
	(void)fprintf(stderr, "%s: somebody is lost in round %u\n", stage.of->name, stage.round);
	for (unsigned i = 0; i < ACTORS; i++) {
		const struct safety_actor *actor = &stage.actors[i];

		if (load_relaxed(&actor->steps) % 2)
			(void)fprintf(stderr, "  %s%s %u is in %s, for %u naps\n",
				      actor->patient ? "patient " : "", actor->plain ? "thread" : "task", i,
				      stage.of->ops[load_relaxed(&actor->op)].name, actor->naps);
	}
	test_die(__FILE__, __LINE__, stage.of->name, stage.round, 0);
}

/* Have a nap, and see whether anything has moved since the last one. Returns after how many naps nothing has. */
static int nap(int still)
{
	const struct timespec moment = {0, NAP_NS};
	bool moved = false;

	(void)nanosleep(&moment, NULL);
	for (unsigned i = 0; i < ACTORS; i++) {
		struct safety_actor *actor = &stage.actors[i];
		uint32_t steps = load_relaxed(&actor->steps);

		moved |= steps != actor->seen;
		actor->naps = steps == actor->seen && steps % 2 ? actor->naps + 1 : 0;
		actor->seen = steps;
		if (actor->naps > LOST)
			somebody_is_lost();
	}
	still = moved ? 0 : still + 1;
	if (still > 0 && still % STANDSTILL == 0 && stage.of->wake)
		stage.of->wake(stage.object);
	return still;
}

/* Who has stood still for the last nap is cancelled, if that is allowed: @all, or one by lot. */
static void cancel_standing(struct random *random, bool all)
{
	unsigned chosen = random_below(random, TASKS);

	for (unsigned i = 0; i < TASKS; i++) {
		const struct safety_actor *actor = &stage.actors[i];

		if (!actor->patient && actor->naps > 0 && (all || i == chosen))
			(void)hilo_task_cancel(load_relaxed(&actor->task));
	}
}

/* There were @target operations, everybody has had a share, and the cells are full, if that is asked for. */
static bool is_enough(uint64_t target, bool full)
{
	uint64_t made = operations();
	int code;

	if (made < target || laziest() < test_rounds(SHARE))
		return false;
	return !full || made >= (uint64_t)test_rounds(SAFETY_OPERATIONS) * ENOUGH || !cell_not_full(&code);
}

/* Let them act, and leave. */
static void drive(struct random *random, bool full)
{
	uint64_t target =
		operations() + test_rounds(SAFETY_OPERATIONS) / (array_size(workers_of) * ROUNDS) + 1;
	int still = 0;

	while (!is_enough(target, full)) {
		still = nap(still);
		cancel_standing(random, still > 1);
	}
	store_relaxed(&stage.stop, true);
	still = 0;
	while (load_acquire(&stage.left) > 0) /* pairs with who leaves */
		still = nap(still);
}

static void round_run(hilo_runtime *runtime, struct random *random, bool full)
{
	hilo_task_opts pinned = {.size = sizeof(pinned), .flags = HILO_TASK_PINNED};
	pthread_t threads[THREADS];

	stage.round++;
	store_relaxed(&stage.stop, false);
	store_relaxed(&stage.left, ACTORS);
	pinned.loop = hilo_runtime_loop(runtime, 0);
	for (unsigned i = 0; i < ACTORS; i++) {
		struct safety_actor *actor = &stage.actors[i];
		hilo_task *task;

		actor->naps = 0;
		actor->made_before = load_relaxed(&actor->operations);
		if (i >= TASKS) {
			TASK_CHECK(pthread_create(&threads[i - TASKS], NULL, thread_main, actor), ==, 0);
			continue;
		}
		TASK_CHECK(hilo_submit(runtime, actor_main, actor, i % 8 ? NULL : &pinned, &task), ==, 0);
		store_release(&actor->task, task); /* pairs with the load of who cancels it */
	}
	drive(random, full);
	for (unsigned i = TASKS; i < ACTORS; i++)
		TASK_CHECK(pthread_join(threads[i - TASKS], NULL), ==, 0);
	for (unsigned i = 0; i < TASKS; i++)
		TASK_CHECK(hilo_await(load_relaxed(&stage.actors[i].task), HILO_FOREVER), ==, 0);
	for (unsigned i = 0; i < TASKS; i++) {
		hilo_task_unref(load_relaxed(&stage.actors[i].task));
		store_relaxed(&stage.actors[i].task, NULL);
	}
	if (stage.of->check)
		stage.of->check(stage.object, stage.actors, ACTORS);
}

static void actors_up(unsigned workers)
{
	for (unsigned i = 0; i < ACTORS; i++) {
		struct safety_actor *actor = &stage.actors[i];

		memset(actor, 0, sizeof(*actor));
		random_init(&actor->random, test_seed() + workers, i);
		actor->number = i;
		actor->plain = i >= TASKS;
		actor->patient = i % 6 == 0; /* four tasks, pinned ones among them, and a thread */
		actor->own = calloc(1, stage.of->own_size + 1);
		TASK_CHECK(actor->own, !=, NULL);
	}
}

static void actors_down(void)
{
	stage.before = operations();
	for (size_t i = 0; i < stage.of->ops_count; i++)
		for (unsigned k = 0; k <= SAFETY_FAILURES; k++)
			stage.count[i][k] = cell(i, k);
	for (unsigned i = 0; i < ACTORS; i++) {
		free(stage.actors[i].own);
		memset(&stage.actors[i], 0, sizeof(stage.actors[i]));
	}
}

static void workers_run(unsigned index)
{
	hilo_opts opts = {.size = sizeof(opts), .workers = workers_of[index]};
	hilo_runtime *runtime;
	struct random random;

	random_init(&random, test_seed() + index, ACTORS);
	actors_up(workers_of[index]);
	TASK_CHECK(hilo_runtime_new(&opts, &runtime), ==, 0);
	stage.object = stage.of->up(workers_of[index]);
	for (unsigned i = 1; i <= ROUNDS; i++)
		round_run(runtime, &random, i == ROUNDS && index == array_size(workers_of) - 1);
	stage.of->down(stage.object);
	TASK_CHECK(hilo_runtime_free(runtime), ==, 0);
	actors_down();
}

/* The columns: every failure that any operation may have, in the order of the table. */
static unsigned columns_collect(int columns[SAFETY_OPS_MAX * SAFETY_FAILURES])
{
	unsigned n = 0;

	for (size_t i = 0; i < stage.of->ops_count; i++)
		for (unsigned k = 0; k < SAFETY_FAILURES && stage.of->ops[i].failures[k]; k++) {
			unsigned at = 0;

			while (at < n && columns[at] != stage.of->ops[i].failures[k])
				at++;
			columns[at] = stage.of->ops[i].failures[k];
			n += at == n;
		}
	return n;
}

static void table_print(void)
{
	int columns[SAFETY_OPS_MAX * SAFETY_FAILURES];
	unsigned n = columns_collect(columns);

	printf("%s: %" PRIu64 " operations of tasks on 1, 2 and 8 workers and of plain threads, seed %" PRIu64
	       "\n  %-18s %11s",
	       stage.of->name, operations(), test_seed(), "", "done");
	for (unsigned c = 0; c < n; c++)
		printf(" %15s", hilo_errname(columns[c]));
	for (size_t i = 0; i < stage.of->ops_count; i++) {
		printf("\n  %-18s %11" PRIu64, stage.of->ops[i].name, cell(i, 0));
		for (unsigned c = 0; c < n; c++)
			if (can_fail_with(&stage.of->ops[i], columns[c]))
				printf(" %15" PRIu64, cell(i, outcome_of(&stage.of->ops[i], columns[c])));
			else
				printf(" %15s", "-");
	}
	printf("\n");
	(void)fflush(stdout);
}

void safety_prove(const struct safety_object *object)
{
	const struct safety_op *op;
	int code;

	TASK_CHECK(object->ops_count, <=, SAFETY_OPS_MAX);
	memset(&stage, 0, sizeof(stage));
	stage.of = object;
	for (size_t i = 0; i < object->ops_count; i++)
		stage.weights += object->ops[i].weight ? object->ops[i].weight : 1;
	for (unsigned i = 0; i < array_size(workers_of); i++)
		workers_run(i);
	table_print();
	op = cell_not_full(&code);
	if (!op)
		return;
	(void)fprintf(stderr, "%s: too few of %s: %s\n", object->name, op->name,
		      code ? hilo_errname(code) : "done");
	test_die(__FILE__, __LINE__, object->name, code, 0);
}
