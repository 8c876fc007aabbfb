package fme

import (
	"encoding/json"
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"causeway/internal/reason"
)

func at(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

// codes lists the reasons of bad items with their places.
func codes(bad []Bad) []string {
	var out []string
	for _, b := range bad {
		out = append(out, strconv.Itoa(b.Index)+" "+string(b.Note.Code))
	}
	return out
}

func TestDecodeImpressionsReadsWhatSDKsSend(t *testing.T) {
	// facts: an impression before the SDK is ready has no change number, labels
	// can be disabled, properties are a JSON string.
	body := `[
	 {"f":"checkout","i":[
	  {"k":"u1","t":"on","m":1700000000001,"c":9007199254740993,"r":"default rule","b":"bucket","pt":1700000000000,"properties":"{\"a\":1}","et":"x"},
	  {"k":" u2 ","t":"control","m":1700000000002,"r":"not ready"},
	  {"k":12345678901234567890,"t":"off","m":"1700000000003","c":"7"},
	  {"k":"u4","t":"off","b":null,"r":null,"c":null,"m":null,"pt":null,"properties":null}]},
	 {"f":"other","i":[{"k":"\u0000u\ud800","t":"on","m":1700000000004.9,"properties":{"b": [1]}}]}]`
	got, bad, err := DecodeImpressions([]byte(body))
	if err != nil || len(bad) != 0 {
		t.Fatalf("bad %v, err %v", bad, err)
	}
	want := []Impression{
		{Flag: "checkout", Key: "u1", Treatment: "on", Time: at(1700000000001), ChangeNumber: 9007199254740993, Label: "default rule",
			BucketingKey: "bucket", PreviousTime: at(1700000000000), Properties: `{"a":1}`},
		{Flag: "checkout", Key: " u2 ", Treatment: "control", Time: at(1700000000002), Label: "not ready"},
		{Flag: "checkout", Key: "12345678901234567890", Treatment: "off", Time: at(1700000000003), ChangeNumber: 7},
		{Flag: "checkout", Key: "u4", Treatment: "off"},
		{Flag: "other", Key: "u\uFFFD", Treatment: "on", Time: at(1700000000004), Properties: `{"b": [1]}`},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestOneBadImpressionNeverCostsItsNeighbours(t *testing.T) {
	body := `[
	 {"f":"a","i":[{"k":"u1","t":"on"}, null, {"t":"on"}, {"k":"u2"}, {"k":true,"t":"on"}, {"k":"","t":"on"}, {"k":"u","t":7}, {"k":"u","t":"on","b":{}}]},
	 {"f":"a","i":null},
	 {"f":"a"},
	 null, 7, "x", [],
	 {"i":[{"k":"u","t":"on"},{"k":"u","t":"on"}]},
	 {"f":3,"i":[{"k":"u","t":"on"}]},
	 {"f":"a","i":[]},
	 {"f":"z","i":[{"k":"u9","t":"off","m":"nonsense","c":[1],"r":5,"pt":-3}]}]`
	got, bad, err := DecodeImpressions([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	want := []Impression{{Flag: "a", Key: "u1", Treatment: "on"}, {Flag: "z", Key: "u9", Treatment: "off"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	var wantBad []string
	for i := 1; i <= 16; i++ {
		wantBad = append(wantBad, strconv.Itoa(i)+" impression_incomplete")
	}
	if diff := cmp.Diff(wantBad, codes(bad)); diff != "" {
		t.Errorf("bad (-want +got)\n%s", diff)
	}
}

func TestDecodeImpressionsWebhookReadsHarnessItems(t *testing.T) {
	item := `{"key":"u1","split":"checkout","environmentId":"e","environmentName":"prod","treatment":"on","time":1700000000001,
	 "bucketingKey":"b","label":"killed","machineName":"host","machineIp":"10.0.0.1","splitVersionNumber":1580851834698,"sdk":"go","sdkVersion":"6.1.0",
	 "properties":{"plan":"pro"}}`
	want := Impression{Flag: "checkout", Key: "u1", Treatment: "on", Time: at(1700000000001), BucketingKey: "b", Label: "killed",
		MachineName: "host", MachineIP: "10.0.0.1", ChangeNumber: 1580851834698, SDK: "go", SDKVersion: "6.1.0", Properties: `{"plan":"pro"}`}
	for name, body := range map[string]string{"a list": "[" + item + `,{"key":"u1"},7]`, "one alone": item} {
		got, bad, err := DecodeImpressionsWebhook([]byte(body))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff([]Impression{want}, got); diff != "" {
			t.Errorf("%s (-want +got)\n%s", name, diff)
		}
		if name == "a list" && !cmp.Equal(codes(bad), []string{"1 impression_incomplete", "2 impression_incomplete"}) {
			t.Errorf("bad %v", bad)
		}
	}
	got, _, err := DecodeImpressionsWebhook([]byte(`[{"key":"u","split":"f","treatment":"on","machineIP":"NA","machineName":"unknown","properties":"{\"a\":1}"}]`))
	if err != nil || len(got) != 1 || got[0].MachineIP != "" || got[0].MachineName != "" || got[0].Properties != `{"a":1}` {
		t.Errorf("got %+v, err %v", got, err)
	}
}

func TestDecodeImpressionListenerSharesTheEnvelope(t *testing.T) {
	body := `{"impressions":[{"testName":"checkout","keyImpressions":[
	  {"keyName":"u1","treatment":"on","time":1700000000001,"changeNumber":5,"label":"default rule","bucketingKey":"b","pt":1700000000000,"properties":"{}"},
	  {"keyName":"u2"}]},{"testName":"x","keyImpressions":null}],"sdkVersion":"go-6.10.0","machineIP":"10.0.0.1","MachineName":"host"}`
	got, bad, err := DecodeImpressionListener([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	want := []Impression{{Flag: "checkout", Key: "u1", Treatment: "on", Time: at(1700000000001), ChangeNumber: 5, Label: "default rule", BucketingKey: "b",
		PreviousTime: at(1700000000000), Properties: "{}", SDK: "go", SDKVersion: "6.10.0", MachineIP: "10.0.0.1", MachineName: "host"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if want := []string{"1 impression_incomplete", "2 impression_incomplete"}; !cmp.Equal(codes(bad), want) {
		t.Errorf("bad %v, want %v", codes(bad), want)
	}
}

func TestDecodeImpressionCountsCutsToTheHour(t *testing.T) {
	got, bad, err := DecodeImpressionCounts([]byte(`{"pf":[{"f":"a","m":1700000000001,"rc":3},{"f":"b","rc":2},{"m":1,"rc":1},{"f":"c","rc":-1},{"f":"d","rc":"x"},null]}`))
	if err != nil {
		t.Fatal(err)
	}
	want := []ImpressionCount{{Flag: "a", Hour: at(1699999200000), Count: 3}, {Flag: "b", Count: 2}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if want := []string{"2 item_unreadable", "3 item_unreadable", "4 item_unreadable", "5 item_unreadable"}; !cmp.Equal(codes(bad), want) {
		t.Errorf("bad %v, want %v", codes(bad), want)
	}
}

func TestUniqueKeysComeInBothDirections(t *testing.T) {
	want := []UniqueKey{{Flag: "f1", Key: "k1"}, {Flag: "f1", Key: "2"}}
	got, bad, err := DecodeUniqueKeysByFlag([]byte(`{"keys":[{"f":"f1","ks":["k1",2,null,{}]},{"f":"f2","ks":null},{"ks":["k"]},null]}`))
	if err != nil || !cmp.Equal(got, want) || len(bad) != 5 {
		t.Errorf("by flag: %v, bad %v, err %v", got, bad, err)
	}
	got, bad, err = DecodeUniqueKeysByKey([]byte(`{"keys":[{"k":"k1","fs":["f1"]},{"k":2,"fs":["f1",""]}]}`))
	if err != nil || !cmp.Equal(got, want) || len(bad) != 1 {
		t.Errorf("by key: %v, bad %v, err %v", got, bad, err)
	}
}

func TestDecodeEventsKeepsWhatTranslateJudges(t *testing.T) {
	body := `[{"key":" u1 ","trafficTypeName":"user","eventTypeId":"buy","value":1e400,"timestamp":"1645557823","properties":{"z":1, "a":null}},
	 {"key":17,"trafficTypeName":null,"eventTypeId":5.50,"value":null,"properties":null},
	 null, {"key":{"a":1}}, {}, {"key":"u","eventTypeId":true,"trafficTypeName":["user"]}]`
	got, bad, err := DecodeEvents([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	raw := func(s string) json.RawMessage { return json.RawMessage(s) }
	want := []WireEvent{
		{Key: "u1", TrafficType: "user", EventType: "buy", Value: raw("1e400"), Timestamp: raw(`"1645557823"`), Properties: raw(`{"z":1, "a":null}`)},
		{Key: "17", EventType: "5.50", Value: raw("null"), Properties: raw("null")},
		{},
		{Key: "u"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if want := []string{"2 item_unreadable", "3 id_not_a_string"}; !cmp.Equal(codes(bad), want) {
		t.Errorf("bad %v, want %v", codes(bad), want)
	}
}

func TestDecodeBeaconTakesTheHeadersFromTheBody(t *testing.T) {
	got, err := DecodeBeacon([]byte(`{"entries": [ {"f":"a"} ] ,"token":"sdk-key","sdk":"browserjs-1.7.1","sim":"OPTIMIZED"}`))
	want := Beacon{Entries: []byte(`[ {"f":"a"} ]`), Token: "sdk-key", SDK: "browserjs-1.7.1", Mode: "OPTIMIZED"}
	if err != nil || !cmp.Equal(got, want) {
		t.Errorf("got %+v, err %v", got, err)
	}
	for _, body := range []string{``, `[]`, `{"token":"x"}`, `null`} {
		if _, err := DecodeBeacon([]byte(body)); !errors.Is(err, ErrShape) {
			t.Errorf("%q: err %v, want ErrShape", body, err)
		}
	}
}

// TestBodiesOfAnotherFormAreRefusedWhole: the door answers 400 to these.
func TestBodiesOfAnotherFormAreRefusedWhole(t *testing.T) {
	bodies := []string{``, ` `, `{`, `[`, `[1,]`, `nul`, `"x"`, `7`, strings.Repeat("[", 1<<20), strings.Repeat(`{"a":`, 1<<20), "\ufeff[]", `[]x`}
	for name, decode := range decoders {
		for _, body := range bodies {
			if _, _, err := decode([]byte(body)); !errors.Is(err, ErrShape) {
				t.Errorf("%s of %.20q: err %v, want ErrShape", name, body, err)
			}
		}
	}
	for name, body := range map[string]string{
		"impressions": `{}`, "events": `{}`, "counts": `[]`, "by flag": `{"keys":{}}`, "by key": `{}`, "listener": `{"impressions":7}`, "webhook": `null`,
	} {
		if _, _, err := decoders[name]([]byte(body)); !errors.Is(err, ErrShape) {
			t.Errorf("%s of %s: err %v, want ErrShape", name, body, err)
		}
	}
}

func TestEmptyBodiesAreNothing(t *testing.T) {
	for name, body := range map[string]string{
		"impressions": `[]`, "events": `[]`, "counts": `{"pf":null}`, "by flag": `{"keys":[]}`, "by key": `{"keys":null}`, "listener": `{"impressions":[]}`, "webhook": `[]`,
	} {
		if n, bad, err := decoders[name]([]byte(body)); n != 0 || len(bad) != 0 || err != nil {
			t.Errorf("%s of %s: %d items, bad %v, err %v", name, body, n, bad, err)
		}
	}
}

func TestSDKNameSplitsAtTheLastDash(t *testing.T) {
	for sdk, want := range map[string][2]string{
		"go-6.10.0": {"go", "6.10.0"}, "react-native-1.2.0": {"react-native", "1.2.0"}, "custom": {"custom", ""}, "": {"", ""},
	} {
		if name, version := SDKName(sdk); name != want[0] || version != want[1] {
			t.Errorf("%q: %q, %q", sdk, name, version)
		}
	}
}

// TestEveryFieldOfTheIdentityCounts: R42's fields, and no others.
func TestEveryFieldOfTheIdentityCounts(t *testing.T) {
	base := Impression{Environment: "p/e", Flag: "f", Key: "k", BucketingKey: "b", Treatment: "on", Label: "l", ChangeNumber: 1, Time: at(1)}
	id := func(change func(*Impression)) ID {
		imp := base
		change(&imp)
		imp.MakeID()
		return imp.ID
	}
	same := id(func(*Impression) {})
	for name, change := range map[string]func(*Impression){
		"environment": func(i *Impression) { i.Environment = "p/f" }, "flag": func(i *Impression) { i.Flag = "g" },
		"key": func(i *Impression) { i.Key = "j" }, "bucketing key": func(i *Impression) { i.BucketingKey = "" },
		"treatment": func(i *Impression) { i.Treatment = "off" }, "label": func(i *Impression) { i.Label = "" },
		"change number": func(i *Impression) { i.ChangeNumber = 2 }, "time": func(i *Impression) { i.Time = at(2) },
	} {
		if id(change) == same {
			t.Errorf("%s does not count", name)
		}
	}
	if id(func(i *Impression) {
		i.SDK, i.MachineName, i.Properties, i.ReceivedAt, i.PreviousTime = "go", "h", "{}", at(9), at(8)
	}) != same {
		t.Error("something else counts, too")
	}
}

// decoders are all list decoders, reduced to how many items they gave.
var decoders = map[string]func([]byte) (int, []Bad, error){
	"impressions": counted(DecodeImpressions),
	"webhook":     counted(DecodeImpressionsWebhook),
	"listener":    counted(DecodeImpressionListener),
	"counts":      counted(DecodeImpressionCounts),
	"by flag":     counted(DecodeUniqueKeysByFlag),
	"by key":      counted(DecodeUniqueKeysByKey),
	"events":      counted(DecodeEvents),
}

func counted[T any](decode func([]byte) ([]T, []Bad, error)) func([]byte) (int, []Bad, error) {
	return func(b []byte) (int, []Bad, error) {
		items, bad, err := decode(b)
		return len(items), bad, err
	}
}

// TestEveryBadCodeIsExplained: a code that no list explains helps nobody.
func TestEveryBadCodeIsExplained(t *testing.T) {
	for _, code := range []reason.Code{reason.ImpressionIncomplete, reason.ItemUnreadable, reason.IDNotAString} {
		if _, ok := reason.Lookup(code); !ok {
			t.Errorf("%s is not in reason.List", code)
		}
	}
}

// FuzzDecoders holds, for any body: no decoder panics; a body that is accepted
// gives text that can be stored, and times and ids that can be written.
func FuzzDecoders(f *testing.F) {
	for _, seed := range []string{
		`[{"f":"a","i":[{"k":"u","t":"on","m":1700000000001,"c":1,"r":"l","b":"b","pt":1,"properties":"{}"}]}]`,
		`[{"key":"u","split":"f","treatment":"on","time":1,"properties":{"a":1}}]`,
		`{"impressions":[{"testName":"f","keyImpressions":[{"keyName":"k","treatment":"on"}]}],"sdkVersion":"go-1"}`,
		`{"pf":[{"f":"a","m":1,"rc":2}]}`, `{"keys":[{"f":"a","ks":["k"]},{"k":"a","fs":["k"]}]}`,
		`[{"key":"u","trafficTypeName":"user","eventTypeId":"e","value":1,"timestamp":2,"properties":{}}]`,
		`{"entries":[],"token":"t","sdk":"s","sim":"m"}`, "[{\"f\":\"\xff\",\"i\":[{\"k\":\"\xc0\\u0000\",\"t\":\"\\ud800\"}]}]",
		`[null,{"f":null,"i":null}]`, `[{"f":"a","f":"b","i":[{"k":1e999,"t":"on","m":1e999,"c":-1e30}]}]`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, decode := range decoders {
			n, bad, err := decode(body)
			if err != nil && n+len(bad) > 0 {
				t.Fatalf("refused, yet %d items and %d bad", n, len(bad))
			}
		}
		for _, decode := range []func([]byte) ([]Impression, []Bad, error){DecodeImpressions, DecodeImpressionsWebhook, DecodeImpressionListener} {
			impressions, _, _ := decode(body)
			for _, imp := range impressions {
				if imp.Flag == "" || imp.Key == "" || imp.Treatment == "" {
					t.Fatalf("incomplete yet accepted: %+v", imp)
				}
				for _, s := range []string{imp.Flag, imp.Key, imp.BucketingKey, imp.Treatment, imp.Label, imp.SDK, imp.SDKVersion, imp.MachineName, imp.MachineIP, imp.Properties} {
					if !utf8.ValidString(s) || strings.ContainsRune(s, 0) {
						t.Fatalf("text that cannot be stored: %q", s)
					}
				}
				if _, err := json.Marshal(imp); err != nil {
					t.Fatalf("cannot be written: %v", err)
				}
				imp.MakeID()
			}
		}
		events, _, _ := DecodeEvents(body)
		for _, e := range events {
			if !utf8.ValidString(e.Key + e.TrafficType + e.EventType) {
				t.Fatalf("text that cannot be stored: %+v", e)
			}
		}
		beacon, err := DecodeBeacon(body)
		if err == nil && !json.Valid(beacon.Entries) {
			t.Fatalf("entries are not JSON: %q", beacon.Entries)
		}
	})
}

// TestCommittedSeedsExist: a fuzz target without its seeds is half a target.
func TestCommittedSeedsExist(t *testing.T) {
	seeds, err := os.ReadDir("testdata/fuzz/FuzzDecoders")
	if err != nil || len(seeds) == 0 {
		t.Fatalf("no committed seeds (err %v)", err)
	}
}
