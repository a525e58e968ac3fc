package lb

import (
	"io"
	"net/http"
	"time"
)

// quick is the length of an answer that is not worth a deadline: it mostly fits into what the system
// keeps for the client.
const quick = 32 << 10

// page is where a response's body is written. It counts, judges an attempt that goes on for long, and
// gives the client time for each part.
type page struct {
	w     io.Writer
	from  io.ReaderFrom // w, if it is one
	a     *attempt
	bytes int64
	whole int64 // that there will be; negative: unknown

	idle  time.Duration // for each part; zero: there is no bound of ours
	until time.Time     // the client's deadline; zero: none was set
}

// copy passes the body on.
func (t *trip) copy(a *attempt, x exchange) error {
	t.page = page{w: t.w, a: a, whole: x.Length()}
	p := &t.page
	p.from, _ = t.w.(io.ReaderFrom)
	if p.whole < 0 || p.whole > quick {
		p.idle = t.downloadIdle()
	}
	direct := p.from != nil && t.req.TLS == nil && t.req.ProtoMajor == 1 && t.req.Method != http.MethodHead
	var flush func() error
	if x.Length() < 0 {
		flush = t.flush
	}
	_, err := x.CopyTo(p, flush, direct)
	t.sum.Bytes = p.bytes
	if !p.until.IsZero() && err == nil {
		_ = http.NewResponseController(t.w).SetWriteDeadline(time.Time{}) // the connection may live on
	}
	return err
}

// downloadIdle is Config.DownloadIdle, or zero where the server has a bound of its own.
func (t *trip) downloadIdle() time.Duration {
	server, _ := t.req.Context().Value(http.ServerContextKey).(*http.Server)
	if server != nil && server.WriteTimeout > 0 {
		return 0
	}
	return max(0, t.b.cfg.DownloadIdle)
}

// renew gives the client time for the next part, and up to a sixteenth more, which saves a deadline
// for each.
func (p *page) renew() {
	if p.idle == 0 {
		return
	}
	if now := time.Now(); p.until.Sub(now) < p.idle {
		p.until = now.Add(p.idle + p.idle/16)
		_ = http.NewResponseController(p.a.trip.w).SetWriteDeadline(p.until)
	}
}

// Write passes on.
func (p *page) Write(b []byte) (int, error) {
	p.renew()
	n, err := p.w.Write(b)
	p.wrote(int64(n))
	return n, err
}

// ReadFrom lets net/http splice. The engine calls it for one part of the body after the other.
func (p *page) ReadFrom(r io.Reader) (int64, error) {
	p.renew()
	n, err := p.from.ReadFrom(r)
	p.wrote(n)
	return n, err
}

func (p *page) wrote(n int64) {
	p.bytes += n
	if p.bytes != p.whole && !p.a.judged.Load() && time.Since(p.a.start)-p.a.result.Latency > streaming {
		p.a.judge(nil)
	}
}
