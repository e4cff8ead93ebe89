.DEFAULT_GOAL := help
.PHONY: help run test check bench docs test-soak

PYTHON ?= python3
BIN := .venv/bin

# The lock applies to installed packages and to build tools, in old and new versions of pip.
INSTALL := PIP_CONSTRAINT=constraints.txt PIP_BUILD_CONSTRAINT=constraints.txt \
	$(BIN)/python -m pip install --disable-pip-version-check

# The output of a tool is shown only if it fails.
QUIETLY := > .venv/said.log 2>&1 || { cat .venv/said.log >&2; exit 1; }

help: ## Print this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 18

run: .venv/ready-to-run ## Index the sample photos, or yours: make run PHOTOS=~/Pictures
	@photos="$${PHOTOS:-}"; case "$$photos" in "~/"*) photos="$$HOME/$${photos#??}";; esac; \
	if [ -n "$$photos" ]; then set -- "$$photos"; else set -- $$($(BIN)/python -m workers.submission.sample_photos); fi; \
	$(BIN)/panopticon index -- "$$@" || [ $$? -eq 1 ]
	@echo 'Before these commands, once in each shell:  . $(BIN)/activate'

test: check ## Set up, check, and run every test
	@$(BIN)/python -m tools.test_servers
	@$(BIN)/pytest -n 3 --dist loadgroup $(if $(COVERAGE),--cov --cov-report=term)

check: .venv/ready-to-test ## Format, lint, types, layers and generated files; changes nothing
	@$(BIN)/ruff format --check . $(QUIETLY)
	@$(BIN)/ruff check . $(QUIETLY)
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/lint-imports --no-cache $(QUIETLY)
	@$(BIN)/python -m tools.make_schema --check

bench: .venv/ready-to-test ## Measure worker, queues, switches, bad messages, decoding, HTTP
	@$(BIN)/python -m benchmarks.pipeline
	@$(BIN)/python -m benchmarks.queue
	@$(BIN)/python -m benchmarks.versions
	@$(BIN)/python -m benchmarks.strangers
	@$(BIN)/python -m benchmarks.decoding
	@echo 'The last part compares servers over HTTP and takes about 50 minutes' >&2
	@$(BIN)/python -m benchmarks.http

docs: .venv/ready-to-test ## Regenerate the generated files in docs/
	@$(BIN)/python -m tools.make_schema
	@$(BIN)/python -m tools.record_terminal docs/terminal.svg

test-soak: .venv/ready-to-test ## Run the long tests
	@$(BIN)/pytest -m soak --timeout=3600

.venv/made:
	@command -v $(PYTHON) > /dev/null || \
		{ echo 'Python 3.11 or newer is needed; name it with make PYTHON=…' >&2; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed, this is $$($(PYTHON) -V); name another with make PYTHON=…" >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2> /dev/null || \
		{ echo 'This Python cannot create virtual environments; on Debian and Ubuntu: apt install python3-venv' >&2; exit 2; }
	@$(PYTHON) -m venv .venv
	@touch $@

.venv/ready-to-run: .venv/made setup.cfg constraints.txt
	@echo 'Installing (a few minutes, once) …' >&2
	@$(INSTALL) -e '.[cpu,raw,serve,samples]' $(QUIETLY)
	@touch $@

.venv/ready-to-test: .venv/ready-to-run
	@$(INSTALL) -e '.[cpu,raw,serve,samples,rabbitmq,cassandra,opensearch,s3,dev]' $(QUIETLY)
	@touch $@
