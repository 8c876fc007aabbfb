// Package publicapi asks Segment's Public API (docs.segmentapis.com) for what
// it takes to connect a workspace: it lists sources, and makes a source or a
// webhook destination.
//
// Contract:
//   - A token goes to Segment's own hosts only, over TLS, and is in no error.
//   - Nothing is tried twice: a request that makes something may have made it.
//   - What Segment answers is bounded and never followed elsewhere.
package publicapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Regions are where workspaces are kept, and their hosts. No other is asked.
var Regions = map[string]string{
	"us": "https://api.segmentapis.com",
	"eu": "https://eu1.api.segmentapis.com",
}

// Client asks on behalf of one token, for as long as one person waits.
type Client struct {
	base, token string
	http        *http.Client
}

// New is a client for a region of Regions.
func New(region, token string) (*Client, error) {
	base, ok := Regions[region]
	if !ok {
		return nil, fmt.Errorf("there is no region %q; a workspace is in us or eu", region)
	}
	return NewAt(base, token), nil
}

// NewAt is a client for a fake at an address of its own.
func NewAt(base, token string) *Client {
	return &Client{base: base, token: strings.TrimSpace(token), http: &http.Client{
		Timeout:       20 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Error is a refusal of Segment's.
type Error struct {
	Status  int
	Message string        // of Segment, joined
	Wait    time.Duration // until a limit is lifted; 0: not told
}

// Error says what a person can do.
func (e *Error) Error() string {
	switch {
	case e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden:
		return "Segment does not accept the token. It must be a Public API token of the workspace, of its region, with a role that may edit it."
	case e.Status == http.StatusTooManyRequests:
		return fmt.Sprintf("Segment takes no more requests for now. Try again in %s.", max(e.Wait, time.Second).Round(time.Second))
	case e.Message != "":
		return fmt.Sprintf("Segment answered %d: %s", e.Status, e.Message)
	}
	return fmt.Sprintf("Segment answered %d.", e.Status)
}

// Source is a source of the workspace.
type Source struct {
	ID        string   `json:"id"`
	Slug      string   `json:"slug"`
	Name      string   `json:"name"`
	WriteKeys []string `json:"writeKeys"`
}

// Title is what a person knows it by.
func (s Source) Title() string {
	if s.Name != "" {
		return s.Name
	}
	return s.Slug
}

// Kind is an entry of Segment's catalog.
type Kind struct {
	ID      string `json:"id"`
	Slug    string `json:"slug"`
	Name    string `json:"name"`
	Actions []struct {
		ID   string `json:"id"`
		Slug string `json:"slug"`
		Name string `json:"name"`
	} `json:"actions"`
}

// Workspace is the name of the token's workspace.
func (c *Client) Workspace(ctx context.Context) (string, error) {
	var data struct {
		Workspace struct{ Name string } `json:"workspace"`
	}
	err := c.ask(ctx, http.MethodGet, "/", nil, &data)
	return data.Workspace.Name, err
}

// Bounds of lists: a workspace has fewer sources, the catalog fewer entries.
const (
	pageSize = 200
	maxPages = 20
)

// Sources lists the workspace's sources.
func (c *Client) Sources(ctx context.Context) ([]Source, error) {
	return pages[Source](ctx, c, "/sources", "sources", nil)
}

// SourceKind finds a kind of source in the catalog by its slug.
func (c *Client) SourceKind(ctx context.Context, slug string) (Kind, error) {
	return c.kind(ctx, "/catalog/sources", "sourcesCatalog", slug)
}

// DestinationKind finds a kind of destination in the catalog by its slug.
func (c *Client) DestinationKind(ctx context.Context, slug string) (Kind, error) {
	return c.kind(ctx, "/catalog/destinations", "destinationsCatalog", slug)
}

func (c *Client) kind(ctx context.Context, path, field, slug string) (Kind, error) {
	found, err := pages(ctx, c, path, field, func(k Kind) bool { return k.Slug == slug })
	if err != nil {
		return Kind{}, err
	}
	if len(found) == 0 {
		return Kind{}, fmt.Errorf("the catalog of Segment has no %q for this workspace; set it up by hand instead", slug)
	}
	return found[0], nil
}

// pages reads a list page by page. With wanted it ends at the first item that
// is, and gives that one.
func pages[T any](ctx context.Context, c *Client, path, field string, wanted func(T) bool) ([]T, error) {
	var all []T
	cursor := ""
	for range maxPages {
		query := url.Values{"pagination.count": {strconv.Itoa(pageSize)}}
		if cursor != "" {
			query.Set("pagination.cursor", cursor)
		}
		var data map[string]json.RawMessage
		if err := c.ask(ctx, http.MethodGet, path+"?"+query.Encode(), nil, &data); err != nil {
			return nil, err
		}
		var items []T
		var page struct {
			Next string `json:"next"`
		}
		if err := errors.Join(json.Unmarshal(data[field], &items), json.Unmarshal(data["pagination"], &page)); err != nil {
			return nil, fmt.Errorf("the list %s of Segment cannot be read: %w", path, err)
		}
		for _, item := range items {
			if wanted != nil && wanted(item) {
				return []T{item}, nil
			}
		}
		if wanted == nil {
			all = append(all, items...)
		}
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	return all, nil
}

// Request is one request that makes something, as a person can look at it
// before it is made.
type Request struct {
	Method, Path string
	Body         any
}

// CreateSource makes a source of a kind. Its slug must be new in the workspace.
func CreateSource(slug string, kind Kind) Request {
	return Request{http.MethodPost, "/sources", map[string]any{"slug": slug, "enabled": true, "metadataId": kind.ID}}
}

// CreateDestination makes a destination of a kind behind a source.
func CreateDestination(source, name string, kind Kind) Request {
	return Request{http.MethodPost, "/destinations", map[string]any{
		"sourceId": source, "metadataId": kind.ID, "name": name, "enabled": true, "settings": map[string]any{},
	}}
}

// CreateWebhook makes the subscription of a webhook destination that sends
// every call to a URL. authorization is what goes into that header.
func CreateWebhook(destination, action, to, authorization string) Request {
	return Request{http.MethodPost, "/destinations/" + url.PathEscape(destination) + "/subscriptions", map[string]any{
		"name": "Send every call to Causeway", "actionId": action, "enabled": true,
		"trigger": `type = "identify" or type = "group" or type = "track" or type = "page" or type = "screen"`,
		"settings": map[string]any{
			"url": to, "method": "POST", "headers": map[string]any{"Authorization": authorization}, "data": map[string]any{"@path": "$."},
		},
	}}
}

// MakeSource sends a CreateSource.
func (c *Client) MakeSource(ctx context.Context, r Request) (Source, error) {
	var data struct{ Source Source }
	err := c.ask(ctx, r.Method, r.Path, r.Body, &data)
	return data.Source, err
}

// MakeDestination sends a CreateDestination and returns the new one's id.
func (c *Client) MakeDestination(ctx context.Context, r Request) (string, error) {
	var data struct{ Destination struct{ ID string } }
	err := c.ask(ctx, r.Method, r.Path, r.Body, &data)
	return data.Destination.ID, err
}

// MakeWebhook sends a CreateWebhook.
func (c *Client) MakeWebhook(ctx context.Context, r Request) error {
	return c.ask(ctx, r.Method, r.Path, r.Body, &struct{}{})
}

// maxAnswer bounds what is read of an answer, in bytes. A page of the catalog
// is the largest.
const maxAnswer = 16 << 20

// ask sends one request and reads the data of its answer.
func (c *Client) ask(ctx context.Context, method, path string, body, data any) error {
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return err
		}
	}
	request, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+c.token)
	request.Header.Set("Accept", "application/json")
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := c.http.Do(request)
	if err != nil {
		var wrapped *url.Error
		if errors.As(err, &wrapped) {
			err = wrapped.Err
		}
		return fmt.Errorf("ask Segment's Public API: %w", err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("read the answer of Segment's Public API: %w", err)
	}
	if response.StatusCode/100 != 2 {
		return refusal(response.StatusCode, answer)
	}
	envelope := struct{ Data any }{data}
	if err := json.Unmarshal(answer, &envelope); err != nil {
		return fmt.Errorf("the answer of Segment's Public API cannot be read: %w", err)
	}
	return nil
}

// refusal reads the envelope of an error (docs.segmentapis.com: Error Handling,
// Rate Limits).
func refusal(status int, answer []byte) *Error {
	e := &Error{Status: status}
	var envelope struct {
		Errors []struct {
			Message string
			Field   string
			Data    struct {
				MsBeforeNext int64 `json:"msBeforeNext"`
			}
		}
	}
	if json.Unmarshal(answer, &envelope) == nil {
		var messages []string
		for _, one := range envelope.Errors {
			messages = append(messages, one.Message)
			e.Wait = max(e.Wait, time.Duration(one.Data.MsBeforeNext)*time.Millisecond)
		}
		e.Message = strings.Join(messages, "; ")
	}
	return e
}
