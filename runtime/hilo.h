/* SPDX-License-Identifier: MIT */
#ifndef HILO_HILO_H
#define HILO_HILO_H

/* hilo.h - everything. Hilo is asyncio for C, on every core. */
#include <hilo/runtime/types.h>

#include <hilo/runtime/affinity.h>
#include <hilo/runtime/error.h>
#include <hilo/runtime/exception.h>
#include <hilo/runtime/executor.h>
#include <hilo/runtime/fork.h>
#include <hilo/runtime/future.h>
#include <hilo/runtime/gather.h>
#include <hilo/runtime/group.h>
#include <hilo/runtime/local.h>
#include <hilo/runtime/log.h>
#include <hilo/runtime/loop.h>
#include <hilo/runtime/measure.h>
#include <hilo/runtime/parallel.h>
#include <hilo/runtime/pipeline.h>
#include <hilo/runtime/runtime.h>
#include <hilo/runtime/select.h>
#include <hilo/runtime/signal.h>
#include <hilo/runtime/sort.h>
#include <hilo/runtime/task.h>
#include <hilo/runtime/timeout.h>
#include <hilo/runtime/version.h>
#include <hilo/runtime/with.h>

#include <hilo/sync/barrier.h>
#include <hilo/sync/broadcast.h>
#include <hilo/sync/condition.h>
#include <hilo/sync/each.h>
#include <hilo/sync/event.h>
#include <hilo/sync/latch.h>
#include <hilo/sync/mutex.h>
#include <hilo/sync/once.h>
#include <hilo/sync/queue.h>
#include <hilo/sync/rwlock.h>
#include <hilo/sync/semaphore.h>
#include <hilo/sync/wait_group.h>
#include <hilo/sync/watch.h>

#include <hilo/io/address.h>
#include <hilo/io/conn.h>
#include <hilo/io/connect.h>
#include <hilo/io/datagram.h>
#include <hilo/io/directory.h>
#include <hilo/io/file.h>
#include <hilo/io/frame.h>
#include <hilo/io/fs_watch.h>
#include <hilo/io/path.h>
#include <hilo/io/process.h>
#include <hilo/io/pump.h>
#include <hilo/io/resolve.h>
#include <hilo/io/server.h>
#include <hilo/io/socket.h>
#include <hilo/io/stream.h>
#include <hilo/io/tls.h>

#endif /* HILO_HILO_H */
