module github.com/go-loadbalancer/lb/faults

go 1.26.0

require github.com/go-loadbalancer/lb v0.0.0

require github.com/cespare/xxhash/v2 v2.3.0 // indirect

replace github.com/go-loadbalancer/lb => ../
