/* SPDX-License-Identifier: MIT */
/* receive.c - what comes: header fields and bytes of the body, from the loop to who reads. */
#include "io/http_client/client_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <strings.h>

#include <hilo/runtime/error.h>

#include "scheduler/base/mem.h"

#define DATA_MIN ((size_t)16 * 1024)

/* ---- Fields ---- */

/* Add @size bytes and a NUL. */
static int fields_put(struct fields *fields, const char *data, size_t size)
{
	if (fields->size - fields->used < size + 1) {
		size_t more = 2 * fields->size + size + 512;
		char *text = hilo__malloc(more);

		if (!text)
			return -ENOMEM;
		if (fields->used)
			memcpy(text, fields->text, fields->used);
		hilo__free(fields->text);
		fields->text = text;
		fields->size = more;
	}
	memcpy(fields->text + fields->used, data, size);
	fields->text[fields->used + size] = '\0';
	fields->used += size + 1;
	return 0;
}

/* A line without its end; one without a colon is left out. */
static int fields_add(struct fields *fields, const char *line, size_t size)
{
	const char *colon = memchr(line, ':', size), *value, *end = line + size;
	int rc;

	if (!colon || colon == line)
		return 0;
	for (value = colon + 1; value < end && (*value == ' ' || *value == '\t'); value++)
		;
	while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	rc = fields_put(fields, line, (size_t)(colon - line));
	rc = rc < 0 ? rc : fields_put(fields, value, (size_t)(end - value));
	fields->count += rc == 0;
	return rc;
}

/* The pair with number @index, or the first one that is called @name. */
static bool fields_find(const struct fields *fields, const char *name, size_t index, const char **ret_name,
			const char **ret_value)
{
	const char *at = fields->text;

	for (size_t i = 0; i < fields->count; i++) {
		const char *value = at + strlen(at) + 1;

		if (name ? !strcasecmp(at, name) : i == index) {
			*ret_name = at;
			*ret_value = value;
			return true;
		}
		at = value + strlen(value) + 1;
	}
	return false;
}

const char *hilo__client_field(const struct fields *fields, const char *name)
{
	const char *found, *value;

	return fields_find(fields, name, 0, &found, &value) ? value : NULL;
}

bool hilo__client_field_at(const struct fields *fields, size_t index, const char **name, const char **value)
{
	return fields_find(fields, NULL, index, name, value);
}

/* ---- The header ---- */

/* [lock] Whether there is what the one who waits wants. */
static bool transfer_has(const struct transfer *t, enum want want)
{
	if (t->done)
		return true;
	switch (want) {
	case WANT_HEADER:
		return t->header_done && !t->discard;
	case WANT_DATA:
		return t->tail > t->head;
	case WANT_ALL:
		return t->tail - t->head > t->limit;
	default:
		return false;
	}
}

/* [lock, which is given back] Wake who waits, if there is what he waits for. */
static void transfer_unlock(struct transfer *t)
{
	bool wake = t->waiting && transfer_has(t, t->want);

	if (wake)
		t->waiting = false;
	spin_unlock(&t->lock);
	if (wake)
		(void)hilo_event_set(&t->event);
}

/* "HTTP/1.1 200 OK": a header begins. */
static void header_begin(struct transfer *t, const char *line, size_t size)
{
	char text[32] = "", *at;

	memcpy(text, line, size < sizeof(text) - 1 ? size : sizeof(text) - 1);
	t->version = 10 * (int)strtol(text + 5, &at, 10);
	if (*at == '.')
		t->version += (int)strtol(at + 1, &at, 10);
	t->status = (int)strtol(at, NULL, 10);
	t->header.used = t->header.count = 0;
}

static bool is_redirect(const struct transfer *t)
{
	return (t->status >= 301 && t->status <= 303) || t->status == 307 || t->status == 308;
}

/* The empty line: unless more are to come it is the one. */
static void header_end(struct transfer *t)
{
	if (t->status < 200)
		return;
	spin_lock(&t->lock);
	t->header_done = true;
	t->discard = t->follow && is_redirect(t) && hilo__client_field(&t->header, "Location");
	transfer_unlock(t);
}

size_t hilo__client_on_header(char *data, size_t size, size_t n, void *arg)
{
	struct transfer *t = arg;
	struct fields *fields = t->header_done ? &t->trailers : &t->header;
	size_t length = n *= size;
	int rc = 0;

	while (length && (data[length - 1] == '\n' || data[length - 1] == '\r'))
		length--;
	if (!t->header_done && length >= 5 && !memcmp(data, "HTTP/", 5))
		header_begin(t, data, length);
	else if (length && fields->used + length > t->session->set.header)
		rc = -EMSGSIZE;
	else if (length)
		rc = fields_add(fields, data, length);
	else if (!t->header_done)
		header_end(t);
	if (rc == 0)
		return n;
	hilo__client_fail(t, rc, rc == -ENOMEM ? "out of memory" : "its header is too long");
	return 0;
}

/* ---- The body ---- */

/* Bytes that its data has room for at first: not more than are announced, with a NUL. */
static size_t data_least(const struct transfer *t)
{
	curl_off_t announced = -1;

	(void)curl_easy_getinfo(t->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &announced);
	return announced >= 0 && (size_t)announced < DATA_MIN ? (size_t)announced + 1 : DATA_MIN;
}

/* Have room for @n bytes behind tail, and a NUL. */
static bool data_room(struct transfer *t, size_t n)
{
	size_t level, size, least;
	char *data, *old;

	spin_lock(&t->lock);
	level = t->tail - t->head;
	if (t->head && (!level || t->size < t->tail + n + 1)) {
		/* what was read makes room; few bytes are left of it mostly */
		if (level <= DATA_MIN && t->size > level + n) {
			memmove(t->data, t->data + t->head, level);
			t->head = 0;
			t->tail = level;
		}
	}
	size = t->size;
	if (size > t->tail + n) {
		spin_unlock(&t->lock);
		return true;
	}
	spin_unlock(&t->lock);
	size = 2 * level < level + n + 1 ? level + n + 1 : 2 * level;
	least = data_least(t);
	size = size < least ? least : size;
	data = hilo__malloc(size);
	if (!data)
		return false;
	spin_lock(&t->lock);
	level = t->tail - t->head; /* not more than before */
	if (level)
		memcpy(data, t->data + t->head, level);
	old = t->data;
	t->data = data;
	t->size = size;
	t->head = 0;
	t->tail = level;
	spin_unlock(&t->lock);
	hilo__free(old);
	return true;
}

size_t hilo__client_on_body(char *data, size_t size, size_t n, void *arg)
{
	struct transfer *t = arg;
	bool full, unwanted;

	n *= size;
	spin_lock(&t->lock);
	unwanted = t->discard || t->abandoned;
	if (unwanted)
		t->discarded += n;
	full = !unwanted && t->tail - t->head >= t->window;
	t->paused_in = full;
	spin_unlock(&t->lock);
	if (full)
		return CURL_WRITEFUNC_PAUSE;
	if (unwanted)
		return t->discarded <= DISCARD_MAX ? n : 0;
	if (!data_room(t, n)) {
		hilo__client_fail(t, -ENOMEM, "out of memory");
		return 0;
	}
	memcpy(t->data + t->tail, data, n); /* I4 */
	spin_lock(&t->lock);
	t->tail += n;
	transfer_unlock(t);
	return n;
}

/* ---- Waiting ---- */

int hilo__client_wait(struct transfer *t, enum want want, hilo_time deadline)
{
	int rc = 0;

	spin_lock(&t->lock);
	while (!transfer_has(t, want) && rc == 0) {
		t->want = want;
		t->waiting = true;
		(void)hilo_event_clear(&t->event);
		spin_unlock(&t->lock);
		rc = hilo_event_wait(&t->event, deadline);
		spin_lock(&t->lock);
		t->waiting = false;
	}
	if (transfer_has(t, want))
		rc = 0;
	spin_unlock(&t->lock);
	return rc;
}
