package catalog

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"causeway/internal/fme"
)

// repack replaces a text in a packed document.
func repack(t *testing.T, value []byte, old, new string) []byte {
	t.Helper()
	r, err := gzip.NewReader(bytes.NewReader(value))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(r)
	if err != nil || !bytes.Contains(text, []byte(old)) {
		t.Fatalf("%v: %s", err, text)
	}
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err = w.Write(bytes.Replace(text, []byte(old), []byte(new), 1))
	if err = errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// withFlags is a project of two environments with these flags and segments,
// each on a line of its own.
func withFlags(t testing.TB, flags, segments string) *Document {
	t.Helper()
	text := "projects: [{name: shop, trafficTypes: [user], environments: [{name: production}, {name: staging}], flags: [" + flags + "], segments: [" + segments + "]}]"
	doc, found := Decode("flags.yaml", []byte(text), nil)
	if len(found) > 0 {
		t.Fatalf("findings: %v", found)
	}
	return doc
}

// served reads a flag's definition as an environment is served it.
func served(t *testing.T, c *Catalog, environment, name string) (f *Flag, definition map[string]any) {
	t.Helper()
	for _, f := range serving(t, c, environment).Flags {
		if f.Name == name {
			if err := json.Unmarshal(f.Definition, &definition); err != nil {
				t.Fatal(err)
			}
			return f, definition
		}
	}
	return nil, nil
}

func serving(t *testing.T, c *Catalog, environment string) *Serving {
	t.Helper()
	e, ok := c.Snapshot().Environment(fme.NewEnvironmentID("shop", environment))
	if !ok {
		t.Fatalf("there is no environment %s", environment)
	}
	return e.Serving
}

func TestAFlagIsServedWhereTheFileSaysWhat(t *testing.T) {
	c := open(t, bucket(t))
	apply(t, c, withFlags(t, `
		{name: known, trafficType: user},
		{name: everywhere, trafficType: user, killed: false},
		{name: one, trafficType: user, environments: {staging: {rollout: {on: 100}}}}`, ""))
	for environment, want := range map[string][]string{"production": {"everywhere"}, "staging": {"everywhere", "one"}} {
		var got []string
		for _, f := range serving(t, c, environment).Flags {
			got = append(got, f.Name)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s is served %v, want %v", environment, got, want)
		}
	}
	if e, _ := c.Snapshot().Environment("shop/production"); e != nil {
		if trafficType, ok := e.Project.FlagTrafficType("known"); !ok || trafficType != "user" {
			t.Error("a flag that is not served is not known")
		}
	}
}

func TestAFlagsDefaultsAndWhatAnEnvironmentChanges(t *testing.T) {
	c := open(t, bucket(t))
	apply(t, c, withFlags(t, `
		{name: plain, trafficType: user, rollout: {on: 20, off: 80}, sets: [b, a],
			environments: {staging: {treatments: [large, small], rollout: {small: 100}, defaultTreatment: large, trafficAllocation: 0, killed: true,
				configurations: {large: "{}"}, impressionsDisabled: true}}},
		{name: off, trafficType: user, killed: false}`, ""))
	partitions := func(definition map[string]any) string {
		text, _ := json.Marshal(definition["conditions"].([]any)[0].(map[string]any)["partitions"])
		return string(text)
	}
	f, got := served(t, c, "production", "plain")
	if partitions(got) != `[{"size":20,"treatment":"on"},{"size":80,"treatment":"off"}]` || !slices.Equal(f.Sets, []string{"a", "b"}) {
		t.Errorf("in production: %s %v", partitions(got), f.Sets)
	}
	want := map[string]any{
		"name": "plain", "trafficTypeName": "user", "status": "ACTIVE", "killed": false, "defaultTreatment": "off", "algo": 2.0,
		"trafficAllocation": 100.0, "configurations": map[string]any{}, "sets": []any{"a", "b"}, "prerequisites": []any{},
		"impressionsDisabled": false, "changeNumber": float64(f.ChangeNumber),
	}
	for _, key := range []string{"seed", "trafficAllocationSeed", "conditions"} {
		want[key] = got[key]
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("in production (-want +got):\n%s", diff)
	}
	_, got = served(t, c, "staging", "plain")
	if partitions(got) != `[{"size":0,"treatment":"large"},{"size":100,"treatment":"small"}]` || got["defaultTreatment"] != "large" || got["killed"] != true ||
		got["trafficAllocation"] != 0.0 || got["impressionsDisabled"] != true || fmt.Sprint(got["configurations"]) != "map[large:{}]" || len(got["sets"].([]any)) != 2 {
		t.Errorf("in staging: %v", got)
	}
	if _, got := served(t, c, "production", "off"); partitions(got) != `[{"size":0,"treatment":"on"},{"size":100,"treatment":"off"}]` {
		t.Errorf("without a rollout: %s", partitions(got))
	}
}

func TestSeedsDifferByFlagEnvironmentAndUseAndStayTheSame(t *testing.T) {
	seen := make(map[int64]bool)
	for _, use := range []string{"seed", "allocation"} {
		for _, environment := range []string{"shop/production", "shop/staging"} {
			for i := range 50 {
				seed := seedOf(use, fme.EnvironmentID(environment), fmt.Sprint("flag", i))
				if seed < 0 || seed > 1<<31-1 || seen[seed] {
					t.Errorf("seed %d of %s %s %d", seed, use, environment, i)
				}
				seen[seed] = true
			}
		}
	}
	// Whoever changes this gives every key of every flag another treatment.
	if got := seedOf("seed", "shop/production", "button"); got != 1637210615 {
		t.Errorf("got %d", got)
	}
}

const verbatim = `{name: search, trafficType: user, definition: {
	changeNumber: 17, seed: -5, algo: 1, defaultTreatment: off, configurations: null, sets: null, orgId: null, prerequisites: null,
	newInNextYear: {deep: [1, 2.50, true]},
	conditions: [{partitions: [{treatment: on, size: 100}], matcherGroup: {matchers: [
		{keySelector: {trafficType: user, attribute: null}, matcherType: EQUAL_TO_SEMVER, stringMatcherData: "$${1}", whitelistMatcherData: null}]}}]}}`

func TestAVerbatimDefinitionIsServedWordForWordWithoutNulls(t *testing.T) {
	c := open(t, bucket(t))
	apply(t, c, withFlags(t, verbatim, ""))
	f, got := served(t, c, "production", "search")
	text := string(f.Definition)
	if strings.Contains(text, "null") {
		t.Errorf("it has a null: %s", text)
	}
	if got["seed"] != -5.0 || got["algo"] != 1.0 || got["changeNumber"] == 17.0 || got["name"] != "search" || got["trafficTypeName"] != "user" ||
		!strings.Contains(text, `"newInNextYear":{"deep":[1,2.50,true]}`) || !strings.Contains(text, `"stringMatcherData":"${1}"`) {
		t.Errorf("got %s", text)
	}
	if f.Spec != Spec11 || !strings.Contains(string(f.Limited), `"treatment":"control"`) || strings.Contains(string(f.Limited), "SEMVER") {
		t.Errorf("spec %d, limited %s", f.Spec, f.Limited)
	}
	doc := withFlags(t, verbatim, "")
	doc.Projects[0].Flags[0].Environments = map[string]ServingSpec{"staging": {Killed: new(true), DefaultTreatment: "on"}}
	apply(t, c, doc)
	if _, got := served(t, c, "staging", "search"); got["killed"] != true || got["defaultTreatment"] != "on" || got["seed"] != -5.0 {
		t.Errorf("what stands beside it does not win: %v", got)
	}
}

func TestAnExportOfFlagsAppliesToNoChange(t *testing.T) {
	doc := withFlags(t, verbatim+`,
		{name: known, trafficType: user},
		{name: full, trafficType: user, treatments: [a, "b $${x"], rollout: {a: 1, "b ${x": 99}, defaultTreatment: a, trafficAllocation: 0, killed: false, sets: [x],
			configurations: {a: "$${y}"}, impressionsDisabled: false, environments: {production: {killed: true}, staging: {}}}`,
		`{name: s, keys: [k1], environments: {staging: {keys: []}}}`)
	c := open(t, bucket(t))
	revision := apply(t, c, doc).Revision
	before := serving(t, c, "production")
	for name, marshal := range map[string]func(any) ([]byte, error){"JSON": json.Marshal, "YAML": yaml.Marshal, "plain": func(any) ([]byte, error) { return c.Export().Plaintext() }} {
		text, err := marshal(c.Export())
		if err != nil {
			t.Fatal(err)
		}
		back, found := Decode("export", text, nil)
		if len(found) > 0 {
			t.Fatalf("%s: %v\n%s", name, found, text)
		}
		if change := apply(t, c, back); len(change.Differences) > 0 || change.Revision != revision || serving(t, c, "production") != before {
			t.Errorf("%s: applied again: %+v\n%s", name, change, text)
		}
		if strings.Contains(string(text), "null") {
			t.Errorf("%s: an export with null: %s", name, text)
		}
	}
}

func TestDifferencesOfFlagsNameTheirKeys(t *testing.T) {
	c := open(t, bucket(t))
	apply(t, c, withFlags(t, `{name: f, trafficType: user, rollout: {on: 100}, trafficAllocation: 50, environments: {staging: {killed: true}}}`, `{name: s, keys: [a]}`))
	got, found := c.Plan(withFlags(t, `{name: f, trafficType: user, rollout: {on: 90, off: 10}, killed: false, environments: {staging: {killed: false}, production: {sets: [x]}}},
		{name: g, trafficType: user, definition: {defaultTreatment: off}}`, `{name: s, keys: [b], environments: {staging: {keys: []}}}`))
	if len(found) > 0 {
		t.Fatal(found)
	}
	var lines []string
	for _, d := range got.Differences {
		lines = append(lines, fmt.Sprintf("%s %s %s -> %s", d.Kind, d.Path, d.Before, d.After))
	}
	want := []string{
		`changed projects[shop].flags[f].rollout {"on":100} -> {"off":10,"on":90}`,
		`removed projects[shop].flags[f].trafficAllocation 50 -> `,
		`added projects[shop].flags[f].killed  -> false`,
		`added projects[shop].flags[f].environments.production  -> {"sets":["x"]}`,
		`changed projects[shop].flags[f].environments.staging.killed true -> false`,
		`added projects[shop].flags[g]  -> {"name":"g","trafficType":"user","definition":{"defaultTreatment":"off"}}`,
		`changed projects[shop].segments[s].keys ["a"] -> ["b"]`,
		`added projects[shop].segments[s].environments.staging  -> {"keys":[]}`,
	}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// clock is a clock that tests set.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

func numbers(t *testing.T, c *Catalog) map[string]int64 {
	t.Helper()
	all := make(map[string]int64)
	for _, environment := range []string{"production", "staging"} {
		s := serving(t, c, environment)
		for _, f := range s.Flags {
			all[environment+"/"+f.Name] = f.ChangeNumber
		}
		for _, f := range s.Archived {
			all[environment+"/"+f.Name+" archived"] = f.ChangeNumber
		}
		for name, s := range s.Segments {
			all[environment+"/segment "+name] = s.ChangeNumber
		}
	}
	return all
}

func TestChangeNumbersChangeExactlyWithWhatIsServed(t *testing.T) {
	kv, at := bucket(t), &clock{time.UnixMilli(1000)}
	c := openWith(t, Options{KV: kv, Now: at.Now})
	steps := []struct {
		now             int64
		flags, segments string
		want            map[string]int64
	}{
		{1000, `{name: a, trafficType: user, rollout: {on: 100}}, {name: b, trafficType: user, killed: true}`, `{name: s, keys: [k1, k2]}`,
			map[string]int64{"production/a": 1000, "staging/a": 1000, "production/b": 1000, "staging/b": 1000, "production/segment s": 1000, "staging/segment s": 1000}},
		// Written otherwise, it is the same.
		{2000, `{name: b, trafficType: user, killed: true, treatments: [on, off]}, {name: a, trafficType: user, rollout: {on: 100, off: 0}, environments: {staging: {trafficAllocation: 100}}}`,
			`{name: s, keys: [k2, k1, k1]}`,
			map[string]int64{"production/a": 1000, "staging/a": 1000, "production/b": 1000, "staging/b": 1000, "production/segment s": 1000, "staging/segment s": 1000}},
		// Only where it differs.
		{3000, `{name: a, trafficType: user, rollout: {on: 100}, environments: {staging: {killed: true}}}, {name: b, trafficType: user, killed: true}`,
			`{name: s, keys: [k1, k2], environments: {production: {keys: [k1]}}}`,
			map[string]int64{"production/a": 1000, "staging/a": 3000, "production/b": 1000, "staging/b": 1000, "production/segment s": 3000, "staging/segment s": 1000}},
		// A clock that goes back does not take the numbers with it.
		{500, `{name: a, trafficType: user}`, `{name: s, keys: [k1, k2], environments: {production: {keys: [k3]}}}`,
			map[string]int64{"production/a archived": 3001, "staging/a archived": 3001, "production/b archived": 3001, "staging/b archived": 3001, "production/segment s": 3001, "staging/segment s": 1000}},
		// What comes back is new.
		{9000, `{name: a, trafficType: user, rollout: {on: 100}}`, ``,
			map[string]int64{"production/a": 9000, "staging/a": 9000, "production/b archived": 3001, "staging/b archived": 3001, "production/segment s": 9000, "staging/segment s": 9000}},
	}
	for i, step := range steps {
		at.now = time.UnixMilli(step.now)
		apply(t, c, withFlags(t, step.flags, step.segments))
		if diff := cmp.Diff(step.want, numbers(t, c)); diff != "" {
			t.Fatalf("step %d (-want +got):\n%s", i, diff)
		}
		again := open(t, kv) // after a restart, and on another node
		if diff := cmp.Diff(step.want, numbers(t, again)); diff != "" {
			t.Fatalf("step %d, read again (-want +got):\n%s", i, diff)
		}
		if diff := cmp.Diff(serving(t, c, "production"), serving(t, again, "production")); diff != "" {
			t.Fatalf("step %d, what is served, read again (-want +got):\n%s", i, diff)
		}
	}
	s := serving(t, c, "production")
	if s.ChangeNumber != 9000 || s.Archived[0].TrafficType != "user" {
		t.Errorf("got %+v", s)
	}
	want := []RemovedKey{{"k1", 3001}, {"k2", 3000}, {"k3", 9000}}
	if diff := cmp.Diff(want, s.Segments["s"].Removed); diff != "" {
		t.Errorf("keys that went (-want +got):\n%s", diff)
	}
}

func TestARotatedKeyChangesNoChangeNumber(t *testing.T) {
	c := open(t, bucket(t))
	doc := mustDecode(t, strings.Replace(small, "trafficTypes: [user]", "trafficTypes: [user]\n    flags: [{name: f, trafficType: user, killed: true}]", 1))
	apply(t, c, doc)
	before := serving(t, c, "production").ChangeNumber
	if _, err := c.RotateKey(t.Context(), KeyRef{Kind: "destination", Name: "In"}, false, "test"); err != nil {
		t.Fatal(err)
	}
	if got := serving(t, c, "production").ChangeNumber; got != before || got < 0 {
		t.Errorf("got %d, before %d", got, before)
	}
}

func TestTwoNodesAgreeOnChangeNumbers(t *testing.T) {
	kv := bucket(t)
	one, two := open(t, kv), open(t, kv)
	for i := range 6 {
		c := []*Catalog{one, two}[i%2]
		apply(t, c, withFlags(t, fmt.Sprintf(`{name: f, trafficType: user, rollout: {on: %d, off: %d}}, {name: f%d, trafficType: user, killed: true}`, i, 100-i, i), ""))
		other := []*Catalog{two, one}[i%2]
		for other.Snapshot().Revision != c.Snapshot().Revision {
			changed := other.Changed()
			if other.Snapshot().Revision != c.Snapshot().Revision {
				<-changed
			}
		}
		if diff := cmp.Diff(numbers(t, one), numbers(t, two)); diff != "" {
			t.Fatalf("step %d (-one +two):\n%s", i, diff)
		}
	}
	if s := serving(t, one, "production"); len(s.Archived) != 5 {
		t.Errorf("%d archived flags, want 5", len(s.Archived))
	}
}

func TestAnEnvironmentThatGoesAndComesBackKnowsWhatItServed(t *testing.T) {
	at := &clock{time.UnixMilli(5000)}
	c := openWith(t, Options{KV: bucket(t), Now: at.Now})
	apply(t, c, withFlags(t, `{name: f, trafficType: user, killed: true}`, `{name: s, keys: [k]}`))
	apply(t, c, mustDecode(t, "projects: []"))
	apply(t, c, withFlags(t, "", ""))
	s := serving(t, c, "production")
	if len(s.Archived) != 1 || s.Archived[0].ChangeNumber != 5001 || len(s.Segments["s"].Removed) != 1 || s.ChangeNumber != 5001 {
		t.Errorf("got %+v", s)
	}
	at.now = at.now.Add(rememberGone + time.Minute)
	apply(t, c, mustDecode(t, "projects: []"))
	if v := c.Snapshot().versions; len(v) > 0 {
		t.Errorf("still remembered: %v", v)
	}
}

func TestWhatIsGoneIsForgottenInTheEnd(t *testing.T) {
	now := time.UnixMilli(1e12)
	e := (*environmentVersions)(nil).clone()
	keys := func(n, from int) (list []string) {
		for i := range n {
			list = append(list, fmt.Sprintf("k%06d", from+i))
		}
		return list
	}
	flags := func(from, n int) map[string]map[string]any {
		m := make(map[string]map[string]any)
		for i := range n {
			m[fmt.Sprint("f", from+i)] = map[string]any{"trafficTypeName": "user"}
		}
		return m
	}
	v := versions{"shop/production": e}
	step := func(was, is *environmentContents, now time.Time) {
		t.Helper()
		next, err := v.next(contents{"shop/production": was}, contents{"shop/production": is}, now)
		if err != nil {
			t.Fatal(err)
		}
		v = next
	}
	none := &environmentContents{}
	many := &environmentContents{flags: flags(0, maxGoneFlags+10), segments: map[string][]string{"s": keys(maxRemovedKeys+10, 0)}}
	other := &environmentContents{flags: flags(maxGoneFlags+10, 1), segments: map[string][]string{"s": {"other"}}}
	step(none, many, now)
	step(many, other, now.Add(time.Second))
	remembered := func(flags, keys int, what string) {
		t.Helper()
		if got := v["shop/production"]; len(got.Flags) != flags || len(got.Segments["s"].Removed) != keys {
			t.Errorf("%s: %d flags and %d keys, want %d and %d", what, len(got.Flags), len(got.Segments["s"].Removed), flags, keys)
		}
	}
	remembered(maxGoneFlags+11, maxRemovedKeys+10, "on the same day")
	step(other, none, now.Add(25*time.Hour))
	remembered(maxGoneFlags+11, maxRemovedKeys+11, "the latest change does not fill the bound")
	step(none, many, now.Add(26*time.Hour))
	step(many, none, now.Add(27*time.Hour))
	step(none, none, now.Add(52*time.Hour))
	remembered(maxGoneFlags+10, maxRemovedKeys+10, "of too many, the latest")
	step(none, none, now.Add(27*time.Hour+rememberGone+time.Minute))
	if got := v["shop/production"]; len(got.Flags)+len(got.Segments) != 0 || got.Last != now.Add(27*time.Hour).UnixMilli() {
		t.Errorf("after all this time: %+v", got)
	}
}

func TestADocumentOfTheFirstFormatIsRead(t *testing.T) {
	kv := bucket(t)
	c := open(t, kv)
	apply(t, c, example(t))
	value, err := c.pack(c.Snapshot().document, nil)
	if err != nil {
		t.Fatal(err)
	}
	entry, err := kv.Get(t.Context(), documentKey)
	if err != nil {
		t.Fatal(err)
	}
	value = repack(t, value, `"format":2`, `"format":1`)
	if _, err := kv.Update(t.Context(), documentKey, value, entry.Revision()); err != nil {
		t.Fatal(err)
	}
	if s := serving(t, open(t, kv), "production"); len(s.Flags) != 0 || s.ChangeNumber != -1 {
		t.Errorf("got %+v", s)
	}
	if _, err := kv.Put(t.Context(), documentKey, repack(t, value, `"format":1`, `"format":3`)); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), Options{KV: kv, MasterKey: testMasterKey}); err == nil || !strings.Contains(err.Error(), "start the newer program") {
		t.Errorf("got %v", err)
	}
}

// FuzzDefinition: whatever a definition holds, it has findings, or it is served
// as JSON without null and reads back as it was.
func FuzzDefinition(f *testing.F) {
	for _, seed := range []string{
		`{"defaultTreatment":"off"}`, `{"defaultTreatment":"off","conditions":[{"matcherGroup":{"matchers":[{"matcherType":"ALL_KEYS"}]},"partitions":[{"treatment":"on","size":100}]}]}`,
		`{"defaultTreatment":"a","sets":null,"x":[[],{}],"n":1e400,"seed":-9223372036854775808}`, `[1]`, `"x"`, `null`, `{"a":{"a":{"a":null}}}`,
		`{"defaultTreatment":"off","configurations":{"${a":"$${b}"},"prerequisites":[{"n":"f","ts":[]}]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, definition []byte) {
		if !json.Valid(definition) {
			return
		}
		text := fmt.Sprintf(`{"projects":[{"name":"shop","trafficTypes":["user"],"environments":[{"name":"production"}],"flags":[{"name":"f","trafficType":"user","definition":%s}]}]}`, definition)
		doc, found := Decode("f", []byte(text), nil)
		if len(found) > 0 {
			return
		}
		for _, marshal := range []func(any) ([]byte, error){json.Marshal, yaml.Marshal, func(any) ([]byte, error) { return doc.Plaintext() }} {
			written, err := marshal(doc)
			if err != nil {
				t.Fatal(err)
			}
			back, found := Decode("f", written, nil)
			if len(found) > 0 {
				t.Fatalf("%s\nread back: %v", written, found)
			}
			if diff := cmp.Diff(doc.clone().Projects, back.clone().Projects); diff != "" {
				t.Fatalf("read back (-want +got):\n%s", diff)
			}
		}
		for _, content := range doc.contents()["shop/production"].flags {
			flag, err := newFlag(content, 1)
			if err != nil {
				t.Fatal(err)
			}
			var value any
			numbers := json.NewDecoder(bytes.NewReader(flag.Definition))
			numbers.UseNumber() // there are larger ones than Go has
			if err := numbers.Decode(&value); err != nil {
				t.Fatal(err)
			}
			if at := nullIn(value, ""); at != "" {
				t.Errorf("null at %s: %s", at, flag.Definition)
			}
		}
	})
}

// nullIn finds a null in a JSON value.
func nullIn(v any, path string) string {
	switch v := v.(type) {
	case nil:
		return path + "!"
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			if at := nullIn(v[key], path+"."+key); at != "" {
				return at
			}
		}
	case []any:
		for i, element := range v {
			if at := nullIn(element, fmt.Sprintf("%s[%d]", path, i)); at != "" {
				return at
			}
		}
	}
	return ""
}
