package main

import (
	"testing"

	"github.com/alecthomas/kong"

	"causeway/internal/web"
)

func TestSettingsSayWhereTheyComeFromAndShowNoSecrets(t *testing.T) {
	t.Setenv("CAUSEWAY_LISTEN", "127.0.0.1:7777")
	t.Setenv("CAUSEWAY_MASTER_KEY", "a-master-key")
	t.Setenv("CAUSEWAY_STORE_MEMORY", "1GiB")
	environ := func(name string) (string, bool) {
		value, ok := map[string]string{"CAUSEWAY_LISTEN": "", "CAUSEWAY_MASTER_KEY": "", "CAUSEWAY_STORE_MEMORY": "", "CAUSEWAY_DATA": ""}[name]
		return value, ok
	}
	var verbs commands
	parser, err := kong.New(&verbs, kong.Name("causeway"))
	if err != nil {
		t.Fatal(err)
	}
	verb, err := parser.Parse([]string{"serve", "--data", "/data", "--admin-token=a-token-of-somebody", "--tls-key", "/key.pem", "--nats-url", "nats://me:word@a:4222,nats://b:4222"})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]web.Setting{}
	for _, s := range settingsOf(verb, environ) {
		if s.Help == "" {
			t.Errorf("%s has no help", s.Name)
		}
		got[s.Name] = s
	}
	for name, want := range map[string][2]string{
		"--data":           {"/data", "flag"}, // though the variable is set too
		"--listen":         {"127.0.0.1:7777", "environment variable CAUSEWAY_LISTEN"},
		"--admin-token":    {"[secret]", "flag"},
		"--master-key":     {"[secret]", "environment variable CAUSEWAY_MASTER_KEY"},
		"--tls-key":        {"/key.pem", "flag"},
		"--nats-url":       {"nats://[secret]@a:4222,nats://b:4222", "flag"},
		"--keep-events":    {"2160h", "default"},
		"--min-free-disk":  {"512MiB", "default"},
		"--behind-tls":     {"false", "default"},
		"--admin-listen":   {"", "default"},
		"--store-memory":   {"1073741824", "environment variable CAUSEWAY_STORE_MEMORY"},
		"--pprof":          {"", ""}, // hidden
		"--oidc-no-secret": {"", ""}, // there is no such flag
	} {
		if s := got[name]; s.Value != want[0] || s.From != want[1] {
			t.Errorf("%s is %q from %q, want %q", name, s.Value, s.From, want)
		}
	}
}
