#!/usr/bin/env bash
# version.sh: the version that Cargo.toml states.
set -euo pipefail
sed -n 's/^version = "\(.*\)"$/\1/p' "$(dirname "$0")/../../Cargo.toml" | head -1
