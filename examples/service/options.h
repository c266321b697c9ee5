/* SPDX-License-Identifier: MIT */
#ifndef SERVICE_OPTIONS_H
#define SERVICE_OPTIONS_H

#include "store.h"

#include <stdbool.h>

/* options.h - what the command line and the environment ask for. */

struct options {
	const char *host;
	unsigned port;
	const char *database; /* a path, or a postgresql:// URL */
	enum store_reads reads;
	unsigned connections; /* to PostgreSQL */
	unsigned workers;     /* 0: what Hilo finds */
	unsigned jobs;	      /* thumbnails at a time; 0: as many as workers */
	size_t photo_max;     /* bytes */
	hilo_time deadline;   /* for all that a request waits for */
	hilo_time linger;     /* at its end: for clients to ask once more on a connection that is open */
	hilo_time drain;      /* and then for requests to be answered */
	const char *log;
	const char *pid_file; /* NULL: none */
	char **argv;
};

/* Parse the command line. Returns -1 to go on, or the status to exit with. */
int options_parse(struct options *options, int argc, char **argv);

/* [any] Whether @database is a PostgreSQL's. */
bool options_is_postgres(const char *database);

#endif /* SERVICE_OPTIONS_H */
