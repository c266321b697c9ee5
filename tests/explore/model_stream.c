/* SPDX-License-Identifier: MIT */
/*
 * model_stream.c - the shipped streams over a transport of the model: a receive and a send that stay in flight until a
 * thread that plays the kernel completes them, or somebody stops them.
 *
 * Checked: one of each is in flight at most; none is stopped while it is being started, or when the transport is
 * closed; that is closed once, with nothing in flight, and the memory given back once, after; nobody waits for ever;
 * a byte that has come is read once, or is there for the next one; what two write is not mixed.
 */
#include <errno.h>
#include <string.h>

#include <hilo/runtime/error.h>

#include "io/stream_impl.h"
#include "runtime/error_impl.h"
#include "runtime/sized_impl.h"
#include "scheduler/base/mem.h"
#include "tests/explore/waiting.h"
#include "tests/explore/waking.h"

#define BLOCKS 6

static hilo_stream *stream;

/* What is in flight, by direction. */
enum flight {
	FLIGHT_NONE,
	FLIGHT_STARTING,
	FLIGHT_UP,
};

enum direction {
	RECEIVE,
	SEND
};

static atomic(uint32_t) flight[2];
static char *into; /* published by flight */
static const char *from;
static size_t from_size;
static char sent[8]; /* as the peer has it */
static size_t sent_size;
static atomic(uint32_t) closed, freed, taken, came;
static atomic(uint32_t) entered, gone; /* T0 is inside of its call; the stream was given back */

static struct {
	_Alignas(64) unsigned char bytes[sizeof(hilo_stream)];
	size_t size;
} block[BLOCKS];
static atomic(uint32_t) blocks;

void *hilo__malloc(size_t size)
{
	uint32_t n = add_relaxed(&blocks, 1); /* relaxed: a number */

	EXPLORE_CHECK(n < BLOCKS);
	if (size > sizeof(block[0].bytes))
		return NULL;
	block[n].size = size;
	return block[n].bytes;
}

void hilo__free(void *p)
{
	if (!p)
		return;
	(void)add_relaxed(&freed, 1); /* relaxed: for the count at the end */
	explore_retire(p, container_of(p, __typeof__(block[0]), bytes)->size);
}

int hilo__error_own(int code)
{
	return code;
}

struct stream_room hilo__stream_room;

void hilo__stream_room_add(int64_t bytes)
{
	(void)bytes;
}

int hilo__error_sizes(int code, uint64_t have, uint64_t want)
{
	(void)have, (void)want;
	return code;
}

int hilo_fail(int code, const char *format, ...)
{
	(void)format;
	return code;
}

const char *hilo_strerror(int code)
{
	(void)code;
	return "";
}

int hilo__sized_in(void *to, size_t known, size_t least, const void *opts, const char *name)
{
	(void)least, (void)name;
	memcpy(to, opts, known);
	return 0;
}

struct hilo_runtime *hilo__io_runtime(void)
{
	return NULL;
}

static void flight_begin(enum direction way)
{
	EXPLORE_CHECK(load_relaxed(&closed) == 0);
	EXPLORE_CHECK(xchg_acquire(&flight[way], FLIGHT_STARTING) == FLIGHT_NONE);
	store_release(&entered, 1);
}

/* True: whoever calls this ends it. */
static bool flight_end(enum direction way)
{
	uint32_t up = FLIGHT_UP;

	return cas_acq_rel(&flight[way], &up, FLIGHT_NONE);
}

/* Before it is started: a receive is complete at once. */
static bool at_once;

static bool model_receive(struct transport *transport, void *data, size_t size, bool later, ssize_t *ret)
{
	(void)transport, (void)size, (void)later;
	flight_begin(RECEIVE);
	if (at_once) {
		*(char *)data = 'x';
		(void)add_relaxed(&came, 1); /* relaxed: for the count at the end */
		store_release(&flight[RECEIVE], FLIGHT_NONE);
		*ret = 1;
		return true;
	}
	plain_store(&into, data);
	store_release(&flight[RECEIVE], FLIGHT_UP);
	return false;
}

/* Nothing has come. */
static ssize_t model_receive_pipe(struct transport *transport, int pipe, size_t size)
{
	(void)transport, (void)pipe, (void)size;
	flight_begin(RECEIVE);
	store_release(&flight[RECEIVE], FLIGHT_NONE);
	return -EAGAIN;
}

static ssize_t model_receive_now(struct transport *transport, void *data, size_t size)
{
	(void)transport, (void)data, (void)size;
	return -EAGAIN;
}

static bool model_send(struct transport *transport, const void *data, size_t size, ssize_t *ret)
{
	(void)transport, (void)ret;
	flight_begin(SEND);
	plain_store(&from, data);
	plain_store(&from_size, size);
	store_release(&flight[SEND], FLIGHT_UP);
	return false;
}

static void model_stop(struct transport *transport, bool receive, bool send)
{
	(void)transport;
	EXPLORE_CHECK(load_relaxed(&closed) == 0);
	if (receive) {
		EXPLORE_CHECK(load_relaxed(&flight[RECEIVE]) != FLIGHT_STARTING);
		if (flight_end(RECEIVE))
			hilo__stream_received(stream, -ECANCELED, false);
	}
	if (send) {
		EXPLORE_CHECK(load_relaxed(&flight[SEND]) != FLIGHT_STARTING);
		if (flight_end(SEND))
			hilo__stream_sent(stream, -ECANCELED);
	}
}

static int model_shut(struct transport *transport)
{
	(void)transport;
	return 0;
}

static void model_close(struct transport *transport)
{
	(void)transport;
	EXPLORE_CHECK(load_relaxed(&flight[RECEIVE]) == FLIGHT_NONE);
	EXPLORE_CHECK(load_relaxed(&flight[SEND]) == FLIGHT_NONE);
	EXPLORE_CHECK(add_relaxed(&closed, 1) == 0);
}

static const struct transport_ops model_ops = {
	.name = "model",
	.receive = model_receive,
	.receive_now = model_receive_now,
	.receive_pipe = model_receive_pipe,
	.send = model_send,
	.stop = model_stop,
	.shut = model_shut,
	.close = model_close,
};

/* The end is sent itself, as a send. */
static bool model_end(struct transport *transport, ssize_t *ret)
{
	(void)transport, (void)ret;
	flight_begin(SEND);
	store_release(&flight[SEND], FLIGHT_UP);
	return false;
}

static hilo_time model_end_limit(const struct transport *transport)
{
	(void)transport;
	return HILO_FOREVER;
}

static const struct transport_ops model_end_ops = {
	.name = "model",
	.receive = model_receive,
	.receive_now = model_receive_now,
	.send = model_send,
	.stop = model_stop,
	.end = model_end,
	.end_limit = model_end_limit,
	.close = model_close,
};

static struct transport model;

static void setup_with(size_t high)
{
	hilo_stream_opts opts = {.size = sizeof(opts), .high = high, .low = 1};

	waiting_reset(4, 0);
	memset(block, 0, sizeof(block));
	memset(sent, 0, sizeof(sent));
	at_once = false;
	blocks = closed = freed = taken = came = entered = gone = 0;
	flight[0] = flight[1] = FLIGHT_NONE;
	into = NULL;
	from = NULL;
	sent_size = from_size = 0;
	EXPLORE_CHECK(hilo__stream_new("model", &opts, NULL, &stream) == 0);
	model = (struct transport){
		.ops = &model_ops, .fd = -1, .can_read = true, .can_write = true, .can_shut = true};
	hilo__stream_attach(stream, &model);
}

static void setup(void)
{
	setup_with(4);
}

static void setup_at_once(void)
{
	setup();
	at_once = true;
}

static void setup_end(void)
{
	setup();
	model.ops = &model_end_ops;
}

static void setup_low(void)
{
	setup_with(1);
}

/* A byte comes, if somebody has asked for it. */
static void kernel_receives(void)
{
	if (load_acquire(&flight[RECEIVE]) == FLIGHT_UP && flight_end(RECEIVE)) {
		*plain_load(&into) = 'x';
		(void)add_relaxed(&came, 1); /* relaxed: for the count at the end */
		hilo__stream_received(stream, 1, false);
	}
}

/* A byte goes. */
static bool kernel_sends_one(void)
{
	if (load_acquire(&flight[SEND]) != FLIGHT_UP || !flight_end(SEND))
		return false;
	sent[sent_size++] = *plain_load(&from);
	hilo__stream_sent(stream, 1);
	return true;
}

static void kernel_sends(void)
{
	(void)kernel_sends_one();
}

static void kernel_sends_two(void)
{
	(void)kernel_sends_one();
	(void)kernel_sends_one();
}

/* The end is to begin again. */
static void kernel_defers(void)
{
	if (load_acquire(&flight[SEND]) == FLIGHT_UP && flight_end(SEND))
		hilo__stream_sent(stream, -EAGAIN);
}

/* It goes. */
static void kernel_ends(void)
{
	if (load_acquire(&flight[SEND]) == FLIGHT_UP && flight_end(SEND))
		hilo__stream_sent(stream, 0);
}

static void reads(void)
{
	char byte = 0;
	ssize_t n = hilo_stream_read(stream, &byte, 1, HILO_FOREVER);

	EXPLORE_CHECK(n == 1 || n == HILO_ECLOSED || n == -ECANCELED);
	if (n == 1) {
		EXPLORE_CHECK(byte == 'x');
		(void)add_relaxed(&taken, 1); /* relaxed: for the count at the end */
	}
}

/* One who has the kernel move the bytes: twice he finds that none is there, then he reads. */
static void pumps_and_reads(void)
{
	struct stream_reader reader;
	ssize_t n;

	stream_reader_init(&reader, stream, "model");
	n = hilo__stream_claim(&reader);
	for (unsigned i = 0; i < 2 && n == 0; i++) {
		n = hilo__stream_receive_pipe(&reader, -1, 1);
		EXPLORE_CHECK(n == -EAGAIN || n == 0); /* 0: one has come, or it was aborted */
		EXPLORE_CHECK(stream_state(stream) == STREAM_OPEN || stream->busy || stream->ending);
		if (n == -EAGAIN)
			n = hilo__stream_await(&reader, HILO_FOREVER);
		EXPLORE_CHECK(n == 0 || n == 1 || n == HILO_ECLOSED || n == -ECANCELED);
		n = 0;
	}
	hilo__stream_read_end(&reader, 0);
	reads();
}

/* A number that who reads looks at without the lock. */
static void sets_limits(void)
{
	hilo_stream_limits limits = {.size = sizeof(limits), .line = 16, .high = 4, .low = 1};

	EXPLORE_CHECK(hilo_stream_set_limits(stream, &limits) == 0);
}

static void writes_a(void)
{
	ssize_t n = hilo_stream_write(stream, "a", 1, HILO_FOREVER);

	EXPLORE_CHECK(n == 1 || n == HILO_ECLOSED || n == -ECANCELED);
}

static void writes_two(void)
{
	ssize_t n = hilo_stream_write(stream, "bb", 2, HILO_FOREVER);

	EXPLORE_CHECK(n == 2 || n == HILO_ECLOSED || n == -ECANCELED);
}

static void writes_and_flushes(void)
{
	int rc;

	writes_a();
	rc = hilo_stream_flush(stream, HILO_FOREVER);
	EXPLORE_CHECK(rc == 0 || rc == HILO_ECLOSED);
}

static void writes_and_closes(void)
{
	int rc;

	writes_a();
	rc = hilo_stream_close(stream, HILO_FOREVER);
	EXPLORE_CHECK(rc == 0 || rc == HILO_ECLOSED);
}

static void closes(void)
{
	int rc = hilo_stream_close(stream, HILO_FOREVER);

	EXPLORE_CHECK(rc == 0 || rc == HILO_ECLOSED);
}

/* Nobody may begin to use a stream that is freed, but may be in it. */
static void frees(void)
{
	if (load_acquire(&entered)) {
		(void)add_relaxed(&gone, 1); /* relaxed: for the end */
		hilo_stream_free(stream);
	} else {
		EXPLORE_CHECK(hilo_stream_abort(stream) == 0);
	}
}

static void aborts(void)
{
	EXPLORE_CHECK(hilo_stream_abort(stream) == 0);
}

static void canceller_of_T0(void)
{
	if (task_state_cancel(&records[0].state, 1))
		waiting_ready(&records[0]);
}

static void finish_freed(void)
{
	waiting_check(4);
	EXPLORE_CHECK(closed == 1);
	EXPLORE_CHECK(freed == gone);
	EXPLORE_CHECK(gone || stream->refs == 1);
}

/* Somebody waits for a kernel that has looked too early. */
static bool kernel_is_awaited(void)
{
	for (unsigned i = 0; i < 4; i++)
		if (records[i].state & TASK_PARKED)
			return true;
	return false;
}

/* It is open, or was aborted: nothing is lost, nobody uses it. */
static void finish(void)
{
	if (kernel_is_awaited())
		return;
	waiting_check(4);
	EXPLORE_CHECK(list_empty(&stream->rx.waiter));
	EXPLORE_CHECK(list_empty(&stream->tx.writers) && list_empty(&stream->tx.waiters));
	EXPLORE_CHECK(!stream->rx.reading && !stream->tx.turn && !stream->tx.starting);
	EXPLORE_CHECK(taken + stream->rx.level == came);
	EXPLORE_CHECK(stream->refs == 1u + stream->rx.op + stream->tx.op);
	EXPLORE_CHECK(stream->busy == (uint32_t)stream->rx.op + stream->tx.op);
	EXPLORE_CHECK(stream->rx.op == (flight[RECEIVE] == FLIGHT_UP));
	EXPLORE_CHECK(stream->tx.op == (flight[SEND] == FLIGHT_UP));
	EXPLORE_CHECK((stream->state == STREAM_CLOSED) == (closed == 1));
	/* What one has written is together. */
	EXPLORE_CHECK(memcmp(sent, "bab", 3) != 0);
}

/* Those that wait for a kernel which has looked too early. */
static bool work_remains(void)
{
	return flight[RECEIVE] != FLIGHT_UP && flight[SEND] != FLIGHT_UP;
}

#define MODEL(BOUND, NAME, OPERATIONS, SETUP, FINISH, ...)                                                   \
	{                                                                                                    \
		.name = NAME, .operations = OPERATIONS, .setup = SETUP, .finish = FINISH,                    \
		.work_remains = work_remains, .bound = BOUND,                                                \
		.threads = sizeof((void (*[])(void)){__VA_ARGS__}) / sizeof(void (*)(void)),                 \
		.thread = {__VA_ARGS__},                                                                     \
	}

static const struct explore_model models[] = {
	MODEL(2, "stream_read", "read | byte comes | byte comes", setup, finish, reads, kernel_receives,
	      kernel_receives),
	MODEL(2, "stream_read_limits", "read | byte comes | limits are set", setup, finish, reads,
	      kernel_receives, sets_limits),
	MODEL(2, "stream_read_cancel", "read | byte comes | cancel T0", setup, finish, reads, kernel_receives,
	      canceller_of_T0),
	MODEL(2, "stream_read_free", "read | byte comes | free", setup, finish_freed, reads, kernel_receives,
	      frees),
	MODEL(2, "stream_read_abort", "read | byte comes | abort", setup, finish, reads, kernel_receives,
	      aborts),
	MODEL(2, "stream_read_at_once", "read, at once | abort", setup_at_once, finish, reads, aborts),
	MODEL(2, "stream_pump", "pump, read | byte comes | byte comes", setup, finish, pumps_and_reads,
	      kernel_receives, kernel_receives),
	MODEL(2, "stream_pump_cancel", "pump, read | byte comes | cancel T0", setup, finish, pumps_and_reads,
	      kernel_receives, canceller_of_T0),
	MODEL(2, "stream_pump_abort", "pump, read | byte comes | abort", setup, finish, pumps_and_reads,
	      kernel_receives, aborts),
	MODEL(2, "stream_write_free", "write | byte goes | free", setup, finish_freed, writes_a, kernel_sends,
	      frees),
	MODEL(2, "stream_flush", "write, flush | byte goes | byte goes", setup, finish, writes_and_flushes,
	      kernel_sends, kernel_sends),
	MODEL(2, "stream_write_abort", "write two | bytes go | abort", setup, finish, writes_two,
	      kernel_sends_two, aborts),
	MODEL(1, "stream_turns", "write | write two | bytes go | byte goes", setup_low, finish, writes_a,
	      writes_two, kernel_sends_two, kernel_sends),
	MODEL(2, "stream_turns_cancel", "write two | write | bytes go | cancel T0", setup_low, finish,
	      writes_two, writes_a, kernel_sends_two, canceller_of_T0),
	MODEL(2, "stream_close", "write, close | byte goes | abort", setup, finish, writes_and_closes,
	      kernel_sends, aborts),
	MODEL(2, "stream_end", "close | end begins again | end goes", setup_end, finish, closes,
	      kernel_defers, kernel_ends),
};

int main(int argc, char **argv)
{
	return explore_main(argc, argv, models, array_size(models));
}
