/* SPDX-License-Identifier: MIT */
/*
 * tls_bytes.c - the buffers of a connection, and the BIO over them: OpenSSL reads what has come, writes what is to be
 * sent, and is told to come again where there is nothing, or no memory.
 */
#include <errno.h>
#include <limits.h>

#include "io/tls_openssl_impl.h"
#include "scheduler/base/mem.h"

int hilo__tls_reserve(struct stream_buffer *buffer, const char *own, size_t size)
{
	size_t level = buffer_level(buffer);
	char *data;

	if (buffer->size - buffer->tail >= size)
		return 0;
	if (buffer->size - level >= size) {
		memmove(buffer->data, buffer->data + buffer->head, level);
		buffer->head = 0;
		buffer->tail = level;
		return 0;
	}
	if (size < STREAM_BUFFER_MIN)
		size = STREAM_BUFFER_MIN;
	data = hilo__malloc(level + size);
	if (!data)
		return -ENOMEM;
	memcpy(data, buffer->data + buffer->head, level);
	if (buffer->data != own)
		hilo__free(buffer->data);
	*buffer = (struct stream_buffer){.data = data, .size = level + size, .tail = level};
	return 0;
}

void hilo__tls_reset(struct stream_buffer *buffer, char *own, size_t size)
{
	if (buffer->data != own)
		hilo__free(buffer->data);
	*buffer = (struct stream_buffer){.data = own, .size = size};
}

static int bio_read(BIO *bio, char *into, int size)
{
	struct tls *tls = BIO_get_data(bio);
	size_t n = buffer_level(&tls->in);

	BIO_clear_retry_flags(bio);
	if (!n) {
		BIO_set_retry_read(bio);
		return -1;
	}
	if (n > (size_t)size)
		n = (size_t)size;
	memcpy(into, tls->in.data + tls->in.head, n);
	tls->in.head += n;
	return (int)n;
}

static const char *target_own(const struct tls *tls)
{
	return tls->target == &tls->out ? tls->out_inline : tls->fresh_inline;
}

static int bio_write(BIO *bio, const char *from, int size)
{
	struct tls *tls = BIO_get_data(bio);
	struct stream_buffer *to = tls->target;

	BIO_clear_retry_flags(bio);
	if (hilo__tls_reserve(to, target_own(tls), (size_t)size) < 0) {
		tls->no_memory = true;
		BIO_set_retry_write(bio);
		return -1;
	}
	memcpy(to->data + to->tail, from, (size_t)size);
	to->tail += (size_t)size;
	return size;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
	(void)bio, (void)number, (void)pointer;
	return command == BIO_CTRL_FLUSH;
}

static int bio_create(BIO *bio)
{
	BIO_set_init(bio, 1);
	return 1;
}

BIO_METHOD *hilo__tls_method_new(void)
{
	BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK | 100, "hilo");

	if (method && BIO_meth_set_read(method, bio_read) && BIO_meth_set_write(method, bio_write) &&
	    BIO_meth_set_ctrl(method, bio_ctrl) && BIO_meth_set_create(method, bio_create))
		return method;
	BIO_meth_free(method);
	return NULL;
}

BIO *hilo__tls_bio_new(struct tls *tls)
{
	BIO *bio = BIO_new(tls->context->method);

	if (bio)
		BIO_set_data(bio, tls);
	return bio;
}
