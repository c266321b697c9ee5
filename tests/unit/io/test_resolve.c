/* SPDX-License-Identifier: MIT */
/*
 * test_resolve.c - names: what is never looked up, what is shared, kept and forgotten, and who leaves when. The names
 * are those of a resolver in here; no server of names is asked.
 */
#include "tests/support/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/resolve_impl.h"
#include "scheduler/base/mem.h"

/* As many threads as a lane has. */
#define LANE 16

/* The resolver: names that begin with 'w' wait for the gate. */
static struct {
	test_flag open;
	atomic(unsigned) calls, waiting;
} fake;

static int fake_lookup(const hilo_resolve_query *query, hilo_address *ret, size_t max, void *arg)
{
	unsigned port = query->service ? (unsigned)strtoul(query->service, NULL, 10) : 0;

	TASK_CHECK(arg, ==, &fake);
	TASK_CHECK(query->size, ==, sizeof(*query));
	TASK_CHECK(max, ==, HILO_RESOLVE_MAX);
	(void)add_relaxed(&fake.calls, 1);
	if (*query->host == 'w') {
		(void)add_release(&fake.waiting, 1);
		TEST_UNTIL(load_acquire(&fake.open));
		(void)sub_release(&fake.waiting, 1);
	}
	if (strncmp(query->host, "bad", 3) == 0)
		return hilo_fail(HILO_ENONAME, "nobody knows %s", query->host);
	if (strncmp(query->host, "full", 4) == 0)
		return -EMFILE;
	TASK_CHECK(hilo_address_ip("192.0.2.1", port, &ret[0]), ==, 0);
	TASK_CHECK(hilo_address_ip("2001:db8::1", port, &ret[1]), ==, 0);
	TASK_CHECK(hilo_address_ip("192.0.2.2", port, &ret[2]), ==, 0);
	return 3;
}

static int fake_name(const hilo_resolve_query *query, char *host, char *service, void *arg)
{
	TASK_CHECK(arg, ==, &fake);
	(void)add_relaxed(&fake.calls, 1);
	if (query->flags & HILO_RESOLVE_NAME_REQUIRED)
		return HILO_ENONAME;
	(void)strcpy(host, "host.example");
	(void)snprintf(service, RESOLVE_SERVICE_SIZE, "service%u", hilo_address_port(query->address));
	return 0;
}

static void fake_begin_with(hilo_resolver_opts opts)
{
	opts.size = sizeof(opts);
	opts.lookup = fake_lookup;
	opts.name = fake_name;
	opts.arg = &fake;
	store_release(&fake.open, 0);
	store_relaxed(&fake.calls, 0);
	TASK_CHECK(hilo_resolver_configure(&opts), ==, 0);
}

static void fake_begin(void)
{
	fake_begin_with((hilo_resolver_opts){0});
}

static void fake_end(void)
{
	store_release(&fake.open, 1);
	TASK_CHECK(hilo_resolver_configure(NULL), ==, 0);
}

static hilo_resolver_stats stats(void)
{
	hilo_resolver_stats now = {.size = sizeof(now)};

	TASK_CHECK(hilo_resolver_get_stats(&now), ==, 0);
	return now;
}

static int ask(const char *host, hilo_time deadline)
{
	hilo_address found[4];

	return hilo_resolve(host, NULL, NULL, found, array_size(found), deadline);
}

static int asks(void *host)
{
	return ask(host, HILO_FOREVER);
}

/* A task that waits for the look-up of @host by now. */
static hilo_task *asker(const char *host)
{
	hilo_task *task = hilo_spawn(asks, (void *)(uintptr_t)host);

	TEST_UNTIL(hilo_task_get_state(task) == HILO_TASK_SUSPENDED);
	return task;
}

static void check_text(const hilo_address *address, const char *text)
{
	char buf[HILO_ADDRESS_SIZE];

	(void)hilo_address_format(address, buf, sizeof(buf));
	TASK_CHECK_TEXT(buf, text);
}

TASK_TEST(test_addresses_and_numbers_are_never_looked_up)
{
	hilo_resolve_opts opts = {.size = sizeof(opts), .flags = HILO_RESOLVE_PASSIVE};
	hilo_address found[2];

	fake_begin();
	TASK_CHECK(hilo_resolve("127.0.0.1", "80", NULL, found, 2, HILO_NO_WAIT), ==, 1);
	check_text(&found[0], "127.0.0.1:80");
	TASK_CHECK(hilo_resolve("::1", NULL, NULL, found, 2, HILO_NO_WAIT), ==, 1);
	check_text(&found[0], "[::1]:0");
	TASK_CHECK(hilo_resolve(NULL, "7", NULL, found, 2, HILO_NO_WAIT), ==, 2);
	check_text(&found[0], "[::1]:7");
	check_text(&found[1], "127.0.0.1:7");
	TASK_CHECK(hilo_resolve("", "7", &opts, found, 2, HILO_NO_WAIT), ==, 2);
	check_text(&found[0], "0.0.0.0:7");
	check_text(&found[1], "[::]:7");
	opts.family = AF_INET6;
	TASK_CHECK(hilo_resolve(NULL, NULL, &opts, found, 2, HILO_NO_WAIT), ==, 1);
	TASK_CHECK(hilo_resolve("127.0.0.1", NULL, &opts, found, 2, HILO_NO_WAIT), ==, HILO_ENONAME);
	opts.flags = HILO_RESOLVE_NUMERIC;
	TASK_CHECK(hilo_resolve("name", NULL, &opts, found, 2, HILO_NO_WAIT), ==, HILO_ENONAME);
	TASK_CHECK_CONTAINS(hilo_error_message(), "name");
	TASK_CHECK(hilo_resolve("::1", "http", &opts, found, 2, HILO_NO_WAIT), ==, HILO_ENONAME);
	TASK_CHECK_CONTAINS(hilo_error_message(), "http");
	TASK_CHECK(load_relaxed(&fake.calls), ==, 0);
	fake_end();
	return 0;
}

TASK_TEST(test_names_have_the_addresses_that_the_resolver_says_in_its_order)
{
	hilo_address found[3];

	fake_begin();
	memset(found, 0, sizeof(found));
	TASK_CHECK(hilo_resolve("some.example", "443", NULL, found, 2, HILO_FOREVER), ==, 3);
	check_text(&found[0], "192.0.2.1:443");
	check_text(&found[1], "[2001:db8::1]:443");
	check_text(&found[2], "-");
	TASK_CHECK(hilo_resolve("some.example", "443", NULL, NULL, 0, HILO_FOREVER), ==, 3);
	TASK_CHECK(load_relaxed(&fake.calls), ==, 1);
	fake_end();
	return 0;
}

TASK_TEST(test_answers_and_failures_are_kept_and_failures_of_this_machine_are_not)
{
	uint64_t known = stats().known;

	fake_begin();
	TASK_CHECK(ask("a", HILO_FOREVER), ==, 3);
	TASK_CHECK(ask("A", HILO_NO_WAIT), ==, 3);
	TASK_CHECK(load_relaxed(&fake.calls), ==, 1);
	TASK_CHECK(ask("bad", HILO_FOREVER), ==, HILO_ENONAME);
	TASK_CHECK_TEXT(hilo_error_message(), "hilo_resolve: bad: nobody knows bad");
	TASK_CHECK(ask("bad", HILO_NO_WAIT), ==, HILO_ENONAME);
	TASK_CHECK_TEXT(hilo_error_message(), "hilo_resolve: bad: nobody knows bad");
	TASK_CHECK(load_relaxed(&fake.calls), ==, 2);
	TASK_CHECK(stats().known, ==, known + 2);
	TASK_CHECK(stats().entries, ==, 2);
	TASK_CHECK(ask("full", HILO_FOREVER), ==, -EMFILE);
	TASK_CHECK(ask("full", HILO_FOREVER), ==, -EMFILE);
	TASK_CHECK(load_relaxed(&fake.calls), ==, 4);
	TASK_CHECK(stats().entries, ==, 2);
	fake_end();
	return 0;
}

TASK_TEST(test_what_is_kept_for_no_time_is_looked_up_again)
{
	fake_begin_with((hilo_resolver_opts){.answers = 1, .failures = -1});
	TASK_CHECK(ask("a", HILO_FOREVER), ==, 3);
	TASK_CHECK(ask("a", HILO_FOREVER), ==, 3);
	TASK_CHECK(ask("bad", HILO_FOREVER), ==, HILO_ENONAME);
	TASK_CHECK(ask("bad", HILO_FOREVER), ==, HILO_ENONAME);
	TASK_CHECK(load_relaxed(&fake.calls), ==, 4);
	fake_end();
	return 0;
}

TASK_TEST(test_fresh_looks_up_again_and_others_know_it_then)
{
	hilo_resolve_opts fresh = {.size = sizeof(fresh), .flags = HILO_RESOLVE_FRESH};

	fake_begin();
	TASK_CHECK(ask("a", HILO_FOREVER), ==, 3);
	TASK_CHECK(hilo_resolve("a", NULL, &fresh, NULL, 0, HILO_FOREVER), ==, 3);
	TASK_CHECK(load_relaxed(&fake.calls), ==, 2);
	TASK_CHECK(ask("a", HILO_FOREVER), ==, 3);
	TASK_CHECK(load_relaxed(&fake.calls), ==, 2);
	fake_end();
	return 0;
}

TASK_TEST(test_the_same_look_up_is_shared_by_all_who_ask_meanwhile)
{
	uint64_t shared = stats().shared;
	hilo_task *task[8];

	fake_begin();
	for (size_t i = 0; i < array_size(task); i++)
		task[i] = asker("wanted");
	TASK_CHECK(stats().shared, ==, shared + array_size(task) - 1);
	store_release(&fake.open, 1);
	for (size_t i = 0; i < array_size(task); i++)
		TASK_CHECK(hilo_join(task[i], HILO_FOREVER), ==, 3);
	TASK_CHECK(load_relaxed(&fake.calls), ==, 1);
	fake_end();
	return 0;
}

TASK_TEST(test_deadline_leaves_and_the_look_up_goes_on_for_the_others)
{
	hilo_task *other;

	fake_begin();
	other = asker("wanted");
	TEST_UNTIL(load_acquire(&fake.waiting) == 1);
	TASK_CHECK(ask("wanted", hilo_after(HILO_MILLISECOND)), ==, -ETIMEDOUT);
	TASK_CHECK_CONTAINS(hilo_error_message(), "wanted: timed out after");
	TASK_CHECK_CONTAINS(hilo_error_message(), "a thread has been at it for");
	TASK_CHECK(ask("wanted", HILO_NO_WAIT), ==, -ETIMEDOUT);
	TASK_CHECK(hilo_task_is_done(other), ==, 0);
	store_release(&fake.open, 1);
	TASK_CHECK(hilo_join(other, HILO_FOREVER), ==, 3);
	TASK_CHECK(ask("wanted", HILO_NO_WAIT), ==, 3);
	TASK_CHECK(load_relaxed(&fake.calls), ==, 1);
	fake_end();
	return 0;
}

TASK_TEST(test_cancel_leaves_and_the_answer_is_known_afterwards)
{
	hilo_task *task;

	fake_begin();
	task = asker("wanted");
	TEST_UNTIL(load_acquire(&fake.waiting) == 1);
	TASK_CHECK(hilo_task_cancel(task), ==, 0);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, -ECANCELED);
	store_release(&fake.open, 1);
	TEST_UNTIL(stats().entries == 1);
	TASK_CHECK(ask("wanted", HILO_NO_WAIT), ==, 3);
	TASK_CHECK(load_relaxed(&fake.calls), ==, 1);
	fake_end();
	return 0;
}

TASK_TEST(test_cancel_that_is_set_wins_over_what_is_known)
{
	hilo_address found[1];

	fake_begin();
	TASK_CHECK(ask("a", HILO_FOREVER), ==, 3);
	TASK_CHECK(hilo_task_cancel(hilo_task_current()), ==, 0);
	TASK_CHECK(ask("a", HILO_FOREVER), ==, -ECANCELED);
	TASK_CHECK(hilo_resolve("::1", NULL, NULL, found, 1, HILO_FOREVER), ==, -ECANCELED);
	TASK_CHECK(hilo_task_uncancel(), ==, 0);
	TASK_CHECK(ask("a", HILO_FOREVER), ==, 3);
	fake_end();
	return 0;
}

/* All threads of the lane are in look-ups that wait. */
static void lane_fill(hilo_task *task[LANE])
{
	static char name[LANE][8];

	for (unsigned i = 0; i < LANE; i++) {
		(void)snprintf(name[i], sizeof(name[i]), "w%u", i);
		task[i] = asker(name[i]);
	}
	TEST_UNTIL(load_acquire(&fake.waiting) == LANE);
}

static void lane_empty(hilo_task *task[LANE])
{
	store_release(&fake.open, 1);
	for (unsigned i = 0; i < LANE; i++)
		TASK_CHECK(hilo_join(task[i], HILO_FOREVER), ==, 3);
}

TASK_TEST(test_look_up_that_nobody_wants_any_more_is_not_made)
{
	uint64_t dropped = stats().dropped;
	hilo_task *task[LANE];

	fake_begin();
	lane_fill(task);
	TASK_CHECK(ask("late", hilo_after(HILO_MILLISECOND)), ==, -ETIMEDOUT);
	TASK_CHECK_CONTAINS(hilo_error_message(), "the look-up has been in the queue of hilo-resolve for");
	lane_empty(task);
	TEST_UNTIL(stats().under_way == 0);
	TASK_CHECK(stats().dropped, ==, dropped + 1);
	TASK_CHECK(load_relaxed(&fake.calls), ==, LANE);
	TASK_CHECK(ask("late", HILO_FOREVER), ==, 3);
	fake_end();
	return 0;
}

TASK_TEST(test_names_do_not_wait_for_the_default_executor_nor_it_for_names)
{
	hilo_task *task[LANE];

	fake_begin();
	lane_fill(task);
	TASK_CHECK(hilo_to_thread(test_entry_return, (void *)7, HILO_FOREVER), ==, 7);
	lane_empty(task);
	fake_end();
	return 0;
}

static int asks_late(void *arg)
{
	(void)arg;
	return ask("late", HILO_FOREVER);
}

static int closes(void *runtime)
{
	return hilo_runtime_close(runtime, HILO_FOREVER);
}

/* The look-up is queued in the lane of a runtime that ends. */
TASK_TEST(test_who_shares_a_look_up_of_a_runtime_that_ends_has_it_made_by_his_own)
{
	static char name[LANE][8];
	hilo_opts opts = {.size = sizeof(opts), .workers = 1};
	hilo_runtime *other;
	hilo_task *task, *closer;
	uint64_t shared;

	fake_begin();
	TASK_CHECK(hilo_runtime_new(&opts, &other), ==, 0);
	for (unsigned i = 0; i < LANE; i++) {
		(void)snprintf(name[i], sizeof(name[i]), "w%u", i);
		TASK_CHECK(hilo_submit(other, asks, name[i], NULL, NULL), ==, 0);
	}
	TEST_UNTIL(load_acquire(&fake.waiting) == LANE);
	TASK_CHECK(hilo_submit(other, asks_late, NULL, NULL, NULL), ==, 0);
	TEST_UNTIL(stats().under_way == LANE + 1);
	shared = stats().shared;
	task = asker("late");
	TASK_CHECK(stats().shared, ==, shared + 1);
	closer = hilo_spawn(closes, other);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 3); /* while the gate is shut */
	TASK_CHECK(load_acquire(&fake.waiting), ==, LANE);
	store_release(&fake.open, 1);
	TASK_CHECK(hilo_join(closer, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_runtime_free(other), ==, 0);
	fake_end();
	return 0;
}

TASK_TEST(test_flush_forgets_and_what_is_under_way_is_not_shared_any_more)
{
	hilo_task *first, *second;

	fake_begin();
	TASK_CHECK(ask("a", HILO_FOREVER), ==, 3);
	TASK_CHECK(ask("b", HILO_FOREVER), ==, 3);
	TASK_CHECK(hilo_resolver_flush("A"), ==, 1);
	TASK_CHECK(ask("b", HILO_NO_WAIT), ==, 3);
	TASK_CHECK(load_relaxed(&fake.calls), ==, 2);
	TASK_CHECK(ask("a", HILO_FOREVER), ==, 3);
	TASK_CHECK(load_relaxed(&fake.calls), ==, 3);
	first = asker("wanted");
	TASK_CHECK(hilo_resolver_flush(NULL), ==, 2);
	second = asker("wanted");
	TEST_UNTIL(load_acquire(&fake.waiting) == 2);
	store_release(&fake.open, 1);
	TASK_CHECK(hilo_join(first, HILO_FOREVER), ==, 3);
	TASK_CHECK(hilo_join(second, HILO_FOREVER), ==, 3);
	TASK_CHECK(stats().entries, ==, 1);
	fake_end();
	TASK_CHECK(stats().entries, ==, 0);
	return 0;
}

static int ask_as(const char *host, const char *service, int family)
{
	hilo_resolve_opts opts = {.size = sizeof(opts), .family = family};

	return hilo_resolve(host, service, &opts, NULL, 0, HILO_FOREVER);
}

/* All that is known of it, however it was asked for; a look-up of another one goes on, is shared, and kept. */
TASK_TEST(test_flush_of_a_host_forgets_all_of_it_and_nothing_else)
{
	char host[32];
	hilo_address address;
	hilo_task *first, *second;

	fake_begin();
	TASK_CHECK(hilo_resolver_flush("a") + hilo_resolver_flush(NULL), ==, 0);
	TASK_CHECK(ask_as("a", "80", 0), ==, 3);
	TASK_CHECK(ask_as("a", "81", 0), ==, 3);
	TASK_CHECK(ask_as("A", "80", AF_INET), >, 0);
	TASK_CHECK(ask_as("ab", "80", 0), ==, 3);
	TASK_CHECK(ask("bad", HILO_FOREVER), ==, HILO_ENONAME);
	TASK_CHECK(hilo_address_parse("192.0.2.7:25", &address), ==, 0);
	TASK_CHECK(hilo_resolve_name(&address, 0, host, sizeof(host), NULL, 0, HILO_FOREVER), ==, 0);
	TASK_CHECK(load_relaxed(&fake.calls), ==, 6);
	first = asker("wanted");
	TEST_UNTIL(load_acquire(&fake.waiting) == 1);
	TASK_CHECK(hilo_resolver_flush("a"), ==, 3);
	TASK_CHECK(hilo_resolver_flush("a"), ==, 0);
	TASK_CHECK(hilo_resolver_flush(""), ==, 0);
	TASK_CHECK(hilo_resolver_flush("host.example"), ==, 0); /* is known of an address, not of a name */
	TASK_CHECK(hilo_resolver_flush("bad"), ==, 1);
	TASK_CHECK(stats().entries, ==, 2);
	second = asker("wanted");
	TASK_CHECK(load_acquire(&fake.waiting), ==, 1);
	store_release(&fake.open, 1);
	TASK_CHECK(hilo_join(first, HILO_FOREVER), ==, 3);
	TASK_CHECK(hilo_join(second, HILO_FOREVER), ==, 3);
	TASK_CHECK(ask("wanted", HILO_NO_WAIT), ==, 3);
	TASK_CHECK(load_relaxed(&fake.calls), ==, 7);
	TASK_CHECK(hilo_resolver_flush(NULL), ==, 3); /* the name of the address as well */
	TASK_CHECK(ask_as("a", "80", 0), ==, 3);
	TASK_CHECK(hilo_resolve_name(&address, 0, host, sizeof(host), NULL, 0, HILO_FOREVER), ==, 0);
	TASK_CHECK(load_relaxed(&fake.calls), ==, 9);
	fake_end();
	return 0;
}

/* Whoever waits for a look-up when it is forgotten gets its answer, or leaves; nothing of it is kept. */
TASK_TEST(test_flush_while_others_wait_takes_nothing_from_them)
{
	hilo_task *task[3], *leaver;

	fake_begin();
	for (size_t i = 0; i < array_size(task); i++)
		task[i] = asker("wanted");
	leaver = asker("wanted");
	TEST_UNTIL(load_acquire(&fake.waiting) == 1);
	TASK_CHECK(hilo_resolver_flush("WANTED"), ==, 0);
	TASK_CHECK(hilo_task_cancel(leaver), ==, 0);
	TASK_CHECK(hilo_join(leaver, HILO_FOREVER), ==, -ECANCELED);
	TASK_CHECK(ask("wanted", hilo_after(HILO_MILLISECOND)), ==, -ETIMEDOUT); /* one of its own */
	TASK_CHECK(hilo_resolver_flush("wanted"), ==, 0);
	store_release(&fake.open, 1);
	for (size_t i = 0; i < array_size(task); i++)
		TASK_CHECK(hilo_join(task[i], HILO_FOREVER), ==, 3);
	TEST_UNTIL(stats().under_way == 0);
	TASK_CHECK(stats().entries, ==, 0);
	fake_end();
	return 0;
}

/* More than are let go of at once. */
TASK_TEST(test_flush_of_many)
{
	char name[16];

	fake_begin();
	for (unsigned i = 0; i < 60; i++) {
		(void)snprintf(name, sizeof(name), "%u", 8000 + i);
		TASK_CHECK(ask_as("a", name, 0), ==, 3);
		(void)snprintf(name, sizeof(name), "n%u", i);
		TASK_CHECK(ask(name, HILO_FOREVER), ==, 3);
	}
	TASK_CHECK(hilo_resolver_flush("a"), ==, 60);
	TASK_CHECK(stats().entries, ==, 60);
	TASK_CHECK(hilo_resolver_flush(NULL), ==, 60);
	TASK_CHECK(stats().entries, ==, 0);
	fake_end();
	return 0;
}

TASK_TEST(test_no_more_are_kept_than_was_asked_for_and_those_that_were_used_last)
{
	fake_begin_with((hilo_resolver_opts){.entries = 2});
	TASK_CHECK(ask("a", HILO_FOREVER), ==, 3);
	TASK_CHECK(ask("b", HILO_FOREVER), ==, 3);
	TASK_CHECK(ask("a", HILO_FOREVER), ==, 3);
	TASK_CHECK(ask("c", HILO_FOREVER), ==, 3);
	TASK_CHECK(stats().entries, ==, 2);
	TASK_CHECK(load_relaxed(&fake.calls), ==, 3);
	TASK_CHECK(ask("a", HILO_FOREVER), ==, 3);
	TASK_CHECK(load_relaxed(&fake.calls), ==, 3);
	TASK_CHECK(ask("b", HILO_FOREVER), ==, 3);
	TASK_CHECK(load_relaxed(&fake.calls), ==, 4);
	fake_end();
	return 0;
}

static void asks_in_a_callback(void *future)
{
	intptr_t unknown = ask("b", HILO_FOREVER), known = ask("a", HILO_FOREVER);

	TASK_CHECK(unknown, ==, -EDEADLK);
	TASK_CHECK(hilo_future_set(future, (void *)known, NULL), ==, 0);
}

TASK_TEST(test_callback_gets_what_is_known_and_may_not_wait)
{
	hilo_future *future = hilo_future_new();
	void *known = NULL;

	fake_begin();
	TASK_CHECK(ask("a", HILO_FOREVER), ==, 3);
	TASK_CHECK(hilo_call_soon(asks_in_a_callback, future, NULL), ==, 0);
	TASK_CHECK(hilo_future_await(future, &known, HILO_FOREVER), ==, 0);
	TASK_CHECK((intptr_t)known, ==, 3);
	hilo_future_unref(future);
	fake_end();
	return 0;
}

TASK_TEST(test_no_memory_is_told_and_nothing_is_left)
{
	long live;

	fake_begin();
	TASK_CHECK(ask("a", HILO_FOREVER), ==, 3);
	TASK_CHECK(hilo_resolver_flush(NULL), ==, 1);
	live = hilo__mem_live();
	for (unsigned i = 0; i < 40; i++) {
		hilo__mem_fail_at(1, true);
		TASK_CHECK(ask("a", HILO_FOREVER), ==, -ENOMEM);
		hilo__mem_fail_at(0, false);
		TASK_CHECK(stats().under_way, ==, 0);
	}
	TASK_CHECK(hilo__mem_live(), <=, live + 20); /* the runtime has things of its own to do */
	TASK_CHECK(ask("a", HILO_FOREVER), ==, 3);
	fake_end();
	return 0;
}

TASK_TEST(test_mistakes_are_told)
{
	hilo_resolve_opts opts = {.size = sizeof(opts), .family = AF_UNIX};
	char longest[300];
	hilo_address found[1];

	fake_begin();
	TASK_CHECK(hilo_resolve("a", NULL, &opts, found, 1, HILO_FOREVER), ==, -EINVAL);
	opts = (hilo_resolve_opts){.size = sizeof(opts), .type = SOCK_RAW};
	TASK_CHECK(hilo_resolve("a", NULL, &opts, found, 1, HILO_FOREVER), ==, -EINVAL);
	opts = (hilo_resolve_opts){.size = sizeof(opts), .flags = 64};
	TASK_CHECK(hilo_resolve("a", NULL, &opts, found, 1, HILO_FOREVER), ==, -EINVAL);
	opts = (hilo_resolve_opts){.size = 3};
	TASK_CHECK(hilo_resolve("a", NULL, &opts, found, 1, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_resolve("a", NULL, NULL, NULL, 1, HILO_FOREVER), ==, -EINVAL);
	memset(longest, 'x', sizeof(longest));
	longest[256] = '\0';
	TASK_CHECK(ask(longest, HILO_FOREVER), ==, HILO_ENONAME);
	longest[255] = '\0';
	TASK_CHECK(ask(longest, HILO_FOREVER), ==, 3);
	longest[64] = '\0';
	TASK_CHECK(hilo_resolve("a", longest, NULL, found, 1, HILO_FOREVER), ==, HILO_ENONAME);
	TASK_CHECK(hilo_resolve("fe80::1%no-such-zone", NULL, NULL, found, 1, HILO_FOREVER), ==, -ENODEV);
	TASK_CHECK(load_relaxed(&fake.calls), ==, 1);
	fake_end();
	return 0;
}

TASK_TEST(test_addresses_have_names)
{
	char host[32], service[16], small[4];
	hilo_address address;

	fake_begin();
	TASK_CHECK(hilo_address_parse("192.0.2.7:25", &address), ==, 0);
	TASK_CHECK(
		hilo_resolve_name(&address, HILO_RESOLVE_NAME_NUMERIC, host, 32, service, 16, HILO_NO_WAIT),
		==, 0);
	TASK_CHECK_TEXT(host, "192.0.2.7");
	TASK_CHECK_TEXT(service, "25");
	TASK_CHECK(load_relaxed(&fake.calls), ==, 0);
	TASK_CHECK(hilo_resolve_name(&address, 0, host, 32, service, 16, HILO_FOREVER), ==, 0);
	TASK_CHECK_TEXT(host, "host.example");
	TASK_CHECK_TEXT(service, "service25");
	TASK_CHECK(hilo_resolve_name(&address, 0, small, 4, NULL, 0, HILO_NO_WAIT), ==, -EMSGSIZE);
	TASK_CHECK_CONTAINS(hilo_error_message(), "host.example");
	TASK_CHECK(load_relaxed(&fake.calls), ==, 1);
	TASK_CHECK(hilo_resolve_name(&address, HILO_RESOLVE_NAME_REQUIRED, host, 32, NULL, 0, HILO_FOREVER),
		   ==, HILO_ENONAME);
	TASK_CHECK_CONTAINS(hilo_error_message(), "192.0.2.7:25");
	TASK_CHECK(hilo_address_set_port(&address, 26), ==, 0);
	TASK_CHECK(hilo_resolve_name(&address, 0, NULL, 0, service, 16, HILO_FOREVER), ==, 0);
	TASK_CHECK_TEXT(service, "service26");
	TASK_CHECK(hilo_address_unix("x", &address), ==, 0);
	TASK_CHECK(hilo_resolve_name(&address, 0, host, 32, NULL, 0, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_resolve_name(NULL, 0, host, 32, NULL, 0, HILO_FOREVER), ==, -EINVAL);
	fake_end();
	return 0;
}

/* Files at most are read for these. */
static void test_system_knows_numbers_and_refuses_nonsense(void **state)
{
	hilo_resolve_query query = {
		.size = sizeof(query), .type = SOCK_STREAM, .host = "127.0.0.1", .service = "80"};
	char host[HILO_ADDRESS_SIZE], service[RESOLVE_SERVICE_SIZE];
	hilo_address found[4];

	(void)state;
	assert_int_equal(hilo__resolve_system(&query, found, 4, NULL), 1);
	assert_int_equal(hilo_address_port(&found[0]), 80);
	query.service = "no such service";
	assert_int_equal(hilo__resolve_system(&query, found, 4, NULL), HILO_ENONAME);
	assert_string_not_equal(hilo_error_message(), "");
	query.address = &found[0];
	query.flags = HILO_RESOLVE_NAME_NUMERIC;
	assert_int_equal(hilo__resolve_system_name(&query, host, service, NULL), 0);
	assert_string_equal(host, "127.0.0.1");
	assert_string_equal(service, "80");
}

static void test_plain_thread_asks_and_leaves_at_its_deadline(void **state)
{
	hilo_address found[3];

	(void)state;
	fake_begin();
	assert_int_equal(hilo_resolve("a", "9", NULL, found, 3, HILO_FOREVER), 3);
	check_text(&found[2], "192.0.2.2:9");
	assert_int_equal(ask("wanted", hilo_after(HILO_MILLISECOND)), -ETIMEDOUT);
	assert_non_null(strstr(hilo_error_message(), "hilo-resolve"));
	fake_end();
	TEST_UNTIL(stats().under_way == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses_and_numbers_are_never_looked_up),
		cmocka_unit_test(test_names_have_the_addresses_that_the_resolver_says_in_its_order),
		cmocka_unit_test(test_answers_and_failures_are_kept_and_failures_of_this_machine_are_not),
		cmocka_unit_test(test_what_is_kept_for_no_time_is_looked_up_again),
		cmocka_unit_test(test_fresh_looks_up_again_and_others_know_it_then),
		cmocka_unit_test(test_the_same_look_up_is_shared_by_all_who_ask_meanwhile),
		cmocka_unit_test(test_deadline_leaves_and_the_look_up_goes_on_for_the_others),
		cmocka_unit_test(test_cancel_leaves_and_the_answer_is_known_afterwards),
		cmocka_unit_test(test_cancel_that_is_set_wins_over_what_is_known),
		cmocka_unit_test(test_look_up_that_nobody_wants_any_more_is_not_made),
		cmocka_unit_test(test_names_do_not_wait_for_the_default_executor_nor_it_for_names),
		cmocka_unit_test(test_who_shares_a_look_up_of_a_runtime_that_ends_has_it_made_by_his_own),
		cmocka_unit_test(test_flush_forgets_and_what_is_under_way_is_not_shared_any_more),
		cmocka_unit_test(test_flush_of_a_host_forgets_all_of_it_and_nothing_else),
		cmocka_unit_test(test_flush_while_others_wait_takes_nothing_from_them),
		cmocka_unit_test(test_flush_of_many),
		cmocka_unit_test(test_no_more_are_kept_than_was_asked_for_and_those_that_were_used_last),
		cmocka_unit_test(test_callback_gets_what_is_known_and_may_not_wait),
		cmocka_unit_test(test_no_memory_is_told_and_nothing_is_left),
		cmocka_unit_test(test_mistakes_are_told),
		cmocka_unit_test(test_addresses_have_names),
		cmocka_unit_test(test_system_knows_numbers_and_refuses_nonsense),
		cmocka_unit_test(test_plain_thread_asks_and_leaves_at_its_deadline),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
