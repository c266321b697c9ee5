/* SPDX-License-Identifier: MIT */
/* code.c - failures of libcurl's, as ours. */
#include "io/http_client/client_impl.h"

#include <errno.h>

#include <hilo/runtime/error.h>

/* What the system has said of the connection; else @code. */
static int code_of_system(CURL *easy, int code)
{
	long number = 0;

	if (easy)
		(void)curl_easy_getinfo(easy, CURLINFO_OS_ERRNO, &number);
	return number > 0 && number != EINPROGRESS && number != EAGAIN ? -(int)number : code;
}

static bool was_connected(CURL *easy)
{
	long port = 0;

	return easy && curl_easy_getinfo(easy, CURLINFO_PRIMARY_PORT, &port) == CURLE_OK && port > 0;
}

/* What a proxy of HTTP has answered instead of making a tunnel; else @code. */
static int code_of_tunnel(CURL *easy, int code)
{
	long status = 0;

	if (easy)
		(void)curl_easy_getinfo(easy, CURLINFO_HTTP_CONNECTCODE, &status);
	if (status < 300)
		return code;
	return status < 500 ? -EACCES : -EHOSTUNREACH;
}

/* The same of one of SOCKS. */
static int code_of_socks(CURL *easy)
{
	long reply = 0;

	if (easy)
		(void)curl_easy_getinfo(easy, CURLINFO_PROXY_ERROR, &reply);
	switch (reply) {
	case CURLPX_IDENTD:
	case CURLPX_IDENTD_DIFFER:
	case CURLPX_NO_AUTH:
	case CURLPX_REPLY_NOT_ALLOWED:
	case CURLPX_REQUEST_FAILED:
	case CURLPX_USER_REJECTED:
		return -EACCES;
	case CURLPX_REPLY_CONNECTION_REFUSED:
		return -ECONNREFUSED;
	case CURLPX_REPLY_HOST_UNREACHABLE:
	case CURLPX_REPLY_TTL_EXPIRED:
		return -EHOSTUNREACH;
	case CURLPX_REPLY_NETWORK_UNREACHABLE:
		return -ENETUNREACH;
	case CURLPX_CLOSED:
	case CURLPX_RECV_ADDRESS:
	case CURLPX_RECV_AUTH:
	case CURLPX_RECV_CONNECT:
	case CURLPX_RECV_REQACK:
		return -ECONNRESET;
	default:
		return -EPROTO;
	}
}

int hilo__client_code(CURLcode code, CURL *easy)
{
	switch (code) {
	case CURLE_OK:
		return 0;
	case CURLE_OUT_OF_MEMORY:
		return -ENOMEM;
	case CURLE_URL_MALFORMAT:
	case CURLE_BAD_FUNCTION_ARGUMENT:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CACERT_BADFILE:
		return -EINVAL;
	case CURLE_UNSUPPORTED_PROTOCOL: /* an answer of HTTP/0.9, which may be anything; or libcurl has no TLS */
		return was_connected(easy) ? -EBADMSG : -EPROTONOSUPPORT;
	case CURLE_NOT_BUILT_IN:
		return -EPROTONOSUPPORT;
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
		return HILO_ENONAME;
	case CURLE_COULDNT_CONNECT:
		return code_of_system(easy, -ECONNREFUSED);
	case CURLE_OPERATION_TIMEDOUT:
		return -ETIMEDOUT;
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_ISSUER_ERROR:
	case CURLE_SSL_INVALIDCERTSTATUS:
		return -EKEYREJECTED;
	case CURLE_GOT_NOTHING:
		return -ECONNRESET;
	case CURLE_RECV_ERROR: /* of the system, or what came makes no sense */
		return code_of_tunnel(easy, code_of_system(easy, -EBADMSG));
	case CURLE_PROXY:
		return code_of_socks(easy);
	case CURLE_SEND_ERROR:
	case CURLE_SEND_FAIL_REWIND:
		return code_of_system(easy, -ECONNRESET);
	case CURLE_PARTIAL_FILE:
		return HILO_EINCOMPLETE;
	case CURLE_WEIRD_SERVER_REPLY:
	case CURLE_BAD_CONTENT_ENCODING:
	case CURLE_WRITE_ERROR: /* of ours none is left to libcurl: what came could not be decoded */
		return -EBADMSG;
	case CURLE_ABORTED_BY_CALLBACK:
		return -ECANCELED;
	default:
		return -EPROTO;
	}
}

int hilo__client_multi_code(CURLMcode code)
{
	return code == CURLM_OK ? 0 : code == CURLM_OUT_OF_MEMORY ? -ENOMEM : -EINVAL;
}
