/* SPDX-License-Identifier: MIT */
#ifndef HILO_SCHEDULER_BASE_LIST_H
#define HILO_SCHEDULER_BASE_LIST_H

/*
 * list.h - intrusive doubly linked list; a ring through its head.
 *
 *	head <-> first <-> ... <-> last <-> (head)
 *
 * A node that is on no list is linked to itself: list_init makes it so, list_del leaves it so. Adding
 * a node that is on a list panics in HILO_TESTING builds; so nodes are initialised before they are
 * added (all zero is accepted as well). No locking: whoever owns the head owns the list.
 */
#include <stdbool.h>
#include <stddef.h>

#include "scheduler/base/compiler.h"
#include "scheduler/base/panic.h"

struct list {
	struct list *next, *prev;
};

/* A head or a node with static storage. */
#define LIST_INIT(name)                                                                                      \
	{                                                                                                    \
		&(name), &(name)                                                                             \
	}

/* The structure that @node is the member @member of. */
#define list_entry(node, type, member) container_of(node, type, member)

/* Make @list an empty head, or a node that is on no list. */
static inline void list_init(struct list *list)
{
	list->next = list;
	list->prev = list;
}

/* True if the head @head has no nodes; for a node: if it is on no list. */
static inline bool list_empty(const struct list *head)
{
	return head->next == head;
}

/* The other way round, for a node: true if it is on a list. */
static inline bool list_is_linked(const struct list *node)
{
	return node->next && node->next != node;
}

/* The first and the last node, NULL if there is none. */
static inline struct list *list_first(const struct list *head)
{
	return head->next == head ? NULL : head->next;
}

static inline struct list *list_last(const struct list *head)
{
	return head->prev == head ? NULL : head->prev;
}

/* Put @node between two neighbours. */
static inline void list_insert(struct list *node, struct list *prev, struct list *next)
{
#ifdef HILO_TESTING
	if (list_is_linked(node))
		HILO__PANIC("node %p is on a list already (next %p)", (void *)node, (void *)node->next);
#endif
	node->prev = prev;
	node->next = next;
	prev->next = node;
	next->prev = node;
}

static inline void list_add_head(struct list *head, struct list *node)
{
	list_insert(node, head, head->next);
}

static inline void list_add_tail(struct list *head, struct list *node)
{
	list_insert(node, head->prev, head);
}

/* Put @node before @next, which is on a list (or its head). */
static inline void list_add_before(struct list *next, struct list *node)
{
	list_insert(node, next->prev, next);
}

/* Take @node off its list; on none: no-op. */
static inline void list_del(struct list *node)
{
	node->prev->next = node->next;
	node->next->prev = node->prev;
	list_init(node);
}

/* Take the first node off and return it; NULL if there is none. */
static inline struct list *list_pop_first(struct list *head)
{
	struct list *node = list_first(head);

	if (node)
		list_del(node);
	return node;
}

/* Move all nodes of @from, in order, to the end of @to; @from is empty then. */
static inline void list_splice(struct list *to, struct list *from)
{
	if (list_empty(from))
		return;
	from->next->prev = to->prev;
	to->prev->next = from->next;
	from->prev->next = to;
	to->prev = from->prev;
	list_init(from);
}

/* For each node @pos (a struct list *) from first to last. @pos must stay on the list meanwhile. */
#define list_for_each(pos, head) for ((pos) = (head)->next; (pos) != (head); (pos) = (pos)->next)

/* The same where @pos may be taken off; @tmp is another struct list *, whose node must stay. */
#define list_for_each_safe(pos, tmp, head)                                                                   \
	for ((pos) = (head)->next, (tmp) = (pos)->next; (pos) != (head); (pos) = (tmp), (tmp) = (pos)->next)

#endif /* HILO_SCHEDULER_BASE_LIST_H */
