/* SPDX-License-Identifier: MIT */
/*
 * asyncio_files.c - files that are written at the same time, and read when all are written.
 *
 *	async with aiofiles.open(path, mode='w') as f:   HILO_WITH_FILE (file, path, "w", &rc)
 *	    await f.write(content)                       rc = hilo_file_write(file, content, size, HILO_FOREVER)
 *	contents = await f.read()                        hilo_file_read_all(file, limit, &contents, HILO_FOREVER)
 */
#include <hilo/hilo.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILES 3
#define LIMIT ((size_t)1024 * 1024)

struct note {
	const char *path, *content;
};

static int read_file(void *arg)
{
	const struct note *note = arg;
	char *contents = NULL;
	int rc;

	HILO_WITH_FILE (file, note->path, "r", &rc) {
		rc = (int)hilo_file_read_all(file, LIMIT, &contents, HILO_FOREVER);
		if (rc >= 0)
			printf("Contenido de %s:\n%s\n\n", note->path, contents);
	}
	free(contents);
	return rc;
}

static int write_file(void *arg)
{
	const struct note *note = arg;
	int rc;

	HILO_WITH_FILE (file, note->path, "w", &rc) {
		rc = (int)hilo_file_write(file, note->content, strlen(note->content), HILO_FOREVER);
		if (rc >= 0)
			printf("Escribió en %s\n", note->path);
	}
	return rc;
}

/* @entry for each of @notes, all at the same time; 0, or the first failure. */
static int for_all(hilo_task_fn entry, struct note notes[FILES])
{
	hilo_task *tasks[FILES];

	for (int i = 0; i < FILES; i++)
		tasks[i] = hilo_spawn(entry, &notes[i]);
	return hilo_gather(tasks, FILES, NULL, HILO_FOREVER);
}

static int main_task(void *arg)
{
	struct note notes[FILES] = {
		{"file1.txt", "Contenido del archivo 1"},
		{"file2.txt", "Contenido del archivo 2"},
		{"file3.txt", "Contenido del archivo 3"},
	};
	int rc = for_all(write_file, notes);

	(void)arg;
	return rc < 0 ? rc : for_all(read_file, notes);
}

int main(void)
{
	return hilo_run(main_task, NULL, NULL) < 0;
}
