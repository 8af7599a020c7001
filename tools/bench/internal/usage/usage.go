//go:build linux

// Package usage reads what processes and the machine use: processor time, memory, and what
// sockets cost the kernel.
package usage

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/prometheus/procfs"
)

// Group is processes whose cost is counted together, such as all edges.
type Group struct {
	Name string
	Pids []int
}

// ParseGroups parses "edge=12,edge=13,room=14"; a number alone belongs to "server".
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
			return nil, fmt.Errorf("process %q: want 123 or name=123", item)
		}
		groups = AddPid(groups, name, pid)
	}
	return groups, nil
}

// AddPid adds a process to the group of that name, which it appends if there is none.
func AddPid(groups []Group, name string, pid int) []Group {
	for i := range groups {
		if groups[i].Name == name {
			groups[i].Pids = append(groups[i].Pids, pid)
			return groups
		}
	}
	return append(groups, Group{name, []int{pid}})
}

// Processes is what a group uses.
type Processes struct {
	CPU       float64 // seconds of processor time since its processes started
	RSS       float64 // bytes resident
	Anonymous float64 // those of RSS that no file backs
}

// Machine is what all processes and the kernel use together.
type Machine struct {
	Busy, Total float64 // seconds of all processors; Total includes idle and stolen time
	Stolen      float64 // seconds of Total that this machine wanted and the host gave to others
	Kernel      float64 // bytes of kernel objects and of the buffers of TCP sockets
}

// Read returns the sum of a group's usage.
func (g Group) Read() (sum Processes, err error) {
	for _, pid := range g.Pids {
		p, err := procfs.NewProc(pid)
		if err != nil {
			return sum, fmt.Errorf("process %d (%s): %w", pid, g.Name, err)
		}
		stat, err := p.Stat()
		if err != nil {
			return sum, fmt.Errorf("process %d (%s): %w", pid, g.Name, err)
		}
		status, err := p.NewStatus()
		if err != nil {
			return sum, fmt.Errorf("process %d (%s): %w", pid, g.Name, err)
		}
		sum.CPU += stat.CPUTime()
		sum.RSS += float64(status.VmRSS)
		sum.Anonymous += float64(status.RssAnon)
	}
	return sum, nil
}

// ReadMachine returns what the machine uses.
func ReadMachine() (m Machine, err error) {
	proc, err := procfs.NewDefaultFS()
	if err != nil {
		return m, err
	}
	stat, err := proc.Stat()
	if err != nil {
		return m, err
	}
	memory, err := proc.Meminfo()
	if err != nil {
		return m, err
	}
	sockets, err := proc.NetSockstat()
	if err != nil {
		return m, err
	}
	c := stat.CPUTotal // user time already includes that of guests
	m.Busy = c.User + c.Nice + c.System + c.IRQ + c.SoftIRQ
	m.Stolen = c.Steal
	m.Total = m.Busy + c.Idle + c.Iowait + c.Steal
	if memory.SlabBytes != nil {
		m.Kernel = float64(*memory.SlabBytes)
	}
	for _, p := range sockets.Protocols {
		if p.Protocol == "TCP" && p.Mem != nil {
			m.Kernel += float64(*p.Mem * os.Getpagesize())
		}
	}
	return m, nil
}
