/* SPDX-License-Identifier: MIT */
/* options.c - see options.h. */
#include "options.h"

#include <hilo/hilo.h>

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CLIENTS_MAX 1000000ul
#define DRAIN_MAX 86400ul
#define HELP 256

static const struct option names[] = {
	{"host", required_argument, NULL, 'h'},	   {"port", required_argument, NULL, 'p'},
	{"clients", required_argument, NULL, 'c'}, {"drain", required_argument, NULL, 'd'},
	{"help", no_argument, NULL, HELP},	   {NULL, 0, NULL, 0},
};

/* The number that @text is into *@ret. */
static int number_parse(const char *what, const char *text, unsigned long max, unsigned long *ret)
{
	char *end;

	if (*text < '0' || *text > '9')
		return hilo_fail(-EINVAL, "%s: '%s' is not a number", what, text);
	*ret = strtoul(text, &end, 10); /* too large a one is ULONG_MAX */
	if (*end)
		return hilo_fail(-EINVAL, "%s: '%s' is not a number", what, text);
	if (*ret > max)
		return hilo_fail(-EINVAL, "%s: %s is more than %lu", what, text, max);
	return 0;
}

static int option_apply(struct options *options, int letter)
{
	unsigned long number = 0;
	int rc = 0;

	switch (letter) {
	case 'h':
		options->host = optarg;
		break;
	case 'p':
		rc = number_parse("--port", optarg, 65535, &number);
		options->port = (unsigned)number;
		break;
	case 'd':
		rc = number_parse("--drain", optarg, DRAIN_MAX, &number);
		options->drain = (unsigned)number;
		break;
	default:
		rc = number_parse("--clients", optarg, CLIENTS_MAX, &number);
		options->clients = number;
	}
	return rc;
}

int options_parse(struct options *options, char **argv, const char *takes, const char *help)
{
	int argc = 0, letter, index = 0, rc = 0;

	while (argv[argc])
		argc++;
	opterr = 0; /* the message is ours */
	while (rc == 0 && (letter = getopt_long(argc, argv, ":", names, &index)) != -1) {
		if (letter == HELP)
			return fputs(help, stdout) < 0 ? -EIO : 1;
		if (letter == ':')
			rc = hilo_fail(-EINVAL, "%s wants a value; try --help", argv[optind - 1]);
		else if (letter == '?')
			rc = hilo_fail(-EINVAL, "there is no option %s; try --help", argv[optind - 1]);
		else if (!strchr(takes, letter))
			rc = hilo_fail(-EINVAL, "there is no option --%s; try --help", names[index].name);
		else
			rc = option_apply(options, letter);
	}
	options->rest = argv + optind;
	return rc;
}
