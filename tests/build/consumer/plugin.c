/* SPDX-License-Identifier: MIT */
/*
 * plugin.c - a shared library that uses hilo: it must not bring jemalloc into the program that loads it.
 */
#include <hilo/hilo.h>

unsigned plugin_hilo_version(void);

unsigned plugin_hilo_version(void)
{
	return hilo_version();
}
