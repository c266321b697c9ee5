/* SPDX-License-Identifier: MIT */
/*
 * lines.c - sorting by keys of seven bytes. Lines that have one key in common are sorted by the next seven bytes in
 * which they differ, and so forth; so nothing is compared twice, and mostly what is compared lies in the array.
 */
#include "lines.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LENGTH_BITS 24
#define LINE_LONG ((UINT64_C(1) << LENGTH_BITS) - 1) /* at least: it is looked for */
#define TEXT_MOST ((size_t)1 << 40)
#define KEY_BYTES 7
#define KEY_MORE 8 /* the last byte of a key: the line goes on */
/* So many lines are compared as a whole instead. */
#define FEW 16
/* So many are looked at by one worker. */
#define GRAIN 1024

#define HILO_SORT_NAME sort_keys
#define HILO_SORT_TYPE struct line
#define HILO_SORT_LESS(a, b, arg) ((a)->key < (b)->key)
#include <hilo/runtime/sort_typed.h>

int text_reserve(struct text *text, size_t more)
{
	size_t room = text->room ? text->room : 4096;
	char *at;

	if (more > TEXT_MOST - TEXT_SPARE - 1 || text->size + more > TEXT_MOST - TEXT_SPARE)
		return hilo_fail(-EFBIG, "more than a terabyte");
	if (text->room >= text->size + more + TEXT_SPARE)
		return 0;
	while (room < text->size + more + TEXT_SPARE)
		room += room / 2 < more ? more + TEXT_SPARE : room / 2;
	at = realloc(text->at, room);
	if (!at)
		return hilo_fail(-ENOMEM, "no memory for %zu bytes of text", room);
	text->at = at;
	text->room = room;
	return 0;
}

const char *line_bytes(const struct lines *lines, const struct line *line)
{
	return lines->text->at + (line->place >> LENGTH_BITS);
}

size_t line_length(const struct lines *lines, const struct line *line)
{
	size_t length = line->place & LINE_LONG;
	const char *bytes = line_bytes(lines, line);

	if (length < LINE_LONG)
		return length;
	return (size_t)((const char *)rawmemchr(bytes + length, '\n') - bytes);
}

/* The key of @bytes, of which @left are the line's. */
static uint64_t key_of(const char *bytes, size_t left)
{
	uint64_t key;

	memcpy(&key, bytes, sizeof(key)); /* there is more behind the text */
	key = __builtin_bswap64(key);
	if (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__)
		key = __builtin_bswap64(key);
	if (left < KEY_BYTES)
		key = left ? key & ~UINT64_C(0) << 8 * (8 - left) : 0;
	return (key & ~UINT64_C(0xff)) | (left < KEY_MORE ? left : KEY_MORE);
}

/* ---- finding them ---- */

static int count_lines(int64_t begin, int64_t end, void *value, void *arg)
{
	const struct lines *lines = arg;
	const char *at = lines->text->at + begin, *last = lines->text->at + end;
	int64_t *count = value;

	while (at < last) {
		ptrdiff_t n = last - at < 128 ? last - at : 128;
		unsigned char some = 0;

		for (ptrdiff_t i = 0; i < n; i++)
			some = (unsigned char)(some + (at[i] == '\n'));
		*count += some;
		at += n;
	}
	return 0;
}

static int add_counts(void *value, void *right, void *arg)
{
	(void)arg;
	*(int64_t *)value += *(int64_t *)right;
	return 0;
}

/* Lines that end in this piece of the text; *value: how many end before. */
static int make_lines(int64_t begin, int64_t end, void *value, void *arg)
{
	struct lines *lines = arg;
	const char *text = lines->text->at, *at = text + begin, *last = text + end, *start, *stop;
	int64_t *number = value;

	stop = memchr(at, '\n', (size_t)(end - begin));
	if (!stop)
		return 0;
	start = memrchr(text, '\n', (size_t)begin);
	start = start ? start + 1 : text;
	for (; stop; stop = start < last ? memchr(start, '\n', (size_t)(last - start)) : NULL) {
		size_t length = (size_t)(stop - start);
		uint64_t kept = length < LINE_LONG ? length : LINE_LONG;

		lines->line[(*number)++] =
			(struct line){key_of(start, length), (uint64_t)(start - text) << LENGTH_BITS | kept};
		start = stop + 1;
	}
	return 0;
}

int lines_find(struct lines *lines, const struct text *text, const hilo_parallel_opts *opts)
{
	const hilo_reduction counting = {sizeof(counting), sizeof(int64_t), count_lines, add_counts};
	int64_t size = (int64_t)text->size, none = 0;
	int rc;

	*lines = (struct lines){.text = text};
	rc = hilo_parallel_reduce(0, size, HILO_GRAIN_AUTO, &counting, &lines->count, lines);
	if (rc < 0)
		return rc;
	lines->line = malloc((size_t)(lines->count + 1) * sizeof(*lines->line));
	if (!lines->line)
		return hilo_fail(-ENOMEM, "no memory for %lld lines", (long long)lines->count);
	return hilo_parallel_scan(0, size, &counting, make_lines, &none, lines, opts);
}

/* ---- sorting ---- */

/* Lines [begin, end), which are the same up to @depth. */
struct run {
	struct lines *lines;
	int64_t begin, end;
	size_t depth;
};

static int line_compare(const struct lines *lines, const struct line *a, const struct line *b, size_t depth)
{
	size_t x = line_length(lines, a), y = line_length(lines, b);
	int order =
		memcmp(line_bytes(lines, a) + depth, line_bytes(lines, b) + depth, (x < y ? x : y) - depth);

	return order ? order : x < y ? -1 : x > y;
}

static void sort_few(struct lines *lines, int64_t begin, int64_t end, size_t depth)
{
	struct line *line = lines->line;

	for (int64_t i = begin + 1; i < end; i++) {
		struct line one = line[i];
		int64_t at = i;

		for (; at > begin && line_compare(lines, &one, &line[at - 1], depth) < 0; at--)
			line[at] = line[at - 1];
		line[at] = one;
	}
}

/* How many bytes from @depth on the lines have in common. */
static int common_of(int64_t begin, int64_t end, void *value, void *arg)
{
	const struct run *run = arg;
	const struct lines *lines = run->lines;
	const struct line *first = &lines->line[run->begin];
	const char *model = line_bytes(lines, first) + run->depth;
	size_t *common = value, length = line_length(lines, first) - run->depth;

	*common = *common < length ? *common : length;
	for (int64_t i = begin; i<end && * common> 0; i++) {
		const char *other = line_bytes(lines, &lines->line[i]) + run->depth;
		size_t most = line_length(lines, &lines->line[i]) - run->depth, n = 0;

		most = most < *common ? most : *common;
		while (most - n >= 64 && memcmp(model + n, other + n, 64) == 0)
			n += 64;
		while (n < most && model[n] == other[n])
			n++;
		*common = n;
	}
	return 0;
}

static int least_common(void *value, void *right, void *arg)
{
	size_t *common = value, other = *(size_t *)right;

	(void)arg;
	*common = *common < other ? *common : other;
	return 0;
}

static int make_keys(int64_t begin, int64_t end, void *arg)
{
	const struct run *run = arg;

	for (int64_t i = begin; i < end; i++) {
		struct line *line = &run->lines->line[i];

		line->key = key_of(line_bytes(run->lines, line) + run->depth,
				   line_length(run->lines, line) - run->depth);
	}
	return 0;
}

/* Go on where the lines of a run begin to differ. */
static int run_sort(struct run *run)
{
	const hilo_reduction common = {sizeof(common), sizeof(size_t), common_of, least_common};
	size_t bytes = SIZE_MAX;
	int rc = hilo_parallel_reduce(run->begin, run->end, GRAIN, &common, &bytes, run);

	if (rc == 0) {
		run->depth += bytes;
		rc = hilo_parallel_for(run->begin, run->end, GRAIN, make_keys, run);
	}
	if (rc == 0)
		rc = sort_keys(run->lines->line + run->begin, (size_t)(run->end - run->begin), NULL, NULL);
	return rc;
}

/* The end of the lines that have the key of line @i. */
static int64_t same_end(const struct lines *lines, int64_t i, int64_t end)
{
	uint64_t key = lines->line[i].key;

	while (++i < end && lines->line[i].key == key)
		;
	return i;
}

/* Lines [begin, end) are sorted by their keys at @depth: sort those that have one in common. */
HILO_FORKABLE(int, refine, struct lines *, lines, int64_t, begin, int64_t, end, size_t, depth)
{
	int rc = 0, later;

	if (end - begin > GRAIN) {
		int64_t middle = begin + (end - begin) / 2;

		while (middle > begin && lines->line[middle - 1].key == lines->line[middle].key)
			middle--;
		if (middle == begin)
			middle = same_end(lines, begin, end);
		if (middle < end) {
			HILO_FORK(refine, lines, middle, end, depth);
			rc = HILO_CALL(refine, lines, begin, middle, depth);
			later = HILO_JOIN(refine);
			return rc < 0 ? rc : later;
		}
	}
	for (int64_t next; begin < end && rc == 0; begin = next) {
		struct run run = {lines, begin, 0, depth + KEY_BYTES};

		run.end = next = same_end(lines, begin, end);
		if (next - begin < 2 || (lines->line[begin].key & 0xff) < KEY_MORE)
			continue; /* one; or all the same */
		if (next - begin <= FEW) {
			sort_few(lines, begin, next, run.depth);
			continue;
		}
		rc = run_sort(&run);
		if (rc == 0)
			rc = HILO_CALL(refine, lines, begin, next, run.depth);
	}
	return rc;
}

int lines_sort(struct lines *lines, const hilo_parallel_opts *opts)
{
	int rc = sort_keys(lines->line, (size_t)lines->count, NULL, opts), code = 0;

	if (rc < 0 || lines->count < 2)
		return rc;
	rc = HILO_REGION(refine, &code, lines, 0, lines->count, 0);
	return code < 0 ? code : rc;
}
