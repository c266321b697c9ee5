/* SPDX-License-Identifier: MIT */
/*
 * watch.c - the latest value.
 *
 * I1  The latest value is held by the watch, and each value by the watchers that have it as their last. There is
 *     a share (share_impl.h) for the watch and for each watcher, so one is spare whenever the latest is let go.
 * I2  Who waits has seen the latest version. To set takes all who wait out of the list, in one step, and gives to
 *     each what is the latest when its turn comes.
 * How long it lives, and the order of memory: I1 and P1 of channel_impl.h.
 *
 * Rejected: values of a fixed size that are copied out. To copy what is larger than a word needs the lock, or a
 * second look, and a value that has parts of its own could never be given up.
 */
#include <hilo/sync/watch.h>

#include <hilo/runtime/error.h>

#include <errno.h>

#include "runtime/error_impl.h"
#include "sync/channel_impl.h"

struct hilo_watch {
	struct channel channel; /* its shares: I1; who waits: struct look */
	uint64_t version;
	struct share *latest;
};

struct hilo_watcher {
	struct subscriber subscriber;
	uint64_t seen;
};

/* One that looks for a value that it has not seen. */
struct look {
	struct arrival arrival; /* of a hilo_watcher */
};

SELECT_FITS(struct look);

static hilo_watch *watcher_watch(const hilo_watcher *watcher)
{
	return container_of(watcher->subscriber.channel, struct hilo_watch, channel);
}

static hilo_watcher *look_watcher(const struct look *look)
{
	return container_of(look->arrival.subscriber, hilo_watcher, subscriber);
}

/* [lock, given back] One holder less; the last one frees it. */
static void watch_unlock_put(hilo_watch *watch)
{
	bool last = --watch->channel.holders == 0;

	spin_unlock(&watch->channel.lock); /* P1 */
	if (!last)
		return;
	if (watch->channel.drop)
		watch->channel.drop(watch->latest->value);
	hilo__free(watch->latest);
	shares_free(&watch->channel.shares);
	hilo__free(watch);
}

/* [lock] Get the latest. */
static void look_get(struct look *look)
{
	hilo_watcher *watcher = look_watcher(look);
	const hilo_watch *watch = watcher_watch(watcher);
	struct share *latest = watch->latest;

	latest->holders++;
	subscriber_let_go(&watcher->subscriber, &look->arrival.dropped);
	watcher->subscriber.held = latest;
	watcher->seen = watch->version;
	look->arrival.value = latest->value;
	look->arrival.code = 0;
}

/* [lock] Get what was not seen. False: nothing is, yet. */
static bool look_look(struct look *look)
{
	const hilo_watcher *watcher = look_watcher(look);

	if (watcher->seen != watcher_watch(watcher)->version) {
		look_get(look);
		return true;
	}
	look->arrival.code = -EPIPE;
	return watcher->subscriber.channel->shut;
}

/* [lock, who has won] */
static void look_give(struct contend_node *node)
{
	struct look *look = container_of(node, struct look, arrival.node);

	look->arrival.subscriber->waiting--;
	(void)look_look(look); /* there is something: I2 */
}

/* [lock, given back] All who wait have something: a value, or a shutdown. Afterwards @watch may be gone. */
static void watch_give(hilo_watch *watch)
{
	if (list_empty(&watch->channel.waiting)) {
		spin_unlock(&watch->channel.lock); /* P1 */
		return;
	}
	MUTANT(254, watch->channel.holders++, watch->channel.holders); /* I1 of channel_impl.h */
	hilo__contend_give_all(&watch->channel.waiting, &watch->channel.lock, look_give);
	spin_lock(&watch->channel.lock);					 /* P1 */
	MUTANT(254, watch_unlock_put(watch), spin_unlock(&watch->channel.lock)); /* P1 */
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
	channel_init(&watch->channel, drop);
	watch->version = 1;
	share_spare(&watch->channel.shares, share);
	watch->latest = share_take(&watch->channel.shares, value, &none);
	debug_opened_here(&watch->channel.open, DEBUG_VALUE, __builtin_return_address(0));
	return watch;
}

int hilo_watch_shutdown(hilo_watch *watch)
{
	if (!watch)
		return -ENOMEM;
	spin_lock(&watch->channel.lock); /* P1 */
	watch->channel.shut = true;
	watch_give(watch);
	return 0;
}

void hilo_watch_free(hilo_watch *watch)
{
	if (!watch)
		return;
	debug_ended(&watch->channel.open);
	(void)hilo_watch_shutdown(watch);
	spin_lock(&watch->channel.lock); /* P1 */
	watch_unlock_put(watch);
}

int hilo_watch_set(hilo_watch *watch, void *value)
{
	struct dropped dropped = {0};
	void (*drop)(void *value);

	if (!watch)
		return -ENOMEM;
	drop = watch->channel.drop;
	spin_lock(&watch->channel.lock); /* P1 */
	if (watch->channel.shut) {
		spin_unlock(&watch->channel.lock); /* P1 */
		return hilo__error_own(-EPIPE);
	}
	share_put(&watch->channel.shares, watch->latest, &dropped);
	watch->latest = share_take(&watch->channel.shares, value, &dropped);
	watch->version++;
	watch_give(watch);
	dropped_drop(&dropped, drop);
	return 0;
}

uint64_t hilo_watch_version(hilo_watch *watch)
{
	uint64_t version = 0;

	if (watch) {
		spin_lock(&watch->channel.lock); /* P1 */
		version = watch->version;
		spin_unlock(&watch->channel.lock); /* P1 */
	}
	return version;
}

hilo_watcher *hilo_watch_subscribe(hilo_watch *watch)
{
	struct subscriber *subscriber;
	struct share *share =
		subscriber_new(watch ? &watch->channel : NULL, sizeof(hilo_watcher), &subscriber);

	if (!share)
		return NULL;
	spin_lock(&watch->channel.lock);	    /* P1 */
	share_spare(&watch->channel.shares, share); /* I1 */
	watch->channel.holders++;
	spin_unlock(&watch->channel.lock); /* P1 */
	return container_of(subscriber, hilo_watcher, subscriber);
}

int hilo_watch_unsubscribe(hilo_watcher *watcher)
{
	hilo_watch *watch = watcher ? watcher_watch(watcher) : NULL;
	struct dropped dropped = {0};
	void (*drop)(void *value);
	struct share *share;

	if (!watch)
		return 0;
	drop = watch->channel.drop;
	spin_lock(&watch->channel.lock); /* P1 */
	if (watcher->subscriber.waiting) {
		spin_unlock(&watch->channel.lock); /* P1 */
		return hilo_fail(-EBUSY, "hilo_watch_unsubscribe: somebody waits with watcher %p",
				 (void *)watcher);
	}
	subscriber_let_go(&watcher->subscriber, &dropped);
	share = share_pop(&watch->channel.shares, &dropped); /* I1: a spare one, none is doomed here */
	watch_unlock_put(watch);
	dropped_drop(&dropped, drop);
	hilo__free(share);
	hilo__free(watcher);
	return 0;
}

static void look_init(struct look *look, hilo_watcher *watcher)
{
	arrival_init(&look->arrival, &watcher->subscriber);
}

/* [no lock, no contender] What is left to do. */
static int look_finish(const struct look *look, void **ret)
{
	if (look->arrival.code >= 0)
		*ret = look->arrival.value;
	dropped_drop(&look->arrival.dropped, look->arrival.subscriber->channel->drop);
	return look->arrival.code;
}

/* [lock] There is something, or somebody else waits with this watcher. */
static bool look_first(struct look *look)
{
	if (!look->arrival.subscriber->waiting)
		return look_look(look);
	look->arrival.code = -EBUSY;
	return true;
}

/* One look, and a wait if @deadline lets it: the last value stays held then, as it is mostly the latest anyway. */
static void look_once(struct look *look, hilo_time deadline)
{
	struct spinlock *lock = &look->arrival.subscriber->channel->lock;
	struct contender contender;
	int rc = hilo__contend_begin(&contender, WAIT_WATCH, watcher_watch(look_watcher(look)), deadline);

	/* Where nobody may wait, or cannot, what is there is seen all the same. */
	if (rc == -ECANCELED) {
		look->arrival.code = rc;
		return;
	}
	spin_lock(lock); /* P1 */
	if (look_first(look)) {
		spin_unlock(lock); /* P1 */
	} else if (rc == 0 && deadline > 0) {
		arrival_wait(&look->arrival, &contender);
	} else {
		spin_unlock(lock); /* P1 */
		look->arrival.code = contend_cannot_wait(rc, deadline);
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
	look.arrival.code = -EBUSY;
	spin_lock(&watcher->subscriber.channel->lock); /* P1 */
	if (!watcher->subscriber.waiting) {
		bool changed = watcher->seen != watcher_watch(watcher)->version;

		look_get(&look);
		look.arrival.code = changed;
	}
	spin_unlock(&watcher->subscriber.channel->lock); /* P1 */
	if (look.arrival.code < 0)
		return watch_busy("hilo_watch_get", watcher);
	return look_finish(&look, ret);
}

uint64_t hilo_watch_seen(const hilo_watcher *watcher)
{
	return watcher ? watcher->seen : 0;
}

/* A case of a select. */

static enum select_looked select_look(struct select_place *place)
{
	struct look *look = (struct look *)(void *)place->room;

	look_init(look, place->object);
	return look_first(look) ? SELECT_DONE : SELECT_WAIT;
}

static int select_finish(struct select_place *place)
{
	return look_finish((struct look *)(void *)place->room, place->item);
}

const hilo_select_ops hilo_select_watch = {
	.receives = true,
	.lock = channel_select_lock,
	.look = select_look,
	.enlist = channel_select_enlist,
	.remove = channel_select_remove,
	.finish = select_finish,
};
