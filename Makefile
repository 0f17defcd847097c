# Everything that a developer or a pipeline runs. `make help` lists it.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: test
test: lint ## Run the tests
	cargo test --release --locked

.PHONY: lint
lint: ## Check formatting and run clippy with warnings denied
	cargo fmt --check
	cargo clippy --release --locked --all-targets -- --deny warnings

.PHONY: crds
crds: ## Write the custom resource definitions and their chart anew from the types
	cargo run --locked -- crds --directory crds
	cargo run --locked -- crds --helm --directory charts/holdfast-crds/templates
