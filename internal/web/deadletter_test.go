package web_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"causeway/internal/auth"
	"causeway/internal/reason"
	"causeway/internal/stream"
)

// dead is a call that Segment refused.
func dead(id string) stream.DeadLetter {
	body, _ := json.Marshal(map[string]string{"type": "track", "messageId": id})
	return stream.DeadLetter{Kind: stream.DeadCall, MessageID: id, Reason: reason.RefusedBySegment, Status: 400, Answer: "answer " + hostile, Body: body}
}

func (r *rig) deadCount() (n int) {
	r.t.Helper()
	counts, err := r.streams.CountDeadLetters(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	for _, c := range counts {
		n += c.Count
	}
	return n
}

func TestDeadLettersAreReplayedAfterACountAndAQuestion(t *testing.T) {
	r := configured(t)
	r.get("/dead-letters?env=other/production").shows(200, "No source sends anything from here")
	r.get("/dead-letters?env=shop/production").shows(200, "Nothing is set aside", "or is still being tried")
	if _, err := r.streams.Outbound(t.Context(), "impressions"); err != nil {
		t.Fatal(err) // as the delivery of a configured source does
	}
	r.setAside(dead("first"), dead(hostile), dead("third"),
		stream.DeadLetter{Kind: stream.DeadImpression, Environment: "shop/production", MessageID: "imp", Reason: reason.TrafficTypeUnknown, Body: json.RawMessage(`{"flag":"new-flag","key":"ada"}`)})
	list := r.get("/dead-letters").shows(200, "impressions (4)", "refused_by_segment (3)", "traffic_type_unknown (1)", "Replay all 4", "status 400", "What waits, of shop/production", "new-flag", "It was never sent").escapes()
	filtered := r.get("/dead-letters?reason=refused_by_segment").shows(200, "Segment answered that it will never take this item", "Replay all 3")
	if strings.Contains(filtered.text(), "new-flag") {
		t.Error("the filter by reason does not work")
	}
	r.get("/dead-letters?reason=retries_exhausted").shows(200, "Nothing waits for this reason")
	r.get("/dead-letters?cursor=wrong").shows(400, "This page of the list is gone")

	form := url.Values{"source": {"impressions"}, "reason": {""}, "what": {"selected"}}
	r.post("/dead-letters/replay", form).shows(422, "Nothing is selected", "first")
	letters := regexp.MustCompile(`name="letter" value="(\d+)"`).FindAllStringSubmatch(list.body, -1)
	if len(letters) != 4 {
		t.Fatalf("%d letters can be selected", len(letters))
	}
	form["letter"] = []string{letters[0][1], "999999900"} // the newest, and one that is gone
	asked := r.post("/dead-letters/replay", form).shows(200, "This would send 1 item of the source impressions", "2 letters were chosen; the others are not there any more", "Was the cause mended", "Replay 1 item")
	if r.deadCount() != 4 {
		t.Error("the count replayed something")
	}
	if !strings.Contains(asked.body, `name="letter" value="`+letters[0][1]+`"`) || !strings.Contains(asked.body, `name="confirm" value="yes"`) {
		t.Error("the question does not carry what was chosen")
	}
	form.Set("confirm", "yes")
	r.post("/dead-letters/replay", form).goes("/dead-letters?env=shop/production&source=impressions")
	r.get("/dead-letters").shows(200, "1 item replayed", "Replay all 3")

	all := url.Values{"source": {"impressions"}, "reason": {"refused_by_segment"}, "what": {"all"}}
	r.post("/dead-letters/replay", all).shows(200, "This would send 3 items", "set aside for refused_by_segment", "Calls 3, sent as they are")
	all.Set("confirm", "yes")
	r.post("/dead-letters/replay", all).goes("/dead-letters?env=shop/production&reason=refused_by_segment&source=impressions")
	if r.deadCount() != 0 {
		t.Errorf("%d letters are still dead", r.deadCount())
	}
	all.Del("confirm")
	r.post("/dead-letters/replay", all).shows(200, "somebody replayed it in the meantime")

	entries, err := r.streams.Audit(t.Context(), 0, 1)
	if err != nil || len(entries) != 1 {
		t.Fatal(entries, err)
	}
	var entry auth.AuditEntry
	if err := json.Unmarshal(entries[0].Data, &entry); err != nil || entry.Action != "dead_letters.replayed" || entry.Actor != "user admin@example.com" ||
		entry.Subject != "impressions" || entry.Detail != "all of refused_by_segment: 3 matched, 3 replayed, 0 failed" {
		t.Errorf("the audit log says %+v %v", entry, err)
	}
}

func TestAReplayThatFailsSaysWhyAndLosesNothing(t *testing.T) {
	r := configured(t)
	letter := dead("orphan")
	letter.Source = "removed"
	r.setAside(letter)
	r.get("/dead-letters").shows(200, "removed (1)", "is no longer configured")
	form := url.Values{"source": {"removed"}, "what": {"all"}}
	r.post("/dead-letters/replay", form).shows(200, "calls would stay dead")
	form.Set("confirm", "yes")
	r.post("/dead-letters/replay", form).shows(200, "Not everything was replayed", "Still dead 1", "is not configured any more", "Nothing is lost")
	if r.deadCount() != 1 {
		t.Error("the letter is gone")
	}
}

func TestOnlyEditorsReplayAndOnlyWhatIsTheirs(t *testing.T) {
	r := configured(t)
	orphan := dead("orphan")
	orphan.Source = "removed"
	r.setAside(dead("letter-one"), orphan)
	form := url.Values{"source": {"impressions"}, "what": {"all"}, "confirm": {"yes"}}
	for _, role := range []auth.Role{auth.Viewer, auth.Analyst} {
		r.as(string(role)+"@example.com", auth.Grants{Server: role})
		page := r.get("/dead-letters?source=impressions").shows(200, "Replaying needs the role editor")
		if strings.Contains(page.body, "<button class=\"button primary\" name=\"what\"") {
			t.Errorf("a %s is offered to replay", role)
		}
		if role == auth.Viewer && (strings.Contains(page.text(), hostile) || strings.Contains(page.text(), "letter-one")) {
			t.Error("a viewer sees the item")
		}
		r.post("/dead-letters/replay", form).shows(403, "needs the role editor")
	}
	r.as("other@example.com", auth.Grants{Projects: map[string]auth.Role{"other": auth.Admin}})
	r.post("/dead-letters/replay?env=shop/production", form).shows(403, "no source", "sends from other/production")
	if strings.Contains(r.get("/dead-letters?source=impressions").text(), "refused_by_segment") {
		t.Error("the letters of another project show")
	}
	r.as("shop@example.com", auth.Grants{Projects: map[string]auth.Role{"shop": auth.Editor}})
	r.post("/dead-letters/replay", url.Values{"source": {"removed"}, "what": {"all"}, "confirm": {"yes"}}).shows(403, "no source")
	r.post("/dead-letters/replay", url.Values{"source": {"impressions"}, "letter": {hostile}}).shows(400, "names none")
	r.post("/dead-letters/replay", url.Values{"source": {"impressions"}, "reason": {hostile}, "what": {"all"}}).shows(400, "No item is set aside")
	if r.deadCount() != 2 {
		t.Errorf("%d letters are left of 2", r.deadCount())
	}
}

func TestDeadLettersArePagedThrough(t *testing.T) {
	r := configured(t)
	var letters []stream.DeadLetter
	for i := range 60 {
		letters = append(letters, dead(fmt.Sprintf("letter-%02d", i)))
	}
	r.setAside(letters...)
	page := r.get("/dead-letters").shows(200, "Replay all 60", "letter-59", "letter-35")
	page = r.older(page).shows(200, "letter-34", "letter-10")
	r.older(page).shows(200, "letter-09", "letter-00")
}
