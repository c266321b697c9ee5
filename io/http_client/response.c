/* SPDX-License-Identifier: MIT */
/* response.c - what came, for who has asked. */
#include "io/http_client/client_impl.h"

#include <errno.h>

#include <hilo/runtime/error.h>

#include "scheduler/base/mem.h"

int hilo_http_response_status(const hilo_http_response *response)
{
	return response ? response->transfer->status : 0;
}

int hilo_http_response_version(const hilo_http_response *response)
{
	return response ? response->transfer->version : 0;
}

const char *hilo_http_response_url(const hilo_http_response *response)
{
	return response ? response->url : NULL;
}

unsigned hilo_http_response_redirects(const hilo_http_response *response)
{
	return response ? response->redirects : 0;
}

const char *hilo_http_response_field(const hilo_http_response *response, const char *name)
{
	return response && name ? hilo__client_field(&response->transfer->header, name) : NULL;
}

int hilo_http_response_field_at(const hilo_http_response *response, size_t index, const char **name,
				const char **value)
{
	if (!response || !name || !value)
		return hilo_fail(-EINVAL, "hilo_http_response_field_at: response %p, name %p, value %p",
				 (const void *)response, (void *)name, (void *)value);
	return hilo__client_field_at(&response->transfer->header, index, name, value) ? 0 : -ENOENT;
}

const char *hilo_http_response_trailer(const hilo_http_response *response, const char *name)
{
	struct transfer *t = response ? response->transfer : NULL;
	bool done = false;

	if (t) {
		spin_lock(&t->lock);
		done = t->done; /* I4 */
		spin_unlock(&t->lock);
	}
	return done && name ? hilo__client_field(&t->trailers, name) : NULL;
}

int hilo_http_response_check(const hilo_http_response *response)
{
	if (!response)
		return hilo_fail(-EINVAL, "hilo_http_response_check: response is NULL");
	if (response->transfer->status < 400)
		return 0;
	return hilo_fail(-EREMOTEIO, "%s %s: status %d", response->method, response->url,
			 response->transfer->status);
}

/* ---- The body ---- */

/* A failure of the transfer, as this response's. */
static int response_fail(const hilo_http_response *response, int rc)
{
	const struct transfer *t = response->transfer;
	const char *why = t->why[0] ? t->why : t->error[0] ? t->error : hilo_strerror(rc);

	return hilo_fail(rc, "%s %s: %s", response->method, response->url, why);
}

/* [lock] Why there is nothing more; 0: there may be, or it is the end. */
static int response_state(const struct transfer *t)
{
	if (t->abandoned)
		return t->expired ? -ETIMEDOUT : HILO_ECLOSED;
	return 0;
}

/* [any] Be the one who reads. */
static int read_begin(hilo_http_response *response)
{
	struct transfer *t = response->transfer;
	int rc = hilo_checkpoint();

	if (rc < 0)
		return rc;
	spin_lock(&t->lock);
	rc = t->reading ? -EBUSY : response_state(t);
	t->reading = t->reading || rc == 0;
	spin_unlock(&t->lock);
	if (rc == -ETIMEDOUT)
		return hilo_fail(rc, "%s %s: took too long", response->method, response->url);
	return rc < 0 ? hilo_fail(rc, "%s %s: %s", response->method, response->url,
				  rc == -EBUSY ? "somebody else reads" : "the response is closed")
		      : 0;
}

/* [who reads] Wait; what came of that. */
static int read_wait(hilo_http_response *response, enum want want, hilo_time deadline)
{
	struct transfer *t = response->transfer;
	bool limited = response->limit < deadline;
	int rc = hilo__client_wait(t, want, limited ? response->limit : deadline);

	if (rc == -ETIMEDOUT && limited) {
		spin_lock(&t->lock);
		t->expired = true;
		spin_unlock(&t->lock);
		hilo__client_abandon(t);
		return hilo_fail(rc, "%s %s: took too long", response->method, response->url);
	}
	if (rc == -ETIMEDOUT)
		return hilo_fail(rc, "%s %s: nothing came in time", response->method, response->url);
	return rc;
}

/* [who reads] Let another one; and if libcurl was stopped and half of the window is free, let it go on. */
static void read_end(struct transfer *t)
{
	bool resume;

	spin_lock(&t->lock);
	t->reading = false;
	resume = t->paused_in && t->tail - t->head <= t->window / 2;
	if (resume)
		t->paused_in = false;
	spin_unlock(&t->lock);
	if (resume)
		(void)hilo__client_post(t, OP_RESUME);
}

/* [who reads; nothing was there] 0: the end; or why it cannot be read on. */
static int read_result(hilo_http_response *response)
{
	struct transfer *t = response->transfer;
	int rc;

	spin_lock(&t->lock);
	rc = response_state(t);
	rc = rc < 0 ? rc : t->rc;
	spin_unlock(&t->lock);
	return rc < 0 ? response_fail(response, rc) : 0;
}

ssize_t hilo_http_response_read(hilo_http_response *response, void *buf, size_t size, hilo_time deadline)
{
	struct transfer *t;
	size_t n;
	int rc;

	if (!response || (!buf && size))
		return hilo_fail(-EINVAL, "hilo_http_response_read: response %p, buf %p", (void *)response,
				 buf);
	t = response->transfer;
	rc = read_begin(response);
	if (rc < 0 || !size) {
		if (rc == 0)
			read_end(t);
		return rc;
	}
	rc = read_wait(response, WANT_DATA, deadline);
	spin_lock(&t->lock);
	n = t->tail - t->head;
	n = rc < 0 || t->abandoned ? 0 : n < size ? n : size;
	if (n)
		memcpy(buf, t->data + t->head, n);
	t->head += n;
	spin_unlock(&t->lock);
	if (rc == 0 && n == 0)
		rc = read_result(response);
	read_end(t);
	return rc < 0 ? rc : (ssize_t)n;
}

/* [who reads, after the end] All that is there, with a NUL. */
static ssize_t data_take(struct transfer *t, char **ret)
{
	char *data;
	size_t n;

	/* The loop has done: nobody else changes it. */
	n = t->tail - t->head;
	data = t->data;
	if (!data)
		data = hilo__malloc(1);
	if (!data)
		return -ENOMEM;
	if (t->head)
		memmove(data, data + t->head, n);
	data[n] = '\0';
	spin_lock(&t->lock);
	t->data = NULL;
	t->size = t->head = t->tail = 0;
	spin_unlock(&t->lock);
	*ret = data;
	return (ssize_t)n;
}

/* [any, after the end] Put @text back, which data_take has given; what is not needed of it. */
static char *data_restore(struct transfer *t, char *text, size_t size)
{
	spin_lock(&t->lock);
	if (!t->data) {
		t->data = text;
		t->size = size + 1;
		t->tail = size;
		text = NULL;
	}
	spin_unlock(&t->lock);
	return text;
}

/* [who reads] If libcurl was stopped and there is any room, let it go on: who waits for all takes nothing before. */
static void read_window(struct transfer *t, size_t window, size_t limit)
{
	bool resume;

	spin_lock(&t->lock);
	t->window = window;
	t->limit = limit;
	resume = t->paused_in && t->tail - t->head < window;
	if (resume)
		t->paused_in = false;
	spin_unlock(&t->lock);
	if (resume)
		(void)hilo__client_post(t, OP_RESUME);
}

ssize_t hilo_http_response_read_all(hilo_http_response *response, size_t limit, char **ret,
				    hilo_time deadline)
{
	struct transfer *t;
	size_t buffer;
	ssize_t n;
	bool more;

	if (!response || !ret || limit >= SSIZE_MAX)
		return hilo_fail(-EINVAL, "hilo_http_response_read_all: response %p, ret %p, limit %zu",
				 (void *)response, (void *)ret, limit);
	t = response->transfer;
	n = read_begin(response);
	if (n < 0)
		return n;
	buffer = t->session->set.buffer;
	read_window(t, limit < buffer ? buffer : limit + 1, limit);
	n = read_wait(response, WANT_ALL, deadline);
	spin_lock(&t->lock);
	more = t->tail - t->head > limit;
	spin_unlock(&t->lock);
	if (n == 0 && more)
		n = hilo_fail(-EMSGSIZE, "%s %s: more than %zu bytes", response->method, response->url,
			      limit);
	else if (n == 0)
		n = read_result(response);
	if (n == 0)
		n = data_take(t, ret);
	read_window(t, buffer, 0);
	read_end(t);
	return n;
}

ssize_t hilo_http_response_text(hilo_http_response *response, size_t limit, char **ret, size_t *characters,
				hilo_time deadline)
{
	size_t count = 0, size;
	char *text;
	ssize_t n = hilo_http_response_read_all(response, limit, ret ? &text : NULL, deadline);

	if (n < 0)
		return n;
	size = (size_t)n;
	n = hilo__client_decode(&text, size, hilo_http_response_field(response, "Content-Type"), &count,
				deadline);
	if (n < 0) {
		if (n != -EILSEQ && n != -EOPNOTSUPP)
			text = data_restore(response->transfer, text, size);
		hilo__free(text);
		return n;
	}
	if (characters)
		*characters = count;
	*ret = text;
	return n;
}

/* ---- The end ---- */

int hilo_http_response_close(hilo_http_response *response, hilo_time deadline)
{
	struct transfer *t;
	int rc;

	if (!response)
		return hilo_fail(-EINVAL, "hilo_http_response_close: response is NULL");
	t = response->transfer;
	hilo__client_abandon(t);
	rc = hilo__client_wait(t, WANT_END, deadline);
	if (rc == 0 && t->task) {
		/* It has no failure of its own; the wait's are ours. */
		rc = hilo_await(t->task, deadline);
		rc = hilo_task_is_done(t->task) ? 0 : rc;
	}
	return rc;
}

void hilo_http_response_free(hilo_http_response *response)
{
	if (!response)
		return;
	hilo__client_abandon(response->transfer);
	hilo_task_detach(response->transfer->task);
	response->transfer->task = NULL;
	hilo__client_transfer_unref(response->transfer);
	curl_free(response->url);
	hilo__free(response->method);
	hilo__free(response);
}
