/* SPDX-License-Identifier: MIT */
/* Conditions: who is woken, in which order, what a cancel leaves behind, and that the lock is had again. */
#include "tests/conformance/conformance.h"

/* One that comes after @start ms, waits within @limit, and once it was notified needs @ms for itself. */
struct watcher {
	const char *name;
	int start;
	int ms;
	int limit;
	hilo_condition *condition;
	hilo_mutex *lock;
};

#define WATCHER(...) hilo_spawn(waits, &(struct watcher){__VA_ARGS__})

static int waits(void *arg)
{
	const struct watcher *self = arg;
	int rc;

	OK(sleep_for(self->start));
	OK(hilo_mutex_lock(self->lock, HILO_FOREVER));
	rc = hilo_condition_wait(self->condition, self->lock, within(self->limit));
	OK(hilo_mutex_unlock(self->lock));
	if (rc == 0 && self->ms)
		OK(sleep_for(self->ms));
	say_end(self->name, rc);
	return rc;
}

static void notify(hilo_condition *condition, hilo_mutex *lock, size_t n)
{
	OK(hilo_mutex_lock(lock, HILO_FOREVER));
	(void)hilo_condition_notify(condition, n);
	OK(hilo_mutex_unlock(lock));
}

static void condition_wakes_one_by_one(void)
{
	hilo_condition condition = HILO_CONDITION_INIT;
	hilo_mutex lock = HILO_MUTEX_INIT;
	hilo_task *a = WATCHER("a", 0, 1, 0, &condition, &lock),
		  *b = WATCHER("b", 1, 1, 0, &condition, &lock);
	hilo_task *c = WATCHER("c", 2, 1, 0, &condition, &lock);

	OK(sleep_for(5));
	for (int i = 0; i < 3; i++) {
		notify(&condition, &lock, 1);
		OK(sleep_for(3));
	}
	OK(hilo_join(a, HILO_FOREVER));
	OK(hilo_join(b, HILO_FOREVER));
	OK(hilo_join(c, HILO_FOREVER));
}

static void condition_wakes_some(void)
{
	hilo_condition condition = HILO_CONDITION_INIT;
	hilo_mutex lock = HILO_MUTEX_INIT;
	hilo_task *a = WATCHER("a", 0, 2, 0, &condition, &lock),
		  *b = WATCHER("b", 1, 1, 0, &condition, &lock);
	hilo_task *c = WATCHER("c", 2, 1, 0, &condition, &lock);

	OK(sleep_for(5));
	notify(&condition, &lock, 2);
	OK(hilo_join(a, HILO_FOREVER));
	OK(hilo_join(b, HILO_FOREVER));
	OK(sleep_for(5));
	notify(&condition, &lock, 2);
	OK(hilo_join(c, HILO_FOREVER));
}

static void condition_wakes_all(void)
{
	hilo_condition condition = HILO_CONDITION_INIT;
	hilo_mutex lock = HILO_MUTEX_INIT;
	hilo_task *a = WATCHER("a", 0, 3, 0, &condition, &lock),
		  *b = WATCHER("b", 1, 2, 0, &condition, &lock);
	hilo_task *c = WATCHER("c", 2, 1, 0, &condition, &lock);

	OK(sleep_for(5));
	OK(hilo_mutex_lock(&lock, HILO_FOREVER));
	(void)hilo_condition_notify_all(&condition);
	OK(hilo_mutex_unlock(&lock));
	OK(hilo_join(a, HILO_FOREVER));
	OK(hilo_join(b, HILO_FOREVER));
	OK(hilo_join(c, HILO_FOREVER));
}

static void condition_wakes_nobody(void)
{
	hilo_condition condition = HILO_CONDITION_INIT;
	hilo_mutex lock = HILO_MUTEX_INIT;
	hilo_task *a;

	notify(&condition, &lock, 1);
	a = WATCHER("a", 1, 1, 5, &condition, &lock);
	OK(sleep_for(2));
	notify(&condition, &lock, 0);
	say_end("a", hilo_join(a, HILO_FOREVER));
}

static void condition_waits_without_the_lock(void)
{
	hilo_condition condition = HILO_CONDITION_INIT;
	hilo_mutex lock = HILO_MUTEX_INIT;

	say_end("wait", hilo_condition_wait(&condition, &lock, HILO_FOREVER));
	OK(hilo_mutex_lock(&lock, HILO_FOREVER));
	say("free");
	OK(hilo_mutex_unlock(&lock));
}

static int keeps_lock(void *lock)
{
	OK(hilo_mutex_lock(lock, HILO_FOREVER));
	OK(sleep_for(5));
	OK(hilo_mutex_unlock(lock));
	return 0;
}

static void condition_waits_with_the_lock_of_another(void)
{
	hilo_condition condition = HILO_CONDITION_INIT;
	hilo_mutex lock = HILO_MUTEX_INIT;
	hilo_task *other = hilo_spawn(keeps_lock, &lock);

	OK(sleep_for(1));
	say_end("wait", hilo_condition_wait(&condition, &lock, after(3)));
	say_end("other", hilo_join(other, HILO_FOREVER));
}

static void condition_notifies_without_the_lock(void)
{
	hilo_condition condition = HILO_CONDITION_INIT;
	hilo_mutex lock = HILO_MUTEX_INIT;
	hilo_task *a = WATCHER("a", 0, 1, 5, &condition, &lock);

	OK(sleep_for(2));
	say("notified: %zu", hilo_condition_notify(&condition, 1));
	say_end("a", hilo_join(a, HILO_FOREVER));
}

static void condition_gives_the_lock_up(void)
{
	hilo_condition condition = HILO_CONDITION_INIT;
	hilo_mutex lock = HILO_MUTEX_INIT;
	hilo_task *a = WATCHER("a", 0, 1, 0, &condition, &lock);

	OK(sleep_for(2));
	OK(hilo_mutex_lock(&lock, HILO_FOREVER));
	say("locked");
	(void)hilo_condition_notify(&condition, 1);
	OK(sleep_for(5));
	say("unlocked");
	OK(hilo_mutex_unlock(&lock));
	OK(hilo_join(a, HILO_FOREVER));
}

static void condition_waiter_cancelled(void)
{
	hilo_condition condition = HILO_CONDITION_INIT;
	hilo_mutex lock = HILO_MUTEX_INIT;
	hilo_task *a = WATCHER("a", 0, 1, 0, &condition, &lock),
		  *b = WATCHER("b", 1, 1, 0, &condition, &lock);

	OK(sleep_for(2));
	ask_to_cancel("a", a);
	say_end("a", hilo_join(a, HILO_FOREVER));
	notify(&condition, &lock, 1);
	OK(hilo_join(b, HILO_FOREVER));
}

static void condition_waiter_cancelled_between(void)
{
	hilo_condition condition = HILO_CONDITION_INIT;
	hilo_mutex lock = HILO_MUTEX_INIT;
	hilo_task *a = WATCHER("a", 0, 1, 0, &condition, &lock),
		  *b = WATCHER("b", 1, 1, 0, &condition, &lock);
	hilo_task *c = WATCHER("c", 2, 2, 0, &condition, &lock);

	OK(sleep_for(5));
	ask_to_cancel("b", b);
	say_end("b", hilo_join(b, HILO_FOREVER));
	notify(&condition, &lock, 2);
	OK(hilo_join(a, HILO_FOREVER));
	OK(hilo_join(c, HILO_FOREVER));
}

static void condition_waiter_out_of_time(void)
{
	hilo_condition condition = HILO_CONDITION_INIT;
	hilo_mutex lock = HILO_MUTEX_INIT;
	hilo_task *a = WATCHER("a", 0, 1, 4, &condition, &lock),
		  *b = WATCHER("b", 1, 1, 0, &condition, &lock);

	say_end("a", hilo_join(a, HILO_FOREVER));
	notify(&condition, &lock, 1);
	OK(hilo_join(b, HILO_FOREVER));
}

/* The lock is kept until 10, and what ends the wait comes at 4. */
static void condition_ends_with_the_lock(void)
{
	hilo_condition condition = HILO_CONDITION_INIT;
	hilo_mutex lock = HILO_MUTEX_INIT;
	hilo_task *a = WATCHER("a", 0, 1, 0, &condition, &lock),
		  *b = WATCHER("b", 1, 1, 6, &condition, &lock);

	OK(sleep_for(2));
	OK(hilo_mutex_lock(&lock, HILO_FOREVER));
	OK(sleep_for(2));
	ask_to_cancel("a", a);
	OK(sleep_for(6));
	OK(hilo_mutex_unlock(&lock));
	OK(sleep_for(2));
	say("a and b: %d",
	    (hilo_join(a, HILO_FOREVER) == -ECANCELED) + (hilo_join(b, HILO_FOREVER) == -ETIMEDOUT));
}

static void condition_notified_then_cancelled(void)
{
	hilo_condition condition = HILO_CONDITION_INIT;
	hilo_mutex lock = HILO_MUTEX_INIT;
	hilo_task *a = WATCHER("a", 0, 0, 0, &condition, &lock);

	OK(sleep_for(2));
	notify(&condition, &lock, 1);
	ask_to_cancel("a", a);
	say_end("a", hilo_join(a, HILO_FOREVER));
}

static void condition_notified_then_cancelled_locked(void)
{
	hilo_condition condition = HILO_CONDITION_INIT;
	hilo_mutex lock = HILO_MUTEX_INIT;
	hilo_task *a = WATCHER("a", 0, 0, 0, &condition, &lock);

	OK(sleep_for(2));
	OK(hilo_mutex_lock(&lock, HILO_FOREVER));
	(void)hilo_condition_notify(&condition, 1);
	OK(sleep_for(2));
	ask_to_cancel("a", a);
	OK(sleep_for(2));
	OK(hilo_mutex_unlock(&lock));
	say_end("a", hilo_join(a, HILO_FOREVER));
}

static void condition_notified_then_out_of_time(void)
{
	hilo_condition condition = HILO_CONDITION_INIT;
	hilo_mutex lock = HILO_MUTEX_INIT;
	hilo_task *a = WATCHER("a", 0, 0, 5, &condition, &lock);

	OK(sleep_for(2));
	OK(hilo_mutex_lock(&lock, HILO_FOREVER));
	(void)hilo_condition_notify(&condition, 1);
	OK(sleep_for(6));
	OK(hilo_mutex_unlock(&lock));
	say_end("a", hilo_join(a, HILO_FOREVER));
}

static void condition_two_with_one_lock(void)
{
	hilo_condition full = HILO_CONDITION_INIT, empty = HILO_CONDITION_INIT;
	hilo_mutex lock = HILO_MUTEX_INIT;
	hilo_task *a = WATCHER("a", 0, 1, 0, &full, &lock), *b = WATCHER("b", 1, 1, 0, &empty, &lock);

	OK(sleep_for(2));
	notify(&empty, &lock, 1);
	OK(hilo_join(b, HILO_FOREVER));
	notify(&full, &lock, 1);
	OK(hilo_join(a, HILO_FOREVER));
}

/* ---- wait_for ---- */

struct counted {
	hilo_condition condition;
	hilo_mutex lock;
	int value; /* waited for until it is 3 */
	int limit;
};

static int is_three(void *arg)
{
	const struct counted *counted = arg;

	say("asked: %d", counted->value);
	return counted->value == 3;
}

static int waits_for_three(void *arg)
{
	struct counted *counted = arg;
	int rc;

	OK(hilo_mutex_lock(&counted->lock, HILO_FOREVER));
	rc = hilo_condition_wait_for(&counted->condition, &counted->lock, is_three, counted,
				     within(counted->limit));
	OK(hilo_mutex_unlock(&counted->lock));
	return rc;
}

static void count_to(struct counted *counted, int value)
{
	OK(hilo_mutex_lock(&counted->lock, HILO_FOREVER));
	counted->value = value;
	(void)hilo_condition_notify_all(&counted->condition);
	OK(hilo_mutex_unlock(&counted->lock));
}

static void wait_for_what_is_true(void)
{
	struct counted counted = {.value = 3};

	say_end("wait", waits_for_three(&counted));
}

static void wait_for_what_becomes_true(void)
{
	struct counted counted = {.value = 0};
	hilo_task *task = hilo_spawn(waits_for_three, &counted);

	for (int i = 1; i <= 3; i++) {
		OK(sleep_for(2));
		count_to(&counted, i);
	}
	say_end("wait", hilo_join(task, HILO_FOREVER));
}

static void wait_for_what_was_true(void)
{
	struct counted counted = {.value = 0};
	hilo_task *task = hilo_spawn(waits_for_three, &counted);

	OK(sleep_for(2));
	count_to(&counted, 3);
	counted.value = 4;
	OK(sleep_for(2));
	count_to(&counted, 3);
	say_end("wait", hilo_join(task, HILO_FOREVER));
}

static void wait_for_it_cancelled(void)
{
	struct counted counted = {.value = 0};
	hilo_task *task = hilo_spawn(waits_for_three, &counted);

	OK(sleep_for(2));
	count_to(&counted, 1);
	OK(sleep_for(2));
	OK(hilo_task_cancel(task));
	OK(sleep_for(1));
	say_end("wait", hilo_join(task, HILO_FOREVER));
	OK(hilo_mutex_lock(&counted.lock, HILO_FOREVER));
	say("free");
	OK(hilo_mutex_unlock(&counted.lock));
}

static void wait_for_it_out_of_time(void)
{
	struct counted counted = {.limit = 5};
	hilo_task *task = hilo_spawn(waits_for_three, &counted);

	OK(sleep_for(2));
	counted.value = 3; /* and nobody is told */
	say_end("wait", hilo_join(task, HILO_FOREVER));
}

TOPIC(conditions, SCENARIO(condition_wakes_one_by_one), SCENARIO(condition_wakes_some),
      SCENARIO(condition_wakes_all), SCENARIO(condition_wakes_nobody),
      SCENARIO(condition_waits_without_the_lock), SCENARIO(condition_waits_with_the_lock_of_another),
      SCENARIO(condition_notifies_without_the_lock), SCENARIO(condition_gives_the_lock_up),
      SCENARIO(condition_waiter_cancelled), SCENARIO(condition_waiter_cancelled_between),
      SCENARIO(condition_waiter_out_of_time), SCENARIO(condition_ends_with_the_lock),
      SCENARIO(condition_notified_then_cancelled), SCENARIO(condition_notified_then_cancelled_locked),
      SCENARIO(condition_notified_then_out_of_time), SCENARIO(condition_two_with_one_lock),
      SCENARIO(wait_for_what_is_true), SCENARIO(wait_for_what_becomes_true), SCENARIO(wait_for_what_was_true),
      SCENARIO(wait_for_it_cancelled), SCENARIO(wait_for_it_out_of_time));
