# SPDX-License-Identifier: MIT
#
# hilo_allocator: what a program that links hilo gets besides. libhilo itself neither links nor needs
# jemalloc, and a shared library that links hilo does not bring it into its host either.
add_library(hilo_allocator INTERFACE)
add_library(hilo::allocator ALIAS hilo_allocator)
set(HILO_ALLOCATOR_FLAG "")

if(NOT HILO_SANITIZE STREQUAL "")
	set(HILO_ALLOCATOR_STATE "the sanitizer's own")
elseif(NOT HILO_JEMALLOC)
	set(HILO_ALLOCATOR_STATE "the C library's (HILO_JEMALLOC is off)")
else()
	find_library(HILO_JEMALLOC_LIBRARY NAMES libjemalloc.so libjemalloc.so.2)
	mark_as_advanced(HILO_JEMALLOC_LIBRARY)
	if(HILO_JEMALLOC_LIBRARY)
		set(HILO_ALLOCATOR_STATE "jemalloc (${HILO_JEMALLOC_LIBRARY})")
		# One argument, so that nothing reorders it; no-as-needed, because a program may leave all malloc to libraries.
		set(HILO_ALLOCATOR_FLAG "-Wl,--push-state,--no-as-needed,-ljemalloc,--pop-state")
		target_link_libraries(hilo_allocator INTERFACE
			"$<$<STREQUAL:$<TARGET_PROPERTY:TYPE>,EXECUTABLE>:${HILO_ALLOCATOR_FLAG}>")
	else()
		set(HILO_ALLOCATOR_STATE "the C library's (jemalloc was not found)")
	endif()
endif()
message(STATUS "Allocator of programs: ${HILO_ALLOCATOR_STATE}")
