//go:build !race

package picker

const raced = false
