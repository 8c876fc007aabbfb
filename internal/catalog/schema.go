package catalog

import (
	"reflect"
	"strings"
	"sync"
)

// withDefaults is a value of the type as a mapping without keys gives it.
func withDefaults(t reflect.Type) reflect.Value {
	v := reflect.New(t)
	if d, ok := v.Interface().(defaulter); ok {
		d.setDefaults()
	}
	return v.Elem()
}

var (
	secretType    = reflect.TypeFor[Secret]()
	eventSpecType = reflect.TypeFor[EventSpec]()
)

// field is one key of a mapping.
type field struct {
	key   string
	index []int // in the struct and those embedded in it
	typ   reflect.Type
	// optional keys are left out of what is written when they have no value:
	// that they are left out means something.
	optional bool
}

var fieldLists sync.Map // what fieldsOf found, by type

// fieldsOf lists the keys that a struct of the document has.
func fieldsOf(t reflect.Type) []field {
	if list, ok := fieldLists.Load(t); ok {
		return list.([]field)
	}
	var list []field
	for _, f := range reflect.VisibleFields(t) {
		key, option, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if key != "" {
			list = append(list, field{key: key, index: f.Index, typ: f.Type, optional: option == "omitempty"})
		}
	}
	fieldLists.Store(t, list)
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
	case t.Kind() == reflect.Int, t.Kind() == reflect.Float64:
		return "number"
	case t.Kind() == reflect.Pointer:
		return typeName(t.Elem())
	case t == definitionType:
		return "mapping"
	case t == eventSpecType:
		return "event"
	case t.Kind() == reflect.Map:
		return "mapping of " + typeName(t.Elem()) + "s"
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
	if v.Type() == definitionType {
		return reflect.ValueOf(v.Interface().(Definition).mapTexts(f))
	}
	out := reflect.New(v.Type()).Elem()
	switch v.Kind() {
	case reflect.String:
		out.SetString(f(v.String()))
	case reflect.Pointer:
		if !v.IsNil() {
			out.Set(reflect.New(v.Type().Elem()))
			out.Elem().Set(mapTexts(v.Elem(), f))
		}
	case reflect.Slice:
		out.Set(reflect.MakeSlice(v.Type(), v.Len(), v.Len()))
		for i := range v.Len() {
			out.Index(i).Set(mapTexts(v.Index(i), f))
		}
	case reflect.Map:
		out.Set(reflect.MakeMapWithSize(v.Type(), v.Len()))
		for it := v.MapRange(); it.Next(); {
			out.SetMapIndex(it.Key(), mapTexts(it.Value(), f)) // keys have no variables
		}
	case reflect.Struct:
		out.Set(v) // also what is not a key of the file
		if v.Type() == secretType {
			break
		}
		for _, field := range fieldsOf(v.Type()) {
			out.FieldByIndex(field.index).Set(mapTexts(v.FieldByIndex(field.index), f))
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
