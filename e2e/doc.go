// Package e2e runs the demo as a whole, looks at the dashboard with a browser, and does to Redis what can
// happen to it while balancers share sessions there. It is a module of its own, so that the
// library does not depend on what drives the browser and what checks histories. Its tests need
// chromium and redis-server on the PATH; without them they are skipped, or fail if LB_TEST_REQUIRE is 1.
//
// If LB_SCREENSHOT is a path such as /tmp/page.png, pictures go to /tmp/page-light.png,
// /tmp/page-dark.png and /tmp/page-phone.png. With LB_FULL=1 the events of Redis last ten seconds each,
// all of them are tried, and a million assignments race. Rows of figures are in the log (-v).
package e2e
