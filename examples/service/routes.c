/* SPDX-License-Identifier: MIT */
/* routes.c - what is answered by whom, and what happens around each handler: a deadline, and its figures. */
#include "service.h"

#include <errno.h>

static struct route routes[] = {
	{.method = "GET", .pattern = "/items", .handler = items_list},
	{.method = "POST", .pattern = "/items", .handler = items_add},
	{.method = "GET", .pattern = "/items/{id}", .handler = items_get},
	{.method = "PUT", .pattern = "/items/{id}", .handler = items_put},
	{.method = "DELETE", .pattern = "/items/{id}", .handler = items_delete},
#ifdef SERVICE_JPEG
	{.method = "POST", .pattern = "/photos", .handler = photos_add},
	{.method = "GET", .pattern = "/photos/{id}", .handler = photos_get},
	{.method = "DELETE", .pattern = "/photos/{id}", .handler = photos_delete},
	{.method = "GET", .pattern = "/photos/{id}/thumbnail", .handler = photos_thumbnail},
#endif
	{.method = "GET", .pattern = "/healthz", .handler = health_live},
	{.method = "GET", .pattern = "/readyz", .handler = health_ready},
	{.method = "GET", .pattern = "/metrics", .handler = health_metrics},
};

#define ROUTES (sizeof(routes) / sizeof(routes[0]))

void call_begin(struct call *call)
{
	call->deadline = hilo_after(call->service->options->deadline);
}

/* [handler] */
static int route_answer(hilo_http_request *request, void *arg)
{
	struct route *route = arg;
	hilo_time begin = hilo_now();
	struct call call = {.request = request, .service = route->service};
	int rc;

	call_begin(&call);
	rc = route->handler(&call);
	metrics_count(&route->metrics, call.status ? call.status : rc < 0 ? 500 : 0, hilo_now() - begin);
	return rc;
}

bool service_is_draining(struct service *service, hilo_http_request *request)
{
	if (!atomic_load_explicit(&service->draining,
				  memory_order_relaxed)) /* the next answer is soon enough */
		return false;
	(void)hilo_http_end_connection(request);
	return true;
}

/* [handler] What has no route is answered in the form of all other refusals. */
static int route_before(hilo_http_request *request, void *arg)
{
	struct call call = {.request = request, .service = arg};
	const char *allow;
	int status = hilo_http_unanswered(request, &allow), rc;

	(void)service_is_draining(arg, request);
	if (status == 404) {
		rc = reply_error(&call, 404, "no_such_path", "there is nothing at this path");
	} else if (status == 405) {
		rc = hilo_http_add_field(request, "Allow", allow ? allow : "");
		if (rc == 0)
			rc = reply_error(&call, 405, "no_such_method", "this path has no %.32s",
					 hilo_http_method(request));
	} else {
		return 0;
	}
	return rc < 0 ? rc : 1;
}

int routes_add(struct service *service)
{
	int rc = hilo_http_router_before(service->router, route_before, service);

	for (size_t i = 0; rc == 0 && i < ROUTES; i++) {
		routes[i].service = service;
		rc = hilo_http_router_add(service->router, routes[i].method, routes[i].pattern, route_answer,
					  &routes[i]);
	}
	return rc;
}

void routes_write_metrics(struct text *text)
{
	metrics_write_head(text, "service_requests_total", "counter", "Requests by route and status.");
	for (size_t i = 0; i < ROUTES; i++)
		metrics_write_answers(text, &routes[i].metrics, routes[i].method, routes[i].pattern);
	metrics_write_head(text, "service_request_seconds", "histogram", "How long handlers took.");
	for (size_t i = 0; i < ROUTES; i++)
		metrics_write_times(text, &routes[i].metrics, routes[i].method, routes[i].pattern);
}
