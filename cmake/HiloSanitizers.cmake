# SPDX-License-Identifier: MIT
#
# HILO_SANITIZE and HILO_COVERAGE apply to everything that is built, so that library and tests agree.
# HILO_TEST_ENVIRONMENT holds the settings that the tests run with.
set(HILO_TEST_ENVIRONMENT "")
set(HILO_TEST_TIMEOUT 60)
set(HILO_TEST_DEFINITIONS "")
if(CMAKE_CROSSCOMPILING OR NOT HILO_TEST_LAUNCHER STREQUAL "")
	set(HILO_TEST_TIMEOUT 1000)
	set(HILO_TEST_DEFINITIONS HILO_TEST_EMULATED=1)
endif()

if(NOT HILO_SANITIZE STREQUAL "")
	if(NOT HILO_SANITIZE MATCHES "^(address|undefined|address,undefined|thread)$")
		message(FATAL_ERROR "HILO_SANITIZE=${HILO_SANITIZE}: address,undefined or thread")
	endif()
	add_compile_options(-fsanitize=${HILO_SANITIZE} -fno-sanitize-recover=all)
	add_link_options(-fsanitize=${HILO_SANITIZE})
	set(HILO_TEST_TIMEOUT 240)
	set(HILO_TEST_ENVIRONMENT
		"ASAN_OPTIONS=detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1:allocator_may_return_null=1"
		"UBSAN_OPTIONS=print_stacktrace=1"
		"TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1:history_size=4")
endif()

if(HILO_FUZZ)
	add_compile_options(-fsanitize=fuzzer-no-link)
endif()

if(HILO_COVERAGE)
	add_compile_options(--coverage -fprofile-update=atomic)
	add_link_options(--coverage)
endif()
