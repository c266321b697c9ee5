/* SPDX-License-Identifier: MIT */
#ifndef NET_PRINT_H
#define NET_PRINT_H

#include <hilo/hilo.h>

#include <stddef.h>

/* print.h - what several of these programs print. */

/* The longest line, as asyncio has it, with its end. */
#define LINE_SIZE (64 * 1024)

/*
 * [any] Print @prefix, the line @text without the space around it, and an end, with nothing in between. It goes by its
 * @size, since it may hold any byte.
 */
void print_line(const char *prefix, const char *text, size_t size);

/* [any] "PROGRAM: listens at ADDRESS", each address of @server in a line. */
void print_listening(const hilo_server *server, const char *program);

#endif /* NET_PRINT_H */
