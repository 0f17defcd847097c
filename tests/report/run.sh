#!/usr/bin/env bash
# Opens what `kubectl holdfast report --html` and `kubectl holdfast dashboard` show in Chromium, driven by its own driver: in light and
# dark, on a desk and on a phone. The pictures of every page are left in target/report, to be looked at.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

CLUSTER_DIR=$PWD/tests/cluster
for part in common packages; do
	# shellcheck source=/dev/null
	. "$CLUSTER_DIR/lib/$part.sh"
done

need_packages /usr/bin/chromium=chromium /usr/bin/chromedriver=chromium-driver /usr/bin/node=nodejs \
	/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf=fonts-dejavu-core
cargo test --locked --test report --no-run
tests/cluster/api-server.sh run -- cargo test --locked --test report -- --nocapture "$@"
