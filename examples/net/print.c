/* SPDX-License-Identifier: MIT */
/* print.c - see print.h. */
#include "print.h"

#include <stdbool.h>
#include <stdio.h>

static bool is_space(char byte)
{
	return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

void print_line(const char *prefix, const char *text, size_t size)
{
	while (size && is_space(*text)) {
		text++;
		size--;
	}
	while (size && is_space(text[size - 1]))
		size--;
	flockfile(stdout); /* of this thread, which nothing here takes from the task */
	fputs(prefix, stdout);
	fwrite(text, 1, size, stdout);
	putchar('\n');
	fflush(stdout); /* at once, also into a pipe */
	funlockfile(stdout);
}

void print_listening(const hilo_server *server, const char *program)
{
	hilo_address address;
	char text[HILO_ADDRESS_SIZE];

	for (size_t i = 0; hilo_server_sockname(server, i, &address) == 0; i++) {
		hilo_address_format(&address, text, sizeof(text));
		printf("%s: listens at %s\n", program, text);
	}
	fflush(stdout);
}
