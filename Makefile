# Holdfast. `make demo` shows the main job end to end, `make test` tests all of it.

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X main.version=$(VERSION)

.PHONY: build image demo test test-short lint bench docs clean

build: ## bin/holdfast
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/holdfast ./cmd/holdfast

image: build ## the container image holdfast, from BASE (postgres:18) with its client programs
	docker build -t holdfast $(if $(BASE),--build-arg BASE=$(BASE)) .

demo: build ## a node under load, backed up, destroyed, brought back; under three minutes
	@./internal/demo/demo.sh

test: ## every test, on every Postgres at hand; installs what is missing or says what
	@./internal/testbed/test.sh

lint: ## formatting, vet, and golangci-lint where it is installed
	@test -z "$$(gofmt -l .)" || { gofmt -l .; exit 1; }
	go vet -tags testing ./...
	@if command -v golangci-lint >/dev/null; then golangci-lint run; else echo "golangci-lint is not installed; vet and gofmt passed"; fi

bench: build ## Holdfast and its peers on the same data; about half an hour
	go run ./internal/bench

docs: build ## man pages and shell completion, from the commands
	@mkdir -p build/man build/completion
	bin/holdfast man build/man
	for shell in bash zsh fish; do bin/holdfast completion $$shell > build/completion/holdfast.$$shell; done

clean:
	rm -rf bin build
