package transport

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"
)

// variant is what clients of net/http's are told apart by: one backend cannot lock another's up.
type variant struct{ scheme, addr, serverName string }

// client is net/http's for one variant.
type client struct {
	*http.Transport
	used atomic.Int64 // when last, in Unix nanoseconds
}

// unusedFor is how long a client is kept that nobody uses.
const unusedFor = 10 * time.Minute

// standard sends a request by net/http's own transport, within the bounds of Config.
func (t *Transport) standard(req *http.Request) (*http.Response, error) {
	v := variant{scheme: req.URL.Scheme, addr: req.URL.Host}
	if v.scheme == "https" {
		v.serverName, _ = req.Context().Value(serverNameKey{}).(string)
	}
	s := &sending{cfg: &t.cfg, ctx: req.Context()}
	resp, err := t.variant(v).RoundTrip(s.aim(req))
	if err == nil && s.failed() {
		resp.Body.Close()
		err = context.Canceled
	}
	if err != nil {
		s.end()
		return nil, s.explain(err)
	}
	if err := sane(resp); err != nil {
		resp.Body.Close()
		s.end()
		return nil, &Error{Stage: BrokenOff, Err: err}
	}
	resp.Request = req
	s.hear()
	switch _, tunnel := resp.Body.(io.Writer); {
	case tunnel: // whose bounds are its user's
	case resp.Body == http.NoBody:
		s.end()
	default:
		resp.Body = &stdBody{ReadCloser: resp.Body, s: s}
	}
	return resp, nil
}

// sane refuses what net/http lets through over HTTP/2: statuses that are none, and lengths that can
// be read in two ways. Nothing is left of a body that must not be.
func sane(resp *http.Response) error {
	if resp.StatusCode < 200 && (resp.StatusCode != http.StatusSwitchingProtocols || resp.ProtoMajor > 1) || resp.StatusCode > 999 {
		return fmt.Errorf("status %q", resp.Status)
	}
	if lengths := resp.Header["Content-Length"]; len(lengths) > 0 {
		if _, err := strconv.ParseUint(lengths[0], 10, 63); err != nil || len(lengths) > 1 {
			return fmt.Errorf("lengths %q", lengths)
		}
	}
	if resp.StatusCode == http.StatusNoContent || resp.StatusCode == http.StatusNotModified {
		resp.Body.Close()
		resp.Body = http.NoBody
	}
	return nil
}

// variant returns the client for v and makes it when v is new. Then those go that were not used for long.
func (t *Transport) variant(v variant) *http.Transport {
	now := time.Now().UnixNano()
	found, ok := t.variants.Load(v)
	if !ok {
		t.variants.Range(func(old, c any) bool {
			if c := c.(*client); now-c.used.Load() > int64(unusedFor) {
				t.variants.Delete(old)
				c.CloseIdleConnections()
			}
			return true
		})
		fresh := &client{Transport: t.build(v)}
		fresh.used.Store(now)
		found, _ = t.variants.LoadOrStore(v, fresh)
	}
	c := found.(*client)
	c.used.Store(now)
	return c.Transport
}

func (t *Transport) build(v variant) *http.Transport {
	dialer := &net.Dialer{Timeout: t.cfg.DialTimeout, KeepAlive: 15 * time.Second}
	made := &http.Transport{
		DialContext:            dialer.DialContext,
		TLSHandshakeTimeout:    t.cfg.TLSTimeout,
		ExpectContinueTimeout:  t.cfg.ContinueTimeout,
		IdleConnTimeout:        t.cfg.IdleTimeout,
		MaxIdleConnsPerHost:    t.cfg.MaxIdle,
		MaxResponseHeaderBytes: 256 << 10,
		DisableCompression:     true,
		ForceAttemptHTTP2:      true,
		Protocols:              new(http.Protocols),
	}
	if d := t.cfg.BodyTimeout; d > 0 { // for who does not read, where no request can be ended
		made.HTTP2 = &http.HTTP2Config{WriteByteTimeout: d}
	}
	if v.scheme == "h2c" {
		made.Protocols.SetUnencryptedHTTP2(true)
		made.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := dialer.DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return watchFrames(c), nil
		}
		return made
	}
	made.Protocols.SetHTTP1(true)
	made.Protocols.SetHTTP2(true)
	if t.cfg.TLS != nil || v.serverName != "" {
		made.TLSClientConfig = t.cfg.TLS.Clone()
		if made.TLSClientConfig == nil {
			made.TLSClientConfig = new(tls.Config)
		}
		made.TLSClientConfig.ServerName = cmp.Or(v.serverName, made.TLSClientConfig.ServerName)
	}
	return made
}

func (t *Transport) closeIdleVariants() {
	t.variants.Range(func(_, made any) bool {
		made.(*client).CloseIdleConnections()
		return true
	})
}
