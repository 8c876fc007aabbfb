package web_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"causeway/internal/auth"
	"causeway/internal/stream"
	"causeway/internal/tail"
	"causeway/internal/web"

	"github.com/prometheus/client_golang/prometheus"
)

const nasty = `<script>alert(1)</script>"'&`

// quoted is a text as JSON, with < and > as they are.
func quoted(text string) string {
	var out strings.Builder
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(text)
	return strings.TrimSpace(out.String())
}

func TestTheOverviewCountsWhatCame(t *testing.T) {
	r := configured(t)
	r.get("/").shows(200, "First steps", "2 of 9", "The first call arrived", "Nothing. Everything")
	r.start()
	r.track(
		`{"type":"track","messageId":"m1","userId":"u1","event":"Order Completed","properties":{"revenue":9.5}}`,
		`{"type":"identify","messageId":"m2","userId":"u1","traits":{"plan":"pro"}}`,
		`{"type":"track","messageId":"m3","userId":"u1","event":"`+strings.Repeat("x", 200)+`"}`,
		`{"type":"page","messageId":"m4","userId":"u1"}`,
		`{"type":"track","messageId":"m1","userId":"u1","event":"Order Completed"}`,
	)
	r.impressions(`[{"f":"button","i":[{"k":"u1","t":"on","m":1760000000000,"c":1,"r":"x"}]}]`)
	page := r.get("/").shows(200, "Received 5 1 repeat", "Ignored 1 20% unnamed_page 1", "Dropped 1 20% event_type_invalid 1", "Events stored 1", "Attributes set 1", "Impressions 1",
		"1 track call in events: The event's name does not fit FME", "See a sample")
	if strings.Count(page.body, `class="done"`) != 6 {
		t.Errorf("%d of the first steps are done: %s", strings.Count(page.body, `class="done"`), page.text())
	}
	if !strings.Contains(page.body, "5 calls received, 1 ignored, 1 dropped, 1 event stored") {
		t.Error("the chart does not say in words what it shows")
	}
	r.get("/").shows(200, "6 of 9", "To do: A backup was made")
	if _, err := r.backups.Write(t.Context(), io.Discard, "test", false); err != nil {
		t.Fatal(err)
	}
	r.get("/").shows(200, "7 of 9", "Done: A backup was made")
	for _, span := range []string{"1 h", "24 h", "7 d", "30 d", "x"} {
		r.get("/?span="+url.QueryEscape(span)).shows(200, "Received 5")
	}
	r.get("/?env=shop/staging").shows(200, "Received 0")
}

func TestTheOverviewSaysWhatNeedsAttention(t *testing.T) {
	r := configured(t)
	ctx := t.Context()
	refused := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "causeway_ingest_refused_total"}, []string{"route", "reason"})
	r.metrics.MustRegister(refused)
	refused.WithLabelValues("batch", "body_not_json").Add(3)
	r.checks = []web.Check{{Name: "disk", Detail: "the disk is " + nasty}, {Name: "store", OK: true}}
	if err := r.streams.SaveDeliveryState(ctx, stream.DeliveryState{Source: "impressions", State: stream.DeliveryPaused, Since: time.Now(), Reason: "credentials_refused", Status: 401}); err != nil {
		t.Fatal(err)
	}
	if err := r.streams.SetAside(ctx, "x", []stream.DeadLetter{{Source: "impressions", Kind: "call", MessageID: "m9", Reason: "refused_by_segment", Status: 400, At: time.Now(), Body: json.RawMessage(`{}`)}}); err != nil {
		t.Fatal(err)
	}
	page := r.get("/").shows(200, "Failed at the door 3 body_not_json 3", "disk: the disk is "+nasty, "The source impressions is paused", "Segment refuses the write key",
		"1 item set aside as dead letters", "Dead letters 1 refused_by_segment 1")
	if strings.Contains(page.body, "<script>alert") {
		t.Error("a text is not escaped")
	}
	r.get("/trace/m9").shows(200, "1 dead letter", "Segment answered that it will never take this item")
}

func TestLiveTailShowsHistoryAndFiltersIt(t *testing.T) {
	r := configured(t)
	r.get("/live").shows(200, "Nothing has arrived in shop/production yet")
	r.start()
	r.track(
		`{"type":"track","messageId":"m1","userId":"u1","event":"Order Completed"}`,
		`{"type":"track","messageId":"m/2 `+`<b>","userId":"u1","event":`+quoted(nasty)+`}`,
		`{"type":"identify","messageId":"m3","userId":"u1","traits":{"plan":"pro"}}`,
	)
	r.impressions(`[{"f":"button","i":[{"k":` + quoted(nasty) + `,"t":"on","m":1760000000000,"c":1,"r":"x"}]}]`)
	all := r.get("/live").shows(200, "track Order_Completed → 1 event", "event_type_invalid", "identify → 1 attribute", "saw button: on")
	if strings.Contains(all.body, "<script>alert") || !strings.Contains(all.body, "/trace/m%2F2%20%3Cb%3E?env=shop/production") {
		t.Error("a name is not escaped")
	}
	for path, want := range map[string][2]string{
		"/live?q=type:track":                  {"Order_Completed", "identify"},
		"/live?q=-type:track":                 {"identify", "Order_Completed"},
		"/live?kind=impression":               {"saw button", "identify →"},
		"/live?outcome=dropped":               {"event_type_invalid", "saw button"},
		"/live?kind=call&q=order*+type:track": {"Order_Completed", "identify →"},
	} {
		page := r.get(path).shows(200, want[0])
		if strings.Contains(page.text(), want[1]) {
			t.Errorf("%s shows %q", path, want[1])
		}
	}
	r.get("/live?q=nonsense-xyz").shows(200, "Nothing fits the filter yet")
	r.get("/live?q=color:red").shows(400, "q cannot filter by")
	r.get("/live?kind=what").shows(400, "kind is one of")
	r.get("/live?env=other/production").shows(200, "Nothing has arrived in other/production yet")
}

// events reads server-sent events of a path until the test or stop ends it.
func (r *rig) events(path string) (<-chan string, context.CancelFunc) {
	r.t.Helper()
	ctx, stop := context.WithCancel(r.t.Context())
	request, err := http.NewRequestWithContext(ctx, "GET", r.base+path, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	response, err := r.browser.Do(request)
	if err != nil {
		r.t.Fatal(err)
	}
	if response.StatusCode != 200 || response.Header.Get("Content-Type") != "text/event-stream" {
		r.t.Fatalf("%s: %d %v", path, response.StatusCode, response.Header)
	}
	lines := make(chan string, 10000)
	go func() {
		defer response.Body.Close()
		defer close(lines)
		in := bufio.NewScanner(response.Body)
		in.Buffer(nil, 1<<20)
		for in.Scan() {
			lines <- in.Text()
		}
	}()
	if first := <-lines; !strings.HasPrefix(first, "retry:") {
		r.t.Fatalf("the stream begins with %q", first)
	}
	return lines, stop
}

func TestTheLiveStreamHasWhatTheCallerMaySeeAndTheFilterWants(t *testing.T) {
	r := configured(t)
	r.as("ada@example.com", auth.Grants{Projects: map[string]auth.Role{"shop": auth.Analyst}})
	lines, stop := r.events("/live/stream?env=shop/production&q=-type:page")
	defer stop()
	for !r.tail.Watched() {
		time.Sleep(time.Millisecond)
	}
	for _, item := range []tail.Item{
		{Kind: tail.Call, Type: "track", Environment: "other/production", Summary: "elsewhere"},
		{Kind: tail.Refused, Summary: "of nobody"},
		{Kind: tail.Delivery, Configuration: "no-such", Summary: "of a source that is gone"},
		{Kind: tail.Call, Type: "page", Environment: "shop/production", Summary: "filtered"},
		{Kind: tail.Delivery, Configuration: "impressions", Summary: "delivery"},
		{Kind: tail.Call, Type: "track", Environment: "shop/production", Summary: "wanted " + nasty},
	} {
		r.tail.Publish(item)
	}
	var got []string
	for line := range lines {
		if data, ok := strings.CutPrefix(line, "data: "); ok {
			var item tail.Item
			if err := json.Unmarshal([]byte(data), &item); err != nil {
				t.Fatal(err)
			}
			got = append(got, item.Summary)
			if len(got) == 2 {
				break
			}
		}
	}
	if strings.Join(got, "|") != "delivery|wanted "+nasty {
		t.Errorf("got %q", got)
	}
}

func TestAFloodIsCutAndCounted(t *testing.T) {
	r := configured(t)
	lines, stop := r.events("/live/stream?env=shop/production")
	defer stop()
	for !r.tail.Watched() {
		time.Sleep(time.Millisecond)
	}
	const sent = 5000
	for i := range sent {
		r.tail.Publish(tail.Item{Kind: tail.Call, Environment: "shop/production", Summary: fmt.Sprint(i)})
	}
	items, missed := 0, 0
	for line := range lines {
		data, ok := strings.CutPrefix(line, "data: ")
		if !ok {
			continue
		}
		var gap struct{ Missed *int }
		if err := json.Unmarshal([]byte(data), &gap); err == nil && gap.Missed != nil {
			missed += *gap.Missed
		} else {
			items++
		}
		if items+missed == sent {
			break
		}
	}
	if items == 0 || items > 400 {
		t.Errorf("%d items were sent, %d counted as missed", items, missed)
	}
}

func TestLiveStreamsEndWithTheServerAndHaveAPlaceOrSaySo(t *testing.T) {
	r := configured(t, func(o *web.Options) { o.Feed = tail.NewFeed(o.Tail, 1) })
	lines, _ := r.events("/live/stream?env=shop/production")
	r.get("/live/stream?env=shop/production").shows(503, "All live streams are taken")
	r.get("/live/stream?env=shop/production&q=color:red").shows(400)
	r.server.CloseStreams()
	for range lines {
	}
}

func TestATraceTellsTheWholeWay(t *testing.T) {
	r := configured(t)
	r.get("/trace").shows(200, "One messageId on its way")
	r.get("/trace/unknown").shows(404, "Nothing is known of this messageId")
	r.get("/trace?id=a/b+c").goes("/trace/a%2Fb%20c?env=shop/production")
	r.start()
	id := "m/1 <i>"
	call := `{"type":"track","messageId":` + quoted(id) + `,"userId":"u1","event":"Order Completed","properties":{"revenue":"a lot","note":` + quoted(nasty) + `}}`
	r.track(call)
	r.track(call)
	page := r.get("/trace/"+url.PathEscape(id)).shows(200, "came in 2 copies", "Copy 1 of 2", `analytics.track("Order Completed", {`, "duplicate", "Became", "Order_Completed",
		"no plain number", "Made durable in frame", "became 1 stored event", "<script>alert(1)</script>", "Open in the playground", "curl -u WRITE_KEY:")
	if strings.Contains(page.body, "<script>alert") || strings.Contains(page.body, "<i>") {
		t.Error("a text is not escaped")
	}
	r.as("eve@example.com", auth.Grants{Projects: map[string]auth.Role{"other": auth.Admin}})
	r.get("/trace/"+url.PathEscape(id)).shows(404, "Nothing is known")
}

func TestFindingGoesToWhatItFound(t *testing.T) {
	r := configured(t)
	r.start()
	r.track(`{"type":"track","messageId":"m1","userId":"u1","event":"Order Completed"}`)
	r.get("/find?q=m1").goes("/trace/m1?env=shop/production")
	r.get("/find?q=a:b+c").goes("/live?env=shop/production&q=%22a%3Ab+c%22")
	r.get("/find?q=+").goes("/?env=shop/production")
}

func TestThePlaygroundTakesWhatPeoplePaste(t *testing.T) {
	r := configured(t)
	r.get("/playground").shows(200, "Press Translate", "events · shop/production")
	call := `{"type":"track","userId":"u1","event":"Order Completed","properties":{"revenue":9.5}}`
	try := func(calls string, more ...string) answer {
		form := url.Values{"calls": {calls}, "destination": {"events"}}
		for i := 0; i < len(more); i += 2 {
			form.Set(more[i], more[i+1])
		}
		return r.post("/playground", form)
	}
	for name, calls := range map[string]string{
		"call":   call,
		"NDJSON": call + "\n" + call,
		"batch":  `{"batch":[` + call + `,` + call + `]}`,
		"curl":   "curl -u key: https://api.segment.io/v1/track \\\n  -H 'Content-Type: application/json' -d '" + call + "'",
		"chrome": `curl 'https://api.segment.io/v1/t' -H 'x: y' --data-raw $'{"type":"track","userId":"u\'1","event":"Order Completed","properties":{"revenue":9.5}}' --compressed`,
		"double": `curl --data "{\"type\":\"track\",\"userId\":\"u1\",\"event\":\"Order Completed\",\"properties\":{\"revenue\":9.5}}" localhost`,
	} {
		t.Log(name)
		try(calls).shows(200, "The path event finds Order Completed , which becomes Order_Completed", "The path properties.revenue finds 9.5", "stored: 1 event")
	}
	try(`{"type":`).shows(422, "This cannot be read: line 1")
	try(" ").shows(422, "Paste a call first")
	try("[]").shows(422, "There is no call in it")
	try(strings.Repeat(call, 60)).shows(200, "Only the first 20 are shown")
	page := try(`{"type":"track","userId":"u1","event":`+quoted(nasty)+`}`).shows(200, "is no name that FME takes", "Repair names")
	if strings.Contains(page.body, "<script>alert") {
		t.Error("a text is not escaped")
	}
	try(`{"type":"alias","userId":"u1"}`).shows(200, "alias")
	try(`{"type":"page","userId":"u1","name":"signup"}`).shows(200, "makes view_signup_page")
	try(`{"type":"identify","userId":"u1","traits":{"plan":"pro","long":"`+strings.Repeat("x", 300)+`"}}`).shows(200, "2 attributes of 1 customer", "cut at 255", "longer than 255")
	try(`{"type":"track","event":"x"}`).shows(200, "userId is not in the call", "no usable id")
}

func TestThePlaygroundCatchesAnEventsNameInPlaceOfAPath(t *testing.T) {
	r := configured(t)
	form := url.Values{"calls": {`{"type":"track","userId":"u1","event":"checkout","properties":{"total":3}}`}, "destination": {"events"},
		"settingsOf": {"events"}, "eventType": {"checkout"}, "value": {""}}
	page := r.post("/playground", form).shows(200, "checkout is the event's name. The setting eventType wants the place where the name stands, which is event", "dropped: 0 events", "Use event", "differ from the destination")
	if !strings.Contains(page.body, `name="fix" value="eventType=event"`) {
		t.Error("there is no fix to click")
	}
	form.Set("fix", "eventType=event")
	page = r.post("/playground", form).shows(200, "stored: 1 event", "has no value path", "Use properties.total (3)")
	if !strings.Contains(page.body, `name="eventType" value="event"`) {
		t.Error("the fix is not in the form")
	}
	form.Set("eventType", "event")
	form.Set("fix", "value=properties.total")
	r.post("/playground", form).shows(200, "The path properties.total finds 3")
	form.Set("settingsOf", "another")
	form.Set("fix", "")
	form.Set("eventType", "checkout")
	r.post("/playground", form).shows(200, "stored: 1 event") // settings of another destination are forgotten
}

func TestACallOpensInThePlayground(t *testing.T) {
	r := configured(t)
	r.start()
	r.track(`{"type":"track","messageId":"m1","userId":"u77","event":"Order Completed"}`)
	r.get("/playground?message=m1").shows(200, "u77", "stored: 1 event")
}

// Every page of the table of contents is asked for by everybody. What a role
// lacks is refused by the server, whatever the pages show.
func TestRolesAreHeldByTheServer(t *testing.T) {
	r := configured(t)
	for _, role := range auth.Roles {
		for _, grants := range []auth.Grants{{Server: role}, {Projects: map[string]auth.Role{"shop": role}}} {
			r.as(strings.ReplaceAll(grants.String(), " ", "-")+"@example.com", grants)
			who := auth.Identity{Kind: "user", Grants: grants}
			for _, rt := range web.RouteList() {
				may := who.May(rt.Need, "shop")
				if rt.Server {
					may = who.May(rt.Need, "")
				}
				method, path := example(rt.Pattern)
				switch {
				case rt.Need == "":
				case !may:
					r.do(method, path, url.Values{}).shows(403, "Not with your role", string(rt.Need.Least()))
				case rt.Pattern == "GET /live/stream":
					_, stop := r.events(path)
					stop()
				default: // what an empty form does is the route's own test's
					if got := r.do(method, path, url.Values{}); strings.Contains(got.text(), "Not with your role") || got.status >= 500 {
						t.Errorf("%s: %s answered %d: %.300s", grants, rt.Pattern, got.status, got.text())
					}
				}
			}
		}
	}
	r.anew()
	for _, rt := range web.RouteList() {
		method, path := example(rt.Pattern)
		if got := r.do(method, path, url.Values{}); rt.Need != "" && got.status != 303 && got.status != 401 {
			t.Errorf("%s: %d without a session", rt.Pattern, got.status)
		}
	}
}

// example is a request that a pattern takes.
func example(pattern string) (method, path string) {
	method, path, _ = strings.Cut(strings.NewReplacer("{$}", "", "{project}", "shop", "{kind}", "destinations").Replace(pattern), " ")
	for strings.Contains(path, "{") {
		path = path[:strings.Index(path, "{")] + "x" + path[strings.Index(path, "}")+1:]
	}
	return method, path
}
