/* SPDX-License-Identifier: MIT */
/* tls_load.c - certificates and keys, from files and from text. What is wrong is told with the file's name. */
#include <errno.h>
#include <limits.h>
#include <sys/stat.h>

#include <openssl/pem.h>
#include <openssl/x509.h>

#include "io/tls_openssl_impl.h"
#include "runtime/error_impl.h"

/* What a file or text is, for messages. */
struct source {
	const char *call, *what, *file, *text;
};

/* What OpenSSL has failed with, as a code: of the system, or that it is not what it should be. */
static int load_code(void)
{
	unsigned long error = ERR_peek_error();

	if (error && ERR_SYSTEM_ERROR(error))
		return -ERR_GET_REASON(error);
	return ERR_GET_REASON(error) == ERR_R_MALLOC_FAILURE ? -ENOMEM : -EKEYREJECTED;
}

static int source_fail(const struct source *source)
{
	return hilo__tls_fail(load_code(), "%s: %s%s%s", source->call, source->what, source->file ? " " : "",
			      source->file ? source->file : "");
}

/* NULL: it has failed, with *@rc. */
static BIO *source_open(const struct source *source, int *rc)
{
	BIO *bio;

	ERR_clear_error();
	bio = source->file ? BIO_new_file(source->file, "r") : BIO_new_mem_buf(source->text, -1);
	*rc = bio ? 0 : source_fail(source);
	return bio;
}

/* The last certificate was read; or there is something that is none. */
static bool is_the_end(void)
{
	unsigned long error = ERR_peek_last_error();

	if (ERR_GET_LIB(error) != ERR_LIB_PEM || ERR_GET_REASON(error) != PEM_R_NO_START_LINE)
		return false;
	ERR_clear_error();
	return true;
}

/* Certificates that are trusted, and for servers the names that clients are told. */
static int load_trusted(struct tls_context *context, const struct source *source)
{
	X509_STORE *store = SSL_CTX_get_cert_store(context->ssl);
	unsigned n = 0;
	int rc;
	BIO *bio = source_open(source, &rc);
	X509 *cert;

	while (rc == 0 && (cert = PEM_read_bio_X509(bio, NULL, NULL, NULL))) {
		if (!X509_STORE_add_cert(store, cert) ||
		    (context->base.is_server && !SSL_CTX_add_client_CA(context->ssl, cert)))
			rc = source_fail(source);
		X509_free(cert);
		n++;
	}
	BIO_free(bio);
	if (rc == 0 && (!is_the_end() || !n))
		rc = n ? source_fail(source)
		       : hilo_fail(-EKEYREJECTED, "%s: %s%s%s: there is no certificate in it", source->call,
				   source->what, source->file ? " " : "", source->file ? source->file : "");
	return rc;
}

static int load_folder(struct tls_context *context, const char *folder, const char *call)
{
	struct stat is;

	/* OpenSSL looks only when it needs one. */
	if (stat(folder, &is) < 0 || !S_ISDIR(is.st_mode))
		return hilo_fail(-ENOENT, "%s: ca_folder %s: there is no such folder", call, folder);
	return SSL_CTX_load_verify_dir(context->ssl, folder) ? 0 : hilo__error_own(-ENOMEM);
}

static int load_trust(struct tls_context *context, const hilo_tls_context_opts *opts, const char *call)
{
	struct source file = {call, "ca_file", opts->ca_file, NULL},
		      text = {call, "ca_pem", NULL, opts->ca_pem};
	int rc = 0;

	if (opts->ca_file)
		rc = load_trusted(context, &file);
	if (rc == 0 && opts->ca_pem)
		rc = load_trusted(context, &text);
	if (rc == 0 && opts->ca_folder)
		rc = load_folder(context, opts->ca_folder, call);
	if (opts->ca_file || opts->ca_pem || opts->ca_folder || context->base.is_server ||
	    opts->flags & HILO_TLS_INSECURE)
		return rc;
	ERR_clear_error();
	if (!SSL_CTX_set_default_verify_paths(context->ssl))
		return hilo__tls_fail(load_code(), "%s: the system's certificates", call);
	return 0;
}

/* Our certificate, and those between it and its root. */
static int load_chain(struct tls_context *context, const struct source *source)
{
	int rc;
	BIO *bio = source_open(source, &rc);
	X509 *cert = bio ? PEM_read_bio_X509_AUX(bio, NULL, NULL, NULL) : NULL;

	if (rc == 0 && (!cert || SSL_CTX_use_certificate(context->ssl, cert) != 1))
		rc = source_fail(source);
	X509_free(cert);
	while (rc == 0 && (cert = PEM_read_bio_X509(bio, NULL, NULL, NULL)))
		if (!SSL_CTX_add0_chain_cert(context->ssl, cert)) {
			X509_free(cert);
			rc = source_fail(source);
		}
	if (rc == 0 && !is_the_end())
		rc = source_fail(source);
	BIO_free(bio);
	return rc;
}

/* As pem_password_cb. */
static int passphrase(char *buf, int size, int writing, void *arg)
{
	struct tls_context *context = arg;
	int n;

	(void)writing;
	if (context->ask) {
		n = context->ask(buf, (size_t)size, context->arg);
		return n > size ? -1 : n;
	}
	if (!context->passphrase || strlen(context->passphrase) > (size_t)size)
		return -1;
	n = (int)strlen(context->passphrase);
	memcpy(buf, context->passphrase, (size_t)n);
	return n;
}

static int load_key(struct tls_context *context, const struct source *source)
{
	int rc;
	BIO *bio = source_open(source, &rc);
	EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, passphrase, context) : NULL;

	if (rc == 0 && (!key || SSL_CTX_use_PrivateKey(context->ssl, key) != 1 ||
			SSL_CTX_check_private_key(context->ssl) != 1))
		rc = source_fail(source);
	EVP_PKEY_free(key);
	BIO_free(bio);
	return rc;
}

int hilo__tls_load(struct tls_context *context, const hilo_tls_context_opts *opts, const char *call)
{
	struct source cert = {call, opts->cert_file ? "cert_file" : "cert_pem", opts->cert_file,
			      opts->cert_pem};
	struct source key = cert;
	int rc = load_trust(context, opts, call);

	if (rc < 0 || (!opts->cert_file && !opts->cert_pem))
		return rc;
	context->ask = opts->ask;
	context->passphrase = opts->passphrase;
	if (opts->key_file || opts->key_pem)
		key = (struct source){call, opts->key_file ? "key_file" : "key_pem", opts->key_file,
				      opts->key_pem};
	else
		key.what = opts->cert_file ? "the key in cert_file" : "the key in cert_pem";
	rc = load_chain(context, &cert);
	return rc < 0 ? rc : load_key(context, &key);
}
