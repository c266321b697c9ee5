# SPDX-License-Identifier: MIT
#
# cmake --install: the libraries, the public headers, hilo.pc, hilo-tls.pc, and what find_package(hilo) reads.
include(CMakePackageConfigHelpers)

get_property(headers GLOBAL PROPERTY HILO_HEADERS)
foreach(header IN LISTS headers)
	get_filename_component(folder ${header} DIRECTORY)
	install(FILES ${PROJECT_SOURCE_DIR}/${header} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/hilo/${folder})
endforeach()
install(FILES ${PROJECT_SOURCE_DIR}/runtime/hilo.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/hilo)
install(FILES ${PROJECT_BINARY_DIR}/generated/version.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/hilo/runtime)

install(TARGETS hilo_static hilo_shared hilo_allocator EXPORT hilo-targets)
set_target_properties(hilo_allocator PROPERTIES EXPORT_NAME allocator)

set(package ${CMAKE_INSTALL_LIBDIR}/cmake/hilo)
install(EXPORT hilo-targets NAMESPACE hilo:: DESTINATION ${package})
configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/hilo-config.cmake.in
	${PROJECT_BINARY_DIR}/generated/hilo-config.cmake INSTALL_DESTINATION ${package})
# Before 1.0 a new minor version may change the interface.
write_basic_package_version_file(${PROJECT_BINARY_DIR}/generated/hilo-config-version.cmake
	VERSION ${PROJECT_VERSION} COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/generated/hilo-config.cmake
	${PROJECT_BINARY_DIR}/generated/hilo-config-version.cmake DESTINATION ${package})

# The .pc file finds its own prefix, so that an installed tree can be moved.
file(RELATIVE_PATH HILO_PC_PREFIX ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
string(REGEX REPLACE "/$" "" HILO_PC_PREFIX "${HILO_PC_PREFIX}")
configure_file(${PROJECT_SOURCE_DIR}/cmake/hilo.pc.in ${PROJECT_BINARY_DIR}/generated/hilo.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/generated/hilo.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
hilo_install_beside(tls)
