/* SPDX-License-Identifier: MIT */
/* Queues: who is served next, whose an item is, and what a cancel or a limit leaves behind. */
#include "tests/conformance/conformance.h"

static void queue_in_order(void)
{
	hilo_queue *queue = hilo_queue_new(3);

	for (int i = 1; i <= 3; i++)
		say_put("put", queue, i, 0);
	for (int i = 1; i <= 3; i++)
		say_get("get", queue, 0);
	OK(hilo_queue_free(queue));
}

static void queue_waits_for_an_item(void)
{
	hilo_queue *queue = hilo_queue_new_unbounded();
	hilo_task *a = GETTER("a", 0, 1, 0, queue);

	OK(sleep_for(5));
	say_put("put", queue, 1, 0);
	OK(hilo_join(a, HILO_FOREVER));
	OK(hilo_queue_free(queue));
}

static void queue_waits_for_room(void)
{
	hilo_queue *queue = hilo_queue_new(1);
	hilo_task *a = PUTTER("a", 0, 1, 0, queue, 1), *b = PUTTER("b", 1, 2, 0, queue, 2);

	OK(sleep_for(5));
	say_get("get", queue, 0);
	OK(sleep_for(5));
	say_get("get", queue, 0);
	OK(hilo_join(a, HILO_FOREVER));
	OK(hilo_join(b, HILO_FOREVER));
	OK(hilo_queue_free(queue));
}

static void queue_getters_in_order(void)
{
	hilo_queue *queue = hilo_queue_new(3);
	hilo_task *a = GETTER("a", 0, 1, 0, queue), *b = GETTER("b", 1, 1, 0, queue);
	hilo_task *c = GETTER("c", 2, 1, 0, queue);

	OK(sleep_for(5));
	for (int i = 1; i <= 3; i++) {
		say_put("put", queue, i, 0);
		OK(sleep_for(3));
	}
	OK(hilo_join(a, HILO_FOREVER));
	OK(hilo_join(b, HILO_FOREVER));
	OK(hilo_join(c, HILO_FOREVER));
	OK(hilo_queue_free(queue));
}

static void queue_items_at_once(void)
{
	hilo_queue *queue = hilo_queue_new(3);
	hilo_task *a = GETTER("a", 0, 2, 0, queue), *b = GETTER("b", 1, 1, 0, queue);

	OK(sleep_for(5));
	for (int i = 1; i <= 3; i++)
		OK(hilo_queue_try_put(queue, as_item(i)));
	OK(hilo_join(a, HILO_FOREVER));
	OK(hilo_join(b, HILO_FOREVER));
	say_get("get", queue, 0);
	OK(hilo_queue_free(queue));
}

static void queue_putters_in_order(void)
{
	hilo_queue *queue = hilo_queue_new(1);
	hilo_task *a = PUTTER("a", 0, 1, 0, queue, 1), *b = PUTTER("b", 1, 1, 0, queue, 2);
	hilo_task *c = PUTTER("c", 2, 1, 0, queue, 3);

	OK(sleep_for(5));
	for (int i = 1; i <= 3; i++) {
		say_get("get", queue, 0);
		OK(sleep_for(3));
	}
	OK(hilo_join(a, HILO_FOREVER));
	OK(hilo_join(b, HILO_FOREVER));
	OK(hilo_join(c, HILO_FOREVER));
	OK(hilo_queue_free(queue));
}

static void queue_rooms_at_once(void)
{
	hilo_queue *queue = hilo_queue_new(2);
	hilo_task *a, *b;

	say_put("put", queue, 1, 0);
	say_put("put", queue, 2, 0);
	a = PUTTER("a", 0, 2, 0, queue, 3);
	b = PUTTER("b", 1, 1, 0, queue, 4);
	OK(sleep_for(5));
	say_get("get", queue, 0);
	say_get("get", queue, 0);
	OK(hilo_join(a, HILO_FOREVER));
	OK(hilo_join(b, HILO_FOREVER));
	say_get("get", queue, 0);
	say_get("get", queue, 0);
	OK(hilo_queue_free(queue));
}

static void queue_getter_cancelled(void)
{
	hilo_queue *queue = hilo_queue_new(3);
	hilo_task *a = GETTER("a", 0, 2, 0, queue), *b = GETTER("b", 1, 1, 0, queue);
	hilo_task *c = GETTER("c", 2, 1, 0, queue);

	OK(sleep_for(5));
	ask_to_cancel("b", b);
	say_end("b", hilo_join(b, HILO_FOREVER));
	say_put("put", queue, 1, 0);
	say_put("put", queue, 2, 0);
	OK(hilo_join(a, HILO_FOREVER));
	OK(hilo_join(c, HILO_FOREVER));
	OK(hilo_queue_free(queue));
}

static void queue_putter_cancelled(void)
{
	hilo_queue *queue = hilo_queue_new(1);
	hilo_task *a, *b;

	say_put("put", queue, 1, 0);
	a = PUTTER("a", 0, 1, 0, queue, 2);
	b = PUTTER("b", 1, 1, 0, queue, 3);
	OK(sleep_for(5));
	ask_to_cancel("a", a);
	say_end("a", hilo_join(a, HILO_FOREVER));
	say_get("get", queue, 0);
	OK(hilo_join(b, HILO_FOREVER));
	say_get("get", queue, 0);
	OK(hilo_queue_free(queue));
}

static void queue_getter_out_of_time(void)
{
	hilo_queue *queue = hilo_queue_new(1);

	say_get("get", queue, 5);
	say_put("put", queue, 1, 0);
	say_sizes(queue);
	say_get("get", queue, 5);
	OK(hilo_queue_free(queue));
}

static void queue_putter_out_of_time(void)
{
	hilo_queue *queue = hilo_queue_new(1);

	say_put("put", queue, 1, 5);
	say_put("put", queue, 2, 5);
	say_get("get", queue, 5);
	say_get("get", queue, 5);
	OK(hilo_queue_free(queue));
}

static void queue_without_time(void)
{
	hilo_queue *queue = hilo_queue_new(1);

	say_get("get", queue, -1);
	say_put("put", queue, 1, -1);
	say_put("put", queue, 2, -1);
	say_get("get", queue, -1);
	OK(hilo_queue_free(queue));
}

static void queue_without_waiting(void)
{
	hilo_queue *queue = hilo_queue_new(1);

	say_try_get(queue);
	say_try_put(queue, 1);
	say_try_put(queue, 2);
	say_try_get(queue);
	say_try_get(queue);
	OK(hilo_queue_free(queue));
}

static void queue_full_and_empty(void)
{
	hilo_queue *queue = hilo_queue_new(2);

	say("capacity: %zu", hilo_queue_capacity(queue));
	say_sizes(queue);
	say_put("put", queue, 1, 0);
	say_sizes(queue);
	say_put("put", queue, 2, 0);
	say_sizes(queue);
	say_get("get", queue, 0);
	say_sizes(queue);
	OK(hilo_queue_free(queue));
}

static void queue_without_a_limit(void)
{
	hilo_queue *queue = hilo_queue_new_unbounded();

	for (int i = 0; i < 1000; i++)
		OK(hilo_queue_put(queue, as_item(i), HILO_FOREVER));
	say_sizes(queue);
	for (int i = 0; i < 999; i++) {
		void *item;

		OK(hilo_queue_get(queue, &item, HILO_FOREVER));
	}
	say_get("get", queue, 0);
	say_sizes(queue);
	OK(hilo_queue_free(queue));
}

static void queue_of_nothing(void)
{
	hilo_queue *queue = hilo_queue_new(1);

	say_put("put", queue, 0, 0);
	say_sizes(queue);
	say_get("get", queue, 0);
	OK(hilo_queue_free(queue));
}

static void put_seven(void *queue)
{
	say_try_put(queue, 7);
}

static void queue_put_by_a_callback(void)
{
	hilo_queue *queue = hilo_queue_new(1);
	hilo_task *a = GETTER("a", 0, 1, 0, queue);

	call_later(5, put_seven, queue);
	OK(hilo_join(a, HILO_FOREVER));
	OK(hilo_queue_free(queue));
}

static int produces(void *queue)
{
	for (int i = 1; i <= 5; i++) {
		OK(sleep_for(2));
		say_put("put", queue, i, 0);
	}
	return 0;
}

static void queue_slow_consumer(void)
{
	hilo_queue *queue = hilo_queue_new(1);
	hilo_task *producer = hilo_spawn(produces, queue);

	for (int i = 1; i <= 5; i++) {
		OK(sleep_for(7));
		say_get("get", queue, 0);
	}
	OK(hilo_join(producer, HILO_FOREVER));
	OK(hilo_queue_free(queue));
}

/* ---- what comes at one moment ---- */

static void queue_cancelled_after_the_item(void)
{
	hilo_queue *queue = hilo_queue_new(1);
	hilo_task *a = GETTER("a", 0, 0, 0, queue);

	OK(sleep_for(2));
	say_put("put", queue, 1, 0);
	ask_to_cancel("a", a);
	say_end("a", hilo_join(a, HILO_FOREVER));
	say_try_get(queue);
	OK(hilo_queue_free(queue));
}

static void queue_cancelled_after_the_room(void)
{
	hilo_queue *queue = hilo_queue_new(1);
	hilo_task *a;

	say_put("put", queue, 1, 0);
	a = PUTTER("a", 0, 0, 0, queue, 2);
	OK(sleep_for(2));
	say_get("get", queue, 0);
	ask_to_cancel("a", a);
	say_end("a", hilo_join(a, HILO_FOREVER));
	say_try_get(queue);
	OK(hilo_queue_free(queue));
}

static void queue_item_for_who_waits(void)
{
	hilo_queue *queue = hilo_queue_new(1);
	hilo_task *a = GETTER("a", 0, 1, 5, queue);

	OK(sleep_for(2));
	say_put("put", queue, 1, 0);
	say_sizes(queue);
	say_try_get(queue);
	say_end("a", hilo_join(a, HILO_FOREVER));
	OK(hilo_queue_free(queue));
}

static void queue_room_for_who_waits(void)
{
	hilo_queue *queue = hilo_queue_new(1);
	hilo_task *a;

	say_put("put", queue, 1, 0);
	a = PUTTER("a", 0, 1, 5, queue, 2);
	OK(sleep_for(2));
	say_get("get", queue, 0);
	say_sizes(queue);
	say_try_put(queue, 3);
	say_end("a", hilo_join(a, HILO_FOREVER));
	say_try_get(queue);
	OK(hilo_queue_free(queue));
}

static int gets_cancelled(void *queue)
{
	OK(hilo_task_cancel(hilo_task_current()));
	say_get("get", queue, 0);
	return 0;
}

static int puts_cancelled(void *queue)
{
	OK(hilo_task_cancel(hilo_task_current()));
	say_put("put", queue, 2, 0);
	return 0;
}

static void queue_get_when_cancelled_before(void)
{
	hilo_queue *queue = hilo_queue_new(1);

	say_put("put", queue, 1, 0);
	say_end("task", hilo_join(hilo_spawn(gets_cancelled, queue), HILO_FOREVER));
	say_try_get(queue);
	OK(hilo_queue_free(queue));
}

static void queue_put_when_cancelled_before(void)
{
	hilo_queue *queue = hilo_queue_new(1);

	say_end("task", hilo_join(hilo_spawn(puts_cancelled, queue), HILO_FOREVER));
	say_try_get(queue);
	OK(hilo_queue_free(queue));
}

TOPIC(queues, SCENARIO(queue_in_order), SCENARIO(queue_waits_for_an_item), SCENARIO(queue_waits_for_room),
      SCENARIO(queue_getters_in_order), SCENARIO(queue_items_at_once), SCENARIO(queue_putters_in_order),
      SCENARIO(queue_rooms_at_once), SCENARIO(queue_getter_cancelled), SCENARIO(queue_putter_cancelled),
      SCENARIO(queue_getter_out_of_time), SCENARIO(queue_putter_out_of_time), SCENARIO(queue_without_time),
      SCENARIO(queue_without_waiting), SCENARIO(queue_full_and_empty), SCENARIO(queue_without_a_limit),
      SCENARIO(queue_of_nothing), SCENARIO(queue_put_by_a_callback), SCENARIO(queue_slow_consumer),
      SCENARIO(queue_cancelled_after_the_item), SCENARIO(queue_cancelled_after_the_room),
      SCENARIO(queue_item_for_who_waits), SCENARIO(queue_room_for_who_waits),
      SCENARIO(queue_get_when_cancelled_before), SCENARIO(queue_put_when_cancelled_before));
