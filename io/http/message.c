/* SPDX-License-Identifier: MIT */
/* message.c - what handlers ask of a request. */
#include "io/http/http_impl.h"

#include <hilo/runtime/error.h>

#include <errno.h>
#include <string.h>
#include <strings.h>

const char *hilo_http_method(const hilo_http_request *request)
{
	return request ? request->method : NULL;
}

const char *hilo_http_target(const hilo_http_request *request)
{
	return request ? request->target : NULL;
}

const char *hilo_http_path(const hilo_http_request *request)
{
	return request ? request->path : NULL;
}

int hilo_http_version(const hilo_http_request *request)
{
	return request ? request->version : hilo_fail(-EINVAL, "hilo_http_version: request is NULL");
}

const char *hilo_http_host(const hilo_http_request *request)
{
	return request ? request->host : NULL;
}

const char *hilo_http_param(const hilo_http_request *request, const char *name)
{
	if (!request || !name)
		return NULL;
	for (unsigned i = 0; i < request->n_params; i++)
		if (strcmp(request->param[i].name, name) == 0)
			return request->param[i].value;
	return NULL;
}

static const char *field_find(const struct field *field, unsigned n, const char *name)
{
	size_t length = strlen(name);

	for (unsigned i = 0; i < n; i++)
		if (field[i].name_length == length && strcasecmp(field[i].name, name) == 0)
			return field[i].value;
	return NULL;
}

const char *hilo_http_field(const hilo_http_request *request, const char *name)
{
	if (!request || !name)
		return NULL;
	return field_find(request_connection(request)->field, request->n_fields, name);
}

int hilo_http_field_at(const hilo_http_request *request, size_t index, const char **name, const char **value)
{
	const struct field *field;

	if (!request || !name || !value)
		return hilo_fail(-EINVAL, "hilo_http_field_at: an argument is NULL");
	if (index >= request->n_fields)
		return -ENOENT;
	field = &request_connection(request)->field[index];
	*name = field->name;
	*value = field->value;
	return 0;
}

const char *hilo_http_trailer(const hilo_http_request *request, const char *name)
{
	if (!request || !name || !request->body_done)
		return NULL;
	return field_find(request->trailer, request->n_trailers, name);
}

int hilo_http_peer(const hilo_http_request *request, hilo_address *ret)
{
	struct connection *c;

	if (!request || !ret)
		return hilo_fail(-EINVAL, "hilo_http_peer: %s is NULL", request ? "ret" : "request");
	c = request_connection(request);
	if (!c->has_peer)
		return hilo_stream_peer(c->stream, ret); /* tells why not */
	*ret = c->peer;
	return 0;
}

int hilo_http_client_gone(hilo_http_request *request)
{
	struct connection *c;
	ssize_t n;

	if (!request)
		return hilo_fail(-EINVAL, "hilo_http_client_gone: request is NULL");
	c = request_connection(request);
	if (c->broken || hilo_stream_at_eof(c->stream))
		return 1;
	/* Bytes of a body of known length are received by who reads them, and not here. */
	if (request->body == BODY_LENGTH && !request->body_done)
		return 0;
	n = hilo__http_receive(c, HILO_NO_WAIT);
	if (n == 0 || (n < 0 && n != -ETIMEDOUT && n != -ENOBUFS && n != -ECANCELED && n != -ENOMEM)) {
		request->keep = false;
		return 1;
	}
	return 0;
}

void *hilo_http_alloc(hilo_http_request *request, size_t size)
{
	return request ? hilo__http_arena_alloc(&request_connection(request)->arena, size) : NULL;
}

uint64_t hilo_http_length(const hilo_http_request *request)
{
	return request ? request->length : 0;
}

const char *hilo_http_status_text(int status)
{
	static const char *const text[][40] = {
		[2] = {"OK", "Created", "Accepted", "Non-Authoritative Information", "No Content",
		       "Reset Content", "Partial Content", "Multi-Status"},
		[3] = {"Multiple Choices", "Moved Permanently", "Found", "See Other", "Not Modified",
		       "Use Proxy", NULL, "Temporary Redirect", "Permanent Redirect"},
		[4] = {"Bad Request",
		       "Unauthorized",
		       "Payment Required",
		       "Forbidden",
		       "Not Found",
		       "Method Not Allowed",
		       "Not Acceptable",
		       "Proxy Authentication Required",
		       "Request Timeout",
		       "Conflict",
		       "Gone",
		       "Length Required",
		       "Precondition Failed",
		       "Content Too Large",
		       "URI Too Long",
		       "Unsupported Media Type",
		       "Range Not Satisfiable",
		       "Expectation Failed",
		       [21] = "Misdirected Request",
		       [22] = "Unprocessable Content",
		       [23] = "Locked",
		       [24] = "Failed Dependency",
		       [25] = "Too Early",
		       [26] = "Upgrade Required",
		       [28] = "Precondition Required",
		       [29] = "Too Many Requests",
		       [31] = "Request Header Fields Too Large"},
		[5] = {"Internal Server Error", "Not Implemented", "Bad Gateway", "Service Unavailable",
		       "Gateway Timeout", "HTTP Version Not Supported", [7] = "Insufficient Storage"},
	};
	const char *found =
		status >= 200 && status < 600 && status % 100 < 40 ? text[status / 100][status % 100] : NULL;

	return found ? found : "Unknown";
}
