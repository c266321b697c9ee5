/* SPDX-License-Identifier: MIT */
/* refuse.c - answers in the server's own name, and the date. */
#include "io/http/http_impl.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* RFC 9110, 5.6.7, in English whatever the locale. */
static void date_format(char *buf, size_t size, time_t now)
{
	static const char day[] = "SunMonTueWedThuFriSat", month[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	struct tm tm;

	(void)gmtime_r(&now, &tm);
	(void)snprintf(buf, size, "%.3s, %02u %.3s %04u %02u:%02u:%02u GMT", day + 3 * (tm.tm_wday % 7),
		       (unsigned)tm.tm_mday % 100, month + 3 * (tm.tm_mon % 12),
		       (unsigned)(tm.tm_year + 1900) % 10000, (unsigned)tm.tm_hour % 100,
		       (unsigned)tm.tm_min % 100, (unsigned)tm.tm_sec % 100);
}

/* Formatted anew when the second is another one. The coarse clock is read without a system call. */
const char *hilo__http_date(struct connection *c)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME_COARSE, &now);
	if (now.tv_sec != c->date_second) {
		c->date_second = now.tv_sec;
		date_format(c->date, sizeof(c->date), now.tv_sec);
	}
	return c->date;
}

void hilo__http_answer_plain(hilo_http_request *request, int status, const char *allow)
{
	struct connection *c = request_connection(request);
	const char *text = hilo_http_status_text(status);
	char line[64];
	int n = snprintf(line, sizeof(line), "%d %s\n", status, text);

	if (request->phase != ANSWER_NONE)
		return;
	c->added.used = 0; /* what a handler that has failed has added */
	if (status == 204)
		n = 0;
	if (allow)
		(void)hilo__http_field_add("hilo_http", &c->added, "Allow", allow);
	(void)hilo_http_respond(request, status, status == 204 ? NULL : "text/plain", line, (size_t)n,
				HILO_FOREVER);
}
