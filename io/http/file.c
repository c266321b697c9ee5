/* SPDX-License-Identifier: MIT */
/* file.c - files as answers, whole or the one range that was asked for (RFC 9110, 14). */
#include "io/http/http_impl.h"

#include <hilo/io/pump.h>
#include <hilo/runtime/error.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

enum range {
	RANGE_NONE, /* or one that we may pass over, and do: several, another unit, malformed */
	RANGE_ONE,
	RANGE_OUTSIDE,
};

/* Digits, as many as there are; none: false. What is too large is UINT64_MAX / 16. */
static bool read_digits(const char **at, uint64_t *ret)
{
	const char *begin = *at;

	for (*ret = 0; **at >= '0' && **at <= '9'; ++*at)
		*ret = *ret > UINT64_MAX / 256 ? UINT64_MAX / 16 : *ret * 10 + (uint64_t)(**at - '0');
	return *at > begin;
}

/* "bytes=first-last", "bytes=first-", "bytes=-count" of @size bytes. */
static enum range range_read(const char *text, uint64_t size, uint64_t *first, uint64_t *count)
{
	uint64_t last;
	bool has_first, has_last;

	if (!text || strncasecmp(text, "bytes=", 6) != 0)
		return RANGE_NONE;
	text += 6;
	has_first = read_digits(&text, first);
	if (*text++ != '-')
		return RANGE_NONE;
	has_last = read_digits(&text, &last);
	if (*text || (!has_first && !has_last) || (has_first && has_last && last < *first))
		return RANGE_NONE;
	if (!has_first) {
		*count = last < size ? last : size;
		*first = size - *count;
		return *count ? RANGE_ONE : RANGE_OUTSIDE;
	}
	if (*first >= size)
		return RANGE_OUTSIDE;
	last = has_last && last < size ? last : size - 1;
	*count = last - *first + 1;
	return RANGE_ONE;
}

/* Which part of the file is wanted, and the status that says so. Negative: a failure. */
static int range_choose(hilo_http_request *request, uint64_t size, uint64_t *first, uint64_t *count)
{
	const char *text = strcmp(request->method, "GET") == 0 ? hilo_http_field(request, "Range") : NULL;
	char value[96];
	int rc;

	/* Which version of the file a condition means we do not know: the whole one is always right. */
	if (hilo_http_field(request, "If-Range"))
		text = NULL;
	switch (range_read(text, size, first, count)) {
	case RANGE_ONE:
		(void)snprintf(value, sizeof(value), "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, *first,
			       *first + *count - 1, size);
		rc = hilo_http_add_field(request, "Content-Range", value);
		return rc < 0 ? rc : 206;
	case RANGE_OUTSIDE:
		(void)snprintf(value, sizeof(value), "bytes */%" PRIu64, size);
		rc = hilo_http_add_field(request, "Content-Range", value);
		return rc < 0 ? rc : 416;
	default:
		*first = 0;
		*count = size;
		return 200;
	}
}

/* Whether @rc is the stream's, or the time for a write: no fault of the handler. */
static bool is_of_stream(int rc)
{
	switch (rc) {
	case -EPIPE:
	case -ECONNRESET:
	case -ECONNABORTED:
	case -ENOTCONN:
	case -ENETDOWN:
	case -ENETUNREACH:
	case -EHOSTDOWN:
	case -EHOSTUNREACH:
	case -ETIMEDOUT:
	case HILO_ECLOSED:
		return true;
	default:
		return false;
	}
}

/* A file at a time that no client may take for ever to receive. */
#define FILE_PIECE ((uint64_t)1024 * 1024)

/* [suspends] The head that is held back, and @count bytes of the file. */
static int send_bytes(hilo_http_request *request, int fd, uint64_t first, uint64_t count, hilo_time deadline)
{
	struct connection *c = request_connection(request);
	int rc = hilo__http_flush(c, NULL, 0, deadline);
	uint64_t sent = 1;

	while (rc == 0 && count && sent) {
		rc = hilo_stream_sendfile(c->stream, fd, (int64_t)first,
					  count < FILE_PIECE ? count : FILE_PIECE, &sent,
					  sooner(deadline, hilo_after(c->server->opts.write_time)));
		request->sent += sent;
		first += sent;
		count -= sent;
	}
	if (rc < 0)
		c->broken = true;
	if (rc < 0 && is_of_stream(rc))
		c->failure = rc;
	return rc;
}

int hilo_http_send_file(hilo_http_request *request, int fd, const char *type, hilo_time deadline)
{
	int rc = hilo__http_begin_check("hilo_http_send_file", request, 200, 0), status;
	uint64_t first = 0, count = 0;
	struct stat stat;

	if (rc < 0)
		return rc;
	if (fstat(fd, &stat) < 0 || !S_ISREG(stat.st_mode))
		return hilo_fail(-EINVAL, "hilo_http_send_file: %d is no regular file", fd);
	status = range_choose(request, (uint64_t)stat.st_size, &first, &count);
	if (status == 416)
		return hilo_http_respond(request, 416, NULL, NULL, 0, deadline);
	rc = status < 0 ? status : hilo_http_add_field(request, "Accept-Ranges", "bytes");
	if (rc == 0)
		rc = hilo_http_begin(request, status, type, count);
	if (rc == 0 && !request->bodiless)
		rc = send_bytes(request, fd, first, count, deadline);
	return rc < 0 ? rc : hilo_http_end(request, deadline);
}
