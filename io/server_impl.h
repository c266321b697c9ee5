/* SPDX-License-Identifier: MIT */
#ifndef HILO_IO_SERVER_IMPL_H
#define HILO_IO_SERVER_IMPL_H

/*
 * server_impl.h - a server: sockets that listen, acceptors, clients.
 *
 *	sockets <- acceptors (tasks that accept) -> clients (a task each, which runs the handler)
 *	server_open.c  server_accept.c              server_client.c          their end: server_close.c
 *
 * One socket for each address, shared by all workers. An acceptor waits in one operation, which any thread can
 * fetch for a worker that is held, and goes on on any worker; the task of a client is fresh on the worker that has
 * accepted it, and whoever is idle steals it. On a ring there are several acceptors, since each accepts once a
 * turn.
 *
 * Both sorts of tasks are members: in a list of the server from before they are spawned until they are gone,
 * whether they have run or not (hilo_task_opts.destroy). A member that has begun has told its task; who wants it to
 * end cancels that, or leaves word for when it begins.
 *
 * I1  Everything that changes is under the lock, but for what says otherwise. Nothing suspends, cancels, wakes or
 *     closes under it.
 * I2  `refs`: the owner, and each member. The last one frees the server.
 * I3  The sockets are closed by who finds no acceptor left in a server that is stopped, and nobody who starts some:
 *     the last acceptor, or who stops, or who has started.
 * I4  `reserve` is a descriptor that is open, or -1 while somebody uses what it stood for, or when it could not be
 *     opened again. In that case the next client that is accepted makes room for it.
 * I5  A client has references: its task, and who aborts its stream, which is not done under the lock. The last one
 *     frees both; until then the client counts as being there.
 *
 * Rejected: a listening socket for each worker (SO_REUSEPORT). The kernel spreads clients by a hash of their
 * addresses, so that two of three may land in one queue while the worker of the other one is idle; those in the
 * queue of a worker that is held wait for it; and when the sockets are closed, those in their queues are lost one
 * by one.
 */
#include <hilo/io/server.h>
#include <hilo/sync/event.h>
#include <hilo/sync/semaphore.h>
#include <hilo/sync/wait_group.h>

#include "io/tls_impl.h"
#include "runtime/contend_impl.h"
#include "runtime/debug_impl.h"

/* Acceptors of one socket on a ring; over epoll one takes all that are there. */
#define SERVER_ACCEPTORS 4
#define SERVER_SOCKETS 32

enum server_state {
	SERVER_IDLE, /* nobody is accepted, for the time being */
	SERVER_SERVING,
	SERVER_PAUSING, /* the acceptors were told to end */
	SERVER_STOPPED, /* for good */
};

/* A task of the server. */
struct member {
	struct list link;
	struct hilo_server *server; /* a reference */
	struct hilo_task *task;	    /* once it has begun; a reference */
	bool told;		    /* it is to end */
};

struct server_socket {
	hilo_address name;
	int fd; /* -1: closed */
	bool listens;
	bool never_blocks;	/* was set so, to turn clients away */
	bool named_file;	/* is at a path, by the ... */
	uint64_t device, inode; /* ... file with these numbers */
};

struct acceptor {
	struct member member;
	struct server_socket *socket;
	hilo_time pause; /* when nothing is left; longer each time */
};

struct client {
	struct member member;
	unsigned refs;	     /* I5 */
	int fd;		     /* -1: the stream has it */
	hilo_stream *stream; /* once it was made */
	socklen_t
		peer_length; /* of its address, as the system calls it, which is kept while it is there: ... */
	bool aborted;	     /* or is to be, as soon as there is a stream */
	char peer[];	     /* ... so no longer than it is */
};

struct hilo_server {
	struct spinlock lock;
	uint32_t refs; /* I2 */
	enum server_state state;
	struct hilo_runtime *runtime;
	hilo_server_fn handler;
	void *arg;
	hilo_server_opts opts;
	hilo_stream_opts stream_opts;
	hilo_tls_opts tls_opts;
	struct list acceptors, clients;
	hilo_wait_group accepting, serving; /* how many there are of both */
	hilo_event over;		    /* stopped, and all acceptors are gone */
	hilo_semaphore places;		    /* if max_clients is set */
	hilo_server_stats stats;
	unsigned starting; /* I3 */
	bool swept;
	int reserve;		 /* I4 */
	int failure;		 /* why accepting has ended for good */
	bool complained;	 /* that nothing is left, and nobody was accepted since ... */
	hilo_time complained_at; /* ... and when; 0: never */
	struct debug_mark open;
	const void *site;
	unsigned sockets;
	struct server_socket socket[];
};

/* server.c */

/* [any] One less. */
void hilo__server_unref(struct hilo_server *server);

/* [member's task, first] It has begun. False: it is to end. */
bool hilo__member_begin(struct member *member);

/* [whoever ends it, holds no lock] It is not in its list any more; gives back what it has of the task. */
void hilo__member_end(struct member *member);

/* [any] Ask all of @list, one of @server's, to end. */
void hilo__members_cancel(struct hilo_server *server, struct list *list);

/* server_open.c */

/* [task, suspends] A server without acceptors that listens nowhere yet, as @opts, which were checked, say. */
int hilo__server_new(const hilo_server_opts *opts, hilo_server **ret, hilo_time deadline);

/* [any] Say, in the name of hilo_start_server, what is wrong with @address. Returns @rc. */
int hilo__server_address_failed(const hilo_address *address, int rc);

/* [any, nobody uses it] Close @socket, and remove its file. */
void hilo__server_socket_close(const struct hilo_server *server, struct server_socket *socket);

/* server_accept.c */

/* [task of the runtime, callback] Spawn the acceptors, for which the server is in state SERVING. 0, -ENOMEM, ... */
int hilo__server_accept(struct hilo_server *server);

/* [any] If nobody accepts any more, do what is due then: I3. */
void hilo__server_sweep(struct hilo_server *server);

/* server_client.c */

/* [acceptor] Serve @fd, which it consumes, from @peer. */
void hilo__server_serve(struct hilo_server *server, int fd, const hilo_address *peer);

/* [acceptor] Turn @fd away, which it consumes. */
void hilo__server_refuse(struct hilo_server *server, int fd);

/* [any] Abort the streams of all clients. */
void hilo__server_abort(struct hilo_server *server);

/* [any] The calling task is that of a client, or the second one that its connection (conn.h) has: it waits for us. */
bool hilo__server_is_mine(struct hilo_server *server);

#endif /* HILO_IO_SERVER_IMPL_H */
