package e2e

import (
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// setupLink is what serve prints on its first start.
func (s *server) setupLink() string {
	s.t.Helper()
	var link string
	s.eventually("serve prints a link to set it up", func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		link = regexp.MustCompile(`/setup\?token=\S+`).FindString(s.log.String())
		if link == "" {
			return fmt.Errorf("it printed: %s", s.log.String())
		}
		return nil
	})
	return link
}

// shell runs a command line that a page showed, as a person pastes it.
func shell(t *testing.T, line string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "sh", "-c", line).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", line, err, out)
	}
}

// From nothing to "first event received", as a person clicks it: the printed
// link, an account, a project, the integration with Segment, the command that
// the page shows. Each step of the checklist turns done by what happens.
func TestConsoleFirstRunToTheFirstEvent(t *testing.T) {
	t.Parallel()
	s := startBareServer(t)
	p := stranger(t, s.URL).open("/")
	p.at("/signin")
	p.shows("Nobody has an account yet", "The server printed a setup link when it started")

	p.visit(s.setupLink())
	p.shows("Make the first account")
	p.press(adminEmail)
	p.press(kb.Tab)
	p.press("short") // the browser itself says what is wrong, and nothing is lost
	p.click("main button")
	p.waitFor(`document.querySelector("#password:invalid") !== null && document.querySelector("#email").value === ` + quote(adminEmail))
	p.click("#password")
	p.press("a", chromedp.KeyModifiers(chromedp.ModifierCtrl))
	p.press(adminPassword)
	p.click("main button")
	p.at("/")
	p.shows("You are the server's first admin", "There is no environment yet")

	p.click("main a.button.primary")
	p.at("/projects")
	p.click("#name")
	p.press("shop")
	p.press(kb.Enter)
	p.shows("shop")
	p.visit("/")
	p.shows("First steps", "To do: The first call arrived")

	p.click(`.side a[href^="/integrations"]`)
	p.shows("Marketplace", "Add to shop")
	p.click(".choices a")
	p.shows("Nothing comes from Segment yet")
	p.click("#destination a.button.primary")
	p.waitFor(`document.querySelector("#name") !== null`)
	p.must(chromedp.Do(p.ctx, chromedp.SendKeys("#name", "prod-events")))
	// The mistake of the original: the event's name where its place belongs.
	p.must(chromedp.Do(p.ctx, chromedp.SetValue("#eventType", "checkout"), chromedp.SetValue("[name=userId]", "user")))
	p.click(`#configuration .actions button[value=save]`)
	p.shows("checkout", "Save it all the same")
	if kept := eval[string](p, `document.querySelector("#name").value + " " + document.querySelector("[name=userId]").value`); kept != "prod-events user" {
		t.Errorf("the form lost what was entered: %q", kept)
	}
	p.must(chromedp.Do(p.ctx, chromedp.SetValue("#eventType", "event")))
	p.click(`#configuration .actions button[value=save]`)
	p.shows("Secrets below are shown this once")
	shownOnce := eval[string](p, `document.querySelector("#secret-apiKey").textContent`)
	if len(shownOnce) < 20 {
		t.Errorf("the API key is %q", shownOnce)
	}
	for _, look := range []struct {
		theme string
		width int64
	}{{light, 1280}, {dark, 400}} {
		p.look(look.theme, look.width)
		for _, v := range append(axe(p), overflowing(p)...) {
			t.Errorf("the new configuration, %s, %d px: %s", look.theme, look.width, v)
		}
	}
	p.look(light, 1280)

	p.shows("Waiting for the first call")
	shell(t, eval[string](p, `document.querySelector("#curl-line").textContent`))
	p.waitFor(`document.querySelector("#arrival").textContent.toLowerCase().includes("receiving")`) // by itself
	p.visit("/")
	p.shows("Done: The first call arrived", "Done: The first event was stored")
	p.visit("/events")
	p.click("main tbody a")
	p.waitFor(`location.pathname.startsWith("/events/")`)

	// The key is nowhere to be seen again.
	p.click(`.side a[href^="/integrations"]`)
	p.click(".choices a")
	p.click("#destination h3 a")
	p.shows("prod-events")
	if strings.Contains(eval[string](p, "document.documentElement.outerHTML"), shownOnce) {
		t.Error("the API key is shown again")
	}
	p.quiet(422)

	// Two people change the same configuration: the second sees what the first
	// changed, and loses nothing.
	ours, theirs := p, p.another(p.path())
	template := func(of *consoleTab, text string) {
		of.must(chromedp.Do(of.ctx, chromedp.SetValue("#pageTemplate", text)))
		of.click(`#configuration .actions button[value=save]`)
	}
	template(theirs, "they_saw_{name}")
	theirs.shows("Saved")
	template(ours, "we_saw_{name}")
	ours.shows("What changed meanwhile", "they_saw_{name}")
	if kept := eval[string](ours, `document.querySelector("#pageTemplate").value`); kept != "we_saw_{name}" {
		t.Errorf("what was entered is lost: %q", kept)
	}
	for _, v := range append(axe(ours), overflowing(ours)...) {
		t.Errorf("the stale form: %s", v)
	}
	ours.quiet(409, 412, 422)
	theirs.quiet()
}
