/* SPDX-License-Identifier: MIT */
/* options.c - the command line, and DATABASE_URL. */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
	"Usage: service [OPTION]...\n"
	"A JSON API over SQLite, or over PostgreSQL if DATABASE_URL says so.\n"
	"\n"
	"      --host NAME         where it listens, default 127.0.0.1\n"
	"      --port N            default 8080; 0: one that is free, which the log tells\n"
	"      --database PATH     the SQLite database, default service.db; or a URL, as DATABASE_URL\n"
	"      --reads PLACE       of SQLite: 'worker' (default) or 'executor'\n"
	"      --connections N     to PostgreSQL, default 8\n"
	"      --workers N         default all cores (HILO_WORKERS overrides it)\n"
	"      --jobs N            thumbnails that are made at a time, default as many as workers\n"
	"      --photo-max MB      the largest photo, default 16\n"
	"      --deadline SECONDS  for all that a request waits for, default 10: then 503\n"
	"      --linger SECONDS    at its end: how long clients have to use their connections once more, "
	"default 3\n"
	"      --drain SECONDS     and then for what they have asked to be answered, default 10\n"
	"      --log FILE          default '-', standard output; 'none'\n"
	"      --pid-file FILE     has the number of the process that serves\n"
	"  -h, --help              print this\n"
	"\n"
	"SIGHUP starts the program anew and hands its socket over; SIGTERM and SIGINT answer what was asked, "
	"and end.\n"
	"DATABASE_URL=postgresql://... or sqlite:PATH names the database if --database does not.\n";

enum {
	OPTION_HOST = UCHAR_MAX + 1,
	OPTION_PORT,
	OPTION_DATABASE,
	OPTION_READS,
	OPTION_CONNECTIONS,
	OPTION_WORKERS,
	OPTION_JOBS,
	OPTION_PHOTO_MAX,
	OPTION_DEADLINE,
	OPTION_LINGER,
	OPTION_DRAIN,
	OPTION_LOG,
	OPTION_PID_FILE
};

static const struct option long_options[] = {
	{"host", required_argument, NULL, OPTION_HOST},
	{"port", required_argument, NULL, OPTION_PORT},
	{"database", required_argument, NULL, OPTION_DATABASE},
	{"reads", required_argument, NULL, OPTION_READS},
	{"connections", required_argument, NULL, OPTION_CONNECTIONS},
	{"workers", required_argument, NULL, OPTION_WORKERS},
	{"jobs", required_argument, NULL, OPTION_JOBS},
	{"photo-max", required_argument, NULL, OPTION_PHOTO_MAX},
	{"deadline", required_argument, NULL, OPTION_DEADLINE},
	{"linger", required_argument, NULL, OPTION_LINGER},
	{"drain", required_argument, NULL, OPTION_DRAIN},
	{"log", required_argument, NULL, OPTION_LOG},
	{"pid-file", required_argument, NULL, OPTION_PID_FILE},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

/* The number in @text, or -1 after saying what is wrong with it. */
static long number_parse(const char *what, const char *text, long min, long max)
{
	char *end;
	long value;

	errno = 0;
	value = strtol(text, &end, 10);
	if (end == text || *end || errno == ERANGE || value < min || value > max) {
		fprintf(stderr, "service: %s: '%s' is not a number from %ld to %ld\n", what, text, min, max);
		return -1;
	}
	return value;
}

/* One of the options that are numbers. Returns -1 to go on, or the status to exit with. */
static int number_apply(struct options *options, int letter)
{
	long value = -1;

	switch (letter) {
	case OPTION_PORT:
		value = number_parse("--port", optarg, 0, 65535);
		options->port = (unsigned)value;
		break;
	case OPTION_CONNECTIONS:
		value = number_parse("--connections", optarg, 1, 1000);
		options->connections = (unsigned)value;
		break;
	case OPTION_WORKERS:
		value = number_parse("--workers", optarg, 1, 1024);
		options->workers = (unsigned)value;
		break;
	case OPTION_JOBS:
		value = number_parse("--jobs", optarg, 1, 1024);
		options->jobs = (unsigned)value;
		break;
	case OPTION_PHOTO_MAX:
		value = number_parse("--photo-max", optarg, 1, 256);
		options->photo_max = (size_t)value << 20;
		break;
	case OPTION_DEADLINE:
		value = number_parse("--deadline", optarg, 1, 3600);
		options->deadline = value * HILO_SECOND;
		break;
	case OPTION_LINGER:
		value = number_parse("--linger", optarg, 0, 3600);
		options->linger = value * HILO_SECOND;
		break;
	case OPTION_DRAIN:
		value = number_parse("--drain", optarg, 0, 3600);
		options->drain = value * HILO_SECOND;
		break;
	default: /* getopt has said what is wrong */
		fputs("Try 'service --help'.\n", stderr);
	}
	return value < 0 ? 1 : -1;
}

/* One option. Returns -1 to go on, or the status to exit with. */
static int option_apply(struct options *options, int letter)
{
	switch (letter) {
	case OPTION_HOST:
		options->host = optarg;
		return -1;
	case OPTION_DATABASE:
		options->database = optarg;
		return -1;
	case OPTION_LOG:
		options->log = optarg;
		return -1;
	case OPTION_PID_FILE:
		options->pid_file = optarg;
		return -1;
	case OPTION_READS:
		options->reads = strcmp(optarg, "executor") == 0 ? STORE_READS_EXECUTOR : STORE_READS_WORKER;
		if (strcmp(optarg, "executor") == 0 || strcmp(optarg, "worker") == 0)
			return -1;
		fprintf(stderr, "service: --reads: '%s' is neither 'worker' nor 'executor'\n", optarg);
		return 1;
	case 'h':
		fputs(help, stdout);
		return 0;
	default:
		return number_apply(options, letter);
	}
}

bool options_is_postgres(const char *database)
{
	return strncmp(database, "postgres://", 11) == 0 || strncmp(database, "postgresql://", 13) == 0;
}

int options_parse(struct options *options, int argc, char **argv)
{
	int letter, status;

	*options = (struct options){.host = "127.0.0.1",
				    .port = 8080,
				    .connections = 8,
				    .photo_max = 16u << 20,
				    .deadline = 10 * HILO_SECOND,
				    .linger = 3 * HILO_SECOND,
				    .drain = 10 * HILO_SECOND,
				    .log = "-",
				    .argv = argv};
	while ((letter = getopt_long(argc, argv, "h", long_options, NULL)) != -1) {
		status = option_apply(options, letter);
		if (status >= 0)
			return status;
	}
	if (optind < argc) {
		fprintf(stderr, "service: '%s' is no option\n", argv[optind]);
		return 1;
	}
	if (!options->database)
		options->database = getenv("DATABASE_URL");
	if (!options->database || !*options->database)
		options->database = "service.db";
	if (strncmp(options->database, "sqlite:", 7) == 0)
		options->database += 7;
	return -1;
}
