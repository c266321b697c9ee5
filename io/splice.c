/* SPDX-License-Identifier: MIT */
/* splice.c - see splice_impl.h. */
#include "io/splice_impl.h"

#include <errno.h>

#include "scheduler/base/sys.h"

int hilo__splice_open(int ret[2], size_t size, size_t least)
{
	int rc = hilo__sys_pipe2(ret, O_CLOEXEC);

	if (rc < 0) {
		ret[0] = ret[1] = -1;
		return rc;
	}
	if (hilo__sys_fcntl(ret[1], F_SETPIPE_SZ, (long)size) >= 0 ||
	    hilo__sys_fcntl(ret[1], F_GETPIPE_SZ, 0) >= (int)least)
		return 0;
	hilo__splice_close(ret);
	return -ENOBUFS;
}

void hilo__splice_close(int pipe[2])
{
	for (unsigned i = 0; i < 2; i++) {
		if (pipe[i] >= 0)
			(void)hilo__sys_close(pipe[i]);
		pipe[i] = -1;
	}
}
