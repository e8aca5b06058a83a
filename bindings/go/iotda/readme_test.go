//go:build cgo

// The documentation's code is that of the first program and of the examples, which are run.

package iotda_test

import (
	"os"
	"strings"
	"testing"
)

func TestTheReadmeShowsTheExamples(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	must(t, err)
	examples, err := os.ReadFile("example_test.go")
	must(t, err)
	first, err := os.ReadFile("hello/main.go")
	must(t, err)
	blocks := strings.Split(string(readme), "```go\n")[1:]
	if len(blocks) < 5 {
		t.Errorf("%d pieces of code", len(blocks))
	}
	for _, block := range blocks {
		code, _, _ := strings.Cut(block, "```")
		if !strings.Contains(string(examples), code) && !strings.HasSuffix(string(first), "\n"+code) {
			t.Errorf("this is in no example:\n%s", code)
		}
	}
}

func TestTheDocumentationBeginsWithTheFirstProgram(t *testing.T) {
	doc, err := os.ReadFile("doc.go")
	must(t, err)
	first, err := os.ReadFile("hello/main.go")
	must(t, err)
	_, program, found := strings.Cut(string(first), "\npackage main\n")
	if !found {
		t.Fatal("hello/main.go is no program")
	}
	// As gofmt writes code in a comment.
	commented := "//\tpackage main\n"
	for line := range strings.Lines(program) {
		if line != "\n" {
			line = "\t" + line
		}
		commented += "//" + line
	}
	if !strings.Contains(string(doc), commented) {
		t.Errorf("doc.go does not show hello/main.go:\n%s", commented)
	}
}
