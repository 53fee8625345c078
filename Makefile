# Seer. `make` lists the targets.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

export CGO_ENABLED ?= 0
# The compiler that made the committed BPF objects: another version, other bytes.
export BPF2GO_CC := clang-19
export BPF2GO_STRIP := llvm-strip-19
export BPF2GO_CFLAGS := -O2 -g -Wall -Werror -mcpu=v3

RELEASE := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X main.release=$(RELEASE)
# Only what needs it runs as root.
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## build bin/seer, static
	go build -trimpath -ldflags '$(LDFLAGS)' -o bin/seer ./cmd/seer

.PHONY: run
run: build ## build, then trace this host and show it in the terminal
	$(SUDO) bin/seer run $(if $(shell test -t 1 && echo tty),--top) $(ARGS)

.PHONY: test
test: ## install what the tests need, then run them all, kernels in VMs included
	test/run

.PHONY: lint
lint: ## go vet, staticcheck and golangci-lint
	test/lint

.PHONY: generate
generate: ## rebuild the BPF objects and the manual pages that are committed
	test/install generate
	go generate ./bpf ./cmd/seer

.PHONY: kernels
kernels: ## run the privileged tests on every kernel of the matrix
	test/install kernels
	test/kernels/matrix all

.PHONY: clean
clean: ## remove what was built; .cache keeps downloads
	rm -rf bin
