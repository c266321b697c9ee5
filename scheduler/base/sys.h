/* SPDX-License-Identifier: MIT */
#ifndef HILO_SCHEDULER_BASE_SYS_H
#define HILO_SCHEDULER_BASE_SYS_H

/*
 * sys.h - the system calls that can fail, each as hilo__sys_<name>: 0 or more on success, a negative
 * errno on failure. `errno` is read here and nowhere else.
 *
 * In release builds each is the call itself, inline. In HILO_TESTING builds each goes through the
 * table hilo__sys, in which a simulation may replace it, and first through the faults that a test has
 * asked for: fail the n-th, shorten a read or a write, delay, interrupt.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "scheduler/base/compiler.h"

/*
 * X(NAME, name, typical error, result, parameters, arguments). The typical error is the one that a
 * test gets that asks for a fault without saying which. close stands apart because the descriptor is
 * gone whatever it answers, so a fault must not keep it open.
 */
#define HILO__SYS_CALLS(X)                                                                                   \
	X(CLOSE, close, EIO, int, (int fd), (fd))                                                            \
	HILO__SYS_CALLS_BUT_CLOSE(X)

#define HILO__SYS_CALLS_BUT_CLOSE(X)                                                                         \
	X(OPEN, open, ENOENT, int, (const char *path, int flags), (path, flags))                             \
	X(READ, read, EINTR, ssize_t, (int fd, void *buf, size_t size),                                      \
	  (fd, buf, hilo__sys_shorten(SYS_CALL_READ, size)))                                                 \
	X(WRITE, write, EINTR, ssize_t, (int fd, const void *buf, size_t size),                              \
	  (fd, buf, hilo__sys_shorten(SYS_CALL_WRITE, size)))                                                \
	X(EPOLL_CREATE1, epoll_create1, EMFILE, int, (int flags), (flags))                                   \
	X(EPOLL_CTL, epoll_ctl, ENOSPC, int, (int epfd, int op, int fd, struct epoll_event *event),          \
	  (epfd, op, fd, event))                                                                             \
	X(EPOLL_WAIT, epoll_wait, EINTR, int, (int epfd, struct epoll_event *events, int max, int ms),       \
	  (epfd, events, max, ms))                                                                           \
	X(EPOLL_PWAIT2, epoll_pwait2, ENOSYS, int,                                                           \
	  (int epfd, struct epoll_event *events, int max, const struct timespec *timeout),                   \
	  (epfd, events, max, timeout))                                                                      \
	X(DUP3, dup3, EMFILE, int, (int from, int to, int flags), (from, to, flags))                         \
	X(FCNTL, fcntl, EBADF, int, (int fd, int command, long value), (fd, command, value))                 \
	X(EVENTFD, eventfd, EMFILE, int, (unsigned initial, int flags), (initial, flags))                    \
	X(TIMERFD_CREATE, timerfd_create, EMFILE, int, (int clock, int flags), (clock, flags))               \
	X(TIMERFD_SETTIME, timerfd_settime, EINVAL, int, (int fd, int flags, const struct itimerspec *when), \
	  (fd, flags, when))                                                                                 \
	X(PPOLL, ppoll, EINTR, int, (struct pollfd * fds, nfds_t n, const struct timespec *timeout),         \
	  (fds, n, timeout))                                                                                 \
	X(RECV, recv, EINTR, ssize_t, (int fd, void *buf, size_t size, int flags),                           \
	  (fd, buf, hilo__sys_shorten(SYS_CALL_RECV, size), flags))                                          \
	X(SEND, send, EINTR, ssize_t, (int fd, const void *buf, size_t size, int flags),                     \
	  (fd, buf, hilo__sys_shorten(SYS_CALL_SEND, size), flags))                                          \
	X(RECVMSG, recvmsg, EINTR, ssize_t, (int fd, struct msghdr *msg, int flags), (fd, msg, flags))       \
	X(SENDMSG, sendmsg, EINTR, ssize_t, (int fd, const struct msghdr *msg, int flags), (fd, msg, flags)) \
	X(ACCEPT4, accept4, EINTR, int, (int fd, struct sockaddr *address, socklen_t *size, int flags),      \
	  (fd, address, size, flags))                                                                        \
	X(CONNECT, connect, ECONNREFUSED, int, (int fd, const struct sockaddr *address, socklen_t size),     \
	  (fd, address, size))                                                                               \
	X(GETSOCKOPT, getsockopt, ENOBUFS, int, (int fd, int level, int name, void *value, socklen_t *size), \
	  (fd, level, name, value, size))                                                                    \
	X(PREADV2, preadv2, EINTR, ssize_t,                                                                  \
	  (int fd, const struct iovec *vector, int n, int64_t offset, int flags),                            \
	  (fd, vector, n, offset, flags))                                                                    \
	X(PWRITEV2, pwritev2, EINTR, ssize_t,                                                                \
	  (int fd, const struct iovec *vector, int n, int64_t offset, int flags),                            \
	  (fd, vector, n, offset, flags))                                                                    \
	X(SPLICE, splice, EINTR, ssize_t, (int in, int64_t *offset, int out, size_t size, unsigned flags),   \
	  (in, offset, out, hilo__sys_shorten(SYS_CALL_SPLICE, size), flags))                                \
	X(IO_URING_SETUP, io_uring_setup, ENOMEM, int, (unsigned entries, void *params), (entries, params))  \
	X(IO_URING_ENTER, io_uring_enter, EINTR, int,                                                        \
	  (int fd, unsigned submit, unsigned wait, unsigned flags, const void *arg, size_t size),            \
	  (fd, submit, wait, flags, arg, size))                                                              \
	X(IO_URING_REGISTER, io_uring_register, EINVAL, int, (int fd, unsigned code, void *arg, unsigned n), \
	  (fd, code, arg, n))                                                                                \
	X(FSYNC, fsync, EIO, int, (int fd), (fd))                                                            \
	X(FDATASYNC, fdatasync, EIO, int, (int fd), (fd))                                                    \
	X(OPENAT, openat, ENOENT, int, (int folder, const char *path, int flags, mode_t mode),               \
	  (folder, path, flags, mode))                                                                       \
	X(STATX, statx, ENOENT, int, (int folder, const char *path, int flags, unsigned mask, void *ret),    \
	  (folder, path, flags, mask, ret))                                                                  \
	X(UNLINKAT, unlinkat, ENOENT, int, (int folder, const char *path, int flags), (folder, path, flags)) \
	X(RENAMEAT2, renameat2, ENOENT, int,                                                                 \
	  (int folder, const char *path, int other, const char *name, unsigned flags),                       \
	  (folder, path, other, name, flags))                                                                \
	X(MKDIRAT, mkdirat, EEXIST, int, (int folder, const char *path, mode_t mode), (folder, path, mode))  \
	X(OPENAT2, openat2, EAGAIN, int, (int folder, const char *path, const void *how, size_t size),       \
	  (folder, path, how, size))                                                                         \
	X(LSEEK, lseek, ESPIPE, int64_t, (int fd, int64_t offset, int whence), (fd, offset, whence))         \
	X(FTRUNCATE, ftruncate, EIO, int, (int fd, int64_t size), (fd, size))                                \
	X(FACCESSAT, faccessat, EACCES, int, (int folder, const char *path, int mode), (folder, path, mode)) \
	X(FCHMODAT, fchmodat, EPERM, int, (int folder, const char *path, mode_t mode), (folder, path, mode)) \
	X(SYMLINKAT, symlinkat, EEXIST, int, (const char *target, int folder, const char *path),             \
	  (target, folder, path))                                                                            \
	X(LINKAT, linkat, EEXIST, int, (int folder, const char *path, int other, const char *name),          \
	  (folder, path, other, name))                                                                       \
	X(READLINKAT, readlinkat, EINVAL, ssize_t, (int folder, const char *path, char *buf, size_t size),   \
	  (folder, path, buf, size))                                                                         \
	X(COPY_FILE_RANGE, copy_file_range, EXDEV, ssize_t, (int from, int to, size_t size),                 \
	  (from, to, size))                                                                                  \
	X(GETDENTS64, getdents64, EIO, ssize_t, (int fd, void *buf, size_t size), (fd, buf, size))           \
	X(INOTIFY_INIT1, inotify_init1, EMFILE, int, (int flags), (flags))                                   \
	X(INOTIFY_ADD_WATCH, inotify_add_watch, ENOSPC, int, (int fd, const char *path, uint32_t mask),      \
	  (fd, path, mask))                                                                                  \
	X(INOTIFY_RM_WATCH, inotify_rm_watch, EINVAL, int, (int fd, int watch), (fd, watch))                 \
	X(MEMBARRIER, membarrier, EINVAL, int, (int command), (command))                                     \
	X(FUTEX, futex, EINTR, int,                                                                          \
	  (void *word, int op, uint32_t value, const struct timespec *timeout, uint32_t bits),               \
	  (word, op, value, timeout, bits))                                                                  \
	X(MMAP, mmap, ENOMEM, int, (void *addr, size_t size, int prot, int flags, void **ret),               \
	  (addr, size, prot, flags, ret))                                                                    \
	X(MMAP_FILE, mmap_file, ENOMEM, int, (int fd, size_t size, int64_t offset, void **ret),              \
	  (fd, size, offset, ret))                                                                           \
	X(MUNMAP, munmap, ENOMEM, int, (void *addr, size_t size), (addr, size))                              \
	X(MADVISE, madvise, EINVAL, int, (void *addr, size_t size, int advice), (addr, size, advice))        \
	X(PROCESS_MADVISE, process_madvise, EBADF, ssize_t,                                                  \
	  (int pidfd, const struct iovec *ranges, size_t n, int advice), (pidfd, ranges, n, advice))         \
	X(MPROTECT, mprotect, ENOMEM, int, (void *addr, size_t size, int prot), (addr, size, prot))          \
	X(PTHREAD_CREATE, pthread_create, EAGAIN, int,                                                       \
	  (pthread_t * ret, const pthread_attr_t *attr, void *(*fn)(void *), void *arg),                     \
	  (ret, attr, fn, arg))                                                                              \
	X(SCHED_GETAFFINITY, sched_getaffinity, EINVAL, int, (pid_t pid, size_t size, cpu_set_t * ret),      \
	  (pid, size, ret))                                                                                  \
	X(PIPE2, pipe2, EMFILE, int, (int fds[2], int flags), (fds, flags))                                  \
	X(CLONE, clone, EAGAIN, int, (int (*fn)(void *), void *stack, int flags, void *arg, int *pidfd),     \
	  (fn, stack, flags, arg, pidfd))                                                                    \
	X(WAITID, waitid, EINTR, int, (idtype_t type, id_t id, siginfo_t * ret, int options),                \
	  (type, id, ret, options))                                                                          \
	X(PIDFD_SEND_SIGNAL, pidfd_send_signal, EPERM, int, (int pidfd, int signo), (pidfd, signo))          \
	X(KILL, kill, EPERM, int, (pid_t pid, int signo), (pid, signo))                                      \
	X(SIGACTION, sigaction, EINVAL, int,                                                                 \
	  (int signo, const struct sigaction *action, struct sigaction *before), (signo, action, before))    \
	X(GETRANDOM, getrandom, ENOSYS, ssize_t, (void *buf, size_t size, unsigned flags), (buf, size, flags))

#define HILO__SYS_ENUM(NAME, name, error, result, params, args) SYS_CALL_##NAME,
enum sys_call {
	HILO__SYS_CALLS(HILO__SYS_ENUM) SYS_CALL_ANY,
	SYS_CALLS = SYS_CALL_ANY
};
#undef HILO__SYS_ENUM

/* A result in the manner of libc as a result in ours. */
static inline ssize_t sys_result(ssize_t result)
{
	return HILO__UNLIKELY(result < 0) ? -errno : result;
}

static inline int sys_real_open(const char *path, int flags)
{
	return (int)sys_result(open(path, flags | O_CLOEXEC, 0666));
}

static inline int sys_real_close(int fd)
{
	return (int)sys_result(close(fd));
}

static inline ssize_t sys_real_read(int fd, void *buf, size_t size)
{
	return sys_result(read(fd, buf, size));
}

static inline ssize_t sys_real_write(int fd, const void *buf, size_t size)
{
	return sys_result(write(fd, buf, size));
}

static inline int sys_real_epoll_create1(int flags)
{
	return (int)sys_result(epoll_create1(flags));
}

static inline int sys_real_epoll_ctl(int epfd, int op, int fd, struct epoll_event *event)
{
	return (int)sys_result(epoll_ctl(epfd, op, fd, event));
}

/*
 * The calls of each request are made without the C library's preparations for pthread_cancel, which are four locked
 * instructions for each: nobody cancels a thread of ours. Sanitizers want to see the library's functions.
 */
#if !defined(HILO__ASAN) && !defined(HILO__TSAN) && defined(SYS_recvfrom) && defined(SYS_sendto) &&          \
	defined(SYS_epoll_pwait)
static inline int sys_real_epoll_wait(int epfd, struct epoll_event *events, int max, int ms)
{
	return (int)sys_result(syscall(SYS_epoll_pwait, epfd, events, max, ms, NULL, (size_t)0));
}

static inline ssize_t sys_real_recv(int fd, void *buf, size_t size, int flags)
{
	return sys_result(syscall(SYS_recvfrom, fd, buf, size, flags, NULL, NULL));
}

static inline ssize_t sys_real_send(int fd, const void *buf, size_t size, int flags)
{
	return sys_result(syscall(SYS_sendto, fd, buf, size, flags, NULL, 0));
}
#else
static inline int sys_real_epoll_wait(int epfd, struct epoll_event *events, int max, int ms)
{
	return (int)sys_result(epoll_wait(epfd, events, max, ms));
}

static inline ssize_t sys_real_recv(int fd, void *buf, size_t size, int flags)
{
	return sys_result(recv(fd, buf, size, flags));
}

static inline ssize_t sys_real_send(int fd, const void *buf, size_t size, int flags)
{
	return sys_result(send(fd, buf, size, flags));
}
#endif

/* NULL for @timeout: wait for ever. Linux 5.11 and later; before, -ENOSYS. */
static inline int sys_real_epoll_pwait2(int epfd, struct epoll_event *events, int max,
					const struct timespec *timeout)
{
#ifdef SYS_epoll_pwait2
	return (int)sys_result(syscall(SYS_epoll_pwait2, epfd, events, max, timeout, NULL, (size_t)0));
#else
	(void)epfd, (void)events, (void)max, (void)timeout;
	return -ENOSYS;
#endif
}

static inline int sys_real_dup3(int from, int to, int flags)
{
	return (int)sys_result(dup3(from, to, flags));
}

static inline int sys_real_fcntl(int fd, int command, long value)
{
	return (int)sys_result(fcntl(fd, command, value));
}

static inline int sys_real_eventfd(unsigned initial, int flags)
{
	return (int)sys_result(eventfd(initial, flags));
}

static inline int sys_real_timerfd_create(int clock, int flags)
{
	return (int)sys_result(timerfd_create(clock, flags));
}

static inline int sys_real_timerfd_settime(int fd, int flags, const struct itimerspec *when)
{
	return (int)sys_result(timerfd_settime(fd, flags, when, NULL));
}

static inline int sys_real_ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout)
{
	return (int)sys_result(ppoll(fds, n, timeout, NULL));
}

static inline ssize_t sys_real_recvmsg(int fd, struct msghdr *msg, int flags)
{
	return sys_result(recvmsg(fd, msg, flags));
}

static inline ssize_t sys_real_sendmsg(int fd, const struct msghdr *msg, int flags)
{
	return sys_result(sendmsg(fd, msg, flags));
}

static inline int sys_real_accept4(int fd, struct sockaddr *address, socklen_t *size, int flags)
{
	return (int)sys_result(accept4(fd, address, size, flags));
}

static inline int sys_real_connect(int fd, const struct sockaddr *address, socklen_t size)
{
	return (int)sys_result(connect(fd, address, size));
}

static inline int sys_real_getsockopt(int fd, int level, int name, void *value, socklen_t *size)
{
	return (int)sys_result(getsockopt(fd, level, name, value, size));
}

/* @offset -1: where the descriptor is. */
static inline ssize_t sys_real_preadv2(int fd, const struct iovec *vector, int n, int64_t offset, int flags)
{
	return sys_result(preadv2(fd, vector, n, offset, flags));
}

static inline ssize_t sys_real_pwritev2(int fd, const struct iovec *vector, int n, int64_t offset, int flags)
{
	return sys_result(pwritev2(fd, vector, n, offset, flags));
}

/* Moves *@offset, not where @in is; NULL: it is a pipe. */
static inline ssize_t sys_real_splice(int in, int64_t *offset, int out, size_t size, unsigned flags)
{
	return sys_result(splice(in, offset, out, NULL, size, flags));
}

static inline int sys_real_io_uring_setup(unsigned entries, void *params)
{
#ifdef SYS_io_uring_setup
	return (int)sys_result(syscall(SYS_io_uring_setup, entries, params));
#else
	(void)entries, (void)params;
	return -ENOSYS;
#endif
}

static inline int sys_real_io_uring_enter(int fd, unsigned submit, unsigned wait, unsigned flags,
					  const void *arg, size_t size)
{
#ifdef SYS_io_uring_enter
	return (int)sys_result(syscall(SYS_io_uring_enter, fd, submit, wait, flags, arg, size));
#else
	(void)fd, (void)submit, (void)wait, (void)flags, (void)arg, (void)size;
	return -ENOSYS;
#endif
}

static inline int sys_real_io_uring_register(int fd, unsigned code, void *arg, unsigned n)
{
#ifdef SYS_io_uring_register
	return (int)sys_result(syscall(SYS_io_uring_register, fd, code, arg, n));
#else
	(void)fd, (void)code, (void)arg, (void)n;
	return -ENOSYS;
#endif
}

static inline int sys_real_fsync(int fd)
{
	return (int)sys_result(fsync(fd));
}

static inline int sys_real_fdatasync(int fd)
{
	return (int)sys_result(fdatasync(fd));
}

static inline int sys_real_openat(int folder, const char *path, int flags, mode_t mode)
{
	return (int)sys_result(openat(folder, path, flags, mode));
}

static inline int sys_real_statx(int folder, const char *path, int flags, unsigned mask, void *ret)
{
	return (int)sys_result(syscall(SYS_statx, folder, path, flags, mask, ret));
}

static inline int sys_real_unlinkat(int folder, const char *path, int flags)
{
	return (int)sys_result(unlinkat(folder, path, flags));
}

static inline int sys_real_renameat2(int folder, const char *path, int other, const char *name,
				     unsigned flags)
{
	return (int)sys_result(syscall(SYS_renameat2, folder, path, other, name, flags));
}

static inline int sys_real_mkdirat(int folder, const char *path, mode_t mode)
{
	return (int)sys_result(mkdirat(folder, path, mode));
}

/* @how: struct open_how. Linux 5.6 and later; before, -ENOSYS. */
static inline int sys_real_openat2(int folder, const char *path, const void *how, size_t size)
{
#ifdef SYS_openat2
	return (int)sys_result(syscall(SYS_openat2, folder, path, how, size));
#else
	(void)folder, (void)path, (void)how, (void)size;
	return -ENOSYS;
#endif
}

static inline int64_t sys_real_lseek(int fd, int64_t offset, int whence)
{
	return sys_result(lseek(fd, offset, whence));
}

static inline int sys_real_ftruncate(int fd, int64_t size)
{
	return (int)sys_result(ftruncate(fd, size));
}

static inline int sys_real_faccessat(int folder, const char *path, int mode)
{
	return (int)sys_result(faccessat(folder, path, mode, 0));
}

static inline int sys_real_fchmodat(int folder, const char *path, mode_t mode)
{
	return (int)sys_result(fchmodat(folder, path, mode, 0));
}

static inline int sys_real_symlinkat(const char *target, int folder, const char *path)
{
	return (int)sys_result(symlinkat(target, folder, path));
}

static inline int sys_real_linkat(int folder, const char *path, int other, const char *name)
{
	return (int)sys_result(linkat(folder, path, other, name, 0));
}

static inline ssize_t sys_real_readlinkat(int folder, const char *path, char *buf, size_t size)
{
	return sys_result(readlinkat(folder, path, buf, size));
}

/* From where the one descriptor is to where the other one is. */
static inline ssize_t sys_real_copy_file_range(int from, int to, size_t size)
{
	return sys_result(copy_file_range(from, NULL, to, NULL, size, 0));
}

static inline ssize_t sys_real_getdents64(int fd, void *buf, size_t size)
{
	return sys_result(syscall(SYS_getdents64, fd, buf, size));
}

static inline int sys_real_inotify_init1(int flags)
{
	return (int)sys_result(inotify_init1(flags));
}

static inline int sys_real_inotify_add_watch(int fd, const char *path, uint32_t mask)
{
	return (int)sys_result(inotify_add_watch(fd, path, mask));
}

static inline int sys_real_inotify_rm_watch(int fd, int watch)
{
	return (int)sys_result(inotify_rm_watch(fd, watch));
}

static inline int sys_real_membarrier(int command)
{
	return (int)sys_result(syscall(SYS_membarrier, command, 0, 0));
}

static inline int sys_real_futex(void *word, int op, uint32_t value, const struct timespec *timeout,
				 uint32_t bits)
{
	return (int)sys_result(syscall(SYS_futex, word, op, value, timeout, NULL, bits));
}

/* Without a file: @flags get MAP_ANONYMOUS | MAP_PRIVATE. */
static inline int sys_real_mmap(void *addr, size_t size, int prot, int flags, void **ret)
{
	void *p = mmap(addr, size, prot, flags | MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);

	if (p == MAP_FAILED)
		return -errno;
	*ret = p;
	return 0;
}

/* What @fd shows, shared, for reading and writing. */
static inline int sys_real_mmap_file(int fd, size_t size, int64_t offset, void **ret)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, offset);

	if (p == MAP_FAILED)
		return -errno;
	*ret = p;
	return 0;
}

static inline int sys_real_munmap(void *addr, size_t size)
{
	return (int)sys_result(munmap(addr, size));
}

static inline int sys_real_madvise(void *addr, size_t size, int advice)
{
	return (int)sys_result(madvise(addr, size, advice));
}

static inline ssize_t sys_real_process_madvise(int pidfd, const struct iovec *ranges, size_t n, int advice)
{
#ifdef SYS_process_madvise
	return sys_result(syscall(SYS_process_madvise, pidfd, ranges, n, advice, 0));
#else
	(void)pidfd, (void)ranges, (void)n, (void)advice;
	return -ENOSYS;
#endif
}

static inline int sys_real_mprotect(void *addr, size_t size, int prot)
{
	return (int)sys_result(mprotect(addr, size, prot));
}

static inline int sys_real_pthread_create(pthread_t *ret, const pthread_attr_t *attr, void *(*fn)(void *),
					  void *arg)
{
	return -pthread_create(ret, attr, fn, arg);
}

/* The kernel's call, which tells a mask that is too small with -EINVAL; 0 on success. */
static inline int sys_real_sched_getaffinity(pid_t pid, size_t size, cpu_set_t *ret)
{
	return (int)sys_result(sched_getaffinity(pid, size, ret));
}

static inline ssize_t sys_real_getrandom(void *buf, size_t size, unsigned flags)
{
	return sys_result(getrandom(buf, size, flags));
}

static inline int sys_real_pipe2(int fds[2], int flags)
{
	return (int)sys_result(pipe2(fds, flags));
}

/* ThreadSanitizer takes a child of clone for one that has memory of its own, and changes ours: by another name. */
#ifdef HILO__TSAN
int __clone(int (*fn)(void *), void *stack, int flags, void *arg, ...);
#define sys_libc_clone __clone
#else
#define sys_libc_clone clone
#endif

/* With CLONE_PIDFD. The number of the new process, which runs @fn(@arg) on the stack that ends at @stack. */
static inline int sys_real_clone(int (*fn)(void *), void *stack, int flags, void *arg, int *pidfd)
{
	return (int)sys_result(sys_libc_clone(fn, stack, flags, arg, pidfd));
}

static inline int sys_real_waitid(idtype_t type, id_t id, siginfo_t *ret, int options)
{
	return (int)sys_result(waitid(type, id, ret, options));
}

static inline int sys_real_pidfd_send_signal(int pidfd, int signo)
{
#ifdef SYS_pidfd_send_signal
	return (int)sys_result(syscall(SYS_pidfd_send_signal, pidfd, signo, NULL, 0));
#else
	(void)pidfd, (void)signo;
	return -ENOSYS;
#endif
}

static inline int sys_real_kill(pid_t pid, int signo)
{
	return (int)sys_result(kill(pid, signo));
}

static inline int sys_real_sigaction(int signo, const struct sigaction *action, struct sigaction *before)
{
	return (int)sys_result(sigaction(signo, action, before));
}

#ifdef HILO_TESTING

#define HILO__SYS_FIELD(NAME, name, error, result, params, args) result(*name) params;
struct sys_table {
	HILO__SYS_CALLS(HILO__SYS_FIELD)
};
#undef HILO__SYS_FIELD

/* What is really called. To be changed while no other thread makes calls. */
extern struct sys_table hilo__sys;

/*
 * [any] Fail the @nth @call from now on (1: the next one; 0: none) with @error (0: a typical one) and
 * every later one too if @persistent. SYS_CALL_ANY counts all calls as one sequence. Sets the counter
 * of hilo__sys_calls back to 0.
 */
void hilo__sys_fail(enum sys_call call, long nth, int error, bool persistent);

/* [any] Calls since the last hilo__sys_fail for @call, failed ones included. */
long hilo__sys_calls(enum sys_call call);

/* Trouble that correct code survives, in parts of a thousand of the calls. */
struct sys_chaos {
	uint64_t seed;
	unsigned interrupt; /* -EINTR, of the calls that may answer so */
	unsigned shorten;   /* a read or write of more than 8 bytes (a counter's) moves fewer, at least 1 */
	unsigned delay;	    /* wait up to delay_us before the call */
	unsigned delay_us;
};

/* [any] Start (or, with NULL, end) that trouble. The n-th decision depends on seed and n alone. */
void hilo__sys_chaos(const struct sys_chaos *chaos);

/* [any] No faults, no trouble, the machine's own calls. */
void hilo__sys_reset(void);

/* [any] "epoll_ctl" for SYS_CALL_EPOLL_CTL. */
const char *hilo__sys_name(enum sys_call call);

/* What each call asks first: 0, or the negative errno it shall answer; the size it shall use. */
int hilo__sys_enter(enum sys_call call);
size_t hilo__sys_shorten(enum sys_call call, size_t size);

#define HILO__SYS_DEFINE(NAME, name, error, result, params, args)                                            \
	static inline result hilo__sys_##name params                                                         \
	{                                                                                                    \
		int hilo__rc = hilo__sys_enter(SYS_CALL_##NAME);                                             \
                                                                                                             \
		return hilo__rc ? hilo__rc : hilo__sys.name args;                                            \
	}

#else

#define hilo__sys_shorten(call, size) (size)
#define HILO__SYS_DEFINE(NAME, name, error, result, params, args)                                            \
	static inline result hilo__sys_##name params                                                         \
	{                                                                                                    \
		return sys_real_##name args;                                                                 \
	}

#endif /* HILO_TESTING */

HILO__SYS_CALLS_BUT_CLOSE(HILO__SYS_DEFINE)

static inline int hilo__sys_close(int fd)
{
#ifdef HILO_TESTING
	int fault = hilo__sys_enter(SYS_CALL_CLOSE);
	int rc = hilo__sys.close(fd);

	return fault ? fault : rc;
#else
	return sys_real_close(fd);
#endif
}

#endif /* HILO_SCHEDULER_BASE_SYS_H */
