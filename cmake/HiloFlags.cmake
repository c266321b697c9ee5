# SPDX-License-Identifier: MIT
#
# How everything is compiled and linked: hardened, with frame pointers, thread-local storage in the
# initial-exec model. No link-time optimisation: a task may change threads inside any call that suspends,
# and inlining over it would let the compiler keep a thread-local address of the old thread.
set(HILO_COMPILE_FLAGS
	-fno-omit-frame-pointer
	-fno-lto
	-ftls-model=initial-exec
	-fstack-clash-protection
	-fstack-protector-strong)
set(HILO_LINK_FLAGS -fno-lto -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack)

if(CMAKE_SYSTEM_PROCESSOR STREQUAL "x86_64")
	# Indirect branches only; shadow stacks would need the switch to move them as well.
	list(APPEND HILO_COMPILE_FLAGS -fcf-protection=branch)
endif()

# Fortified calls need an optimising build, and hide some errors from the sanitizers.
if(HILO_SANITIZE STREQUAL "" AND NOT HILO_COVERAGE AND NOT CMAKE_BUILD_TYPE STREQUAL "Debug")
	list(APPEND HILO_COMPILE_FLAGS -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
endif()

if(HILO_WERROR)
	set(CMAKE_COMPILE_WARNING_AS_ERROR ON)
endif()

if(HILO_UCONTEXT)
	add_compile_definitions(HILO_UCONTEXT=1)
endif()
