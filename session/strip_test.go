package session

import (
	"net/http"
	"slices"
	"testing"
)

func TestStrip(t *testing.T) {
	c := newCookie(t, CookieConfig{})
	for _, s := range []struct{ in, want []string }{
		{nil, nil},
		{[]string{"a=1; b=2"}, []string{"a=1; b=2"}},
		{[]string{"lb_session=x"}, nil},
		{[]string{"lb_session"}, nil},
		{[]string{" lb_session = x ; "}, nil},
		{[]string{"lb_session=x; a=1"}, []string{"a=1"}},
		{[]string{"a=1; lb_session=x"}, []string{"a=1"}},
		{[]string{"a=1; lb_session=x; b=2"}, []string{"a=1; b=2"}},
		{[]string{"lb_session=x; a=1;lb_session=y;  b = \"2\" ;c"}, []string{"a=1;  b = \"2\" ;c"}},
		{[]string{"lb_sessions=x; Lb_session=y; xlb_session=z"}, []string{"lb_sessions=x; Lb_session=y; xlb_session=z"}},
		{[]string{"a=lb_session=x"}, []string{"a=lb_session=x"}},
		{[]string{"a=1", "lb_session=x", "", ";;", "b=2; lb_session=y"}, []string{"a=1", "", ";;", "b=2"}},
	} {
		h := http.Header{"Cookie": slices.Clone(s.in), "Other": {"lb_session=x"}}
		if s.in == nil {
			delete(h, "Cookie")
		}
		c.Strip(h)
		_, there := h["Cookie"]
		if !slices.Equal(h["Cookie"], s.want) || there != (s.want != nil) || h.Get("Other") != "lb_session=x" {
			t.Errorf("%q became %q, want %q", s.in, h["Cookie"], s.want)
		}
	}
}
