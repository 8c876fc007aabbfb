package segmenttest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// PublicAPI is a strict fake of the part of Segment's Public API that connects
// a workspace (docs.segmentapis.com): authentication, envelopes, pagination,
// validation and rate limits are as documented.
type PublicAPI struct {
	token string

	mu            sync.Mutex
	left          int // requests until the limit; below 0: no limit
	sources       []map[string]any
	Destinations  []map[string]any
	Subscriptions []map[string]any
	FailNext      int // answer the next request that makes something with this status
}

// NewPublicAPI takes the one token that is good, and how many requests may
// come before the limit; below 0, any number.
func NewPublicAPI(token string, requests int) *PublicAPI {
	return &PublicAPI{token: token, left: requests, sources: []map[string]any{
		{"id": "source-1", "slug": "website", "name": "Website", "enabled": true, "writeKeys": []string{"wk-website"}},
		{"id": "source-2", "slug": "ios", "name": "iOS <b>app</b>", "enabled": true, "writeKeys": []string{"wk-ios"}},
		{"id": "source-3", "slug": "server", "name": "", "enabled": false, "writeKeys": []string{}},
	}}
}

// Sources are those of the workspace.
func (p *PublicAPI) Sources() []map[string]any {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.sources)
}

// What the fake's catalog has.
const (
	HTTPAPIKind = "metadata-http-api"
	WebhookKind = "metadata-actions-webhook"
	SendAction  = "action-send"
)

func (p *PublicAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r.Header.Get("Authorization") != "Bearer "+p.token {
		fail(w, http.StatusUnauthorized, "unauthorized", "Unauthorized", "")
		return
	}
	if p.left == 0 {
		answerJSON(w, http.StatusTooManyRequests, map[string]any{"errors": []any{map[string]any{
			"type": "RequestError", "message": "Too many requests", "data": map[string]any{"remainingPoints": 0, "msBeforeNext": 57647, "consumedPoints": 21},
		}}})
		return
	}
	p.left--
	w.Header().Set("X-RateLimit-Remaining", strconv.Itoa(max(p.left, 0)))
	switch path := r.Method + " " + r.URL.Path; {
	case path == "GET /":
		succeed(w, http.StatusOK, map[string]any{"workspace": map[string]any{"id": "workspace-1", "slug": "shop", "name": "Shop <workspace>"}})
	case path == "GET /sources":
		paged(w, r, "sources", p.sources)
	case path == "GET /catalog/sources":
		paged(w, r, "sourcesCatalog", []map[string]any{
			{"id": "metadata-js", "slug": "javascript", "name": "Javascript"}, {"id": HTTPAPIKind, "slug": "http-api", "name": "HTTP API"},
		})
	case path == "GET /catalog/destinations":
		paged(w, r, "destinationsCatalog", []map[string]any{
			{"id": "metadata-amplitude", "slug": "amplitude", "name": "Amplitude", "actions": []any{}},
			{"id": WebhookKind, "slug": "actions-webhook", "name": "Webhooks (Actions)", "actions": []any{map[string]any{"id": SendAction, "slug": "send", "name": "Send"}}},
		})
	case r.Method == http.MethodPost:
		p.create(w, r)
	default:
		fail(w, http.StatusNotFound, "not-found", "Not found", "")
	}
}

func (p *PublicAPI) create(w http.ResponseWriter, r *http.Request) {
	if status := p.FailNext; status != 0 {
		p.FailNext = 0
		fail(w, status, "server-error", "it did not work", "")
		return
	}
	var body map[string]any
	if !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") || json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&body) != nil {
		fail(w, http.StatusUnprocessableEntity, "input-validation", "the body is no JSON object", "")
		return
	}
	parent, id := "", ""
	if rest, ok := strings.CutPrefix(r.URL.Path, "/destinations/"); ok {
		id, parent, _ = strings.Cut(rest, "/")
	}
	switch {
	case r.URL.Path == "/sources":
		if !requires(w, body, map[string]any{"slug": "", "enabled": true, "metadataId": ""}, "settings") {
			return
		}
		if slices.ContainsFunc(p.sources, func(s map[string]any) bool { return s["slug"] == body["slug"] }) {
			fail(w, http.StatusConflict, "conflict", "a source with this slug is there already", "slug")
			return
		}
		body["id"], body["name"] = fmt.Sprintf("source-%d", len(p.sources)+1), body["slug"]
		body["writeKeys"] = []string{fmt.Sprintf("wk-of-%s", body["slug"])}
		p.sources = append(p.sources, body)
		succeed(w, http.StatusCreated, map[string]any{"source": body})
	case r.URL.Path == "/destinations":
		if !requires(w, body, map[string]any{"sourceId": "", "metadataId": "", "settings": map[string]any{}}, "name", "enabled") {
			return
		}
		if !slices.ContainsFunc(p.sources, func(s map[string]any) bool { return s["id"] == body["sourceId"] }) {
			fail(w, http.StatusNotFound, "not-found", "the source is not there", "sourceId")
			return
		}
		body["id"] = fmt.Sprintf("destination-%d", len(p.Destinations)+1)
		p.Destinations = append(p.Destinations, body)
		succeed(w, http.StatusOK, map[string]any{"destination": body})
	case parent == "subscriptions":
		if !slices.ContainsFunc(p.Destinations, func(d map[string]any) bool { return d["id"] == id }) {
			fail(w, http.StatusNotFound, "not-found", "the destination is not there", "")
			return
		}
		if !requires(w, body, map[string]any{"name": "", "actionId": "", "trigger": "", "enabled": true}, "settings") {
			return
		}
		body["destinationId"] = id
		p.Subscriptions = append(p.Subscriptions, body)
		succeed(w, http.StatusOK, map[string]any{"destinationSubscription": body})
	default:
		fail(w, http.StatusNotFound, "not-found", "Not found", "")
	}
}

// requires checks that a body has fields of these kinds and no others but the
// optional ones.
func requires(w http.ResponseWriter, body, fields map[string]any, optional ...string) bool {
	for name, kind := range fields {
		value, ok := body[name]
		text, isText := value.(string)
		if !ok || fmt.Sprintf("%T", value) != fmt.Sprintf("%T", kind) || isText && text == "" {
			fail(w, http.StatusUnprocessableEntity, "input-validation", fmt.Sprintf("%q is required", name), name)
			return false
		}
	}
	for name := range body {
		if _, ok := fields[name]; !ok && !slices.Contains(optional, name) {
			fail(w, http.StatusUnprocessableEntity, "input-validation", fmt.Sprintf("%q is not allowed", name), name)
			return false
		}
	}
	return true
}

// paged answers a page of a list; the parameters are required, as for most lists there.
func paged(w http.ResponseWriter, r *http.Request, field string, items []map[string]any) {
	count, err := strconv.Atoi(r.URL.Query().Get("pagination.count"))
	if err != nil || count < 1 || count > 200 {
		fail(w, http.StatusUnprocessableEntity, "input-validation", `"pagination.count" is required`, "pagination.count")
		return
	}
	from := 0
	if cursor := r.URL.Query().Get("pagination.cursor"); cursor != "" {
		text, undecoded := base64.StdEncoding.DecodeString(cursor)
		if from, err = strconv.Atoi(string(text)); undecoded != nil || err != nil || from < 0 || from > len(items) {
			fail(w, http.StatusUnprocessableEntity, "input-validation", `"pagination.cursor" is not valid`, "pagination.cursor")
			return
		}
	}
	count = min(count, 2) // so that a client has to turn pages
	page := map[string]any{"current": base64.StdEncoding.EncodeToString([]byte(strconv.Itoa(from))), "totalEntries": len(items)}
	to := min(from+count, len(items))
	if to < len(items) {
		page["next"] = base64.StdEncoding.EncodeToString([]byte(strconv.Itoa(to)))
	}
	succeed(w, http.StatusOK, map[string]any{field: items[from:to], "pagination": page})
}

func succeed(w http.ResponseWriter, status int, data any) {
	answerJSON(w, status, map[string]any{"data": data})
}

func fail(w http.ResponseWriter, status int, kind, message, field string) {
	one := map[string]any{"type": kind, "message": message}
	if field != "" {
		one["field"] = field
	}
	answerJSON(w, status, map[string]any{"errors": []any{one}})
}

func answerJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // who left hears nothing
}
