package reason_test

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strconv"
	"strings"
	"testing"

	"causeway/internal/reason"
)

var update = flag.Bool("update", false, "write docs/reasons.md anew")

const page = "../../docs/reasons.md"

// TestThePageListsEveryReason holds docs/reasons.md to the list. To write it
// anew: go test ./internal/reason -update
func TestThePageListsEveryReason(t *testing.T) {
	want := render()
	if *update {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Error("docs/reasons.md is not what the list says; run: go test ./internal/reason -update")
	}
}

func render() string {
	var b strings.Builder
	b.WriteString("# Reasons\n\nWhy something became less than its sender hoped: every code, what it means, and what to do.\nThe codes are the same in the API, the metrics, the command line and the logs. [Troubleshooting](guides/troubleshooting.md) goes from\nwhat you see to the code.\n\n" +
		"Written from `internal/reason` by `go test ./internal/reason -update`.\n")
	var stage reason.Stage
	for _, stage = range []reason.Stage{reason.Ends, reason.Notes, reason.Skips, reason.SetAside, reason.Reports, reason.Refuses} {
		fmt.Fprintf(&b, "\n## %s%s\n", strings.ToUpper(string(stage[:1])), stage[1:])
		for _, info := range reason.List {
			if info.Stage == stage {
				fmt.Fprintf(&b, "\n### %s\n\n%s\n\n**Do:** %s (%s)\n", info.Code, info.Meaning, info.Fix, info.Rulings)
			}
		}
	}
	return b.String()
}

func TestEveryCodeIsExplainedOnce(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "list.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	declared := 0
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 {
			return true
		}
		literal, ok := spec.Values[0].(*ast.BasicLit)
		if !ok {
			return true
		}
		declared++
		code, err := strconv.Unquote(literal.Value)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := reason.Lookup(reason.Code(code)); !ok {
			t.Errorf("%s is declared but not explained in List", code)
		}
		return true
	})
	if declared != len(reason.List) {
		t.Errorf("%d codes are declared and %d explained", declared, len(reason.List))
	}
	for _, info := range reason.List {
		if info.Meaning == "" || info.Fix == "" || info.Rulings == "" || info.Stage == "" {
			t.Errorf("%s lacks a meaning, a fix, a ruling or a stage", info.Code)
		}
	}
}
