# `make` lists the targets. Everything runs in .venv, which is made from requirements.lock; only `make bench`, clusters and two model servers have their own.
.DEFAULT_GOAL := help
PYTHON ?= python3
PORT ?= 5000
BIN := .venv/bin
# Stages are started as `python -m stages.NAME`: the first python on the path must be that of .venv.
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: .venv/installed ## Make .venv from requirements.lock

# Its commands work only where it was made, as `installed` says.
.venv/installed: requirements.lock $(shell at=$$(cat .venv/installed 2>/dev/null); [ -z "$$at" ] || [ "$$at" = "$$(cd .venv && pwd -P)" ] || echo moved)
.venv-bench/installed: benchmarks/requirements.lock
.venv-cluster/installed: requirements.cluster.lock
.venv-docs/installed: docs/requirements.lock
.venv-torchserve/installed: serving/requirements.torchserve.lock
.venv-vllm/installed: serving/requirements.vllm.lock
# The lock file has all that is needed; vLLM itself asks for more, see UNWANTED.
.venv-vllm/installed: HOW := --no-deps
# It is built for PyTorch's build for CPUs, which PyPI does not have.
.venv-vllm/installed: FIRST = pip="$*/bin/python -m pip install --quiet --disable-pip-version-check --no-deps $$(grep ^torch== $<)"; \
	$$pip 2>/dev/null || $$pip --index-url https://download.pytorch.org/whl/cpu
.venv/installed .venv-bench/installed .venv-cluster/installed .venv-docs/installed .venv-torchserve/installed .venv-vllm/installed: %/installed:
	@command -v "$(PYTHON)" >/dev/null || { echo "gradflow: needs Python 3.11 or newer, found no $(PYTHON); name one: make PYTHON=/path/to/python3" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; v = sys.version_info; sys.exit(None if v >= (3, 11) else f"gradflow: needs Python 3.11 or newer, $(PYTHON) is {v[0]}.{v[1]}; name another: make PYTHON=/path/to/python3")'
	"$(PYTHON)" -m venv --clear $*
	$(FIRST)
	"$*/bin/python" -m pip install --quiet --disable-pip-version-check $(HOW) -r $<
	cd "$*" && pwd -P >installed

.PHONY: moved
moved:
	@echo "gradflow: .venv was made in $$(cat .venv/installed), not here: it is made again"

.PHONY: reproduce
reproduce: setup ## Run the pipeline: figures, checkpoints, tables, metrics
	@python -m pipelines.mend
	dvc repro

.PHONY: studies
studies: setup ## Run the pipeline and all studies, or one: make studies STUDY=depth
	@python -m pipelines.mend
	dvc repro
	$(if $(STUDY),,cd serving && dvc repro)
	cd studies && dvc repro $(if $(STUDY),$(STUDY)/dvc.yaml,--all-pipelines)

.PHONY: remote
remote: export PATH := $(CURDIR)/$(if $(filter s3:%,$(URL)),.venv-cluster,.venv)/bin:$(PATH)
remote: $(if $(filter s3:%,$(URL)),cluster,setup) ## Keep results in a DVC remote, and push those there are: make remote URL=/mnt/shared/gradflow, or s3://...
	@case "$(URL)" in /*|*://*) ;; *) echo "gradflow: URL: must be an absolute path or an address, got '$(URL)'" >&2; exit 2;; esac
	dvc remote add --force --default storage "$(URL)"
	cd studies && dvc remote add --force --default storage "$(URL)"
	dvc push dvc.yaml
	cd studies && if [ -d .dvc/cache ]; then dvc push; fi

# What a branch changes since it left BASE; of studies, those whose own files it changes are run.
BASE ?= main
SINCE = $(or $(shell git merge-base '$(BASE)' HEAD 2>/dev/null),$(BASE))
CHANGED = $(shell git diff --name-only '$(SINCE)' -- 'studies/*/params.yaml' 'studies/*/dvc.yaml' 'studies/*/*.py')
TOUCHED = $(filter-out ledger,$(sort $(foreach path,$(CHANGED),$(word 2,$(subst /, ,$(path))))))
ON_S3 := $(filter s3:%,$(shell sed -n 's/^ *url = //p' .dvc/config))
OR_MAKE := || echo "gradflow: what DVC could not pull is made here" >&2

.PHONY: comment
comment: export PATH := $(CURDIR)/$(if $(ON_S3),.venv-cluster,.venv)/bin:$(PATH)
comment: $(if $(ON_S3),cluster,setup) ## Bring results up to date and write what a branch changes since BASE=main into comment.md
	@python -m pipelines.mend
	dvc pull $(OR_MAKE)
	dvc repro
	cd studies && for study in $(TOUCHED); do { dvc pull $$study/dvc.yaml $(OR_MAKE); } && dvc repro $$study/dvc.yaml || exit; done
	cd studies/ledger && dvc repro --single-item claims
	@python -m pipelines.comment '$(SINCE)' $${FILES:+--files "$$FILES"} $${RUN:+--run "$$RUN"} >comment.md

.PHONY: ui
ui: setup ## Show what was tracked, in MLflow's pages (PORT=5000)
	@python -m gradflow.tracking.ui --port $(PORT)

# Jupyter wants to be told that root, as in a container, is meant.
.PHONY: notebook
notebook: PORT = 8888
notebook: setup ## Open the notebooks in JupyterLab (PORT=8888)
	@jupyter lab --ip 127.0.0.1 --port $(PORT) --ServerApp.port_retries 0 $(if $(filter 0,$(shell id -u)),--allow-root) --log-level WARN \
	    --LabApp.default_url /lab/tree/notebooks/residual_connections.ipynb

.PHONY: serve
serve: PORT = 8000
serve: LEG = litserve
serve: setup ## Answer requests with the trained network (PORT=8000, LEG=litserve): docs/serving.md
	cd serving && dvc repro --quiet
	@python -m serving.serve --leg $(LEG) --port $(PORT)

.PHONY: serve-bench
serve-bench: setup ## Measure how long answers take: benchmarks/serving.json
	cd serving && dvc repro --quiet
	python -m benchmarks.serving

.PHONY: schedule
schedule: PORT = 4200
schedule: setup ## Run the flows of prefect.yaml when their time comes, with Prefect's pages (PORT=4200)
	@python -m pipelines.schedule --port $(PORT)

.PHONY: new
new: setup ## Make a project of your own from this pattern: make new NAME=../my-project (docs/template.md)
	@python -m pipelines.new "$(NAME)"

.PHONY: lint
lint: setup ## Format and lint, types, layers
	ruff format --check .
	ruff check .
	mypy
	lint-imports

.PHONY: test
test: lint ## Every check and test, but for the longer ones of the next two lines
	pytest -n auto --ignore tests/commands --ignore tests/flows --ignore tests/tracking --ignore tests/report --ignore tests/serving --ignore tests/cluster --ignore tests/docs --ignore tests/notebooks

.PHONY: test-commands
test-commands: setup ## The README's commands and DVC's experiments as people type them: some minutes
	pytest -n auto tests/commands

.PHONY: test-servers
test-servers: setup ## Tracking, flows, serving, pages and notebooks, with real servers and a browser: some minutes more
	pytest -n auto tests/notebooks tests/tracking tests/flows tests/report tests/serving --ignore tests/serving/test_torchserve.py --ignore tests/serving/test_vllm.py

.PHONY: cluster
cluster: .venv-cluster/installed ## Make .venv-cluster, for sweeps on several machines: docs/cluster.md

.PHONY: test-cluster
test-cluster: cluster ## Sweeps on Ray, results in an object store, servers on PostgreSQL (installs Debian's): some minutes
	@command -v pg_ctlcluster >/dev/null || { apt-get update --quiet=2 && \
	    DEBIAN_FRONTEND=noninteractive apt-get install --quiet=2 --yes postgresql >/dev/null; }
	PATH="$(CURDIR)/.venv-cluster/bin:$$PATH" pytest tests/cluster

.PHONY: torchserve
torchserve: .venv-torchserve/installed ## Make .venv-torchserve, for `--leg torchserve`: 1.1 GB, and Java 11 or newer

.PHONY: test-torchserve
test-torchserve: setup torchserve ## A real TorchServe, with and without the front: a minute (installs Debian's Java)
	@command -v java >/dev/null || { apt-get update --quiet=2 && \
	    DEBIAN_FRONTEND=noninteractive apt-get install --quiet=2 --yes openjdk-17-jre-headless >/dev/null; }
	pytest tests/serving/test_torchserve.py

.PHONY: vllm
vllm: .venv-vllm/installed ## Make .venv-vllm, for `--leg vllm`: downloads 0.6 GB, takes 2.5 GB of disk

.PHONY: test-vllm
test-vllm: setup vllm ## A real vLLM, with and without the front: some minutes; the first time `make vllm` before it
	pytest tests/serving/test_vllm.py

.PHONY: test-faults
test-faults: setup ## Kills, full disks, damaged files, senseless parameters by the hundred: an hour
	pytest -n auto tests/faults --campaign

.PHONY: docs
docs: .venv-docs/installed ## Build the documentation as a site in site/, with the reference of all modules; links are checked
	@.venv-docs/bin/python docs/site.py

.PHONY: test-docs
test-docs: setup docs ## The same, looked at with a browser
	pytest tests/docs

.PHONY: picture
picture: setup ## Take the page's picture in README anew, with Chromium
	@python docs/picture.py

.PHONY: notebooks
notebooks: setup ## Run the notebooks anew, each in a fresh clone, and keep what they show
	@PYTHONPATH=. python notebooks/refresh.py

.PHONY: blocks
blocks: setup ## Make the table of blocks in docs/ anew, from their files
	@PYTHONPATH=. python docs/blocks.py

.PHONY: bench
bench: .venv-bench/installed ## Measure this beside what others would write (an hour): benchmarks/README.md
	.venv-bench/bin/python -m benchmarks.run $(BENCH)

# Of what vLLM depends on, this it does not need for points: gigabytes for images, sound, video and a compiler.
UNWANTED := torchaudio torchcodec torchvision triton

.PHONY: lock
lock: setup ## Renew the six lock files from pyproject.toml, and that of template/
	python -m piptools compile --quiet --extra dev --strip-extras --allow-unsafe \
	    --no-emit-find-links --no-emit-index-url --output-file requirements.lock pyproject.toml
	python -m piptools compile --quiet --extra bench --constraint requirements.lock --strip-extras --allow-unsafe \
	    --no-emit-find-links --no-emit-index-url --output-file benchmarks/requirements.lock pyproject.toml
	python -m piptools compile --quiet --extra dev --extra cluster --constraint requirements.lock --strip-extras --allow-unsafe \
	    --no-emit-find-links --no-emit-index-url --output-file requirements.cluster.lock pyproject.toml
	sed -i 's/^\(torch==[0-9.]*\)+cpu/\1/' requirements.lock requirements.cluster.lock benchmarks/requirements.lock  # any build of that version will do
	python -m piptools compile --quiet --constraint requirements.lock --strip-extras --allow-unsafe --no-header --no-annotate \
	    --no-emit-find-links --no-emit-index-url --output-file template/project/requirements.lock template/project/requirements.in
	$(call group,torchserve) | python -m piptools compile --quiet --strip-extras --allow-unsafe \
	    --no-emit-find-links --no-emit-index-url --output-file serving/requirements.torchserve.lock -
	$(call group,vllm) | python -m piptools compile --quiet --strip-extras $(patsubst %,--unsafe-package %,$(UNWANTED)) \
	    --no-emit-find-links --no-emit-index-url --output-file serving/requirements.vllm.lock -
	sed -i 's/^\(torch==[0-9.]*\)+cpu/\1/' serving/requirements.torchserve.lock
	$(call group,docs) | python -m piptools compile --quiet --strip-extras --allow-unsafe \
	    --no-emit-find-links --no-emit-index-url --output-file docs/requirements.lock -

group = python -c 'import sys, tomllib; print(*tomllib.load(sys.stdin.buffer)["dependency-groups"]["$(1)"], sep="\n")' <pyproject.toml
