package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

func TestSuiteFile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "suite.json")
	want := suite{Secret: "s", Processes: []member{
		{Name: "nats", Pid: 1, Addr: "127.0.0.1:4222"}, {Name: "edge", Pid: 2, Addr: "127.0.0.1:1", Admin: "127.0.0.1:2"}, {Name: "edge", Pid: 3},
	}}
	if err := want.write(file); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(file)
	var got suite
	if err == nil {
		err = json.Unmarshal(b, &got)
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v %v", got, err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("permissions of the file with the secret: %v %v", info.Mode(), err)
	}
}

func TestRaiseFiles(t *testing.T) {
	t.Parallel()
	if n, err := raiseFiles(); n < 256 || err != nil {
		t.Errorf("%d %v", n, err)
	}
}
