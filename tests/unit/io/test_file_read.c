/* SPDX-License-Identifier: MIT */
/*
 * test_file_read.c - what is read through the buffer: lines and pieces over all its edges, and nothing taken in vain.
 */
#include "tests/unit/io/files.h"

/* Lines of random lengths, many of them around the size of the buffer, each with its number first. */
struct lines {
	char *text;
	size_t size, n, at[4000], length[4000];
};

static void lines_make(struct lines *lines, uint64_t seed, size_t buffer)
{
	struct random random;

	random_init(&random, seed, 0);
	lines->text = malloc(4000 * (2 * buffer + 40));
	lines->size = lines->n = 0;
	for (; lines->n < 400; lines->n++) {
		size_t length = random_below(&random, 4) ? random_below(&random, 30)
							 : buffer - 3 + random_below(&random, 7);
		char *line = lines->text + lines->size;

		memset(line, 'a' + (char)(lines->n % 26), length);
		line[length] = '\n';
		lines->at[lines->n] = lines->size;
		lines->length[lines->n] = length + 1;
		lines->size += length + 1;
	}
	lines->size--; /* the last one has no end */
	lines->length[lines->n - 1]--;
	if (!lines->length[lines->n - 1])
		lines->n--;
}

static void lines_read(const struct lines *lines, const char *path, const hilo_file_opts *opts)
{
	size_t room = 4096;
	char *line = malloc(room);
	hilo_file *file = NULL;
	const char *next;

	for (int way = 0; way < 3; way++) {
		TASK_CHECK(hilo_file_open(path, "r", opts, &file, HILO_FOREVER), ==, 0);
		for (size_t i = 0; i < lines->n; i++) {
			ssize_t n = way == 0 ? hilo_file_read_line(file, line, room, HILO_FOREVER)
				    : way == 1
					    ? hilo_file_next_line(file, &next, room, HILO_FOREVER)
					    : hilo_file_read_until(file, "\n", 1, line, room, HILO_FOREVER);

			TASK_CHECK(n, ==, lines->length[i]);
			TASK_CHECK(memcmp(way == 1 ? next : line, lines->text + lines->at[i], (size_t)n), ==,
				   0);
			TASK_CHECK(hilo_file_tell(file), ==, lines->at[i] + lines->length[i]);
		}
		TASK_CHECK(hilo_file_read_line(file, line, room, HILO_FOREVER), ==, 0);
		closed(file);
	}
	free(line);
}

TASK_TEST(test_lines_over_all_edges)
{
	static const size_t buffers[] = {64, 100, 1000, HILO_FILE_UNBUFFERED};
	struct lines *lines = malloc(sizeof(*lines));
	struct folder folder;

	folder_make(&folder);
	for (size_t i = 0; i < array_size(buffers); i++) {
		hilo_file_opts opts = {.size = sizeof(opts), .buffer = buffers[i]};

		lines_make(lines, test_seed() + i, buffers[i] == HILO_FILE_UNBUFFERED ? 300 : buffers[i]);
		put(in(&folder, "a"), lines->text, lines->size);
		lines_read(lines, in(&folder, "a"), &opts);
		free(lines->text);
	}
	free(lines);
	folder_remove(&folder);
	return 0;
}

/* A file, and what is in it. */
#define SPACE ((size_t)20000)
#define MOST ((size_t)4000)

struct model {
	hilo_file *file;
	char bytes[SPACE + MOST], buf[MOST];
	size_t size, at;
};

static void model_write(struct model *m, size_t n, int letter)
{
	n = m->at + n > SPACE ? SPACE - m->at : n;
	memset(m->buf, letter, n);
	memcpy(m->bytes + m->at, m->buf, n);
	TASK_CHECK(hilo_file_write(m->file, m->buf, n, HILO_FOREVER), ==, n);
	m->at += n;
	m->size = m->at > m->size && n ? m->at : m->size;
}

static void model_read_exactly(struct model *m, size_t n)
{
	ssize_t rc = hilo_file_read_exactly(m->file, m->buf, n, HILO_FOREVER);

	if (m->at + n > m->size && n) {
		TASK_CHECK(rc, ==, HILO_EINCOMPLETE);
		return;
	}
	TASK_CHECK(rc, ==, n);
	TASK_CHECK(memcmp(m->buf, m->bytes + m->at, n), ==, 0);
	m->at += n;
}

static void model_read(struct model *m, size_t n)
{
	ssize_t rc = hilo_file_read(m->file, m->buf, n, HILO_FOREVER);

	TASK_CHECK(rc >= (n && m->at < m->size), ==, 1);
	TASK_CHECK(memcmp(m->buf, m->bytes + m->at, (size_t)rc), ==, 0);
	m->at += (size_t)rc;
}

static void model_pread(struct model *m, size_t n)
{
	TASK_CHECK(hilo_file_flush(m->file, HILO_FOREVER), ==, 0);
	n = m->at >= m->size ? 0 : m->size - m->at < n ? m->size - m->at : n;
	TASK_CHECK(hilo_file_pread(m->file, m->buf, n, (int64_t)m->at, HILO_FOREVER), ==, n);
	TASK_CHECK(memcmp(m->buf, m->bytes + m->at, n), ==, 0);
}

static void model_step(struct model *m, struct random *random, unsigned round)
{
	size_t n = random_below(random, round % 5 ? 60 : (uint32_t)MOST);

	switch (random_below(random, 6)) {
	case 0:
		m->at = random_below(random, (uint32_t)SPACE);
		TASK_CHECK(hilo_file_seek(m->file, (int64_t)m->at, SEEK_SET, HILO_FOREVER), ==, m->at);
		break;
	case 1:
	case 2:
		model_write(m, n, 'a' + (int)(round % 26));
		break;
	case 3:
		model_read_exactly(m, n);
		break;
	case 4:
		model_read(m, n);
		break;
	default:
		model_pread(m, n);
		break;
	}
	TASK_CHECK(hilo_file_tell(m->file), ==, m->at);
}

/* Reads, writes and seeks at random, beside the same in memory. */
TASK_TEST(test_any_order_of_calls)
{
	hilo_file_opts opts = {.size = sizeof(opts)};
	struct model *m = calloc(1, sizeof(*m));
	struct folder folder;
	struct random random;
	char *all = NULL;

	random_init(&random, test_seed(), 7);
	folder_make(&folder);
	for (unsigned round = 0; round < test_rounds(600); round++) {
		if (round % 200 == 0) {
			opts.buffer = 1 + random_below(&random, 700);
			TASK_CHECK(hilo_file_close(m->file, HILO_FOREVER), ==, 0);
			TASK_CHECK(hilo_file_open(in(&folder, "a"), round ? "r+" : "w+", &opts, &m->file,
						  HILO_FOREVER),
				   ==, 0);
			m->at = 0;
		}
		model_step(m, &random, round);
	}
	closed(m->file);
	TASK_CHECK(hilo_path_load(in(&folder, "a"), SPACE, &all, HILO_FOREVER), ==, m->size);
	TASK_CHECK(memcmp(all, m->bytes, m->size), ==, 0);
	hilo__free(all);
	free(m);
	folder_remove(&folder);
	return 0;
}

/* How often a file was read. */
static uint64_t operations(void)
{
	hilo_file_stats stats = {.size = sizeof(stats)};

	TASK_CHECK(hilo_file_get_stats(&stats), ==, 0);
	return stats.at_once + stats.ring + stats.executor + stats.threads;
}

/* No line is an operation of its own: a buffer full of them is. */
TASK_TEST(test_many_lines_are_few_operations)
{
	enum {
		lines = 20000,
		buffer = 65536
	};
	struct folder folder;
	char line[64], *text = malloc(lines * 16 + 1);
	size_t size = 0;
	uint64_t before, most;
	const char *next;
	hilo_file *file;

	folder_make(&folder);
	for (unsigned i = 0; i < lines; i++)
		size += (size_t)sprintf(text + size, "line %06u\n", i);
	put(in(&folder, "a"), text, size);
	most = size / buffer + 3; /* of the last piece, and the end */
	file = opened(in(&folder, "a"), "r");
	before = operations();
	for (unsigned i = 0; i < lines; i++)
		TASK_CHECK(hilo_file_read_line(file, line, sizeof(line), HILO_FOREVER), ==, 12);
	TASK_CHECK(hilo_file_read_line(file, line, sizeof(line), HILO_FOREVER), ==, 0);
	TASK_CHECK(operations() - before, <=, most);
	TASK_CHECK(hilo_file_seek(file, 0, SEEK_SET, HILO_FOREVER), ==, 0);
	before = operations();
	while (hilo_file_next_line(file, &next, 100, HILO_FOREVER) > 0)
		;
	TASK_CHECK(operations() - before, <=, most);
	closed(file);
	file = opened(in(&folder, "b"), "w"); /* and so is writing */
	before = operations();
	for (size_t at = 0; at < size; at += 12)
		TASK_CHECK(hilo_file_write(file, text + at, 12, HILO_FOREVER), ==, 12);
	TASK_CHECK(hilo_file_flush(file, HILO_FOREVER), ==, 0);
	TASK_CHECK(operations() - before, <=, most);
	closed(file);
	free(text);
	folder_remove(&folder);
	return 0;
}

TASK_TEST(test_reads_that_fail_take_nothing)
{
	struct folder folder;
	char line[64];
	hilo_file *file;
	const char *next;
	char *all;

	folder_make(&folder);
	put(in(&folder, "a"), "uno dos tres\ncuatro;;cinco;seis", 32 - 1);
	file = opened(in(&folder, "a"), "r");
	TASK_CHECK(hilo_file_read_line(file, line, 13, HILO_FOREVER), ==, -EMSGSIZE);
	TASK_CHECK_SIZES(12, 12);
	TASK_CHECK(hilo_file_next_line(file, &next, 12, HILO_FOREVER), ==, -EMSGSIZE);
	TASK_CHECK_SIZES(12, 12);
	TASK_CHECK(hilo_file_read_until(file, "??", 2, line, 10, HILO_FOREVER), ==, -EMSGSIZE);
	TASK_CHECK_SIZES(30, 9);
	TASK_CHECK(hilo_file_read_exactly(file, line, 60, HILO_FOREVER), ==, HILO_EINCOMPLETE);
	TASK_CHECK_CONTAINS(hilo_error_message(), "31 bytes read on a total of 60 expected bytes");
	TASK_CHECK_SIZES(31, 60);
	TASK_CHECK(hilo_file_read_all(file, 30, &all, HILO_FOREVER), ==, -EMSGSIZE);
	TASK_CHECK_SIZES(31, 30);
	TASK_CHECK(hilo_file_read_line(file, line, 14, HILO_FOREVER), ==, 13);
	TASK_CHECK_TEXT(line, "uno dos tres\n");
	TASK_CHECK(hilo_file_read_until(file, ";;", 2, line, sizeof(line), HILO_FOREVER), ==, 8);
	TASK_CHECK_TEXT(line, "cuatro;;");
	TASK_CHECK(hilo_file_read_until(file, ";;", 2, line, sizeof(line), HILO_FOREVER), ==, 10);
	TASK_CHECK_TEXT(line, "cinco;seis");
	TASK_CHECK(hilo_file_read_until(file, ";;", 2, line, sizeof(line), HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_file_read_all(file, 30, &all, HILO_FOREVER), ==, 0);
	hilo__free(all);
	TASK_CHECK(hilo_file_seek(file, 4, SEEK_SET, HILO_FOREVER), ==, 4);
	TASK_CHECK(hilo_file_read_all(file, 27, &all, HILO_FOREVER), ==, 27);
	TASK_CHECK_TEXT(all, "dos tres\ncuatro;;cinco;seis");
	hilo__free(all);
	closed(file);
	folder_remove(&folder);
	return 0;
}

/* Each third call is interrupted, and what is not is short. */
static atomic(unsigned) interrupts;

static bool is_interrupted(void)
{
	return add_relaxed(&interrupts, 1) % 3 == 0;
}

static ssize_t preadv2_short(int fd, const struct iovec *vector, int n, int64_t offset, int flags)
{
	struct iovec one = {vector[0].iov_base, vector[0].iov_len > 3 ? 3 : vector[0].iov_len};

	(void)n;
	if (flags & RWF_NOWAIT && offset % 2)
		return -EAGAIN;
	return is_interrupted() ? -EINTR : sys_real_preadv2(fd, &one, 1, offset, flags);
}

static ssize_t pwritev2_short(int fd, const struct iovec *vector, int n, int64_t offset, int flags)
{
	struct iovec one = {vector[0].iov_base, vector[0].iov_len > 5 ? 5 : vector[0].iov_len};

	(void)n;
	return is_interrupted() ? -EINTR : sys_real_pwritev2(fd, &one, 1, offset, flags);
}

/* Calls of the system that do less than they could, and are interrupted. */
static int short_body(void *arg)
{
	struct folder folder;
	char text[200], back[200];
	hilo_file *file;

	(void)arg;
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (char)('a' + i % 26);
	folder_make(&folder);
	file = opened(in(&folder, "a"), "w+");
	TASK_CHECK(hilo_file_write(file, text, 200, HILO_FOREVER), ==, 200);
	TASK_CHECK(hilo_file_flush(file, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_file_pwrite(file, text, 200, 200, HILO_FOREVER), ==, 200);
	TASK_CHECK(hilo_file_pread(file, back, 200, 0, HILO_FOREVER), ==, 200);
	TASK_CHECK(memcmp(text, back, 200), ==, 0);
	TASK_CHECK(hilo_file_seek(file, 200, SEEK_SET, HILO_FOREVER), ==, 200);
	TASK_CHECK(hilo_file_read_exactly(file, back, 200, HILO_FOREVER), ==, 200);
	TASK_CHECK(memcmp(text, back, 200), ==, 0);
	closed(file);
	folder_remove(&folder);
	return 0;
}

static void test_short_reads_and_writes(void **state)
{
	struct sys_chaos chaos = {.seed = test_seed(), .shorten = 300};

	(void)state;
	hilo__sys.preadv2 = preadv2_short;
	hilo__sys.pwritev2 = pwritev2_short;
	assert_int_equal(test_run(2, short_body, NULL), 0);
	hilo__sys_chaos(&chaos);
	for (unsigned i = 0; i < test_rounds(20); i++)
		assert_int_equal(test_run(2, short_body, NULL), 0);
	hilo__sys_reset();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines_over_all_edges),
		cmocka_unit_test(test_any_order_of_calls),
		cmocka_unit_test(test_many_lines_are_few_operations),
		cmocka_unit_test(test_reads_that_fail_take_nothing),
		cmocka_unit_test(test_short_reads_and_writes),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
