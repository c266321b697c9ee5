/* SPDX-License-Identifier: MIT */
/*
 * model_task_state.c - the shipped state word of a task: waiting against waking against cancelling.
 *
 * T0 is the task; while it is parked nobody is on its "stack", and whoever clears P owns that stack until
 * he has queued the task. Checked: no wake-up is lost; each park is ended by one queueing; the stack is
 * handed over in both directions; a wake-up for a wait that is over does nothing.
 */
#include "tests/explore/explore.h"

#include "scheduler/base/compiler.h"
#include "scheduler/task_state.h"

static task_state word;
static atomic(uint32_t) queued; /* the run queue: 1 if the task is in it */
static atomic(uint32_t) first, second;
static unsigned stack;	 /* what the task leaves behind; owned with it */
static unsigned payload; /* what the waker wants to hand over */
static uint32_t episode_now;

static void setup(void)
{
	word = (uint64_t)5 << TASK_EPISODE_SHIFT;
	queued = 0;
	first = 0;
	second = 0;
	stack = 0;
	payload = 0;
	episode_now = 5;
}

/* [whoever cleared P] The task is ours to queue, and its stack with it. */
static void task_queue(void)
{
	EXPLORE_CHECK(plain_load(&stack) == 1u);
	plain_store(&stack, 2u);
	EXPLORE_CHECK(xchg_release(&queued, 1) == 0); /* as a run queue's push */
	explore_unpark(0);
}

/* What hilo__wait_park and the switch away do. */
static void task_park(void)
{
	if (task_state_consume(&word))
		return;
	plain_store(&stack, 1u);
	if (!task_state_commit(&word)) {
		plain_store(&stack, 0u);
		return;
	}
	explore_park();
	EXPLORE_CHECK(xchg_acquire(&queued, 0) == 1); /* as a run queue's pop */
	EXPLORE_CHECK(plain_load(&stack) == 2u);
}

static void waker(atomic(uint32_t) * flag, uint32_t episode)
{
	store_release(flag, 1); /* read with acquire by the task */
	if (task_state_wake(&word, episode)) {
		EXPLORE_CHECK(plain_load(&episode_now) == episode);
		task_queue();
	}
}

static void task_waits_once(void)
{
	while (!load_acquire(&first))
		task_park();
	task_state_end_wait(&word, 5);
	EXPLORE_CHECK(plain_load(&payload) == 9u);
}

static void task_waits_for_both(void)
{
	while (!load_acquire(&first) || !load_acquire(&second))
		task_park();
	task_state_end_wait(&word, 5);
}

/* Two waits in a row: what belongs to the first must not end a park of the second. */
static void task_waits_twice(void)
{
	while (!load_acquire(&first))
		task_park();
	task_state_end_wait(&word, 5);
	plain_store(&episode_now, 6u);
	/* Registers for the second, or finds that it has happened: one word decides. */
	if (xchg_acq_rel(&second, 6) == 0)
		while (load_acquire(&second) != 1)
			task_park();
	task_state_end_wait(&word, 6);
}

static void task_waits_or_is_cancelled(void)
{
	while (!load_acquire(&first)) {
		if (load_relaxed(&word) & TASK_CANCEL_MASK) /* relaxed: as task_is_cancelled */
			break;
		task_park();
	}
	task_state_end_wait(&word, 5);
}

static void waker_first(void)
{
	plain_store(&payload, 9u);
	waker(&first, 5);
}

static void waker_first_again(void)
{
	waker(&first, 5);
}

static void waker_second(void)
{
	waker(&second, 5);
}

static void waker_second_wait(void)
{
	if (xchg_acq_rel(&second, 1) == 6 && task_state_wake(&word, 6)) {
		EXPLORE_CHECK(plain_load(&episode_now) == 6u);
		task_queue();
	}
}

/* Who wins ends the wait, and tells then. */
static void winner(void)
{
	bool parked;

	if (!task_state_win(&word, 5, &parked))
		return;
	plain_store(&payload, 9u);
	store_release(&first, 1); /* read with acquire by the task */
	if (parked)
		task_queue();
}

static bool task_was_won(void)
{
	return task_state_episode(load_relaxed(&word)) != 5; /* relaxed: as contend.c */
}

static void task_waits_to_be_won(void)
{
	while (!load_acquire(&first)) {
		if (task_was_won())
			cpu_relax();
		else
			task_park();
	}
	EXPLORE_CHECK(!task_state_end_wait(&word, 5));
	/* relaxed: the winner's change of it is seen above */
	EXPLORE_CHECK(!(load_relaxed(&word) & TASK_NOTIFIED));
	EXPLORE_CHECK(plain_load(&payload) == 9u);
}

/* Unless it is cancelled, and leaves first. */
static void task_is_won_or_leaves(void)
{
	while (!load_acquire(&first)) {
		if (task_was_won())
			cpu_relax();
		else if (!(load_relaxed(&word) & TASK_CANCEL_MASK)) /* relaxed: as task_is_cancelled */
			task_park();
		else if (task_state_end_wait(&word, 5))
			return;
	}
	EXPLORE_CHECK(plain_load(&payload) == 9u);
}

/* For no reason, perhaps late. */
static void waker_in_vain(void)
{
	if (task_state_wake(&word, 5)) {
		EXPLORE_CHECK(plain_load(&episode_now) == 5u);
		task_queue();
	}
}

static void task_waits_to_be_won_twice(void)
{
	task_waits_to_be_won();
	plain_store(&episode_now, 6u);
	if (xchg_acq_rel(&second, 6) == 0)
		while (load_acquire(&second) != 1)
			task_park();
	task_state_end_wait(&word, 6);
}

/* Whatever wait the task is in by then: it looks again. */
static void nudger_second(void)
{
	store_release(&second, 1); /* read with acquire by the task */
	if (task_state_nudge(&word))
		task_queue();
}

static void task_waits_for_one_then_the_other(void)
{
	task_waits_once();
	while (!load_acquire(&second))
		task_park();
	task_state_end_wait(&word, 6);
}

/* Cancels, and never wakes otherwise. */
static void canceller(void)
{
	if (task_state_cancel(&word, 1))
		task_queue();
}

/* Nobody sets `first`: only the request ends the wait. */
static void canceller_twice(void)
{
	canceller();
	canceller();
}

static void task_uncancels(void)
{
	task_waits_or_is_cancelled();
	(void)task_state_uncancel(&word);
}

/* Looks at the stack of the task while that is parked. */
static void holder(void)
{
	if (!task_state_hold(&word))
		return;
	EXPLORE_CHECK(plain_load(&stack) == 1u);
	if (!task_state_commit(&word))
		task_queue();
}

static void holder_twice(void)
{
	holder();
	holder();
}

static void canceller_for_1(void)
{
	if (task_state_cancel(&word, 1))
		task_queue();
}

static void canceller_for_2(void)
{
	if (task_state_cancel(&word, 2))
		task_queue();
}

/* Each request has the reason of the first one of those that were set together. */
static void task_uncancels_two(void)
{
	for (unsigned taken_back = 0; taken_back < 2; taken_back++) {
		uint64_t state;

		while (state = load_relaxed(&word),
		       !task_state_cancels(state)) /* relaxed: as task_is_cancelled */
			task_park();
		task_state_end_wait(&word, 5 + taken_back);
		EXPLORE_CHECK(task_state_reason(state) == 1 || task_state_reason(state) == 2);
		if (task_state_uncancel(&word) > 0)
			EXPLORE_CHECK(task_state_reason(load_relaxed(&word)) ==
				      task_state_reason(state)); /* relaxed: as above */
	}
}

static void finish_uncancelled(void)
{
	EXPLORE_CHECK(queued == 0);
	EXPLORE_CHECK(!(word & (TASK_PARKED | TASK_CANCEL_MASK | TASK_REASON_MASK)));
}

static void finish(void)
{
	EXPLORE_CHECK(queued == 0);
	EXPLORE_CHECK(!(word & TASK_PARKED));
}

static void finish_cancelled(void)
{
	finish();
	EXPLORE_CHECK(task_state_cancels(word) == 1);
}

static const struct explore_model models[] = {
	EXPLORE_MODEL("state_wake", "T0 waits; T1 hands over and wakes", setup, finish, task_waits_once,
		      waker_first),
	EXPLORE_MODEL("state_wake_twice", "T0 waits for two things; T1, T2 wake it for one each", setup,
		      finish, task_waits_for_both, waker_first_again, waker_second),
	EXPLORE_MODEL("state_wake_same", "T0 waits; T1, T2 wake it for the same", setup, finish,
		      task_waits_or_is_cancelled, waker_first_again, waker_first_again),
	EXPLORE_MODEL("state_two_waits", "T0 waits twice; T1 wakes the first wait, T2 the second", setup,
		      finish, task_waits_twice, waker_first_again, waker_second_wait),
	EXPLORE_MODEL("state_late_wake", "T0 waits twice; T1, T2 wake the first wait, T3 the second", setup,
		      finish, task_waits_twice, waker_first_again, waker_first_again, waker_second_wait),
	EXPLORE_MODEL("state_win", "T0 waits; T1 ends its wait; T2 looks at its stack", setup, finish,
		      task_waits_to_be_won, winner, holder),
	EXPLORE_MODEL("state_win_two", "T0 waits; T1, T2 end its wait", setup, finish, task_waits_to_be_won,
		      winner, winner),
	EXPLORE_MODEL("state_win_cancel", "T0 waits; T1 ends its wait; T2 cancels, so that T0 may do so",
		      setup, finish_cancelled, task_is_won_or_leaves, winner, canceller),
	EXPLORE_MODEL("state_win_two_waits",
		      "T0 waits twice; T1 ends its first wait, T2 wakes the second, T3 the first in vain",
		      setup, finish, task_waits_to_be_won_twice, winner, waker_second_wait, waker_in_vain),
	EXPLORE_MODEL("state_cancel", "T0 waits; T1 cancels", setup, finish_cancelled,
		      task_waits_or_is_cancelled, canceller),
	EXPLORE_MODEL("state_wake_cancel", "T0 waits; T1 wakes; T2 cancels", setup, finish_cancelled,
		      task_waits_or_is_cancelled, waker_first_again, canceller),
	EXPLORE_MODEL("state_hold", "T0 waits; T1 wakes it; T2 looks at its stack twice", setup, finish,
		      task_waits_once, waker_first, holder_twice),
	EXPLORE_MODEL("state_hold_two", "T0 waits; T1 wakes it; T2, T3 look at its stack", setup, finish,
		      task_waits_once, waker_first, holder, holder),
	EXPLORE_MODEL("state_hold_cancel", "T0 waits; T1 cancels; T2 looks at its stack twice", setup,
		      finish_cancelled, task_waits_or_is_cancelled, canceller, holder_twice),
	EXPLORE_MODEL("state_nudge", "T0 waits twice; T1 wakes the first wait, T2 nudges for the second",
		      setup, finish, task_waits_for_one_then_the_other, waker_first, nudger_second),
	EXPLORE_MODEL("state_reasons",
		      "T0 waits for two requests, takes each back; T1, T2 cancel for a reason each", setup,
		      finish_uncancelled, task_uncancels_two, canceller_for_1, canceller_for_2),
	EXPLORE_MODEL("state_cancel_uncancel", "T0 waits, takes a request back; T1 cancels twice; T2 wakes",
		      setup, finish, task_uncancels, canceller_twice, waker_first_again),
};

int main(int argc, char **argv)
{
	return explore_main(argc, argv, models, array_size(models));
}
