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
 * A compare-and-swap that fails is a load, and may fail on an old value.
 *
 * Plain accesses are checked for races by vector clocks, which are the first bytes of a view.
 */
#include "tests/explore/explore_impl.h"

#include <stdio.h>
#include <string.h>

#define MAP_SIZE 8192
#define PLAINS 2048
#define RETIRED_MAX 16
#define NOBODY 0xff
#define SEVERAL 0xfe

struct message {
	struct view view;
	uint64_t value;
};

struct location {
	const void *address;
	const struct explore_site *site; /* the first access: a name for it */
	size_t size;
	uint64_t execution; /* in which the rest was reset */
	unsigned count;
	unsigned sc;	/* newest message known to a seq_cst operation */
	uint8_t writer; /* who has ever written it: nobody, one, several */
	bool retired;
	uint8_t access[EXPLORE_THREADS]; /* clock of each thread's last access */
};

/* A plain variable, known by its address. */
struct plain {
	const void *address;
	uint64_t execution;
	uint64_t content; /* stands for the value: the writer's course, or that of setup */
	uint8_t writer, write_clock;
	bool retired;
	uint8_t reads[EXPLORE_THREADS];
};

static struct location locations[LOCATIONS];
static struct message messages[LOCATIONS][HISTORY];
static unsigned location_count;
static struct plain plains[PLAINS];
static unsigned plain_count;
static struct {
	const void *address;
	int16_t location; /* -1: none */
	int16_t plain;	  /* -1: none */
} map[MAP_SIZE];
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
	memset(plains, 0, sizeof(plains));
	location_count = 0;
	plain_count = 0;
}

void memory_reset(void)
{
	execution++;
	retired_count = 0;
	content_hash = 0;
}

static inline struct thread *self(void)
{
	return &explore_threads[explore_current];
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
uint64_t memory_hash(uint64_t h, unsigned threads)
{
	h = hash_mix(h, content_hash);
	for (unsigned i = 0; i < threads; i++)
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

static void raw_store(void *p, size_t size, uint64_t value)
{
	memcpy(p, &value, size);
}

static bool is_retired(const void *p)
{
	for (unsigned i = 0; i < retired_count; i++)
		if ((uintptr_t)p >= retired[i].from && (uintptr_t)p < retired[i].to)
			return true;
	return false;
}

static unsigned map_find(const void *p)
{
	unsigned i = (unsigned)(((uintptr_t)p * 0x9e3779b97f4a7c15u) >> 40) % MAP_SIZE;

	while (map[i].address != p) {
		if (map[i].address == NULL) {
			map[i].address = p;
			map[i].location = -1;
			map[i].plain = -1;
			break;
		}
		i = (i + 1) % MAP_SIZE;
	}
	return i;
}

static struct location *location_new(const void *p, size_t size, const struct explore_site *site)
{
	struct location *loc;

	if (location_count == LOCATIONS)
		explore_fail("more than %d atomic locations", LOCATIONS);
	loc = &locations[location_count++];
	loc->address = p;
	loc->size = size;
	loc->site = site;
	loc->writer = NOBODY;
	return loc;
}

/* The location at @p, ready for this execution. */
static struct location *location_at(const void *p, size_t size, const struct explore_site *site)
{
	unsigned i = map_find(p);
	struct location *loc;
	struct message *first;

	if (map[i].location < 0) {
		loc = location_new(p, size, site);
		map[i].location = (int16_t)(loc - locations);
	}
	loc = &locations[map[i].location];
	if (loc->execution == execution)
		return loc;
	if (loc->size != size)
		explore_fail("%s:%d: %s: accesses of different sizes", site->file, site->line, site->what);
	loc->execution = execution;
	loc->count = 1;
	loc->sc = 0;
	loc->retired = is_retired(p);
	memset(loc->access, 0, sizeof(loc->access));
	first = &messages[loc - locations][0];
	memset(&first->view, 0, sizeof(first->view));
	first->value = raw_load(p, size);
	return loc;
}

static void location_touch(struct location *loc, const struct explore_site *site)
{
	if (loc->retired)
		explore_fail("use after free: %s:%d: %s", site->file, site->line, site->what);
	loc->access[explore_current] = clock_of(explore_current);
}

/* The oldest message of @loc that the thread may read. */
static unsigned oldest_readable(const struct location *loc, enum explore_order order)
{
	unsigned oldest = *view_of(&self()->view, loc);

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
static uint64_t message_read(struct location *loc, unsigned index, enum explore_order order)
{
	const struct message *m = &messages[loc - locations][index];
	struct thread *t = self();

	*view_of(&t->view, loc) = (uint8_t)index;
	if (order == EXPLORE_ACQUIRE || order >= EXPLORE_ACQ_REL)
		view_join(&t->view, &m->view);
	if (order == EXPLORE_SEQ_CST && index > loc->sc)
		location_note_sc(loc, index);
	t->looked |= (uint64_t)1 << (loc - locations);
	t->old_read = index + 1 < loc->count ? loc->address : NULL;
	t->old_newest = loc->count;
	t->hash = hash_mix(t->hash, m->value);
	return m->value;
}

/*
 * The thread goes round a loop because of what it has just read from @loc. If that was old, and nothing
 * has happened there since, another execution reads the newer value at once.
 */
static void abandon_retry(const struct location *loc)
{
	const struct thread *t = self();

	if (t->old_read == loc->address && t->old_newest == loc->count && explore_skips_retries())
		explore_abandon();
}

/* A new newest message; @carried is the view of the message that a read-modify-write has read. */
static void message_append(struct location *loc, uint64_t value, enum explore_order order,
			   const struct view *carried)
{
	struct thread *t = self();
	unsigned index = loc->count;
	struct message *m;

	if (index == HISTORY)
		explore_fail("history overflow at %s: more than %d stores to one location", loc->site->what,
			     HISTORY);
	loc->count++;
	m = &messages[loc - locations][index];
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
	raw_store((void *)(uintptr_t)loc->address, loc->size, value);
}

/* Note who writes @loc; the search relies on locations with a single writer staying so. */
static void location_claim(struct location *loc)
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

uint64_t explore_load(const void *p, size_t size, enum explore_order order, const struct explore_site *site)
{
	struct location *loc;
	unsigned index;
	uint64_t value;

	if (!explore_live)
		return raw_load(p, size);
	loc = location_at(p, size, site);
	explore_point(false);
	location_touch(loc, site);
	index = loc->count - 1 - explore_branch(loc->count - oldest_readable(loc, order));
	value = message_read(loc, index, order);
	self()->glued = order != EXPLORE_SEQ_CST;
	if (explore_tracing)
		explore_trace(site, "= %lld%s", (long long)value, index + 1 < loc->count ? " (old)" : "");
	return value;
}

void explore_store(void *p, size_t size, uint64_t value, enum explore_order order,
		   const struct explore_site *site)
{
	struct location *loc;

	if (!explore_live) {
		raw_store(p, size, value);
		return;
	}
	loc = location_at(p, size, site);
	location_claim(loc);
	explore_point(order != EXPLORE_SEQ_CST && loc->writer == explore_current);
	location_touch(loc, site);
	message_append(loc, value, order, NULL);
	self()->glued = false;
	if (explore_tracing)
		explore_trace(site, ": %lld", (long long)value);
}

static uint64_t rmw_apply(enum explore_rmw op, uint64_t old, uint64_t operand)
{
	switch (op) {
	case EXPLORE_XCHG:
		return operand;
	case EXPLORE_ADD:
		return old + operand;
	case EXPLORE_SUB:
		return old - operand;
	case EXPLORE_OR:
		return old | operand;
	case EXPLORE_AND:
		return old & operand;
	}
	return old;
}

/* Read the newest message and append @value behind it, in one step. */
static void message_replace(struct location *loc, uint64_t value, enum explore_order order)
{
	unsigned last = loc->count - 1;

	(void)message_read(loc, last, order);
	message_append(loc, value, order, &messages[loc - locations][last].view);
	self()->glued = false;
}

/* @value cut to the size of @loc, as memory would. */
static uint64_t value_cut(const struct location *loc, uint64_t value)
{
	return loc->size == 8 ? value : value & (((uint64_t)1 << (8 * loc->size)) - 1);
}

uint64_t explore_rmw(void *p, size_t size, enum explore_rmw op, uint64_t operand, enum explore_order order,
		     const struct explore_site *site)
{
	struct location *loc;
	uint64_t old, value;

	if (!explore_live) {
		old = raw_load(p, size);
		raw_store(p, size, rmw_apply(op, old, operand));
		return old;
	}
	loc = location_at(p, size, site);
	location_claim(loc);
	explore_point(false);
	location_touch(loc, site);
	old = messages[loc - locations][loc->count - 1].value;
	value = value_cut(loc, rmw_apply(op, old, operand));
	message_replace(loc, value, order);
	if (explore_tracing)
		explore_trace(site, "= %lld: %lld", (long long)old, (long long)value);
	return old;
}

/* How a compare-and-swap may go: the newest message, or any older readable one that makes it fail. */
static unsigned cas_choices(const struct location *loc, unsigned oldest, uint64_t expected, unsigned *ret)
{
	const struct message *m = messages[loc - locations];
	unsigned n = 0;

	ret[n++] = loc->count - 1;
	for (unsigned i = loc->count - 1; i-- > oldest;)
		if (m[i].value != expected)
			ret[n++] = i;
	return n;
}

bool explore_cas(void *p, size_t size, void *expected, uint64_t value, enum explore_order success,
		 enum explore_order failure, const struct explore_site *site)
{
	uint64_t wanted = raw_load(expected, size);
	unsigned choices[HISTORY], index;
	struct location *loc;
	uint64_t old;

	if (!explore_live) {
		old = raw_load(p, size);
		raw_store(old == wanted ? p : expected, size, old == wanted ? value : old);
		return old == wanted;
	}
	loc = location_at(p, size, site);
	location_claim(loc); /* also if it is going to fail: in another order it might not */
	explore_point(false);
	location_touch(loc, site);
	index = choices[explore_branch(cas_choices(loc, oldest_readable(loc, failure), wanted, choices))];
	old = messages[loc - locations][index].value;
	if (explore_tracing)
		explore_trace(site, "%s %lld = %lld%s", old == wanted ? "done, from" : "failed, expected",
			      (long long)wanted, (long long)old, index + 1 < loc->count ? " (old)" : "");
	if (old == wanted) {
		message_replace(loc, value_cut(loc, value), success);
		return true;
	}
	if (messages[loc - locations][loc->count - 1].value != wanted)
		abandon_retry(loc);
	(void)message_read(loc, index, failure);
	self()->glued = failure != EXPLORE_SEQ_CST;
	raw_store(expected, size, old);
	return false;
}

/* All accesses to @loc of other threads happened before now? */
static bool location_is_quiet(const struct location *loc)
{
	for (unsigned t = 0; t < EXPLORE_THREADS; t++)
		if (t != explore_current && loc->access[t] > self()->view.at[t])
			return false;
	return true;
}

void explore_setup(void *p, size_t size, uint64_t value, const struct explore_site *site)
{
	struct location *loc;

	if (!explore_live) {
		raw_store(p, size, value);
		return;
	}
	loc = location_at(p, size, site);
	location_claim(loc);
	explore_point(loc->writer == explore_current);
	location_touch(loc, site);
	if (!location_is_quiet(loc))
		explore_fail("data race: %s:%d: %s while another thread uses it", site->file, site->line,
			     site->what);
	message_append(loc, value, EXPLORE_RELAXED, NULL);
	self()->glued = false;
	if (explore_tracing)
		explore_trace(site, ": %lld", (long long)value);
}

static struct plain *plain_at(const void *p)
{
	unsigned i = map_find(p);
	struct plain *plain;

	if (map[i].plain < 0) {
		if (plain_count == PLAINS)
			explore_fail("more than %d plain variables", PLAINS);
		map[i].plain = (int16_t)plain_count++;
		plains[map[i].plain].address = p;
	}
	plain = &plains[map[i].plain];
	if (plain->execution != execution) {
		plain->execution = execution;
		plain->writer = 0;
		plain->write_clock = 0;
		plain->content = 0;
		plain->retired = is_retired(p);
		memset(plain->reads, 0, sizeof(plain->reads));
	}
	return plain;
}

static bool plain_is_read_elsewhere(const struct plain *plain)
{
	for (unsigned t = 0; t < EXPLORE_THREADS; t++)
		if (t != explore_current && plain->reads[t] > self()->view.at[t])
			return true;
	return false;
}

static bool plain_is_written_elsewhere(const struct plain *plain)
{
	return plain->writer != explore_current && plain->write_clock > self()->view.at[plain->writer];
}

/* Where a plain access is, for messages: a site, or the address of the instruction after it. */
static const char *plain_name(const struct explore_site *site, const void *pc)
{
	static char text[160];

	if (site != NULL)
		(void)snprintf(text, sizeof(text), "%s:%d: %s", site->file, site->line, site->what);
	else
		(void)snprintf(text, sizeof(text), "a plain access at pc %p", pc);
	return text;
}

/* What is written follows from the writer's course. */
static void plain_write(struct plain *plain)
{
	struct thread *t = self();

	content_hash ^= plain->content;
	t->hash = hash_mix(t->hash, 5);
	plain->content = hash_mix(t->hash, (uint64_t)(plain - plains));
	content_hash ^= plain->content;
}

void memory_plain(const void *p, bool write, const struct explore_site *site, const void *pc)
{
	struct plain *plain = plain_at(p);

	if (explore_tracing && site != NULL)
		explore_trace(site, " ");
	if (plain->retired)
		explore_fail("use after free: %s", plain_name(site, pc));
	if (plain_is_written_elsewhere(plain))
		explore_fail("data race: %s, against a write of T%u", plain_name(site, pc), plain->writer);
	if (write && plain_is_read_elsewhere(plain))
		explore_fail("data race: %s, against a read", plain_name(site, pc));
	if (write) {
		plain->writer = (uint8_t)explore_current;
		plain->write_clock = clock_of(explore_current);
		plain_write(plain);
	} else {
		plain->reads[explore_current] = clock_of(explore_current);
		self()->hash = hash_mix(self()->hash, plain->content);
	}
}

void explore_plain(const void *p, bool write, const struct explore_site *site)
{
	if (explore_live)
		memory_plain(p, write, site, NULL);
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
		if (!location_is_quiet(loc))
			explore_fail("freed while another thread uses %s", loc->site->what);
		loc->retired = true;
	}
	for (unsigned i = 0; i < plain_count; i++) {
		struct plain *plain = &plains[i];

		if ((uintptr_t)plain->address < from || (uintptr_t)plain->address >= to ||
		    plain->execution != execution)
			continue;
		if (plain_is_written_elsewhere(plain) || plain_is_read_elsewhere(plain))
			explore_fail("freed while another thread uses the plain data in it");
		plain->retired = true;
	}
	if (retired_count == RETIRED_MAX)
		explore_fail("more than %d pieces of memory given up", RETIRED_MAX);
	retired[retired_count].from = from;
	retired[retired_count++].to = to;
}

/* What the kernel sees when it looks at a word. */
uint64_t memory_newest(const void *p, size_t size)
{
	return raw_load(p, size); /* the newest value always lies in the word itself */
}

bool memory_has_news(const struct thread *thread)
{
	for (uint64_t bits = thread->looked; bits; bits &= bits - 1) {
		unsigned i = (unsigned)__builtin_ctzll(bits);

		if (locations[i].execution == execution &&
		    thread->view.at[EXPLORE_THREADS + i] + 1u < locations[i].count)
			return true;
	}
	return false;
}

/* Before a thread pauses: is what it waits for there already? */
void memory_pause(const struct thread *thread)
{
	if ((thread->looked & (thread->looked - 1)) == 0 && thread->looked != 0)
		abandon_retry(&locations[__builtin_ctzll(thread->looked)]);
}

/* A thread that paused sees something newer in one of the locations it looked at. */
void memory_look_again(struct thread *thread)
{
	unsigned changed[LOCATIONS], n = 0;

	for (uint64_t bits = thread->looked; bits; bits &= bits - 1) {
		unsigned i = (unsigned)__builtin_ctzll(bits);

		if (locations[i].execution == execution &&
		    thread->view.at[EXPLORE_THREADS + i] + 1u < locations[i].count)
			changed[n++] = i;
	}
	thread->view.at[EXPLORE_THREADS + changed[explore_branch(n)]]++;
	thread->looked = 0;
}

const char *memory_looked_at(const struct thread *thread)
{
	return thread->looked ? locations[__builtin_ctzll(thread->looked)].site->what : "nothing";
}
