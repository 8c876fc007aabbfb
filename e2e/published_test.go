package e2e

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"math"
	"net/http"
	"testing"
	"time"
)

// A published experiment with users by the hundred thousand: how many were
// shown each treatment, and how many of them did what the metrics count.
type published struct {
	flag, baseline, treatment string
	users                     [2]int
	did                       map[string][2]int // by event
}

var publishedExperiments = []published{
	// Udacity's landing page (ab_data.csv, cleaned).
	{"landing_page", "old_page", "new_page", [2]int{145274, 145310}, map[string][2]int{"converted": {17489, 17264}}},
	// Cookie Cats: the gate at level 30 or 40, players who came back.
	{"gate", "gate_30", "gate_40", [2]int{44700, 45489}, map[string][2]int{"retention_1": {20034, 20119}, "retention_7": {8502, 8279}}},
}

// sender posts what a Split SDK and Segment's libraries would, in batches.
type sender struct {
	s           *server
	flag        string
	impressions bytes.Buffer
	calls       bytes.Buffer
}

func (p *sender) impression(key, treatment string, at time.Time) {
	separate(&p.impressions)
	fmt.Fprintf(&p.impressions, `{"k":%q,"t":%q,"m":%d,"c":1,"r":"default rule"}`, key, treatment, at.UnixMilli())
	p.flush(256 << 10)
}

func (p *sender) track(key, event string, at time.Time) {
	separate(&p.calls)
	fmt.Fprintf(&p.calls, `{"type":"track","messageId":"%s-%s","userId":%q,"event":%q,"timestamp":%q}`, event, key, key, event, at.Format(time.RFC3339))
	p.flush(256 << 10)
}

func separate(b *bytes.Buffer) {
	if b.Len() > 0 {
		b.WriteByte(',')
	}
}

// flush sends what is longer than enough.
func (p *sender) flush(enough int) {
	p.s.t.Helper()
	if p.impressions.Len() > enough {
		p.post("/api/testImpressions/bulk", `[{"f":"`+p.flag+`","i":[`, &p.impressions, `]}]`)
	}
	if p.calls.Len() > enough {
		p.post("/v1/batch", `{"writeKey":"`+writeKey+`","batch":[`, &p.calls, `]}`)
	}
}

// post sends a body until it is taken: a full server says to wait.
func (p *sender) post(path, before string, items *bytes.Buffer, after string) {
	p.s.t.Helper()
	var body bytes.Buffer
	zipped := gzip.NewWriter(&body)
	_, _ = io.WriteString(zipped, before+items.String()+after) // into memory
	_ = zipped.Close()
	items.Reset()
	p.s.eventually(path+" takes a batch", func() error {
		request, err := http.NewRequestWithContext(p.s.t.Context(), http.MethodPost, p.s.URL+path, bytes.NewReader(body.Bytes()))
		if err != nil {
			return err
		}
		request.Header.Set("Content-Encoding", "gzip")
		request.Header.Set("Authorization", "Bearer "+serverKey)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		answer, _ := io.ReadAll(response.Body)
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("%s: %s", response.Status, answer)
		}
		return nil
	})
}

// publishedConfiguration measures the published experiments.
func publishedConfiguration(begun time.Time) string {
	flags, metrics, experiments := "", "", ""
	for _, p := range publishedExperiments {
		flags += fmt.Sprintf("      - {name: %s, trafficType: user, treatments: [%s, %s], rollout: {%s: 50, %s: 50}}\n", p.flag, p.baseline, p.treatment, p.baseline, p.treatment)
		key := ""
		for event := range p.did {
			metrics += fmt.Sprintf("      - {name: %s, trafficType: user, type: percent, event: {eventType: %s}}\n", event, event)
			key += event + ", "
		}
		experiments += fmt.Sprintf("      - {name: %s, flag: %s, environment: production, baseline: %s, start: %q, metrics: {key: [%s]}}\n", p.flag, p.flag, p.baseline, begun.Format(time.RFC3339), key)
	}
	return `projects:
  - name: shop
    trafficTypes: [user]
    environments:
      - {name: production, sdkKeys: [{name: backend, type: server_side, key: ` + serverKey + `}]}
    flags:
` + flags + "    metrics:\n" + metrics + "    experiments:\n" + experiments + `    segment:
      destinations:
        - {name: prod-events, environment: production, identities: {userId: [user]}, apiKey: ` + writeKey + `}
`
}

// results is what of an experiment's results is compared.
type results struct {
	ComputedAt time.Time
	Health     struct {
		SampleRatios []struct {
			State   string
			Chi2, P float64
		}
	}
	Groups []struct {
		Metrics []struct {
			Metric string
			Arms   []struct {
				N     int
				Total float64
			}
			Cards []struct {
				State     string
				Diff, P   float64
				CI        struct{ Low, High float64 }
				Statistic float64
			}
		}
	}
}

// TestPublishedExperimentsComeOut sends 380,773 impressions and 91,687 calls
// through the real routes and wants the published figures on the cards.
func TestPublishedExperimentsComeOut(t *testing.T) {
	begun := time.Now().Add(-48 * time.Hour).UTC().Truncate(time.Second)
	s := startServer(t, publishedConfiguration(begun))
	started := time.Now()
	users, calls := 0, 0
	for _, p := range publishedExperiments {
		send := &sender{s: s, flag: p.flag}
		for arm, treatment := range []string{p.baseline, p.treatment} {
			users += p.users[arm]
			for i := range p.users[arm] {
				key := fmt.Sprintf("%s-%d", treatment, i)
				send.impression(key, treatment, begun.Add(time.Hour))
				for event, did := range p.did {
					if i < did[arm] {
						calls++
						send.track(key, event, begun.Add(2*time.Hour))
					}
				}
			}
		}
		send.flush(0)
	}
	sent := time.Since(started)
	waitForAll(s, users, calls)
	t.Logf("%d impressions and %d calls: sent in %v, stored after %v", users, calls, sent.Round(time.Millisecond), time.Since(started).Round(time.Millisecond))

	landing, gate := s.results(publishedExperiments[0].flag), s.results(publishedExperiments[1].flag)
	for _, c := range []struct {
		r           results
		metric      string
		state       string
		p, pWithin  float64
		low, high   float64
		ciWithin    float64 // 0: none was published
		totals, ofs [2]int
	}{
		// The published p is that of the pooled z-test: 0.18988.
		{landing, "converted", "inconclusive", 0.18988, 1e-5, 0, 0, 0, [2]int{17489, 17264}, [2]int{145274, 145310}},
		{gate, "retention_7", "undesired", 0.0016, 5e-5, -0.0133, -0.0031, 5e-5, [2]int{8502, 8279}, [2]int{44700, 45489}},
		{gate, "retention_1", "inconclusive", 0.07441, 1e-5, 0, 0, 0, [2]int{20034, 20119}, [2]int{44700, 45489}},
	} {
		found := false
		for _, m := range c.r.Groups[0].Metrics {
			if m.Metric != c.metric {
				continue
			}
			found = true
			card := m.Cards[0]
			t.Logf("%s: %s, p %.6f (published %v), interval %.5f to %.5f", c.metric, card.State, card.P, c.p, card.CI.Low, card.CI.High)
			if card.State != c.state || math.Abs(card.P-c.p) > c.pWithin {
				t.Errorf("%s: %s, p %v; published %v", c.metric, card.State, card.P, c.p)
			}
			if c.ciWithin > 0 && (math.Abs(card.CI.Low-c.low) > c.ciWithin || math.Abs(card.CI.High-c.high) > c.ciWithin) {
				t.Errorf("%s: interval %v, published %v to %v", c.metric, card.CI, c.low, c.high)
			}
			for i, arm := range m.Arms {
				if arm.N != c.ofs[i] || int(arm.Total) != c.totals[i] {
					t.Errorf("%s: %v of %d, sent %d of %d", c.metric, arm.Total, arm.N, c.totals[i], c.ofs[i])
				}
			}
		}
		if !found {
			t.Errorf("there is no card of %s", c.metric)
		}
	}
	ratio := gate.Health.SampleRatios[0]
	if ratio.State != "valid" || math.Abs(ratio.Chi2-6.9024) > 5e-5 || math.Abs(ratio.P-0.00861) > 5e-6 {
		t.Errorf("the sample ratio of Cookie Cats: %+v; published χ² 6.9024, p 0.00861", ratio)
	}
}

// waitForAll waits until everything that was sent is stored, as long as it
// comes nearer.
func waitForAll(s *server, impressions, calls int) {
	s.t.Helper()
	last, moved := -1, time.Now()
	for {
		var flags struct{ Items []flagTotals }
		var types struct{ Items []struct{ SevenDayCount int } }
		if err := s.get(environmentPath+"/flags", nil, &flags); err != nil {
			s.t.Fatal(err)
		}
		if err := s.get(environmentPath+"/event-types", nil, &types); err != nil {
			s.t.Fatal(err)
		}
		seen, done := 0, 0
		for _, f := range flags.Items {
			seen += f.Impressions
		}
		for _, e := range types.Items {
			done += e.SevenDayCount
		}
		if seen == impressions && done == calls {
			return
		}
		if seen+done != last {
			last, moved = seen+done, time.Now()
		}
		if time.Since(moved) > patience {
			s.t.Fatalf("%d of %d impressions and %d of %d events are stored, and no more come", seen, impressions, done, calls)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// results has an experiment computed and waits for it.
func (s *server) results(name string) results {
	s.t.Helper()
	path := "/admin/v1/projects/shop/experiments/" + name
	started := time.Now()
	var r results
	s.eventually(name+" is computed", func() error {
		request, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.URL+path+"/recalculate", nil)
		if err != nil {
			return err
		}
		request.Header.Set("Authorization", "Bearer "+adminToken)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		_ = response.Body.Close()
		for underWay := true; underWay; time.Sleep(20 * time.Millisecond) {
			var c struct{ UnderWay bool }
			if err := s.get(path+"/calculation", nil, &c); err != nil {
				return err
			}
			underWay = c.UnderWay
		}
		if err := s.get(path+"/results", nil, &r); err != nil {
			return err
		}
		if r.ComputedAt.Before(started) {
			return fmt.Errorf("it was computed at %v", r.ComputedAt)
		}
		return nil
	})
	s.t.Logf("%s was computed in %v", name, time.Since(started).Round(time.Millisecond))
	return r
}
