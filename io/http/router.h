/* SPDX-License-Identifier: MIT */
#ifndef HILO_IO_HTTP_ROUTER_H
#define HILO_IO_HTTP_ROUTER_H

#include <hilo/http/message.h>

HILO_BEGIN_DECLS

/*
 * router.h - which handler answers which method and path.
 *
 *	rc = hilo_http_router_new(&router);
 *	rc = hilo_http_router_add(router, "GET", "/items/{id}", item, NULL);
 *	rc = hilo_http_router_add(router, "GET", "/files/{path...}", file, NULL);
 *
 * A pattern is compared part by part, what lies between the slashes, after decoding: a part of the request that
 * contains "%2F" is one part. {name} stands for any part that is not empty, {name...} at the end for all that is left,
 * also nothing. A part that is named in full goes before {name}, and that before {name...}. "/a" and "/a/" are two
 * paths. A path with a part "." or ".." is answered with 400; so is one with such a name between slashes that are
 * escaped, and one with an escaped slash in what {name...} stands for. The text of {name} may have slashes in it.
 *
 * Nothing fits: 404. The path fits and the method does not: 405, with Allow. HEAD is answered by the handler of GET,
 * without the body, unless it has one of its own; OPTIONS with 204 and Allow, unless likewise.
 */
typedef struct hilo_http_router hilo_http_router;

/* [any] A router without routes, the caller's, to be ended with hilo_http_router_free. 0, -EINVAL, -ENOMEM. */
HILO_API HILO_MUST_CHECK int hilo_http_router_new(hilo_http_router **ret);

/*
 * [any, one at a time] Have @handler(request, @arg) answer what @method asks of @pattern. @arg is kept as long as the
 * router. 0; -EINVAL, with a message: no such pattern, a method that is no token; -EEXIST: there is one; -EBUSY: a
 * server uses the router; -ENOMEM.
 */
HILO_API HILO_MUST_CHECK int hilo_http_router_add(hilo_http_router *router, const char *method,
						  const char *pattern, hilo_http_fn handler, void *arg);

/*
 * [any, one at a time] Have @hook(request, @arg) called before each handler, in the order of adding, and for what
 * has no handler before it is answered with 404 or 405 (hilo_http_unanswered). 0: go on; more: it has answered; less:
 * as a handler that fails. 0, -EINVAL, -EBUSY, -ENOMEM.
 */
HILO_API HILO_MUST_CHECK int hilo_http_router_before(hilo_http_router *router, hilo_http_fn hook, void *arg);

/* [any] Consumes @router, which goes when no server uses it any more. NULL: no-op. */
HILO_API void hilo_http_router_free(hilo_http_router *router);

HILO_END_DECLS

#endif /* HILO_IO_HTTP_ROUTER_H */
