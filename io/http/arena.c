/* SPDX-License-Identifier: MIT */
/* arena.c - memory that lives as long as a request, and texts that grow. */
#include "io/http/http_impl.h"

#include "scheduler/base/mem.h"

/* A block that was asked for, larger each time. */
struct arena_block {
	struct arena_block *next;
	_Alignas(max_align_t) char data[];
};

#define ARENA_BLOCK 4096

void hilo__http_arena_init(struct arena *arena)
{
	arena->blocks = NULL;
	arena->at = arena->first;
	arena->size = sizeof(arena->first);
	arena->used = 0;
}

void hilo__http_arena_reset(struct arena *arena)
{
	while (arena->blocks) {
		struct arena_block *next = arena->blocks->next;

		hilo__free(arena->blocks);
		arena->blocks = next;
	}
	hilo__http_arena_init(arena);
}

void *hilo__http_arena_alloc(struct arena *arena, size_t size)
{
	struct arena_block *block;
	void *p;

	if (size > SIZE_MAX / 4)
		return NULL;
	size = (size + _Alignof(max_align_t) - 1) & ~(_Alignof(max_align_t) - 1);
	if (arena->size - arena->used < size) {
		size_t next = arena->size * 2 > ARENA_BLOCK ? arena->size * 2 : ARENA_BLOCK;

		next = next < size ? size : next;
		block = hilo__malloc(sizeof(*block) + next);
		if (!block)
			return NULL;
		block->next = arena->blocks;
		arena->blocks = block;
		arena->at = block->data;
		arena->size = next;
		arena->used = 0;
	}
	p = arena->at + arena->used;
	arena->used += size;
	return p;
}

char *hilo__http_arena_text(struct arena *arena, const char *text, size_t length)
{
	char *copy = hilo__http_arena_alloc(arena, length + 1);

	if (!copy)
		return NULL;
	memcpy(copy, text, length);
	copy[length] = '\0';
	return copy;
}

void hilo__http_text_init(struct text *text, char *own, size_t size)
{
	*text = (struct text){.data = own, .size = size, .own = own, .own_size = size};
}

void hilo__http_text_reset(struct text *text)
{
	if (text->data != text->own)
		hilo__free(text->data);
	hilo__http_text_init(text, text->own, text->own_size);
}

char *hilo__http_text_room(struct text *text, size_t size)
{
	size_t wanted = text->size ? text->size : 256;
	char *data;

	if (text->data && text->size - text->used >= size)
		return text->data + text->used;
	while (wanted - text->used < size)
		wanted *= 2;
	data = hilo__malloc(wanted);
	if (!data)
		return NULL;
	if (text->used)
		memcpy(data, text->data, text->used);
	if (text->data != text->own)
		hilo__free(text->data);
	text->data = data;
	text->size = wanted;
	return data + text->used;
}
