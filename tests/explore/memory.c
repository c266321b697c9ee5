/* SPDX-License-Identifier: MIT */
/*
 * memory.c - the memory that model threads see: C11's, in the view-based form.
 *
 *	location:  message 0     1        2        3  (newest)
 *	              ^          ^                 ^
 *	              |     view of thread 1   view of thread 0
 *	         the value before the execution
 *
 * Each store appends a message to its location. A load may take any message that is not older than
 * what its thread's view says; each possibility is one branch of the search. A store that releases
 * puts its thread's whole view into the message, a load that acquires joins that view: that is
 * happens-before. A read-modify-write takes the newest message, and its own message carries on the
 * view of the one it read: that is the release sequence (in the sense of C++20: plain stores of the
 * same thread do not continue it).
 *
 * seq_cst: the order S is the order of execution. A location remembers the newest message that a
 * seq_cst operation has read or written, and no later seq_cst load may read an older one. That is what
 * the standard's "coherence-ordered before" asks between seq_cst operations, no more: a seq_cst load
 * says nothing about stores that no seq_cst operation and no happens-before edge knows of.
 *
 * The operations themselves are in operation.c, plain accesses in race.c. What this model leaves out of
 * C11's is told in README.md.
 */
#include "tests/explore/explore_impl.h"

#include <string.h>

#define MAP_SIZE 256
#define RETIRED_MAX 16

static struct location locations[LOCATIONS];
static struct message messages[LOCATIONS][HISTORY];
static unsigned location_count;
static uint8_t map[MAP_SIZE]; /* index + 1 of the location that an address hashes to */
static struct {
	uintptr_t from, to;
} retired[RETIRED_MAX];
static unsigned retired_count;
static uint64_t execution;
static uint64_t content_hash;

void memory_forget(void)
{
	memset(map, 0, sizeof(map));
	memset(locations, 0, sizeof(locations));
	location_count = 0;
	race_forget();
}

void memory_reset(void)
{
	execution++;
	retired_count = 0;
	content_hash = 0;
	race_reset();
}

static inline uint8_t clock_of(unsigned thread)
{
	return explore_threads[thread].view.at[thread];
}

static inline uint8_t *view_of(struct view *view, const struct location *loc)
{
	return &view->at[EXPLORE_THREADS + (loc - locations)];
}

static inline void view_join(struct view *view, const struct view *other)
{
	for (int i = 0; i < VIEW_SIZE; i++)
		view->at[i] = view->at[i] > other->at[i] ? view->at[i] : other->at[i];
}

static uint64_t view_hash(const struct view *view, uint64_t h)
{
	uint64_t words[VIEW_SIZE / 8];

	memcpy(words, view->at, sizeof(words));
	for (int i = 0; i < VIEW_SIZE / 8; i++)
		h = hash_mix(h, words[i]);
	return h;
}

/* What the memory holds, who may read what of it, and how it may still be raced for. */
uint64_t memory_hash(uint64_t h)
{
	h = hash_mix(h, content_hash);
	h = hash_mix(h, race_hash());
	for (unsigned i = 0; i < explore_run.model->threads; i++)
		if (explore_threads[i].status != THREAD_DONE)
			h = view_hash(&explore_threads[i].view, h);
	return h;
}

static uint64_t raw_load(const void *p, size_t size)
{
	uint64_t value = 0;

	memcpy(&value, p, size);
	return value;
}

bool memory_is_retired(const void *p)
{
	for (unsigned i = 0; i < retired_count; i++)
		if ((uintptr_t)p >= retired[i].from && (uintptr_t)p < retired[i].to)
			return true;
	return false;
}

/* The place in the map of the location at @p, or for it. */
static unsigned map_find(const void *p)
{
	unsigned i = (unsigned)(((uintptr_t)p * 0x9e3779b97f4a7c15u) >> 40) % MAP_SIZE;

	while (map[i] != 0 && locations[map[i] - 1].address != p)
		i = (i + 1) % MAP_SIZE;
	return i;
}

static struct location *location_new(const void *p, size_t size, const struct explore_site *site)
{
	struct location *loc;

	if (location_count == LOCATIONS)
		explore_fail("more than %d atomic locations", LOCATIONS);
	loc = &locations[location_count];
	loc->messages = messages[location_count++];
	loc->address = p;
	loc->size = size;
	loc->site = site;
	loc->writer = NOBODY;
	return loc;
}

/* The location at @p, ready for this execution. */
struct location *memory_location(const void *p, size_t size, const struct explore_site *site)
{
	unsigned i = map_find(p);
	struct location *loc;

	if (map[i] == 0) {
		loc = location_new(p, size, site);
		map[i] = (uint8_t)location_count;
	}
	loc = &locations[map[i] - 1];
	if (loc->size != size)
		explore_fail("%s:%d: %s: accesses of different sizes", site->file, site->line, site->what);
	if (loc->execution == execution)
		return loc;
	loc->execution = execution;
	loc->count = 1;
	loc->sc = 0;
	loc->retired = memory_is_retired(p);
	memset(loc->access, 0, sizeof(loc->access));
	memset(&loc->messages[0].view, 0, sizeof(struct view));
	loc->messages[0].value = raw_load(p, size);
	return loc;
}

void memory_touch(struct location *loc, const struct explore_site *site)
{
	if (loc->retired)
		explore_fail("use after free: %s:%d: %s", site->file, site->line, site->what);
	loc->access[explore_current] = clock_of(explore_current);
}

/* The oldest message of @loc that the thread may read. */
unsigned memory_oldest(const struct location *loc, enum explore_order order)
{
	unsigned oldest = *view_of(&explore_thread()->view, loc);

	return order == EXPLORE_SEQ_CST && loc->sc > oldest ? loc->sc : oldest;
}

/* A seq_cst operation knows of message @index. */
static void location_note_sc(struct location *loc, unsigned index)
{
	uint64_t which = (uint64_t)(loc - locations) << 32;

	content_hash ^= hash_mix(which, loc->sc) ^ hash_mix(which, index);
	loc->sc = index;
}

/* The thread reads message @index of @loc: what it knows from then on. */
uint64_t memory_read(struct location *loc, unsigned index, enum explore_order order)
{
	const struct message *m = &loc->messages[index];
	struct thread *t = explore_thread();

	*view_of(&t->view, loc) = (uint8_t)index;
	if (order == EXPLORE_ACQUIRE || order >= EXPLORE_ACQ_REL)
		view_join(&t->view, &m->view);
	if (order == EXPLORE_SEQ_CST && index > loc->sc)
		location_note_sc(loc, index);
	t->looked |= (uint64_t)1 << (loc - locations);
	t->old_read = index + 1 < loc->count ? loc->address : NULL;
	t->old_value = m->value;
	t->old_newest = loc->count;
	t->hash = hash_mix(t->hash, m->value);
	return m->value;
}

/* A new newest message; @carried is the view of the message that a read-modify-write has read. */
void memory_append(struct location *loc, uint64_t value, enum explore_order order, const struct view *carried)
{
	struct thread *t = explore_thread();
	unsigned index = loc->count;
	struct message *m;

	if (index == HISTORY)
		explore_fail("history overflow at %s: more than %d stores to one location", loc->site->what,
			     HISTORY);
	loc->count++;
	m = &loc->messages[index];
	*view_of(&t->view, loc) = (uint8_t)index;
	if (carried != NULL)
		m->view = *carried;
	else
		memset(&m->view, 0, sizeof(m->view));
	if (order >= EXPLORE_RELEASE) {
		view_join(&m->view, &t->view);
		if (++t->view.at[explore_current] == CLOCK_MAX)
			explore_fail("history overflow: more than %d releases of one thread", CLOCK_MAX);
	}
	if (order == EXPLORE_SEQ_CST)
		location_note_sc(loc, index);
	t->hash = hash_mix(t->hash, 1);
	t->old_read = NULL;
	m->value = value;
	content_hash ^= hash_mix(view_hash(&m->view, value), (uint64_t)(loc - locations) << 8 | index);
	memcpy((void *)(uintptr_t)loc->address, &value, loc->size);
}

/* Note who writes @loc; the search relies on locations with a single writer staying so. */
void memory_claim(struct location *loc)
{
	if (loc->writer == explore_current || loc->writer == SEVERAL)
		return;
	if (loc->writer == NOBODY) {
		loc->writer = (uint8_t)explore_current;
		return;
	}
	loc->writer = SEVERAL;
	explore_restart();
}

/* All accesses to @loc of other threads happened before now? */
bool memory_is_quiet(const struct location *loc)
{
	for (unsigned t = 0; t < EXPLORE_THREADS; t++)
		if (t != explore_current && loc->access[t] > explore_thread()->view.at[t])
			return false;
	return true;
}

void explore_retire(const void *p, size_t size)
{
	uintptr_t from = (uintptr_t)p, to = from + size;

	if (!explore_live)
		return;
	for (unsigned i = 0; i < location_count; i++) {
		struct location *loc = &locations[i];

		if ((uintptr_t)loc->address < from || (uintptr_t)loc->address >= to ||
		    loc->execution != execution)
			continue;
		if (!memory_is_quiet(loc))
			explore_fail("freed while another thread uses %s", loc->site->what);
		loc->retired = true;
	}
	race_retire(from, to);
	if (retired_count == RETIRED_MAX)
		explore_fail("more than %d pieces of memory given up", RETIRED_MAX);
	retired[retired_count].from = from;
	retired[retired_count++].to = to;
}

/*
 * The kernel looks at a word for the running thread: at the newest value, and the thread will see nothing
 * older there. So a store to it does not commute to the left (R3), whoever writes it.
 */
uint64_t memory_futex(const void *word, size_t size)
{
	static const struct explore_site site = {__FILE__, __LINE__, "a futex"};
	struct location *loc = memory_location(word, size, &site);
	bool had_one_writer = loc->writer != NOBODY && loc->writer != SEVERAL;

	loc->writer = SEVERAL;
	if (had_one_writer)
		explore_restart();
	memory_touch(loc, &site);
	return memory_read(loc, loc->count - 1, EXPLORE_RELAXED);
}

/* The thread may still read something newer at @i. */
static bool location_has_news(const struct thread *thread, unsigned i)
{
	return locations[i].execution == execution &&
	       thread->view.at[EXPLORE_THREADS + i] + 1u < locations[i].count;
}

bool memory_has_news(const struct thread *thread)
{
	for (uint64_t bits = thread->looked; bits; bits &= bits - 1)
		if (location_has_news(thread, (unsigned)__builtin_ctzll(bits)))
			return true;
	return false;
}

/* R6: all that it looked at since its last pause is one location, where it has just read an old message. */
bool memory_pauses_in_vain(const struct thread *thread)
{
	return (thread->looked & (thread->looked - 1)) == 0 && thread->looked != 0 &&
	       locations[__builtin_ctzll(thread->looked)].address == thread->old_read;
}

/* A thread that paused sees something newer in one of the locations it looked at. */
void memory_look_again(struct thread *thread)
{
	unsigned changed[LOCATIONS], n = 0;

	for (uint64_t bits = thread->looked; bits; bits &= bits - 1) {
		unsigned i = (unsigned)__builtin_ctzll(bits);

		if (location_has_news(thread, i))
			changed[n++] = i;
	}
	thread->view.at[EXPLORE_THREADS + changed[search_choose(n, CHOICE_NEWS)]]++;
	thread->looked = 0;
}

const char *memory_looked_at(const struct thread *thread)
{
	return thread->looked ? locations[__builtin_ctzll(thread->looked)].site->what : "nothing";
}
