/* SPDX-License-Identifier: MIT */
/*
 * model_fork.c - the forks of a task, of 4 records, against thieves.
 *
 * T0 is the owner. Its fast paths are those of <hilo/runtime/fork.h>, in the words of atomic.h. In all models each fork
 * that was made runs once, with its argument, and its join finds its result; at the end nothing is left.
 */
#include "tests/explore/explore.h"

#include "scheduler/base/lock.h"
#include "scheduler/fork.h"

#define MADE_MAX 8
#define KIND 2

/* Who runs what is stolen. */
struct hilo_task {
	unsigned made;
	atomic(uint32_t) over;
};

static char runtimes[2];
static struct forks forks;
static struct hilo_fork *head;
static struct hilo_task thieves[EXPLORE_THREADS];
static unsigned made, ran[MADE_MAX];
static unsigned cancels, given;
static atomic(uint32_t) request;
static atomic(uint32_t) requested;
static bool request_seen, called, checked;

static struct hilo_runtime *runtime(unsigned n)
{
	return (struct hilo_runtime *)(void *)&runtimes[n];
}

/* What `run` says is not called: the model runs forks itself. */
static int fork_run(struct hilo_forks *face, struct hilo_fork *at, struct hilo_fork *fork)
{
	(void)face;
	(void)at;
	(void)fork;
	return 0;
}

static void setup(void)
{
	forks = (struct forks){0};
	for (unsigned i = 0; i < EXPLORE_THREADS; i++)
		thieves[i] = (struct hilo_task){0};
	for (unsigned i = 0; i < MADE_MAX; i++)
		ran[i] = 0;
	made = cancels = given = 0;
	request = requested = 0;
	request_seen = checked = false;
	head = forks.record;
	hilo__forks_open(&forks, runtime(0), KIND, NULL);
}

/* A thief has asked already. */
static void setup_asked(void)
{
	setup();
	forks_ask(&forks);
}

static void finish(void)
{
	uint64_t word = load_relaxed(&forks.word);

	for (unsigned i = 0; i < made; i++)
		if (ran[i] != 1)
			explore_fail("fork %u ran %u times", i, ran[i]);
	EXPLORE_CHECK(head == forks.record && forks.split == forks.record);
	EXPLORE_CHECK(forks_word_tail(word) == 0 && forks_word_split(word) == 0);
}

static void run(struct hilo_fork *fork)
{
	uint64_t n = plain_load(&fork->data[0]);

	EXPLORE_CHECK(n < MADE_MAX);
	ran[n]++;
	plain_store(&fork->data[1], n + 100);
}

/* [owner] As hilo__fork_answer. */
static void answer(struct hilo_fork *end)
{
	bool asked = hilo__forks_settle(&forks);

	if (load_relaxed(&request))
		request_seen = true;
	if (asked) {
		given += end > forks.split;
		hilo__forks_give(&forks, end);
	}
	if (checked)
		forks_ask_join(&forks);
}

static void make(void)
{
	struct hilo_fork *fork = head++;
	bool slow = fork >= load_relaxed(&forks.limit);

	fork->run = fork_run;
	plain_store(&fork->data[0], made++);
	if (slow)
		answer(fork + 1);
}

static void join_stolen(struct hilo_fork *fork)
{
	struct hilo_task *thief = hilo__fork_thief(fork);

	EXPLORE_CHECK(plain_load(&thief->made) == 1u);
	while (!load_acquire(&thief->over))
		cpu_relax();
	hilo__forks_joined(&forks, fork);
}

static void join(void)
{
	struct hilo_fork *fork = --head;

	if (fork < load_relaxed(&forks.floor)) {
		answer(fork);
		if (fork < forks.split && !hilo__forks_retract(&forks, fork)) {
			join_stolen(fork);
			EXPLORE_CHECK(plain_load(&fork->data[1]) == plain_load(&fork->data[0]) + 100);
			return;
		}
	}
	fork_set_free(fork);
	run(fork);
}

/* [thief] One each, as it completes one. */
static void take_of(unsigned n)
{
	struct hilo_task *self = &thieves[explore_self()];
	struct hilo_fork *fork = hilo__forks_take(&forks, runtime(n), KIND);

	if (!fork) {
		forks_ask(&forks);
		return;
	}
	plain_store(&self->made, 1u);
	fork_set_thief(fork, self);
	run(fork);
	store_release(&self->over, 1);
}

static void thief(void)
{
	take_of(0);
}

static void thief_twice(void)
{
	if (!forks_have_public(&forks))
		forks_ask(&forks);
	take_of(0);
}

static void owner_two(void)
{
	make();
	make();
	join();
	join();
}

static void owner_three(void)
{
	make();
	make();
	make();
	join();
	join();
	join();
}

/* A place is used again, while the word goes back to what it was. */
static void owner_again(void)
{
	make();
	join();
	make();
	make();
	join();
	join();
}

static void owner_suspends(void)
{
	make();
	make();
	hilo__forks_publish(&forks, head, true);
	forks_set_floor(&forks);
	join();
	join();
}

/* Another runtime's region in the same block: a thief of the first takes nothing of it. */
static void owner_two_regions(void)
{
	make();
	join();
	hilo__forks_open(&forks, runtime(1), KIND, NULL);
	forks_ask(&forks);
	make();
	EXPLORE_CHECK(forks_word_tail(load_relaxed(&forks.word)) == 0);
	join();
	EXPLORE_CHECK(ran[1] == 1);
}

/* Whoever makes a request is heard by the forks and joins that come. */
static void owner_hears(void)
{
	make();
	make();
	join();
	join();
}

static void requester(void)
{
	(void)add_acq_rel(&request, 1);
	forks_ask(&forks);
}

/* It was heard, or the next fork and the next join would. */
static void finish_heard(void)
{
	finish();
	EXPLORE_CHECK(request_seen || (forks.record >= load_relaxed(&forks.limit) &&
				       forks.record < load_relaxed(&forks.floor)));
}

/* A region whose joins all come, whoever asks: the owner sees to that itself. */
static void setup_checked(void)
{
	setup();
	checked = true;
	forks_ask_join(&forks);
}

/* The request is complete before the second time, which hears it. */
static void owner_twice(void)
{
	make();
	join();
	while (!load_relaxed(&requested))
		cpu_relax();
	make();
	join();
}

/* After its request it is over, in each order; who only sees that does not acquire the request by it. */
static void requester_ends(void)
{
	requester();
	store_release(&requested, 1);
}

/* A thief that finds nothing. */
static void asks(void)
{
	forks_ask(&forks);
}

static void finish_late(void)
{
	finish();
	EXPLORE_CHECK(request_seen);
}

static void finish_checked(void)
{
	finish();
	EXPLORE_CHECK(request_seen);
	EXPLORE_CHECK(given <= 1); /* there was one request, whoever else has the owner come */
	EXPLORE_CHECK(load_relaxed(&forks.floor) == FORK_EVERY);
}

/* One fork, stolen; who waits for it is asked to stop before, while or after it begins. */
static void setup_stolen(void)
{
	setup_asked();
	made = 1;
	head->run = fork_run;
	head->data[0] = 0;
	head++;
	hilo__forks_publish(&forks, head, true);
	(void)hilo__forks_take(&forks, runtime(0), KIND);
}

static void owner_asks(void)
{
	struct hilo_fork *fork = --head;

	if (fork_ask(fork))
		cancels++;
	join_stolen(fork);
}

static void begins(void)
{
	struct hilo_fork *fork = forks.record;

	plain_store(&thieves[1].made, 1u);
	fork_set_thief(fork, &thieves[1]);
	if (fork_start(fork))
		cancels++;
	run(fork);
	store_release(&thieves[1].over, 1);
}

static void finish_asked(void)
{
	finish();
	EXPLORE_CHECK(cancels == 1);
	EXPLORE_CHECK(fork_has_started(forks.record));
}

/* A task that suspended has queued a task that will take from it; it suspends again, with a fork. */
static void setup_helped(void)
{
	setup();
	called = !forks_want_help(&forks);
}

static void owner_calls(void)
{
	make();
	hilo__forks_publish(&forks, head, true);
	if (forks_want_help(&forks))
		called = true;
}

static void helper(void)
{
	forks_help_looks(&forks);
	if (forks_have_public(&forks))
		take_of(0);
}

/* It was taken, or another task was queued that will. */
static void finish_helped(void)
{
	EXPLORE_CHECK(called || ran[0] == 1);
}

static const struct explore_model models[] = {
	EXPLORE_MODEL("fork_two", "owner: 2 x fork, 2 x join; 2 thieves: take, or ask", setup_asked, finish,
		      owner_two, thief, thief),
	EXPLORE_MODEL("fork_three", "owner: 3 x fork, 3 x join; 2 thieves: take, or ask", setup_asked, finish,
		      owner_three, thief, thief),
	EXPLORE_MODEL("fork_ask", "owner: 3 x fork, 3 x join; 2 thieves: ask, take", setup, finish,
		      owner_three, thief_twice, thief_twice),
	EXPLORE_MODEL("fork_again", "owner: fork, join, 2 x fork, 2 x join; 2 thieves: take, or ask",
		      setup_asked, finish, owner_again, thief, thief),
	EXPLORE_MODEL("fork_suspend", "owner: 2 x fork, suspends, 2 x join; 2 thieves: take, or ask", setup,
		      finish, owner_suspends, thief, thief),
	EXPLORE_MODEL("fork_region", "owner: fork, join, in two regions; 2 thieves of the first", setup_asked,
		      finish, owner_two_regions, thief, thief),
	EXPLORE_MODEL("fork_request", "owner: 2 x fork, 2 x join; T1 requests; T2: take, or ask", setup,
		      finish_heard, owner_hears, requester, thief),
	EXPLORE_MODEL("fork_checked",
		      "owner: (fork, join) twice, each join comes; T1 requests before the second time",
		      setup_checked, finish_checked, owner_twice, requester_ends),
	EXPLORE_MODEL("fork_checked_late", "the same; T2 asks", setup_checked, finish_late, owner_twice,
		      requester_ends, asks),
	EXPLORE_MODEL("fork_stop", "owner: waits for a stolen fork, passes a request on; T1 begins it",
		      setup_stolen, finish_asked, owner_asks, begins),
	EXPLORE_MODEL("fork_help", "owner: fork, suspends; T1: the task that was queued before", setup_helped,
		      finish_helped, owner_calls, helper),
};

int main(int argc, char **argv)
{
	return explore_main(argc, argv, models, array_size(models));
}
