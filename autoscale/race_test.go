//go:build race

package autoscale

// raced says that the race detector makes everything slower by an order of magnitude.
const raced = true
