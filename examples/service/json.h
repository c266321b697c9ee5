/* SPDX-License-Identifier: MIT */
#ifndef SERVICE_JSON_H
#define SERVICE_JSON_H

#include "store.h"
#include "text.h"

/*
 * json.h - items as JSON.
 *
 * What is read goes through jansson: of what Debian 12 has it is the one that checks UTF-8, refuses names that are
 * there twice, and says where a mistake is; cJSON does neither, and yyjson is not there. What is written is simple
 * enough for text.h. jansson's parser recurses, so what is nested more deeply than an item can be is refused
 * before.
 */

/* An item that was read; its texts are in `root`. */
struct json_item {
	struct item item;
	void *root;
};

/*
 * {"title": "...", "body": "..."}. 0, to be ended with json_item_free; -EINVAL, with a message that says what is
 * wrong.
 */
int json_item_read(const char *data, size_t size, struct json_item *ret);
void json_item_free(struct json_item *item);

void json_item_write(struct text *text, const struct item *item);

#endif /* SERVICE_JSON_H */
