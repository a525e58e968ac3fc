// Package e2e runs the demo as a whole, and looks at the dashboard with a browser. It is a module of its own, so that the
// library does not depend on what drives the browser. Its tests need chromium on the PATH;
// without it they are skipped, or fail if LB_TEST_REQUIRE is 1. If LB_SCREENSHOT is a path such
// as /tmp/page.png, pictures go to /tmp/page-light.png, /tmp/page-dark.png and
// /tmp/page-phone.png.
package e2e
