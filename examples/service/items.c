/* SPDX-License-Identifier: MIT */
/* items.c - notes with a title: made, read, listed, replaced, removed. */
#include "json.h"
#include "service.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define JSON "application/json"
#define BODY_MAX 65536
#define LIST_DEFAULT 20

/* ---- Reading ---- */

/* [store] */
static int write_item(const struct item *item, void *arg)
{
	json_item_write(arg, item);
	return 0;
}

int items_get(struct call *call)
{
	struct text text;
	int64_t id;
	int rc = call_id(call, &id);

	if (rc != 0)
		return rc;
	text_init(&text);
	rc = call->service->store->ops->item_get(call->service->store, id, write_item, &text, call->deadline);
	if (rc < 0) {
		text_fini(&text);
		return reply_failure(call, rc);
	}
	text_add_string(&text, "\n");
	return reply_text(call, 200, JSON, &text);
}

struct page {
	struct text text;
	int64_t last;
	unsigned n, limit;
};

/* [store] One more than fits into the page only tells that there are more. */
static int write_line(const struct item *item, void *arg)
{
	struct page *page = arg;

	if (page->n++ == page->limit)
		return 0;
	text_add_string(&page->text, page->n > 1 ? ",\n" : "\n");
	json_item_write(&page->text, item);
	page->last = item->id;
	return 0;
}

int items_list(struct call *call)
{
	struct page page = {.n = 0};
	int64_t limit, after;
	int rc = call_number(call, "limit", 1, LIST_MAX, LIST_DEFAULT, &limit);

	if (rc == 0)
		rc = call_number(call, "after", 0, 999999999999999999, 0, &after);
	if (rc != 0)
		return rc;
	page.limit = (unsigned)limit;
	text_init(&page.text);
	text_add_string(&page.text, "{\"items\":[");
	rc = call->service->store->ops->item_list(call->service->store, after, page.limit + 1, write_line,
						  &page, call->deadline);
	if (rc < 0) {
		text_fini(&page.text);
		return reply_failure(call, rc);
	}
	text_add_string(&page.text, "\n],\"next\":");
	if (page.n > page.limit)
		text_add_number(&page.text, page.last);
	else
		text_add_string(&page.text, "null");
	text_add_string(&page.text, "}\n");
	return reply_text(call, 200, JSON, &page.text);
}

/* ---- Writing ---- */

static bool is_json(const char *type)
{
	size_t n = strlen(JSON);

	return type && strncasecmp(type, JSON, n) == 0 && (!type[n] || type[n] == ';' || type[n] == ' ');
}

/* [suspends] The item in the body. 0; more: answered; less: a failure. */
static int item_receive(struct call *call, struct json_item *ret)
{
	char *data;
	ssize_t n;
	int rc;

	if (!is_json(hilo_http_field(call->request, "Content-Type"))) {
		rc = reply_error(call, 415, "not_json", "the Content-Type must be " JSON);
		return rc < 0 ? rc : 1;
	}
	n = hilo_http_read_all(call->request, BODY_MAX, &data, HILO_FOREVER);
	if (n < 0)
		return reply_body_failure(call, n);
	call_begin(call);
	rc = json_item_read(data, (size_t)n, ret);
	free(data);
	if (rc == 0)
		return 0;
	rc = rc == -ENOMEM ? reply_failure(call, rc)
			   : reply_error(call, 400, "invalid_item", "%s", hilo_error_message());
	return rc < 0 ? rc : 1;
}

/* [suspends] Answer with what is kept now. */
static int item_answer(struct call *call, int status, const struct item *item)
{
	char location[48];
	struct text text;
	int rc = 0;

	if (status == 201) {
		(void)snprintf(location, sizeof(location), "/items/%lld", (long long)item->id);
		rc = hilo_http_add_field(call->request, "Location", location);
	}
	if (rc < 0)
		return rc;
	text_init(&text);
	json_item_write(&text, item);
	text_add_string(&text, "\n");
	return reply_text(call, status, JSON, &text);
}

int items_add(struct call *call)
{
	struct store *store = call->service->store;
	struct json_item json;
	int rc = item_receive(call, &json);

	if (rc != 0)
		return rc;
	json.item.created = json.item.updated = service_now();
	rc = store->ops->item_add(store, &json.item, call->deadline);
	rc = rc < 0 ? reply_failure(call, rc) : item_answer(call, 201, &json.item);
	json_item_free(&json);
	return rc;
}

int items_put(struct call *call)
{
	struct store *store = call->service->store;
	struct json_item json;
	int64_t id;
	int rc = call_id(call, &id);

	if (rc == 0)
		rc = item_receive(call, &json);
	if (rc != 0)
		return rc;
	json.item.id = id;
	json.item.updated = service_now();
	rc = store->ops->item_put(store, &json.item, call->deadline);
	rc = rc < 0 ? reply_failure(call, rc) : item_answer(call, 200, &json.item);
	json_item_free(&json);
	return rc;
}

int items_delete(struct call *call)
{
	struct store *store = call->service->store;
	int64_t id;
	int rc = call_id(call, &id);

	if (rc != 0)
		return rc;
	rc = store->ops->item_delete(store, id, call->deadline);
	return rc < 0 ? reply_failure(call, rc) : reply(call, 204, NULL, NULL, 0);
}
