package redistest

import (
	"math/rand/v2"
	"net"
	"strconv"
	"testing"
)

const (
	firstPort = 10_000
	ports     = 12_000
	busOffset = 10_000 // from a port of a cluster to the one that its members talk over
	portTries = 1000
)

// freePort returns a port that nobody listens on, nor on its bus port if that is wanted.
func freePort(t testing.TB, bus bool) int {
	t.Helper()
	for range portTries {
		port := firstPort + rand.IntN(ports)
		if isFree(port) && (!bus || isFree(port+busOffset)) {
			return port
		}
	}
	t.Fatal("no port is free")
	return 0
}

func isFree(port int) bool {
	l, err := net.Listen("tcp", loopback(port))
	if err != nil {
		return false
	}
	l.Close()
	return true
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
