/* SPDX-License-Identifier: MIT */
/*
 * stress_channels.c - broadcast and watch under cancels and deadlines.
 *
 * broadcast: each receiver sees the items of each sender in order; what is not there it was told to have missed, to
 * the item, and nothing is if all senders wait for the slowest; each item is dropped once, and not while somebody
 * looks at it. watch: versions never go back, values are dropped once.
 *
 * Relaxed: all counts are compared when nobody acts.
 */
#include "tests/stress/cancel_safety.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ACTORS 27 /* as many as there are, which is checked */
#define DRIVER ACTORS
#define MAKERS (ACTORS + 1)
#define ALIVE 0x600d

/* An item, or a value: the next of its maker. */
struct thing {
	unsigned alive;
	unsigned maker;
	uint64_t number; /* from 1 */
};

/* Things of all objects here. */
static atomic(uint64_t) things_made, things_dropped;

static struct thing *thing_new(unsigned maker, uint64_t number)
{
	struct thing *thing = malloc(sizeof(*thing));

	TASK_CHECK(thing, !=, NULL);
	*thing = (struct thing){ALIVE, maker, number};
	(void)add_relaxed(&things_made, 1);
	return thing;
}

static void thing_drop(void *value)
{
	struct thing *thing = value;

	TASK_CHECK(thing->alive, ==, ALIVE);
	thing->alive = 0;
	free(thing);
	(void)add_relaxed(&things_dropped, 1);
}

static uint64_t things(void)
{
	return load_relaxed(&things_made) - load_relaxed(&things_dropped);
}

/* Some make, the others look: among both there are patient ones. */
static bool is_maker(const struct safety_actor *actor)
{
	return actor->number % 5 < 2;
}

/* ---- broadcast ---- */

struct view {
	hilo_receiver *receiver;
	uint64_t last[MAKERS]; /* seen of each sender */
	uint64_t gaps, missed; /* as seen, as told */
	atomic(bool) left;     /* nobody uses it any more in this round: whoever sees this may */
};

struct station {
	hilo_broadcast *broadcast;
	struct view views[ACTORS];
	uint64_t sent[MAKERS];
};

static void *station_up(unsigned workers)
{
	struct station *station = calloc(1, sizeof(*station));

	TASK_CHECK(station, !=, NULL);
	TASK_CHECK(things(), ==, 0);
	station->broadcast = hilo_broadcast_new(workers == 1 ? 3 : 16, thing_drop);
	for (unsigned i = 0; i < ACTORS; i++)
		station->views[i].receiver = i % 5 < 2 ? NULL : hilo_broadcast_subscribe(station->broadcast);
	return station;
}

static void station_down(void *object)
{
	struct station *station = object;

	for (unsigned i = 0; i < ACTORS; i++)
		TASK_CHECK(hilo_broadcast_unsubscribe(station->views[i].receiver), ==, 0);
	hilo_broadcast_free(station->broadcast);
	free(station);
	TASK_CHECK(things(), ==, 0);
}

/* What a call of receive has ended with. */
static void view_note(struct view *view, int rc, const void *item)
{
	const struct thing *thing = item;

	if (rc == -ENOBUFS)
		view->missed += hilo_broadcast_missed(view->receiver);
	if (rc < 0)
		return;
	TASK_CHECK(thing->alive, ==, ALIVE);
	TASK_CHECK(thing->number, >, view->last[thing->maker]);
	view->gaps += thing->number - view->last[thing->maker] - 1;
	view->last[thing->maker] = thing->number;
}

static int station_receive(void *object, struct safety_actor *actor, hilo_time deadline)
{
	struct view *view = &((struct station *)object)->views[actor->number];
	void *item = NULL;
	int rc;

	if (is_maker(actor))
		return SAFETY_SKIP;
	rc = hilo_broadcast_receive(view->receiver, &item, deadline);
	view_note(view, rc, item);
	return rc;
}

static int station_try_receive(void *object, struct safety_actor *actor, hilo_time deadline)
{
	struct view *view = &((struct station *)object)->views[actor->number];
	void *item = NULL;
	int rc;

	(void)deadline;
	if (is_maker(actor))
		return SAFETY_SKIP;
	rc = hilo_broadcast_try_receive(view->receiver, &item);
	view_note(view, rc, item);
	return rc;
}

/* As a case beside one that is never ready. */
static int station_select(void *object, struct safety_actor *actor, hilo_time deadline)
{
	struct view *view = &((struct station *)object)->views[actor->number];
	void *item = NULL;
	hilo_select_case cases[] = {HILO_SELECT_TIMER(HILO_FOREVER),
				    HILO_SELECT_RECEIVE(view->receiver, &item)};
	int rc;

	if (is_maker(actor))
		return SAFETY_SKIP;
	rc = hilo_select(cases, 2, deadline);
	if (rc < 0)
		return rc;
	view_note(view, cases[1].code, item);
	return cases[1].code;
}

/* One who comes and goes. */
static int station_visit(void *object, struct safety_actor *actor, hilo_time deadline)
{
	struct station *station = object;
	hilo_receiver *receiver;
	void *item;
	int rc;

	if (is_maker(actor))
		return SAFETY_SKIP;
	receiver = hilo_broadcast_subscribe(station->broadcast);
	rc = hilo_broadcast_receive(receiver, &item, deadline);
	if (rc == 0)
		TASK_CHECK(((struct thing *)item)->alive, ==, ALIVE);
	TASK_CHECK(hilo_broadcast_unsubscribe(receiver), ==, 0);
	return rc == -ENOBUFS ? 0 : rc;
}

/* The same without waiting, which would keep others from sending: its other receiver stands still meanwhile. */
static int station_glance(void *object, struct safety_actor *actor, hilo_time deadline)
{
	struct station *station = object;
	hilo_receiver *receiver;
	void *item;
	int rc;

	(void)deadline;
	if (is_maker(actor))
		return SAFETY_SKIP;
	receiver = hilo_broadcast_subscribe(station->broadcast);
	(void)hilo_yield(); /* something may come */
	rc = hilo_broadcast_try_receive(receiver, &item);
	TASK_CHECK(hilo_broadcast_unsubscribe(receiver), ==, 0);
	return rc == -EAGAIN ? 0 : rc;
}

static int station_send(void *object, struct safety_actor *actor, hilo_time deadline)
{
	struct station *station = object;
	uint64_t *sent = &station->sent[actor->number];

	(void)deadline;
	if (!is_maker(actor))
		return SAFETY_SKIP;
	return hilo_broadcast_send(station->broadcast, thing_new(actor->number, ++*sent));
}

static int station_send_wait(void *object, struct safety_actor *actor, hilo_time deadline)
{
	struct station *station = object;
	uint64_t *sent = &station->sent[actor->number];
	struct thing *thing;
	int rc;

	if (!is_maker(actor))
		return SAFETY_SKIP;
	thing = thing_new(actor->number, *sent + 1);
	rc = hilo_broadcast_send_wait(station->broadcast, thing, deadline);
	if (rc < 0)
		thing_drop(thing); /* it stayed ours */
	else
		++*sent;
	return rc;
}

static void station_leave(void *object, struct safety_actor *actor)
{
	struct station *station = object;

	store_release(&station->views[actor->number].left, true); /* pairs with station_drain */
}

/* What a receiver has not seen, for nobody else does. */
static void view_drain(struct view *view)
{
	void *item;
	int rc;

	while (view->receiver && (rc = hilo_broadcast_try_receive(view->receiver, &item)) != -EAGAIN)
		view_note(view, rc, item);
}

/* Senders do not wait for those who have left. */
static void station_drain(struct station *station)
{
	for (unsigned i = 0; i < ACTORS; i++)
		if (load_acquire(&station->views[i].left)) /* pairs with station_leave */
			view_drain(&station->views[i]);
}

static void station_wake(void *object)
{
	struct station *station = object;

	TASK_CHECK(hilo_broadcast_send(station->broadcast, thing_new(DRIVER, ++station->sent[DRIVER])), >, 0);
}

/* Only if nobody waits for a place that there is. */
static void station_wake_receivers(void *object)
{
	struct station *station = object;
	struct thing *thing = thing_new(DRIVER, station->sent[DRIVER] + 1);

	station_drain(station);
	if (hilo_broadcast_send_wait(station->broadcast, thing, HILO_NO_WAIT) < 0)
		thing_drop(thing);
	else
		station->sent[DRIVER]++;
}

/* Everybody has seen all, or knows how many it has not. Two for each are held, or kept, at most. */
static void station_check(void *object, struct safety_actor *actors, unsigned count)
{
	struct station *station = object;

	(void)actors;
	TASK_CHECK(count, ==, ACTORS);
	for (unsigned i = 0; i < count; i++) {
		struct view *view = &station->views[i];

		if (!view->receiver)
			continue;
		view_drain(view);
		store_relaxed(&view->left, false);
		for (unsigned k = 0; k < MAKERS; k++) {
			view->gaps += station->sent[k] - view->last[k];
			view->last[k] = station->sent[k];
		}
		TASK_CHECK(view->gaps, ==, view->missed);
	}
}

static const struct safety_op station_ops[] = {
	{"receive", station_receive, {-ENOBUFS, -ETIMEDOUT, -ECANCELED}, .weight = 48},
	{"try_receive", station_try_receive, {-ENOBUFS, -EAGAIN}, .weight = 12},
	{"select", station_select, {-ENOBUFS, -ETIMEDOUT, -ECANCELED}, .weight = 24},
	{"visit", station_visit, {-ETIMEDOUT, -ECANCELED}, .weight = 8},
	{"send", station_send, .weight = 3}, /* to each of them: about as many as one receives */
};

static const struct safety_object station = {
	"broadcast",	      .up = station_up,	      .down = station_down,
	.wake = station_wake, .check = station_check, SAFETY_OPS(station_ops),
};

/* The same, but nobody overwrites: none lags. */
static const struct safety_op waiting_ops[] = {
	{"receive", station_receive, {-ETIMEDOUT, -ECANCELED}, .weight = 6},
	{"try_receive", station_try_receive, {-EAGAIN}, .weight = 2},
	{"select", station_select, {-ETIMEDOUT, -ECANCELED}, .weight = 4},
	{"glance", station_glance, .weight = 1},
	{"send_wait", station_send_wait, {-ETIMEDOUT, -ECANCELED}, .weight = 3},
};

static const struct safety_object waiting = {
	"broadcast, senders wait",	.up = station_up,
	.down = station_down,		.leave = station_leave,
	.wake = station_wake_receivers, .check = station_check,
	SAFETY_OPS(waiting_ops),
};

/* ---- watch ---- */

struct board {
	hilo_watch *watch;
	hilo_watcher *watchers[ACTORS];
	uint64_t version[ACTORS];      /* seen by each */
	uint64_t last[ACTORS][MAKERS]; /* seen by each, of each who sets */
	uint64_t made[MAKERS];
};

static void *board_up(unsigned workers)
{
	struct board *board = calloc(1, sizeof(*board));

	(void)workers;
	TASK_CHECK(board, !=, NULL);
	TASK_CHECK(things(), ==, 0);
	board->watch = hilo_watch_new(thing_new(DRIVER, ++board->made[DRIVER]), thing_drop);
	for (unsigned i = 0; i < ACTORS; i++)
		board->watchers[i] = hilo_watch_subscribe(board->watch);
	return board;
}

static void board_down(void *object)
{
	struct board *board = object;

	hilo_watch_free(board->watch);
	for (unsigned i = 0; i < ACTORS; i++)
		TASK_CHECK(hilo_watch_unsubscribe(board->watchers[i]), ==, 0);
	free(board);
	TASK_CHECK(things(), ==, 0);
}

/* @newer: it must be another one than before. */
static void board_note(struct board *board, unsigned me, const void *value, bool newer)
{
	const struct thing *thing = value;
	uint64_t version = hilo_watch_seen(board->watchers[me]), *last = &board->last[me][thing->maker];

	TASK_CHECK(thing->alive, ==, ALIVE);
	TASK_CHECK(version, >=, board->version[me] + newer);
	TASK_CHECK(thing->number, >=, *last + newer);
	board->version[me] = version;
	*last = thing->number;
}

static int board_wait(void *object, struct safety_actor *actor, hilo_time deadline)
{
	struct board *board = object;
	void *value;
	int rc;

	if (is_maker(actor))
		return SAFETY_SKIP;
	rc = hilo_watch_wait(board->watchers[actor->number], &value, deadline);
	if (rc == 0)
		board_note(board, actor->number, value, true);
	return rc;
}

static int board_select(void *object, struct safety_actor *actor, hilo_time deadline)
{
	struct board *board = object;
	void *value;
	hilo_select_case cases[] = {HILO_SELECT_OFF,
				    HILO_SELECT_WATCH(board->watchers[actor->number], &value)};
	int rc;

	if (is_maker(actor))
		return SAFETY_SKIP;
	rc = hilo_select_fair(cases, 2, deadline);
	if (rc < 0)
		return rc;
	TASK_CHECK(cases[1].code, ==, 0);
	board_note(board, actor->number, value, true);
	return 0;
}

static int board_get(void *object, struct safety_actor *actor, hilo_time deadline)
{
	struct board *board = object;
	void *value;
	int rc = hilo_watch_get(board->watchers[actor->number], &value);

	(void)deadline;
	board_note(board, actor->number, value, rc);
	return rc;
}

static int board_set(void *object, struct safety_actor *actor, hilo_time deadline)
{
	struct board *board = object;

	(void)deadline;
	if (!is_maker(actor))
		return SAFETY_SKIP;
	return hilo_watch_set(board->watch, thing_new(actor->number, ++board->made[actor->number]));
}

static void board_wake(void *object)
{
	struct board *board = object;

	TASK_CHECK(hilo_watch_set(board->watch, thing_new(DRIVER, ++board->made[DRIVER])), ==, 0);
}

/* Each sees the latest, which is as late as there were sets; and all but what is held was dropped. */
static void board_check(void *object, struct safety_actor *actors, unsigned count)
{
	struct board *board = object;
	uint64_t made = 0;
	void *value;

	(void)actors, (void)count;
	for (unsigned i = 0; i < MAKERS; i++)
		made += board->made[i];
	for (unsigned i = 0; i < ACTORS; i++) {
		TASK_CHECK(hilo_watch_get(board->watchers[i], &value), >=, 0);
		board_note(board, i, value, false);
	}
	for (unsigned i = 0; i < ACTORS; i++)
		TASK_CHECK(board->version[i], ==, made);
	TASK_CHECK(things(), ==, 1);
}

static const struct safety_op board_ops[] = {
	{"wait", board_wait, {-ETIMEDOUT, -ECANCELED}, .weight = 6},
	{"select", board_select, {-ETIMEDOUT, -ECANCELED}, .weight = 4},
	{"get", board_get, .weight = 1},
	{"set", board_set, .weight = 3},
};

static const struct safety_object board = {
	"watch",
	.up = board_up,
	.down = board_down,
	.wake = board_wake,
	.check = board_check,
	SAFETY_OPS(board_ops),
};

int main(void)
{
	test_begin();
	safety_prove(&waiting);
	safety_prove(&station);
	safety_prove(&board);
	return 0;
}
