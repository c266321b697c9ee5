/* SPDX-License-Identifier: MIT */
#ifndef SERVICE_TEXT_H
#define SERVICE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * text.h - a text that grows, and JSON as it is written. Short ones need no memory besides the struct. When there
 * is no memory the text is marked as failed, and nothing is added any more: it is looked at once, at the end.
 */
struct text {
	char *data;
	size_t used, size;
	bool failed;
	char own[1024];
};

void text_init(struct text *text);
void text_fini(struct text *text);

void text_add(struct text *text, const char *data, size_t size);
void text_add_string(struct text *text, const char *string);
void text_add_number(struct text *text, int64_t number);
__attribute__((format(printf, 2, 3))) void text_add_format(struct text *text, const char *format, ...);

/* As a string of JSON, with its quotes. Bytes that are no UTF-8 become U+FFFD. */
void text_add_json(struct text *text, const char *data, size_t size);

#endif /* SERVICE_TEXT_H */
