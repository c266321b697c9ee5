/* SPDX-License-Identifier: MIT */
/*
 * text.c - bodies as text: from the charset that their type names to UTF-8, and how many characters there are.
 *
 * UTF-8, ASCII and Latin-1 are read here. Others are for iconv, which may load a library from disk: on a thread that
 * may block.
 */
#include "io/http_client/client_impl.h"

#include <errno.h>
#include <iconv.h>
#include <strings.h>

#include <hilo/runtime/error.h>
#include <hilo/runtime/executor.h>

#include "scheduler/base/mem.h"

#define CHARSET_SIZE 64

/* The charset that @type names, into @ret: "text/html; charset=\"UTF-8\"". False: it names none. */
static bool type_charset(const char *type, char ret[CHARSET_SIZE])
{
	while (type && (type = strchr(type, ';'))) {
		size_t size;

		type += 1 + strspn(type + 1, " \t");
		if (strncasecmp(type, "charset", 7) != 0)
			continue;
		type += 7 + strspn(type + 7, " \t");
		if (*type != '=')
			continue;
		type += 1 + strspn(type + 1, " \t\"'");
		size = strcspn(type, " \t\"';");
		if (!size || size >= CHARSET_SIZE)
			return false;
		memcpy(ret, type, size);
		ret[size] = '\0';
		return true;
	}
	return false;
}

static bool charset_is(const char *charset, const char *const *names)
{
	for (; *names; names++)
		if (!strcasecmp(charset, *names))
			return true;
	return false;
}

/* Bytes of the character at @at, of @left that there are; 0: that is none. */
static size_t utf8_next(const unsigned char *at, size_t left)
{
	static const unsigned least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t n = *at < 0x80 ? 1 : *at >= 0xf0 ? 4 : *at >= 0xe0 ? 3 : *at >= 0xc2 ? 2 : 0;
	unsigned code;

	if (n <= 1)
		return n;
	if (n > left || *at > 0xf4)
		return 0;
	code = *at & (0x7fu >> n);
	for (size_t i = 1; i < n; i++) {
		if ((at[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (at[i] & 0x3f);
	}
	return code < least[n] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000) ? 0 : n;
}

static ssize_t utf8_count(const char *text, size_t size, const char *charset, size_t most, size_t *characters)
{
	const unsigned char *bytes = (const unsigned char *)text;
	size_t count = 0, n;

	for (size_t at = 0; at < size; at += n, count++) {
		uint64_t words[4];

		/* Most texts are ASCII, mostly. */
		for (; size - at >= sizeof(words); at += sizeof(words), count += sizeof(words)) {
			memcpy(words, bytes + at, sizeof(words));
			if ((words[0] | words[1] | words[2] | words[3]) & UINT64_C(0x8080808080808080))
				break;
		}
		if (at == size)
			break;
		n = utf8_next(bytes + at, size - at);
		if (!n || n > most)
			return hilo_fail(-EILSEQ, "byte %zu, %#x, is not %s", at, bytes[at], charset);
	}
	*characters = count;
	return (ssize_t)size;
}

/* Latin-1: what is not ASCII takes two bytes. */
static ssize_t latin_decode(char **text, size_t size, size_t *characters)
{
	const unsigned char *from = (const unsigned char *)*text;
	size_t used = 0;
	char *to;

	for (size_t i = 0; i < size; i++)
		used += 1 + (from[i] >= 0x80);
	to = hilo__malloc(used + 1);
	if (!to)
		return -ENOMEM;
	used = 0;
	for (size_t i = 0; i < size; i++) {
		if (from[i] >= 0x80)
			to[used++] = (char)(0xc0 | from[i] >> 6);
		to[used++] = (char)(from[i] < 0x80 ? from[i] : 0x80 | (from[i] & 0x3f));
	}
	to[used] = '\0';
	hilo__free(*text);
	*text = to;
	*characters = size;
	return (ssize_t)used;
}

struct conversion {
	const char *charset;
	char *from, *to;
	size_t size, room, used;
};

static int conversion_grow(struct conversion *c)
{
	size_t room = 2 * c->room;
	char *to = hilo__malloc(room + 1);

	if (!to)
		return -ENOMEM;
	memcpy(to, c->to, c->used);
	hilo__free(c->to);
	c->to = to;
	c->room = room;
	return 0;
}

static int conversion_steps(struct conversion *c, iconv_t with)
{
	char *in = c->from;
	size_t left = c->size;

	for (;;) {
		char *out = c->to + c->used;
		size_t room = c->room - c->used, n;
		bool last = !left;

		n = last ? iconv(with, NULL, NULL, &out, &room) : iconv(with, &in, &left, &out, &room);
		c->used = (size_t)(out - c->to);
		if (n != (size_t)-1) {
			if (last)
				return 0;
		} else if (room >= 16 || left == SIZE_MAX) {
			/* What has room and stops has met what is no character. */
			return hilo_fail(-EILSEQ, "byte %zu is not %s", c->size - left, c->charset);
		} else if (conversion_grow(c) < 0) {
			return -ENOMEM;
		}
	}
}

/* [executor] */
static int conversion_run(void *arg)
{
	struct conversion *c = arg;
	iconv_t with = iconv_open("UTF-8", c->charset);
	int rc;

	if (with == (iconv_t)-1)
		return hilo_fail(-EOPNOTSUPP, "the charset %s is not known", c->charset);
	c->room = c->size + c->size / 2 + 32;
	c->to = hilo__malloc(c->room + 1);
	rc = c->to ? conversion_steps(c, with) : -ENOMEM;
	(void)iconv_close(with);
	return rc;
}

static ssize_t charset_decode(char **text, size_t size, const char *charset, size_t *characters,
			      hilo_time deadline)
{
	struct conversion c = {.charset = charset, .from = *text, .size = size};
	int rc = hilo_loop_current() ? hilo_to_thread(conversion_run, &c, deadline) : conversion_run(&c);

	if (rc < 0) {
		hilo__free(c.to);
		return rc;
	}
	c.to[c.used] = '\0';
	hilo__free(*text);
	*text = c.to;
	return utf8_count(*text, c.used, "UTF-8", 4, characters);
}

ssize_t hilo__client_decode(char **text, size_t size, const char *type, size_t *characters,
			    hilo_time deadline)
{
	static const char *const utf8[] = {"utf-8", "utf8", NULL};
	static const char *const ascii[] = {"us-ascii", "ascii", NULL};
	static const char *const latin[] = {"iso-8859-1", "iso8859-1", "latin1", "latin-1", NULL};
	char charset[CHARSET_SIZE];

	if (!type_charset(type, charset) || charset_is(charset, utf8))
		return utf8_count(*text, size, "UTF-8", 4, characters);
	if (charset_is(charset, ascii))
		return utf8_count(*text, size, "ASCII", 1, characters);
	if (charset_is(charset, latin))
		return latin_decode(text, size, characters);
	return charset_decode(text, size, charset, characters, deadline);
}
