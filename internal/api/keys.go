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
	var what struct {
		catalog.KeyRef
		Overlap bool `json:"overlap"`
	}
	if err := r.decode(&what, 64<<10); err != nil {
		return err
	}
	made, err := s.catalog.RotateKey(r.Context(), what.KeyRef, what.Overlap, actorOf(r))
	if err != nil {
		return unknownKey(err)
	}
	return r.answer(made)
}

// endRotation takes the credential of before away.
func (s *Server) endRotation(r *request) error {
	var ref catalog.KeyRef
	if err := r.decode(&ref, 64<<10); err != nil {
		return err
	}
	if err := s.catalog.EndRotation(r.Context(), ref, actorOf(r)); err != nil {
		return unknownKey(err)
	}
	r.w.WriteHeader(http.StatusNoContent)
	return nil
}

// unknownKey makes an answer of an error that says there is no such key.
func unknownKey(err error) error {
	var unknown *catalog.UnknownKeyError
	if errors.As(err, &unknown) {
		p := refuse(http.StatusNotFound, "key_unknown", "There is no such key: %v. GET /admin/v1/keys lists them.", unknown)
		p.cause = err
		return p
	}
	return err
}
