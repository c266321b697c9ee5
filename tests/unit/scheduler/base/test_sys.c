/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "scheduler/base/clock.h"
#include "scheduler/base/sys.h"

static int reset(void **state)
{
	(void)state;
	hilo__sys_reset();
	return 0;
}

static void test_sys_passes_results_and_errors(void **state)
{
	struct epoll_event event = {0};
	siginfo_t info;
	char buf[4];
	int rc;

	(void)state;
	assert_int_equal(hilo__sys_close(-1), -EBADF);
	assert_int_equal(hilo__sys_read(-1, buf, 1), -EBADF);
	assert_int_equal(hilo__sys_epoll_ctl(-1, EPOLL_CTL_ADD, 0, &event), -EBADF);
	assert_int_equal(hilo__sys_open("/nonexistent/file", O_RDONLY), -ENOENT);
	assert_int_equal(hilo__sys_munmap((void *)1, 4096), -EINVAL);
	assert_int_equal(hilo__sys_kill(getpid(), 0), 0);
	assert_int_equal(hilo__sys_kill(getpid(), 4711), -EINVAL);
	rc = hilo__sys_pidfd_send_signal(-1, 0);
	assert_true(rc == -EBADF || rc == -ENOSYS); /* valgrind does not know it */
	assert_int_equal(hilo__sys_waitid(P_PID, (id_t)getpid(), &info, WEXITED | WNOHANG), -ECHILD);
	assert_int_equal(hilo__sys_sigaction(4711, NULL, NULL), -EINVAL);
	assert_int_equal(hilo__sys_clone(NULL, NULL, 0, NULL, NULL), -EINVAL);
}

static void test_sys_each_call_really_calls(void **state)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u32 = 7};
	struct timespec none = {0, 0};
	struct itimerspec soon = {.it_value.tv_nsec = 1};
	uint64_t count = 3;
	struct pollfd pfd;
	void *page;
	int epfd = hilo__sys_epoll_create1(EPOLL_CLOEXEC);
	int efd = hilo__sys_eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	int tfd = hilo__sys_timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC), pipes[2];

	(void)state;
	assert_true(epfd >= 0 && efd >= 0 && tfd >= 0);
	assert_int_equal(hilo__sys_epoll_ctl(epfd, EPOLL_CTL_ADD, efd, &event), 0);
	assert_int_equal(hilo__sys_epoll_wait(epfd, &event, 1, 0), 0);
	assert_int_equal(hilo__sys_read(efd, &count, sizeof(count)), -EAGAIN);
	assert_int_equal(hilo__sys_write(efd, &count, sizeof(count)), sizeof(count));
	assert_int_equal(hilo__sys_epoll_wait(epfd, &event, 1, -1), 1);
	assert_int_equal(event.data.u32, 7);
	assert_in_range(hilo__sys_epoll_pwait2(epfd, &event, 1, &none) + ENOSYS, 0, ENOSYS + 1);
	pfd = (struct pollfd){.fd = efd, .events = POLLIN};
	assert_int_equal(hilo__sys_ppoll(&pfd, 1, &none), 1);
	assert_int_equal(hilo__sys_timerfd_settime(tfd, 0, &soon), 0);
	assert_int_equal(hilo__sys_read(tfd, &count, sizeof(count)), sizeof(count));
	assert_int_equal(hilo__sys_mmap(NULL, 4096, PROT_READ | PROT_WRITE, 0, &page), 0);
	*(char *)page = 1;
	assert_int_equal(hilo__sys_mprotect(page, 4096, PROT_READ), 0);
	assert_int_equal(hilo__sys_madvise(page, 4096, MADV_DONTNEED), 0);
	assert_int_equal(*(char *)page, 0);
	assert_int_equal(hilo__sys_munmap(page, 4096), 0);
	assert_int_equal(hilo__sys_pipe2(pipes, O_CLOEXEC), 0);
	assert_int_equal(hilo__sys_write(pipes[1], "x", 1), 1);
	assert_int_equal(hilo__sys_close(pipes[0]), 0);
	assert_int_equal(hilo__sys_close(pipes[1]), 0);
	assert_int_equal(hilo__sys_close(epfd), 0);
	assert_int_equal(hilo__sys_close(efd), 0);
	assert_int_equal(hilo__sys_close(tfd), 0);
}

static void *thread_return(void *arg)
{
	return arg;
}

static void test_sys_pthread_create_answers_negative(void **state)
{
	pthread_t thread;
	void *result;

	(void)state;
	hilo__sys_fail(SYS_CALL_PTHREAD_CREATE, 1, 0, false);
	assert_int_equal(hilo__sys_pthread_create(&thread, NULL, thread_return, NULL), -EAGAIN);
	assert_int_equal(hilo__sys_pthread_create(&thread, NULL, thread_return, &thread), 0);
	assert_int_equal(pthread_join(thread, &result), 0);
	assert_ptr_equal(result, &thread);
}

static void test_sys_fail_only_the_nth(void **state)
{
	(void)state;
	hilo__sys_fail(SYS_CALL_EPOLL_CREATE1, 2, ENFILE, false);
	for (int i = 1; i <= 3; i++) {
		int fd = hilo__sys_epoll_create1(0);

		if (i == 2)
			assert_int_equal(fd, -ENFILE);
		else
			assert_int_equal(hilo__sys_close(fd), 0);
	}
	assert_int_equal(hilo__sys_calls(SYS_CALL_EPOLL_CREATE1), 3);
}

static void test_sys_fail_persistently(void **state)
{
	(void)state;
	hilo__sys_fail(SYS_CALL_EVENTFD, 1, -EMFILE, true); /* the sign does not matter */
	for (int i = 0; i < 5; i++)
		assert_int_equal(hilo__sys_eventfd(0, 0), -EMFILE);
	hilo__sys_fail(SYS_CALL_EVENTFD, 0, 0, false);
	assert_int_equal(hilo__sys_close(hilo__sys_eventfd(0, 0)), 0);
}

static void test_sys_fail_any_counts_across_calls(void **state)
{
	char c;

	(void)state;
	hilo__sys_fail(SYS_CALL_ANY, 3, 0, false);
	assert_int_equal(hilo__sys_read(-1, &c, 1), -EBADF);
	assert_int_equal(hilo__sys_write(-1, &c, 1), -EBADF);
	assert_int_equal(hilo__sys_epoll_create1(0), -EMFILE); /* its typical error */
	assert_int_equal(hilo__sys_read(-1, &c, 1), -EBADF);
	assert_int_equal(hilo__sys_calls(SYS_CALL_ANY), 4);
	assert_true(hilo__sys_calls(SYS_CALL_READ) >= 2);
}

static void test_sys_failed_close_still_closes(void **state)
{
	int fd = hilo__sys_eventfd(0, 0);

	(void)state;
	hilo__sys_fail(SYS_CALL_CLOSE, 1, EIO, false);
	assert_int_equal(hilo__sys_close(fd), -EIO);
	assert_int_equal(hilo__sys_close(fd), -EBADF);
}

static void test_sys_chaos_shortens_within_bounds(void **state)
{
	const struct sys_chaos chaos = {.seed = 1, .shorten = 500};
	char buf[4096];
	int fd = hilo__sys_open("/dev/zero", O_RDONLY);
	int shorter = 0;

	(void)state;
	hilo__sys_chaos(&chaos);
	for (int i = 0; i < 1000; i++) {
		ssize_t n = hilo__sys_read(fd, buf, sizeof(buf));

		assert_in_range(n, 1, sizeof(buf));
		shorter += n < (ssize_t)sizeof(buf);
		assert_int_equal(hilo__sys_read(fd, buf, 8), 8);
	}
	assert_in_range(shorter, 400, 600);
	hilo__sys_close(fd);
}

/* Draw 200 times; the pattern of interruptions as a hash. */
static uint64_t chaos_pattern(uint64_t seed)
{
	const struct sys_chaos chaos = {.seed = seed, .interrupt = 300};
	uint64_t pattern = 0;
	char c;

	hilo__sys_chaos(&chaos);
	for (int i = 0; i < 200; i++)
		pattern = pattern * 3 + (hilo__sys_read(-1, &c, 1) == -EINTR);
	return pattern;
}

static void test_sys_chaos_is_decided_by_its_seed(void **state)
{
	(void)state;
	assert_true(chaos_pattern(1) == chaos_pattern(1));
	assert_true(chaos_pattern(1) != chaos_pattern(2));
	assert_true(chaos_pattern(1) != 0);
}

static void test_sys_chaos_interrupts_only_what_may_be(void **state)
{
	const struct sys_chaos chaos = {.seed = 1, .interrupt = 1000};
	char c;

	(void)state;
	hilo__sys_chaos(&chaos);
	assert_int_equal(hilo__sys_read(-1, &c, 1), -EINTR);
	assert_int_equal(hilo__sys_epoll_wait(-1, NULL, 1, 0), -EINTR);
	assert_int_equal(hilo__sys_close(-1), -EBADF);
	assert_int_equal(hilo__sys_munmap((void *)1, 4096), -EINVAL);
}

static void test_sys_chaos_delays(void **state)
{
	const struct sys_chaos chaos = {.seed = 1, .delay = 1000, .delay_us = 200};
	int64_t start = hilo__clock_now();
	char c;

	(void)state;
	hilo__sys_chaos(&chaos);
	for (int i = 0; i < 50; i++)
		assert_int_equal(hilo__sys_read(-1, &c, 1), -EBADF);
	assert_true(hilo__clock_now() - start > 1000000); /* 50 times 100 us on average */
}

static ssize_t fake_read(int fd, void *buf, size_t size)
{
	memset(buf, fd, size);
	return (ssize_t)size;
}

static void test_sys_table_can_be_replaced_and_reset(void **state)
{
	char buf[3];

	(void)state;
	hilo__sys.read = fake_read;
	assert_int_equal(hilo__sys_read(65, buf, 3), 3);
	assert_memory_equal(buf, "AAA", 3);
	hilo__sys_reset();
	assert_int_equal(hilo__sys_read(-1, buf, 3), -EBADF);
}

static void test_sys_names(void **state)
{
	(void)state;
	assert_string_equal(hilo__sys_name(SYS_CALL_EPOLL_CTL), "epoll_ctl");
	assert_string_equal(hilo__sys_name(SYS_CALL_GETRANDOM), "getrandom");
	assert_string_equal(hilo__sys_name(SYS_CALL_ANY), "any");
}

#define SYS_TEST(f) cmocka_unit_test_setup_teardown(f, reset, reset)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		SYS_TEST(test_sys_passes_results_and_errors),
		SYS_TEST(test_sys_each_call_really_calls),
		SYS_TEST(test_sys_pthread_create_answers_negative),
		SYS_TEST(test_sys_fail_only_the_nth),
		SYS_TEST(test_sys_fail_persistently),
		SYS_TEST(test_sys_fail_any_counts_across_calls),
		SYS_TEST(test_sys_failed_close_still_closes),
		SYS_TEST(test_sys_chaos_shortens_within_bounds),
		SYS_TEST(test_sys_chaos_is_decided_by_its_seed),
		SYS_TEST(test_sys_chaos_interrupts_only_what_may_be),
		SYS_TEST(test_sys_chaos_delays),
		SYS_TEST(test_sys_table_can_be_replaced_and_reset),
		SYS_TEST(test_sys_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
