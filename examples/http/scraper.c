/* SPDX-License-Identifier: MIT */
/*
 * scraper.c - many pages at the same time: scraper [--pages=N] [--delay=MS] [--concurrency=N] [URL...]
 *
 *	async with session.get(url) as response     HILO_WITH_HTTP_GET (response, session, url, &rc)
 *	await response.text()                       hilo_http_response_text(response, limit, &text, &characters, ...)
 *	await asyncio.gather(*tasks)                hilo_gather(tasks, n, results, HILO_FOREVER)
 *
 * Without URLs it needs no network: it starts servers of its own, each of which answers after another delay, and shows
 * that all pages together take as long as the slowest one. --pages asks one of them for so many pages, each of which
 * comes after --delay milliseconds, --concurrency at a time.
 */
#include <hilo/hilo.h>
#include <hilo/http/client.h>
#include <hilo/http/server.h>

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define SITES 3
#define PAGE_LIMIT ((size_t)64 << 20)

/* A server whose pages come after a delay. */
struct site {
	hilo_http_router *router;
	hilo_http_server *server;
	hilo_time delay;
	const char *text;
	char url[64];
};

struct scraper {
	hilo_http_session *session;
	struct site sites[SITES];
	unsigned pages, delay, concurrency;
	int quiet; /* no line for each page */
	char **urls;
	size_t n_urls;
};

/* One page. */
struct page {
	struct scraper *scraper;
	const char *url;
	size_t characters;
};

/* ---- The scraper ---- */

static int fetch(void *arg)
{
	struct page *page = arg;
	char *text = NULL;
	int rc;

	HILO_WITH_HTTP_GET (response, page->scraper->session, page->url, &rc) {
		ssize_t n =
			hilo_http_response_text(response, PAGE_LIMIT, &text, &page->characters, HILO_FOREVER);

		rc = n < 0 ? (int)n : 0;
	}
	if (rc < 0)
		return rc;
	if (!page->scraper->quiet)
		printf("Descargado %s con longitud de %zu caracteres\n", page->url, page->characters);
	free(text);
	return 0;
}

/* Those that have failed, each with what it has said. */
static int failures_show(hilo_task *const *tasks, size_t n)
{
	int rc = 0;

	for (size_t i = 0; i < n; i++) {
		int code = hilo_await(tasks[i], HILO_FOREVER);

		if (code < 0)
			fprintf(stderr, "scraper: %s\n", hilo_error_message());
		rc = rc == 0 ? code : rc;
	}
	return rc;
}

/* All of @urls at the same time: 0, or how the first of them has failed. */
static int scrape(struct scraper *scraper, char *const *urls, size_t n)
{
	struct page *pages = calloc(n, sizeof(*pages));
	hilo_task **tasks = calloc(n, sizeof(hilo_task *)), **kept = calloc(n, sizeof(hilo_task *));
	int *results = calloc(n, sizeof(int)), rc = pages && tasks && kept && results ? 0 : -1;

	for (size_t i = 0; rc == 0 && i < n; i++) {
		pages[i] = (struct page){.scraper = scraper, .url = urls[i]};
		tasks[i] = hilo_spawn(fetch, &pages[i]);
		kept[i] = hilo_task_ref(tasks[i]);
	}
	if (rc == 0)
		rc = hilo_gather(tasks, n, results, HILO_FOREVER);
	if (rc == 0)
		rc = failures_show(kept, n);
	for (size_t i = 0; kept && i < n; i++)
		hilo_task_unref(kept[i]);
	free(results);
	free(kept);
	free(tasks);
	free(pages);
	return rc;
}

/* ---- Servers to be asked ---- */

static int page_handler(hilo_http_request *request, void *arg)
{
	struct site *site = arg;
	int rc = hilo_sleep(site->delay);

	return rc < 0 ? rc
		      : hilo_http_respond(request, 200, "text/html; charset=utf-8", site->text,
					  strlen(site->text), HILO_FOREVER);
}

static int site_start(struct site *site, hilo_time delay, const char *text)
{
	hilo_server_opts listen = {.size = sizeof(listen), .host = "127.0.0.1"};
	hilo_http_opts opts = {.size = sizeof(opts), .server = &listen};
	hilo_address address;
	int rc = hilo_http_router_new(&site->router);

	site->delay = delay;
	site->text = text;
	if (rc == 0)
		rc = hilo_http_router_add(site->router, "GET", "/", page_handler, site);
	if (rc == 0)
		rc = hilo_http_start_server(site->router, &opts, &site->server, HILO_FOREVER);
	if (rc == 0)
		rc = hilo_server_sockname(hilo_http_server_below(site->server), 0, &address);
	if (rc == 0)
		snprintf(site->url, sizeof(site->url), "http://127.0.0.1:%u/", hilo_address_port(&address));
	return rc;
}

static void sites_stop(struct scraper *scraper)
{
	for (int i = 0; i < SITES; i++) {
		if (scraper->sites[i].server)
			(void)hilo_http_server_close(scraper->sites[i].server, NULL, HILO_FOREVER);
		hilo_http_server_free(scraper->sites[i].server);
		hilo_http_router_free(scraper->sites[i].router);
	}
}

/* Three pages, from servers that take one, two and three times the delay. */
static int scrape_sites(struct scraper *scraper)
{
	static const char *const texts[SITES] = {"<p>Hola</p>", "<p>\u00a1Buenos d\u00edas!</p>",
						 "<p>Ma\u00f1ana ser\u00e1 otro d\u00eda</p>"};
	char *urls[SITES];
	hilo_time began, took, sum = 0, slowest = 0;
	int rc = 0;

	for (int i = 0; rc == 0 && i < SITES; i++) {
		slowest = (i + 1) * scraper->delay * HILO_MILLISECOND;
		sum += slowest;
		rc = site_start(&scraper->sites[i], slowest, texts[i]);
		urls[i] = scraper->sites[i].url;
	}
	began = hilo_now();
	if (rc == 0)
		rc = scrape(scraper, urls, SITES);
	took = hilo_now() - began;
	if (rc == 0)
		fprintf(stderr, "%.3f s for all; the slowest takes %.3f s, one after the other %.3f s\n",
			(double)took / HILO_SECOND, (double)slowest / HILO_SECOND, (double)sum / HILO_SECOND);
	return rc;
}

/* As many pages as were asked for, from one server. */
static int scrape_many(struct scraper *scraper)
{
	char **urls = calloc(scraper->pages, sizeof(char *));
	hilo_time began = hilo_now(), took;
	struct rusage usage;
	int rc =
		urls ? site_start(&scraper->sites[0], scraper->delay * HILO_MILLISECOND, "<p>P\u00e1gina</p>")
		     : -1;

	for (unsigned i = 0; urls && i < scraper->pages; i++)
		urls[i] = scraper->sites[0].url;
	scraper->quiet = 1;
	if (rc == 0)
		rc = scrape(scraper, urls, scraper->pages);
	took = hilo_now() - began;
	getrusage(RUSAGE_SELF, &usage);
	if (rc == 0)
		printf("%u p\u00e1ginas en %.3f s, con %ld ms de CPU, el servidor incluido\n", scraper->pages,
		       (double)took / HILO_SECOND,
		       (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000 +
			       (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1000);
	free(urls);
	return rc;
}

/* ---- The program ---- */

static int main_task(void *arg)
{
	struct scraper *scraper = arg;
	hilo_http_session_opts opts = {.size = sizeof(opts), .connections = scraper->concurrency};
	int rc, code = 0;

	HILO_WITH_HTTP_SESSION (session, &opts, &rc) {
		scraper->session = session;
		if (scraper->n_urls)
			code = scrape(scraper, scraper->urls, scraper->n_urls);
		else if (scraper->pages)
			code = scrape_many(scraper);
		else
			code = scrape_sites(scraper);
	}
	sites_stop(scraper);
	return rc < 0 ? rc : code;
}

static void number(unsigned *to)
{
	char *end;
	unsigned long value = strtoul(optarg, &end, 10);

	if (!*optarg || *end || value > 1000000) {
		fprintf(stderr, "scraper: not a number up to a million: %s\n", optarg);
		exit(2);
	}
	*to = (unsigned)value;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"pages", required_argument, NULL, 'p'},
						{"delay", required_argument, NULL, 'd'},
						{"concurrency", required_argument, NULL, 'c'},
						{"help", no_argument, NULL, 'h'},
						{0}};
	struct scraper scraper = {.delay = 100, .concurrency = 100};
	int option;

	while ((option = getopt_long(argc, argv, "p:d:c:h", options, NULL)) >= 0) {
		if (option == 'p') {
			number(&scraper.pages);
		} else if (option == 'd') {
			number(&scraper.delay);
		} else if (option == 'c') {
			number(&scraper.concurrency);
		} else {
			printf("usage: scraper [--pages=N] [--delay=MS] [--concurrency=N] [URL...]\n");
			return option == 'h' ? 0 : 2;
		}
	}
	scraper.urls = argv + optind;
	scraper.n_urls = (size_t)(argc - optind);
	return hilo_run(main_task, &scraper, NULL) == 0 ? 0 : 1;
}
