/* SPDX-License-Identifier: MIT */
/* test_process_talk.c - what goes to programs and comes from them: streams, communication, whole runs. */
#include "tests/unit/io/processes.h"
#include "tests/unit/io/streams.h"

#define PIPES .in = HILO_STDIO_PIPE, .out = HILO_STDIO_PIPE, .err = HILO_STDIO_PIPE

TASK_TEST(test_streams_of_a_program)
{
	hilo_process *process = start_shell("read a; echo got $a; echo bad >&2; exit 4", PROCESS_OPTS(PIPES));
	char line[64];

	stream_say(hilo_process_stdin(process), "word\n");
	TASK_CHECK(hilo_stream_read_line(hilo_process_stdout(process), line, sizeof(line), HILO_FOREVER), ==,
		   9);
	TASK_CHECK_TEXT(line, "got word\n");
	TASK_CHECK(hilo_stream_read_line(hilo_process_stderr(process), line, sizeof(line), HILO_FOREVER), ==,
		   4);
	TASK_CHECK_TEXT(line, "bad\n");
	stream_expect_end(hilo_process_stdout(process));
	stream_expect_end(hilo_process_stderr(process));
	TASK_CHECK(finish(process), ==, 4);
	return 0;
}

TASK_TEST(test_errors_go_where_output_goes)
{
	CHECK_SAYS("echo a; echo b >&2; echo c", PROCESS_OPTS(.err = HILO_STDIO_STDOUT), "a\nb\nc\n");
	CHECK_SAYS("echo a; echo b >&2", PROCESS_OPTS(.err = HILO_STDIO_NULL), "a\n");
	return 0;
}

TASK_TEST(test_run_collects_both)
{
	hilo_process_io io = {.size = sizeof(io), .input = "3\n1\n2\n", .input_size = 6};

	TASK_CHECK(hilo_process_run(ARGV("sh", "-c", "echo note >&2; sort; exit 6"), NULL, &io, HILO_FOREVER),
		   ==, 0);
	TASK_CHECK(io.status, ==, 6);
	TASK_CHECK_TEXT(io.out, "1\n2\n3\n");
	TASK_CHECK(io.out_size, ==, 6);
	TASK_CHECK_TEXT(io.err, "note\n");
	hilo_process_io_free(&io);
	io.input = NULL;
	io.input_size = 0;
	/* Without input there is none: it does not wait for ours. */
	TASK_CHECK(hilo_process_run(ARGV("cat"), NULL, &io, HILO_FOREVER), ==, 0);
	TASK_CHECK_TEXT(io.out, "");
	hilo_process_io_free(&io);
	return 0;
}

/* More than pipes and marks hold, in both directions at the same time. */
TASK_TEST(test_ten_megabytes_through_cat)
{
	size_t size = test_rounds(10) * ((size_t)1 << 20);
	char *data = malloc(size);
	hilo_process_io io = {.size = sizeof(io), .input = data, .input_size = size};

	bytes_fill(data, size, 0);
	TASK_CHECK(hilo_process_run(ARGV("cat"), NULL, &io, HILO_FOREVER), ==, 0);
	TASK_CHECK(io.status, ==, 0);
	TASK_CHECK(io.out_size, ==, size);
	TASK_CHECK(memcmp(io.out, data, size), ==, 0);
	hilo_process_io_free(&io);
	/* And on both outputs. */
	TASK_CHECK(hilo_process_run(ARGV("sh", "-c", "tee /dev/stderr"), NULL, &io, HILO_FOREVER), ==, 0);
	TASK_CHECK(io.out_size, ==, size);
	TASK_CHECK(io.err_size, ==, size);
	TASK_CHECK(memcmp(io.err, data, size), ==, 0);
	hilo_process_io_free(&io);
	free(data);
	return 0;
}

/* No signal is raised in us, and that is no failure of a communication. */
TASK_TEST(test_program_that_does_not_read)
{
	size_t size = (size_t)1 << 20;
	char *data = calloc(1, size);
	hilo_process_io io = {.size = sizeof(io), .input = data, .input_size = size};
	hilo_process *process;
	ssize_t n = 0;

	TASK_CHECK(hilo_process_run(ARGV("sh", "-c", "exec <&-; echo done"), NULL, &io, HILO_FOREVER), ==, 0);
	TASK_CHECK_TEXT(io.out, "done\n");
	hilo_process_io_free(&io);
	TASK_CHECK(hilo_process_run(ARGV("head", "-c", "1"), NULL, &io, HILO_FOREVER), ==, 0);
	TASK_CHECK(io.out_size, ==, 1);
	hilo_process_io_free(&io);
	process = start(ARGV("true"), PROCESS_OPTS(.in = HILO_STDIO_PIPE));
	while (n >= 0)
		n = hilo_stream_write(hilo_process_stdin(process), data, size, HILO_FOREVER);
	TASK_CHECK(n, ==, -EPIPE);
	TASK_CHECK(finish(process), ==, 0);
	free(data);
	return 0;
}

TASK_TEST(test_program_that_never_reads)
{
	size_t size = (size_t)1 << 20;
	char *data = calloc(1, size);
	hilo_process_io io = {.size = sizeof(io), .input = data, .input_size = size};
	hilo_process *process = start(ARGV("sleep", "1000"), PROCESS_OPTS(PIPES));

	TASK_CHECK(hilo_process_communicate(process, &io, hilo_after(HILO_MILLISECOND)), ==, -ETIMEDOUT);
	TASK_CHECK(hilo_process_poll(process, NULL), ==, 0);
	io.flags = HILO_COMMUNICATE_KILL;
	TASK_CHECK(hilo_process_communicate(process, &io, hilo_after(HILO_MILLISECOND)), ==, -ETIMEDOUT);
	TASK_CHECK(finish(process), ==, -SIGKILL);
	/* To run it ends with it. */
	io.flags = 0;
	TASK_CHECK(hilo_process_run(ARGV("sleep", "1000"), NULL, &io, hilo_after(HILO_MILLISECOND)), ==,
		   -ETIMEDOUT);
	hilo_process_io_free(&io);
	TEST_UNTIL(children() == 0);
	free(data);
	return 0;
}

/* What was read before a communication ended early is not lost. */
TASK_TEST(test_communication_goes_on)
{
	int gate[2];
	hilo_fd_as given;
	hilo_process *process;
	hilo_process_io io = {.size = sizeof(io), .input = "in", .input_size = 2};
	char *first;

	TASK_CHECK(pipe2(gate, O_CLOEXEC), ==, 0);
	given = (hilo_fd_as){gate[0], 9};
	process = start_shell("echo one; echo err >&2; cat <&9; cat; echo two",
			      PROCESS_OPTS(PIPES, .fds = &given, .fds_count = 1));
	close(gate[0]);
	do {
		hilo_process_io_free(&io);
		TASK_CHECK(hilo_process_communicate(process, &io, hilo_after(HILO_MILLISECOND)), ==,
			   -ETIMEDOUT);
		TASK_CHECK(io.out, ==, NULL);
		TASK_CHECK(hilo_process_take_output(process, &io), ==, 0);
	} while (io.out_size == 0);
	first = io.out;
	TASK_CHECK_TEXT(first, "one\n");
	io.out = NULL;
	hilo_process_io_free(&io);
	close(gate[1]);
	TASK_CHECK(hilo_process_communicate(process, &io, HILO_FOREVER), ==, 0);
	TASK_CHECK_TEXT(io.out, "intwo\n");
	hilo_process_io_free(&(hilo_process_io){.out = first});
	hilo_process_io_free(&io);
	TASK_CHECK(finish(process), ==, 0);
	return 0;
}

static int communicate(void *arg)
{
	hilo_process_io io = {.size = sizeof(io), .input = "x", .input_size = 1};
	int rc = hilo_process_communicate(arg, &io, HILO_FOREVER);

	hilo_process_io_free(&io);
	return rc;
}

TASK_TEST(test_communication_is_cancelled_and_is_for_one)
{
	hilo_process *process = start_shell("cat; exec sleep 1000", PROCESS_OPTS(PIPES));
	hilo_task *task = hilo_spawn(communicate, process);
	hilo_process_io io = {.size = sizeof(io)};

	TEST_UNTIL(hilo_task_get_state(task) == HILO_TASK_SUSPENDED);
	TASK_CHECK(hilo_process_communicate(process, &io, HILO_FOREVER), ==, -EBUSY);
	TASK_CHECK(hilo_process_take_output(process, &io), ==, -EBUSY);
	TASK_CHECK(hilo_task_cancel(task), ==, 0);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, -ECANCELED);
	TASK_CHECK(hilo_process_poll(process, NULL), ==, 0);
	TASK_CHECK(hilo_process_kill(process), ==, 0);
	TASK_CHECK(hilo_process_communicate(process, &io, HILO_FOREVER), ==, 0);
	TASK_CHECK(io.status, ==, -SIGKILL);
	hilo_process_io_free(&io);
	hilo_process_free(process);
	return 0;
}

/* Cancelled anywhere: made again it brings what it would have brought. */
struct talker {
	hilo_process *process;
	hilo_process_io io;
};

static int talk_on(void *arg)
{
	struct talker *talker = arg;

	return hilo_process_communicate(talker->process, &talker->io, HILO_FOREVER);
}

TASK_TEST(test_cancel_races_with_a_communication)
{
	for (unsigned round = 0; round < test_rounds(40); round++) {
		struct talker talker = {
			.process = start(ARGV("cat"), PROCESS_OPTS(PIPES)),
			.io = {.size = sizeof(hilo_process_io), .input = "some text", .input_size = 9}};
		hilo_task *task = hilo_spawn(talk_on, &talker);
		int rc;

		for (unsigned i = 0; i < round; i++)
			(void)hilo_yield();
		(void)hilo_task_cancel(task);
		rc = hilo_join(task, HILO_FOREVER);
		if (rc == -ECANCELED)
			rc = talk_on(&talker);
		TASK_CHECK(rc, ==, 0);
		TASK_CHECK(talker.io.status, ==, 0);
		TASK_CHECK_TEXT(talker.io.out, "some text");
		hilo_process_io_free(&talker.io);
		hilo_process_free(talker.process);
	}
	return 0;
}

/* Without a runtime nothing of what needs one. */
static void test_run_in_a_plain_thread(void **state)
{
	hilo_process_io io = {.size = sizeof(io)};

	(void)state;
	assert_int_equal(hilo_process_run(ARGV("sh", "-c", "exit 8"), PROCESS_OPTS(.in = HILO_STDIO_NULL),
					  &io, HILO_FOREVER),
			 0);
	assert_int_equal(io.status, 8);
	assert_null(io.out);
	assert_int_equal(hilo_process_run(ARGV("true"), NULL, &io, HILO_FOREVER), -EDEADLK);
	assert_int_equal(hilo_process_run(ARGV("sleep", "1000"), PROCESS_OPTS(.in = HILO_STDIO_NULL), &io,
					  hilo_after(HILO_MILLISECOND)),
			 -ETIMEDOUT);
	assert_int_equal(children(), 0);
}

/* Or the program would be waited for, which knows nothing of it. */
TASK_TEST(test_mistakes_are_found_before_the_program_runs)
{
	hilo_process_io io = {.size = sizeof(io), .flags = 128};

	TASK_CHECK(hilo_process_run(ARGV("sleep", "1000"), NULL, &io, HILO_FOREVER), ==, -EINVAL);
	io = (hilo_process_io){.size = sizeof(io), .input_size = 5};
	TASK_CHECK(hilo_process_run(ARGV("/nonexistent"), NULL, &io, HILO_FOREVER), ==, -EINVAL);
	return 0;
}

TASK_TEST(test_limit_of_output)
{
	hilo_process *process = start_shell("head -c 100000 /dev/zero; exec sleep 1000", PROCESS_OPTS(PIPES));
	hilo_process_io io = {.size = sizeof(io), .limit = 1000};

	TASK_CHECK(hilo_process_communicate(process, &io, HILO_FOREVER), ==, -EMSGSIZE);
	TASK_CHECK_CONTAINS(hilo_error_message(), "more than 1000 bytes of output");
	TASK_CHECK(io.out, ==, NULL);
	TASK_CHECK(hilo_process_take_output(process, &io), ==, 0);
	TASK_CHECK(io.out_size, >, 1000);
	hilo_process_io_free(&io);
	io.limit = 0;
	io.flags = HILO_COMMUNICATE_KILL;
	TASK_CHECK(hilo_process_communicate(process, &io, hilo_after(HILO_MILLISECOND)), ==, -ETIMEDOUT);
	TASK_CHECK(finish(process), ==, -SIGKILL);
	io.flags = 0;
	io.limit = 10;
	TASK_CHECK(hilo_process_run(ARGV("sh", "-c", "cat /dev/zero >&2"), NULL, &io, HILO_FOREVER), ==,
		   -EMSGSIZE);
	TASK_CHECK_CONTAINS(hilo_error_message(), "bytes of errors");
	hilo_process_io_free(&io);
	return 0;
}

/* A process that was left behind has the pipe, too: the program has ended, its output has not. */
TASK_TEST(test_grandchild_keeps_the_pipe)
{
	hilo_process *process = start_shell("sleep 1000 & echo $!", PROCESS_OPTS(.out = HILO_STDIO_PIPE));
	hilo_process_io io = {.size = sizeof(io)};
	char line[32];
	int status;

	TASK_CHECK(hilo_stream_read_line(hilo_process_stdout(process), line, sizeof(line), HILO_FOREVER), >,
		   0);
	TASK_CHECK(hilo_process_wait(process, &status, HILO_FOREVER), ==, 0);
	TASK_CHECK(status, ==, 0);
	TASK_CHECK(hilo_process_communicate(process, &io, hilo_after(HILO_MILLISECOND)), ==, -ETIMEDOUT);
	TASK_CHECK(kill(atoi(line), SIGKILL), ==, 0);
	TASK_CHECK(hilo_process_communicate(process, &io, HILO_FOREVER), ==, 0);
	TASK_CHECK(io.status, ==, 0);
	hilo_process_io_free(&io);
	hilo_process_free(process);
	return 0;
}

/* One program's output is another one's input, without us in between; and with us. */
TASK_TEST(test_pipeline)
{
	hilo_process *first, *second;
	hilo_process_io io = {.size = sizeof(io)};
	int between[2];
	char block[4096];
	ssize_t n;

	TASK_CHECK(pipe2(between, O_CLOEXEC), ==, 0);
	first = start(ARGV("printf", "b\\na\\nb\\n"),
		      PROCESS_OPTS(.out = HILO_STDIO_FD, .out_fd = between[1]));
	second = start(ARGV("sort", "-u"),
		       PROCESS_OPTS(.in = HILO_STDIO_FD, .in_fd = between[0], .out = HILO_STDIO_PIPE));
	close(between[0]);
	close(between[1]);
	TASK_CHECK(hilo_process_communicate(second, &io, HILO_FOREVER), ==, 0);
	TASK_CHECK_TEXT(io.out, "a\nb\n");
	hilo_process_io_free(&io);
	TASK_CHECK(finish(first), ==, 0);
	hilo_process_free(second);

	first = start(ARGV("printf", "b\\na\\n"), PROCESS_OPTS(.out = HILO_STDIO_PIPE));
	second = start(ARGV("sort"), PROCESS_OPTS(.in = HILO_STDIO_PIPE, .out = HILO_STDIO_PIPE));
	while ((n = hilo_stream_read(hilo_process_stdout(first), block, sizeof(block), HILO_FOREVER)) > 0)
		TASK_CHECK(hilo_stream_write(hilo_process_stdin(second), block, (size_t)n, HILO_FOREVER), ==,
			   n);
	TASK_CHECK(n, ==, 0);
	TASK_CHECK(hilo_process_communicate(second, &io, HILO_FOREVER), ==, 0);
	TASK_CHECK_TEXT(io.out, "a\nb\n");
	hilo_process_io_free(&io);
	TASK_CHECK(finish(first), ==, 0);
	hilo_process_free(second);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_run_in_a_plain_thread),
		cmocka_unit_test(test_streams_of_a_program),
		cmocka_unit_test(test_errors_go_where_output_goes),
		cmocka_unit_test(test_run_collects_both),
		cmocka_unit_test(test_ten_megabytes_through_cat),
		cmocka_unit_test(test_program_that_does_not_read),
		cmocka_unit_test(test_program_that_never_reads),
		cmocka_unit_test(test_communication_goes_on),
		cmocka_unit_test(test_communication_is_cancelled_and_is_for_one),
		cmocka_unit_test(test_cancel_races_with_a_communication),
		cmocka_unit_test(test_mistakes_are_found_before_the_program_runs),
		cmocka_unit_test(test_limit_of_output),
		cmocka_unit_test(test_grandchild_keeps_the_pipe),
		cmocka_unit_test(test_pipeline),
	};

	PROCESSES_OR_SKIP();
	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
