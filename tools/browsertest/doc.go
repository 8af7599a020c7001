// Package browsertest drives the demo page in a real browser. Its tests need
// chromium and run when CONFAB_TEST_BROWSER is set, as CI does; with
// CONFAB_TEST_SCREENSHOT=FOLDER they leave pictures there to look at.
package browsertest
