/* SPDX-License-Identifier: MIT */
/*
 * server_accept.c - acceptors: tasks that accept, and what they do when nothing is left to accept with. See
 * server_impl.h.
 */
#include "io/server_impl.h"

#include <hilo/runtime/error.h>
#include <hilo/runtime/log.h>
#include <hilo/runtime/loop.h>

#include <errno.h>

#include "io/sock_impl.h"
#include "io/socket_impl.h"
#include "runtime/io_impl.h"
#include "runtime/log_impl.h"
#include "scheduler/base/clock.h"
#include "scheduler/base/mem.h"
#include "scheduler/base/sys.h"

/* Accepting pauses for 1 ms, then twice as long each time, up to this. */
#define PAUSE_MOST (128 * HILO_MILLISECOND)
/* It is told at most so often, however often one is accepted in between. */
#define COMPLAINTS_APART HILO_SECOND
/* Clients that are turned away at a time. */
#define TURN_AWAY_MOST 64

void hilo__server_sweep(struct hilo_server *server)
{
	bool sweep = false;

	spin_lock(&server->lock);
	if (list_empty(&server->acceptors) && !server->starting) {
		if (server->state == SERVER_PAUSING)
			server->state = SERVER_IDLE;
		sweep = server->state == SERVER_STOPPED && !server->swept;
		server->swept |= sweep;
	}
	spin_unlock(&server->lock);
	if (!sweep)
		return;
	for (unsigned i = 0; i < server->sockets; i++)
		hilo__server_socket_close(server, &server->socket[i]);
	(void)hilo_event_set(&server->over);
}

/* [any] It is gone, whether it has run or not. */
static void acceptor_destroy(void *arg)
{
	struct acceptor *acceptor = arg;
	struct hilo_server *server = acceptor->member.server;

	hilo__member_end(&acceptor->member);
	hilo__server_sweep(server);
	hilo__free(acceptor);
	(void)hilo_wait_group_done(&server->accepting);
	hilo__server_unref(server);
}

/* Accepting has failed for good. */
static HILO__COLD void acceptor_failed(struct acceptor *acceptor, int rc)
{
	struct hilo_server *server = acceptor->member.server;
	char text[HILO_ADDRESS_SIZE];

	(void)hilo_address_format(&acceptor->socket->name, text, sizeof(text));
	hilo__log(HILO_LOG_ERROR, "server at %s: accepting has failed, it is stopped: %s", text,
		  hilo_strerror(rc));
	spin_lock(&server->lock);
	server->failure = server->failure ? server->failure : rc;
	spin_unlock(&server->lock);
	(void)hilo_server_stop(server);
}

/* Have those who wait closed, with the descriptor that is kept for it. I4. */
static HILO__COLD void acceptor_turn_away(struct acceptor *acceptor)
{
	struct hilo_server *server = acceptor->member.server;
	struct server_socket *socket = acceptor->socket;
	unsigned n = 0;
	bool blocks;
	int reserve;

	spin_lock(&server->lock);
	reserve = server->reserve;
	server->reserve = -1;
	blocks = !socket->never_blocks;
	socket->never_blocks = true;
	spin_unlock(&server->lock);
	if (blocks)
		(void)hilo__sock_set_nonblocking(socket->fd, true);
	if (reserve >= 0) {
		(void)hilo__sys_close(reserve);
		while (n < TURN_AWAY_MOST && hilo__sock_turn_away(socket->fd) == 0)
			n++;
	}
	reserve = hilo__sock_reserve();
	spin_lock(&server->lock);
	server->stats.turned_away += n;
	if (server->reserve < 0 && reserve >= 0) {
		server->reserve = reserve;
		reserve = -1;
	}
	spin_unlock(&server->lock);
	if (reserve >= 0)
		(void)hilo__sys_close(reserve);
}

/* Nothing is left, says @rc. 0: it may be tried again; -ECANCELED. */
static HILO__COLD int acceptor_pause(struct acceptor *acceptor, int rc)
{
	struct hilo_server *server = acceptor->member.server;
	bool many = rc == -EMFILE || rc == -ENFILE, complain;
	hilo_time now = hilo__clock_now();
	char text[HILO_ADDRESS_SIZE];

	spin_lock(&server->lock);
	complain = !server->complained &&
		   (!server->complained_at || now - server->complained_at >= COMPLAINTS_APART);
	server->complained = true;
	if (complain)
		server->complained_at = now;
	server->stats.pauses++;
	spin_unlock(&server->lock);
	if (complain) {
		(void)hilo_address_format(&acceptor->socket->name, text, sizeof(text));
		hilo__log(HILO_LOG_WARNING, "server at %s: accepting pauses%s: %s", text,
			  many ? ", and who waits is turned away" : "", hilo_strerror(rc));
	}
	if (many)
		acceptor_turn_away(acceptor);
	acceptor->pause = acceptor->pause ? acceptor->pause * 2 : HILO_MILLISECOND;
	if (acceptor->pause > PAUSE_MOST)
		acceptor->pause = PAUSE_MOST;
	return hilo_sleep(acceptor->pause);
}

/* It could not be accepted. 0: the next one may be; else it is over. */
static HILO__COLD int acceptor_recover(struct acceptor *acceptor, int rc)
{
	switch (rc) {
	case -EMFILE:
	case -ENFILE:
	case -ENOBUFS:
	case -ENOMEM:
	case -ENOSPC: /* the user's limit of watched descriptors */
		return acceptor_pause(acceptor, rc);
	case -ECONNABORTED: /* the client was faster, or its network is gone */
	case -EPROTO:
	case -EPERM:
	case -ENETDOWN:
	case -ENOPROTOOPT:
	case -EHOSTDOWN:
	case -ENONET:
	case -EHOSTUNREACH:
	case -ENETUNREACH:
	case -ETIMEDOUT:
	case -EAGAIN:
		return hilo_checkpoint();
	default:
		return rc;
	}
}

/*
 * [acceptor] Whether a descriptor is kept, or can be: I4. What one acceptor has let go of to turn clients away another
 * one may have got for a client of his.
 */
static bool acceptor_keeps_one(struct hilo_server *server)
{
	int reserve;
	bool kept;

	spin_lock(&server->lock);
	kept = server->reserve >= 0;
	spin_unlock(&server->lock);
	if (HILO__LIKELY(kept))
		return true;
	reserve = hilo__sock_reserve();
	if (reserve < 0)
		return false;
	spin_lock(&server->lock);
	kept = server->reserve >= 0;
	if (!kept)
		server->reserve = reserve;
	spin_unlock(&server->lock);
	if (kept)
		(void)hilo__sys_close(reserve);
	return true;
}

static void acceptor_accepted(struct acceptor *acceptor, int fd, const hilo_address *peer)
{
	struct hilo_server *server = acceptor->member.server;

	if (HILO__UNLIKELY(!acceptor_keeps_one(server))) {
		hilo__server_refuse(server, fd); /* its number is needed more */
		(void)acceptor_keeps_one(server);
		return;
	}
	if (HILO__UNLIKELY(acceptor->pause)) {
		acceptor->pause = 0;
		spin_lock(&server->lock);
		server->complained = false;
		spin_unlock(&server->lock);
	}
	hilo__server_serve(server, fd, peer);
	contend_was_free(thread_self());
}

/*
 * [acceptor] The next client, and a place for it if there is a limit. The place is looked for when somebody is there,
 * and kept for no longer than one try takes: one who waits for a client must not keep it from those at other sockets.
 */
static int acceptor_accept(struct acceptor *acceptor, hilo_address *peer)
{
	struct hilo_server *server = acceptor->member.server;
	int fd = acceptor->socket->fd, rc;

	if (HILO__LIKELY(!server->opts.max_clients))
		return hilo__socket_accept(fd, peer, HILO_FOREVER);
	rc = hilo_fd_wait(fd, HILO_READABLE, HILO_FOREVER);
	if (rc >= 0)
		rc = hilo_semaphore_acquire(&server->places, 1, HILO_FOREVER);
	if (rc < 0)
		return rc;
	rc = hilo__socket_accept(fd, peer, HILO_NO_WAIT);
	if (rc < 0)
		(void)hilo_semaphore_release(&server->places, 1);
	return rc;
}

static int acceptor_main(void *arg)
{
	struct acceptor *acceptor = arg;
	hilo_address peer;
	int rc = hilo__member_begin(&acceptor->member) ? 0 : -ECANCELED;

	while (rc >= 0) {
		rc = acceptor_accept(acceptor, &peer);
		if (HILO__LIKELY(rc >= 0)) {
			acceptor_accepted(acceptor, rc, &peer);
			continue;
		}
		rc = acceptor_recover(acceptor, rc);
	}
	if (rc != -ECANCELED)
		acceptor_failed(acceptor, rc);
	return 0;
}

static int acceptor_start(struct hilo_server *server, struct server_socket *socket)
{
	hilo_task_opts opts = {.size = sizeof(opts), .destroy = acceptor_destroy, .stack = HILO_STACK_64K};
	struct acceptor *acceptor = hilo__calloc(1, sizeof(*acceptor));
	int rc;

	if (!acceptor)
		return hilo__error_own(-ENOMEM);
	acceptor->socket = socket;
	acceptor->member.server = server;
	list_init(&acceptor->member.link);
	(void)hilo_wait_group_add(&server->accepting, 1);
	spin_lock(&server->lock);
	server->refs++;
	acceptor->member.told = server->state != SERVER_SERVING;
	list_add_tail(&server->acceptors, &acceptor->member.link);
	spin_unlock(&server->lock);
	rc = hilo_spawn_with(acceptor_main, acceptor, &opts, NULL);
	if (rc < 0)
		acceptor_destroy(acceptor);
	return rc;
}

static int socket_serve(struct hilo_server *server, struct server_socket *socket)
{
	bool several = hilo__io_is_ring(server->runtime) && !server->opts.max_clients;
	unsigned acceptors = several ? SERVER_ACCEPTORS : 1;
	int rc = 0;

	if (!socket->listens)
		rc = hilo__sock_listen(socket->fd, server->opts.backlog);
	if (rc < 0)
		return hilo__server_address_failed(&socket->name, rc);
	socket->listens = true;
	for (unsigned i = 0; i < acceptors && rc == 0; i++)
		rc = acceptor_start(server, socket);
	return rc;
}

int hilo__server_accept(struct hilo_server *server)
{
	int rc = 0;

	for (unsigned i = 0; i < server->sockets && rc == 0; i++)
		rc = socket_serve(server, &server->socket[i]);
	spin_lock(&server->lock);
	server->starting--;
	if (rc < 0 && server->state == SERVER_SERVING)
		server->state = SERVER_PAUSING;
	spin_unlock(&server->lock);
	if (rc < 0)
		hilo__members_cancel(server, &server->acceptors);
	hilo__server_sweep(server);
	return rc;
}
