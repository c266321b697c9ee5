/* SPDX-License-Identifier: MIT */
/*
 * test_stream_replace.c - a live stream is given another transport, here one that turns the bits of all bytes round, on
 * which it goes on.
 */
#include <hilo/io/file.h>
#include <hilo/io/pump.h>

#include "io/stream_impl.h"
#include "tests/unit/io/streams.h"

struct turned {
	struct transport base, *below;
	char early[64]; /* what had come before */
	size_t early_size;
	char *into;
	char out[4096];
};

static struct turned *turned_of(struct transport *transport)
{
	return container_of(transport, struct turned, base);
}

static void turn(char *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		bytes[i] = (char)~bytes[i];
}

static void turned_received(void *owner, ssize_t n, bool more)
{
	struct turned *self = owner;

	if (n > 0)
		turn(self->into, (size_t)n);
	self->base.up->received(self->base.owner, n, more);
}

static void turned_sent(void *owner, ssize_t n)
{
	struct turned *self = owner;

	self->base.up->sent(self->base.owner, n);
}

static const struct transport_up turned_up = {turned_received, turned_sent};

static ssize_t turned_early(struct turned *self, void *data, size_t size)
{
	size_t n = size < self->early_size ? size : self->early_size;

	memcpy(data, self->early, n);
	turn(data, n);
	memmove(self->early, self->early + n, self->early_size -= n);
	return (ssize_t)n;
}

static bool turned_receive(struct transport *transport, void *data, size_t size, bool later, ssize_t *ret)
{
	struct turned *self = turned_of(transport);

	if (self->early_size) {
		*ret = turned_early(self, data, size);
		return true;
	}
	self->into = data;
	if (!self->below->ops->receive(self->below, data, size, later, ret))
		return false;
	if (*ret > 0)
		turn(data, (size_t)*ret);
	return true;
}

static ssize_t turned_receive_now(struct transport *transport, void *data, size_t size)
{
	struct turned *self = turned_of(transport);
	ssize_t n = self->early_size ? turned_early(self, data, size)
				     : self->below->ops->receive_now(self->below, data, size);

	if (n > 0 && !self->early_size)
		turn(data, (size_t)n);
	return n;
}

static bool turned_send(struct transport *transport, const void *data, size_t size, ssize_t *ret)
{
	struct turned *self = turned_of(transport);

	if (size > sizeof(self->out))
		size = sizeof(self->out);
	memcpy(self->out, data, size);
	turn(self->out, size);
	return self->below->ops->send(self->below, self->out, size, ret);
}

static void turned_stop(struct transport *transport, bool receive, bool send)
{
	struct turned *self = turned_of(transport);

	self->below->ops->stop(self->below, receive, send);
}

static int turned_shut(struct transport *transport)
{
	struct turned *self = turned_of(transport);

	return self->below->ops->shut(self->below);
}

static void turned_close(struct transport *transport)
{
	struct turned *self = turned_of(transport);

	self->below->ops->close(self->below);
}

static void turned_free(struct transport *transport)
{
	struct turned *self = turned_of(transport);

	if (self->below->ops->free)
		self->below->ops->free(self->below);
	free(self);
}

static const struct transport_ops turned_ops = {
	.name = "turned",
	.receive = turned_receive,
	.receive_now = turned_receive_now,
	.send = turned_send,
	.stop = turned_stop,
	.shut = turned_shut,
	.close = turned_close,
	.free = turned_free,
};

static struct transport *turned_wrap(struct transport *below, const char *bytes, size_t n, void *arg)
{
	struct turned *self = calloc(1, sizeof(*self));

	TASK_CHECK(n, ==, *(size_t *)arg);
	TASK_CHECK(n, <=, sizeof(self->early));
	memcpy(self->early, bytes, n);
	self->early_size = n;
	self->below = below;
	self->base = *below;
	self->base.ops = &turned_ops;
	below->up = &turned_up;
	below->owner = self;
	return &self->base;
}

static struct transport *no_memory(struct transport *below, const char *bytes, size_t n, void *arg)
{
	(void)bytes, (void)n, (void)arg;
	below->up = NULL;
	return NULL;
}

static void bytes_go_both_ways(hilo_stream *a, hilo_stream *b)
{
	size_t size = 100000;
	char *out = malloc(size);
	struct stream_call writer[2] = {{.stream = a, .call = call_write, .buf = out, .size = size},
					{.stream = b, .call = call_write, .buf = out, .size = size}};

	bytes_fill(out, size, 0);
	stream_call_start(&writer[0]);
	stream_call_start(&writer[1]);
	stream_expect(b, size, 0);
	stream_expect(a, size, 0);
	TASK_CHECK(stream_call_end(&writer[0]), ==, size);
	TASK_CHECK(stream_call_end(&writer[1]), ==, size);
	free(out);
}

STREAM_TEST(test_both_ends_go_on_over_another_transport)
{
	size_t none = 0;
	char buf[8];

	bytes_go_both_ways(a, b);
	/* A receive is left in flight. */
	TASK_CHECK(hilo_stream_read(a, buf, sizeof(buf), hilo_after(HILO_MILLISECOND)), ==, -ETIMEDOUT);
	TASK_CHECK(hilo__stream_replace(a, turned_wrap, &none, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo__stream_replace(b, turned_wrap, &none, HILO_FOREVER), ==, 0);
	bytes_go_both_ways(a, b);
	TASK_CHECK(hilo_stream_write_eof(a), ==, 0);
	stream_expect_end(b);
	TASK_CHECK(hilo_stream_close(a, HILO_FOREVER), ==, 0);
	return 0;
}

STREAM_TEST(test_bytes_that_came_early_are_handed_over)
{
	size_t none = 0, early = 4;
	char buf[8];

	TASK_CHECK(hilo__stream_replace(a, turned_wrap, &none, HILO_FOREVER), ==, 0);
	stream_say(b, "!");
	TASK_CHECK(hilo_stream_read_exactly(a, buf, 1, HILO_FOREVER), ==, 1);
	TASK_CHECK(buf[0], ==, (char)~'!');
	stream_say(a, ".....");
	TASK_CHECK(hilo_stream_read_exactly(b, buf, 1, HILO_FOREVER), ==, 1);
	TEST_UNTIL(hilo_stream_read_buffered(b) == 4 ||
		   hilo_stream_read_exactly(b, buf, 8, hilo_after(HILO_MILLISECOND)) == 8);
	TASK_CHECK(hilo__stream_replace(b, turned_wrap, &early, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_stream_read_exactly(b, buf, 4, HILO_FOREVER), ==, 4);
	TASK_CHECK(memcmp(buf, "....", 4), ==, 0);
	return 0;
}

STREAM_TEST(test_stream_that_is_read_keeps_its_transport)
{
	size_t none = 0;
	char buf[8];
	struct stream_call reader = {.stream = a, .call = call_read, .buf = buf, .size = sizeof(buf)};

	stream_call_start(&reader);
	stream_call_waits(&reader);
	TASK_CHECK(hilo__stream_replace(a, turned_wrap, &none, HILO_FOREVER), ==, -EBUSY);
	stream_say(b, "x");
	TASK_CHECK(stream_call_end(&reader), ==, 1);
	TASK_CHECK(hilo__stream_replace(a, no_memory, NULL, HILO_FOREVER), ==, -ENOMEM);
	bytes_go_both_ways(a, b);
	(void)stream_stuff(a, 0);
	TASK_CHECK(hilo__stream_replace(a, turned_wrap, &none, hilo_after(HILO_MILLISECOND)), ==, -ETIMEDOUT);
	TASK_CHECK(hilo_stream_abort(a), ==, 0);
	TASK_CHECK(hilo__stream_replace(a, turned_wrap, &none, HILO_FOREVER), ==, HILO_ECLOSED);
	return 0;
}

#define FILE_SIZE ((size_t)300000)

static int file_new(void)
{
	char path[] = "/tmp/hilo_replace_XXXXXX", *bytes = malloc(FILE_SIZE);
	int fd = mkstemp(path);

	TASK_CHECK(unlink(path), ==, 0);
	bytes_fill(bytes, FILE_SIZE, 0);
	TASK_CHECK(write(fd, bytes, FILE_SIZE), ==, FILE_SIZE);
	free(bytes);
	return fd;
}

struct file_sending {
	hilo_stream *stream;
	int fd;
};

static int file_sending_task(void *arg)
{
	const struct file_sending *self = arg;
	uint64_t count = 0;

	TASK_CHECK(hilo_stream_sendfile(self->stream, self->fd, 0, UINT64_MAX, &count, HILO_FOREVER), ==, 0);
	TASK_CHECK(count, ==, FILE_SIZE);
	return 0;
}

/* All of the file, of which what was sent over the other transport is turned. */
static void expect_file_turned_from_somewhere(hilo_stream *stream)
{
	char *bytes = malloc(FILE_SIZE), *as_is = malloc(FILE_SIZE);
	size_t from = 0;

	bytes_fill(as_is, FILE_SIZE, 0);
	TASK_CHECK(hilo_stream_read_exactly(stream, bytes, FILE_SIZE, HILO_FOREVER), ==, FILE_SIZE);
	while (from < FILE_SIZE && bytes[from] == as_is[from])
		from++;
	turn(bytes + from, FILE_SIZE - from);
	TASK_CHECK(memcmp(bytes, as_is, FILE_SIZE), ==, 0);
	free(bytes);
	free(as_is);
}

static int file_reader_task(void *arg)
{
	expect_file_turned_from_somewhere(arg);
	return 0;
}

/* At any moment of its way: also while it is asked whether the transport takes pipes. */
TASK_TEST(test_file_goes_on_over_another_transport)
{
	size_t none = 0;
	int fd = file_new();

	for (unsigned i = 0; i < 60; i++) {
		hilo_stream *stream[2];
		struct file_sending sending = {.fd = fd};
		hilo_task *sender, *reader;

		streams_make((enum stream_kind)(i % KINDS), NULL, stream);
		sending.stream = stream[0];
		sender = hilo_spawn(file_sending_task, &sending);
		reader = hilo_spawn(file_reader_task, stream[1]);
		for (unsigned pauses = i % 20; pauses > 0; pauses--)
			test_pause();
		TASK_CHECK(hilo__stream_replace(stream[0], turned_wrap, &none, HILO_FOREVER), ==, 0);
		TASK_CHECK(hilo_join(sender, HILO_FOREVER), ==, 0);
		TASK_CHECK(hilo_join(reader, HILO_FOREVER), ==, 0);
		hilo_stream_free(stream[0]);
		hilo_stream_free(stream[1]);
	}
	close(fd);
	return 0;
}

/* Who has it seized is asked nothing of its transport. */
STREAM_TEST(test_file_waits_for_who_has_seized_it)
{
	struct stream_reader reader;
	struct file_sending sending = {.stream = a, .fd = file_new()};
	size_t none = 0;
	hilo_task *sender, *other;

	TASK_CHECK(hilo__stream_seize(&reader, a, "test", HILO_FOREVER), ==, 0);
	sender = hilo_spawn(file_sending_task, &sending);
	TEST_UNTIL(hilo_task_get_state(sender) == HILO_TASK_SUSPENDED);
	TASK_CHECK(hilo__stream_send_pipe(a, -1, 0, hilo_after(HILO_MILLISECOND)), ==, -ETIMEDOUT);
	TASK_CHECK(hilo__stream_exchange(&reader, turned_wrap, &none, HILO_FOREVER), ==, 0);
	hilo__stream_let_go(&reader);
	other = hilo_spawn(file_reader_task, b);
	TASK_CHECK(hilo_join(sender, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_join(other, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo__stream_send_pipe(a, -1, 0, HILO_FOREVER), ==, -EOPNOTSUPP);
	close(sending.fd);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_both_ends_go_on_over_another_transport),
		cmocka_unit_test(test_bytes_that_came_early_are_handed_over),
		cmocka_unit_test(test_stream_that_is_read_keeps_its_transport),
		cmocka_unit_test(test_file_goes_on_over_another_transport),
		cmocka_unit_test(test_file_waits_for_who_has_seized_it),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
