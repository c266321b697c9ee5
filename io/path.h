/* SPDX-License-Identifier: MIT */
#ifndef HILO_IO_PATH_H
#define HILO_IO_PATH_H

#include <hilo/io/file.h>

HILO_BEGIN_DECLS

/*
 * path.h - what has a name in the file system: looked at, made, renamed, removed, copied; and whole files.
 *
 *	n = hilo_path_load("settings.json", 1 << 20, &text, HILO_FOREVER);
 *	...
 *	rc = hilo_path_save("settings.json", text, n, 0644, HILO_FOREVER);      all of it, or as it was
 *
 * All suspend a task, block a plain thread, and answer -EDEADLK in a callback. A path is borrowed for the call. With
 * a message: -EINVAL, it is NULL; -ENAMETOOLONG; and what the system says, as -ENOENT, -EACCES, -EROFS. -ETIMEDOUT and
 * -ECANCELED: it may still be done, unless it was not begun (a deadline that has passed); hilo_file_get_stats counts
 * those that were under way. -ENOMEM; HILO_ECLOSED: the runtime ends. file.h says where these calls are made.
 */

/* [any, suspends] As stat(2), and lstat(2): of a symbolic link itself. 0. */
HILO_API int hilo_path_stat(const char *path, struct stat *ret, hilo_time deadline);
HILO_API int hilo_path_lstat(const char *path, struct stat *ret, hilo_time deadline);

/* [any, suspends] 1: there is something of that name, be it a link that leads nowhere; 0; a failure to find out. */
HILO_API int hilo_path_exists(const char *path, hilo_time deadline);

/* [any, suspends] As access(2): @mode is of R_OK, W_OK, X_OK, or F_OK. 0; -EACCES, -ENOENT ... */
HILO_API int hilo_path_access(const char *path, int mode, hilo_time deadline);

/* Of hilo_path_rename: -EEXIST if there is something of the new name. */
#define HILO_RENAME_NO_REPLACE 1u

/* [any, suspends] As rename(2). 0; -EXDEV: to another file system; -EINVAL: an unknown flag. */
HILO_API int hilo_path_rename(const char *from, const char *to, unsigned flags, hilo_time deadline);

/* [any, suspends] As unlink(2), rmdir(2), link(2), symlink(2): @target is what the link @path says. 0. */
HILO_API int hilo_path_unlink(const char *path, hilo_time deadline);
HILO_API int hilo_path_rmdir(const char *path, hilo_time deadline);
HILO_API int hilo_path_link(const char *from, const char *path, hilo_time deadline);
HILO_API int hilo_path_symlink(const char *target, const char *path, hilo_time deadline);

/*
 * [any, suspends] What the symbolic link @path says, with a NUL, into @buf of @size bytes. Its length; -EMSGSIZE: it
 * does not fit; -EINVAL: it is no link.
 */
HILO_API ssize_t hilo_path_readlink(const char *path, char *buf, size_t size, hilo_time deadline);

/* [any, suspends] As chmod(2). 0. */
HILO_API int hilo_path_chmod(const char *path, unsigned mode, hilo_time deadline);

/* [any, suspends] Make the directory @path, with permissions @mode, less the umask. 0; -EEXIST. */
HILO_API int hilo_path_mkdir(const char *path, unsigned mode, hilo_time deadline);

/* [any, suspends] The same, and those that it is in. 0, also if it is there; -ENOTDIR: there is something else. */
HILO_API int hilo_path_mkdirs(const char *path, unsigned mode, hilo_time deadline);

/* Of hilo_path_copy: -EEXIST if there is something of the new name. */
#define HILO_COPY_NO_REPLACE 1u

/*
 * [any, suspends] Copy what is in the file @from into the file @to, which is made with the same permissions, or
 * overwritten: within the kernel, or the server, where those can do that. How many bytes. When it fails, or ends
 * early, what was copied by then is there. -EINVAL: they are the same file, one of them is no regular file (a FIFO, a
 * device), or an unknown flag; -EISDIR.
 */
HILO_API int64_t hilo_path_copy(const char *from, const char *to, unsigned flags, hilo_time deadline);

/*
 * [any, suspends] Read the whole file @path, of at most @limit bytes, into memory that is in *@ret then, with a NUL
 * behind it; the caller ends it with free(). How many; -EMSGSIZE: there are more.
 */
HILO_API ssize_t hilo_path_load(const char *path, size_t limit, char **ret, hilo_time deadline);

/*
 * [any, suspends] Have @size bytes of @data be all there is in the file @path, with permissions @mode (0: 0666), less
 * the umask. Written beside it, synced, and renamed: whoever looks, and who looks after a crash, finds all that was
 * there before, or all of this. So a link of that name is replaced, not followed. 0; on failure it is as before;
 * when it ends early, one or the other.
 */
HILO_API int hilo_path_save(const char *path, const void *data, size_t size, unsigned mode,
			    hilo_time deadline);

/*
 * [any, suspends] Make a directory, for the caller alone, whose path begins with @prefix ("/var/tmp/job-"; NULL:
 * "hilo-" in $TMPDIR, else in /tmp), and put its path into @ret of @size bytes. 0; -EMSGSIZE: it does not fit;
 * -EEXIST: no name is free. It is the caller's to remove: hilo_path_remove_all.
 */
HILO_API int hilo_path_temp_folder(const char *prefix, char *ret, size_t size, hilo_time deadline);

/* [any, suspends] The same for a file, which is open to write and read, as *@file. See hilo_file_temp, too. */
HILO_API HILO_MUST_CHECK int hilo_path_temp_file(const char *prefix, char *ret, size_t size, hilo_file **file,
						 hilo_time deadline);

/*
 * [any, suspends] Remove @path, and if it is a directory all that is in it. Links are removed, not followed, also if
 * somebody puts one in the place of a directory meanwhile. 0, also if there is nothing of that name; else the first
 * failure: the rest is tried all the same, but for -ETIMEDOUT, -ECANCELED, -ENOMEM, and -ESTALE: a directory was moved
 * while it was emptied. -EINVAL: it ends in "." or "..", or is "/".
 */
HILO_API int hilo_path_remove_all(const char *path, hilo_time deadline);

HILO_END_DECLS

#endif /* HILO_IO_PATH_H */
