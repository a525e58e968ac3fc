package lb_test

import "strings"

// answered is the beginning of a good answer, and stolen what a careless balancer would give to
// somebody else.
const (
	answered = "HTTP/1.1 200 OK\r\n"
	chunked  = answered + "Transfer-Encoding: chunked\r\n\r\n"
	stolen   = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen"
)

// Lengths and codings.
var evilFraming = []evil{
	{name: "length twice, different", raw: answered + "Content-Length: 2\r\nContent-Length: 5\r\n\r\nhello", want: "502"},
	{name: "length twice, equal", raw: answered + "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", want: `200 "hello"|502`},
	{name: "length as a list", raw: answered + "Content-Length: 5, 5\r\n\r\nhello", want: "502"},
	{name: "length with a sign", raw: answered + "Content-Length: +5\r\n\r\nhello", want: "502"},
	{name: "length below zero", raw: answered + "Content-Length: -5\r\n\r\nhello", want: "502"},
	{name: "empty length", raw: answered + "Content-Length:\r\n\r\nhello", closes: true, want: "502", new: true},
	{name: "length of 2^64+5", raw: answered + "Content-Length: 18446744073709551621\r\n\r\nhello", want: "502"},
	{name: "length and coding", raw: answered + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", want: "502", new: true},
	{name: "coding and short length", raw: answered + "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n" + stolen, want: "502", stray: true},
	{name: "coding xchunked", raw: answered + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", want: "502"},
	{name: "coding chunked, chunked", raw: answered + "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", want: "502"},
	{name: "coding gzip, chunked", raw: answered + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", want: "502"},
	{name: "coding identity", raw: answered + "Transfer-Encoding: identity\r\nContent-Length: 5\r\n\r\nhello", want: "502"},
	{name: "coding twice", raw: answered + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", want: "502"},
	{name: "coding in HTTP/1.0", raw: "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", closes: true, want: "502", new: true},
	{name: "folded coding", raw: answered + "Transfer-Encoding:\r\n chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", want: "502", new: true},
	{name: "extra bytes", raw: answered + "Content-Length: 2\r\n\r\nok" + stolen, want: `200 "ok"|broken|502`, stray: true},
	{name: "extra bytes without a length", raw: answered + "Content-Length: 0\r\n\r\n" + stolen, want: `200 ""|502`, stray: true},
	{name: "extra bytes behind chunks", raw: chunked + "2\r\nok\r\n0\r\n\r\n" + stolen, want: `200 "ok"|broken|502`, stray: true},
	{name: "one byte more", raw: answered + "Content-Length: 4\r\n\r\nhello", want: `200 "hell"|broken|502`, stray: true},
	{name: "one byte less", raw: answered + "Content-Length: 6\r\n\r\nhello", closes: true, want: "broken"},
	{name: "two answers", raw: stolen + stolen, want: `200 "stolen"|broken|502`, stray: true},
}

// Heads.
var evilHeads = []evil{
	{name: "NUL in a value", raw: answered + "X: a\x00b\r\nContent-Length: 0\r\n\r\n", want: "502", new: true},
	{name: "CR in a value", raw: answered + "X: a\rSet-Cookie: evil\r\nContent-Length: 0\r\n\r\n", want: "502", new: true},
	{name: "control byte in a value", raw: answered + "X: a\x01b\r\nContent-Length: 0\r\n\r\n", want: "502", new: true},
	{name: "folded value", raw: answered + "X: a\r\n b\r\nContent-Length: 0\r\n\r\n", want: "502", new: true},
	{name: "space before the colon", raw: answered + "Content-Length : 5\r\n\r\nhello", closes: true, want: "502", new: true},
	{name: "space in a name", raw: answered + "X Y: 1\r\nContent-Length: 0\r\n\r\n", want: "502", new: true},
	{name: "empty name", raw: answered + ": x\r\nContent-Length: 0\r\n\r\n", want: "502"},
	{name: "no colon", raw: answered + "X\r\nContent-Length: 0\r\n\r\n", want: "502"},
	{name: "bare LF", raw: "HTTP/1.1 200 OK\nContent-Length: 5\n\nhello", want: "502", new: true},
	{name: "HTTP/9.9", raw: "HTTP/9.9 200 OK\r\nContent-Length: 0\r\n\r\n", want: "502", new: true},
	{name: "HTTP/2.0", raw: "HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n", want: "502", new: true},
	{name: "HTTP/1.2", raw: "HTTP/1.2 200 OK\r\nContent-Length: 0\r\n\r\n", want: "502", new: true},
	{name: "no version", raw: "HTTP 200 OK\r\nContent-Length: 0\r\n\r\n", want: "502"},
	{name: "garbage", raw: "garbage\r\n\r\n", want: "502"},
	{name: "garbage without an end", raw: strings.Repeat("x", 2<<20), closes: true, want: "502"},
	{name: "frames of HTTP/2", raw: "\x00\x00\x00\x04\x00\x00\x00\x00\x00", closes: true, want: "502"},
	{name: "status 99", raw: "HTTP/1.1 99 Low\r\nContent-Length: 0\r\n\r\n", want: "502"},
	{name: "status 099", raw: "HTTP/1.1 099 Low\r\nContent-Length: 0\r\n\r\n", closes: true, want: "502", new: true},
	{name: "status 1000", raw: "HTTP/1.1 1000 High\r\nContent-Length: 0\r\n\r\n", want: "502"},
	{name: "status abc", raw: "HTTP/1.1 abc No\r\nContent-Length: 0\r\n\r\n", want: "502"},
	{name: "status -20", raw: "HTTP/1.1 -20 No\r\nContent-Length: 0\r\n\r\n", want: "502"},
	{name: "status missing", raw: "HTTP/1.1\r\nContent-Length: 0\r\n\r\n", want: "502"},
	{name: "head of 2 MiB", raw: answered + "X: " + strings.Repeat("x", 2<<20) + "\r\nContent-Length: 0\r\n\r\n", want: "502"},
	{name: "10,000 fields", raw: answered + strings.Repeat("X: y\r\n", 10_000) + "Content-Length: 0\r\n\r\n", want: "502", new: true},
	{name: "1,000 informational answers", raw: strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", 1000) + answered + "Content-Length: 0\r\n\r\n", want: "502", new: true},
	{name: "informational answer with a body", raw: "HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\n\r\nhello" + stolen, want: "502"},
	{name: "101 unasked", raw: "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n" + stolen, want: "502"},
	{name: "101 without a protocol", raw: "HTTP/1.1 101 Switching Protocols\r\n\r\n" + stolen, want: "502"},
	{name: "Connection names all", raw: answered + "Connection: Content-Length, Content-Type, Set-Cookie\r\nContent-Length: 5\r\nSet-Cookie: a\r\n\r\nhello", want: `200 "hello"`},
}

// Chunks.
var evilChunks = []evil{
	{name: "bare LF behind a size", raw: chunked + "5\nhello\r\n0\r\n\r\n", want: "broken|502"},
	{name: "bare LF behind an extension", raw: chunked + "5;x\nhello\r\n0\r\n\r\n", want: "broken|502"},
	{name: "bare LF behind a chunk", raw: chunked + "5\r\nhello\n0\r\n\r\n", want: "broken|502"},
	{name: "size of 2^64+5", raw: chunked + "10000000000000005\r\nhello\r\n0\r\n\r\n", want: "broken|502"},
	{name: "size of 2^63", raw: chunked + "8000000000000000\r\nhello", closes: true, want: "broken|502"},
	{name: "size below zero", raw: chunked + "-5\r\nhello\r\n0\r\n\r\n", want: "broken|502"},
	{name: "no size", raw: chunked + "\r\nhello\r\n0\r\n\r\n", want: "broken|502"},
	{name: "size that is none", raw: chunked + "5\r\nhello\r\nxyz\r\n\r\n", want: "broken|502"},
	{name: "chunk one byte longer", raw: chunked + "5\r\nhello!\r\n0\r\n\r\n", want: "broken|502"},
	{name: "chunk one byte shorter", raw: chunked + "6\r\nhello\r\n0\r\n\r\n", closes: true, want: "broken|502"},
	{name: "no last chunk", raw: chunked + "5\r\nhello\r\n", closes: true, want: "broken|502"},
	{name: "half a last chunk", raw: chunked + "5\r\nhello\r\n0\r\n", closes: true, want: "broken|502"},
	{name: "trailer that is none", raw: chunked + "5\r\nhello\r\n0\r\ngarbage\r\n\r\n", want: "broken|502"},
	{name: "trailer without an end", raw: chunked + "5\r\nhello\r\n0\r\nX: y\r\n", closes: true, want: "broken|502"},
	{name: "trailers that would be framing", raw: chunked + "5\r\nhello\r\n0\r\nContent-Length: 3\r\nTransfer-Encoding: x\r\n\r\n", want: `200 "hello"|broken|502`},
	{name: "trailers of 1 MiB", raw: chunked + "5\r\nhello\r\n0\r\nX: " + strings.Repeat("x", 1<<20) + "\r\n\r\n", want: "broken|502"},
	{name: "extensions of 1 MiB", raw: chunked + strings.Repeat("1;"+strings.Repeat("x", 1<<10)+"\r\na\r\n", 1<<10) + "0\r\n\r\n", want: "broken|502"},
}

// Where connections end, and bodies that must not be.
var evilEnds = []evil{
	{name: "closed at once", closes: true, want: "502"},
	{name: "closed in the status line", raw: "HTTP/1.1 20", closes: true, want: "502"},
	{name: "closed in the head", raw: answered + "Content-Le", closes: true, want: "502"},
	{name: "closed before the head's end", raw: answered + "Content-Length: 5\r\n", closes: true, want: "502"},
	{name: "closed behind an informational answer", raw: "HTTP/1.1 103 Early Hints\r\n\r\n", closes: true, want: "502"},
	{name: "closed before the body", raw: answered + "Content-Length: 5\r\n\r\n", closes: true, want: "broken|502"},
	{name: "closed in a chunk line", raw: chunked + "5", closes: true, want: "broken|502"},
	{name: "closed in a chunk", raw: chunked + "5\r\nhel", closes: true, want: "broken|502"},
	{name: "body until the end of the connection", raw: answered + "\r\nhello", closes: true, want: `200 "hello"`},
	{name: "HTTP/1.0", raw: "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", closes: true, want: `200 "hello"`},
	{name: "HTTP/1.0 that stays", raw: "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", want: `200 "hello"`},
	{name: "204 with a body", raw: "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello", want: `204 ""|502`, stray: true},
	{name: "204 with an answer behind it", raw: "HTTP/1.1 204 No Content\r\n\r\n" + stolen, want: `204 ""|502`, stray: true},
	{name: "204 with chunks", raw: "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", want: `204 ""|502`, stray: true},
	{name: "304 with a body", raw: "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\nhello", want: `304 ""|502`, stray: true},
	{name: "304 with an answer behind it", raw: "HTTP/1.1 304 Not Modified\r\n\r\n" + stolen, want: `304 ""|502`, stray: true},
	{name: "HEAD with a body", method: "HEAD", raw: answered + "Content-Length: 5\r\n\r\nhello", want: `200 ""|502`, stray: true},
	{name: "HEAD with an answer behind it", method: "HEAD", raw: answered + "Content-Length: 50\r\n\r\n" + stolen, want: `200 ""|502`, stray: true},
	{name: "HEAD with chunks", method: "HEAD", raw: chunked + "5\r\nhello\r\n0\r\n\r\n", want: `200 ""|502`, stray: true},
	{name: "closing, with an answer behind it", raw: answered + "Connection: close\r\nContent-Length: 2\r\n\r\nok" + stolen, want: `200 "ok"|502|broken`},
}
