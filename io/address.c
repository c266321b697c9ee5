/* SPDX-License-Identifier: MIT */
/* address.c - addresses as values: from text and to text, and when two are the same. */
#include <hilo/io/address.h>

#include <hilo/runtime/error.h>

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PORT_MAX 65535u
#define PATH_OFFSET offsetof(struct sockaddr_un, sun_path)
#define PATH_ROOM sizeof(((struct sockaddr_un *)0)->sun_path)
/* "fe80::1%interface" */
#define HOST_SIZE (INET6_ADDRSTRLEN + IF_NAMESIZE + 1)

static const char unix_prefix[] = "unix:";

/* A text that grows, and may have grown beyond its place. */
struct text {
	char *buf;
	size_t size, length;
};

static void text_init(struct text *text, char *buf, size_t size)
{
	text->buf = buf;
	text->size = buf ? size : 0;
	text->length = 0;
	if (text->size)
		*buf = '\0';
}

static HILO_PRINTF(2, 3) void text_add(struct text *text, const char *format, ...)
{
	size_t left = text->length < text->size ? text->size - text->length : 0;
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(left ? text->buf + text->length : NULL, left, format, args);
	va_end(args);
	if (n > 0)
		text->length += (size_t)n;
}

/* A number of @max at most, which is all of @text. */
static bool number_read(const char *text, unsigned max, unsigned *ret)
{
	unsigned long value = 0;

	if (!*text)
		return false;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return false;
		value = value * 10 + (unsigned)(*text - '0');
		if (value > max)
			return false;
	}
	*ret = (unsigned)value;
	return true;
}

static int zone_read(const char *zone, uint32_t *ret)
{
	unsigned index = if_nametoindex(zone);

	if (!index && !number_read(zone, UINT32_MAX, &index))
		return -ENODEV;
	*ret = index;
	return 0;
}

/* @host is its own to change. */
static int ipv6_read(char *host, struct sockaddr_in6 *ret)
{
	char *zone = strchr(host, '%');
	int rc;

	if (zone)
		*zone++ = '\0';
	if (inet_pton(AF_INET6, host, &ret->sin6_addr) != 1)
		return -EINVAL;
	if (!zone)
		return 0;
	rc = *zone ? zone_read(zone, &ret->sin6_scope_id) : -EINVAL;
	return rc;
}

int hilo_address_ip(const char *host, unsigned port, hilo_address *ret)
{
	hilo_address address;
	char copy[HOST_SIZE];
	int rc;

	if (!host || !ret || port > PORT_MAX || strlen(host) >= sizeof(copy))
		return -EINVAL;
	memset(&address, 0, sizeof(address));
	if (inet_pton(AF_INET, host, &address.ipv4.sin_addr) == 1) {
		address.length = sizeof(address.ipv4);
		address.ipv4.sin_family = AF_INET;
		address.ipv4.sin_port = htons((uint16_t)port);
		*ret = address;
		return 0;
	}
	memset(&address, 0, sizeof(address));
	memcpy(copy, host, strlen(host) + 1);
	rc = ipv6_read(copy, &address.ipv6);
	if (rc < 0)
		return rc;
	address.length = sizeof(address.ipv6);
	address.ipv6.sin6_family = AF_INET6;
	address.ipv6.sin6_port = htons((uint16_t)port);
	*ret = address;
	return 0;
}

/* @length bytes, which begin with NUL if the name is abstract. */
static int local_set(const char *name, size_t length, hilo_address *ret)
{
	hilo_address address;
	bool abstract = length && !*name;

	if (length > PATH_ROOM - !abstract)
		return -ENAMETOOLONG;
	memset(&address, 0, sizeof(address));
	address.local.sun_family = AF_UNIX;
	memcpy(address.local.sun_path, name, length);
	address.length = (socklen_t)(PATH_OFFSET + length + (length && !abstract));
	*ret = address;
	return 0;
}

int hilo_address_unix(const char *path, hilo_address *ret)
{
	char name[PATH_ROOM + 1];
	size_t length = path ? strlen(path) : 0;
	int rc;

	if (!length || !ret)
		return hilo_fail(-EINVAL, "hilo_address_unix: %s", !ret ? "ret is NULL" : "no path");
	if (length > sizeof(name))
		length = sizeof(name);
	memcpy(name, path, length);
	if (*name == '@')
		*name = '\0';
	rc = local_set(name, length, ret);
	return rc < 0 ? hilo_fail(rc, "hilo_address_unix: %s: more than %zu bytes", path, PATH_ROOM - 1) : 0;
}

static int hex_digit(char c)
{
	const char *digits = "0123456789abcdef", *at = c > ' ' ? strchr(digits, c | 0x20) : NULL;

	return at ? (int)(at - digits) : -1;
}

/* The abstract name that @text is written for. */
static int abstract_read(const char *text, hilo_address *ret)
{
	char name[PATH_ROOM];
	size_t length = 1;

	*name = '\0';
	while (*text) {
		int byte = (unsigned char)*text++;

		if (length == sizeof(name))
			return -ENAMETOOLONG;
		if (byte == '\\' && *text == '\\') {
			text++;
		} else if (byte == '\\') {
			if (*text != 'x' || hex_digit(text[1]) < 0 || hex_digit(text[2]) < 0)
				return -EINVAL;
			byte = hex_digit(text[1]) * 16 + hex_digit(text[2]);
			text += 3;
		}
		name[length++] = (char)byte;
	}
	return local_set(name, length, ret);
}

/* Of "host:port" or "[host]:port"; the text between, and what is behind the colon. */
static int ip_read(const char *text, hilo_address *ret)
{
	const char *end = *text == '[' ? strchr(text, ']') : strchr(text, ':');
	const char *host = *text == '[' ? text + 1 : text;
	const char *colon = end && *end == ']' ? end + 1 : end;
	char copy[HOST_SIZE];
	hilo_address address;
	unsigned port;
	int rc;

	if (!end || *colon != ':' || !number_read(colon + 1, PORT_MAX, &port) ||
	    (size_t)(end - host) >= sizeof(copy))
		return -EINVAL;
	memcpy(copy, host, (size_t)(end - host));
	copy[end - host] = '\0';
	rc = hilo_address_ip(copy, port, &address);
	if (rc == 0 && (address.any.sa_family == AF_INET6) != (*end == ']'))
		return -EINVAL; /* brackets are for IPv6, and only for that */
	if (rc == 0)
		*ret = address;
	return rc;
}

int hilo_address_parse(const char *text, hilo_address *ret)
{
	const char *path;
	int rc;

	if (!text || !ret)
		return hilo_fail(-EINVAL, "hilo_address_parse: %s is NULL", text ? "ret" : "text");
	if (strncmp(text, unix_prefix, sizeof(unix_prefix) - 1) != 0) {
		rc = ip_read(text, ret);
	} else {
		path = text + sizeof(unix_prefix) - 1;
		rc = *path == '@' ? abstract_read(path + 1, ret) : local_set(path, strlen(path), ret);
	}
	if (rc == -EINVAL)
		return hilo_fail(rc, "hilo_address_parse: \"%s\" is no address", text);
	if (rc == -ENODEV)
		return hilo_fail(rc, "hilo_address_parse: \"%s\": no such zone", text);
	return rc < 0 ? hilo_fail(rc, "hilo_address_parse: \"%s\": the path is too long", text) : 0;
}

int hilo_address_any(int family, unsigned port, hilo_address *ret)
{
	if (family != AF_INET && family != AF_INET6)
		return -EAFNOSUPPORT;
	return hilo_address_ip(family == AF_INET ? "0.0.0.0" : "::", port, ret);
}

int hilo_address_from(const struct sockaddr *from, socklen_t length, hilo_address *ret)
{
	hilo_address address;
	socklen_t least;

	if (!from || !ret || length < sizeof(from->sa_family))
		return -EINVAL;
	switch (from->sa_family) {
	case AF_INET:
		least = sizeof(struct sockaddr_in);
		break;
	case AF_INET6:
		least = sizeof(struct sockaddr_in6);
		break;
	case AF_UNIX:
		least = PATH_OFFSET;
		break;
	default:
		return -EAFNOSUPPORT;
	}
	if (length < least || (from->sa_family == AF_UNIX && length > sizeof(struct sockaddr_un)))
		return -EINVAL;
	memset(&address, 0, sizeof(address));
	address.length = from->sa_family == AF_UNIX ? length : least;
	memcpy(&address.any, from, address.length);
	*ret = address;
	return 0;
}

/* The name of a Unix socket: how many bytes it has; the first one is NUL if it is abstract. */
static size_t local_length(const hilo_address *address)
{
	size_t length = address->length > PATH_OFFSET ? address->length - PATH_OFFSET : 0;

	if (length && *address->local.sun_path)
		length = strnlen(address->local.sun_path, length);
	return length;
}

static void local_format(struct text *text, const hilo_address *address)
{
	const char *name = address->local.sun_path;
	size_t length = local_length(address);

	if (!length || *name) {
		text_add(text, "%s%s%.*s", unix_prefix, length && *name == '@' ? "./" : "", (int)length,
			 name);
		return;
	}
	text_add(text, "%s@", unix_prefix);
	for (size_t i = 1; i < length; i++) {
		unsigned char byte = (unsigned char)name[i];

		if (byte == '\\')
			text_add(text, "\\\\");
		else if (byte < 0x20 || byte >= 0x7f)
			text_add(text, "\\x%02x", byte);
		else
			text_add(text, "%c", byte);
	}
}

/* As the repr of Python's bytes. */
static void local_pair(struct text *text, const hilo_address *address)
{
	static const char special[] = "\\'\t\n\r", written[] = "\\'tnr";
	const char *name = address->local.sun_path, *at;
	size_t length = local_length(address);

	if (!length || *name) {
		text_add(text, "%.*s", (int)length, name);
		return;
	}
	text_add(text, "b'");
	for (size_t i = 0; i < length; i++) {
		unsigned char byte = (unsigned char)name[i];

		at = byte ? strchr(special, byte) : NULL;
		if (at)
			text_add(text, "\\%c", written[at - special]);
		else if (byte < 0x20 || byte >= 0x7f)
			text_add(text, "\\x%02x", byte);
		else
			text_add(text, "%c", byte);
	}
	text_add(text, "'");
}

/* The host of an IP address. */
static const char *ip_host(const hilo_address *address, char buf[HOST_SIZE])
{
	char zone[IF_NAMESIZE];
	size_t length;

	if (address->any.sa_family == AF_INET)
		return inet_ntop(AF_INET, &address->ipv4.sin_addr, buf, HOST_SIZE);
	(void)inet_ntop(AF_INET6, &address->ipv6.sin6_addr, buf, HOST_SIZE);
	if (!address->ipv6.sin6_scope_id)
		return buf;
	length = strlen(buf);
	if (if_indextoname(address->ipv6.sin6_scope_id, zone))
		(void)snprintf(buf + length, HOST_SIZE - length, "%%%s", zone);
	else
		(void)snprintf(buf + length, HOST_SIZE - length, "%%%u", address->ipv6.sin6_scope_id);
	return buf;
}

int hilo_address_format(const hilo_address *address, char *buf, size_t size)
{
	char host[HOST_SIZE];
	struct text text;

	text_init(&text, buf, size);
	switch (hilo_address_family(address)) {
	case AF_INET:
		text_add(&text, "%s:%u", ip_host(address, host), hilo_address_port(address));
		break;
	case AF_INET6:
		text_add(&text, "[%s]:%u", ip_host(address, host), hilo_address_port(address));
		break;
	case AF_UNIX:
		local_format(&text, address);
		break;
	default:
		text_add(&text, "-");
	}
	return (int)text.length;
}

int hilo_address_pair(const hilo_address *address, char *buf, size_t size)
{
	char host[HOST_SIZE];
	struct text text;

	text_init(&text, buf, size);
	switch (hilo_address_family(address)) {
	case AF_INET:
		text_add(&text, "('%s', %u)", ip_host(address, host), hilo_address_port(address));
		break;
	case AF_INET6:
		text_add(&text, "('%s', %u, %u, %u)", ip_host(address, host), hilo_address_port(address),
			 ntohl(address->ipv6.sin6_flowinfo) & 0xfffff, address->ipv6.sin6_scope_id);
		break;
	case AF_UNIX:
		local_pair(&text, address);
		break;
	default:
		text_add(&text, "None");
	}
	return (int)text.length;
}

int hilo_address_host(const hilo_address *address, char *buf, size_t size)
{
	int family = hilo_address_family(address);
	char host[HOST_SIZE];
	struct text text;

	if (family != AF_INET && family != AF_INET6)
		return hilo_address_format(address, buf, size);
	text_init(&text, buf, size);
	text_add(&text, "%s", ip_host(address, host));
	return (int)text.length;
}

int hilo_address_family(const hilo_address *address)
{
	return address && address->length ? address->any.sa_family : AF_UNSPEC;
}

unsigned hilo_address_port(const hilo_address *address)
{
	switch (hilo_address_family(address)) {
	case AF_INET:
		return ntohs(address->ipv4.sin_port);
	case AF_INET6:
		return ntohs(address->ipv6.sin6_port);
	default:
		return 0;
	}
}

int hilo_address_set_port(hilo_address *address, unsigned port)
{
	int family = hilo_address_family(address);

	if (port > PORT_MAX || (family != AF_INET && family != AF_INET6))
		return -EINVAL;
	if (family == AF_INET)
		address->ipv4.sin_port = htons((uint16_t)port);
	else
		address->ipv6.sin6_port = htons((uint16_t)port);
	return 0;
}

int hilo_address_equal(const hilo_address *a, const hilo_address *b)
{
	int family = hilo_address_family(a);
	size_t length;

	if (family != hilo_address_family(b) || hilo_address_port(a) != hilo_address_port(b))
		return 0;
	switch (family) {
	case AF_INET:
		return a->ipv4.sin_addr.s_addr == b->ipv4.sin_addr.s_addr;
	case AF_INET6:
		return memcmp(&a->ipv6.sin6_addr, &b->ipv6.sin6_addr, sizeof(a->ipv6.sin6_addr)) == 0 &&
		       a->ipv6.sin6_scope_id == b->ipv6.sin6_scope_id;
	case AF_UNIX:
		length = local_length(a);
		return length && length == local_length(b) &&
		       memcmp(a->local.sun_path, b->local.sun_path, length) == 0;
	default:
		return 1;
	}
}
