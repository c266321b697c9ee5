/* SPDX-License-Identifier: MIT */
/*
 * body.c - reading the body of a request. One of a known length is received into the memory of who reads, as soon as
 * what has come with the head is used up, and never a byte behind it; one in chunks goes through the parser, behind the
 * head in the connection's buffer. Data are fewer than the bytes they come in, so what is given to the parser at a
 * time is what there is room for.
 */
#include "io/http/http_impl.h"

#include <hilo/runtime/error.h>

#include <errno.h>
#include <limits.h>
#include <strings.h>

#include "scheduler/base/mem.h"

/* Give the buffer @size bytes; what lies from c->start on is at its beginning then. 0, -ENOMEM. */
static int buffer_move(struct connection *c, size_t size)
{
	size_t from = c->start, have = c->tail - from;
	char *buf = c->buf;

	if (size != c->size) {
		buf = hilo__malloc(size);
		if (!buf)
			return -ENOMEM;
	}
	if (have)
		memmove(buf, c->buf + from, have);
	if (buf != c->buf)
		hilo__free(c->buf);
	c->buf = buf;
	c->size = size;
	c->start = 0;
	c->tail = have;
	c->line -= from;
	c->scan -= from;
	c->at -= c->at < from ? c->at : from;
	c->head_end -= c->head_end < from ? c->head_end : from;
	return 0;
}

int hilo__http_room(struct connection *c)
{
	if (c->tail == c->start)
		(void)buffer_move(c, c->size > 2 * HTTP_BUFFER && !c->lines ? HTTP_BUFFER : c->size);
	if (c->size - c->tail >= c->size / 4)
		return 0;
	return buffer_move(c, c->tail - c->start > c->size / 2 ? 2 * c->size : c->size);
}

int hilo__http_body_begin(struct connection *c)
{
	struct hilo_http_request *request = &c->request;
	uintptr_t before = (uintptr_t)c->buf + c->start;
	size_t size = c->size;
	ptrdiff_t by;

	request->framing = FRAMING_SIZE;
	request->size_zero = true;
	c->trailing = true;
	if (request->body != BODY_CHUNKED || c->size - c->head_end >= HTTP_ROOM)
		return 0;
	while (size - (c->tail - c->start) < HTTP_ROOM)
		size *= 2;
	if (buffer_move(c, size) < 0)
		return -ENOMEM;
	/* Nobody was given a text yet; those in the arena stay. */
	by = (ptrdiff_t)((uintptr_t)c->buf - before);
	request->method += by;
	request->target += by;
	for (unsigned i = 0; i < request->n_fields; i++) {
		if (request->host == c->field[i].value)
			request->host += by;
		c->field[i].name += by;
		c->field[i].value += by;
	}
	return 0;
}

ssize_t hilo__http_receive(struct connection *c, hilo_time deadline)
{
	ssize_t n;

	if (c->tail == c->size)
		return -ENOBUFS;
	n = hilo_stream_read(c->stream, c->buf + c->tail, c->size - c->tail, deadline);
	if (n > 0)
		c->tail += (size_t)n;
	return n;
}

/* Bytes of a body for which its time is a second longer: who sends much at a fair speed is not cut off. */
#define BODY_RATE_SHIFT 14

/* When all of the body is to be there. */
static hilo_time body_deadline(const struct hilo_http_request *request)
{
	uint64_t more = request->received >> BODY_RATE_SHIFT;

	if (more > (uint64_t)(HILO_FOREVER - request->body_deadline) / HILO_SECOND)
		return HILO_FOREVER;
	return request->body_deadline + (hilo_time)more * HILO_SECOND;
}

/* The connection ends with the answer, which says @status if nothing else is said. Returns @rc. */
static int body_failed(struct hilo_http_request *request, int status, int rc)
{
	request->body_failed = true;
	request->keep = false;
	if (!request->refusal)
		request->refusal = status;
	return rc;
}

/* A receive for the body has ended with @n, which is not more than 0. */
static int body_ended(struct hilo_http_request *request, ssize_t n, hilo_time deadline)
{
	struct connection *c = request_connection(request);

	if (n == -ETIMEDOUT && body_deadline(request) < deadline)
		return body_failed(request, 408,
				   hilo_fail(-ETIMEDOUT, "the body was not there in time, %llu bytes were",
					     (unsigned long long)request->received));
	if (n == -ETIMEDOUT || n == -ECANCELED || n == -ENOMEM || n == -EDEADLK || n == -EBUSY)
		return (int)n;
	if (n == 0)
		return body_failed(request, 400,
				   hilo_fail(HILO_EINCOMPLETE, "the client has ended within the body"));
	c->broken = true;
	c->failure = (int)n;
	return body_failed(request, 400, (int)n);
}

static ssize_t read_length(struct hilo_http_request *request, char *buf, size_t size, hilo_time deadline)
{
	struct connection *c = request_connection(request);
	size_t most = size < request->left ? size : (size_t)request->left, here = c->tail - c->at;
	ssize_t n;

	if (here) {
		n = (ssize_t)(here < most ? here : most);
		memcpy(buf, c->buf + c->at, (size_t)n);
		c->at += (size_t)n;
	} else {
		n = hilo_stream_read(c->stream, buf, most, sooner(deadline, body_deadline(request)));
		if (n <= 0)
			return body_ended(request, n, deadline);
	}
	request->left -= (uint64_t)n;
	request->received += (uint64_t)n;
	request->body_done = request->left == 0;
	return n;
}

/* What would say something else of the message than its head has, or is no field. */
static bool trailers_are_fields(struct hilo_http_request *request)
{
	static const char *const never[] = {
		"Content-Length", "Transfer-Encoding", "Host", "Trailer", "Connection", "Expect", "TE"};

	for (unsigned i = 0; i < request->n_trailers; i++) {
		struct field *field = &request->trailer[i];

		hilo__http_field_trim(field);
		if (!hilo__http_is_token(field->name, field->name_length) ||
		    !hilo__http_is_value(field->value, field->value_length))
			return false;
		for (size_t j = 0; j < sizeof(never) / sizeof(never[0]); j++)
			if (strcasecmp(field->name, never[j]) == 0)
				return false;
	}
	return true;
}

/* Give the parser what has come. How many bytes of data it has put into @buf, or a failure. */
static ssize_t decode(struct hilo_http_request *request, char *buf, size_t size)
{
	struct connection *c = request_connection(request);
	size_t given = c->tail - c->at < size ? c->tail - c->at : size, used = given;
	const char *from = c->buf + c->at;
	llhttp_errno_t error;
	bool fine;

	request->into = buf;
	request->into_size = size;
	request->framed = from;
	error = llhttp_execute(&c->parser, from, given);
	if (error == HPE_PAUSED || error == HPE_PAUSED_UPGRADE)
		used = (size_t)(llhttp_get_error_pos(&c->parser) - from);
	if (c->overflow)
		return body_failed(request, 503, -ENOMEM);
	fine = (error == HPE_OK || error == HPE_PAUSED || error == HPE_PAUSED_UPGRADE) && used <= given &&
	       hilo__http_framing_check(request, request->framed, (size_t)(from + used - request->framed),
					c->server->opts.line);
	request->body_done = fine && error != HPE_OK;
	/* Both must have come to the end, or neither. */
	if (!fine || request->body_done != (request->framing == FRAMING_END) ||
	    (request->body_done && !trailers_are_fields(request))) {
		request->body_done = false;
		return body_failed(request, 400, hilo_fail(-EBADMSG, "the chunks of the body are malformed"));
	}
	c->at += used;
	if (request->received > c->server->opts.body) {
		request->body_done = false;
		return body_failed(request, 413,
				   hilo_fail(-EMSGSIZE, "the body has more than %llu bytes",
					     (unsigned long long)c->server->opts.body));
	}
	return (ssize_t)(size - request->into_size);
}

static ssize_t read_chunks(struct hilo_http_request *request, char *buf, size_t size, hilo_time deadline)
{
	struct connection *c = request_connection(request);
	ssize_t n;

	do {
		if (c->at == c->tail) {
			c->at = c->tail = c->head_end;
			n = hilo__http_receive(c, sooner(deadline, body_deadline(request)));
			if (n <= 0)
				return body_ended(request, n, deadline);
		}
		n = decode(request, buf, size);
	} while (n == 0 && !request->body_done);
	return n;
}

/* The first read: who waits for it is told that he may send. */
static int reading_begins(struct hilo_http_request *request, hilo_time deadline)
{
	static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
	struct connection *c = request_connection(request);
	int rc;

	request->body_deadline = hilo_after(c->server->opts.body_time);
	request->reading = true;
	if (!request->expects)
		return c->tail == c->at ? hilo__http_flush(c, NULL, 0, deadline) : 0;
	request->expects = false;
	if (c->tail > c->at || request->phase != ANSWER_NONE)
		return 0; /* it comes anyway */
	rc = hilo__http_flush(c, go_on, sizeof(go_on) - 1, deadline);
	return rc < 0 ? body_failed(request, 400, rc) : 0;
}

ssize_t hilo_http_read(hilo_http_request *request, void *buf, size_t size, hilo_time deadline)
{
	ssize_t n;

	if (!request || (!buf && size))
		return hilo_fail(-EINVAL, "hilo_http_read: %s is NULL", request ? "buf" : "request");
	if (request->body_done || !size)
		return 0;
	if (request->body_failed)
		return hilo_fail(HILO_EINVALSTATE, "hilo_http_read: reading the body has failed before");
	if (!request->reading) {
		n = reading_begins(request, deadline);
		if (n < 0)
			return n;
	}
	n = request->body == BODY_LENGTH ? read_length(request, buf, size, deadline)
					 : read_chunks(request, buf, size, deadline);
	return n;
}

/* More memory for a body that is read as a whole. */
static int all_grow(char **data, size_t *size, size_t wanted)
{
	char *more = hilo__malloc(wanted + 1);

	if (!more)
		return -ENOMEM;
	if (*data)
		memcpy(more, *data, *size);
	hilo__free(*data);
	*data = more;
	*size = wanted;
	return 0;
}

ssize_t hilo_http_read_all(hilo_http_request *request, size_t limit, char **ret, hilo_time deadline)
{
	size_t size = 0, used = 0;
	char *data = NULL;
	ssize_t n = 1;

	if (!request || !ret || limit >= SSIZE_MAX)
		return hilo_fail(-EINVAL, "hilo_http_read_all: request %p, ret %p, limit %zu",
				 (void *)request, (void *)ret, limit);
	if (request->body == BODY_LENGTH && request->left > limit)
		return body_failed(request, 413,
				   hilo_fail(-EMSGSIZE, "hilo_http_read_all: %llu bytes, more than %zu",
					     (unsigned long long)request->left, limit));
	while (n > 0) {
		size_t next = request->body == BODY_LENGTH ? used + (size_t)request->left : 2 * size;

		if (used == size || !data) {
			next = next < 512 && request->body == BODY_CHUNKED ? 512 : next;
			n = all_grow(&data, &size, next > limit ? limit + 1 : next);
			if (n < 0)
				break;
		}
		n = hilo_http_read(request, data + used, size > used ? size - used : 1, deadline);
		used += n > 0 ? (size_t)n : 0;
		if (used > limit)
			n = body_failed(
				request, 413,
				hilo_fail(-EMSGSIZE, "hilo_http_read_all: more than %zu bytes", limit));
		else if (n > 0 && request->body_done)
			n = 0;
	}
	if (n < 0) {
		hilo__free(data);
		return n;
	}
	data[used] = '\0';
	*ret = data;
	return (ssize_t)used;
}

bool hilo__http_body_discard(struct connection *c)
{
	struct hilo_http_request *request = &c->request;
	char scrap[2048];
	size_t total = 0;

	if (request->body_failed || (request->expects && c->tail == c->at) ||
	    (request->body == BODY_LENGTH && request->left > HTTP_DISCARD))
		return false;
	request->expects = false;
	while (!request->body_done && total < HTTP_DISCARD) {
		ssize_t n = hilo_http_read(request, scrap, sizeof(scrap), HILO_FOREVER);

		if (n < 0)
			return false;
		total += (size_t)n;
	}
	return request->body_done;
}
