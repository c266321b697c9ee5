/* SPDX-License-Identifier: MIT */
/*
 * main_macro.c - a program whose main function is a task. Built and run by test_main.sh, as C and as C++.
 *
 *	main_macro say WORD...   says the words
 *	main_macro fail          fails with a message of its own
 *	main_macro fail-mutely   fails without one
 *	main_macro interrupted   is interrupted, and cleans up
 */
#define _POSIX_C_SOURCE 200809L /* kill */
#include <hilo/hilo.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int program(void *arg)
{
	char **argv = (char **)arg;
	int rc = hilo_sleep(HILO_MILLISECOND);

	if (rc < 0 || !argv[1] || strcmp(argv[1], "fail-mutely") == 0)
		return rc < 0 ? rc : -EIO;
	if (strcmp(argv[1], "interrupted") == 0) {
		kill(getpid(), SIGINT);
		rc = hilo_sleep_until(HILO_FOREVER);
		puts("cleaned up");
		return rc;
	}
	if (strcmp(argv[1], "fail") == 0)
		return hilo_fail(-EINVAL, "no word is said to %s", argv[1]);
	for (char **word = argv + 2; *word; word++)
		puts(*word);
	return 7;
}

HILO_MAIN(program);
