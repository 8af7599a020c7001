package main

import (
	"encoding/json"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/confab-chat/confab/shared/devtoken"
	"github.com/confab-chat/confab/tools/chatload/internal/report"
	"github.com/confab-chat/confab/tools/internal/suitetest"
	"github.com/confab-chat/confab/tools/internal/testbed"
)

// doors are the dialects by which the suite is loaded here.
var doors = []string{"native", "sio"}

// Every mode against the real suite, in this process: nothing is refused or lost.
func TestAgainstConfab(t *testing.T) { againstConfab(t, "") }

// The same with TLS on the edge.
func TestAgainstConfabOverTLS(t *testing.T) {
	certFile, keyFile, err := testbed.Certify(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	againstConfab(t, certFile, "CONFAB_EDGE_TLS_CERT_FILE="+certFile, "CONFAB_EDGE_TLS_KEY_FILE="+keyFile)
}

func againstConfab(t *testing.T, ca string, environ ...string) {
	t.Helper()
	s := suitetest.Start(t, append(environ, "CONFAB_LIMIT_MESSAGES=0", "CONFAB_LIMIT_JOINS=0", "CONFAB_PRESENCE_SCOPE=rooms")...)
	hmac, err := devtoken.Secret(s.DataDir)
	if err != nil {
		t.Fatal(err)
	}
	addr := s.Edge
	if ca != "" {
		addr = wss + s.Edge
	}
	for _, door := range doors {
		for _, args := range []string{
			"idle -connections 20 -members 5 -settle 10ms",
			"fanout -rooms 3 -members 5",
			"fanout -rooms 2 -members 5 -publishers 3 -rate 200",
			"slow -members 5 -stalled 2 -rate 100",
			"echo -connections 5",
			"churn -rate 50 -life 50ms -rooms 2",
			"resume -connections 3 -missed 50",
		} {
			out, err := chatload(t, strings.Fields(args+" -quiet -json - -warm 100ms -duration 300ms -dialect "+door+" -addr "+addr+" -ca="+ca+
				" -secret "+string(hmac)+" -pid all="+strconv.Itoa(os.Getpid()))...)
			if err != nil {
				t.Errorf("%s, %s: %v", door, args, err)
				continue
			}
			for d := json.NewDecoder(strings.NewReader(out)); d.More(); {
				var r report.Result
				if err := d.Decode(&r); err != nil {
					t.Fatalf("%s, %s: %v", door, args, err)
				}
				for _, name := range []string{"refused", "shed", "thrown_out", "lost"} {
					if v, _ := r.Figures.Get(name); v != 0 {
						t.Errorf("%s, %s: %s %v %s", door, args, name, v, r.Note)
					}
				}
			}
		}
	}
}
