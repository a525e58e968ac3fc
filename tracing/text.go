package tracing

import (
	"net/http"
	"strings"

	"go.opentelemetry.io/otel/attribute"
)

// maxText bounds the text that clients can put into a span, in bytes.
const maxText = 1024

// text returns s as it may stand in a span: exporters drop whole batches for one string that is
// not valid UTF-8.
func text(s string) string {
	if len(s) > maxText {
		s = s[:maxText]
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// spanName returns what a request's spans are called: its method, if that is a known one.
func spanName(method string) string {
	switch method {
	case "":
		return http.MethodGet
	case "CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE":
		return method
	}
	return "HTTP"
}

// methodAttributes tells a request's method.
func methodAttributes(method string) []attribute.KeyValue {
	name := spanName(method)
	if name == "HTTP" {
		return []attribute.KeyValue{httpRequestMethod.String("_OTHER"), httpRequestMethodAsIs.String(text(method))}
	}
	return []attribute.KeyValue{httpRequestMethod.String(name)}
}

// redact hides the values in a query that are known to be secrets. The list is that of the
// semantic conventions for url.query.
func redact(query string) string {
	parts := strings.Split(query, "&")
	for i, part := range parts {
		switch key, _, _ := strings.Cut(part, "="); key {
		case "X-Amz-Signature", "X-Amz-Credential", "X-Amz-Security-Token", "sig", "X-Goog-Signature":
			parts[i] = key + "=REDACTED"
		}
	}
	return strings.Join(parts, "&")
}
