package transport_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/go-loadbalancer/lb/transport"
)

// The bounds of heads and bodies hold over TLS, too, with HTTP/1.1 and HTTP/2, and those who keep
// within them are not cut.
func TestBoundsOverTLS(t *testing.T) {
	for _, h2 := range []bool{false, true} {
		origin := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/body":
				io.WriteString(w, "some")
				http.NewResponseController(w).Flush()
				<-r.Context().Done()
			case "/head":
				<-r.Context().Done()
			case "/slow":
				tick := time.NewTicker(20 * time.Millisecond)
				defer tick.Stop()
				for range 15 { // longer than the bound, all in all
					io.WriteString(w, "x")
					http.NewResponseController(w).Flush()
					<-tick.C
				}
			default:
				io.Copy(io.Discard, r.Body)
				io.WriteString(w, r.Proto)
			}
		}))
		origin.EnableHTTP2 = h2
		origin.StartTLS()
		roots := x509.NewCertPool()
		roots.AddCert(origin.Certificate())
		tr := transport.New(transport.Config{HeaderTimeout: 200 * time.Millisecond, BodyTimeout: 200 * time.Millisecond, TLS: &tls.Config{RootCAs: roots}})
		ctx, cancel := context.WithCancel(transport.WithServerName(t.Context(), "example.com"))
		send := func(path string, body io.Reader) (string, error) {
			r, err := http.NewRequestWithContext(ctx, "POST", origin.URL+path, body)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := tr.RoundTrip(r)
			if err != nil {
				return "", err
			}
			defer resp.Body.Close()
			all, err := io.ReadAll(resp.Body)
			return string(all), err
		}
		if got, err := send("/", io.LimitReader(zeros{}, 8<<20)); err != nil || (got == "HTTP/2.0") != h2 {
			t.Errorf("h2 %v: %q, %v", h2, got, err)
		}
		if got, err := send("/slow", nil); err != nil || got != "xxxxxxxxxxxxxxx" {
			t.Errorf("h2 %v: %q, %v", h2, got, err)
		}
		_, err := send("/head", nil)
		wantError(t, err, transport.NoAnswer, false)
		got, err := send("/body", nil)
		wantError(t, err, transport.BrokenOff, false)
		if got != "some" {
			t.Errorf("h2 %v: %q", h2, got)
		}
		pr, pw := io.Pipe() // a client that stalls
		_, err = send("/", pr)
		wantError(t, err, transport.NoAnswer, true)
		pw.CloseWithError(io.ErrClosedPipe)
		cancel()
		tr.CloseIdleConnections()
		origin.CloseClientConnections()
		origin.Close()
	}
}
