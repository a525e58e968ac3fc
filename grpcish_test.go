package lb_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-loadbalancer/lb"
)

// writeMessage writes one message as gRPC does: a flag, a length, and the bytes.
func writeMessage(w io.Writer, text string) error {
	_, err := w.Write(append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(text))), text...))
	return err
}

func readMessage(r io.Reader) (string, error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return "", err
	}
	text := make([]byte, binary.BigEndian.Uint32(head[1:]))
	_, err := io.ReadFull(r, text)
	return string(text), err
}

// service is a backend with gRPC's four kinds of call. They end with their status as a trailer.
func service(w http.ResponseWriter, r *http.Request) {
	out := http.NewResponseController(w)
	w.Header().Set("Content-Type", "application/grpc")
	if r.ProtoMajor != 2 || r.Header.Get("Te") != "trailers" {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	status := "0"
	switch r.URL.Path {
	case "/unary":
		text, _ := readMessage(r.Body)
		_ = writeMessage(w, text)
	case "/client":
		all := ""
		for {
			text, err := readMessage(r.Body)
			if err != nil {
				break
			}
			all += text
		}
		_ = writeMessage(w, all)
	case "/server":
		for i := range 20 {
			_ = writeMessage(w, fmt.Sprint(i))
			_ = out.Flush()
		}
		status = "8"
	case "/both":
		_ = out.Flush()
		for {
			text, err := readMessage(r.Body)
			if err != nil {
				break
			}
			_ = writeMessage(w, text)
			_ = out.Flush()
		}
	}
	w.Header().Set(http.TrailerPrefix+"Grpc-Status", status)
	w.Header().Set(http.TrailerPrefix+"Grpc-Message", r.URL.Path)
}

// grpcish runs a test with HTTP/2 before and behind a balancer.
func grpcish(t *testing.T, backend http.HandlerFunc, test func(*testing.T, *front, *http.Client)) {
	t.Helper()
	for way, cfg := range ways() {
		t.Run(way, func(t *testing.T) {
			leavesNothing(t)
			origin := httptest.NewUnstartedServer(backend)
			origin.Config.Protocols = onlyH2C()
			origin.Start()
			t.Cleanup(origin.Close)
			f := before(t, cfg, onlyH2C(), strings.Replace(origin.URL, "http", "h2c", 1))
			test(t, f, h2cClient(t))
		})
	}
}

// call begins a call. Messages go through in; what has come back is read from the response.
func (f *front) call(ctx context.Context, client *http.Client, path string, in io.ReadCloser) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, "POST", f.URL+path, in)
	if err != nil {
		return nil, err
	}
	r.Header = http.Header{"Content-Type": {"application/grpc"}, "Te": {"trailers"}}
	return client.Do(r)
}

// Each kind of call, over and over: messages in order, none held back, and the status behind them.
func TestCallsLikeGRPC(t *testing.T) {
	grpcish(t, service, func(t *testing.T, f *front, client *http.Client) {
		for path, exchange := range map[string]func(in *io.PipeWriter, out func() io.Reader) error{
			"/unary": unary, "/client": clientStream, "/server": serverStream, "/both": bothStreams,
		} {
			status := "0"
			if path == "/server" {
				status = "8"
			}
			for n := range 50 {
				if err := f.exchange(t, client, path, status, exchange); err != nil {
					t.Fatalf("%s, the %dth time: %v", path, n, err)
				}
			}
		}
	})
}

func (f *front) exchange(t *testing.T, client *http.Client, path, status string, exchange func(*io.PipeWriter, func() io.Reader) error) error {
	t.Helper()
	body, in := io.Pipe()
	defer in.Close()
	type answer struct {
		*http.Response
		error
	}
	came := make(chan answer, 1)
	go func() {
		resp, err := f.call(t.Context(), client, path, body)
		if err != nil {
			body.CloseWithError(err)
		}
		came <- answer{resp, err}
	}()
	var got answer
	err := exchange(in, func() io.Reader {
		if got = <-came; got.error != nil {
			return strings.NewReader("")
		}
		return got.Body
	})
	if got.error != nil {
		return got.error
	}
	defer got.Body.Close()
	if err != nil {
		return fmt.Errorf("%s: %w", got.Status, err)
	}
	if rest, err := io.ReadAll(got.Body); len(rest) > 0 || err != nil {
		return fmt.Errorf("%q, %v behind the messages", rest, err)
	}
	if got.Trailer.Get("Grpc-Status") != status || got.Trailer.Get("Grpc-Message") != path {
		return fmt.Errorf("%s with trailers %v", got.Status, got.Trailer)
	}
	return nil
}

// expect reads one message.
func expect(r io.Reader, want string) error {
	if got, err := readMessage(r); got != want || err != nil {
		return fmt.Errorf("got %q, %v, want %q", got, err, want)
	}
	return nil
}

func unary(in *io.PipeWriter, out func() io.Reader) error {
	err := writeMessage(in, "hello")
	return errors.Join(err, in.Close(), expect(out(), "hello"))
}

func clientStream(in *io.PipeWriter, out func() io.Reader) error {
	want := ""
	for i := range 20 {
		want += fmt.Sprint(i)
		if err := writeMessage(in, fmt.Sprint(i)); err != nil {
			out()
			return err
		}
	}
	in.Close()
	return expect(out(), want)
}

func serverStream(in *io.PipeWriter, out func() io.Reader) error {
	in.Close()
	answers := out()
	for i := range 20 {
		if err := expect(answers, fmt.Sprint(i)); err != nil {
			return err
		}
	}
	return nil
}

func bothStreams(in *io.PipeWriter, out func() io.Reader) error {
	answers := out()
	for i := range 20 {
		if err := errors.Join(writeMessage(in, fmt.Sprint(i)), expect(answers, fmt.Sprint(i))); err != nil {
			return err
		}
	}
	return in.Close()
}

// A call that its client gives up ends at the backend, too, and is nobody's fault.
func TestCallsThatAreGivenUp(t *testing.T) {
	began, ended := make(chan bool, 1), make(chan bool, 1)
	grpcish(t, func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).Flush()
		_, _ = readMessage(r.Body)
		began <- true
		<-r.Context().Done()
		ended <- true
	}, func(t *testing.T, f *front, client *http.Client) {
		for range 20 {
			ctx, cancel := context.WithCancel(t.Context())
			body, in := io.Pipe()
			resp, err := f.call(ctx, client, "/", body)
			if err != nil {
				t.Fatal(err)
			}
			_ = writeMessage(in, "x")
			<-began
			cancel()
			in.CloseWithError(ctx.Err()) // a client that waits for its own body does not notice
			resp.Body.Close()
			<-ended
			if s := <-f.ended; s.Reason != "client" || !errors.Is(s.Err, lb.ErrClient) {
				t.Errorf("summed up as %+v", s)
			}
		}
		if rate := f.balancer.Status().Backends[0].ErrorRate(); rate != 0 {
			t.Errorf("the backend's error rate is %v", rate)
		}
	})
}
