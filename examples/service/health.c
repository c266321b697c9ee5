/* SPDX-License-Identifier: MIT */
/* health.c - whether it lives, whether it can serve, and how it does. */
#include "service.h"

#define PATIENCE HILO_SECOND

int health_live(struct call *call)
{
	static const char alive[] = "{\"status\":\"alive\"}\n";

	return reply(call, 200, "application/json", alive, sizeof(alive) - 1);
}

/* Not while it drains: whoever spreads clients over several services is to leave this one out. */
int health_ready(struct call *call)
{
	static const char ready[] = "{\"status\":\"ready\"}\n";
	struct store *store = call->service->store;
	int rc;

	if (service_is_draining(call->service, call->request))
		return reply_error(call, 503, "draining", "it is being stopped");
	rc = store->ops->ready(store, hilo_after(PATIENCE));
	if (rc < 0)
		return reply_failure(call, rc);
	return reply(call, 200, "application/json", ready, sizeof(ready) - 1);
}

static void write_http(struct text *text, struct service *service)
{
	hilo_http_stats stats = {.size = sizeof(stats)};

	if (hilo_http_server_get_stats(service->server, &stats) < 0)
		return;
	metrics_write_one(text, "service_http_requests_total", "counter",
			  "Requests, also those that have no route.", (double)stats.requests);
	metrics_write_one(text, "service_http_failed_total", "counter", "Handlers that have failed.",
			  (double)stats.failed);
	metrics_write_one(text, "service_http_received_bytes_total", "counter",
			  "Bytes of bodies that were read.", (double)stats.received);
	metrics_write_one(text, "service_http_sent_bytes_total", "counter",
			  "Bytes of bodies that were written.", (double)stats.sent);
	metrics_write_one(text, "service_http_connections", "gauge", "Connections.",
			  (double)stats.connections);
	metrics_write_one(text, "service_http_in_flight", "gauge", "Connections with a request.",
			  (double)stats.in_flight);
	metrics_write_one(text, "service_log_lost_total", "counter", "Lines of the log that nobody took.",
			  (double)log_lost(service->log));
}

static void write_store(struct text *text, struct service *service)
{
	struct store_stats stats = {0};

	service->store->ops->get_stats(service->store, &stats);
	metrics_write_head(text, "service_store", "gauge", "Which database.");
	text_add_format(text, "service_store{kind=\"%s\"} 1\n", service->store->ops->name);
	metrics_write_one(text, "service_store_commits_total", "counter", "Transactions that have written.",
			  (double)stats.commits);
	metrics_write_one(text, "service_store_writes_total", "counter", "What was written in them.",
			  (double)stats.writes);
	metrics_write_one(text, "service_store_failures_total", "counter", "Errors of the database.",
			  (double)stats.failures);
	metrics_write_one(text, "service_store_connects_total", "counter", "Connections that were made.",
			  (double)stats.connects);
	metrics_write_one(text, "service_store_connections", "gauge", "Connections.",
			  (double)stats.connections);
	metrics_write_one(text, "service_store_running", "gauge", "Whom it works for.",
			  (double)stats.running);
	metrics_write_one(text, "service_store_waiting", "gauge", "Who waits for the database.",
			  (double)stats.waiting);
}

#ifdef SERVICE_JPEG
static double figure(const _Atomic uint64_t *at)
{
	return (double)atomic_load_explicit(at, memory_order_relaxed);
}

static void write_thumbnails(struct text *text, const struct thumbnails *thumbnails)
{
	metrics_write_one(text, "service_thumbnails_total", "counter", "Thumbnails that were made.",
			  figure(&thumbnails->done));
	metrics_write_one(text, "service_thumbnails_failed_total", "counter", "Those that could not be.",
			  figure(&thumbnails->failed));
	metrics_write_one(text, "service_thumbnails_refused_total", "counter",
			  "Those that too many waited for.", figure(&thumbnails->refused));
	metrics_write_one(text, "service_thumbnails_seconds_total", "counter", "How long they took.",
			  figure(&thumbnails->ns) / HILO_SECOND);
	metrics_write_one(text, "service_thumbnails_running", "gauge", "Those that are being made.",
			  atomic_load_explicit(&thumbnails->running, memory_order_relaxed));
	metrics_write_one(text, "service_thumbnails_waiting", "gauge", "Those that wait for it.",
			  atomic_load_explicit(&thumbnails->waiting, memory_order_relaxed));
}
#endif

static void write_workers(struct text *text)
{
	const hilo_runtime *runtime = hilo_runtime_current();
	hilo_worker_stats stats = {.size = sizeof(stats)};
	unsigned workers = hilo_runtime_workers(runtime);
	uint64_t switches = 0, steals = 0;

	for (unsigned i = 0; i < workers && hilo_runtime_get_stats(runtime, i, &stats) == 0; i++) {
		switches += stats.switches;
		steals += stats.steals;
	}
	metrics_write_one(text, "service_workers", "gauge", "Workers.", workers);
	metrics_write_one(text, "service_switches_total", "counter", "Switches to a task.", (double)switches);
	metrics_write_one(text, "service_steals_total", "counter", "Tasks that a worker took from another.",
			  (double)steals);
}

int health_metrics(struct call *call)
{
	struct service *service = call->service;
	struct text text;

	text_init(&text);
	routes_write_metrics(&text);
	write_http(&text, service);
	write_store(&text, service);
#ifdef SERVICE_JPEG
	write_thumbnails(&text, &service->thumbnails);
#endif
	write_workers(&text);
	metrics_write_one(&text, "service_uptime_seconds", "gauge", "Since it has begun.",
			  (double)(hilo_now() - service->started) / HILO_SECOND);
	return reply_text(call, 200, "text/plain; version=0.0.4; charset=utf-8", &text);
}
