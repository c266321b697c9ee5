/* SPDX-License-Identifier: MIT */
/*
 * reply.c - answers, and what is wrong with a request, always in the same form:
 *
 *	{"error": {"status": 400, "code": "invalid_item", "message": "\"title\" is missing"}}
 */
#include "service.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

int64_t service_now(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int reply(struct call *call, int status, const char *type, const void *data, size_t size)
{
	call->status = status;
	(void)service_is_draining(call->service, call->request); /* it may have begun meanwhile */
	return hilo_http_respond(call->request, status, type, data, size, HILO_FOREVER);
}

int reply_text(struct call *call, int status, const char *type, struct text *text)
{
	int rc = text->failed ? -ENOMEM : reply(call, status, type, text->data, text->used);

	text_fini(text);
	return rc;
}

int reply_error(struct call *call, int status, const char *code, const char *format, ...)
{
	char message[HILO_ERROR_MESSAGE_SIZE];
	struct text text;
	va_list args;

	va_start(args, format);
	(void)vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	text_init(&text);
	text_add_format(&text, "{\"error\":{\"status\":%d,\"code\":\"%s\",\"message\":", status, code);
	text_add_json(&text, message, strlen(message));
	text_add_string(&text, "}}\n");
	return reply_text(call, status, "application/json", &text);
}

static int reply_later(struct call *call, const char *code, const char *message)
{
	(void)hilo_http_add_field(call->request, "Retry-After", "1");
	return reply_error(call, 503, code, "%s", message);
}

int reply_failure(struct call *call, int rc)
{
	const char *message = hilo_error_code() == rc ? hilo_error_message() : hilo_strerror(rc);

	switch (rc) {
	case -ENOENT:
		return reply_error(call, 404, "not_found", "there is none with this id");
	case -EAGAIN:
		/* For whoever looks after it; what libpq says of a server is nothing for clients. */
		log_event(call->service->log, "overloaded", "%s", message);
		return reply_later(call, "overloaded", "it cannot be done at the moment");
	case -ETIMEDOUT:
		return reply_later(call, "timeout", "it took too long");
	case -EIO:
		log_event(call->service->log, "store", "%s", message);
		return reply_error(call, 500, "store", "the database has failed");
	case -EBADMSG:
		return reply_error(call, 422, "invalid_photo", "%s", message);
	case -EFBIG:
		return reply_error(call, 422, "too_many_pixels", "%s", message);
	case -ENOMEM:
		return reply_later(call, "memory", "there is no memory at the moment");
	default: /* 0 and more; and what the server answers for, or nobody is there to read */
		return rc;
	}
}

int reply_body_failure(struct call *call, ssize_t rc)
{
	if (rc != -EMSGSIZE)
		return (int)rc; /* the server answers */
	(void)reply_error(call, 413, "too_large", "the body is larger than it may be");
	return 1;
}

/* Digits alone. 0, -EINVAL. */
static int number_read(const char *text, int64_t *ret)
{
	char *end;

	if (*text < '0' || *text > '9' || strlen(text) > 18)
		return -EINVAL;
	*ret = strtoll(text, &end, 10);
	return *end ? -EINVAL : 0;
}

int call_id(struct call *call, int64_t *ret)
{
	const char *text = hilo_http_param(call->request, "id");
	int rc = text ? number_read(text, ret) : -EINVAL;

	if (rc == 0)
		return 0;
	rc = reply_error(call, 400, "invalid_id", "an id is a number of up to 18 digits");
	return rc < 0 ? rc : 1;
}

int call_number(struct call *call, const char *name, int64_t low, int64_t high, int64_t otherwise,
		int64_t *ret)
{
	const char *text, *first;
	int rc = hilo_http_query_at(call->request, 0, &first, &text);

	*ret = otherwise;
	if (rc == -ENOMEM) { /* else that would be as if it were not there */
		rc = reply_failure(call, rc);
		return rc < 0 ? rc : 1;
	}
	text = hilo_http_query(call->request, name);
	if (!text || (number_read(text, ret) == 0 && *ret >= low && *ret <= high))
		return 0;
	rc = reply_error(call, 400, "invalid_query", "%s is a number from %lld to %lld", name, (long long)low,
			 (long long)high);
	return rc < 0 ? rc : 1;
}
