/* SPDX-License-Identifier: MIT */
/* runtime.c - options, hilo_run, starting and ending a runtime, its figures. */
#include <hilo/runtime/error.h>
#include <hilo/runtime/log.h>
#include <hilo/runtime/runtime.h>
#include <hilo/runtime/version.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/error_impl.h"
#include "runtime/log_impl.h"
#include "runtime/runtime_impl.h"
#include "runtime/sized_impl.h"
#include "scheduler/base/clock.h"
#include "scheduler/base/cpu.h"
#include "scheduler/base/mem.h"

#define DEFAULT_SHUTDOWN (10 * HILO_SECOND)
#define DEFAULT_SPIN_US 50
#define MAX_SPIN_US 50

static const char *const stack_names[] = {"default", "16K", "64K", "256K", "1M", "8M"};

/* A failure nobody has looked at, told once, when nobody can look any more. */
static void lost_failure(struct hilo_task *task)
{
	const char *message = hilo__error_of_task(task);
	char label[TASK_LABEL_SIZE];

	if (task->done.result == -ECANCELED || task->flags & (TASK_MAIN | TASK_THREAD))
		return;
	hilo__log(HILO_LOG_ERROR, "task %s failed and nobody looked: %s%s%s (spawned at %p)",
		  hilo__task_label(task, label, sizeof(label)), hilo_errname(task->done.result),
		  message ? ": " : "", message ? message : "", task->spawn_site);
}

static void overflow_describe(struct fiber *fiber, char *buf, size_t size)
{
	struct hilo_task *task = fiber->task;
	const char *name =
		task ? load_relaxed(&task->name) : NULL; /* relaxed: a report from a signal handler */

	if (!task)
		(void)snprintf(buf, size, "no task");
	else
		(void)snprintf(buf, size, "task %s%s(#%llu), entry %p", name ? name : "", name ? " " : "",
			       (unsigned long long)task->id, (void *)(uintptr_t)task->entry);
}

/* In a signal handler, on any thread. */
static struct fiber *overflow_running(void)
{
	return thread_self()->fiber; /* NULL in a plain thread, the root in a callback */
}

/* Once: the workers of another runtime may be reading them. */
static pthread_once_t hooks_once = PTHREAD_ONCE_INIT;

static void hooks_set(void)
{
	hilo__on_lost_failure = lost_failure;
	hilo__overflow_describe = overflow_describe;
	hilo__overflow_running = overflow_running;
}

/* A whole number from the environment; @value stays when the variable is not set. */
static int env_number(const char *name, unsigned least, unsigned most, unsigned *value)
{
	const char *text = getenv(name);
	char *end;
	unsigned long number;

	if (!text || !*text)
		return 0;
	errno = 0;
	number = strtoul(text, &end, 10);
	if (*end || errno || number < least || number > most || text[0] == '-')
		return hilo_fail(-EINVAL, "%s=%s: a whole number from %u to %u is needed", name, text, least,
				 most);
	*value = (unsigned)number;
	return 0;
}

static int env_stack(uint8_t *class)
{
	const char *text = getenv("HILO_STACK");

	if (!text || !*text)
		return 0;
	for (unsigned i = HILO_STACK_16K; i <= HILO_STACK_8M; i++)
		if (strcmp(text, stack_names[i]) == 0) {
			*class = (uint8_t)i;
			return 0;
		}
	return hilo_fail(-EINVAL, "HILO_STACK=%s: 16K, 64K, 256K, 1M or 8M is needed", text);
}

static int opts_check(const hilo_opts *opts)
{
	if (opts->workers > IDLE_MAX_WORKERS)
		return hilo_fail(-EINVAL, "hilo_opts.workers is %u, more than %d", opts->workers,
				 IDLE_MAX_WORKERS);
	if ((unsigned)opts->stack > HILO_STACK_8M)
		return hilo_fail(-EINVAL, "hilo_opts.stack is %d: no such class", (int)opts->stack);
	if (opts->flags & ~(HILO_PRINT_CONFIG | HILO_NO_SPIN))
		return hilo_fail(-EINVAL, "hilo_opts.flags is %#x: unknown flag", opts->flags);
	if (opts->shutdown < 0)
		return hilo_fail(-EINVAL, "hilo_opts.shutdown is %lld: negative", (long long)opts->shutdown);
	if (opts->spin_us > MAX_SPIN_US)
		return hilo_fail(-EINVAL, "hilo_opts.spin_us is %u, more than %d", opts->spin_us,
				 MAX_SPIN_US);
	return 0;
}

static int hooks_configure(struct task_hooks *hooks, const hilo_task_hooks *given)
{
	hilo_task_hooks copy;
	int rc = SIZED_IN(hilo_task_hooks, &copy, given, arg);

	if (rc < 0)
		return rc;
	hooks->spawned = copy.spawned;
	hooks->ended = copy.ended;
	hooks->arg = copy.arg;
	return 0;
}

/* Options, environment and machine into what is in force. */
static int runtime_configure(hilo_runtime *runtime, const hilo_opts *opts)
{
	unsigned spin_us = opts->spin_us ? opts->spin_us : DEFAULT_SPIN_US;
	struct cpu_report cpu;
	int rc = opts_check(opts);

	if (rc < 0)
		return rc;
	runtime->cpus = hilo__cpu_count(&cpu);
	runtime->affinity = cpu.affinity;
	runtime->quota = cpu.period_us ? (double)cpu.quota_us / (double)cpu.period_us : 0;
	runtime->workers = opts->workers ? opts->workers : runtime->cpus;
	if (runtime->workers > IDLE_MAX_WORKERS)
		runtime->workers = IDLE_MAX_WORKERS;
	runtime->stack_class = opts->stack ? (uint8_t)opts->stack : HILO_STACK_64K;
	rc = env_number("HILO_WORKERS", 1, IDLE_MAX_WORKERS, &runtime->workers);
	if (rc == 0)
		rc = env_number("HILO_SPIN_US", 0, MAX_SPIN_US, &spin_us);
	if (rc == 0)
		rc = env_stack(&runtime->stack_class);
	if (rc == 0 && opts->hooks)
		rc = hooks_configure(&runtime->hooks, opts->hooks);
	runtime->shutdown = opts->shutdown ? opts->shutdown : DEFAULT_SHUTDOWN;
	runtime->spin_cycles = spin_us * hilo__cycles_per_us();
	/* Not when throttled, and not when the workers have no core each: a spinner takes from the others. */
	runtime->spin = !(opts->flags & HILO_NO_SPIN) && spin_us && !hilo__cpu_throttled_likely(&cpu) &&
			runtime->workers <= runtime->cpus && runtime->cpus > 1;
	return rc;
}

/* Append to @buf of @size, counting what did not fit, as snprintf does. */
static void config_add(char *buf, size_t size, size_t *length, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

static void config_add(char *buf, size_t size, size_t *length, const char *format, ...)
{
	size_t at = *length < size ? *length : size;
	va_list args;

	va_start(args, format);
	/* No sum with a null pointer, which stands for counting only. */
	*length += (size_t)vsnprintf(at < size ? buf + at : NULL, size - at, format, args);
	va_end(args);
}

int hilo_runtime_config(const hilo_runtime *runtime, char *buf, size_t size)
{
	size_t length = 0;

	if (!runtime || (!buf && size))
		return -EINVAL;
	config_add(buf, size, &length, "version=%s\n", hilo_version_string());
	config_add(buf, size, &length, "workers=%u\n", runtime->workers);
	config_add(buf, size, &length, "cpus=%u\ncpus_affinity=%u\n", runtime->cpus, runtime->affinity);
	if (runtime->quota > 0)
		config_add(buf, size, &length, "cpus_quota=%.2f\n", runtime->quota);
	else
		config_add(buf, size, &length, "cpus_quota=none\n");
	config_add(buf, size, &length, "poller=epoll\n");
	config_add(buf, size, &length, "stack=%s\n", stack_names[runtime->stack_class]);
	config_add(buf, size, &length, "spin_us=%llu\n",
		   runtime->spin ? (unsigned long long)(runtime->spin_cycles / hilo__cycles_per_us()) : 0ULL);
	config_add(buf, size, &length, "shutdown_ms=%lld\n",
		   (long long)(runtime->shutdown / HILO_MILLISECOND));
	return (int)length;
}

static void config_log(const hilo_runtime *runtime)
{
	char text[512], *line = text, *end;

	(void)hilo_runtime_config(runtime, text, sizeof(text));
	while ((end = strchr(line, '\n'))) {
		*end = '\0';
		(void)fprintf(stderr, "hilo: config: %s\n", line);
		line = end + 1;
	}
}

int hilo_runtime_new(const hilo_opts *given, hilo_runtime **ret)
{
	hilo_opts opts = {.size = sizeof(opts)};
	hilo_runtime *runtime;
	unsigned print;
	int rc = given ? SIZED_IN(hilo_opts, &opts, given, spin_us) : 0;

	if (rc < 0)
		return rc;
	runtime = hilo__aligned_alloc(_Alignof(hilo_runtime), sizeof(*runtime));
	if (!runtime)
		return -ENOMEM;
	memset(runtime, 0, sizeof(*runtime));
	hilo__error_init();
	(void)pthread_once(&hooks_once, hooks_set);
	print = opts.flags & HILO_PRINT_CONFIG;
	rc = runtime_configure(runtime, &opts);
	if (rc == 0)
		rc = env_number("HILO_CONFIG", 0, 1, &print);
	if (rc == 0)
		rc = hilo__scheduler_start(runtime);
	if (rc < 0) {
		hilo__free(runtime);
		return rc;
	}
	if (print)
		config_log(runtime);
	*ret = runtime;
	return 0;
}

int hilo_runtime_free(hilo_runtime *runtime)
{
	struct hilo_loop *here = thread_self()->loop;
	hilo_time deadline;
	int rc;

	if (!runtime)
		return 0;
	if ((here && here->runtime == runtime) || thread_self()->pool_runtime == runtime)
		return hilo_fail(-EDEADLK, "hilo_runtime_free from inside the runtime");
	deadline = hilo_after(runtime->shutdown);
	rc = hilo__scheduler_close(runtime, deadline);
	if (rc == 0)
		rc = hilo__runtime_close_executor(runtime, deadline);
	if (rc < 0) {
		hilo__report_left(runtime);
		TRACE_SAVE();
		return rc;
	}
	hilo__scheduler_stop(runtime);
	hilo__runtime_free_executor(runtime);
	TRACE_SAVE();
	hilo__free(runtime);
	return 0;
}

/* In a task: a child of the same runtime, which ends before we do. */
static int run_nested(hilo_task_fn main, void *arg, const hilo_opts *opts)
{
	hilo_task *child;
	int rc;

	if (opts)
		return hilo_fail(-EBUSY, "hilo_run inside a task: options must be NULL");
	rc = hilo_spawn_with(main, arg, NULL, &child);
	if (rc < 0)
		return rc;
	rc = hilo_await(child, HILO_FOREVER);
	if (!hilo_task_is_done(child)) {
		/* We were cancelled: the child is cancelled, and ends before we go on. */
		(void)hilo_task_cancel(child);
		(void)hilo_shield_enter();
		(void)hilo_await(child, HILO_FOREVER);
		(void)hilo_shield_leave();
	}
	hilo_task_unref(child);
	return rc;
}

/* Submit @main to @runtime and wait in this plain thread. */
static int run_main(hilo_runtime *runtime, hilo_task_fn main, void *arg)
{
	struct task_spec spec = {
		.entry = main, .arg = arg, .flags = TASK_MAIN, .site = __builtin_return_address(0)};
	hilo_task *task;
	int rc = hilo__submit(runtime, &spec, NULL, &task);

	if (rc < 0)
		return rc;
	return hilo_join(task, HILO_FOREVER);
}

int hilo_run(hilo_task_fn main, void *arg, const hilo_opts *opts)
{
	struct thread *self = thread_self();
	hilo_runtime *runtime;
	int rc;

	if (!main)
		return hilo_fail(-EINVAL, "hilo_run: main is NULL");
	if (self->loop)
		return self->task ? run_nested(main, arg, opts) : -EDEADLK;
	if (self->closing)
		return -EDEADLK;
	if (self->pool_runtime && opts)
		return hilo_fail(-EBUSY, "hilo_run inside an executor's thread: options must be NULL");
	if (self->pool_runtime)
		return run_main(self->pool_runtime, main, arg);
	rc = hilo_runtime_new(opts, &runtime);
	if (rc < 0)
		return rc;
	rc = run_main(runtime, main, arg);
	if (hilo_runtime_free(runtime) < 0)
		hilo__log(HILO_LOG_WARNING,
			  "hilo_run returns while tasks are left: they go on in the background");
	return rc;
}

hilo_runtime *hilo_runtime_current(void)
{
	struct thread *self = thread_self();

	return self->loop ? self->loop->runtime : NULL;
}

int hilo_runtime_get_stats(const hilo_runtime *runtime, unsigned index, hilo_worker_stats *stats)
{
	hilo_worker_stats now = {.size = sizeof(now)};
	struct loop_stats *from;

	if (!runtime || !stats || index >= runtime_loops(runtime))
		return -EINVAL;
	from = &runtime->loops[index]->stats;
	now.switches = load_relaxed(&runtime->loops[index]->tick); /* relaxed, all of them: statistics */
	now.spawned = load_relaxed(&from->spawned);
	now.completed = load_relaxed(&from->completed);
	now.steals = load_relaxed(&from->steals);
	now.stolen = load_relaxed(&from->stolen);
	now.wakes = load_relaxed(&from->wakes);
	now.sleeps = load_relaxed(&from->sleeps);
	now.polls = load_relaxed(&from->polls);
	now.timers = load_relaxed(&from->timers);
	return SIZED_OUT(hilo_worker_stats, stats, &now, timers);
}
