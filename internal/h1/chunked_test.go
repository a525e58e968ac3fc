package h1

import (
	"errors"
	"reflect"
	"strings"
	"testing"
)

// decode takes body apart, of which at first only the bytes before cut are there, and then one more each time.
func decode(body string, cut int) (data string, used int, c Chunked, err error) {
	for {
		piece, n, done, err := c.Decode([]byte(body[used:cut]))
		data += string(piece)
		used += n
		if done || err != nil {
			return data, used, c, err
		}
		if n == 0 {
			if cut++; cut > len(body) {
				return data, used, c, errShort
			}
		}
	}
}

var errShort = errors.New("short")

func TestDecode(t *testing.T) {
	for _, c := range []struct {
		body, want string
		trailer    []Field
	}{
		{"0\r\n\r\n", "", nil},
		{"000\r\n\r\n", "", nil},
		{"5\r\nhello\r\n0\r\n\r\n", "hello", nil},
		{"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", "hello world", nil},
		{"0000000000000005\r\nhello\r\n0\r\n\r\n", "hello", nil},
		{"5  \t\r\nhello\r\n0 \r\n\r\n", "hello", nil},
		{"5;a=b;c=\"d\t\xff\"\r\nhello\r\n0;x\r\n\r\n", "hello", nil},
		{"A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n", "01234567890123456789", nil},
		{"2\r\n\r\n\r\n0\r\n\r\n", "\r\n", nil},
		{"1\r\na\r\n0\r\nX-Sum: 1\r\nx-sum:2\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\nSet-Cookie: a=b\r\nIf-Match: x\r\nGrpc-Status: 0\r\n\r\n", "a",
			[]Field{{"X-Sum", "1", false}, {"X-Sum", "2", false}, {"Grpc-Status", "0", false}}},
	} {
		for cut := range len(c.body) + 1 {
			data, used, dec, err := decode(c.body+"HTTP/1.1 200", cut)
			if data != c.want || used != len(c.body) || err != nil || !reflect.DeepEqual(dec.Trailer(), c.trailer) {
				t.Errorf("%q cut at %d: %q, used %d, %v, %v", c.body, cut, data, used, dec.Trailer(), err)
			}
		}
		for cut := range len(c.body) {
			if _, _, _, err := decode(c.body[:cut], 0); err != errShort {
				t.Errorf("%q: %v", c.body[:cut], err)
			}
		}
	}
}

func TestMalformedChunks(t *testing.T) {
	for _, body := range []string{
		"\r\n", "\n", " 5\r\n", "+5\r\n", "-5\r\n", "0x5\r\n", "g\r\n", ";a\r\n", "5 5\r\n", "5 ;a\r\n", "5,\r\n", "5\n", "1\nZ\n0\r\n\r\n", "5;\nhello", "5;a\rb\r\n", "5\r\r\n", "5;a\x00\r\n", "5;\x7f\r\n", "5\x00\r\n",
		"00000000000000005\r\n", "8000000000000000\r\n", "ffffffffffffffff\r\n", "10000000000000000\r\n", "5\r\nhelloX", "5\r\nhello\n", "5\r\nhello\r\r", "5\r\nhello0\r\n\r\n", "5\r\nhello\r\n\r\n", "\xb5\r\n",
		"5;" + strings.Repeat("a", 256) + "\r\n", strings.Repeat("0", 300), "5;" + strings.Repeat("a", 300), strings.Repeat("1;"+strings.Repeat("a", 255)+"\r\nx\r\n", 65),
		"0\r\n\n", "0\r\n: v\r\n\r\n", "0\r\nA : v\r\n\r\n", "0\r\n A: v\r\n\r\n", "0\r\nA: v\r\n folded\r\n\r\n", "0\r\nA: \x00\r\n\r\n", "0\r\nA: v\n\r\n", "0\r\nA\r\n\r\n",
	} {
		for _, before := range []string{"", "3\r\nabc\r\n"} {
			for _, cut := range []int{0, len(before + body)} {
				data, _, c, err := decode(before+body, cut)
				if _, ok := errors.AsType[*Error](err); !ok {
					t.Errorf("%q: %q, %v", before+body, data, err)
				}
				if before != "" && !strings.HasPrefix(data, "abc") {
					t.Errorf("%q: lost data before the fault: %q", before+body, data)
				}
				c.Reset()
				if data, _, done, err := c.Decode([]byte("1\r\nx\r\n0\r\n\r\n")); string(data) != "x" || !done || err != nil {
					t.Errorf("after Reset: %q %v %v", data, done, err)
				}
			}
		}
	}
}

func TestTrailerLimits(t *testing.T) {
	for body, ok := range map[string]bool{
		"0\r\n" + strings.Repeat("A: b\r\n", 256) + "\r\n":                  true,
		"0\r\n" + strings.Repeat("A: b\r\n", 257) + "\r\n":                  false,
		"0\r\nA: " + strings.Repeat("b", 64<<10-7) + "\r\n\r\n":             true,
		"0\r\nA: " + strings.Repeat("b", 64<<10):                            false,
		"0\r\n" + strings.Repeat("A: "+strings.Repeat("b", 999)+"\r\n", 66): false,
	} {
		if _, _, _, err := decode(body, len(body)); ok != (err == nil) || !ok && !errors.Is(err, ErrTooLarge) {
			t.Errorf("%d bytes of trailers, may be %v: %v", len(body), ok, err)
		}
	}
}

// Who appends to the data must not write over what comes after it.
func TestDataEndsWhereItEnds(t *testing.T) {
	buf := []byte("1\r\na\r\n1\r\nb\r\n0\r\n\r\n")
	var c Chunked
	first, n, _, _ := c.Decode(buf)
	_ = append(first, "overwritten"...)
	if second, _, done, err := c.Decode(buf[n:]); string(second) != "b" || !done || err != nil {
		t.Errorf("%q, %v, %v", second, done, err)
	}
}

func TestMayTrail(t *testing.T) {
	for _, key := range []string{"Host", "Content-Length", "Transfer-Encoding", "Connection", "Upgrade", "Keep-Alive", "Trailer", "Te", "Proxy-Connection",
		"Proxy-Authenticate", "Proxy-Authorization", "Authorization", "Www-Authenticate", "Cookie", "Set-Cookie", "Cache-Control", "Content-Encoding",
		"Content-Range", "Content-Type", "Expect", "Max-Forwards", "Range", "If-None-Match", "Location", "Pragma"} {
		if mayTrail(key) {
			t.Errorf("%s must not trail", key)
		}
	}
	for _, key := range []string{"Grpc-Status", "Grpc-Message", "Grpc-Status-Details-Bin", "X-Sum", "Etag", "Digest", "Server-Timing", "Iffy"} {
		if !mayTrail(key) {
			t.Errorf("%s may trail", key)
		}
	}
}
