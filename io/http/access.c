/* SPDX-License-Identifier: MIT */
/* access.c - what a server tells of each request: figures, a call, a line of the log. */
#include "io/http/http_impl.h"

#include <hilo/runtime/error.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* A line: what does not fit of it is cut off. */
#define LINE_SIZE 4096

/* Text that grows in a buffer, and is counted where that is too small, as snprintf does. */
struct line {
	char *buf;
	size_t size, used;
};

static void line_byte(struct line *line, char byte)
{
	if (line->used + 1 < line->size)
		line->buf[line->used] = byte;
	line->used++;
}

static void line_text(struct line *line, const char *text)
{
	while (*text)
		line_byte(line, *text++);
}

/* As others may have written it: nothing that ends the text or the line, or tells a terminal anything. */
static void line_foreign(struct line *line, const char *text)
{
	static const char digits[] = "0123456789abcdef";

	for (; *text; text++) {
		unsigned char byte = (unsigned char)*text;

		if (byte < ' ' || byte >= 0x7f || byte == '"' || byte == '\\') {
			line_text(line, "\\x");
			line_byte(line, digits[byte >> 4]);
			line_byte(line, digits[byte & 15]);
		} else {
			line_byte(line, (char)byte);
		}
	}
}

/* The address without its port. */
static void line_peer(struct line *line, const hilo_address *peer)
{
	char text[HILO_ADDRESS_SIZE];

	line_foreign(line, peer && hilo_address_host(peer, text, sizeof(text)) > 0 ? text : "-");
}

static void line_time(struct line *line, int64_t when)
{
	static const char month[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	time_t now = (time_t)when;
	char text[48];
	struct tm tm;

	(void)gmtime_r(&now, &tm);
	(void)snprintf(text, sizeof(text), " - - [%02d/%.3s/%04d:%02d:%02d:%02d +0000] ", tm.tm_mday,
		       month + 3 * (tm.tm_mon % 12), tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
	line_text(line, text);
}

static void line_quoted(struct line *line, const char *text)
{
	line_byte(line, '"');
	line_foreign(line, text && *text ? text : "-");
	line_byte(line, '"');
}

/* "GET /x HTTP/1.1" */
static void line_request(struct line *line, const hilo_http_access *access)
{
	line_byte(line, '"');
	line_foreign(line, access->method && *access->method ? access->method : "-");
	if (access->target && *access->target) {
		line_byte(line, ' ');
		line_foreign(line, access->target);
	}
	if (access->version)
		line_text(line, access->version == 10 ? " HTTP/1.0" : " HTTP/1.1");
	line_byte(line, '"');
}

int hilo_http_access_format(const hilo_http_access *access, char *buf, size_t size)
{
	struct line line = {buf, size, 0};
	char numbers[64];

	if (!access || (!buf && size))
		return hilo_fail(-EINVAL, "hilo_http_access_format: %s is NULL", access ? "buf" : "access");
	line_peer(&line, access->peer);
	line_time(&line, access->when);
	line_request(&line, access);
	(void)snprintf(numbers, sizeof(numbers), " %d %" PRIu64 " ", access->status, access->sent);
	line_text(&line, numbers);
	line_quoted(&line, access->referer);
	line_byte(&line, ' ');
	line_quoted(&line, access->user_agent);
	if (size)
		buf[line.used < size ? line.used : size - 1] = '\0';
	return (int)line.used;
}

/* [task of the connection] A line for the log; lost if that cannot be taken at once. */
static void access_write(struct connection *c, const hilo_http_access *access)
{
	char buf[LINE_SIZE];
	int n = hilo_http_access_format(access, buf, sizeof(buf) - 1);

	if (n > (int)sizeof(buf) - 2)
		n = (int)sizeof(buf) - 2;
	buf[n++] = '\n';
	if (hilo_stream_write(c->server->opts.access_log, buf, (size_t)n, HILO_NO_WAIT) < 0)
		(void)add_relaxed(&c->server->lost_lines, 1); /* relaxed: a figure */
}

static const char *text_of(const char *text)
{
	return text ? text : "";
}

static void access_tell(struct connection *c, uint64_t sent)
{
	const hilo_http_opts *opts = &c->server->opts;
	const struct hilo_http_request *request = &c->request;
	hilo_http_access access = {.size = sizeof(access),
				   .peer = c->has_peer ? &c->peer : NULL,
				   .method = "",
				   .target = "",
				   .status = request->status,
				   .received = request->received,
				   .sent = sent,
				   .when = (int64_t)time(NULL),
				   .span = hilo_now() - request->begin};

	if (request->method) { /* else it has no texts */
		access.method = request->method;
		access.target = request->target;
		access.version = request->version;
	}
	access.referer = request->method ? text_of(hilo_http_field(request, "Referer")) : "";
	access.user_agent = request->method ? text_of(hilo_http_field(request, "User-Agent")) : "";
	if (opts->access)
		opts->access(&access, opts->access_arg);
	if (opts->access_log)
		access_write(c, &access);
}

void hilo__http_account(struct connection *c)
{
	const hilo_http_opts *opts = &c->server->opts;
	const struct hilo_http_request *request = &c->request;
	uint64_t sent = request->bodiless ? 0 : request->sent;

	count(&c->counts.requests, 1);
	count(&c->counts.answers[request->status / 100 % 6], 1);
	if (request->received)
		count(&c->counts.received, request->received);
	count(&c->counts.sent, sent);
	if (opts->access || opts->access_log)
		access_tell(c, sent);
}
