// Package inline is a list for what has nearly always one element, and of which there
// are a great many, such as the rooms of a connection: one element needs no memory
// beside the list's own.
package inline

// List is a list whose order means nothing. The zero value is empty; the zero value
// of T stands for no element and cannot be one. Not safe for concurrent use.
type List[T comparable] struct {
	first T
	more  *[]T // the others; nil while there are none
}

// Len is the number of elements.
func (l *List[T]) Len() int {
	var none T
	switch {
	case l.first == none:
		return 0
	case l.more == nil:
		return 1
	}
	return 1 + len(*l.more)
}

// At is the i-th element, valid until the next Add or Remove.
func (l *List[T]) At(i int) *T {
	if i == 0 {
		return &l.first
	}
	return &(*l.more)[i-1]
}

// Index is where v is, -1 when it is not there.
func (l *List[T]) Index(v T) int {
	for i := range l.Len() {
		if *l.At(i) == v {
			return i
		}
	}
	return -1
}

// Add puts v behind the others.
func (l *List[T]) Add(v T) {
	switch {
	case l.Len() == 0:
		l.first = v
	case l.more == nil:
		l.more = &[]T{v}
	default:
		*l.more = append(*l.more, v)
	}
}

// Remove takes the i-th element out; the last one takes its place.
func (l *List[T]) Remove(i int) {
	var none T
	last := l.At(l.Len() - 1)
	*l.At(i), *last = *last, none
	if l.more == nil {
		return
	}
	if *l.more = (*l.more)[:len(*l.more)-1]; len(*l.more) == 0 {
		l.more = nil
	}
}

// Slice are the elements, in a slice of its own; nil when there are none.
func (l *List[T]) Slice() []T {
	var all []T
	for i := range l.Len() {
		all = append(all, *l.At(i))
	}
	return all
}
