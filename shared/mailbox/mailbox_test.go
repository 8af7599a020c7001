package mailbox_test

import (
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"github.com/confab-chat/confab/shared/mailbox"
)

// note returns a function that appends n to got.
func note(got *[]int, n int) func() { return func() { *got = append(*got, n) } }

func TestRun(t *testing.T) {
	t.Parallel()
	var got []int
	for _, tt := range []struct {
		name  string
		steps func(m *mailbox.Mailbox)
		want  []int
		left  int
	}{
		{"nothing posted", func(m *mailbox.Mailbox) { m.Run() }, nil, 0},
		{"in the order of the posts", func(m *mailbox.Mailbox) {
			m.Post(note(&got, 1))
			m.Post(note(&got, 2))
			m.Run()
		}, []int{1, 2}, 0},
		{"each once", func(m *mailbox.Mailbox) {
			m.Post(note(&got, 1))
			m.Run()
			m.Post(note(&got, 2))
			m.Run()
			m.Run()
		}, []int{1, 2}, 0},
		{"a post during Run waits for the next", func(m *mailbox.Mailbox) {
			m.Post(func() { m.Post(note(&got, 1)) })
			m.Run()
		}, nil, 1},
		{"Run within Run takes what was posted since", func(m *mailbox.Mailbox) {
			m.Post(func() {
				m.Post(note(&got, 1))
				m.Run()
			})
			m.Post(note(&got, 2))
			m.Run()
		}, []int{1, 2}, 0},
		{"a full mailbox refuses TryPost only", func(m *mailbox.Mailbox) {
			m.TryPost(note(&got, 1), 1)
			m.TryPost(note(&got, 2), 1)
			m.Post(note(&got, 3))
			m.Run()
			m.TryPost(note(&got, 4), 1)
			m.Run()
		}, []int{1, 3, 4}, 0},
		{"Close keeps what was posted before", func(m *mailbox.Mailbox) {
			m.Post(note(&got, 1))
			m.Close()
			m.Post(note(&got, 2))
			m.TryPost(note(&got, 3), 9)
			m.Run()
		}, []int{1}, 0},
	} {
		got = nil
		m := mailbox.New()
		tt.steps(m)
		if !slices.Equal(got, tt.want) || m.Len() != tt.left {
			t.Errorf("%s: ran %v, %d wait; want %v, %d", tt.name, got, m.Len(), tt.want, tt.left)
		}
	}
}

func TestPostReports(t *testing.T) {
	t.Parallel()
	m := mailbox.New()
	nop := func() {}
	if !m.TryPost(nop, 2) || !m.Post(nop) || m.TryPost(nop, 2) || m.Len() != 2 {
		t.Errorf("an open mailbox: %d wait", m.Len())
	}
	m.Close()
	if m.Post(nop) || m.TryPost(nop, 10) {
		t.Error("a closed mailbox accepted a function")
	}
}

// A panic that RunEach's call recovers costs the one function.
func TestRunEachRecovers(t *testing.T) {
	t.Parallel()
	m := mailbox.New()
	var got []int
	m.Post(func() { panic("boom") })
	m.Post(note(&got, 1))
	m.RunEach(func(fn func()) {
		defer func() { _ = recover() }()
		fn()
	})
	if !slices.Equal(got, []int{1}) {
		t.Errorf("ran %v", got)
	}
}

func TestWakeUps(t *testing.T) {
	t.Parallel()
	rung := func(m *mailbox.Mailbox) bool {
		select {
		case <-m.C():
			return true
		default:
			return false
		}
	}
	m := mailbox.New()
	if rung(m) {
		t.Error("a new mailbox rings")
	}
	m.Post(func() {})
	m.Post(func() {})
	if !rung(m) || rung(m) {
		t.Error("two posts do not ring once")
	}
	m.Wake()
	if !rung(m) {
		t.Error("Wake does not ring")
	}
	m.Close()
	if m.Post(func() {}); rung(m) {
		t.Error("a refused post rings")
	}

	calls := 0
	hooked := mailbox.NewHook(func() { calls++ })
	hooked.Post(func() {})
	hooked.TryPost(func() {}, 1) // refused
	hooked.Wake()
	if calls != 2 || hooked.C() != nil {
		t.Errorf("the hook was called %d times, want 2", calls)
	}
}

// TestAgainstList compares a mailbox with a list, over any sequence of calls.
func TestAgainstList(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := mailbox.New()
		var got, want, waiting []int
		closed, next := false, 0
		post := func(accepted bool) {
			if accepted {
				waiting = append(waiting, next)
			}
			next++
		}
		t.Repeat(map[string]func(*rapid.T){
			"": func(t *rapid.T) {
				if !slices.Equal(got, want) || m.Len() != len(waiting) {
					t.Fatalf("ran %v, %d wait; want %v, %d", got, m.Len(), want, len(waiting))
				}
			},
			"post": func(t *rapid.T) {
				ok := m.Post(note(&got, next))
				if ok == closed {
					t.Fatalf("Post = %v, closed = %v", ok, closed)
				}
				post(ok)
			},
			"try": func(t *rapid.T) {
				limit := rapid.IntRange(1, 5).Draw(t, "limit")
				ok := m.TryPost(note(&got, next), limit)
				if ok != (!closed && len(waiting) < limit) {
					t.Fatalf("TryPost = %v with %d of %d, closed = %v", ok, len(waiting), limit, closed)
				}
				post(ok)
			},
			"run": func(*rapid.T) {
				m.Run()
				want, waiting = append(want, waiting...), nil
			},
			"close": func(t *rapid.T) {
				if rapid.IntRange(0, 9).Draw(t, "dice") == 0 {
					m.Close()
					closed = true
				}
			},
		})
	})
}

// Every accepted function runs once, in its producer's order, although the owner
// sleeps until it is woken and closes the mailbox while others post.
func TestConcurrently(t *testing.T) {
	t.Parallel()
	const producers, posts = 8, 2000
	m := mailbox.New()
	var ran [producers][]int // owned by the owner until it has ended
	var accepted [producers]int
	var left atomic.Int32
	left.Store(producers)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for left.Load() > 0 {
			<-m.C()
			m.Run()
		}
		m.Close()
		m.Run()
	}()
	var done sync.WaitGroup
	for p := range producers {
		done.Go(func() {
			for i := range posts {
				if i == posts-100 && left.Add(-1) == 0 {
					m.Wake()
				}
				if !m.Post(note(&ran[p], i)) {
					return
				}
				accepted[p]++
			}
		})
	}
	done.Wait()
	<-ended
	for p := range producers {
		if len(ran[p]) != accepted[p] {
			t.Errorf("producer %d: %d accepted, %d ran", p, accepted[p], len(ran[p]))
		}
		for i, n := range ran[p] {
			if i != n {
				t.Fatalf("producer %d: function %d ran as number %d", p, n, i)
			}
		}
	}
}

// BenchmarkPost is a function posted by one goroutine and run by an owner that
// sleeps while nothing waits.
func BenchmarkPost(b *testing.B) {
	m := mailbox.New()
	n := 0
	count := func() { n++ }
	b.ReportAllocs()
	var owner sync.WaitGroup
	owner.Go(func() {
		for n < b.N {
			<-m.C()
			m.Run()
		}
	})
	for range b.N {
		m.Post(count)
	}
	owner.Wait()
}

// BenchmarkRun is the owner's side: 16 posts and the Run of them.
func BenchmarkRun(b *testing.B) {
	m := mailbox.New()
	nop := func() {}
	b.ReportAllocs()
	for b.Loop() {
		for range 16 {
			m.Post(nop)
		}
		m.Run()
	}
}
