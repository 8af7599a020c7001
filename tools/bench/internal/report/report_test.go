package report

import (
	"bytes"
	"math"
	"reflect"
	"strings"
	"testing"
)

func result(rate, p99 float64) Result {
	r := Result{Label: "room of 1000", Mode: "fanout", Dialect: "native"}
	r.Setup.Add("members", 1000, "")
	r.Figures.Add("deliveries_per_cpu_s", rate, "/s")
	r.Figures.Add("p99_ms", p99, "ms")
	return r
}

func TestMedians(t *testing.T) {
	got := medians([]Result{result(300, 3), result(100, 1), result(200, 9)})
	want := []median{
		{name: "deliveries_per_cpu_s", unit: "/s", median: 200, least: 100, most: 300},
		{name: "p99_ms", unit: "ms", median: 3, least: 1, most: 9},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
	if even := medians([]Result{result(1, 1), result(2, 1)}); even[0].median != 1.5 {
		t.Errorf("of two: %+v", even[0])
	}
}

// JSON keeps the order of the figures.
func TestJSON(t *testing.T) {
	var b bytes.Buffer
	if err := WriteJSON(&b, []Result{result(2_041_234.7, 1.23456789)}); err != nil {
		t.Fatal(err)
	}
	want := `{"label":"room of 1000","mode":"fanout","dialect":"native","setup":{"members":1000},"figures":{"deliveries_per_cpu_s":2041235,"p99_ms":1.2346}}` + "\n"
	if b.String() != want {
		t.Errorf("%s", b.String())
	}
}

func TestOnlyNumbersAreAdded(t *testing.T) {
	var f Figures
	f.Add("nan", math.NaN(), "")
	f.Add("inf", math.Inf(1), "")
	if len(f) != 0 {
		t.Errorf("%v", f)
	}
}

// Results of one setup share a table, also when those of another stand between them.
func TestTables(t *testing.T) {
	other := result(5, 5)
	other.Setup.Add("stalled", 3, "")
	var b bytes.Buffer
	if err := WriteTables(&b, []Result{result(2_000_000, 1.5), other, result(1_800_000, 1.7)}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"room of 1000  native", "members 1 000", "1 900 000 /s", "1 800 000 ... 2 000 000", "1.60 ms", "stalled 3"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in:\n%s", want, b.String())
		}
	}
	if n := strings.Count(b.String(), "room of 1000"); n != 2 {
		t.Errorf("%d tables, want 2", n)
	}
}

func TestFormatNumber(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0", 1: "1", 0.1234: "0.123", 1.2345: "1.23", 12.345: "12.3", 123.45: "123", 1234.5: "1 235", 1234567: "1 234 567", -1234: "-1 234", 100: "100",
	} {
		if got := formatNumber(v); got != want {
			t.Errorf("%v: %q, want %q", v, got, want)
		}
	}
}
