/* SPDX-License-Identifier: MIT */
/* photos.c - JPEGs: kept as they came, and made smaller when somebody asks. */
#include "service.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define JPEG "image/jpeg"
#define WIDTH_DEFAULT 256

/* [suspends] Keep @photo, and answer. */
static int photo_keep(struct call *call, struct photo *photo)
{
	struct store *store = call->service->store;
	char location[48];
	struct text text;
	int rc = thumbnail_look(photo->data, photo->size, &photo->width, &photo->height);

	photo->created = service_now();
	if (rc == 0)
		rc = store->ops->photo_add(store, photo, call->deadline);
	if (rc < 0)
		return reply_failure(call, rc);
	(void)snprintf(location, sizeof(location), "/photos/%lld", (long long)photo->id);
	rc = hilo_http_add_field(call->request, "Location", location);
	if (rc < 0)
		return rc;
	text_init(&text);
	text_add_format(&text, "{\"id\":%lld,\"width\":%u,\"height\":%u,\"bytes\":%zu,\"created\":%lld}\n",
			(long long)photo->id, photo->width, photo->height, photo->size,
			(long long)photo->created);
	return reply_text(call, 201, "application/json", &text);
}

int photos_add(struct call *call)
{
	const char *type = hilo_http_field(call->request, "Content-Type");
	struct photo photo = {0};
	char *data;
	ssize_t n;
	int rc;

	if (!type || strcmp(type, JPEG) != 0)
		return reply_error(call, 415, "not_jpeg", "the Content-Type must be " JPEG);
	n = hilo_http_read_all(call->request, call->service->options->photo_max, &data, HILO_FOREVER);
	if (n < 0)
		return reply_body_failure(call, n);
	call_begin(call);
	photo.data = data;
	photo.size = (size_t)n;
	rc = photo_keep(call, &photo);
	free(data);
	return rc;
}

/* A copy of a photo, which is the store's only for a moment. */
struct copy {
	void *data;
	size_t size;
};

/* [store] */
static int copy_photo(const struct photo *photo, void *arg)
{
	struct copy *copy = arg;

	copy->data = malloc(photo->size);
	if (!copy->data)
		return -ENOMEM;
	memcpy(copy->data, photo->data, photo->size);
	copy->size = photo->size;
	return 0;
}

/* [suspends] 0; less: a failure, for reply_failure. */
static int photo_find(struct call *call, int64_t id, struct copy *ret)
{
	struct store *store = call->service->store;
	int rc;

	ret->data = NULL;
	rc = store->ops->photo_get(store, id, copy_photo, ret, call->deadline);
	if (rc < 0)
		free(ret->data);
	return rc;
}

int photos_get(struct call *call)
{
	struct copy copy;
	int64_t id;
	int rc = call_id(call, &id);

	if (rc != 0)
		return rc;
	rc = photo_find(call, id, &copy);
	if (rc < 0)
		return reply_failure(call, rc);
	rc = reply(call, 200, JPEG, copy.data, copy.size);
	free(copy.data);
	return rc;
}

int photos_thumbnail(struct call *call)
{
	struct thumbnails *thumbnails = &call->service->thumbnails;
	struct copy copy;
	int64_t id, width;
	void *made;
	size_t size;
	int rc = call_id(call, &id);

	if (rc == 0)
		rc = call_number(call, "width", 1, THUMBNAIL_WIDTH_MAX, WIDTH_DEFAULT, &width);
	if (rc != 0)
		return rc;
	rc = thumbnails_enter(thumbnails, call->deadline); /* first: those that wait hold no photo */
	if (rc < 0)
		return reply_failure(call, rc);
	rc = photo_find(call, id, &copy);
	if (rc == 0) {
		rc = thumbnail_make(thumbnails, copy.data, copy.size, (unsigned)width, &made, &size,
				    call->deadline);
		free(copy.data);
	}
	thumbnails_leave(thumbnails);
	if (rc < 0)
		return reply_failure(call, rc);
	rc = reply(call, 200, JPEG, made, size);
	free(made);
	return rc;
}

int photos_delete(struct call *call)
{
	struct store *store = call->service->store;
	int64_t id;
	int rc = call_id(call, &id);

	if (rc != 0)
		return rc;
	rc = store->ops->photo_delete(store, id, call->deadline);
	return rc < 0 ? reply_failure(call, rc) : reply(call, 204, NULL, NULL, 0);
}
