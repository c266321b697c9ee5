/* SPDX-License-Identifier: MIT */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

/* fuzz.h - what fuzzers share: an input that is read piece by piece, and checks that end the program. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* End the program, which libFuzzer reports with the input, unless @holds. */
#define FUZZ_CHECK(holds)                                                                                    \
	do {                                                                                                 \
		if (!(holds)) {                                                                              \
			(void)fprintf(stderr, "%s:%d: check failed: %s\n", __FILE__, __LINE__, #holds);      \
			abort();                                                                             \
		}                                                                                            \
	} while (0)

struct fuzz_input {
	const uint8_t *at;
	size_t left;
};

/* The next byte; 0 after the last. */
static inline uint8_t fuzz_byte(struct fuzz_input *input)
{
	if (!input->left)
		return 0;
	input->left--;
	return *input->at++;
}

/* Up to @size bytes: how many, and where, in *@ret. */
static inline size_t fuzz_bytes(struct fuzz_input *input, size_t size, const char **ret)
{
	if (size > input->left)
		size = input->left;
	*ret = (const char *)input->at;
	input->at += size;
	input->left -= size;
	return size;
}

/* What libFuzzer calls. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif /* TESTS_FUZZ_FUZZ_H */
