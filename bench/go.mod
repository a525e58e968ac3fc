module github.com/go-loadbalancer/lb/bench

go 1.26.0

require github.com/go-loadbalancer/lb v0.0.0

require (
	github.com/VictoriaMetrics/metrics v1.44.0 // indirect
	github.com/bits-and-blooms/bitset v1.24.4 // indirect
	github.com/cespare/xxhash/v2 v2.3.0 // indirect
	github.com/failsafe-go/failsafe-go v0.9.8 // indirect
	github.com/valyala/fastrand v1.1.0 // indirect
	github.com/valyala/histogram v1.2.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
	golang.org/x/time v0.16.0 // indirect
)

replace github.com/go-loadbalancer/lb => ../
