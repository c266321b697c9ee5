/* SPDX-License-Identifier: MIT */
/*
 * datagram_batch.c - several datagrams in one call of the kernel. What has to wait is one operation, for one
 * datagram; what is there, or has room, moves with recvmmsg and sendmmsg, which do not wait.
 *
 * Rejected: an operation for each, given to the kernel together. It makes the same calls inside, one by one, and
 * each has to be queued, completed and told of besides; and of those that wait for what does not come each has to
 * be ended.
 */
#include "io/datagram_impl.h"

#include <hilo/runtime/error.h>

#include <errno.h>

#include "io/sock_impl.h"
#include "io/socket_impl.h"
#include "runtime/contend_impl.h"

/* Moved at a time: 3.4 KiB of stack. */
#define CHUNK 16u

struct chunk {
	struct mmsghdr message[CHUNK];
	struct iovec piece[CHUNK];
	struct sockaddr_storage name[CHUNK];
};

/* Nothing that is to be moved is NULL. */
static int batch_check(const char *call, const hilo_udp_message *messages, unsigned n)
{
	if (!messages && n)
		return hilo_fail(-EINVAL, "%s: messages is NULL", call);
	for (unsigned i = 0; i < n; i++)
		if (!messages[i].data && messages[i].size)
			return hilo_fail(-EINVAL, "%s: message %u is NULL, of %zu bytes", call, i,
					 messages[i].size);
	return 0;
}

/* [user] What is there, up to @n, without waiting. How many, or -EAGAIN, ... */
static int batch_take(hilo_udp *udp, hilo_udp_message *messages, unsigned n)
{
	struct chunk chunk;
	int got;

	n = n < CHUNK ? n : CHUNK;
	for (unsigned i = 0; i < n; i++)
		hilo__message_init(&chunk.message[i].msg_hdr, &chunk.piece[i], messages[i].data,
				   messages[i].size, &chunk.name[i], sizeof(chunk.name[i]));
	got = hilo__sock_recvmmsg(udp->fd, chunk.message, n);
	for (int i = 0; i < got; i++) {
		messages[i].length = chunk.message[i].msg_len;
		hilo__message_from(&chunk.message[i].msg_hdr, &messages[i].address);
	}
	return got;
}

int hilo_udp_receive_batch(hilo_udp *udp, hilo_udp_message *messages, unsigned n, hilo_time deadline)
{
	unsigned got = 1;
	ssize_t size;
	int more;

	if (!udp)
		return hilo_fail(-EINVAL, "hilo_udp_receive_batch: udp is NULL");
	more = batch_check("hilo_udp_receive_batch", messages, n);
	if (more < 0 || !n)
		return more;
	size = hilo_udp_receive(udp, messages->data, messages->size, &messages->address, deadline);
	if (size < 0)
		return (int)size;
	messages->length = (size_t)size;
	if (n == 1 || hilo__udp_enter(udp, "hilo_udp_receive_batch") < 0)
		return 1;
	do {
		more = batch_take(udp, messages + got, n - got);
		got += more > 0 ? (unsigned)more : 0;
	} while (more == (int)CHUNK && got < n);
	(void)hilo__udp_leave(udp, 0);
	return (int)got;
}

/* [user] Send up to @n that have room at once. How many, or -EAGAIN, ... */
static int batch_give(hilo_udp *udp, const hilo_udp_message *messages, unsigned n)
{
	struct chunk chunk;

	n = n < CHUNK ? n : CHUNK;
	for (unsigned i = 0; i < n; i++) {
		struct msghdr *message = &chunk.message[i].msg_hdr;
		const hilo_address *to = &messages[i].address;

		hilo__message_init(message, &chunk.piece[i], messages[i].data, messages[i].size, NULL, 0);
		message->msg_name = to->length ? (void *)(uintptr_t)&to->any : NULL;
		message->msg_namelen = to->length;
	}
	return hilo__sock_sendmmsg(udp->fd, chunk.message, n);
}

/* [user] Send the first one, when there is room. 1, or why not. */
static int batch_wait(hilo_udp *udp, const hilo_udp_message *message, hilo_time deadline)
{
	ssize_t rc = message->address.length ? hilo_udp_send_to(udp, message->data, message->size,
								&message->address, deadline)
					     : hilo_udp_send(udp, message->data, message->size, deadline);

	return rc < 0 ? (int)rc : 1;
}

int hilo_udp_send_batch(hilo_udp *udp, const hilo_udp_message *messages, unsigned n, hilo_time deadline)
{
	unsigned sent = 0;
	int rc = hilo__udp_enter(udp, "hilo_udp_send_batch");

	if (rc < 0)
		return rc;
	rc = batch_check("hilo_udp_send_batch", messages, n);
	if (rc == 0 && contend_is_interrupted(thread_self()))
		rc = hilo__error_own(-ECANCELED);
	while (rc >= 0 && sent < n) {
		rc = batch_give(udp, messages + sent, n - sent);
		if (rc == -EAGAIN)
			rc = batch_wait(udp, messages + sent, deadline);
		else if (rc < 0)
			rc = hilo__error_own_fd(rc, udp->fd);
		sent += rc > 0 ? (unsigned)rc : 0;
	}
	if (sent && deadline > 0)
		contend_was_free(thread_self());
	return (int)hilo__udp_leave(udp, sent || !n ? (int)sent : rc);
}
