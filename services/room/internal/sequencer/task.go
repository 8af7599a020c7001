package sequencer

import (
	"errors"
	"iter"

	"github.com/confab-chat/confab/services/room/internal/sequencer/log"
)

// task is straight-line code that reads one room's log and waits for each answer. It
// implements history.Log.
//
// A task is a coroutine of the goroutine that owns the shard: it runs only inside that
// goroutine's calls, so it may use the room's state without a lock. Other code of the
// shard runs while the task waits, so what it read of the room before may have changed.
//
// A waiting task occupies a goroutine. Tasks are therefore started by a gate, which
// bounds them to maxReads of each kind in a shard, and Env.StopTasks ends them.
type task struct {
	log    Log
	room   log.Room
	env    *Env
	yield  func(struct{}) bool // waits; false when the task must stop
	resume func()              // runs the task until it waits again, or ends
	stop   func()
}

// errTaskStopped unwinds a task that is stopped: nothing of it runs after its last wait.
var errTaskStopped = errors.New("task stopped")

// startTask runs f as a task about room until its first wait. ended runs after f has
// returned, but not when the task is stopped.
func (e *Env) startTask(room log.Room, f func(*task), ended func()) {
	t := &task{log: e.Log, room: room, env: e}
	next, stop := iter.Pull(func(yield func(struct{}) bool) {
		defer func() {
			if v := recover(); v != nil && v != errTaskStopped {
				panic(v)
			}
		}()
		t.yield = yield
		f(t)
	})
	t.stop = stop
	t.resume = func() {
		if _, running := e.tasks[t]; !running {
			return // the answer to a task that was stopped
		}
		if _, waits := next(); !waits {
			delete(e.tasks, t)
			ended()
		}
	}
	if e.tasks == nil {
		e.tasks = make(map[*task]struct{})
	}
	e.tasks[t] = struct{}{}
	t.resume()
}

// StopTasks ends all tasks where they wait. The rooms must not be used afterwards.
func (e *Env) StopTasks() {
	for t := range e.tasks {
		delete(e.tasks, t)
		t.stop()
	}
}

// wait returns after the next resume.
func (t *task) wait() {
	if !t.yield(struct{}{}) {
		panic(errTaskStopped)
	}
}

// waitFor asks for one record and waits for it.
func (t *task) waitFor(ask func(done func(log.Stored, error))) (s log.Stored, err error) {
	ask(func(got log.Stored, failure error) {
		s, err = got, failure
		t.resume()
	})
	t.wait()
	return s, err
}

// Tail is Log.Tail for a task.
func (t *task) Tail() (log.Stored, error) {
	return t.waitFor(func(done func(log.Stored, error)) { t.log.Tail(t.room, done) })
}

// First is Log.First for a task.
func (t *task) First() (log.Stored, error) {
	return t.waitFor(func(done func(log.Stored, error)) { t.log.First(t.room, done) })
}

// Next is Log.Next for a task.
func (t *task) Next(from uint64) (log.Stored, error) {
	return t.waitFor(func(done func(log.Stored, error)) { t.log.Next(t.room, from, done) })
}

// At is Log.At for a task.
func (t *task) At(pos uint64) (log.Stored, error) {
	return t.waitFor(func(done func(log.Stored, error)) { t.log.At(t.room, pos, done) })
}

// Range is Log.Range for a task: its last element has an error, log.ErrEnd at the end.
// The loop over it must not wait for anything else.
func (t *task) Range(from uint64, batch, maxBytes int) iter.Seq2[log.Stored, error] {
	return func(yield func(log.Stored, error) bool) {
		var s log.Stored
		var err error
		left := false // the loop was left: the rest of the batch is ignored
		t.log.Range(t.room, from, batch, maxBytes, func(got log.Stored, failure error) bool {
			if !left {
				s, err = got, failure
				t.resume()
			}
			return failure == nil
		})
		for {
			t.wait()
			if !yield(s, err) || err != nil {
				left = true
				return
			}
		}
	}
}

// Malformed implements history.Log.
func (t *task) Malformed(pos uint64) { t.env.noteMalformed(t.room, pos) }

// Purge is Log.Purge for a task.
func (t *task) Purge(before uint64) (n uint64, err error) {
	t.log.Purge(t.room, before, func(purged uint64, failure error) {
		n, err = purged, failure
		t.resume()
	})
	t.wait()
	return n, err
}

// gate runs at most maxReads reads at once; the others wait in order.
type gate struct {
	running  int
	waiting  []func()
	starting bool // leave is starting those that wait
}

// enter runs f, now or later; false when too many wait. leave must be called once
// after f.
func (g *gate) enter(f func()) bool {
	switch {
	case g.running < maxReads:
		g.running++
		f()
	case len(g.waiting) < maxReadsWaiting:
		g.waiting = append(g.waiting, f)
	default:
		return false
	}
	return true
}

// startTask runs f as a task about room, now or later; false when too many wait.
func (g *gate) startTask(e *Env, room log.Room, f func(*task)) bool {
	return g.enter(func() { e.startTask(room, f, g.leave) })
}

// leave frees a place and starts the reads that wait. It is a loop, not a recursion:
// thousands of waiting reads may find in memory what the first of them has read.
func (g *gate) leave() {
	g.running--
	if g.starting {
		return
	}
	g.starting = true
	for g.running < maxReads && len(g.waiting) > 0 {
		f := g.waiting[0]
		g.waiting[0] = nil
		g.waiting = g.waiting[1:]
		g.running++
		f()
	}
	g.starting = false
}
