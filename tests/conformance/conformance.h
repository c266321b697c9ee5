/* SPDX-License-Identifier: MIT */
#ifndef TESTS_CONFORMANCE_CONFORMANCE_H
#define TESTS_CONFORMANCE_CONFORMANCE_H

/*
 * conformance.h - what the scenarios share. harness.py has the same words under the same names: a scenario
 * reads alike in both languages.
 */
#include "tests/support/test.h"

#include <errno.h>

/* Some scenarios about one thing; gather.c and gather.py are the topic "gather". Ended by one without a name. */
struct scenario {
	const char *name;
	void (*run)(void); /* as the first task of a runtime with one worker, unless OUTSIDE */
	unsigned flags;
};

#define NATURAL 1u /* of an order that is not promised: only where the scheduler does not draw lots */
#define THREADS 2u /* with threads, on the machine's own time: its lines do not tell when */
#define OUTSIDE 4u /* on a plain thread, outside of any runtime, and otherwise as THREADS */

#define SCENARIO(fn, ...)                                                                                    \
	{                                                                                                    \
		.name = #fn, .run = (fn), .flags = __VA_ARGS__ + 0                                           \
	}
#define TOPIC(topic, ...) const struct scenario topic[] = {__VA_ARGS__, {NULL, NULL, 0}}

extern const struct scenario as_completed[], callbacks[], cancel[], conditions[], contexts[],
	done_callbacks[], errors[], executors[], first_ready[], futures[], gather[], groups[], locks[],
	queue_ends[], queue_orders[], queues[], reasons[], runtimes[], scopes[], shield[], sync_objects[],
	tasks[], timeouts[], uncancel[], wait_for[], wait_several[];

/* Scenarios of cancel.c that shield.c has as well, and the task in them, which awaits the task @arg. */
void awaiter_cancelled(void);
void awaited_cancelled(void);
int awaits_task(void *arg);

/* [any] The call must succeed. */
#define OK(call) TASK_CHECK(call, ==, 0)

/* [any] A line of the trace, after the milliseconds since the scenario began. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* [any] What @what came to: a number, or the word for a failure. */
void say_end(const char *what, int code);

/* [any] A text as a callback, or as a task that has nothing else to do and returns 1; as_arg is their argument. */
void say_text(void *text);
int say_task(void *text);
void *as_arg(const char *text);

/* [any] The deadline or the moment @ms milliseconds from now, and a sleep until then. */
hilo_time after(int ms);
int sleep_for(int ms);

/* The deadline that @limit stands for: in so many ms; 0: for ever; below 0: no time at all. */
hilo_time within(int limit);

/* [task, callback] Call @fn(@arg) soon, or in @ms milliseconds. */
void call_soon(hilo_callback_fn fn, const void *arg);
void call_later(int ms, hilo_callback_fn fn, const void *arg);

/* [any] Ask @task to stop, and say what was answered. */
void ask_to_cancel(const char *name, hilo_task *task);

/* [callback] Ask the task @task to stop. */
void cancel_task(void *task);

/* [task, callback] Set @future to the number @value, and say what was answered. */
void set_value(hilo_future *future, int value);

/* [task] The number that @future is set to, or a failure. */
int await_value(hilo_future *future, hilo_time deadline);
int result_value(hilo_future *future);

/* A task that sleeps and says how that has ended; the last thing it does when it is cancelled. */
struct sleeper {
	const char *name;
	int ms;	     /* it sleeps for so long */
	int code;    /* what it returns then */
	int cleanup; /* ms that it needs to clean up when it is cancelled, under a shield */
	bool keeps;  /* it returns its code although it was cancelled */
};
int sleeper(void *arg);
#define AS_SLEEPER(name_, ms_, ...) (&(struct sleeper){.name = (name_), .ms = (ms_), __VA_ARGS__})
#define SLEEPER(...) hilo_spawn(sleeper, AS_SLEEPER(__VA_ARGS__))

/*
 * One that comes to a queue after @start ms, puts @value or gets one within @limit, and if it could needs @ms for
 * itself, unless that is 0. It says how that has ended: what it got, or 0.
 */
struct porter {
	const char *name;
	int start;
	int ms;
	int limit;
	hilo_queue *queue;
	int value;
};
int puts_one(void *porter);
int gets_one(void *porter);
#define PUTTER(...) hilo_spawn(puts_one, &(struct porter){__VA_ARGS__})
#define GETTER(...) hilo_spawn(gets_one, &(struct porter){__VA_ARGS__, 0})

/* A number as an item; [task] say what a call has come to; [any] say what one that never waits has. */
void *as_item(int value);
void say_put(const char *what, hilo_queue *queue, int value, int limit);
void say_get(const char *what, hilo_queue *queue, int limit);
void say_try_put(hilo_queue *queue, int value);
void say_try_get(hilo_queue *queue);
void say_sizes(hilo_queue *queue);

#endif /* TESTS_CONFORMANCE_CONFORMANCE_H */
