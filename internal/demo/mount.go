package demo

import (
	"net/http"
	"strings"
)

// Mount serves what is at or below prefix by below, which does not see the prefix, and all else
// by beside. The prefix is compared as the client wrote the path, without decoding anything. The
// prefix / leaves nothing beside it.
func Mount(prefix string, below, beside http.Handler) http.Handler {
	prefix = strings.TrimRight(prefix, "/")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rest, ok := strings.CutPrefix(r.URL.EscapedPath(), prefix)
		switch {
		case prefix == "":
			below.ServeHTTP(w, r)
		case ok && (rest == "" || rest[0] == '/'):
			below.ServeHTTP(w, without(prefix, r))
		default:
			beside.ServeHTTP(w, r)
		}
	})
}

func without(prefix string, r *http.Request) *http.Request {
	out, u := *r, *r.URL
	u.Path = "/" + strings.TrimPrefix(strings.TrimPrefix(u.Path, prefix), "/")
	if u.RawPath != "" {
		u.RawPath = "/" + strings.TrimPrefix(strings.TrimPrefix(u.RawPath, prefix), "/")
	}
	out.URL = &u
	return &out
}
