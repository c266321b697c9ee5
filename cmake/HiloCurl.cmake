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

# hilo_http_client_library(a.c b.c): the libraries, from these sources.
function(hilo_http_client_library)
	add_library(hilo_http_client_objects OBJECT ${ARGN})
	hilo_compile_library(hilo_http_client_objects)
	target_link_libraries(hilo_http_client_objects PRIVATE CURL::libcurl)

	# Programs that link it name the library, not the target of libcurl, which their project need not have.
	hilo_library_beside(http_client hilo-tls.map $<TARGET_OBJECTS:hilo_http_client_objects>)
	target_link_libraries(hilo_http_client_static
		INTERFACE "$<BUILD_INTERFACE:CURL::libcurl>" "$<INSTALL_INTERFACE:curl>")
	target_link_libraries(hilo_http_client PRIVATE CURL::libcurl)
	hilo_install_beside(http_client)

	if(TARGET hilo_testing)
		add_library(hilo_http_client_testing STATIC ${ARGN})
		hilo_compile_library(hilo_http_client_testing)
		set_target_properties(hilo_http_client_testing PROPERTIES C_VISIBILITY_PRESET default)
		target_link_libraries(hilo_http_client_testing PUBLIC hilo_testing CURL::libcurl)
	endif()
endfunction()
