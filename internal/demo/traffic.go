package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

// The credentials of the invented project. They are worth nothing outside it.
const (
	DestinationKey = "demo-destination-key"
	WebhookSecret  = "demo-webhook-secret"
	SDKKey         = "demo-sdk-key"
	StagingSDKKey  = "demo-staging-sdk-key"
)

// Configuration is the shop's configuration file as of a time; endpoint is
// where its Segment lives.
func Configuration(endpoint string, now time.Time) string {
	return fmt.Sprintf(`projects:
  - name: shop
    trafficTypes: [user, anonymous, account]
    environments:
      - name: production
        sdkKeys:
          - {name: backend, type: server_side, key: %[2]s}
      - name: staging
        sdkKeys:
          - {name: backend, type: server_side, key: %[3]s}
    flags:
      - {name: checkout_button, trafficType: user, rollout: {on: 50, off: 50}}
      - {name: hero_banner, trafficType: anonymous, treatments: [large, small], rollout: {large: 50, small: 50}}
    segments:
      - {name: beta_testers, keys: [user-0001, user-0002, user-0003]}
    metrics:
      - {name: Order rate, description: "People who order at all.", trafficType: user, type: percent, event: {eventType: Order_Completed}}
      - {name: Revenue of an order, description: "The mean value of a person's orders.", trafficType: user, type: average, event: {eventType: Order_Completed}}
      - {name: Orders per person, trafficType: user, type: count, event: {eventType: Order_Completed}}
      - {name: Product views per person, trafficType: user, type: count, event: {eventType: Product_Viewed}}
      - {name: Visitors who order, trafficType: anonymous, type: percent, event: {eventType: Order_Completed}}
    experiments:
      - name: Checkout button
        flag: checkout_button
        environment: production
        hypothesis: Who sees the new button orders more often, and no less at a time.
        baseline: "off"
        start: %[6]q
        method: sequential
        minimumSample: 100
        metrics: {key: [Order rate], guardrail: [Revenue of an order], supporting: [Orders per person, Product views per person]}
      - name: Hero banner
        flag: hero_banner
        environment: production
        hypothesis: A large banner leads more visitors to an order.
        baseline: small
        start: %[6]q
        metrics: {key: [Visitors who order]}
    segment:
      sources:
        - {name: prod-impressions, environments: [production], identities: {user: userId, anonymous: anonymousId}, writeKey: shop, endpoint: %[1]q}
        - {name: fail-429, environments: [staging], identities: {user: userId}, writeKey: fail-429, endpoint: %[1]q}
        - {name: fail-500, environments: [staging], identities: {user: userId}, writeKey: fail-500, endpoint: %[1]q}
        - {name: slow, environments: [staging], identities: {user: userId}, writeKey: slow, endpoint: %[1]q}
      destinations:
        - name: prod-events
          environment: production
          identities: {userId: [user], anonymousId: [anonymous]}
          track: {eventType: event, value: properties.revenue}
          apiKey: %[4]s
          webhook: {secret: %[5]s}
`, endpoint, SDKKey, StagingSDKKey, DestinationKey, WebhookSecret, start(now).Format(time.RFC3339))
}

// Sender sends the shop's traffic to a server, through its data routes.
type Sender struct {
	Address string // http://host:port
	Client  *http.Client

	// versions are the change numbers of the flags that the server gives out, by
	// SDK key and flag: impressions carry them, as an SDK's do.
	versions map[string]map[string]int64
	polled   time.Time
}

// pollFlags is how often the flags are fetched again.
const pollFlags = time.Minute

// version is the change number of a flag for whoever has an SDK key.
func (s *Sender) version(ctx context.Context, key, flag string) (int64, error) {
	if time.Since(s.polled) > pollFlags {
		s.versions, s.polled = map[string]map[string]int64{}, time.Now()
	}
	if s.versions[key] == nil {
		versions, err := s.fetchVersions(ctx, key)
		if err != nil {
			return 0, err
		}
		s.versions[key] = versions
	}
	return s.versions[key][flag], nil
}

func (s *Sender) fetchVersions(ctx context.Context, key string) (map[string]int64, error) {
	const path = "/api/splitChanges"
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.Address+path+"?s=1.1&since=-1", nil)
	if err != nil {
		return nil, fmt.Errorf("fetch %s: %w", path, err)
	}
	request.Header.Set("Authorization", "Bearer "+key)
	response, err := s.Client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("fetch %s: %w", path, err)
	}
	defer response.Body.Close()
	var changes struct {
		Splits []struct {
			Name         string `json:"name"`
			ChangeNumber int64  `json:"changeNumber"`
		} `json:"splits"`
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("fetch %s: %s", path, response.Status)
	}
	if err := json.NewDecoder(response.Body).Decode(&changes); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	versions := map[string]int64{}
	for _, flag := range changes.Splits {
		versions[flag.Name] = flag.ChangeNumber
	}
	return versions, nil
}

// post sends a body and wants a 2xx.
func (s *Sender) post(ctx context.Context, path string, header map[string]string, body any) error {
	encoded, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("encode for %s: %w", path, err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.Address+path, bytes.NewReader(encoded))
	if err != nil {
		return fmt.Errorf("post to %s: %w", path, err)
	}
	request.Header.Set("Content-Type", "application/json")
	for name, value := range header {
		request.Header.Set(name, value)
	}
	response, err := s.Client.Do(request)
	if err != nil {
		return fmt.Errorf("post to %s: %w", path, err)
	}
	defer response.Body.Close()
	answer, _ := io.ReadAll(io.LimitReader(response.Body, 1<<10)) // only for the message
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("post to %s: %s: %s", path, response.Status, answer)
	}
	return nil
}

func (s *Sender) batch(ctx context.Context, calls []call) error {
	return s.post(ctx, "/v1/batch", nil, map[string]any{"writeKey": DestinationKey, "batch": calls})
}

func (s *Sender) impressions(ctx context.Context, key string, b bulk) error {
	for _, flag := range b {
		version, err := s.version(ctx, key, flag.Flag)
		if err != nil {
			return err
		}
		for i := range flag.Impressions {
			flag.Impressions[i].ChangeNumber = version
		}
	}
	return s.post(ctx, "/api/testImpressions/bulk", map[string]string{
		"Authorization": "Bearer " + key, "SplitSDKVersion": "go-6.10.0", "SplitSDKImpressionsMode": "debug",
		"SplitSDKMachineName": "shop-1", "SplitSDKMachineIP": "127.0.0.1",
	}, b)
}

// SendHistory sends the past of the shop; progress is told after each step.
func (w *World) SendHistory(ctx context.Context, s *Sender, now time.Time, progress func(done, of int)) error {
	const step = 100
	for from := 0; from < len(w.customers); from += step {
		var calls []call
		var exposures bulk
		for i := from; i < min(from+step, len(w.customers)); i++ {
			c, e := w.history(&w.customers[i], now)
			calls, exposures = append(calls, c...), append(exposures, e...)
		}
		if err := s.batch(ctx, calls); err != nil {
			return err
		}
		if err := s.impressions(ctx, SDKKey, exposures); err != nil {
			return err
		}
		progress(min(from+step, len(w.customers)), len(w.customers))
	}
	return nil
}

// Step sends one moment of live traffic: one call, now and then a broken one,
// and now and then what an SDK posts.
func (w *World) Step(ctx context.Context, s *Sender, now time.Time) error {
	c := &w.customers[w.rng.IntN(len(w.customers))]
	w.live++
	id := fmt.Sprintf("demo-live-%d-%d", now.UnixMilli(), w.live)
	if w.live%3 == 0 {
		key := SDKKey
		if w.live%30 == 0 {
			key = StagingSDKKey
		}
		if err := s.impressions(ctx, key, c.exposures(now)); err != nil {
			return err
		}
	}
	path, body := w.moment(c, now, id)
	switch path {
	case "/segment/webhook/prod-events":
		return s.post(ctx, path, map[string]string{"Authorization": WebhookSecret}, body)
	case "/v1/batch":
		return s.batch(ctx, []call{body, body}) // an impatient client sends everything twice
	}
	return s.post(ctx, path, nil, body.with("writeKey", DestinationKey))
}

// buyer is somebody who ordered before. Only they order in the live traffic, so
// that who orders at all stays as it was invented.
func (w *World) buyer() *customer {
	for {
		if c := &w.customers[w.rng.IntN(len(w.customers))]; len(c.orders) > 0 {
			return c
		}
	}
}

// moment makes up one call and the route it takes.
func (w *World) moment(c *customer, now time.Time, id string) (path string, body call) {
	switch n := w.rng.IntN(100); {
	case n < 25:
		return "/v1/page", c.call("page", now, id).with("name", pick(w.rng, "Home", "Pricing", "Cart"))
	case n < 50:
		return "/v1/track", c.call("track", now, id).with("event", "Product Viewed").with("properties", map[string]any{"sku": fmt.Sprintf("sku-%d", w.rng.IntN(40))})
	case n < 65:
		c = w.buyer()
		return "/segment/webhook/prod-events", c.call("track", now, id).with("event", "Order Completed").
			with("properties", map[string]any{"revenue": "39.95", "split": []any{map[string]any{"account": c.account}}})
	case n < 75:
		return "/v1/identify", c.call("identify", now, id).with("traits", map[string]any{"plan": c.plan, "last seen": now.UTC().Format(time.RFC3339)})
	case n < 80:
		return "/v1/group", c.call("group", now, id).with("groupId", c.account).
			with("traits", map[string]any{"split": map[string]any{"account": c.account}, "employees": 5 + w.rng.IntN(500)})
	case n < 84: // from here on, broken on purpose
		return "/v1/page", c.call("page", now, id).with("category", "no name")
	case n < 88:
		return "/v1/track", c.call("track", now, id).with("properties", map[string]any{"eventName": "name in the wrong place"})
	case n < 91:
		return "/v1/track", c.call("track", now, id).with("event", "Käufe!")
	case n < 94:
		return "/v1/track", w.buyer().call("track", now, id).with("event", "Order Completed").with("properties", map[string]any{"revenue": "$39.95"})
	case n < 97:
		return "/v1/batch", c.call("track", now, id).with("event", "Product Viewed")
	default:
		return "/v1/track", c.call("track", now, id).with("event", "Product Viewed").with("timestamp", "yesterday")
	}
}

// Live sends a Step at each interval until the context ends or one fails.
func (w *World) Live(ctx context.Context, s *Sender, interval time.Duration) error {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-ticker.C:
			if err := w.Step(ctx, s, now); err != nil {
				return err
			}
		}
	}
}
