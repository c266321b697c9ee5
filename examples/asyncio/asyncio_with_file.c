/* SPDX-License-Identifier: MIT */
/*
 * asyncio_with_file.c - a file that is closed when its block ends, whatever happens in between.
 *
 *	async with aiofiles.open(path, mode='w') as f:   HILO_WITH(&file_manager, &file, &rc) { ... }
 *	    await f.write(content)                       rc = file_write(&file, content)
 *
 * The calls of the C library block: each is made on a thread of the executor, and the task suspends meanwhile. What
 * was written is on its way to the file when it is closed; so that can fail, and is a failure of the block then.
 */
#include <hilo/hilo.h>

#include <errno.h>
#include <stdio.h>

struct file {
	const char *path, *content;
	FILE *stream;
};

static int call_open(void *arg)
{
	struct file *file = arg;

	file->stream = fopen(file->path, "w");
	return file->stream ? 0 : hilo_fail(-errno, "%s cannot be opened", file->path);
}

static int call_write(void *arg)
{
	struct file *file = arg;

	return fputs(file->content, file->stream) == EOF ? -EIO : 0;
}

static int call_close(void *arg)
{
	struct file *file = arg;

	return fclose(file->stream) == EOF ? hilo_fail(-EIO, "%s cannot be written", file->path) : 0;
}

static int file_open(void *self)
{
	return hilo_to_thread(call_open, self, HILO_FOREVER);
}

static int file_close(void *self, int code)
{
	int rc = hilo_to_thread(call_close, self, HILO_FOREVER);

	return code < 0 ? code : rc;
}

static const hilo_manager file_manager = {file_open, file_close};

static int file_write(struct file *file, const char *content)
{
	file->content = content;
	return hilo_to_thread(call_write, file, HILO_FOREVER);
}

static int write_file(const char *path, const char *content)
{
	struct file file = {.path = path};
	int rc;

	HILO_WITH (&file_manager, &file, &rc)
		rc = file_write(&file, content);
	if (rc < 0)
		fprintf(stderr, "%s\n", hilo_error_message());
	else
		printf("Escribió en %s\n", path);
	return rc;
}

static int main_task(void *arg)
{
	(void)arg;
	return write_file("output.txt", "¡Hola, asyncio!");
}

int main(void)
{
	return hilo_run(main_task, NULL, NULL) < 0;
}
