//go:build linux

package usage

import (
	"os"
	"reflect"
	"testing"
)

// A process that does nothing but this test uses memory, and no more time than the machine.
func TestReadOwnProcess(t *testing.T) {
	own, err := Group{Name: "test", Pids: []int{os.Getpid()}}.Read()
	if err != nil || own.RSS < own.Anonymous || own.Anonymous <= 0 {
		t.Errorf("%+v %v", own, err)
	}
	m, err := ReadMachine()
	if err != nil || m.Busy <= 0 || m.Busy+m.Stolen > m.Total || own.CPU > m.Busy || m.Kernel <= 0 {
		t.Errorf("%+v %v, this process %+v", m, err, own)
	}
	twice, err := Group{Name: "test", Pids: []int{os.Getpid(), os.Getpid()}}.Read()
	if err != nil || twice.RSS <= own.RSS {
		t.Errorf("twice %+v %v, once %+v", twice, err, own)
	}
	if _, err := (Group{Name: "gone", Pids: []int{1 << 30}}).Read(); err == nil {
		t.Error("a process that does not exist has a usage")
	}
}

func TestParseGroups(t *testing.T) {
	got, err := ParseGroups("edge=12, room=14,edge=13,99")
	want := []Group{{Name: "edge", Pids: []int{12, 13}}, {Name: "room", Pids: []int{14}}, {Name: "server", Pids: []int{99}}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v %v", got, err)
	}
	if got, err := ParseGroups(""); err != nil || got != nil {
		t.Errorf("empty: %v %v", got, err)
	}
	for _, bad := range []string{"x", "edge=", "edge=-1", "=5", "0"} {
		if _, err := ParseGroups(bad); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}
