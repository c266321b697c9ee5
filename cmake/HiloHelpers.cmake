# SPDX-License-Identifier: MIT
#
# Every file is named once, in the CMakeLists.txt of its own folder:
#
#   hilo_sources(a.c b.c)          library sources; both libhilo and its test twin are built from them
#   hilo_tls_sources(a.c b.c)      the same of libhilo-tls
#   hilo_headers(a.h b.h)          public headers, seen as <hilo/FOLDER/a.h> in the build tree and installed
#   hilo_headers_as(FOLDER a.h)    the same as <hilo/FOLDER/a.h>, of a library that not every build has
#   hilo_tests(LABEL FILES...)     one program for each file, named after its path
#   hilo_test(NAME ...)            one program with sources, arguments or limits of its own
#   hilo_example(NAME ...)         one example, which is also a test
#
# There is no file(GLOB): a file that is not listed is reported by .ci/check-lists.

define_property(GLOBAL PROPERTY HILO_SOURCES BRIEF_DOCS "Sources of libhilo")
define_property(GLOBAL PROPERTY HILO_TLS_SOURCES BRIEF_DOCS "Sources of libhilo-tls")
define_property(GLOBAL PROPERTY HILO_HEADERS BRIEF_DOCS "Public headers, as FOLDER/NAME.h")

# Where <hilo/...> is found while building: links to the headers where they lie.
set(HILO_INCLUDE_DIR ${CMAKE_BINARY_DIR}/include)

function(hilo_sources)
	foreach(source IN LISTS ARGN)
		set_property(GLOBAL APPEND PROPERTY HILO_SOURCES ${CMAKE_CURRENT_SOURCE_DIR}/${source})
	endforeach()
endfunction()

function(hilo_tls_sources)
	foreach(source IN LISTS ARGN)
		set_property(GLOBAL APPEND PROPERTY HILO_TLS_SOURCES ${CMAKE_CURRENT_SOURCE_DIR}/${source})
	endforeach()
endfunction()

function(hilo_link_header from name)
	get_filename_component(folder ${HILO_INCLUDE_DIR}/hilo/${name} DIRECTORY)
	file(MAKE_DIRECTORY ${folder})
	file(CREATE_LINK ${from} ${HILO_INCLUDE_DIR}/hilo/${name} SYMBOLIC)
endfunction()

function(hilo_headers)
	foreach(header IN LISTS ARGN)
		set(from ${CMAKE_CURRENT_SOURCE_DIR}/${header})
		if(NOT EXISTS ${from})
			message(FATAL_ERROR "hilo_headers: ${from} does not exist")
		endif()
		file(RELATIVE_PATH name ${PROJECT_SOURCE_DIR} ${from})
		hilo_link_header(${from} ${name})
		set_property(GLOBAL APPEND PROPERTY HILO_HEADERS ${name})
	endforeach()
endfunction()

function(hilo_headers_as folder)
	foreach(header IN LISTS ARGN)
		hilo_link_header(${CMAKE_CURRENT_SOURCE_DIR}/${header} ${folder}/${header})
		install(FILES ${header} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/hilo/${folder})
	endforeach()
endfunction()

# What every program and library of this project is compiled with. Kept off the exported targets.
function(hilo_target_flags target)
	target_compile_features(${target} PRIVATE c_std_17)
	set_target_properties(${target} PROPERTIES C_EXTENSIONS ON C_VISIBILITY_PRESET hidden)
	target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR})
	target_compile_definitions(${target} PRIVATE _GNU_SOURCE=1)
	target_compile_options(${target} PRIVATE ${HILO_COMPILE_FLAGS} ${HILO_WARNINGS})
	target_link_options(${target} PRIVATE ${HILO_LINK_FLAGS})
endfunction()

# Surroundings of a test: sanitizer settings, and the label's name among the labels of ctest.
function(hilo_test_properties name labels timeout serial)
	set_property(GLOBAL APPEND_STRING PROPERTY HILO_TEST_TABLE "${name}\t${labels}\n")
	set_tests_properties(${name} PROPERTIES
		LABELS "${labels}"
		SKIP_RETURN_CODE 77
		TIMEOUT ${timeout}
		RUN_SERIAL ${serial}
		ENVIRONMENT "${HILO_TEST_ENVIRONMENT}")
endfunction()

# hilo_test(NAME name LABELS label... SOURCES file... [ARGS argument...] [TIMEOUT seconds] [SERIAL]
#           [PRIVATE_TO_LIBRARY] [LIBRARIES library...])
#
# Without SOURCES the program PROGRAM (another test's name) is run again, with these arguments. The target
# hilo-tests-LABEL is all programs with that label.
function(hilo_test)
	cmake_parse_arguments(arg "SERIAL" "NAME;PROGRAM;TIMEOUT" "LABELS;SOURCES;ARGS;LIBRARIES;DEFINITIONS" ${ARGN})
	if(arg_UNPARSED_ARGUMENTS OR NOT arg_NAME OR NOT arg_LABELS)
		message(FATAL_ERROR "hilo_test(${ARGN}): NAME and LABELS are needed; unknown: ${arg_UNPARSED_ARGUMENTS}")
	endif()
	if(NOT arg_TIMEOUT OR arg_TIMEOUT LESS HILO_TEST_TIMEOUT)
		set(arg_TIMEOUT ${HILO_TEST_TIMEOUT})
	endif()
	if(NOT arg_PROGRAM)
		set(arg_PROGRAM ${arg_NAME})
	endif()
	if(arg_SOURCES)
		add_executable(${arg_PROGRAM} ${arg_SOURCES})
		hilo_target_flags(${arg_PROGRAM})
		target_compile_options(${arg_PROGRAM} PRIVATE -Wno-conversion ${HILO_TEST_FLAGS})
		target_compile_definitions(${arg_PROGRAM} PRIVATE ${arg_DEFINITIONS})
		target_link_libraries(${arg_PROGRAM} PRIVATE hilo_test_support ${arg_LIBRARIES})
		foreach(label IN LISTS arg_LABELS)
			if(NOT TARGET hilo-tests-${label})
				add_custom_target(hilo-tests-${label})
			endif()
			add_dependencies(hilo-tests-${label} ${arg_PROGRAM})
		endforeach()
	endif()
	set(program ${arg_PROGRAM})
	if(NOT HILO_TEST_LAUNCHER STREQUAL "") # without one ctest itself starts the emulator of a foreign processor
		set(program ${HILO_TEST_LAUNCHER} $<TARGET_FILE:${arg_PROGRAM}>)
	endif()
	add_test(NAME ${arg_NAME} COMMAND ${program} ${arg_ARGS})
	hilo_test_properties(${arg_NAME} "${arg_LABELS}" ${arg_TIMEOUT} ${arg_SERIAL})
endfunction()

# hilo_tests(label file...): a test for each file; unit/scheduler/test_deque.c is called scheduler_deque.
function(hilo_tests label)
	set(timeout ${HILO_TEST_TIMEOUT})
	if(label STREQUAL "stress")
		set(timeout 600) # as long as HILO_TEST_SCALE wants; test_begin's watchdog knows it, ctest does not
	endif()
	foreach(file IN LISTS ARGN)
		string(REGEX REPLACE "^unit/|test_|[.]c$" "" name ${file})
		string(REGEX REPLACE "^stress/" "" name ${name})
		string(REPLACE "/" "_" name ${name})
		hilo_test(NAME ${name} LABELS ${label} SOURCES ${file} TIMEOUT ${timeout})
	endforeach()
endfunction()

# hilo_io_tests(label file...): the same twice: with the poller that is taken by default, io_uring where it is to be had, and
# over epoll, as NAME_epoll. With sanitizers the second ones are long tests.
function(hilo_io_tests label)
	hilo_tests(${label} ${ARGN})
	set(labels ${label})
	if(NOT HILO_SANITIZE STREQUAL "")
		list(APPEND labels long)
	endif()
	foreach(file IN LISTS ARGN)
		string(REGEX REPLACE "^unit/|^stress/|test_|[.]c$" "" name ${file})
		string(REPLACE "/" "_" name ${name})
		get_property(timeout TEST ${name} PROPERTY TIMEOUT)
		hilo_test(NAME ${name}_epoll PROGRAM ${name} LABELS ${labels} TIMEOUT ${timeout})
		set_property(TEST ${name}_epoll APPEND PROPERTY ENVIRONMENT "HILO_POLLER=epoll")
	endforeach()
endfunction()

# hilo_command_test(NAME name LABELS label... COMMAND word... [TIMEOUT seconds] [SERIAL] [IO])
#
# IO: twice, over epoll as NAME_epoll, as hilo_io_tests.
function(hilo_command_test)
	cmake_parse_arguments(arg "SERIAL;IO" "NAME;TIMEOUT" "LABELS;COMMAND" ${ARGN})
	if(NOT arg_TIMEOUT)
		set(arg_TIMEOUT ${HILO_TEST_TIMEOUT})
	endif()
	add_test(NAME ${arg_NAME} COMMAND ${arg_COMMAND})
	hilo_test_properties(${arg_NAME} "${arg_LABELS}" ${arg_TIMEOUT} ${arg_SERIAL})
	if(arg_IO)
		if(NOT HILO_SANITIZE STREQUAL "")
			list(APPEND arg_LABELS long)
		endif()
		add_test(NAME ${arg_NAME}_epoll COMMAND ${arg_COMMAND})
		hilo_test_properties(${arg_NAME}_epoll "${arg_LABELS}" ${arg_TIMEOUT} ${arg_SERIAL})
		set_property(TEST ${arg_NAME}_epoll APPEND PROPERTY ENVIRONMENT "HILO_POLLER=epoll")
	endif()
endfunction()

# hilo_test_script(NAME name LABELS label... SCRIPT file [ARGS argument...] [TIMEOUT seconds] [SERIAL] [IO])
function(hilo_test_script)
	cmake_parse_arguments(arg "SERIAL;IO" "NAME;SCRIPT;TIMEOUT" "LABELS;ARGS" ${ARGN})
	set(options)
	foreach(option IN ITEMS SERIAL IO)
		if(arg_${option})
			list(APPEND options ${option})
		endif()
	endforeach()
	hilo_command_test(NAME ${arg_NAME} LABELS ${arg_LABELS} TIMEOUT ${arg_TIMEOUT} ${options}
		COMMAND bash ${CMAKE_CURRENT_SOURCE_DIR}/${arg_SCRIPT} ${arg_ARGS})
endfunction()

# The table that tests/run chooses from: a line of name, tab, labels for each test.
function(hilo_write_test_table)
	get_property(table GLOBAL PROPERTY HILO_TEST_TABLE)
	file(WRITE ${CMAKE_BINARY_DIR}/tests.txt "${table}")
endfunction()

# hilo_example(name "one sentence" file... [LIBRARIES library...]); the sentence is what examples/run --list shows.
function(hilo_example name sentence)
	cmake_parse_arguments(arg "" "" "LIBRARIES" ${ARGN})
	add_executable(${name} ${arg_UNPARSED_ARGUMENTS})
	hilo_target_flags(${name})
	get_target_property(folders ${name} INCLUDE_DIRECTORIES)
	list(REMOVE_ITEM folders ${PROJECT_SOURCE_DIR})
	set_target_properties(${name} PROPERTIES INCLUDE_DIRECTORIES "${folders}")
	target_link_libraries(${name} PRIVATE hilo::hilo ${arg_LIBRARIES})
endfunction()
