package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"causeway/internal/web"
)

// settingsOf lists the flags of a verb with their values and where each comes
// from. Values of secrets are not in it.
func settingsOf(verb *kong.Context, environ func(string) (string, bool)) []web.Setting {
	given := map[*kong.Flag]bool{}
	for _, step := range verb.Path {
		if step.Flag != nil {
			given[step.Flag] = true
		}
	}
	var settings []web.Setting
	for _, flag := range verb.Selected().Flags {
		if flag.Hidden || flag.Name == "help" {
			continue
		}
		one := web.Setting{Name: "--" + flag.Name, Value: fmt.Sprint(flag.Target.Interface()), From: "default", Help: flag.Help}
		switch {
		case given[flag]:
			one.From = "flag"
		default:
			for _, name := range flag.Envs {
				if _, set := environ(name); set {
					one.From = "environment variable " + name
				}
			}
		}
		if flag.HasDefault && one.From == "default" {
			one.Value = flag.Default // as people write it
		}
		if secretFlag(flag.Name) && one.Value != "" {
			one.Value = "[secret]"
		}
		one.Value = withoutUser(one.Value)
		settings = append(settings, one)
	}
	return settings
}

// withoutUser takes the user and password out of addresses, which may be several
// with commas between.
func withoutUser(value string) string {
	if !strings.Contains(value, "://") {
		return value
	}
	parts := strings.Split(value, ",")
	for i, part := range parts {
		scheme, rest, _ := strings.Cut(part, "://")
		if at := strings.LastIndexByte(rest, '@'); at >= 0 {
			parts[i] = scheme + "://[secret]" + rest[at:]
		}
	}
	return strings.Join(parts, ",")
}

// secretFlag reports whether a flag's value must not be shown. That of a file
// which holds a secret is only its name.
func secretFlag(name string) bool {
	return !strings.HasSuffix(name, "-file") && slices.ContainsFunc([]string{"token", "key", "secret", "password"}, func(word string) bool {
		return strings.HasSuffix(name, word)
	}) && name != "tls-key"
}
