/* SPDX-License-Identifier: MIT */
/* Locks: who gets one next, and what a cancel leaves behind. */
#include "tests/conformance/conformance.h"

/* One that comes after @start ms, waits for so long at most if @limit is not 0, and keeps the lock for @ms. */
struct holder {
	const char *name;
	int start;
	int ms;
	int limit;
	hilo_mutex *lock;
};

#define HOLDER(...) hilo_spawn(holds, &(struct holder){__VA_ARGS__})

static int holds(void *arg)
{
	const struct holder *self = arg;
	int rc;

	OK(sleep_for(self->start));
	rc = hilo_mutex_lock(self->lock, self->limit ? after(self->limit) : HILO_FOREVER);
	say_end(self->name, rc);
	if (rc < 0)
		return rc;
	OK(sleep_for(self->ms));
	OK(hilo_mutex_unlock(self->lock));
	say("%s lets go", self->name);
	return 0;
}

static void lock_in_order(void)
{
	hilo_mutex lock = HILO_MUTEX_INIT;
	hilo_task *a = HOLDER("a", 0, 10, 0, &lock), *b = HOLDER("b", 1, 10, 0, &lock);
	hilo_task *c = HOLDER("c", 2, 10, 0, &lock);

	OK(hilo_join(a, HILO_FOREVER));
	OK(hilo_join(b, HILO_FOREVER));
	OK(hilo_join(c, HILO_FOREVER));
}

static void lock_waiters_leave(void)
{
	hilo_mutex lock = HILO_MUTEX_INIT;
	hilo_task *a = HOLDER("a", 0, 10, 0, &lock), *b = HOLDER("b", 1, 10, 0, &lock);
	hilo_task *c = HOLDER("c", 2, 10, 4, &lock), *d = HOLDER("d", 3, 10, 0, &lock);

	OK(sleep_for(5));
	ask_to_cancel("b", b);
	say_end("b", hilo_join(b, HILO_FOREVER));
	OK(hilo_join(a, HILO_FOREVER));
	OK(sleep_for(1));
	say_end("c", hilo_join(c, HILO_FOREVER));
	OK(hilo_join(d, HILO_FOREVER));
}

static void lock_that_nobody_has(void)
{
	hilo_mutex lock = HILO_MUTEX_INIT;

	say("refused: %d", hilo_mutex_unlock(&lock) < 0);
	OK(hilo_mutex_lock(&lock, HILO_FOREVER));
	OK(hilo_mutex_unlock(&lock));
	say("refused: %d", hilo_mutex_unlock(&lock) < 0);
}

static int fails_inside(void *lock)
{
	int rc;

	HILO_WITH_MUTEX(lock, &rc)
	rc = -EIO;
	return rc;
}

static void lock_block_that_fails(void)
{
	hilo_mutex lock = HILO_MUTEX_INIT;

	say_end("block", hilo_join(hilo_spawn(fails_inside, &lock), HILO_FOREVER));
	OK(hilo_mutex_lock(&lock, HILO_FOREVER));
	say("free");
	OK(hilo_mutex_unlock(&lock));
}

TOPIC(locks, SCENARIO(lock_in_order), SCENARIO(lock_waiters_leave), SCENARIO(lock_that_nobody_has),
      SCENARIO(lock_block_that_fails));
