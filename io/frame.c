/* SPDX-License-Identifier: MIT */
/* frame.c - messages of frame.h. All of one lies in the stream's buffer before anything of it is taken. */
#include <hilo/io/frame.h>

#include <hilo/runtime/error.h>

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "io/stream_impl.h"
#include "runtime/error_impl.h"

/* Bytes of the length; 0: there is no such kind. */
static size_t frame_header(enum hilo_frame kind)
{
	switch (kind) {
	case HILO_FRAME_U8:
	case HILO_FRAME_BE16:
	case HILO_FRAME_BE32:
	case HILO_FRAME_BE64:
	case HILO_FRAME_LE16:
	case HILO_FRAME_LE32:
	case HILO_FRAME_LE64:
		return (size_t)kind & 0xf;
	}
	return 0;
}

static bool frame_is_little(enum hilo_frame kind)
{
	return (kind & 0x10) != 0;
}

static uint64_t header_get(const unsigned char *at, size_t n, bool little)
{
	uint64_t length = 0;

	for (size_t i = 0; i < n; i++)
		length = length << 8 | at[little ? n - 1 - i : i];
	return length;
}

static void header_put(unsigned char *at, size_t n, bool little, uint64_t length)
{
	for (size_t i = 0; i < n; i++)
		at[little ? i : n - 1 - i] = (unsigned char)(length >> 8 * i);
}

/* [reader; returns with the lock] Wait for @size bytes: they are there: 0; @size - 1 or less and the end: 1. */
static ssize_t reader_need(struct stream_reader *reader, size_t have, size_t size, hilo_time deadline,
			   size_t *there)
{
	ssize_t n = 0;

	for (*there = have; *there < size; *there = (size_t)n) {
		n = hilo__stream_fill(reader, *there, size, deadline);
		if (n < 0)
			return n;
		if ((size_t)n == *there)
			return 1;
	}
	return 0;
}

/* [reader; returns with the lock] The length of the next message, when all of it is there; or why not. */
static ssize_t frame_wait(struct stream_reader *reader, enum hilo_frame kind, size_t size, hilo_time deadline,
			  uint64_t *length, size_t *there)
{
	size_t header = frame_header(kind);
	ssize_t rc = reader_need(reader, 0, header, deadline, there);

	if (rc != 0)
		return rc < 0 ? rc : *there ? HILO_EINCOMPLETE : -EPIPE;
	*length = header_get((const unsigned char *)stream_bytes(reader), header, frame_is_little(kind));
	if (*length > size)
		return -EMSGSIZE;
	rc = reader_need(reader, *there, header + (size_t)*length, deadline, there);
	return rc > 0 ? HILO_EINCOMPLETE : rc;
}

ssize_t hilo_stream_read_frame(hilo_stream *stream, enum hilo_frame kind, void *buf, size_t size,
			       hilo_time deadline)
{
	static const char call[] = "hilo_stream_read_frame";
	struct stream_reader reader;
	size_t header = frame_header(kind), there = 0;
	uint64_t length = 0;
	ssize_t rc = hilo__stream_enter(stream, call);

	if (rc < 0)
		return rc;
	if (!header || (!buf && size) || size > SSIZE_MAX - 8)
		return hilo_fail(-EINVAL, "%s: kind %#x, buf %p, size %zu", call, (unsigned)kind, buf, size);
	stream_reader_init(&reader, stream, call);
	rc = frame_wait(&reader, kind, size, deadline, &length, &there);
	if (rc == 0) {
		hilo__stream_take(&reader, header);
		hilo__stream_copy(&reader, buf, (size_t)length);
	}
	hilo__stream_read_end(&reader, rc == 0 ? (size_t)length : 0);
	if (rc == 0)
		return (ssize_t)length;
	if (rc == -EMSGSIZE) {
		(void)hilo_fail(-EMSGSIZE, "%s: a message of %llu bytes, there is room for %zu", call,
				(unsigned long long)length, size);
		return hilo__error_sizes(-EMSGSIZE, length, size);
	}
	if (rc == HILO_EINCOMPLETE) {
		length = there < header ? header : header + length;
		(void)hilo_fail(HILO_EINCOMPLETE, "%s: %zu bytes and the end, of %llu", call, there,
				(unsigned long long)length);
		return hilo__error_sizes(HILO_EINCOMPLETE, there, length);
	}
	return hilo__stream_read_failed(&reader, rc);
}

ssize_t hilo_stream_write_frame(hilo_stream *stream, enum hilo_frame kind, const void *data, size_t size,
				hilo_time deadline)
{
	unsigned char header[8];
	size_t n = frame_header(kind);
	struct iovec pieces[] = {{header, n}, {(void *)(uintptr_t)data, size}};
	ssize_t rc;

	if (!n)
		return hilo_fail(-EINVAL, "hilo_stream_write_frame: kind %#x", (unsigned)kind);
	if (n < 8 && (uint64_t)size >> 8 * n)
		return hilo_fail(-EMSGSIZE, "hilo_stream_write_frame: %zu bytes, and a length of %zu bytes",
				 size, n);
	header_put(header, n, frame_is_little(kind), size);
	rc = hilo_stream_writev(stream, pieces, 2, deadline);
	return rc < 0 ? rc : (ssize_t)size;
}

ssize_t hilo_stream_read_record(hilo_stream *stream, const void *separator, size_t length, char *buf,
				size_t size, hilo_time deadline)
{
	ssize_t n = hilo_stream_read_until(stream, separator, length, buf, size, deadline);

	if (n == 0)
		return -EPIPE;
	if (n < (ssize_t)length || memcmp(buf + n - length, separator, length) != 0)
		return n;
	n -= (ssize_t)length;
	buf[n] = '\0';
	return n;
}

ssize_t hilo_stream_write_record(hilo_stream *stream, const void *separator, size_t length, const void *data,
				 size_t size, hilo_time deadline)
{
	struct iovec pieces[] = {{(void *)(uintptr_t)data, size}, {(void *)(uintptr_t)separator, length}};
	ssize_t rc;

	if (!separator || !length)
		return hilo_fail(-EINVAL, "hilo_stream_write_record: the separator is %p, %zu bytes",
				 separator, length);
	rc = hilo_stream_writev(stream, pieces, 2, deadline);
	return rc < 0 ? rc : (ssize_t)size;
}
