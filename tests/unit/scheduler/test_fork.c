/* SPDX-License-Identifier: MIT */
/* What is private, public and stolen of a task's forks, in every order of forks, joins, requests and thefts. */
#include "tests/support/test.h"

#include <string.h>

#include "scheduler/base/mem.h"
#include "scheduler/fork.h"

#define STEPS 9
#define FORKS_MAX 6
#define KIND 2

enum step {
	MAKE,
	JOIN,
	ASK,
	TAKE,
	KINDS
};

/* What each record holds, from the oldest one on. */
enum place {
	UNSTOLEN,
	STOLEN
};

static struct forks *forks;
static struct hilo_fork *head;
static enum place places[FORKS_MAX];
static unsigned made, taken;
static struct hilo_runtime *const runtime = (struct hilo_runtime *)(uintptr_t)64;
static struct hilo_runtime *const other = (struct hilo_runtime *)(uintptr_t)128;

static int fork_run(struct hilo_forks *face, struct hilo_fork *at, struct hilo_fork *fork)
{
	(void)face;
	(void)at;
	(void)fork;
	return 0;
}

static void setup(void)
{
	hilo__forks_open(forks, runtime, KIND, NULL);
	head = forks->record;
	made = taken = 0;
}

/* What is stolen is the oldest; what is public comes next, and is no more than there is. */
static void check(void)
{
	uint64_t word = load_relaxed(&forks->word);
	unsigned tail = forks_word_tail(word), split = forks_word_split(word);

	assert_int_equal(head - forks->record, made);
	assert_int_equal(tail, taken);
	assert_in_range(split, tail, made);
	assert_int_equal(forks->split - forks->record, split);
	for (unsigned i = 0; i < made; i++) {
		assert_true(fork_is_made(&forks->record[i]));
		assert_int_equal(places[i], i < taken ? STOLEN : UNSTOLEN);
	}
	assert_false(fork_is_made(head));
	assert_true(load_relaxed(&forks->floor) == forks->split || load_relaxed(&forks->floor) == FORK_EVERY);
}

static void answer(struct hilo_fork *end)
{
	if (hilo__forks_settle(forks))
		hilo__forks_give(forks, end);
}

static void make(void)
{
	struct hilo_fork *fork = head++;
	bool slow = fork >= load_relaxed(&forks->limit);

	fork->run = fork_run;
	fork->data[0] = made;
	places[made++] = UNSTOLEN;
	if (slow)
		answer(fork + 1);
}

static void join(void)
{
	struct hilo_fork *fork = --head;

	made--;
	assert_int_equal(fork->data[0], made);
	if (fork < load_relaxed(&forks->floor)) {
		answer(fork);
		if (fork < forks->split && !hilo__forks_retract(forks, fork)) {
			assert_int_equal(places[made], STOLEN);
			taken--;
			hilo__forks_joined(forks, fork);
			return;
		}
	}
	assert_int_equal(places[made], UNSTOLEN);
	fork_set_free(fork);
}

static void take(void)
{
	struct hilo_fork *fork;

	assert_null(hilo__forks_take(forks, other, KIND));
	assert_null(hilo__forks_take(forks, runtime, KIND + 1));
	fork = hilo__forks_take(forks, runtime, KIND);
	if (!fork)
		return;
	assert_int_equal(fork - forks->record, taken);
	assert_int_equal(fork->data[0], taken);
	places[taken++] = STOLEN;
}

static void step(enum step step)
{
	if (step == MAKE && made < FORKS_MAX)
		make();
	else if (step == JOIN && made > 0)
		join();
	else if (step == ASK)
		forks_ask(forks);
	else if (step == TAKE)
		take();
	check();
}

static void test_every_order_of_steps(void **state)
{
	unsigned long orders = 1, thefts = 0;

	(void)state;
	for (int i = 0; i < STEPS; i++)
		orders *= KINDS;
	for (unsigned long order = 0; order < orders; order++) {
		unsigned long rest = order;

		setup();
		step(ASK);
		for (int i = 0; i < STEPS; i++, rest /= KINDS) {
			step((enum step)(rest % KINDS));
			thefts += rest % KINDS == TAKE && taken;
		}
		while (made > 0)
			step(JOIN);
		assert_ptr_equal(forks->split, forks->record);
	}
	assert_true(thefts > orders / 8);
}

/* Whoever asks for something gets the older half, or else the next one that is made. */
static void test_the_older_half_is_given(void **state)
{
	(void)state;
	setup();
	for (int i = 0; i < 5; i++)
		step(MAKE);
	step(ASK);
	step(MAKE);
	assert_int_equal(forks_word_split(load_relaxed(&forks->word)), 3);
	while (made > 0)
		step(JOIN);
	step(ASK);
	step(MAKE);
	step(JOIN);
	step(MAKE);
	assert_int_equal(forks_word_split(load_relaxed(&forks->word)), 0);
	step(JOIN);
}

/* A join that comes because its owner wants it to gives nothing away, and a request is answered once. */
static void test_who_comes_by_himself_gives_nothing(void **state)
{
	(void)state;
	setup();
	forks_ask_join(forks);
	for (int i = 0; i < 5; i++)
		step(MAKE);
	step(JOIN);
	forks_ask_join(forks);
	step(JOIN);
	assert_int_equal(forks_word_split(load_relaxed(&forks->word)), 0);
	for (int i = 0; i < 2; i++)
		step(MAKE);
	step(ASK);
	step(MAKE);
	assert_int_equal(forks_word_split(load_relaxed(&forks->word)), 3);
	forks_ask_join(forks);
	step(JOIN);
	assert_int_equal(forks_word_split(load_relaxed(&forks->word)), 3);
	/* One that comes meanwhile counts. */
	forks_ask_join(forks);
	step(ASK);
	forks_ask_join(forks);
	step(JOIN);
	assert_int_equal(forks_word_split(load_relaxed(&forks->word)), 4);
	while (made > 0)
		step(JOIN);
}

/* Who meets his own public part takes the newer half of it back at once. */
static void test_the_newer_half_is_taken_back(void **state)
{
	(void)state;
	setup();
	for (int i = 0; i < 6; i++)
		step(MAKE);
	hilo__forks_publish(forks, head, true);
	forks_set_floor(forks);
	check();
	step(JOIN);
	assert_int_equal(forks_word_split(load_relaxed(&forks->word)), 3);
	step(JOIN);
	step(JOIN);
	assert_int_equal(forks_word_split(load_relaxed(&forks->word)), 3);
	step(TAKE);
	step(JOIN);
	assert_int_equal(forks_word_split(load_relaxed(&forks->word)), 2);
	step(JOIN);
	step(JOIN);
	assert_int_equal(taken, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_order_of_steps),
		cmocka_unit_test(test_the_older_half_is_given),
		cmocka_unit_test(test_who_comes_by_himself_gives_nothing),
		cmocka_unit_test(test_the_newer_half_is_taken_back),
	};
	int rc;

	test_begin();
	forks = hilo__map(FORKS_SIZE);
	if (!forks)
		return 1;
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	hilo__unmap(forks, FORKS_SIZE);
	return rc;
}
