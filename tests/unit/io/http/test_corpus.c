/* SPDX-License-Identifier: MIT */
/*
 * test_corpus.c - requests of all sorts, one in each file of corpus/, with the statuses that they are answered with:
 * given to the server at once, byte by byte, and in pieces by lot. A file begins with the statuses and a sentence; then
 * comes what is said, in which \r, \n, \t, \xNN and \{N}x (N times that byte) stand for bytes, and ends of lines for
 * nothing.
 */
#include <dirent.h>

#include "tests/unit/io/http/site.h"

struct said {
	char name[128], statuses[64], *text;
	size_t length;
};

static size_t unescape(const char *from, size_t length, char *to, size_t size)
{
	size_t n = 0, times;
	unsigned byte;
	int used;

	for (size_t i = 0; i < length; i++) {
		times = 1;
		byte = (unsigned char)from[i];
		if (byte == '\n')
			continue;
		if (byte == '\\' && sscanf(from + i, "\\{%zu}%n", &times, &used) == 1) {
			i += (size_t)used;
			byte = (unsigned char)from[i];
		} else if (byte == '\\') {
			switch (from[++i]) {
			case 'r':
				byte = '\r';
				break;
			case 'n':
				byte = '\n';
				break;
			case 't':
				byte = '\t';
				break;
			case 'x':
				TASK_CHECK(sscanf(from + i + 1, "%2x", &byte), ==, 1);
				i += 2;
				break;
			default:
				byte = (unsigned char)from[i];
			}
		}
		TASK_CHECK(n + times, <, size);
		memset(to + n, (int)byte, times);
		n += times;
	}
	return n;
}

static void said_read(const char *name, struct said *said)
{
	static char file[64 * 1024];
	char path[512], *colon, *line;
	FILE *f;
	size_t n;

	(void)snprintf(path, sizeof(path), "%s/%s", HTTP_CORPUS, name);
	f = fopen(path, "r");
	TASK_CHECK(f, !=, NULL);
	n = fread(file, 1, sizeof(file) - 1, f);
	fclose(f);
	file[n] = '\0';
	colon = strchr(file, ':');
	line = strchr(file, '\n');
	TASK_CHECK(colon && line && colon < line, ==, 1);
	(void)snprintf(said->name, sizeof(said->name), "%.100s", name);
	(void)snprintf(said->statuses, sizeof(said->statuses), "%.*s ", (int)(colon - file), file);
	if (colon == file)
		said->statuses[0] = '\0';
	said->text = malloc(SAID_SIZE);
	said->length = unescape(line + 1, strlen(line + 1), said->text, SAID_SIZE);
}

static void said_check(struct site *site, const struct said *said, size_t piece, uint64_t seed)
{
	char *answers = malloc(SAID_SIZE), statuses[256];

	TASK_CHECK(site_say(site, said->text, said->length, piece, seed, answers), ==, 0);
	answers_read(answers, statuses, sizeof(statuses), NULL, false);
	if (strcmp(statuses, said->statuses) != 0) {
		fprintf(stderr, "%s, in pieces of %zu: %s\n", said->name, piece, answers);
		TASK_CHECK_TEXT(statuses, said->statuses);
	}
	free(answers);
}

static int each_file(void *arg)
{
	struct site site;
	DIR *folder = opendir(HTTP_CORPUS);
	struct dirent *entry;
	unsigned n = 0;

	(void)arg;
	TASK_CHECK(folder, !=, NULL);
	site_init(&site);
	site_begin(&site, (hilo_http_opts){.line = 512, .header = 2048, .fields = 12, .body = 4096});
	while ((entry = readdir(folder))) {
		struct said said;

		if (!strstr(entry->d_name, ".http"))
			continue;
		said_read(entry->d_name, &said);
		said_check(&site, &said, SIZE_MAX, 0);
		said_check(&site, &said, 0, test_seed() + n);
		if (said.length < 3000)
			said_check(&site, &said, 1, 0);
		free(said.text);
		n++;
	}
	closedir(folder);
	TASK_CHECK(n, >, 60);
	site_end(&site);
	return 0;
}

static void swallow(const hilo_exception *exception, void *arg)
{
	(void)exception, (void)arg;
}

static void test_each_request_of_the_corpus_is_answered_as_its_file_says(void **state)
{
	(void)state;
	hilo_set_exception_handler(swallow, NULL);
	assert_int_equal(test_run(2, each_file, NULL), 0);
	hilo_set_exception_handler(NULL, NULL);
}

/* ---- Pipelining, against a model ---- */

#define REQUESTS 40

/* Requests by lot, and what is to be answered. */
static size_t requests_make(uint64_t seed, char *text, char *expected)
{
	size_t n = 0;

	*expected = '\0';
	for (uint64_t i = 0; i < REQUESTS; i++) {
		uint64_t lot = random_mix(seed + i);
		char body[64];

		(void)snprintf(body, sizeof(body), "<%llu:%.*s>", (unsigned long long)i, (int)(lot >> 8) % 20,
			       "abcdefghijklmnopqrstuvwxyz");
		switch (lot % 4) {
		case 0:
			n += (size_t)sprintf(text + n, "GET /items/%llu HTTP/1.1\r\nHost: x\r\n\r\n",
					     (unsigned long long)i);
			(void)sprintf(expected + strlen(expected), "%llu", (unsigned long long)i);
			break;
		case 1:
			n += (size_t)sprintf(
				text + n, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n%s",
				strlen(body), body);
			strcat(expected, body);
			break;
		case 2:
			n += (size_t)sprintf(
				text + n,
				"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
				"1;x=y\r\n%c\r\n%zx\r\n%s\r\n0\r\n\r\n",
				body[0], strlen(body + 1), body + 1);
			strcat(expected, body);
			break;
		default: /* nobody reads the body */
			n += (size_t)sprintf(text + n,
					     "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n%s",
					     strlen(body), body);
			strcat(expected, "hello");
		}
	}
	return n;
}

TASK_TEST(test_pipelined_requests_are_answered_in_order_however_they_come)
{
	static const size_t pieces[] = {SIZE_MAX, 0, 7, 1};
	char *text = malloc(SAID_SIZE), *answers = malloc(SAID_SIZE), *bodies = malloc(SAID_SIZE);
	char expected[8192], statuses[512];
	struct site site;

	site_init(&site);
	site_begin(&site, (hilo_http_opts){0});
	for (unsigned i = 0; i < test_rounds(12); i++) {
		uint64_t seed = test_seed() + 1000 * i;
		size_t n = requests_make(seed, text, expected);

		TASK_CHECK(site_say(&site, text, n, pieces[i % 4], seed, answers), ==, 0);
		answers_read(answers, statuses, sizeof(statuses), bodies, false);
		TASK_CHECK(strlen(statuses), ==, 4 * REQUESTS);
		TASK_CHECK_TEXT(bodies, expected);
	}
	site_end(&site);
	free(text);
	free(answers);
	free(bodies);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_request_of_the_corpus_is_answered_as_its_file_says),
		cmocka_unit_test(test_pipelined_requests_are_answered_in_order_however_they_come),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
