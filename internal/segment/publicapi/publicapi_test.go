package publicapi_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"causeway/internal/segment/publicapi"
	"causeway/internal/segment/segmenttest"
)

func fake(t *testing.T, requests int) (*segmenttest.PublicAPI, string) {
	t.Helper()
	api := segmenttest.NewPublicAPI("good-token", requests)
	server := httptest.NewServer(api)
	t.Cleanup(server.Close)
	return api, server.URL
}

func TestAWorkspaceIsConnected(t *testing.T) {
	api, base := fake(t, -1)
	c, ctx := publicapi.NewAt(base, " good-token\n"), t.Context()
	if name, err := c.Workspace(ctx); err != nil || name != "Shop <workspace>" {
		t.Errorf("%q %v", name, err)
	}
	sources, err := c.Sources(ctx)
	if err != nil || len(sources) != 3 || sources[2].Title() != "server" {
		t.Fatalf("%+v %v", sources, err)
	}
	kind, err := c.SourceKind(ctx, "http-api")
	if err != nil || kind.ID != segmenttest.HTTPAPIKind {
		t.Fatalf("%+v %v", kind, err)
	}
	source, err := c.MakeSource(ctx, publicapi.CreateSource("causeway", kind))
	if err != nil || len(source.WriteKeys) != 1 {
		t.Fatalf("%+v %v", source, err)
	}
	webhook, err := c.DestinationKind(ctx, "actions-webhook")
	if err != nil || len(webhook.Actions) != 1 {
		t.Fatalf("%+v %v", webhook, err)
	}
	destination, err := c.MakeDestination(ctx, publicapi.CreateDestination(source.ID, "Causeway", webhook))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.MakeWebhook(ctx, publicapi.CreateWebhook(destination, webhook.Actions[0].ID, "https://x.example/segment/webhook/in", "secret")); err != nil {
		t.Fatal(err)
	}
	settings := api.Subscriptions[0]["settings"].(map[string]any)
	if api.Subscriptions[0]["destinationId"] != destination || settings["headers"].(map[string]any)["Authorization"] != "secret" || settings["method"] != "POST" {
		t.Errorf("%+v", api.Subscriptions)
	}
}

func TestRefusalsAreSentencesWithoutTheToken(t *testing.T) {
	_, base := fake(t, 2)
	ctx := t.Context()
	_, err := publicapi.NewAt(base, "bad-token").Sources(ctx)
	if err == nil || !strings.Contains(err.Error(), "does not accept the token") || strings.Contains(err.Error(), "bad-token") {
		t.Errorf("%v", err)
	}
	c := publicapi.NewAt(base, "good-token")
	if _, err := c.DestinationKind(ctx, "none"); err == nil || !strings.Contains(err.Error(), `no "none"`) {
		t.Errorf("%v", err)
	}
	if _, err := c.MakeSource(ctx, publicapi.Request{Method: "POST", Path: "/sources", Body: map[string]any{"slug": ""}}); err == nil || !strings.Contains(err.Error(), "is required") {
		t.Errorf("%v", err)
	}
	var refused *publicapi.Error
	if _, err := c.Workspace(ctx); !errors.As(err, &refused) || !strings.Contains(err.Error(), "Try again in 58s") {
		t.Errorf("%v", err)
	}
	if _, err := publicapi.New("moon", "x"); err == nil || !strings.Contains(err.Error(), "us or eu") {
		t.Errorf("%v", err)
	}
	for _, base := range publicapi.Regions {
		if !strings.HasPrefix(base, "https://") || !strings.HasSuffix(base, ".segmentapis.com") {
			t.Errorf("the token would go to %s", base)
		}
	}
}

func TestATokenIsNotCarriedElsewhere(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("the token went to %s", r.Host) }))
	defer elsewhere.Close()
	server := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusTemporaryRedirect))
	defer server.Close()
	if _, err := publicapi.NewAt(server.URL, "good-token").Workspace(t.Context()); err == nil || !strings.Contains(err.Error(), "307") {
		t.Errorf("%v", err)
	}
	broken := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }))
	defer broken.Close()
	if _, err := publicapi.NewAt(broken.URL, "good-token").Sources(t.Context()); err == nil || !strings.Contains(err.Error(), "cannot be read") {
		t.Errorf("%v", err)
	}
	if _, err := publicapi.NewAt("http://127.0.0.1:1", "good-token").Sources(t.Context()); err == nil || strings.Contains(err.Error(), "good-token") {
		t.Errorf("%v", err)
	}
}
