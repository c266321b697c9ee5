/* SPDX-License-Identifier: MIT */
/* test_address.c - addresses from text and to text, what Python would print, and which are equal. */
#include "tests/support/test.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <hilo/io/address.h>

static const char *text_of(const hilo_address *address)
{
	static char text[HILO_ADDRESS_SIZE];

	int length = hilo_address_format(address, text, sizeof(text));

	assert_int_equal(length, (int)strlen(text));
	return text;
}

static const char *pair_of(const hilo_address *address)
{
	static char text[HILO_ADDRESS_SIZE];

	int length = hilo_address_pair(address, text, sizeof(text));

	assert_int_equal(length, (int)strlen(text));
	return text;
}

static void test_texts_come_back_as_they_went_in(void **state)
{
	static const char *const texts[] = {
		"127.0.0.1:8888",  "0.0.0.0:0",	 "255.255.255.255:65535",   "[::1]:8888",
		"[2001:db8::7]:1", "[::]:0",	 "[::ffff:1.2.3.4]:5",	    "unix:/run/a b.sock",
		"unix:relative",   "unix:@name", "unix:@a\\x00b\\\\c\\xff", "unix:@",
		"unix:",
	};
	hilo_address address;

	(void)state;
	for (size_t i = 0; i < array_size(texts); i++) {
		memset(&address, 0xaa, sizeof(address));
		assert_int_equal(hilo_address_parse(texts[i], &address), 0);
		assert_string_equal(text_of(&address), texts[i]);
	}
}

static void test_what_is_no_address_is_told_and_changes_nothing(void **state)
{
	static const char *const texts[] = {
		"",
		"127.0.0.1",
		"127.0.0.1:",
		"127.0.0.1:65536",
		"127.0.0.1:+1",
		"127.0.0.1:1 ",
		"1.2.3:4",
		"[127.0.0.1]:1",
		"::1:8888",
		"[::1]",
		"[::1]8888",
		"[::1",
		"[::1%]:1",
		"localhost:80",
		"unix:@\\x0",
		"unix:@\\q",
		"unix:@\\x\x10\x11",
		"[0123456789012345678901234567890123456789012345678901234567890]:1",
		"127.0.0.1:99999999999999999999",
	};
	hilo_address address, before;

	(void)state;
	memset(&before, 0x55, sizeof(before));
	for (size_t i = 0; i < array_size(texts); i++) {
		address = before;
		assert_int_equal(hilo_address_parse(texts[i], &address), -EINVAL);
		assert_memory_equal(&address, &before, sizeof(address));
		assert_non_null(strstr(hilo_error_message(), texts[i]));
	}
	assert_int_equal(hilo_address_parse(NULL, &address), -EINVAL);
	assert_int_equal(hilo_address_parse("[::1]:1", NULL), -EINVAL);
	assert_int_equal(hilo_address_parse("[fe80::1%no-such-zone]:1", &address), -ENODEV);
}

static void test_zone_is_a_name_or_a_number(void **state)
{
	unsigned index = if_nametoindex("lo");
	hilo_address by_name, by_number;
	char text[64];

	(void)state;
	if (!index)
		TEST_SKIP("there is no interface lo");
	assert_int_equal(hilo_address_parse("[fe80::1%lo]:80", &by_name), 0);
	assert_int_equal(by_name.ipv6.sin6_scope_id, index);
	(void)snprintf(text, sizeof(text), "[fe80::1%%%u]:80", index);
	assert_int_equal(hilo_address_parse(text, &by_number), 0);
	assert_true(hilo_address_equal(&by_name, &by_number));
	assert_string_equal(text_of(&by_number), "[fe80::1%lo]:80");
	(void)snprintf(text, sizeof(text), "('fe80::1%%lo', 80, 0, %u)", index);
	assert_string_equal(pair_of(&by_name), text);
	assert_int_equal(hilo_address_parse("[fe80::1%4000000000]:80", &by_number), 0);
	assert_string_equal(text_of(&by_number), "[fe80::1%4000000000]:80");
	assert_false(hilo_address_equal(&by_name, &by_number));
}

static void test_pairs_are_as_python_prints_them(void **state)
{
	static const struct {
		const char *text, *pair;
	} cases[] = {
		{"127.0.0.1:8888", "('127.0.0.1', 8888)"},
		{"[::1]:8888", "('::1', 8888, 0, 0)"},
		{"unix:/tmp/x y", "/tmp/x y"},
		{"unix:", ""},
		{"unix:@name", "b'\\x00name'"},
		{"unix:@it's\\\\\\x0a\\xff", "b'\\x00it\\'s\\\\\\n\\xff'"},
	};
	hilo_address address;

	(void)state;
	for (size_t i = 0; i < array_size(cases); i++) {
		assert_int_equal(hilo_address_parse(cases[i].text, &address), 0);
		assert_string_equal(pair_of(&address), cases[i].pair);
	}
	memset(&address, 0, sizeof(address));
	assert_string_equal(pair_of(&address), "None");
	assert_string_equal(text_of(&address), "-");
	assert_string_equal(text_of(NULL), "-");
}

static void test_text_that_has_no_room_is_cut_and_its_length_told(void **state)
{
	hilo_address address;
	char buf[8];

	(void)state;
	assert_int_equal(hilo_address_parse("127.0.0.1:8888", &address), 0);
	assert_int_equal(hilo_address_format(&address, buf, sizeof(buf)), 14);
	assert_string_equal(buf, "127.0.0");
	assert_int_equal(hilo_address_pair(&address, buf, sizeof(buf)), 19);
	assert_string_equal(buf, "('127.0");
	assert_int_equal(hilo_address_format(&address, NULL, 0), 14);
	assert_int_equal(hilo_address_host(&address, buf, sizeof(buf)), 9);
}

static void test_longest_names_fit(void **state)
{
	char path[256];
	hilo_address address;

	(void)state;
	memset(path, 'p', sizeof(path));
	path[107] = '\0';
	assert_int_equal(hilo_address_unix(path, &address), 0);
	assert_int_equal(strlen(text_of(&address)), 112);
	path[107] = 'p';
	path[108] = '\0';
	assert_int_equal(hilo_address_unix(path, &address), -ENAMETOOLONG);
	assert_non_null(strstr(hilo_error_message(), "107"));
	*path = '@'; /* 107 bytes of name */
	assert_int_equal(hilo_address_unix(path, &address), 0);
	assert_int_equal(address.length, sizeof(struct sockaddr_un));
	path[108] = 'p';
	path[109] = '\0';
	assert_int_equal(hilo_address_unix(path, &address), -ENAMETOOLONG);
	memset(address.local.sun_path + 1, 0xff, sizeof(address.local.sun_path) - 1);
	*address.local.sun_path = '\0';
	address.length = sizeof(struct sockaddr_un);
	assert_true(strlen(text_of(&address)) < HILO_ADDRESS_SIZE);
	assert_true(strlen(pair_of(&address)) < HILO_ADDRESS_SIZE);
	assert_int_equal(hilo_address_unix("", &address), -EINVAL);
	assert_int_equal(hilo_address_unix(NULL, &address), -EINVAL);
}

static hilo_address parsed(const char *text)
{
	hilo_address address;

	assert_int_equal(hilo_address_parse(text, &address), 0);
	return address;
}

/* A file whose name begins as an abstract one is written: its text is read as the file. */
static void test_file_that_looks_abstract(void **state)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX, .sun_path = "@x"};
	hilo_address address, again;

	(void)state;
	assert_int_equal(hilo_address_from((struct sockaddr *)&name, sizeof(name), &address), 0);
	assert_string_equal(text_of(&address), "unix:./@x");
	assert_string_equal(pair_of(&address), "@x");
	again = parsed("unix:./@x");
	assert_int_equal(*again.local.sun_path, '.');
}

static void test_equal_is_the_same_place(void **state)
{
	hilo_address a = parsed("127.0.0.1:1"), b = parsed("127.0.0.1:1"), none = {0};

	(void)state;
	assert_true(hilo_address_equal(&a, &b));
	memset(b.ipv4.sin_zero, 7, sizeof(b.ipv4.sin_zero));
	assert_true(hilo_address_equal(&a, &b));
	assert_int_equal(hilo_address_set_port(&b, 2), 0);
	assert_false(hilo_address_equal(&a, &b));
	assert_int_equal(hilo_address_port(&b), 2);
	b = parsed("[::1]:1");
	assert_false(hilo_address_equal(&a, &b));
	a = parsed("[::1]:1");
	a.ipv6.sin6_flowinfo = 77;
	assert_true(hilo_address_equal(&a, &b));
	a = parsed("unix:@x");
	b = parsed("unix:x");
	assert_false(hilo_address_equal(&a, &b));
	a = parsed("unix:x");
	a.length = sizeof(struct sockaddr_un); /* as some programs pass it */
	assert_true(hilo_address_equal(&a, &b));
	a = b = parsed("unix:");
	assert_false(hilo_address_equal(&a, &b));
	assert_true(hilo_address_equal(&none, NULL));
	assert_false(hilo_address_equal(&none, &a));
	assert_int_equal(hilo_address_set_port(&a, 1), -EINVAL);
	assert_int_equal(hilo_address_set_port(&b, 65536), -EINVAL);
}

static void test_any_and_from_know_their_families(void **state)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(7)};
	struct sockaddr strange = {.sa_family = AF_PACKET};
	hilo_address address;

	(void)state;
	assert_int_equal(hilo_address_any(AF_INET6, 5, &address), 0);
	assert_string_equal(text_of(&address), "[::]:5");
	assert_int_equal(hilo_address_any(AF_INET, 0, &address), 0);
	assert_string_equal(text_of(&address), "0.0.0.0:0");
	assert_int_equal(hilo_address_any(AF_UNIX, 0, &address), -EAFNOSUPPORT);
	assert_int_equal(hilo_address_any(AF_INET, 70000, &address), -EINVAL);
	assert_int_equal(hilo_address_from((struct sockaddr *)&in, sizeof(in), &address), 0);
	assert_string_equal(text_of(&address), "0.0.0.0:7");
	assert_int_equal(hilo_address_from((struct sockaddr *)&in, sizeof(in) - 1, &address), -EINVAL);
	assert_int_equal(hilo_address_from(&strange, sizeof(strange), &address), -EAFNOSUPPORT);
	assert_int_equal(hilo_address_from(NULL, 0, &address), -EINVAL);
}

static void test_sockets_tell_their_names(void **state)
{
	hilo_address address = parsed("unix:@hilo-test-address"), name, peer;
	int fd[2], listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)state;
	assert_int_equal(bind(listener, &address.any, address.length), 0);
	assert_int_equal(hilo_address_of_socket(listener, &name), 0);
	assert_true(hilo_address_equal(&address, &name));
	assert_int_equal(hilo_address_of_peer(listener, &peer), -ENOTCONN);
	assert_int_equal(close(listener), 0);
	assert_int_equal(hilo_address_of_socket(listener, &name), -EBADF);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
	assert_int_equal(hilo_address_of_peer(fd[0], &peer), 0);
	assert_string_equal(text_of(&peer), "unix:");
	assert_int_equal(close(fd[0]) | close(fd[1]), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_texts_come_back_as_they_went_in),
		cmocka_unit_test(test_what_is_no_address_is_told_and_changes_nothing),
		cmocka_unit_test(test_zone_is_a_name_or_a_number),
		cmocka_unit_test(test_pairs_are_as_python_prints_them),
		cmocka_unit_test(test_text_that_has_no_room_is_cut_and_its_length_told),
		cmocka_unit_test(test_longest_names_fit),
		cmocka_unit_test(test_file_that_looks_abstract),
		cmocka_unit_test(test_equal_is_the_same_place),
		cmocka_unit_test(test_any_and_from_know_their_families),
		cmocka_unit_test(test_sockets_tell_their_names),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
