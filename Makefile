# What a user types, in full: each line can be typed without make.
PYTHON ?= python3
BIN = .venv/bin
# Without a GPU, the small build of torch.
TORCH = torch==2.13.0 $(if $(shell command -v nvidia-smi),,--retries 1 --extra-index-url https://download.pytorch.org/whl/cpu)

# Modules are compiled once, not in each of the processes that tests start.
PYTEST = PYTHONDONTWRITEBYTECODE= $(BIN)/pytest -n 2

.PHONY: demo test test-long lint docs package alive results performance clean

demo: .venv/installed  ## a synthetic store, a small network, a leaderboard of tasks it has not seen
	$(BIN)/megamedical build synthetic --tasks 80 --subjects 16 --resolution 64 --store demo/store
	$(BIN)/megamedical verify --store demo/store
	$(BIN)/megamedical preview --store demo/store --out demo/preview.png
	$(BIN)/universeg train --store demo/store --out demo/run --preset demo --device cpu \
	  'tasks.unseen=["synthetic/task-007*"]'
	$(BIN)/megamedical-benchmark run --suite demo --store demo/store --out demo/results --workers 2 \
	  --method universeg:demo/run/best.safetensors --method mean-mask --method nearest \
	  --method pixel-forest --method registration
	$(BIN)/megamedical-benchmark leaderboard demo/results --store demo/store --html demo/board.html
	@echo "Open demo/preview.png (slices with their masks) and demo/board.html (the leaderboard)."

test: .venv/installed-dev  ## the tests; `test-long` has a few more
	$(PYTEST)

test-long: .venv/installed-dev  ## those that take long: real archives as a whole, where ../shared/mirror is
	$(PYTEST) -m long

lint: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: .venv/installed-docs  ## the site, into build/docs: tutorials are run, results/ checked and ranked
	$(BIN)/sphinx-build -b html -E -W --keep-going -q -j 2 -d build/doctrees docs build/docs
	@echo "Open build/docs/index.html."

package: .venv/installed-dev  ## the wheel alone, in an empty environment away from the checkout
	$(BIN)/python -m build --wheel --outdir build/wheel .
	sh tests/wheel.sh build/wheel

alive: .venv/installed-dev  ## every script of performance/ at toy size: do they still work?
	set -e; for script in performance/*.py; do echo "$$script --toy"; $(BIN)/python $$script --toy; done

results: .venv/installed  ## every table of docs/results.md; give MIRROR=dir; hours without a GPU
	OMP_NUM_THREADS=1 $(BIN)/python performance/results.py --mirror $(MIRROR) --work build/results

performance: .venv/installed-dev  ## the figures of docs/performance.md; give MIRROR=dir for ACDC
	OMP_NUM_THREADS=1 $(BIN)/python performance/processing.py $(if $(MIRROR),--mirror $(MIRROR))

clean:
	rm -rf .venv build demo

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet $(TORCH)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[universeg,benchmark]'
	@touch $@

.venv/installed-docs: .venv/installed
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[docs]'
	@touch $@

.venv/installed-dev: .venv/installed
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[universeg,benchmark,dev]'
	@touch $@
