/* SPDX-License-Identifier: MIT */
/*
 * test_pump_ends.c - pumps that end, at any moment, and streams that do: every byte has gone on, or is where it was,
 * and is counted.
 */
#include <poll.h>
#include <signal.h>

#include "scheduler/base/random.h"
#include "tests/unit/io/routes.h"

/* From the source on, where it has been left: all up to @size. */
static void rest_expect(const struct route *route, const struct pumping *pumping, size_t size)
{
	TASK_CHECK(pumping->count, <=, size);
	stream_expect(route->from, size - pumping->count, pumping->count);
}

/* Nobody reads on the other side: what the kernel had taken on its way is where it was. */
ROUTE_TEST(test_cancelled_one_has_lost_nothing)
{
	struct pumping pumping;
	size_t size = route_stuff(route, 0);

	pumping_start(&pumping, route);
	TEST_UNTIL(hilo__sys_calls(SYS_CALL_SPLICE) > 0); /* there may be no room to go on to */
	pumping_waits(&pumping);
	pumping_cancel(&pumping);
	stream_expect(route->b, pumping.count, 0);
	rest_expect(route, &pumping, size);
	return 0;
}

ROUTE_TEST(test_deadline_has_lost_nothing)
{
	struct pumping pumping = {.from = route->from, .to = route->to};
	size_t size = route_stuff(route, 0);
	int rc = hilo_stream_pump(route->from, route->to, UINT64_MAX, &pumping.count,
				  hilo_after(3 * HILO_MILLISECOND));

	TASK_CHECK(rc, ==, -ETIMEDOUT);
	stream_expect(route->b, pumping.count, 0);
	rest_expect(route, &pumping, size);
	TASK_CHECK(hilo_stream_pump(route->from, route->to, UINT64_MAX, NULL, HILO_NO_WAIT), ==, -ETIMEDOUT);
	return 0;
}

/* Without waiting all goes on that is there, as long as that much may be added; for who is late one piece. */
ROUTE_TEST(test_what_is_there_needs_no_wait)
{
	hilo_stream_limits high = {.size = sizeof(high), .high = 2 * STUFFING};
	uint64_t piece = 0, count = 0;
	size_t size = route_stuff(route, 0);

	TASK_CHECK(hilo_stream_set_limits(route->to, &high), ==, 0);
	TASK_CHECK(hilo_stream_pump(route->from, route->to, UINT64_MAX, &piece, 1), ==, -ETIMEDOUT);
	TASK_CHECK(piece > 0 && piece < WHOLE_PIECE, ==, 1);
	TASK_CHECK(hilo_stream_pump(route->from, route->to, UINT64_MAX, &count, HILO_NO_WAIT), ==,
		   -ETIMEDOUT);
	count += piece;
	TASK_CHECK(count, >=, WHOLE_PIECE);
	stream_expect(route->b, count, 0);
	stream_expect(route->from, size - count, count);
	return 0;
}

static bool has_ended(hilo_stream *stream)
{
	struct pollfd look = {.fd = hilo_stream_fd(stream), .events = POLLRDHUP};

	return poll(&look, 1, 0) == 1 && look.revents & (POLLRDHUP | POLLHUP);
}

/* Who is late gets what is there all the same, and its end. */
ROUTE_TEST(test_end_outranks_a_deadline)
{
	uint64_t count = 0;

	TASK_CHECK(hilo_stream_write(route->a, "0123456789", 10, HILO_FOREVER), ==, 10);
	TASK_CHECK(hilo_stream_flush(route->a, HILO_FOREVER), ==, 0);
	TEST_UNTIL(there(route->from) == 10);
	TASK_CHECK(hilo_stream_pump(route->from, route->to, UINT64_MAX, &count, 1), ==, -ETIMEDOUT);
	TASK_CHECK(count, ==, 10);
	TASK_CHECK(hilo_stream_write(route->a, "0123456789", 10, HILO_FOREVER), ==, 10);
	TASK_CHECK(hilo_stream_write_eof(route->a), ==, 0);
	TEST_UNTIL(there(route->from) == 10 && has_ended(route->from));
	TASK_CHECK(hilo_stream_pump(route->from, route->to, UINT64_MAX, &count, 1), ==, 0);
	TASK_CHECK(count, ==, 10);
	return 0;
}

struct flow {
	struct route *route;
	atomic(bool) enough;
};

static int flow_in(void *arg)
{
	struct flow *flow = arg;
	static const char zeros[100000];

	while (!load_relaxed(&flow->enough))
		TASK_CHECK(hilo_stream_write(flow->route->a, zeros, sizeof(zeros), HILO_FOREVER), ==,
			   sizeof(zeros));
	TASK_CHECK(hilo_stream_write_eof(flow->route->a), ==, 0);
	return 0;
}

static int flow_out(void *arg)
{
	struct flow *flow = arg;
	char *block = malloc(100000);

	while (hilo_stream_read(flow->route->b, block, 100000, HILO_FOREVER) > 0)
		continue;
	free(block);
	return 0;
}

/* Both sides are fast, so that it may never wait. */
ROUTE_TEST(test_ends_while_bytes_flow)
{
	struct flow flow = {.route = route};
	struct pumping pumping = {route->from, route->to, UINT64_MAX, 0, 0, NULL};
	hilo_task *in = hilo_spawn(flow_in, &flow), *out = hilo_spawn(flow_out, &flow);

	pumping.deadline = hilo_after(20 * HILO_MILLISECOND);
	TASK_CHECK(pumping_task(&pumping), ==, -ETIMEDOUT);
	pumping_start(&pumping, route);
	TASK_CHECK(hilo_sleep(20 * HILO_MILLISECOND), ==, 0);
	pumping_cancel(&pumping);
	pumping_start(&pumping, route);
	store_relaxed(&flow.enough, true);
	TASK_CHECK(hilo_join(in, HILO_FOREVER), ==, 0);
	TASK_CHECK(pumping_end(&pumping), ==, 0);
	TASK_CHECK(hilo_stream_write_eof(route->to), ==, 0);
	TASK_CHECK(hilo_join(out, HILO_FOREVER), ==, 0);
	return 0;
}

/* The other side goes: that is told, and the rest can be read. */
ROUTE_TEST(test_peer_that_goes_is_told)
{
	struct pumping pumping;
	size_t size = route_stuff(route, 0);
	int rc;

	pumping_start(&pumping, route);
	TEST_UNTIL(hilo__sys_calls(SYS_CALL_SPLICE) > 0); /* there may be no room to go on to */
	hilo_stream_free(route->b);
	route->b = NULL;
	size += stream_stuff(route->a, size); /* the first bytes may have fitted, all of them */
	rc = pumping_end(&pumping);
	TASK_CHECK(rc == -EPIPE || rc == -ECONNRESET, ==, 1);
	rest_expect(route, &pumping, size);
	return 0;
}

ROUTE_TEST(test_source_that_is_reset_is_told)
{
	struct linger none = {.l_onoff = 1};
	struct pumping pumping;
	size_t size = route_stuff(route, 0);

	if (kind != ROUTE_TCP)
		return 0;
	pumping_start(&pumping, route);
	stream_expect(route->b, size, 0);
	TASK_CHECK(was_spliced(), ==, 1);
	pumping_waits(&pumping);
	TASK_CHECK(setsockopt(hilo_stream_fd(route->a), SOL_SOCKET, SO_LINGER, &none, sizeof(none)), ==, 0);
	TASK_CHECK(hilo_stream_abort(route->a), ==, 0);
	TASK_CHECK(pumping_end(&pumping), ==, -ECONNRESET);
	TASK_CHECK(pumping.count, ==, size);
	return 0;
}

/* The kernel tells the failure of a connection once: if the splice was told, all others are by the stream. */
ROUTE_TEST(test_failure_of_the_other_side_is_kept)
{
	static const int errors[] = {ECONNRESET, ETIMEDOUT, ECONNREFUSED};
	struct pumping pumping;
	char byte;

	for (size_t i = 0; kind == ROUTE_UNIX && i < array_size(errors); i++) {
		struct route one = route_new(kind, ROUTE_TCP);

		(void)route_stuff(&one, 0);
		hilo__sys_fail(SYS_CALL_SPLICE, 2, errors[i], false);
		pumping_start(&pumping, &one);
		if (errors[i] != ECONNRESET) /* which ends reading as well */
			stream_expect(one.b, 65536, 0);
		TASK_CHECK(pumping_end(&pumping), ==, -errors[i]);
		TASK_CHECK(hilo_stream_write(one.to, "x", 1, HILO_FOREVER), ==, -errors[i]);
		TASK_CHECK(hilo_stream_read(one.to, &byte, 1, HILO_NO_WAIT), <, 0);
		hilo__sys_fail(SYS_CALL_SPLICE, 0, 0, false);
		route_free(&one);
	}
	(void)route;
	return 0;
}

/* The streams go at any moment. */
ROUTE_TEST(test_abort_ends_it)
{
	struct pumping pumping;
	unsigned rounds = test_rounds(8);

	for (unsigned i = 0; i < rounds; i++) {
		struct route one = route_new(kind, ROUTE_UNIX);

		(void)route_stuff(&one, 0);
		pumping_start(&pumping, &one);
		for (unsigned pauses = i / 2; pauses > 0; pauses--)
			test_pause();
		if (i % 2) /* who waits for room hears of it when there is some, or will be none */
			TASK_CHECK(hilo_stream_abort(one.from), ==, 0);
		TASK_CHECK(hilo_stream_abort(one.to), ==, 0);
		TASK_CHECK(pumping_end(&pumping), ==, HILO_ECLOSED);
		route_free(&one);
	}
	(void)route;
	return 0;
}

/* The wait for more is left to who reads next, who gets what comes. */
ROUTE_TEST(test_who_reads_next_gets_what_comes)
{
	struct stream_call reader = {.stream = route->from, .call = call_read_exactly, .size = 100};
	struct pumping pumping;
	size_t size = route_stuff(route, 0);
	char buf[100], block[100];

	for (unsigned i = 0; i < 2; i++) {
		pumping_start(&pumping, route);
		stream_expect(route->b, i ? 3 * sizeof(block) : size, i ? size : 0);
		pumping_waits(&pumping);
		pumping_cancel(&pumping);
		size += i ? 3 * sizeof(block) : 0;
		reader.buf = buf;
		stream_call_start(&reader);
		stream_call_waits(&reader);
		for (unsigned j = 0; j < 4; j++) {
			bytes_fill(block, sizeof(block), size + j * sizeof(block));
			TASK_CHECK(hilo_stream_write(route->a, block, sizeof(block), HILO_FOREVER), ==,
				   sizeof(block));
		}
		TASK_CHECK(stream_call_end(&reader), ==, sizeof(buf));
		bytes_check(buf, sizeof(buf), size);
		size += sizeof(buf);
	}
	stream_expect(route->from, 3 * sizeof(block), size);
	return 0;
}

static void *thread_main(void *arg)
{
	struct pumping *self = arg;
	sigset_t pending;

	TASK_CHECK(hilo_stream_pump(self->from, self->to, UINT64_MAX, &self->count, HILO_FOREVER), ==, 0);
	TASK_CHECK(sigpending(&pending), ==, 0);
	TASK_CHECK(sigismember(&pending, SIGPIPE), ==, 0);
	return NULL;
}

/* A plain thread makes the calls itself. */
ROUTE_TEST(test_plain_thread_pumps)
{
	struct pumping pumping = {.from = route->from, .to = route->to};
	size_t size = route_stuff(route, 0);
	pthread_t thread;

	TASK_CHECK(pthread_create(&thread, NULL, thread_main, &pumping), ==, 0);
	stream_expect(route->b, size, 0);
	TASK_CHECK(hilo_stream_write_eof(route->a), ==, 0);
	test_join_thread(thread);
	TASK_CHECK(pumping.count, ==, size);
	return 0;
}

static int both_task(void *arg)
{
	struct pumping *self = arg;
	int rc = pumping_task(self);

	TASK_CHECK(hilo_stream_write_eof(self->to), ==, 0);
	return rc;
}

static int say_task(void *arg)
{
	hilo_stream *stream = arg;
	size_t size = 2 * STUFFING;
	char *out = malloc(size);

	bytes_fill(out, size, 3);
	TASK_CHECK(hilo_stream_write(stream, out, size, HILO_FOREVER), ==, size);
	TASK_CHECK(hilo_stream_write_eof(stream), ==, 0);
	free(out);
	return 0;
}

static int hear_task(void *arg)
{
	hilo_stream *stream = arg;

	stream_expect(stream, 2 * STUFFING, 3);
	stream_expect_end(stream);
	return 0;
}

/*
 * Both directions of a proxy; one ends before the other. Both are read at the same time: TCP drops all that comes from
 * one whose bytes it has no memory for, also that he has read.
 */
TASK_TEST(test_both_directions)
{
	struct route route = route_new(ROUTE_TCP, ROUTE_TCP);
	struct pumping up = {route.from, route.to, UINT64_MAX, 0, HILO_FOREVER, NULL};
	struct pumping down = {route.to, route.from, UINT64_MAX, 0, HILO_FOREVER, NULL};
	hilo_task *saying, *hearing;
	size_t size = route_stuff(&route, 0);

	saying = hilo_spawn(say_task, route.b);
	hearing = hilo_spawn(hear_task, route.a);
	up.task = hilo_spawn(both_task, &up);
	down.task = hilo_spawn(both_task, &down);
	stream_expect(route.b, size, 0);
	TASK_CHECK(hilo_join(saying, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_join(hearing, HILO_FOREVER), ==, 0);
	TASK_CHECK(pumping_end(&down), ==, 0);
	size += stream_stuff(route.a, size);
	stream_expect(route.b, size / 2, size / 2);
	TASK_CHECK(hilo_stream_write_eof(route.a), ==, 0);
	stream_expect_end(route.b);
	TASK_CHECK(pumping_end(&up), ==, 0);
	TASK_CHECK(up.count, ==, size);
	TASK_CHECK(down.count, ==, 2 * STUFFING);
	route_free(&route);
	return 0;
}

/* One who says numbered bytes, one who hears them, at their own pace. */
struct model {
	struct route *route;
	size_t total;
	uint64_t seed;
	size_t heard;
};

static size_t pick(uint64_t *seed, size_t n)
{
	return (size_t)(random_mix((*seed)++) % n);
}

static int model_say(void *arg)
{
	struct model *model = arg;
	uint64_t seed = model->seed + (UINT64_C(1) << 32);
	char *block = malloc(200000);

	for (size_t at = 0; at < model->total;) {
		size_t size = 1 + pick(&seed, pick(&seed, 3) ? 200000 : 300);

		size = size < model->total - at ? size : model->total - at;
		bytes_fill(block, size, at);
		TASK_CHECK(hilo_stream_write(model->route->a, block, size, HILO_FOREVER), ==, size);
		at += size;
		if (!pick(&seed, 4))
			test_pause();
	}
	TASK_CHECK(hilo_stream_write_eof(model->route->a), ==, 0);
	free(block);
	return 0;
}

static int model_hear(void *arg)
{
	struct model *model = arg;
	uint64_t seed = model->seed + (UINT64_C(2) << 32);
	char *block = malloc(100000);
	ssize_t n;

	while ((n = hilo_stream_read(model->route->b, block, 1 + pick(&seed, 100000), HILO_FOREVER)) > 0) {
		bytes_check(block, (size_t)n, model->heard);
		model->heard += (size_t)n;
		if (!pick(&seed, 4))
			test_pause();
	}
	TASK_CHECK(n, ==, 0);
	free(block);
	return 0;
}

/* One pump that ends at some moment: by a cancel, a deadline, a limit, or the end of all. */
static int model_pump(struct model *model, uint64_t *seed, uint64_t *passed)
{
	struct pumping pumping = {model->route->from, model->route->to, UINT64_MAX, 0, HILO_FOREVER, NULL};
	size_t how = pick(seed, 4), pauses = pick(seed, 12);
	int rc;

	if (how == 0)
		pumping.deadline = hilo_after((hilo_time)pick(seed, 2000000));
	else if (how == 1)
		pumping.limit = pick(seed, 300000);
	pumping.task = hilo_spawn(pumping_task, &pumping);
	if (how > 1) {
		while (pauses-- > 0)
			test_pause();
		(void)hilo_task_cancel(pumping.task);
	}
	rc = pumping_end(&pumping);
	TASK_CHECK(rc == 0 || rc == -ECANCELED || rc == -ETIMEDOUT, ==, 1);
	TASK_CHECK(pumping.count <= pumping.limit, ==, 1);
	*passed += pumping.count;
	return rc == 0 && hilo_stream_at_eof(model->route->from);
}

/* Between two pumps somebody reads, and writes, what he finds. */
static void model_pass_some(struct model *model, uint64_t *seed, uint64_t *passed)
{
	char block[5000];
	ssize_t n =
		hilo_stream_read(model->route->from, block, 1 + pick(seed, sizeof(block) - 1), HILO_NO_WAIT);

	if (n <= 0)
		return;
	bytes_check(block, (size_t)n, *passed);
	TASK_CHECK(hilo_stream_write(model->route->to, block, (size_t)n, HILO_FOREVER), ==, n);
	*passed += (uint64_t)n;
}

static void model_run(struct model *model)
{
	hilo_task *say = hilo_spawn(model_say, model), *hear = hilo_spawn(model_hear, model);
	uint64_t seed = model->seed, passed = 0;

	while (!model_pump(model, &seed, &passed))
		if (!pick(&seed, 3))
			model_pass_some(model, &seed, &passed);
	TASK_CHECK(passed, ==, model->total);
	TASK_CHECK(hilo_stream_write_eof(model->route->to), ==, 0);
	TASK_CHECK(hilo_join(say, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_join(hear, HILO_FOREVER), ==, 0);
	TASK_CHECK(model->heard, ==, model->total);
}

ROUTE_TEST(test_pumps_that_end_anywhere)
{
	struct model model = {.route = route, .seed = test_seed() + (uint64_t)kind * 1000};

	model.total = 400000 * (size_t)test_rounds(8);
	model_run(&model);
	return 0;
}

ROUTE_TEST(test_pumps_that_end_anywhere_with_short_calls)
{
	struct model model = {.route = route, .seed = test_seed() + 77 + (uint64_t)kind * 1000};
	struct sys_chaos chaos = {.seed = test_seed(), .shorten = 100};

	hilo__sys_chaos(&chaos);
	model.total = 250000 * (size_t)test_rounds(8);
	model_run(&model);
	hilo__sys_chaos(NULL);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cancelled_one_has_lost_nothing),
		cmocka_unit_test(test_deadline_has_lost_nothing),
		cmocka_unit_test(test_what_is_there_needs_no_wait),
		cmocka_unit_test(test_end_outranks_a_deadline),
		cmocka_unit_test(test_ends_while_bytes_flow),
		cmocka_unit_test(test_peer_that_goes_is_told),
		cmocka_unit_test(test_source_that_is_reset_is_told),
		cmocka_unit_test(test_failure_of_the_other_side_is_kept),
		cmocka_unit_test(test_abort_ends_it),
		cmocka_unit_test(test_who_reads_next_gets_what_comes),
		cmocka_unit_test(test_plain_thread_pumps),
		cmocka_unit_test(test_both_directions),
		cmocka_unit_test(test_pumps_that_end_anywhere),
		cmocka_unit_test(test_pumps_that_end_anywhere_with_short_calls),
	};

	test_begin();
	TASK_CHECK(signal(SIGPIPE, SIG_DFL) != SIG_ERR, ==, 1); /* it would end the program */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
