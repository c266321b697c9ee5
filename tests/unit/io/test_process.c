/* SPDX-License-Identifier: MIT */
/* test_process.c - starting programs, what they begin with, how they end, and what is said when they cannot be. */
#include "tests/unit/io/processes.h"

TASK_TEST(test_exit_codes)
{
	hilo_process *process = start(ARGV("true"), NULL);
	int status;

	TASK_CHECK(hilo_process_pid(process), >, 0);
	TASK_CHECK(finish(process), ==, 0);
	TASK_CHECK(finish(start(ARGV("false"), NULL)), ==, 1);
	TASK_CHECK(finish(start(ARGV("/bin/sh", "-c", "exit 255"), NULL)), ==, 255);
	process = start_shell("exit 7", NULL);
	TASK_CHECK(hilo_process_wait(process, NULL, HILO_FOREVER), ==, 0);
	for (int i = 0; i < 3; i++) {
		TASK_CHECK(hilo_process_wait(process, &status, HILO_NO_WAIT), ==, 0);
		TASK_CHECK(status, ==, 7);
		TASK_CHECK(hilo_process_poll(process, &status), ==, 1);
	}
	TASK_CHECK(finish(process), ==, 7);
	TASK_CHECK(finish(start_shell("no-such-command-anywhere 2>/dev/null", NULL)), ==, 127);
	return 0;
}

TASK_TEST(test_ended_by_signals)
{
	hilo_process *process = start(ARGV("sleep", "1000"), NULL);
	int status = 5;

	TASK_CHECK(hilo_process_poll(process, &status), ==, 0);
	TASK_CHECK(status, ==, 5);
	TASK_CHECK(hilo_process_send_signal(process, 0), ==, 0);
	TASK_CHECK(hilo_process_send_signal(process, 4711), ==, -EINVAL);
	TASK_CHECK(hilo_process_terminate(process), ==, 0);
	TASK_CHECK(hilo_process_wait(process, &status, HILO_FOREVER), ==, 0);
	TASK_CHECK(status, ==, -SIGTERM);
	TASK_CHECK(hilo_process_terminate(process), ==, -ESRCH);
	TASK_CHECK_CONTAINS(hilo_error_message(), "sleep");
	TASK_CHECK(hilo_process_kill(process), ==, -ESRCH);
	TASK_CHECK(finish(process), ==, -SIGTERM);

	process = start(ARGV("sleep", "1000"), NULL);
	TASK_CHECK(hilo_process_kill(process), ==, 0);
	TASK_CHECK(finish(process), ==, -SIGKILL);

	process = start(ARGV("sleep", "1000"), NULL);
	TASK_CHECK(hilo_process_send_signal(process, SIGUSR1), ==, 0);
	TASK_CHECK(finish(process), ==, -SIGUSR1);
	return 0;
}

static void plain_thread(void)
{
	struct books books;
	hilo_process *process;
	int status;

	books_open(&books);
	TASK_CHECK(finish(start(ARGV("sh", "-c", "exit 3"), NULL)), ==, 3);
	process = start(ARGV("sleep", "1000"), NULL);
	TASK_CHECK(hilo_process_poll(process, &status), ==, 0);
	TASK_CHECK(hilo_process_wait(process, &status, HILO_NO_WAIT), ==, -ETIMEDOUT);
	TASK_CHECK_CONTAINS(hilo_error_message(), "sleep");
	TASK_CHECK(hilo_process_kill(process), ==, 0);
	TASK_CHECK(finish(process), ==, -SIGKILL);
	TASK_CHECK(hilo_process_spawn(ARGV("true"), PROCESS_OPTS(.out = HILO_STDIO_PIPE), &process,
				      HILO_FOREVER),
		   ==, -EDEADLK);
	hilo_process_free(start(ARGV("sleep", "1000"), NULL)); /* killed and reaped */
	books_close(&books);
}

static void test_plain_thread_without_runtime(void **state)
{
	(void)state;
	plain_thread();
}

static void test_plain_thread_of_a_runtime(void **state)
{
	hilo_opts opts = {.size = sizeof(opts), .workers = 2};
	hilo_process_io io = {.size = sizeof(io), .input = "hello", .input_size = 5};
	hilo_runtime *runtime;
	hilo_process *process;

	(void)state;
	assert_int_equal(hilo_runtime_new(&opts, &runtime), 0);
	process = start(ARGV("cat"),
			PROCESS_OPTS(.runtime = runtime, .in = HILO_STDIO_PIPE, .out = HILO_STDIO_PIPE));
	assert_int_equal(hilo_process_communicate(process, &io, HILO_FOREVER), 0);
	assert_int_equal(io.status, 0);
	assert_string_equal(io.out, "hello");
	assert_null(io.err);
	hilo_process_io_free(&io);
	hilo_process_free(process);
	assert_int_equal(hilo_runtime_free(runtime), 0);
	assert_int_equal(children(), 0);
}

/* From an executor's thread, which is a plain one. */
static int in_executor(void *arg)
{
	(void)arg;
	return finish(start(ARGV("sh", "-c", "exit 9"), NULL));
}

TASK_TEST(test_thread_of_an_executor)
{
	return hilo_to_thread(in_executor, NULL, HILO_FOREVER) == 9 ? 0 : -EINVAL;
}

/* Spawning fails with @code and says @part; nothing is left. */
static void fails(const char *const *argv, const hilo_process_opts *opts, int code, const char *part)
{
	hilo_process *process = (hilo_process *)&process;

	TASK_CHECK(hilo_process_spawn(argv, opts, &process, HILO_FOREVER), ==, code);
	TASK_CHECK_CONTAINS(hilo_error_message(), part);
	TASK_CHECK(process, ==, &process);
	TASK_CHECK(children(), ==, 0);
}

static void write_file(const char *path, const char *text, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	TASK_CHECK(fd, >=, 0);
	TASK_CHECK(write(fd, text, strlen(text)), ==, strlen(text));
	TASK_CHECK(fchmod(fd, mode), ==, 0);
	close(fd);
}

static char folder[64];

static int folder_make(void **state)
{
	(void)state;
	strcpy(folder, "/tmp/hilo-process.XXXXXX");
	return mkdtemp(folder) ? 0 : -1;
}

static int folder_remove(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	return system(command);
}

static const char *in_folder(const char *name)
{
	static _Thread_local char path[4][128];
	static _Thread_local unsigned next;
	char *to = path[next++ % 4];

	snprintf(to, sizeof(path[0]), "%s/%s", folder, name);
	return to;
}

CLEAN_TEST(test_what_cannot_be_executed)
{
	char *huge = malloc(1 << 20);

	memset(huge, 'x', (1 << 20) - 1);
	huge[(1 << 20) - 1] = '\0';
	write_file(in_folder("plain"), "text", 0600);
	write_file(in_folder("odd"), "\001\002\003", 0700);
	fails(ARGV("/no/such/program"), NULL, -ENOENT, "/no/such/program");
	fails(ARGV("no-such-program-in-path"), NULL, -ENOENT, "no-such-program-in-path");
	fails(ARGV(""), NULL, -ENOENT, "");
	fails(ARGV("/"), NULL, -EACCES, "/");
	fails(ARGV(in_folder("plain")), NULL, -EACCES, "plain");
	fails(ARGV(in_folder("odd")), NULL, -ENOEXEC, "odd");
	fails(ARGV("true", huge), NULL, -E2BIG, "true");
	fails(ARGV("true"), PROCESS_OPTS(.cwd = "/no/such/folder"), -ENOENT, "/no/such/folder");
	fails(ARGV("true"), PROCESS_OPTS(.cwd = in_folder("plain")), -ENOTDIR, "the directory");
	fails(ARGV("true"), PROCESS_OPTS(.program = "/no/other"), -ENOENT, "/no/other");
	fails(ARGV("true"), PROCESS_OPTS(.out = HILO_STDIO_FD, .out_fd = 987), -EBADF, "descriptors");
	fails(ARGV("true"), PROCESS_OPTS(.out = HILO_STDIO_FD, .out_fd = -1), -EBADF, "out_fd");
	/* With pipes, which are closed again. */
	fails(ARGV("/no/such/program"),
	      PROCESS_OPTS(.in = HILO_STDIO_PIPE, .out = HILO_STDIO_PIPE, .err = HILO_STDIO_PIPE), -ENOENT,
	      "/no/such/program");
	fails(ARGV("/no/such/program"), PROCESS_OPTS(.flags = HILO_PROCESS_DIES_WITH_US), -ENOENT,
	      "/no/such/program");
	free(huge);
	return 0;
}

TASK_TEST(test_mistakes)
{
	hilo_process *process, *other;
	hilo_process_io io = {.size = sizeof(io), .input_size = 3};

	fails(ARGV("true"), PROCESS_OPTS(.flags = 1u << 20), -EINVAL, "flags");
	fails(ARGV("true"), PROCESS_OPTS(.end = (enum hilo_process_end)9), -EINVAL, "end 9");
	fails(ARGV("true"), PROCESS_OPTS(.out = HILO_STDIO_STDOUT), -EINVAL, "out is");
	fails(ARGV("true"), PROCESS_OPTS(.in = (enum hilo_stdio)77), -EINVAL, "in is");
	fails(ARGV("true"), PROCESS_OPTS(.end_signal = 1000), -EINVAL, "end_signal");
	fails(ARGV("true"), PROCESS_OPTS(.fds = (hilo_fd_as[]){{0, 2}}, .fds_count = 1), -EINVAL, "as 2");
	fails(ARGV("true"), PROCESS_OPTS(.fds = (hilo_fd_as[]){{0, 5}, {1, 5}}, .fds_count = 2), -EINVAL,
	      "two descriptors");
	process = start(ARGV("true"), NULL);
	TASK_CHECK(hilo_process_spawn(NULL, NULL, &other, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_process_spawn((const char *const[]){NULL}, NULL, &other, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_process_spawn(ARGV("true"), NULL, NULL, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_process_spawn(ARGV("true"), &(hilo_process_opts){.size = 8}, &other, HILO_FOREVER),
		   ==, -EINVAL);
	TASK_CHECK(hilo_process_shell(NULL, NULL, &other, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_process_wait(NULL, NULL, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_process_poll(NULL, NULL), ==, -EINVAL);
	TASK_CHECK(hilo_process_kill(NULL), ==, -EINVAL);
	TASK_CHECK(hilo_process_signal_group(NULL, 9), ==, -EINVAL);
	TASK_CHECK(hilo_process_signal_group(process, 9), ==, -EOPNOTSUPP);
	TASK_CHECK(hilo_process_pid(NULL), ==, -EINVAL);
	TASK_CHECK(hilo_process_fd(NULL), ==, -EINVAL);
	TASK_CHECK(hilo_process_close(NULL, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_process_stdin(NULL), ==, NULL);
	TASK_CHECK(hilo_process_stdin(process), ==, NULL);
	TASK_CHECK(hilo_process_communicate(process, &io, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_process_communicate(process, NULL, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_process_run(ARGV("true"), NULL, NULL, HILO_FOREVER), ==, -EINVAL);
	hilo_process_free(NULL);
	hilo_process_io_free(NULL);
	TASK_CHECK(finish(process), ==, 0);
	return 0;
}

/* In a callback nothing can wait. */
static void in_callback(void *arg)
{
	hilo_process *process = arg, *other;

	TASK_CHECK(hilo_process_spawn(ARGV("true"), NULL, &other, HILO_FOREVER), ==, -EDEADLK);
	TASK_CHECK(hilo_process_wait(process, NULL, HILO_FOREVER), ==, -EDEADLK);
	TASK_CHECK(hilo_process_close(process, HILO_FOREVER), ==, -EDEADLK);
	TASK_CHECK(hilo_process_poll(process, NULL), ==, 0);
	TASK_CHECK(hilo_process_kill(process), ==, 0);
}

TASK_TEST(test_in_a_callback)
{
	hilo_process *process = start(ARGV("sleep", "1000"), NULL);
	hilo_handle *handle;

	TASK_CHECK(hilo_call_soon(in_callback, process, &handle), ==, 0);
	TASK_CHECK(finish(process), ==, -SIGKILL);
	hilo_handle_unref(handle);
	return 0;
}

TASK_TEST(test_folder_and_environment)
{
	char text[128];
	const char *const one[] = {"ONLY=1", "PATH=/usr/bin:/bin", NULL};

	snprintf(text, sizeof(text), "%s\n", folder);
	CHECK_SAYS("pwd", PROCESS_OPTS(.cwd = folder), text);
	CHECK_SAYS("echo $ONLY-$HOME", PROCESS_OPTS(.env = one), "1-\n");
	TASK_CHECK(setenv("HILO_A", "a", 1), ==, 0);
	TASK_CHECK(setenv("HILO_AB", "ab", 1), ==, 0);
	CHECK_SAYS("echo $HILO_A $HILO_AB $HILO_C",
		   PROCESS_OPTS(.env_add = ARGV("HILO_A=x", "HILO_C=first", "HILO_C=c")), "x ab c\n");
	CHECK_SAYS("echo ${HILO_A-none} $HILO_AB", PROCESS_OPTS(.env_add = ARGV("HILO_A")), "none ab\n");
	CHECK_SAYS("echo $ONLY $MORE", PROCESS_OPTS(.env = one, .env_add = ARGV("MORE=2")), "1 2\n");
	CHECK_SAYS("umask", PROCESS_OPTS(.flags = HILO_PROCESS_UMASK, .umask = 027), "0027\n");
	return 0;
}

TASK_TEST(test_path_is_that_of_the_program)
{
	char path[256], bin[80];
	hilo_process_opts opts = {.size = sizeof(opts)};

	snprintf(bin, sizeof(bin), "%s/bin", folder);
	(void)mkdir(bin, 0700);
	write_file(in_folder("bin/greet"), "#!/bin/sh\nexit 42\n", 0700);
	write_file(in_folder("greet"), "nothing to execute", 0600);
	snprintf(path, sizeof(path), "PATH=%s:/no/where:%s:/bin", folder, bin);
	opts.env_add = ARGV(path);
	/* A file that may not be executed does not end the search. */
	TASK_CHECK(finish(start(ARGV("greet"), &opts)), ==, 42);
	/* From where the program begins. */
	opts.cwd = bin;
	opts.env_add = ARGV("PATH=/no/where:");
	TASK_CHECK(finish(start(ARGV("greet"), &opts)), ==, 42);
	opts.env_add = ARGV("PATH=.");
	TASK_CHECK(finish(start(ARGV("greet"), &opts)), ==, 42);
	TASK_CHECK(finish(start(ARGV("./greet"), &opts)), ==, 42);
	opts.cwd = folder;
	fails(ARGV("greet"), &opts, -EACCES, "greet");
	/* Without one: where the system's programs are. */
	opts.env = ARGV("A=1");
	opts.env_add = NULL;
	TASK_CHECK(finish(start(ARGV("true"), &opts)), ==, 0);
	return 0;
}

/* The lines of /proc/self/status that begin with Sig. */
static void signals_of_child(unsigned flags, unsigned long long *blocked, unsigned long long *ignored,
			     unsigned long long *caught)
{
	hilo_process_opts opts = {.size = sizeof(opts), .flags = flags, .out = HILO_STDIO_PIPE};
	hilo_process_io io = {.size = sizeof(io)};
	const char *at;

	TASK_CHECK(hilo_process_run(ARGV("cat", "/proc/self/status"), &opts, &io, HILO_FOREVER), ==, 0);
	at = strstr(io.out, "SigBlk:");
	*blocked = strtoull(at + 7, NULL, 16);
	at = strstr(io.out, "SigIgn:");
	*ignored = strtoull(at + 7, NULL, 16);
	at = strstr(io.out, "SigCgt:");
	*caught = strtoull(at + 7, NULL, 16);
	hilo_process_io_free(&io);
}

static void handler(int signo)
{
	(void)signo;
}

#define BIT(signo) (1ull << ((signo)-1))

TASK_TEST(test_signals_are_at_their_defaults)
{
	unsigned long long blocked, ignored, caught;

	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGUSR2, handler);
	signals_of_child(0, &blocked, &ignored, &caught);
	TASK_CHECK(blocked, ==, 0);
	TASK_CHECK(ignored, ==, 0);
	TASK_CHECK(caught, ==, 0);
	signals_of_child(HILO_PROCESS_KEEP_IGNORED, &blocked, &ignored, &caught);
	TASK_CHECK(blocked, ==, 0);
	TASK_CHECK(ignored & BIT(SIGHUP), !=, 0);
	TASK_CHECK(ignored & BIT(SIGUSR2), ==, 0);
	TASK_CHECK(caught, ==, 0);
	signal(SIGPIPE, SIG_DFL);
	signal(SIGHUP, SIG_DFL);
	signal(SIGUSR2, SIG_DFL);
	return 0;
}

TASK_TEST(test_group_and_session)
{
	hilo_process *process = start(ARGV("sleep", "1000"), PROCESS_OPTS(.flags = HILO_PROCESS_GROUP));
	int pid = hilo_process_pid(process);

	TASK_CHECK(getpgid(pid), ==, pid);
	TASK_CHECK(getsid(pid), ==, getsid(0));
	TASK_CHECK(hilo_process_signal_group(process, SIGTERM), ==, 0);
	TASK_CHECK(hilo_process_wait(process, NULL, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_process_signal_group(process, SIGTERM), ==, -ESRCH);
	TASK_CHECK(finish(process), ==, -SIGTERM);
	process = start(ARGV("sleep", "1000"), PROCESS_OPTS(.flags = HILO_PROCESS_SESSION));
	pid = hilo_process_pid(process);
	TASK_CHECK(getsid(pid), ==, pid);
	TASK_CHECK(getpgid(pid), ==, pid);
	TASK_CHECK(hilo_process_kill(process), ==, 0);
	TASK_CHECK(finish(process), ==, -SIGKILL);
	return 0;
}

/* Who has @number among its descriptors, or not. */
static void check_fd(int number, const hilo_process_opts *opts, int there)
{
	char path[64];
	hilo_process_opts mine = *opts;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", number);
	TASK_CHECK(finish(start(ARGV("test", "-e", path), &mine)), ==, !there);
}

TASK_TEST(test_descriptors)
{
	int leaked = open("/dev/null", O_RDONLY), shut = open("/dev/null", O_RDONLY | O_CLOEXEC);
	hilo_process_opts opts = {.size = sizeof(opts)};
	hilo_fd_as given[1];

	TASK_CHECK(dup2(leaked, 300), ==, 300); /* numbers that the child does not open itself */
	TASK_CHECK(dup3(shut, 310, O_CLOEXEC), ==, 310);
	close(leaked);
	close(shut);
	leaked = 300;
	shut = 310;
	check_fd(leaked, &opts, 0);
	check_fd(shut, &opts, 0);
	opts.flags = HILO_PROCESS_KEEP_FDS;
	check_fd(leaked, &opts, 1);
	check_fd(shut, &opts, 0);
	/* Given with its own number. */
	opts.flags = 0;
	given[0] = (hilo_fd_as){shut, shut};
	opts.fds = given;
	opts.fds_count = 1;
	check_fd(shut, &opts, 1);
	check_fd(leaked, &opts, 0);
	close(leaked);
	close(shut);
	return 0;
}

TASK_TEST(test_descriptors_change_places)
{
	hilo_process_opts opts = {.size = sizeof(opts)};
	hilo_fd_as given[2];
	char buf[16] = "";
	int a[2], b[2];

	TASK_CHECK(pipe2(a, O_CLOEXEC), ==, 0);
	TASK_CHECK(pipe2(b, O_CLOEXEC), ==, 0);
	TASK_CHECK(dup3(a[1], 301, O_CLOEXEC), ==, 301);
	TASK_CHECK(dup3(b[1], 302, O_CLOEXEC), ==, 302);
	given[0] = (hilo_fd_as){301, 302};
	given[1] = (hilo_fd_as){302, 301};
	opts.fds = given;
	opts.fds_count = 2;
	TASK_CHECK(finish(start(ARGV("bash", "-c", "echo b >&301; echo a >&302"), &opts)), ==, 0);
	TASK_CHECK(read(a[0], buf, sizeof(buf)), ==, 2);
	TASK_CHECK_TEXT(buf, "a\n");
	TASK_CHECK(read(b[0], buf, sizeof(buf)), ==, 2);
	TASK_CHECK_TEXT(buf, "b\n");
	/* One of ours as standard output, which is not ours then. */
	memset(&opts, 0, sizeof(opts));
	opts.size = sizeof(opts);
	opts.out = HILO_STDIO_FD;
	opts.out_fd = a[1];
	opts.err = HILO_STDIO_STDOUT;
	TASK_CHECK(finish(start_shell("echo x; echo y >&2", &opts)), ==, 0);
	TASK_CHECK(read(a[0], buf, sizeof(buf)), >=, 2);
	for (int i = 0; i < 2; i++) {
		close(a[i]);
		close(b[i]);
	}
	close(301);
	close(302);
	return 0;
}

TASK_TEST(test_null)
{
	hilo_process_opts opts = {
		.size = sizeof(opts), .in = HILO_STDIO_NULL, .out = HILO_STDIO_NULL, .err = HILO_STDIO_NULL};

	TASK_CHECK(finish(start(ARGV("cat"), &opts)), ==, 0);
	TASK_CHECK(finish(start_shell("echo lost; echo lost >&2", &opts)), ==, 0);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain_thread_without_runtime),
		cmocka_unit_test(test_plain_thread_of_a_runtime),
		cmocka_unit_test(test_exit_codes),
		cmocka_unit_test(test_ended_by_signals),
		cmocka_unit_test(test_thread_of_an_executor),
		cmocka_unit_test(test_what_cannot_be_executed),
		cmocka_unit_test(test_mistakes),
		cmocka_unit_test(test_in_a_callback),
		cmocka_unit_test(test_folder_and_environment),
		cmocka_unit_test(test_path_is_that_of_the_program),
		cmocka_unit_test(test_signals_are_at_their_defaults),
		cmocka_unit_test(test_group_and_session),
		cmocka_unit_test(test_descriptors),
		cmocka_unit_test(test_descriptors_change_places),
		cmocka_unit_test(test_null),
	};

	PROCESSES_OR_SKIP();
	test_begin();
	return cmocka_run_group_tests(tests, folder_make, folder_remove);
}
