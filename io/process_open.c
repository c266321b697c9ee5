/* SPDX-License-Identifier: MIT */
/*
 * process_open.c - what a child needs, made before it is: it may not ask for memory, and everything that can fail is
 * to have failed by then.
 */
#include "io/process_impl.h"

#include <hilo/runtime/error.h>

#include <string.h>
#include <sys/resource.h>

#include "io/descriptor_impl.h"
#include "scheduler/base/mem.h"
#include "scheduler/base/sys.h"

/* Where programs are looked for if PATH is not set, as the C library has it. */
#define PATH_DEFAULT "/bin:/usr/bin"

static const char *const std_names[] = {"in", "out", "err"};

static size_t list_length(const char *const *list)
{
	size_t n = 0;

	while (list && list[n])
		n++;
	return n;
}

/* Bytes of the name in "NAME=value", or in "NAME". */
static size_t name_length(const char *variable)
{
	return strcspn(variable, "=");
}

/* The variable of the same name in @list; NULL: there is none. */
static const char *list_find(const char *const *list, size_t n, const char *variable)
{
	size_t length = name_length(variable);

	for (size_t i = n; i > 0; i--)
		if (name_length(list[i - 1]) == length && memcmp(list[i - 1], variable, length) == 0)
			return list[i - 1];
	return NULL;
}

/* @base and @more, as one list at @to. The last of the same name in @more counts. */
static void env_join(const char **to, const char *const *base, const char *const *more)
{
	size_t n = list_length(more);

	for (; base && *base; base++)
		if (!list_find(more, n, *base))
			*to++ = *base;
	for (size_t i = 0; i < n; i++)
		if (more[i][name_length(more[i])] && list_find(more, n, more[i]) == more[i])
			*to++ = more[i];
	*to = NULL;
}

/* The directories where programs are. */
static const char *env_path(const char *const *env)
{
	const char *path = list_find(env, list_length(env), "PATH");

	return path && path[4] ? path + 5 : PATH_DEFAULT;
}

/* One directory of @path, of *@length bytes; what comes after it, or NULL. */
static const char *path_next(const char *path, size_t *length)
{
	*length = strcspn(path, ":");
	return path[*length] ? path + *length + 1 : NULL;
}

/* All files that @program may be, one after the other, in memory of their own. */
static int open_paths(struct spawn *spawn, const char **to, const char *path)
{
	size_t size = 0, length, name = strlen(spawn->program) + 1;
	char *text;

	for (const char *at = path; at; at = path_next(at, &length)) {
		(void)path_next(at, &length);
		size += length + 1 + name;
	}
	text = spawn->texts = hilo__malloc(size);
	if (!text)
		return -ENOMEM;
	while (path) {
		const char *folder = path;

		*to++ = text;
		path = path_next(path, &length);
		memcpy(text, folder, length);
		text += length;
		if (length) /* an empty one is where the program begins */
			*text++ = '/';
		memcpy(text, spawn->program, name);
		text += name;
	}
	*to = NULL;
	return 0;
}

/* How many directories @path has. */
static size_t path_count(const char *path)
{
	size_t n = 1;

	for (; *path; path++)
		n += *path == ':';
	return n;
}

/* Environment, files to try, and places for descriptors. */
static int open_tables(struct spawn *spawn, const hilo_process_opts *opts)
{
	const char *const *base = opts->env ? opts->env : (const char *const *)environ;
	size_t variables = list_length(base) + list_length(opts->env_add) + 1, files;
	bool is_path = strchr(spawn->program, '/') || !*spawn->program;
	const char **env, **paths, *path;
	int rc = 0;

	env = spawn->tables = hilo__malloc(variables * sizeof(*env));
	if (!env)
		return -ENOMEM;
	env_join(env, base, opts->env_add);
	spawn->env = env;
	path = env_path(env);
	files = is_path ? 1 : path_count(path);
	/* The pointers first, which are to be aligned. */
	paths = hilo__malloc((files + 1) * sizeof(*paths) + (opts->fds_count + 3) * sizeof(*spawn->map));
	if (!paths)
		return -ENOMEM;
	spawn->paths = paths;
	spawn->map = (struct spawn_map *)(void *)(paths + files + 1);
	if (is_path) {
		paths[0] = spawn->program;
		paths[1] = NULL;
	} else {
		rc = open_paths(spawn, paths, path);
	}
	return rc;
}

static int open_failed(const struct spawn *spawn, int rc, const char *what)
{
	return hilo_fail(rc, "%s: %s: %s: %s", spawn->call, spawn->argv[0], what, hilo_strerror(rc));
}

/* A pipe for standard descriptor @i: our end does not block, the program's does. */
static int open_pipe(struct spawn *spawn, int i)
{
	int fd[2], rc = hilo__sys_pipe2(fd, O_CLOEXEC), mine = i == 0;

	if (rc < 0)
		return open_failed(spawn, rc, "no pipe");
	spawn->ours[i] = fd[mine];
	spawn->theirs[i] = fd[!mine];
	hilo__descriptor_unblock(spawn->ours[i]);
	return 0;
}

static int open_null(struct spawn *spawn)
{
	if (spawn->null < 0)
		spawn->null = hilo__sys_open("/dev/null", O_RDWR);
	return spawn->null < 0 ? open_failed(spawn, spawn->null, "/dev/null") : spawn->null;
}

/* Standard descriptor @i, which is to be a @kind. */
static int open_std(struct spawn *spawn, int i, enum hilo_stdio kind, int fd)
{
	struct spawn_map *map = &spawn->map[i];
	int rc = 0;

	map->to = i;
	map->from = i;
	map->may_be_closed = kind == HILO_STDIO_INHERIT;
	switch (kind) {
	case HILO_STDIO_INHERIT:
		return 0;
	case HILO_STDIO_PIPE:
		rc = open_pipe(spawn, i);
		map->from = spawn->theirs[i];
		return rc;
	case HILO_STDIO_NULL:
		rc = open_null(spawn);
		map->from = rc;
		return rc < 0 ? rc : 0;
	case HILO_STDIO_FD:
		map->from = fd;
		return fd < 0 ? hilo_fail(-EBADF, "%s: %s: %s_fd is %d", spawn->call, spawn->argv[0],
					  std_names[i], fd)
			      : 0;
	case HILO_STDIO_STDOUT:
		map->from = spawn->map[1].from;
		map->may_be_closed = spawn->map[1].may_be_closed;
		if (i == 2)
			return 0;
		break;
	}
	return hilo_fail(-EINVAL, "%s: %s: %s is %d", spawn->call, spawn->argv[0], std_names[i], (int)kind);
}

/* The descriptors that it has beside those. */
static int open_more(struct spawn *spawn, const hilo_process_opts *opts)
{
	spawn->limit = 3;
	for (size_t i = 0; i < opts->fds_count; i++) {
		struct spawn_map *map = &spawn->map[3 + i];

		map->from = opts->fds[i].fd;
		map->to = opts->fds[i].as;
		map->may_be_closed = false;
		if (map->from < 0 || map->to < 3)
			return hilo_fail(map->from < 0 ? -EBADF : -EINVAL, "%s: %s: descriptor %d as %d",
					 spawn->call, spawn->argv[0], map->from, map->to);
		for (size_t j = 0; j < i; j++)
			if (opts->fds[j].as == map->to)
				return hilo_fail(-EINVAL, "%s: %s: two descriptors as %d", spawn->call,
						 spawn->argv[0], map->to);
		if (map->to >= spawn->limit)
			spawn->limit = map->to + 1;
	}
	return 0;
}

static int open_descriptors(struct spawn *spawn, const hilo_process_opts *opts)
{
	int rc = open_std(spawn, 0, opts->in, opts->in_fd);

	if (rc == 0)
		rc = open_std(spawn, 1, opts->out, opts->out_fd);
	if (rc == 0)
		rc = open_std(spawn, 2, opts->err, opts->err_fd);
	if (rc == 0)
		rc = open_more(spawn, opts);
	return rc;
}

int hilo__spawn_open(struct spawn *spawn, const char *const *argv, const hilo_process_opts *opts)
{
	struct rlimit limit = {.rlim_cur = 1024};
	int rc;

	spawn->argv = argv;
	spawn->program = opts->program ? opts->program : argv[0];
	spawn->folder = opts->cwd;
	spawn->maps = opts->fds_count + 3;
	spawn->flags = opts->flags;
	spawn->umask = opts->umask;
	spawn->null = -1;
	for (int i = 0; i < 3; i++)
		spawn->ours[i] = spawn->theirs[i] = -1;
	(void)getrlimit(RLIMIT_NOFILE, &limit);
	spawn->most = limit.rlim_cur < (1u << 20) ? (unsigned)limit.rlim_cur : 1u << 20;
	spawn->stack = hilo__map(SPAWN_STACK_SIZE);
	rc = spawn->stack ? open_tables(spawn, opts) : -ENOMEM;
	return rc < 0 ? rc : open_descriptors(spawn, opts);
}

void hilo__spawn_close(struct spawn *spawn)
{
	for (int i = 0; i < 3; i++) {
		if (spawn->ours[i] >= 0)
			(void)hilo__sys_close(spawn->ours[i]);
		if (spawn->theirs[i] >= 0)
			(void)hilo__sys_close(spawn->theirs[i]);
	}
	if (spawn->null >= 0)
		(void)hilo__sys_close(spawn->null);
	hilo__free(spawn->tables);
	hilo__free((void *)(uintptr_t)spawn->paths);
	hilo__free(spawn->texts);
	hilo__unmap(spawn->stack, SPAWN_STACK_SIZE);
}
