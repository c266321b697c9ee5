/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "scheduler/base/random.h"
#include "scheduler/base/sys.h"

static int seed_reset(void **state)
{
	(void)state;
	unsetenv("HILO_SEED");
	hilo__sys_reset();
	hilo__random_forget_seed();
	return 0;
}

static uint64_t seed_for(const char *text)
{
	setenv("HILO_SEED", text, 1);
	hilo__random_forget_seed();
	return hilo__random_seed();
}

static void test_random_same_seed_same_sequence(void **state)
{
	struct random a, b;

	(void)state;
	random_init(&a, 99, 3);
	random_init(&b, 99, 3);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(random_u64(&a), random_u64(&b));
}

static void test_random_streams_and_seeds_differ(void **state)
{
	struct random a, b, c;
	int same = 0;

	(void)state;
	random_init(&a, 1, 0);
	random_init(&b, 1, 1);
	random_init(&c, 2, 0);
	for (int i = 0; i < 1000; i++) {
		uint64_t x = random_u64(&a), y = random_u64(&b), z = random_u64(&c);

		same += x == y || x == z || y == z;
	}
	assert_int_equal(same, 0);
}

static void test_random_any_seed_works(void **state)
{
	static const uint64_t seeds[] = {0, 1, UINT64_MAX, UINT64_C(1) << 63};
	struct random random;

	(void)state;
	for (int i = 0; i < 4; i++)
		for (uint64_t stream = 0; stream < 100; stream++) {
			random_init(&random, seeds[i], stream);
			assert_true(random.state != 0);
			assert_true(random_u64(&random) != random_u64(&random));
		}
}

static void test_random_below_is_even_enough(void **state)
{
	enum {
		SIDES = 7,
		THROWS = 70000
	};
	unsigned count[SIDES] = {0};
	struct random random;

	(void)state;
	random_init(&random, 2024, 0);
	for (int i = 0; i < THROWS; i++) {
		uint32_t n = random_below(&random, SIDES);

		assert_true(n < SIDES);
		count[n]++;
	}
	for (int i = 0; i < SIDES; i++) /* six standard deviations */
		assert_in_range(count[i], 10000 - 600, 10000 + 600);
	assert_int_equal(random_below(&random, 1), 0);
	assert_int_equal(random_below(&random, 0), 0);
}

/* Each bit is one in about half of the cases. */
static void test_random_bits_are_balanced(void **state)
{
	enum {
		DRAWS = 40000
	};
	unsigned ones[64] = {0};
	struct random random;

	(void)state;
	random_init(&random, 5, 5);
	for (int i = 0; i < DRAWS; i++) {
		uint64_t x = random_u64(&random);

		for (int bit = 0; bit < 64; bit++)
			ones[bit] += (unsigned)(x >> bit) & 1;
	}
	for (int bit = 0; bit < 64; bit++)
		assert_in_range(ones[bit], DRAWS / 2 - 600, DRAWS / 2 + 600);
}

static void test_random_seed_comes_from_environment(void **state)
{
	(void)state;
	assert_int_equal(seed_for("12345"), 12345);
	assert_int_equal(seed_for("0x1F"), 31);
	assert_int_equal(seed_for("010"), 10);
	assert_true(seed_for("18446744073709551615") == UINT64_MAX);
}

static void test_random_seed_stays_the_same(void **state)
{
	uint64_t seed;

	(void)state;
	unsetenv("HILO_SEED");
	hilo__random_forget_seed();
	seed = hilo__random_seed();
	assert_true(seed != 0);
	assert_true(hilo__random_seed() == seed);
}

static void test_random_seed_ignores_what_is_no_number(void **state)
{
	static const char *const texts[] = {"", "0", "-1", " 7", "7x", "0x", "seed", "99999999999999999999"};

	(void)state;
	for (int i = 0; i < 8; i++) {
		uint64_t first = seed_for(texts[i]);

		assert_true(first != 0);
		assert_true(first != 7);
		assert_true(seed_for(texts[i]) != first); /* drawn anew */
	}
}

static void test_random_seed_without_getrandom(void **state)
{
	(void)state;
	unsetenv("HILO_SEED");
	hilo__sys_fail(SYS_CALL_GETRANDOM, 1, ENOSYS, true);
	hilo__random_forget_seed();
	assert_true(hilo__random_seed() != 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_same_seed_same_sequence),
		cmocka_unit_test(test_random_streams_and_seeds_differ),
		cmocka_unit_test(test_random_any_seed_works),
		cmocka_unit_test(test_random_below_is_even_enough),
		cmocka_unit_test(test_random_bits_are_balanced),
		cmocka_unit_test_teardown(test_random_seed_comes_from_environment, seed_reset),
		cmocka_unit_test_teardown(test_random_seed_stays_the_same, seed_reset),
		cmocka_unit_test_teardown(test_random_seed_ignores_what_is_no_number, seed_reset),
		cmocka_unit_test_teardown(test_random_seed_without_getrandom, seed_reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
