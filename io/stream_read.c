/* SPDX-License-Identifier: MIT */
/*
 * stream_read.c - what one who reads calls: some bytes, so many bytes, a line, all. How they come is in
 * stream_receive.c.
 *
 * All of them look at what lies in the stream's buffer, and take it only when they have what they were asked for. So
 * there is no way in which one that fails could lose something.
 */
#include <errno.h>
#include <limits.h>

#include "io/stream_impl.h"
#include "runtime/error_impl.h"
#include "scheduler/base/mem.h"

ssize_t hilo__stream_read_failed(const struct stream_reader *reader, ssize_t code)
{
	if (code == -EBUSY)
		return hilo_fail(-EBUSY, "%s: somebody else reads from this stream", reader->call);
	if (code == -EBADF && !reader->claimed)
		return hilo_fail(-EBADF, "%s: it can only be written", reader->call);
	return hilo__error_own((int)code);
}

static int read_check(const char *call, const hilo_stream *stream, const void *buf, size_t size)
{
	int rc = hilo__stream_enter(stream, call);

	if (HILO__UNLIKELY(rc == 0 && ((!buf && size) || size > SSIZE_MAX)))
		return hilo_fail(-EINVAL, "%s: buf is %p, size %zu", call, buf, size);
	return rc;
}

ssize_t hilo_stream_read(hilo_stream *stream, void *buf, size_t size, hilo_time deadline)
{
	struct stream_reader reader;
	ssize_t n = read_check("hilo_stream_read", stream, buf, size);

	if (HILO__UNLIKELY(n < 0 || !size))
		return n < 0 ? n : stream_closed(stream);
	stream_reader_init(&reader, stream, "hilo_stream_read");
	n = hilo__stream_fill(&reader, 0, 1, deadline);
	if (HILO__LIKELY(n > 0)) {
		n = (size_t)n < size ? n : (ssize_t)size;
		hilo__stream_copy(&reader, buf, (size_t)n);
	}
	hilo__stream_read_end(&reader, n > 0 ? (size_t)n : 0);
	if (HILO__UNLIKELY(n < 0))
		return hilo__stream_read_failed(&reader, n);
	contend_was_free(thread_self()); /* or was not; a receive may have ended at once */
	return n;
}

ssize_t hilo_stream_read_exactly(hilo_stream *stream, void *buf, size_t size, hilo_time deadline)
{
	struct stream_reader reader;
	ssize_t n = read_check("hilo_stream_read_exactly", stream, buf, size), have = 0;

	if (n < 0 || !size)
		return n < 0 ? n : stream_closed(stream);
	stream_reader_init(&reader, stream, "hilo_stream_read_exactly");
	while ((n = hilo__stream_fill(&reader, (size_t)have, size, deadline)) > have && (size_t)n < size)
		have = n;
	if (n >= (ssize_t)size)
		hilo__stream_copy(&reader, buf, size);
	hilo__stream_read_end(&reader, n >= (ssize_t)size ? size : 0);
	if (n >= (ssize_t)size)
		return (ssize_t)size;
	if (n < 0)
		return hilo__stream_read_failed(&reader, n);
	(void)hilo_fail(HILO_EINCOMPLETE, "hilo_stream_read_exactly: %zd bytes and the end, of %zu", n, size);
	return hilo__error_sizes(HILO_EINCOMPLETE, (uint64_t)n, size);
}

/* What a line, or another piece, may end with, and where none begins: the first @from bytes are not of one. */
struct separator {
	const hilo_separator *any;
	int n;
	size_t longest;
	size_t from;
	int found; /* which of them */
};

/* The first of @size bytes at @data after which @one ends; 0: it is not there. */
static inline size_t one_find(const hilo_separator *one, const char *data, size_t size)
{
	const char *found;

	if (size < one->length)
		return 0;
	found = one->length == 1 ? memchr(data, *(const char *)one->bytes, size)
				 : memmem(data, size, one->bytes, one->length);
	return found ? (size_t)(found - data) + one->length : 0;
}

/*
 * The bytes of the first @n, up to and with the separator that ends first; 0: none is there. What comes later ends
 * later, so it does not matter in which pieces they have come.
 */
static size_t separator_find(struct separator *separator, const char *data, size_t n)
{
	size_t from = separator->from, size = n - from, end = 0;

	for (int i = 0; i < separator->n && size; i++) {
		size_t here = one_find(&separator->any[i], data + from, size);

		if (here) {
			end = here;
			size = here - 1; /* for the next one to end sooner */
			separator->found = i;
		}
	}
	if (end)
		return from + end;
	if (n >= separator->longest)
		separator->from = n - separator->longest + 1;
	return 0;
}

/* [reader, lock; it is let go of if there is much] The same of what has come. */
static size_t reader_find(struct stream_reader *reader, struct separator *separator, size_t n)
{
	hilo_stream *stream = reader->stream;
	size_t found;

	if (n - separator->from <= STREAM_LOCKED_COPY)
		return separator_find(separator, stream_bytes(reader), n);
	spin_unlock(&stream->lock);
	found = separator_find(separator, stream_bytes(reader), n);
	spin_lock(&stream->lock);
	return found;
}

/*
 * [reader; returns with the lock] Wait for a piece of at most @most bytes: its length, the whole rest at the end, or
 * -EMSGSIZE: it is longer.
 */
static ssize_t reader_piece(struct stream_reader *reader, struct separator *separator, size_t most,
			    hilo_time deadline)
{
	ssize_t have = 0, n;

	for (;;) {
		size_t length;

		n = hilo__stream_fill(reader, (size_t)have, (size_t)have + 1, deadline);
		if (n < 0 || n == have)
			break; /* the end */
		length = reader_find(reader, separator, (size_t)n);
		if (length) {
			separator->from = length - separator->any[separator->found].length;
			return length <= most ? (ssize_t)length : -EMSGSIZE;
		}
		if ((size_t)n > most)
			return -EMSGSIZE;
		have = n;
	}
	return n > (ssize_t)most ? -EMSGSIZE : n;
}

static ssize_t read_piece(const char *call, hilo_stream *stream, struct separator *separator, char *buf,
			  size_t size, hilo_time deadline)
{
	struct stream_reader reader;
	ssize_t n = read_check(call, stream, buf, size);
	size_t most;

	if (n < 0)
		return n;
	if (!size)
		return hilo_fail(-EINVAL, "%s: size is 0, and there is to be a NUL", call);
	most = stream_line(stream);
	most = most < size - 1 ? most : size - 1;
	stream_reader_init(&reader, stream, call);
	n = reader_piece(&reader, separator, most, deadline);
	if (n >= 0) {
		hilo__stream_copy(&reader, buf, (size_t)n);
		buf[n] = '\0';
	}
	hilo__stream_read_end(&reader, n > 0 ? (size_t)n : 0);
	if (n == -EMSGSIZE) {
		(void)hilo_fail(-EMSGSIZE,
				most == size - 1 ? "%s: more than the %zu bytes that buf has room for"
						 : "%s: more than the limit of %zu bytes",
				call, most);
		return hilo__error_sizes(-EMSGSIZE, separator->from, most);
	}
	return n < 0 ? hilo__stream_read_failed(&reader, n) : n;
}

ssize_t hilo_stream_read_line(hilo_stream *stream, char *buf, size_t size, hilo_time deadline)
{
	static const hilo_separator end = {(void *)(uintptr_t) "\n", 1};
	struct separator separator = {.any = &end, .n = 1, .longest = 1};

	return read_piece("hilo_stream_read_line", stream, &separator, buf, size, deadline);
}

ssize_t hilo_stream_read_until(hilo_stream *stream, const void *bytes, size_t length, char *buf, size_t size,
			       hilo_time deadline)
{
	const hilo_separator end = {bytes, length};
	struct separator separator = {.any = &end, .n = 1, .longest = length};

	if (!bytes || !length)
		return hilo_fail(-EINVAL, "hilo_stream_read_until: the separator is %p, %zu bytes", bytes,
				 length);
	return read_piece("hilo_stream_read_until", stream, &separator, buf, size, deadline);
}

ssize_t hilo_stream_read_until_any(hilo_stream *stream, const hilo_separator *separators, int n, int *which,
				   char *buf, size_t size, hilo_time deadline)
{
	struct separator separator = {.any = separators, .n = n, .found = -1};
	ssize_t length;

	if (!separators || n < 1)
		return hilo_fail(-EINVAL, "hilo_stream_read_until_any: separators is %p, n %d",
				 (const void *)separators, n);
	for (int i = 0; i < n; i++) {
		if (!separators[i].bytes || !separators[i].length)
			return hilo_fail(-EINVAL, "hilo_stream_read_until_any: separator %d is %p, %zu bytes",
					 i, separators[i].bytes, separators[i].length);
		if (separator.longest < separators[i].length)
			separator.longest = separators[i].length;
	}
	length = read_piece("hilo_stream_read_until_any", stream, &separator, buf, size, deadline);
	if (length >= 0 && which)
		*which = separator.found;
	return length;
}

/* [reader, lock; the end has come] All there is, in memory of the caller's. */
static ssize_t reader_take_all(struct stream_reader *reader, size_t size, char **ret)
{
	hilo_stream *stream = reader->stream;
	char *data;

	spin_unlock(&stream->lock);
	data = hilo__malloc(size + 1);
	if (data) {
		memcpy(data, stream_bytes(reader), size);
		data[size] = '\0';
		*ret = data;
	}
	spin_lock(&stream->lock);
	return data ? (ssize_t)size : -ENOMEM;
}

ssize_t hilo_stream_read_all(hilo_stream *stream, size_t limit, char **ret, hilo_time deadline)
{
	struct stream_reader reader;
	ssize_t n = hilo__stream_enter(stream, "hilo_stream_read_all"), have = 0, there = 0;

	if (n < 0)
		return n;
	if (!ret || limit >= SSIZE_MAX)
		return hilo_fail(-EINVAL, "hilo_stream_read_all: ret is %p, limit %zu", (void *)ret, limit);
	stream_reader_init(&reader, stream, "hilo_stream_read_all");
	while ((n = hilo__stream_fill(&reader, (size_t)have, limit + 1, deadline)) > have &&
	       (size_t)n <= limit)
		have = n;
	there = n;
	if (n > (ssize_t)limit)
		n = -EMSGSIZE;
	else if (n >= 0)
		n = reader_take_all(&reader, (size_t)n, ret);
	hilo__stream_read_end(&reader, n > 0 ? (size_t)n : 0);
	if (n == -EMSGSIZE) {
		(void)hilo_fail(-EMSGSIZE, "hilo_stream_read_all: more than %zu bytes", limit);
		return hilo__error_sizes(-EMSGSIZE, (uint64_t)there, limit);
	}
	return n < 0 ? hilo__stream_read_failed(&reader, n) : n;
}
