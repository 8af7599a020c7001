package ledger

import (
	"time"

	"github.com/confab-chat/confab/proto/wire"
)

// recent is news that was announced at at.
type recent struct {
	*wire.News
	at time.Time
}

// remember keeps n for Recent.
func (l *Ledger) remember(n *wire.News, at time.Time) {
	l.recent = append(l.recent, recent{n, at})
	if over := len(l.recent) - maxRecent; over >= maxRecent/4 {
		l.since = lastNumber(l.recent[over-1].News)
		l.recent = append(l.recent[:0:0], l.recent[over:]...)
	}
}

// lastNumber returns the number of the last broadcast of n.
func lastNumber(n *wire.News) uint64 { return n.Number + uint64(max(1, len(n.Rooms))) - 1 }

// Since returns the news that have broadcasts with a number above after, in order. complete is
// false when some of them are not known any more.
func (l *Ledger) Since(after uint64) (news []*wire.News, complete bool) {
	for _, n := range l.recent {
		if lastNumber(n.News) > after {
			news = append(news, n.News)
		}
	}
	return news, after >= l.since
}

// Recent returns the news that were announced at start or later, in order.
func (l *Ledger) Recent(start time.Time) (news []*wire.News) {
	for _, n := range l.recent {
		if !n.at.Before(start) {
			news = append(news, n.News)
		}
	}
	return news
}
