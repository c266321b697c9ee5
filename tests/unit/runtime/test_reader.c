/* SPDX-License-Identifier: MIT */
/* Readers and writers: one for each descriptor and direction, replaced and removed from anywhere in the runtime. */
#include "tests/support/test.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "scheduler/base/mem.h"

/*
 * A pair of sockets, and what its callbacks have seen. A static one may be looked at by a call that is under way
 * on another loop when it is removed.
 */
struct pair {
	int fd[2];
	hilo_loop *loop;
	atomic(unsigned) read, written, other;
	int rc;
};

static void pair_open(struct pair *pair)
{
	*pair = (struct pair){.loop = hilo_loop_current()};
	atomic_setup(&pair->read, 0);
	atomic_setup(&pair->written, 0);
	atomic_setup(&pair->other, 0);
	TASK_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair->fd), ==, 0);
}

static void pair_close(struct pair *pair)
{
	(void)close(pair->fd[0]);
	(void)close(pair->fd[1]);
}

static void give(struct pair *pair)
{
	TASK_CHECK(write(pair->fd[1], "x", 1), ==, 1);
}

static void on_loop(struct pair *pair)
{
	TASK_CHECK(hilo_task_current(), ==, NULL);
	if (pair->loop)
		TASK_CHECK(hilo_loop_current(), ==, pair->loop);
}

/* Takes one byte. */
static void reads(void *arg)
{
	struct pair *pair = arg;
	char byte;

	on_loop(pair);
	TASK_CHECK(read(pair->fd[0], &byte, 1), ==, 1);
	(void)add_release(&pair->read, 1);
}

/* Leaves it there, and is called again. */
static void looks(void *arg)
{
	struct pair *pair = arg;

	on_loop(pair);
	(void)add_release(&pair->read, 1);
}

static void writes(void *arg)
{
	struct pair *pair = arg;

	on_loop(pair);
	TASK_CHECK(write(pair->fd[0], "y", 1), ==, 1);
	if (add_release(&pair->written, 1) == 9)
		TASK_CHECK(hilo_remove_writer(pair->fd[0]), ==, 1);
}

static int run_pinned(hilo_task_fn entry, void *arg, unsigned index)
{
	hilo_runtime *runtime = hilo_runtime_current();
	hilo_task_opts opts = {.size = sizeof(opts), .flags = HILO_TASK_PINNED};
	hilo_task *task;

	opts.loop = hilo_runtime_loop(runtime, index % hilo_runtime_workers(runtime));
	TASK_CHECK(hilo_spawn_with(entry, arg, &opts, &task), ==, 0);
	return hilo_join(task, HILO_FOREVER);
}

/* On each loop: called there, whenever something comes, until removed. */
static int reads_and_writes(void *arg)
{
	struct pair pair;

	(void)arg;
	pair_open(&pair);
	TASK_CHECK(hilo_remove_reader(pair.fd[0]), ==, 0);
	TASK_CHECK(hilo_add_reader(pair.fd[0], reads, &pair), ==, 0);
	for (unsigned i = 1; i <= 3; i++) {
		give(&pair);
		TEST_UNTIL(load_acquire(&pair.read) == i);
	}
	/* The other direction does not care; and removes itself, after 10 calls. */
	TASK_CHECK(hilo_remove_writer(pair.fd[0]), ==, 0);
	TASK_CHECK(hilo_add_writer(pair.fd[0], writes, &pair), ==, 0);
	TEST_UNTIL(load_acquire(&pair.written) == 10);
	TASK_CHECK(hilo_remove_writer(pair.fd[0]), ==, 0);
	TASK_CHECK(hilo_remove_reader(pair.fd[0]), ==, 1);
	give(&pair);
	TASK_CHECK(hilo_remove_reader(pair.fd[0]), ==, 0);
	/* What is there is told again and again. */
	TASK_CHECK(hilo_add_reader(pair.fd[0], looks, &pair), ==, 0);
	TEST_UNTIL(load_acquire(&pair.read) >= 8);
	TASK_CHECK(hilo_remove_reader(pair.fd[0]), ==, 1);
	TASK_CHECK(load_acquire(&pair.written), ==, 10);
	pair_close(&pair);
	return 0;
}

LOOP_TEST(test_readers_and_writers_are_called_on_the_loop_that_asked)
{
	for (unsigned i = 0; i < hilo_runtime_workers(hilo_runtime_current()); i++)
		TASK_CHECK(run_pinned(reads_and_writes, NULL, i), ==, 0);
	return 0;
}

/* A broken connection is something to see in both directions. */
TASK_TEST(test_a_broken_descriptor_is_ready)
{
	static struct pair pair;

	pair_open(&pair);
	pair.loop = NULL;
	(void)close(pair.fd[1]);
	TASK_CHECK(hilo_add_reader(pair.fd[0], looks, &pair), ==, 0);
	TEST_UNTIL(load_acquire(&pair.read));
	TASK_CHECK(hilo_remove_reader(pair.fd[0]), ==, 1);
	(void)close(pair.fd[0]);
	return 0;
}

static void other(void *arg)
{
	struct pair *pair = arg;

	on_loop(pair);
	(void)add_release(&pair->other, 1);
}

/* The second takes the place of the first, which is not called any more. */
static int replaces(void *arg)
{
	struct pair pair;
	unsigned read;

	(void)arg;
	pair_open(&pair);
	give(&pair);
	TASK_CHECK(hilo_add_reader(pair.fd[0], looks, &pair), ==, 0);
	TEST_UNTIL(load_acquire(&pair.read));
	TASK_CHECK(hilo_add_reader(pair.fd[0], other, &pair), ==, 0);
	read = load_acquire(&pair.read);
	TEST_UNTIL(load_acquire(&pair.other) >= 3);
	TASK_CHECK(load_acquire(&pair.read), ==, read);

	/* One that cannot be made leaves it there. */
	hilo__mem_fail_at(1, true);
	TASK_CHECK(hilo_add_reader(pair.fd[0], looks, &pair), ==, -ENOMEM);
	hilo__mem_fail_at(0, false);
	TASK_CHECK(hilo_add_reader(pair.fd[0], NULL, &pair), ==, -EINVAL);
	store_release(&pair.other, 0);
	TEST_UNTIL(load_acquire(&pair.other) >= 3);
	TASK_CHECK(load_acquire(&pair.read), ==, read);
	TASK_CHECK(hilo_remove_reader(pair.fd[0]), ==, 1);
	TASK_CHECK(hilo_remove_reader(pair.fd[0]), ==, 0);
	pair_close(&pair);
	return 0;
}

LOOP_TEST(test_a_reader_is_replaced)
{
	return run_pinned(replaces, NULL, 0);
}

/* A task adds one on one loop, another task replaces it from a second one, a third removes it. */
static int adds(void *arg)
{
	struct pair *pair = arg;

	return hilo_add_reader(pair->fd[0], looks, pair);
}

static int removes(void *arg)
{
	struct pair *pair = arg;

	return hilo_remove_reader(pair->fd[0]);
}

TASK_TEST(test_a_reader_belongs_to_the_runtime)
{
	static struct pair pair;

	pair_open(&pair);
	pair.loop = NULL;
	give(&pair);
	for (unsigned i = 0; i < 4; i++) {
		unsigned read = load_acquire(&pair.read);

		TASK_CHECK(run_pinned(adds, &pair, i), ==, 0);
		TEST_UNTIL(load_acquire(&pair.read) > read + 2);
	}
	TASK_CHECK(run_pinned(removes, &pair, 1), ==, 1);
	TASK_CHECK(run_pinned(removes, &pair, 0), ==, 0);
	pair_close(&pair);
	return 0;
}

/* High numbers, far apart. */
TASK_TEST(test_descriptors_of_any_number)
{
	static const int numbers[] = {200, 255, 256, 257, 511, 512, 700};
	struct pair pairs[array_size(numbers)];

	for (size_t i = 0; i < array_size(numbers); i++) {
		int fd;

		pair_open(&pairs[i]);
		pairs[i].loop = NULL;
		fd = fcntl(pairs[i].fd[0], F_DUPFD_CLOEXEC, numbers[i]);
		TASK_CHECK(fd, >=, numbers[i]);
		(void)close(pairs[i].fd[0]);
		pairs[i].fd[0] = fd;
		TASK_CHECK(hilo_add_reader(fd, reads, &pairs[i]), ==, 0);
	}
	for (size_t i = 0; i < array_size(numbers); i++)
		give(&pairs[i]);
	for (size_t i = 0; i < array_size(numbers); i++) {
		TEST_UNTIL(load_acquire(&pairs[i].read) == 1);
		TASK_CHECK(hilo_remove_writer(pairs[i].fd[0]), ==, 0);
		TASK_CHECK(hilo_remove_reader(pairs[i].fd[0]), ==, 1);
		pair_close(&pairs[i]);
	}
	TASK_CHECK(hilo_remove_reader(100000), ==, 0);
	return 0;
}

/*
 * The number of a descriptor that was closed without a word comes back: a new reader is as good as any. It is closed
 * and used again in one step, so that no other thread of the runtime gets the number for one of its own.
 */
static int number_again(void *arg)
{
	struct pair pair, again;
	int number;

	(void)arg;
	pair_open(&pair);
	number = pair.fd[0];
	TASK_CHECK(hilo_add_reader(number, looks, &pair), ==, 0);
	pair_open(&again);
	TASK_CHECK(dup2(again.fd[0], number), ==, number);
	(void)close(again.fd[0]);
	(void)close(pair.fd[1]);
	again.fd[0] = number;
	again.loop = NULL;
	TASK_CHECK(hilo_add_reader(number, reads, &again), ==, 0);
	give(&again);
	TEST_UNTIL(load_acquire(&again.read) == 1);
	TASK_CHECK(load_acquire(&pair.read), ==, 0);
	TASK_CHECK(hilo_remove_reader(number), ==, 1);
	pair_close(&again);
	return 0;
}

LOOP_TEST(test_a_number_that_is_used_again)
{
	return run_pinned(number_again, NULL, 0);
}

/* Many tasks add and remove readers of their own while callbacks run, on all workers. */
static int comes_and_goes(void *arg)
{
	(void)arg;
	for (unsigned round = 0; round < test_rounds(50); round++) {
		struct pair pair;

		pair_open(&pair);
		pair.loop = NULL;
		TASK_CHECK(hilo_add_reader(pair.fd[0], reads, &pair), ==, 0);
		give(&pair);
		TEST_UNTIL(load_acquire(&pair.read) == 1);
		TASK_CHECK(hilo_remove_reader(pair.fd[0]), ==, 1);
		pair_close(&pair);
	}
	return 0;
}

TASK_TEST(test_readers_come_and_go)
{
	hilo_task *tasks[8];

	for (size_t i = 0; i < array_size(tasks); i++)
		tasks[i] = hilo_spawn(comes_and_goes, NULL);
	return hilo_gather(tasks, array_size(tasks), NULL, HILO_FOREVER);
}

/* What is left goes with the runtime; a done callback that is called at its end may still remove one. */
struct end {
	struct pair pair[2];
	hilo_done_node node;
	hilo_future *future;
	int removed, removed_again, added;
};

static void removes_at_the_end(void *arg)
{
	struct end *end = arg;

	end->removed = hilo_remove_reader(end->pair[0].fd[0]);
	end->removed_again = hilo_remove_reader(end->pair[0].fd[0]);
	end->added = hilo_add_reader(end->pair[0].fd[0], looks, &end->pair[0]);
}

static int leaves_readers_behind(void *arg)
{
	struct end *end = arg;

	for (int i = 0; i < 2; i++)
		TASK_CHECK(hilo_add_reader(end->pair[i].fd[0], looks, &end->pair[i]), ==, 0);
	TASK_CHECK(hilo_add_writer(end->pair[1].fd[0], looks, &end->pair[1]), ==, 0);
	return hilo_future_on_done(end->future, &end->node, removes_at_the_end, end);
}

static void test_the_end_of_a_runtime(void **state)
{
	long live = 0;

	(void)state;
	for (unsigned round = 0; round < 5; round++) {
		struct end end = {.future = hilo_future_new()};
		unsigned fds = test_fds();

		for (int i = 0; i < 2; i++)
			pair_open(&end.pair[i]);
		assert_int_equal(test_run(2, leaves_readers_behind, &end), 0);
		assert_int_equal(end.removed, 1);
		assert_int_equal(end.removed_again, 0);
		assert_int_equal(end.added, -EDEADLK);
		for (int i = 0; i < 2; i++)
			pair_close(&end.pair[i]);
		assert_int_equal(test_fds(), fds);
		hilo_future_unref(end.future);
		if (round == 1)
			live = hilo__mem_live();
		if (round > 1)
			assert_int_equal(hilo__mem_live(), live);
	}
}

/* Another runtime has its own, of the same descriptor. */
static int adds_in_another_runtime(void *arg)
{
	TASK_CHECK(hilo_remove_reader(((struct pair *)arg)->fd[0]), ==, 0);
	TASK_CHECK(adds(arg), ==, 0);
	TEST_UNTIL(load_acquire(&((struct pair *)arg)->read) >= 3);
	return removes(arg);
}

static void *run_another_runtime(void *arg)
{
	TASK_CHECK(test_run(1, adds_in_another_runtime, arg), ==, 1);
	return NULL;
}

TASK_TEST(test_each_runtime_has_its_own)
{
	static struct pair pair;
	pthread_t thread;

	pair_open(&pair);
	pair.loop = NULL;
	give(&pair);
	TASK_CHECK(hilo_add_reader(pair.fd[0], other, &pair), ==, 0);
	TASK_CHECK(pthread_create(&thread, NULL, run_another_runtime, &pair), ==, 0);
	TEST_UNTIL(load_acquire(&pair.other) >= 3);
	test_join_thread(thread);
	TASK_CHECK(load_acquire(&pair.read), >=, 3);
	TASK_CHECK(hilo_remove_reader(pair.fd[0]), ==, 1);
	pair_close(&pair);
	return 0;
}

TASK_TEST(test_what_is_refused)
{
	/* A number that nobody else is given when it is closed: a spare worker may be made at any moment. */
	int low = open("/proc/self/exe", O_RDONLY | O_CLOEXEC), file = fcntl(low, F_DUPFD_CLOEXEC, 600);

	(void)close(low);
	TASK_CHECK(hilo_add_reader(-1, looks, NULL), ==, -EBADF);
	TASK_CHECK_TEXT(hilo_error_message(), "hilo_add_reader: descriptor -1");
	TASK_CHECK(hilo_add_writer(file, NULL, NULL), ==, -EINVAL);
	TASK_CHECK_TEXT(hilo_error_message(), "hilo_add_writer: fn is NULL");
	TASK_CHECK(hilo_remove_writer(-7), ==, -EBADF);
	TASK_CHECK_TEXT(hilo_error_message(), "hilo_remove_writer: descriptor -7");
	TASK_CHECK(hilo_add_reader(file, looks, NULL), ==, -EPERM); /* always ready */
	TASK_CHECK(hilo_remove_reader(file), ==, 0);
	(void)close(file);
	TASK_CHECK(hilo_add_reader(file, looks, NULL), ==, -EBADF);
	return 0;
}

static void test_plain_threads_have_no_loop(void **state)
{
	(void)state;
	assert_int_equal(hilo_add_reader(0, looks, NULL), -EDEADLK);
	assert_int_equal(hilo_add_writer(0, looks, NULL), -EDEADLK);
	assert_int_equal(hilo_remove_reader(0), -EDEADLK);
	assert_int_equal(hilo_remove_writer(0), -EDEADLK);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_readers_and_writers_are_called_on_the_loop_that_asked),
		cmocka_unit_test(test_a_broken_descriptor_is_ready),
		cmocka_unit_test(test_a_reader_is_replaced),
		cmocka_unit_test(test_a_reader_belongs_to_the_runtime),
		cmocka_unit_test(test_descriptors_of_any_number),
		cmocka_unit_test(test_a_number_that_is_used_again),
		cmocka_unit_test(test_readers_come_and_go),
		cmocka_unit_test(test_the_end_of_a_runtime),
		cmocka_unit_test(test_each_runtime_has_its_own),
		cmocka_unit_test(test_what_is_refused),
		cmocka_unit_test(test_plain_threads_have_no_loop),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
