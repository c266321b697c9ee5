/* SPDX-License-Identifier: MIT */
/* options.c - command lines: options, and numbers that are all of the text, or a message; and how programs end. */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int options_number(const char *program, int option, const char *text, long least, long most, long *ret)
{
	char *end;
	long number;

	errno = 0;
	number = strtol(text, &end, 10);
	if (errno || end == text || *end || number < least || number > most) {
		if (option)
			fprintf(stderr, "%s: -%c takes", program, option);
		else
			fprintf(stderr, "%s: it takes", program);
		fprintf(stderr, " a number from %ld to %ld, not '%s'\n", least, most, text);
		return -1;
	}
	*ret = number;
	return 0;
}

#define OPTIONS_MOST 16

static const struct option common[] = {{"parallel", required_argument, NULL, 'p'},
				       {"quiet", no_argument, NULL, 'q'},
				       {"help", no_argument, NULL, 'h'},
				       {NULL, 0, NULL, 0}};

/* Add @more to @all, which has @count, and their letters to @letters. How many there are then. */
static size_t options_add(struct option *all, size_t count, const struct option *more, char *letters)
{
	size_t end = strlen(letters);

	for (; more && more->name && count < OPTIONS_MOST; more++) {
		all[count++] = *more;
		letters[end++] = (char)more->val;
		if (more->has_arg == required_argument)
			letters[end++] = ':';
	}
	return count;
}

/* 0; -1, after a message; 1: there is nothing left to do. */
static int option_take(struct options *options, int option, void *arg)
{
	switch (option) {
	case 'p':
		return options_number(options->program, 'p', optarg, 1, 1024, &options->workers);
	case 'q':
		options->quiet = 1;
		return 0;
	case 'h':
		fputs(options->help, stdout);
		return 1;
	case '?':
		fprintf(stderr, "Try %s --help.\n", options->program);
		return -1;
	default:
		return options->take(option, optarg, arg);
	}
}

int options_parse(struct options *options, int argc, char **argv, void *arg)
{
	struct option all[OPTIONS_MOST + 1] = {{NULL, 0, NULL, 0}};
	char letters[2 * OPTIONS_MOST + 1] = "";
	size_t count = options_add(all, 0, options->own, letters);
	int option, rc;

	options_add(all, count, common, letters);
	while ((option = getopt_long(argc, argv, letters, all, NULL)) != -1) {
		rc = option_take(options, option, arg);
		if (rc != 0)
			return rc < 0 ? 2 : 0;
	}
	return -1;
}

int options_output(const char *program)
{
	int failed = ferror(stdout); /* by a write before, whose errno is gone */

	errno = EIO;
	if (fflush(stdout) == 0 && !failed)
		return 0;
	fprintf(stderr, "%s: standard output: %s\n", program, strerror(errno));
	return -1;
}

int options_status(int rc, int trouble)
{
	if (rc >= 0)
		return 0;
	return rc == -ECANCELED || rc == -EINTR ? 130 : trouble;
}
