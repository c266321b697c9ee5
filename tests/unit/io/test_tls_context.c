/* SPDX-License-Identifier: MIT */
/* test_tls_context.c - contexts: certificates and keys from files and text, each mistake told with what is wrong. */
#include "tests/support/certs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "scheduler/base/mem.h"

/* A server that cannot be: @code, and the message contains @part. */
static void server_is_refused(hilo_tls_context_opts opts, int code, const char *part)
{
	hilo_tls_context *context = NULL;

	opts.size = sizeof(opts);
	assert_int_equal(hilo_tls_server_new(&opts, &context), code);
	assert_null(context);
	TASK_CHECK_CONTAINS(hilo_error_message(), part);
	assert_int_equal(hilo_error_code(), code);
}

static void client_is_refused(hilo_tls_context_opts opts, int code, const char *part)
{
	hilo_tls_context *context = NULL;

	opts.size = sizeof(opts);
	assert_int_equal(hilo_tls_client_new(&opts, &context), code);
	assert_null(context);
	TASK_CHECK_CONTAINS(hilo_error_message(), part);
}

static void server_is_made(hilo_tls_context_opts opts)
{
	hilo_tls_context *context = NULL;

	opts.size = sizeof(opts);
	assert_int_equal(hilo_tls_server_new(&opts, &context), 0);
	assert_ptr_equal(hilo_tls_context_ref(context), context);
	hilo_tls_context_unref(context);
	hilo_tls_context_unref(context);
}

static void test_context_of_text_and_of_files(void **state)
{
	const struct cert *cert = &test_certs.server;
	char cert_path[64], key_path[64], both_path[64],
		*both = malloc(strlen(cert->cert) + strlen(cert->key) + 1);
	hilo_tls_context *client = NULL;

	(void)state;
	(void)stpcpy(stpcpy(both, cert->cert), cert->key);
	test_certs_file(cert->cert, cert_path);
	test_certs_file(cert->key, key_path);
	test_certs_file(both, both_path);
	assert_int_equal(hilo_tls_available(), 1);
	server_is_made((hilo_tls_context_opts){.cert_pem = cert->cert, .key_pem = cert->key});
	server_is_made((hilo_tls_context_opts){.cert_pem = both});
	server_is_made((hilo_tls_context_opts){.cert_file = cert_path, .key_file = key_path});
	server_is_made((hilo_tls_context_opts){.cert_file = both_path});
	server_is_made((hilo_tls_context_opts){.cert_file = cert_path, .key_pem = cert->key});
	server_is_made((hilo_tls_context_opts){.cert_file = both_path,
					       .ca_file = cert_path,
					       .ca_pem = test_certs.ca.cert,
					       .ca_folder = "/tmp",
					       .flags = HILO_TLS_REQUIRE_CLIENTS | HILO_TLS_NO_SESSIONS,
					       .min_version = HILO_TLS_1_3,
					       .ciphersuites = "TLS_AES_128_GCM_SHA256"});
	assert_int_equal(hilo_tls_client_new(NULL, &client), 0); /* the system's certificates */
	hilo_tls_context_unref(client);
	hilo_tls_context_unref(NULL);
	assert_null(hilo_tls_context_ref(NULL));
	(void)unlink(cert_path);
	(void)unlink(key_path);
	(void)unlink(both_path);
	free(both);
}

static int says(char *buf, size_t size, void *arg)
{
	size_t n = strlen(arg);

	assert_true(size >= n);
	memcpy(buf, arg, n);
	return (int)n;
}

static int says_nothing(char *buf, size_t size, void *arg)
{
	(void)buf, (void)size, (void)arg;
	return -1;
}

static void test_key_under_a_passphrase(void **state)
{
	hilo_tls_context_opts opts = {.cert_pem = test_certs.server.cert, .key_pem = test_certs.sealed};

	(void)state;
	server_is_refused(opts, -EKEYREJECTED, "key_pem");
	opts.passphrase = "open sesame";
	server_is_made(opts);
	opts.passphrase = "open barley";
	server_is_refused(opts, -EKEYREJECTED, "bad decrypt");
	opts.passphrase = NULL;
	opts.ask = says;
	opts.arg = (void *)(uintptr_t) "open sesame";
	server_is_made(opts);
	opts.ask = says_nothing;
	server_is_refused(opts, -EKEYREJECTED, "key_pem");
	opts.passphrase = "open sesame";
	server_is_refused(opts, -EINVAL, "passphrase");
}

static void test_mistakes_are_told(void **state)
{
	const struct cert *cert = &test_certs.server;
	char bad_path[64], locked_path[64];

	(void)state;
	test_certs_file("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", bad_path);
	server_is_refused((hilo_tls_context_opts){0}, -EINVAL, "no certificate");
	server_is_refused((hilo_tls_context_opts){.key_pem = cert->key}, -EINVAL, "no certificate");
	server_is_refused((hilo_tls_context_opts){.cert_pem = cert->cert}, -EKEYREJECTED,
			  "the key in cert_pem");
	server_is_refused((hilo_tls_context_opts){.cert_pem = cert->cert, .key_pem = test_certs.other.key},
			  -EKEYREJECTED, "key values mismatch");
	server_is_refused((hilo_tls_context_opts){.cert_file = "/nowhere.pem"}, -ENOENT, "/nowhere.pem");
	TASK_CHECK_CONTAINS(hilo_error_message(), "No such file");
	server_is_refused((hilo_tls_context_opts){.cert_pem = cert->cert, .key_file = "/nowhere.key"},
			  -ENOENT, "key_file /nowhere.key");
	server_is_refused((hilo_tls_context_opts){.cert_file = bad_path, .key_pem = cert->key}, -EKEYREJECTED,
			  bad_path);
	server_is_refused((hilo_tls_context_opts){.cert_pem = "nothing", .key_pem = cert->key}, -EKEYREJECTED,
			  "no start line");
	server_is_refused((hilo_tls_context_opts){.cert_file = bad_path, .cert_pem = cert->cert}, -EINVAL,
			  "a certificate as a file and as text");
	client_is_refused((hilo_tls_context_opts){.ca_file = bad_path}, -EKEYREJECTED, bad_path);
	client_is_refused((hilo_tls_context_opts){.ca_pem = "nothing"}, -EKEYREJECTED,
			  "no certificate in it");
	client_is_refused((hilo_tls_context_opts){.ca_folder = "/nowhere"}, -ENOENT, "/nowhere");
	client_is_refused((hilo_tls_context_opts){.ca_folder = bad_path}, -ENOENT, bad_path);
	client_is_refused((hilo_tls_context_opts){.ca_file = "/nowhere.pem"}, -ENOENT,
			  "ca_file /nowhere.pem");
	client_is_refused((hilo_tls_context_opts){.key_pem = cert->key}, -EINVAL, "no certificate");
	test_certs_file("", locked_path);
	assert_int_equal(chmod(locked_path, 0), 0);
	if (access(locked_path, R_OK) != 0)
		client_is_refused((hilo_tls_context_opts){.ca_file = locked_path}, -EACCES, locked_path);
	(void)unlink(bad_path);
	(void)unlink(locked_path);
}

static void test_options_that_make_no_sense(void **state)
{
	static const char *const empty[] = {"h2", ""};
	hilo_tls_context_opts opts = {.size = 8};
	hilo_tls_context *context;

	(void)state;
	client_is_refused((hilo_tls_context_opts){.flags = HILO_TLS_ASK_CLIENTS}, -EINVAL,
			  "clients have not");
	client_is_refused((hilo_tls_context_opts){.flags = 1u << 20}, -EINVAL, "flags");
	server_is_refused((hilo_tls_context_opts){.flags = HILO_TLS_INSECURE}, -EINVAL, "servers have not");
	server_is_refused((hilo_tls_context_opts){.flags = HILO_TLS_REQUIRE_CLIENTS}, -EINVAL, "by whom");
	client_is_refused((hilo_tls_context_opts){.min_version = 11}, -EINVAL, "versions 11");
	client_is_refused((hilo_tls_context_opts){.max_version = 14}, -EINVAL, "to 14");
	client_is_refused((hilo_tls_context_opts){.min_version = HILO_TLS_1_3, .max_version = HILO_TLS_1_2},
			  -EINVAL, "is more than");
	client_is_refused((hilo_tls_context_opts){.ciphers = "NONSENSE"}, -EINVAL, "no cipher match");
	client_is_refused((hilo_tls_context_opts){.ciphersuites = "NONSENSE"}, -EINVAL, "NONSENSE");
	client_is_refused((hilo_tls_context_opts){.alpn = empty, .n_alpn = 2}, -EINVAL, "alpn[1]");
	client_is_refused((hilo_tls_context_opts){.n_alpn = 2}, -EINVAL, "alpn is NULL");
	client_is_refused((hilo_tls_context_opts){.handshake = -1}, -EINVAL, "negative");
	assert_int_equal(hilo_tls_client_new(&opts, &context), -EINVAL);
	assert_int_equal(hilo_tls_client_new(NULL, NULL), -EINVAL);
}

/* Whichever request fails, it is told, and nothing is left. */
static void test_no_memory_for_a_context(void **state)
{
	static const char *const alpn[] = {"h2"};
	hilo_tls_context_opts opts = {.size = sizeof(opts),
				      .ca_pem = test_certs.ca.cert,
				      .alpn = alpn,
				      .n_alpn = 1,
				      .ciphersuites = "TLS_AES_128_GCM_SHA256"};
	hilo_tls_context *context = NULL;
	long nth, live;
	int rc = -ENOMEM;

	(void)state;
	(void)hilo_fail(-ENOMEM, "so that there is memory for the message");
	live = hilo__mem_live();
	for (nth = 1; rc < 0; nth++) {
		hilo__mem_fail_at(nth, false);
		rc = hilo_tls_client_new(&opts, &context);
		hilo__mem_fail_at(0, false);
		if (rc == 0)
			break;
		assert_int_equal(rc, -ENOMEM);
		assert_true(hilo__mem_live() <= live + 1); /* a message */
	}
	assert_true(nth > 4);
	hilo_tls_context_unref(context);
	assert_true(hilo__mem_live() <= live + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_context_of_text_and_of_files),
		cmocka_unit_test(test_key_under_a_passphrase),
		cmocka_unit_test(test_mistakes_are_told),
		cmocka_unit_test(test_options_that_make_no_sense),
		cmocka_unit_test(test_no_memory_for_a_context),
	};
	int rc;

	test_begin();
	test_certs_begin();
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	test_certs_end();
	return rc;
}
