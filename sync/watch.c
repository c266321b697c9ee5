/* SPDX-License-Identifier: MIT */
/*
 * watch.c - the latest value.
 *
 * I1  The latest value is held by the watch, and each value by the watchers that have it as their last. There is
 *     a share (share_impl.h) for the watch and for each watcher, so one is spare whenever the latest is let go.
 * I2  Who waits has seen the latest version. To set takes all who wait out of the list, in one step, and gives to
 *     each what is the latest when its turn comes.
 * I3  The object lives while somebody holds it: the owner, each watcher, and who gives to many.
 * P1  The lock orders all that is under it (P1 of lock.h); what is given to who waits is seen by P2 of
 *     contend_impl.h, so that he need not take the lock.
 *
 * Rejected: values of a fixed size that are copied out. To copy what is larger than a word needs the lock, or a
 * second look, and a value that has parts of its own could never be given up.
 */
#include <hilo/sync/watch.h>

#include <hilo/runtime/error.h>

#include <errno.h>

#include "runtime/contend_impl.h"
#include "runtime/error_impl.h"
#include "runtime/select_impl.h"
#include "sync/share_impl.h"

struct hilo_watch {
	struct spinlock lock;
	bool shut;
	uint32_t holders; /* I3 */
	uint64_t version;
	struct share *latest;
	struct list waiting; /* of struct look */
	struct shares shares;
	void (*drop)(void *value);
};

struct hilo_watcher {
	hilo_watch *watch;
	uint64_t seen;
	struct share *held; /* NULL: none */
	uint32_t waiting;   /* nodes in the list: one, or those of one select */
};

/* One that looks for a value that it has not seen. */
struct look {
	struct contend_node node;
	hilo_watcher *watcher;
	void *value;
	int code;
	struct dropped dropped; /* the last value of the watcher */
};

SELECT_FITS(struct look);

/* [lock, given back] One holder less; the last one frees it. */
static void watch_unlock_put(hilo_watch *watch)
{
	bool last = --watch->holders == 0;

	spin_unlock(&watch->lock); /* P1 */
	if (!last)
		return;
	if (watch->drop)
		watch->drop(watch->latest->value);
	hilo__free(watch->latest);
	shares_free(&watch->shares);
	hilo__free(watch);
}

/* [lock] Let the watcher's last value go. */
static void watcher_let_go(hilo_watcher *watcher, struct dropped *ret)
{
	if (!watcher->held)
		return;
	share_put(&watcher->watch->shares, watcher->held, ret);
	watcher->held = NULL;
}

/* [lock] Get the latest. */
static void look_get(struct look *look)
{
	hilo_watcher *watcher = look->watcher;
	struct share *latest = watcher->watch->latest;

	latest->holders++;
	watcher_let_go(watcher, &look->dropped);
	watcher->held = latest;
	watcher->seen = watcher->watch->version;
	look->value = latest->value;
	look->code = 0;
}

/* [lock] Get what was not seen. False: nothing is, yet. */
static bool look_look(struct look *look)
{
	if (look->watcher->seen != look->watcher->watch->version) {
		look_get(look);
		return true;
	}
	look->code = -EPIPE;
	return look->watcher->watch->shut;
}

/* [lock, who has won] */
static void look_give(struct contend_node *node)
{
	struct look *look = container_of(node, struct look, node);

	look->watcher->waiting--;
	(void)look_look(look); /* there is something: I2 */
}

/* [lock, given back] All who wait have something: a value, or a shutdown. Afterwards @watch may be gone. */
static void watch_give(hilo_watch *watch)
{
	if (list_empty(&watch->waiting)) {
		spin_unlock(&watch->lock); /* P1 */
		return;
	}
	MUTANT(254, watch->holders++, watch->holders); /* I3 */
	hilo__contend_give_all(&watch->waiting, &watch->lock, look_give);
	spin_lock(&watch->lock);					 /* P1 */
	MUTANT(254, watch_unlock_put(watch), spin_unlock(&watch->lock)); /* P1 */
}

hilo_watch *hilo_watch_new(void *value, void (*drop)(void *value))
{
	hilo_watch *watch = hilo__calloc(1, sizeof(*watch));
	struct share *share = watch ? share_new() : NULL;
	struct dropped none; /* no share is doomed here */

	if (!share) {
		hilo__free(watch);
		return NULL;
	}
	spin_init(&watch->lock);
	list_init(&watch->waiting);
	watch->holders = 1;
	watch->version = 1;
	watch->drop = drop;
	share_spare(&watch->shares, share);
	watch->latest = share_take(&watch->shares, value, &none);
	return watch;
}

int hilo_watch_shutdown(hilo_watch *watch)
{
	if (!watch)
		return -ENOMEM;
	spin_lock(&watch->lock); /* P1 */
	watch->shut = true;
	watch_give(watch);
	return 0;
}

void hilo_watch_free(hilo_watch *watch)
{
	if (!watch)
		return;
	(void)hilo_watch_shutdown(watch);
	spin_lock(&watch->lock); /* P1 */
	watch_unlock_put(watch);
}

int hilo_watch_set(hilo_watch *watch, void *value)
{
	struct dropped dropped = {0};
	void (*drop)(void *value);

	if (!watch)
		return -ENOMEM;
	drop = watch->drop;
	spin_lock(&watch->lock); /* P1 */
	if (watch->shut) {
		spin_unlock(&watch->lock); /* P1 */
		return hilo__error_own(-EPIPE);
	}
	share_put(&watch->shares, watch->latest, &dropped);
	watch->latest = share_take(&watch->shares, value, &dropped);
	watch->version++;
	watch_give(watch);
	dropped_drop(&dropped, drop);
	return 0;
}

uint64_t hilo_watch_version(hilo_watch *watch)
{
	uint64_t version = 0;

	if (watch) {
		spin_lock(&watch->lock); /* P1 */
		version = watch->version;
		spin_unlock(&watch->lock); /* P1 */
	}
	return version;
}

hilo_watcher *hilo_watch_subscribe(hilo_watch *watch)
{
	hilo_watcher *watcher = watch ? hilo__calloc(1, sizeof(*watcher)) : NULL;
	struct share *share = watcher ? share_new() : NULL;

	if (!share) {
		hilo__free(watcher);
		return NULL;
	}
	watcher->watch = watch;
	spin_lock(&watch->lock);	    /* P1 */
	share_spare(&watch->shares, share); /* I1 */
	watch->holders++;
	spin_unlock(&watch->lock); /* P1 */
	return watcher;
}

int hilo_watch_unsubscribe(hilo_watcher *watcher)
{
	hilo_watch *watch = watcher ? watcher->watch : NULL;
	struct dropped dropped = {0};
	void (*drop)(void *value);
	struct share *share;

	if (!watch)
		return 0;
	drop = watch->drop;
	spin_lock(&watch->lock); /* P1 */
	if (watcher->waiting) {
		spin_unlock(&watch->lock); /* P1 */
		return hilo_fail(-EBUSY, "hilo_watch_unsubscribe: somebody waits with watcher %p",
				 (void *)watcher);
	}
	watcher_let_go(watcher, &dropped);
	share = share_pop(&watch->shares, &dropped); /* I1: a spare one, none is doomed here */
	watch_unlock_put(watch);
	dropped_drop(&dropped, drop);
	hilo__free(share);
	hilo__free(watcher);
	return 0;
}

static void look_init(struct look *look, hilo_watcher *watcher)
{
	look->watcher = watcher;
	look->dropped.there = false;
}

/* [no lock, no contender] What is left to do. */
static int look_finish(const struct look *look, void **ret)
{
	if (look->code >= 0)
		*ret = look->value;
	dropped_drop(&look->dropped, look->watcher->watch->drop);
	return look->code;
}

/* [lock] There is something, or somebody else waits with this watcher. */
static bool look_first(struct look *look)
{
	if (!look->watcher->waiting)
		return look_look(look);
	look->code = -EBUSY;
	return true;
}

/* [lock] Be among those who wait. */
static void look_enlist(struct look *look, struct contender *contender, uint32_t number)
{
	contend_add(&look->watcher->watch->waiting, &look->node, contender, number);
	look->watcher->waiting++;
}

/* [lock] Not won. */
static void look_remove(struct look *look)
{
	(void)contend_remove(&look->node);
	look->watcher->waiting--;
}

/*
 * [lock, given back; who waits, whose contender has begun] The last value stays held, as it is mostly the latest one
 * anyway.
 */
static void look_wait(struct look *look, struct contender *contender)
{
	struct spinlock *lock = &look->watcher->watch->lock;
	int rc;

	look_enlist(look, contender, 0);
	spin_unlock(lock); /* P1 */
	rc = hilo__contend_wait(contender);
	if (rc < 0) {
		spin_lock(lock); /* P1 */
		look_remove(look);
		spin_unlock(lock); /* P1 */
		look->code = rc;
	}
}

/* One look, and a wait if @deadline lets it. */
static void look_once(struct look *look, hilo_time deadline)
{
	struct spinlock *lock = &look->watcher->watch->lock;
	struct contender contender;
	int rc = hilo__contend_begin(&contender, WAIT_WATCH, look->watcher->watch, deadline);

	/* Where nobody may wait, or cannot, what is there is seen all the same. */
	if (rc == -ECANCELED) {
		look->code = rc;
		return;
	}
	spin_lock(lock); /* P1 */
	if (look_first(look)) {
		spin_unlock(lock); /* P1 */
	} else if (rc == 0 && deadline > 0) {
		look_wait(look, &contender);
	} else {
		spin_unlock(lock); /* P1 */
		look->code = contend_cannot_wait(rc, deadline);
	}
	if (rc == 0)
		hilo__contend_end(&contender);
}

static int watch_busy(const char *call, hilo_watcher *watcher)
{
	return hilo_fail(-EBUSY, "%s: somebody else waits with watcher %p", call, (void *)watcher);
}

int hilo_watch_wait(hilo_watcher *watcher, void **ret, hilo_time deadline)
{
	struct look look;
	int rc;

	if (!watcher)
		return -ENOMEM;
	if (!ret)
		return hilo_fail(-EINVAL, "hilo_watch_wait: ret is NULL");
	look_init(&look, watcher);
	look_once(&look, deadline);
	rc = look_finish(&look, ret);
	if (rc == -EBUSY)
		return watch_busy("hilo_watch_wait", watcher);
	if (rc < 0)
		return hilo__error_own_wait(rc, WAIT_WATCH, NULL);
	if (deadline > 0)
		contend_was_free(thread_self());
	return rc;
}

int hilo_watch_get(hilo_watcher *watcher, void **ret)
{
	struct look look;

	if (!watcher)
		return -ENOMEM;
	if (!ret)
		return hilo_fail(-EINVAL, "hilo_watch_get: ret is NULL");
	look_init(&look, watcher);
	look.code = -EBUSY;
	spin_lock(&watcher->watch->lock); /* P1 */
	if (!watcher->waiting) {
		bool changed = watcher->seen != watcher->watch->version;

		look_get(&look);
		look.code = changed;
	}
	spin_unlock(&watcher->watch->lock); /* P1 */
	if (look.code < 0)
		return watch_busy("hilo_watch_get", watcher);
	return look_finish(&look, ret);
}

uint64_t hilo_watch_seen(const hilo_watcher *watcher)
{
	return watcher ? watcher->seen : 0;
}

/* A case of a select. */

static struct spinlock *select_lock(void *object)
{
	return &((hilo_watcher *)object)->watch->lock;
}

static enum select_looked select_look(struct select_place *place)
{
	struct look *look = (struct look *)place->room;

	look_init(look, place->object);
	return look_first(look) ? SELECT_DONE : SELECT_WAIT;
}

static void select_enlist(struct select_place *place, struct contender *contender, uint32_t number)
{
	look_enlist((struct look *)place->room, contender, number);
}

static void select_remove(struct select_place *place)
{
	look_remove((struct look *)place->room);
}

static int select_finish(struct select_place *place)
{
	return look_finish((struct look *)place->room, place->item);
}

const hilo_select_ops hilo_select_watch = {
	.receives = true,
	.lock = select_lock,
	.look = select_look,
	.enlist = select_enlist,
	.remove = select_remove,
	.finish = select_finish,
};
