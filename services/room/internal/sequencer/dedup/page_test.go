package dedup_test

import (
	"encoding/hex"
	"testing"

	"pgregory.net/rapid"

	"github.com/confab-chat/confab/services/room/internal/sequencer/dedup"
)

// An id is in the log: what is stored by one release is recognised by the next.
func TestIDIsTheSameForEver(t *testing.T) {
	t.Parallel()
	for k, want := range map[dedup.Key]string{
		{User: "u", ClientID: "1"}:                 "86590facd4be76af9c4e31b3a9f56727",
		{User: "auth0|Ünïcode", ClientID: "a-b_c"}: "a697922c478343ffd952cc7b758a9076",
	} {
		id := k.ID()
		if got := hex.EncodeToString(id[:]); got != want {
			t.Errorf("%+v: %s, want %s", k, got, want)
		}
	}
	if (dedup.Key{User: "ab", ClientID: "c"}).ID() == (dedup.Key{User: "a", ClientID: "bc"}).ID() {
		t.Error("user and client id run together")
	}
}

// An index that is put together from pages and single messages knows what the one
// knows that the pages were made from.
func TestPages(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var x, y dedup.Index
		first := rapid.Uint64Range(1, 1<<40).Draw(t, "first")
		n := rapid.IntRange(1, 300).Draw(t, "messages")
		refs := map[int]dedup.Ref{}
		paged := 0
		for i := range n {
			refs[i] = dedup.Ref{
				Seq: first + uint64(i), Sum: rapid.Uint64().Draw(t, "sum"), AtMs: uint64(i) * 1000, Epoch: rapid.Uint64().Draw(t, "by"),
			}
			x.Add(key(i), refs[i])
			if rapid.IntRange(0, 20).Draw(t, "page") != 0 {
				continue
			}
			page := x.AppendPage([]byte("x"), first+uint64(paged))[1:]
			if got, atMs := dedup.PageLen(page); got != uint64(i+1-paged) || atMs != uint64(paged)*1000 {
				t.Fatalf("a page of %d messages from %d ms has %d from %d ms", i+1-paged, paged*1000, got, atMs)
			}
			y.AddPage(first+uint64(paged), page)
			paged = i + 1
		}
		for i := paged; i < n; i++ {
			y.Add(key(i), refs[i])
		}
		if y.Len() != n || y.First() != first {
			t.Fatalf("%d messages from %d, want %d from %d", y.Len(), y.First(), n, first)
		}
		for i, want := range refs {
			if got, ok := y.Find(key(i)); !ok || got != want {
				t.Fatalf("message %d: %+v, want %+v", i, got, want)
			}
		}
	})
}

func TestNoPage(t *testing.T) {
	t.Parallel()
	var x dedup.Index
	x.Add(key(1), dedup.Ref{Seq: 1})
	page := x.AppendPage(nil, 1)
	for _, b := range [][]byte{nil, {1}, page[1:], append(page, 1)} {
		if n, _ := dedup.PageLen(b); n != 0 {
			t.Errorf("%d bytes are taken for a page of %d", len(b), n)
		}
	}
	if page := x.AppendPage(nil, 2); len(page) != 0 {
		t.Errorf("a page behind the last message has %d bytes", len(page))
	}
}
