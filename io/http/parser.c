/* SPDX-License-Identifier: MIT */
/*
 * parser.c - what the parser library calls. A head is given to it in one piece, so that its texts are pieces of the
 * buffer; a body in chunks as it comes, so that trailer fields are put together here. It is told to stop at the end of
 * each message.
 */
#include "io/http/http_impl.h"

#include "scheduler/base/mem.h"

static struct connection *connection_of(llhttp_t *parser)
{
	return container_of(parser, struct connection, parser);
}

static int on_url(llhttp_t *parser, const char *at, size_t length)
{
	struct hilo_http_request *request = &connection_of(parser)->request;

	if (!request->target)
		request->target = (char *)(uintptr_t)at;
	request->target_length += (uint32_t)length;
	return 0;
}

/* Have room for one more field. */
static struct field *field_new(struct connection *c)
{
	struct hilo_http_request *request = &c->request;

	if (request->n_fields == c->field_size) {
		struct field *more = hilo__malloc(2 * c->field_size * sizeof(*more));

		if (!more) {
			c->overflow = true;
			return NULL;
		}
		memcpy(more, c->field, c->field_size * sizeof(*more));
		if (c->field != c->own_field)
			hilo__free(c->field);
		c->field = more;
		c->field_size *= 2;
	}
	c->field[request->n_fields] = (struct field){0};
	return &c->field[request->n_fields++];
}

/* Add @length bytes to the text of a trailer field, which lies in the arena. */
static int trailer_text(struct connection *c, const char **text, uint32_t *have, const char *at,
			size_t length)
{
	char *copy;

	if (*have + length > c->server->opts.header)
		return -1;
	copy = hilo__http_arena_alloc(&c->arena, *have + length + 1);
	if (!copy) {
		c->overflow = true;
		return -1;
	}
	if (*have)
		memcpy(copy, *text, *have);
	memcpy(copy + *have, at, length);
	*have += (uint32_t)length;
	copy[*have] = '\0';
	*text = copy;
	return 0;
}

/* The trailer field that is being read; a new one if that is ended. */
static struct field *trailer_field(struct connection *c)
{
	struct hilo_http_request *request = &c->request;

	if (!request->trailer) {
		request->trailer = hilo__http_arena_alloc(&c->arena, HTTP_FIELDS * sizeof(struct field));
		if (!request->trailer) {
			c->overflow = true;
			return NULL;
		}
	}
	if (!request->line_used) {
		if (request->n_trailers == HTTP_FIELDS)
			return NULL;
		request->trailer[request->n_trailers++] = (struct field){.name = "", .value = ""};
		request->line_used = true;
	}
	return &request->trailer[request->n_trailers - 1];
}

static int on_field(llhttp_t *parser, const char *at, size_t length)
{
	struct connection *c = connection_of(parser);
	struct field *field;

	if (c->trailing) {
		field = trailer_field(c);
		return field ? trailer_text(c, &field->name, &field->name_length, at, length) : -1;
	}
	field = field_new(c);
	if (!field)
		return -1;
	field->name = at;
	field->name_length = (uint32_t)length;
	field->value = at + length; /* if it is empty nothing else may be told */
	return 0;
}

static int on_value(llhttp_t *parser, const char *at, size_t length)
{
	struct connection *c = connection_of(parser);
	struct field *field;

	if (c->trailing) {
		field = trailer_field(c);
		return field ? trailer_text(c, &field->value, &field->value_length, at, length) : -1;
	}
	if (!c->request.n_fields)
		return -1;
	field = &c->field[c->request.n_fields - 1];
	if (!field->value_length)
		field->value = at;
	field->value_length += (uint32_t)length;
	return 0;
}

static int on_value_end(llhttp_t *parser)
{
	connection_of(parser)->request.line_used = false;
	return 0;
}

static int on_head_end(llhttp_t *parser)
{
	(void)parser;
	return 0;
}

/* Data: no more than were given to it, for which there is room. */
static int on_body(llhttp_t *parser, const char *at, size_t length)
{
	struct connection *c = connection_of(parser);
	struct hilo_http_request *request = &c->request;

	if (!c->trailing || length > request->into_size ||
	    !hilo__http_framing_check(request, request->framed, (size_t)(at - request->framed),
				      c->server->opts.line) ||
	    request->framing != FRAMING_DATA)
		return -1;
	request->framed = at + length;
	memcpy(request->into, at, length);
	request->into += length;
	request->into_size -= length;
	request->received += length;
	return 0;
}

static int on_end(llhttp_t *parser)
{
	(void)parser;
	return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
	.on_url = on_url,
	.on_header_field = on_field,
	.on_header_value = on_value,
	.on_header_value_complete = on_value_end,
	.on_headers_complete = on_head_end,
	.on_body = on_body,
	.on_message_complete = on_end,
};

void hilo__http_parser_init(struct connection *c)
{
	llhttp_init(&c->parser, HTTP_REQUEST, &settings);
}
