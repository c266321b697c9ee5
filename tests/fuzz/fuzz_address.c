/* SPDX-License-Identifier: MIT */
/*
 * fuzz_address.c - texts as addresses, and bytes as what the system calls one: what is taken says the same when it is
 * written and read again, what is not changes nothing, and no text is longer than it is said to be.
 */
#include <hilo/io/address.h>

#include "fuzz.h"

typedef int (*text_fn)(const hilo_address *address, char *buf, size_t size);

/* A text in less room than it needs is cut, ends in NUL, and its length is told. */
static void text_check(text_fn text, const hilo_address *address, size_t room)
{
	char whole[HILO_ADDRESS_SIZE], cut[HILO_ADDRESS_SIZE];
	int n = text(address, whole, sizeof(whole));

	FUZZ_CHECK(n >= 0 && n < HILO_ADDRESS_SIZE && strlen(whole) == (size_t)n);
	memset(cut, '!', sizeof(cut));
	FUZZ_CHECK(text(address, cut, room) == n);
	if (!room)
		return;
	FUZZ_CHECK(strlen(cut) == ((size_t)n < room ? (size_t)n : room - 1));
	FUZZ_CHECK(strncmp(cut, whole, strlen(cut)) == 0);
	for (size_t i = room; i < sizeof(cut); i++)
		FUZZ_CHECK(cut[i] == '!');
}

static void address_check(const hilo_address *address, size_t room)
{
	char text[HILO_ADDRESS_SIZE], again[HILO_ADDRESS_SIZE];
	hilo_address read, copy;

	text_check(hilo_address_format, address, room);
	text_check(hilo_address_pair, address, room);
	text_check(hilo_address_host, address, room);
	FUZZ_CHECK(hilo_address_from(&address->any, address->length, &copy) == 0);
	(void)hilo_address_format(address, text, sizeof(text));
	if (hilo_address_parse(text, &read) < 0)
		return; /* a zone that is not there any more, a path with a NUL in it */
	(void)hilo_address_format(&read, again, sizeof(again));
	FUZZ_CHECK(strcmp(text, again) == 0);
	FUZZ_CHECK(hilo_address_family(&read) == hilo_address_family(address));
	FUZZ_CHECK(hilo_address_port(&read) == hilo_address_port(address));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input input = {data, size};
	uint8_t how = fuzz_byte(&input);
	size_t room = fuzz_byte(&input);
	struct sockaddr_storage name = {0};
	hilo_address address, before;
	const char *bytes;
	char text[512];
	size_t length = fuzz_bytes(&input, sizeof(text) - 1, &bytes);
	int rc;

	memset(&address, 0x5a, sizeof(address));
	before = address;
	memcpy(text, bytes, length);
	text[length] = '\0';
	memcpy(&name, text, length < sizeof(name) ? length : sizeof(name));
	switch (how % 4) {
	case 0:
		rc = hilo_address_parse(text, &address);
		break;
	case 1:
		rc = hilo_address_ip(text, (unsigned)room, &address);
		break;
	case 2:
		rc = hilo_address_unix(text, &address);
		break;
	default:
		rc = hilo_address_from((struct sockaddr *)&name,
				       (socklen_t)(length < sizeof(name) ? length : sizeof(name)), &address);
	}
	if (rc == 0)
		address_check(&address, room);
	else
		FUZZ_CHECK(memcmp(&address, &before, sizeof(address)) == 0);
	return 0;
}
