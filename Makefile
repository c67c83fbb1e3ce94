# What a user types, in full: each line can be typed without make.
PYTHON ?= python3
BIN = .venv/bin
# Without a GPU, the small build of torch.
TORCH = torch==2.13.0 $(if $(shell command -v nvidia-smi),,--retries 1 --extra-index-url https://download.pytorch.org/whl/cpu)

.PHONY: demo test lint package performance clean

demo: .venv/installed  ## build a small synthetic store, check it, draw it
	$(BIN)/megamedical build synthetic --tasks 8 --subjects 20 --store demo/store
	$(BIN)/megamedical verify --store demo/store
	$(BIN)/megamedical preview --store demo/store --out demo/preview.png
	$(BIN)/megamedical info --store demo/store
	@echo "Made demo/store (the store) and demo/preview.png (open it: slices with their masks)."

test: .venv/installed-dev  ## all tests; those of real archives where ../shared/mirror is
	$(BIN)/pytest -n 2

lint: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

package: .venv/installed-dev  ## the wheel alone, in an empty environment away from the checkout
	$(BIN)/python -m build --wheel --outdir build/wheel .
	sh tests/wheel.sh build/wheel

performance: .venv/installed-dev  ## the figures of docs/performance.md; give MIRROR=dir for ACDC
	OMP_NUM_THREADS=1 $(BIN)/python performance/processing.py $(if $(MIRROR),--mirror $(MIRROR))

clean:
	rm -rf .venv build demo

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable .
	@touch $@

.venv/installed-dev: .venv/installed
	$(BIN)/pip install --quiet $(TORCH)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[universeg,benchmark,dev]'
	@touch $@
