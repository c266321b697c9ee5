/* SPDX-License-Identifier: MIT */
/*
 * head.c - the head of a request: where it ends, and that its lines are what RFC 9112 says a line is. The parser sees a
 * head only when all of it is there, in one piece, and every line of it ends in CR LF, has no other CR, and does not go
 * on the one before (obs-fold). So what parsers are lenient with, and understand in different ways, never gets there.
 */
#include "io/http/http_impl.h"

#include <ctype.h>
#include <string.h>

/* RFC 9110, 5.6.2: tchar. */
#define TOKEN_RANGE(a, b) [a... b] = 1
const unsigned char hilo__http_token[256] = {
	TOKEN_RANGE('0', '9'),
	TOKEN_RANGE('A', 'Z'),
	TOKEN_RANGE('a', 'z'),
	['!'] = 1,
	['#'] = 1,
	['$'] = 1,
	['%'] = 1,
	['&'] = 1,
	['\''] = 1,
	['*'] = 1,
	['+'] = 1,
	['-'] = 1,
	['.'] = 1,
	['^'] = 1,
	['_'] = 1,
	['`'] = 1,
	['|'] = 1,
	['~'] = 1,
};

bool hilo__http_is_token(const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (!hilo__http_token[(unsigned char)text[i]])
			return false;
	return length > 0;
}

/* VCHAR, obs-text, and space and tab between them; so no NUL, CR or LF. */
bool hilo__http_is_value(const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		unsigned char byte = (unsigned char)text[i];

		if ((byte < ' ' && byte != '\t') || byte == 0x7f)
			return false;
	}
	return true;
}

void hilo__http_head_begin(struct connection *c)
{
	c->start = c->line = c->scan = c->at;
	c->lines = c->blanks = 0;
}

/*
 * The limits, for the line that ends, or has come so far, before @end: 0, or the status. They are looked at first, so
 * that what is answered does not depend on the pieces in which it has come.
 */
static int head_limits(const struct connection *c, size_t end)
{
	const hilo_http_opts *opts = &c->server->opts;
	size_t length = end - c->line;

	if (length && c->buf[end - 1] == '\r')
		length--;
	if (c->lines == 0 && length && !hilo__http_token[(unsigned char)c->buf[c->line]])
		return 400; /* not even a letter of a method */
	if (c->lines == 0 && length > opts->line)
		return 414;
	return end - c->start > opts->header ? 431 : 0;
}

/* A whole line, from c->line to the LF at @end. */
static int head_line(const struct connection *c, size_t end)
{
	const char *line = c->buf + c->line;
	int status = head_limits(c, end);
	size_t length;

	if (status)
		return status;
	if (end == c->line || c->buf[end - 1] != '\r')
		return 400;
	length = end - 1 - c->line;
	if (length && memchr(line, '\r', length))
		return 400;
	if (length && c->lines && (*line == ' ' || *line == '\t'))
		return 400; /* obs-fold */
	return length && c->lines > c->server->opts.fields ? 431 : 0;
}

int hilo__http_head_scan(struct connection *c)
{
	for (;;) {
		const char *lf = memchr(c->buf + c->scan, '\n', c->tail - c->scan);
		size_t end;
		int status;

		if (!lf) {
			c->scan = c->tail;
			return head_limits(c, c->tail);
		}
		end = (size_t)(lf - c->buf);
		status = head_line(c, end);
		if (status)
			return status;
		if (end - c->line > 1) {
			c->lines++;
		} else if (c->lines) {
			c->head_end = end + 1;
			return 1;
		} else if (++c->blanks > HTTP_BLANKS) {
			return 400;
		} else {
			c->start = end + 1;
		}
		c->line = c->scan = end + 1;
	}
}

/* The line is METHOD SP target SP HTTP/d.d, with nothing else: 0, or the status. */
static int request_line(const struct connection *c)
{
	const char *line = c->buf + c->start;
	const char *end = memchr(line, '\r', c->head_end - c->start);
	const char *first = memchr(line, ' ', (size_t)(end - line));
	const char *second = first ? memchr(first + 1, ' ', (size_t)(end - first - 1)) : NULL;

	if (!second || second == first + 1 || !hilo__http_is_token(line, (size_t)(first - line)))
		return 400;
	for (const char *at = first + 1; at < second; at++)
		if ((unsigned char)*at <= ' ' || (unsigned char)*at >= 0x7f)
			return 400;
	if (end - second != 9 || memcmp(second + 1, "HTTP/", 5) != 0 || !isdigit((unsigned char)second[6]) ||
	    second[7] != '.' || !isdigit((unsigned char)second[8]))
		return 400;
	return memcmp(second + 6, "1.1", 3) == 0 || memcmp(second + 6, "1.0", 3) == 0 ? 0 : 505;
}

/* The names and values are what they may be. The parser looks at most of that, depending on how it was built. */
static bool fields_are_fields(const struct connection *c)
{
	for (unsigned i = 0; i < c->request.n_fields; i++) {
		const struct field *field = &c->field[i];

		if (!hilo__http_is_token(field->name, field->name_length) ||
		    !hilo__http_is_value(field->value, field->value_length))
			return false;
	}
	return true;
}

void hilo__http_field_trim(struct field *field)
{
	while (field->value_length && (field->value[field->value_length - 1] == ' ' ||
				       field->value[field->value_length - 1] == '\t'))
		field->value_length--;
	if (field->value[field->value_length]) /* else it is the text of no bytes, or ended */
		((char *)(uintptr_t)field->value)[field->value_length] = '\0';
}

/* Texts end where the next byte was a delimiter. */
static void fields_end(struct connection *c)
{
	for (unsigned i = 0; i < c->request.n_fields; i++) {
		struct field *field = &c->field[i];

		c->buf[field->name + field->name_length - c->buf] = '\0';
		hilo__http_field_trim(field);
	}
}

/* The parser has ended with @error: the status for that. */
static int parser_status(struct connection *c, llhttp_errno_t error)
{
	int status;

	switch (error) {
	case HPE_INVALID_METHOD:
		return 501; /* it is a token */
	case HPE_PAUSED_H2_UPGRADE:
		return 505;
	case HPE_INVALID_TRANSFER_ENCODING:
		fields_end(c);
		status = hilo__http_fields_check(c); /* knows which codings are just not known here */
		return status ? status : 400;
	default:
		return 400;
	}
}

int hilo__http_head_parse(struct connection *c)
{
	struct hilo_http_request *request = &c->request;
	llhttp_errno_t error;
	int status = request_line(c);

	c->at = c->head_end;
	c->overflow = c->trailing = false;
	if (status)
		return status;
	llhttp_reset(&c->parser);
	error = llhttp_execute(&c->parser, c->buf + c->start, c->head_end - c->start);
	if (c->overflow)
		return 503; /* no memory */
	if (error != HPE_OK && error != HPE_PAUSED && error != HPE_PAUSED_UPGRADE)
		return parser_status(c, error);
	/* As many as there are lines: the parser and we mean the same by a field. */
	if (!request->target || !request->target_length || request->n_fields != c->lines - 1 ||
	    !fields_are_fields(c))
		return 400;
	request->method = c->buf + c->start;
	request->method_length =
		(uint32_t)((char *)memchr(request->method, ' ', c->head_end - c->start) - request->method);
	request->method[request->method_length] = '\0';
	request->target[request->target_length] = '\0';
	fields_end(c);
	request->head = strcmp(request->method, "HEAD") == 0;
	status = hilo__http_fields_check(c);
	if (status == 0 && hilo__http_body_begin(c) < 0)
		status = 503;
	return status ? status : hilo__http_target_check(c);
}
