/* SPDX-License-Identifier: MIT */
/*
 * chat_client.c - what is typed goes to a chat server, what others say there is printed.
 *
 *	reader, writer = await asyncio.open_connection(host, port)
 *	                                       hilo_open_connection(host, port, NULL, &server, deadline): one stream
 *	asyncio.create_task(listen())          hilo_group_spawn(group, listen, &chat): the group waits for it
 *	await reader.readline()                hilo_stream_read_line(server, ...)
 *	await loop.run_in_executor(None, input)
 *	                                       hilo_stream_read_line(keyboard, ...): standard input is a stream like
 *	                                       others. No thread is stuck in a read, so Ctrl-C ends it at once
 *	writer.write(...); await writer.drain()
 *	                                       hilo_stream_write(server, ...)
 *	writer.close()                         reached here: at the end of the input the server is told so, and what it
 *	                                       still has to say is printed, for 5 s at most
 */
#include <hilo/hilo.h>

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

#include "options.h"
#include "print.h"

static const char help[] =
	"Usage: chat_client [OPTION]...\n"
	"Send each line of standard input to a chat server, and print what others say there.\n"
	"Ends with the input (Ctrl-D), with the server, or by Ctrl-C.\n"
	"\n"
	"      --host HOST  the server's name or address, default 127.0.0.1\n"
	"      --port PORT  and its port, default 8888\n"
	"      --help       print this\n"
	"\n"
	"Exit status: 0 the input has ended, 1 an error, or the server has gone.\n";

/* What the server gets to connect, and to answer after the end of the input. */
#define CONNECT_LIMIT (30 * HILO_SECOND)
#define GOODBYE_LIMIT (5 * HILO_SECOND)

struct chat {
	hilo_stream *server, *keyboard;
	hilo_group *group;
	atomic_bool input_ended;
	char heard[LINE_SIZE + 1], typed[LINE_SIZE + 2];
};

static int listen_task(void *arg)
{
	struct chat *chat = arg;
	ssize_t n;

	while ((n = hilo_stream_read_line(chat->server, chat->heard, sizeof(chat->heard), HILO_FOREVER)) > 0)
		print_line("Recibido: ", chat->heard, (size_t)n);
	if (n == 0 && !atomic_load(&chat->input_ended))
		return hilo_fail(-ECONNRESET, "the server has closed the connection");
	if (n == 0)
		hilo_group_cancel(chat->group); /* nobody has to wait for its answer any more */
	return (int)n;
}

static int type_task(void *arg)
{
	struct chat *chat = arg;
	ssize_t n;
	int rc;

	while ((n = hilo_stream_read_line(chat->keyboard, chat->typed, LINE_SIZE + 1, HILO_FOREVER)) > 0) {
		if (chat->typed[n - 1] != '\n') /* the last one may lack it */
			chat->typed[n++] = '\n';
		n = hilo_stream_write(chat->server, chat->typed, (size_t)n, HILO_FOREVER);
		if (n < 0)
			break;
	}
	if (n < 0)
		return (int)n;
	atomic_store(&chat->input_ended, true);
	rc = hilo_stream_write_eof(chat->server);
	if (rc == 0)
		rc = hilo_sleep(GOODBYE_LIMIT); /* cancelled as soon as the server has closed as well */
	if (rc == 0)
		hilo_group_cancel(chat->group);
	return rc;
}

static int chat_run(struct chat *chat)
{
	int rc;

	puts("Conectado al servidor. Ingresa mensajes:");
	fflush(stdout);
	HILO_GROUP (group, &rc) {
		chat->group = group;
		hilo_group_spawn(group, listen_task, chat);
		hilo_group_spawn(group, type_task, chat);
	}
	return rc;
}

static int program(void *arg)
{
	static struct chat chat;
	struct options options = {.host = "127.0.0.1", .port = 8888};
	int rc = options_parse(&options, arg, "hp", help), keyboard;

	if (rc != 0)
		return rc;
	keyboard = dup(STDIN_FILENO);
	if (keyboard < 0)
		return hilo_fail(-EBADF, "there is no standard input");
	rc = hilo_stream_from_fd(keyboard, NULL, &chat.keyboard);
	if (rc < 0) {
		close(keyboard);
		return rc;
	}
	rc = hilo_open_connection(options.host, options.port, NULL, &chat.server, hilo_after(CONNECT_LIMIT));
	if (rc == 0)
		rc = chat_run(&chat);
	hilo_stream_free(chat.server);
	hilo_stream_free(chat.keyboard);
	return rc;
}

HILO_MAIN(program);
