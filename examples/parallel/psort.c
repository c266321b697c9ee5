/* SPDX-License-Identifier: MIT */
/*
 * psort.c - sorts the lines of files on all cores, by their bytes: what it writes is what LC_ALL=C sort writes.
 *
 * All is in memory: the text, sixteen bytes for each line, and the text once more in its order. Files are read in
 * pieces side by side; lines are found by a scan, as the number of a line is how many end before it; and where each
 * is to be in the output is another scan. What is in order already is written while the rest is put together.
 */
#include <hilo/hilo.h>

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lines.h"
#include "options.h"
#include "progress.h"

#define READ_PIECE ((int64_t)1 << 20)
#define CHUNK_LINES ((int64_t)1 << 18) /* written at a time */
#define TROUBLE 2		       /* the exit status, as sort's */

static const char help[] =
	"Usage: psort [OPTION]... [FILE]...\n"
	"Write the lines of all FILEs in the order of their bytes, as LC_ALL=C sort does, on all\n"
	"cores. Without FILE, or for -, read standard input. All of it has to fit into memory twice.\n"
	"\n"
	"  -o, --output FILE  write to FILE instead of standard output; it may be one of those read\n"
	"  -r, --reverse      the last ones first\n"
	"  -u, --unique       of lines that are the same only one\n"
	"  -p, --parallel N   on N cores, default all (HILO_WORKERS overrides it)\n"
	"  -q, --quiet        no progress\n"
	"  -h, --help         print this\n"
	"\n"
	"Exit status: 0 done, 2 an error, 130 stopped by Ctrl-C.\n";

/* What is written by a thread that may block. It outlives who waits for it, should that be cancelled. */
struct writing {
	int fd;
	const char *from;
	size_t size;
};

struct job {
	struct options options;
	char **files;
	const char *output;
	int reverse, unique;
	struct text text;
	struct lines lines;
	char *out;
	struct writing writing;
	struct progress progress;
	hilo_parallel_opts opts;
};

/* ---- reading ---- */

struct reading {
	hilo_file *file;
	char *to;
};

static int read_piece(int64_t begin, int64_t end, void *arg)
{
	const struct reading *reading = arg;

	while (begin < end) {
		ssize_t n = hilo_file_pread(reading->file, reading->to + begin, (size_t)(end - begin), begin,
					    HILO_FOREVER);

		if (n < 0)
			return (int)n;
		if (n == 0)
			return -ENODATA;
		begin += n;
	}
	return 0;
}

/* A file whose size is known, all pieces at once. -ENODATA: there is less. With room to read on. */
static int read_sized(struct job *job, hilo_file *file, int64_t size)
{
	hilo_parallel_opts opts = job->opts;
	struct reading reading = {file, NULL};
	int rc = text_reserve(&job->text, (size_t)size + (size_t)READ_PIECE);

	if (rc < 0)
		return rc;
	reading.to = job->text.at + job->text.size;
	opts.grain = READ_PIECE;
	rc = hilo_parallel_for_with(0, size, read_piece, &reading, &opts);
	if (rc == 0)
		job->text.size += (size_t)size;
	return rc;
}

/* From @at on, or, if that is below 0, from wherever the file is: it may be a stream. */
static int read_to_end(struct job *job, hilo_file *file, int64_t at)
{
	ssize_t n = 1;
	char *to;
	int rc;

	while (n > 0) {
		rc = text_reserve(&job->text, READ_PIECE);
		if (rc < 0)
			return rc;
		to = job->text.at + job->text.size;
		n = at < 0 ? hilo_file_read(file, to, READ_PIECE, HILO_FOREVER)
			   : hilo_file_pread(file, to, READ_PIECE, at, HILO_FOREVER);
		job->text.size += n > 0 ? (size_t)n : 0;
		at += at >= 0 && n > 0 ? n : 0;
	}
	return (int)n;
}

/* The size may be wrong: of a file that changes, or of one that the kernel makes up. */
static int read_regular(struct job *job, hilo_file *file, int64_t size)
{
	int rc = read_sized(job, file, size);

	if (rc < 0 && rc != -ENODATA)
		return rc;
	return read_to_end(job, file, rc == 0 ? size : 0);
}

static int open_input(const char *name, hilo_file **ret)
{
	int fd, rc;

	if (strcmp(name, "-") != 0)
		return hilo_file_open(name, "r", NULL, ret, HILO_FOREVER);
	fd = dup(STDIN_FILENO);
	if (fd < 0)
		return hilo_fail(-errno, "cannot be read");
	rc = hilo_file_from_fd(fd, NULL, ret);
	if (rc < 0)
		close(fd);
	return rc;
}

static int read_file(struct job *job, const char *name)
{
	struct stat status;
	hilo_file *file;
	int rc = open_input(name, &file);

	if (rc < 0)
		return rc;
	rc = hilo_file_stat(file, &status, HILO_FOREVER);
	if (rc == 0 && S_ISREG(status.st_mode) && status.st_size > 0 && strcmp(name, "-") != 0)
		rc = read_regular(job, file, status.st_size);
	else if (rc == 0)
		rc = read_to_end(job, file, -1);
	hilo_file_close(file, HILO_FOREVER);
	if (rc == 0 && job->text.size && job->text.at[job->text.size - 1] != '\n') {
		rc = text_reserve(&job->text, 1);
		if (rc == 0)
			job->text.at[job->text.size++] = '\n';
	}
	return rc;
}

/* Returns the code, after a message: of the library, or of our own. */
static int complain(int rc, const char *what)
{
	int own = rc == -EFBIG || rc == -ENOMEM;

	if (rc != -ECANCELED)
		fprintf(stderr, "psort: %s: %s\n", what, own ? hilo_error_message() : hilo_strerror(rc));
	return rc;
}

static int read_all(struct job *job)
{
	static char dash[] = "-", *standard_input[] = {dash, NULL};
	char **files = *job->files ? job->files : standard_input;
	int rc = text_reserve(&job->text, 0);

	for (; *files && rc == 0; files++) {
		rc = read_file(job, *files);
		if (rc < 0) {
			progress_end(&job->progress);
			(void)complain(rc, strcmp(*files, "-") == 0 ? "standard input" : *files);
		}
	}
	if (rc == 0)
		memset(job->text.at + job->text.size, 0, TEXT_SPARE);
	return rc;
}

/* ---- writing ---- */

/* The line that is the @i-th one of the output; NULL: it is the same as the one before. */
static const struct line *line_out(const struct job *job, int64_t i)
{
	const struct lines *lines = &job->lines;
	const struct line *line = &lines->line[job->reverse ? lines->count - 1 - i : i];
	const struct line *before = job->reverse ? line + 1 : line - 1;
	size_t length;

	if (!job->unique || i == 0)
		return line;
	length = line_length(lines, line);
	if (length != line_length(lines, before))
		return line;
	return memcmp(line_bytes(lines, line), line_bytes(lines, before), length) ? line : NULL;
}

static int measure_lines(int64_t begin, int64_t end, void *value, void *arg)
{
	const struct job *job = arg;
	size_t *size = value;

	for (int64_t i = begin; i < end; i++) {
		const struct line *line = line_out(job, i);

		*size += line ? line_length(&job->lines, line) + 1 : 0;
	}
	return 0;
}

static int add_sizes(void *value, void *right, void *arg)
{
	(void)arg;
	*(size_t *)value += *(size_t *)right;
	return 0;
}

/* Lines [begin, end) of the output to where they belong; *value: the size of those before. */
static int place_lines(int64_t begin, int64_t end, void *value, void *arg)
{
	struct job *job = arg;
	size_t *size = value;

	for (int64_t i = begin; i < end; i++) {
		const struct line *line = line_out(job, i);
		size_t length = line ? line_length(&job->lines, line) + 1 : 0;

		if (i + 8 < end)
			__builtin_prefetch(line_bytes(
				&job->lines,
				&job->lines.line[job->reverse ? job->lines.count - 9 - i : i + 8]));
		if (length)
			memcpy(job->out + *size, line_bytes(&job->lines, line), length);
		*size += length;
	}
	return 0;
}

/* On a thread that may block. */
static int write_blocking(void *arg)
{
	struct writing *writing = arg;

	while (writing->size > 0) {
		ssize_t n = write(writing->fd, writing->from, writing->size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		writing->from += n;
		writing->size -= (size_t)n;
	}
	return 0;
}

/* A chunk is put together while the one before is written. */
static int write_lines(struct job *job, int fd)
{
	const hilo_reduction sizes = {sizeof(sizes), sizeof(size_t), measure_lines, add_sizes};
	hilo_future *future = NULL;
	size_t written = 0;
	int rc = 0, before;

	job->out = malloc(job->text.size + 1);
	if (!job->out)
		return hilo_fail(-ENOMEM, "no memory for %zu bytes of output", job->text.size);
	for (int64_t begin = 0; begin < job->lines.count && rc == 0; begin += CHUNK_LINES) {
		int64_t end = begin + CHUNK_LINES < job->lines.count ? begin + CHUNK_LINES : job->lines.count;
		char *out = job->out;
		size_t size = 0;

		job->out += written;
		rc = hilo_parallel_scan(begin, end, &sizes, place_lines, &size, job, NULL);
		before = future ? hilo_future_await(future, NULL, HILO_FOREVER) : 0;
		hilo_future_unref(future);
		future = NULL;
		rc = before < 0 ? before : rc;
		if (rc == 0) {
			job->writing = (struct writing){fd, job->out, size};
			rc = hilo_executor_submit(NULL, write_blocking, &job->writing, &future, HILO_FOREVER);
		}
		job->out = out;
		written += size;
		progress_tell(end, job->lines.count, &job->progress);
	}
	before = future ? hilo_future_await(future, NULL, HILO_FOREVER) : 0;
	hilo_future_unref(future);
	return before < 0 ? before : rc;
}

static int open_output(void *arg)
{
	int fd = open(arg, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);

	return fd < 0 ? -errno : fd;
}

static int close_output(void *arg)
{
	return close(*(int *)arg) < 0 ? -errno : 0;
}

static int write_all(struct job *job)
{
	const char *name = job->output ? job->output : "standard output";
	int fd = STDOUT_FILENO, rc = 0, closed = 0;

	if (job->output)
		fd = hilo_run_in_executor(NULL, open_output, (void *)(uintptr_t)job->output, HILO_FOREVER);
	if (fd >= 0)
		rc = write_lines(job, fd);
	if (job->output && fd >= 0)
		closed = hilo_run_in_executor(NULL, close_output, &fd, HILO_FOREVER);
	progress_end(&job->progress);
	rc = fd < 0 ? fd : rc < 0 ? rc : closed;
	if (rc < 0 && rc != -ECANCELED)
		fprintf(stderr, "psort: %s: %s\n", name, hilo_strerror(rc));
	return rc;
}

/* ---- the program ---- */

static int sort_all(void *arg)
{
	struct job *job = arg;
	int rc;

	job->opts = (hilo_parallel_opts){.size = sizeof(job->opts), .progress_arg = &job->progress};
	job->opts.progress = job->progress.on ? progress_tell : NULL;
	progress_step(&job->progress, "reading");
	rc = read_all(job);
	if (rc < 0)
		return rc;
	progress_step(&job->progress, "finding lines");
	rc = lines_find(&job->lines, &job->text, &job->opts);
	progress_step(&job->progress, "sorting");
	if (rc == 0)
		rc = lines_sort(&job->lines, &job->opts);
	if (rc < 0) {
		progress_end(&job->progress);
		return complain(rc, "the lines");
	}
	progress_step(&job->progress, "writing");
	return write_all(job);
}

static const struct option own[] = {{"output", required_argument, NULL, 'o'},
				    {"reverse", no_argument, NULL, 'r'},
				    {"unique", no_argument, NULL, 'u'},
				    {NULL, 0, NULL, 0}};

static int take(int option, const char *value, void *arg)
{
	struct job *job = arg;

	if (option == 'o')
		job->output = value;
	job->reverse |= option == 'r';
	job->unique |= option == 'u';
	return 0;
}

int main(int argc, char **argv)
{
	static struct job job = {.options = {.program = "psort", .help = help, .own = own, .take = take}};
	hilo_opts opts = {.size = sizeof(opts)};
	int status = options_parse(&job.options, argc, argv, &job), rc;

	if (status >= 0)
		return status;
	job.files = argv + optind;
	progress_begin(&job.progress, "psort", job.options.quiet);
	opts.workers = (unsigned)job.options.workers;
	rc = hilo_run(sort_all, &job, &opts);
	progress_end(&job.progress);
	return options_status(rc, TROUBLE); /* what is left ends with the process */
}
