/* SPDX-License-Identifier: MIT */
/* Queues of which the newest item, or the lowest, is got first. */
#include "tests/conformance/conformance.h"

/* By their tens: 21 and 25 are equal. */
static int by_tens(const void *a, const void *b, void *arg)
{
	(void)arg;
	return (int)((intptr_t)a / 10 - (intptr_t)b / 10);
}

static void put_all(hilo_queue *queue, const int *values, int n)
{
	for (int i = 0; i < n; i++)
		OK(hilo_queue_put(queue, as_item(values[i]), HILO_FOREVER));
}

#define PUT_ALL(queue, ...)                                                                                  \
	put_all(queue, (const int[]){__VA_ARGS__}, (int)array_size(((const int[]){__VA_ARGS__})))

static void get_all(hilo_queue *queue)
{
	while (!hilo_queue_is_empty(queue))
		say_try_get(queue);
}

static void lifo_newest_first(void)
{
	hilo_queue *queue = hilo_queue_new_lifo(HILO_QUEUE_UNBOUNDED);

	PUT_ALL(queue, 1, 2, 3);
	say_try_get(queue);
	PUT_ALL(queue, 4);
	get_all(queue);
	OK(hilo_queue_free(queue));
}

static void lifo_waits_for_room(void)
{
	hilo_queue *queue = hilo_queue_new_lifo(2);
	hilo_task *a;

	PUT_ALL(queue, 1, 2);
	say_try_put(queue, 3);
	a = PUTTER("a", 0, 1, 0, queue, 3);
	OK(sleep_for(5));
	say_get("get", queue, 0);
	OK(hilo_join(a, HILO_FOREVER));
	get_all(queue);
	OK(hilo_queue_free(queue));
}

static void lifo_getters_in_order(void)
{
	hilo_queue *queue = hilo_queue_new_lifo(2);
	hilo_task *a = GETTER("a", 0, 1, 0, queue), *b = GETTER("b", 1, 1, 0, queue);

	OK(sleep_for(5));
	say_put("put", queue, 1, 0);
	OK(sleep_for(5));
	say_put("put", queue, 2, 0);
	OK(hilo_join(a, HILO_FOREVER));
	OK(hilo_join(b, HILO_FOREVER));
	OK(hilo_queue_free(queue));
}

static void lifo_items_at_once(void)
{
	hilo_queue *queue = hilo_queue_new_lifo(2);
	hilo_task *a = GETTER("a", 0, 1, 0, queue), *b = GETTER("b", 1, 2, 0, queue);

	OK(sleep_for(5));
	say_try_put(queue, 1);
	say_try_put(queue, 2);
	OK(hilo_join(a, HILO_FOREVER));
	OK(hilo_join(b, HILO_FOREVER));
	OK(hilo_queue_free(queue));
}

static void priority_lowest_first(void)
{
	hilo_queue *queue = hilo_queue_new_priority(HILO_QUEUE_UNBOUNDED, by_tens, NULL);

	PUT_ALL(queue, 50, 20, 80, 10, 70, 30);
	say_try_get(queue);
	say_try_get(queue);
	PUT_ALL(queue, 40, 10);
	get_all(queue);
	OK(hilo_queue_free(queue));
}

static void priority_of_equal_ones(void)
{
	hilo_queue *queue = hilo_queue_new_priority(10, by_tens, NULL);

	PUT_ALL(queue, 21, 22, 23, 24, 11, 12);
	get_all(queue);
	OK(hilo_queue_free(queue));
}

static void priority_waits_for_room(void)
{
	hilo_queue *queue = hilo_queue_new_priority(2, by_tens, NULL);
	hilo_task *a, *b;

	PUT_ALL(queue, 20, 30);
	a = PUTTER("a", 0, 1, 0, queue, 50);
	b = PUTTER("b", 1, 1, 0, queue, 10);
	OK(sleep_for(5));
	say_get("get", queue, 0);
	OK(sleep_for(3));
	say_get("get", queue, 0);
	OK(sleep_for(3));
	get_all(queue);
	OK(hilo_join(a, HILO_FOREVER));
	OK(hilo_join(b, HILO_FOREVER));
	OK(hilo_queue_free(queue));
}

static void priority_getters_in_order(void)
{
	hilo_queue *queue = hilo_queue_new_priority(2, by_tens, NULL);
	hilo_task *a = GETTER("a", 0, 1, 0, queue), *b = GETTER("b", 1, 1, 0, queue);

	OK(sleep_for(5));
	say_put("put", queue, 20, 0);
	OK(sleep_for(5));
	say_put("put", queue, 10, 0);
	OK(hilo_join(a, HILO_FOREVER));
	OK(hilo_join(b, HILO_FOREVER));
	OK(hilo_queue_free(queue));
}

static void priority_items_at_once(void)
{
	hilo_queue *queue = hilo_queue_new_priority(2, by_tens, NULL);
	hilo_task *a = GETTER("a", 0, 1, 0, queue), *b = GETTER("b", 1, 2, 0, queue);

	OK(sleep_for(5));
	say_try_put(queue, 20);
	say_try_put(queue, 10);
	OK(hilo_join(a, HILO_FOREVER));
	OK(hilo_join(b, HILO_FOREVER));
	OK(hilo_queue_free(queue));
}

static void priority_without_waiting(void)
{
	hilo_queue *queue = hilo_queue_new_priority(1, by_tens, NULL);

	say_try_get(queue);
	say_try_put(queue, 20);
	say_try_put(queue, 10);
	say_sizes(queue);
	get_all(queue);
	OK(hilo_queue_free(queue));
}

TOPIC(queue_orders, SCENARIO(lifo_newest_first), SCENARIO(lifo_waits_for_room),
      SCENARIO(lifo_getters_in_order), SCENARIO(lifo_items_at_once), SCENARIO(priority_lowest_first),
      SCENARIO(priority_of_equal_ones), SCENARIO(priority_waits_for_room),
      SCENARIO(priority_getters_in_order), SCENARIO(priority_items_at_once),
      SCENARIO(priority_without_waiting));
