/* SPDX-License-Identifier: MIT */
#ifndef HILO_SCHEDULER_FORK_H
#define HILO_SCHEDULER_FORK_H

/*
 * fork.h - the forks of one task in one region: a stack of records, of which thieves may take the oldest.
 *
 *	record[0] ... stolen ... | tail ... public ... | split ... private ... | head (in a register)
 *
 * The owner forks and joins at the head, in code that is compiled into the program (<hilo/runtime/fork.h>). It comes
 * here only if a fork does not lie below `limit`, or a join lies below `floor`. Mostly the limit is the end of the
 * records and the floor the split. Whoever wants something from the owner puts NULL into the one and the highest
 * address into the other, so that the next fork or join asks. The limit says that somebody does; the floor alone has
 * the owner come with his next join, as he may want himself.
 *
 * Thieves see tail and split, in one word with the number of the region. The owner publishes the older half of what is
 * private by moving the split up; a thief takes the record at the tail by moving that up; the owner that meets its
 * own public part moves the split down again. So what is stolen, public and private are three runs of records, oldest
 * first, and when a join finds its fork stolen there is nothing public or private left.
 *
 * Records lie in blocks that never go away, and a record's place is only written to by its owner, or by the thief that
 * has taken it. So a thief may look at the word of any block that it has ever heard of.
 *
 * I1  tail <= split; what lies below split and not below tail can be taken; each change of the word is one
 *     read-modify-write, but for a store by the owner while tail is split, which nobody else changes.
 * I2  From split to head, and only there, records say in `run` what they would run: so those of a task that
 *     suspends can be found, though the head is in a register.
 * I3  A block is of one region at a time. The number in the word is another one in each, so a thief that has read the
 *     word in one region takes nothing in another; 2^32 regions later it would.
 * P1  Publishing releases, taking acquires: the thief sees the record, and whose region it is, or takes nothing.
 *     That a fiber is in a region is stored (release) and read by thieves (acquire): they see that it is a block.
 * P2  The thief stores who runs the fork (release); the owner that joins it reads that (acquire), and so sees that
 *     task. That it is done he sees by its completion.
 * P3  Who runs a stolen fork sets STARTED, who waits for it and is asked to stop sets ASKED; both read-modify-writes of
 *     one word, so one of the two sees the other, and cancels that task.
 * P4  A request is made before the limit is set, and then the floor (release); the owner takes back the floor, then the
 *     limit, by exchanges (acquire), then looks for requests. So it sees the request, or is asked again by its next
 *     fork and by its next join. If it has found the floor set for a request it finds the limit, unless that was
 *     answered before: so each is answered once, and a join that comes for the owner's own sake answers nobody.
 * P5  The task that a loop runs, and the fiber of a task, are stored (release) and read by thieves (acquire): they see
 *     a record of a task and a fiber, though perhaps not one that still has to do with the other.
 * P6  Who has published exchanges `helped` for 1 and queues a task if it was 0; that task exchanges it for 0 before it
 *     looks at the word. So one of two sees the other: the task what was published, or who published that none comes.
 * P7  A request sets the state of the task, then looks for the fiber's region; who changes that does the same in the
 *     other order, both by read-modify-writes of the state. So the region is asked, or its owner sees the request.
 *
 * Rejected: Chase and Lev's deque. Each join, of a few instructions otherwise, needs a full fence. Rejected: a
 * deque for each worker, as Lace has. As soon as a task suspends with forks not joined, those of the next one lie
 * on top of them.
 */
#include <hilo/runtime/fork.h>

#include "scheduler/base/atomic.h"
#include "scheduler/base/compiler.h"

struct binding;
struct hilo_loop;
struct hilo_task;
struct measure;
struct thread;

#ifdef HILO_EXPLORE
#define FORKS_RECORDS 4
#else
#define FORKS_SIZE ((size_t)1 << 20) /* only what is touched costs memory */
#define FORKS_RECORDS ((FORKS_SIZE - sizeof(struct forks)) / sizeof(struct hilo_fork))
#endif

/* What is the library's in a record. */
struct fork_state {
	atomic(struct hilo_task *) thief; /* who runs it, with a reference for the join; P2 */
	atomic(uint32_t) flags;		  /* FORK_* below; P3 */
	int32_t code;			  /* of the region, as the thief has seen it */
};

#define FORK_STARTED 1u
#define FORK_ASKED 2u
#define FORK_LEFT_OUT 4u /* started, but not run */

/* A fork beyond the last record: it has run at once, and keeps its result for the join. */
struct late_fork {
	struct hilo_fork fork;
	struct hilo_fork *place; /* where the head was */
	struct late_fork *older;
};

struct forks {
	/* As struct hilo_forks. */
	atomic(struct hilo_fork *) limit; /* P4 */
	atomic(struct hilo_fork *) floor; /* P4 */
	char *stack_low;

	/* Owner only; constant in a region but for `failed`, `late` and `split`. */
	struct hilo_fork *split;
	struct late_fork *late; /* newest first */
	struct binding *locals; /* that the region began with, borrowed */
	struct forks *next;	/* while it is in no region: in a list */
	int failed;		/* the first reason for which something was left out */
	unsigned late_forks;	/* not joined, with a place in `late` or without */
	unsigned flags;		/* HILO_REGION_* */
	bool measured;		/* nothing is published: measure.h */
	bool checked;		/* each join comes to the library: fork_locks.c */
	uint64_t since; /* locks that were taken later are those of the fork that runs: fork_locks.c */
	struct measure *measure; /* where to; NULL: the strand is on another stack just now */
	uint64_t began;		 /* cycles; of a region that is in no other */
	struct hilo_fork result; /* of a late fork that was joined just now */

	/* Shared. */
	HILO__ISOLATED atomic(uint64_t) word;  /* number, split, tail */
	atomic(struct hilo_runtime *) runtime; /* P1 */
	atomic(struct forks *) outer;	       /* of the same task; P1 */
	atomic(uint32_t) kind;		       /* stack, priority, kind of region; P1 */
	atomic(uint32_t) helped;	       /* a task is queued that will take from it; P6 */
	HILO__ISOLATED struct hilo_fork record[
#ifdef HILO_EXPLORE
		FORKS_RECORDS
#endif
	];
};

_Static_assert(offsetof(struct forks, limit) == offsetof(struct hilo_forks, limit) &&
		       offsetof(struct forks, floor) == offsetof(struct hilo_forks, floor) &&
		       offsetof(struct forks, stack_low) == offsetof(struct hilo_forks, stack_low),
	       "the beginning is what programs see");
_Static_assert(sizeof(struct fork_state) == sizeof(((struct hilo_fork *)0)->hilo_private),
	       "a record has room for what is the library's");

/* The highest address. */
#define FORK_EVERY ((struct hilo_fork *)UINTPTR_MAX)

static inline struct forks *forks_of(struct hilo_forks *forks)
{
	return (struct forks *)(void *)forks;
}

static inline struct hilo_forks *forks_face(struct forks *forks)
{
	return (struct hilo_forks *)(void *)forks;
}

static inline struct fork_state *fork_state(struct hilo_fork *fork)
{
	return (struct fork_state *)(void *)fork->hilo_private;
}

static inline struct hilo_fork *forks_end(struct forks *forks)
{
	return forks->record + FORKS_RECORDS;
}

static inline bool fork_is_made(const struct hilo_fork *fork)
{
	return (uintptr_t)fork->run > HILO__FORK_FREE;
}

static inline void fork_set_free(struct hilo_fork *fork)
{
	fork->run = (__typeof__(fork->run))HILO__FORK_FREE;
}

static inline unsigned forks_word_tail(uint64_t word)
{
	return (unsigned)word & 0xffff;
}

static inline unsigned forks_word_split(uint64_t word)
{
	return (unsigned)(word >> 16) & 0xffff;
}

/* The same number, with another split and tail. */
static inline uint64_t forks_word(uint64_t word, unsigned split, unsigned tail)
{
	return (word & ~(uint64_t)UINT32_MAX) | (uint64_t)split << 16 | tail;
}

/* [any] There is something to take. A hint. */
static inline bool forks_have_public(struct forks *forks)
{
	uint64_t word = load_relaxed(&forks->word); /* relaxed: a hint */

	return forks_word_tail(word) < forks_word_split(word);
}

/* [any] Have the owner come here with its next fork or join; @forks may be any block. P4 */
static inline void forks_ask(struct forks *forks)
{
	/* Exchanges, so that the owner that finds the request of another one sees ours as well. */
	(void)MUTANT(488, xchg_release(&forks->limit, NULL),
		     (store_release(&forks->limit, NULL), (struct hilo_fork *)NULL)); /* P4 */
	(void)MUTANT(493, xchg_release(&forks->floor, FORK_EVERY),
		     xchg_relaxed(&forks->floor, FORK_EVERY)); /* P4 */
}

/* [owner] Come here with the next join; nobody has asked for anything. */
static inline void forks_ask_join(struct forks *forks)
{
	/* relaxed: says nothing; an exchange, so that who settles acquires what a thief has released here: P4 */
	(void)MUTANT(529, xchg_relaxed(&forks->floor, FORK_EVERY),
		     (store_relaxed(&forks->floor, FORK_EVERY), (struct hilo_fork *)NULL)); /* relaxed: P4 */
}

/* [whose block it is] Begin a region of @runtime, of @kind, within @outer or NULL. */
void hilo__forks_open(struct forks *forks, struct hilo_runtime *runtime, unsigned kind, struct forks *outer);

/* [owner] The private records that end before @end: make the older half public, all if @all. */
void hilo__forks_publish(struct forks *forks, struct hilo_fork *end, bool all);

/* [owner, or who has taken something] After publishing: true: no task is queued to take from @forks, so queue one. */
static inline bool forks_want_help(struct forks *forks)
{
	return !MUTANT(494, xchg_acq_rel(&forks->helped, 1),
		       load_relaxed(&forks->helped) || xchg_relaxed(&forks->helped, 1)); /* P6 */
}

/* [that task, or who could not queue it] Now it looks; for what is published from here on another one is queued. */
static inline void forks_help_looks(struct forks *forks)
{
	(void)MUTANT(495, xchg_acq_rel(&forks->helped, 0), xchg_relaxed(&forks->helped, 0)); /* P6 */
}

/* [owner] The split has moved: so does the floor, unless somebody asks just now. */
static inline void forks_set_floor(struct forks *forks)
{
	if (xchg_acquire(&forks->floor, forks->split) == FORK_EVERY)		/* P4 */
		MUTANT(490, store_relaxed(&forks->floor, FORK_EVERY), (void)0); /* relaxed: it was asked */
}

/* [owner] Take the requests back. True: somebody has asked since; what for is to be looked for after this. */
bool hilo__forks_settle(struct forks *forks);

/* [owner] The older half of what is private and ends before @end becomes public; if there is nothing, the next fork. */
void hilo__forks_give(struct forks *forks, struct hilo_fork *end);

/*
 * [owner] Make @fork, the latest one not joined and below the split, private again, and with it the newer half of what
 * is public. False: it was taken, and so was everything before it.
 */
bool hilo__forks_retract(struct forks *forks, struct hilo_fork *fork);

/* [owner] @fork, which was taken, is joined. */
void hilo__forks_joined(struct forks *forks, struct hilo_fork *fork);

/* [any] Take the oldest public fork of a region of @runtime, of @kind; NULL: there is none. */
struct hilo_fork *hilo__forks_take(struct forks *forks, struct hilo_runtime *runtime, unsigned kind);

/* [thief] Let the owner know who runs @fork, which was taken. */
static inline void fork_set_thief(struct hilo_fork *fork, struct hilo_task *thief)
{
	MUTANT(484, store_release(&fork_state(fork)->thief, thief),
	       store_relaxed(&fork_state(fork)->thief, thief)); /* P2 */
}

/* [owner] Who runs @fork, which was taken, perhaps just now. */
struct hilo_task *hilo__fork_thief(struct hilo_fork *fork);

/* [runs a stolen fork] It begins. True: who waits for it was asked to stop. */
static inline bool fork_start(struct hilo_fork *fork)
{
	return (MUTANT(485, or_acq_rel(&fork_state(fork)->flags, FORK_STARTED),
		       (store_relaxed(&fork_state(fork)->flags, FORK_STARTED), 0)) & /* P3 */
		FORK_ASKED) != 0;
}

/* [owner, which waits for it] We were asked to stop. True: it has begun, and is to be cancelled by us. */
static inline bool fork_ask(struct hilo_fork *fork)
{
	return (or_acq_rel(&fork_state(fork)->flags, FORK_ASKED) & FORK_STARTED) != 0; /* P3 */
}

/* [owner] Whether it has begun, once its thief has ended: it has. */
static inline bool fork_has_started(struct hilo_fork *fork)
{
	return (load_relaxed(&fork_state(fork)->flags) & FORK_STARTED) != 0; /* relaxed: the end is seen */
}

/*
 * fork_pool.c: blocks.
 */

/* [owner of @loop] A block in no region. NULL: no memory. */
struct forks *hilo__forks_get(struct hilo_loop *loop);
void hilo__forks_put(struct hilo_loop *loop, struct forks *forks);

/* [closing thread] What @loop has kept. */
void hilo__forks_drain(struct hilo_loop *loop);

/*
 * fork_steal.c: who runs what is stolen.
 */

/* [task] Begin a region on the fiber that runs, in a block of this loop's. NULL: no memory. */
struct forks *hilo__fork_enter(struct thread *self, unsigned flags);

/* [task] End it; all is joined. Returns why something was left out, or 0. */
int hilo__fork_leave(struct forks *forks);

/* [task] The innermost region that the task on this thread is in; NULL: none. */
struct forks *hilo__fork_region_of(const struct thread *self);

/* [owner, whom somebody may have asked] Answer, with private forks that end before @end. True: they are left out. */
bool hilo__fork_answer(struct forks *forks, struct hilo_fork *end);

/* [owner] Forks that have not begun are to be left out now. */
bool hilo__fork_is_skipping(const struct forks *forks);

/* [owner] A task for a fork of this region, with stack, block and a reference for the join. NULL: no memory. */
struct hilo_task *hilo__fork_task(struct thread *self, struct forks *forks);

/* [owner] Queue @task of hilo__fork_task, for @fork, which nobody else can take, or give it back unused. */
void hilo__fork_start(struct thread *self, struct hilo_task *task, struct hilo_fork *fork,
		      struct binding *locals);
void hilo__fork_drop(struct thread *self, struct hilo_task *task);

/*
 * [task about to leave its fiber; fork_help.c] What it has forked becomes work for every worker. True: it is measured,
 * and hilo__fork_resume is to be called when it is back.
 */
bool hilo__fork_suspend(struct thread *self);
void hilo__fork_resume(struct thread *self);

/* [any] The innermost region that the task on @loop is in, as it seems; NULL: none. */
struct forks *hilo__fork_region_in(struct hilo_loop *loop);

/* [searcher] A fork of what @victim runs, as a task to run at once; NULL. */
struct hilo_task *hilo__fork_steal(struct hilo_loop *loop, struct hilo_loop *victim);

/* [owner of @loop] What it is about to fork takes some @cycles: wake somebody if that is worth it. */
void hilo__fork_expect(struct hilo_loop *loop, uint64_t cycles);

/* [any] @task is asked to stop: if it is in a region that can be cancelled, it looks. */
void hilo__fork_poke(struct hilo_task *task);

/*
 * fork_locks.c: in debug mode, who breaks that locks taken in a fork end in it.
 */

/* [any] How many locks were taken by those whose locks are noted: sync/order.c. */
extern atomic(uint64_t) hilo__locks_taken;

/* [runs a fork] Tell which locks @me has taken after @since, in a fork whose function is @run, and has still. */
typedef void (*locks_left_fn)(const struct hilo_task *me, uint64_t since, const void *run);
extern atomic(locks_left_fn) hilo__locks_left; /* NULL: nobody has taken any */

/* [owner] Run @fork, the latest one, or one that runs at once, with what it forks from @head on. */
void hilo__fork_run_checked(struct forks *forks, struct hilo_fork *head, struct hilo_fork *fork);

/* [task] The fork that runs ends; its function is @run. */
void hilo__fork_check_locks(const struct forks *forks, const void *run);

/* [any] Locks that the calling task has taken before this one are those of ancestors of the fork that it runs. */
uint64_t hilo__fork_locks_since(const struct thread *self);

/*
 * fork_measure.c: regions that are measured.
 */

/* [owner] From its beginning on @forks is measured, and so is what is within it. */
void hilo__fork_measure(struct forks *forks, struct measure *measure);

/* [owner] Its strand goes on in @helper, which was not queued yet; and comes back with what this has returned. */
struct measure *hilo__fork_hand_on(struct forks *forks, struct hilo_task *helper);
void hilo__fork_take_back(struct forks *forks, struct measure *measure);

/*
 * fork_turn.c: turns of loops whose tasks fork.
 */

/* [spare on duty] Have the tasks that fork let their loops make a turn where something waits. True: there are some. */
bool hilo__fork_call_turns(struct hilo_loop *loop);

/* [task, may suspend] Let the loop make a turn, which somebody has called for. */
void hilo__fork_turn(struct thread *self);

/* In tests: forks are taken at once, each by a task of the same loop. To be changed while none runs. */
enum forks_forced {
	FORKS_AS_EVER,
	FORKS_BY_LOT, /* some are not */
	FORKS_EACH    /* as long as there is memory for a task */
};

#ifdef HILO_TESTING
extern enum forks_forced hilo__forks_forced;
#else
#define hilo__forks_forced FORKS_AS_EVER
#endif

#endif /* HILO_SCHEDULER_FORK_H */
