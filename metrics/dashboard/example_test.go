package dashboard_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/metrics"
	"github.com/go-loadbalancer/lb/metrics/dashboard"
)

// first is a policy that always picks the same backend.
func first(s lb.Set) lb.Picker {
	return lb.PickFunc(func(lb.PickInfo) *lb.Backend { return s.Eligible[0].Backend })
}

func ExampleHandler() {
	recorder := metrics.New(metrics.Config{})
	balancer := lb.Must(lb.New(lb.Config{
		Pool:      lb.Must(lb.NewPool(lb.Spec{ID: "b1", URL: "http://10.0.0.1"})),
		Policy:    first,
		Observers: []lb.Observer{recorder.Observer()},
	}))
	export := recorder.Export(balancer, metrics.ExportConfig{Features: []string{"retries"}})

	admin := http.NewServeMux() // on a listener of its own
	admin.Handle("/metrics", export.JSON())
	admin.Handle("/metrics/stream", export.Stream()) // lb.Run(ctx, export) feeds it
	admin.Handle("/", dashboard.Handler(dashboard.Config{Source: export}))

	page := httptest.NewRecorder()
	admin.ServeHTTP(page, httptest.NewRequest("GET", "/", nil))
	fmt.Println(page.Code, strings.Contains(page.Body.String(), `data-backend="b1" data-state="fit"`))
	// Output: 200 true
}
