/* SPDX-License-Identifier: MIT */
/*
 * sort_typed.h - the sort of one type by one order: to be included once for each, after defining
 *
 *	HILO_SORT_NAME			what the functions are to be called
 *	HILO_SORT_TYPE			of the items: any type that may be copied by assignment, up to 1024 bytes
 *	HILO_SORT_LESS(a, b, arg)	whether *a comes before *b; a and b are pointers to const, evaluated once
 *
 * which are not defined any more afterwards. Some items are copied to the stack; larger ones are sorted by pointers to
 * them. It defines two static functions, for which sort.h says the rest:
 *
 *	int NAME(TYPE *base, size_t count, void *arg, const hilo_parallel_opts *opts);
 *	int NAME_stable(TYPE *base, size_t count, void *arg, const hilo_parallel_opts *opts);
 *
 * Here is what is done serially. Comparing random items has no outcome that a processor could predict, so their results
 * are added and selected with instead of branched on: quicksort with a partition without branches, merges from both
 * ends at once. Neither leaves the range or loses an item if the order contradicts itself.
 */
#include <hilo/runtime/sort.h>

#ifdef HILO_SORT_NAME

#define HILO__SORT(x) HILO_PASTE_LATER(HILO_SORT_NAME, __##x)
#ifdef __OPTIMIZE__
#define HILO__SORT_INLINE static inline __attribute__((always_inline, unused))
#else /* what is inlined nevertheless would have all its items on the stack at once */
#define HILO__SORT_INLINE static inline __attribute__((unused))
#endif
#define HILO__SORT_STATIC static __attribute__((noinline, unused))

typedef HILO_SORT_TYPE HILO__SORT(item);
#define HILO__ITEM HILO__SORT(item)
#ifdef __cplusplus
static_assert(sizeof(HILO__ITEM) <= 1024, "items above 1024 bytes: sort pointers to them, or use hilo_sort");
#else
_Static_assert(sizeof(HILO__ITEM) <= 1024, "items above 1024 bytes: sort pointers to them, or use hilo_sort");
#endif

/* Larger ones are sorted by insertion: moving them costs more than a branch. */
#define HILO__SORT_IS_LARGE (sizeof(HILO__ITEM) > 32)
/* So many are sorted without further ado. */
#define HILO__SORT_FEW (HILO__SORT_IS_LARGE ? 12u : 32u)
/* From so many items on the pivot is the median of more than three. */
#define HILO__SORT_MANY 64u

HILO__SORT_INLINE unsigned HILO__SORT(less)(const HILO__ITEM *a, const HILO__ITEM *b, void *arg)
{
	(void)arg;
	return (HILO_SORT_LESS(a, b, arg)) ? 1u : 0u;
}

/* @first ? @a : @b, without a branch. */
HILO__SORT_INLINE const HILO__ITEM *HILO__SORT(pick)(unsigned first, const HILO__ITEM *a, const HILO__ITEM *b)
{
	uintptr_t mask = (uintptr_t)0 - first;

	return (const HILO__ITEM *)((uintptr_t)b ^ (((uintptr_t)a ^ (uintptr_t)b) & mask));
}

HILO__SORT_INLINE void HILO__SORT(swap)(HILO__ITEM *a, HILO__ITEM *b)
{
	HILO__ITEM item = *a;

	*a = *b;
	*b = item;
}

HILO__SORT_INLINE void HILO__SORT(copy)(HILO__ITEM *to, const HILO__ITEM *from, size_t count)
{
	if (count)
		__builtin_memcpy((void *)to, (const void *)from, count * sizeof(*to));
}

/* Four items from @v to @to, in order. */
HILO__SORT_INLINE void HILO__SORT(four)(const HILO__ITEM *v, HILO__ITEM *to, void *arg)
{
	unsigned first = HILO__SORT(less)(v + 1, v, arg), second = HILO__SORT(less)(v + 3, v + 2, arg);
	const HILO__ITEM *a = v + first, *b = v + 1 - first, *c = v + 2 + second, *d = v + 3 - second;
	unsigned lower = HILO__SORT(less)(c, a, arg), upper = HILO__SORT(less)(d, b, arg), inner;
	const HILO__ITEM *left = HILO__SORT(pick)(lower, a, HILO__SORT(pick)(upper, c, b));
	const HILO__ITEM *right = HILO__SORT(pick)(upper, d, HILO__SORT(pick)(lower, b, c));

	inner = HILO__SORT(less)(right, left, arg);
	to[0] = *HILO__SORT(pick)(lower, c, a);
	to[1] = *HILO__SORT(pick)(inner, right, left);
	to[2] = *HILO__SORT(pick)(inner, left, right);
	to[3] = *HILO__SORT(pick)(upper, b, d);
}

/* The two ends of what is left of two runs, and of where it goes. */
struct HILO__SORT(ends) {
	const HILO__ITEM *left, *right, *left_last, *right_last;
	HILO__ITEM *to, *to_last;
};

/* Move @steps items from each end. No run may come to its end before. */
HILO__SORT_INLINE void HILO__SORT(move)(struct HILO__SORT(ends) * ends, size_t steps, void *arg)
{
	struct HILO__SORT(ends) e = *ends;

	while (steps-- > 0) {
		unsigned right = HILO__SORT(less)(e.right, e.left, arg);
		unsigned left = HILO__SORT(less)(e.right_last, e.left_last, arg);

		*e.to++ = *HILO__SORT(pick)(right, e.right, e.left);
		*e.to_last-- = *HILO__SORT(pick)(left, e.left_last, e.right_last);
		e.right += right;
		e.left += 1 - right;
		e.left_last -= left;
		e.right_last -= 1 - left;
	}
	*ends = e;
}

/* Merge the two halves of the @count items at @v, each in order, to @to. */
HILO__SORT_INLINE void HILO__SORT(merge_halves)(const HILO__ITEM *v, size_t count, HILO__ITEM *to, void *arg)
{
	size_t half = count / 2;
	struct HILO__SORT(ends) e = {v, v + half, v + half - 1, v + count - 1, to, to + count - 1};

	HILO__SORT(move)(&e, half, arg);
	if (count % 2) {
		unsigned left = e.left <= e.left_last;

		*e.to = *HILO__SORT(pick)(left, e.left, e.right);
		e.left += left;
		e.right += 1 - left;
	}
	if (__builtin_expect(e.left != e.left_last + 1 || e.right != e.right_last + 1, 0))
		HILO__SORT(copy)(to, v, count); /* the order contradicts itself */
}

HILO__SORT_INLINE void HILO__SORT(eight)(const HILO__ITEM *v, HILO__ITEM *to, void *arg)
{
	HILO__ITEM half[8];

	HILO__SORT(four)(v, half, arg);
	HILO__SORT(four)(v + 4, half + 4, arg);
	HILO__SORT(merge_halves)(half, 8, to, arg);
}

/* Items [0, @sorted) are in order: all @count. */
HILO__SORT_INLINE void HILO__SORT(insert)(HILO__ITEM *v, size_t sorted, size_t count, void *arg)
{
	for (size_t i = sorted; i < count; i++) {
		HILO__ITEM item = v[i];
		size_t at = i;

		for (; at > 0 && HILO__SORT(less)(&item, v + at - 1, arg); at--)
			v[at] = v[at - 1];
		v[at] = item;
	}
}

/* @count items from @v to @to, in order: half of a few. */
HILO__SORT_INLINE void HILO__SORT(half)(const HILO__ITEM *v, size_t count, HILO__ITEM *to, void *arg)
{
	size_t sorted = 1;

	if (count >= 8) {
		HILO__SORT(eight)(v, to, arg);
		sorted = 8;
	} else if (count >= 4) {
		HILO__SORT(four)(v, to, arg);
		sorted = 4;
	} else {
		to[0] = v[0];
	}
	HILO__SORT(copy)(to + sorted, v + sorted, count - sorted);
	HILO__SORT(insert)(to, sorted, count, arg);
}

/* Sort a few, stably. */
HILO__SORT_STATIC void HILO__SORT(few)(HILO__ITEM *v, size_t count, void *arg)
{
	HILO__ITEM halves[HILO__SORT_IS_LARGE ? 1 : 32];

	if (count < 2)
		return;
	if (HILO__SORT_IS_LARGE || count < 4) {
		HILO__SORT(insert)(v, 1, count, arg);
		return;
	}
	HILO__SORT(half)(v, count / 2, halves, arg);
	HILO__SORT(half)(v + count / 2, count - count / 2, halves + count / 2, arg);
	HILO__SORT(merge_halves)(halves, count, v, arg);
}

HILO__SORT_INLINE size_t HILO__SORT(part_by)(HILO__ITEM *v, size_t count, const HILO__ITEM *pivot_at,
					     int equal, void *arg)
{
	HILO__ITEM pivot = *pivot_at, first;
	HILO__ITEM *gap = v, *end = v + count;
	size_t lefts = 0;

	if (count == 0)
		return 0;
	first = *v;
	/* The gap is filled from the end of those on the left, where the item goes; then it is where that was. */
	for (HILO__ITEM *at = v + 1; at < end; at++) {
		unsigned left =
			equal ? 1 - HILO__SORT(less)(&pivot, at, arg) : HILO__SORT(less)(at, &pivot, arg);

		*gap = v[lefts];
		v[lefts] = *at;
		gap = at;
		lefts += left;
	}
	*gap = v[lefts];
	v[lefts] = first;
	return lefts +
	       (equal ? 1 - HILO__SORT(less)(&pivot, &first, arg) : HILO__SORT(less)(&first, &pivot, arg));
}

HILO__SORT_STATIC size_t HILO__SORT(part)(void *items, size_t count, const void *pivot, int equal, void *arg)
{
	HILO__ITEM *v = (HILO__ITEM *)items;
	const HILO__ITEM *at = (const HILO__ITEM *)pivot;

	return equal ? HILO__SORT(part_by)(v, count, at, 1, arg) : HILO__SORT(part_by)(v, count, at, 0, arg);
}

HILO__SORT_INLINE HILO__ITEM *HILO__SORT(median)(HILO__ITEM *a, HILO__ITEM *b, HILO__ITEM *c, void *arg)
{
	unsigned before_b = HILO__SORT(less)(a, b, arg), before_c = HILO__SORT(less)(a, c, arg);

	if (before_b != before_c)
		return a;
	return HILO__SORT(less)(b, c, arg) != before_b ? c : b;
}

/* The median of three items, each that of three in the @count from it on, and so forth. */
HILO__SORT_STATIC HILO__ITEM *HILO__SORT(median_of)(HILO__ITEM *a, HILO__ITEM *b, HILO__ITEM *c, size_t count,
						    void *arg)
{
	size_t n = count / 8;

	if (n >= HILO__SORT_MANY / 8) {
		a = HILO__SORT(median_of)(a, a + 4 * n, a + 7 * n, n, arg);
		b = HILO__SORT(median_of)(b, b + 4 * n, b + 7 * n, n, arg);
		c = HILO__SORT(median_of)(c, c + 4 * n, c + 7 * n, n, arg);
	}
	return HILO__SORT(median)(a, b, c, arg);
}

HILO__SORT_INLINE int HILO__SORT(choose)(void *items, size_t count, const void *before, void *arg)
{
	HILO__ITEM *v = (HILO__ITEM *)items;
	size_t n = count / 8;
	HILO__ITEM *b = v + 4 * n, *c = v + 7 * n;

	HILO__SORT(swap)
	(v,
	 count < HILO__SORT_MANY ? HILO__SORT(median)(v, b, c, arg) : HILO__SORT(median_of)(v, b, c, n, arg));
	return before && !HILO__SORT(less)((const HILO__ITEM *)before, v, arg);
}

HILO__SORT_STATIC void HILO__SORT(sort_heap)(void *items, size_t count, void *arg)
{
	HILO__ITEM *v = (HILO__ITEM *)items;

	for (size_t i = count + count / 2; i-- > 1;) {
		size_t at = i < count ? 0 : i - count, end = i < count ? i : count, child;

		if (at == 0 && i < count)
			HILO__SORT(swap)(v, v + i);
		while ((child = 2 * at + 1) < end) {
			if (child + 1 < end)
				child += HILO__SORT(less)(v + child, v + child + 1, arg);
			if (!HILO__SORT(less)(v + at, v + child, arg))
				break;
			HILO__SORT(swap)(v + at, v + child);
			at = child;
		}
	}
}

/* Quicksort; after so many bad pivots as @limit by heapsort. */
HILO__SORT_STATIC void HILO__SORT(quick)(HILO__ITEM *v, size_t count, const HILO__ITEM *before,
					 unsigned limit, void *arg)
{
	size_t left;

	while (count > HILO__SORT_FEW) {
		if (limit-- == 0) {
			HILO__SORT(sort_heap)(v, count, arg);
			return;
		}
		if (HILO__SORT(choose)(v, count, before, arg)) {
			left = HILO__SORT(part_by)(v + 1, count - 1, v, 1, arg) + 1;
			v += left;
			count -= left;
			before = NULL;
			limit++;
			continue;
		}
		left = HILO__SORT(part_by)(v + 1, count - 1, v, 0, arg);
		HILO__SORT(swap)(v, v + left);
		if (left < count / 2) {
			HILO__SORT(quick)(v, left, before, limit, arg);
			before = v + left;
			v += left + 1;
			count -= left + 1;
		} else {
			HILO__SORT(quick)(v + left + 1, count - left - 1, v + left, limit, arg);
			count = left;
		}
	}
	HILO__SORT(few)(v, count, arg);
}

HILO__SORT_STATIC void HILO__SORT(sort)(void *items, size_t count, const void *before, void *arg)
{
	unsigned limit = 0;

	for (size_t n = count; n; n /= 2)
		limit += 2;
	HILO__SORT(quick)((HILO__ITEM *)items, count, (const HILO__ITEM *)before, limit, arg);
}

HILO__SORT_STATIC int HILO__SORT(order)(void *items, size_t count, void *arg)
{
	HILO__ITEM *v = (HILO__ITEM *)items;
	size_t i = 1;

	while (i < count && !HILO__SORT(less)(v + i, v + i - 1, arg))
		i++;
	if (i > 1 || count < 2)
		return i >= count;
	while (i < count && HILO__SORT(less)(v + i, v + i - 1, arg))
		i++;
	if (i < count)
		return 0;
	for (i = 0; i < count / 2; i++)
		HILO__SORT(swap)(v + i, v + count - 1 - i);
	return 1;
}

HILO__SORT_STATIC void HILO__SORT(merge)(const void *left, size_t lefts, const void *right, size_t rights,
					 void *to, void *arg)
{
	const HILO__ITEM *l = (const HILO__ITEM *)left, *r = (const HILO__ITEM *)right;
	const HILO__ITEM *l_end = l + lefts, *r_end = r + rights;
	HILO__ITEM *out = (HILO__ITEM *)to;

	/* A step from each end takes two items of either run at most. */
	while (lefts >= 16 && rights >= 16) {
		struct HILO__SORT(ends) e = {l, r, l_end - 1, r_end - 1, out, out + lefts + rights - 1};

		HILO__SORT(move)(&e, (lefts < rights ? lefts : rights) / 2, arg);
		l = e.left;
		r = e.right;
		l_end = e.left_last + 1;
		r_end = e.right_last + 1;
		out = e.to;
		lefts = (size_t)(l_end - l);
		rights = (size_t)(r_end - r);
	}
	while (l < l_end && r < r_end) {
		unsigned is_right = HILO__SORT(less)(r, l, arg);

		*out++ = *HILO__SORT(pick)(is_right, r, l);
		r += is_right;
		l += 1 - is_right;
	}
	HILO__SORT(copy)(out, l, (size_t)(l_end - l));
	HILO__SORT(copy)(out + (l_end - l), r, (size_t)(r_end - r));
}

HILO__SORT_STATIC size_t HILO__SORT(rank)(const void *left, size_t lefts, const void *right, size_t rights,
					  size_t first, void *arg)
{
	const HILO__ITEM *l = (const HILO__ITEM *)left, *r = (const HILO__ITEM *)right;
	size_t low = first > rights ? first - rights : 0, high = first < lefts ? first : lefts;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (HILO__SORT(less)(r + (first - middle - 1), l + middle, arg))
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

HILO__SORT_STATIC void HILO__SORT(sort_stable)(void *items, size_t count, void *scratch, void *to, void *arg)
{
	HILO__ITEM *from = (HILO__ITEM *)items, *into = (HILO__ITEM *)scratch, *other;
	size_t width = HILO__SORT_FEW, n;

	for (size_t i = 0; i < count; i += width)
		HILO__SORT(few)(from + i, count - i < width ? count - i : width, arg);
	for (; width < count; width *= 2) {
		for (size_t i = 0; i < count; i += n) {
			size_t left = count - i < width ? count - i : width;

			n = count - i < 2 * width ? count - i : 2 * width;
			HILO__SORT(merge)(from + i, left, from + i + left, n - left, into + i, arg);
		}
		other = from;
		from = into;
		into = other;
	}
	if ((void *)from != to)
		HILO__SORT(copy)((HILO__ITEM *)to, from, count);
}

static const struct hilo_sort_type HILO__SORT(type) = {
	sizeof(struct hilo_sort_type),
	sizeof(HILO__ITEM),
	HILO__SORT(order),
	HILO__SORT(sort),
	HILO__SORT(sort_heap),
	HILO__SORT(choose),
	HILO__SORT(part),
	HILO__SORT(sort_stable),
	HILO__SORT(merge),
	HILO__SORT(rank),
};

static __attribute__((unused)) HILO_MUST_CHECK int HILO_SORT_NAME(HILO_SORT_TYPE *base, size_t count,
								  void *arg, const hilo_parallel_opts *opts)
{
	return hilo_sort_typed(&HILO__SORT(type), base, count, arg, opts);
}

static __attribute__((unused)) HILO_MUST_CHECK int
HILO_PASTE_LATER(HILO_SORT_NAME, _stable)(HILO_SORT_TYPE *base, size_t count, void *arg,
					  const hilo_parallel_opts *opts)
{
	return hilo_sort_typed_stable(&HILO__SORT(type), base, count, arg, opts);
}

#undef HILO_SORT_NAME
#undef HILO_SORT_TYPE
#undef HILO_SORT_LESS
#undef HILO__SORT
#undef HILO__SORT_INLINE
#undef HILO__SORT_STATIC
#undef HILO__ITEM
#undef HILO__SORT_IS_LARGE
#undef HILO__SORT_FEW
#undef HILO__SORT_MANY

#endif /* HILO_SORT_NAME */
