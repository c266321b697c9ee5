/* SPDX-License-Identifier: MIT */
#ifndef PGZIP_OPTIONS_H
#define PGZIP_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

/* options.h - what the command line asks for. */

enum mode {
	MODE_COMPRESS,
	MODE_DECOMPRESS,
	MODE_TEST /* decompress, write nothing */
};

struct options {
	enum mode mode;
	int level;
	unsigned workers;   /* 0: what Hilo finds */
	size_t block;	    /* bytes in a block, 0: what suits the input */
	const char *output; /* NULL: derived from the input's name */
	bool to_stdout;
	bool force;
	bool quiet;
	bool stats;
	char **files;
	int file_count; /* at least 1; "-" is standard input */
};

/* Parse the command line. Returns -1 to go on, or the status to exit with. */
int options_parse(struct options *options, int argc, char **argv);

#endif /* PGZIP_OPTIONS_H */
