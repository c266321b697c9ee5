/* SPDX-License-Identifier: MIT */
/* sized.c - reading and filling in structures of other versions; the rules are in sized_impl.h. */
#include "runtime/sized_impl.h"

#include <hilo/runtime/error.h>
#include <hilo/runtime/exception.h>
#include <hilo/runtime/executor.h>
#include <hilo/runtime/parallel.h>
#include <hilo/runtime/runtime.h>
#include <hilo/runtime/task.h>
#include <hilo/runtime/version.h>

#include <errno.h>
#include <stdbool.h>
#include <string.h>

/* More than any version will have: a size that was never set is not followed into the unknown. */
#define SIZED_MAX 1024

#define NO_PADDING(type, last)                                                                               \
	_Static_assert(sizeof(type) == SIZED_END(type, last), #type " ends with its last member")

NO_PADDING(hilo_exception, runtime);
NO_PADDING(hilo_opts, stream_memory_max);
NO_PADDING(hilo_task_opts, destroy);
NO_PADDING(hilo_task_hooks, suspended);
NO_PADDING(hilo_executor_opts, flags);
NO_PADDING(hilo_parallel_opts, progress_period);

static size_t size_of(const void *sized)
{
	size_t size;

	memcpy(&size, sized, sizeof(size));
	return size;
}

static bool is_zero(const void *bytes, size_t size)
{
	const unsigned char *at = bytes;

	for (size_t i = 0; i < size; i++)
		if (at[i])
			return false;
	return true;
}

int hilo__sized_in(void *to, size_t known, size_t least, const void *from, const char *name)
{
	size_t size = size_of(from);

	if (size < least)
		return hilo_fail(-EINVAL, "%s.size is %zu, less than %zu", name, size, least);
	if (size > SIZED_MAX)
		return hilo_fail(-E2BIG, "%s.size is %zu, more than %d", name, size, SIZED_MAX);
	if (size > known && !is_zero((const char *)from + known, size - known))
		return hilo_fail(-E2BIG, "%s: a field is set beyond the %zu bytes that version %s knows",
				 name, known, hilo_version_string());
	memset(to, 0, known);
	memcpy(to, from, size < known ? size : known);
	memcpy(to, &known, sizeof(known));
	return 0;
}

int hilo__sized_out(void *to, const void *from, size_t known, size_t least)
{
	size_t size = size_of(to), both = size < known ? size : known;

	if (size < least || size > SIZED_MAX)
		return -EINVAL;
	memcpy((char *)to + sizeof(size), (const char *)from + sizeof(size), both - sizeof(size));
	memset((char *)to + both, 0, size - both);
	return 0;
}
