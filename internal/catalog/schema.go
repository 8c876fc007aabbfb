package catalog

import (
	"fmt"
	"reflect"
	"strings"
)

// SchemaKey describes one key of the configuration file, as Decode knows it.
type SchemaKey struct {
	Path    string // projects[].segment.sources[].writeKey
	Type    string // "text", "true or false", "secret", "list of texts", "list", "mapping" ...
	Default string // of a key left out, as the file would write it; empty: none
}

// Schema lists every key of the configuration file in the order of the file.
// It is read off the types, so it cannot differ from what Decode accepts.
func Schema() []SchemaKey { return schemaOf(reflect.ValueOf(Document{}), "") }

func schemaOf(v reflect.Value, path string) []SchemaKey {
	var list []SchemaKey
	for _, f := range fieldsOf(v.Type()) {
		value := v.Field(f.index)
		key := SchemaKey{Path: join(path, f.key), Type: typeName(f.typ)}
		switch {
		case f.typ == secretType:
			list = append(list, key)
		case f.typ.Kind() == reflect.Struct:
			list = append(append(list, key), schemaOf(value, key.Path)...)
		case f.typ.Kind() == reflect.Slice && f.typ.Elem().Kind() == reflect.Struct:
			list = append(append(list, key), schemaOf(withDefaults(f.typ.Elem()), key.Path+"[]")...)
		default:
			if !value.IsZero() || value.Kind() == reflect.Bool {
				key.Default = fmt.Sprint(value.Interface())
			}
			list = append(list, key)
		}
	}
	return list
}

// withDefaults is a value of the type as a mapping without keys gives it.
func withDefaults(t reflect.Type) reflect.Value {
	v := reflect.New(t)
	if d, ok := v.Interface().(defaulter); ok {
		d.setDefaults()
	}
	return v.Elem()
}

var secretType = reflect.TypeFor[Secret]()

// field is one key of a mapping.
type field struct {
	key   string
	index int // in the struct
	typ   reflect.Type
}

// fieldsOf lists the keys that a struct of the document has.
func fieldsOf(t reflect.Type) []field {
	var list []field
	for i := range t.NumField() {
		if key := t.Field(i).Tag.Get("yaml"); key != "" {
			list = append(list, field{key: key, index: i, typ: t.Field(i).Type})
		}
	}
	return list
}

// typeName says what a key takes.
func typeName(t reflect.Type) string {
	switch {
	case t == secretType:
		return "secret"
	case t.Kind() == reflect.String:
		return "text"
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t.Kind() == reflect.Map:
		return "mapping of texts"
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.String:
		return "list of texts"
	case t.Kind() == reflect.Slice:
		return "list of mappings"
	}
	return "mapping"
}

// join appends a key to a path.
func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// clone is a copy that shares nothing that can be changed.
func (d *Document) clone() *Document {
	c := mapTexts(reflect.ValueOf(*d), func(s string) string { return s }).Interface().(Document)
	return &c
}

// mapTexts copies a part of a document with every text replaced by what f
// gives for it; secrets are taken over as they are. Lists are never nil in the
// copy, so none is written as null.
func mapTexts(v reflect.Value, f func(string) string) reflect.Value {
	out := reflect.New(v.Type()).Elem()
	switch v.Kind() {
	case reflect.String:
		out.SetString(f(v.String()))
	case reflect.Slice:
		out.Set(reflect.MakeSlice(v.Type(), v.Len(), v.Len()))
		for i := range v.Len() {
			out.Index(i).Set(mapTexts(v.Index(i), f))
		}
	case reflect.Map:
		out.Set(reflect.MakeMapWithSize(v.Type(), v.Len()))
		for it := v.MapRange(); it.Next(); {
			out.SetMapIndex(mapTexts(it.Key(), f), mapTexts(it.Value(), f))
		}
	case reflect.Struct:
		out.Set(v) // also what is not a key of the file
		if v.Type() == secretType {
			break
		}
		for _, field := range fieldsOf(v.Type()) {
			out.Field(field.index).Set(mapTexts(v.Field(field.index), f))
		}
	default:
		out.Set(v)
	}
	return out
}

// escaped is a copy whose texts Decode reads back as they are here.
func (d *Document) escaped() reflect.Value {
	return mapTexts(reflect.ValueOf(*d), escapeVariables)
}

// lastName is the key at the end of a path.
func lastName(path string) string { return path[strings.LastIndexByte(path, '.')+1:] }
