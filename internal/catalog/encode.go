package catalog

import (
	"encoding/json"
	"fmt"
	"reflect"
)

// bareDocument has the fields of a Document and none of its methods.
type bareDocument Document

func (d *Document) bare() bareDocument {
	return d.escaped().Convert(reflect.TypeFor[bareDocument]()).Interface().(bareDocument)
}

// MarshalJSON writes the document so that Decode reads it back; plain secrets
// become "[secret]", which Decode refuses.
func (d *Document) MarshalJSON() ([]byte, error) { return json.Marshal(d.bare()) }

// MarshalYAML does as MarshalJSON.
func (d *Document) MarshalYAML() (any, error) { return d.bare(), nil }

// Plaintext is the document as JSON with its plain secrets in plain: what
// "causeway apply" sends to a server after it read the file and its own
// environment. Only for an authenticated connection; never for a log or file.
func (d *Document) Plaintext() ([]byte, error) {
	text, err := json.Marshal(plainTree(reflect.ValueOf(*d)))
	if err != nil {
		return nil, fmt.Errorf("encode the configuration: %w", err)
	}
	return text, nil
}

// plainTree turns a part of a document into what encoding/json writes in plain.
func plainTree(v reflect.Value) any {
	if d, ok := v.Interface().(Definition); ok {
		return d.mapTexts(escapeVariables)
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return nil
		}
		return plainTree(v.Elem())
	case reflect.String:
		return escapeVariables(v.String())
	case reflect.Slice:
		list := make([]any, v.Len())
		for i := range list {
			list[i] = plainTree(v.Index(i))
		}
		return list
	case reflect.Map:
		m := make(map[string]any, v.Len())
		for it := v.MapRange(); it.Next(); {
			m[it.Key().String()] = plainTree(it.Value())
		}
		return m
	case reflect.Struct:
		if s, ok := v.Interface().(Secret); ok {
			if s.is(plainSecret) {
				return escapeVariables(s.Reveal())
			}
			return s.opaque()
		}
		m := make(map[string]any)
		for _, f := range fieldsOf(v.Type()) {
			if field := v.FieldByIndex(f.index); !f.optional || !isEmpty(field) {
				m[f.key] = plainTree(field)
			}
		}
		return m
	}
	return v.Interface()
}

// isEmpty reports whether an optional key has no value, as encoding/json and
// yaml see it.
func isEmpty(v reflect.Value) bool {
	if v.Kind() == reflect.Slice || v.Kind() == reflect.Map {
		return v.Len() == 0
	}
	return v.IsZero()
}
