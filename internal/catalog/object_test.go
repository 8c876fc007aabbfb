package catalog

import (
	"errors"
	"strings"
	"testing"
)

func TestTheSettingsOfAnObjectAreReadAsInAFile(t *testing.T) {
	_, found := DecodeObject(Sources, "Out", []byte(`{"environmets":["production"],"name":"other"}`))
	if len(found) != 2 || !strings.Contains(found[0].Fix+found[1].Fix, "Did you mean environments?") {
		t.Errorf("findings %v", found)
	}
	if _, found := DecodeObject(Listeners, "hook", []byte("[")); len(found) != 1 {
		t.Errorf("findings %v", found)
	}
	object, found := DecodeObject(Destinations, "in", []byte("environment: production\n"))
	if d := object.(DestinationSpec); len(found) > 0 || d.Name != "in" || !d.Track.Enabled || d.Pages.Template != defaultPageTemplate {
		t.Errorf("%+v %v", object, found)
	}
}

func sourceOf(t *testing.T, settings string) Object {
	t.Helper()
	object, found := DecodeObject(Sources, "Out", []byte(settings))
	if len(found) > 0 {
		t.Fatal(found)
	}
	return object
}

func TestObjectsArePutAndRemovedOneByOne(t *testing.T) {
	c := open(t, bucket(t))
	apply(t, c, mustDecode(t, small))
	ctx := t.Context()
	const settings = `{"environments":["production"],"identities":{"user":"userId"},"event":"$${x}"`
	first := sourceOf(t, settings+`,"writeKey":"write-key-1"}`)
	if change, found := c.CheckObject("shop", first); len(found) > 0 || len(change.Differences) != 1 {
		t.Errorf("planned %+v %v", change, found)
	}
	if _, err := c.PutObject(ctx, "shop", first, NoTag, "ada"); err != nil {
		t.Fatal(err)
	}
	there, ok := c.Export().Projects[0].Segment.Object(Sources, "out") // by id
	if !ok || there.(SourceSpec).Event != "${x}" {
		t.Fatalf("there is %+v", there)
	}
	// What is shown reads back as it is, and changes nothing.
	text, err := EncodeObject(there)
	if err != nil || strings.Contains(string(text), "write-key-1") {
		t.Errorf("%s, %v", text, err)
	}
	if change, err := c.PutObject(ctx, "shop", sourceOf(t, string(text)), TagOf(there), "ada"); err != nil || len(change.Differences) != 0 {
		t.Errorf("%+v, %v", change, err)
	}
	// A write key that is left out stays what it is.
	if _, err := c.PutObject(ctx, "shop", sourceOf(t, settings+`,"sendControl":true}`), TagOf(there), "bob"); err != nil {
		t.Fatal(err)
	}
	if s, _ := c.Snapshot().Source("Out"); s.WriteKey.Reveal() != "write-key-1" || !s.Translate.SendControl {
		t.Error("the write key is gone, or the change is")
	}
	var stale *StaleObjectError
	if _, err := c.PutObject(ctx, "shop", first, TagOf(there), "ada"); !errors.As(err, &stale) || !errors.Is(err, ErrStale) || !stale.Now.(SourceSpec).SendControl {
		t.Errorf("over a newer one: %v", err)
	}
	if _, err := c.PutObject(ctx, "shop", first, NoTag, "ada"); !errors.As(err, &stale) {
		t.Errorf("a second one of the name: %v", err)
	}
	if _, err := c.RemoveObject(ctx, "shop", Sources, "Out", TagOf(there), "ada"); !errors.As(err, &stale) {
		t.Errorf("removing another version: %v", err)
	}
	if _, err := c.RemoveObject(ctx, "shop", Sources, "Out", AnyTag, "ada"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.PutObject(ctx, "shop", first, TagOf(there), "ada"); !errors.As(err, &stale) || stale.Now != nil {
		t.Errorf("one that was removed: %v", err)
	}
	var unknown *UnknownObjectError
	if _, err := c.RemoveObject(ctx, "shop", Sources, "Out", AnyTag, "ada"); !errors.As(err, &unknown) {
		t.Errorf("removing what is not there: %v", err)
	}
	if _, err := c.PutObject(ctx, "none", first, AnyTag, "ada"); !errors.As(err, &unknown) || unknown.What != "project" {
		t.Errorf("in no project: %v", err)
	}
}

func TestFindingsOfAnObjectHavePathsWithinIt(t *testing.T) {
	c := open(t, bucket(t))
	apply(t, c, mustDecode(t, small))
	object, _ := DecodeObject(Destinations, "in", []byte(`{"environment":"nowhere","track":{"eventType":" event"},"identities":{"userId":["usr"]}}`))
	_, err := c.PutObject(t.Context(), "shop", object, AnyTag, "ada")
	var invalid *InvalidError
	if !errors.As(err, &invalid) {
		t.Fatal(err)
	}
	var paths []string
	for _, f := range invalid.Findings {
		paths = append(paths, f.Path)
	}
	if got := strings.Join(paths, " "); got != "name environment identities.userId[0] track.eventType" {
		t.Errorf("paths %q", got)
	}
}
