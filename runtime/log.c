/* SPDX-License-Identifier: MIT */
/*
 * log.c - where log lines go.
 *
 * P1  See scheduler/base/log.h: the function that is stored there needs only what the sink's lock orders.
 */
#include <hilo/runtime/log.h>

#include <stdarg.h>

#include "runtime/hook_impl.h"
#include "runtime/log_impl.h"
#include "scheduler/base/log.h"

_Static_assert((int)LOG_LEVEL_ERROR == (int)HILO_LOG_ERROR && (int)LOG_LEVEL_DEBUG == (int)HILO_LOG_DEBUG,
	       "the levels of both layers are the same");

static struct hook sink;

static void log_deliver(int level, const char *line)
{
	struct hook_call call;

	hilo__hook_begin(&sink, &call);
	if (call.fn)
		((hilo_log_fn)call.fn)((enum hilo_log_level)level, line, call.arg);
	else
		hilo__log_stderr(level, line);
	hilo__hook_end(&sink, &call);
}

void hilo_log_set(hilo_log_fn fn, void *arg)
{
	hilo__hook_replace(&sink, (hook_fn)fn, arg);
	store_release(&hilo__log_hook, log_deliver); /* P1 */
}

void hilo__log(enum hilo_log_level level, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	hilo__log_vwrite((int)level, format, args);
	va_end(args);
}
