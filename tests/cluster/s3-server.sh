#!/usr/bin/env bash
# Runs a command with an S3 service on its PATH: the program s3-server (go/s3), which tests start and kill themselves.
#
#   s3-server.sh run -- COMMAND...
set -euo pipefail
CLUSTER_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
for part in common packages binaries; do
	# shellcheck source=/dev/null
	. "$CLUSTER_DIR/lib/$part.sh"
done

[[ ${1:-} == run && ${2:-} == -- && $# -ge 3 ]] || die "usage: s3-server.sh run -- COMMAND..."
shift 2

trap stop_step EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
lock_cache
# For the certificates that tests make.
need_packages /usr/bin/openssl=openssl
build_binaries s3
unlock_cache
PATH=$(module_bin s3):$PATH exec "$@"
