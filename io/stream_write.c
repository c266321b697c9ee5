/* SPDX-License-Identifier: MIT */
/* stream_write.c - what one who writes calls. How it is sent, and who waits for what, is in stream_send.c. */
#include <errno.h>
#include <limits.h>

#include "io/stream_impl.h"
#include "runtime/error_impl.h"
#include "scheduler/base/mem.h"

/* A write as pieces, and how far it has come. */
struct stream_source {
	const struct iovec *piece;
	size_t offset; /* in the first */
	size_t left;
};

static inline void source_copy(struct stream_source *source, char *to, size_t size)
{
	source->left -= size;
	while (size) {
		size_t n = source->piece->iov_len - source->offset;

		if (n > size)
			n = size;
		if (HILO__LIKELY(n != 0))
			memcpy(to, (const char *)source->piece->iov_base + source->offset, n);
		source->offset += n;
		if (source->offset == source->piece->iov_len)
			source->offset = 0, source->piece++;
		to += n;
		size -= n;
	}
}

/* [lock] It has @size bytes more to send. */
static inline void tx_added(hilo_stream *stream, size_t size)
{
	stream->tx.level += size;
	if (HILO__UNLIKELY(stream->tx.level > stream->high) || stream_room_is_over())
		stream->tx.full = true;
}

/* [lock, nobody has the turn] Where @size bytes can be added now; NULL: nowhere. */
static inline struct stream_buffer *tx_room(hilo_stream *stream, size_t size)
{
	struct stream_tx *tx = &stream->tx;

	if (!buffer_level(&tx->next)) {
		if (!tx->op && !buffer_level(&tx->out)) {
			tx->out.head = tx->out.tail = 0;
			if (tx->out.size < size && tx->next.size >= size) {
				struct stream_buffer larger = tx->next;

				tx->next = tx->out;
				tx->out = larger;
			}
		}
		if (tx->out.size - tx->out.tail >= size)
			return &tx->out;
		tx->next.head = tx->next.tail = 0;
	}
	return tx->next.size - tx->next.tail >= size ? &tx->next : NULL;
}

/* [has the turn, no lock, next is his] Make room for @size bytes in next. */
static int next_grow(hilo_stream *stream, size_t size)
{
	struct stream_buffer *next = &stream->tx.next;
	size_t level = buffer_level(next), wanted = STREAM_BUFFER_MIN;
	char *data;

	if (next->size - next->tail >= size)
		return 0;
	while (wanted < level + size)
		wanted *= 2;
	data = hilo__malloc(wanted);
	if (!data)
		return -ENOMEM;
	if (level)
		memcpy(data, next->data + next->head, level);
	hilo__stream_room_add((int64_t)wanted);
	hilo__stream_tx_free(stream, next);
	*next = (struct stream_buffer){.data = data, .size = wanted, .tail = level};
	return 0;
}

/* [has the turn; takes the lock and gives it back] Add @size bytes of @source. */
static int tx_add(hilo_stream *stream, struct stream_source *source, size_t size)
{
	struct stream_tx *tx = &stream->tx;
	struct list won = LIST_INIT(won);
	int rc;

	spin_lock(&stream->lock);
	tx->filling = true;
	spin_unlock(&stream->lock);
	rc = next_grow(stream, size);
	if (rc == 0)
		source_copy(source, tx->next.data + tx->next.tail, size);
	spin_lock(&stream->lock);
	tx->filling = false;
	if (stream_state(stream) >= STREAM_DROPPED || tx->error) {
		tx->next.head = tx->next.tail = 0;
		rc = tx->error ? tx->error : HILO_ECLOSED;
	} else if (rc == 0) {
		tx->next.tail += size;
		tx_added(stream, size);
	}
	hilo__stream_push(stream, &won);
	hilo__stream_unlock(stream, &won);
	return rc;
}

/* [has the turn, no lock] Add what is left, or, if @some, what there is room for. */
static int tx_add_all(hilo_stream *stream, struct stream_source *source, bool some, hilo_time deadline)
{
	size_t whole;
	int rc = 0;

	spin_lock(&stream->lock); /* the marks may be set meanwhile */
	whole = stream->high > STREAM_LIMIT ? stream->high : STREAM_LIMIT;
	spin_unlock(&stream->lock);
	do {
		size_t size = source->left < whole ? source->left : whole;

		rc = tx_add(stream, source, size);
		if (some || rc < 0 || !source->left)
			break;
		rc = hilo__stream_wait(stream, STREAM_WAIT_LOW, deadline);
	} while (rc == 0);
	return rc;
}

int hilo__stream_add(hilo_stream *stream, const void *data, size_t size, hilo_time deadline)
{
	const struct iovec piece = {.iov_base = (void *)(uintptr_t)data, .iov_len = size};
	struct stream_source source = {&piece, 0, size};

	return tx_add_all(stream, &source, false, deadline);
}

void hilo__stream_turn_end(hilo_stream *stream)
{
	struct list won = LIST_INIT(won);

	spin_lock(&stream->lock);
	stream->tx.turn = MUTANT(407, false, true); /* I2 */
	hilo__stream_push(stream, &won);
	stream->refs--;
	hilo__stream_unlock(stream, &won);
}

/* [no lock] Wait for the turn, and write. */
static HILO__NOINLINE ssize_t write_slowly(const char *call, hilo_stream *stream,
					   struct stream_source *source, bool some, hilo_time deadline)
{
	size_t size = source->left;
	int rc;

	spin_lock(&stream->lock);
	stream->refs++;
	spin_unlock(&stream->lock);
	rc = hilo__stream_wait(stream, STREAM_WAIT_TURN, deadline);
	if (rc < 0) {
		spin_lock(&stream->lock);
		stream->refs--;
		hilo__stream_unlock(stream, NULL);
		return rc == -EPIPE
			       ? hilo_fail(rc, "%s: the connection is gone, or the end was written", call)
			       : hilo__error_own(rc);
	}
	rc = tx_add_all(stream, source, some, deadline);
	hilo__stream_turn_end(stream);
	if (rc == 0 || (some && source->left < size))
		return (ssize_t)(size - source->left);
	if (source->left == size)
		return hilo__error_own(rc);
	(void)hilo_fail(rc, "%s: %s; %zu of %zu bytes were taken", call, hilo_strerror(rc),
			size - source->left, size);
	return hilo__error_sizes(rc, size - source->left, size);
}

/* [lock] Write @source, if it is small, and nothing is in its way. True: that was done, and the lock given back. */
static HILO__ALWAYS_INLINE bool write_fast(hilo_stream *stream, struct stream_source *source)
{
	struct stream_tx *tx = &stream->tx;
	struct stream_buffer *buffer;
	struct list won = LIST_INIT(won);
	size_t size = source->left;

	/* Nobody has the turn, and nobody waits for it, or for us. */
	if (HILO__UNLIKELY(!(size <= STREAM_LOCKED_COPY && stream_state(stream) == STREAM_OPEN &&
			     !tx->error && !tx->eof && !tx->full && !tx->turn && list_empty(&tx->writers) &&
			     stream->transport->can_write && (buffer = tx_room(stream, size)))))
		return false;
	source_copy(source, buffer->data + buffer->tail, size);
	buffer->tail += size;
	tx_added(stream, size);
	stream->refs++;
	hilo__stream_push(stream, &won);
	stream->refs--;
	stream_unlock(stream, &won);
	return true;
}

/* [any] Write @source, which is not empty. */
static HILO__ALWAYS_INLINE ssize_t write_source(const char *call, hilo_stream *stream,
						struct stream_source *source, bool some, hilo_time deadline)
{
	size_t size = source->left;

	spin_lock(&stream->lock);
	if (HILO__LIKELY(write_fast(stream, source)))
		return (ssize_t)size;
	if (!stream->transport->can_write && stream_state(stream) == STREAM_OPEN) {
		spin_unlock(&stream->lock);
		return hilo_fail(-EBADF, "%s: it can only be read", call);
	}
	spin_unlock(&stream->lock);
	return write_slowly(call, stream, source, some, deadline);
}

/* [any] Write @size bytes at @data, for @call. */
static HILO__ALWAYS_INLINE ssize_t write_bytes(const char *call, hilo_stream *stream, const void *data,
					       size_t size, bool some, hilo_time deadline)
{
	const struct iovec piece = {.iov_base = (void *)(uintptr_t)data, .iov_len = size};
	struct stream_source source = {&piece, 0, size};
	ssize_t n = hilo__stream_enter(stream, call);

	if (HILO__UNLIKELY(n < 0))
		return n;
	if (HILO__UNLIKELY(!size || !data || size > SSIZE_MAX)) {
		if (!size)
			return stream_closed(stream);
		return hilo_fail(-EINVAL, "%s: data is %p, size %zu", call, data, size);
	}
	n = write_source(call, stream, &source, some, deadline);
	if (n > 0)
		contend_was_free(thread_self());
	return n;
}

ssize_t hilo_stream_write(hilo_stream *stream, const void *data, size_t size, hilo_time deadline)
{
	return write_bytes("hilo_stream_write", stream, data, size, false, deadline);
}

ssize_t hilo_stream_write_some(hilo_stream *stream, const void *data, size_t size, hilo_time deadline)
{
	return write_bytes("hilo_stream_write_some", stream, data, size, true, deadline);
}

ssize_t hilo_stream_writev(hilo_stream *stream, const struct iovec *pieces, int n, hilo_time deadline)
{
	struct stream_source source = {pieces, 0, 0};
	ssize_t rc = hilo__stream_enter(stream, "hilo_stream_writev");

	if (rc < 0)
		return rc;
	if (n < 0 || (n && !pieces))
		return hilo_fail(-EINVAL, "hilo_stream_writev: pieces is %p, n %d", (const void *)pieces, n);
	for (int i = 0; i < n; i++) {
		if (pieces[i].iov_len > SSIZE_MAX - source.left || (pieces[i].iov_len && !pieces[i].iov_base))
			return hilo_fail(-EINVAL, "hilo_stream_writev: piece %d is %p, %zu bytes", i,
					 pieces[i].iov_base, pieces[i].iov_len);
		source.left += pieces[i].iov_len;
	}
	if (!source.left)
		return stream_closed(stream);
	rc = write_source("hilo_stream_writev", stream, &source, false, deadline);
	if (rc > 0)
		contend_was_free(thread_self());
	return rc;
}

ssize_t hilo__stream_write_now(hilo_stream *stream, const void *data, size_t size)
{
	const struct iovec piece = {.iov_base = (void *)(uintptr_t)data, .iov_len = size};
	struct stream_source source = {&piece, 0, size};
	int rc;

	spin_lock(&stream->lock);
	if (HILO__LIKELY(write_fast(stream, &source)))
		return (ssize_t)size;
	rc = stream->transport->can_write || stream_state(stream) != STREAM_OPEN ? 0 : -EBADF;
	spin_unlock(&stream->lock);
	if (rc == 0)
		rc = hilo__stream_try_turn(stream);
	if (rc < 0)
		return rc;
	rc = tx_add_all(stream, &source, true, HILO_NO_WAIT);
	hilo__stream_turn_end(stream);
	return rc < 0 ? rc : (ssize_t)size;
}

static int stream_wait_for(const char *call, hilo_stream *stream, enum stream_wait what, hilo_time deadline)
{
	int rc = hilo__stream_enter(stream, call);

	if (rc < 0)
		return rc;
	rc = hilo__stream_wait(stream, what, deadline);
	return rc < 0 ? hilo__error_own(rc) : 0;
}

int hilo_stream_drain(hilo_stream *stream, hilo_time deadline)
{
	return stream_wait_for("hilo_stream_drain", stream, STREAM_WAIT_LOW, deadline);
}

int hilo_stream_flush(hilo_stream *stream, hilo_time deadline)
{
	return stream_wait_for("hilo_stream_flush", stream, STREAM_WAIT_EMPTY, deadline);
}

int hilo_stream_can_write_eof(const hilo_stream *public)
{
	hilo_stream *stream = (hilo_stream *)(uintptr_t) public;
	bool can;

	if (!stream)
		return 0;
	spin_lock(&stream->lock); /* it may be given another transport */
	can = stream->transport->can_write && stream->transport->can_shut;
	spin_unlock(&stream->lock);
	return can;
}

int hilo_stream_write_eof(hilo_stream *stream)
{
	struct list won = LIST_INIT(won);
	int rc;

	if (!stream)
		return hilo_fail(-EINVAL, "hilo_stream_write_eof: stream is NULL");
	if (!hilo_stream_can_write_eof(stream))
		return hilo_fail(-EOPNOTSUPP, "hilo_stream_write_eof: the other direction would end as well");
	spin_lock(&stream->lock);
	rc = stream_closed(stream);
	if (rc == 0) {
		stream->tx.eof = true;
		stream->refs++;
		hilo__stream_push(stream, &won);
		hilo__stream_serve(stream, &won);
		stream->refs--;
	}
	hilo__stream_unlock(stream, &won);
	return rc;
}
