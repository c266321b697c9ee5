/* SPDX-License-Identifier: MIT */
/* test_fs_watch.c - what inotify tells, of directories that come and go too, and what becomes of who waits. */
#include "tests/unit/io/files.h"

#include <hilo/io/fs_watch.h>

static hilo_fs_watch *watching(const char *path, uint32_t mask)
{
	hilo_fs_watch *watch = NULL;

	TASK_CHECK(hilo_fs_watch_new(&watch), ==, 0);
	TASK_CHECK(hilo_fs_watch_add(watch, path, mask, HILO_FOREVER), ==, 0);
	return watch;
}

/* The next event is that. */
static void told(hilo_fs_watch *watch, uint32_t mask, const char *path, const char *name)
{
	hilo_fs_event event;

	TASK_CHECK(hilo_fs_watch_next(watch, &event, HILO_FOREVER), ==, 1);
	TASK_CHECK_TEXT(event.name, name);
	TASK_CHECK_TEXT(event.path, path);
	TASK_CHECK(event.mask, ==, mask);
}

TASK_TEST(test_events_come_in_order)
{
	struct folder folder;
	hilo_fs_event event;
	hilo_fs_watch *watch;
	uint32_t cookie;

	folder_make(&folder);
	watch = watching(folder.path, HILO_FS_CREATED | HILO_FS_WRITTEN | HILO_FS_MOVED_FROM |
					      HILO_FS_MOVED_TO | HILO_FS_DELETED);
	TASK_CHECK(hilo_fs_watch_next(watch, &event, HILO_NO_WAIT), ==, -ETIMEDOUT);
	put(in(&folder, "a"), "abc", 3);
	told(watch, HILO_FS_CREATED, folder.path, "a");
	told(watch, HILO_FS_WRITTEN, folder.path, "a");
	TASK_CHECK(rename(in(&folder, "a"), in(&folder, "b")), ==, 0);
	TASK_CHECK(hilo_fs_watch_next(watch, &event, HILO_FOREVER), ==, 1);
	TASK_CHECK(event.mask, ==, HILO_FS_MOVED_FROM);
	TASK_CHECK_TEXT(event.name, "a");
	cookie = event.cookie;
	TASK_CHECK(cookie != 0, ==, 1);
	TASK_CHECK(hilo_fs_watch_next(watch, &event, HILO_FOREVER), ==, 1);
	TASK_CHECK(event.mask, ==, HILO_FS_MOVED_TO);
	TASK_CHECK(event.cookie, ==, cookie);
	TASK_CHECK(mkdir(in(&folder, "d"), 0755), ==, 0);
	told(watch, HILO_FS_CREATED | HILO_FS_DIRECTORY, folder.path, "d");
	put(in(&folder, "d/x"), "", 0); /* below, which nobody has asked for */
	TASK_CHECK(unlink(in(&folder, "b")), ==, 0);
	told(watch, HILO_FS_DELETED, folder.path, "b");
	TASK_CHECK(hilo_fs_watch_remove(watch, folder.path, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_fs_watch_remove(watch, folder.path, HILO_FOREVER), ==, -ENOENT);
	put(in(&folder, "c"), "", 0);
	TASK_CHECK(hilo_fs_watch_next(watch, &event, HILO_NO_WAIT), ==, -ETIMEDOUT);
	hilo_fs_watch_free(watch);
	folder_remove(&folder);
	return 0;
}

TASK_TEST(test_watched_file_that_goes)
{
	struct folder folder;
	hilo_fs_watch *watch;
	const char *path;

	folder_make(&folder);
	path = in(&folder, "a");
	put(path, "abc", 3);
	watch = watching(path, HILO_FS_SELF_DELETED | HILO_FS_MODIFIED);
	put(path, "abcd", 4);
	told(watch, HILO_FS_MODIFIED, path, "");
	TASK_CHECK(unlink(path), ==, 0);
	for (;;) { /* the same modification may come twice */
		hilo_fs_event event;

		TASK_CHECK(hilo_fs_watch_next(watch, &event, HILO_FOREVER), ==, 1);
		if (event.mask == HILO_FS_SELF_DELETED)
			break;
		TASK_CHECK(event.mask, ==, HILO_FS_MODIFIED);
	}
	told(watch, HILO_FS_ENDED, path, "");
	TASK_CHECK(hilo_fs_watch_remove(watch, path, HILO_FOREVER), ==, -ENOENT);
	hilo_fs_watch_free(watch);
	folder_remove(&folder);
	return 0;
}

TASK_TEST(test_misuse_and_limits)
{
	struct folder folder;
	hilo_fs_watch *watch;
	hilo_fs_event event;

	folder_make(&folder);
	TASK_CHECK(hilo_fs_watch_new(NULL), ==, -EINVAL);
	hilo__sys_fail(SYS_CALL_INOTIFY_INIT1, 1, EMFILE, false);
	TASK_CHECK(hilo_fs_watch_new(&watch), ==, -EMFILE);
	TASK_CHECK_CONTAINS(hilo_error_message(), "max_user_instances");
	hilo__sys_fail(SYS_CALL_EVENTFD, 1, EMFILE, true); /* for all: another thread may ask first */
	TASK_CHECK(hilo_fs_watch_new(&watch), ==, -EMFILE);
	hilo__sys_fail(SYS_CALL_EVENTFD, 0, 0, false);
	TASK_CHECK(hilo_fs_watch_new(&watch), ==, 0);
	TASK_CHECK(hilo_fs_watch_add(watch, NULL, HILO_FS_ALL, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_fs_watch_add(watch, folder.path, 0, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_fs_watch_add(watch, folder.path, HILO_FS_OVERFLOW, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_fs_watch_add(watch, in(&folder, "a"), HILO_FS_ALL, HILO_FOREVER), ==, -ENOENT);
	hilo__sys_fail(SYS_CALL_INOTIFY_ADD_WATCH, 1, ENOSPC, false);
	TASK_CHECK(hilo_fs_watch_add(watch, folder.path, HILO_FS_ALL, HILO_FOREVER), ==, -ENOSPC);
	TASK_CHECK_CONTAINS(hilo_error_message(), "max_user_watches");
	hilo__sys_fail(SYS_CALL_INOTIFY_ADD_WATCH, 0, 0, false);
	TASK_CHECK(hilo_fs_watch_next(watch, NULL, HILO_NO_WAIT), ==, -EINVAL);
	TASK_CHECK(hilo_fs_watch_next(NULL, &event, HILO_NO_WAIT), ==, -EINVAL);
	TASK_CHECK(hilo_fs_watch_remove(watch, NULL, HILO_NO_WAIT), ==, -EINVAL);
	/* One directory of many: nothing is left of those before. */
	TASK_CHECK(mkdir(in(&folder, "a"), 0755), ==, 0);
	TASK_CHECK(mkdir(in(&folder, "b"), 0755), ==, 0);
	hilo__sys_fail(SYS_CALL_INOTIFY_ADD_WATCH, 3, ENOSPC, false);
	TASK_CHECK(hilo_fs_watch_add(watch, folder.path, HILO_FS_ALL | HILO_FS_RECURSIVE, HILO_FOREVER), ==,
		   -ENOSPC);
	hilo__sys_fail(SYS_CALL_INOTIFY_ADD_WATCH, 0, 0, false);
	put(in(&folder, "a/x"), "", 0);
	TASK_CHECK(hilo_fs_watch_next(watch, &event, HILO_NO_WAIT), ==, -ETIMEDOUT);
	hilo_fs_watch_free(watch);
	hilo_fs_watch_free(NULL);
	folder_remove(&folder);
	return 0;
}

TASK_TEST(test_recursion_follows_what_appears)
{
	bool seen[64] = {false};
	unsigned missing = 64;
	struct folder folder, elsewhere;
	hilo_fs_event event;
	hilo_fs_watch *watch;
	char path[256], text[300];

	folder_make(&folder);
	TASK_CHECK(mkdir(in(&folder, "old"), 0755), ==, 0);
	watch = watching(folder.path, HILO_FS_CREATED | HILO_FS_RECURSIVE);
	(void)snprintf(path, sizeof(path), "%s", in(&folder, "old"));
	put(in(&folder, "old/x"), "", 0);
	told(watch, HILO_FS_CREATED, path, "x");
	/* A tree that grows before anybody can have watched it: each of its files is told. */
	(void)snprintf(path, sizeof(path), "%s/new", folder.path);
	for (unsigned i = 0; i < 8; i++) {
		TASK_CHECK(mkdir(path, 0755), ==, 0);
		for (unsigned j = 0; j < 8; j++) {
			(void)snprintf(text, sizeof(text), "%s/f%u", path, 8 * i + j);
			put(text, "", 0);
		}
		(void)snprintf(path + strlen(path), sizeof(path) - strlen(path), "/d");
	}
	while (missing) {
		TASK_CHECK(hilo_fs_watch_next(watch, &event, HILO_FOREVER), ==, 1);
		if (event.name[0] == 'f' && !seen[atoi(event.name + 1)]) {
			seen[atoi(event.name + 1)] = true;
			missing--;
			(void)snprintf(text, sizeof(text), "%s/%s", event.path, event.name);
			TASK_CHECK(access(text, F_OK), ==, 0);
		}
	}
	/* One that was moved out is watched no more. */
	folder_make(&elsewhere);
	TASK_CHECK(rename(in(&folder, "old"), in(&elsewhere, "old")), ==, 0);
	put(in(&folder, "last"), "", 0);
	do
		TASK_CHECK(hilo_fs_watch_next(watch, &event, HILO_FOREVER), ==, 1);
	while (strcmp(event.name, "last") != 0);
	put(in(&elsewhere, "old/y"), "", 0);
	TASK_CHECK(hilo_fs_watch_next(watch, &event, HILO_NO_WAIT), ==, -ETIMEDOUT);
	folder_remove(&elsewhere);
	hilo_fs_watch_free(watch);
	folder_remove(&folder);
	return 0;
}

static ssize_t read_overflow(int fd, void *buf, size_t size)
{
	struct inotify_event event = {.wd = -1, .mask = IN_Q_OVERFLOW};

	if (size != 16384)
		return sys_real_read(fd, buf, size);
	memcpy(buf, &event, sizeof(event));
	return sizeof(event);
}

static int overflow_body(void *arg)
{
	hilo_fs_event event;
	hilo_fs_watch *watch = watching("/tmp", HILO_FS_CREATED);

	(void)arg;
	TASK_CHECK(hilo_fs_watch_next(watch, &event, HILO_FOREVER), ==, 1);
	TASK_CHECK(event.mask, ==, HILO_FS_OVERFLOW);
	TASK_CHECK_TEXT(event.path, "");
	hilo_fs_watch_free(watch);
	return 0;
}

static void test_overflow_is_an_event(void **state)
{
	(void)state;
	hilo__sys.read = read_overflow;
	assert_int_equal(test_run(1, overflow_body, NULL), 0);
	hilo__sys_reset();
}

struct taker {
	hilo_fs_watch *watch;
	hilo_time deadline;
	hilo_fs_event event;
};

static int taker_task(void *arg)
{
	struct taker *taker = arg;

	return hilo_fs_watch_next(taker->watch, &taker->event, taker->deadline);
}

/* Until @task waits. */
static void until_waits(hilo_task *task)
{
	while (hilo_task_get_state(task) != HILO_TASK_SUSPENDED)
		test_pause();
}

TASK_TEST(test_recursion_from_a_link_is_of_what_it_leads_to)
{
	struct folder folder;
	hilo_fs_watch *watch;

	folder_make(&folder);
	TASK_CHECK(mkdir(in(&folder, "d"), 0755), ==, 0);
	TASK_CHECK(mkdir(in(&folder, "d/s"), 0755), ==, 0);
	TASK_CHECK(symlink("d", in(&folder, "l")), ==, 0);
	watch = watching(in(&folder, "l"), HILO_FS_CREATED | HILO_FS_RECURSIVE);
	put(in(&folder, "d/s/x"), "", 0);
	told(watch, HILO_FS_CREATED, in(&folder, "l/s"), "x");
	hilo_fs_watch_free(watch);
	folder_remove(&folder);
	return 0;
}

TASK_TEST(test_a_directory_is_watched_for_all_that_was_asked)
{
	struct folder folder;
	hilo_fs_watch *watch;

	folder_make(&folder);
	TASK_CHECK(mkdir(in(&folder, "d"), 0755), ==, 0);
	watch = watching(in(&folder, "d"), HILO_FS_WRITTEN);
	TASK_CHECK(hilo_fs_watch_add(watch, folder.path, HILO_FS_CREATED | HILO_FS_RECURSIVE, HILO_FOREVER),
		   ==, 0);
	put(in(&folder, "d/x"), "abc", 3);
	told(watch, HILO_FS_CREATED, in(&folder, "d"), "x");
	told(watch, HILO_FS_WRITTEN, in(&folder, "d"), "x");
	hilo_fs_watch_free(watch);
	folder_remove(&folder);
	return 0;
}

TASK_TEST(test_waits_end_in_six_ways)
{
	struct folder folder;
	struct taker taker = {.deadline = HILO_FOREVER};
	hilo_task *task;
	int rc;

	folder_make(&folder);
	taker.watch = watching(folder.path, HILO_FS_CREATED);
	task = hilo_spawn(taker_task, &taker); /* after waiting */
	until_waits(task);
	TASK_CHECK(hilo_fs_watch_next(taker.watch, &(hilo_fs_event){0}, HILO_NO_WAIT), ==, -EBUSY);
	put(in(&folder, "a"), "", 0);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 1);
	TASK_CHECK_TEXT(taker.event.name, "a");
	put(in(&folder, "b"), "", 0); /* at once */
	TASK_CHECK(taker_task(&taker), ==, 1);
	TASK_CHECK_TEXT(taker.event.name, "b");
	taker.deadline = hilo_after(HILO_MILLISECOND); /* timeout */
	TASK_CHECK(taker_task(&taker), ==, -ETIMEDOUT);
	taker.deadline = HILO_FOREVER;
	task = hilo_spawn(taker_task, &taker); /* cancel */
	until_waits(task);
	TASK_CHECK(hilo_task_cancel(task), >=, 0);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, -ECANCELED);
	for (int i = 0; i < 20;
	     i++) { /* a cancel that races with an event: one of both, and it is not lost */
		task = hilo_spawn(taker_task, &taker);
		put(in(&folder, i & 1 ? "odd" : "even"), "", 0);
		(void)hilo_task_cancel(task); /* it may have ended */
		rc = hilo_join(task, HILO_FOREVER);
		if (rc != 1) {
			TASK_CHECK(rc, ==, -ECANCELED);
			TASK_CHECK(taker_task(&taker), ==, 1);
		}
		TASK_CHECK_TEXT(taker.event.name, i & 1 ? "odd" : "even");
		TASK_CHECK(unlink(in(&folder, i & 1 ? "odd" : "even")), ==, 0);
	}
	task = hilo_spawn(taker_task, &taker); /* close */
	until_waits(task);
	hilo_fs_watch_free(taker.watch);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, HILO_ECLOSED);
	folder_remove(&folder);
	return 0;
}

static void *taker_thread(void *arg)
{
	TASK_CHECK(taker_task(arg), ==, HILO_ECLOSED);
	return NULL;
}

static void test_plain_thread_is_woken_by_the_end(void **state)
{
	struct taker taker = {.deadline = HILO_FOREVER};
	pthread_t thread;

	(void)state;
	assert_int_equal(hilo_fs_watch_new(&taker.watch), 0);
	assert_int_equal(pthread_create(&thread, NULL, taker_thread, &taker), 0);
	while (!load_relaxed((atomic(uint32_t) *)(void *)taker.watch)) /* its first word: it has users */
		test_pause();
	hilo_fs_watch_free(taker.watch);
	assert_int_equal(pthread_join(thread, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_events_come_in_order),
		cmocka_unit_test(test_watched_file_that_goes),
		cmocka_unit_test(test_misuse_and_limits),
		cmocka_unit_test(test_recursion_follows_what_appears),
		cmocka_unit_test(test_recursion_from_a_link_is_of_what_it_leads_to),
		cmocka_unit_test(test_a_directory_is_watched_for_all_that_was_asked),
		cmocka_unit_test(test_overflow_is_an_event),
		cmocka_unit_test(test_waits_end_in_six_ways),
		cmocka_unit_test(test_plain_thread_is_woken_by_the_end),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
