package api_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"

	"causeway/internal/api"
	"causeway/internal/auth"

	"github.com/google/go-cmp/cmp"
)

func TestTheDocumentIsValidAndSoAreItsExamples(t *testing.T) {
	doc, err := loadDocument()
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// The document is the reference: a route or parameter that only one side knows
// is a fault of one of them.
func TestTheDocumentAndTheRoutesAreTheSame(t *testing.T) {
	doc, err := loadDocument()
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]api.RouteInfo{}
	for path, item := range doc.Paths.Map() {
		for method, operation := range item.Operations() {
			info := api.RouteInfo{Method: method, Pattern: path, Some: operation.Extensions["x-any-project"] == true}
			if role, ok := operation.Extensions["x-role"].(string); ok {
				info.Role = auth.Role(role)
			}
			if open := operation.Security != nil && len(*operation.Security) == 0; open != (info.Role == "") {
				t.Errorf("%s %s is open, or has no role", method, path)
			}
			for _, p := range operation.Parameters {
				if p.Value.In == "query" {
					info.Query = append(info.Query, p.Value.Name)
				}
				if p.Value.In == "path" && !strings.Contains(path, "{"+p.Value.Name+"}") {
					t.Errorf("%s %s documents a path parameter %s that it has not", method, path, p.Value.Name)
				}
			}
			slices.Sort(info.Query)
			documented[method+" "+path] = info
			if operation.Summary == "" || operation.OperationID == "" || len(operation.Tags) == 0 {
				t.Errorf("%s %s lacks a summary, an operationId or a tag", method, path)
			}
		}
	}
	served := map[string]api.RouteInfo{}
	for _, info := range api.RouteList() {
		slices.Sort(info.Query)
		served[info.Method+" "+info.Pattern] = info
	}
	if diff := cmp.Diff(served, documented); diff != "" {
		t.Errorf("served (-) and documented (+) differ:\n%s", diff)
	}
}

func TestTheDocumentIsServedWithoutAToken(t *testing.T) {
	r := newRig(t)
	yaml := r.ask("GET", "/admin/v1/openapi.yaml", "")
	if yaml.status != http.StatusOK || !strings.HasPrefix(yaml.body, "openapi: 3.1") {
		t.Errorf("got %d %.80s", yaml.status, yaml.body)
	}
	var doc struct {
		OpenAPI string
		Paths   map[string]any
	}
	json := r.ask("GET", "/admin/v1/openapi.json", "")
	json.into(t, &doc)
	if doc.OpenAPI != "3.1.0" || len(doc.Paths) == 0 {
		t.Errorf("got %.80s", json.body)
	}
}
