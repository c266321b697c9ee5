/* SPDX-License-Identifier: MIT */
/*
 * conformance - prints the traces of all scenarios, as Hilo runs them. compare.py compares them with asyncio's.
 *
 * One worker, on virtual time. With HILO_TEST_NATURAL the scheduler decides as it does in a program, else by
 * lot from HILO_TEST_SEED; what a trace shows is promised, so it is the same each time.
 */
#include "tests/conformance/conformance.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/simulate.h"

static const struct scenario *const topics[] = {
	as_completed, callbacks,   cancel,   conditions, contexts,    done_callbacks, errors,
	executors,    first_ready, futures,  gather,	 groups,      locks,	      queue_ends,
	queue_orders, queues,	   reasons,  runtimes,	 scopes,      shield,	      sync_objects,
	tasks,	      timeouts,	   uncancel, wait_for,	 wait_several};

static struct {
	const struct scenario *scenario;
	hilo_time began;
	unsigned lost; /* failures that nobody has looked at */
} current;

static void trace_begin_line(void)
{
	if (!(current.scenario->flags & (THREADS | OUTSIDE)))
		printf("%lld ", (long long)((hilo_now() - current.began) / HILO_MILLISECOND));
}

void say(const char *format, ...)
{
	va_list args;

	trace_begin_line();
	va_start(args, format);
	(void)vprintf(format, args);
	va_end(args);
	(void)putchar('\n');
}

/* What asyncio has a class of exceptions for, or less. */
static const char *failure_word(int code)
{
	switch (code) {
	case -ECANCELED:
		return "cancelled";
	case -ETIMEDOUT:
		return "timeout";
	case -EAGAIN:
	case HILO_EINVALSTATE:
		return "invalid state";
	case -EDEADLK:
		return "not here";
	case HILO_ECLOSED:
		return "closed";
	default:
		return hilo_errname(code);
	}
}

void say_end(const char *what, int code)
{
	if (code < 0)
		say("%s: %s", what, failure_word(code));
	else
		say("%s: %d", what, code);
}

void say_text(void *text)
{
	say("%s", (const char *)text);
}

int say_task(void *text)
{
	say_text(text);
	return 1;
}

void *as_arg(const char *text)
{
	return (void *)(uintptr_t)text;
}

hilo_time after(int ms)
{
	return hilo_after(ms * HILO_MILLISECOND);
}

hilo_time within(int limit)
{
	if (limit == 0)
		return HILO_FOREVER;
	return limit < 0 ? HILO_NO_WAIT : after(limit);
}

int sleep_for(int ms)
{
	return hilo_sleep(ms * HILO_MILLISECOND);
}

void call_soon(hilo_callback_fn fn, const void *arg)
{
	OK(hilo_call_soon(fn, (void *)(uintptr_t)arg, NULL));
}

void call_later(int ms, hilo_callback_fn fn, const void *arg)
{
	OK(hilo_call_later(ms * HILO_MILLISECOND, fn, (void *)(uintptr_t)arg, NULL));
}

void ask_to_cancel(const char *name, hilo_task *task)
{
	say("cancel %s: %s", name, hilo_task_cancel(task) == 0 ? "asked" : "it has ended");
}

void cancel_task(void *task)
{
	OK(hilo_task_cancel(task));
}

void set_value(hilo_future *future, int value)
{
	int rc = hilo_future_set(future, (void *)(intptr_t)value, NULL);

	say_end("set", rc < 0 ? rc : value);
}

int await_value(hilo_future *future, hilo_time deadline)
{
	void *value = NULL;
	int rc = hilo_future_await(future, &value, deadline);

	return rc < 0 ? rc : (int)(intptr_t)value;
}

int result_value(hilo_future *future)
{
	void *value = NULL;
	int rc = hilo_future_result(future, &value);

	return rc < 0 ? rc : (int)(intptr_t)value;
}

int sleeper(void *arg)
{
	const struct sleeper *self = arg;
	int rc = sleep_for(self->ms);

	if (rc == 0) {
		say("%s slept", self->name);
		return self->code;
	}
	if (self->cleanup) {
		OK(hilo_shield_enter());
		OK(sleep_for(self->cleanup));
		OK(hilo_shield_leave());
	}
	say_end(self->name, rc);
	return self->keeps ? self->code : rc;
}

/* ---- queues ---- */

void *as_item(int value)
{
	return (void *)(intptr_t)value;
}

static int put_within(hilo_queue *queue, int value, int limit)
{
	return hilo_queue_put(queue, as_item(value), within(limit));
}

static int get_within(hilo_queue *queue, int limit)
{
	void *item = NULL;
	int rc = hilo_queue_get(queue, &item, within(limit));

	return rc < 0 ? rc : (int)(intptr_t)item;
}

static int porter_ends(const struct porter *self, int rc)
{
	if (rc >= 0 && self->ms)
		OK(sleep_for(self->ms));
	say_end(self->name, rc);
	return rc < 0 ? rc : 0;
}

int puts_one(void *arg)
{
	const struct porter *self = arg;

	OK(sleep_for(self->start));
	return porter_ends(self, put_within(self->queue, self->value, self->limit));
}

int gets_one(void *arg)
{
	const struct porter *self = arg;

	OK(sleep_for(self->start));
	return porter_ends(self, get_within(self->queue, self->limit));
}

void say_put(const char *what, hilo_queue *queue, int value, int limit)
{
	say_end(what, put_within(queue, value, limit));
}

void say_get(const char *what, hilo_queue *queue, int limit)
{
	say_end(what, get_within(queue, limit));
}

void say_try_put(hilo_queue *queue, int value)
{
	int rc = hilo_queue_try_put(queue, as_item(value));

	if (rc == -EAGAIN)
		say("try to put: full");
	else
		say_end("try to put", rc);
}

void say_try_get(hilo_queue *queue)
{
	void *item = NULL;
	int rc = hilo_queue_try_get(queue, &item);

	if (rc == -EAGAIN)
		say("try to get: empty");
	else
		say_end("try to get", rc < 0 ? rc : (int)(intptr_t)item);
}

void say_sizes(hilo_queue *queue)
{
	say("size: %zu, empty: %d, full: %d", hilo_queue_size(queue), hilo_queue_is_empty(queue),
	    hilo_queue_is_full(queue));
}

/* The only thing that scenarios should make Hilo log is a failure that nobody has looked at. */
static void count_lost(enum hilo_log_level level, const char *line, void *arg)
{
	(void)level, (void)arg;
	if (strstr(line, "nobody looked"))
		current.lost++;
	else
		printf("log: %s\n", line);
}

static int scenario_main(void *arg)
{
	(void)arg;
	current.began = hilo_now();
	current.scenario->run();
	return 0;
}

static void scenario_run(const struct scenario *scenario, bool natural)
{
	current.scenario = scenario;
	current.lost = 0;
	printf("== %s\n", scenario->name);
	if (scenario->flags & OUTSIDE)
		scenario->run();
	else if (scenario->flags & THREADS)
		OK(test_run(1, scenario_main, NULL));
	else if (natural)
		OK(test_simulate_natural(scenario_main, NULL));
	else
		OK(test_simulate(test_seed(), scenario_main, NULL));
	if (current.lost)
		printf("lost: %u\n", current.lost);
}

int main(void)
{
	bool natural = getenv("HILO_TEST_NATURAL");

	test_begin();
	(void)setvbuf(stdout, NULL, _IOLBF, 0); /* the last lines of one that aborts are what is asked for */
	hilo_log_set(count_lost, NULL);
	hilo__nobody_stands_in = true;
	for (size_t i = 0; i < array_size(topics); i++)
		for (const struct scenario *scenario = topics[i]; scenario->name; scenario++)
			if (natural || !(scenario->flags & NATURAL))
				scenario_run(scenario, natural);
	return 0;
}
