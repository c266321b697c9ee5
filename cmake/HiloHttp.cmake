# SPDX-License-Identifier: MIT
#
# libhilo-http, the HTTP server: hilo::http (shared) and hilo::http_static, where the parser llhttp is found.
#
#   HILO_HTTP  AUTO: built if the parser is there; ON: it must be; OFF: not built
#
# llhttp is a library in newer Debians (libllhttp-dev). In Debian 12 it is the C sources that the package node-llhttp
# brings along, which are compiled into libhilo-http, and hidden there.
set(HILO_HTTP AUTO CACHE STRING "Build the HTTP server: AUTO, ON or OFF")
set_property(CACHE HILO_HTTP PROPERTY STRINGS AUTO ON OFF)
set(HILO_HTTP_FOUND FALSE)

if(HILO_HTTP)
	find_path(HILO_LLHTTP_INCLUDE_DIR llhttp.h)
	find_library(HILO_LLHTTP_LIBRARY NAMES llhttp)
	# Sources are the same for every processor, also where libraries are looked for elsewhere.
	find_path(HILO_LLHTTP_SOURCE_DIR llhttp.c HINTS /usr/share/llhttp NO_DEFAULT_PATH NO_CMAKE_FIND_ROOT_PATH)
	find_path(HILO_LLHTTP_SOURCE_INCLUDE_DIR llhttp.h HINTS /usr/share/include/llhttp
		NO_DEFAULT_PATH NO_CMAKE_FIND_ROOT_PATH)
	mark_as_advanced(HILO_LLHTTP_INCLUDE_DIR HILO_LLHTTP_LIBRARY HILO_LLHTTP_SOURCE_DIR
		HILO_LLHTTP_SOURCE_INCLUDE_DIR)
	if(HILO_LLHTTP_INCLUDE_DIR AND HILO_LLHTTP_LIBRARY)
		set(HILO_HTTP_FOUND TRUE)
		set(HILO_HTTP_STATE "on, with ${HILO_LLHTTP_LIBRARY}")
		set(HILO_LLHTTP_INCLUDES ${HILO_LLHTTP_INCLUDE_DIR})
	elseif(HILO_LLHTTP_SOURCE_DIR AND HILO_LLHTTP_SOURCE_INCLUDE_DIR)
		set(HILO_HTTP_FOUND TRUE)
		set(HILO_HTTP_STATE "on, with the sources in ${HILO_LLHTTP_SOURCE_DIR}")
		set(HILO_LLHTTP_INCLUDES ${HILO_LLHTTP_SOURCE_INCLUDE_DIR})
	elseif(HILO_HTTP STREQUAL "AUTO")
		set(HILO_HTTP_STATE "off (llhttp was not found: Debian's node-llhttp or libllhttp-dev)")
	else()
		message(FATAL_ERROR "HILO_HTTP is ON, and llhttp was not found: Debian's node-llhttp or libllhttp-dev")
	endif()
else()
	set(HILO_HTTP_STATE "off (HILO_HTTP is off)")
endif()
message(STATUS "HTTP server: ${HILO_HTTP_STATE}")

function(hilo_http_flags target)
	hilo_compile_library(${target})
	target_include_directories(${target} SYSTEM PRIVATE ${HILO_LLHTTP_INCLUDES})
endfunction()

# What a parser that was found as a library is linked with.
function(hilo_http_parser target)
	if(HILO_LLHTTP_LIBRARY AND HILO_LLHTTP_INCLUDE_DIR)
		target_link_libraries(${target} PRIVATE ${HILO_LLHTTP_LIBRARY})
	endif()
endfunction()

# hilo_http_library(a.c b.c): the libraries, from these sources and the parser's.
function(hilo_http_library)
	if(NOT HILO_LLHTTP_LIBRARY OR NOT HILO_LLHTTP_INCLUDE_DIR)
		add_library(hilo_llhttp OBJECT ${HILO_LLHTTP_SOURCE_DIR}/llhttp.c ${HILO_LLHTTP_SOURCE_DIR}/api.c
			${HILO_LLHTTP_SOURCE_DIR}/http.c)
		hilo_http_flags(hilo_llhttp)
		target_compile_options(hilo_llhttp PRIVATE -w)
		target_compile_definitions(hilo_llhttp PRIVATE LLHTTP_STRICT_MODE=1)
		set(parser $<TARGET_OBJECTS:hilo_llhttp>)
	endif()

	add_library(hilo_http_objects OBJECT ${ARGN})
	hilo_http_flags(hilo_http_objects)
	hilo_library_beside(http hilo.map $<TARGET_OBJECTS:hilo_http_objects> ${parser})
	hilo_http_parser(hilo_http_static)
	hilo_http_parser(hilo_http)
	hilo_install_beside(http)

	if(HILO_TESTS)
		add_library(hilo_http_testing STATIC ${ARGN} ${parser})
		hilo_http_flags(hilo_http_testing)
		set_target_properties(hilo_http_testing PROPERTIES C_VISIBILITY_PRESET default)
		target_include_directories(hilo_http_testing SYSTEM PUBLIC ${HILO_LLHTTP_INCLUDES})
		target_link_libraries(hilo_http_testing PUBLIC hilo_testing)
		hilo_http_parser(hilo_http_testing)
	endif()
endfunction()
