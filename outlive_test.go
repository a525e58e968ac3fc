package lb_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// An answer that comes before the end of a body may leave net/http's client reading that body for a
// while. That does not touch the client's connection, which is somebody else's by then.
func TestUploadsOutliveTheirAnswers(t *testing.T) {
	leavesNothing(t)
	origin := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	origin.Config.Protocols = onlyH2C()
	origin.Start()
	t.Cleanup(origin.Close)
	for way, cfg := range ways() {
		t.Run(way, func(t *testing.T) {
			f := before(t, cfg, onlyH2C(), strings.Replace(origin.URL, "http", "h2c", 1))
			client := h2cClient(t)
			for range 200 {
				in, out := io.Pipe()
				r := f.request(t, "POST", "/", in)
				resp, err := client.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				go func() { // more of the body comes when the answer is over
					_, _ = out.Write([]byte("late"))
					out.Close()
				}()
				_, _ = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				in.Close()
			}
		})
	}
}
