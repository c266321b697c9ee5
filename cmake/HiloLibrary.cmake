# SPDX-License-Identifier: MIT
#
# The libraries, all from the sources that the folders listed:
#
#   hilo_shared, hilo_static   what ships, as hilo::hilo and hilo::static, from the same objects
#   hilo_testing               the same sources with HILO_TESTING defined: test hooks, everything visible
#   hilo_tls_*                 the same three of libhilo-tls, as hilo::tls and hilo::tls_static
get_property(HILO_SOURCES GLOBAL PROPERTY HILO_SOURCES)

configure_file(${PROJECT_SOURCE_DIR}/runtime/version.h.in ${PROJECT_BINARY_DIR}/generated/version.h @ONLY)
hilo_link_header(${PROJECT_BINARY_DIR}/generated/version.h runtime/version.h)
hilo_link_header(${PROJECT_SOURCE_DIR}/runtime/hilo.h hilo.h)

function(hilo_compile_library target)
	hilo_target_flags(${target})
	set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE ON)
	target_compile_options(${target} PRIVATE -fno-semantic-interposition)
	target_include_directories(${target} PRIVATE ${HILO_INCLUDE_DIR})
	target_link_libraries(${target} PRIVATE Threads::Threads)
endfunction()

function(hilo_library_interface target)
	target_include_directories(${target} INTERFACE
		$<BUILD_INTERFACE:${HILO_INCLUDE_DIR}>
		$<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
	target_link_libraries(${target} PUBLIC Threads::Threads INTERFACE hilo_allocator)
endfunction()

# hilo_shared_library(target name map object...): libNAME.so, of which the version script map tells what is exported.
function(hilo_shared_library target name map)
	add_library(${target} SHARED ${ARGN})
	set_target_properties(${target} PROPERTIES
		LINKER_LANGUAGE C
		OUTPUT_NAME ${name}
		VERSION ${PROJECT_VERSION}
		SOVERSION 0
		LINK_DEPENDS ${PROJECT_SOURCE_DIR}/cmake/${map})
	target_link_options(${target} PRIVATE
		${HILO_LINK_FLAGS}
		-Wl,--version-script=${PROJECT_SOURCE_DIR}/cmake/${map}
		-Wl,-z,nodelete) # worker threads run this code until the process ends, contexts of TLS call it
	if(HILO_SANITIZE STREQUAL "")
		target_link_options(${target} PRIVATE -Wl,-z,defs)
	endif()
endfunction()

# hilo_library_beside(part map object...): hilo::PART and hilo::PART_static, libraries above libhilo from the same objects,
# as the targets hilo_PART and hilo_PART_static.
function(hilo_library_beside part map)
	string(REPLACE _ - name hilo-${part})
	add_library(hilo_${part}_static STATIC ${ARGN})
	target_link_libraries(hilo_${part}_static PUBLIC hilo_static)
	set_target_properties(hilo_${part}_static PROPERTIES
		LINKER_LANGUAGE C OUTPUT_NAME ${name} EXPORT_NAME ${part}_static)
	hilo_shared_library(hilo_${part} ${name} ${map} ${ARGN})
	target_link_libraries(hilo_${part} PUBLIC hilo_shared)
	set_target_properties(hilo_${part} PROPERTIES EXPORT_NAME ${part})
	add_library(hilo::${part} ALIAS hilo_${part})
	add_library(hilo::${part}_static ALIAS hilo_${part}_static)
endfunction()

# hilo_install_beside(part): both, with their .pc file.
function(hilo_install_beside part)
	string(REPLACE _ - name hilo-${part})
	install(TARGETS hilo_${part}_static hilo_${part} EXPORT hilo-targets)
	configure_file(${PROJECT_SOURCE_DIR}/cmake/${name}.pc.in ${PROJECT_BINARY_DIR}/generated/${name}.pc @ONLY)
	install(FILES ${PROJECT_BINARY_DIR}/generated/${name}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endfunction()

add_library(hilo_objects OBJECT ${HILO_SOURCES})
hilo_compile_library(hilo_objects)
target_compile_definitions(hilo_objects PRIVATE $<$<BOOL:${HILO_TRACE}>:HILO_TRACE=1>)

add_library(hilo_static STATIC $<TARGET_OBJECTS:hilo_objects>)
hilo_library_interface(hilo_static)
set_target_properties(hilo_static PROPERTIES LINKER_LANGUAGE C OUTPUT_NAME hilo EXPORT_NAME static)

hilo_shared_library(hilo_shared hilo hilo.map $<TARGET_OBJECTS:hilo_objects>)
hilo_library_interface(hilo_shared)
set_target_properties(hilo_shared PROPERTIES EXPORT_NAME hilo)

get_property(HILO_TLS_SOURCES GLOBAL PROPERTY HILO_TLS_SOURCES)
set(HILO_TLS_LIBS "")
set(HILO_TLS_LIBRARIES "")
if(HILO_TLS_FOUND)
	set(HILO_TLS_LIBS "-lssl -lcrypto")
	set(HILO_TLS_LIBRARIES OpenSSL::SSL OpenSSL::Crypto)
endif()

add_library(hilo_tls_objects OBJECT ${HILO_TLS_SOURCES})
hilo_compile_library(hilo_tls_objects)
target_link_libraries(hilo_tls_objects PRIVATE ${HILO_TLS_LIBRARIES})

# Programs that link it name the libraries, not the targets of OpenSSL, which their project need not have.
hilo_library_beside(tls hilo-tls.map $<TARGET_OBJECTS:hilo_tls_objects>)
target_link_libraries(hilo_tls_static
	INTERFACE "$<BUILD_INTERFACE:${HILO_TLS_LIBRARIES}>" "$<INSTALL_INTERFACE:$<$<BOOL:${HILO_TLS_FOUND}>:ssl;crypto>>")
target_link_libraries(hilo_tls PRIVATE ${HILO_TLS_LIBRARIES})

add_library(hilo::hilo ALIAS hilo_shared)
add_library(hilo::static ALIAS hilo_static)

if(HILO_TESTS AND NOT HILO_FUZZ)
	add_library(hilo_testing STATIC ${HILO_SOURCES})
	hilo_compile_library(hilo_testing)
	hilo_library_interface(hilo_testing)
	set_target_properties(hilo_testing PROPERTIES C_VISIBILITY_PRESET default)
	target_compile_definitions(hilo_testing PUBLIC HILO_TESTING=1 $<$<BOOL:${HILO_TRACE}>:HILO_TRACE=1>)

	add_library(hilo_tls_testing STATIC ${HILO_TLS_SOURCES})
	hilo_compile_library(hilo_tls_testing)
	target_link_libraries(hilo_tls_testing PUBLIC hilo_testing ${HILO_TLS_LIBRARIES})
endif()
