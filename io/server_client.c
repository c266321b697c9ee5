/* SPDX-License-Identifier: MIT */
/* server_client.c - the tasks of clients: the handler, what becomes of its failure, and the end of the stream. */
#include "io/server_impl.h"

#include <hilo/runtime/error.h>
#include <hilo/runtime/exception.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "io/conn_impl.h"
#include "io/connect_impl.h"
#include "runtime/log_impl.h"
#include "scheduler/base/mem.h"
#include "scheduler/base/sys.h"

/* Clients whose streams are aborted between two holds of the lock. */
#define BATCH 16

/* [who has a reference] I5. */
static void client_unref(struct client *client)
{
	struct hilo_server *server = client->member.server;
	bool last;

	spin_lock(&server->lock);
	last = --client->refs == 0;
	server->stats.clients -= last;
	spin_unlock(&server->lock);
	if (!last)
		return;
	if (client->fd >= 0)
		(void)hilo__sys_close(client->fd);
	hilo_stream_free(client->stream);
	hilo__free(client);
	if (server->opts.max_clients)
		(void)hilo_semaphore_release(&server->places, 1);
	(void)hilo_wait_group_done(&server->serving);
	hilo__server_unref(server);
}

/* [any] Its task is gone, whether it has run or not. */
static void client_destroy(void *arg)
{
	struct client *client = arg;

	hilo__member_end(&client->member);
	client_unref(client);
}

/* Write its address as text: the length, as snprintf. */
static HILO__COLD int client_format(const struct client *client, char *text, size_t size)
{
	struct sockaddr_storage name;
	hilo_address peer = {0};

	memcpy(&name, client->peer, client->peer_length);
	(void)!hilo_address_from((struct sockaddr *)&name, client->peer_length, &peer);
	return hilo_address_format(&peer, text, size);
}

/* Its handler, or the making of its stream, has failed. */
static HILO__COLD void client_failed(struct client *client, int rc)
{
	struct hilo_server *server = client->member.server;
	char text[HILO_ADDRESS_SIZE + HILO_ERROR_MESSAGE_SIZE + 16];
	int length = snprintf(text, sizeof(text), "client ");
	hilo_exception exception = {.size = sizeof(exception),
				    .kind = HILO_EXCEPTION_TASK,
				    .code = rc,
				    .message = text,
				    .task = hilo_task_name(hilo_task_current()),
				    .task_id = hilo_task_id(hilo_task_current()),
				    .site = server->site,
				    .runtime = server->runtime};

	length += client_format(client, text + length, sizeof(text) - (size_t)length);
	(void)snprintf(text + length, sizeof(text) - (size_t)length, ": %s",
		       hilo_error_code() == rc ? hilo_error_message() : hilo_strerror(rc));
	spin_lock(&server->lock);
	server->stats.failed++;
	spin_unlock(&server->lock);
	(void)hilo_call_exception_handler(&exception);
}

/* Whether @rc is what the end of the server has led to, which is no news. */
static bool client_was_ended(struct client *client, int rc)
{
	struct hilo_server *server = client->member.server;
	bool aborted;

	spin_lock(&server->lock);
	aborted = client->aborted;
	spin_unlock(&server->lock);
	return rc == -ECANCELED || (rc == HILO_ECLOSED && aborted);
}

/* The handler has returned: send what is left, even if the client's task was cancelled, but then not for long. */
static void client_close(struct client *client)
{
	const hilo_server_opts *opts = &client->member.server->opts;
	bool cancelled = hilo_task_cancelling(hilo_task_current()) > 0;
	hilo_time span = cancelled && opts->grace < opts->flush ? opts->grace : opts->flush;

	(void)hilo_shield_enter();
	(void)hilo_stream_close(client->stream, hilo_after(span));
	(void)hilo_shield_leave();
}

/* Make the handshake, if there is to be one. 0; else the handler is not called. */
static int client_encrypt(struct client *client)
{
	struct hilo_server *server = client->member.server;
	hilo_tls_context *tls = server->opts.tls;
	char text[HILO_ADDRESS_SIZE];
	int rc = tls ? tls->ops->start(client->stream, tls, &server->tls_opts, "a server", HILO_FOREVER) : 0;

	if (HILO__LIKELY(rc == 0) || client_was_ended(client, rc))
		return rc;
	(void)client_format(client, text, sizeof(text));
	hilo__log(HILO_LOG_DEBUG, "client %s: %s", text, hilo_error_message());
	spin_lock(&server->lock);
	server->stats.refused++;
	spin_unlock(&server->lock);
	return rc;
}

static int client_main(void *arg)
{
	struct client *client = arg;
	struct hilo_server *server = client->member.server;
	hilo_stream *stream;
	bool aborted;
	int rc;

	if (!hilo__member_begin(&client->member))
		return 0;
	rc = client->fd;
	client->fd = -1;
	rc = hilo__connection_new(rc, server->runtime, server->site, &server->stream_opts, &stream);
	if (rc < 0) {
		client_failed(client, rc);
		return 0;
	}
	spin_lock(&server->lock);
	client->stream = stream;
	aborted = client->aborted;
	spin_unlock(&server->lock);
	if (aborted)
		(void)hilo_stream_abort(stream);
	if (client_encrypt(client) < 0)
		return 0;
	rc = server->handler(stream, server->arg);
	if (rc < 0 && !client_was_ended(client, rc))
		client_failed(client, rc);
	client_close(client);
	return 0;
}

HILO__COLD void hilo__server_refuse(struct hilo_server *server, int fd)
{
	(void)hilo__sys_close(fd);
	spin_lock(&server->lock);
	server->stats.turned_away++;
	spin_unlock(&server->lock);
	if (server->opts.max_clients)
		(void)hilo_semaphore_release(&server->places, 1);
}

void hilo__server_serve(struct hilo_server *server, int fd, const hilo_address *peer)
{
	hilo_task_opts opts = {.size = sizeof(opts), .destroy = client_destroy, .stack = server->opts.stack};
	struct client *client = hilo__calloc(1, sizeof(*client) + peer->length);

	if (!client) {
		hilo__server_refuse(server, fd);
		return;
	}
	client->refs = 1;
	client->fd = fd;
	client->peer_length = peer->length;
	memcpy(client->peer, (const char *)peer + offsetof(hilo_address, any), peer->length);
	client->member.server = server;
	list_init(&client->member.link);
	(void)hilo_wait_group_add(&server->serving, 1);
	spin_lock(&server->lock);
	server->refs++;
	server->stats.accepted++;
	if (++server->stats.clients > server->stats.most)
		server->stats.most = server->stats.clients;
	list_add_tail(&server->clients, &client->member.link);
	spin_unlock(&server->lock);
	if (hilo_spawn_with(client_main, client, &opts, NULL) == 0)
		return;
	spin_lock(&server->lock);
	server->stats.accepted--;
	server->stats.turned_away++;
	spin_unlock(&server->lock);
	client_destroy(client);
}

void hilo__server_abort(struct hilo_server *server)
{
	struct client *clients[BATCH];
	struct list *at;
	unsigned n;

	do {
		n = 0;
		spin_lock(&server->lock);
		list_for_each (at, &server->clients) {
			struct client *client = list_entry(at, struct client, member.link);

			if (client->aborted || n == BATCH)
				continue;
			client->aborted = true;
			if (!client->stream)
				continue; /* it sees to that itself */
			client->refs++;
			clients[n++] = client;
		}
		spin_unlock(&server->lock);
		for (unsigned i = 0; i < n; i++) {
			(void)hilo_stream_abort(clients[i]->stream);
			client_unref(clients[i]);
		}
	} while (n == BATCH);
}

/* [lock] @task runs the handler of @client, or calls back as the writer of its connection, @written. */
static bool client_is_of(const struct client *client, const struct hilo_task *task,
			 const hilo_stream *written)
{
	return client->member.task == task || (written && client->stream == written);
}

bool hilo__server_is_mine(struct hilo_server *server)
{
	const struct hilo_task *task = hilo_task_current();
	const hilo_stream *written = hilo__conn_written_by(task);
	struct list *at;
	bool mine = false;

	if (!task)
		return false;
	spin_lock(&server->lock);
	list_for_each (at, &server->clients)
		mine |= client_is_of(list_entry(at, struct client, member.link), task, written);
	spin_unlock(&server->lock);
	return mine;
}
