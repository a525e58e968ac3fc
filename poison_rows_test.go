package lb_test

import "slices"

// pseudo is what each request begins with, but for what replaces one of its values, and ends with
// more fields.
func pseudo(replaced, value string, more ...string) []string {
	fields := []string{":method", "POST", ":scheme", "http", ":path", "/x", ":authority", "x"}
	if i := slices.Index(fields, replaced); i >= 0 {
		fields[i+1] = value
	}
	return append(fields, more...)
}

func injections() []injected {
	const line = "\r\nInjected: 1"
	const request = " HTTP/1.1\r\nHost: x\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: evil\r\n\r\n"
	rows := []injected{
		{name: "nothing wrong", head: pseudo("", "", "a", "b"), data: "hello", fields: "a: b; Host: x", whole: true},
		{name: "a cookie in crumbs", head: pseudo("", "", "cookie", "a=1", "cookie", "b=2"), whole: true},
		{name: "authority and another host", head: pseudo("", "", "host", "evil"), fields: "Host: x"},
		{name: "length that is too long", head: pseudo("", "", "content-length", "9"), data: "hello"},
		{name: "length that is too short", head: pseudo("", "", "content-length", "2"), data: "hello"},
		{name: "two lengths", head: pseudo("", "", "content-length", "5", "content-length", "6"), data: "hello"},
		{name: "length with a sign", head: pseudo("", "", "content-length", "+5"), data: "hello"},
		{name: "coding", head: pseudo("", "", "transfer-encoding", "chunked"), data: "0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: evil\r\n\r\n"},
		{name: "connection", head: pseudo("", "", "connection", "x-forwarded-for, close"), data: "hello"},
		{name: "upgrade", head: pseudo("", "", "upgrade", "websocket"), data: "hello"},
		{name: "te", head: pseudo("", "", "te", "chunked"), data: "hello"},
		{name: "a pseudo field behind", head: pseudo("", "", "a", "b", ":path", "/smuggled")},
		{name: "a path twice", head: pseudo("", "", ":path", "/smuggled")},
		{name: "a pseudo field that nobody knows", head: pseudo("", "", ":status", "200")},
		{name: "extended CONNECT", head: append([]string{":method", "CONNECT", ":protocol", "websocket"}, pseudo("", "")[2:]...), data: "GET /smuggled HTTP/1.1\r\nHost: evil\r\n\r\n"},
		{name: "no path", head: []string{":method", "GET", ":scheme", "http", ":authority", "x"}},
		{name: "no method", head: []string{":path", "/x", ":scheme", "http", ":authority", "x"}},
		{name: "no authority", head: []string{":method", "GET", ":scheme", "http", ":path", "/x"}},
		{name: "underscores", head: pseudo("", "", "x_forwarded_for", "6.6.6.6", "x-forwarded_proto", "https"), fields: "X-Forwarded_Proto; X-Forwarded-Proto: http"},
		// Net/http's server takes a space in a query, and its client sends it.
		{name: "space in a query", head: pseudo(":path", "/x?a b"), new: true},
		{name: "version in a query", head: pseudo(":path", "/x?a HTTP/1.0"), new: true},
		{name: "an address of ours as a trailer", head: pseudo("", "", "trailer", "x-forwarded-for"), data: "hello", trailers: []string{"x-forwarded-for", "6.6.6.6"}, new: true},
		{name: "trailers", head: pseudo("", "", "trailer", "x-trailer"), data: "hello", trailers: []string{"x-trailer", "1"}, whole: true},
		{name: "trailers that are pseudo fields", head: pseudo("", ""), data: "hello", trailers: []string{":path", "/smuggled"}},
	}
	for _, name := range []string{"content-length", "transfer-encoding", "host", "x\r\ninjected", "x:y", ""} {
		rows = append(rows, injected{name: "trailer " + name, head: pseudo("", "", "trailer", "x-trailer, "+name), data: "hello", trailers: []string{"x-trailer", "1", name, "9"}})
	}
	for _, value := range []string{"a" + line, "a\nInjected: 1", "a\rInjected: 1", "a\x00b", "a\x7fb", "a\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: evil\r\n\r\n"} {
		rows = append(rows,
			injected{name: "value " + value, head: pseudo("", "", "a", value), data: "hello"},
			injected{name: "cookie " + value, head: pseudo("", "", "cookie", value), data: "hello"},
			injected{name: "host " + value, head: pseudo(":authority", "", "host", value), data: "hello"},
			injected{name: "user agent " + value, head: pseudo("", "", "user-agent", value)},
			injected{name: "trailer's value " + value, head: pseudo("", "", "trailer", "x-trailer"), data: "hello", trailers: []string{"x-trailer", value}},
		)
	}
	for _, name := range []string{"x" + line + "\r\ny", "x\ninjected", "x\rinjected", "x\x00", "x:y", "x y", "X", "", "x: 1\r\ninjected", "\xff", "content-length\t"} {
		rows = append(rows, injected{name: "name " + name, head: pseudo("", "", name, "1"), data: "hello"})
	}
	for _, path := range []string{"/x" + request, "/x HTTP/1.1" + line, "/x y", "/x\ty", "/x\n", "/x\r", "/x\x00", "/x\x7f", "x", "", "*", "@evil/smuggled", "http://evil/x", "//evil/x", "/x#y", "/x?a\tb", "/x?a\x7f", "/x?a" + line, "/x?a" + request} {
		rows = append(rows, injected{name: "path " + path, head: pseudo(":path", path)})
	}
	for _, method := range []string{"GET /smuggled" + request + "GET", "GET /smuggled HTTP/1.1" + line + "\r\nX:", "GE T", "GET\n", "GET\x00", "G\tT", "", "GET:", "PRI", "TRACE"} {
		rows = append(rows, injected{name: "method " + method, head: pseudo(":method", method)})
	}
	for _, host := range []string{"x" + line, "x" + request, "x y", "x/y", "x\n", "x\x00", "x\ty", "user@x", "x,y", "x:80:90", ""} {
		rows = append(rows, injected{name: "authority " + host, head: pseudo(":authority", host), data: "hello"})
	}
	for _, scheme := range []string{"http" + line, "x://evil/smuggled?", "", "https"} {
		rows = append(rows, injected{name: "scheme " + scheme, head: pseudo(":scheme", scheme), fields: "X-Forwarded-Proto: http"})
	}
	return rows
}
