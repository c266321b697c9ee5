# SPDX-License-Identifier: MIT
#
# Under Valgrind a program must say where its stacks are, or each switch looks like a huge frame and the
# reports are noise. What says it is a header of macros: nothing is linked, and outside of Valgrind each
# is a handful of instructions without effect. They stand where a stack is made or memory is given back,
# never on the way of a switch, a spawn or a wake-up, so that the library that ships has them as well,
# and a user's program can be run under Valgrind as it is. What marks single objects as free is executed
# for each of them, and left to hilo_testing (scheduler/base/pool.h).
if(NOT HILO_VALGRIND)
	set(HILO_VALGRIND_STATE "no (HILO_VALGRIND is off)")
elseif(NOT HILO_SANITIZE STREQUAL "")
	set(HILO_VALGRIND_STATE "no (sanitizers do not run under it)")
else()
	find_path(HILO_VALGRIND_INCLUDE_DIR valgrind/valgrind.h)
	mark_as_advanced(HILO_VALGRIND_INCLUDE_DIR)
	if(HILO_VALGRIND_INCLUDE_DIR)
		set(HILO_VALGRIND_STATE "yes (${HILO_VALGRIND_INCLUDE_DIR}/valgrind)")
		include_directories(SYSTEM ${HILO_VALGRIND_INCLUDE_DIR})
		add_compile_definitions(HILO_VALGRIND=1)
	else()
		set(HILO_VALGRIND_STATE "no (valgrind/valgrind.h was not found)")
	endif()
endif()
message(STATUS "Valgrind is told of stacks: ${HILO_VALGRIND_STATE}")
