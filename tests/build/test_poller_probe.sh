#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# test_poller_probe.sh PROBE - the probe by which tests/run knows the poller fails where io_uring is to be had and not used.
set -u -o pipefail
unset HILO_POLLER

used=$("$1")
status=$?
if [ "$status" -ne 0 ]; then
	echo "FAIL: $used, status $status"
	exit 1
fi
if [ "$used" != "poller: io_uring" ]; then
	echo "SKIP: no io_uring here: $used"
	exit 77
fi
used=$("$1" --refused)
status=$?
if [ "$status" -ne 1 ] || [ "$used" != "poller: epoll (the kernel has io_uring)" ]; then
	echo "FAIL: without io_uring: $used, status $status"
	exit 1
fi
