// Package redistest runs a real redis-server for tests, on a free port of the loopback
// interface. A test without one is skipped, unless the environment says LB_TEST_REQUIRE=1: then
// it fails.
package redistest
