/* SPDX-License-Identifier: MIT */
#ifndef SERVICE_SERVICE_H
#define SERVICE_SERVICE_H

#include "log.h"
#include "metrics.h"
#include "options.h"
#include "store.h"
#include "text.h"
#ifdef SERVICE_JPEG
#include "thumbnail.h"
#endif

#include <hilo/hilo.h>
#include <hilo/http/server.h>

#include <stdatomic.h>
#include <stdbool.h>

/*
 * service.h - what all handlers share, and how they answer.
 */

struct service {
	const struct options *options;
	struct log *log;
	struct store *store;
#ifdef SERVICE_JPEG
	struct thumbnails thumbnails;
#endif
	hilo_http_router *router;
	hilo_http_server *server;
	_Atomic int draining; /* each answer ends its connection from now on */
	hilo_time started;
};

/* One request on its way through a handler. */
struct call {
	hilo_http_request *request;
	struct service *service;
	int status;	    /* that it was answered with; 0: not yet */
	hilo_time deadline; /* for all that it waits for */
};

/* Answers @call: 0 or more, or a failure, which is answered for it. */
typedef int (*call_fn)(struct call *call);

struct route {
	const char *method, *pattern;
	call_fn handler;
	struct service *service;
	struct metrics metrics;
};

/* routes.c: [any] Have the routes answered by @service. Codes as hilo_http_router_add. */
int routes_add(struct service *service);
/* [any] The figures of each route. */
void routes_write_metrics(struct text *text);

/*
 * routes.c: [handler] While the service drains the answer to @request ends its connection, and says so. A client
 * that is told has no request under way then; one whose connection were simply closed might just have sent one.
 */
bool service_is_draining(struct service *service, hilo_http_request *request);

/*
 * routes.c: [handler] @call begins to wait for the store, and has all of its time for that: a client that sends slowly
 * has used its own.
 */
void call_begin(struct call *call);

/* reply.c: [handler, suspends] Answers. Codes as hilo_http_respond. */
int reply(struct call *call, int status, const char *type, const void *data, size_t size);
int reply_text(struct call *call, int status, const char *type, struct text *text); /* ends @text */
__attribute__((format(printf, 4, 5))) int reply_error(struct call *call, int status, const char *code,
						      const char *format, ...);
/* What the code @rc of the store or of a job means to a client; 0 or more: @rc. */
int reply_failure(struct call *call, int rc);
/* What the code @rc of hilo_http_read_all means. More than 0: it was answered; less: the server will. */
int reply_body_failure(struct call *call, ssize_t rc);

/*
 * reply.c: [handler] A number in the path or in the query. 0; more: it is none, which was answered; less: a
 * failure.
 */
int call_id(struct call *call, int64_t *ret);
int call_number(struct call *call, const char *name, int64_t low, int64_t high, int64_t otherwise,
		int64_t *ret);

/* ms since 1970 */
int64_t service_now(void);

/* items.c */
int items_list(struct call *call);
int items_add(struct call *call);
int items_get(struct call *call);
int items_put(struct call *call);
int items_delete(struct call *call);

/* photos.c */
#ifdef SERVICE_JPEG
int photos_add(struct call *call);
int photos_get(struct call *call);
int photos_thumbnail(struct call *call);
int photos_delete(struct call *call);
#endif

/* health.c */
int health_live(struct call *call);
int health_ready(struct call *call);
int health_metrics(struct call *call);

#endif /* SERVICE_SERVICE_H */
