package tracing

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/lbtest"
)

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// answer is a backend's.
func answer(status int, body io.Reader) (*http.Response, error) {
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(body)}, nil
}

var errDial = &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("refused")}

// inOrder is a policy that tries backends in the order of their IDs.
func inOrder(s lb.Set) lb.Picker {
	return lb.PickFunc(func(i lb.PickInfo) *lb.Backend {
		for _, c := range s.Eligible {
			if !i.Tried(c.Backend) {
				return c.Backend
			}
		}
		return nil
	})
}

// traced is a balancer over a and b whose spans are recorded.
type traced struct {
	*lb.Balancer
	*tracetest.SpanRecorder
}

func newTraced(t *testing.T, cfg Config, transport roundTrip, urls ...string) traced {
	t.Helper()
	recorder := tracetest.NewSpanRecorder()
	cfg.Provider = sdk.NewTracerProvider(sdk.WithSpanProcessor(recorder))
	observer, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return traced{SpanRecorder: recorder, Balancer: lb.Must(lb.New(lb.Config{
		Pool:      lb.Must(lb.NewPool(lb.URLs(urls...)...)),
		Policy:    inOrder,
		Transport: transport,
		Observers: []lb.Observer{observer},
		Hosts:     []string{"service"},
	}))}
}

// serve lets a request be answered, whatever panics, and returns what came.
func (tr traced) serve(r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	func() {
		defer func() { _ = recover() }()
		tr.ServeHTTP(w, r)
	}()
	return w
}

// ended returns the spans in the order in which they began, and sees that all have ended.
func (tr traced) ended(t *testing.T) []sdk.ReadOnlySpan {
	t.Helper()
	started, ended := tr.Started(), tr.Ended()
	if len(started) != len(ended) {
		t.Errorf("%d spans started and %d ended", len(started), len(ended))
	}
	spans := make([]sdk.ReadOnlySpan, len(started))
	for i, s := range started {
		spans[i] = s
	}
	return spans
}

func value(s sdk.ReadOnlySpan, key attribute.Key) string {
	for _, kv := range s.Attributes() {
		if kv.Key == key {
			return kv.Value.String()
		}
	}
	return ""
}

// line sums a span up: kind, name, backend, status code, resend count, error type, reason.
func line(s sdk.ReadOnlySpan) string {
	words := []string{s.SpanKind().String(), s.Name()}
	for _, key := range []attribute.Key{lbBackendID, httpResponseStatusCode, httpRequestResendCount, errorType, lbReason} {
		if v := value(s, key); v != "" {
			words = append(words, string(key[strings.LastIndexAny(string(key), "._")+1:])+"="+strings.TrimPrefix(v, "http://"))
		}
	}
	if s.Status().Code != codes.Unset {
		words = append(words, s.Status().Code.String())
	}
	return strings.Join(words, " ")
}

const (
	callerTrace  = "4bf92f3577b34da6a3ce929d0e0e4736"
	callerSpan   = "00f067aa0ba902b7"
	callerParent = "00-" + callerTrace + "-" + callerSpan + "-01"
)

func fromCaller() *http.Request {
	r := httptest.NewRequest("GET", "/items?page=2", nil)
	r.Header.Set("Traceparent", callerParent)
	r.Header.Set("Tracestate", "vendor=1")
	return r
}

// One trace goes from the caller through the balancer to the backend that answers.
func TestOneTrace(t *testing.T) {
	var got []http.Header
	tr := newTraced(t, Config{}, func(r *http.Request) (*http.Response, error) {
		got = append(got, r.Header)
		if r.URL.Host == "a" {
			return nil, errDial
		}
		return answer(200, strings.NewReader("hello"))
	}, "http://a", "http://b")
	tr.serve(fromCaller())
	spans := tr.ended(t)
	var lines []string
	for _, s := range spans {
		lines = append(lines, line(s))
		if s.SpanContext().TraceID().String() != callerTrace {
			t.Errorf("%s is in another trace than the caller", line(s))
		}
	}
	if want := []string{
		"server GET id=b code=200",
		"client GET id=a type=dial reason=dial Error",
		"client GET id=b code=200 count=1",
	}; !slices.Equal(lines, want) {
		t.Fatalf("spans %q, want %q", lines, want)
	}
	if spans[0].Parent().SpanID().String() != callerSpan || !spans[0].Parent().IsRemote() {
		t.Error("the request's span is not below the caller's")
	}
	for i, h := range got {
		attempt := spans[1+i]
		if attempt.Parent().SpanID() != spans[0].SpanContext().SpanID() {
			t.Errorf("attempt %d is not below the request's span", i)
		}
		want := "00-" + callerTrace + "-" + attempt.SpanContext().SpanID().String() + "-01"
		if h.Get("Traceparent") != want || h.Get("Tracestate") != "vendor=1" {
			t.Errorf("attempt %d carried %q and %q, want %q", i, h.Get("Traceparent"), h.Get("Tracestate"), want)
		}
	}
}

// broken is a body that fails before its end.
type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// Every span that begins ends, and says how.
func TestEverySpanEnds(t *testing.T) {
	ab := []string{"http://a", "http://b"}
	for name, c := range map[string]struct {
		urls      []string
		transport roundTrip
		want      []string
	}{
		"all is well": {ab, func(*http.Request) (*http.Response, error) { return answer(200, strings.NewReader("hello")) },
			[]string{"server GET id=a code=200", "client GET id=a code=200"}},
		"not found": {ab, func(*http.Request) (*http.Response, error) { return answer(404, strings.NewReader("")) },
			[]string{"server GET id=a code=404", "client GET id=a code=404 type=404 Error"}},
		"a bad gateway behind": {ab, func(*http.Request) (*http.Response, error) { return answer(502, strings.NewReader("")) },
			[]string{"server GET id=a code=502 type=502 Error", "client GET id=a code=502 type=502 reason=status Error"}},
		"nobody can be reached": {ab, func(*http.Request) (*http.Response, error) { return nil, errDial },
			[]string{"server GET code=502 type=dial reason=dial Error", "client GET id=a type=dial reason=dial Error", "client GET id=b count=1 type=dial reason=dial Error"}},
		"there is nobody": {nil, nil,
			[]string{"server GET code=503 type=no_backend reason=no_backend Error"}},
		"the transport panics": {ab, func(*http.Request) (*http.Response, error) { panic("transport") },
			[]string{"server GET type=panic reason=panic Error", "client GET id=a type=panic reason=panic Error"}},
		"the client leaves while a backend thinks": {ab, func(r *http.Request) (*http.Response, error) {
			leave(r)
			return nil, context.Canceled
		}, []string{"server GET reason=client", "client GET id=a reason=client"}},
		"the client leaves in the middle": {ab, func(r *http.Request) (*http.Response, error) {
			leave(r)
			return answer(200, broken{})
		}, []string{"server GET id=a code=200 reason=client", "client GET id=a code=200 reason=client"}},
		"the answer breaks off": {ab, func(*http.Request) (*http.Response, error) { return answer(200, broken{}) },
			[]string{"server GET id=a code=200 type=truncated reason=truncated Error", "client GET id=a code=200 type=truncated reason=truncated Error"}},
		"an upgrade nobody asked for": {[]string{"http://a"}, func(*http.Request) (*http.Response, error) { return answer(101, strings.NewReader("")) },
			[]string{"server GET code=502 type=protocol reason=protocol Error", "client GET id=a type=protocol reason=protocol Error"}},
	} {
		tr := newTraced(t, Config{}, c.transport, c.urls...)
		ctx, cancel := context.WithCancel(context.Background())
		tr.serve(httptest.NewRequest("GET", "/secret/path", nil).WithContext(context.WithValue(ctx, leaveKey{}, cancel)))
		cancel()
		var lines []string
		for _, s := range tr.ended(t) {
			lines = append(lines, line(s))
		}
		if !slices.Equal(lines, c.want) {
			t.Errorf("%s: spans\n%q, want\n%q", name, lines, c.want)
		}
	}
}

// A request's span says how its answer came about, if that was asked for and the span is recorded.
func TestExplanations(t *testing.T) {
	for _, on := range []bool{false, true} {
		tr := newTraced(t, Config{Explain: on}, func(r *http.Request) (*http.Response, error) {
			if r.URL.Host == "a" {
				return nil, errDial
			}
			return answer(200, strings.NewReader("hello"))
		}, "http://a", "http://b")
		tr.serve(httptest.NewRequest("GET", "/", nil))
		got := value(tr.ended(t)[0], lbExplanation)
		if on != strings.HasPrefix(got, "attempts: http://a dial ") || on != strings.HasSuffix(got, "; candidates: http://b; left out: http://a tried") {
			t.Errorf("asked for: %v, explained as %q", on, got)
		}
	}
	sampled := lb.Must(New(Config{Explain: true, Provider: sdk.NewTracerProvider(sdk.WithSampler(sdk.NeverSample()))}))
	r := httptest.NewRequest("GET", "/", nil)
	if sampled.Explain(r.WithContext(sampled.RequestStart(r.Context(), r))) {
		t.Error("a span that is not recorded asks for an explanation")
	}
}

type leaveKey struct{}

// leave makes the client of a request go away.
func leave(r *http.Request) { r.Context().Value(leaveKey{}).(context.CancelFunc)() }

func TestTheOtherFace(t *testing.T) {
	tr := newTraced(t, Config{Untrusted: true}, func(r *http.Request) (*http.Response, error) {
		if r.URL.Host == "a" {
			return nil, errDial
		}
		return answer(200, strings.NewReader("hello"))
	}, "http://a", "http://b")
	ctx, program := tr.provider(t).Start(context.Background(), "program")
	r := lb.Must(http.NewRequestWithContext(ctx, "GET", "http://service/x", nil))
	resp, err := (&http.Client{Transport: tr}).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(tr.Started()) - len(tr.Ended()); n != 3 {
		t.Errorf("%d spans are running before the body is closed, want 3", n)
	}
	resp.Body.Close()
	program.End()
	spans := tr.ended(t)
	if got, want := line(spans[1]), "internal GET id=b code=200"; got != want || spans[1].Parent().SpanID() != program.SpanContext().SpanID() {
		t.Errorf("span %q, want %q below the program's", got, want)
	}
	if len(spans) != 4 || value(spans[1], urlScheme) != "http" || value(spans[1], serverAddress) != "service" || value(spans[1], clientAddress) != "" {
		t.Errorf("%d spans, attributes %v", len(spans), spans[1].Attributes())
	}
}

// A request of a program that makes no spans is not one that was served.
func TestTheOtherFaceAlone(t *testing.T) {
	tr := newTraced(t, Config{}, func(*http.Request) (*http.Response, error) { return answer(200, strings.NewReader("")) }, "http://a")
	resp, err := tr.RoundTrip(lb.Must(http.NewRequest("GET", "http://service/x", nil)))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if s := tr.ended(t)[0]; s.SpanKind() != trace.SpanKindInternal || s.Parent().IsValid() {
		t.Errorf("span %q, want an internal root", line(s))
	}
	if _, err := tr.RoundTrip(lb.Must(http.NewRequest("GET", "http://elsewhere/", nil))); err == nil {
		t.Fatal("another host was answered for")
	}
	if got, want := line(tr.ended(t)[2]), "internal GET code=421 type=host reason=host Error"; got != want {
		t.Errorf("span %q, want %q", got, want)
	}
}

// provider returns a tracer of the same recorder.
func (tr traced) provider(t *testing.T) trace.Tracer {
	t.Helper()
	return sdk.NewTracerProvider(sdk.WithSpanProcessor(tr.SpanRecorder)).Tracer("program")
}

// A request that is part of a span of this program already is no second SERVER.
func TestBelowAnotherSpan(t *testing.T) {
	tr := newTraced(t, Config{Untrusted: true}, func(*http.Request) (*http.Response, error) { return answer(200, strings.NewReader("")) }, "http://a")
	ctx, middleware := tr.provider(t).Start(context.Background(), "middleware", trace.WithSpanKind(trace.SpanKindServer))
	tr.serve(fromCaller().WithContext(ctx))
	middleware.End()
	if s := tr.ended(t)[1]; s.SpanKind() != trace.SpanKindInternal || s.Parent().SpanID() != middleware.SpanContext().SpanID() {
		t.Errorf("span %q, want an internal one below the middleware's", line(s))
	}
}

// Strangers neither put spans into our traces nor ours into theirs.
func TestUntrusted(t *testing.T) {
	var got http.Header
	both := propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{})
	tr := newTraced(t, Config{Untrusted: true, Propagator: both}, func(r *http.Request) (*http.Response, error) {
		got = r.Header
		return answer(200, strings.NewReader(""))
	}, "http://a")
	r := fromCaller()
	r.Header.Set("Baggage", "role=admin")
	tr.serve(r)
	spans := tr.ended(t)
	links := spans[0].Links()
	if spans[0].Parent().IsValid() || spans[0].SpanContext().TraceID().String() == callerTrace {
		t.Error("the caller's trace goes on")
	}
	if len(links) != 1 || links[0].SpanContext.TraceID().String() != callerTrace || links[0].SpanContext.SpanID().String() != callerSpan {
		t.Errorf("links %v, want one to the caller", links)
	}
	want := "00-" + spans[0].SpanContext().TraceID().String() + "-" + spans[1].SpanContext().SpanID().String() + "-01"
	if got.Get("Traceparent") != want || got.Get("Tracestate") != "" || got.Get("Baggage") != "" {
		t.Errorf("the backend got %v, want our context only", got)
	}
	tr.Reset() // another middleware may have read the headers before
	tr.serve(r.WithContext(propagation.TraceContext{}.Extract(r.Context(), propagation.HeaderCarrier(r.Header))))
	if spans := tr.ended(t); spans[0].Parent().IsValid() || len(spans[0].Links()) != 1 {
		t.Error("the caller's trace goes on when its context was read before")
	}
	tr.Reset()
	tr.serve(httptest.NewRequest("GET", "/", nil))
	if spans := tr.ended(t); spans[0].Parent().IsValid() || len(spans[0].Links()) != 0 {
		t.Error("there is a parent or a link without a caller")
	}
}

// A context that cannot be read goes no further, and one is passed on that nobody records.
func TestWithoutRecording(t *testing.T) {
	observer := lb.Must(New(Config{Provider: noop.NewTracerProvider()}))
	for sent, want := range map[string]string{callerParent: callerParent, "": "", "00-bad-01": ""} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Traceparent", sent)
		r.Header.Set("Tracestate", "vendor=1")
		h := r.Header.Clone()
		ctx := observer.RequestStart(r.Context(), r)
		r = r.WithContext(observer.AttemptStart(ctx, lb.AttemptInfo{Request: r, Backend: lbtest.Backend(lb.Spec{ID: "a"})}, h))
		observer.Attempt(lb.Result{Request: r, Status: 200})
		observer.Request(lb.Summary{Request: r, Status: 200})
		if got := h.Get("Traceparent"); got != want || want == "" && h.Get("Tracestate") != "" {
			t.Errorf("%q became %v, want %q", sent, h, want)
		}
	}
}

func TestAttributes(t *testing.T) {
	tr := newTraced(t, Config{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}},
		func(*http.Request) (*http.Response, error) { return answer(200, strings.NewReader("")) }, "http://a:81/app/")
	r := httptest.NewRequest("POST", "/items/7?page=2&sig=secret", nil)
	r.Host = "shop.example:8443"
	r.Header.Set("User-Agent", "curl")
	r.Header.Set("X-Forwarded-For", "198.51.100.7")
	tr.serve(r)
	spans := tr.ended(t)
	for i, want := range []map[attribute.Key]string{{
		httpRequestMethod: "POST", urlScheme: "http", urlPath: "/items/7", urlQuery: "page=2&sig=REDACTED",
		userAgentOriginal: "curl", serverAddress: "shop.example", serverPort: "8443", networkProtocolVersion: "1.1",
		clientAddress: "198.51.100.7", networkPeerAddress: "192.0.2.1", networkPeerPort: "1234",
		httpResponseStatusCode: "200", lbBackendID: "http://a:81/app/",
	}, {
		httpRequestMethod: "POST", serverAddress: "a", serverPort: "81", lbBackendID: "http://a:81/app/",
		urlFull: "http://a:81/app/items/7?page=2&sig=REDACTED", lbAttempt: "0", httpResponseStatusCode: "200",
	}} {
		for key, v := range want {
			if got := value(spans[i], key); got != v {
				t.Errorf("%s: %s is %q, want %q", line(spans[i]), key, got, v)
			}
		}
		if len(spans[i].Attributes()) != len(want) {
			t.Errorf("%s has %v, want %v", line(spans[i]), spans[i].Attributes(), want)
		}
	}
	if s := spans[0].InstrumentationScope(); s.SchemaURL != semconv.SchemaURL {
		t.Errorf("the schema is %q", s.SchemaURL)
	}
}

func TestBackendsAddresses(t *testing.T) {
	u := lb.Must(http.NewRequest("GET", "http://x/p", nil)).URL
	for url, want := range map[string]string{
		"http://a": "a 80 http://a/p", "https://a/app": "a 443 https://a/app/p", "h2c://a:9": "a 9 http://a:9/p",
		"http://[::1]:8": "::1 8 http://[::1]:8/p", "unix:///run/app.sock": "/run/app.sock  http://localhost/p",
	} {
		b := lbtest.Backend(lb.Spec{URL: url})
		if got := address(b.URL()) + " " + port(b.URL()) + " " + full(b.URL(), u); got != want {
			t.Errorf("%s is described as %q, want %q", url, got, want)
		}
	}
}

// What clients write neither names spans nor breaks an exporter.
func TestTextFromClients(t *testing.T) {
	tr := newTraced(t, Config{}, func(*http.Request) (*http.Response, error) { return answer(200, strings.NewReader("")) }, "http://a")
	for _, c := range []struct{ method, name, attribute, original string }{
		{"GET", "GET", "GET", ""},
		{"QUERY", "QUERY", "QUERY", ""},
		{"get", "HTTP", "_OTHER", "get"},
		{"BREW", "HTTP", "_OTHER", "BREW"},
		{strings.Repeat("X", 5000), "HTTP", "_OTHER", strings.Repeat("X", maxText)},
	} {
		tr.Reset()
		r := httptest.NewRequest("GET", "/"+strings.Repeat("p", 5000)+"?\xff"+strings.Repeat("q", 5000), nil)
		r.Method = c.method
		r.Header.Set("User-Agent", strings.Repeat("\xff", 5000))
		tr.serve(r)
		for _, s := range tr.ended(t) {
			if s.Name() != c.name || value(s, httpRequestMethod) != c.attribute || value(s, httpRequestMethodAsIs) != c.original {
				t.Errorf("method %.10q: %s with %v", c.method, line(s), s.Attributes()[:2])
			}
			for _, kv := range s.Attributes() {
				if v := kv.Value.String(); !utf8.ValidString(v) || len(v) > 3*maxText {
					t.Errorf("%s is %d bytes, valid: %v", kv.Key, len(v), utf8.ValidString(v))
				}
			}
		}
	}
}

func TestRedact(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "a=1": "a=1", "sig=x": "sig=REDACTED", "a=1&sig=x&b": "a=1&sig=REDACTED&b", "Sig=x&design=y": "Sig=x&design=y",
		"X-Amz-Signature=1&X-Amz-Credential=2&X-Amz-Security-Token=3&X-Goog-Signature=4": "X-Amz-Signature=REDACTED&X-Amz-Credential=REDACTED&X-Amz-Security-Token=REDACTED&X-Goog-Signature=REDACTED",
	} {
		if got := redact(in); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}

// What is kept about backends goes when they go.
func TestBackendsComeAndGo(t *testing.T) {
	tr := &tracer{}
	tr.known.Store(&map[string]known{})
	first := lbtest.Backend(lb.Spec{ID: "first"})
	tr.changed(lb.Change{Backend: first, Joined: true})
	for i := range 100 {
		b := lbtest.Backend(lb.Spec{ID: fmt.Sprint(i)})
		tr.changed(lb.Change{Backend: b, Joined: true})
		tr.changed(lb.Change{Backend: b, After: lb.Down})
		tr.options(lbtest.Backend(lb.Spec{ID: "unknown"}))
		tr.changed(lb.Change{Backend: b, Removed: true})
	}
	if n := len(*tr.known.Load()); n != 1 {
		t.Errorf("%d backends are kept, want 1", n)
	}
	if n := testing.AllocsPerRun(100, func() { tr.options(first) }); n != 0 {
		t.Errorf("%v allocations for the options of a known backend", n)
	}
	moved := lbtest.Backend(lb.Spec{ID: "first", URL: "http://elsewhere:5"})
	start := trace.NewSpanStartConfig(tr.options(moved)...)
	if attrs := start.Attributes(); !slices.Contains(attrs, serverAddress.String("elsewhere")) {
		t.Errorf("a backend that moved is described as %v", attrs)
	}
}

func TestNewNamesEveryFault(t *testing.T) {
	_, err := New(Config{TrustedProxies: make([]netip.Prefix, 1)})
	for _, field := range []string{"Provider", "TrustedProxies"} {
		if err == nil || !strings.Contains(err.Error(), "tracing: Config."+field) {
			t.Errorf("%v does not name %s", err, field)
		}
	}
}

func TestKeysAreTheConventions(t *testing.T) {
	for ours, theirs := range map[attribute.Key]attribute.Key{
		clientAddress: semconv.ClientAddressKey, errorType: semconv.ErrorTypeKey,
		httpRequestMethod: semconv.HTTPRequestMethodKey, httpRequestMethodAsIs: semconv.HTTPRequestMethodOriginalKey,
		httpRequestResendCount: semconv.HTTPRequestResendCountKey, httpResponseStatusCode: semconv.HTTPResponseStatusCodeKey,
		networkPeerAddress: semconv.NetworkPeerAddressKey, networkPeerPort: semconv.NetworkPeerPortKey,
		networkProtocolVersion: semconv.NetworkProtocolVersionKey,
		serverAddress:          semconv.ServerAddressKey, serverPort: semconv.ServerPortKey,
		urlFull: semconv.URLFullKey, urlPath: semconv.URLPathKey, urlQuery: semconv.URLQueryKey, urlScheme: semconv.URLSchemeKey,
		userAgentOriginal: semconv.UserAgentOriginalKey,
	} {
		if ours != theirs {
			t.Errorf("%q is %q in the conventions", ours, theirs)
		}
	}
}

// Neither the SDK nor OpenTelemetry's package of globals is linked.
func TestOnlyTheAPIIsLinked(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range strings.Fields(string(out)) {
		if path == "go.opentelemetry.io/otel" || strings.HasPrefix(path, "go.opentelemetry.io/otel/sdk") {
			t.Errorf("%s is linked", path)
		}
	}
}

func BenchmarkRequest(b *testing.B) {
	for name, provider := range map[string]trace.TracerProvider{
		"Noop":        noop.NewTracerProvider(),
		"NeverSample": sdk.NewTracerProvider(sdk.WithSampler(sdk.NeverSample())),
		"AlwaysOn":    sdk.NewTracerProvider(),
	} {
		b.Run(name, func(b *testing.B) {
			o := lb.Must(New(Config{Provider: provider}))
			backend := lbtest.Backend(lb.Spec{ID: "a"})
			o.Change(lb.Change{Backend: backend, Joined: true})
			in := fromCaller()
			b.ReportAllocs()
			for b.Loop() {
				r := in.WithContext(o.RequestStart(in.Context(), in))
				ctx := o.AttemptStart(r.Context(), lb.AttemptInfo{Request: r, Backend: backend}, http.Header{})
				o.Attempt(lb.Result{Request: r.WithContext(ctx), Backend: backend, Status: 200})
				o.Request(lb.Summary{Request: r, Backend: backend, Status: 200})
			}
		})
	}
}
