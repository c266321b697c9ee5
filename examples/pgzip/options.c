/* SPDX-License-Identifier: MIT */
/*
 * options.c - the command line: gzip's letters, and a few of pigz's.
 */
#include "options.h"

#include <hilo/hilo.h>

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define KIB 1024u
#define LEVEL_DEFAULT 6
#define BLOCK_MAX (16u * 1024u) /* KiB */
#define WORKERS_MAX 1024u

enum {
	OPTION_STATS = UCHAR_MAX + 1
};

static const char help[] =
	"Usage: pgzip [OPTION]... [FILE]...\n"
	"Compress each FILE into FILE.gz on all cores. Without FILE, or for -, from standard\n"
	"input to standard output. What it writes is one ordinary gzip member.\n"
	"\n"
	"  -d, --decompress    decompress FILE.gz into FILE\n"
	"  -t, --test          check FILE.gz, write nothing\n"
	"  -c, --stdout        write to standard output\n"
	"  -o, --output OUT    write to OUT\n"
	"  -f, --force         overwrite an existing file; use a terminal for compressed data\n"
	"  -k, --keep          keep FILE: what pgzip always does, taken for gzip's sake\n"
	"  -l, --level LEVEL   1 (fast) to 9 (small), default 6; also as -1 to -9\n"
	"  -p, --workers N     compress on N cores, default all (HILO_WORKERS overrides it)\n"
	"  -b, --block KIB     size of a block, default 512, less for small files\n"
	"  -q, --quiet         no progress bar, no warnings\n"
	"      --stats         print sizes, rate, and what each worker did\n"
	"  -h, --help          print this\n"
	"  -V, --version       print versions\n"
	"\n"
	"Exit status: 0 done, 1 an error, 2 a warning, 128 + N stopped by signal N.\n";

static const struct option long_options[] = {
	{"decompress", no_argument, NULL, 'd'},
	{"uncompress", no_argument, NULL, 'd'},
	{"test", no_argument, NULL, 't'},
	{"stdout", no_argument, NULL, 'c'},
	{"to-stdout", no_argument, NULL, 'c'},
	{"output", required_argument, NULL, 'o'},
	{"force", no_argument, NULL, 'f'},
	{"keep", no_argument, NULL, 'k'},
	{"level", required_argument, NULL, 'l'},
	{"fast", no_argument, NULL, '1'},
	{"best", no_argument, NULL, '9'},
	{"workers", required_argument, NULL, 'p'},
	{"processes", required_argument, NULL, 'p'},
	{"block", required_argument, NULL, 'b'},
	{"blocksize", required_argument, NULL, 'b'},
	{"quiet", no_argument, NULL, 'q'},
	{"stats", no_argument, NULL, OPTION_STATS},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'V'},
	{NULL, 0, NULL, 0},
};

/* The number in @text, or -1 after saying what is wrong with it. */
static long number_parse(const char *what, const char *text, long min, long max)
{
	char *end;
	long value;

	errno = 0;
	value = strtol(text, &end, 10);
	if (end == text || *end != '\0') {
		fprintf(stderr, "pgzip: %s: '%s' is not a number\n", what, text);
		return -1;
	}
	if (errno == ERANGE || value < min || value > max) {
		fprintf(stderr, "pgzip: %s %s is out of range, %ld to %ld\n", what, text, min, max);
		return -1;
	}
	return value;
}

/* One option. Returns -1 to go on, or the status to exit with. */
static int option_apply(struct options *options, int letter)
{
	long value = 0;

	switch (letter) {
	case 'd':
		options->mode = MODE_DECOMPRESS;
		break;
	case 't':
		options->mode = MODE_TEST;
		break;
	case 'c':
		options->to_stdout = true;
		break;
	case 'o':
		options->output = optarg;
		break;
	case 'f':
		options->force = true;
		break;
	case 'k':
		break;
	case 'q':
		options->quiet = true;
		break;
	case OPTION_STATS:
		options->stats = true;
		break;
	case 'l':
		value = number_parse("level", optarg, 1, 9);
		options->level = (int)value;
		break;
	case 'p':
		value = number_parse("number of workers", optarg, 1, WORKERS_MAX);
		options->workers = (unsigned)value;
		break;
	case 'b':
		value = number_parse("block size", optarg, 1, BLOCK_MAX);
		options->block = (size_t)value * KIB;
		break;
	case 'h':
		fputs(help, stdout);
		return 0;
	case 'V':
		printf("pgzip of Hilo %s, zlib %s\n", hilo_version_string(), zlibVersion());
		return 0;
	default:
		if (letter < '1' || letter > '9') { /* getopt has said what is wrong */
			fputs("Try 'pgzip --help'.\n", stderr);
			return 1;
		}
		options->level = letter - '0';
	}
	return value < 0 ? 1 : -1;
}

/* Options that do not go together. Returns -1 to go on, or the status to exit with. */
static int options_check(const struct options *options)
{
	const char *problem = NULL;

	if (options->output && options->to_stdout)
		problem = "-o and -c both say where to write";
	else if (options->output && options->mode == MODE_TEST)
		problem = "-t writes nothing, so -o has no meaning";
	else if (options->output && options->file_count > 1)
		problem = "-o names one output, but there are several inputs";
	if (!problem)
		return -1;
	fprintf(stderr, "pgzip: %s\n", problem);
	return 1;
}

int options_parse(struct options *options, int argc, char **argv)
{
	static char dash[] = "-";
	static char *standard_input[] = {dash, NULL};
	int letter, status;

	memset(options, 0, sizeof(*options));
	options->level = LEVEL_DEFAULT;
	while ((letter = getopt_long(argc, argv, "123456789dtco:fkl:p:b:qhV", long_options, NULL)) != -1) {
		status = option_apply(options, letter);
		if (status >= 0)
			return status;
	}
	options->files = optind < argc ? argv + optind : standard_input;
	options->file_count = optind < argc ? argc - optind : 1;
	return options_check(options);
}
