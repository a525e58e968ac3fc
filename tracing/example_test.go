package tracing_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/tracing"
)

// backend stands for the network and whoever is behind it.
type backend struct{}

func (backend) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader("hello"))}, nil
}

func ExampleNew() {
	recorder := tracetest.NewSpanRecorder() // a program would have an exporter
	provider := sdk.NewTracerProvider(sdk.WithSpanProcessor(recorder))

	balancer := lb.Must(lb.New(lb.Config{
		Pool: lb.Must(lb.NewPool(lb.URLs("http://10.0.0.1:8080")...)),
		Policy: func(s lb.Set) lb.Picker {
			return lb.PickFunc(func(lb.PickInfo) *lb.Backend { return s.Eligible[0].Backend })
		},
		Transport: backend{},
		Observers: []lb.Observer{lb.Must(tracing.New(tracing.Config{Provider: provider}))},
	}))
	balancer.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/items", nil))

	for _, span := range recorder.Ended() {
		fmt.Println(span.SpanKind(), span.Name(), "below another:", span.Parent().IsValid())
	}
	// Output:
	// client GET below another: true
	// server GET below another: false
}

// The error names every field that is wrong.
func ExampleNew_error() {
	_, err := tracing.New(tracing.Config{})
	fmt.Println(err)
	// Output: tracing: Config.Provider is nil; give it an SDK's, or leave the observer out
}
