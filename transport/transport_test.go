package transport_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/go-loadbalancer/lb/transport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// proto answers with how it was spoken to.
var proto = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	name := "-"
	if r.TLS != nil {
		name = r.TLS.ServerName
	}
	fmt.Fprint(w, r.Proto, " ", r.Host, " ", name, " ", r.Header["Accept-Encoding"])
})

func ask(t *testing.T, tr *transport.Transport, ctx context.Context, scheme, host string) (string, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, "GET", "http://shop/", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.URL.Scheme, r.URL.Host = scheme, host
	resp, err := tr.RoundTrip(r)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}

func TestSchemes(t *testing.T) {
	plain := httptest.NewUnstartedServer(proto)
	plain.Config.Protocols = new(http.Protocols)
	plain.Config.Protocols.SetHTTP1(true)
	plain.Config.Protocols.SetUnencryptedHTTP2(true)
	plain.Start()
	defer plain.Close()
	secure := httptest.NewUnstartedServer(proto)
	secure.EnableHTTP2 = true
	secure.StartTLS()
	defer secure.Close()
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	local := &http.Server{Handler: proto}
	go local.Serve(l)
	defer local.Close()

	roots := x509.NewCertPool()
	roots.AddCert(secure.Certificate())
	tr := transport.New(transport.Config{TLS: &tls.Config{RootCAs: roots}})
	defer tr.CloseIdleConnections()
	named := transport.WithServerName(t.Context(), "example.com")
	for _, c := range []struct {
		ctx          context.Context
		scheme, host string
		want         string
	}{
		{t.Context(), "http", plain.Listener.Addr().String(), "HTTP/1.1 shop - []"},
		{t.Context(), "h2c", plain.Listener.Addr().String(), "HTTP/2.0 shop - []"},
		{named, "https", secure.Listener.Addr().String(), "HTTP/2.0 shop example.com []"},
		{t.Context(), "https", secure.Listener.Addr().String(), "HTTP/2.0 shop  []"},
		{t.Context(), "unix", socket, "HTTP/1.1 shop - []"},
	} {
		for range 2 { // the second time over a kept connection
			if got, err := ask(t, tr, c.ctx, c.scheme, c.host); got != c.want {
				t.Errorf("%s: %q, %v, want %q", c.scheme, got, err, c.want)
			}
		}
	}
	wrong := transport.WithServerName(t.Context(), "other.test")
	if _, err := ask(t, tr, wrong, "https", secure.Listener.Addr().String()); err == nil || !strings.Contains(err.Error(), "other.test") {
		t.Errorf("a certificate for another name: %v", err)
	}
	if _, err := ask(t, tr, t.Context(), "ftp", "h"); err == nil || !strings.Contains(err.Error(), `"ftp"`) {
		t.Errorf("an unknown scheme: %v", err)
	}
}

func TestHeaderTimeout(t *testing.T) {
	leave := make(chan bool)
	silent := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-leave }))
	defer silent.Close()
	defer close(leave)
	tr := transport.New(transport.Config{HeaderTimeout: 20 * time.Millisecond})
	defer tr.CloseIdleConnections()
	_, err := ask(t, tr, t.Context(), "http", silent.Listener.Addr().String())
	var timeout net.Error
	if !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("a silent backend: %v", err)
	}
}

// Redirects are the client's to follow, and nobody in between keeps cookies.
func TestRedirectsPass(t *testing.T) {
	away := httptest.NewServer(http.RedirectHandler("http://elsewhere.test/", http.StatusFound))
	defer away.Close()
	tr := transport.New(transport.Config{})
	defer tr.CloseIdleConnections()
	r := httptest.NewRequest("GET", away.URL, nil)
	r.RequestURI = ""
	resp, err := tr.RoundTrip(r)
	if err != nil || resp.StatusCode != http.StatusFound {
		t.Fatal(resp, err)
	}
	resp.Body.Close()
}
