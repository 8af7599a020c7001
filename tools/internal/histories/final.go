package histories

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// checkFinal compares all events with the Final.
func (r *room) checkFinal() {
	if !r.seen {
		r.report(Incomplete, "", "", 0, "the final history is missing")
		return
	}
	r.checkLog()
	r.checkSends()
	last := uint64(0)
	if n := len(r.final); n > 0 {
		last = r.final[n-1].Seq
	}
	for _, client := range slices.Sorted(maps.Keys(r.views)) {
		r.checkGaps(client, r.views[client])
		if v := r.views[client]; v.ended && v.next <= last {
			r.report(SilentGap, client, "", v.next, "%d to %d, the newest, were never received", v.next, last)
		}
	}
}

// checkGaps finds messages in the gaps of a client that the Final has.
func (r *room) checkGaps(client string, v *view) {
	for _, g := range v.gaps {
		i, _ := slices.BinarySearchFunc(r.final, g.Seq, func(e Entry, seq uint64) int { return cmp.Compare(e.Seq, seq) })
		if i < len(r.final) && r.final[i].Seq <= g.To {
			r.report(FalseGap, client, r.final[i].ID, r.final[i].Seq, "stored, although in a gap from %d to %d", g.Seq, g.To)
		}
	}
}

// checkLog finds anomalies of the Final alone.
func (r *room) checkLog() {
	for i, e := range r.final {
		if i > 0 && e.Seq <= r.final[i-1].Seq {
			r.report(Reordered, "", e.ID, e.Seq, "stored after seq %d", r.final[i-1].Seq)
		}
		if i > 0 && e.Seq > r.final[i-1].Seq+1 {
			r.report(SilentGap, "", e.ID, e.Seq, "the log has no message between %d and it", r.final[i-1].Seq)
		}
		r.match("", e.ID, e.Seq)
	}
	for _, id := range slices.Sorted(maps.Keys(r.seqOf)) {
		if s := r.sends[id]; s == nil {
			r.report(Phantom, "", id, r.seqOf[id], "no client sent it")
		} else if s.seq == 0 && s.refused == s.attempts {
			r.report(RefusedButStored, "", id, r.seqOf[id], "%d attempts, each refused", s.attempts)
		}
	}
}

// checkSends finds acknowledged messages that the Final does not have, unless retention removed
// them, or has in another order than that of sending.
func (r *room) checkSends() {
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
			r.report(Lost, "", id, seq, "received and not stored")
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
			r.report(Reordered, "", id, s.seq, "acknowledged before message %s was sent, and stored after it", late)
		}
		if s.invoked > before {
			before, late = s.invoked, id
		}
	}
}
