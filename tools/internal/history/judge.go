package history

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// judge compares everything with the Final.
func (r *room) judge() {
	if !r.seen {
		r.report(Incomplete, "", "", 0, "the final history is missing")
		return
	}
	r.judgeFinal()
	r.judgeSends()
	last := uint64(0)
	if n := len(r.final); n > 0 {
		last = r.final[n-1].Seq
	}
	for _, client := range slices.Sorted(maps.Keys(r.views)) {
		r.judgeGaps(client, r.views[client])
		if v := r.views[client]; v.ended && v.next <= last {
			r.report(SilentGap, client, "", v.next, "%d to %d, the newest, were never shown", v.next, last)
		}
	}
}

// judgeGaps looks for what a client was told to be gone and is there at the end.
func (r *room) judgeGaps(client string, v *view) {
	for _, g := range v.gaps {
		i, _ := slices.BinarySearchFunc(r.final, g.Seq, func(e Entry, seq uint64) int { return cmp.Compare(e.Seq, seq) })
		if i < len(r.final) && r.final[i].Seq <= g.To {
			r.report(FalseGap, client, r.final[i].ID, r.final[i].Seq, "told to be gone, in a gap from %d to %d", g.Seq, g.To)
		}
	}
}

func (r *room) judgeFinal() {
	for i, e := range r.final {
		if i > 0 && e.Seq <= r.final[i-1].Seq {
			r.report(Reordered, "", e.ID, e.Seq, "stored behind seq %d", r.final[i-1].Seq)
		}
		if i > 0 && e.Seq > r.final[i-1].Seq+1 {
			r.report(SilentGap, "", e.ID, e.Seq, "the log has nothing between %d and it", r.final[i-1].Seq)
		}
		r.agree("", e.ID, e.Seq)
	}
	for _, id := range slices.Sorted(maps.Keys(r.seqOf)) {
		if s := r.sends[id]; s == nil {
			r.report(Phantom, "", id, r.seqOf[id], "nobody sent it")
		} else if s.seq == 0 && s.refused == s.attempts {
			r.report(RefusedButStored, "", id, r.seqOf[id], "%d attempts, each refused", s.attempts)
		}
	}
}

// judgeSends looks for what was acknowledged: it must be there, unless retention
// took it, and in the order in which it happened.
func (r *room) judgeSends() {
	oldest, stored := uint64(1), make(map[string]bool, len(r.final))
	if len(r.final) > 0 {
		oldest = r.final[0].Seq
	}
	for _, e := range r.final {
		stored[e.ID] = true
	}
	var acked []string
	for _, id := range slices.Sorted(maps.Keys(r.sends)) {
		s := r.sends[id]
		switch seq := r.seqOf[id]; {
		case s.seq != 0:
			acked = append(acked, id)
		case seq != 0 && seq >= oldest && !stored[id]:
			r.report(Lost, "", id, seq, "shown and not stored")
		}
	}
	slices.SortFunc(acked, func(a, b string) int {
		return cmp.Or(cmp.Compare(r.sends[a].seq, r.sends[b].seq), cmp.Compare(a, b))
	})
	var before time.Duration // the latest first attempt among the seqs so far
	var late string
	for _, id := range acked {
		s := r.sends[id]
		if !stored[id] && s.seq >= oldest {
			r.report(Lost, "", id, s.seq, "acknowledged and not stored")
		}
		if s.answered < before {
			r.report(Reordered, "", id, s.seq, "acknowledged before message %s was sent, and stored behind it", late)
		}
		if s.invoked > before {
			before, late = s.invoked, id
		}
	}
}
