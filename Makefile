# Verbs of this repository. All that they need is Python 3.11 or newer (PYTHON=… chooses one) and make.
PYTHON ?= python3
VENV ?= .venv
ARGS ?=
JOBS ?= 2

bin := $(VENV)/bin
ready := $(VENV)/.ready

.PHONY: run test prove bench style types lock setup clean help
.DEFAULT_GOAL := help

help:
	@echo "make run    the quickstart campaign against the mock organisation (about a minute)"
	@echo "make test   style, types, tests, coverage of the codecs"
	@echo "make prove  what takes longer: holds, kills, repeated runs, judges in depth"
	@echo "make bench  benchmarks, as ratios within one run"
	@echo "make style  lint and format check;  make types  mypy --strict"
	@echo "make lock   write requirements.lock again from pyproject.toml"

# An interrupted installation leaves no stamp, so the next call goes on with it.
$(ready): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python %d.%d is too old: set PYTHON to 3.11 or newer" % sys.version_info[:2])'
	@test -x $(bin)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing what requirements.lock names into $(VENV), once: a minute or more …"
	@$(bin)/python -m pip install -qq --disable-pip-version-check --require-hashes -r requirements.lock
	@$(bin)/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

setup: $(ready)

run: $(ready)
	$(bin)/loadgen run quickstart $(ARGS)

style: $(ready)
	$(bin)/ruff check .
	$(bin)/ruff format --check .

types: $(ready)
	$(bin)/mypy

# Codecs and protocol cores have to be covered by their own tests; nothing else is slowed down by counting lines.
test: style types
	$(bin)/pytest -n $(JOBS) tests/wire tests/protocol --cov=loadgen.wire --cov=loadgen.protocol --cov-branch \
		--cov-report=term-missing:skip-covered --cov-fail-under=100 $(ARGS)
	$(bin)/pytest -n $(JOBS) -m "not prove" --ignore=tests/wire --ignore=tests/protocol $(ARGS)

prove: $(ready)
	$(bin)/pytest -m prove --timeout=3600 -v $(ARGS)

bench: $(ready)
	@set -e; for benchmark in $(basename $(notdir $(wildcard benchmarks/bench_*.py))); do \
		printf '\n== %s\n' $$benchmark; $(bin)/python -m benchmarks.$$benchmark $(ARGS); done

lock: $(ready)
	$(bin)/python -m pip install -qq --disable-pip-version-check pip-tools
	$(bin)/pip-compile --quiet --all-extras --generate-hashes --allow-unsafe --strip-extras --no-emit-index-url \
		--no-emit-trusted-host --no-emit-find-links --output-file=requirements.lock pyproject.toml

clean:
	rm -rf $(VENV) .coverage .mypy_cache .pytest_cache .ruff_cache .hypothesis
