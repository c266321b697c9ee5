# SPDX-License-Identifier: MIT
#
# libhilo-http-client: hilo::http_client (shared) and hilo::http_client_static, where libcurl is found.
#
#   HILO_CURL  AUTO: built if libcurl is there; ON: it must be; OFF: not built
set(HILO_CURL AUTO CACHE STRING "Build the HTTP client: AUTO, ON or OFF")
set_property(CACHE HILO_CURL PROPERTY STRINGS AUTO ON OFF)
set(HILO_CURL_FOUND FALSE)

if(HILO_CURL)
	find_package(CURL 7.85 QUIET)
	set(HILO_CURL_FOUND ${CURL_FOUND})
	if(HILO_CURL_FOUND)
		set(HILO_CURL_STATE "on, with libcurl ${CURL_VERSION_STRING}")
	elseif(HILO_CURL STREQUAL "AUTO")
		set(HILO_CURL_STATE "off (libcurl 7.85 was not found; Debian: apt-get install libcurl4-openssl-dev)")
	else()
		message(FATAL_ERROR "HILO_CURL is ON, and libcurl 7.85 was not found: Debian's libcurl4-openssl-dev")
	endif()
else()
	set(HILO_CURL_STATE "off (HILO_CURL is OFF)")
endif()
message(STATUS "HTTP client: ${HILO_CURL_STATE}")

# hilo_http_client_headers(a.h): public headers, seen as <hilo/http/a.h> in the build tree and installed.
function(hilo_http_client_headers)
	if(NOT HILO_CURL_FOUND)
		return()
	endif()
	foreach(header IN LISTS ARGN)
		hilo_link_header(${CMAKE_CURRENT_SOURCE_DIR}/${header} http/${header})
		install(FILES ${header} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/hilo/http)
	endforeach()
endfunction()

# hilo_http_client_library(a.c b.c): the libraries, from these sources.
function(hilo_http_client_library)
	if(NOT HILO_CURL_FOUND)
		return()
	endif()
	add_library(hilo_http_client_objects OBJECT ${ARGN})
	hilo_compile_library(hilo_http_client_objects)
	target_link_libraries(hilo_http_client_objects PRIVATE CURL::libcurl)

	# Programs that link it name the library, not the target of libcurl, which their project need not have.
	add_library(hilo_http_client_static STATIC $<TARGET_OBJECTS:hilo_http_client_objects>)
	target_link_libraries(hilo_http_client_static PUBLIC hilo_static
		INTERFACE "$<BUILD_INTERFACE:CURL::libcurl>" "$<INSTALL_INTERFACE:curl>")
	set_target_properties(hilo_http_client_static PROPERTIES
		LINKER_LANGUAGE C OUTPUT_NAME hilo-http-client EXPORT_NAME http_client_static)

	add_library(hilo_http_client SHARED $<TARGET_OBJECTS:hilo_http_client_objects>)
	target_link_libraries(hilo_http_client PUBLIC hilo_shared PRIVATE CURL::libcurl)
	set_target_properties(hilo_http_client PROPERTIES
		LINKER_LANGUAGE C
		OUTPUT_NAME hilo-http-client
		EXPORT_NAME http_client
		VERSION ${PROJECT_VERSION}
		SOVERSION 0
		LINK_DEPENDS ${PROJECT_SOURCE_DIR}/cmake/hilo-tls.map)
	target_link_options(hilo_http_client PRIVATE
		${HILO_LINK_FLAGS}
		-Wl,--version-script=${PROJECT_SOURCE_DIR}/cmake/hilo-tls.map
		-Wl,-z,nodelete)
	if(HILO_SANITIZE STREQUAL "")
		target_link_options(hilo_http_client PRIVATE -Wl,-z,defs)
	endif()
	add_library(hilo::http_client ALIAS hilo_http_client)
	add_library(hilo::http_client_static ALIAS hilo_http_client_static)
	install(TARGETS hilo_http_client_static hilo_http_client EXPORT hilo-targets)
	configure_file(${PROJECT_SOURCE_DIR}/cmake/hilo-http-client.pc.in
		${PROJECT_BINARY_DIR}/generated/hilo-http-client.pc @ONLY)
	install(FILES ${PROJECT_BINARY_DIR}/generated/hilo-http-client.pc
		DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

	if(TARGET hilo_testing)
		add_library(hilo_http_client_testing STATIC ${ARGN})
		hilo_compile_library(hilo_http_client_testing)
		set_target_properties(hilo_http_client_testing PROPERTIES C_VISIBILITY_PRESET default)
		target_link_libraries(hilo_http_client_testing PUBLIC hilo_testing CURL::libcurl)
	endif()
endfunction()
