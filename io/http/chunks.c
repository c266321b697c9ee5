/* SPDX-License-Identifier: MIT */
/*
 * chunks.c - the framing of a body in chunks, looked at beside the parser: whatever is no data must be, byte for byte,
 * what RFC 9112 (7.1) allows. Parsers have been lenient here in many ways, each a way to smuggle requests: sizes with
 * spaces, LF alone, data that goes on behind its size, control characters in extensions.
 */
#include "io/http/http_impl.h"

#include <ctype.h>
#include <string.h>

/* What framing may need: so much, and in proportion to the data, because extensions may be of any length. */
#define FRAMING_BYTES (16 * 1024)
#define FRAMING_RATIO 16

/* A byte of the line with a size, before its CR. */
static enum framing size_byte(struct hilo_http_request *request, unsigned char byte)
{
	if (isxdigit(byte)) {
		request->size_seen = true;
		request->size_zero &= byte == '0';
		return FRAMING_SIZE;
	}
	return byte == ';' && request->size_seen ? FRAMING_EXT : FRAMING_BAD;
}

/* The line has ended. */
static enum framing line_end(struct hilo_http_request *request)
{
	switch (request->framing) {
	case FRAMING_SIZE:
	case FRAMING_EXT:
		if (!request->size_seen)
			return FRAMING_BAD;
		request->size_seen = false;
		if (request->size_zero)
			return FRAMING_TRAILER;
		return FRAMING_DATA;
	case FRAMING_DATA:
		request->size_zero = true;
		return FRAMING_SIZE;
	case FRAMING_TRAILER:
		return request->line_bytes ? FRAMING_TRAILER : FRAMING_END;
	default:
		return FRAMING_BAD;
	}
}

/* A byte of the framing that is neither CR nor LF. */
static enum framing line_byte(struct hilo_http_request *request, unsigned char byte)
{
	if ((byte < ' ' && byte != '\t') || byte == 0x7f)
		return FRAMING_BAD;
	switch (request->framing) {
	case FRAMING_SIZE:
		return size_byte(request, byte);
	case FRAMING_EXT:
		return FRAMING_EXT;
	case FRAMING_TRAILER: /* no obs-fold */
		return request->line_bytes || hilo__http_token[byte] ? FRAMING_TRAILER : FRAMING_BAD;
	default:
		return FRAMING_BAD; /* behind the data */
	}
}

bool hilo__http_framing_check(struct hilo_http_request *request, const char *bytes, size_t n, size_t most)
{
	request->framing_bytes += n;
	if (request->framing_bytes > FRAMING_BYTES + FRAMING_RATIO * request->received)
		return false;
	for (size_t i = 0; i < n && request->framing != FRAMING_BAD; i++) {
		unsigned char byte = (unsigned char)bytes[i];

		if (request->framing_cr != (byte == '\n')) {
			request->framing = FRAMING_BAD; /* one without the other */
		} else if (byte == '\n') {
			request->framing = line_end(request);
			request->framing_cr = false;
			request->line_bytes = 0;
		} else if (byte == '\r') {
			request->framing_cr = true;
		} else {
			request->framing = line_byte(request, byte);
			if (++request->line_bytes > most)
				request->framing = FRAMING_BAD;
		}
	}
	return request->framing != FRAMING_BAD;
}
