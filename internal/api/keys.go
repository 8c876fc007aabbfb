package api

import (
	"errors"
	"net/http"

	"causeway/internal/catalog"
)

// keys lists the credentials that Causeway gives out, never their values.
func (s *Server) keys(r *request) error {
	return r.answer(listFrom(s.catalog.Keys(), "", same[catalog.Key]))
}

// rotateKey replaces one and shows the new one this once.
func (s *Server) rotateKey(r *request) error {
	var ref catalog.KeyRef
	if err := r.decode(&ref, 64<<10); err != nil {
		return err
	}
	made, err := s.catalog.RotateKey(r.Context(), ref, actorOf(r))
	var unknown *catalog.UnknownKeyError
	if errors.As(err, &unknown) {
		p := refuse(http.StatusNotFound, "key_unknown", "There is no such key: %v. GET /admin/v1/keys lists them.", unknown)
		p.cause = err
		return p
	}
	if err != nil {
		return err
	}
	return r.answer(made)
}
