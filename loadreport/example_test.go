package loadreport_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"

	"github.com/go-loadbalancer/lb/loadreport"
)

func Example() {
	meter, err := loadreport.New(loadreport.Config{Capacity: 4})
	if err != nil {
		fmt.Println(err)
		return
	}
	handler := meter.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "hello")
	}))

	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	fmt.Println(w.Code, w.Header().Get("Endpoint-Load-Metrics"))
	// Output: 200 TEXT application_utilization=0.25,rps_fractional=0,eps=0,named_metrics.in_flight=1
}

// A probe is answered at once and is not counted itself.
func ExampleMeter_Handler() {
	meter, _ := loadreport.New(loadreport.Config{Utilization: func() float64 { return 0.5 }})
	handler := meter.Handler(http.NotFoundHandler())

	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequest("GET", "/.well-known/load", nil))
	fmt.Println(w.Code, w.Header().Get("Endpoint-Load-Metrics"))
	fmt.Println(meter.InFlight())
	// Output:
	// 204 TEXT application_utilization=0.5,rps_fractional=0,eps=0,named_metrics.in_flight=0
	// 0
}
