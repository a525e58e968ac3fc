//go:build !race

package lbtest_test

// racing says that the race detector is on.
const racing = false
