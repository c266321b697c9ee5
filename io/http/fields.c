/* SPDX-License-Identifier: MIT */
/*
 * fields.c - what the fields of a request say of its body, its host and its connection, and what its target is. Where
 * RFC 9112 lets a server choose between repairing and refusing what others could understand otherwise, it is refused.
 */
#include "io/http/http_impl.h"

#include <string.h>
#include <strings.h>

/* What the fields have said so far. */
struct said {
	unsigned hosts, lengths;
	bool coded, chunked, more_codings, malformed;
	bool close, keep_alive;
	bool expects, expects_else;
};

/* The next item of a list, without the spaces around it; NULL: there are no more. Empty ones are passed over. */
static const char *list_next(const char **list, size_t *length)
{
	const char *at = *list, *end;

	while (*at == ' ' || *at == '\t' || *at == ',')
		at++;
	if (!*at)
		return NULL;
	end = at + strcspn(at, ",");
	*list = end;
	while (end > at && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	*length = (size_t)(end - at);
	return at;
}

static bool item_is(const char *item, size_t length, const char *name)
{
	return strlen(name) == length && strncasecmp(item, name, length) == 0;
}

static void say_connection(struct said *said, const char *list)
{
	const char *item;
	size_t length;

	while ((item = list_next(&list, &length))) {
		said->close |= item_is(item, length, "close");
		said->keep_alive |= item_is(item, length, "keep-alive");
	}
}

/* Chunked comes last, and once. */
static void say_coding(struct said *said, const char *list)
{
	const char *item;
	size_t length;

	said->coded = true;
	said->malformed |= !*list;
	while ((item = list_next(&list, &length))) {
		said->malformed |= said->chunked;
		if (item_is(item, length, "chunked"))
			said->chunked = true;
		else
			said->more_codings = true;
	}
}

/* Digits only: no sign, no list, nothing that does not fit. */
static bool length_read(const struct field *field, uint64_t *ret)
{
	uint64_t length = 0;

	if (!field->value_length || field->value_length > 19)
		return false;
	for (uint32_t i = 0; i < field->value_length; i++) {
		if (field->value[i] < '0' || field->value[i] > '9')
			return false;
		length = length * 10 + (uint64_t)(field->value[i] - '0');
	}
	*ret = length;
	return true;
}

/* A host, and perhaps a port; names of whatever sort, but nothing that could be something else. */
static bool host_is_host(const char *host, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (!hilo__http_token[(unsigned char)host[i]] && !strchr(":[]();=,", host[i]))
			return false;
	return true;
}

static void say_field(struct hilo_http_request *request, struct said *said, const struct field *field)
{
	switch (field->name_length) {
	case 4:
		if (strcasecmp(field->name, "Host") == 0) {
			said->hosts++;
			request->host = field->value;
			said->malformed |= !host_is_host(field->value, field->value_length);
		}
		break;
	case 6:
		if (strcasecmp(field->name, "Expect") == 0) {
			said->expects |= strcasecmp(field->value, "100-continue") == 0;
			said->expects_else |= strcasecmp(field->value, "100-continue") != 0;
		}
		break;
	case 10:
		if (strcasecmp(field->name, "Connection") == 0)
			say_connection(said, field->value);
		break;
	case 14:
		if (strcasecmp(field->name, "Content-Length") == 0) {
			said->lengths++;
			said->malformed |= !length_read(field, &request->length);
		}
		break;
	case 17:
		if (strcasecmp(field->name, "Transfer-Encoding") == 0)
			say_coding(said, field->value);
		break;
	default:
		break;
	}
}

/* How long the body is: 0, or the status. */
static int body_check(struct connection *c, const struct said *said)
{
	struct hilo_http_request *request = &c->request;

	if (said->malformed || said->lengths > 1 || (said->coded && (said->lengths || request->version < 11)))
		return 400;
	if (said->coded && said->more_codings)
		return 501;
	if (said->coded && !said->chunked)
		return 400;
	if (said->chunked) {
		request->body = BODY_CHUNKED;
		request->length = HILO_HTTP_CHUNKED;
	} else if (request->length) {
		request->body = BODY_LENGTH;
		request->left = request->length;
		if (request->length > c->server->opts.body)
			return 413;
	}
	request->body_done = request->body == BODY_NONE;
	return 0;
}

int hilo__http_fields_check(struct connection *c)
{
	struct hilo_http_request *request = &c->request;
	struct said said = {0};
	int status;

	request->length = 0;
	request->version = c->parser.http_major * 10 + c->parser.http_minor;
	for (unsigned i = 0; i < request->n_fields; i++)
		say_field(request, &said, &c->field[i]);
	request->has_host = said.hosts == 1;
	request->keep = request->version >= 11 ? !said.close : said.keep_alive && !said.close;
	if (said.hosts > 1 || (!said.hosts && request->version >= 11))
		return 400;
	status = body_check(c, &said);
	if (status)
		return status;
	if (request->version >= 11 && said.expects_else)
		return 417;
	request->expects = request->version >= 11 && said.expects && request->body != BODY_NONE;
	return 0;
}

/* "http://host/path", as proxies ask: the host of the target goes before that of the field (RFC 9112, 3.2.2). */
static int absolute_check(struct connection *c)
{
	struct hilo_http_request *request = &c->request;
	char *host = strstr(request->target, "://") + 3, *end = host + strcspn(host, "/?#"), *copy;

	if (end == host || !host_is_host(host, (size_t)(end - host)))
		return 400;
	copy = hilo__http_arena_text(&c->arena, host, (size_t)(end - host));
	if (!copy)
		return 503;
	request->host = copy;
	request->path = end;
	return 0;
}

int hilo__http_target_check(struct connection *c)
{
	struct hilo_http_request *request = &c->request;
	bool options = strcmp(request->method, "OPTIONS") == 0;
	int status = 0;

	request->host = request->host ? request->host : "";
	request->path = request->target;
	if (strcmp(request->method, "CONNECT") == 0)
		return 501;
	if (strncasecmp(request->target, "http://", 7) == 0 ||
	    strncasecmp(request->target, "https://", 8) == 0)
		status = absolute_check(c);
	else if (*request->target != '/' && !(options && strcmp(request->target, "*") == 0))
		return 400;
	if (status)
		return status;
	if (strchr(request->path, '#'))
		return 400;
	request->path_length = (uint32_t)strcspn(request->path, "?");
	if (request->path[request->path_length] == '?') {
		request->query = request->path + request->path_length + 1;
		request->query_length = (uint32_t)strlen(request->query);
		request->path = hilo__http_arena_text(&c->arena, request->path, request->path_length);
	}
	if (request->path && !*request->path) { /* "http://host" */
		request->path = hilo__http_arena_text(&c->arena, "/", 1);
		request->path_length = 1;
	}
	return request->path ? 0 : 503;
}
