//go:build race

package sim_test

// raced says that the race detector makes everything slower by an order of magnitude.
const raced = true
