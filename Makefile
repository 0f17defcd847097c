# Everything that a developer or a pipeline runs. `make help` lists it.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# The crash test and what it needs: the engine with its failpoints.
CRASH := --locked --features failpoints --test rollout crash::
# The same of the operator as a process.
BOUNDARIES := --locked --features failpoints --test controller boundaries::

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## Show a rollout and a rollback on a local cluster that it starts and stops (needs root, Rust, Go and Debian), or CLUSTER=existing
	tests/demo/run.sh

# What is random begins with the same seeds in every `make test`: a change that breaks something is seen by whoever made it. New
# seeds are tried by test-simulation, test-rollout, test-crash and test-all.
SAME_SEEDS := HOLDFAST_SIMULATION_FIRST=1 HOLDFAST_SIMULATION_CASES=3000 HOLDFAST_ROLLOUT_SECONDS=55 HOLDFAST_CRASH_SEED=1
# Random rollouts on each kind of server but the newest.
SOME_ROLLOUTS := HOLDFAST_ROLLOUT_SECONDS=15 cargo test --locked --test rollout

.PHONY: test
test: ## Run all tests on MySQL 9.7, and a part on 8.0, MariaDB and a replica, all started and stopped by itself (needs root, Rust, Go, Debian)
	tests/prepare.sh test -- $(MAKE) --no-print-directory lint test-programs
	$(SAME_SEEDS) tests/cluster/mysqld.sh run -- tests/cluster/api-server.sh run -- tests/cluster/s3-server.sh run -- cargo test --locked --no-fail-fast
	$(SAME_SEEDS) tests/cluster/mysqld.sh run --restartable -- cargo test $(CRASH) -- --nocapture
	$(SAME_SEEDS) tests/cluster/mysqld.sh run -- tests/cluster/api-server.sh run -- cargo test $(BOUNDARIES) -- --nocapture
	tests/cluster/mysqld.sh run --server mysql-9.7-replicated -- cargo test --locked --test mysql -- replica
	tests/cluster/mysqld.sh run --option --performance-schema=OFF -- cargo test --locked --test mysql -- without_its_performance_schema
	tests/cluster/mysqld.sh run --server mysql-9.7-native -- sh -c 'cargo test --locked --test mysql -- $(SERVER_TESTS) && $(SOME_ROLLOUTS)'
	tests/cluster/mysqld.sh run --server mysql-8.0 -- sh -c 'cargo test --locked --test mysql -- catalogue:: circles:: planning:: names:: undo:: probes:: restore:: replicas:: type_fixes:: && $(SOME_ROLLOUTS)'
	tests/cluster/mysqld.sh run --server mariadb-10.11 -- sh -c 'cargo test --locked --test mysql -- $(SERVER_TESTS) && $(SOME_ROLLOUTS)'
	tests/cluster/mysqld.sh run --server mysql-9.7-lower-case -- cargo test --locked --test mysql -- names::
	tests/cluster/mysqld.sh run --server mariadb-10.11 --option --metadata-lock-info=OFF -- cargo test --locked --test mysql -- list_of_locks
	tests/e2e/run.sh

.PHONY: test-programs
test-programs:
	cargo test --locked --no-run
	cargo test $(CRASH) --no-run
	cargo test $(BOUNDARIES) --no-run
	cargo build --locked --bin holdfast
	cargo test --locked --test e2e --test faults --no-run

# What `make test` runs on every server that enforces keys in its own way: where one is added, proven, probed and cleaned for.
SERVER_TESTS := catalogue:: circles:: planning:: preflight:: names:: probes:: orphans:: restore:: online_ddl:: type_fixes:: hard_cases::

.PHONY: test-matrix
test-matrix: ## Run all tests of the engine on every kind of server: MySQL 9.7 in both modes and with a replica, 8.0, MariaDB 10.11
	cargo test --locked --test mysql --no-run
	for server in mysql-9.7 mysql-9.7-native mysql-9.7-replicated mysql-9.7-lower-case mysql-8.0 mariadb-10.11; do \
		tests/cluster/mysqld.sh run --server $$server -- cargo test --locked --test mysql; done

.PHONY: test-all
test-all: test test-gitops test-monitoring test-matrix test-oldest test-discovery test-report test-walkthrough test-sqlalchemy test-krew ## Run all tests, the engine's on every kind of server, the API's on the oldest Kubernetes, discovery on public schemas, the report in a browser, the pages as a newcomer reads them, the models for SQLAlchemy, the plugin installed by krew, then 1,000,000 histories, 10,000 random rollouts and a crash at every point (hours)
	HOLDFAST_SIMULATION_CASES=1000000 cargo test --release --locked --test simulation every_history -- --nocapture
	HOLDFAST_ROLLOUT_CASES=10000 tests/cluster/mysqld.sh run -- cargo test --locked --test rollout -- --nocapture
	for server in mysql-9.7-native mysql-8.0 mariadb-10.11; do \
		HOLDFAST_ROLLOUT_CASES=1000 tests/cluster/mysqld.sh run --server $$server -- cargo test --locked --test rollout -- --nocapture; done
	HOLDFAST_CRASH_ALL=1 tests/cluster/mysqld.sh run --restartable -- cargo test $(CRASH) -- --nocapture
	HOLDFAST_CRASH_ALL=1 tests/cluster/mysqld.sh run -- tests/cluster/api-server.sh run -- cargo test $(BOUNDARIES) -- --nocapture

.PHONY: test-rollout
test-rollout: ## Run random rollouts for two minutes on a throw-away MySQL, or on SERVER=KIND
	tests/cluster/mysqld.sh run --server $(or $(SERVER),mysql-9.7) -- cargo test --locked --test rollout -- --nocapture

.PHONY: test-simulation
test-simulation: ## Run simulated histories of migrations for two minutes
	HOLDFAST_SIMULATION_SECONDS=120 cargo test --locked --test simulation -- --nocapture

.PHONY: test-crash
test-crash: ## Kill the engine or its MySQL at points drawn by chance, for two minutes, and judge what comes of it
	tests/cluster/mysqld.sh run --restartable -- cargo test $(CRASH) -- --nocapture

.PHONY: test-boundaries
test-boundaries: ## Kill the operator before and after each kind of thing that it changes, and see that another one comes to the same end
	tests/cluster/mysqld.sh run -- tests/cluster/api-server.sh run -- cargo test $(BOUNDARIES) -- --nocapture

.PHONY: test-gitops
test-gitops: ## Run the tests with Argo CD itself, its Lua engine, and Flux's library for applying (builds for minutes the first time; needs root, Go, Debian)
	tests/cluster/api-server.sh run --gitops -- cargo test --locked --test api -- --ignored argocd::
	tests/cluster/mysqld.sh run -- tests/cluster/api-server.sh run --gitops -- cargo test --locked --test controller -- --ignored flux::
	tests/cluster/mysqld.sh run -- tests/cluster/api-server.sh run -- tests/cluster/argo-cd.sh run -- \
		cargo test --locked --test controller -- --ignored argocd::

.PHONY: test-monitoring
test-monitoring: ## Run the tests of alerts, dashboard and the manifests of the Prometheus operator by Prometheus' own programs
	tests/cluster/api-server.sh run --monitoring -- cargo test --locked --test api -- --ignored monitoring::

.PHONY: test-discovery
test-discovery: ## Measure `kubectl holdfast discover` on public schemas whose keys are taken away first, fetched now (needs root, Maven, Debian)
	tests/discovery/run.sh

.PHONY: test-sqlalchemy
test-sqlalchemy: ## Run the schema-update Job for SQLAlchemy of docs/jobs.md on a throw-away MySQL (needs Debian)
	tests/harness/sqlalchemy.sh

.PHONY: test-krew
test-krew: ## Let krew, built from its Go module, install the plugin from a local archive (needs Go, Debian)
	tests/harness/krew.sh

.PHONY: test-report
test-report: ## Look at the plugin's report and dashboard in Chromium, and leave pictures in target/report (needs root, Go, Debian)
	tests/report/run.sh

.PHONY: test-walkthrough
test-walkthrough: ## Walk through getting started, the guide and the README as a newcomer would, typing each command on the local cluster (needs root)
	tests/walkthrough/run.sh

.PHONY: test-mysql
test-mysql: ## Run the tests of the engine on a throw-away MySQL
	tests/cluster/mysqld.sh run -- cargo test --locked --test mysql

.PHONY: test-api
test-api: ## Run the tests of the resources and admission policies on a throw-away API server
	tests/cluster/api-server.sh run -- cargo test --locked --test api

.PHONY: test-backup
test-backup: ## Run the tests of what the backup's Jobs do with an S3 service that they start
	tests/cluster/s3-server.sh run -- cargo test --locked --test backup

.PHONY: test-controller
test-controller: ## Run the tests of the operator's process on a throw-away API server and MySQL
	tests/cluster/mysqld.sh run -- tests/cluster/api-server.sh run -- cargo test --locked --test controller

.PHONY: upgrade-fixture
upgrade-fixture: ## Write down what this build's operator leaves when it is killed in the middle of a rollout (tests/controller/upgrades)
	tests/cluster/mysqld.sh run -- tests/cluster/api-server.sh run -- cargo test --locked --test controller -- --ignored --nocapture write_the_fixture

.PHONY: test-oldest
test-oldest: ## Run the tests of the resources and of the operator's process on the oldest Kubernetes that the chart states
	cargo test --locked --test api --test controller --no-run
	tests/cluster/mysqld.sh run -- tests/cluster/api-server.sh run --oldest -- cargo test --locked --no-fail-fast --test api --test controller

.PHONY: test-e2e
test-e2e: ## Run the end-to-end tests on the local cluster, which is started for them unless it is up (TEST=NAME for some)
	tests/e2e/run.sh $(TEST)

.PHONY: faults
faults: ## Try every fault in the middle of migrations on the local cluster, and write docs/faults.md (needs root)
	tests/faults/run.sh --write

.PHONY: test-faults
test-faults: ## Try a few faults in the middle of migrations on the local cluster (needs root)
	tests/faults/run.sh --spread

.PHONY: bench
bench: ## Measure figures on a throw-away MySQL and API server, rollouts of 100,000 and 1,000,000 rows among them: tables, and target/bench/report.json
	tests/bench/run.sh

.PHONY: bench-controller
bench-controller: ## Measure only what the operator costs with 1,000 migrations
	tests/bench/run.sh controller

.PHONY: bench-large
bench-large: ## Measure rollouts of 100,000 and of 10,000,000 rows, beside the ways without Holdfast, which take most of it (about an hour)
	HOLDFAST_BENCH_ROWS=100000,10000000 tests/bench/run.sh rollout

.PHONY: crds
crds: ## Generate the custom resource definitions into crds/ and their chart
	cargo run --locked -- crds --directory crds
	cargo run --locked -- crds --helm --directory charts/holdfast-crds/templates

.PHONY: lint
lint: ## Check formatting and run clippy with warnings denied
	cargo fmt --check
	cargo clippy --locked --all-targets --features failpoints -- --deny warnings
	cargo clippy --locked --features failpoints --test e2e --test faults --test discovery --test report -- --deny warnings

.PHONY: lint-shell
lint-shell: ## Check the shell scripts (needs shellcheck)
	cd tests/cluster && shellcheck *.sh lib/*.sh images/*/*.sh ../e2e/*.sh ../bench/*.sh ../demo/*.sh ../discovery/*.sh ../faults/*.sh ../harness/*.sh ../report/*.sh ../walkthrough/*.sh ../prepare.sh

.PHONY: audit
audit: ## Check licences and sources of the dependencies (needs cargo-deny)
	cargo deny check licenses bans sources

.PHONY: cluster-up
cluster-up: ## Start the local cluster, building what it needs (needs root, Go and Debian)
	tests/cluster/cluster.sh up

.PHONY: cluster-down
cluster-down: ## Stop the local cluster and remove all that it made
	tests/cluster/cluster.sh down

.PHONY: cluster-status
cluster-status: ## Show what runs in the local cluster
	tests/cluster/cluster.sh status

.PHONY: image
image: ## Build the operator's image; a local cluster that is up gets it at once
	cargo build --release --locked
	tests/cluster/cluster.sh image holdfast.test/operator:dev deploy/Dockerfile . --build-arg BASE=holdfast.test/base:bookworm

.PHONY: clean-cache
clean-cache: ## Remove the programs, root filesystems and images that the local cluster built
	tests/cluster/cluster.sh clean-cache
