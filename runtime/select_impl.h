/* SPDX-License-Identifier: MIT */
#ifndef HILO_RUNTIME_SELECT_IMPL_H
#define HILO_RUNTIME_SELECT_IMPL_H

/*
 * select_impl.h - what an object brings so that its operations can be cases of a select.
 *
 * The calls come in this order, with a place that is the same for all of them:
 *
 *	look                     under the object's lock: do it, if that can be done at once
 *	prepare, look            perhaps: without the lock, what is lacking; and under it again
 *	enlist                   under the same hold of the lock, if nothing could be done in any case
 *	remove                   under the lock again, if enlisted and not won for
 *	look                     perhaps, under the same hold of it
 *	removed                  without it
 *	finish                   without it, if looking has done it, or the node that was enlisted was won for
 *
 * The locks of all objects of a select are held together, one that two cases share once, so that no function
 * here takes another lock, calls the user, enters the kernel or wakes anybody: what is left to do after it was
 * done (telling a contender that has been given something, dropping an item) is written down in the place, and
 * finish sees to it.
 *
 * Of one object there may be several cases, in one select and in the same list.
 */
#include <hilo/runtime/select.h>

#include "runtime/contend_impl.h"

/* Enough for the node of any object, and what is to be remembered. */
#define SELECT_ROOM 96

/* Of one case, from the first look to finish. Zero at first. */
struct select_place {
	void *object; /* of the case */
	void *item;   /* of the case: what is put, or where to put what is got */
	_Alignas(void *) unsigned char room[SELECT_ROOM]; /* the object's */
};

#define SELECT_FITS(type)                                                                                    \
	_Static_assert(sizeof(type) <= SELECT_ROOM && _Alignof(type) <= _Alignof(void *),                    \
		       #type " is larger than the room for it")

/* What look has found. */
enum select_looked {
	SELECT_WAIT,	/* it has to wait, and nothing has happened */
	SELECT_DONE,	/* it was done, or has failed */
	SELECT_PREPARE, /* it can be done once something was got for it, memory mostly; nothing has happened */
};

struct hilo_select_ops {
	bool receives; /* what has come is put where the item says, so that may not be NULL */
	/* [any] The lock of @object, or of what it is a part of. */
	struct spinlock *(*lock)(void *object);
	/* [any] Take and give back what `lock` is the address of, if that is no spinlock. NULL: it is one. */
	void (*enter)(void *object);
	void (*leave)(void *object);
	/* [any] Whether it is worth looking, a hint. NULL: always. */
	bool (*seems_ready)(const void *object);
	/* [lock] Do it, if that can be done. */
	enum select_looked (*look)(struct select_place *place);
	/* [no lock] Get what look lacks. That this failed is for the next look, which is DONE then. */
	void (*prepare)(struct select_place *place);
	/* [lock] Be in the object's list with node @number of @contender. */
	void (*enlist)(struct select_place *place, struct contender *contender, uint32_t number);
	/* [lock] Be in no list, in which the node may not be any more. */
	void (*remove)(struct select_place *place);
	/*
	 * [no lock, after remove and, perhaps, one more look] What remove must not do and has noted. If there is
	 * something the object counts the selector among those who wait until then. NULL: nothing.
	 */
	void (*removed)(struct select_place *place);
	/*
	 * [selector, after its wait has ended, before it suspends again] The rest of it: first of all, who was won is
	 * told. What the operation returns.
	 */
	int (*finish)(struct select_place *place);
};

#endif /* HILO_RUNTIME_SELECT_IMPL_H */
