package api

import (
	_ "embed"
	"fmt"
	"net/http"
	"sync"

	"go.yaml.in/yaml/v3"
)

// openapi describes every route. It is the reference and the contract.
//
//go:embed openapi.yaml
var openapi []byte

func (s *Server) openapiYAML(r *request) error {
	r.w.Header().Set("Content-Type", "application/yaml")
	r.w.WriteHeader(http.StatusOK)
	_, _ = r.w.Write(openapi)
	return nil
}

// openapiValue is the same as a JSON value, made when first asked for.
var openapiValue = sync.OnceValues(func() (map[string]any, error) {
	var value map[string]any
	if err := yaml.Unmarshal(openapi, &value); err != nil {
		return nil, fmt.Errorf("read the embedded openapi.yaml: %w", err)
	}
	return value, nil
})

func (s *Server) openapiJSON(r *request) error {
	value, err := openapiValue()
	if err != nil {
		return err
	}
	return r.answer(value)
}
