//go:build !race

package autoscale

const raced = false
