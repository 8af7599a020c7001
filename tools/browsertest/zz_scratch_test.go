package browsertest

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/confab-chat/confab/tools/internal/suitetest"
)

func dark(v string) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, tg *chromedp.Target) error {
		_, err := cdp.Call(ctx, tg, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: v}}})
		return err
	})
}

func TestScratchLook(t *testing.T) {
	dir := t.TempDir()
	s := suitetest.StartIn(t, dir)
	b := browser(t)
	ctx, cancel := chromedp.NewContext(b)
	defer cancel()
	m := &tab{t, ctx}
	if err := chromedp.Do(ctx); err != nil { t.Fatal(err) }
	m.do("login page", chromedp.Navigate("http://"+s.Edge+"/"), chromedp.WaitVisible("#login"))
	m.picture("x-login")
	m.do("dark", dark("dark"))
	m.picture("x-login-dark")
	m.do("monitor", chromedp.Navigate("http://"+s.Monitor+"/"))
	a, bob := open(t, b, s.Edge, "Alice"), open(t, b, s.Edge, "Bob")
	a.says("Hello Bob, how is the weather over there?")
	bob.says("Grey, as ever. But https://example.org/averyveryveryveryveryveryveryveryveryveryverylonglinkwithoutanybreakatallinitreally works")
	bob.says("second line")
	bob.shows("#messages", "second line")
	a.shows("#messages", "second line")
	a.do("dark", dark("dark"))
	a.picture("x-chat-dark")
	a.do("narrow", chromedp.EmulateViewport(390, 740))
	a.picture("x-chat-narrow-dark")
	time.Sleep(3 * time.Second)
	m.picture("x-monitor-dark")
	m.do("light", dark("light"))
	m.picture("x-monitor")
	m.do("narrow", chromedp.EmulateViewport(390, 740))
	m.picture("x-monitor-narrow")
	s.Stop()
	a.shows("#link", "reconnecting")
	time.Sleep(3 * time.Second)
	bob.picture("x-away")
	_ = os.Args
}
