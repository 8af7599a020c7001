package config

import (
	"maps"
	"slices"
	"strings"
)

// nearest is the known name that a mistyped one was meant to be; empty when none
// is near.
func nearest(name string, known map[string]bool) string {
	best, bestDistance := "", 1+len(name)/6 // CONFAB_LIMIT_MESAGE is 2 from its name
	for _, k := range slices.Sorted(maps.Keys(known)) {
		if d := distance(name, k); d <= bestDistance && (best == "" || d < bestDistance) {
			best, bestDistance = k, d
		}
	}
	return best
}

// distance is the number of letters to insert, delete, replace or swap with their
// neighbour to get from a to b (optimal string alignment).
func distance(a, b string) int {
	var before []int
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		next := make([]int, len(b)+1)
		next[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			next[j] = min(row[j]+1, next[j-1]+1, row[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				next[j] = min(next[j], before[j-2]+1)
			}
		}
		before, row = row, next
	}
	return row[len(b)]
}

// serviceLink recognizes what Kubernetes puts into every container for a Service
// named confab-…: CONFAB_EDGE_SERVICE_HOST, CONFAB_EDGE_PORT=tcp://…,
// CONFAB_EDGE_PORT_3001_TCP_ADDR. Nobody mistyped those.
func serviceLink(name, value string) bool {
	if strings.HasSuffix(name, "_SERVICE_HOST") || strings.HasSuffix(name, "_SERVICE_PORT") ||
		strings.Contains(name, "_SERVICE_PORT_") {
		return true
	}
	if strings.HasSuffix(name, "_PORT") {
		return strings.HasPrefix(value, "tcp://") || strings.HasPrefix(value, "udp://")
	}
	_, rest, ok := strings.Cut(name, "_PORT_")
	if !ok {
		return false
	}
	port, protocol, ok := strings.Cut(rest, "_")
	return ok && strings.Trim(port, "0123456789") == "" &&
		(strings.HasPrefix(protocol, "TCP") || strings.HasPrefix(protocol, "UDP"))
}
