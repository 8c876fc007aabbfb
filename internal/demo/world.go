// Package demo invents a shop whose truth is known: its configuration, a month
// of history with effects that were put in on purpose, and live traffic with
// some calls that are broken on purpose. Everything is sent through the real
// routes, as Split SDKs and Segment's libraries send it.
//
// The same seed gives the same people, exposures and orders. docs/demo.md says
// what was put in, so that anybody can check what is shown against it.
package demo

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"
)

// What is true of the shop. docs/demo.md repeats these figures.
const (
	Customers = 3000
	Days      = 30

	// Orders: the share of people who order, by treatment of checkout_button.
	orderRateOff = 0.20
	orderRateOn  = 0.25
	// Revenue of an order does not depend on the treatment: log-normal with
	// this median, in dollars.
	medianRevenue = 40.0

	// hero_banner is meant to be split evenly, but a fault reports too few of
	// one arm: the planted sample-ratio mismatch.
	lostBannerShare = 0.20
)

// customer is one invented person.
type customer struct {
	id, anonymousID, account, plan string
	seen                           time.Time // first exposure
	button, banner                 string    // treatments
	bannerReported                 bool
	orders                         []float64 // revenue of each
}

// World is the shop. It is not safe for concurrent use.
type World struct {
	rng       *rand.Rand
	customers []customer
	live      int // calls made so far, for messageIds
}

// New invents the shop as it stands at a time.
func New(seed uint64, now time.Time) *World {
	w := &World{rng: rand.New(rand.NewPCG(seed, 0x9e3779b97f4a7c15))}
	for i := range Customers {
		c := customer{
			id:          fmt.Sprintf("user-%04d", i),
			anonymousID: fmt.Sprintf("anon-%08x", w.rng.Uint32()),
			account:     fmt.Sprintf("account-%02d", i%60),
			plan:        pick(w.rng, "free", "free", "free", "pro", "team"),
			seen:        start(now).Add(time.Duration(w.rng.Float64() * float64((Days-1)*24*time.Hour))).Truncate(time.Millisecond),
			button:      pick(w.rng, "on", "off"),
			banner:      pick(w.rng, "large", "small"),
		}
		c.bannerReported = c.banner == "small" || w.rng.Float64() >= lostBannerShare
		rate := orderRateOff
		if c.button == "on" {
			rate = orderRateOn
		}
		for n := 0; n < 3 && w.rng.Float64() < rate; n++ {
			revenue := medianRevenue * math.Exp(0.6*w.rng.NormFloat64())
			c.orders = append(c.orders, math.Round(revenue*100)/100)
			rate = 0.3 // some order again, whatever they saw
		}
		w.customers = append(w.customers, c)
	}
	return w
}

// start is when the history of a shop begins.
func start(now time.Time) time.Time { return now.Add(-Days * 24 * time.Hour).UTC() }

func pick[T any](rng *rand.Rand, choices ...T) T { return choices[rng.IntN(len(choices))] }

// call is one Segment call, as a library writes it.
type call map[string]any

func (c *customer) call(kind string, at time.Time, messageID string) call {
	return call{
		"type": kind, "messageId": messageID, "timestamp": at.UTC().Format("2006-01-02T15:04:05.000Z"),
		"userId": c.id, "anonymousId": c.anonymousID,
		"context": map[string]any{"library": map[string]any{"name": "analytics-demo", "version": "1"}},
	}
}

func (c call) with(key string, value any) call {
	c[key] = value
	return c
}

// impression is one impression as a Split SDK posts it.
type impression struct {
	Key          string `json:"k"`
	Treatment    string `json:"t"`
	Time         int64  `json:"m"`
	ChangeNumber int64  `json:"c"`
	Label        string `json:"r"`
}

// bulk is the body of testImpressions/bulk.
type bulk []flagImpressions

type flagImpressions struct {
	Flag        string       `json:"f"`
	Impressions []impression `json:"i"`
}

func (c *customer) exposures(at time.Time) bulk {
	b := bulk{{"checkout_button", []impression{{c.id, c.button, at.UnixMilli(), 0, "default rule"}}}}
	if c.bannerReported {
		b = append(b, flagImpressions{"hero_banner", []impression{{c.anonymousID, c.banner, at.UnixMilli(), 0, "default rule"}}})
	}
	return b
}

// history returns what the shop's libraries sent of one customer.
func (w *World) history(c *customer, now time.Time) (calls []call, exposures bulk) {
	id := func(n int) string { return fmt.Sprintf("demo-%s-%d", c.id, n) }
	at := c.seen
	calls = append(calls,
		c.call("identify", at, id(0)).with("traits", map[string]any{
			"plan": c.plan, "company": map[string]any{"name": c.account}, "logins": 1 + w.rng.IntN(40),
		}),
		c.call("page", at.Add(time.Second), id(1)).with("name", pick(w.rng, "Home", "Signup", "Pricing")).
			with("properties", map[string]any{"path": "/"}),
		c.call("track", at.Add(time.Minute), id(2)).with("event", "Product Viewed").
			with("properties", map[string]any{"sku": fmt.Sprintf("sku-%d", w.rng.IntN(40)), "split": []any{map[string]any{"account": c.account}}}),
	)
	for n, revenue := range c.orders {
		at = at.Add(time.Duration(1+w.rng.IntN(48)) * 10 * time.Minute)
		if at.After(now) {
			break
		}
		calls = append(calls, c.call("track", at, id(3+n)).with("event", "Order Completed").
			with("properties", map[string]any{"revenue": revenue, "currency": "USD"}))
	}
	return calls, c.exposures(c.seen)
}
