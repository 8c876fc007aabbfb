package e2e

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// focused describes what has the focus: its name, its text, and whether anybody
// can see that it has it.
type focus struct {
	What, Text string
	Seen       bool
}

func (p *consoleTab) focused() focus {
	p.t.Helper()
	return eval[focus](p, `(() => {
		const e = document.activeElement, s = getComputedStyle(e), box = e.getBoundingClientRect();
		return {
			What: e.id ? "#" + e.id : e.tagName.toLowerCase() + (e.className ? "." + e.className : ""),
			Text: (e.getAttribute("aria-label") || e.textContent || e.value || "").trim().slice(0, 80),
			Seen: e !== document.body && box.width > 0 && box.left >= 0 && s.outlineStyle !== "none" && parseFloat(s.outlineWidth) >= 2,
		};
	})()`)
}

// tabTo presses Tab until the element has the focus. Everything on the way must
// show that it has it.
func (p *consoleTab) tabTo(selector string) {
	p.t.Helper()
	for range 120 {
		if eval[bool](p, `document.activeElement?.matches(`+quote(selector)+`) === true`) {
			return
		}
		p.press(kb.Tab)
		if on := p.focused(); !on.Seen && on.What != "body" {
			p.t.Errorf("%s: nobody sees that %s %q has the focus", p.path(), on.What, on.Text)
		}
	}
	p.t.Fatalf("%s: Tab does not reach %s; it is at %v", p.path(), selector, p.focused())
}

func quote(text string) string { return fmt.Sprintf("%q", text) }

// at waits until the browser is on a path.
func (p *consoleTab) at(path string) {
	p.t.Helper()
	p.waitFor(`location.pathname === ` + quote(path) + ` && document.readyState === "complete"`)
}

// Whoever uses no mouse gets everywhere: skip link, menus, chords, lists, rows,
// dialogs, forms.
func TestConsoleByKeyboardAlone(t *testing.T) {
	t.Parallel()
	p := stranger(t, demo(t)).open("/")
	p.at("/signin")
	p.press(demoEmail) // the address has the focus already
	p.press(kb.Tab)
	p.press(demoPassword)
	p.press(kb.Enter)
	p.at("/")

	p.press(kb.Tab)
	if on := p.focused(); on.Text != "Skip to the content" || !on.Seen {
		t.Errorf("the first stop is %v", on)
	}
	p.press(kb.Enter)
	p.waitFor(`document.activeElement.id === "main"`)

	p.press("?")
	p.waitFor(`document.querySelector("#the-keys").open && document.querySelector("#the-keys").contains(document.activeElement)`)
	for _, v := range axe(p) {
		t.Errorf("the dialog of the keys: %s", v)
	}
	p.press(kb.Escape)
	p.waitFor(`!document.querySelector("#the-keys").open`)

	p.press("/")
	if on := p.focused(); on.What != "#find" {
		t.Errorf("/ goes to %v", on)
	}
	p.press(kb.Escape)

	// Every page of the menu has its chord, and says where one is.
	type place struct{ Key, Path string }
	places := eval[[]place](p, `[...document.querySelectorAll("[data-go]")].map((a) => ({Key: a.dataset.go, Path: new URL(a.href).pathname}))`)
	if len(places) < 10 {
		t.Fatalf("the menu has %d pages", len(places))
	}
	for _, to := range places {
		p.press("g")
		p.press(to.Key)
		p.at(to.Path)
		if here := eval[string](p, `[...document.querySelectorAll(".side [aria-current=page]")].map((a) => a.dataset.go).join()`); here != to.Key {
			t.Errorf("on %s the menu says that one is at %q", to.Path, here)
		}
	}

	p.press("g")
	p.press("c")
	p.at("/customers")
	p.press("j")
	p.press("j")
	p.press("k")
	if row := eval[int](p, `[...document.querySelectorAll("[data-rows] tbody tr")].findIndex((r) => r.classList.contains("current"))`); row != 0 {
		t.Errorf("after j, j and k row %d is the current one", row)
	}
	p.press(kb.Enter)
	p.waitFor(`location.pathname.startsWith("/customers/") && document.readyState === "complete"`)

	p.press("g")
	p.press("l")
	p.at("/live")
	p.state("live")
	p.press(" ")
	p.state("paused")
	p.press("j")
	p.press(kb.Enter)
	p.waitFor(`!document.querySelector("#pane").hidden && document.activeElement.id === "pane-title"`)
	p.press(kb.Escape)
	p.waitFor(`document.querySelector("#pane").hidden && document.activeElement.closest("#rows") !== null`)

	// The account's menu: open, change the theme, close.
	p.visit("/")
	p.tabTo("details.who > summary")
	p.press(kb.Enter)
	p.tabTo("button[name=theme][value=dark]")
	p.press(kb.Enter)
	p.waitFor(`document.documentElement.dataset.theme === "dark"`)
	p.tabTo("details.who > summary")
	p.press(kb.Enter)
	p.press(kb.Escape)
	if on := p.focused(); eval[bool](p, `document.querySelector("details.who").open`) || !strings.HasPrefix(on.Text, "Account") {
		t.Errorf("Esc leaves the menu open, or the focus at %v", on)
	}

	p.visit("/playground")
	p.tabTo("textarea[name=calls]")
	p.press("a", chromedp.KeyModifiers(chromedp.ModifierCtrl))
	p.press(`{"type":"track","userId":"u1","event":"By Hand"}`)
	p.tabTo("main form button.primary")
	p.press(kb.Enter)
	p.shows("By_Hand")
	if on := p.focused(); on.Text != "Translate" {
		t.Errorf("the answer took the focus away: it is at %v", on)
	}

	// Single keys can be switched off (WCAG 2.1.4); Esc stays.
	p.press(kb.Escape)
	p.press("?")
	p.tabTo("#the-keys-off")
	p.press(" ")
	p.press(kb.Escape)
	p.press("g")
	p.press("l")
	p.press("?")
	if p.path() != "/playground" || eval[bool](p, `document.querySelector("#the-keys").open`) {
		t.Errorf("shortcuts that are switched off still work: %s", p.path())
	}
	p.quiet()
}

// noScripts opens pages as a browser does that runs none.
var noScripts = chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
	_, err := cdp.Call(ctx, target, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	return err
})

// Without scripts every page shows what it has, every form can be sent, and the
// forms that people need do what they are for.
func TestConsoleWithoutScripts(t *testing.T) {
	t.Parallel()
	v := signIn(t, demo(t), demoEmail, demoPassword)
	p := v.open("/", noScripts)
	if eval[bool](p, `typeof window.causeway !== "undefined"`) {
		t.Fatal("scripts run")
	}
	pages := 0
	for _, one := range v.crawl("/", lookedAt) {
		if !one.html {
			continue
		}
		pages++
		p.visit(one.path)
		for _, wrong := range eval[[]string](p, `(() => {
			const wrong = [], shown = (e) => e.checkVisibility({contentVisibilityAuto: true}) || e.closest("details:not([open])");
			if (document.querySelector("main h1")?.textContent.trim() === "") wrong.push("no heading");
			for (const panel of document.querySelectorAll("[role=tabpanel]")) if (!shown(panel)) wrong.push("a panel that only a script can show: #" + panel.id);
			for (const form of document.forms) {
				const buttons = [...form.elements].filter((e) => e.type === "submit" && shown(e));
				if (![...form.elements].some((e) => e.type !== "hidden")) continue;
				const texts = [...form.elements].filter((e) => ["text", "search", "email"].includes(e.type));
				if (!buttons.length && texts.length !== 1 && form.method !== "dialog") wrong.push("a form that cannot be sent: " + form.action);
			}
			return wrong;
		})()`) {
			t.Errorf("%s: %s", one.path, wrong)
		}
	}
	t.Logf("%d pages", pages)

	p.visit("/")
	p.must(chromedp.Do(p.ctx, chromedp.SetValue("#env", "shop/staging")))
	p.click(".env button")
	p.shows("shop/staging")
	p.visit("/live?env=" + url.QueryEscape("shop/production"))
	p.shows("Without scripts this page shows what happened last")
	p.click("#q")
	p.press("type:identify")
	p.press(kb.Enter)
	p.waitFor(`location.search.includes("identify") && [...document.querySelectorAll("#rows tr")].every((r) => r.textContent.includes("identify"))`)
	p.click("#rows a")
	p.waitFor(`location.pathname.startsWith("/trace/")`)
	p.click("#find")
	p.press("Order_Completed")
	p.press(kb.Enter)
	p.shows("Order_Completed")
	p.visit("/playground")
	p.must(chromedp.Do(p.ctx, chromedp.SetValue("textarea[name=calls]", `{"type":"track","userId":"u1","event":"No Script"}`)))
	p.click("main form button.primary")
	p.shows("No_Script")
	p.visit("/dead-letters")
	p.shows("Dead letters")
	p.click("details.who > summary")
	p.click("button[name=theme][value=light]")
	p.waitFor(`document.documentElement.dataset.theme === "light"`)
	p.click("details.who > summary")
	p.click("form[action='/signout'] button")
	p.at("/signin")
	p.quiet()
}
