package catalog

import (
	"reflect"
	"strings"
)

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
