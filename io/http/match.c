/* SPDX-License-Identifier: MIT */
/* match.c - which route a request's path leads to. */
#include "io/http/http_impl.h"

#include <string.h>

/* The path, split at its slashes and then decoded. */
struct split {
	struct {
		const char *at;
		size_t length;
	} part[HTTP_PARTS];
	unsigned n;
	unsigned rest;			/* the first that {name...} stands for; n: none */
	const char *value[HTTP_PARAMS]; /* of the parts that stand for others, on the way down */
	size_t length[HTTP_PARAMS];
	unsigned n_values;
	const char *text; /* all of it, decoded, as it was split */
	size_t text_length;
};

/* Whether a decoded part leads nowhere else: an escaped slash makes names in it, too, for who opens files. */
static bool part_is_plain(const char *part, size_t length)
{
	const char *end = part + length, *slash;

	for (;; part = slash + 1) {
		slash = memchr(part, '/', (size_t)(end - part));
		length = (size_t)((slash ? slash : end) - part);
		if ((length == 1 && *part == '.') || (length == 2 && memcmp(part, "..", 2) == 0))
			return false;
		if (!slash)
			return true;
	}
}

/* 0, or the status. */
static int path_split(struct connection *c, struct split *split)
{
	struct hilo_http_request *request = &c->request;
	const char *at = request->path, *end = at + request->path_length;
	char *to = NULL;

	if (memchr(at, '%', request->path_length)) {
		to = hilo__http_arena_alloc(&c->arena, request->path_length + 1);
		if (!to)
			return 503;
	}
	split->text = to ? to : at;
	split->n = split->n_values = 0;
	while (at < end && *at == '/') {
		size_t raw = strcspn(++at, "/");
		const char *part = at;
		ssize_t n = (ssize_t)raw;

		if (to) {
			*to++ = '/';
			n = hilo__http_decode(at, raw, to, false);
			part = to;
			to += n > 0 ? n : 0;
		}
		if (n < 0 || !part_is_plain(part, (size_t)n))
			return 400;
		if (split->n == HTTP_PARTS)
			return 404;
		split->part[split->n].at = part;
		split->part[split->n++].length = (size_t)n;
		at += raw;
	}
	split->rest = split->n;
	split->text_length = to ? (size_t)(to - split->text) : request->path_length;
	return 0;
}

/* A value of the way down; taken back by who finds that it leads nowhere. */
static bool value_push(struct split *split, const char *at, size_t length)
{
	if (split->n_values == HTTP_PARAMS)
		return false;
	split->value[split->n_values] = at;
	split->length[split->n_values++] = length;
	return true;
}

/* The node that the parts from @from on lead to, below @node. As deep as there are parts. */
static const struct node *node_match(const struct node *node, struct split *split, unsigned from)
{
	const struct node *found = NULL;
	unsigned before = split->n_values;

	if (from == split->n)
		return node->n_routes ? node : NULL;
	for (const struct node *part = node->parts; part; part = part->next)
		if (part->length == split->part[from].length &&
		    memcmp(part->text, split->part[from].at, part->length) == 0) {
			found = node_match(part, split, from + 1);
			break;
		}
	if (!found && node->any && split->part[from].length &&
	    value_push(split, split->part[from].at, split->part[from].length))
		found = node_match(node->any, split, from + 1);
	if (found)
		return found;
	split->n_values = before;
	if (node->rest && node->rest->n_routes) {
		const char *at = split->part[from].at;

		if (value_push(split, at, (size_t)(split->text + split->text_length - at))) {
			split->rest = from;
			return node->rest;
		}
	}
	return NULL;
}

/* Whether an escaped slash is in what {name...} stands for, where nobody could tell it from one that parts. */
static bool rest_is_mixed(const struct split *split)
{
	for (unsigned i = split->rest; i < split->n; i++)
		if (memchr(split->part[i].at, '/', split->part[i].length))
			return true;
	return false;
}

static const struct route *route_of(const struct node *node, const char *method)
{
	for (unsigned i = 0; i < node->n_routes; i++)
		if (strcmp(node->routes[i]->method, method) == 0)
			return node->routes[i];
	return NULL;
}

/* The methods of @node, for Allow. NULL: no memory. */
static const char *methods_of(struct connection *c, const struct node *node)
{
	size_t size = sizeof("HEAD, OPTIONS");
	char *text;

	for (unsigned i = 0; i < node->n_routes; i++)
		size += strlen(node->routes[i]->method) + 2;
	text = hilo__http_arena_alloc(&c->arena, size);
	if (!text)
		return NULL;
	*text = '\0';
	for (unsigned i = 0; i < node->n_routes; i++) {
		strcat(text, node->routes[i]->method);
		strcat(text, ", ");
	}
	if (route_of(node, "GET") && !route_of(node, "HEAD"))
		strcat(text, "HEAD, ");
	if (!route_of(node, "OPTIONS"))
		strcat(text, "OPTIONS, ");
	text[strlen(text) - 2] = '\0';
	return text;
}

/* The texts of the route's names. */
static bool params_set(struct connection *c, const struct split *split, const struct route *route)
{
	struct hilo_http_request *request = &c->request;

	for (unsigned i = 0; i < split->n_values; i++) {
		request->param[i].name = route->name[i];
		request->param[i].value = hilo__http_arena_text(&c->arena, split->value[i], split->length[i]);
		if (!request->param[i].value)
			return false;
	}
	request->n_params = split->n_values;
	return true;
}

const struct route *hilo__http_match(struct connection *c, int *status, const char **allow)
{
	struct hilo_http_request *request = &c->request;
	const struct route *route;
	const struct node *node;
	struct split split;

	*allow = NULL;
	if (strcmp(request->path, "*") == 0) {
		*status = 204;
		return NULL;
	}
	*status = path_split(c, &split);
	if (*status)
		return NULL;
	node = node_match(c->server->router->root, &split, 0);
	*status = 404;
	if (!node)
		return NULL;
	if (rest_is_mixed(&split)) {
		*status = 400;
		return NULL;
	}
	route = route_of(node, request->method);
	if (!route && request->head)
		route = route_of(node, "GET");
	if (route) {
		*status = params_set(c, &split, route) ? 0 : 503;
		return *status ? NULL : route;
	}
	*allow = methods_of(c, node);
	*status = strcmp(request->method, "OPTIONS") == 0 ? 204 : 405;
	return NULL;
}
