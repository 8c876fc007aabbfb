package catalog

import (
	"errors"
	"strings"
	"testing"
)

func TestAConfigurationFromAFileIsChangedByTheFileOnly(t *testing.T) {
	c := open(t, bucket(t))
	if c.File() != "" {
		t.Errorf("a file %q before there is one", c.File())
	}
	text := strings.Replace(small, "listeners: [", "listeners: [{name: given, environment: production, kind: fme_webhook, secret: hook}, ", 1)
	doc, found := Decode("", []byte(text), nil)
	if len(found) > 0 {
		t.Fatal(found)
	}
	if _, err := c.ApplyFile(t.Context(), "/etc/causeway/shop.yaml", doc); err != nil {
		t.Fatal(err)
	}
	if c.File() != "shop.yaml" {
		t.Errorf("file %q", c.File())
	}
	revision := c.Snapshot().Revision
	changed := c.Export()
	changed.Projects[0].TrafficTypes = append(changed.Projects[0].TrafficTypes, "account")
	_, applied := c.Apply(t.Context(), changed, "ada", 0)
	_, edited := c.Edit(t.Context(), "ada", func(d *Document) error { d.Projects = nil; return nil })
	_, rotated := c.RotateKey(t.Context(), KeyRef{Kind: "listener", Name: "given"}, true, "ada")
	for name, err := range map[string]error{"apply": applied, "edit": edited, "rotate what the file gives": rotated} {
		var fromFile *FileError
		if !errors.As(err, &fromFile) || !strings.Contains(err.Error(), "comes from shop.yaml; edit the file and send SIGHUP") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if c.Snapshot().Revision != revision {
		t.Error("something was changed")
	}
	// What the file leaves out is the server's own, and a plan changes nothing.
	made, err := c.RotateKey(t.Context(), KeyRef{Kind: "destination", Name: "In"}, true, "ada")
	if err != nil {
		t.Fatal(err)
	}
	if change, found := c.Plan(changed); len(found) > 0 || len(change.Differences) == 0 {
		t.Errorf("a plan: %+v %v", change, found)
	}
	// Reading the file again ends no rotation of what it leaves out.
	if _, err := c.ApplyFile(t.Context(), "shop.yaml", doc); err != nil {
		t.Fatal(err)
	}
	if _, ok := c.Snapshot().DestinationByKey(made.Value); !ok || c.Keys()[1].Previous == "" {
		t.Errorf("the rotation is gone: %+v", c.Keys())
	}
}

func TestAnEditSeesWhatIsThereAndChangesItAsAWhole(t *testing.T) {
	kv := bucket(t)
	one, two := open(t, kv), open(t, kv)
	apply(t, one, mustDecode(t, small))
	// The second node has not heard of it yet; its edit must work on it all the same.
	change, err := two.Edit(t.Context(), "ada", func(d *Document) error {
		d.Projects[0].TrafficTypes = append(d.Projects[0].TrafficTypes, "account")
		return nil
	})
	if err != nil || len(change.Differences) != 1 || change.Differences[0].Path != "projects[shop].trafficTypes" {
		t.Errorf("%+v, %v", change, err)
	}
	no := errors.New("no")
	if _, err := two.Edit(t.Context(), "ada", func(d *Document) error { d.Projects = nil; return no }); !errors.Is(err, no) {
		t.Errorf("an edit that gives up: %v", err)
	}
	var invalid *InvalidError
	if _, err := two.Edit(t.Context(), "ada", func(d *Document) error { d.Projects[0].Name = ""; return nil }); !errors.As(err, &invalid) {
		t.Errorf("an edit that makes no sense: %v", err)
	}
	if len(two.Snapshot().Projects()) != 1 {
		t.Error("a refused edit changed something")
	}
}

func TestARotationWithOverlapKeepsBothUntilItIsEnded(t *testing.T) {
	kv := bucket(t)
	c := open(t, kv)
	apply(t, c, example(t))
	key, hook, listener := KeyRef{Kind: "destination", Name: "prod-events"}, KeyRef{Kind: "webhook", Name: "prod-events"}, KeyRef{Kind: "listener", Name: "fme-webhook"}
	fresh := map[string]string{}
	for _, ref := range []KeyRef{key, hook, listener} {
		made, err := c.RotateKey(t.Context(), ref, true, "ada")
		if err != nil {
			t.Fatal(err)
		}
		fresh[ref.Kind] = made.Value
	}
	check := func(c *Catalog, step string, old, now bool) {
		t.Helper()
		s := c.Snapshot()
		d, _ := s.Destination("prod-events")
		l, _ := s.Listener("fme-webhook")
		_, oldKey := s.DestinationByKey("api-key-1")
		_, newKey := s.DestinationByKey(fresh["destination"])
		got := [][2]bool{
			{oldKey, newKey}, {d.CheckKey("api-key-1"), d.CheckKey(fresh["destination"])},
			{d.CheckSecret("webhook-secret-1"), d.CheckSecret(fresh["webhook"])}, {l.CheckSecret("hook-secret-1"), l.CheckSecret(fresh["listener"])},
		}
		for i, pair := range got {
			if pair != [2]bool{old, now} {
				t.Errorf("%s: %d: old and new work %v, want %v %v", step, i, pair, old, now)
			}
		}
		if d.CheckKey("") || d.CheckSecret("wrong") || l.CheckSecret("") {
			t.Errorf("%s: something else works", step)
		}
	}
	check(c, "overlap", true, true)
	check(open(t, kv), "another node", true, true)
	// An export brings the overlap along and applying it changes nothing.
	if change := apply(t, c, c.Export()); len(change.Differences) != 0 {
		t.Errorf("differences %+v", change.Differences)
	}
	for _, ref := range []KeyRef{key, hook, listener} {
		for range 2 { // ending it twice is ending it once
			if err := c.EndRotation(t.Context(), ref, "ada"); err != nil {
				t.Fatal(err)
			}
		}
	}
	check(c, "ended", false, true)
	if _, err := c.RotateKey(t.Context(), key, true, "ada"); err != nil {
		t.Fatal(err)
	}
	made, err := c.RotateKey(t.Context(), key, false, "ada") // at once: neither of the others
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := c.Snapshot().DestinationByKey(fresh["destination"]); ok {
		t.Error("a rotation without overlap left an old key")
	}
	if _, ok := c.Snapshot().DestinationByKey(made.Value); !ok {
		t.Error("the new key does not work")
	}
}

func TestAPreviousKeyOpensNoOtherDestinationsDoor(t *testing.T) {
	text := `projects: [{name: shop, trafficTypes: [user], environments: [{name: p}], segment: {destinations: [
  {name: a, environment: p, apiKey: one, previousApiKey: two}, {name: b, environment: p, apiKey: two}]}}]`
	_, found := Decode("", []byte(text), nil)
	if len(found) != 1 || !strings.Contains(found[0].Message, "the same key is used at projects[0].segment.destinations[0].previousApiKey") {
		t.Errorf("findings %v", found)
	}
}
