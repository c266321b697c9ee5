/* SPDX-License-Identifier: MIT */
/*
 * chat_server.c - what one client says, all others hear.
 *
 *	asyncio.start_server(handle_client, host, port)
 *	                                       hilo_start_server(handle_client, &room, &opts, &server, deadline)
 *	async with server: await server.serve_forever()
 *	                                       hilo_server_serve_forever(server, HILO_FOREVER)
 *	writer.get_extra_info('peername')      hilo_stream_info(client, "peername", ...)
 *	for client in clients: client.write(data); await client.drain()
 *	                                       room_say: see below
 *	finally: ...                           what comes after the loop: it is reached however that ends
 *
 * Clients have tasks of their own, on all cores, so the room has a mutex. Two things are done otherwise than asyncio's
 * tutorials do them:
 *
 * Snapshot   Who speaks takes a list of who is there, and leaves the room to others while he goes through it. One
 *            that is changed by who comes and goes meanwhile is no list to go through.
 * Outbox     Each client has a queue for OUTBOX lines, and a task that writes what is in it. Who speaks puts the line,
 *            which all share, into each queue and never waits: a client that reads slowly holds up nobody. When its
 *            queue is full, beside what the stream and the kernel hold, it is told to stderr, and disconnected:
 *            it would miss something otherwise, and not know it.
 */
#include <hilo/hilo.h>

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "options.h"
#include "print.h"

static const char help[] = "Usage: chat_server [OPTION]...\n"
			   "What one client says all others hear. Ends by Ctrl-C.\n"
			   "\n"
			   "      --host HOST  where to listen, default 127.0.0.1\n"
			   "      --port PORT  default 8888; 0: one that is free\n"
			   "      --help       print this\n"
			   "\n"
			   "A client that does not read, so that 100 lines wait for it, is disconnected.\n"
			   "Exit status: 1 an error, the address is in use, say.\n";

#define OUTBOX 100
/* What is still to be sent to one who has said that he says no more. */
#define FLUSH_LIMIT (10 * HILO_SECOND)

/* A line, in as many outboxes as there are references. */
struct line {
	atomic_uint refs;
	size_t size;
	char text[];
};

/* A client in the room. Who has taken it into a snapshot uses its outbox and its writer, nothing else. */
struct member {
	atomic_uint refs;
	atomic_flag slow;
	hilo_stream *stream; /* while its handler runs */
	hilo_queue *outbox;
	hilo_task *writer;
	char name[HILO_ADDRESS_SIZE];
};

struct room {
	hilo_mutex mutex;
	struct member **members;
	size_t count, size;
};

static void line_unref(void *item)
{
	struct line *line = item;

	if (atomic_fetch_sub(&line->refs, 1) == 1)
		free(line);
}

static struct line *line_new(const char *text, size_t size)
{
	struct line *line = malloc(sizeof(*line) + size);

	if (!line)
		return NULL;
	atomic_init(&line->refs, 1);
	line->size = size;
	memcpy(line->text, text, size);
	return line;
}

static void member_unref(struct member *member)
{
	if (atomic_fetch_sub(&member->refs, 1) != 1)
		return;
	hilo_task_unref(member->writer);
	hilo_queue_free(member->outbox);
	free(member);
}

/* Writes what is in the outbox, until there is no more to come. A stream that fails is of no use to the handler. */
static int writer_task(void *arg)
{
	struct member *self = arg;
	ssize_t n = 0;
	void *item;
	int rc;

	while (n >= 0 && (rc = hilo_queue_get(self->outbox, &item, HILO_FOREVER)) == 0) {
		struct line *line = item;

		n = hilo_stream_write(self->stream, line->text, line->size, HILO_FOREVER);
		line_unref(line);
	}
	if (n >= 0 && rc == -EPIPE)
		return 0;
	hilo_stream_abort(self->stream);
	return n < 0 ? (int)n : rc;
}

static struct member *member_new(hilo_stream *stream)
{
	hilo_queue_opts opts = {.size = sizeof(opts), .capacity = OUTBOX, .drop = line_unref};
	struct member *member = calloc(1, sizeof(*member));
	hilo_address peer;

	if (!member)
		return NULL;
	atomic_init(&member->refs, 1);
	atomic_flag_clear(&member->slow);
	member->stream = stream;
	hilo_address_pair(hilo_stream_peer(stream, &peer) == 0 ? &peer : NULL, member->name,
			  sizeof(member->name)); /* None: it has gone already */
	if (hilo_queue_new_with(&opts, &member->outbox) == 0)
		member->writer = hilo_spawn(writer_task, member);
	if (member->writer)
		return member;
	member_unref(member);
	return NULL;
}

/* [shielded] Its handler leaves: let the writer send what is there, @failed: drop it. Returns the writer's code. */
static int member_end(struct member *member, bool failed)
{
	int rc;

	hilo_queue_shutdown(member->outbox, failed);
	rc = hilo_await(member->writer, failed ? HILO_NO_WAIT : hilo_after(FLUSH_LIMIT));
	if (!hilo_task_is_done(member->writer)) {
		hilo_stream_abort(member->stream);
		rc = hilo_await(member->writer, HILO_FOREVER);
	}
	member_unref(member);
	return rc;
}

static int room_enter(struct room *room, struct member *member)
{
	int rc;

	HILO_WITH_MUTEX(&room->mutex, &rc)
	{
		if (room->count == room->size) {
			size_t size = room->size ? 2 * room->size : 16;
			struct member **members = realloc(room->members, size * sizeof(*members));

			if (!members) {
				rc = -ENOMEM;
				break;
			}
			room->members = members;
			room->size = size;
		}
		room->members[room->count++] = member;
	}
	return rc;
}

/* [shielded] */
static void room_leave(struct room *room, const struct member *member)
{
	int rc;

	HILO_WITH_MUTEX(&room->mutex, &rc)
	{
		for (size_t i = 0; i < room->count; i++)
			if (room->members[i] == member)
				room->members[i] = room->members[--room->count];
		if (room->count == 0) {
			free(room->members);
			room->members = NULL;
			room->size = 0;
		}
	}
}

/* Who is there but for @speaker, each with a reference, in *@ret, to be freed. How many, or a failure. */
static int room_snapshot(struct room *room, const struct member *speaker, struct member ***ret)
{
	int rc, n = 0;

	*ret = NULL;
	HILO_WITH_MUTEX(&room->mutex, &rc)
	{
		*ret = malloc(room->count * sizeof(**ret));
		if (!*ret) {
			rc = -ENOMEM;
			break;
		}
		for (size_t i = 0; i < room->count; i++) {
			if (room->members[i] == speaker)
				continue;
			atomic_fetch_add(&room->members[i]->refs, 1);
			(*ret)[n++] = room->members[i];
		}
	}
	return rc < 0 ? rc : n;
}

static void member_hear(struct member *member, struct line *line)
{
	int rc;

	atomic_fetch_add(&line->refs, 1);
	rc = hilo_queue_try_put(member->outbox, line);
	if (rc == 0)
		return;
	line_unref(line);
	if (rc == -EPIPE || atomic_flag_test_and_set(&member->slow))
		return; /* it is leaving */
	fprintf(stderr, "chat_server: %s: %s\n", member->name,
		rc == -EAGAIN ? "does not read what others say, and is disconnected" : hilo_strerror(rc));
	hilo_task_cancel(member->writer); /* which aborts the stream, so that the handler ends */
}

static int room_say(struct room *room, const struct member *speaker, const char *text, size_t size)
{
	struct line *line = line_new(text, size);
	struct member **members;
	int n = line ? room_snapshot(room, speaker, &members) : -ENOMEM;

	for (int i = 0; i < n; i++) {
		member_hear(members[i], line);
		member_unref(members[i]);
	}
	if (n >= 0)
		free(members);
	if (line)
		line_unref(line);
	return n < 0 ? n : 0;
}

/* [in the room] Until the client has no more to say: 0, or why not. */
static int talk(struct room *room, struct member *self, char *line)
{
	char prefix[HILO_ADDRESS_SIZE + 16];
	ssize_t n;

	printf("Nueva conexión: %s\n", self->name);
	snprintf(prefix, sizeof(prefix), "Recibido de %s: ", self->name);
	while ((n = hilo_stream_read_line(self->stream, line, LINE_SIZE + 1, HILO_FOREVER)) > 0) {
		print_line(prefix, line, (size_t)n);
		n = room_say(room, self, line, (size_t)n);
		if (n < 0)
			break;
	}
	printf("Conexión cerrada: %s\n", self->name);
	return (int)n;
}

static int handle_client(hilo_stream *client, void *arg)
{
	struct room *room = arg;
	struct member *self = member_new(client);
	char *line = malloc(LINE_SIZE + 1); /* of which as much is touched as the lines are long */
	char why[HILO_ERROR_MESSAGE_SIZE] = "";
	int rc = self && line ? room_enter(room, self) : -ENOMEM, wrote;

	if (rc == 0)
		rc = talk(room, self, line);
	if (rc < 0) /* before the message of another failure takes its place */
		snprintf(why, sizeof(why), "%s",
			 hilo_error_code() == rc ? hilo_error_message() : hilo_strerror(rc));
	free(line);
	if (!self)
		return rc;
	hilo_shield_enter();
	room_leave(room, self);
	if (atomic_flag_test_and_set(&self->slow) && rc == HILO_ECLOSED)
		rc = 0; /* that has been told */
	wrote = member_end(self, rc < 0);
	hilo_shield_leave();
	if (rc == HILO_ECLOSED)
		return wrote;
	return rc < 0 ? hilo_fail(rc, "%s", why) : rc;
}

static int program(void *arg)
{
	static struct room room = {.mutex = HILO_MUTEX_INIT};
	struct options options = {.host = "127.0.0.1", .port = 8888};
	hilo_server_opts opts = {.size = sizeof(opts),
				 .drain = HILO_MILLISECOND}; /* nobody ends by himself */
	hilo_server *server;
	hilo_address address;
	char name[HILO_ADDRESS_SIZE];
	int rc = options_parse(&options, arg, "hp", help);

	if (rc != 0)
		return rc;
	setvbuf(stdout, NULL, _IOLBF, 0); /* each line at once, also into a pipe */
	opts.host = options.host;
	opts.port = options.port;
	rc = hilo_start_server(handle_client, &room, &opts, &server, HILO_FOREVER);
	if (rc < 0)
		return rc;
	rc = hilo_server_sockname(server, 0, &address);
	if (rc == 0) {
		hilo_address_pair(&address, name, sizeof(name));
		printf("Servidor corriendo en %s\n", name);
		rc = hilo_server_serve_forever(server, HILO_FOREVER);
	}
	hilo_server_free(server);
	return rc;
}

HILO_MAIN(program);
