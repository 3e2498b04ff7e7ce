//go:build tools

// Package h2spec names the program that tests/gateway/h2spec.rs runs, so that go.mod and go.sum pin it and what it
// is made of. Built by tests/check.sh.
package h2spec

import _ "github.com/summerwind/h2spec/cmd/h2spec"
