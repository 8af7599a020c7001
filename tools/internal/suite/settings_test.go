package suite_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/confab-chat/confab/shared/config"
	"github.com/confab-chat/confab/tools/internal/suite"
)

// shared/config cannot see the services, so the list of names there is kept by hand
// and compared here.
func TestKnownNamesAreThoseOfTheServices(t *testing.T) {
	t.Parallel()
	rows, err := suite.Table()
	if err != nil {
		t.Fatal(err)
	}
	known := config.Known()
	names := make(map[string]bool)
	for _, r := range rows {
		// A secret is listed as NAME (_FILE), and known under both names.
		name, secret, _ := strings.Cut(r.Name, " ")
		names[name] = true
		if secret != "" {
			names[name+"_FILE"] = true
		}
		if !slices.Contains(known, name) {
			t.Errorf("%s (%v) is missing in shared/config/known.go", name, r.Services)
		}
		if r.Meaning == "" {
			t.Errorf("%s (%v) has no doc tag", r.Name, r.Services)
		}
	}
	for _, name := range known {
		if !names[name] {
			t.Errorf("%s is in shared/config/known.go and no service knows it", name)
		}
	}
}

func TestEveryMistakeAtOnce(t *testing.T) {
	t.Parallel()
	_, err := suite.Load([]string{
		"CONFAB_ENV=prod", "CONFAB_EDGE_ADDR=nowhere", "CONFAB_LIMIT_MESSAGES=many", "CONFAB_ALLOWED_ORIGIN=https://a.example",
	})
	if err == nil {
		t.Fatal("loaded")
	}
	if wrong, ok := err.(*config.Error); !ok || len(wrong.Problems) != 4 {
		t.Errorf("want 4 problems, once each:\n%v", err)
	}
}
