package report_test

import (
	"bytes"
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/confab-chat/confab/tools/chatload/internal/report"
)

func result(rate, p99 float64) report.Result {
	r := report.Result{Label: "room of 1000", Mode: "fanout", Dialect: "native"}
	r.Setup.Add("members", 1000, "")
	r.Figures.Add("deliveries_per_cpu_s", rate, "/s")
	r.Figures.Add("p99_ms", p99, "ms")
	return r
}

func TestMedians(t *testing.T) {
	got := report.Medians([]report.Result{result(300, 3), result(100, 1), result(200, 9)})
	want := []report.Median{
		{Name: "deliveries_per_cpu_s", Unit: "/s", Median: 200, Min: 100, Max: 300, Runs: 3},
		{Name: "p99_ms", Unit: "ms", Median: 3, Min: 1, Max: 9, Runs: 3},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
	if even := report.Medians([]report.Result{result(1, 1), result(2, 1)}); even[0].Median != 1.5 {
		t.Errorf("of two: %+v", even[0])
	}
}

// JSON keeps the order of the figures, and can be read again.
func TestJSON(t *testing.T) {
	b, err := json.Marshal(result(2_041_234.7, 1.23456789))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"label":"room of 1000","mode":"fanout","dialect":"native","setup":{"members":1000},"figures":{"deliveries_per_cpu_s":2041235,"p99_ms":1.2346}}`
	if string(b) != want {
		t.Errorf("%s", b)
	}
	var again report.Result
	if err := json.Unmarshal(b, &again); err != nil {
		t.Fatal(err)
	}
	if v, ok := again.Figures.Get("p99_ms"); v != 1.2346 || !ok || again.Figures[0].Name != "deliveries_per_cpu_s" {
		t.Errorf("%+v", again)
	}
	if _, ok := again.Figures.Get("p98_ms"); ok {
		t.Error("a figure that nobody added")
	}
	if err := json.Unmarshal([]byte(`{"figures":{"x":"y"}}`), &again); err == nil {
		t.Error("a text is taken for a number")
	}
}

func TestWhatIsNoNumberIsLeftOut(t *testing.T) {
	var f report.Figures
	f.Add("nan", math.NaN(), "")
	f.Add("inf", math.Inf(1), "")
	if len(f) != 0 {
		t.Errorf("%v", f)
	}
}

func TestTable(t *testing.T) {
	var b bytes.Buffer
	if err := report.WriteTable(&b, []report.Result{result(2_000_000, 1.5), result(1_800_000, 1.7)}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"room of 1000  native", "members 1 000", "1 900 000 /s", "1 800 000 ... 2 000 000", "1.60 ms"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in:\n%s", want, b.String())
		}
	}
	if err := report.WriteTable(&b, nil); err != nil {
		t.Error(err)
	}
}

func TestNumber(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0", 1: "1", 0.1234: "0.123", 1.2345: "1.23", 12.345: "12.3", 123.45: "123", 1234.5: "1 235", 1234567: "1 234 567", -1234: "-1 234", 100: "100",
	} {
		if got := report.Number(v); got != want {
			t.Errorf("%v: %q, want %q", v, got, want)
		}
	}
}
