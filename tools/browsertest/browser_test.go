package browsertest

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/confab-chat/confab/shared/eventually"
	"github.com/confab-chat/confab/tools/internal/suitetest"
)

// browser starts one headless chromium that ends with the test.
func browser(t *testing.T) context.Context {
	t.Helper()
	if os.Getenv("CONFAB_TEST_BROWSER") == "" {
		t.Skip("needs chromium: set CONFAB_TEST_BROWSER=1 (bash .ci/run does)")
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.NoSandbox, chromedp.DisableGPU, chromedp.WindowSize(1200, 760),
		chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
	)
	alloc, stop := chromedp.NewExecAllocator(t.Context(), opts...)
	t.Cleanup(stop)
	ctx, cancel := chromedp.NewContext(alloc)
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("start chromium: %v", err)
	}
	return ctx
}

// tab is a page of one user.
type tab struct {
	t   *testing.T
	ctx context.Context
}

// open signs a user in, in a new tab.
func open(t *testing.T, browser context.Context, edge, name string) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(browser)
	t.Cleanup(cancel)
	p := &tab{t, ctx}
	if err := chromedp.Do(ctx); err != nil { // opens the tab, which lives as long as this context
		t.Fatalf("open a tab: %v", err)
	}
	p.do("sign in",
		chromedp.Navigate("http://"+edge+"/"),
		chromedp.WaitVisible("#login"),
		chromedp.SetValue("#name", name),
		chromedp.Click("#login button"),
		chromedp.WaitVisible("#composer"),
	)
	p.shows("#link", "online")
	return p
}

func (p *tab) do(what string, steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, eventually.Patience())
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		p.picture("failed")
		p.t.Fatalf("%s: %v", what, err)
	}
}

// shows waits until the element's text contains want.
func (p *tab) shows(selector, want string) {
	p.t.Helper()
	p.is("document.querySelector(`"+selector+"`)?.textContent.includes(`"+want+"`)", selector+" to show "+want)
}

// is waits until an expression is true in the page.
func (p *tab) is(expression, what string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, eventually.Patience())
	defer cancel()
	if _, err := chromedp.Run(ctx, chromedp.Poll[bool]("Boolean("+expression+")", chromedp.WithPollingTimeout(eventually.Patience()))); err != nil {
		p.picture("failed")
		text, _ := chromedp.Run(p.ctx, chromedp.Text("body")) // for the message only
		p.t.Fatalf("waited for %s: %v; the page says:\n%s", what, err, text)
	}
}

func (p *tab) says(text string) {
	p.t.Helper()
	p.do("send", chromedp.SendKeys("#text", text+kb.Enter))
}

// picture keeps a screenshot when a folder for them is given.
func (p *tab) picture(name string) {
	folder := os.Getenv("CONFAB_TEST_SCREENSHOT")
	if folder == "" {
		return
	}
	png, err := chromedp.Run(p.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		p.t.Logf("screenshot: %v", err)
		return
	}
	if err := os.WriteFile(filepath.Join(folder, name+".png"), png, 0o644); err != nil {
		p.t.Error(err)
	}
}

func TestTwoTabsChat(t *testing.T) {
	s := suitetest.Start(t)
	b := browser(t)
	alice, bob := open(t, b, s.Edge, "Alice"), open(t, b, s.Edge, "Bob")

	alice.shows("#members", "Bob")
	bob.shows("#members", "Alice")
	alice.shows("#total", "2")

	alice.says("Hello Bob <b>&amp;</b>")
	bob.shows("#messages", "Hello Bob <b>&amp;</b>")
	alice.is("document.querySelectorAll('.message:not(.sending)').length === 1", "the message to be acknowledged")

	bob.do("type", chromedp.SendKeys("#text", "I am ty"))
	alice.shows("#typing", "Bob is typing")
	bob.says("ping")
	alice.shows("#messages", "I am typing")
	alice.is("document.querySelector('#typing').textContent === ''", "typing to end with the message")

	bob.is("(s => { s.value = 'busy'; return s.dispatchEvent(new Event('change')) })(document.querySelector('#status'))", "Bob to choose busy")
	alice.is("[...document.querySelectorAll('#members li')].some(li => li.textContent.includes('Bob') && li.dataset.status === 'busy')", "Bob to be busy")
	alice.picture("chat")

	// From his last room the page would lead him back to this one.
	for _, room := range []string{"elsewhere", "general"} {
		bob.do("enter "+room, chromedp.SendKeys("#room", room+kb.Enter))
		bob.is("location.hash === '#"+room+"'", "Bob to be in "+room)
	}
	bob.do("leave", chromedp.Click("#leave"))
	alice.is("!document.querySelector('#members').textContent.includes('Bob')", "Bob to be gone from the members")
}

func TestHistoryOnJoin(t *testing.T) {
	s := suitetest.Start(t)
	b := browser(t)
	alice := open(t, b, s.Edge, "Alice")
	alice.says("said before")
	alice.is("document.querySelectorAll('.message:not(.sending)').length === 1", "the message to be acknowledged")
	bob := open(t, b, s.Edge, "Bob")
	bob.shows("#messages", "said before")
}

func TestErrorsAreForPeople(t *testing.T) {
	s := suitetest.Start(t, "CONFAB_LIMIT_MESSAGES=2", "CONFAB_EDGE_PERMIT_TIMEOUT=4s")
	alice := open(t, browser(t), s.Edge, "Alice")
	for _, text := range []string{"one", "two", "three"} {
		alice.says(text)
		alice.shows("#messages", text)
	}
	alice.shows(".message.failed", "Slow down a little")
	alice.shows(".message.failed button", "Send again")
	alice.do("join a room with a wrong name", chromedp.SendKeys("#room", "no blanks please"+kb.Enter))
	alice.is("document.querySelector('#notice').textContent.length > 0", "a word about the room's name")
	alice.picture("errors")
	notice, err := chromedp.Run(alice.ctx, chromedp.Text("#notice"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(notice, "without blanks") {
		t.Errorf("the page says %q", notice)
	}
}

// The edge stops and restarts on the same port: no message is missing or shown twice.
func TestReconnect(t *testing.T) {
	dir := t.TempDir()
	first := suitetest.StartIn(t, dir)
	alice := open(t, browser(t), first.Edge, "Alice")
	alice.says("before")
	alice.is("document.querySelectorAll('.message:not(.sending)').length === 1", "the message to be acknowledged")
	if err := first.Stop(); err != nil {
		t.Fatal(err)
	}
	alice.shows("#link", "reconnecting")
	alice.says("while it was away")
	suitetest.StartIn(t, dir, "CONFAB_EDGE_ADDR="+first.Edge)
	alice.shows("#link", "online")
	alice.is("document.querySelectorAll('.message:not(.sending):not(.failed)').length === 2", "both messages, once each")
	alice.shows("#messages", "before")
	alice.shows("#messages", "while it was away")
}
