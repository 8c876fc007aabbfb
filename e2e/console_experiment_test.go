package e2e

import (
	"testing"

	"github.com/chromedp/chromedp"
)

// From an event type to an answer, as a person clicks it: a metric is made and
// tried on real data, an experiment over what is stored, its results come by
// themselves, one effect is opened, and a link shows it to somebody without an
// account.
func TestConsoleFromAnEventToAnAnswer(t *testing.T) {
	base := demo(t)
	admin := signIn(t, base, demoEmail, demoPassword)
	p := admin.open("/events/Order_Completed")
	p.click(`.page-head .actions a[href*="/new/metric"]`)
	p.at("/new/metric")
	p.must(chromedp.Do(p.ctx, chromedp.SendKeys("#name", "orders by click")))
	p.click(`#preview button[value=preview]`)
	p.shows("It measures something", "By treatment of", "Not a result: nothing is tested here")
	if kept := eval[string](p, `document.querySelector("#name").value`); kept != "orders by click" {
		t.Errorf("trying it lost the name: %q", kept)
	}
	p.click(`#spec .actions button[value=save]`)
	p.shows("is saved", "No experiment has it yet")

	p.visit("/new/experiment?flag=checkout_button")
	p.must(chromedp.Do(p.ctx, chromedp.SendKeys("#name", "By click")))
	start := eval[string](p, `new Date(Date.now() - 29 * 86400e3).toISOString().slice(0, 10)`)
	p.must(chromedp.Do(p.ctx, chromedp.SetValue("#start", start), chromedp.SetValue("#baseline", "off"), chromedp.SetValue("#minimumSample", "100")))
	p.click(`input[name="metric.orders-by-click"][value=key]`)
	p.click(`#spec .actions button[value=save]`)
	p.at("/experiments/by-click")
	p.shows("is saved")
	if eval[bool](p, `document.querySelector(".metric-cards") === null`) {
		p.click(`form[action*="recalculate"] button`)
	}
	p.waitFor(`document.querySelector(".metric-cards .state") !== null && document.querySelector("#calculating") === null`) // by itself
	p.shows("orders by click", "Desired", "Impact lies between")

	p.click(".metric-cards h3 a")
	p.shows("Impact snapshot", "Values over time", "Show the working")
	p.click(`nav[aria-label="Show as"] a:last-child`)
	p.shows("pp")
	for _, look := range []struct {
		theme string
		width int64
	}{{light, 1280}, {dark, 400}} {
		p.look(look.theme, look.width)
		eval[int](p, `document.querySelectorAll("main details").forEach((d) => { d.open = true; }) || 0`)
		for _, v := range append(axe(p), overflowing(p)...) {
			t.Errorf("the metric with everything open, %s, %d px: %s", look.theme, look.width, v)
		}
	}
	p.look(light, 1280)

	p.visit("/experiments/by-click/share")
	p.click(`form[action*="/share"] button.primary`)
	p.shows("It is shown this once")
	link := eval[string](p, `new URL(document.querySelector("#share-link").textContent).pathname`)
	p.quiet()

	other := stranger(t, base).open(link)
	other.shows("By click", "orders by click", "Desired")
	for _, v := range axe(other) {
		t.Errorf("the shared page: %s", v)
	}
	other.quiet()
}
