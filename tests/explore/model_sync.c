/* SPDX-License-Identifier: MIT */
/*
 * model_sync.c - the shipped event.c, semaphore.c, barrier.c and wait_group.c, as users have them.
 *
 * Checked: whoever returns sees what the one did who let him go on; what is on the stack of the one that waits may be
 * freed when that has returned; nobody waits for ever; permits are neither lost nor doubled by a cancel, and a
 * large request is served before what came later; a barrier is passed by all of a round or by nobody.
 */
#include <errno.h>

#include <hilo/runtime/error.h>
#include <hilo/sync/barrier.h>
#include <hilo/sync/event.h>
#include <hilo/sync/semaphore.h>
#include <hilo/sync/wait_group.h>

#include "runtime/error_impl.h"
#include "tests/explore/waiting.h"
#include "tests/explore/waking.h"

static hilo_event event;
static hilo_semaphore semaphore;
static hilo_barrier barrier;
static hilo_wait_group group;
static unsigned value; /* plain data that the object publishes */
static int code[EXPLORE_THREADS];
static atomic(uint32_t) ended; /* threads that have returned */

int hilo__error_own(int rc)
{
	return rc;
}

void hilo__error_keep(int rc)
{
	(void)rc;
}

int hilo_fail(int rc, const char *format, ...)
{
	(void)format;
	return rc;
}

static void setup(void)
{
	waiting_reset(EXPLORE_THREADS, 0);
	memset(&event, 0, sizeof(event));
	memset(code, 0, sizeof(code));
	value = 0;
	ended = 0;
	EXPLORE_CHECK(hilo_semaphore_init(&semaphore, 0, 0) == 0);
	EXPLORE_CHECK(hilo_barrier_init(&barrier, 2, NULL, NULL) == 0);
	EXPLORE_CHECK(hilo_wait_group_init(&group) == 0);
	EXPLORE_CHECK(hilo_wait_group_add(&group, 2) == 0);
}

static void finish(void)
{
	waiting_check(EXPLORE_THREADS);
}

static void canceller_of_T0(void)
{
	if (task_state_cancel(&records[0].state, 1))
		waiting_ready(&records[0]);
}

/* They have begun to wait, and may leave. */
static bool T0_waits(void)
{
	return load_acquire(&records[0].state) & TASK_PARKED;
}

static bool T0_and_T1_wait(void)
{
	return T0_waits() && load_acquire(&records[1].state) & TASK_PARKED;
}

/* Events. */
static void event_sets(void)
{
	plain_store(&value, 7u);
	EXPLORE_CHECK(hilo_event_set(&event) == 0);
}

static void event_waits_and_frees(void)
{
	EXPLORE_CHECK(hilo_event_wait(&event, HILO_FOREVER) == 0);
	EXPLORE_CHECK(plain_load(&value) == 7u);
	explore_retire(&event, sizeof(event));
}

/* Found set, or not yet. */
static void event_looks_and_frees(void)
{
	if (!hilo_event_is_set(&event))
		return;
	EXPLORE_CHECK(plain_load(&value) == 7u);
	explore_retire(&event, sizeof(event));
}

/* The last of several that have returned frees it. */
static void last_frees(const void *object, size_t size, unsigned count)
{
	if (add_acq_rel(&ended, 1) + 1 == count) /* pairs with itself */
		explore_retire(object, size);
}

static void event_waits(void)
{
	int rc = hilo_event_wait(&event, HILO_FOREVER);

	EXPLORE_CHECK(rc == 0 || (rc == -ECANCELED && explore_self() == 0));
	last_frees(&event, sizeof(event), 2);
}

static void event_clears(void)
{
	EXPLORE_CHECK(hilo_event_clear(&event) == 0);
}

/* T0 waits, and may have left by now; if it seems so the event is gone. */
static void event_sets_and_destroys(void)
{
	if (!T0_waits())
		return;
	EXPLORE_CHECK(hilo_event_set(&event) == 0);
	if (hilo_event_destroy(&event) == 0)
		explore_retire(&event, sizeof(event));
}

static void event_waits_plainly_or_not(void)
{
	int rc = hilo_event_wait(&event, HILO_FOREVER);

	EXPLORE_CHECK(rc == 0 || rc == -ECANCELED);
}

/* Whoever sets it for both comes for the lock again. */
static void event_destroys(void)
{
	if (T0_and_T1_wait() && hilo_event_destroy(&event) == 0)
		explore_retire(&event, sizeof(event));
}

static void event_waits_plainly(void)
{
	EXPLORE_CHECK(hilo_event_wait(&event, HILO_FOREVER) == 0);
}

static void event_sets_and_clears(void)
{
	EXPLORE_CHECK(hilo_event_set(&event) == 0);
	event_clears();
	EXPLORE_CHECK(hilo_event_set(&event) == 0);
}

/* Semaphores. */
static void releases(void)
{
	plain_store(&value, 7u);
	EXPLORE_CHECK(hilo_semaphore_release(&semaphore, 1) == 0);
}

static void releases_two(void)
{
	EXPLORE_CHECK(hilo_semaphore_release(&semaphore, 1) == 0);
	EXPLORE_CHECK(hilo_semaphore_release(&semaphore, 1) == 0);
}

static void acquires_and_frees(void)
{
	EXPLORE_CHECK(hilo_semaphore_acquire(&semaphore, 1, HILO_FOREVER) == 0);
	EXPLORE_CHECK(plain_load(&value) == 7u);
	explore_retire(&semaphore, sizeof(semaphore));
}

static void acquires(void)
{
	int rc = hilo_semaphore_acquire(&semaphore, 1, HILO_FOREVER);

	EXPLORE_CHECK(rc == 0 || (rc == -ECANCELED && explore_self() == 0));
	code[explore_self()] = rc;
}

static void acquires_two(void)
{
	int rc = hilo_semaphore_acquire(&semaphore, 2, HILO_FOREVER);

	EXPLORE_CHECK(rc == 0 || (rc == -ECANCELED && explore_self() == 0));
	if (rc == 0)
		EXPLORE_CHECK(hilo_semaphore_release(&semaphore, 2) == 0);
}

/* T0 waits, and may have left by now; if it seems so the semaphore is gone. */
static void releases_and_destroys(void)
{
	if (!T0_waits())
		return;
	EXPLORE_CHECK(hilo_semaphore_release(&semaphore, 1) == 0);
	if (hilo_semaphore_destroy(&semaphore) == 0)
		explore_retire(&semaphore, sizeof(semaphore));
}

/* One that leaves lets the semaphore be used for the last time by the one that comes behind it. */
static void acquires_last_frees(void)
{
	acquires();
	last_frees(&semaphore, sizeof(semaphore), 2);
}

static void releases_two_at_once(void)
{
	EXPLORE_CHECK(hilo_semaphore_release(&semaphore, 2) == 0);
}

static void tries(void)
{
	code[explore_self()] = hilo_semaphore_try_acquire(&semaphore, 1);
}

static void acquires_and_releases(void)
{
	acquires();
	plain_store(&value, plain_load(&value) + 1); /* one inside at a time */
	EXPLORE_CHECK(hilo_semaphore_release(&semaphore, 1) == 0);
}

static void setup_one(void)
{
	setup();
	EXPLORE_CHECK(hilo_semaphore_release(&semaphore, 1) == 0);
}

static void finish_mutex(void)
{
	finish();
	EXPLORE_CHECK(value == 2 && hilo_semaphore_value(&semaphore) == 1);
}

/* Two were released; T0 had both for a while or was cancelled, T1 has one. */
static void finish_two(void)
{
	finish();
	EXPLORE_CHECK(code[1] == 0);
	EXPLORE_CHECK(hilo_semaphore_value(&semaphore) == 1);
}

/* Two were released; T0 wanted one or was cancelled; T1 tried. */
static void finish_try(void)
{
	finish();
	EXPLORE_CHECK(hilo_semaphore_value(&semaphore) == 2u - (code[0] == 0) - (code[1] == 0));
}

/* One permit is there, and T0 waits for two: it is not overtaken. */
static void tries_behind(void)
{
	bool waiting = T0_waits();
	int rc = hilo_semaphore_try_acquire(&semaphore, 1);

	EXPLORE_CHECK(rc == -EAGAIN || (rc == 0 && !waiting));
	EXPLORE_CHECK(hilo_semaphore_release(&semaphore, rc == 0 ? 2 : 1) == 0);
}

/* There is one, and this is nobody who waits. */
static void acquires_two_at_once(void)
{
	EXPLORE_CHECK(hilo_semaphore_acquire(&semaphore, 2, HILO_NO_WAIT) == -ETIMEDOUT);
}

static void tries_beside(void)
{
	EXPLORE_CHECK(hilo_semaphore_try_acquire(&semaphore, 1) == 0);
	EXPLORE_CHECK(hilo_semaphore_release(&semaphore, 1) == 0);
}

/* Barriers, for two. */
static void passes(void)
{
	int rc = hilo_barrier_wait(&barrier, HILO_FOREVER);

	EXPLORE_CHECK((rc >= 0 && rc < 2) || (rc == -ECANCELED && explore_self() == 0));
	code[explore_self()] = rc;
}

static void passes_twice(void)
{
	EXPLORE_CHECK(hilo_barrier_wait(&barrier, HILO_FOREVER) >= 0);
	EXPLORE_CHECK(hilo_barrier_wait(&barrier, HILO_FOREVER) >= 0);
}

static void passes_and_last_frees(void)
{
	EXPLORE_CHECK(hilo_barrier_wait(&barrier, HILO_FOREVER) >= 0);
	last_frees(&barrier, sizeof(barrier), 2);
}

static void tries_to_pass(void)
{
	code[explore_self()] = hilo_barrier_wait(&barrier, HILO_NO_WAIT);
}

/* The first who has passed frees it, whatever the others of its round are doing. */
static void first_frees(int rc)
{
	code[explore_self()] = rc;
	if (rc >= 0 && add_acq_rel(&ended, 1) == 0) /* pairs with itself */
		explore_retire(&barrier, sizeof(barrier));
}

static void passes_and_first_frees(void)
{
	int rc = hilo_barrier_wait(&barrier, HILO_FOREVER);

	EXPLORE_CHECK(rc >= 0 || rc == -EPIPE || (rc == -ECANCELED && explore_self() == 0));
	first_frees(rc);
}

static void tries_to_pass_and_first_frees(void)
{
	first_frees(hilo_barrier_wait(&barrier, HILO_NO_WAIT));
}

/* Those who wait are sent away if there are too few. */
static void tries_to_pass_or_aborts(void)
{
	int rc = hilo_barrier_wait(&barrier, HILO_NO_WAIT);

	if (rc < 0)
		EXPLORE_CHECK(rc == -ETIMEDOUT && hilo_barrier_abort(&barrier) == 0);
	first_frees(rc);
}

/* Whoever comes too late may end it. */
static void tries_to_pass_and_destroys(void)
{
	if (!T0_waits())
		return;
	code[1] = hilo_barrier_wait(&barrier, HILO_NO_WAIT);
	if (code[1] < 0 && hilo_barrier_destroy(&barrier) == 0)
		explore_retire(&barrier, sizeof(barrier));
}

static void passes_plainly(void)
{
	code[explore_self()] = hilo_barrier_wait(&barrier, HILO_FOREVER);
}

/* Whom the others wait for. If one of them has left, the other one is there still, and is sent away. */
static void third_passes_or_resets(void)
{
	code[2] = -EPIPE;
	if (hilo_barrier_n_waiting(&barrier) < 2) {
		EXPLORE_CHECK(hilo_barrier_abort(&barrier) == 0);
		return;
	}
	code[2] = hilo_barrier_wait(&barrier, HILO_NO_WAIT);
	if (code[2] < 0) {
		EXPLORE_CHECK(code[2] == -ETIMEDOUT && hilo_barrier_destroy(&barrier) == -EBUSY);
		EXPLORE_CHECK(hilo_barrier_reset(&barrier) == 0);
	}
}

static void setup_three(void)
{
	setup();
	EXPLORE_CHECK(hilo_barrier_init(&barrier, 3, NULL, NULL) == 0);
}

static int acts(void *arg)
{
	plain_store((unsigned *)arg, 7u);
	return 0;
}

static void setup_action(void)
{
	setup();
	EXPLORE_CHECK(hilo_barrier_init(&barrier, 2, acts, &value) == 0);
}

/* Both have passed, or nobody has. */
static void finish_barrier(void)
{
	finish();
	EXPLORE_CHECK((code[0] >= 0) == (code[1] >= 0));
	EXPLORE_CHECK(code[0] < 0 || code[0] + code[1] == 1);
	EXPLORE_CHECK(hilo_barrier_n_waiting(&barrier) == 0);
}

/* The same, and it is gone if they have. */
static void finish_two_passed(void)
{
	finish();
	EXPLORE_CHECK((code[0] >= 0) == (code[1] >= 0));
	EXPLORE_CHECK(code[0] < 0 || code[0] + code[1] == 1);
}

static void finish_three_passed(void)
{
	finish();
	EXPLORE_CHECK((code[0] >= 0) == (code[1] >= 0) && (code[0] >= 0) == (code[2] >= 0));
	EXPLORE_CHECK(code[0] < 0 || code[0] + code[1] + code[2] == 3);
}

static void finish_reset(void)
{
	finish_three_passed();
	EXPLORE_CHECK(code[2] >= 0 || code[1] == -EPIPE);
	EXPLORE_CHECK(code[2] >= 0 || code[0] == -EPIPE || code[0] == -ECANCELED);
	EXPLORE_CHECK(hilo_barrier_n_waiting(&barrier) == 0 && hilo_barrier_destroy(&barrier) == 0);
}

/* One may have gone while the other one, the last, acted. */
static void finish_acted(void)
{
	finish();
	if (code[0] >= 0 && code[1] >= 0)
		EXPLORE_CHECK(code[0] + code[1] == 1);
	else
		EXPLORE_CHECK((code[0] < 0 || code[0] == 1) && (code[1] < 0 || code[1] == 1));
	EXPLORE_CHECK((code[0] >= 0 || code[1] >= 0) == (value == 7));
}

/* Wait groups, of two. */
static void is_done(void)
{
	(void)add_relaxed(&ended, 1); /* relaxed: what is released with the group */
	EXPLORE_CHECK(hilo_wait_group_done(&group) == 0);
}

static void group_waits_and_frees(void)
{
	EXPLORE_CHECK(hilo_wait_group_wait(&group, HILO_FOREVER) == 0);
	EXPLORE_CHECK(load_relaxed(&ended) == 2); /* relaxed: as above */
	explore_retire(&group, sizeof(group));
}

static void group_waits(void)
{
	int rc = hilo_wait_group_wait(&group, HILO_FOREVER);

	EXPLORE_CHECK(rc == 0 || rc == -ECANCELED);
}

static void group_waits_and_last_frees(void)
{
	group_waits();
	last_frees(&group, sizeof(group), 2);
}

static void is_done_twice(void)
{
	EXPLORE_CHECK(hilo_wait_group_done(&group) == 0);
	EXPLORE_CHECK(hilo_wait_group_done(&group) == 0);
}

/* T0 waits, and may have left by now; if it seems so the group is gone. */
static void is_done_and_destroys(void)
{
	if (!T0_waits())
		return;
	EXPLORE_CHECK(hilo_wait_group_done(&group) == 0);
	EXPLORE_CHECK(hilo_wait_group_done(&group) == 0);
	if (hilo_wait_group_destroy(&group) == 0)
		explore_retire(&group, sizeof(group));
}

static const struct explore_model models[] = {
	EXPLORE_MODEL("event_free", "T0 waits, frees the event; T1 sets it", setup, finish,
		      event_waits_and_frees, event_sets),
	EXPLORE_MODEL("event_look", "T0 looks, frees the event if it is set; T1 sets it", setup, finish,
		      event_looks_and_frees, event_sets),
	EXPLORE_MODEL_BOUND(2, "event_two", "T0, T1 wait, the last one frees; T2 sets; T3 cancels T0", setup,
			    finish, event_waits, event_waits, event_sets, canceller_of_T0),
	EXPLORE_MODEL("event_clear", "T0 waits; T1 sets, clears, sets", setup, finish, event_waits_plainly,
		      event_sets_and_clears),
	EXPLORE_MODEL("event_destroy", "T0 waits; T1 sets once it does, ends it if it may; T2 cancels T0",
		      setup, finish, event_waits_plainly_or_not, event_sets_and_destroys, canceller_of_T0),
	EXPLORE_MODEL_BOUND(2, "event_destroy_two", "T0, T1 wait; T2 sets; T3 ends it if it may", setup,
			    finish, event_waits_plainly, event_waits_plainly, event_sets, event_destroys),
	EXPLORE_MODEL("semaphore_free", "T0 acquires, frees the semaphore; T1 releases", setup, finish,
		      acquires_and_frees, releases),
	EXPLORE_MODEL_BOUND(2, "semaphore_two", "T0, T1 acquire, the last one frees; T2 releases twice",
			    setup, finish, acquires_last_frees, acquires_last_frees, releases_two),
	EXPLORE_MODEL_BOUND(2, "semaphore_both",
			    "T0, T1 acquire, the last one frees; T2 releases two; T3 cancels T0", setup,
			    finish, acquires_last_frees, acquires_last_frees, releases_two_at_once,
			    canceller_of_T0),
	EXPLORE_MODEL_BOUND(2, "semaphore_mutex", "T0, T1 acquire, add, release", setup_one, finish_mutex,
			    acquires_and_releases, acquires_and_releases),
	EXPLORE_MODEL_LONG(
		2, "semaphore_large",
		"T0 acquires two, releases them; T1 acquires one; T2 releases twice; T3 cancels T0", setup,
		finish_two, acquires_two, acquires, releases_two, canceller_of_T0),
	EXPLORE_MODEL_BOUND(2, "semaphore_leave", "T0 acquires two, T1 one; T2 releases one, T3 cancels T0",
			    setup, finish, acquires_two, acquires, releases, canceller_of_T0),
	EXPLORE_MODEL("semaphore_order", "T0 acquires two, of which one is there; T1 tries, releases",
		      setup_one, finish, acquires_two, tries_behind),
	EXPLORE_MODEL_BOUND(2, "semaphore_try", "T0 acquires; T1 tries; T2 releases twice; T3 cancels T0",
			    setup, finish_try, acquires, tries, releases_two, canceller_of_T0),
	EXPLORE_MODEL("semaphore_no_wait",
		      "T0 acquires two at once, of which one is there; T1 tries, releases", setup_one, finish,
		      acquires_two_at_once, tries_beside),
	EXPLORE_MODEL("semaphore_destroy",
		      "T0 acquires; T1 releases once it waits, ends it if it may; T2 cancels T0", setup,
		      finish, acquires, releases_and_destroys, canceller_of_T0),
	EXPLORE_MODEL_BOUND(2, "barrier_twice", "T0, T1 pass twice", setup, finish, passes_twice,
			    passes_twice),
	EXPLORE_MODEL_BOUND(2, "barrier_free", "T0, T1 pass, the last one frees", setup, finish,
			    passes_and_last_frees, passes_and_last_frees),
	EXPLORE_MODEL("barrier_cancel", "T0 passes; T1 does if T0 is there; T2 cancels T0", setup,
		      finish_barrier, passes, tries_to_pass, canceller_of_T0),
	EXPLORE_MODEL("barrier_cancel_free",
		      "T0 passes; T1 does if T0 is there; the first frees; T2 cancels T0", setup,
		      finish_two_passed, passes_and_first_frees, tries_to_pass_and_first_frees,
		      canceller_of_T0),
	EXPLORE_MODEL_BOUND(
		2, "barrier_three",
		"T0, T1 pass; T2 does if they are there, else aborts; the first frees; T3 cancels T0",
		setup_three, finish_three_passed, passes_and_first_frees, passes_and_first_frees,
		tries_to_pass_or_aborts, canceller_of_T0),
	EXPLORE_MODEL("barrier_action",
		      "T0 passes; T1 does, with an action, if T0 is there; the first frees; T2 cancels T0",
		      setup_action, finish_acted, passes_and_first_frees, tries_to_pass_and_first_frees,
		      canceller_of_T0),
	EXPLORE_MODEL("barrier_destroy", "T0 passes; T1 does if T0 is there, else ends it; T2 cancels T0",
		      setup, finish, passes_plainly, tries_to_pass_and_destroys, canceller_of_T0),
	EXPLORE_MODEL_BOUND(2, "barrier_reset",
			    "T0, T1 pass; T2 does if they are there, else resets; T3 cancels T0", setup_three,
			    finish_reset, passes_plainly, passes_plainly, third_passes_or_resets,
			    canceller_of_T0),
	EXPLORE_MODEL_BOUND(2, "group_count", "T0 waits, frees the group; T1, T2 are done", setup, finish,
			    group_waits_and_frees, is_done, is_done),
	EXPLORE_MODEL_BOUND(2, "group_two", "T0, T1 wait, the last one frees; T2 is done twice", setup,
			    finish, group_waits_and_last_frees, group_waits_and_last_frees, is_done_twice),
	EXPLORE_MODEL("group_destroy",
		      "T0 waits; T1 is done twice once it does, ends it if it may; T2 cancels T0", setup,
		      finish, group_waits, is_done_and_destroys, canceller_of_T0),
};

int main(int argc, char **argv)
{
	return explore_main(argc, argv, models, array_size(models));
}
