package lifecycle

import (
	"context"
	"errors"
	"fmt"
)

// Part is a part of a service that runs until its context ends.
type Part struct {
	Name string
	Run  func(context.Context) error
}

// RunParts starts parts in order and runs them until ctx ends or one of them returns.
// Then it stops them in reverse order: it cancels a part's context and waits for the part
// to return before it stops the part started before it. It returns their joined errors,
// without context.Canceled.
func RunParts(ctx context.Context, parts ...Part) error {
	type ended struct {
		part int
		err  error
	}
	over := make(chan ended, len(parts)) // capacity: every part ends once
	cancel := make([]context.CancelFunc, len(parts))
	done := make([]chan struct{}, len(parts))
	for i, p := range parts {
		partCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
		cancel[i], done[i] = stop, make(chan struct{})
		go func() { // waited for below
			defer close(done[i])
			over <- ended{i, p.Run(partCtx)}
		}()
	}
	var first *ended
	collected := 0
	select {
	case <-ctx.Done():
	case e := <-over:
		first, collected = &e, 1
	}
	for i := len(parts) - 1; i >= 0; i-- {
		cancel[i]()
		<-done[i]
	}
	var errs []error
	add := func(e ended) {
		if e.err != nil && !errors.Is(e.err, context.Canceled) {
			errs = append(errs, fmt.Errorf("%s: %w", parts[e.part].Name, e.err))
		}
	}
	if first != nil {
		add(*first)
	}
	for range len(parts) - collected {
		add(<-over)
	}
	return errors.Join(errs...)
}
