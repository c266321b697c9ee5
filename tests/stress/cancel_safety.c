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

#include "scheduler/wait.h"

#define TASKS 24
#define THREADS 3
#define ACTORS (TASKS + THREADS)
#define ROUNDS 4 /* for each number of workers, each ends in a quiet point */
#define SHARE 20 /* operations of each actor in a round, at least */
#define NEAR_NS 40000
#define FAR_NS (2 * HILO_MILLISECOND)
#define NAP_NS 50000
/* How many times the operations that should do, and how many naps. Cells that are not full then will never be. */
#define ENOUGH 36
#define ENOUGH_NAPS (60 * (unsigned)(HILO_SECOND / NAP_NS / 2))
/* For so many naps it is calm at the begin of a round, and then, while cells are not full, seven times in eight. */
#define CALM 50
#define REST_NS 500000
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
	uint64_t count[SAFETY_OPS_MAX][SAFETY_FAILURES + 1][SAFETY_MOMENTS];
	atomic(bool) stop;
	atomic(bool) calm;     /* actors rest between operations: so these wait for long */
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

static int actor_main(void *arg);

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
	if (load_relaxed(&stage.calm) && safety_choose(actor, 3) > 0)
		return LIMIT_NEAR; /* for what it is calm */
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

/* When a request came, or a deadline was over. Of what is neither only MOMENT_ENTRY is counted. */
enum moment {
	MOMENT_ENTRY,	/* before the operation was called */
	MOMENT_WAITING, /* while it waited */
	MOMENT_BETWEEN	/* not so that one could tell */
};

/* One operation, as it was seen from outside. */
struct attempt {
	const struct safety_op *op;
	enum limit limit;
	hilo_time deadline;
	bool cancelled; /* before it was called a request was set */
	bool late;	/* the deadline was over */
	bool waited;	/* it has slept in it */
	bool requested; /* a request was set when it had ended */
	int code;
};

static bool is_requested(const struct safety_actor *actor)
{
	return !actor->plain && hilo_task_cancelling(hilo_task_current()) > 0;
}

static void attempt_call(struct attempt *attempt, struct safety_actor *actor)
{
	uint32_t waits = actor->waits;

	attempt->cancelled = is_requested(actor);
	attempt->late = attempt->deadline != HILO_FOREVER && hilo_now() >= attempt->deadline;
	attempt->code = attempt->op->run(stage.object, actor, attempt->deadline);
	attempt->waited = actor->waits != waits;
	attempt->requested = is_requested(actor);
}

static void attempt_run(struct attempt *attempt, struct safety_actor *actor)
{
	hilo_timeout timeout;

	attempt->deadline = deadline_choose(actor, attempt->limit);
	if (attempt->limit == LIMIT_BLOCK)
		TASK_CHECK(hilo_timeout_enter(&timeout, safety_choose(actor, 4) ? deadline_near(actor)
										: hilo_after(FAR_NS)),
			   ==, 0);
	else if (attempt->limit == LIMIT_SHIELDED)
		TASK_CHECK(hilo_shield_enter(), ==, 0);
	attempt_call(attempt, actor);
	if (attempt->limit == LIMIT_BLOCK)
		(void)hilo_timeout_leave(&timeout, 0);
	else if (attempt->limit == LIMIT_SHIELDED)
		TASK_CHECK(hilo_shield_leave(), ==, 0);
}

/* What no operation may do, whatever it is. */
static void attempt_check(const struct attempt *attempt, const struct safety_actor *actor)
{
	const struct safety_op *op = attempt->op;
	const char *wrong = NULL;

	if (attempt->code == -ETIMEDOUT && hilo_now() < attempt->deadline)
		wrong = "has timed out before its deadline";
	else if (attempt->code == -ECANCELED && (actor->plain || attempt->limit == LIMIT_SHIELDED))
		wrong = "was cancelled, which it cannot be";
	else if (attempt->code == -ECANCELED && !attempt->requested)
		wrong = "was cancelled without a request";
	else if (attempt->code != -ECANCELED && attempt->cancelled && attempt->limit != LIMIT_SHIELDED &&
		 !op->several && can_fail_with(op, -ECANCELED))
		wrong = "was tried though a cancel was set";
	else if (attempt->waited && op->instant)
		wrong = "has waited";
	if (!wrong)
		return;
	(void)fprintf(stderr, "%s: %s %s\n", stage.of->name, op->name, wrong);
	test_die(__FILE__, __LINE__, op->name, attempt->code, (int)attempt->limit);
}

/* An outcome that has a moment. */
static bool has_moment(int code)
{
	return code == -ECANCELED || code == -ETIMEDOUT;
}

static enum moment attempt_moment(const struct attempt *attempt)
{
	bool before = attempt->code == -ECANCELED ? attempt->cancelled : attempt->late;

	if (!has_moment(attempt->code) || (before && !attempt->waited))
		return MOMENT_ENTRY;
	return !before && attempt->waited ? MOMENT_WAITING : MOMENT_BETWEEN;
}

static void count_one(atomic(uint64_t) * count)
{
	store_relaxed(count, load_relaxed(count) + 1);
}

/* False: it was not possible now. */
static bool actor_act(struct safety_actor *actor)
{
	struct attempt attempt = {.op = op_choose(actor), .limit = limit_choose(actor)};
	unsigned number = (unsigned)(attempt.op - stage.of->ops);

	store_relaxed(&actor->op, number);
	store_relaxed(&actor->steps, load_relaxed(&actor->steps) + 1);
	if (attempt.limit == LIMIT_CANCELLED)
		TASK_CHECK(hilo_task_cancel(hilo_task_current()), ==, 0);
	attempt_run(&attempt, actor);
	store_relaxed(&actor->steps, load_relaxed(&actor->steps) + 1);
	if (is_requested(actor))
		while (hilo_task_uncancel() > 0)
			;
	if (attempt.code == SAFETY_SKIP)
		return false;
	attempt_check(&attempt, actor);
	count_one(&actor->count[number][outcome_of(attempt.op, attempt.code)][attempt_moment(&attempt)]);
	count_one(&actor->operations);
	return true;
}

/* ---- who sleeps ---- */

static _Thread_local struct safety_actor *thread_actor; /* of a plain thread, which no task ever is */

/* [plain thread, about to sleep] */
static void thread_sleeps(void)
{
	thread_actor->waits++;
}

/* [task] Its actor, if it is one's and waits; else it yields, or is one that the object has made. */
static struct safety_actor *actor_that_waits(hilo_task *task)
{
	/* relaxed: the task's own */
	if (task->entry != actor_main || load_relaxed(&thread_self()->fiber->wait.kind) == WAIT_NOTHING)
		return NULL;
	return task->arg;
}

static void task_suspended(hilo_task *task, void *arg)
{
	struct safety_actor *actor = actor_that_waits(task);

	(void)arg;
	if (!actor)
		return;
	actor->waits++;
	store_relaxed(&actor->sleeps, true);
}

static void task_resumed(hilo_task *task, void *arg)
{
	struct safety_actor *actor = task->entry == actor_main ? task->arg : NULL;

	(void)arg;
	if (actor)
		store_relaxed(&actor->sleeps, false);
}

/* ---- actors ---- */

static bool is_in_operation(const struct safety_actor *actor)
{
	return load_relaxed(&((struct safety_actor *)actor)->steps) % 2;
}

/* Cancel a task that is in an operation, if the lot has met one: one that sleeps, if there is any among a few. */
static void actor_cancel_another(struct safety_actor *actor)
{
	struct safety_actor *other = &stage.actors[safety_choose(actor, TASKS)];
	hilo_task *task;

	for (int i = 0; i < 3 && (other->patient || !load_relaxed(&other->sleeps)); i++)
		other = &stage.actors[safety_choose(actor, TASKS)];
	task = load_acquire(&other->task); /* pairs with the driver's store */
	if (other != actor && !other->patient && task && is_in_operation(other))
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
		if (load_relaxed(&stage.calm))
			(void)hilo_sleep(safety_choose(actor, REST_NS)); /* or less, if somebody cancels it */
		else if (!acted || safety_choose(actor, 2))
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
	thread_actor = arg;
	thread_self()->on_park = thread_sleeps;
	(void)actor_main(arg);
	thread_self()->on_park = NULL;
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

static uint64_t cell(size_t op, unsigned outcome, unsigned moment)
{
	uint64_t sum = stage.count[op][outcome][moment];

	for (unsigned i = 0; i < ACTORS; i++)
		sum += load_relaxed(&stage.actors[i].count[op][outcome][moment]);
	return sum;
}

/* How many cells an outcome has that must be full: one for each moment that there can be. */
static unsigned moments_of(const struct safety_op *op, int code)
{
	return has_moment(code) && !op->instant ? MOMENT_WAITING + 1 : MOMENT_ENTRY + 1;
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

/* A cell of the table. */
struct cell {
	const struct safety_op *op;
	int code;
	unsigned moment;
};

/* One that is not full; without an op: there is none. */
static struct cell cell_not_full(void)
{
	for (size_t i = 0; i < stage.of->ops_count; i++) {
		const struct safety_op *op = &stage.of->ops[i];

		for (unsigned k = 0; k <= SAFETY_FAILURES; k++) {
			int code = k ? op->failures[k - 1] : 0;

			if (k && !code)
				break;
			for (unsigned moment = 0; moment < moments_of(op, code); moment++)
				if (cell(i, k, moment) < test_rounds(SAFETY_CELL))
					return (struct cell){op, code, moment};
		}
	}
	return (struct cell){NULL, 0, 0};
}

static HILO__NORETURN void somebody_is_lost(void)
{
	(void)fprintf(stderr, "%s: somebody is lost in round %u\n", stage.of->name, stage.round);
	for (unsigned i = 0; i < ACTORS; i++) {
		const struct safety_actor *actor = &stage.actors[i];

		if (is_in_operation(actor))
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
		/* the same odd number twice: in one operation from the last nap to this one */
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
static bool is_enough(uint64_t target, unsigned naps, bool full)
{
	uint64_t made = operations();

	if (made < target || laziest() < test_rounds(SHARE))
		return false;
	return !full || made >= (uint64_t)test_rounds(SAFETY_OPERATIONS) * ENOUGH ||
	       naps >= test_rounds(ENOUGH_NAPS) || !cell_not_full().op;
}

/* Let them act, and leave. */
static void drive(struct random *random, bool full)
{
	uint64_t target =
		operations() + test_rounds(SAFETY_OPERATIONS) / (array_size(workers_of) * ROUNDS) + 1;
	unsigned naps = 0;
	int still = 0;

	while (!is_enough(target, naps, full)) {
		store_relaxed(&stage.calm, naps < CALM || (operations() >= target && naps / CALM % 8));
		still = nap(still);
		cancel_standing(random, still > 1);
		naps++;
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
			for (unsigned moment = 0; moment < SAFETY_MOMENTS; moment++)
				stage.count[i][k][moment] = cell(i, k, moment);
	for (unsigned i = 0; i < ACTORS; i++) {
		free(stage.actors[i].own);
		memset(&stage.actors[i], 0, sizeof(stage.actors[i]));
	}
}

static void workers_run(unsigned index)
{
	hilo_task_hooks hooks = {.size = sizeof(hooks), .resumed = task_resumed, .suspended = task_suspended};
	hilo_opts opts = {.size = sizeof(opts), .workers = workers_of[index], .hooks = &hooks};
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

/* The columns: every failure that any operation may have, in the order of the table, at every moment. */
static unsigned columns_collect(struct cell columns[SAFETY_OPS_MAX * SAFETY_FAILURES * 2])
{
	unsigned n = 0;

	for (size_t i = 0; i < stage.of->ops_count; i++)
		for (unsigned k = 0; k < SAFETY_FAILURES && stage.of->ops[i].failures[k]; k++) {
			int code = stage.of->ops[i].failures[k];
			unsigned at = 0;

			while (at < n && columns[at].code != code)
				at++;
			if (at < n)
				continue;
			columns[n++] = (struct cell){NULL, code, MOMENT_ENTRY};
			if (has_moment(code))
				columns[n++] = (struct cell){NULL, code, MOMENT_WAITING};
		}
	return n;
}

static const char *column_name(const struct cell *column)
{
	static const char *const cancelled[] = {"cancelled before", "while it waited"};
	static const char *const late[] = {"late before", "while it waited"};

	if (!has_moment(column->code))
		return hilo_errname(column->code);
	return (column->code == -ECANCELED ? cancelled : late)[column->moment];
}

static void table_print(void)
{
	struct cell columns[SAFETY_OPS_MAX * SAFETY_FAILURES * 2];
	unsigned n = columns_collect(columns);

	printf("%s: %" PRIu64 " operations of tasks on 1, 2 and 8 workers and of plain threads, seed %" PRIu64
	       "\n  %-18s %11s",
	       stage.of->name, operations(), test_seed(), "", "done");
	for (unsigned c = 0; c < n; c++)
		printf(" %16s", column_name(&columns[c]));
	for (size_t i = 0; i < stage.of->ops_count; i++) {
		const struct safety_op *op = &stage.of->ops[i];

		printf("\n  %-18s %11" PRIu64, op->name, cell(i, 0, MOMENT_ENTRY));
		for (unsigned c = 0; c < n; c++)
			if (can_fail_with(op, columns[c].code) &&
			    columns[c].moment < moments_of(op, columns[c].code))
				printf(" %16" PRIu64,
				       cell(i, outcome_of(op, columns[c].code), columns[c].moment));
			else
				printf(" %16s", "-");
	}
	printf("\n");
	(void)fflush(stdout);
}

void safety_prove(const struct safety_object *object)
{
	struct cell empty;

	TASK_CHECK(object->ops_count, <=, SAFETY_OPS_MAX);
	memset(&stage, 0, sizeof(stage));
	stage.of = object;
	for (size_t i = 0; i < object->ops_count; i++)
		stage.weights += object->ops[i].weight ? object->ops[i].weight : 1;
	for (unsigned i = 0; i < array_size(workers_of); i++)
		workers_run(i);
	table_print();
	empty = cell_not_full();
	if (!empty.op)
		return;
	(void)fprintf(stderr, "%s: too few of %s: %s\n", object->name, empty.op->name,
		      empty.code ? column_name(&empty) : "done");
	test_die(__FILE__, __LINE__, object->name, empty.code, (int)empty.moment);
}
