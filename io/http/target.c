/* SPDX-License-Identifier: MIT */
/* target.c - escapes, and the pairs of a query. */
#include "io/http/http_impl.h"

#include <hilo/runtime/error.h>

#include <errno.h>
#include <string.h>

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

ssize_t hilo__http_decode(const char *from, size_t length, char *to, bool plus)
{
	const char *end = from + length;
	char *at = to;

	while (from < end) {
		if (*from == '%') {
			int high = end - from > 2 ? hex_digit(from[1]) : -1;
			int low = high >= 0 ? hex_digit(from[2]) : -1;

			if (low < 0 || high * 16 + low == 0)
				return -1;
			*at++ = (char)(high * 16 + low);
			from += 3;
		} else {
			*at++ = *from == '+' && plus ? ' ' : *from;
			from++;
		}
	}
	return at - to;
}

/* @length bytes, decoded, in the arena. What is malformed stays as it is. NULL: no memory. */
static char *decoded(struct connection *c, const char *text, size_t length)
{
	char *copy = hilo__http_arena_alloc(&c->arena, length + 1);
	ssize_t n;

	if (!copy)
		return NULL;
	n = hilo__http_decode(text, length, copy, true);
	if (n < 0) {
		memcpy(copy, text, length);
		n = (ssize_t)length;
	}
	copy[n] = '\0';
	return copy;
}

static int query_split(struct hilo_http_request *request)
{
	struct connection *c = request_connection(request);
	const char *at = request->query, *end;
	unsigned n = 1;

	if (request->queried || !at)
		return 0;
	for (const char *p = at; *p; p++)
		n += *p == '&';
	request->too_many_pairs = n > HTTP_PAIRS;
	n = n > HTTP_PAIRS ? HTTP_PAIRS : n;
	request->pairs = hilo__http_arena_alloc(&c->arena, n * sizeof(*request->pairs));
	if (!request->pairs)
		return -ENOMEM;
	request->n_pairs = 0;
	for (; *at && request->n_pairs < n; at = *end ? end + 1 : end) {
		struct pair *pair = &request->pairs[request->n_pairs];
		size_t length, name;

		end = at + strcspn(at, "&");
		length = (size_t)(end - at);
		if (!length)
			continue;
		name = strcspn(at, "=");
		name = name < length ? name : length;
		pair->name = decoded(c, at, name);
		pair->value = name < length ? decoded(c, at + name + 1, length - name - 1) : "";
		if (!pair->name || !pair->value)
			return -ENOMEM;
		request->n_pairs++;
	}
	request->queried = true;
	return 0;
}

const char *hilo_http_query(hilo_http_request *request, const char *name)
{
	if (!request || !name || query_split(request) < 0)
		return NULL;
	for (unsigned i = 0; i < request->n_pairs; i++)
		if (strcmp(request->pairs[i].name, name) == 0)
			return request->pairs[i].value;
	return NULL;
}

int hilo_http_query_at(hilo_http_request *request, size_t index, const char **name, const char **value)
{
	int rc;

	if (!request || !name || !value)
		return hilo_fail(-EINVAL, "hilo_http_query_at: an argument is NULL");
	rc = query_split(request);
	if (rc < 0)
		return rc;
	if (index >= request->n_pairs)
		return request->too_many_pairs
			       ? hilo_fail(-E2BIG, "hilo_http_query_at: more than %d pairs", HTTP_PAIRS)
			       : -ENOENT;
	*name = request->pairs[index].name;
	*value = request->pairs[index].value;
	return 0;
}
