package web_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestImpressionsAreCountedByFlagAndListed(t *testing.T) {
	r := configured(t)
	r.get("/impressions").shows(200, "No impression has arrived in the last 7 days", "the SDK key backend")
	r.get("/impressions?env=shop/staging").shows(200, "Nothing can send impressions here")
	r.get("/?env=shop/production")
	r.start()
	now := time.Now()
	var many []string
	for i := range 60 {
		many = append(many, fmt.Sprintf(`{"k":"user-%02d","t":"on","m":%d,"c":7,"r":"default rule"}`, i, now.Add(-time.Duration(i)*time.Second).UnixMilli()))
	}
	r.impressions(fmt.Sprintf(`[{"f":"button","i":[%s]},{"f":"%s","i":[{"k":"%s","t":"%s","m":%d,"c":1,"r":"%s"},{"k":"x","t":"control","m":%d,"c":1,"r":""}]}]`,
		strings.Join(many, ","), hostile, hostile, hostile, now.Add(-2*time.Hour).UnixMilli(), hostile, now.UnixMilli()))
	first := r.get("/impressions").shows(200, "button user 60 60 60", "not in the catalog 2 2 2", "user-00 user default rule go 6.10.0").escapes()
	second := r.older(first).shows(200, "Older impressions", "user-59", "late", "Newest")
	if strings.Contains(second.text(), "user-00") || strings.Contains(second.text(), "By flag") {
		t.Error("the second page repeats the first")
	}
	r.get("/impressions?flag="+url.QueryEscape(hostile)).shows(200, "This flag", "control not evaluated 50% 1", "all 2 impressions").escapes()
	if text := r.get("/impressions?key=user-07&treatment=on").shows(200, "user-07").text(); strings.Contains(text, "user-08") {
		t.Error("the filter by key does not work")
	}
	r.get("/impressions?flag=none").shows(200, "No impression fits these filters")
	r.get("/impressions?cursor=wrong").shows(400, "This page of the list is gone")
	r.asViewer()
	text := r.get("/impressions?key=user-07").shows(200, "button user 60 60 60", "they need the role analyst").text()
	if strings.Contains(text, "user-0") {
		t.Error("a viewer sees keys")
	}
}
