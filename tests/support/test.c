/* SPDX-License-Identifier: MIT */
#include "tests/support/test.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Seconds after which a program hangs, times HILO_TEST_SCALE. valgrind may look through stacks for minutes. */
#ifdef HILO_TEST_EMULATED
#define WATCHDOG_SECONDS 900
#else
#define WATCHDOG_SECONDS 200
#endif

#if defined(HILO__TSAN) || defined(HILO_TEST_EMULATED)
#define SLOWER 10
#elif defined(HILO__ASAN)
#define SLOWER 4
#else
#define SLOWER 1
#endif

static uint64_t seed;

void test_die(const char *file, int line, const char *what, long long a, long long b)
{
	(void)fflush(stdout);
	(void)fprintf(stderr, "%s:%d: check failed: %s: %lld, %lld (seed %llu)\n", file, line, what, a, b,
		      (unsigned long long)seed);
	abort();
}

void test_check_sizes(const char *file, int line, uint64_t have, uint64_t want)
{
	uint64_t is_have, is_want;
	int rc = hilo_error_sizes(&is_have, &is_want);

	if (rc < 0)
		test_die(file, line, "the last failure has sizes", rc, 0);
	if (is_have != have)
		test_die(file, line, "bytes of the last failure", (long long)is_have, (long long)have);
	if (is_want != want)
		test_die(file, line, "of bytes of the last failure", (long long)is_want, (long long)want);
}

void test_check_text(const char *file, int line, const char *a, const char *b, bool contains)
{
	if (a && b && (contains ? strstr(a, b) != NULL : strcmp(a, b) == 0))
		return;
	(void)fprintf(stderr, "%s:%d: check failed: \"%s\" %s \"%s\"\n", file, line, a ? a : "(NULL)",
		      contains ? "contains" : "is", b ? b : "(NULL)");
	abort();
}

static void watchdog_bark(int signal)
{
	static const char text[] = "the watchdog of the test has come: it hangs\n";

	(void)signal;
	(void)!write(STDERR_FILENO, text, sizeof(text) - 1);
	abort();
}

unsigned test_scale(void)
{
	const char *text = getenv("HILO_TEST_SCALE");
	int scale = text ? atoi(text) : 1;

	return scale > 0 ? (unsigned)scale : 1;
}

unsigned test_rounds(unsigned n)
{
	unsigned rounds = n * test_scale() / SLOWER;

	return rounds ? rounds : 1;
}

unsigned test_fewer(unsigned n)
{
	return n / SLOWER ? n / SLOWER : 1;
}

bool test_on_valgrind(void)
{
	const char *preload = getenv("LD_PRELOAD");

	return preload && strstr(preload, "vgpreload");
}

uint64_t test_seed(void)
{
	return seed;
}

void test_begin(void)
{
	const char *text = getenv("HILO_TEST_SEED");
	struct sigaction action = {.sa_handler = watchdog_bark};

	seed = text && *text ? strtoull(text, NULL, 10) : hilo__random_seed();
	(void)fprintf(stderr, "HILO_TEST_SEED=%llu\n", (unsigned long long)seed);
	(void)sigaction(SIGALRM, &action, NULL);
	(void)alarm(WATCHDOG_SECONDS * test_scale());
	/* What the surroundings say must not change what the tests ask for. */
	(void)unsetenv("HILO_WORKERS");
	(void)unsetenv("HILO_STACK");
	(void)unsetenv("HILO_CONFIG");
	(void)unsetenv("HILO_DEBUG");
}

int test_run(unsigned workers, hilo_task_fn body, void *arg)
{
	hilo_opts opts = {.size = sizeof(opts), .workers = workers};

	return hilo_run(body, arg, &opts);
}

int test_run_natural(unsigned workers, hilo_task_fn body, void *arg)
{
	const char *asked = getenv("HILO_TEST_SEED");
	char kept[64];
	int result;

	(void)snprintf(kept, sizeof(kept), "%s", asked ? asked : "");
	(void)unsetenv("HILO_TEST_SEED");
	result = test_run(workers, body, arg);
	if (asked)
		(void)setenv("HILO_TEST_SEED", kept, 1);
	return result;
}

void test_each(hilo_task_fn body)
{
	static const unsigned workers[] = {1, 2, 4};

	for (size_t i = 0; i < array_size(workers); i++)
		assert_int_equal(test_run(workers[i], body, NULL), 0);
}

int test_errno_get(void)
{
	return errno;
}

void test_errno_set(int value)
{
	errno = value;
}

void test_pause(void)
{
	static _Thread_local unsigned pauses;
	struct timespec moment = {0, 20000};

	if (hilo_task_current() && hilo_yield() == 0)
		return;
	/* Not in a task from here on; a cancelled one gives the others the processor at least. */
	if (++pauses % 64)
		cpu_relax();
	else
		(void)nanosleep(&moment, NULL);
}

bool test_thread_blocks(const struct proc_thread *thread)
{
	const struct timespec moment = {0, PROC_LOOK_AGAIN_NS};
	int64_t cpu = hilo__proc_thread_cpu(thread);

	if (!hilo__proc_thread_sleeps(thread))
		return false;
	(void)nanosleep(&moment, NULL);
	return hilo__proc_thread_cpu(thread) == cpu && hilo__proc_thread_sleeps(thread);
}

static int join_blocking(void *arg)
{
	return -pthread_join(*(pthread_t *)arg, NULL);
}

void test_join_thread(pthread_t thread)
{
	if (hilo_task_current())
		TASK_CHECK(hilo_run_in_executor(NULL, join_blocking, &thread, HILO_FOREVER), ==, 0);
	else
		TASK_CHECK(join_blocking(&thread), ==, 0);
}

static unsigned entries_of(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	unsigned count = 0;

	if (!dir)
		return 0;
	while ((entry = readdir(dir)))
		count += entry->d_name[0] != '.';
	(void)closedir(dir);
	return count;
}

unsigned test_threads(void)
{
	return entries_of("/proc/self/task");
}

unsigned test_fds(void)
{
	unsigned count = 0;

	for (int fd = 0; fd < 1024; fd++) /* there may be no /proc */
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

void test_threads_settle(unsigned most)
{
	TEST_UNTIL(test_threads() <= most);
}

static struct {
	pthread_mutex_t lock;
	char lines[64][320];
	unsigned count;
} caught = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void log_catch(enum hilo_log_level level, const char *line, void *arg)
{
	(void)level, (void)arg;
	pthread_mutex_lock(&caught.lock);
	(void)snprintf(caught.lines[caught.count % array_size(caught.lines)], sizeof(caught.lines[0]), "%s",
		       line);
	caught.count++;
	pthread_mutex_unlock(&caught.lock);
}

void test_log_begin(void)
{
	caught.count = 0;
	hilo_log_set(log_catch, NULL);
}

void test_log_end(void)
{
	hilo_log_set(NULL, NULL);
}

unsigned test_log_count(const char *part)
{
	unsigned count = 0;

	pthread_mutex_lock(&caught.lock);
	for (unsigned i = 0; i < caught.count && i < array_size(caught.lines); i++)
		count += strstr(caught.lines[i], part) != NULL;
	pthread_mutex_unlock(&caught.lock);
	return count;
}

void test_log_last(char *buf, size_t size)
{
	pthread_mutex_lock(&caught.lock);
	(void)snprintf(buf, size, "%s",
		       caught.count ? caught.lines[(caught.count - 1) % array_size(caught.lines)] : "");
	pthread_mutex_unlock(&caught.lock);
}

int test_entry_return(void *arg)
{
	return (int)(intptr_t)arg;
}

int test_entry_sleep_forever(void *arg)
{
	(void)arg;
	return hilo_sleep_until(HILO_FOREVER);
}

int test_entry_wait(void *arg)
{
	return hilo_future_await(arg, NULL, HILO_FOREVER);
}
