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

/* The trailer field that was put together becomes one of the request's. 0, -1. */
static int trailer_end(struct connection *c)
{
	struct hilo_http_request *request = &c->request;
	size_t name = request->partial_name, size = c->partial.used;
	struct field *field;

	if (!size)
		return 0;
	if (!request->trailer)
		request->trailer = hilo__http_arena_alloc(&c->arena, HTTP_FIELDS * sizeof(*field));
	if (!request->trailer || request->n_trailers == HTTP_FIELDS) {
		c->overflow |= !request->trailer;
		return -1;
	}
	field = &request->trailer[request->n_trailers];
	field->name = hilo__http_arena_text(&c->arena, c->partial.data, name);
	field->value = hilo__http_arena_text(&c->arena, c->partial.data + name, size - name);
	if (!field->name || !field->value) {
		c->overflow = true;
		return -1;
	}
	field->name_length = (uint32_t)name;
	field->value_length = (uint32_t)(size - name);
	request->n_trailers++;
	request->partial_name = 0;
	request->in_value = false;
	c->partial.used = 0;
	return 0;
}

/* A piece of the name or the value of a trailer field. 0, -1. */
static int trailer_add(struct connection *c, const char *at, size_t length, bool value)
{
	struct hilo_http_request *request = &c->request;
	char *room;

	if (!value && request->in_value && trailer_end(c) < 0)
		return -1;
	request->trailer_bytes += length;
	if (request->trailer_bytes > c->server->opts.header)
		return -1;
	room = hilo__http_text_room(&c->partial, length);
	if (!room) {
		c->overflow = true;
		return -1;
	}
	if (length)
		memcpy(room, at, length);
	c->partial.used += length;
	request->partial_name += value ? 0 : length;
	request->in_value = value;
	return 0;
}

static int on_field(llhttp_t *parser, const char *at, size_t length)
{
	struct connection *c = connection_of(parser);
	struct field *field;

	if (c->trailing)
		return trailer_add(c, at, length, false);
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

	if (c->trailing)
		return trailer_add(c, at, length, true);
	if (!c->request.n_fields)
		return -1;
	field = &c->field[c->request.n_fields - 1];
	if (!field->value_length && length) /* an empty one may be told at the beginning of the next line */
		field->value = at;
	field->value_length += (uint32_t)length;
	return 0;
}

static int on_value_end(llhttp_t *parser)
{
	struct connection *c = connection_of(parser);

	return c->trailing ? trailer_end(c) : 0;
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
