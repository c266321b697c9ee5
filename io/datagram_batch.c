/* SPDX-License-Identifier: MIT */
/*
 * datagram_batch.c - several datagrams in one call of the kernel. What has to wait is one operation, for one
 * datagram; what is there, or has room, moves with recvmmsg and sendmmsg, which do not wait.
 *
 * Datagrams of one size, in a row, to the same address go as one of which the kernel, or the device, makes many (GSO):
 * all of them, or none. What it does not take so goes as before: the call changes nothing but the price. A pending
 * -EMSGSIZE, which tells of an earlier datagram, is taken for that; who is told so by the next as well is one whose
 * datagrams are still too large.
 *
 * Rejected: an operation for each, given to the kernel together. It makes the same calls inside, one by one, and
 * each has to be queued, completed and told of besides; and of those that wait for what does not come each has to
 * be ended.
 */
#include "io/datagram_impl.h"

#include <hilo/runtime/error.h>

#include <errno.h>
#include <netinet/udp.h>
#include <string.h>

#include "io/sock_impl.h"
#include "io/socket_impl.h"
#include "runtime/contend_impl.h"

/*
 * Sent as one (UDP_SEGMENT): so many are worth a call of their own, so many may be, of so many bytes in all. 65507 fit
 * an IPv4 packet, with its headers.
 */
#define SEGMENTS_LEAST 4u
#define SEGMENTS_MOST 64u
#define SEGMENTS_BYTES ((size_t)65507)
#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

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

/* How many of the first @n can go as segments: to the same, of one size, of which the last may have less. */
static unsigned batch_run(const hilo_udp_message *messages, unsigned n)
{
	const hilo_address *to = &messages->address;
	size_t size = messages->size, total = size;
	unsigned run = 1;

	if (!size || size > SEGMENTS_BYTES)
		return 1;
	n = n < SEGMENTS_MOST ? n : SEGMENTS_MOST;
	while (run < n && messages[run - 1].size == size) {
		const hilo_udp_message *next = &messages[run];

		if (!next->size || next->size > size || next->size > SEGMENTS_BYTES - total ||
		    next->address.length != to->length || memcmp(&next->address.any, &to->any, to->length))
			break;
		total += next->size;
		run++;
	}
	return run;
}

/* [user] Datagrams of fewer bytes may go as segments. */
static uint32_t segments_below(hilo_udp *udp)
{
	uint32_t below = load_relaxed(&udp->segments); /* relaxed: a hint; the kernel says what can be */
	int own;

	if (HILO__LIKELY(below))
		return below;
	/* A kernel that does not know the option would not know the header either, and send one large datagram. */
	below = hilo__sock_get(udp->fd, SOL_UDP, UDP_SEGMENT, &own) == 0 && !own ? UINT32_MAX : 1;
	store_relaxed(&udp->segments, below); /* relaxed: likewise; two find the same */
	return below;
}

/* [user] Send @n, a run, as one that the kernel, or a device, takes apart. @n, or why not: none was sent. */
static int give_segments(hilo_udp *udp, const hilo_udp_message *messages, unsigned n)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(uint16_t))];
	} control;
	const hilo_address *to = &messages->address;
	uint16_t size = (uint16_t)messages->size;
	struct iovec piece[SEGMENTS_MOST];
	struct msghdr message = {.msg_name = to->length ? (void *)(uintptr_t)&to->any : NULL,
				 .msg_namelen = to->length,
				 .msg_iov = piece,
				 .msg_iovlen = n,
				 .msg_control = &control,
				 .msg_controllen = sizeof(control)};
	int rc;

	memset(&control, 0, sizeof(control));
	control.header.cmsg_level = SOL_UDP;
	control.header.cmsg_type = UDP_SEGMENT;
	control.header.cmsg_len = CMSG_LEN(sizeof(size));
	memcpy(CMSG_DATA(&control.header), &size, sizeof(size));
	for (unsigned i = 0; i < n; i++) {
		piece[i].iov_base = messages[i].data;
		piece[i].iov_len = messages[i].size;
	}
	rc = hilo__sock_sendmsg(udp->fd, &message);
	return rc < 0 ? rc : (int)n;
}

/* Why segments have not gone, though each by itself may. Other failures are not theirs, and are told. */
static bool is_of_segments(int rc)
{
	return rc == -EINVAL || rc == -EMSGSIZE || rc == -EIO || rc == -ENOPROTOOPT || rc == -EOPNOTSUPP;
}

/* ... or this time, together: there is not so much room, or memory. */
static bool is_of_size(int rc)
{
	return rc == -EAGAIN || rc == -ENOBUFS || rc == -ENOMEM || rc == -EINTR;
}

/* [user] Send up to @n, one by one, that have room at once. How many, or -EAGAIN, ... */
static int give_each(hilo_udp *udp, const hilo_udp_message *messages, unsigned n)
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

/* How many of the first @n come before a run that is worth it. */
static unsigned batch_until_run(const hilo_udp_message *messages, unsigned n, uint32_t below)
{
	unsigned i = 1;

	n = n < CHUNK ? n : CHUNK;
	while (i < n && (messages[i].size >= below || batch_run(messages + i, n - i) < SEGMENTS_LEAST))
		i++;
	return i;
}

/* [user] Send up to @n that have room at once. How many, or -EAGAIN, ... */
static int batch_give(hilo_udp *udp, const hilo_udp_message *messages, unsigned n)
{
	uint32_t below = n < SEGMENTS_LEAST ? 0 : segments_below(udp);
	unsigned run = messages->size < below ? batch_run(messages, n) : 1;
	int rc, why;

	if (run < SEGMENTS_LEAST)
		return give_each(udp, messages, below ? batch_until_run(messages, n, below) : n);
	why = give_segments(udp, messages, run);
	if (why >= 0 || (!is_of_segments(why) && !is_of_size(why)))
		return why;
	rc = give_each(udp, messages, run);
	/* Each may go, together they may not: larger than what a link takes whole, or by a device that cannot. */
	if (rc > 0 && is_of_segments(why)) /* relaxed: a hint */
		store_relaxed(&udp->segments,
			      why == -EINVAL || why == -EMSGSIZE ? (uint32_t)messages->size : 1);
	return rc;
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
