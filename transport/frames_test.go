package transport

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
)

// played is a connection whose other end said all that it will.
type played struct {
	net.Conn
	in io.Reader
}

func (p *played) Read(b []byte) (int, error)  { return p.in.Read(b) }
func (p *played) Write(b []byte) (int, error) { return len(b), nil }

func rawFrame(kind, flags byte, stream uint32, payload string) string {
	head := binary.BigEndian.AppendUint32(nil, uint32(len(payload)))[1:]
	return string(binary.BigEndian.AppendUint32(append(head, kind, flags), stream)) + payload
}

func rawNumber(n uint32) string { return string(binary.BigEndian.AppendUint32(nil, n)) }

// How bytes come in makes no difference, and what passes is not changed.
func TestFramesCutAnywhere(t *testing.T) {
	sent := strings.Repeat("p", lengthOfPreface) + rawFrame(frameSettings, 0, 0, "") + rawFrame(frameHeaders, flagEnd, 1, "abc")
	good := rawFrame(frameSettings, 0, 0, "\x00\x03\x00\x00\x00\x64\x00\x04\x00\x00\xff\xff") + rawFrame(frameWindow, 0, 1, rawNumber(maxWindow-initialWindow)) +
		rawFrame(0xbe, 9, 0, "unknown") + rawFrame(frameHeaders, 0, 1, "\x88")
	bad := rawFrame(frameWindow, 0, 1, rawNumber(1))
	for cut := range len(good) + len(bad) {
		f := watchFrames(&played{in: io.MultiReader(strings.NewReader((good + bad)[:cut]), strings.NewReader((good + bad)[cut:]))})
		for i := range len(sent) {
			f.Write([]byte(sent[i : i+1]))
		}
		got, err := io.ReadAll(f)
		if !errors.Is(err, errWindow) || !strings.HasPrefix(good+bad, string(got)) {
			t.Fatalf("cut at %d: %d bytes, %v", cut, len(got), err)
		}
	}
}

// A window is what the backend gave, less what was sent: an upload of any length is in order, on
// streams that are open. Others are of no interest.
func TestWindowsOfLongUploads(t *testing.T) {
	var in strings.Reader
	f := watchFrames(&played{in: &in})
	say := func(s string) error {
		in.Reset(s)
		_, err := io.ReadAll(f)
		return err
	}
	f.Write([]byte(strings.Repeat("p", lengthOfPreface) + rawFrame(frameHeaders, 0, 1, "abc")))
	data := []byte(rawFrame(frameData, 0, 1, strings.Repeat("x", 1<<20)))
	for range 3 << 10 { // 3 GiB
		f.Write(data)
		if err := say(rawFrame(frameWindow, 0, 1, rawNumber(1<<20))); err != nil {
			t.Fatal(err)
		}
	}
	if err := say(rawFrame(frameWindow, 0, 99, rawNumber(maxWindow)) + rawFrame(frameWindow, 0, 99, rawNumber(maxWindow))); err != nil {
		t.Error(err)
	}
	f.Write([]byte(rawFrame(frameData, flagEnd, 1, "")))
	if err := say(rawFrame(frameData, flagEnd, 1, "x")); err != nil || len(f.streams) != 0 {
		t.Errorf("%v, and %d streams are known", err, len(f.streams))
	}
	if err := say(strings.Repeat(rawFrame(frameSettings, 0, 0, ""), maxEmptyInARow+1)); !errors.Is(err, errFlood) {
		t.Errorf("a flood: %v", err)
	}
}
