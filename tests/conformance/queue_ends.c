/* SPDX-License-Identifier: MIT */
/* Queues: waiting until all is done, and shutting down. */
#include "tests/conformance/conformance.h"

static int joins(void *arg)
{
	const struct porter *self = arg;
	int rc;

	OK(sleep_for(self->start));
	rc = hilo_queue_join(self->queue, within(self->limit));
	if (rc == 0)
		OK(sleep_for(self->ms));
	say_end(self->name, rc);
	return rc;
}

#define JOINER(...) hilo_spawn(joins, &(struct porter){__VA_ARGS__, 0})

static void say_done(hilo_queue *queue)
{
	say("done, refused: %d", hilo_queue_task_done(queue) < 0);
}

static hilo_queue *queue_with(int n)
{
	hilo_queue *queue = hilo_queue_new(3);

	for (int i = 1; i <= n; i++)
		OK(hilo_queue_put(queue, as_item(i), HILO_FOREVER));
	return queue;
}

static void join_nothing(void)
{
	hilo_queue *queue = queue_with(0);
	hilo_task *a = JOINER("a", 0, 1, 0, queue);

	OK(hilo_join(a, HILO_FOREVER));
	OK(hilo_queue_free(queue));
}

static void join_until_all_is_done(void)
{
	hilo_queue *queue = queue_with(2);
	hilo_task *a = JOINER("a", 0, 1, 0, queue), *b = JOINER("b", 1, 2, 0, queue);

	OK(sleep_for(2));
	say_get("get", queue, 0);
	say_get("get", queue, 0);
	say_done(queue);
	OK(sleep_for(5));
	say_done(queue);
	OK(hilo_join(a, HILO_FOREVER));
	OK(hilo_join(b, HILO_FOREVER));
	OK(hilo_queue_free(queue));
}

static void done_too_often(void)
{
	hilo_queue *queue = queue_with(1);

	say_get("get", queue, 0);
	say_done(queue);
	say_done(queue);
	say_put("put", queue, 2, 0);
	say_done(queue); /* before it was got */
	say_done(queue);
	OK(hilo_queue_free(queue));
}

static void join_cancelled(void)
{
	hilo_queue *queue = queue_with(1);
	hilo_task *a = JOINER("a", 0, 1, 0, queue), *b = JOINER("b", 1, 1, 0, queue);

	OK(sleep_for(2));
	ask_to_cancel("a", a);
	say_end("a", hilo_join(a, HILO_FOREVER));
	say_done(queue);
	OK(hilo_join(b, HILO_FOREVER));
	OK(hilo_queue_free(queue));
}

static void join_out_of_time(void)
{
	hilo_queue *queue = queue_with(1);
	hilo_task *a = JOINER("a", 0, 1, 5, queue);

	say_end("a", hilo_join(a, HILO_FOREVER));
	say_done(queue);
	a = JOINER("a", 0, 1, 5, queue);
	say_end("a", hilo_join(a, HILO_FOREVER));
	OK(hilo_queue_free(queue));
}

static void join_and_more_is_put(void)
{
	hilo_queue *queue = queue_with(1);
	hilo_task *a = JOINER("a", 0, 1, 0, queue);

	OK(sleep_for(2));
	say_put("put", queue, 2, 0);
	say_done(queue);
	OK(sleep_for(2));
	say_done(queue);
	OK(hilo_queue_try_put(queue, as_item(3))); /* at the same moment */
	OK(hilo_join(a, HILO_FOREVER));
	OK(hilo_queue_free(queue));
}

static void join_while_somebody_waits_to_put(void)
{
	hilo_queue *queue = queue_with(3);
	hilo_task *a = JOINER("a", 0, 1, 0, queue), *b = PUTTER("b", 1, 2, 0, queue, 4);

	OK(sleep_for(2));
	say_get("get", queue, 0);
	for (int i = 0; i < 3; i++)
		say_done(queue);
	OK(sleep_for(5));
	say_done(queue);
	OK(hilo_join(a, HILO_FOREVER));
	OK(hilo_join(b, HILO_FOREVER));
	OK(hilo_queue_free(queue));
}

/* ---- shutting down ---- */

static void shutdown_refuses(void)
{
	hilo_queue *queue = queue_with(2);

	OK(hilo_queue_shutdown(queue, 0));
	say_put("put", queue, 3, 0);
	say_try_put(queue, 3);
	say_get("get", queue, 0);
	say_try_get(queue);
	say_get("get", queue, 0);
	say_try_get(queue);
	OK(hilo_queue_shutdown(queue, 0));
	OK(hilo_queue_free(queue));
}

static void shutdown_wakes_getters(void)
{
	hilo_queue *queue = queue_with(0);
	hilo_task *a = GETTER("getter", 0, 0, 0, queue), *b = GETTER("getter", 1, 0, 0, queue);

	OK(sleep_for(5));
	OK(hilo_queue_shutdown(queue, 0));
	OK(sleep_for(1));
	say("told: %d", (hilo_join(a, HILO_FOREVER) == -EPIPE) + (hilo_join(b, HILO_FOREVER) == -EPIPE));
	OK(hilo_queue_free(queue));
}

static void shutdown_wakes_putters(void)
{
	hilo_queue *queue = queue_with(3);
	hilo_task *a = PUTTER("a", 0, 0, 0, queue, 4);

	OK(sleep_for(5));
	OK(hilo_queue_shutdown(queue, 0));
	say_end("a", hilo_join(a, HILO_FOREVER));
	say_sizes(queue);
	say_get("get", queue, 0);
	OK(hilo_queue_free(queue));
}

static void shutdown_at_once_drops(void)
{
	hilo_queue *queue = queue_with(3);
	hilo_task *a = PUTTER("a", 0, 0, 0, queue, 4), *b = JOINER("b", 1, 2, 0, queue);

	OK(sleep_for(5));
	OK(hilo_queue_shutdown(queue, 1));
	say_end("a", hilo_join(a, HILO_FOREVER));
	say_sizes(queue);
	say_get("get", queue, 0);
	OK(hilo_join(b, HILO_FOREVER));
	say_done(queue);
	OK(hilo_queue_free(queue));
}

static void shutdown_and_join(void)
{
	hilo_queue *queue = queue_with(2);
	hilo_task *a = JOINER("a", 0, 1, 0, queue);

	OK(sleep_for(2));
	OK(hilo_queue_shutdown(queue, 0));
	for (int i = 0; i < 2; i++) {
		say_get("get", queue, 0);
		OK(sleep_for(2));
		say_done(queue);
	}
	OK(hilo_join(a, HILO_FOREVER));
	OK(hilo_queue_free(queue));
}

static void shutdown_while_one_is_worked_on(void)
{
	hilo_queue *queue = queue_with(3);
	hilo_task *a = JOINER("a", 0, 1, 0, queue);

	OK(sleep_for(2));
	say_get("get", queue, 0);
	OK(hilo_queue_shutdown(queue, 1));
	OK(sleep_for(2));
	say_done(queue);
	OK(hilo_join(a, HILO_FOREVER));
	say_done(queue);
	OK(hilo_queue_free(queue));
}

static void shutdown_then_at_once(void)
{
	hilo_queue *queue = queue_with(3);

	OK(hilo_queue_shutdown(queue, 0));
	say_get("get", queue, 0);
	OK(hilo_queue_shutdown(queue, 1));
	say_sizes(queue);
	say_get("get", queue, 0);
	OK(hilo_queue_free(queue));
}

TOPIC(queue_ends, SCENARIO(join_nothing), SCENARIO(join_until_all_is_done), SCENARIO(done_too_often),
      SCENARIO(join_cancelled), SCENARIO(join_out_of_time), SCENARIO(join_and_more_is_put),
      SCENARIO(join_while_somebody_waits_to_put), SCENARIO(shutdown_refuses),
      SCENARIO(shutdown_wakes_getters), SCENARIO(shutdown_wakes_putters), SCENARIO(shutdown_at_once_drops),
      SCENARIO(shutdown_and_join), SCENARIO(shutdown_while_one_is_worked_on),
      SCENARIO(shutdown_then_at_once));
