/* SPDX-License-Identifier: MIT */
/*
 * server_close.c - the end of a server, and of a pause. Nobody is waited for without a limit: clients are asked
 * less and less kindly, and what is told at the end is how many had to be.
 */
#include "io/server_impl.h"

#include <hilo/runtime/error.h>

#include <errno.h>

#include "runtime/error_impl.h"
#include "runtime/sized_impl.h"

int hilo_server_stop(hilo_server *server)
{
	if (!server)
		return hilo_fail(-EINVAL, "hilo_server_stop: server is NULL");
	spin_lock(&server->lock);
	server->state = SERVER_STOPPED;
	spin_unlock(&server->lock);
	hilo__members_cancel(server, &server->acceptors);
	hilo__server_sweep(server);
	return 0;
}

int hilo_server_stop_serving(hilo_server *server, hilo_time deadline)
{
	enum server_state state;
	int rc;

	if (!server)
		return hilo_fail(-EINVAL, "hilo_server_stop_serving: server is NULL");
	if (contend_is_interrupted(thread_self()))
		return hilo__error_own(-ECANCELED);
	spin_lock(&server->lock);
	state = server->state;
	if (state == SERVER_SERVING)
		server->state = SERVER_PAUSING;
	spin_unlock(&server->lock);
	if (state == SERVER_STOPPED)
		return hilo_fail(HILO_ECLOSED, "hilo_server_stop_serving: the server is stopped");
	hilo__members_cancel(server, &server->acceptors);
	hilo__server_sweep(server);
	rc = hilo_wait_group_wait(&server->accepting, deadline);
	return rc;
}

/* Clients that are there. */
static size_t clients_left(hilo_server *server)
{
	size_t clients;

	spin_lock(&server->lock);
	clients = server->stats.clients;
	spin_unlock(&server->lock);
	return clients;
}

/* [shielded] Cancel the clients that are left, then drop their connections. */
static void close_clients(hilo_server *server, hilo_server_counts *counts)
{
	size_t left = clients_left(server);

	hilo__members_cancel(server, &server->clients);
	(void)hilo_wait_group_wait(&server->serving, hilo_after(server->opts.grace));
	counts->aborted = clients_left(server);
	counts->cancelled = left - counts->aborted;
	if (!counts->aborted)
		return;
	hilo__server_abort(server);
	(void)hilo_wait_group_wait(&server->serving, hilo_after(server->opts.grace));
	counts->running = clients_left(server);
}

/* Close, whoever is cancelled meanwhile. What the wait for the clients ended with. */
static int server_close(hilo_server *server, hilo_server_counts *counts, hilo_time deadline)
{
	uint64_t before;
	bool shielded;
	int rc;

	spin_lock(&server->lock); /* those that are there, and all that are accepted until it is stopped */
	before = server->stats.clients - server->stats.accepted;
	spin_unlock(&server->lock);
	(void)hilo_server_stop(server);
	shielded = hilo_shield_enter() == 0;
	(void)hilo_event_wait(&server->over, HILO_FOREVER); /* from here on nobody comes */
	if (shielded)
		(void)hilo_shield_leave();
	spin_lock(&server->lock);
	before += server->stats.accepted;
	spin_unlock(&server->lock);
	rc = hilo_wait_group_wait(&server->serving, deadline);
	shielded = hilo_shield_enter() == 0;
	counts->drained = (size_t)before - clients_left(server);
	if (rc < 0)
		close_clients(server, counts);
	if (shielded)
		(void)hilo_shield_leave();
	return rc;
}

int hilo_server_close(hilo_server *server, hilo_server_counts *ret, hilo_time deadline)
{
	hilo_server_counts counts = {.size = sizeof(counts)};
	struct thread *self = thread_self();
	int rc;

	if (!server)
		return hilo_fail(-EINVAL, "hilo_server_close: server is NULL");
	if (ret && SIZED_OUT(hilo_server_counts, ret, &counts, running) < 0)
		return hilo_fail(-EINVAL, "hilo_server_close: ret->size is %zu", ret->size);
	if ((self->loop ? !self->task : self->closing != NULL) || hilo__server_is_mine(server)) {
		(void)hilo_server_stop(server);
		return hilo_fail(-EDEADLK, "hilo_server_close: a handler or a callback cannot wait for its "
					   "own end; the server is stopped");
	}
	if (!self->loop && !hilo__thread_record(self))
		return hilo__error_own(-ENOMEM); /* before anything has happened */
	rc = server_close(server, &counts, deadline);
	if (ret)
		(void)SIZED_OUT(hilo_server_counts, ret, &counts, running);
	if (counts.running)
		return hilo_fail(-ETIMEDOUT,
				 "hilo_server_close: %zu handlers have not returned, though "
				 "their connections are gone",
				 counts.running);
	return rc == -ECANCELED ? hilo__error_own(rc) : 0;
}

int hilo_server_serve_forever(hilo_server *server, hilo_time deadline)
{
	int rc;

	if (!server)
		return hilo_fail(-EINVAL, "hilo_server_serve_forever: server is NULL");
	rc = hilo_server_is_serving(server) ? 0 : hilo_server_start_serving(server);
	if (rc < 0 && rc != HILO_ECLOSED)
		return rc;
	rc = hilo_event_wait(&server->over, deadline);
	if (rc == -ECANCELED || rc == -ETIMEDOUT) {
		bool shielded = hilo_shield_enter() == 0;

		(void)hilo_server_close(server, NULL, hilo_after(server->opts.drain));
		if (shielded)
			(void)hilo_shield_leave();
		return hilo__error_own(rc);
	}
	if (rc == 0 && server->failure)
		return hilo_fail(server->failure, "hilo_server_serve_forever: accepting has failed: %s",
				 hilo_strerror(server->failure));
	return rc;
}

static int manager_enter(void *self)
{
	return hilo_server_is_serving(self) ? 0 : hilo_server_start_serving(self);
}

static int manager_exit(void *self, int code)
{
	hilo_server *server = self;
	int rc = hilo_server_close(server, NULL, hilo_after(server->opts.drain));

	return code < 0 ? code : rc < 0 ? rc : code;
}

const hilo_manager hilo_server_manager = {manager_enter, manager_exit};

void hilo_server_free(hilo_server *server)
{
	if (!server)
		return;
	debug_ended(&server->open);
	(void)hilo_server_stop(server);
	hilo__members_cancel(server, &server->clients);
	hilo__server_abort(server);
	hilo__server_unref(server);
}
