package e2e

import (
	"testing"

	"github.com/chromedp/chromedp"
)

// The form of a destination as a person uses it with scripts on: what it says
// of paths and templates comes without a reload, and nothing is saved by it.
func TestConsoleShowsWhatAMappingDoesBeforeItIsSaved(t *testing.T) {
	base := demo(t)
	p := signIn(t, base, demoEmail, demoPassword).open("/integrations/segment/shop/destinations/prod-events")
	p.shows("Receiving")
	stays := func() {
		t.Helper()
		if !eval[bool](p, `window.stays === true`) {
			t.Error("the page was loaded again")
		}
	}
	clear := func(selector string) { eval[string](p, `document.querySelector("`+selector+`").value = ""`) }
	eval[bool](p, `window.stays = true`)

	// A template's result, as it is typed.
	clear("#pageTemplate")
	p.must(chromedp.Do(p.ctx, chromedp.SendKeys("#pageTemplate", "seen {name}")))
	p.waitFor(`document.querySelector("#page-result").textContent.includes("seen_signup")`)
	// A path's finding, when the field is left.
	clear("#eventType")
	p.must(chromedp.Do(p.ctx, chromedp.SendKeys("#eventType", "Product Viewed"), chromedp.Blur("#eventType")))
	p.waitFor(`document.querySelector("#event-finds").textContent.includes("which is an event’s name")`)
	stays()

	// The preview comes in its place.
	p.click(`#configuration button[value=preview]`)
	p.waitFor(`document.querySelector("#preview").textContent.includes("would now be dropped")`)
	stays()
	if shown := eval[string](p, `document.querySelector("#pageTemplate").value`); shown != "seen {name}" {
		t.Errorf("the template in the form is %q", shown)
	}

	// One click mends it: the form comes again with it, and nothing lost.
	p.click(`#event-finds button[name=fix]`)
	p.waitFor(`window.stays !== true && document.readyState === "complete"`)
	if shown := eval[string](p, `document.querySelector("#eventType").value + ", " + document.querySelector("#pageTemplate").value`); shown != "event, seen {name}" {
		t.Errorf("after the fix the form has %q", shown)
	}
	// A value is picked from a call.
	p.click(`.picker summary`)
	p.click(`.pick-number`)
	p.waitFor(`document.querySelector("#value").value.startsWith("properties.")`)

	// A test call is followed to the store.
	eval[bool](p, `window.stays = true`)
	p.click(`#connect form[action$="/test"] button`)
	p.waitFor(`document.querySelector("#tested").textContent.includes("Stored: it became")`)
	stays()
	p.visit("/integrations/segment/shop/destinations/prod-events")
	if saved := eval[string](p, `document.querySelector("#pageTemplate").value`); saved == "seen {name}" {
		t.Error("something was saved")
	}
	p.quiet()
}
