/* SPDX-License-Identifier: MIT */
/* site.c - places in the code, as text: what the dynamic linker knows of an address. */
#include "runtime/site_impl.h"

#include <dlfcn.h>
#include <link.h>
#include <stdint.h>
#include <stdio.h>

/* A program at a fixed place has its addresses in its file as they are. */
static uintptr_t file_offset(const Dl_info *info, uintptr_t address)
{
	const ElfW(Ehdr) *header = info->dli_fbase;

	return header->e_type == ET_EXEC ? address : address - (uintptr_t)header;
}

void hilo__site_describe(const void *address, char *buf, size_t size)
{
	/* A return address may be the first of the next line, or of the next function. */
	uintptr_t call = (uintptr_t)address - 1;
	Dl_info info;

	if (!address)
		(void)snprintf(buf, size, "?");
	else if (!dladdr((const void *)call, &info) || !info.dli_fname || !info.dli_fbase)
		(void)snprintf(buf, size, "%p", address);
	else if (info.dli_sname)
		(void)snprintf(buf, size, "%s+%#lx (%s)", info.dli_sname,
			       (unsigned long)(call - (uintptr_t)info.dli_saddr), info.dli_fname);
	else
		(void)snprintf(buf, size, "%s+%#lx", info.dli_fname, (unsigned long)file_offset(&info, call));
}
