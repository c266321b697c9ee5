/* SPDX-License-Identifier: MIT */
/* main.c - the main function of a program that is a task, and the status that it exits with. */
#include <hilo/runtime/error.h>
#include <hilo/runtime/runtime.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "runtime/interrupt_impl.h"

int hilo_main_run(hilo_task_fn main, char **argv)
{
	int rc = hilo_run(main, argv, NULL);
	const char *message;

	if (rc >= 0)
		return EXIT_SUCCESS;
	if (rc == -EINTR && hilo__interrupt_has_ended_it()) {
		(void)fflush(NULL); /* what the cleanup has said */
		return hilo__interrupt_die();
	}
	message = hilo_error_code() == rc ? hilo_error_message() : hilo_strerror(rc);
	(void)fprintf(stderr, "%s: %s\n", program_invocation_short_name, message);
	return EXIT_FAILURE;
}
