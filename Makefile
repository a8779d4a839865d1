# Every command of the book; `make help` lists them. README.md gives the same without make.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready
SITE := _build/html/.whole
SCRIPTS := node_modules/.package-lock.json
SOURCES = _config.yml _toc.yml LICENSE $(shell find book notebooks -type f -not -name '*.py[co]' -not -path '*/.*')

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help book serve test execute export photographs weights bench lighthouse lint links audit stamp

help:  ## list these commands
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1|\2/p' Makefile | awk -F'|' '{ printf "%-14s %s\n", $$1, $$2 }'

book: $(SITE)  ## build the site into _build/html from the notebooks' stored outputs
	@echo "The book is built: open $(CURDIR)/_build/html/index.html, or run 'make serve'."

serve: $(SITE)  ## serve the built site on this machine (port=8000)
	@echo "The book is at http://localhost:$(or $(port),8000)/ (stop with Ctrl-C)."
	@$(BIN)/python -m http.server --directory _build/html --bind 127.0.0.1 $(or $(port),8000)

test: $(SITE)  ## run every notebook and every test; ends with what each notebook cost
	$(BIN)/pytest

execute: $(READY)  ## run notebooks again and store their outputs (nb=03_gan for one)
	$(BIN)/python tools/execute.py $(nb)

export: $(READY)  ## export the trained networks to ONNX, for the models inside the pages
	$(BIN)/python tools/export.py

photographs: $(READY)  ## fetch the photographs that the recipes of chapter 6 train on besides
	$(BIN)/python tools/photographs.py

weights: $(READY)  ## train a shipped network anew (name=gan_generator; long)
	$(BIN)/python tools/train.py $(name)

bench: $(READY)  ## measure our networks beside their peers (minutes; never part of the tests)
	$(BIN)/python tools/bench.py

lighthouse: $(SITE)  ## let Lighthouse judge three pages in chromium (minutes; never part of the tests)
	@$(BIN)/npm ci --prefix tools/lighthouse --loglevel=error
	$(BIN)/python tools/lighthouse.py

lint: $(READY)  ## check the style of helpers, notebooks, tests and tools
	$(BIN)/ruff check .
	$(BIN)/ruff format --check book notebooks/helpers tests tools

links: $(SITE)  ## ask whether the pages that the site links to are still there (network)
	$(BIN)/python tools/links.py

# Strict: a package that the database does not answer for is a failure, not a pass.
audit: $(READY)  ## look up the installed packages' known vulnerabilities (network)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check pip-audit
	$(BIN)/pip-audit --strict --progress-spinner off

stamp:  ## write the book's address wherever it is needed (url=https://...)
	@$(PYTHON) tools/stamp.py $(url)

# The environment is made once, and brought up to date when requirements.txt changes.
$(READY): requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
	  echo "The book needs Python 3.10 or newer, and $(PYTHON) is older or missing."; \
	  echo "Name a newer one: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

# What the pages take from npm, at the versions and checksums of package-lock.json. npm itself
# comes with the environment above.
$(SCRIPTS): $(READY) package.json package-lock.json
	@$(BIN)/npm ci --loglevel=error

# Always from scratch: Sphinx repeats no warning for a page that it takes from its cache, so a
# second try at a faulty book would pass. The build leaves the file only when it had no warning.
$(SITE): $(READY) $(SCRIPTS) $(SOURCES)
	@rm -rf _build
	$(BIN)/jupyter-book build -n -W --keep-going .
