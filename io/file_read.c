/* SPDX-License-Identifier: MIT */
/*
 * file_read.c - reading at the position: what is asked for is looked for in the buffer, which is filled as far as that
 * takes, and taken out of it once it is there. So a read that fails or ends early has nothing to give back.
 */
#include "io/file_impl.h"

#include <hilo/runtime/error.h>

#include <errno.h>
#include <limits.h>

#include "runtime/error_impl.h"
#include "scheduler/base/mem.h"

/* What a file without a buffer reads ahead where it has to look for an end. */
#define LEAST_AHEAD 4096u
/* The first bytes that are asked for of all. */
#define ALL_AT_FIRST ((size_t)16 * 1024)

/* A read under way; on the caller's stack. */
struct reading {
	const char *call;
	hilo_file *file;
	hilo_time deadline;
};

static inline size_t ahead(const hilo_file *file)
{
	return file->in.end - file->in.at;
}

static inline char *ahead_bytes(const hilo_file *file)
{
	return file->in.data + file->in.at;
}

/* [claimed] @n bytes of the buffer are read. */
static void ahead_take(hilo_file *file, size_t n)
{
	file->in.at += n;
	file->position += (int64_t)n;
	if (file->in.at == file->in.end)
		file->in.at = file->in.end = 0;
}

/* [any] Come in to read. 0, or why not, with a message. */
static int reading_begin(struct reading *r, const char *call, hilo_file *file, hilo_time deadline)
{
	int rc = hilo__file_claim(file, call);

	*r = (struct reading){call, file, deadline};
	if (rc < 0)
		return rc;
	if (!file->can_read)
		rc = hilo_fail(-EBADF, "%s: the file is not open to read", call);
	else if (file->sending || file->out.end) {
		rc = hilo__file_flush(file, deadline);
		if (rc < 0)
			rc = hilo__file_failed(rc, call, "what was written before");
	}
	return rc < 0 ? (int)hilo__file_release(file, rc) : 0;
}

static ssize_t reading_end(const struct reading *r, ssize_t rc)
{
	if (HILO__UNLIKELY(rc < 0) && rc != -EMSGSIZE && rc != HILO_EINCOMPLETE && rc != -EINVAL)
		rc = hilo__file_failed((int)rc, r->call, "a file");
	return hilo__file_release(r->file, rc);
}

/* [claimed] A buffer of at least @size bytes, and more than what is in it. 0, -ENOMEM. */
static int ahead_room(hilo_file *file, size_t size)
{
	struct file_buffer *in = &file->in;
	size_t n = ahead(file);
	char *data;

	if (size <= n)
		size = n + LEAST_AHEAD;
	if (in->size >= size) {
		if (in->size - in->at >= size && in->end < in->size)
			return 0;
		memmove(in->data, in->data + in->at, n);
	} else {
		data = hilo__malloc(size);
		if (!data)
			return -ENOMEM;
		if (n)
			memcpy(data, in->data + in->at, n);
		hilo__free(in->data);
		in->data = data;
		in->size = size;
	}
	in->at = 0;
	in->end = n;
	return 0;
}

/* [claimed, suspends] Read more into the buffer, which is to be of @size bytes at least. How many; 0: the end. */
static ssize_t ahead_more(const struct reading *r, size_t size)
{
	hilo_file *file = r->file;
	size_t least = file->buffer ? file->buffer : LEAST_AHEAD;
	struct iovec piece;
	ssize_t n = ahead_room(file, size > least ? size : least);

	if (n < 0)
		return n;
	piece.iov_base = file->in.data + file->in.end;
	piece.iov_len = file->in.size - file->in.end;
	n = hilo__file_read_at(file, &piece, 1, piece.iov_len, file->position + (int64_t)ahead(file),
			       r->deadline);
	file->in.end += n > 0 ? (size_t)n : 0;
	return n;
}

/* [claimed, suspends] Into @buf, past the buffer. */
static ssize_t read_past(const struct reading *r, void *buf, size_t size, int64_t offset)
{
	struct iovec piece = {buf, size < FILE_PIECE ? size : FILE_PIECE};

	return hilo__file_read_at(r->file, &piece, 1, piece.iov_len, offset, r->deadline);
}

ssize_t hilo_file_read(hilo_file *file, void *buf, size_t size, hilo_time deadline)
{
	struct reading r;
	ssize_t n = reading_begin(&r, "hilo_file_read", file, deadline);

	if (n < 0)
		return n;
	if (!buf && size)
		return reading_end(&r, hilo_fail(-EINVAL, "hilo_file_read: buf is NULL"));
	if (!ahead(file) && size >= file->buffer) {
		n = size ? read_past(&r, buf, size, file->position) : 0;
		file->position += n > 0 ? n : 0;
		return reading_end(&r, n);
	}
	if (!ahead(file) && size)
		n = ahead_more(&r, 0);
	if (n >= 0) {
		n = (ssize_t)(ahead(file) < size ? ahead(file) : size);
		memcpy(buf, n ? ahead_bytes(file) : "", (size_t)n);
		ahead_take(file, (size_t)n);
	}
	return reading_end(&r, n);
}

static ssize_t read_incomplete(const struct reading *r, size_t have, size_t size)
{
	(void)hilo_fail(HILO_EINCOMPLETE, "%s: %zu bytes read on a total of %zu expected bytes", r->call,
			have, size);
	return hilo__error_sizes(HILO_EINCOMPLETE, have, size);
}

/* [claimed, suspends] Many bytes of a file with positions: it is at the next one once they are all there. */
static ssize_t read_exactly_past(const struct reading *r, char *buf, size_t size)
{
	hilo_file *file = r->file;
	size_t have = ahead(file);
	ssize_t n;

	memcpy(buf, have ? ahead_bytes(file) : "", have);
	for (; have < size; have += (size_t)n) {
		n = read_past(r, buf + have, size - have, file->position + (int64_t)have);
		if (n <= 0)
			return n < 0 ? n : read_incomplete(r, have, size);
	}
	file->in.at = file->in.end = 0;
	file->position += (int64_t)size;
	return (ssize_t)size;
}

static ssize_t read_exactly(const struct reading *r, char *buf, size_t size)
{
	hilo_file *file = r->file;
	ssize_t n;

	if (size > file->buffer && size > ahead(file) && hilo__file_kind(file) == FILE_DIRECT)
		return read_exactly_past(r, buf, size);
	while (ahead(file) < size) {
		n = ahead_more(r, size);
		if (n <= 0)
			return n < 0 ? n : read_incomplete(r, ahead(file), size);
	}
	memcpy(buf, size ? ahead_bytes(file) : "", size);
	ahead_take(file, size);
	return (ssize_t)size;
}

ssize_t hilo_file_read_exactly(hilo_file *file, void *buf, size_t size, hilo_time deadline)
{
	struct reading r;
	int rc = reading_begin(&r, "hilo_file_read_exactly", file, deadline);

	if (rc < 0)
		return rc;
	if ((!buf && size) || size > SSIZE_MAX)
		return reading_end(
			&r, hilo_fail(-EINVAL, "hilo_file_read_exactly: %zu bytes into %p", size, buf));
	return reading_end(&r, read_exactly(&r, buf, size));
}

struct separator {
	const void *bytes;
	size_t length;
};

/* The length of what @bytes begins with, up to and with @separator; 0: it is not there. It is not before @from. */
static size_t separator_find(const struct separator *separator, const char *bytes, size_t n, size_t from)
{
	const char *found;

	if (n - from < separator->length)
		return 0;
	found = separator->length == 1 ? memchr(bytes + from, *(const char *)separator->bytes, n - from)
				       : memmem(bytes + from, n - from, separator->bytes, separator->length);
	return found ? (size_t)(found - bytes) + separator->length : 0;
}

/*
 * [claimed, suspends] Have a piece up to @separator, or to the end, in the buffer. Its length; 0: the end;
 * -EMSGSIZE: it has more than @limit bytes, of which *@ret_before, and perhaps more, are before the separator.
 */
static ssize_t piece_have(const struct reading *r, const struct separator *separator, size_t limit,
			  size_t *ret_before)
{
	hilo_file *file = r->file;
	size_t from = 0, length, have;
	ssize_t n;

	for (;;) {
		have = ahead(file);
		length = have ? separator_find(separator, ahead_bytes(file), have, from) : 0;
		if (!length)
			from = have >= separator->length ? have - separator->length + 1 : 0;
		if (length || have > limit)
			break;
		n = ahead_more(r, 2 * have);
		if (n < 0)
			return n;
		if (n == 0) {
			length = have;
			break;
		}
	}
	*ret_before = length ? length - separator->length : from;
	return length > limit || (!length && have) ? -EMSGSIZE : (ssize_t)length;
}

static ssize_t read_until(const char *call, hilo_file *file, const struct separator *separator, char *buf,
			  size_t size, hilo_time deadline)
{
	struct reading r;
	ssize_t n = reading_begin(&r, call, file, deadline);
	size_t before;

	if (n < 0)
		return n;
	if (!buf || !size || size > SSIZE_MAX)
		return reading_end(&r, hilo_fail(-EINVAL, "%s: %zu bytes at %p", call, size, (void *)buf));
	n = piece_have(&r, separator, size - 1, &before);
	if (n == -EMSGSIZE) {
		(void)hilo_fail(-EMSGSIZE, "%s: it does not fit into %zu bytes", call, size);
		(void)hilo__error_sizes(-EMSGSIZE, before, size - 1);
	}
	if (n >= 0) {
		memcpy(buf, n ? ahead_bytes(file) : "", (size_t)n);
		buf[n] = '\0';
		ahead_take(file, (size_t)n);
	}
	return reading_end(&r, n);
}

static const struct separator newline = {"\n", 1};

ssize_t hilo_file_read_line(hilo_file *file, char *buf, size_t size, hilo_time deadline)
{
	return read_until("hilo_file_read_line", file, &newline, buf, size, deadline);
}

ssize_t hilo_file_read_until(hilo_file *file, const void *bytes, size_t length, char *buf, size_t size,
			     hilo_time deadline)
{
	struct separator separator = {bytes, length};

	if (!bytes || !length)
		return hilo_fail(-EINVAL, "hilo_file_read_until: the separator is %p, %zu bytes", bytes,
				 length);
	return read_until("hilo_file_read_until", file, &separator, buf, size, deadline);
}

ssize_t hilo_file_next_line(hilo_file *file, const char **ret, size_t limit, hilo_time deadline)
{
	struct reading r;
	ssize_t n = reading_begin(&r, "hilo_file_next_line", file, deadline);
	size_t before;

	if (n < 0)
		return n;
	if (!ret || !limit || limit > SSIZE_MAX / 4)
		return reading_end(&r, hilo_fail(-EINVAL, "hilo_file_next_line: ret is %p, limit %zu",
						 (void *)ret, limit));
	n = piece_have(&r, &newline, limit, &before);
	if (n == -EMSGSIZE) {
		(void)hilo_fail(-EMSGSIZE, "hilo_file_next_line: more than %zu bytes", limit);
		(void)hilo__error_sizes(-EMSGSIZE, before, limit);
	}
	if (n > 0) {
		*ret = ahead_bytes(file);
		file->in.at += (size_t)n; /* what is behind it stays where it is, until the next call */
		file->position += n;
	}
	return reading_end(&r, n);
}

/* Memory that grows up to its end. */
struct all {
	char *data;
	size_t have, size;
};

/* Room for one byte more than @limit at most. 0, -ENOMEM. */
static int all_grow(struct all *all, size_t limit)
{
	size_t size = all->size ? 4 * all->size : all->have + ALL_AT_FIRST;
	char *data;

	if (all->have < all->size)
		return 0;
	size = size < limit + 1 ? size : limit + 1;
	data = hilo__malloc(size + 1); /* a NUL */
	if (!data)
		return -ENOMEM;
	if (all->data)
		memcpy(data, all->data, all->have);
	hilo__free(all->data);
	all->data = data;
	all->size = size;
	return 0;
}

/* [claimed, suspends] To the end, of a file with positions. How many; -EMSGSIZE; a failure. */
static ssize_t all_read(const struct reading *r, struct all *all, size_t limit)
{
	hilo_file *file = r->file;
	size_t have = ahead(file);
	ssize_t n;

	if (have > limit)
		return -EMSGSIZE;
	all->have = have;
	n = all_grow(all, limit);
	if (n < 0)
		return n;
	memcpy(all->data, have ? ahead_bytes(file) : "", have);
	do {
		size_t room = all->size - all->have;

		n = read_past(r, all->data + all->have, room < FILE_AT_ONCE ? room : FILE_AT_ONCE,
			      file->position + (int64_t)all->have);
		all->have += n > 0 ? (size_t)n : 0;
		if (all->have > limit)
			return -EMSGSIZE;
		if (n > 0 && all_grow(all, limit) < 0)
			return -ENOMEM;
	} while (n > 0);
	if (n < 0)
		return n;
	file->in.at = file->in.end = 0;
	file->position += (int64_t)all->have;
	return (ssize_t)all->have;
}

/* [claimed, suspends] The same of what has none: it is in the buffer until all is there. */
static ssize_t all_fill(const struct reading *r, struct all *all, size_t limit)
{
	hilo_file *file = r->file;
	ssize_t n;

	do {
		if (ahead(file) > limit)
			return -EMSGSIZE;
		n = ahead_more(r, 2 * ahead(file));
	} while (n > 0);
	if (n < 0)
		return n;
	all->have = ahead(file);
	all->data = hilo__malloc(all->have + 1);
	if (!all->data)
		return -ENOMEM;
	memcpy(all->data, all->have ? ahead_bytes(file) : "", all->have);
	ahead_take(file, all->have);
	return (ssize_t)all->have;
}

ssize_t hilo_file_read_all(hilo_file *file, size_t limit, char **ret, hilo_time deadline)
{
	struct all all = {NULL, 0, 0};
	struct reading r;
	ssize_t n = reading_begin(&r, "hilo_file_read_all", file, deadline);

	if (n < 0)
		return n;
	if (!ret)
		return reading_end(&r, hilo_fail(-EINVAL, "hilo_file_read_all: ret is NULL"));
	limit = limit < SSIZE_MAX / 4 ? limit : SSIZE_MAX / 4;
	if (hilo__file_kind(file) == FILE_DIRECT)
		n = all_read(&r, &all, limit);
	else
		n = all_fill(&r, &all, limit);
	if (n == -EMSGSIZE) {
		(void)hilo_fail(-EMSGSIZE, "hilo_file_read_all: more than %zu bytes", limit);
		(void)hilo__error_sizes(-EMSGSIZE, all.have ? all.have : ahead(file), limit);
	}
	if (n < 0) {
		hilo__free(all.data);
		return reading_end(&r, n);
	}
	all.data[all.have] = '\0';
	*ret = all.data;
	return reading_end(&r, n);
}
