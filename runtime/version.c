/* SPDX-License-Identifier: MIT */
/*
 * version.c - the version that was linked.
 */
#include <hilo/runtime/version.h>

unsigned hilo_version(void)
{
	return HILO_VERSION;
}

const char *hilo_version_string(void)
{
	return HILO_VERSION_STRING;
}
