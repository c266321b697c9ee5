/* SPDX-License-Identifier: MIT */
/*
 * stream_info.c - who is at the other end, and what else is known of a stream. What asks the descriptor is counted in
 * `busy`, so that it is not closed, and its number not somebody else's, meanwhile.
 */
#include <hilo/io/address.h>

#include <errno.h>
#include <stdio.h>

#include "io/stream_impl.h"
#include "runtime/error_impl.h"

/* [any] Keep the transport from being closed. 0, and it is in *@ret; HILO_ECLOSED. */
static int info_begin(hilo_stream *stream, struct transport **ret)
{
	int rc = 0;

	spin_lock(&stream->lock);
	if (stream_state(stream) >= STREAM_DROPPED) {
		rc = HILO_ECLOSED;
	} else {
		stream->busy++;
		stream->refs++;
		*ret = stream->transport;
	}
	spin_unlock(&stream->lock);
	return rc;
}

static void info_end(hilo_stream *stream)
{
	spin_lock(&stream->lock);
	stream->busy--;
	stream->refs--;
	hilo__stream_unlock(stream, NULL);
}

static int transport_address(const struct transport *transport, bool peer, hilo_address *ret)
{
	if (transport->fd < 0)
		return -ENOTSOCK;
	return peer ? hilo_address_of_peer(transport->fd, ret) : hilo_address_of_socket(transport->fd, ret);
}

static int stream_address(const char *call, const hilo_stream *public, bool peer, hilo_address *ret)
{
	hilo_stream *stream = (hilo_stream *)(uintptr_t) public;
	struct transport *transport;
	int rc;

	if (!stream || !ret)
		return hilo_fail(-EINVAL, "%s: %s is NULL", call, stream ? "ret" : "stream");
	rc = info_begin(stream, &transport);
	if (rc < 0)
		return rc;
	rc = transport_address(transport, peer, ret);
	info_end(stream);
	return rc;
}

int hilo_stream_peer(const hilo_stream *stream, hilo_address *ret)
{
	return stream_address("hilo_stream_peer", stream, true, ret);
}

int hilo_stream_address(const hilo_stream *stream, hilo_address *ret)
{
	return stream_address("hilo_stream_address", stream, false, ret);
}

int hilo_stream_fd(const hilo_stream *public)
{
	hilo_stream *stream = (hilo_stream *)(uintptr_t) public;
	int fd;

	if (!stream)
		return hilo_fail(-EINVAL, "hilo_stream_fd: stream is NULL");
	spin_lock(&stream->lock);
	fd = stream_state(stream) >= STREAM_DROPPED ? HILO_ECLOSED
	     : stream->transport->fd < 0	    ? -ENOENT
						    : stream->transport->fd;
	spin_unlock(&stream->lock);
	return fd;
}

static int info_address(const struct transport *transport, bool peer, char *buf, size_t size)
{
	hilo_address address;
	int rc = transport_address(transport, peer, &address);

	return rc < 0 ? -ENOENT : hilo_address_format(&address, buf, size);
}

static int info_of(struct transport *transport, const char *key, char *buf, size_t size)
{
	if (strcmp(key, "peername") == 0)
		return info_address(transport, true, buf, size);
	if (strcmp(key, "sockname") == 0)
		return info_address(transport, false, buf, size);
	if (strcmp(key, "transport") == 0)
		return snprintf(buf, size, "%s", transport->ops->name);
	if (strcmp(key, "fd") == 0 && transport->fd >= 0)
		return snprintf(buf, size, "%d", transport->fd);
	return transport->ops->info ? transport->ops->info(transport, key, buf, size) : -ENOENT;
}

int hilo_stream_info(const hilo_stream *public, const char *key, char *buf, size_t size)
{
	hilo_stream *stream = (hilo_stream *)(uintptr_t) public;
	struct transport *transport;
	int rc;

	if (!stream || !key || (!buf && size))
		return hilo_fail(-EINVAL, "hilo_stream_info: %s is NULL",
				 !stream ? "stream"
				 : !key	 ? "key"
					 : "buf");
	rc = info_begin(stream, &transport);
	if (rc < 0)
		return rc;
	rc = info_of(transport, key, buf, size);
	info_end(stream);
	return rc;
}
