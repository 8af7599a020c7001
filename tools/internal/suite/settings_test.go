package suite_test

import (
	"testing"

	"github.com/confab-chat/confab/shared/config"
	"github.com/confab-chat/confab/tools/internal/suite"
)

func TestEverySettingHasAMeaning(t *testing.T) {
	t.Parallel()
	rows, err := suite.Table()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		if r.Meaning == "" {
			t.Errorf("%s (%v) has no doc tag", r.Name, r.Services)
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
