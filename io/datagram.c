/* SPDX-License-Identifier: MIT */
/* datagram.c - UDP sockets: one datagram at a time, and the end. The protocol is in datagram_impl.h. */
#include "io/datagram_impl.h"

#include <hilo/runtime/error.h>

#include <errno.h>
#include <string.h>

#include "io/sock_impl.h"
#include "io/socket_impl.h"
#include "runtime/io_impl.h"
#include "scheduler/base/mem.h"
#include "scheduler/base/sys.h"

int hilo__udp_enter(hilo_udp *udp, const char *call)
{
	uint32_t word;

	if (HILO__UNLIKELY(!udp))
		return hilo_fail(-EINVAL, "%s: udp is NULL", call);
	word = load_relaxed(&udp->word); /* relaxed: only an expected value */
	do
		if (word & UDP_CLOSED)
			return hilo_fail(HILO_ECLOSED, "%s: the socket is closed", call);
	while (!cas_acquire(&udp->word, &word, word + UDP_USER)); /* P1 */
	return 0;
}

ssize_t hilo__udp_leave(hilo_udp *udp, ssize_t rc)
{
	int fd = udp->fd; /* before: the owner may free it as soon as we have left */
	uint32_t word = MUTANT(423, sub_acq_rel(&udp->word, UDP_USER), sub_relaxed(&udp->word, UDP_USER)) -
			UDP_USER; /* P1 */

	if (HILO__LIKELY(!(word & UDP_CLOSED)))
		return rc;
	if (word < UDP_USER) {
		(void)hilo__sys_close(MUTANT(420, fd, udp->fd));
		if (word & UDP_FREED)
			hilo__free(udp);
	}
	return rc >= 0 || rc == -ECANCELED || rc == -ETIMEDOUT ? rc : hilo__error_own(HILO_ECLOSED);
}

int hilo__udp_new(int fd, const void *site, hilo_udp **ret)
{
	hilo_udp *udp = hilo__calloc(1, sizeof(*udp));

	if (!udp)
		return -ENOMEM;
	atomic_setup(&udp->word, 0);
	atomic_setup(&udp->segments, 0);
	udp->fd = fd;
	spin_init(&udp->lock);
	list_init(&udp->waiters);
	debug_opened(&udp->open, hilo__io_runtime(), DEBUG_UDP, site);
	*ret = udp;
	return 0;
}

int hilo_udp_from_fd(int fd, hilo_udp **ret)
{
	int type, rc;

	if (!ret)
		return hilo_fail(-EINVAL, "hilo_udp_from_fd: ret is NULL");
	rc = hilo__sock_get(fd, SOL_SOCKET, SO_TYPE, &type);
	if (rc < 0)
		return hilo_fail(rc, "hilo_udp_from_fd: descriptor %d is no socket", fd);
	if (type != SOCK_DGRAM)
		return hilo_fail(-EPROTOTYPE, "hilo_udp_from_fd: socket %d is not for datagrams", fd);
	return hilo__udp_new(fd, __builtin_return_address(0), ret);
}

int hilo_udp_close(hilo_udp *udp)
{
	uint32_t word;

	if (!udp)
		return hilo_fail(-EINVAL, "hilo_udp_close: udp is NULL");
	word = load_relaxed(&udp->word); /* relaxed: only an expected value */
	do
		if (word & UDP_CLOSED)
			return 0;
	while (!cas_acquire(&udp->word, &word,
			    (word | UDP_CLOSED) + MUTANT(421, UDP_USER, 2 * UDP_USER))); /* P1 */
	debug_ended(&udp->open);
	hilo__udp_rouse(udp);
	(void)hilo__udp_leave(udp, 0);
	return 0;
}

void hilo_udp_free(hilo_udp *udp)
{
	if (!udp)
		return;
	(void)hilo_udp_close(udp);
	if (or_acq_rel(&udp->word, UDP_FREED) < UDP_USER) /* P1 */
		hilo__free(udp);
}

/* Come in, with @data of @size bytes. */
static int udp_enter_with(hilo_udp *udp, const char *call, const void *data, size_t size)
{
	if (HILO__UNLIKELY(!data && size))
		return hilo_fail(-EINVAL, "%s: NULL, of %zu bytes", call, size);
	return hilo__udp_enter(udp, call);
}

/*
 * [user] Whether no bytes are the end. A blocking receive answers so once who closes has shut the socket down, as for
 * an empty datagram; but that has a sender. (On a Unix socket one without a name is not told apart.)
 */
static bool udp_has_ended(hilo_udp *udp, const struct msghdr *message)
{
	/* relaxed: the kernel has answered because of the shutdown, which comes after the bit */
	return !message->msg_namelen && load_relaxed(&udp->word) & UDP_CLOSED;
}

ssize_t hilo_udp_receive(hilo_udp *udp, void *buf, size_t size, hilo_address *from, hilo_time deadline)
{
	int rc = udp_enter_with(udp, "hilo_udp_receive", buf, size);
	struct sockaddr_storage name;
	struct msghdr message;
	struct iovec piece;
	struct poll_io io;

	if (rc < 0)
		return rc;
	hilo__message_init(&message, &piece, buf, size, &name, sizeof(name));
	poll_io_init(&io, POLL_IO_RECVMSG, udp->fd, &message, 0, NULL);
	io.flags = MSG_TRUNC;
	rc = hilo__udp_run(udp, &io, deadline);
	if (HILO__UNLIKELY(rc == 0 && udp_has_ended(udp, &message)))
		rc = HILO_ECLOSED;
	if (rc >= 0)
		hilo__message_from(&message, from);
	return hilo__udp_leave(udp, rc);
}

/* [user] Send to @to, or where the socket is connected to (NULL). */
static ssize_t udp_send(hilo_udp *udp, const void *data, size_t size, const hilo_address *to,
			hilo_time deadline)
{
	struct msghdr message;
	struct iovec piece;
	struct poll_io io;

	hilo__message_init(&message, &piece, data, size, NULL, 0);
	if (to && to->length) {
		message.msg_name = (void *)(uintptr_t)&to->any;
		message.msg_namelen = to->length;
	}
	poll_io_init(&io, POLL_IO_SENDMSG, udp->fd, &message, 0, NULL);
	return hilo__udp_run(udp, &io, deadline);
}

ssize_t hilo_udp_send(hilo_udp *udp, const void *data, size_t size, hilo_time deadline)
{
	int rc = udp_enter_with(udp, "hilo_udp_send", data, size);

	return rc < 0 ? rc : hilo__udp_leave(udp, udp_send(udp, data, size, NULL, deadline));
}

ssize_t hilo_udp_send_to(hilo_udp *udp, const void *data, size_t size, const hilo_address *to,
			 hilo_time deadline)
{
	int rc;

	if (!to || !to->length)
		return hilo_fail(-EINVAL, "hilo_udp_send_to: to is no address");
	rc = udp_enter_with(udp, "hilo_udp_send_to", data, size);
	return rc < 0 ? rc : hilo__udp_leave(udp, udp_send(udp, data, size, to, deadline));
}

/* Look at the socket, as long as it is open. */
static int udp_name(const hilo_udp *udp, const char *call, int (*name)(int fd, hilo_address *ret),
		    hilo_address *ret)
{
	hilo_udp *mine = (hilo_udp *)(uintptr_t)udp;
	int rc = hilo__udp_enter(mine, call);

	if (rc < 0)
		return rc;
	rc = name(mine->fd, ret);
	(void)hilo__udp_leave(mine, 0);
	return rc;
}

int hilo_udp_local(const hilo_udp *udp, hilo_address *ret)
{
	return udp_name(udp, "hilo_udp_local", hilo_address_of_socket, ret);
}

int hilo_udp_peer(const hilo_udp *udp, hilo_address *ret)
{
	return udp_name(udp, "hilo_udp_peer", hilo_address_of_peer, ret);
}

int hilo_udp_fd(const hilo_udp *udp)
{
	return udp ? udp->fd : -EINVAL;
}
