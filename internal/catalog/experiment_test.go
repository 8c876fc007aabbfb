package catalog

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

// withExperiments is a project that has an experiment on each kind of flag.
func withExperiments(t *testing.T) *Document {
	t.Helper()
	return mustDecode(t, `
projects:
  - name: shop
    trafficTypes: [user]
    environments: [{name: production}, {name: staging}]
    flags:
      - {name: button, trafficType: user, treatments: [large, small, none], rollout: {large: 25, small: 25, none: 50}, environments: {staging: {rollout: {none: 100}}}}
      - {name: elsewhere, trafficType: user}
      - name: defined
        trafficType: user
        definition:
          defaultTreatment: red
          conditions:
            - {label: testers, matcherGroup: {matchers: [{matcherType: ALL_KEYS}]}, partitions: [{treatment: blue, size: 100}]}
            - {label: rest, matcherGroup: {matchers: [{matcherType: ALL_KEYS}]}, partitions: [{treatment: green, size: 10}, {treatment: blue, size: 90}]}
    metrics:
      - {name: Orders!, trafficType: user, type: count, event: {eventType: buy}}
      - name: spend
        trafficType: user
        type: sum
        value: total
        event: {eventType: buy, filters: [{property: "pl'an.\"ü", operator: is, values: ["$${literal}"]}]}
        hasDone: {eventType: visit}
        hasDoneBefore: true
        cap: 99.5
    experiments:
      - {name: Big Button, flag: button, environment: production, baseline: none, start: "2026-01-02", metrics: {key: [Orders!], supporting: [spend]}}
      - {name: two arms, flag: button, environment: production, baseline: small, treatments: [large, small], start: "2026-01-02T03:04:05+01:00", end: "2026-02-01"}
      - {name: one sided, flag: button, environment: staging, baseline: small, start: "2026-01-02"}
      - {name: outside, flag: elsewhere, environment: production, baseline: a, treatments: [a, b], start: "2026-01-02", shares: {a: 1, b: 2}}
      - {name: by rule, flag: defined, environment: production, baseline: blue, treatments: [green, blue], rule: rest, start: "2026-01-02", entry: {eventType: visit}}
      - {name: any rule, flag: defined, environment: production, baseline: blue, start: "2026-01-02"}
`[1:])
}

func TestExperimentsAreCompiledAndIndexed(t *testing.T) {
	c := open(t, bucket(t))
	doc := withExperiments(t)
	apply(t, c, doc)
	project, ok := c.Snapshot().Project("shop")
	if !ok || len(c.Snapshot().AllExperiments()) != 6 || len(project.Metrics) != 2 {
		t.Fatalf("%+v", project)
	}
	var got []string
	for _, e := range project.Experiments {
		got = append(got, fmt.Sprint(e.ID, " ", e.Environment.ID, " ", e.TrafficType, " ", e.Treatments, " ", e.Shares))
	}
	want := []string{
		"big-button shop/production user [none large small] map[large:0.25 none:0.5 small:0.25]",
		"two-arms shop/production user [small large] map[large:0.5 small:0.5]",
		"one-sided shop/staging user [small large none] map[]",
		"outside shop/production user [a b] map[a:0.3333333333333333 b:0.6666666666666666]",
		"by-rule shop/production user [blue green] map[blue:0.9 green:0.1]",
		"any-rule shop/production user [blue green red] map[]",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	two, _ := project.Experiment("two-arms")
	if want := time.Date(2026, 1, 2, 2, 4, 5, 0, time.UTC); !two.Start.Equal(want) || !two.End.Equal(time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("%v to %v", two.Start, two.End)
	}
	big, _ := project.Experiment("Big Button")
	spend, _ := project.Metric("spend")
	if all := big.All(); len(all) != 2 || all[0].ID != "orders" || all[1] != spend || !big.End.IsZero() {
		t.Errorf("%+v", all)
	}
	if _, ok := project.Experiment("nothing"); ok {
		t.Error("an experiment that is not there was found")
	}
	if f := spend.Spec.Event.Filters[0]; f.Property != `pl'an."ü` || f.Values[0] != "${literal}" || spend.Spec.Cap != 99.5 || !spend.Spec.HasDoneBefore {
		t.Errorf("%+v", spend.Spec)
	}
}

func TestExportedExperimentsAreTheSameWhenAppliedAgain(t *testing.T) {
	c := open(t, bucket(t))
	doc := withExperiments(t)
	apply(t, c, doc)
	for name, marshal := range map[string]func(any) ([]byte, error){"JSON": json.Marshal, "YAML": yaml.Marshal} {
		text, err := marshal(c.Export())
		if err != nil {
			t.Fatal(err)
		}
		back, found := Decode("export", text, nil)
		if len(found) > 0 {
			t.Fatalf("%s: %v\n%s", name, found, text)
		}
		if change := apply(t, c, back); len(change.Differences) > 0 {
			t.Errorf("%s: applied again: %+v", name, change)
		}
	}
	doc = withExperiments(t)
	p := &doc.Projects[0]
	p.Metrics[0].Event.EventType = "bought"
	p.Metrics[1].Event.Filters = append(p.Metrics[1].Event.Filters, FilterSpec{Property: "x", Operator: "present"})
	p.Metrics[1].HasDone, p.Metrics[1].HasDoneBefore = nil, false
	p.Experiments[0].Significance = 0.01
	change, found := c.Plan(doc)
	if len(found) > 0 {
		t.Fatal(found)
	}
	var got []string
	for _, d := range change.Differences {
		got = append(got, d.Kind+" "+d.Path)
	}
	want := []string{
		"changed projects[shop].metrics[Orders!].event.eventType",
		"changed projects[shop].metrics[spend].event.filters",
		"removed projects[shop].metrics[spend].hasDone",
		"changed projects[shop].metrics[spend].hasDoneBefore",
		"changed projects[shop].experiments[Big Button].significance",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
