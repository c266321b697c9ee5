/* SPDX-License-Identifier: MIT */
#ifndef HILO_IO_FILE_H
#define HILO_IO_FILE_H

#include <hilo/runtime/types.h>
#include <hilo/runtime/with.h>

#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>

HILO_BEGIN_DECLS

/*
 * file.h - files: read and written without holding a worker while a disk, or a server, takes its time.
 *
 *	HILO_WITH_FILE (file, "access.log", "r", &rc)
 *		while ((n = hilo_file_read_line(file, line, sizeof(line), HILO_FOREVER)) > 0)
 *			count(line, n);
 *
 * Callers    Tasks of any worker and runtime; plain threads, which block; callbacks as far as nothing has to wait.
 * Where      What the kernel has in memory is read at once, by the caller. The rest is given to io_uring, and without
 *            that, or where that has no such operation, to threads of their own (hilo_files_executor).
 * Position   hilo_file_read, hilo_file_write and the calls between them in this file use and move the position of the
 *            file: by one caller at a time, a second one is told -EBUSY. They are buffered: 64 KiB are read ahead, and
 *            small writes are put together; so a line costs no system call. hilo_file_pread and its like name their
 *            own place, use no buffer, and may be made by many at a time. What is in the buffer they do not see.
 * Early end  A call ends at its deadline, or when it is cancelled, whether the kernel can be made to stop or not.
 *            Nothing of the caller's is touched after that. A read has taken nothing: the position is where it was.
 *            What a positioned write had taken belongs to the file, is written yet, and before anything else; the
 *            message says how much it was. Another operation that could not be stopped is abandoned: it ends by
 *            itself, unheard of, and hilo_file_get_stats counts it. With a deadline that has passed (HILO_NO_WAIT)
 *            what can be done at once is done, and else nothing is begun.
 * Pipes      Anything that is not a file on a disk can be opened, too. What has no positions, as a FIFO or a terminal,
 *            is read and written in order; pread and pwrite answer -ESPIPE. To open a FIFO does not wait for its other
 *            end: see O_NONBLOCK in fifo(7). Connections are better served by stream.h.
 *
 * Descriptors are closed on exec. All calls answer -EINVAL for a NULL file, but for hilo_file_close.
 */
typedef struct hilo_file hilo_file;

/* As the size of the buffer: none. */
#define HILO_FILE_UNBUFFERED SIZE_MAX

/* The last part of the path may not be a symbolic link: -ELOOP. */
#define HILO_FILE_NOFOLLOW 1u

/* Zero means the default in every field but `size`. */
typedef struct hilo_file_opts {
	size_t size; /* sizeof(hilo_file_opts) */
	size_t buffer; /* bytes that are read ahead, or written together; default 64 KiB; HILO_FILE_UNBUFFERED */
	unsigned mode;	/* permissions of a file that is made, less the umask; default 0666 */
	unsigned flags; /* HILO_FILE_NOFOLLOW */
} hilo_file_opts;

/*
 * [any, suspends] Open the file at @path. @mode is one of
 *
 *	"r"   to read				"r+"  to read and write
 *	"w"   to write; made, or emptied	"w+"  the same, and to read
 *	"a"   to write at its end; made		"a+"  the same, and to read
 *	"x"   to write; made, -EEXIST		"x+"  the same, and to read
 *
 * and may have a 'b', which means nothing. 0, and the file in *@ret, which hilo_file_close ends. With a message:
 * -EINVAL: @path or @ret is NULL, or there is no such @mode; -ENOENT, -EACCES, -EISDIR, -EEXIST, -EMFILE, -ENOSPC and
 * so on, as open(2); -ENAMETOOLONG; -E2BIG; -ETIMEDOUT, -ECANCELED: it is not open, though it may have been made;
 * -EDEADLK: in a callback, unless it need not wait; -ENOMEM; HILO_ECLOSED: the runtime ends.
 */
HILO_API HILO_MUST_CHECK int hilo_file_open(const char *path, const char *mode, const hilo_file_opts *opts,
					    hilo_file **ret, hilo_time deadline);

/*
 * [any] A file of the descriptor @fd, which it consumes and closes at its end. It begins at the descriptor's position,
 * which it does not move, and may be read or written as the descriptor may. On failure @fd is the caller's as
 * before: -EBADF, -EINVAL, -E2BIG, -ENOMEM.
 */
HILO_API HILO_MUST_CHECK int hilo_file_from_fd(int fd, const hilo_file_opts *opts, hilo_file **ret);

/*
 * [any, suspends] A file without a name in the directory @folder (NULL: $TMPDIR, else /tmp), to write and read; it is
 * gone when it is closed. Codes as hilo_file_open.
 */
HILO_API HILO_MUST_CHECK int hilo_file_temp(const char *folder, const hilo_file_opts *opts, hilo_file **ret,
					    hilo_time deadline);

/*
 * [any, suspends] Write what is in the buffer, and close. Consumes @file however it ends. Whoever is in a call on it
 * is told HILO_ECLOSED, and waited for. 0; what writing or closing has failed with, as -ENOSPC, -EDQUOT, -EIO:
 * something may be lost; -ETIMEDOUT, -ECANCELED, -EDEADLK (in a callback): nobody can tell, what is under way goes
 * on. NULL: 0.
 */
HILO_API int hilo_file_close(hilo_file *file, hilo_time deadline);

/*
 * [any, suspends] Read what there is, 1 to @size bytes. How many; 0: the end, or @size is 0. With a message: -EBUSY:
 * somebody else is at the position; -EBADF: it is not open to read; -EISDIR, -EIO and so on; HILO_ECLOSED; -ETIMEDOUT,
 * -ECANCELED, -EDEADLK, -ENOMEM. What was written before is written to the file first, and so can fail.
 */
HILO_API ssize_t hilo_file_read(hilo_file *file, void *buf, size_t size, hilo_time deadline);

/*
 * [any, suspends] Read @size bytes. @size; HILO_EINCOMPLETE: the end comes before, with a message that says how many
 * there are, as does hilo_error_sizes; as after any other failure they can still be read. Else as hilo_file_read.
 */
HILO_API ssize_t hilo_file_read_exactly(hilo_file *file, void *buf, size_t size, hilo_time deadline);

/*
 * [any, suspends] Read a line, with its '\n', into @buf, and a NUL after it. Its length without the NUL: more than
 * 0; 0 at the end. The last line may lack its '\n'. -EMSGSIZE, with a message: the line does not fit into @size - 1
 * bytes, and all of it can still be read. Else as hilo_file_read.
 */
HILO_API ssize_t hilo_file_read_line(hilo_file *file, char *buf, size_t size, hilo_time deadline);

/* [any, suspends] The same up to and with @separator, of @length bytes, 1 or more. -EINVAL: it has none. */
HILO_API ssize_t hilo_file_read_until(hilo_file *file, const void *separator, size_t length, char *buf,
				      size_t size, hilo_time deadline);

/*
 * [any, suspends] The next line where it lies, without a copy: *@ret is in the file's buffer, without a NUL, until the
 * next call on @file. -EMSGSIZE: it has more than @limit bytes. Else as hilo_file_read_line.
 */
HILO_API ssize_t hilo_file_next_line(hilo_file *file, const char **ret, size_t limit, hilo_time deadline);

/*
 * [any, suspends] Read to the end, @limit bytes at most, into memory that is in *@ret then, with a NUL behind it; the
 * caller ends it with free(). How many; -EMSGSIZE: there are more, and all can still be read. Else as hilo_file_read.
 */
HILO_API ssize_t hilo_file_read_all(hilo_file *file, size_t limit, char **ret, hilo_time deadline);

/*
 * [any, suspends] Write @size bytes: they are the file's when this returns @size, in its buffer, and with
 * hilo_file_flush the kernel's. With a message: -EBUSY; -EBADF: it is not open to write; -ENOSPC, -EDQUOT, -EFBIG,
 * -EIO and so on: how many were taken is in the message; HILO_ECLOSED; -ETIMEDOUT, -ECANCELED, -EDEADLK, -ENOMEM. A
 * failure may be that of what was written before, which is still in the buffer then.
 */
HILO_API ssize_t hilo_file_write(hilo_file *file, const void *data, size_t size, hilo_time deadline);

/* [any, suspends] The same for the @n pieces of @pieces. How many bytes; -EINVAL: more than SSIZE_MAX. */
HILO_API ssize_t hilo_file_writev(hilo_file *file, const struct iovec *pieces, int n, hilo_time deadline);

/* [any, suspends] Give what is in the buffer to the kernel. 0; codes as hilo_file_write: the rest is still there. */
HILO_API int hilo_file_flush(hilo_file *file, hilo_time deadline);

/*
 * [any, suspends] Go to @offset from the beginning (SEEK_SET), the position (SEEK_CUR) or the end (SEEK_END), once
 * what is in the buffer is written. The position; -EINVAL: it would be below 0; -ESPIPE; else as hilo_file_flush.
 */
HILO_API int64_t hilo_file_seek(hilo_file *file, int64_t offset, int whence, hilo_time deadline);

/* [any] The position. -ESPIPE; -EBUSY; HILO_ECLOSED. Never suspends. */
HILO_API int64_t hilo_file_tell(hilo_file *file);

/*
 * [any, suspends] Read @size bytes from @offset on: fewer only at the end of the file, or when something has come in
 * between after some. -EINVAL: @offset is below 0; -ESPIPE; else as hilo_file_read, but for -EBUSY.
 */
HILO_API ssize_t hilo_file_pread(hilo_file *file, void *buf, size_t size, int64_t offset, hilo_time deadline);
HILO_API ssize_t hilo_file_preadv(hilo_file *file, const struct iovec *pieces, int n, int64_t offset,
				  hilo_time deadline);

/*
 * [any, suspends] Write @size bytes at @offset; in a file that was opened with "a" at its end. How many: fewer only
 * when something has come in between after some. When it ends early the piece that was under way may be written or
 * not. Codes as for hilo_file_pread, and -ENOSPC, -EDQUOT, -EFBIG, -EIO and so on.
 */
HILO_API ssize_t hilo_file_pwrite(hilo_file *file, const void *data, size_t size, int64_t offset,
				  hilo_time deadline);
HILO_API ssize_t hilo_file_pwritev(hilo_file *file, const struct iovec *pieces, int n, int64_t offset,
				   hilo_time deadline);

/*
 * [any, suspends] Make it @size bytes long, once what is in the buffer is written. 0; codes as hilo_file_flush, and
 * -EINVAL.
 */
HILO_API int hilo_file_truncate(hilo_file *file, int64_t size, hilo_time deadline);

/*
 * [any, suspends] Write what is in the buffer, unless somebody else is just at the position, and wait until the file
 * is where a crash does not reach it: fsync(2), and fdatasync(2). By as many as like. 0; codes as hilo_file_flush;
 * -EIO: something may be lost, and another call need not say so again.
 */
HILO_API int hilo_file_sync(hilo_file *file, hilo_time deadline);
HILO_API int hilo_file_datasync(hilo_file *file, hilo_time deadline);

/* [any, suspends] As fstat(2); what is in the buffer is not counted. 0; -EOVERFLOW, -EIO ...; as hilo_file_pread. */
HILO_API int hilo_file_stat(hilo_file *file, struct stat *ret, hilo_time deadline);

/* [any] Its descriptor, which stays the file's. */
HILO_API int hilo_file_fd(const hilo_file *file);

/* What was done of all that was asked for, in this process, and by whom: for statistics only. */
typedef struct hilo_file_stats {
	size_t size;	    /* sizeof(hilo_file_stats), set by the caller */
	uint64_t at_once;   /* calls that had not to wait, made by the caller */
	uint64_t ring;	    /* operations that were given to io_uring */
	uint64_t executor;  /* calls that were given to threads */
	uint64_t threads;   /* calls of plain threads, made by themselves */
	uint64_t abandoned; /* operations that their callers have left */
	uint64_t lingering; /* those of them that have not ended yet */
} hilo_file_stats;

/* [any] Read the figures. 0, -EINVAL. */
HILO_API HILO_MUST_CHECK int hilo_file_get_stats(hilo_file_stats *ret);

/*
 * A block with @file, a hilo_file *, opened as hilo_file_open does, and closed when the block is left, however that
 * happens. *@code is that of opening, of the block, or of closing, the first that has failed.
 *
 *	HILO_WITH_FILE (file, "output.txt", "w", &rc)
 *		rc = (int)hilo_file_write(file, text, strlen(text), HILO_FOREVER);
 */
#define HILO_WITH_FILE(file, path, mode, code)                                                               \
	for (hilo_file_block HILO_HERE(hilo_block_) = {path, mode, NULL, NULL},                              \
			     *HILO_HERE(hilo_here_) = &HILO_HERE(hilo_block_);                               \
	     HILO_HERE(hilo_here_); HILO_HERE(hilo_here_) = NULL)                                            \
		HILO_WITH (&hilo_file_manager, &HILO_HERE(hilo_block_), code)                                \
			for (hilo_file *file = HILO_HERE(hilo_block_).file; file; file = NULL)

/* What the macro puts into the frame; for HILO_WITH with options. */
typedef struct hilo_file_block {
	const char *path;
	const char *mode;
	const hilo_file_opts *opts;
	hilo_file *file;
} hilo_file_block;

/* Opens and closes what a hilo_file_block names. */
HILO_API extern const hilo_manager hilo_file_manager;

HILO_END_DECLS

#endif /* HILO_IO_FILE_H */
