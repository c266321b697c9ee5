/* SPDX-License-Identifier: MIT */
/*
 * c_pthread.c - the workloads with a system thread for each task, 64 KiB of stack each. The workers
 * are the CPUs that the process may use.
 */
#include "peer.h"

#include <pthread.h>
#include <sched.h>

#define STACK (64 * 1024)

static pthread_attr_t attr;
static long ran; /* counted with atomic additions by every thread */
static int64_t *late;

static long add(long by)
{
	return __atomic_add_fetch(&ran, by, __ATOMIC_RELAXED);
}

static pthread_t thread_start(void *(*f)(void *), void *arg)
{
	pthread_t t;

	if (pthread_create(&t, &attr, f, arg) != 0)
		exit((fputs("no more threads\n", stderr), 1));
	return t;
}

/* @count threads of @f, the i-th with arg + i * step; waits for all. */
static void threads_run(long count, void *(*f)(void *), void *arg, size_t step)
{
	pthread_t *t = (pthread_t *)calloc((size_t)count, sizeof *t);

	for (long i = 0; i < count; i++)
		t[i] = thread_start(f, (char *)arg + (size_t)i * step);
	for (long i = 0; i < count; i++)
		pthread_join(t[i], NULL);
	free(t);
}

static void cpus_limit(int count)
{
	cpu_set_t may, use;

	CPU_ZERO(&use);
	sched_getaffinity(0, sizeof may, &may);
	for (int i = 0; i < CPU_SETSIZE && count > 0; i++)
		if (CPU_ISSET(i, &may)) {
			CPU_SET(i, &use);
			count--;
		}
	sched_setaffinity(0, sizeof use, &use);
}

static void *empty(void *arg)
{
	add(1);
	return arg;
}

static long spawn_join(long rounds)
{
	for (ran = 0; rounds > 0; rounds--)
		threads_run(1000, empty, NULL, 0);
	return ran;
}

static void *yielder(void *arg)
{
	long n = *(long *)arg;

	for (long i = 0; i < n; i++)
		sched_yield();
	add(n);
	return NULL;
}

static long yields(long n)
{
	ran = 0;
	threads_run(1000, yielder, &n, 0);
	return ran;
}

static void sleep_ns(int64_t span)
{
	struct timespec t = {span / 1000000000, span % 1000000000};

	nanosleep(&t, NULL);
}

static void *sleeper(void *arg)
{
	int64_t *slot = (int64_t *)arg, span = *slot, start = peer_now();

	sleep_ns(span);
	*slot = peer_now() - start - span;
	add(1);
	return NULL;
}

static long timers(long n)
{
	uint64_t seed = 1;

	ran = 0;
	for (long i = 0; i < n; i++)
		late[i] = (int64_t)peer_random_ms(&seed) * 1000000;
	threads_run(n, sleeper, late, sizeof *late);
	return ran;
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int set;

static void *waiter(void *arg)
{
	pthread_mutex_lock(&lock);
	add(1);
	while (!set)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
	return arg;
}

static int idle_memory(const struct peer *p, long n)
{
	pthread_t *t = (pthread_t *)malloc((size_t)n * sizeof *t);
	long before = peer_rss(), after;
	int64_t took = -peer_now();
	char extra[64];

	for (long i = 0; i < n; i++)
		t[i] = thread_start(waiter, NULL);
	while (add(0) < n)
		sched_yield();
	took += peer_now();
	sleep_ns(50000000);
	after = peer_rss();
	took -= peer_now();
	pthread_mutex_lock(&lock);
	set = 1;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
	for (long i = 0; i < n; i++)
		pthread_join(t[i], NULL);
	took += peer_now();
	free(t);
	snprintf(extra, sizeof extra, ",\"bytes_per_task\":%.1f",
		 (double)(after - before) * 1024 / (double)n);
	return peer_report(p, n, n, took, ran, extra);
}

/* A pool of four threads behind one list; each of 64 threads hands in a call and waits for its end. */
struct call {
	struct call *next;
	pthread_cond_t ended;
	long left;
	int done;
};

static struct call *first, **last = &first;
static pthread_cond_t handed_in = PTHREAD_COND_INITIALIZER;
static int closed;

static void *pool_thread(void *arg)
{
	pthread_mutex_lock(&lock);
	while (first || !closed) {
		struct call *c = first;

		if (!c) {
			pthread_cond_wait(&handed_in, &lock);
			continue;
		}
		first = c->next;
		last = first ? last : &first;
		pthread_mutex_unlock(&lock);
		add(1);
		pthread_mutex_lock(&lock);
		c->done = 1;
		pthread_cond_signal(&c->ended);
	}
	pthread_mutex_unlock(&lock);
	return arg;
}

static void *caller(void *arg)
{
	struct call *c = (struct call *)arg;

	pthread_cond_init(&c->ended, NULL);
	pthread_mutex_lock(&lock);
	for (; c->left > 0; c->left--) {
		c->done = 0;
		c->next = NULL;
		*last = c;
		last = &c->next;
		pthread_cond_signal(&handed_in);
		while (!c->done)
			pthread_cond_wait(&c->ended, &lock);
	}
	pthread_mutex_unlock(&lock);
	return NULL;
}

static long offload(long n)
{
	struct call calls[64] = {0};
	pthread_t pool[4];

	ran = 0;
	closed = 0;
	for (int i = 0; i < 4; i++)
		pool[i] = thread_start(pool_thread, NULL);
	for (int i = 0; i < 64; i++)
		calls[i].left = n / 64;
	threads_run(64, caller, calls, sizeof *calls);
	pthread_mutex_lock(&lock);
	closed = 1;
	pthread_cond_broadcast(&handed_in);
	pthread_mutex_unlock(&lock);
	for (int i = 0; i < 4; i++)
		pthread_join(pool[i], NULL);
	return ran;
}

static void *computer(void *arg)
{
	while (!__atomic_load_n(&closed, __ATOMIC_RELAXED)) {
		for (int64_t end = peer_now() + 100000; peer_now() < end;)
			;
		sched_yield();
	}
	return arg;
}

static int computers;

static long mixed_latency(long n)
{
	pthread_t t[256];

	closed = 0;
	for (int i = 0; i < computers; i++)
		t[i] = thread_start(computer, NULL);
	for (long i = 0; i < n; i++) {
		int64_t start = peer_now();

		sleep_ns(1000000);
		late[i] = peer_now() - start - 1000000;
	}
	__atomic_store_n(&closed, 1, __ATOMIC_RELAXED);
	for (int i = 0; i < computers; i++)
		pthread_join(t[i], NULL);
	return n;
}

static const struct workload {
	const char *name;
	long (*run)(long n);
	long n, ops;
	int is_late;
} workloads[] = {
	{"spawn_join", spawn_join, 1000, 1000, 0},    {"yield", yields, 1000, 1000, 0},
	{"offload", offload, 200000, 1, 0},	      {"timers", timers, 100000, 1, 1},
	{"mixed_latency", mixed_latency, 2000, 1, 1},
};

static int workload_run(const struct peer *p, const struct workload *w)
{
	long n = peer_n(p, w->n), check;
	char extra[256] = "";
	int64_t took;
	double cpu;

	if (peer_is(p, "offload"))
		n -= n % 64;
	late = (int64_t *)calloc((size_t)n, sizeof *late);
	w->run(n / 10);
	cpu = peer_cpu();
	took = -peer_now();
	check = w->run(n);
	took += peer_now();
	cpu = peer_cpu() - cpu;
	if (w->is_late) {
		int len = snprintf(extra, sizeof extra, ",\"cpu_seconds\":%.4f", cpu);

		peer_late(extra + len, sizeof extra - (size_t)len, late, n);
	}
	free(late);
	return peer_report(p, n, n * w->ops, took, check, extra);
}

int main(int argc, char **argv)
{
	struct peer p = peer_start("c_pthread", "glibc", argc, argv);

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK);
	cpus_limit(p.workers);
	computers = p.workers < 128 ? 2 * p.workers : 256;
	if (peer_is(&p, "idle_memory"))
		return idle_memory(&p, peer_n(&p, 10000));
	for (size_t i = 0; i < sizeof workloads / sizeof *workloads; i++)
		if (peer_is(&p, workloads[i].name))
			return workload_run(&p, &workloads[i]);
	return peer_cannot("not with a thread for each task");
}
