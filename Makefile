# An index of the commands; each is one line that you can type yourself.

.PHONY: bench help check test race fuzz vulncheck generate demo clients

help: ## this list
	@grep -E '^[a-z]+:.*##' Makefile | sed -E 's/:.*## /\t/'

demo: ## an invented shop, a fake Segment, live traffic
	go run ./cmd/causeway demo

test: ## everything, offline
	go test ./...

race: ## the same with the race detector, in random order
	go test -race -shuffle=on ./...

check: ## what CI checks besides the tests
	test -z "$$(gofmt -l .)"
	go vet ./...
	go run honnef.co/go/tools/cmd/staticcheck@v0.8.0 ./...

clients: ## unmodified clients against the built binary; needs Node.js and Chromium
	.ci/e2e

time ?= 30s
bench: ## the figures to reach, each with a verdict
	go run ./bench

fuzz: ## each fuzz target for half a minute, or: make fuzz time=5m
	.ci/fuzz $(time)

vulncheck: ## known vulnerabilities; needs the network
	.ci/vulncheck

generate: ## write what is generated from the code anew
	go test ./internal/reason -update
