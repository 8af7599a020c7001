// Package inline provides a list that stores its first element inline. Most connections
// are in one room; that common case allocates nothing.
package inline

// List is an unordered list. The zero value is empty. The zero value of T means "no
// element" and must not be added. Not safe for concurrent use.
type List[T comparable] struct {
	first T
	more  *[]T // the others; nil if there are none
}

// Len returns the number of elements.
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

// At returns the i-th element, valid until the next Add or Remove.
func (l *List[T]) At(i int) *T {
	if i == 0 {
		return &l.first
	}
	return &(*l.more)[i-1]
}

// Index returns the index of v, -1 if it is not in the list.
func (l *List[T]) Index(v T) int {
	for i := range l.Len() {
		if *l.At(i) == v {
			return i
		}
	}
	return -1
}

// Add appends v.
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

// Remove removes the i-th element and moves the last one into its place.
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

// Slice returns a copy of the elements, nil if there are none.
func (l *List[T]) Slice() []T {
	var all []T
	for i := range l.Len() {
		all = append(all, *l.At(i))
	}
	return all
}
