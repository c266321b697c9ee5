/* SPDX-License-Identifier: MIT */
#ifndef NET_OPTIONS_H
#define NET_OPTIONS_H

#include <stddef.h>

/* options.h - what the command lines of these programs ask for. */

struct options {
	const char *host;
	unsigned port;
	size_t clients; /* at a time; 0: as many as there are descriptors */
	unsigned drain; /* seconds */
	char **rest;	/* what is no option, up to a NULL */
};

/*
 * [task] Parse @argv into *@options, which has the defaults. @takes names the options that the program has, besides
 * --help, which prints @help: h for --host, p for --port, c for --clients, d for --drain. 0; 1: there is nothing left
 * to do; -EINVAL, with a message.
 */
int options_parse(struct options *options, char **argv, const char *takes, const char *help);

#endif /* NET_OPTIONS_H */
