# SPDX-License-Identifier: MIT
#
# The one list of warnings. Both compilers stay silent under it; HILO_WERROR makes sure in CI.
set(HILO_WARNINGS
	-Wall
	-Wextra
	-Wshadow
	-Wstrict-prototypes
	-Wmissing-prototypes
	-Wold-style-definition
	-Wvla
	-Wconversion
	-Wno-sign-conversion
	-Wformat=2
	-Wpointer-arith
	-Wwrite-strings
	-Wimplicit-fallthrough)

if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
	list(APPEND HILO_WARNINGS -Wtrampolines -Wlogical-op -Wduplicated-cond)
endif()
