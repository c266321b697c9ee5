/* SPDX-License-Identifier: MIT */
/*
 * test_conn.c - connections that call back: over sockets of both kinds and memory, with several workers; one callback
 * at a time, marks, pauses, both sorts of ends, and who writes from elsewhere.
 */
#include "tests/unit/io/streams.h"

#include <hilo/io/conn.h>

#include "scheduler/base/sys.h"

/* What the callbacks of one connection have seen; its user pointer. */
struct seen {
	atomic(int) inside; /* callbacks that are running */
	test_flag made, bytes, eofs, writables, losts;
	int code;	 /* of lost */
	uint64_t from;	 /* the next byte to come, of byte_at */
	bool checks;	 /* they are those */
	bool echoes;	 /* and pauses while more is on its way than the mark */
	bool keeps;	 /* what eof answers */
	bool yields;	 /* while it is called */
	unsigned pauses; /* reading was paused so often */
};

static struct seen *enters(hilo_conn *conn)
{
	struct seen *seen = hilo_conn_user(conn);

	TASK_CHECK(add_acq_rel(&seen->inside, 1), ==, 0);
	TASK_CHECK(load_acquire(&seen->losts), ==, 0);
	if (seen->yields)
		(void)hilo_yield();
	return seen;
}

static void leaves(struct seen *seen, test_flag *counter, unsigned n)
{
	TASK_CHECK(sub_acq_rel(&seen->inside, 1), ==, 1);
	(void)add_release(counter, n);
}

static void on_made(hilo_conn *conn)
{
	struct seen *seen = enters(conn);

	TASK_CHECK(load_acquire(&seen->made), ==, 0);
	leaves(seen, &seen->made, 1);
}

static void on_data(hilo_conn *conn, const void *data, size_t size)
{
	struct seen *seen = enters(conn);

	TASK_CHECK(load_acquire(&seen->made), ==, 1);
	TASK_CHECK(size, >, 0);
	if (seen->checks)
		bytes_check(data, size, seen->from);
	seen->from += size;
	if (seen->echoes && hilo_conn_write(conn, data, size) > 0) {
		TASK_CHECK(hilo_conn_pause_reading(conn), ==, 0);
		seen->pauses++;
	}
	leaves(seen, &seen->bytes, (unsigned)size);
}

static int on_eof(hilo_conn *conn)
{
	struct seen *seen = enters(conn);
	int keeps = seen->keeps;

	leaves(seen, &seen->eofs, 1);
	return keeps;
}

static void on_writable(hilo_conn *conn)
{
	struct seen *seen = enters(conn);
	size_t low;

	TASK_CHECK(load_acquire(&seen->made), ==, 1);
	TASK_CHECK(hilo_conn_get_write_buffer_limits(conn, NULL, &low), ==, 0);
	if (seen->echoes) /* else others write meanwhile */
		TASK_CHECK(hilo_conn_get_write_buffer_size(conn), <=, low);
	if (seen->echoes)
		TASK_CHECK(hilo_conn_resume_reading(conn), ==, 0);
	leaves(seen, &seen->writables, 1);
}

static void on_lost(hilo_conn *conn, int code)
{
	struct seen *seen = enters(conn);

	seen->code = code;
	TASK_CHECK(hilo_conn_write(conn, "x", 1), ==, HILO_ECLOSED);
	leaves(seen, &seen->losts, 1);
}

static hilo_conn_callbacks callbacks_of(struct seen *seen)
{
	return (hilo_conn_callbacks){.size = sizeof(hilo_conn_callbacks),
				     .made = on_made,
				     .data = on_data,
				     .eof = on_eof,
				     .writable = on_writable,
				     .lost = on_lost,
				     .user = seen};
}

/* A connection, and the stream at its other end. */
static hilo_conn *started(enum stream_kind kind, const hilo_conn_callbacks *callbacks, hilo_stream **ret)
{
	hilo_stream *stream[2];
	hilo_conn *conn = NULL;

	streams_make(kind, NULL, stream);
	TASK_CHECK(hilo_conn_start(stream[0], callbacks, &conn), ==, 0);
	*ret = stream[1];
	return conn;
}

/* It is over for @code, and gone. */
static void over(hilo_conn *conn, struct seen *seen, int code)
{
	TEST_UNTIL(load_acquire(&seen->losts));
	TASK_CHECK(seen->code, ==, code);
	TASK_CHECK(load_acquire(&seen->inside), ==, 0);
	TEST_UNTIL(hilo_conn_write(conn, "x", 1) == HILO_ECLOSED);
	TASK_CHECK(hilo_conn_is_closing(conn), ==, 1);
	TASK_CHECK(hilo_conn_is_reading(conn), ==, 0);
	TASK_CHECK(hilo_conn_close(conn), ==, 0);
	TASK_CHECK(hilo_conn_abort(conn), ==, 0);
	hilo_conn_unref(conn);
}

static void reads(hilo_stream *stream, size_t size, uint64_t from)
{
	char buf[4096];

	while (size) {
		ssize_t n =
			hilo_stream_read(stream, buf, size < sizeof(buf) ? size : sizeof(buf), HILO_FOREVER);

		TASK_CHECK(n, >, 0);
		bytes_check(buf, (size_t)n, from);
		from += (size_t)n;
		size -= (size_t)n;
	}
}

static void ends(hilo_stream *stream)
{
	char byte;

	TASK_CHECK(hilo_stream_read(stream, &byte, 1, HILO_FOREVER), ==, 0);
}

struct conn_test {
	int (*body)(enum stream_kind kind);
	enum stream_kind kind;
};

static int conn_test_task(void *arg)
{
	struct conn_test *test = arg;

	return test->body(test->kind);
}

static void conn_test_run(int (*body)(enum stream_kind kind))
{
	static const unsigned workers[] = {1, 2, 8};

	for (enum stream_kind kind = 0; kind < KINDS; kind++)
		for (size_t i = 0; i < array_size(workers); i++) {
			struct conn_test test = {body, kind};
			unsigned fds = test_fds();

			assert_int_equal(test_run(workers[i], conn_test_task, &test), 0);
			assert_int_equal(test_fds(), fds);
		}
}

#define CONN_TEST(name)                                                                                      \
	static int name##_body(enum stream_kind kind);                                                       \
	static void name(void **state)                                                                       \
	{                                                                                                    \
		(void)state;                                                                                 \
		conn_test_run(name##_body);                                                                  \
	}                                                                                                    \
	static int name##_body(__attribute__((unused)) enum stream_kind kind)

#define MUCH ((size_t)600 * 1024)

static int writes_much(void *arg)
{
	char buf[5000];

	for (size_t done = 0; done < MUCH; done += sizeof(buf)) {
		bytes_fill(buf, sizeof(buf), done);
		TASK_CHECK(hilo_stream_write(arg, buf, sizeof(buf), HILO_FOREVER), ==, sizeof(buf));
	}
	return hilo_stream_can_write_eof(arg) ? hilo_stream_write_eof(arg) : 0;
}

CONN_TEST(test_echo_by_callbacks_pauses_and_goes_on)
{
	struct seen seen = {.checks = true, .echoes = true, .yields = true};
	hilo_conn_callbacks callbacks = callbacks_of(&seen);
	hilo_stream *peer;
	hilo_task *task;
	hilo_conn *conn;

	callbacks.high = 8000;
	callbacks.low = 1000;
	conn = started(kind, &callbacks, &peer);
	TEST_UNTIL(load_acquire(&seen.made));
	TASK_CHECK(hilo_conn_is_reading(conn), ==, 1);
	task = hilo_spawn(writes_much, peer);
	TEST_UNTIL(load_acquire(&seen.bytes) > 8000);
	reads(peer, (MUCH + 4999) / 5000 * 5000, 0);
	ends(peer);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 0);
	over(conn, &seen, 0);
	TASK_CHECK(load_acquire(&seen.eofs), ==, 1);
	TASK_CHECK(load_acquire(&seen.writables), ==, seen.pauses);
	hilo_stream_free(peer);
	return 0;
}

CONN_TEST(test_paused_reading_delivers_nothing_until_it_goes_on)
{
	struct seen seen = {.checks = true};
	hilo_conn_callbacks callbacks = callbacks_of(&seen);
	hilo_stream *peer;
	hilo_conn *conn = started(kind, &callbacks, &peer);
	char buf[300];

	TEST_UNTIL(load_acquire(&seen.made));
	TASK_CHECK(hilo_conn_pause_reading(conn), ==, 0);
	TASK_CHECK(hilo_conn_pause_reading(conn), ==, 0);
	TASK_CHECK(hilo_conn_is_reading(conn), ==, 0);
	bytes_fill(buf, sizeof(buf), 0);
	TASK_CHECK(hilo_stream_write(peer, buf, 100, HILO_FOREVER), ==, 100);
	TASK_CHECK(hilo_stream_flush(peer, HILO_FOREVER), ==, 0);
	for (unsigned i = 0; i < 20; i++)
		TASK_CHECK(hilo_yield(), ==, 0);
	TASK_CHECK(load_acquire(&seen.bytes), ==, 0);
	TASK_CHECK(hilo_conn_resume_reading(conn), ==, 0);
	TEST_UNTIL(load_acquire(&seen.bytes) == 100);
	/* The end waits as well. */
	TASK_CHECK(hilo_conn_pause_reading(conn), ==, 0);
	TASK_CHECK(hilo_stream_write(peer, buf + 100, 200, HILO_FOREVER), ==, 200);
	TASK_CHECK(hilo_stream_close(peer, HILO_FOREVER), ==, 0);
	for (unsigned i = 0; i < 20; i++)
		TASK_CHECK(hilo_yield(), ==, 0);
	TASK_CHECK(load_acquire(&seen.bytes), ==, 100);
	TASK_CHECK(load_acquire(&seen.eofs), ==, 0);
	TASK_CHECK(hilo_conn_resume_reading(conn), ==, 0);
	over(conn, &seen, 0);
	TASK_CHECK(load_acquire(&seen.bytes), ==, 300);
	TASK_CHECK(load_acquire(&seen.eofs), ==, 1);
	hilo_stream_free(peer);
	return 0;
}

CONN_TEST(test_end_of_the_other_side_may_be_answered)
{
	struct seen seen = {.keeps = true};
	hilo_conn_callbacks callbacks = callbacks_of(&seen);
	hilo_stream *peer;
	hilo_conn *conn = started(kind, &callbacks, &peer);
	char buf[100];

	TASK_CHECK(hilo_conn_can_write_eof(conn), ==, 1);
	TASK_CHECK(hilo_stream_write_eof(peer), ==, 0);
	TEST_UNTIL(load_acquire(&seen.eofs));
	bytes_fill(buf, sizeof(buf), 0);
	TASK_CHECK(hilo_conn_write(conn, buf, sizeof(buf)), ==, 0);
	TASK_CHECK(hilo_conn_write_eof(conn), ==, 0);
	TASK_CHECK(hilo_conn_write_eof(conn), ==, 0);
	TASK_CHECK(hilo_conn_write(conn, buf, 1), ==, -EPIPE);
	reads(peer, sizeof(buf), 0);
	ends(peer);
	TASK_CHECK(load_acquire(&seen.losts), ==, 0);
	TASK_CHECK(hilo_conn_close(conn), ==, 0);
	over(conn, &seen, 0);
	TASK_CHECK(load_acquire(&seen.eofs), ==, 1);
	hilo_stream_free(peer);
	return 0;
}

CONN_TEST(test_writing_takes_all_and_tells_of_the_marks)
{
	struct seen seen = {0};
	hilo_conn_callbacks callbacks = callbacks_of(&seen);
	hilo_stream *peer;
	hilo_conn *conn = started(kind, &callbacks, &peer);
	static char buf[200 * 1024];
	size_t written = 0, high, low;
	unsigned before;
	int rc;

	TASK_CHECK(hilo_conn_set_write_buffer_limits(conn, 100, 200), ==, -EINVAL);
	TASK_CHECK(hilo_conn_set_write_buffer_limits(conn, 5000, 500), ==, 0);
	TASK_CHECK(hilo_conn_get_write_buffer_limits(conn, &high, &low), ==, 0);
	TASK_CHECK(high, ==, 5000);
	TASK_CHECK(low, ==, 500);
	/* Nobody reads: sooner or later it is full, and takes more all the same. */
	do {
		bytes_fill(buf, 3000, written);
		rc = hilo_conn_write(conn, buf, 3000);
		TASK_CHECK(rc, >=, 0);
		written += 3000;
	} while (written < STUFFING);
	TASK_CHECK(rc, ==, 1);
	bytes_fill(buf, sizeof(buf), written);
	TASK_CHECK(hilo_conn_write(conn, buf, sizeof(buf)), ==, 1);
	written += sizeof(buf);
	TASK_CHECK(hilo_conn_write_eof(conn), ==, 0);
	TASK_CHECK(hilo_conn_get_write_buffer_size(conn), >, 0);
	before = load_acquire(&seen.writables); /* what the kernel takes may have been little, for a moment */
	reads(peer, written, 0);
	ends(peer);
	TEST_UNTIL(load_acquire(&seen.writables) > before);
	TASK_CHECK(hilo_conn_get_write_buffer_size(conn), ==, 0);
	TASK_CHECK(hilo_stream_close(peer, HILO_FOREVER), ==, 0);
	over(conn, &seen, 0);
	hilo_stream_free(peer);
	return 0;
}

CONN_TEST(test_close_sends_what_was_written_and_reads_no_more)
{
	struct seen seen = {0};
	hilo_conn_callbacks callbacks = callbacks_of(&seen);
	hilo_stream *peer;
	hilo_conn *conn = started(kind, &callbacks, &peer);
	static char buf[300 * 1024];

	TEST_UNTIL(load_acquire(&seen.made));
	bytes_fill(buf, sizeof(buf), 0);
	TASK_CHECK(hilo_conn_write(conn, buf, sizeof(buf)), ==, 1);
	TASK_CHECK(hilo_conn_close(conn), ==, 0);
	TASK_CHECK(hilo_conn_close(conn), ==, 0);
	TASK_CHECK(hilo_conn_is_closing(conn), ==, 1);
	TASK_CHECK(hilo_conn_write(conn, buf, 1), ==, HILO_ECLOSED);
	TASK_CHECK(hilo_conn_write_eof(conn), ==, HILO_ECLOSED);
	reads(peer, sizeof(buf), 0);
	ends(peer);
	over(conn, &seen, 0);
	TASK_CHECK(load_acquire(&seen.writables), ==, 0);
	hilo_stream_free(peer);
	return 0;
}

CONN_TEST(test_close_that_cannot_send_ends_in_time)
{
	struct seen seen = {0};
	hilo_conn_callbacks callbacks = callbacks_of(&seen);
	static char buf[4096 * 1024];
	hilo_stream *peer;
	hilo_conn *conn;

	callbacks.flush = 20 * HILO_MILLISECOND;
	conn = started(kind, &callbacks, &peer);
	TASK_CHECK(hilo_conn_write(conn, buf, sizeof(buf)), ==, 1);
	TASK_CHECK(hilo_conn_close(conn), ==, 0);
	over(conn, &seen, -ETIMEDOUT);
	hilo_stream_free(peer);
	return 0;
}

CONN_TEST(test_abort_drops_what_was_written)
{
	struct seen seen = {0};
	hilo_conn_callbacks callbacks = callbacks_of(&seen);
	static char buf[4096 * 1024];
	hilo_stream *peer;
	hilo_conn *conn = started(kind, &callbacks, &peer);

	TASK_CHECK(hilo_conn_write(conn, buf, sizeof(buf)), ==, 1);
	/* Also of one that closes already. */
	if (kind == KIND_TCP)
		TASK_CHECK(hilo_conn_close(conn), ==, 0);
	TASK_CHECK(hilo_conn_abort(conn), ==, 0);
	over(conn, &seen, 0);
	hilo_stream_free(peer);
	return 0;
}

CONN_TEST(test_other_side_that_is_gone_is_told_to_who_writes)
{
	struct seen seen = {0};
	hilo_conn_callbacks callbacks = callbacks_of(&seen);
	hilo_stream *peer;
	hilo_conn *conn = started(kind, &callbacks, &peer);

	TEST_UNTIL(load_acquire(&seen.made));
	TASK_CHECK(hilo_conn_pause_reading(conn), ==, 0);
	hilo_stream_free(peer);
	TEST_UNTIL(hilo_conn_write(conn, "hello", 5) < 0);
	TEST_UNTIL(load_acquire(&seen.losts));
#ifndef STREAMS_OVER_TLS
	TASK_CHECK(seen.code == -EPIPE || seen.code == -ECONNRESET, ==, 1);
#endif
	TASK_CHECK(seen.code, <, 0);
	over(conn, &seen, seen.code);
	return 0;
}

/* Several write beside each other, tasks and a thread: each message stays in one piece. */
#define WRITERS 4
#define LINES 60

struct writes {
	hilo_conn *conn;
	unsigned number;
};

static int writes_lines(void *arg)
{
	struct writes *writes = arg;
	char line[900];

	for (unsigned i = 0; i < LINES; i++) {
		size_t size = 10 + (i * 97 + writes->number * 31) % 880;

		memset(line, 'a' + (int)writes->number, size);
		(void)snprintf(line, sizeof(line), "%u %u", writes->number, i);
		line[strlen(line)] = ' ';
		line[size - 1] = '\n';
		TASK_CHECK(hilo_conn_write(writes->conn, line, size), >=, 0);
	}
	return 0;
}

static void *thread_writes_lines(void *arg)
{
	(void)writes_lines(arg);
	return NULL;
}

CONN_TEST(test_several_write_and_lines_stay_whole)
{
	struct seen seen = {0};
	hilo_conn_callbacks callbacks = callbacks_of(&seen);
	unsigned next[WRITERS + 1] = {0};
	struct writes writes[WRITERS + 1];
	hilo_task *task[WRITERS];
	pthread_t thread;
	hilo_stream *peer;
	hilo_conn *conn;
	char line[1000];

	callbacks.high = 2000;
	conn = started(kind, &callbacks, &peer);
	for (unsigned i = 0; i <= WRITERS; i++)
		writes[i] = (struct writes){conn, i};
	TASK_CHECK(pthread_create(&thread, NULL, thread_writes_lines, &writes[WRITERS]), ==, 0);
	for (unsigned i = 0; i < WRITERS; i++)
		task[i] = hilo_spawn(writes_lines, &writes[i]);
	for (unsigned n = 0; n < (WRITERS + 1) * LINES; n++) {
		unsigned number, i;

		TASK_CHECK(hilo_stream_read_line(peer, line, sizeof(line), HILO_FOREVER), >=, 10);
		TASK_CHECK(sscanf(line, "%u %u", &number, &i), ==, 2);
		TASK_CHECK(number, <=, WRITERS);
		TASK_CHECK(i, ==, next[number]);
		next[number]++;
	}
	for (unsigned i = 0; i < WRITERS; i++)
		TASK_CHECK(hilo_join(task[i], HILO_FOREVER), ==, 0);
	test_join_thread(thread);
	TASK_CHECK(hilo_stream_close(peer, HILO_FOREVER), ==, 0);
	over(conn, &seen, 0);
	hilo_stream_free(peer);
	return 0;
}

/* Whatever comes when, `lost` is called once and last. */
static int ends_somehow(void *arg)
{
	struct writes *writes = arg;

	switch (writes->number % 4) {
	case 0:
		return hilo_conn_close(writes->conn);
	case 1:
		return hilo_conn_abort(writes->conn);
	case 2:
		return hilo_conn_write(writes->conn, "bytes", 5) < 0 ? 0
								     : hilo_conn_write_eof(writes->conn) & 0;
	default:
		return hilo_conn_pause_reading(writes->conn) & hilo_conn_resume_reading(writes->conn) & 0;
	}
}

CONN_TEST(test_ends_that_race_leave_one_end)
{
	for (unsigned round = 0; round < test_rounds(12); round++) {
		struct seen seen = {.echoes = true, .yields = round % 2 != 0};
		hilo_conn_callbacks callbacks = callbacks_of(&seen);
		struct writes writes[6];
		hilo_task *task[6];
		hilo_stream *peer;
		hilo_conn *conn = started(kind, &callbacks, &peer);

		(void)!hilo_stream_write(peer, "hello", 5, HILO_FOREVER);
		for (unsigned i = 0; i < array_size(task); i++) {
			writes[i] = (struct writes){conn, i + round};
			task[i] = hilo_spawn(ends_somehow, &writes[i]);
		}
		if (round % 3 == 0)
			(void)hilo_stream_abort(peer);
		for (unsigned i = 0; i < array_size(task); i++)
			TASK_CHECK(hilo_join(task[i], HILO_FOREVER), ==, 0);
		TASK_CHECK(hilo_conn_close(conn), ==, 0);
		TEST_UNTIL(load_acquire(&seen.losts));
		over(conn, &seen, seen.code);
		hilo_stream_free(peer);
	}
	return 0;
}

/* The same user for all clients of a server. */
static struct {
	test_flag made, lost;
	atomic(int) code;
} counts;

static void counts_made(hilo_conn *conn)
{
	hilo_address peer, own;
	char text[64];

	TASK_CHECK(hilo_conn_user(conn), ==, &counts);
	TASK_CHECK(hilo_conn_peer(conn, &peer), ==, 0);
	TASK_CHECK(hilo_conn_address(conn, &own), ==, 0);
	TASK_CHECK(hilo_conn_info(conn, "transport", text, sizeof(text)), >, 0);
	TASK_CHECK(hilo_conn_set_user(conn, conn), ==, 0);
	(void)add_release(&counts.made, 1);
}

static void echoes(hilo_conn *conn, const void *data, size_t size)
{
	TASK_CHECK(hilo_conn_user(conn), ==, conn);
	TASK_CHECK(hilo_conn_write(conn, data, size), >=, 0);
}

static void counts_lost(hilo_conn *conn, int code)
{
	TASK_CHECK(hilo_conn_is_closing(conn), ==, 1);
	store_relaxed(&counts.code, code);
	(void)add_release(&counts.lost, 1);
}

static const hilo_conn_callbacks server_callbacks = {.size = sizeof(server_callbacks),
						     .made = counts_made,
						     .data = echoes,
						     .lost = counts_lost,
						     .user = &counts};

TASK_TEST(test_server_and_clients_that_call_back)
{
	hilo_server_opts opts = {.size = sizeof(opts), .host = "127.0.0.1"};
	struct seen seen[5] = {{0}};
	hilo_conn *conn[5];
	hilo_server *server = NULL;
	hilo_address address;

	store_relaxed(&counts.made, 0);
	store_relaxed(&counts.lost, 0);
	TASK_CHECK(hilo_conn_serve(&server_callbacks, &opts, &server, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_server_sockname(server, 0, &address), ==, 0);
	for (unsigned i = 0; i < array_size(conn); i++) {
		hilo_conn_callbacks callbacks = callbacks_of(&seen[i]);

		seen[i].checks = true;
		TASK_CHECK(hilo_conn_open("127.0.0.1", hilo_address_port(&address), NULL, &callbacks,
					  &conn[i], HILO_FOREVER),
			   ==, 0);
	}
	for (unsigned i = 0; i < array_size(conn); i++) {
		char buf[1000];

		bytes_fill(buf, sizeof(buf), 0);
		TASK_CHECK(hilo_conn_write(conn[i], buf, sizeof(buf)), ==, 0);
	}
	for (unsigned i = 0; i < array_size(conn); i++)
		TEST_UNTIL(load_acquire(&seen[i].bytes) == 1000);
	TASK_CHECK(load_acquire(&counts.made), ==, array_size(conn));
	TASK_CHECK(hilo_server_clients(server), ==, array_size(conn));
	TASK_CHECK(hilo_conn_close(conn[0]), ==, 0);
	over(conn[0], &seen[0], 0);
	TEST_UNTIL(load_acquire(&counts.lost) == 1);
	TASK_CHECK(load_relaxed(&counts.code), ==, 0);
	TASK_CHECK(hilo_server_close(server, NULL, HILO_NO_WAIT), ==, 0);
	TASK_CHECK(load_acquire(&counts.lost), ==, array_size(conn));
	TASK_CHECK(load_relaxed(&counts.code), ==, -ECANCELED);
	hilo_server_free(server);
	for (unsigned i = 1; i < array_size(conn); i++)
		over(conn[i], &seen[i], 0);
	return 0;
}

/* Where a connection closes a server. */
enum where {
	IN_MADE,
	IN_DATA,
	IN_EOF,
	IN_WRITABLE,
	IN_LOST,
	PLACES
};

static struct {
	hilo_server *server;
	enum where where;
	test_flag called, written;
	int answer;
} closer;

static void closes_in(enum where where)
{
	if (closer.where != where || load_relaxed(&closer.called))
		return;
	closer.answer = hilo_server_close(closer.server, NULL, HILO_FOREVER);
	store_release(&closer.called, 1);
}

static void closes_in_made(hilo_conn *conn)
{
	(void)conn;
	closes_in(IN_MADE);
}

/* Nobody reads meanwhile: sooner or later it is more than the high mark. */

static void closes_in_data(hilo_conn *conn, const void *data, size_t size)
{
	static const char plenty[100 * 1024];
	unsigned writes = 1;

	(void)data, (void)size;
	closes_in(IN_DATA);
	while (hilo_conn_write(conn, plenty, sizeof(plenty)) == 0)
		writes++;
	store_release(&closer.written, writes * sizeof(plenty));
}

static int closes_in_eof(hilo_conn *conn)
{
	(void)conn;
	closes_in(IN_EOF);
	return 0;
}

static void closes_in_writable(hilo_conn *conn)
{
	(void)conn;
	closes_in(IN_WRITABLE);
}

static void closes_in_lost(hilo_conn *conn, int code)
{
	(void)conn;
	TASK_CHECK(code, ==, 0);
	closes_in(IN_LOST);
}

static const hilo_conn_callbacks closing_callbacks = {.size = sizeof(closing_callbacks),
						      .made = closes_in_made,
						      .data = closes_in_data,
						      .eof = closes_in_eof,
						      .writable = closes_in_writable,
						      .lost = closes_in_lost,
						      .high = 1000};

static hilo_server *closing_server(void)
{
	hilo_server_opts opts = {.size = sizeof(opts), .host = "127.0.0.1", .flags = HILO_SERVER_NO_START};
	hilo_server *server = NULL;

	TASK_CHECK(hilo_conn_serve(&closing_callbacks, &opts, &server, HILO_FOREVER), ==, 0);
	return server;
}

/* A client of @server, whose connection closes @closed in @where. */
static void closes_where(hilo_server *server, hilo_server *closed, enum where where, int answer)
{
	hilo_address address;
	hilo_stream *client;
	char buf[4096];

	closer.server = closed;
	closer.where = where;
	store_relaxed(&closer.called, 0);
	store_relaxed(&closer.written, 0);
	TASK_CHECK(hilo_server_start_serving(server), ==, 0);
	TASK_CHECK(hilo_server_sockname(server, 0, &address), ==, 0);
	TASK_CHECK(hilo_open_connection_to(&address, NULL, &client, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_stream_write(client, "x", 1, HILO_FOREVER), ==, 1);
	TEST_UNTIL(load_acquire(&closer.written));
	for (size_t left = load_relaxed(&closer.written); left; left -= sizeof(buf))
		TASK_CHECK(hilo_stream_read_exactly(client, buf, sizeof(buf), HILO_FOREVER), ==, sizeof(buf));
	TEST_UNTIL(where == IN_EOF || where == IN_LOST || load_acquire(&closer.called));
	TASK_CHECK(hilo_stream_write_eof(client), ==, 0);
	ends(client);
	TEST_UNTIL(load_acquire(&closer.called));
	TASK_CHECK(closer.answer, ==, answer);
	hilo_stream_free(client);
	TASK_CHECK(hilo_server_is_serving(closed), ==, 0);
	TASK_CHECK(hilo_server_close(server, NULL, HILO_FOREVER), ==, 0);
	hilo_server_free(server);
}

TASK_TEST(test_no_callback_waits_for_the_end_of_its_own_server)
{
	for (enum where where = IN_MADE; where < PLACES; where++) {
		hilo_server *server = closing_server();

		closes_where(server, server, where, -EDEADLK);
	}
	return 0;
}

/* That of others it may wait for. */
TASK_TEST(test_callback_closes_another_server)
{
	for (enum where where = IN_MADE; where < PLACES; where++) {
		hilo_server *other = closing_server();

		closes_where(closing_server(), other, where, 0);
		hilo_server_free(other);
	}
	return 0;
}

TASK_TEST(test_reset_is_told_as_the_reason)
{
	const struct linger now = {.l_onoff = 1};
	struct seen seen = {0};
	hilo_conn_callbacks callbacks = callbacks_of(&seen);
	hilo_stream *peer;
	hilo_conn *conn = started(KIND_TCP, &callbacks, &peer);

#ifndef STREAMS_OVER_TLS
	TASK_CHECK(setsockopt(hilo_stream_fd(peer), SOL_SOCKET, SO_LINGER, &now, sizeof(now)), ==, 0);
	hilo_stream_free(peer);
	over(conn, &seen, -ECONNRESET);
#else
	(void)now;
	hilo_stream_free(peer);
	TEST_UNTIL(load_acquire(&seen.losts));
	over(conn, &seen, seen.code);
#endif
	return 0;
}

static void changes_callbacks(hilo_conn *conn, const void *data, size_t size)
{
	struct seen *seen = hilo_conn_user(conn);
	hilo_conn_callbacks callbacks = callbacks_of(NULL);

	(void)data, (void)size;
	TASK_CHECK(hilo_conn_set_callbacks(conn, &callbacks), ==, 0);
	TASK_CHECK(hilo_conn_set_callbacks(conn, NULL), ==, -EINVAL);
	TASK_CHECK(hilo_conn_user(conn), ==, seen);
	store_release(&seen->made, 1);
}

TASK_TEST(test_callbacks_can_be_changed_and_left_out)
{
	struct seen seen = {0};
	hilo_conn_callbacks callbacks = {.size = sizeof(callbacks), .data = changes_callbacks, .user = &seen};
	hilo_stream *peer;
	hilo_conn *conn = started(KIND_MEMORY, &callbacks, &peer);

	TASK_CHECK(hilo_stream_write(peer, "a", 1, HILO_FOREVER), ==, 1);
	TEST_UNTIL(load_acquire(&seen.made));
	TASK_CHECK(hilo_stream_write(peer, "b", 1, HILO_FOREVER), ==, 1);
	TEST_UNTIL(load_acquire(&seen.bytes) == 1);
	hilo_stream_free(peer);
	TEST_UNTIL(load_acquire(&seen.losts));
	over(conn, &seen, seen.code);
	/* Without any it is closed when the other side has ended. */
	callbacks = (hilo_conn_callbacks){.size = sizeof(callbacks)};
	conn = started(KIND_UNIX, &callbacks, &peer);
	TASK_CHECK(hilo_stream_write(peer, "a", 1, HILO_FOREVER), ==, 1);
	TASK_CHECK(hilo_stream_close(peer, HILO_FOREVER), ==, 0);
	TEST_UNTIL(hilo_conn_write(conn, "x", 1) == HILO_ECLOSED);
	hilo_conn_unref(conn);
	hilo_stream_free(peer);
	return 0;
}

TASK_TEST(test_mistakes_are_told_and_leave_the_stream)
{
	struct seen seen = {0};
	hilo_conn_callbacks callbacks = callbacks_of(&seen);
	hilo_stream *stream[2];
	hilo_conn *conn = NULL;
	hilo_address address;
	char byte;

	TASK_CHECK(hilo_stream_pair(0, NULL, stream), ==, 0);
	TASK_CHECK(hilo_conn_start(NULL, &callbacks, &conn), ==, -EINVAL);
	TASK_CHECK(hilo_conn_start(stream[0], NULL, &conn), ==, -EINVAL);
	callbacks.low = 10;
	callbacks.high = 5;
	TASK_CHECK(hilo_conn_start(stream[0], &callbacks, &conn), ==, -EINVAL);
	callbacks.high = 0;
	callbacks.low = 1 << 20;
	TASK_CHECK(hilo_conn_start(stream[0], &callbacks, &conn), ==, -EINVAL);
	TASK_CHECK(strncmp(hilo_error_message(), "hilo_conn_start: ", 17), ==, 0);
	callbacks = callbacks_of(&seen);
	callbacks.flush = -1;
	TASK_CHECK(hilo_conn_start(stream[0], &callbacks, &conn), ==, -EINVAL);
	TASK_CHECK(hilo_conn_serve(NULL, NULL, NULL, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_conn_open("127.0.0.1", 1, NULL, NULL, &conn, HILO_FOREVER), ==, -EINVAL);
	callbacks = callbacks_of(&seen);
	TASK_CHECK(hilo_conn_open("127.0.0.1", 1, NULL, &callbacks, &conn, HILO_FOREVER), ==, -ECONNREFUSED);
	TASK_CHECK(conn, ==, NULL);
	TASK_CHECK(hilo_stream_write(stream[0], "x", 1, HILO_FOREVER), ==, 1);
	TASK_CHECK(hilo_stream_read(stream[1], &byte, 1, HILO_FOREVER), ==, 1);
	TASK_CHECK(hilo_conn_start(stream[0], &callbacks, &conn), ==, 0);
	TASK_CHECK(hilo_conn_write(conn, NULL, 1), ==, -EINVAL);
	TASK_CHECK(hilo_conn_write(conn, NULL, 0), ==, 0);
	TASK_CHECK(hilo_conn_write(NULL, "x", 1), ==, -EINVAL);
	TASK_CHECK(hilo_conn_write_eof(NULL), ==, -EINVAL);
	TASK_CHECK(hilo_conn_can_write_eof(NULL), ==, 0);
	TASK_CHECK(hilo_conn_pause_reading(NULL), ==, -EINVAL);
	TASK_CHECK(hilo_conn_resume_reading(NULL), ==, -EINVAL);
	TASK_CHECK(hilo_conn_is_reading(NULL), ==, 0);
	TASK_CHECK(hilo_conn_set_write_buffer_limits(NULL, 0, 0), ==, -EINVAL);
	TASK_CHECK(hilo_conn_get_write_buffer_limits(NULL, NULL, NULL), ==, -EINVAL);
	TASK_CHECK(hilo_conn_get_write_buffer_size(NULL), ==, 0);
	TASK_CHECK(hilo_conn_close(NULL), ==, -EINVAL);
	TASK_CHECK(hilo_conn_abort(NULL), ==, -EINVAL);
	TASK_CHECK(hilo_conn_is_closing(NULL), ==, 1);
	TASK_CHECK(hilo_conn_info(NULL, "fd", &byte, 1), ==, -EINVAL);
	TASK_CHECK(hilo_conn_peer(NULL, &address), ==, -EINVAL);
	TASK_CHECK(hilo_conn_peer(conn, &address), ==, -ENOTSOCK);
	TASK_CHECK(hilo_conn_address(NULL, &address), ==, -EINVAL);
	TASK_CHECK(hilo_conn_user(NULL), ==, NULL);
	TASK_CHECK(hilo_conn_set_user(NULL, NULL), ==, -EINVAL);
	TASK_CHECK(hilo_conn_set_callbacks(NULL, &callbacks), ==, -EINVAL);
	TASK_CHECK(hilo_conn_ref(NULL), ==, NULL);
	hilo_conn_unref(NULL);
	TASK_CHECK(hilo_conn_abort(conn), ==, 0);
	over(conn, &seen, 0);
	hilo_stream_free(stream[1]);
	return 0;
}

TASK_TEST(test_no_memory_is_told_and_nothing_was_taken)
{
	struct seen seen = {0};
	hilo_conn_callbacks callbacks = callbacks_of(&seen);
	static char buf[300 * 1024];
	hilo_stream *stream[2];
	hilo_conn *conn;

	TASK_CHECK(hilo_stream_pair(0, NULL, stream), ==, 0);
	hilo__mem_fail_at(1, true);
	TASK_CHECK(hilo_conn_start(stream[0], &callbacks, &conn), ==, -ENOMEM);
	hilo__mem_fail_at(0, false);
	TASK_CHECK(hilo_conn_start(stream[0], &callbacks, &conn), ==, 0);
	TEST_UNTIL(load_acquire(&seen.made));
	bytes_fill(buf, sizeof(buf), 0);
	hilo__mem_fail_at(1, true);
	TASK_CHECK(hilo_conn_write(conn, buf, sizeof(buf)), ==, -ENOMEM);
	hilo__mem_fail_at(2, true);
	TASK_CHECK(hilo_conn_write(conn, buf, sizeof(buf)), ==, -ENOMEM);
	hilo__mem_fail_at(0, false);
	TASK_CHECK(hilo_conn_get_write_buffer_size(conn), ==, 0);
	TASK_CHECK(hilo_conn_write(conn, buf, sizeof(buf)), ==, 1);
	reads(stream[1], sizeof(buf), 0);
	TASK_CHECK(hilo_stream_close(stream[1], HILO_FOREVER), ==, 0);
	over(conn, &seen, 0);
	hilo_stream_free(stream[1]);
	return 0;
}

TASK_TEST(test_stream_that_can_only_be_written_lives_until_it_is_closed)
{
	struct seen seen = {0};
	hilo_conn_callbacks callbacks = callbacks_of(&seen);
	hilo_stream *stream;
	hilo_conn *conn;
	char buf[5];
	int fd[2];

	TASK_CHECK(pipe2(fd, O_CLOEXEC), ==, 0);
	TASK_CHECK(hilo_stream_from_fd(fd[1], NULL, &stream), ==, 0);
	TASK_CHECK(hilo_conn_start(stream, &callbacks, &conn), ==, 0);
	TEST_UNTIL(load_acquire(&seen.made));
	TASK_CHECK(hilo_conn_is_reading(conn), ==, 0);
	for (unsigned i = 0; i < 20; i++)
		TASK_CHECK(hilo_yield(), ==, 0);
	TASK_CHECK(load_acquire(&seen.losts), ==, 0);
	TASK_CHECK(hilo_conn_write(conn, "hello", 5), ==, 0);
	TASK_CHECK(hilo_conn_close(conn), ==, 0);
	over(conn, &seen, 0);
	TASK_CHECK(load_acquire(&seen.eofs), ==, 0);
	TASK_CHECK(read(fd[0], buf, sizeof(buf)), ==, 5);
	TASK_CHECK(memcmp(buf, "hello", 5), ==, 0);
	TASK_CHECK(read(fd[0], buf, sizeof(buf)), ==, 0);
	TASK_CHECK(close(fd[0]), ==, 0);
	return 0;
}

TASK_TEST(test_codes_of_the_connection_have_their_own_message)
{
	struct seen seen = {0};
	hilo_conn_callbacks callbacks = callbacks_of(&seen);
	hilo_stream *peer;
	hilo_conn *conn = started(KIND_MEMORY, &callbacks, &peer);

	TASK_CHECK(hilo_conn_write_eof(conn), ==, 0);
	TASK_CHECK(hilo_fail(-EINVAL, "an older failure"), ==, -EINVAL);
	TASK_CHECK(hilo_conn_write(conn, "x", 1), ==, -EPIPE);
	TASK_CHECK(hilo_error_code(), ==, -EPIPE);
	TASK_CHECK(strstr(hilo_error_message(), "an older failure"), ==, NULL);
	TASK_CHECK(hilo_conn_abort(conn), ==, 0);
	over(conn, &seen, 0);
	hilo_stream_free(peer);
	return 0;
}

/* One end of a pair of sockets, read by a thread. */
#define QUEUED ((size_t)2000 * 1000)

struct left {
	struct seen seen;
	int fd[2];
	size_t size; /* has come */
};

static void *thread_reads(void *arg)
{
	struct left *left = arg;
	char buf[4096];
	ssize_t n;

	while ((n = read(left->fd[1], buf, sizeof(buf))) > 0) {
		bytes_check(buf, (size_t)n, left->size);
		left->size += (size_t)n;
	}
	return NULL;
}

static int leaves_a_queue(void *arg)
{
	struct left *left = arg;
	hilo_conn_callbacks callbacks = callbacks_of(&left->seen);
	static char buf[QUEUED];
	hilo_stream *stream;
	hilo_conn *conn;

	TASK_CHECK(hilo_stream_from_fd(left->fd[0], NULL, &stream), ==, 0);
	TASK_CHECK(hilo_conn_start(stream, &callbacks, &conn), ==, 0);
	TEST_UNTIL(load_acquire(&left->seen.made));
	bytes_fill(buf, sizeof(buf), 0);
	TASK_CHECK(hilo_conn_write(conn, buf, sizeof(buf)), ==, 1);
	/* The writer has begun: its first piece has gone, or is on its way. */
	TEST_UNTIL(hilo_conn_get_write_buffer_size(conn) < sizeof(buf));
	hilo_conn_unref(conn);
	return 0;
}

static void test_end_of_the_runtime_sends_what_was_written(void **state)
{
	for (unsigned workers = 1; workers <= 4; workers += 3) {
		struct left left = {.size = 0};
		pthread_t thread;

		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, left.fd), 0);
		assert_int_equal(pthread_create(&thread, NULL, thread_reads, &left), 0);
		assert_int_equal(test_run(workers, leaves_a_queue, &left), 0);
		test_join_thread(thread);
		assert_int_equal(load_acquire(&left.seen.losts), 1);
		assert_int_equal(left.seen.code, -ECANCELED);
		assert_int_equal(left.size, QUEUED);
		assert_int_equal(close(left.fd[1]), 0);
	}
	(void)state;
}

static void test_start_without_a_runtime_leaves_the_stream(void **state)
{
	hilo_conn_callbacks callbacks = {.size = sizeof(callbacks), .high = 5000};
	hilo_stream_limits before = {.size = sizeof(before)}, after = before;
	hilo_stream *stream[2];

	(void)state;
	assert_int_equal(hilo_stream_pair(0, NULL, stream), 0);
	assert_int_equal(hilo_stream_get_limits(stream[0], &before), 0);
	assert_int_equal(hilo_conn_start(stream[0], &callbacks, NULL), -EDEADLK);
	assert_int_equal(hilo_stream_get_limits(stream[0], &after), 0);
	assert_int_equal(after.high, before.high);
	assert_int_equal(after.low, before.low);
	hilo_stream_free(stream[0]);
	hilo_stream_free(stream[1]);
}

/* The runtime ends while a connection is there that has something to write. */
static int leaves_it(void *arg)
{
	hilo_conn_callbacks callbacks = callbacks_of(arg);
	static char buf[200 * 1000];
	hilo_stream *stream[2];
	hilo_conn *conn;

	callbacks.flush = 10 * HILO_MILLISECOND;
	TASK_CHECK(hilo_stream_pair(0, NULL, stream), ==, 0);
	TASK_CHECK(hilo_conn_start(stream[0], &callbacks, &conn), ==, 0);
	TEST_UNTIL(load_acquire(&((struct seen *)arg)->made));
	TASK_CHECK(hilo_conn_write(conn, buf, sizeof(buf)), ==, 1);
	hilo_conn_unref(conn);
	hilo_stream_free(stream[1]);
	return 0;
}

static void test_end_of_the_runtime_ends_connections(void **state)
{
	struct seen seen[2] = {{0}, {0}};

	(void)state;
	assert_int_equal(test_run(1, leaves_it, &seen[0]), 0);
	assert_int_equal(load_acquire(&seen[0].losts), 1);
	assert_int_equal(test_run(4, leaves_it, &seen[1]), 0);
	assert_int_equal(load_acquire(&seen[1].losts), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_echo_by_callbacks_pauses_and_goes_on),
		cmocka_unit_test(test_paused_reading_delivers_nothing_until_it_goes_on),
		cmocka_unit_test(test_end_of_the_other_side_may_be_answered),
		cmocka_unit_test(test_writing_takes_all_and_tells_of_the_marks),
		cmocka_unit_test(test_close_sends_what_was_written_and_reads_no_more),
		cmocka_unit_test(test_close_that_cannot_send_ends_in_time),
		cmocka_unit_test(test_abort_drops_what_was_written),
		cmocka_unit_test(test_other_side_that_is_gone_is_told_to_who_writes),
		cmocka_unit_test(test_several_write_and_lines_stay_whole),
		cmocka_unit_test(test_ends_that_race_leave_one_end),
		cmocka_unit_test(test_server_and_clients_that_call_back),
		cmocka_unit_test(test_no_callback_waits_for_the_end_of_its_own_server),
		cmocka_unit_test(test_callback_closes_another_server),
		cmocka_unit_test(test_reset_is_told_as_the_reason),
		cmocka_unit_test(test_callbacks_can_be_changed_and_left_out),
		cmocka_unit_test(test_mistakes_are_told_and_leave_the_stream),
		cmocka_unit_test(test_no_memory_is_told_and_nothing_was_taken),
		cmocka_unit_test(test_stream_that_can_only_be_written_lives_until_it_is_closed),
		cmocka_unit_test(test_codes_of_the_connection_have_their_own_message),
		cmocka_unit_test(test_start_without_a_runtime_leaves_the_stream),
		cmocka_unit_test(test_end_of_the_runtime_ends_connections),
		cmocka_unit_test(test_end_of_the_runtime_sends_what_was_written),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
