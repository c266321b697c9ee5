/* SPDX-License-Identifier: MIT */
/*
 * System calls that fail while a runtime runs: one after the other, and many at a time by lot. A program
 * of tasks, timers, descriptors and calls in executors ends with the right results, or with the error
 * that is documented for it; nothing hangs, nothing is leaked.
 *
 *	call			fails with	what is promised
 *	epoll_wait, _pwait2	EINTR		nothing is noticed
 *	epoll_pwait2		ENOSYS		the same, to the millisecond (a filter that came later)
 *	epoll_ctl, ADD		ENOMEM, ENOSPC	hilo_fd_wait says so
 *	read, write, ppoll	EINTR		nothing is noticed
 *	futex, WAIT		EINTR, 0	nothing is noticed: whoever waits looks again
 *	close			EINTR		nothing: the descriptor is gone all the same
 *	mmap			ENOMEM		who asks is told -ENOMEM; a task waits for its stack
 *	mprotect		ENOMEM		a task waits for its stack, or it has no guard
 *	munmap, madvise		ENOMEM, EAGAIN	nothing: memory is given back later, or never
 *	pthread_create		EAGAIN		a call is refused with -EAGAIN, or another thread runs it;
 *						tasks that block hold up others for as long as they do
 *	open			EMFILE		a thread counts as blocked when that cannot be told
 *
 * Not here: what the kernel never answers. epoll_ctl with MOD asks for no memory, a futex that wakes, an
 * eventfd that does not block and is far from its limit, and timerfd_settime cannot fail. What fails
 * while a runtime starts is in test_oom.c.
 */
#include "tests/support/test.h"

#include <errno.h>
#include <linux/futex.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "scheduler/base/mem.h"
#include "scheduler/base/sys.h"
#include "scheduler/fiber/stack.h"

/* What shall fail. All relaxed: counters and switches, each right by itself. */
static struct {
	atomic(uint64_t) draws, seed;
	atomic(unsigned) parts[SYS_CALLS]; /* of a thousand */
	atomic(long) nth[SYS_CALLS];	   /* this one from now on; 0: none */
	atomic(long) calls[SYS_CALLS];
	atomic(uint64_t) struck[SYS_CALLS];
} faults;

static struct sys_table machine;

static uint64_t fault_draw(void)
{
	return random_mix(load_relaxed(&faults.seed) + random_mix(add_relaxed(&faults.draws, 1)));
}

static bool fault_strikes(enum sys_call call)
{
	long calls = add_relaxed(&faults.calls[call], 1) + 1;
	unsigned parts = load_relaxed(&faults.parts[call]);

	if (calls != load_relaxed(&faults.nth[call]) && !(parts && fault_draw() % 1000 < parts))
		return false;
	(void)add_relaxed(&faults.struck[call], 1);
	return true;
}

static void faults_end(void)
{
	for (int call = 0; call < SYS_CALLS; call++) {
		store_relaxed(&faults.parts[call], 0);
		store_relaxed(&faults.nth[call], 0);
	}
}

static int faulty_epoll_wait(int epfd, struct epoll_event *events, int max, int ms)
{
	return fault_strikes(SYS_CALL_EPOLL_WAIT) ? -EINTR : machine.epoll_wait(epfd, events, max, ms);
}

/* A machine without it, as a whole: a runtime that starts then takes a timerfd. */
static bool no_pwait2;

static int faulty_epoll_pwait2(int epfd, struct epoll_event *events, int max, const struct timespec *timeout)
{
	if (no_pwait2)
		return -ENOSYS;
	if (fault_strikes(SYS_CALL_EPOLL_PWAIT2))
		return fault_draw() & 1 ? -EINTR : -ENOSYS;
	return machine.epoll_pwait2(epfd, events, max, timeout);
}

static int faulty_epoll_ctl(int epfd, int op, int fd, struct epoll_event *event)
{
	if (op == EPOLL_CTL_ADD && fault_strikes(SYS_CALL_EPOLL_CTL))
		return fault_draw() & 1 ? -ENOMEM : -ENOSPC;
	return machine.epoll_ctl(epfd, op, fd, event);
}

static ssize_t faulty_read(int fd, void *buf, size_t size)
{
	return fault_strikes(SYS_CALL_READ) ? -EINTR : machine.read(fd, buf, size);
}

static ssize_t faulty_write(int fd, const void *buf, size_t size)
{
	return fault_strikes(SYS_CALL_WRITE) ? -EINTR : machine.write(fd, buf, size);
}

static int faulty_ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout)
{
	return fault_strikes(SYS_CALL_PPOLL) ? -EINTR : machine.ppoll(fds, n, timeout);
}

static int faulty_futex(void *word, int op, uint32_t value, const struct timespec *timeout, uint32_t bits)
{
	if (op != FUTEX_WAKE_PRIVATE && fault_strikes(SYS_CALL_FUTEX))
		return fault_draw() & 1 ? -EINTR : 0;
	return machine.futex(word, op, value, timeout, bits);
}

static int faulty_close(int fd)
{
	int rc = machine.close(fd);

	return fault_strikes(SYS_CALL_CLOSE) ? -EINTR : rc;
}

static int faulty_mmap(void *addr, size_t size, int prot, int flags, void **ret)
{
	return fault_strikes(SYS_CALL_MMAP) ? -ENOMEM : machine.mmap(addr, size, prot, flags, ret);
}

static int faulty_mprotect(void *addr, size_t size, int prot)
{
	return fault_strikes(SYS_CALL_MPROTECT) ? -ENOMEM : machine.mprotect(addr, size, prot);
}

static int faulty_munmap(void *addr, size_t size)
{
	return fault_strikes(SYS_CALL_MUNMAP) ? -ENOMEM : machine.munmap(addr, size);
}

static int faulty_madvise(void *addr, size_t size, int advice)
{
	if (fault_strikes(SYS_CALL_MADVISE))
		return fault_draw() & 1 ? -ENOMEM : -EAGAIN;
	return machine.madvise(addr, size, advice);
}

static int faulty_pthread_create(pthread_t *ret, const pthread_attr_t *attr, void *(*fn)(void *), void *arg)
{
	return fault_strikes(SYS_CALL_PTHREAD_CREATE) ? -EAGAIN : machine.pthread_create(ret, attr, fn, arg);
}

static int faulty_open(const char *path, int flags)
{
	return fault_strikes(SYS_CALL_OPEN) ? -EMFILE : machine.open(path, flags);
}

static const enum sys_call failing[] = {
	SYS_CALL_EPOLL_WAIT, SYS_CALL_EPOLL_PWAIT2,   SYS_CALL_EPOLL_CTL, SYS_CALL_READ,
	SYS_CALL_WRITE,	     SYS_CALL_PPOLL,	      SYS_CALL_FUTEX,	  SYS_CALL_CLOSE,
	SYS_CALL_MMAP,	     SYS_CALL_MPROTECT,	      SYS_CALL_MUNMAP,	  SYS_CALL_MADVISE,
	SYS_CALL_OPEN,	     SYS_CALL_PTHREAD_CREATE,
};

static void machine_replace(void)
{
	machine = hilo__sys;
	hilo__sys.epoll_wait = faulty_epoll_wait;
	hilo__sys.epoll_pwait2 = faulty_epoll_pwait2;
	hilo__sys.epoll_ctl = faulty_epoll_ctl;
	hilo__sys.read = faulty_read;
	hilo__sys.write = faulty_write;
	hilo__sys.ppoll = faulty_ppoll;
	hilo__sys.futex = faulty_futex;
	hilo__sys.close = faulty_close;
	hilo__sys.mmap = faulty_mmap;
	hilo__sys.mprotect = faulty_mprotect;
	hilo__sys.munmap = faulty_munmap;
	hilo__sys.madvise = faulty_madvise;
	hilo__sys.pthread_create = faulty_pthread_create;
	hilo__sys.open = faulty_open;
}

/* The program: each task does steps of all kinds, and counts those that were refused. */
struct program {
	unsigned tasks, steps;
	uint64_t seed;
	hilo_executor *executor;
	atomic(unsigned) done, refused;
	void (*begin)(struct program *); /* lets the faults come */
};

struct worker {
	struct program *program;
	struct random random;
	int fds[2];
};

static void refused(struct program *program)
{
	(void)add_relaxed(&program->refused, 1); /* relaxed: a count */
}

static hilo_task *child_spawn(struct program *program, hilo_task_fn entry, void *arg,
			      enum hilo_stack_class stack)
{
	hilo_task_opts opts = {.size = sizeof(opts), .stack = stack};
	hilo_task *task = NULL;
	int rc;

	while ((rc = hilo_spawn_with(entry, arg, &opts, &task)) < 0) {
		TASK_CHECK(rc, ==, -ENOMEM);
		refused(program);
		TASK_CHECK(hilo_yield(), ==, 0);
	}
	return task;
}

static void step_sleep(struct worker *worker)
{
	hilo_time until = hilo_after((hilo_time)random_below(&worker->random, 500) * HILO_MICROSECOND);

	TASK_CHECK(hilo_sleep_until(until), ==, 0);
	TASK_CHECK(hilo_now(), >=, until);
}

static int writes_later(void *arg)
{
	struct worker *worker = arg;

	TASK_CHECK(hilo_sleep(100 * HILO_MICROSECOND), ==, 0);
	TASK_CHECK(write(worker->fds[1], "x", 1), ==, 1);
	return 0;
}

/* In a task, or on a thread of the pool, which calls ppoll. */
static int waits_for_byte(void *arg)
{
	struct worker *worker = arg;
	char byte;
	int rc;

	do {
		rc = hilo_fd_wait(worker->fds[0], HILO_READABLE, HILO_FOREVER);
		if (rc < 0) {
			TASK_CHECK(rc == -ENOMEM || rc == -ENOSPC, ==, 1);
			refused(worker->program);
			test_pause();
		}
	} while (rc < 0);
	TASK_CHECK(rc, ==, HILO_READABLE);
	TASK_CHECK(read(worker->fds[0], &byte, 1), ==, 1);
	return 7;
}

static void step_descriptor(struct worker *worker)
{
	hilo_task *writer = child_spawn(worker->program, writes_later, worker, 0);

	TASK_CHECK(waits_for_byte(worker), ==, 7);
	TASK_CHECK(hilo_join(writer, HILO_FOREVER), ==, 0);
}

/* A call that waits for a task. */
static void step_executor(struct worker *worker)
{
	hilo_task *writer = child_spawn(worker->program, writes_later, worker, 0);
	int rc = hilo_run_in_executor(worker->program->executor, waits_for_byte, worker, HILO_FOREVER);

	if (rc == -EAGAIN) {
		refused(worker->program);
		rc = waits_for_byte(worker);
	}
	TASK_CHECK(rc, ==, 7);
	TASK_CHECK(hilo_join(writer, HILO_FOREVER), ==, 0);
}

static void step_child(struct worker *worker)
{
	enum hilo_stack_class stack = HILO_STACK_16K + random_below(&worker->random, 5);
	hilo_task *child = child_spawn(worker->program, test_entry_return, (void *)(intptr_t)9, stack);

	TASK_CHECK(hilo_join(child, HILO_FOREVER), ==, 9);
}

static void set_future(void *future)
{
	TASK_CHECK(hilo_future_set(future, NULL, NULL), ==, 0);
}

static void step_callback(struct worker *worker)
{
	hilo_future *future = hilo_future_new();

	if (!future) {
		refused(worker->program);
		return;
	}
	if (hilo_call_later(50 * HILO_MICROSECOND, set_future, future, NULL) < 0)
		refused(worker->program);
	else
		TASK_CHECK(hilo_future_await(future, NULL, HILO_FOREVER), ==, 0);
	hilo_future_unref(future);
}

/* Longer than anybody tolerates: spare workers are called, and made. */
static void step_block(struct worker *worker)
{
	struct timespec span = {0, 12000000};

	if (random_below(&worker->random, 4) == 0)
		(void)nanosleep(&span, NULL);
}

static int worker_main(void *arg)
{
	static void (*const steps[])(struct worker *) = {step_sleep, step_descriptor, step_executor,
							 step_child, step_callback,   step_block};
	struct worker *worker = arg;

	TASK_CHECK(pipe(worker->fds), ==, 0);
	for (unsigned i = 0; i < worker->program->steps; i++)
		steps[random_below(&worker->random, array_size(steps))](worker);
	(void)close(worker->fds[0]);
	(void)close(worker->fds[1]);
	(void)add_release(&worker->program->done, 1);
	return 0;
}

static int program_main(void *arg)
{
	struct program *program = arg;
	struct worker worker[32];
	hilo_task *task[32];

	program->begin(program);
	for (unsigned i = 0; i < program->tasks; i++) {
		worker[i] = (struct worker){.program = program};
		random_init(&worker[i].random, program->seed, i);
		task[i] = child_spawn(program, worker_main, &worker[i], 0);
	}
	for (unsigned i = 0; i < program->tasks; i++)
		TASK_CHECK(hilo_join(task[i], HILO_FOREVER), ==, 0);
	faults_end();
	TASK_CHECK(load_acquire(&program->done), ==, program->tasks);
	TASK_CHECK(hilo_executor_close(program->executor, 0, HILO_FOREVER), ==, 0);
	return 0;
}

static void program_run(struct program *program, unsigned workers)
{
	hilo_executor_opts opts = {.size = sizeof(opts), .idle = HILO_MILLISECOND};

	atomic_setup(&program->done, 0);
	atomic_setup(&program->refused, 0);
	assert_int_equal(hilo_executor_new(&opts, &program->executor), 0);
	assert_int_equal(test_run(workers, program_main, program), 0);
}

/* One after the other. */
static enum sys_call one_call;
static long one_nth;

static void begin_one(struct program *program)
{
	(void)program;
	store_relaxed(&faults.calls[one_call], 0);
	store_relaxed(&faults.nth[one_call], one_nth);
}

static void test_each_call_fails_once(void **state)
{
	unsigned fds = test_fds();
	long live = 0;

	(void)state;
	for (size_t i = 0; i < array_size(failing); i++) {
		one_call = failing[i];
		for (one_nth = 1; one_nth <= (long)test_rounds(16); one_nth++) {
			struct program program = {
				.tasks = 3, .steps = 4, .seed = test_seed() + one_nth, .begin = begin_one};

			program_run(&program, 1 + one_nth % 2);
			assert_int_equal(test_fds(), fds);
			if (!live)
				live = hilo__mem_live();
			assert_int_equal(hilo__mem_live(), live);
		}
	}
}

/* Many at a time. */
static void begin_many(struct program *program)
{
	struct random random;

	random_init(&random, program->seed, 99);
	store_relaxed(&faults.seed, program->seed);
	for (size_t i = 0; i < array_size(failing); i++)
		store_relaxed(&faults.parts[failing[i]],
			      random_below(&random, 2) ? random_below(&random, 400) : 0);
}

static void many_run(uint64_t seed)
{
	static const unsigned workers[] = {1, 2, 8};

	for (size_t i = 0; i < array_size(workers); i++) {
		struct program program = {.tasks = 16, .steps = 12, .seed = seed, .begin = begin_many};

		program_run(&program, workers[i]);
	}
}

static void test_many_calls_fail_by_lot(void **state)
{
	unsigned fds = test_fds();
	long live = 0;

	(void)state;
	for (unsigned round = 0; round < test_rounds(12); round++) {
		many_run(test_seed() + round);
		assert_int_equal(test_fds(), fds);
		if (!live)
			live = hilo__mem_live();
		assert_int_equal(hilo__mem_live(), live);
	}
	for (size_t i = 0; i < array_size(failing); i++)
		print_message("%s: %llu of %ld failed\n", hilo__sys_name(failing[i]),
			      (unsigned long long)load_relaxed(&faults.struck[failing[i]]),
			      load_relaxed(&faults.calls[failing[i]]));
}

static void test_many_calls_fail_by_lot_with_a_timerfd(void **state)
{
	(void)state;
	no_pwait2 = true;
	for (unsigned round = 0; round < test_rounds(6); round++)
		many_run(test_seed() + 100 + round);
	no_pwait2 = false;
}

/* Stacks lose their pages all the time, so that madvise has something to refuse. */
static int setup(void **state)
{
	(void)state;
	hilo__stack_test.trim_period = HILO_MILLISECOND;
	test_log_begin();
	machine_replace();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	hilo__sys_reset();
	test_log_end();
	hilo__stack_test.trim_period = 0;
	return 0;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_call_fails_once),
		cmocka_unit_test(test_many_calls_fail_by_lot),
		cmocka_unit_test(test_many_calls_fail_by_lot_with_a_timerfd),
	};

	test_begin();
	return cmocka_run_group_tests(tests, setup, teardown);
}
