# SPDX-License-Identifier: MIT
#
# Cross-compile for 64-bit ARM with Debian's gcc-aarch64-linux-gnu; tests run under qemu-user. The C library
# is that of libc6-dev-arm64-cross, cmocka and zlib are those that .ci/aarch64-sysroot unpacked.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_LIBRARY_ARCHITECTURE aarch64-linux-gnu)

get_filename_component(sysroot ${CMAKE_CURRENT_LIST_DIR}/../build/aarch64-sysroot ABSOLUTE)
set(CMAKE_FIND_ROOT_PATH ${sysroot} /usr/aarch64-linux-gnu)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)

find_program(HILO_QEMU NAMES qemu-aarch64 qemu-aarch64-static)
if(HILO_QEMU)
	set(CMAKE_CROSSCOMPILING_EMULATOR ${HILO_QEMU} -L /usr/aarch64-linux-gnu)
endif()
