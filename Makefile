# Each target is one readable command; `make lab` and `make test` set up .venv by themselves.
# Windows without make: the same commands stand in README.md.
PYTHON ?= $(shell command -v python3 || command -v python)
RUN := .venv/bin/python
ARGS ?=

.PHONY: lab test test-all build check lint grade status reset course colab bench mutants setup

lab: setup           ## copy the lessons into work/ and start JupyterLab
	@.venv/bin/attnfuse lab $(ARGS)

test: setup          ## everything CI runs; one full run of each lesson, the other rounds quick
	@$(RUN) tools/test.py

test-all: setup      ## the same with every round in full, for every lesson
	@$(RUN) tools/test.py --full

build: setup         ## make the notebooks from solutions/*.py; execute those that changed
	@$(RUN) tools/build.py $(ARGS) && $(RUN) tools/picture.py

check: setup         ## prove in seconds that no derived file drifted
	@$(RUN) tools/build.py --check

lint: setup
	@$(RUN) -m ruff check . && $(RUN) -m ruff format --check .

# Missing points are a result and no error of make's; what could not be graded (2) is one.
grade: setup         ## grade the notebooks in work/
	@.venv/bin/attnfuse grade $(ARGS) || [ $$? -eq 1 ]

status: setup        ## list what is solved in work/, without running anything
	@.venv/bin/attnfuse status $(ARGS)

reset: setup         ## start a lesson afresh; yours is kept beside it: make reset LESSON=05
	@.venv/bin/attnfuse reset $(LESSON)

course: setup        ## lay out an nbgrader course: make course DIR=…
	@$(RUN) tools/course.py "$(DIR)"

colab: setup         ## run every lesson on Colab's versions, with only the wheel
	@$(RUN) tools/colab.py $(ARGS)

bench: setup         ## print run times and sizes
	@$(RUN) tools/bench.py

mutants: setup       ## change one thing in a right answer: does its check notice? ARGS="--lesson 02"
	@$(RUN) tools/mutants.py $(ARGS)

setup:
	@$(PYTHON) tools/setup_env.py
