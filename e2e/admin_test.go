package e2e

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"
)

// What the admin API says, field by field.
type (
	event struct {
		Environment, TrafficType, Key, EventType string
		Value                                    *float64
		Time                                     time.Time
		Properties                               map[string]any
		Source, ForeignID, Configuration         string
	}
	attribute struct {
		Value     string
		Cut       bool
		MessageID string
	}
	call struct {
		Environment, Configuration, Route, Scheme, MessageID, Type, Name, Outcome string
		Reasons                                                                   []struct{ Code string }
		Events, Attributes                                                        int
	}
	impression struct {
		Flag, Key, BucketingKey, Treatment, Label string
		ChangeNumber                              int64
		Time                                      time.Time
		TrafficType, SDK, SDKVersion              string
		MachineName, MachineIP                    string
		Properties                                string
	}
	flagTotals struct {
		Flag, TrafficType                    string
		Impressions, Evaluations, UniqueKeys int
	}
)

const environmentPath = "/admin/v1/projects/shop/environments/production"

// get asks the admin API and decodes the answer.
func (s *server) get(path string, query url.Values, answer any) error {
	request, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.URL+path+"?"+query.Encode(), nil)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+adminToken)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s %s", path, response.Status, body)
	}
	return json.Unmarshal(body, answer)
}

// list reads every page of a list.
func list[T any](s *server, path string, query url.Values) ([]T, error) {
	if query == nil {
		query = url.Values{}
	}
	query.Set("limit", "500")
	var items []T
	for {
		var page struct {
			Items      []T
			NextCursor string
		}
		if err := s.get(path, query, &page); err != nil {
			return nil, err
		}
		items = append(items, page.Items...)
		if page.NextCursor == "" {
			return items, nil
		}
		query.Set("cursor", page.NextCursor)
	}
}

// waitForCalls returns once the calls with these messageIds are decided, in
// that order, each once (repeats are rows of outcome "duplicate").
func (s *server) waitForCalls(messageIDs []string) []call {
	s.t.Helper()
	var decided []call
	s.eventually("every call is decided", func() error {
		all, err := list[call](s, environmentPath+"/calls", nil)
		if err != nil {
			return err
		}
		decided = decided[:0]
		for _, id := range messageIDs {
			i := slices.IndexFunc(all, func(c call) bool { return c.MessageID == id && c.Outcome != "duplicate" })
			if i < 0 {
				return fmt.Errorf("nothing is known of %q among %d calls", id, len(all))
			}
			decided = append(decided, all[i])
		}
		return nil
	})
	return decided
}

// events returns all events, in an order that does not depend on when they came.
func (s *server) events() []event {
	s.t.Helper()
	all, err := list[event](s, environmentPath+"/events", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	slices.SortFunc(all, func(a, b event) int {
		return cmp.Or(cmp.Compare(a.EventType, b.EventType), cmp.Compare(a.TrafficType, b.TrafficType), cmp.Compare(a.Key, b.Key), cmp.Compare(a.ForeignID, b.ForeignID))
	})
	return all
}

// attributes returns the values of a customer; none when nobody knows it.
func (s *server) attributes(trafficType, key string) map[string]attribute {
	s.t.Helper()
	var customer struct{ Attributes map[string]attribute }
	if err := s.get(environmentPath+"/customers/"+url.PathEscape(trafficType)+"/"+url.PathEscape(key), nil, &customer); err != nil {
		s.t.Fatal(err)
	}
	return customer.Attributes
}

// impressions returns all impressions, in an order that does not depend on
// when they came.
func (s *server) impressions() ([]impression, error) {
	all, err := list[impression](s, environmentPath+"/impressions", nil)
	slices.SortFunc(all, func(a, b impression) int {
		return cmp.Or(cmp.Compare(a.Flag, b.Flag), cmp.Compare(a.Key, b.Key), a.Time.Compare(b.Time))
	})
	return all, err
}

// flagTotals returns the sums of a flag.
func (s *server) flagTotals(flag string) (flagTotals, error) {
	all, err := list1[flagTotals](s, environmentPath+"/flags")
	if err != nil {
		return flagTotals{}, err
	}
	i := slices.IndexFunc(all, func(f flagTotals) bool { return f.Flag == flag })
	if i < 0 {
		return flagTotals{}, fmt.Errorf("nothing is known of flag %q", flag)
	}
	return all[i], nil
}

// list1 reads a list that comes whole.
func list1[T any](s *server, path string) ([]T, error) {
	var answer struct{ Items []T }
	err := s.get(path, nil, &answer)
	return answer.Items, err
}

// noViolations fails the test when something was sent to Segment that a
// careful sender would not send.
func noViolations(t *testing.T, violations []string) {
	t.Helper()
	for _, v := range violations {
		t.Errorf("the fake Segment complains: %s", v)
	}
}
