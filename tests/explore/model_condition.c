/* SPDX-License-Identifier: MIT */
/*
 * model_condition.c - the shipped condition.c, over mutex.c and contend.c: items that are put and taken under a mutex.
 *
 * Checked: nobody waits for ever for an item that is there, whoever is cancelled meanwhile; each is taken once; when a
 * wait has returned, the caller has the mutex; who was notified may free condition and mutex; who may end the condition
 * may free it.
 */
#include <hilo/sync/condition.h>

#include <errno.h>

#include "runtime/runtime_impl.h"
#include "tests/explore/orders.h"
#include "tests/explore/waiting.h"

static hilo_mutex mutex;
static hilo_condition condition;
static struct hilo_runtime runtime;
static int items; /* under the mutex */
static atomic(uint32_t) taken;

void hilo__task_wake(struct hilo_task *task, uint32_t episode)
{
	if (task_state_wake(&task->state, episode))
		waiting_ready(task);
}

int hilo__error_own(int code)
{
	return code;
}

int hilo_fail(int code, const char *format, ...)
{
	if (code != -EBUSY)
		explore_fail("hilo_fail(%d, \"%s\")", code, format);
	return code;
}

const char *hilo__task_label(const hilo_task *task, char buf[TASK_LABEL_SIZE])
{
	(void)task;
	return buf;
}

int hilo_shield_enter(void)
{
	records[explore_self()].shield++;
	return 0;
}

int hilo_shield_leave(void)
{
	records[explore_self()].shield--;
	return 0;
}

int64_t hilo__cycles_to_ns(uint64_t cycles)
{
	return (int64_t)cycles;
}

uint64_t cycles_now(void)
{
	return 0;
}

uint64_t hilo__cycles_per_us(void)
{
	return 1;
}

static void setup(void)
{
	waiting_reset(4, 0);
	memset(&mutex, 0, sizeof(mutex));
	memset(&condition, 0, sizeof(condition));
	runtime.workers = 2;
	for (int i = 0; i < 4; i++) {
		loops[i].runtime = &runtime;
		threads[i].mutex_guess = 0;
	}
	items = 0;
	taken = 0;
}

static void finish_gone(void)
{
	waiting_check(4);
}

static void finish(void)
{
	waiting_check(4);
	EXPLORE_CHECK(hilo_mutex_destroy(&mutex) == 0 && hilo_condition_destroy(&condition) == 0);
	EXPLORE_CHECK(items == 0);
}

static void lock(void)
{
	EXPLORE_CHECK(hilo_mutex_lock(&mutex, HILO_FOREVER) == 0);
}

static void unlock(void)
{
	EXPLORE_CHECK(hilo_mutex_unlock(&mutex) == 0);
}

static void add(void)
{
	plain_store(&items, plain_load(&items) + 1);
}

static void put(void)
{
	lock();
	add();
	unlock();
	(void)hilo_condition_notify(&condition, 1);
}

static void put_two(void)
{
	put();
	put();
}

static void put_for_all(void)
{
	lock();
	add();
	add();
	(void)hilo_condition_notify_all(&condition);
	unlock();
}

static void notify_who_waits(void)
{
	while (hilo_condition_notify(&condition, 1) == 0)
		cpu_relax();
}

static void wait_or_not(void)
{
	int rc;

	if (hilo_mutex_lock(&mutex, HILO_FOREVER) < 0)
		return;
	rc = hilo_condition_wait(&condition, &mutex, HILO_FOREVER);
	EXPLORE_CHECK(rc == 0 || rc == -ECANCELED);
	unlock();
}

static void notify_and_destroy(void)
{
	if (!(load_acquire(&records[0].state) & TASK_PARKED))
		return;
	(void)hilo_condition_notify(&condition, 1);
	if (hilo_condition_destroy(&condition) == 0)
		explore_retire(&condition, sizeof(condition));
}

static int wait_and_take(void)
{
	int rc = 0;

	while (rc == 0 && plain_load(&items) == 0)
		rc = hilo_condition_wait(&condition, &mutex, HILO_FOREVER);
	if (rc == 0)
		plain_store(&items, plain_load(&items) - 1);
	return rc;
}

static void take(void)
{
	lock();
	EXPLORE_CHECK(wait_and_take() == 0);
	unlock();
}

/* The only one who waits, and the only one who locks. */
static void wait_and_free(void)
{
	lock();
	EXPLORE_CHECK(hilo_condition_wait(&condition, &mutex, HILO_FOREVER) == 0);
	unlock();
	explore_retire(&condition, sizeof(condition));
	explore_retire(&mutex, sizeof(mutex));
}

/* What it gets it gives to others. */
static void take_and_put_back(void)
{
	int rc;

	if (hilo_mutex_lock(&mutex, HILO_FOREVER) < 0)
		return;
	rc = wait_and_take();
	EXPLORE_CHECK(rc == 0 || rc == -ECANCELED);
	if (rc == 0) {
		add();
		(void)hilo_condition_notify(&condition, 1);
	}
	unlock();
}

static void cancels_T0(void)
{
	if (task_state_cancel(&records[0].state, 1))
		waiting_ready(&records[0]);
}

static const struct explore_model models[] = {
	EXPLORE_MODEL("condition_one", "T0 takes; T1 puts", setup, finish, take, put),
	EXPLORE_MODEL_BOUND(1, "condition_two", "T0, T1 take; T2 puts two, notifies for each", setup, finish,
			    take, take, put_two),
	EXPLORE_MODEL_LONG(1, "condition_all", "T0, T1 take; T2 puts two, notifies all", setup, finish, take,
			   take, put_for_all),
	EXPLORE_MODEL("condition_free", "T0 waits, frees all; T1 notifies once it waits", setup, finish_gone,
		      wait_and_free, notify_who_waits),
	EXPLORE_MODEL("condition_destroy",
		      "T0 waits; T1 notifies once it does, ends it if it may; T2 cancels T0", setup,
		      finish_gone, wait_or_not, notify_and_destroy, cancels_T0),
	EXPLORE_MODEL_LONG(1, "condition_cancel", "T0 takes, puts back; T1 takes; T2 puts one; T3 cancels T0",
			   setup, finish, take_and_put_back, take, put, cancels_T0),
};

int main(int argc, char **argv)
{
	return explore_main(argc, argv, models, array_size(models));
}
