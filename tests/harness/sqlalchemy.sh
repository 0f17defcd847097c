#!/usr/bin/env bash
# `make test-sqlalchemy`: installs what deploy/sample/sqlalchemy states into an environment of its own, and runs its Job's test.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

CLUSTER_DIR=$PWD/tests/cluster
for part in common packages; do
	# shellcheck source=/dev/null
	. "$CLUSTER_DIR/lib/$part.sh"
done

need_packages /usr/bin/python3=python3 /usr/lib/python3/dist-packages/pip=python3-pip
requirements=deploy/sample/sqlalchemy/requirements.txt
modules=$CACHE/sqlalchemy/$(sha256sum "$requirements" | cut -c1-16)
install() {
	rm -rf "$modules.partial"
	python3 -m pip install --quiet --disable-pip-version-check --target "$modules.partial" --requirement "$requirements"
	mv "$modules.partial" "$modules"
}
[[ -d $modules ]] || step sqlalchemy "installing SQLAlchemy" install
cargo test --locked --test sample_application --no-run
HOLDFAST_SQLALCHEMY=$modules tests/cluster/mysqld.sh run -- \
	cargo test --locked --test sample_application -- --ignored --exact sqlalchemy::the_models_get_every_key_and_are_put_back
