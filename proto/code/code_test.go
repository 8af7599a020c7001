package code_test

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"math"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/confab-chat/confab/proto/code"
)

// The table of the documents, section "Errors".
var table = []struct {
	code      code.Code
	status    int
	retryable bool
	unknown   bool
}{
	{code.BadRequest, 400, false, false},
	{code.Unauthorized, 401, false, false},
	{code.TokenExpired, 401, false, false},
	{code.Forbidden, 403, false, false},
	{code.NotInRoom, 403, false, false},
	{code.NotFound, 404, false, false},
	{code.Conflict, 409, false, false},
	{code.PayloadTooLarge, 413, false, false},
	{code.RateLimited, 429, true, false},
	{code.Internal, 500, true, true},
	{code.Unavailable, 503, true, true},
	{"SOMETHING_NEW", 500, false, false},
}

func TestCodes(t *testing.T) {
	t.Parallel()
	for _, row := range table {
		if got := row.code.Status(); got != row.status {
			t.Errorf("%s: status %d, want %d", row.code, got, row.status)
		}
		if got := row.code.Retryable(); got != row.retryable {
			t.Errorf("%s: retryable %v", row.code, got)
		}
		if got := row.code.Unknown(); got != row.unknown {
			t.Errorf("%s: unknown %v", row.code, got)
		}
	}
}

// constants returns the values of the constants in file with that type, or, for
// "", of all untyped ones.
func constants(t *testing.T, file, typ string) (values []string) {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 {
			return true
		}
		if name, ok := spec.Type.(*ast.Ident); !ok || name.Name != typ {
			return true
		}
		if lit, ok := spec.Values[0].(*ast.BasicLit); ok {
			values = append(values, lit.Value)
		}
		return true
	})
	return values
}

// All is what guards and documents go through: no code may be missing in it.
func TestAllIsAll(t *testing.T) {
	t.Parallel()
	var declared, all []string
	for _, value := range constants(t, "code.go", "Code") {
		name, err := strconv.Unquote(value)
		if err != nil {
			t.Fatal(err)
		}
		declared = append(declared, name)
	}
	for i, c := range code.All() {
		all = append(all, string(c))
		if c != table[i].code {
			t.Errorf("All()[%d] = %s, the table has %s", i, c, table[i].code)
		}
	}
	if !slices.Equal(declared, all) || len(all) != len(table)-1 {
		t.Errorf("declared %v, All %v", declared, all)
	}
}

func TestError(t *testing.T) {
	t.Parallel()
	limited := &code.Error{Code: code.RateLimited, Message: "too fast", RetryAfter: time.Second}
	wrapped := fmt.Errorf("send: %w", limited)
	if got := limited.Error(); got != "RATE_LIMITED: too fast" {
		t.Error(got)
	}
	if e := code.New(code.NotFound, "no message %d", 7); e.Code != code.NotFound || e.Message != "no message 7" {
		t.Errorf("New: %+v", e)
	}
	for name, c := range map[string]struct {
		target error
		want   bool
	}{
		"same code":          {&code.Error{Code: code.RateLimited}, true},
		"other code":         {&code.Error{Code: code.Internal}, false},
		"same code and text": {&code.Error{Code: code.RateLimited, Message: "x"}, false},
		"other type":         {errors.ErrUnsupported, false},
		"itself":             {limited, true},
	} {
		if got := errors.Is(wrapped, c.target); got != c.want {
			t.Errorf("%s: Is = %v", name, got)
		}
	}
	if code.Of(wrapped) != code.RateLimited || code.Of(errors.ErrUnsupported) != code.Internal {
		t.Error("Of")
	}
	if code.From(wrapped) != limited || code.From(nil) != nil {
		t.Error("From")
	}
	if e := code.From(errors.New("dial tcp 10.0.0.1")); e.Code != code.Internal || e.Message != "internal error" {
		t.Errorf("From tells our insides: %v", e)
	}
}

func TestClose(t *testing.T) {
	t.Parallel()
	reasons := map[string]bool{}
	values := constants(t, "close.go", "Close")
	if len(values) < 18 {
		t.Fatalf("%d close codes", len(values))
	}
	for _, value := range values {
		n, err := strconv.ParseUint(value, 10, 16)
		if err != nil {
			t.Fatal(err)
		}
		c := code.Close(n)
		// RFC 6455 section 5.5: a control frame carries at most 125 bytes, two of them the code.
		if reason := c.String(); reason == "" || reason == "closed" || len(reason) > 123 || reasons[reason] {
			t.Errorf("%d: reason %q", n, reason)
		} else {
			reasons[reason] = true
		}
		if want := n < 4500; c.Reconnect() != want {
			t.Errorf("%d: reconnect %v", n, !want)
		}
		if n >= 3000 && n < 4000 || n >= 5000 {
			t.Errorf("%d is not ours to use", n)
		}
	}
	if code.Close(4499).Reconnect() != true || code.Close(4999).Reconnect() != false || code.Close(1).String() != "closed" {
		t.Error("codes of others")
	}
}

func TestMillis(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]uint64{
		-time.Second: 0, 0: 0, 1: 1, time.Millisecond: 1, time.Millisecond + 1: 2, 1500 * time.Millisecond: 1500,
		math.MaxInt64: 9223372036855,
	} {
		if got := code.Millis(d); got != want {
			t.Errorf("%v: %d, want %d", d, got, want)
		}
	}
}
