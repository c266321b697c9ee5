/* SPDX-License-Identifier: MIT */
#ifndef TESTS_SUPPORT_SKIP_H
#define TESTS_SUPPORT_SKIP_H

/* [test] Skip this test of cmocka's; tests/run prints the line, which says why. */
#include <stdio.h>

#define test_skip(reason)                                                                                    \
	do {                                                                                                 \
		printf("SKIP: %s: %s\n", __func__, reason);                                                  \
		skip();                                                                                      \
	} while (0)

#endif /* TESTS_SUPPORT_SKIP_H */
