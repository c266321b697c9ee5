/* SPDX-License-Identifier: MIT */
/*
 * asyncio_with_file.c - a file that is closed when its block ends, whatever happens in between.
 *
 *	async with aiofiles.open(path, mode='w') as f:   HILO_WITH_FILE (file, path, "w", &rc)
 *	    await f.write(content)                       rc = hilo_file_write(file, content, size, HILO_FOREVER)
 *
 * What was written is on its way to the file when it is closed; so that can fail, and is a failure of the block then.
 */
#include <hilo/hilo.h>

#include <stdio.h>
#include <string.h>

static int write_file(const char *path, const char *content)
{
	int rc;

	HILO_WITH_FILE (file, path, "w", &rc)
		rc = (int)hilo_file_write(file, content, strlen(content), HILO_FOREVER);
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
