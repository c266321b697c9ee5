/* SPDX-License-Identifier: MIT */
/* server.c - servers as users see them: starting, asking, the members that all files share. See server_impl.h. */
#include "io/server_impl.h"

#include <hilo/runtime/error.h>

#include <errno.h>

#include "io/sock_impl.h"
#include "runtime/error_impl.h"
#include "runtime/io_impl.h"
#include "runtime/sized_impl.h"
#include "scheduler/base/mem.h"
#include "scheduler/base/sys.h"

/* Members that are cancelled between two holds of the lock. */
#define BATCH 16

#define SERVER_FLAGS                                                                                         \
	(HILO_SERVER_REUSE_PORT | HILO_SERVER_NO_REUSE_ADDRESS | HILO_SERVER_KEEP_ALIVE |                    \
	 HILO_SERVER_NAGLE | HILO_SERVER_NO_START | HILO_SERVER_KEEP_PATH)
#define DEFAULT_BACKLOG 4096
#define DEFAULT_DRAIN HILO_SECOND
#define DEFAULT_GRACE HILO_SECOND
#define DEFAULT_FLUSH (10 * HILO_SECOND)

_Static_assert(sizeof(hilo_server_opts) == SIZED_END(hilo_server_opts, n_fds),
	       "it ends with its last member");

void hilo__server_unref(struct hilo_server *server)
{
	bool last;

	spin_lock(&server->lock);
	last = --server->refs == 0;
	spin_unlock(&server->lock);
	if (!last)
		return;
	if (server->reserve >= 0)
		(void)hilo__sys_close(server->reserve);
	if (server->opts.tls)
		server->opts.tls->ops->unref(server->opts.tls);
	hilo__free(server);
}

bool hilo__member_begin(struct member *member)
{
	struct hilo_server *server = member->server;
	bool told;

	spin_lock(&server->lock);
	told = member->told;
	member->task = hilo_task_ref(hilo_task_current());
	spin_unlock(&server->lock);
	return !told;
}

void hilo__member_end(struct member *member)
{
	struct hilo_server *server = member->server;
	struct hilo_task *task;

	spin_lock(&server->lock);
	list_del(&member->link);
	task = member->task;
	member->task = NULL;
	spin_unlock(&server->lock);
	hilo_task_unref(task);
}

void hilo__members_cancel(struct hilo_server *server, struct list *list)
{
	struct hilo_task *tasks[BATCH];
	struct list *at;
	unsigned n;

	do {
		n = 0;
		spin_lock(&server->lock);
		list_for_each (at, list) {
			struct member *member = list_entry(at, struct member, link);

			if (member->told || n == BATCH)
				continue;
			member->told = true;
			if (member->task)
				tasks[n++] = hilo_task_ref(member->task);
		}
		spin_unlock(&server->lock);
		for (unsigned i = 0; i < n; i++) {
			(void)hilo_task_cancel_with(tasks[i], "the server is closed");
			hilo_task_unref(tasks[i]);
		}
	} while (n == BATCH);
}

static int opts_check(hilo_server_opts *opts)
{
	unsigned places = (opts->host != NULL) + (opts->hosts != NULL) + (opts->path != NULL);

	if (places > 1)
		return hilo_fail(-EINVAL, "hilo_server_opts: only one of host, hosts and path");
	if (opts->fds ? !opts->n_fds || opts->n_fds > SERVER_SOCKETS : opts->n_fds > 0)
		return hilo_fail(-EINVAL, "hilo_server_opts.n_fds is %zu", opts->n_fds);
	if (opts->fds && (places || opts->port))
		return hilo_fail(-EINVAL,
				 "hilo_server_opts: fds say where they are, not host, path and port");
	if (opts->hosts ? !opts->n_hosts || opts->n_hosts > SERVER_SOCKETS : opts->n_hosts > 0)
		return hilo_fail(-EINVAL, "hilo_server_opts.n_hosts is %zu", opts->n_hosts);
	if (opts->port > 65535 || (opts->path && opts->port))
		return hilo_fail(-EINVAL, "hilo_server_opts.port is %u", opts->port);
	if (opts->flags & ~SERVER_FLAGS)
		return hilo_fail(-EINVAL, "hilo_server_opts.flags is %#x: unknown flag", opts->flags);
	if (opts->backlog < 0 || opts->drain < 0 || opts->grace < 0 || opts->flush < 0)
		return hilo_fail(-EINVAL, "hilo_server_opts: a negative backlog, drain, grace or flush");
	if (opts->stream && opts->stream->low > (opts->stream->high ? opts->stream->high : SIZE_MAX))
		return hilo_fail(-EINVAL, "hilo_server_opts.stream: low is %zu, high %zu", opts->stream->low,
				 opts->stream->high);
	if (opts->tls && !opts->tls->is_server)
		return hilo_fail(-EINVAL, "hilo_server_opts.tls is a context of clients");
	if ((unsigned)opts->stack > HILO_STACK_8M)
		return hilo_fail(-EINVAL, "hilo_server_opts.stack is %d", (int)opts->stack);
	if (opts->max_clients > HILO_SEMAPHORE_MAX)
		opts->max_clients = 0;
	opts->backlog = opts->backlog ? opts->backlog : DEFAULT_BACKLOG;
	opts->drain = opts->drain ? opts->drain : DEFAULT_DRAIN;
	opts->grace = opts->grace ? opts->grace : DEFAULT_GRACE;
	opts->flush = opts->flush ? opts->flush : DEFAULT_FLUSH;
	return 0;
}

int hilo_start_server(hilo_server_fn handler, void *arg, const hilo_server_opts *given, hilo_server **ret,
		      hilo_time deadline)
{
	hilo_server_opts opts = {.size = sizeof(opts)};
	struct thread *self = thread_self();
	hilo_server *server;
	int rc;

	if (!handler || !ret)
		return hilo_fail(-EINVAL, "hilo_start_server: %s is NULL", handler ? "ret" : "handler");
	if (!self->loop || !self->task)
		return hilo_fail(-EDEADLK, "hilo_start_server: only a task can");
	if (contend_is_interrupted(self))
		return hilo__error_own(-ECANCELED);
	rc = given ? SIZED_IN(hilo_server_opts, &opts, given, stream) : 0;
	if (rc == 0)
		rc = opts_check(&opts);
	if (rc == 0)
		rc = hilo__server_new(&opts, &server, deadline);
	if (rc < 0)
		return rc;
	server->handler = handler;
	server->arg = arg;
	server->site = __builtin_return_address(0);
	debug_opened(&server->open, server->runtime, DEBUG_SERVER, server->site);
	rc = opts.flags & HILO_SERVER_NO_START ? 0 : hilo_server_start_serving(server);
	if (rc < 0)
		hilo_server_free(server);
	else
		*ret = server;
	return rc;
}

int hilo_server_start_serving(hilo_server *server)
{
	struct hilo_loop *loop = thread_self()->loop;
	enum server_state state;

	if (!server)
		return hilo_fail(-EINVAL, "hilo_server_start_serving: server is NULL");
	if (!loop || loop->runtime != server->runtime)
		return hilo_fail(-EDEADLK, "hilo_server_start_serving: not inside of the server's runtime");
	spin_lock(&server->lock);
	state = server->state;
	if (state == SERVER_IDLE) {
		server->state = SERVER_SERVING;
		server->starting++;
	}
	spin_unlock(&server->lock);
	switch (state) {
	case SERVER_IDLE:
		return hilo__server_accept(server);
	case SERVER_SERVING:
		return 0;
	case SERVER_PAUSING:
		return hilo_fail(-EAGAIN, "hilo_server_start_serving: it is just being stopped");
	default:
		return hilo_fail(HILO_ECLOSED, "hilo_server_start_serving: the server is stopped");
	}
}

/* At some moment. */
static enum server_state server_state(const hilo_server *server)
{
	hilo_server *mine = (hilo_server *)(uintptr_t)server;
	enum server_state state;

	spin_lock(&mine->lock);
	state = mine->state;
	spin_unlock(&mine->lock);
	return state;
}

int hilo_server_is_serving(const hilo_server *server)
{
	return server && server_state(server) == SERVER_SERVING;
}

size_t hilo_server_sockets(const hilo_server *server)
{
	return server ? server->sockets : 0;
}

int hilo_server_sockname(const hilo_server *server, size_t index, hilo_address *ret)
{
	if (!server || !ret || index >= server->sockets)
		return hilo_fail(-EINVAL, "hilo_server_sockname: socket %zu of %zu", index,
				 hilo_server_sockets(server));
	*ret = server->socket[index].name;
	return 0;
}

size_t hilo_server_clients(const hilo_server *server)
{
	return server ? hilo_wait_group_count(&server->serving) : 0;
}

int hilo_server_get_stats(const hilo_server *server, hilo_server_stats *ret)
{
	hilo_server *mine = (hilo_server *)(uintptr_t)server;
	hilo_server_stats now;
	int rc;

	if (!server || !ret)
		return hilo_fail(-EINVAL, "hilo_server_get_stats: %s is NULL", server ? "ret" : "server");
	spin_lock(&mine->lock);
	now = mine->stats;
	spin_unlock(&mine->lock);
	rc = SIZED_OUT(hilo_server_stats, ret, &now, most);
	return rc < 0 ? hilo_fail(rc, "hilo_server_get_stats: ret->size is %zu", ret->size) : 0;
}
