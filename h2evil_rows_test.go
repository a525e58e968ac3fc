package lb_test

import (
	"encoding/binary"
	"strings"
)

// More kinds and flags of frames: RFC 9113, section 6.
const (
	framePush, framePing, frameWindow, frameContinuation = 5, 6, 8, 9
	padded                                               = 8
)

// onStream stands for the request's stream in what a row sends.
const onStream = "\x7f\x7f\x7f\x7f"

const stream = 0x7f7f7f7f

// setting is one of SETTINGS.
func setting(id uint16, value uint32) string {
	return frame(frameSettings, 0, 0, string(binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint16(nil, id), value)))
}

func number(n uint32) string { return string(binary.BigEndian.AppendUint32(nil, n)) }

// head is a HEADERS frame with pairs of names and values, behind :status 200 if that is not among them.
func head(flags byte, pairs ...string) string {
	block := ""
	if len(pairs) == 0 || pairs[0] != ":status" {
		block = "\x88"
	}
	for i := 0; i < len(pairs); i += 2 {
		block += literal(pairs[i], pairs[i+1])
	}
	return frame(frameHeaders, flags|endHeaders, stream, block)
}

func data(flags byte, s string) string { return frame(frameData, flags, stream, s) }

// goAway says that nothing past the stream last will be answered.
func goAway(last, code uint32) string {
	return frame(frameGoAway, 0, 0, number(last)+number(code))
}

const okSettings = "\x00\x00\x00\x04\x00\x00\x00\x00\x00"

// What a connection begins with.
var evilSettings = []evilH2{
	{name: "nothing wrong", answer: head(0, "content-length", "5") + data(endStream, "hello"), want: `200 "hello"`},
	{name: "frames of no size", hello: setting(5, 0), want: "502", reason: "protocol|reset"},
	{name: "frames of 2^24 bytes", hello: setting(5, 1<<24), want: "502", reason: "protocol|reset"},
	{name: "a window of 2^31", hello: setting(4, 1<<31), want: "502", reason: "protocol|reset"},
	{name: "no streams", hello: setting(3, 0), want: "502|504", reason: "timeout|reset"},
	{name: "no header table", hello: setting(1, 0), answer: head(endStream), want: `200 ""`},
	{name: "a header list of no size", hello: setting(6, 0), want: "502|504", reason: "protocol|timeout|backend"},
	{name: "half a setting", hello: frame(frameSettings, 0, 0, "\x00\x05\x00"), want: "502", reason: "protocol|reset"},
	{name: "settings of a stream", hello: frame(frameSettings, 0, 1, ""), want: "502", reason: "protocol|reset"},
	{name: "no settings", hello: frame(framePing, 0, 0, "12345678"), want: "502", reason: "protocol|reset"},
	{name: "silence", hello: "\x00", want: "504", reason: "timeout"},
	{name: "silence after settings", want: "504", reason: "timeout"},
	{name: "silence in an upload", upload: 32 << 10, want: "504", reason: "timeout"},
	{name: "a window that stays closed", hello: setting(4, 0), upload: 64 << 10, want: "504", reason: "timeout"},
	{name: "a window that closes", upload: 256 << 10, want: "504", reason: "timeout"},
	{name: "HTTP/1.1", hello: "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", want: "502", reason: "protocol|reset|backend|truncated"},
	{name: "another protocol", hello: "SSH-2.0-x\r\n", want: "502", reason: "protocol|reset|backend|truncated"},
}

// Streams and connections that are given up.
var evilStreams = []evilH2{
	{name: "closed at once", closes: true, want: "502", reason: "reset|truncated"},
	{name: "going away", answer: goAway(0, 0), want: "502|504", reason: "reset|timeout"},
	{name: "going away and gone", answer: goAway(0, 0), closes: true, want: "502|504", reason: "reset|timeout"},
	{name: "going away from an error", answer: goAway(0, 2), want: "502", reason: "reset"},
	{name: "going away and silent", answer: goAway(1<<31-1, 0), want: "504", reason: "timeout"},
	{name: "going away backwards", answer: goAway(1, 0) + goAway(5, 0), want: "502|504", reason: "timeout|protocol|reset"},
	{name: "refused", answer: frame(frameReset, 0, stream, number(7)), want: "502|504", reason: "reset|timeout"},
	{name: "reset for a fault", answer: frame(frameReset, 0, stream, number(1)), want: "502|504", reason: "reset|timeout"},
	{name: "cancelled", answer: frame(frameReset, 0, stream, number(8)), want: "502", reason: "reset"},
	{name: "told to calm down", answer: frame(frameReset, 0, stream, number(11)), want: "502", reason: "reset"},
	{name: "reset without an error", answer: frame(frameReset, 0, stream, number(0)), want: "502", reason: "reset"},
	{name: "reset of an upload", upload: 256 << 10, answer: frame(frameReset, 0, stream, number(7)), want: "502", reason: "reset"},
	{name: "reset behind a head", answer: head(0, "content-length", "5") + frame(frameReset, 0, stream, number(2)), want: "broken", reason: "truncated"},
	{name: "reset in a body", answer: head(0) + data(0, "hel") + frame(frameReset, 0, stream, number(0)), want: "broken", reason: "truncated"},
	{name: "closed behind a head", answer: head(0), closes: true, want: "broken", reason: "truncated"},
	{name: "closed in a body", answer: head(0) + data(0, "hel"), closes: true, want: "broken", reason: "truncated"},
	{name: "silence behind a head", answer: head(0, "content-length", "5"), want: "broken", reason: "timeout"},
	{name: "silence in a body", answer: head(0) + data(0, "hel"), want: "broken", reason: "timeout"},
}

// Frames that are none.
var evilFrames = []evilH2{
	{name: "a frame that is too large", answer: "\xff\xff\xff\x00\x00" + onStream, want: "502", reason: "protocol"},
	{name: "data before a head", answer: data(endStream, "hello"), want: "502", reason: "protocol"},
	{name: "data of no stream", answer: frame(frameData, 0, 0, "hello"), want: "502", reason: "protocol"},
	{name: "data of a stream that was not opened", answer: frame(frameData, 0, 99, "hello"), want: "502", reason: "protocol"},
	{name: "padding that is longer than its frame", answer: head(0) + frame(frameData, padded, stream, "\xffx"), want: "broken|502", reason: "truncated|protocol"},
	{name: "a promise", answer: frame(framePush, endHeaders, stream, number(2)+"\x82\x84\x86"), want: "502", reason: "protocol"},
	{name: "a window of nothing", answer: frame(frameWindow, 0, stream, number(0)), want: "502", reason: "protocol"},
	{name: "a window that is too large", answer: frame(frameWindow, 0, stream, number(1<<31-1)), want: "502", reason: "protocol"},
	{name: "a window of the connection that is too large", answer: frame(frameWindow, 0, 0, number(1<<31-1)), want: "502", reason: "protocol"},
	{name: "half a ping", answer: frame(framePing, 0, 0, "1234"), want: "502", reason: "protocol"},
	{name: "a continuation of nothing", answer: frame(frameContinuation, endHeaders, stream, ""), want: "502", reason: "protocol"},
	{name: "a head that another frame interrupts", answer: frame(frameHeaders, 0, stream, "\x88") + frame(framePing, 0, 0, "12345678"), want: "502", reason: "protocol"},
	{name: "frames of unknown kinds", answer: frame(0x0a, 0xff, 0, "x") + frame(0xff, 0xff, stream, "x") + head(0) + frame(0x0f, 0, stream, "") + data(endStream, "hello"), want: `200 "hello"`},
	{name: "a head that cannot be unpacked", answer: frame(frameHeaders, endHeaders|endStream, stream, "\xff\xff\xff\xff\xff"), want: "502", reason: "protocol"},
	{name: "an entry that no table has", answer: frame(frameHeaders, endHeaders|endStream, stream, "\xbe"), want: "502", reason: "protocol"},
	{name: "a table that is too large", answer: frame(frameHeaders, endHeaders|endStream, stream, "\x3f\xe1\xff\xff\x7f\x88"), want: "502", reason: "protocol"},
}

// Answers that are none, or two.
var evilAnswers = []evilH2{
	{name: "more than its length", answer: head(0, "content-length", "2") + data(endStream, "hello"), want: "broken", reason: "truncated"},
	{name: "more than no length", answer: head(0, "content-length", "0") + data(endStream, "hello"), want: `broken|502`, reason: "truncated|protocol"},
	{name: "less than its length", answer: head(0, "content-length", "9") + data(endStream, "hello"), want: "broken", reason: "truncated"},
	{name: "nothing of its length", answer: head(endStream, "content-length", "9"), want: "broken|502", reason: "truncated|protocol"},
	{name: "two lengths", answer: head(0, "content-length", "5", "content-length", "6") + data(endStream, "hello"), want: "502", reason: "protocol"},
	{name: "two equal lengths", answer: head(0, "content-length", "5", "content-length", "5") + data(endStream, "hello"), want: `200 "hello"|502`, reason: "|protocol"},
	{name: "a length with a sign", answer: head(0, "content-length", "+5") + data(endStream, "hello"), want: "502", reason: "protocol"},
	{name: "a length below zero", answer: head(0, "content-length", "-5") + data(endStream, "hello"), want: "502", reason: "protocol"},
	{name: "no status", answer: head(endStream, ":status", "", "a", "b"), want: "502", reason: "protocol"},
	{name: "status abc", answer: head(endStream, ":status", "abc"), want: "502", reason: "protocol"},
	{name: "status 99", answer: head(endStream, ":status", "99"), want: "502", reason: "protocol"},
	{name: "status 1000", answer: head(endStream, ":status", "1000"), want: "502", reason: "protocol"},
	{name: "status -20", answer: head(endStream, ":status", "-20"), want: "502", reason: "protocol"},
	{name: "two statuses", answer: head(endStream, ":status", "200", ":status", "404"), want: "502", reason: "protocol"},
	{name: "101", answer: head(0, ":status", "101"), want: "502", reason: "protocol"},
	{name: "an informational answer that ends", answer: head(endStream, ":status", "103"), want: "502", reason: "protocol"},
	{name: "1,000 informational answers", answer: strings.Repeat(head(0, ":status", "103", "link", "</a>"), 1000) + head(endStream), want: "502", reason: "protocol"},
	{name: "a coding", answer: head(0, "transfer-encoding", "chunked") + data(endStream, "0\r\n\r\n"), want: `502|200 "0\r\n\r\n"`, reason: "|protocol"},
	{name: "CR and LF in a value", answer: head(endStream, "x", "a\r\nset-cookie: evil"), want: "502", reason: "protocol"},
	{name: "NUL in a value", answer: head(endStream, "x", "a\x00"), want: "502", reason: "protocol"},
	{name: "a name with a capital", answer: head(endStream, "X", "a"), want: "502", reason: "protocol"},
	{name: "a name with a colon", answer: head(endStream, "x:y", "a"), want: "502", reason: "protocol"},
	{name: "a pseudo field that nobody knows", answer: head(endStream, ":status", "200", ":x", "a"), want: "502", reason: "protocol"},
	{name: "a second head", answer: head(0) + head(0) + data(endStream, "hello"), want: "broken", reason: "truncated"},
	{name: "a trailer that is a pseudo field", answer: head(0) + data(0, "hello") + head(endStream), want: "broken", reason: "truncated"},
	{name: "204 with a body", answer: head(0, ":status", "204") + data(endStream, "hello"), want: `204 ""`},
	{name: "a head of 2 MiB", answer: long(2<<20, "x"), want: "502", reason: "protocol"},
	{name: "10,000 fields", answer: long(10_000*len(literal("x", "y")), ""), want: "502", reason: "protocol"},
}

// long is a head of about size bytes over several frames: one field, or many if it has no name.
func long(size int, name string) string {
	block := "\x88"
	if name == "" {
		block += strings.Repeat(literal("x", "y"), size/len(literal("x", "y")))
	} else {
		block += literal(name, strings.Repeat("v", size))
	}
	out, kind := "", byte(frameHeaders)
	for len(block) > 16<<10 {
		out += frame(kind, endStream*byte(1-kind/frameContinuation), stream, block[:16<<10])
		block, kind = block[16<<10:], frameContinuation
	}
	return out + frame(kind, endHeaders, stream, block)
}

// What does not end.
var evilFloods = []evilH2{
	{name: "pings", flood: frame(framePing, 0, 0, "12345678"), want: "502|504", reason: "timeout|reset|protocol"},
	{name: "pings of who does not listen", flood: frame(framePing, 0, 0, "12345678"), deaf: true, want: "502|504", reason: "timeout|reset|protocol"},
	{name: "settings", flood: okSettings, want: "502|504", reason: "timeout|reset|protocol"},
	{name: "settings of who does not listen", flood: okSettings, deaf: true, want: "502|504", reason: "timeout|reset|protocol"},
	{name: "goodbyes", flood: goAway(1<<31-1, 0), want: "502|504", reason: "timeout|reset|protocol"},
	{name: "goodbyes to all", flood: goAway(0, 0), want: "502|504", reason: "timeout|reset|protocol"},
	{name: "resets", flood: frame(frameReset, 0, stream, number(7)), want: "502|504", reason: "reset|protocol"},
	{name: "windows", flood: frame(frameWindow, 0, 0, number(1)), want: "502|504", reason: "timeout|protocol"},
	{name: "continuations", answer: frame(frameHeaders, 0, stream, "\x88"), flood: frame(frameContinuation, 0, stream, literal("x", strings.Repeat("y", 1000))), want: "502", reason: "protocol"},
	{name: "continuations of nothing", answer: frame(frameHeaders, 0, stream, "\x88"), flood: frame(frameContinuation, 0, stream, ""), want: "502|504", reason: "protocol|timeout"},
	{name: "informational answers", flood: head(0, ":status", "103"), want: "502", reason: "protocol"},
	{name: "empty data", answer: head(0), flood: data(0, ""), want: "broken", reason: "timeout|truncated"},
	{name: "empty data that is padded", answer: head(0), flood: frame(frameData, padded, stream, "\x04\x00\x00\x00\x00"), want: "broken", reason: "timeout|truncated"},
	{name: "unknown frames", flood: frame(0xff, 0, 0, ""), want: "502|504", reason: "timeout|protocol"},
}
