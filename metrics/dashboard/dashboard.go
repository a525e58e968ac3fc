package dashboard

import (
	"bytes"
	"cmp"
	"embed"
	"html/template"
	"net/http"

	"github.com/go-loadbalancer/lb/metrics"
)

//go:embed page.html dashboard.css dashboard.js
var assets embed.FS

// policy lets the page use its own script and style sheet, ask its own origin, and no more.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; " +
	"frame-ancestors 'none'; base-uri 'none'; form-action 'none'"

// Source tells what the page shows at first: a *metrics.Export.
type Source interface{ Report() metrics.Report }

// Config is where the page gets what it shows. Zero fields take the default.
type Config struct {
	Source     Source // nil: the page is empty until the stream or the JSON comes
	JSONPath   string // of metrics.Export.JSON, on the page's origin; "/metrics" if empty
	StreamPath string // of metrics.Export.Stream, on the page's origin; "/metrics/stream" if empty
}

// Handler serves the page at / and its parts at /dashboard.js and /dashboard.css. To have it
// elsewhere, put http.StripPrefix before it and end the path with a slash. It may be called
// concurrently; each page costs one Report.
func Handler(cfg Config) http.Handler {
	cfg.JSONPath = cmp.Or(cfg.JSONPath, "/metrics")
	cfg.StreamPath = cmp.Or(cfg.StreamPath, "/metrics/stream")
	page := template.Must(template.New("page.html").ParseFS(assets, "page.html"))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		guard(w.Header())
		switch {
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, http.StatusText(http.StatusMethodNotAllowed), http.StatusMethodNotAllowed)
		case r.URL.Path == "/":
			servePage(w, page, cfg)
		case r.URL.Path == "/dashboard.js":
			serveAsset(w, "dashboard.js", "text/javascript; charset=utf-8")
		case r.URL.Path == "/dashboard.css":
			serveAsset(w, "dashboard.css", "text/css; charset=utf-8")
		default:
			http.Error(w, http.StatusText(http.StatusNotFound), http.StatusNotFound)
		}
	})
}

func guard(h http.Header) {
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
}

func servePage(w http.ResponseWriter, page *template.Template, cfg Config) {
	var rep metrics.Report
	if cfg.Source != nil {
		rep = cfg.Source.Report()
	}
	var html bytes.Buffer
	if err := page.Execute(&html, newView(rep, cfg)); err != nil {
		http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(html.Bytes())
}

func serveAsset(w http.ResponseWriter, name, kind string) {
	text, err := assets.ReadFile(name)
	if err != nil {
		http.Error(w, http.StatusText(http.StatusNotFound), http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", kind)
	_, _ = w.Write(text)
}
