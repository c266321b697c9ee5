/* SPDX-License-Identifier: MIT */
/* config.c - options, environment and machine into what is in force, and that as text. */
#include <hilo/runtime/error.h>
#include <hilo/runtime/runtime.h>
#include <hilo/runtime/version.h>

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/config_impl.h"
#include "runtime/debug_impl.h"
#include "runtime/io_impl.h"
#include "runtime/sized_impl.h"
#include "scheduler/base/clock.h"
#include "scheduler/base/cpu.h"

#define DEFAULT_SHUTDOWN (10 * HILO_SECOND)
#define DEFAULT_SPIN_US 50
#define MAX_SPIN_US 50
#define DEFAULT_SLOW (100 * HILO_MILLISECOND) /* in debug mode; the slow_callback_duration of asyncio */
#define MAX_SLOW (24 * 60 * HILO_MINUTE)      /* longer is for ever; in cycles it has to be a number yet */
#define ALL_FLAGS                                                                                            \
	(HILO_PRINT_CONFIG | HILO_NO_SPIN | HILO_DEBUG_MODE | HILO_KEEP_SIGINT | HILO_HANDLE_SIGINT |        \
	 HILO_POLLER_EPOLL | HILO_POLLER_URING)

static const char *const stack_names[] = {"default", "16K", "64K", "256K", "1M", "8M"};

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

/* The process's ceiling of the memory of streams: none is no other one. */
static int stream_memory_decide(uint64_t bytes)
{
	const char *text = getenv("HILO_STREAM_MEMORY_MAX");
	char *end;

	if (text && *text) {
		errno = 0;
		bytes = strtoull(text, &end, 10);
		if (*end || errno || text[0] == '-')
			return hilo_fail(-EINVAL, "HILO_STREAM_MEMORY_MAX=%s: a number of bytes is needed",
					 text);
	} else if (!bytes) {
		return 0;
	}
	hilo__io_set_memory_max(bytes);
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

/* HILO_POLLER as flags. */
static int env_poller(unsigned *flags)
{
	static const char *const names[] = {"auto", "epoll", "uring"};
	static const unsigned meaning[] = {0, HILO_POLLER_EPOLL, HILO_POLLER_URING};
	const char *text = getenv("HILO_POLLER");

	if (!text || !*text)
		return 0;
	for (unsigned i = 0; i < array_size(names); i++)
		if (strcmp(text, names[i]) == 0) {
			*flags = meaning[i];
			return 0;
		}
	return hilo_fail(-EINVAL, "HILO_POLLER=%s: auto, epoll or uring is needed", text);
}

/* Which poller, of what was asked for and what there is. */
static int poller_decide(hilo_runtime *runtime, unsigned flags)
{
	int rc = env_poller(&flags);
	int works = rc < 0 || flags & HILO_POLLER_EPOLL ? -ENOSYS : hilo__poller_ring_works();

	runtime->is_ring = works == 0;
	if (rc == 0 && flags & HILO_POLLER_URING && works < 0)
		rc = hilo_fail(-EOPNOTSUPP, "io_uring is asked for, but not to be had here: %s",
			       hilo_strerror(works));
	return rc;
}

static int opts_check(const hilo_opts *opts)
{
	if (opts->workers > IDLE_MAX_WORKERS)
		return hilo_fail(-EINVAL, "hilo_opts.workers is %u, more than %d", opts->workers,
				 IDLE_MAX_WORKERS);
	if ((unsigned)opts->stack > HILO_STACK_8M)
		return hilo_fail(-EINVAL, "hilo_opts.stack is %d: no such class", (int)opts->stack);
	if (opts->flags & ~ALL_FLAGS)
		return hilo_fail(-EINVAL, "hilo_opts.flags is %#x: unknown flag", opts->flags);
	if (opts->flags & HILO_KEEP_SIGINT && opts->flags & HILO_HANDLE_SIGINT)
		return hilo_fail(-EINVAL, "hilo_opts.flags is %#x: SIGINT is both kept and handled",
				 opts->flags);
	if (opts->shutdown < 0)
		return hilo_fail(-EINVAL, "hilo_opts.shutdown is %lld: negative", (long long)opts->shutdown);
	if (opts->slow < 0)
		return hilo_fail(-EINVAL, "hilo_opts.slow is %lld: negative", (long long)opts->slow);
	if (opts->flags & HILO_POLLER_EPOLL && opts->flags & HILO_POLLER_URING)
		return hilo_fail(-EINVAL, "hilo_opts.flags is %#x: both epoll and io_uring", opts->flags);
	if (opts->spin_us > MAX_SPIN_US)
		return hilo_fail(-EINVAL, "hilo_opts.spin_us is %u, more than %d", opts->spin_us,
				 MAX_SPIN_US);
	return 0;
}

static int hooks_copy(hilo_runtime *runtime, const hilo_task_hooks *given)
{
	hilo_task_hooks copy;
	int rc = SIZED_IN(hilo_task_hooks, &copy, given, arg);

	if (rc < 0)
		return rc;
	runtime->hooks.spawned = copy.spawned;
	runtime->hooks.ended = copy.ended;
	runtime->hooks.resumed = copy.resumed;
	runtime->hooks.suspended = copy.suspended;
	runtime->hooks.arg = copy.arg;
	runtime->task_flags = TASK_TOLD;
	return 0;
}

/* What debug mode means for what is slow, unless somebody has said. */
static int slow_decide(hilo_runtime *runtime, hilo_time slow)
{
	unsigned ms = UINT_MAX;
	int rc = env_number("HILO_SLOW_MS", 0, MAX_SLOW / HILO_MILLISECOND, &ms);

	if (ms != UINT_MAX)
		slow = ms * HILO_MILLISECOND;
	else if (!slow && runtime->debug)
		slow = DEFAULT_SLOW;
	slow = slow > MAX_SLOW ? 0 : slow;
	runtime->slow = slow;
	runtime->slow_cycles =
		(uint64_t)((slow + HILO_MICROSECOND - 1) / HILO_MICROSECOND) * hilo__cycles_per_us();
	return rc;
}

/* What options, environment and machine say together. */
static int config_decide(hilo_runtime *runtime, const hilo_opts *opts)
{
	unsigned spin_us = opts->spin_us ? opts->spin_us : DEFAULT_SPIN_US;
	unsigned debug = (opts->flags & HILO_DEBUG_MODE) != 0;
	struct cpu_report cpu;
	int rc;

	runtime->cpus = hilo__cpu_count_recent(&cpu);
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
	if (rc == 0)
		rc = poller_decide(runtime, opts->flags);
	if (rc == 0)
		rc = env_number("HILO_DEBUG", 0, 1, &debug);
	if (rc == 0 && opts->hooks)
		rc = hooks_copy(runtime, opts->hooks);
	runtime->debug = debug ? hilo__debug_number() : 0;
	if (rc == 0)
		rc = slow_decide(runtime, opts->slow);
	if (rc == 0)
		rc = stream_memory_decide(opts->stream_memory_max);
	runtime->keep_sigint = opts->flags & HILO_KEEP_SIGINT;
	runtime->handle_sigint = opts->flags & HILO_HANDLE_SIGINT;
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
	config_add(buf, size, &length, "poller=%s\n", runtime->is_ring ? "uring" : "epoll");
	config_add(buf, size, &length, "stack=%s\n", stack_names[runtime->stack_class]);
	config_add(buf, size, &length, "spin_us=%llu\n",
		   runtime->spin ? (unsigned long long)(runtime->spin_cycles / hilo__cycles_per_us()) : 0ULL);
	config_add(buf, size, &length, "shutdown_ms=%lld\n",
		   (long long)(runtime->shutdown / HILO_MILLISECOND));
	config_add(buf, size, &length, "debug=%d\nkeep_sigint=%d\nhandle_sigint=%d\n", runtime->debug != 0,
		   runtime->keep_sigint, runtime->handle_sigint);
	if (runtime->slow)
		config_add(buf, size, &length, "slow_ms=%g\n",
			   (double)runtime->slow / (double)HILO_MILLISECOND);
	else
		config_add(buf, size, &length, "slow_ms=none\n");
	if (load_relaxed(&hilo__io_memory_max)) /* relaxed: a figure */
		config_add(buf, size, &length, "stream_memory_max=%llu\n",
			   (unsigned long long)load_relaxed(&hilo__io_memory_max));
	else
		config_add(buf, size, &length, "stream_memory_max=none\n");
	return (int)length;
}

void hilo__config_log(const hilo_runtime *runtime)
{
	char text[512], *line = text, *end;

	(void)hilo_runtime_config(runtime, text, sizeof(text));
	while ((end = strchr(line, '\n'))) {
		*end = '\0';
		(void)fprintf(stderr, "hilo: config: %s\n", line);
		line = end + 1;
	}
}

int hilo__config_read(hilo_runtime *runtime, const hilo_opts *given, bool *ret_print)
{
	hilo_opts opts = {.size = sizeof(opts)};
	unsigned print;
	int rc = given ? SIZED_IN(hilo_opts, &opts, given, spin_us) : 0;

	if (rc == 0)
		rc = opts_check(&opts);
	if (rc < 0)
		return rc;
	print = (opts.flags & HILO_PRINT_CONFIG) != 0;
	rc = config_decide(runtime, &opts);
	if (rc == 0)
		rc = env_number("HILO_CONFIG", 0, 1, &print);
	*ret_print = print;
	return rc;
}
