/* SPDX-License-Identifier: MIT */
/*
 * router.c - patterns as a tree of their parts. It is built before a server uses it, and only read afterwards, by all
 * connections without a lock.
 */
#include "io/http/http_impl.h"

#include <hilo/runtime/error.h>

#include <errno.h>
#include <string.h>

#include "scheduler/base/mem.h"

#define HOOKS 32

int hilo_http_router_new(hilo_http_router **ret)
{
	hilo_http_router *router;

	if (!ret)
		return hilo_fail(-EINVAL, "hilo_http_router_new: ret is NULL");
	router = hilo__calloc(1, sizeof(*router));
	if (!router)
		return -ENOMEM;
	router->root = hilo__calloc(1, sizeof(*router->root) + 1);
	router->hooks = hilo__calloc(HOOKS, sizeof(*router->hooks));
	if (!router->root || !router->hooks) {
		hilo__free(router->root);
		hilo__free(router->hooks);
		hilo__free(router);
		return -ENOMEM;
	}
	router->refs = 1;
	*ret = router;
	return 0;
}

static void route_free(struct route *route)
{
	if (!route)
		return;
	for (unsigned i = 0; route->name && i < route->n_names; i++)
		hilo__free(route->name[i]);
	hilo__free(route->name);
	hilo__free(route->method);
	hilo__free(route);
}

/* As deep as a pattern has parts: HTTP_PARTS. */
static void node_free(struct node *node)
{
	while (node) {
		struct node *next = node->next;

		node_free(node->parts);
		node_free(node->any);
		node_free(node->rest);
		for (unsigned i = 0; i < node->n_routes; i++)
			route_free(node->routes[i]);
		hilo__free(node);
		node = next;
	}
}

void hilo__http_router_use(struct hilo_http_router *router)
{
	http_lock(&router->lock);
	router->used = true;
	router->refs++;
	http_unlock(&router->lock);
}

void hilo_http_router_free(hilo_http_router *router)
{
	bool last;

	if (!router)
		return;
	http_lock(&router->lock);
	last = --router->refs == 0;
	http_unlock(&router->lock);
	if (!last)
		return;
	node_free(router->root);
	hilo__free(router->hooks);
	hilo__free(router);
}

static bool router_is_used(struct hilo_http_router *router)
{
	bool used;

	http_lock(&router->lock);
	used = router->used;
	http_unlock(&router->lock);
	return used;
}

/* A part of a pattern. */
struct part {
	const char *at;
	size_t length; /* as it stands */
	bool any, rest;
	const char *name; /* of those */
	size_t name_length;
};

/* Read the part at *@at, behind a slash. False: malformed. */
static bool part_next(const char **at, struct part *part)
{
	*part = (struct part){.at = *at, .length = strcspn(*at, "/")};
	*at += part->length;
	if (!memchr(part->at, '{', part->length) && !memchr(part->at, '}', part->length))
		return true;
	if (part->length < 3 || *part->at != '{' || part->at[part->length - 1] != '}')
		return false;
	part->name = part->at + 1;
	part->name_length = part->length - 2;
	part->rest = part->name_length > 3 && memcmp(part->name + part->name_length - 3, "...", 3) == 0;
	part->any = !part->rest;
	part->name_length -= part->rest ? 3 : 0;
	return hilo__http_is_token(part->name, part->name_length) &&
	       !memchr(part->name, '.', part->name_length) && !(part->rest && **at);
}

/* The node of @part below @node; made if it is not there. NULL: no memory. */
static struct node *node_below(struct node *node, const struct part *part)
{
	struct node **place = part->rest ? &node->rest : part->any ? &node->any : &node->parts, *made;

	if (!part->any && !part->rest)
		while (*place && ((*place)->length != part->length ||
				  memcmp((*place)->text, part->at, part->length) != 0))
			place = &(*place)->next;
	if (*place)
		return *place;
	made = hilo__calloc(1, sizeof(*made) + part->length + 1);
	if (!made)
		return NULL;
	made->length = part->any || part->rest ? 0 : part->length;
	memcpy(made->text, part->at, made->length);
	*place = made;
	return made;
}

static int route_name(struct route *route, const struct part *part)
{
	char *name;

	if (!part->any && !part->rest)
		return 0;
	if (route->n_names == HTTP_PARAMS)
		return hilo_fail(-EINVAL, "hilo_http_router_add: more than %d names", HTTP_PARAMS);
	name = hilo__malloc(part->name_length + 1);
	if (!name)
		return -ENOMEM;
	memcpy(name, part->name, part->name_length);
	name[part->name_length] = '\0';
	for (unsigned i = 0; i < route->n_names; i++)
		if (strcmp(route->name[i], name) == 0) {
			hilo__free(name);
			return hilo_fail(-EINVAL, "hilo_http_router_add: %s twice", route->name[i]);
		}
	route->name[route->n_names++] = name;
	return 0;
}

/* Walk along @pattern, and name its parts. The node that it ends at in *@ret. */
static int pattern_walk(struct hilo_http_router *router, const char *pattern, struct route *route,
			struct node **ret)
{
	struct node *node = router->root;
	const char *at = pattern;
	unsigned parts = 0;

	while (*at == '/') {
		struct part part;
		int rc;

		at++;
		if (!part_next(&at, &part) || ++parts > HTTP_PARTS)
			return hilo_fail(-EINVAL, "hilo_http_router_add: \"%s\" is no pattern", pattern);
		rc = route_name(route, &part);
		if (rc < 0)
			return rc;
		node = node_below(node, &part);
		if (!node)
			return -ENOMEM;
	}
	*ret = node;
	return 0;
}

static struct route *route_new(const char *method, hilo_http_fn handler, void *arg)
{
	struct route *route = hilo__calloc(1, sizeof(*route));

	if (!route)
		return NULL;
	route->method = hilo__strdup(method);
	route->name = hilo__calloc(HTTP_PARAMS, sizeof(*route->name));
	route->handler = handler;
	route->arg = arg;
	if (route->method && route->name)
		return route;
	route_free(route);
	return NULL;
}

int hilo_http_router_add(hilo_http_router *router, const char *method, const char *pattern,
			 hilo_http_fn handler, void *arg)
{
	struct route *route;
	struct node *node = NULL;
	int rc;

	if (!router || !method || !pattern || !handler)
		return hilo_fail(-EINVAL, "hilo_http_router_add: an argument is NULL");
	if (*pattern != '/' || !hilo__http_is_token(method, strlen(method)))
		return hilo_fail(-EINVAL, "hilo_http_router_add: \"%s %s\"", method, pattern);
	if (router_is_used(router))
		return hilo_fail(-EBUSY, "hilo_http_router_add: a server uses the router");
	route = route_new(method, handler, arg);
	if (!route)
		return -ENOMEM;
	rc = pattern_walk(router, pattern, route, &node);
	for (unsigned i = 0; rc == 0 && i < node->n_routes; i++)
		if (strcmp(node->routes[i]->method, method) == 0)
			rc = hilo_fail(-EEXIST, "hilo_http_router_add: there is a \"%s %s\"", method,
				       pattern);
	if (rc == 0 && node->n_routes == HTTP_METHODS)
		rc = hilo_fail(-EINVAL, "hilo_http_router_add: more than %d methods", HTTP_METHODS);
	if (rc < 0)
		route_free(route);
	else
		node->routes[node->n_routes++] = route;
	return rc;
}

int hilo_http_router_before(hilo_http_router *router, hilo_http_fn hook, void *arg)
{
	if (!router || !hook)
		return hilo_fail(-EINVAL, "hilo_http_router_before: %s is NULL", router ? "hook" : "router");
	if (router_is_used(router))
		return hilo_fail(-EBUSY, "hilo_http_router_before: a server uses the router");
	if (router->n_hooks == HOOKS)
		return hilo_fail(-EINVAL, "hilo_http_router_before: more than %d hooks", HOOKS);
	router->hooks[router->n_hooks++] = (struct hook){hook, arg};
	return 0;
}
