# Everything a change must pass: `make check`, then `./run-tests`.
PYTHON ?= .venv/bin

.PHONY: check format lint types imports test vm-tests

check: format lint types imports ## all of the below, in this order

format:
	$(PYTHON)/ruff format --check .

lint:
	$(PYTHON)/ruff check .
	@if command -v shellcheck >/dev/null; then shellcheck quickstart run-tests packaging/get-criu .ci/run tests/vm/*; fi

types:
	$(PYTHON)/mypy

imports:
	$(PYTHON)/lint-imports

fix: ## format and mend what can be mended
	$(PYTHON)/ruff format .
	$(PYTHON)/ruff check --fix .

test: ## unit tests only: no root, no network
	$(PYTHON)/pytest tests/unit tests/contracts

vm-tests: ## in a virtual machine with cgroup v2, AppArmor, LVM and ZFS; docs/testing.md
	tests/vm/run
