/* SPDX-License-Identifier: MIT */
/* json.c - see json.h. */
#include "json.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>

#define DEPTH_MAX 8

/* Whether brackets are open DEPTH_MAX deep somewhere; what is no JSON is not looked into further than that. */
static bool is_too_deep(const char *data, size_t size)
{
	unsigned depth = 0;
	bool quoted = false;

	for (size_t i = 0; i < size; i++) {
		char c = data[i];

		if (quoted && c == '\\')
			i++;
		else if (c == '"')
			quoted = !quoted;
		else if (!quoted && (c == '{' || c == '['))
			depth++;
		else if (!quoted && (c == '}' || c == ']'))
			depth -= depth > 0;
		if (depth > DEPTH_MAX)
			return true;
	}
	return false;
}

static int text_take(const json_t *value, const char *name, size_t max, const char **text, size_t *size)
{
	if (!json_is_string(value))
		return hilo_fail(-EINVAL, "\"%s\" must be a string", name);
	*text = json_string_value(value);
	*size = json_string_length(value);
	if (*size > max)
		return hilo_fail(-EINVAL, "\"%s\" has %zu bytes, and may have %zu", name, *size, max);
	return 0;
}

static int item_take(json_t *root, struct item *item)
{
	const char *name;
	json_t *value;
	int rc = 0;

	item->body = "";
	if (!json_is_object(root))
		return hilo_fail(-EINVAL,
				 "the body must be an object: {\"title\": \"...\", \"body\": \"...\"}");
	json_object_foreach(root, name, value)
	{
		if (strcmp(name, "title") == 0)
			rc = text_take(value, name, ITEM_TITLE_MAX, &item->title, &item->title_size);
		else if (strcmp(name, "body") == 0)
			rc = text_take(value, name, ITEM_BODY_MAX, &item->body, &item->body_size);
		else
			rc = hilo_fail(-EINVAL, "\"%.64s\" is no member of an item", name);
		if (rc < 0)
			return rc;
	}
	if (!item->title_size)
		return hilo_fail(-EINVAL, item->title ? "\"title\" is empty" : "\"title\" is missing");
	return 0;
}

int json_item_read(const char *data, size_t size, struct json_item *ret)
{
	json_error_t error;
	json_t *root;
	int rc;

	memset(ret, 0, sizeof(*ret));
	if (is_too_deep(data, size))
		return hilo_fail(-EINVAL, "the JSON is nested more than %d deep", DEPTH_MAX);
	root = json_loadb(data, size, JSON_REJECT_DUPLICATES, &error);
	if (!root && json_error_code(&error) == json_error_out_of_memory)
		return -ENOMEM;
	if (!root)
		return hilo_fail(-EINVAL, "no valid JSON: line %d, column %d: %.100s", error.line,
				 error.column, error.text);
	ret->root = root;
	rc = item_take(root, &ret->item);
	if (rc < 0)
		json_item_free(ret);
	return rc;
}

void json_item_free(struct json_item *item)
{
	json_decref(item->root);
	item->root = NULL;
}

void json_item_write(struct text *text, const struct item *item)
{
	text_add_string(text, "{\"id\":");
	text_add_number(text, item->id);
	text_add_string(text, ",\"title\":");
	text_add_json(text, item->title, item->title_size);
	text_add_string(text, ",\"body\":");
	text_add_json(text, item->body, item->body_size);
	text_add_string(text, ",\"created\":");
	text_add_number(text, item->created);
	text_add_string(text, ",\"updated\":");
	text_add_number(text, item->updated);
	text_add_string(text, "}");
}
