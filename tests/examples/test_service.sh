#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# test_service.sh PROGRAM PHOTO-PROGRAM STORE - the service from the outside, over sqlite or postgresql.
set -u -o pipefail
export PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PYTHONIOENCODING=utf-8 LC_ALL=C.UTF-8

command -v python3 >/dev/null || { echo "SKIP: python3 is not installed"; exit 77; }
python3 -c 'import sys; sys.exit(sys.version_info < (3, 9))' ||
	{ echo "SKIP: $(python3 --version) is older than 3.9"; exit 77; }

exec python3 "$(dirname "${BASH_SOURCE[0]}")/service.py" "$@"
