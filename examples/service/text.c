/* SPDX-License-Identifier: MIT */
/* text.c - see text.h. */
#include "text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void text_init(struct text *text)
{
	text->data = text->own;
	text->used = 0;
	text->size = sizeof(text->own);
	text->failed = false;
}

void text_fini(struct text *text)
{
	if (text->data != text->own)
		free(text->data);
}

/* Where @size bytes more can be written; NULL: there is no memory. */
static char *text_room(struct text *text, size_t size)
{
	size_t wanted = text->size;
	char *data;

	while (wanted - text->used < size)
		wanted *= 2;
	if (text->failed || wanted == text->size)
		return text->failed ? NULL : text->data + text->used;
	data = text->data == text->own ? malloc(wanted) : realloc(text->data, wanted);
	text->failed = !data;
	if (!data)
		return NULL;
	if (text->data == text->own)
		memcpy(data, text->own, text->used);
	text->data = data;
	text->size = wanted;
	return data + text->used;
}

void text_add(struct text *text, const char *data, size_t size)
{
	char *to = text_room(text, size);

	if (!to)
		return;
	memcpy(to, data, size);
	text->used += size;
}

void text_add_string(struct text *text, const char *string)
{
	text_add(text, string, strlen(string));
}

void text_add_number(struct text *text, int64_t number)
{
	uint64_t left = number < 0 ? -(uint64_t)number : (uint64_t)number;
	char digits[24], *at = digits + sizeof(digits);

	do
		*--at = (char)('0' + left % 10);
	while (left /= 10);
	if (number < 0)
		*--at = '-';
	text_add(text, at, (size_t)(digits + sizeof(digits) - at));
}

void text_add_format(struct text *text, const char *format, ...)
{
	char line[512];
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	if (n > 0)
		text_add(text, line, (size_t)n < sizeof(line) ? (size_t)n : sizeof(line) - 1);
}

/* Bytes of the character at @at, of which there are @left; 0: it is no UTF-8. */
static size_t utf8_length(const unsigned char *at, size_t left)
{
	size_t n = at[0] < 0x80 ? 1 : at[0] >= 0xc2 && at[0] < 0xe0 ? 2 : (at[0] & 0xf0) == 0xe0 ? 3 : 4;

	if (n == 1)
		return 1;
	if (at[0] < 0xc2 || at[0] > 0xf4 || n > left)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((at[i] & 0xc0) != 0x80)
			return 0;
	if ((at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xed && at[1] > 0x9f) ||
	    (at[0] == 0xf0 && at[1] < 0x90) || (at[0] == 0xf4 && at[1] > 0x8f))
		return 0; /* longer than it need be, half of a pair, beyond Unicode */
	return n;
}

/* What is not written as it is; @n bytes of it. */
static void text_add_escaped(struct text *text, unsigned char byte)
{
	switch (byte) {
	case '"':
		text_add(text, "\\\"", 2);
		break;
	case '\\':
		text_add(text, "\\\\", 2);
		break;
	case '\n':
		text_add(text, "\\n", 2);
		break;
	case '\r':
		text_add(text, "\\r", 2);
		break;
	case '\t':
		text_add(text, "\\t", 2);
		break;
	default:
		if (byte < 0x20 || byte == 0x7f)
			text_add_format(text, "\\u%04x", byte);
		else
			text_add(text, "\\ufffd", 6);
	}
}

void text_add_json(struct text *text, const char *data, size_t size)
{
	const unsigned char *bytes = (const unsigned char *)data;
	size_t plain = 0, at = 0;

	text_add(text, "\"", 1);
	while (at < size) {
		unsigned char byte = bytes[at];
		size_t n = byte < 0x20 || byte == '"' || byte == '\\' || byte == 0x7f
				   ? 0
				   : utf8_length(bytes + at, size - at);

		if (n) {
			at += n;
			continue;
		}
		text_add(text, data + plain, at - plain);
		text_add_escaped(text, byte);
		plain = ++at;
	}
	text_add(text, data + plain, size - plain);
	text_add(text, "\"", 1);
}
