package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/go-loadbalancer/lb"
)

func three() []lb.Spec {
	return []lb.Spec{
		{ID: "checkout-1", Weight: 2, Labels: map[string]string{"zone": "eu-1"}},
		{ID: "checkout-2", Weight: 2, Labels: map[string]string{"zone": "eu-2"}},
		{ID: "checkout-3", Labels: map[string]string{"zone": "eu-3", "track": "canary"}},
	}
}

// row is the JavaScript for a backend's row.
func row(id string) string { return fmt.Sprintf(`document.querySelector('tr[data-backend="%s"]')`, id) }

// colour returns the red, green and blue of a row's background.
func colour(b *browser, id string) (rgb []float64) {
	return eval[[]float64](b, `(() => {
		const pen = document.createElement("canvas").getContext("2d");
		pen.fillStyle = getComputedStyle(`+row(id)+`).backgroundColor;
		pen.fillRect(0, 0, 1, 1);
		return [...pen.getImageData(0, 0, 1, 1).data].slice(0, 3);
	})()`)
}

// TestLive: a backend that goes down turns red on an open page, without a reload.
func TestLive(t *testing.T) {
	p, b := startProgram(t, nil, three()...), openBrowser(t)
	b.screen(1360, 860, "light")
	b.do(chromedp.Navigate(p.page()))
	if n := eval[int](b, `document.querySelectorAll("#backends tr").length`); n != 3 {
		t.Fatalf("the page has %d rows, want 3", n)
	}
	b.await(`document.querySelector("#link").dataset.link === "live"`)
	eval[bool](b, `window.sameDocument = true`)
	if got := eval[string](b, row("checkout-2")+`.dataset.state`); got != "fit" {
		t.Errorf("checkout-2 is %q at first", got)
	}

	p.pool.Mark("checkout-2", lb.Down, "health check: connection refused")
	p.pool.Mark("checkout-3", lb.Warming, "slow start")
	b.await(row("checkout-2") + `.dataset.state === "down"`)
	b.await(row("checkout-2") + `.getAnimations().length === 0`)
	if !eval[bool](b, `window.sameDocument === true`) {
		t.Error("the page was loaded again")
	}
	if text := eval[string](b, row("checkout-2")+`.innerText`); !strings.Contains(text, "down") || !strings.Contains(text, "connection refused") {
		t.Errorf("the row says %q", text)
	}
	if text := eval[string](b, `document.querySelector("#verdict").innerText`); text != "2 of 3 backends are fit" {
		t.Errorf("the page says %q", text)
	}
	b.await(`document.querySelector("#events").innerText.includes("checkout-2: fit → down")`)
	for _, scheme := range []string{"light", "dark"} {
		b.screen(1360, 860, scheme)
		b.await(row("checkout-2") + `.getAnimations().length === 0`)
		down, fit := colour(b, "checkout-2"), colour(b, "checkout-1")
		if down[0] <= down[1]+5 || down[0] <= down[2]+5 {
			t.Errorf("%s: the row of the backend that is down has colour %v, not red", scheme, down)
		}
		if fit[0] > fit[1]+5 {
			t.Errorf("%s: the row of a fit backend has colour %v", scheme, fit)
		}
	}

	p.pool.Clear("checkout-2", lb.Down, "health check: passed")
	b.await(row("checkout-2") + `.dataset.state === "fit"`)
	b.mustBeQuiet()
}

// TestBackendsComeAndGo: rows follow the pool.
func TestBackendsComeAndGo(t *testing.T) {
	p, b := startProgram(t, nil, three()...), openBrowser(t)
	b.do(chromedp.Navigate(p.page()))
	if err := p.pool.Add(lb.Spec{ID: "checkout-0", URL: "http://127.0.0.1:1"}); err != nil {
		t.Fatal(err)
	}
	b.await(`[...document.querySelectorAll("#backends tr")].map((r) => r.dataset.backend).join() === "checkout-0,checkout-1,checkout-2,checkout-3"`)
	if err := p.pool.Replace(); err != nil {
		t.Fatal(err)
	}
	b.await(`document.querySelectorAll("#backends tr").length === 0 && !document.querySelector("#no-backends").hidden`)
	b.mustBeQuiet()
}

// TestFallsBack: without the stream, the page asks for the JSON.
func TestFallsBack(t *testing.T) {
	p, b := startProgram(t, http.NotFoundHandler(), three()...), openBrowser(t)
	b.do(chromedp.Navigate(p.page()))
	p.pool.Mark("checkout-1", lb.Down, "refused")
	b.await(row("checkout-1") + `.dataset.state === "down"`)
	if got := eval[string](b, `document.querySelector("#link").dataset.link`); got != "polling" {
		t.Errorf("the page says that it is %q", got)
	}
}

// TestWithoutJavaScript: the table is there all the same.
func TestWithoutJavaScript(t *testing.T) {
	p, b := startProgram(t, nil, three()...), openBrowser(t)
	p.pool.Mark("checkout-2", lb.Down, "refused")
	send(b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	b.do(chromedp.Navigate(p.page()))
	text := run(b, chromedp.Text(`tr[data-backend="checkout-2"][data-state="down"]`))
	if !strings.Contains(text, "refused") {
		t.Errorf("the row says %q", text)
	}
}

// TestHostileNames: markup in names and causes is text.
func TestHostileNames(t *testing.T) {
	names := []string{`<script>alert(1)</script>`, `"><img src=x onerror=alert(2)>`, `'"} </style><svg onload=alert(3)>`, `{{.}}`, "مرحبا", strings.Repeat("w", 128)}
	var specs []lb.Spec
	for _, name := range names {
		specs = append(specs, lb.Spec{ID: name, Labels: map[string]string{name: name}})
	}
	p, b := startProgram(t, nil, specs...), openBrowser(t)
	for _, name := range names {
		p.pool.Mark(name, lb.Down, name)
	}
	b.do(chromedp.Navigate(p.page()))
	check := func(when string) {
		for _, name := range names {
			if !eval[bool](b, fmt.Sprintf(`[...document.querySelectorAll(".name")].some((n) => n.textContent === %q)`, name)) {
				t.Errorf("%s: %q is not shown as it is", when, name)
			}
		}
		if n := eval[int](b, `document.querySelectorAll("body script, body img, body style").length`); n != 0 {
			t.Errorf("%s: names have become %d elements", when, n)
		}
	}
	check("at first")
	b.await(`document.querySelector("#link").dataset.link === "live"`)
	p.pool.Mark(names[0], lb.Draining, names[1])
	b.await(`document.querySelector('tr[data-state="down draining"]') !== null`)
	check("live")
	b.mustBeQuiet()
	b.screen(1360, 860, "light")
	b.picture("hostile")
}

// TestFits: nothing is wider than the screen, and takes pictures if asked to.
func TestFits(t *testing.T) {
	p, b := startProgram(t, nil, three()...), openBrowser(t)
	b.screen(1360, 860, "light")
	b.do(chromedp.Navigate(p.page()))
	b.await(`document.querySelector("#link").dataset.link === "live"`)
	p.pool.Mark("checkout-2", lb.Down, "health check: connection refused")
	p.pool.Mark("checkout-3", lb.Warming, "slow start")
	b.await(row("checkout-2") + `.dataset.state === "down"`)
	if pictures() {
		p.recorder.Event("scaled out to 3 backends")
		b.await(`document.querySelector("#total-spark polyline").points.length > 40`)
	}
	for _, s := range []struct {
		name          string
		width, height int64
		scheme        string
	}{{"light", 1360, 860, "light"}, {"dark", 1360, 860, "dark"}, {"tablet", 834, 1100, "light"}, {"phone", 390, 844, "light"}, {"phone-dark", 390, 844, "dark"}, {"small", 320, 600, "light"}} {
		b.screen(s.width, s.height, s.scheme)
		b.await(`document.getAnimations().length === 0`)
		if w := eval[int64](b, `document.documentElement.scrollWidth`); w > s.width {
			t.Errorf("%s: the page is %d wide on a screen of %d", s.name, w, s.width)
		}
		b.picture(s.name)
	}
	b.mustBeQuiet()
}
