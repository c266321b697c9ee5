/* SPDX-License-Identifier: MIT */
/*
 * model_rwlock.c - the shipped rwlock.c, over contend.c: readers and writers of a variable.
 *
 * Checked: nobody else is in while one writes; who comes in sees what the writers before have written; nobody waits
 * for ever, whoever is cancelled meanwhile; the last writer may free it. That the one who has waited longest is late is
 * chosen at each look, or fixed: never, so that all who come may pass, or always, so that they take turns.
 */
#include <hilo/sync/rwlock.h>

#include <errno.h>

#include "runtime/runtime_impl.h"
#include "sync/mutex_impl.h"
#include "tests/explore/orders.h"
#include "tests/explore/waiting.h"

static hilo_rwlock rwlock;
static struct hilo_runtime runtime;
static int value; /* of which reads and writes would race */
static atomic(uint32_t) written, has_read;
static enum {
	NEVER,
	ALWAYS,
	CHOSEN
} late;

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
	explore_fail("hilo_fail(%d, \"%s\")", code, format);
}

const char *hilo__task_label(const hilo_task *task, char buf[TASK_LABEL_SIZE])
{
	(void)task;
	return buf;
}

int hilo__locker(struct hilo_task **ret)
{
	*ret = &records[explore_self()];
	return 0;
}

int64_t hilo__cycles_to_ns(uint64_t cycles)
{
	return (int64_t)cycles;
}

/* Time does not pass, or jumps, and no time is long. */
uint64_t cycles_now(void)
{
	return late == CHOSEN ? (uint64_t)explore_choose(2) << 20 : 0;
}

uint64_t hilo__cycles_per_us(void)
{
	return late != ALWAYS;
}

static void setup_as(int when)
{
	waiting_reset(4, 0);
	memset(&rwlock, 0, sizeof(rwlock));
	runtime.workers = 2;
	for (int i = 0; i < 4; i++)
		loops[i].runtime = &runtime;
	value = 0;
	written = 0;
	has_read = 0;
	late = when;
}

static void setup(void)
{
	setup_as(NEVER);
}

static void setup_turns(void)
{
	setup_as(ALWAYS);
}

static void setup_chosen(void)
{
	setup_as(CHOSEN);
}

/* T0 writes, or reads. */
static void set_written(void)
{
	*(atomic(uintptr_t) *)(void *)&rwlock = (uintptr_t)&records[0];
}

static void set_read(void)
{
	*(atomic(uintptr_t) *)(void *)&rwlock = 64 | 4;
}

static void setup_written(void)
{
	setup();
	set_written();
}

static void setup_read(void)
{
	setup();
	set_read();
}

static void setup_written_turns(void)
{
	setup_turns();
	set_written();
}

static void setup_read_turns(void)
{
	setup_turns();
	set_read();
}

static void finish_gone(void)
{
	waiting_check(4);
	EXPLORE_CHECK(value == (int)written);
}

static void finish(void)
{
	finish_gone();
	EXPLORE_CHECK(hilo_rwlock_destroy(&rwlock) == 0);
}

static void unlock(void)
{
	EXPLORE_CHECK(hilo_rwlock_unlock(&rwlock) == 0);
}

static void change_and_unlock(void)
{
	plain_store(&value, plain_load(&value) + 1);
	(void)add_relaxed(&written, 1); /* relaxed: for the end */
	unlock();
}

static void look_and_unlock(void)
{
	(void)plain_load(&value);
	unlock();
}

static void writes(void)
{
	EXPLORE_CHECK(hilo_rwlock_write(&rwlock, HILO_FOREVER) == 0);
	change_and_unlock();
}

static void reads(void)
{
	EXPLORE_CHECK(hilo_rwlock_read(&rwlock, HILO_FOREVER) == 0);
	look_and_unlock();
}

static void reads_twice(void)
{
	reads();
	reads();
}

static void reads_and_writes(void)
{
	reads();
	writes();
}

static void writes_and_frees(void)
{
	writes();
	explore_retire(&rwlock, sizeof(rwlock));
}

static void writes_if_not_cancelled(void)
{
	if (hilo_rwlock_write(&rwlock, HILO_FOREVER) == 0)
		change_and_unlock();
}

static void downgrades(void)
{
	EXPLORE_CHECK(hilo_rwlock_write(&rwlock, HILO_FOREVER) == 0);
	plain_store(&value, plain_load(&value) + 1);
	(void)add_relaxed(&written, 1); /* relaxed: for the end */
	EXPLORE_CHECK(hilo_rwlock_downgrade(&rwlock) == 0);
	look_and_unlock();
}

static void tries(void)
{
	if (hilo_rwlock_try_read(&rwlock) == 0)
		look_and_unlock();
	if (hilo_rwlock_try_write(&rwlock) == 0)
		change_and_unlock();
}

static void cancels_T1(void)
{
	if (task_state_cancel(&records[1].state, 1))
		waiting_ready(&records[1]);
}

/* Others wait, or run. */
static bool is_parked(unsigned thread)
{
	return load_acquire(&records[thread].state) & TASK_PARKED;
}

static void until_parked(unsigned thread)
{
	while (!is_parked(thread))
		cpu_relax();
}

static void change_when_both_wait(void)
{
	until_parked(1);
	until_parked(2);
	change_and_unlock();
}

static void writes_after_the_reader(void)
{
	EXPLORE_CHECK(hilo_rwlock_write(&rwlock, HILO_FOREVER) == 0);
	EXPLORE_CHECK(load_acquire(&has_read) == 1);
	change_and_unlock();
}

static void reads_and_says_so(void)
{
	EXPLORE_CHECK(hilo_rwlock_read(&rwlock, HILO_FOREVER) == 0);
	(void)add_release(&has_read, 1);
	look_and_unlock();
}

static void look_when_both_wait(void)
{
	until_parked(1);
	until_parked(2);
	look_and_unlock();
}

static void reads_after_the_writer(void)
{
	until_parked(1);
	EXPLORE_CHECK(hilo_rwlock_read(&rwlock, HILO_FOREVER) == 0);
	EXPLORE_CHECK(plain_load(&value) == 1);
	unlock();
}

/* It keeps the writer out until the other reader has been in. */
static void look_beside_the_other(void)
{
	while (!load_acquire(&has_read))
		cpu_relax();
	look_and_unlock();
}

/* The writer is about to wait, and has the lists for that. */
static void tries_to_read(void)
{
	EXPLORE_CHECK(hilo_rwlock_try_read(&rwlock) == 0);
	(void)add_release(&has_read, 1);
	look_and_unlock();
}

/* Nobody has been in the lists. */
static void change_and_leave_to_nobody(void)
{
	EXPLORE_CHECK((load_relaxed((atomic(uintptr_t) *)(void *)&rwlock) & 63) ==
		      0); /* relaxed: at some moment */
	change_and_unlock();
}

static void writes_without_waiting(void)
{
	int rc = hilo_rwlock_write(&rwlock, HILO_NO_WAIT);

	EXPLORE_CHECK(rc == 0 || rc == -ETIMEDOUT);
	if (rc == 0)
		change_and_unlock();
}

static const struct explore_model models[] = {
	EXPLORE_MODEL("rwlock_two", "T0, T1: read, write", setup, finish, reads_and_writes, reads_and_writes),
	EXPLORE_MODEL_BOUND(3, "rwlock_two_turns", "the same, in turns", setup_turns, finish,
			    reads_and_writes, reads_and_writes),
	EXPLORE_MODEL_BOUND(3, "rwlock_two_chosen", "the same; a waiter may be late", setup_chosen, finish,
			    reads_and_writes, reads_and_writes),
	EXPLORE_MODEL_BOUND(1, "rwlock_three", "T0: read, read; T1: read; T2: write", setup, finish,
			    reads_twice, reads, writes),
	EXPLORE_MODEL_BOUND(1, "rwlock_three_turns", "the same, in turns", setup_turns, finish, reads_twice,
			    reads, writes),
	EXPLORE_MODEL_BOUND(2, "rwlock_writers", "T0: read; T1, T2: write", setup, finish, reads, writes,
			    writes),
	EXPLORE_MODEL_BOUND(1, "rwlock_writers_chosen", "the same; a waiter may be late", setup_chosen,
			    finish, reads, writes, writes),
	EXPLORE_MODEL_BOUND(1, "rwlock_downgrade", "T0: write, read; T1: read; T2: write", setup, finish,
			    downgrades, reads, writes),
	EXPLORE_MODEL_BOUND(1, "rwlock_downgrade_turns", "the same, in turns", setup_turns, finish,
			    downgrades, reads, writes),
	EXPLORE_MODEL_BOUND(2, "rwlock_try", "T0: try both; T1: read; T2: write", setup, finish, tries, reads,
			    writes),
	EXPLORE_MODEL_BOUND(2, "rwlock_try_read", "T0 reads until T2 has read; T1 writes; T2 tries to read",
			    setup_read, finish, look_beside_the_other, writes, tries_to_read),
	EXPLORE_MODEL("rwlock_no_wait", "T0 writes, lets go; T1 writes, without waiting", setup_written,
		      finish, change_and_leave_to_nobody, writes_without_waiting),
	EXPLORE_MODEL_BOUND(2, "rwlock_free", "T0 writes, lets go; T1 writes, frees", setup_written,
			    finish_gone, change_and_unlock, writes_and_frees),
	EXPLORE_MODEL_BOUND(2, "rwlock_free_turns", "the same, in turns", setup_written_turns, finish_gone,
			    change_and_unlock, writes_and_frees),
	EXPLORE_MODEL_BOUND(2, "rwlock_free_read", "T0 reads, lets go; T1 writes, frees", setup_read,
			    finish_gone, look_and_unlock, writes_and_frees),
	EXPLORE_MODEL_BOUND(1, "rwlock_turns",
			    "T0 writes, lets go when T1 waits to write and T2 to read: T2 is first",
			    setup_written_turns, finish, change_when_both_wait, writes_after_the_reader,
			    reads_and_says_so),
	EXPLORE_MODEL_BOUND(1, "rwlock_turns_read",
			    "T0 reads, lets go when T1 waits to write, and T2 behind it to read",
			    setup_read_turns, finish, look_when_both_wait, writes, reads_after_the_writer),
	EXPLORE_MODEL_BOUND(1, "rwlock_pass", "T0 reads until T2 has read; T1 writes", setup_read, finish,
			    look_beside_the_other, writes, reads_and_says_so),
	EXPLORE_MODEL_BOUND(1, "rwlock_cancel", "T0 reads until T2 has read; T1 writes, T3 cancels it",
			    setup_read_turns, finish, look_beside_the_other, writes_if_not_cancelled,
			    reads_and_says_so, cancels_T1),
	EXPLORE_MODEL_LONG(1, "rwlock_cancel_written",
			   "T0 writes, lets go; T1 writes, T3 cancels it; T2 reads", setup_written, finish,
			   change_and_unlock, writes_if_not_cancelled, reads, cancels_T1),
};

int main(int argc, char **argv)
{
	return explore_main(argc, argv, models, array_size(models));
}
