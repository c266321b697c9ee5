# SPDX-License-Identifier: MIT
#
# libhilo-tls stands on OpenSSL 3; without it there is the same library, which answers that there is no TLS. A library of
# its own, so that libhilo needs the C library alone, and no program has OpenSSL in its process that did not ask for it.
set_property(CACHE HILO_TLS PROPERTY STRINGS AUTO ON OFF)
set(HILO_TLS_FOUND FALSE)

if(HILO_TLS STREQUAL "AUTO" OR HILO_TLS)
	find_package(OpenSSL 3.0 QUIET COMPONENTS SSL Crypto)
	set(HILO_TLS_FOUND ${OPENSSL_FOUND})
	if(HILO_TLS_FOUND)
		set(HILO_TLS_STATE "OpenSSL ${OPENSSL_VERSION}")
	elseif(HILO_TLS STREQUAL "AUTO")
		set(HILO_TLS_STATE "off (OpenSSL 3 was not found; Debian: apt-get install libssl-dev)")
	else()
		message(FATAL_ERROR "HILO_TLS is ON, and OpenSSL 3 was not found (Debian: apt-get install libssl-dev)")
	endif()
else()
	set(HILO_TLS_STATE "off (HILO_TLS is OFF)")
endif()
message(STATUS "TLS: ${HILO_TLS_STATE}")
