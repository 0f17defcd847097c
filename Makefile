# Everything that a developer or a pipeline runs. `make help` lists it.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: test
test: lint ## Run all tests, on real servers that it starts itself and stops again (needs root, Rust, Go and Debian)
	cargo test --release --locked --no-run
	tests/cluster/mysqld.sh run -- tests/cluster/api-server.sh run -- cargo test --release --locked --no-fail-fast

.PHONY: test-mysql
test-mysql: ## Run the tests of the engine on a throw-away MySQL
	tests/cluster/mysqld.sh run -- cargo test --release --locked --test mysql

.PHONY: test-api
test-api: ## Run the tests of the resources and admission policies on a throw-away API server
	tests/cluster/api-server.sh run -- cargo test --release --locked --test api

.PHONY: crds
crds: ## Generate the custom resource definitions into crds/ and their chart
	cargo run --release --locked -- crds --directory crds
	cargo run --release --locked -- crds --helm --directory charts/holdfast-crds/templates

.PHONY: lint
lint: ## Check formatting and run clippy with warnings denied
	cargo fmt --check
	cargo clippy --release --locked --all-targets -- --deny warnings

.PHONY: lint-shell
lint-shell: ## Check the shell scripts (needs shellcheck)
	cd tests/cluster && shellcheck *.sh lib/*.sh

.PHONY: audit
audit: ## Check licences and sources of the dependencies (needs cargo-deny)
	cargo deny check licenses bans sources
