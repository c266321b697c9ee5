#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# test_conformance.sh PROGRAM - Hilo does what CPython's asyncio does, or differs as differences.md says.
set -u -o pipefail
export LC_ALL=C PYTHONDONTWRITEBYTECODE=1

command -v python3 >/dev/null || { echo "SKIP: python3 is not installed"; exit 77; }
python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
	{ echo "SKIP: $(python3 --version) has no asyncio.TaskGroup; 3.11 has"; exit 77; }

exec python3 "$(dirname "${BASH_SOURCE[0]}")/compare.py" "$1" "${HILO_TEST_SEED:-1}"
