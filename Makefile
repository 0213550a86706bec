# make repro   set up, then run every stage that is not up to date; PRESET=<name> first writes presets/<name>.yaml into params.yaml
# make test    set up, then run the tests but for the slow ones; make test-slow runs those, some minutes more
# make lint    ruff and mypy
# make ablation   run an experiment for each combination of the values in ABLATION, and show the table
# make table   the experiments of the last commit: a row a run, with the parameters that differ and the scores on valid
# make robustness   corrupt raw clips in many ways, send them through every stage again, and score the network on them
# make bench   set up, then measure, and compare with the last run in logs/benchmarks; longer measurements are started by
#              name: python -m benchmarks.many, .million, .kills, .slurm, .hour, .pages, .audit
# make clean   delete what the stages made; finished clips in the store, the environment and data/corpora stay
#
# Needed from the system: Python 3.11 or 3.12, make, libGL, libEGL and libGLESv2; everything else is installed by pip into .venv.

PYTHON ?= python3
VENV := .venv
# A checksum of the files' content, not their dates: a fresh checkout with the same pins installs nothing.
PINS := $(firstword $(shell cat constraints.txt pyproject.toml | cksum))
INSTALLED := $(VENV)/installed-$(PINS)

export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

# Each is a parameter with its values; corpus.fold=range(5) are those from 0 to 4.
ABLATION ?= train.loss.contrast=0,0.25 train.loss.calibration=0,0.1 train.loss.ordinality=0,0.6

.PHONY: repro test test-slow lint ablation table robustness bench clean install

repro: install
ifdef PRESET
	python -m preset presets/$(PRESET).yaml
endif
	python mend_lock.py
	dvc repro

test: install
	python -m pytest -m 'not slow' --numprocesses 2 --dist loadgroup --no-loadscope-reorder

test-slow: install
	python -m pytest -m slow --numprocesses 2 --dist loadgroup --no-loadscope-reorder

lint: install
	ruff check .
	ruff format --check .
	mypy

ablation: install
	dvc exp run --queue $(foreach values,$(ABLATION),--set-param '$(values)')
	dvc exp run --run-all
	python -m lddu.experiments

table: install
	@python -m lddu.experiments

robustness: repro
	dvc repro robustness/dvc.yaml

bench: install
	for name in stages training; do python -m benchmarks.$$name || exit 1; done

clean:
	find data -mindepth 1 -maxdepth 1 ! -name corpora ! -name '.*' -exec rm -rf {} +
	rm -rf metrics report logs

install: $(INSTALLED)

$(INSTALLED): constraints.txt pyproject.toml
	$(PYTHON) check_system.py
	test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV): about 3 minutes and 7 GB the first time"
	$(VENV)/bin/python -m pip install --quiet --constraint constraints.txt pip setuptools
	$(VENV)/bin/python -m pip install --quiet --constraint constraints.txt --no-build-isolation --editable '.[sample,dev]'
	rm -f $(VENV)/installed-*
	touch $@
