// Package proc reads what Linux knows of processes and of the machine, from /proc:
// processor time, memory, and what sockets cost the kernel (proc(5)).
package proc

import (
	"bufio"
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
)

// ticksPerSecond is USER_HZ, which is 100 on every Linux that Go runs on.
const ticksPerSecond = 100

// Group is processes whose cost is counted together, such as all edges.
type Group struct {
	Name string `json:"name"`
	Pids []int  `json:"pids"`
}

// ParseGroups reads "edge=12,edge=13,room=14"; a number alone belongs to "server".
func ParseGroups(s string) (groups []Group, err error) {
	for item := range strings.SplitSeq(s, ",") {
		if item = strings.TrimSpace(item); item == "" {
			continue
		}
		name, digits, named := strings.Cut(item, "=")
		if !named {
			name, digits = "server", item
		}
		pid, err := strconv.Atoi(digits)
		if err != nil || pid <= 0 || name == "" {
			return nil, fmt.Errorf("%q is no process: want 123 or name=123", item)
		}
		groups = add(groups, name, pid)
	}
	return groups, nil
}

func add(groups []Group, name string, pid int) []Group {
	for i := range groups {
		if groups[i].Name == name {
			groups[i].Pids = append(groups[i].Pids, pid)
			return groups
		}
	}
	return append(groups, Group{name, []int{pid}})
}

// Usage is what a group has used. CPU is seconds since its processes started.
type Usage struct {
	User, System float64
	RSS          int64 // bytes resident
	Anonymous    int64 // of them, not backed by files
}

// CPU is all processor time, in seconds.
func (u Usage) CPU() float64 { return u.User + u.System }

// Machine is what all processes and the kernel use.
type Machine struct {
	Busy, Total float64 // seconds of all processors; Total also counts what was idle or stolen
	Stolen      float64 // of Total: wanted, and given by the host to other machines
	Slab        int64   // bytes of kernel objects
	SocketPages int64   // bytes of buffers of TCP sockets
	Available   int64   // bytes that programs could still have
}

// Self is this process's usage so far; zeros where there is no /proc.
func Self() Usage {
	u, _ := Of(os.DirFS("/proc"), Group{Pids: []int{os.Getpid()}}) // the generator's own share is extra
	return u
}

// Of adds up a group's usage. proc is the file system /proc.
func Of(proc fs.FS, g Group) (sum Usage, err error) {
	for _, pid := range g.Pids {
		if err := addProcess(proc, strconv.Itoa(pid), &sum); err != nil {
			return Usage{}, fmt.Errorf("process %d (%s): %w", pid, g.Name, err)
		}
	}
	return sum, nil
}

func addProcess(proc fs.FS, pid string, sum *Usage) error {
	stat, err := fs.ReadFile(proc, path.Join(pid, "stat"))
	if err != nil {
		return err
	}
	// The name, in brackets, may hold anything; utime and stime are fields 14 and 15.
	_, rest, ok := strings.Cut(string(stat[max(0, bytes.LastIndexByte(stat, ')')):]), " ")
	fields := strings.Fields(rest)
	if !ok || len(fields) < 13 {
		return fmt.Errorf("unreadable stat %q", stat)
	}
	user, err1 := strconv.ParseFloat(fields[11], 64)
	system, err2 := strconv.ParseFloat(fields[12], 64)
	if err1 != nil || err2 != nil {
		return fmt.Errorf("unreadable stat %q", stat)
	}
	status, err := keys(proc, path.Join(pid, "status"))
	if err != nil {
		return err
	}
	sum.User += user / ticksPerSecond
	sum.System += system / ticksPerSecond
	sum.RSS += status["VmRSS"]
	sum.Anonymous += status["RssAnon"]
	return nil
}

// keys reads lines of "Name: 123 kB", in bytes.
func keys(proc fs.FS, name string) (map[string]int64, error) {
	b, err := fs.ReadFile(proc, name)
	if err != nil {
		return nil, err
	}
	found := make(map[string]int64)
	for lines := bufio.NewScanner(bytes.NewReader(b)); lines.Scan(); {
		key, value, _ := strings.Cut(lines.Text(), ":")
		if kb, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64); err == nil {
			found[key] = kb << 10
		}
	}
	return found, nil
}

// Columns of the line "cpu" of /proc/stat, the name being 0 (proc(5)).
const (
	columnIdle   = 4
	columnIOWait = 5
	columnSteal  = 8 // the last: time of guests, behind it, is counted in user already
)

// ReadMachine reads the machine's figures.
func ReadMachine(proc fs.FS) (m Machine, err error) {
	stat, err := fs.ReadFile(proc, "stat")
	if err != nil {
		return m, err
	}
	line, _, _ := strings.Cut(string(stat), "\n")
	for i, f := range strings.Fields(line) {
		if i == 0 || i > columnSteal {
			continue
		}
		ticks, err := strconv.ParseFloat(f, 64)
		if err != nil {
			return m, fmt.Errorf("unreadable stat %q", line)
		}
		seconds := ticks / ticksPerSecond
		m.Total += seconds
		switch i {
		case columnIdle, columnIOWait:
		case columnSteal:
			m.Stolen = seconds
		default:
			m.Busy += seconds
		}
	}
	mem, err := keys(proc, "meminfo")
	if err != nil {
		return m, err
	}
	m.Slab, m.Available = mem["Slab"], mem["MemAvailable"]
	m.SocketPages, err = socketPages(proc)
	return m, err
}

// socketPages reads "TCP: inuse 1 orphan 2 tw 3 alloc 4 mem 5", in pages.
func socketPages(proc fs.FS) (int64, error) {
	b, err := fs.ReadFile(proc, "net/sockstat")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		fields := strings.Fields(line)
		for i := 0; len(fields) > 0 && fields[0] == "TCP:" && i+1 < len(fields); i++ {
			if fields[i] == "mem" {
				pages, err := strconv.ParseInt(fields[i+1], 10, 64)
				return pages * int64(os.Getpagesize()), err
			}
		}
	}
	return 0, nil
}
