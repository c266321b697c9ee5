/* SPDX-License-Identifier: MIT */
/*
 * wordcount.c - counts the words of all files below directories. A walk gives one file after the other, nobody knows
 * how many; each is read and counted by itself, as many at a time as keep the workers and the disk busy, and what it
 * has is added to one of 64 tables, by the word's hash, each with a mutex of its own. At the end all words are
 * sorted.
 */
#include <hilo/hilo.h>

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "options.h"
#include "progress.h"
#include "table.h"

#define TABLE_BITS 6
#define TABLES (1u << TABLE_BITS)
#define PIECE ((size_t)256 * 1024)
#define WORD_MOST 64 /* bytes that count; what is longer is no word */

static const char help[] =
	"Usage: wordcount [OPTION]... [FILE|DIRECTORY]...\n"
	"Count the words of all files, and of those below directories, default the current one.\n"
	"A word is letters, and bytes beyond ASCII; capitals are made small. Files with a byte 0\n"
	"are no text and are left out.\n"
	"\n"
	"  -n, --number N    print the N most frequent words, default 20; 0: all\n"
	"  -p, --parallel N  on N cores, default all (HILO_WORKERS overrides it)\n"
	"  -q, --quiet       no progress, and nothing about files that cannot be read\n"
	"  -h, --help        print this\n"
	"\n"
	"Exit status: 0 done, 1 some files could not be read, 2 an error, 130 stopped by Ctrl-C.\n";

struct shard {
	hilo_mutex mutex;
	struct table table;
};

struct job {
	struct options options;
	char **roots;
	long number;
	hilo_walk *walk;
	struct shard shard[TABLES];
	hilo_mutex mutex; /* of what follows */
	uint64_t files, bytes, failed;
	struct progress progress;
};

/* ---- one file ---- */

/* What is counted of one file; a word may begin in one piece and end in the next. */
struct counting {
	struct table table;
	char word[WORD_MOST];
	size_t length; /* of the word that has begun; more than fits: it is none */
	uint64_t bytes;
	int is_text;
};

static unsigned char letter_of(unsigned char byte)
{
	if (byte >= 'A' && byte <= 'Z')
		return (unsigned char)(byte - 'A' + 'a');
	return (byte >= 'a' && byte <= 'z') || byte >= 0x80 ? byte : 0;
}

static int end_word(struct counting *counting)
{
	size_t length = counting->length;

	counting->length = 0;
	if (length == 0 || length > WORD_MOST)
		return 0;
	return table_add(&counting->table, counting->word, length, table_hash(counting->word, length), 1);
}

static int count_piece(struct counting *counting, const char *bytes, size_t size)
{
	int rc = 0;

	for (size_t i = 0; i < size && rc == 0; i++) {
		unsigned char letter = letter_of((unsigned char)bytes[i]);

		if (!letter) {
			rc = end_word(counting);
			continue;
		}
		if (counting->length < WORD_MOST)
			counting->word[counting->length] = (char)letter;
		if (counting->length <= WORD_MOST)
			counting->length++;
	}
	return rc;
}

static int count_words(struct counting *counting, hilo_file *file)
{
	char *piece = malloc(PIECE);
	ssize_t n = piece ? 1 : -ENOMEM;
	int rc = 0;

	while (n > 0 && rc == 0 && counting->is_text) {
		n = hilo_file_read(file, piece, PIECE, HILO_FOREVER);
		if (n <= 0)
			continue;
		counting->bytes += (uint64_t)n;
		if (memchr(piece, 0, (size_t)n))
			counting->is_text = 0;
		else
			rc = count_piece(counting, piece, (size_t)n);
	}
	free(piece);
	if (rc == 0)
		rc = end_word(counting);
	return n < 0 ? (int)n : rc;
}

/* What was counted is added to what others have: by the highest bits, as within tables the lowest ones decide. */
static int merge(struct job *job, const struct table *table)
{
	int rc = 0;

	for (size_t i = 0; i < table->places && rc == 0; i++) {
		const struct word *word = &table->word[i];
		struct shard *shard = &job->shard[word->hash >> (64 - TABLE_BITS)];

		if (!word->count)
			continue;
		rc = hilo_mutex_lock(&shard->mutex, HILO_FOREVER);
		if (rc < 0)
			break;
		rc = table_add(&shard->table, table->text + word->at, word->length, word->hash, word->count);
		(void)hilo_mutex_unlock(&shard->mutex);
	}
	return rc;
}

static void tally(struct job *job, const struct counting *counting, const char *path, int rc)
{
	if (hilo_mutex_lock(&job->mutex, HILO_FOREVER) < 0)
		return;
	if (rc < 0) {
		job->failed++;
	} else if (counting->is_text) {
		job->files++;
		job->bytes += counting->bytes;
	}
	if (rc < 0 && !job->options.quiet) {
		progress_end(&job->progress);
		fprintf(stderr, "wordcount: %s: %s\n", path, hilo_strerror(rc));
	}
	(void)hilo_mutex_unlock(&job->mutex);
}

/* A file that cannot be read is told, and the others go on. */
static int count_file(void *item, void *arg)
{
	struct job *job = arg;
	char *path = *(char **)item;
	struct counting counting = {.is_text = 1};
	hilo_file *file;
	int rc = hilo_file_open(path, "r", NULL, &file, HILO_FOREVER), fatal = 0;

	if (rc == 0) {
		rc = count_words(&counting, file);
		hilo_file_close(file, HILO_FOREVER);
	}
	if (rc == 0 && counting.is_text)
		fatal = merge(job, &counting.table);
	if (rc == -ECANCELED || rc == -ENOMEM)
		fatal = rc;
	else
		tally(job, &counting, path, rc);
	table_free(&counting.table);
	free(path);
	return fatal;
}

/* ---- all files ---- */

static int walk_begin(struct job *job)
{
	int rc;

	if (!*job->roots)
		return 0;
	rc = hilo_walk_new(*job->roots++, NULL, &job->walk);
	return rc < 0 ? rc : 1;
}

/* The next file of the walks: a copy of its path, which is the item's. */
static int next_file(void *item, void *arg)
{
	struct job *job = arg;
	hilo_walk_entry entry;
	int rc;

	for (;;) {
		rc = job->walk ? 1 : walk_begin(job);
		if (rc <= 0)
			return rc;
		rc = hilo_walk_next(job->walk, &entry, HILO_FOREVER);
		if (rc == 0) {
			hilo_walk_close(job->walk);
			job->walk = NULL;
		} else if (rc < 0) {
			return rc;
		} else if (entry.error < 0) {
			tally(job, NULL, entry.path, entry.error);
		} else if (entry.kind == HILO_KIND_FILE) {
			*(char **)item = strdup(entry.path);
			return *(char **)item ? 1 : -ENOMEM;
		}
	}
}

/* ---- the result ---- */

struct entry {
	const char *text;
	size_t length;
	uint64_t count;
};

static int entry_less(const struct entry *a, const struct entry *b)
{
	int order;

	if (a->count != b->count)
		return a->count > b->count;
	order = memcmp(a->text, b->text, a->length < b->length ? a->length : b->length);
	return order ? order < 0 : a->length < b->length;
}

#define HILO_SORT_NAME sort_entries
#define HILO_SORT_TYPE struct entry
#define HILO_SORT_LESS(a, b, arg) entry_less(a, b)
#include <hilo/runtime/sort_typed.h>

static size_t collect(const struct job *job, struct entry *entries, uint64_t *ret_words)
{
	size_t count = 0;

	for (unsigned t = 0; t < TABLES; t++) {
		const struct table *table = &job->shard[t].table;

		for (size_t i = 0; i < table->places; i++) {
			const struct word *word = &table->word[i];

			if (!word->count)
				continue;
			entries[count++] = (struct entry){table->text + word->at, word->length, word->count};
			*ret_words += word->count;
		}
	}
	return count;
}

static int print_result(struct job *job)
{
	struct entry *entries;
	uint64_t words = 0;
	size_t count = 0, most;
	int rc;

	for (unsigned t = 0; t < TABLES; t++)
		count += job->shard[t].table.words;
	entries = malloc((count + 1) * sizeof(*entries));
	if (!entries)
		return -ENOMEM;
	count = collect(job, entries, &words);
	rc = sort_entries(entries, count, NULL, NULL);
	most = job->number && (size_t)job->number < count ? (size_t)job->number : count;
	for (size_t i = 0; i < most && rc == 0; i++)
		printf("%10llu %.*s\n", (unsigned long long)entries[i].count, (int)entries[i].length,
		       entries[i].text);
	if (rc == 0)
		printf("%10llu words, %zu different ones, in %llu files of %llu bytes\n",
		       (unsigned long long)words, count, (unsigned long long)job->files,
		       (unsigned long long)job->bytes);
	free(entries);
	return rc;
}

static int count_all(void *arg)
{
	struct job *job = arg;
	hilo_parallel_opts opts = {.size = sizeof(opts), .progress_arg = &job->progress};
	unsigned most = 4 * hilo_runtime_workers(hilo_runtime_current());
	int rc = hilo_mutex_init(&job->mutex, 0);

	for (unsigned i = 0; i < TABLES && rc == 0; i++)
		rc = hilo_mutex_init(&job->shard[i].mutex, 0);
	opts.progress = job->progress.on ? progress_tell : NULL;
	progress_step(&job->progress, "files");
	if (rc == 0)
		rc = hilo_parallel_each(sizeof(char *), next_file, count_file, most, job, &opts);
	hilo_walk_close(job->walk);
	progress_end(&job->progress);
	if (rc == 0)
		rc = print_result(job);
	if (rc < 0 && rc != -ECANCELED)
		fprintf(stderr, "wordcount: %s\n", hilo_strerror(rc));
	return rc;
}

static const struct option own[] = {{"number", required_argument, NULL, 'n'}, {NULL, 0, NULL, 0}};

static int take(int option, const char *value, void *arg)
{
	struct job *job = arg;

	return options_number("wordcount", option, value, 0, 1000000000, &job->number);
}

int main(int argc, char **argv)
{
	static struct job job = {
		.options = {.program = "wordcount", .help = help, .own = own, .take = take},
		.number = 20,
	};
	static char here[] = ".", *roots[] = {here, NULL};
	hilo_opts opts = {.size = sizeof(opts)};
	int status = options_parse(&job.options, argc, argv, &job), rc;

	if (status >= 0)
		return status;
	job.roots = argv[optind] ? argv + optind : roots;
	progress_begin(&job.progress, "wordcount", job.options.quiet);
	opts.workers = (unsigned)job.options.workers;
	rc = hilo_run(count_all, &job, &opts);
	progress_end(&job.progress);
	if (rc == 0 && options_output("wordcount") < 0)
		return 2;
	if (rc == 0)
		rc = job.failed ? 1 : 0;
	return rc < 0 ? options_status(rc, 2) : rc; /* what is left ends with the process */
}
