/* SPDX-License-Identifier: MIT */
/* options.c - numbers on command lines, all of the text, or a message; and how programs end. */
#include "options.h"

#include <errno.h>
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
