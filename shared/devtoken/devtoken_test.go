package devtoken_test

import (
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/confab-chat/confab/shared/devtoken"
)

func TestMint(t *testing.T) {
	t.Parallel()
	secret := []byte(strings.Repeat("s", 32))
	token := devtoken.Mint(secret, "alice", `Al "x"`, time.Unix(1000, 0), time.Hour)
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("%d parts", len(parts))
	}
	for i, want := range []string{`{"alg":"HS256","typ":"JWT"}`, `{"sub":"alice","username":"Al \"x\"","iat":1000,"exp":4600}`} {
		if got, err := base64.RawURLEncoding.DecodeString(parts[i]); err != nil || string(got) != want {
			t.Errorf("part %d: %s, %v; want %s", i, got, err, want)
		}
	}
	if again := devtoken.Sign(secret, parts[0], parts[1]); again != token {
		t.Error("Sign makes another signature")
	}
	if other := devtoken.Sign([]byte(strings.Repeat("t", 32)), parts[0], parts[1]); other == token {
		t.Error("the secret makes no difference")
	}
}

func TestSecret(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "new", "folder")
	got := make([]string, 8)
	var wg sync.WaitGroup
	for i := range got {
		wg.Go(func() {
			s, err := devtoken.Secret(dir)
			if err != nil {
				t.Error(err)
			}
			got[i] = string(s)
		})
	}
	wg.Wait()
	for _, s := range got {
		if s != got[0] || len(s) < devtoken.MinSecret {
			t.Errorf("secrets %q", got)
		}
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 1 {
		t.Fatalf("left in the folder: %v, %v", files, err)
	}
	info, err := files[0].Info()
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func TestShortSecret(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, devtoken.SecretFile), []byte("short\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := devtoken.Secret(dir); !errors.Is(err, devtoken.ErrSecret) {
		t.Errorf("got %v, want ErrSecret", err)
	}
}
