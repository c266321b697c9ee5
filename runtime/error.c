/* SPDX-License-Identifier: MIT */
/*
 * error.c - the names of error codes and the sentences for them.
 *
 * For errno the sentences are those of the C library, untranslated: the translated ones depend on the
 * locale, and strerror may answer from a buffer that threads share.
 */
#include <hilo/runtime/error.h>

#include <errno.h>
#include <limits.h>
#include <string.h>

/* What errno has no word for. */
static const struct {
	int code;
	const char *name;
	const char *sentence;
} own_errors[] = {
	{HILO_EINVALSTATE, "HILO_EINVALSTATE", "Already set, taken, put back or over"},
	{HILO_ECLOSED, "HILO_ECLOSED", "Runtime, loop, executor, group or stream is closed or shutting down"},
	{HILO_EOVERFLOW, "HILO_EOVERFLOW", "Queue is full"},
	{HILO_EINCOMPLETE, "HILO_EINCOMPLETE", "End of stream before there was enough"},
	{HILO_ENONAME, "HILO_ENONAME", "Name or service not known"},
	{HILO_ETRUNCATED, "HILO_ETRUNCATED", "Connection has ended without the end of what was sent"},
};

#define OWN_ERRORS (sizeof(own_errors) / sizeof(own_errors[0]))

/* @code as a positive number; INT_MIN has no twin and no meaning. */
static int code_magnitude(int code)
{
	if (code == INT_MIN)
		return INT_MAX;
	return code < 0 ? -code : code;
}

const char *hilo_strerror(int code)
{
	int number = code_magnitude(code);
	const char *sentence;

	for (size_t i = 0; i < OWN_ERRORS; i++)
		if (own_errors[i].code == -number)
			return own_errors[i].sentence;
	sentence = strerrordesc_np(number);
	return sentence ? sentence : "Unknown error";
}

const char *hilo_errname(int code)
{
	int number = code_magnitude(code);
	const char *name;

	for (size_t i = 0; i < OWN_ERRORS; i++)
		if (own_errors[i].code == -number)
			return own_errors[i].name;
	name = number ? strerrorname_np(number) : NULL;
	return name ? name : "E?";
}
