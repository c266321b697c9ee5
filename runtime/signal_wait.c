/* SPDX-License-Identifier: MIT */
/*
 * signal_wait.c - a subscription that is waited for: a queue that handlers fill, and an eventfd that is readable
 * while there is something in it.
 *
 * Signals are numbered in the order of their delivery. A place of the queue has a turn: the number of the signal that
 * may be put into it, and that and one once it is there. A handler takes a number by a CAS, fills the place, and
 * turns it; nobody waits for one that is between the two, and what others have put behind it stays unseen until it is
 * done. If there is no place it marks the signal's number.
 *
 * I1  If there is something to be fetched, and no handler is between putting it there and writing to the eventfd,
 *     that is readable. Who fetches clears it only when he sees nothing any more, then looks again, and sets it again
 *     if there is something.
 * I2  Who fetches holds the lock, also over reads and writes of the eventfd, which do not wait. Handlers do not take
 *     it.
 * P1  A place is turned with release, and looked at with acquire: who fetches sees what was put there, who puts sees
 *     that the place was emptied.
 * P2  A mark is set with release, and taken with acquire.
 * P3  refs is dropped with release, and acquired by the last one: who frees sees all uses ended.
 */
#include "runtime/signal_impl.h"

#include <hilo/runtime/error.h>
#include <hilo/runtime/loop.h>

#include <errno.h>
#include <string.h>

#include "runtime/contend_impl.h"
#include "runtime/debug_impl.h"
#include "runtime/error_impl.h"
#include "runtime/sized_impl.h"
#include "scheduler/base/mem.h"
#include "scheduler/base/sys.h"

#ifdef HILO_EXPLORE
#define KEPT 2u
#else
#define KEPT 64u /* a power of two */
#endif

struct place {
	atomic(uint32_t) turn; /* P1 */
	hilo_signal_info info;
};

struct hilo_signals {
	struct spinlock lock;	/* I2 */
	atomic(uint32_t) refs;	/* P3: the owner, and each who waits */
	bool closed;		/* under the lock; the eventfd stays readable then */
	int fd;			/* I1 */
	uint32_t head;		/* under the lock */
	atomic(uint32_t) tail;	/* the next number to be taken */
	atomic(uint64_t) marks; /* P2: of signals that there was no room for */
	atomic(uint32_t) missed[SIGNAL_MAX + 1];
	struct place place[KEPT];
	struct debug_mark open;
	size_t count;
	struct subscribed {
		struct signal_sink sink;
		struct hilo_signals *signals;
	} of[];
};

static void signals_rouse(struct hilo_signals *signals)
{
	uint64_t one = 1;

	(void)hilo__sys_write(signals->fd, &one, sizeof(one)); /* a counter that is full is readable */
}

/* [signal handler] A place, and the number that was taken for it; NULL: there is none. */
static struct place *place_take(struct hilo_signals *signals, uint32_t *number)
{
	uint32_t tail = load_relaxed(&signals->tail); /* relaxed: only an expected value */

	for (;;) {
		struct place *place = &signals->place[tail % KEPT];
		int32_t ahead = (int32_t)(load_acquire(&place->turn) - tail); /* P1 */

		*number = tail;
		if (ahead < 0)
			return NULL;
		if (ahead > 0)
			tail = load_relaxed(&signals->tail); /* relaxed: as above */
		else if (MUTANT(452, cas_relaxed(&signals->tail, &tail, tail + 1),
				(store_relaxed(&signals->tail, tail + 1), true))) /* relaxed: P1 orders */
			return place;
	}
}

/* [signal handler] */
static void signals_deliver(struct signal_sink *sink, const siginfo_t *info)
{
	struct hilo_signals *signals = container_of(sink, struct subscribed, sink)->signals;
	int signo = sink->signo;
	uint32_t number;
	struct place *place = place_take(signals, &number);

	if (place) {
		place->info = (hilo_signal_info){.signo = signo, .code = info->si_code};
		if (info->si_code <= 0 || signo == SIGCHLD) {
			place->info.pid = info->si_pid;
			place->info.uid = info->si_uid;
		}
		if (signo == SIGCHLD && info->si_code > 0)
			place->info.status = info->si_status;
		if (info->si_code == SI_QUEUE)
			memcpy(&place->info.value, &info->si_value, sizeof(info->si_value));
		MUTANT(453, store_release(&place->turn, number + 1),
		       store_relaxed(&place->turn, number + 1)); /* P1 */
	} else {
		(void)add_relaxed(&signals->missed[signo], 1);		       /* relaxed: P2 orders it */
		(void)or_release(&signals->marks, UINT64_C(1) << (signo - 1)); /* P2 */
	}
	signals_rouse(signals);
}

/* [lock] The next place is filled. */
static bool place_is_full(struct hilo_signals *signals)
{
	struct place *place = &signals->place[signals->head % KEPT];

	return load_acquire(&place->turn) == signals->head + 1; /* P1 */
}

/* [lock] One of those that there was no room for. */
static bool fetch_mark(struct hilo_signals *signals, hilo_signal_info *info)
{
	uint64_t marks;

	while ((marks = load_acquire(&signals->marks))) { /* P2 */
		int signo = __builtin_ctzll(marks) + 1;

		(void)and_acq_rel(&signals->marks, ~(UINT64_C(1) << (signo - 1))); /* P2 */
		info->missed = xchg_relaxed(&signals->missed[signo], 0);	   /* relaxed: P2 orders it */
		info->signo = signo;
		if (info->missed) /* else the mark is of one that was counted the last time */
			return true;
	}
	return false;
}

/* [lock] The next one. False: there is none. */
static bool signals_fetch(struct hilo_signals *signals, hilo_signal_info *info)
{
	struct place *place = &signals->place[signals->head % KEPT];

	memset(info, 0, sizeof(*info));
	if (!place_is_full(signals))
		return fetch_mark(signals, info);
	*info = place->info;
	store_release(&place->turn, signals->head + KEPT); /* P1 */
	signals->head++;
	return true;
}

/* [lock] There is something to fetch. */
static bool signals_any(struct hilo_signals *signals)
{
	return place_is_full(signals) || load_acquire(&signals->marks); /* P2 */
}

/* [lock] I1 */
static void signals_settle(struct hilo_signals *signals)
{
	uint64_t count;

	if (signals_any(signals))
		return;
	(void)hilo__sys_read(signals->fd, &count, sizeof(count));
	if (MUTANT(454, signals_any(signals), false))
		signals_rouse(signals);
}

/* [user] 1: *@info; 0: there is none; HILO_ECLOSED. */
static int signals_try(struct hilo_signals *signals, hilo_signal_info *info)
{
	int rc = HILO_ECLOSED;

	spin_lock(&signals->lock);
	if (!signals->closed) {
		rc = signals_fetch(signals, info);
		signals_settle(signals);
	}
	spin_unlock(&signals->lock);
	return rc;
}

static void signals_unref(struct hilo_signals *signals)
{
	if (sub_acq_rel(&signals->refs, 1) != 1) /* P3 */
		return;
	(void)hilo__sys_close(signals->fd);
	hilo__free(signals);
}

static int signals_next(struct hilo_signals *signals, hilo_signal_info *info, hilo_time deadline)
{
	int rc = signals_try(signals, info);

	if (rc > 0 && deadline > 0)
		contend_was_free(thread_self());
	while (rc == 0) {
		rc = hilo_fd_wait(signals->fd, HILO_READABLE, deadline);
		if (rc > 0)
			rc = signals_try(signals, info);
	}
	return rc;
}

int hilo_signals_next(hilo_signals *signals, hilo_signal_info *info, hilo_time deadline)
{
	hilo_signal_info mine = {.size = sizeof(mine)};
	int rc;

	if (!signals)
		return hilo_fail(-EINVAL, "hilo_signals_next: signals is NULL");
	if (info && SIZED_OUT(hilo_signal_info, info, &mine, value) < 0)
		return hilo_fail(-EINVAL, "hilo_signals_next: info->size is %zu", info->size);
	if (contend_is_interrupted(thread_self()))
		return hilo__error_own(-ECANCELED);
	(void)add_relaxed(&signals->refs, 1); /* relaxed: whoever calls may use it */
	rc = signals_next(signals, &mine, deadline);
	signals_unref(signals);
	if (rc == HILO_ECLOSED)
		return hilo_fail(rc, "hilo_signals_next: the subscription was ended");
	if (rc < 0)
		return rc;
	if (info)
		(void)SIZED_OUT(hilo_signal_info, info, &mine, value);
	return mine.signo;
}

/* How many there are, without those that come twice; or why they cannot be had. */
static int signals_count(const char *call, const int *signos, uint64_t *set)
{
	int n = 0, rc = 0;

	for (*set = 0; rc == 0 && signos && *signos; signos++) {
		rc = hilo__signal_check(call, *signos);
		if (rc == 0 && !(*set & UINT64_C(1) << (*signos - 1))) {
			*set |= UINT64_C(1) << (*signos - 1);
			n++;
		}
	}
	if (rc == 0 && !n)
		rc = hilo_fail(-EINVAL, "%s: no signals are named", call);
	return rc < 0 ? rc : n;
}

/* [owner] Begin to be told of all in @set. */
static int signals_subscribe(struct hilo_signals *signals, uint64_t set)
{
	int rc = 0;

	for (int signo = 1; signo <= SIGNAL_MAX && rc == 0; signo++) {
		struct subscribed *of = &signals->of[signals->count];

		if (!(set & UINT64_C(1) << (signo - 1)))
			continue;
		of->signals = signals;
		of->sink.signo = signo;
		of->sink.deliver = signals_deliver;
		rc = hilo__signal_add(&of->sink);
		if (rc == 0)
			signals->count++;
	}
	return rc;
}

/* [owner] Handlers put nothing into it any more, and what they have put is seen. */
static void signals_leave(struct hilo_signals *signals)
{
	while (signals->count)
		hilo__signal_remove(&signals->of[--signals->count].sink);
}

/* [owner] Nobody is told any more. */
static void signals_end(struct hilo_signals *signals)
{
	signals_leave(signals);
	spin_lock(&signals->lock);
	signals->closed = true;
	signals_rouse(signals);
	spin_unlock(&signals->lock);
	signals_unref(signals);
}

static int signals_open(const char *call, const int *signos, const void *site, hilo_signals **ret)
{
	hilo_signals *signals;
	uint64_t set;
	int n = signals_count(call, signos, &set), rc;

	if (n < 0)
		return n;
	signals = hilo__calloc(1, sizeof(*signals) + (size_t)n * sizeof(struct subscribed));
	if (!signals)
		return -ENOMEM;
	signals->fd = hilo__sys_eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (signals->fd < 0) {
		rc = hilo_fail(signals->fd, "%s: no eventfd: %s", call, hilo_strerror(signals->fd));
		hilo__free(signals);
		return rc;
	}
	spin_init(&signals->lock);
	atomic_setup(&signals->refs, 1);
	for (uint32_t i = 0; i < KEPT; i++)
		atomic_setup(&signals->place[i].turn, i);
	rc = signals_subscribe(signals, set);
	if (rc < 0) {
		signals_end(signals);
		return hilo_fail(rc, "%s: sigaction: %s", call, hilo_strerror(rc));
	}
	debug_opened_here(&signals->open, DEBUG_SIGNALS, site);
	*ret = signals;
	return 0;
}

int hilo_signals_open(const int *signos, hilo_signals **ret)
{
	if (!ret)
		return hilo_fail(-EINVAL, "hilo_signals_open: ret is NULL");
	return signals_open("hilo_signals_open", signos, __builtin_return_address(0), ret);
}

void hilo_signals_free(hilo_signals *signals)
{
	if (!signals)
		return;
	debug_ended(&signals->open);
	signals_end(signals);
}

int hilo_signal_wait(int signo, hilo_signal_info *info, hilo_time deadline)
{
	const int signos[] = {signo, 0};
	hilo_signal_info mine = {.size = sizeof(mine)};
	hilo_signals *signals;
	int rc;

	if (contend_is_interrupted(thread_self()))
		return hilo__error_own(-ECANCELED);
	rc = signals_open("hilo_signal_wait", signo ? signos : (const int[]){-1, 0},
			  __builtin_return_address(0), &signals);
	if (rc < 0)
		return rc;
	rc = hilo_signals_next(signals, info, deadline);
	/* One that has come since is of this wait: nobody else was told of it. */
	signals_leave(signals);
	if ((rc == -ECANCELED || rc == -ETIMEDOUT) && signals_try(signals, &mine) > 0) {
		if (info)
			(void)SIZED_OUT(hilo_signal_info, info, &mine, value);
		rc = mine.signo;
	}
	hilo_signals_free(signals);
	return rc;
}
