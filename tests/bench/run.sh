#!/usr/bin/env bash
# Runs the bench, or the named parts of it, beside a throw-away MySQL whose memory holds all that is measured, and an API server. The tools that rollouts
# and dumps are compared with are installed where apt has them; where not, the report says so.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
export PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

CLUSTER_DIR=$PWD/tests/cluster
for part in common packages; do
	# shellcheck source=/dev/null
	. "$CLUSTER_DIR/lib/$part.sh"
done

(need_packages /usr/bin/zstd=zstd /usr/bin/gzip=gzip)
for tool in /usr/bin/pt-online-schema-change=percona-toolkit /usr/bin/mydumper=mydumper; do
	(need_packages "$tool") || say "${tool#*=} could not be installed: it is left out of the comparison"
done
cargo bench --locked --bench figures --no-run
tests/cluster/mysqld.sh run --option --innodb-buffer-pool-size=4G --option --innodb-redo-log-capacity=2G \
	-- tests/cluster/api-server.sh run -- cargo bench --locked --bench figures -- "$@"
