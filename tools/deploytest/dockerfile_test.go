package deploytest

import (
	"bufio"
	"os"
	"slices"
	"strings"
	"testing"
)

const dockerfile = repository + "/deploy/docker/Dockerfile"

// stage is one FROM of a Dockerfile with its instructions.
type stage struct {
	from         string
	instructions []instruction
}

type instruction struct{ verb, rest string }

// all is what follows verb, once for each instruction.
func (s stage) all(verb string) (list []string) {
	for _, i := range s.instructions {
		if i.verb == verb {
			list = append(list, i.rest)
		}
	}
	return list
}

// stages reads the Dockerfile; its instructions are one line each.
func stages(t *testing.T) (list []stage) {
	t.Helper()
	file, err := os.Open(dockerfile)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		line := strings.TrimSpace(lines.Text())
		verb, rest, _ := strings.Cut(line, " ")
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case strings.HasSuffix(line, "\\"):
			t.Fatalf("a line that goes on is not read here: %s", line)
		case verb == "FROM":
			list = append(list, stage{from: rest})
		case len(list) == 0:
			t.Fatalf("%s stands before FROM", line)
		default:
			last := &list[len(list)-1]
			last.instructions = append(last.instructions, instruction{verb, rest})
		}
	}
	return list
}

// The image has one binary, its certificates, and an ordinary user.
func TestDockerfileEndsEmpty(t *testing.T) {
	t.Parallel()
	all := stages(t)
	if len(all) != 2 {
		t.Fatalf("%d stages", len(all))
	}
	last := all[1]
	if last.from != "scratch" {
		t.Errorf("the image stands on %s", last.from)
	}
	for verb, want := range map[string][]string{
		"USER":       {"65532:65532"},
		"ENTRYPOINT": {`["/service"]`},
		"COPY": {
			"--from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt",
			"--from=build /out/service /service",
		},
		"RUN": nil, "ADD": nil, "ENV": nil, "ARG": nil, // nothing that could hold a secret
	} {
		if got := last.all(verb); !slices.Equal(got, want) {
			t.Errorf("%s %q, want %q", verb, got, want)
		}
	}
	if got := last.all("HEALTHCHECK"); len(got) != 1 || !strings.HasSuffix(got[0], `CMD ["/service", "healthcheck"]`) {
		t.Errorf("HEALTHCHECK %q", got)
	}
}

// The build image has the Go that the modules ask for.
func TestDockerfileGoVersion(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile(repository + "/go.work")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(content)) {
		if version, ok := strings.CutPrefix(strings.TrimSpace(line), "go "); ok {
			minor := strings.Join(strings.SplitN(version, ".", 3)[:2], ".")
			if want := "golang:" + minor + " AS build"; stages(t)[0].from != want {
				t.Errorf("built from %s, want %s", stages(t)[0].from, want)
			}
			return
		}
	}
	t.Error("go.work names no version")
}
