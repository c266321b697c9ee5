/* SPDX-License-Identifier: MIT */
/* resolve_system.c - names as the system resolves them: /etc/hosts, DNS, whatever nsswitch.conf says. It blocks. */
#include "io/resolve_impl.h"

#include <hilo/runtime/error.h>

#include <errno.h>

#include "scheduler/base/sys.h"

/* What @code of getaddrinfo and its like means here, with its own words as the message. */
static int system_failed(int code)
{
	int errno_now = (int)sys_result(-1);

	switch (code) {
	case EAI_NONAME:
	case EAI_NODATA:
	case EAI_ADDRFAMILY:
	case EAI_SERVICE:
		return hilo_fail(HILO_ENONAME, "%s", gai_strerror(code));
	case EAI_AGAIN:
		return hilo_fail(-EAGAIN, "%s", gai_strerror(code));
	case EAI_MEMORY:
		return -ENOMEM;
	case EAI_FAMILY:
		return hilo_fail(-EAFNOSUPPORT, "%s", gai_strerror(code));
	case EAI_SYSTEM:
		return errno_now < 0 ? errno_now : -EIO;
	case EAI_OVERFLOW:
		return hilo_fail(-EMSGSIZE, "%s", gai_strerror(code));
	case EAI_FAIL:
		return hilo_fail(-EIO, "%s", gai_strerror(code));
	default:
		return hilo_fail(-EINVAL, "%s", gai_strerror(code));
	}
}

int hilo__resolve_system(const hilo_resolve_query *query, hilo_address *ret, size_t max, void *arg)
{
	struct addrinfo hints = {.ai_family = query->family, .ai_socktype = query->type}, *list;
	size_t n = 0;
	int rc;

	(void)arg;
	hints.ai_flags = query->flags & HILO_RESOLVE_PASSIVE ? AI_PASSIVE : 0;
	rc = getaddrinfo(query->host, query->service, &hints, &list);
	if (rc)
		return system_failed(rc);
	for (struct addrinfo *at = list; at && n < max; at = at->ai_next)
		n += hilo_address_from(at->ai_addr, at->ai_addrlen, &ret[n]) == 0;
	freeaddrinfo(list);
	return n ? (int)n : hilo_fail(HILO_ENONAME, "%s", gai_strerror(EAI_NONAME));
}

int hilo__resolve_system_name(const hilo_resolve_query *query, char *host, char *service, void *arg)
{
	int flags = 0, rc;

	(void)arg;
	if (query->flags & HILO_RESOLVE_NAME_REQUIRED)
		flags |= NI_NAMEREQD;
	if (query->flags & HILO_RESOLVE_NAME_NUMERIC)
		flags |= NI_NUMERICHOST | NI_NUMERICSERV;
	if (query->flags & HILO_RESOLVE_NAME_DATAGRAM)
		flags |= NI_DGRAM;
	rc = getnameinfo(&query->address->any, query->address->length, host, HILO_ADDRESS_SIZE, service,
			 RESOLVE_SERVICE_SIZE, flags);
	return rc ? system_failed(rc) : 0;
}
