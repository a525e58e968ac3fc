package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
)

// span is what of a printed span matters here.
type span struct {
	SpanContext, Parent struct{ TraceID, SpanID string }
	SpanKind            int
	Attributes          []struct {
		Key   string
		Value struct{ Value any }
	}
	Status struct{ Code string }
}

func TestRun(t *testing.T) {
	var out bytes.Buffer
	run(&out)
	at := strings.Index(out.String(), "a backend got")
	if at < 0 {
		t.Fatal("the backends' traceparents are not printed")
	}
	printed, last := json.NewDecoder(strings.NewReader(out.String()[:at])), out.String()[at:]
	var lines []string
	for {
		var s span
		if err := printed.Decode(&s); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		line := fmt.Sprint(s.SpanKind, s.Status.Code)
		for _, a := range s.Attributes {
			switch a.Key {
			case "lb.backend.id", "http.request.resend_count", "error.type":
				line += fmt.Sprint(" ", a.Value.Value)
			}
		}
		lines = append(lines, line)
		parent := "00-" + s.SpanContext.TraceID + "-" + s.SpanContext.SpanID + "-01"
		if got := strings.Contains(last, parent); got != (s.SpanKind == 3 && s.Status.Code == "Unset") {
			t.Errorf("span %q with %s, and the backends got %s", line, parent, last)
		}
	}
	want := "3Unset a, 2Unset a, 3Error a dial, 3Unset b 1, 2Unset b"
	if got := strings.Join(lines, ", "); got != want {
		t.Errorf("spans %q, want %q", got, want)
	}
}
