/* SPDX-License-Identifier: MIT */
/*
 * answer.c - answers: a head that is put together in the connection's own memory, and a body that is given to the
 * stream beside it, as one write. While more requests lie behind this one, short answers are held back, to be sent with
 * those; whoever may wait sends them before.
 */
#include "io/http/http_impl.h"

#include <hilo/runtime/error.h>
#include <hilo/runtime/task.h>

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <strings.h>
#include <sys/uio.h>

#define LENGTH_OF(text) (sizeof(text) - 1)

/* The stream has failed with @rc: nothing more is sent. */
static int send_failed(struct connection *c, ssize_t rc)
{
	c->broken = true;
	c->failure = (int)rc;
	c->out.used = 0;
	return (int)rc;
}

/* More than that is written in several pieces, each within the time for a write. */
#define SEND_PIECE ((size_t)256 * 1024)

/* Write @n pieces, at once if that is possible, so that nobody looks at the clock. */
static int send_pieces(struct connection *c, const struct iovec *pieces, int n, hilo_time deadline)
{
	size_t total = 0;
	ssize_t sent;

	for (int i = 0; i < n; i++)
		total += pieces[i].iov_len;
	if (total <= HTTP_HELD) {
		sent = hilo_stream_writev(c->stream, pieces, n, HILO_NO_WAIT);
		if (sent != -ETIMEDOUT)
			return sent < 0 ? send_failed(c, sent) : 0;
	}
	sent = hilo_stream_writev(c->stream, pieces, n,
				  sooner(deadline, hilo_after(c->server->opts.write_time)));
	return sent < 0 ? send_failed(c, sent) : 0;
}

int hilo__http_flush(struct connection *c, const void *data, size_t n, hilo_time deadline)
{
	struct iovec pieces[2] = {{0}, {.iov_base = (void *)(uintptr_t)data}};
	int rc;

	if (c->broken)
		return c->failure ? c->failure : -EPIPE;
	hilo__http_out_take(c);
	pieces[0] = (struct iovec){c->out.data, c->out.used};
	if (!c->out.used && !n)
		return 0;
	do {
		pieces[1].iov_len = n < SEND_PIECE ? n : SEND_PIECE;
		rc = send_pieces(c, pieces, 2, deadline);
		pieces[0].iov_len = 0;
		n -= pieces[1].iov_len;
		if (n)
			pieces[1].iov_base = (char *)pieces[1].iov_base + pieces[1].iov_len;
	} while (rc == 0 && n);
	c->out.used = 0;
	if (c->out.size > HTTP_HELD)
		hilo__http_text_reset(&c->out);
	return rc;
}

void hilo__http_out_rescue(struct connection *c)
{
	size_t n;

	hilo__http_out_take(c);
	n = c->request.phase == ANSWER_BEGUN && c->whole < c->out.used ? c->whole : c->out.used;
	if (c->broken || !n)
		return;
	(void)hilo_shield_enter();
	if (hilo_stream_write(c->stream, c->out.data, n, HILO_NO_WAIT) > 0)
		c->out.used = 0;
	(void)hilo_shield_leave();
	if (!c->out.used && c->out.size > HTTP_HELD)
		hilo__http_text_reset(&c->out);
}

bool hilo__http_more(const struct connection *c)
{
	const struct hilo_http_request *request = &c->request;

	if (request->body == BODY_LENGTH)
		return c->tail - c->at > request->left;
	return request->body_done && c->tail > c->at;
}

/* ---- Heads ---- */

static char *put(char *at, const char *text, size_t length)
{
	memcpy(at, text, length);
	return at + length;
}

static char *put_number(char *at, uint64_t n)
{
	char digits[20];
	unsigned i = sizeof(digits);

	do
		digits[--i] = (char)('0' + n % 10);
	while (n /= 10);
	return put(at, digits + i, sizeof(digits) - i);
}

#define PUT(at, text) put(at, text, LENGTH_OF(text))

static char *put_status(char *at, int status)
{
	const char *text = hilo_http_status_text(status);

	at = PUT(at, "HTTP/1.1 ");
	at = put_number(at, (uint64_t)status);
	*at++ = ' ';
	return put(at, text, strlen(text));
}

/* Whether the connection goes on after this answer, as far as we can know. */
static bool answer_keeps(struct hilo_http_request *request)
{
	struct connection *c = request_connection(request);
	const hilo_http_opts *opts = &c->server->opts;

	if (request->close || request->body_failed || request->expects || request->ends ||
	    (request->body == BODY_LENGTH && request->left > HTTP_DISCARD) ||
	    (opts->requests && c->n_requests >= opts->requests) ||
	    load_relaxed(&c->server->stopping)) /* relaxed: a hint, which may come a request too late */
		request->keep = false;
	return request->keep;
}

/* How long the body is. */
static char *put_length(char *at, struct hilo_http_request *request, int status, uint64_t length)
{
	if (request->chunked)
		return PUT(at, "\r\nTransfer-Encoding: chunked");
	if (length == HILO_HTTP_CHUNKED || status == 204 || status == 304)
		return at;
	at = PUT(at, "\r\nContent-Length: ");
	return put_number(at, length);
}

int hilo__http_head_write(hilo_http_request *request, int status, const char *type, uint64_t length)
{
	struct connection *c = request_connection(request);
	size_t type_length = type ? strlen(type) : 0;
	char *at;

	hilo__http_out_take(c);
	at = hilo__http_text_room(&c->out, 256 + type_length + c->added.used);
	if (!at)
		return -ENOMEM;
	c->whole = c->out.used;
	request->chunked = length == HILO_HTTP_CHUNKED && request->version >= 11;
	request->ends = length == HILO_HTTP_CHUNKED && request->version < 11;
	request->bodiless = request->head || status == 204 || status == 304;
	request->announced = length;
	request->status = status;
	at = put_status(at, status);
	at = PUT(at, "\r\nDate: ");
	at = put(at, hilo__http_date(c), 29);
	if (type) {
		at = PUT(at, "\r\nContent-Type: ");
		at = put(at, type, type_length);
	}
	at = put_length(at, request, status, length);
	if (!answer_keeps(request))
		at = PUT(at, "\r\nConnection: close");
	else if (request->version < 11)
		at = PUT(at, "\r\nConnection: keep-alive");
	at = PUT(at, "\r\n");
	at = put(at, c->added.data, c->added.used);
	at = PUT(at, "\r\n");
	c->out.used = (size_t)(at - c->out.data);
	return 0;
}

int hilo__http_begin_check(const char *call, const hilo_http_request *request, int status, uint64_t length)
{
	if (!request)
		return hilo_fail(-EINVAL, "%s: request is NULL", call);
	if (request->phase != ANSWER_NONE)
		return hilo_fail(HILO_EINVALSTATE, "%s: the answer has begun", call);
	if (status < 200 || status > 599)
		return hilo_fail(-EINVAL, "%s: status is %d", call, status);
	if ((status == 204 || status == 205 || status == 304) && length && length != HILO_HTTP_CHUNKED)
		return hilo_fail(-EINVAL, "%s: an answer %d has no body", call, status);
	return 0;
}

static int type_check(const char *call, const char *type)
{
	if (type && !hilo__http_is_value(type, strlen(type)))
		return hilo_fail(-EINVAL, "%s: type has control characters", call);
	return 0;
}

/* ---- Answers in one piece ---- */

int hilo_http_respond(hilo_http_request *request, int status, const char *type, const void *data, size_t size,
		      hilo_time deadline)
{
	int rc = hilo__http_begin_check("hilo_http_respond", request, status, size);
	struct connection *c;
	char *room;

	if (rc == 0 && !data && size)
		rc = hilo_fail(-EINVAL, "hilo_http_respond: data is NULL");
	if (rc == 0)
		rc = type_check("hilo_http_respond", type);
	if (rc == 0)
		rc = hilo__http_head_write(request, status, type, size);
	if (rc < 0)
		return rc;
	c = request_connection(request);
	request->phase = ANSWER_DONE;
	size = request->bodiless ? 0 : size;
	request->sent = size;
	if (request->keep && hilo__http_more(c) && c->out.used + size <= HTTP_HELD) {
		room = hilo__http_text_room(&c->out, size);
		if (room) {
			if (size)
				memcpy(room, data, size);
			c->out.used += size;
			hilo__http_out_give(c);
			return 0;
		}
	}
	return hilo__http_flush(c, data, size, deadline);
}

/* ---- Answers in several ---- */

int hilo_http_begin(hilo_http_request *request, int status, const char *type, uint64_t length)
{
	int rc = hilo__http_begin_check("hilo_http_begin", request, status, length);

	if (rc == 0)
		rc = type_check("hilo_http_begin", type);
	if (rc == 0 && (status == 204 || status == 205 || status == 304))
		length = 0;
	if (rc == 0)
		rc = hilo__http_head_write(request, status, type, length);
	if (rc == 0)
		request->phase = ANSWER_BEGUN;
	return rc;
}

/* One chunk, of at most SEND_PIECE bytes, with its size before it; without memory, so that it cannot be left out. */
static int write_chunk(struct connection *c, const void *data, size_t size, hilo_time deadline)
{
	static const char end[] = "\r\n";
	char line[24], *at = line;
	struct iovec pieces[4];
	int rc;

	if (c->broken)
		return hilo__http_flush(c, NULL, 0, deadline);
	for (int shift = 60; shift >= 0; shift -= 4)
		if (size >> shift || shift == 0)
			*at++ = "0123456789abcdef"[size >> shift & 15];
	at = PUT(at, "\r\n");
	pieces[0] = (struct iovec){c->out.data, c->out.used};
	pieces[1] = (struct iovec){line, (size_t)(at - line)};
	pieces[2] = (struct iovec){(void *)(uintptr_t)data, size};
	pieces[3] = (struct iovec){(void *)(uintptr_t)end, 2};
	rc = send_pieces(c, pieces, 4, deadline);
	c->out.used = 0;
	return rc;
}

/* All of @data, as chunks. */
static int write_chunks(struct connection *c, const char *data, size_t size, hilo_time deadline)
{
	int rc = 0;

	while (rc == 0 && size) {
		size_t n = size < SEND_PIECE ? size : SEND_PIECE;

		rc = write_chunk(c, data, n, deadline);
		data += n;
		size -= n;
	}
	return rc;
}

ssize_t hilo_http_write(hilo_http_request *request, const void *data, size_t size, hilo_time deadline)
{
	struct connection *c;
	size_t written;
	int rc;

	if (!request || (!data && size) || size > SSIZE_MAX)
		return hilo_fail(-EINVAL, "hilo_http_write: request %p, data %p, size %zu", (void *)request,
				 data, size);
	if (request->phase != ANSWER_BEGUN)
		return hilo_fail(HILO_EINVALSTATE, "hilo_http_write: %s",
				 request->phase == ANSWER_DONE ? "the answer has ended"
							       : "no answer has begun");
	if (request->announced != HILO_HTTP_CHUNKED && size > request->announced - request->sent)
		return hilo_fail(-EMSGSIZE, "hilo_http_write: %zu bytes more, of %llu there are %llu left",
				 size, (unsigned long long)request->announced,
				 (unsigned long long)(request->announced - request->sent));
	c = request_connection(request);
	written = request->bodiless ? 0 : size;
	rc = request->chunked && written ? write_chunks(c, data, size, deadline)
					 : hilo__http_flush(c, data, written, deadline);
	if (rc < 0)
		return rc; /* the stream has failed: nothing can follow */
	request->sent += size;
	return (ssize_t)size;
}

int hilo_http_end(hilo_http_request *request, hilo_time deadline)
{
	struct connection *c;
	char *at;

	if (!request || request->phase != ANSWER_BEGUN)
		return request ? hilo_fail(HILO_EINVALSTATE,
					   "hilo_http_end: no answer has begun, or it has ended")
			       : hilo_fail(-EINVAL, "hilo_http_end: request is NULL");
	c = request_connection(request);
	if (!c->broken && request->announced != HILO_HTTP_CHUNKED && request->sent < request->announced &&
	    !request->bodiless) {
		c->broken = true;
		return hilo_fail(HILO_EINCOMPLETE, "hilo_http_end: %llu bytes of %llu were written",
				 (unsigned long long)request->sent, (unsigned long long)request->announced);
	}
	if (request->chunked && !request->bodiless) {
		at = hilo__http_text_room(&c->out, c->trailers.used + 8);
		if (!at)
			return -ENOMEM;
		at = PUT(at, "0\r\n");
		if (c->trailers.used)
			at = put(at, c->trailers.data, c->trailers.used);
		at = PUT(at, "\r\n");
		c->out.used = (size_t)(at - c->out.data);
	}
	request->phase = ANSWER_DONE;
	return hilo__http_flush(c, NULL, 0, deadline);
}

/* ---- Fields ---- */

/* The server's own, which would say twice how long the message is, or something else than it is. */
static bool field_is_ours(const char *name)
{
	static const char *const ours[] = {"Content-Length", "Transfer-Encoding", "Connection", "Date",
					   "Trailer"};

	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		if (strcasecmp(name, ours[i]) == 0)
			return true;
	return false;
}

int hilo__http_field_add(const char *call, struct text *text, const char *name, const char *value)
{
	size_t name_length = strlen(name), value_length = strlen(value);
	char *at;

	if (!hilo__http_is_token(name, name_length) || !hilo__http_is_value(value, value_length))
		return hilo_fail(-EINVAL, "%s: that is no field, or its value has control characters", call);
	if (field_is_ours(name))
		return hilo_fail(-EINVAL, "%s: %s is set by the server", call, name);
	if (text->used + name_length + value_length > HTTP_ADDED)
		return hilo_fail(-E2BIG, "%s: more than %d bytes of fields", call, HTTP_ADDED);
	at = hilo__http_text_room(text, name_length + value_length + 4);
	if (!at)
		return -ENOMEM;
	at = put(at, name, name_length);
	at = PUT(at, ": ");
	at = put(at, value, value_length);
	at = PUT(at, "\r\n");
	text->used = (size_t)(at - text->data);
	return 0;
}

int hilo_http_add_field(hilo_http_request *request, const char *name, const char *value)
{
	if (!request || !name || !value)
		return hilo_fail(-EINVAL, "hilo_http_add_field: an argument is NULL");
	if (request->phase != ANSWER_NONE)
		return hilo_fail(HILO_EINVALSTATE, "hilo_http_add_field: the answer has begun");
	return hilo__http_field_add("hilo_http_add_field", &request_connection(request)->added, name, value);
}

int hilo_http_add_trailer(hilo_http_request *request, const char *name, const char *value)
{
	if (!request || !name || !value)
		return hilo_fail(-EINVAL, "hilo_http_add_trailer: an argument is NULL");
	if (request->phase == ANSWER_DONE)
		return hilo_fail(HILO_EINVALSTATE, "hilo_http_add_trailer: the answer has ended");
	return hilo__http_field_add("hilo_http_add_trailer", &request_connection(request)->trailers, name,
				    value);
}

int hilo_http_unanswered(const hilo_http_request *request, const char **allow)
{
	if (allow)
		*allow = request ? request->allow : NULL;
	return request ? request->missing : 0;
}

int hilo_http_end_connection(hilo_http_request *request)
{
	if (!request)
		return hilo_fail(-EINVAL, "hilo_http_end_connection: request is NULL");
	if (request->phase != ANSWER_NONE)
		return hilo_fail(HILO_EINVALSTATE, "hilo_http_end_connection: the answer has begun");
	request->close = true;
	return 0;
}
