package metrics

import (
	"strings"
	"testing"
	"unicode/utf8"

	vm "github.com/VictoriaMetrics/metrics"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

func TestSeriesName(t *testing.T) {
	for want, got := range map[string]string{
		`loadbalancer_fail_open`:     seriesName("loadbalancer_fail_open"),
		`a{b="c"}`:                   seriesName("a", "b", "c"),
		`a{b="c",d="e"}`:             seriesName("a", "b", "c", "d", "e"),
		`a{b="\"\\\n"}`:              seriesName("a", "b", "\"\\\n"),
		`a{b=""}`:                    seriesName("a", "b"),
		`_{_=""}`:                    seriesName("", "", ""),
		`_a_b_1:{__c="d"}`:           seriesName("1a-b.1:", ":-c", "d"),
		"a{b=\"x\uFFFDy\"}":          seriesName("a", "b", "x\xff\xfey"),
		`a{b="}{",c="=\",d=\\\"\""}`: seriesName("a", "b", "}{", "c", `=",d=\""`),
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// FuzzSeriesName: whatever the parts, nobody panics, and a Prometheus reads the value that was
// given, out of counters and histograms alike.
func FuzzSeriesName(f *testing.F) {
	for _, seed := range []string{"", "b1", "http://10.0.0.1:80/x", `"`, `\`, `\"`, "\n", `a",b="c`, "}", "{", ",", "ü\xff", "\x00", `\n`, "le=\"1\"", " a "} {
		f.Add("loadbalancer_x_total", "backend", seed)
		f.Add(seed, seed, seed)
	}
	f.Fuzz(func(t *testing.T, family, key, val string) {
		name := seriesName(family, key, val)
		if err := vm.ValidateMetric(name); err != nil {
			t.Fatalf("%q: %v", name, err)
		}
		set := vm.NewSet()
		set.NewCounter(name).Inc()
		set.NewPrometheusHistogram(seriesName(family+"_other", "k", val)).Update(1)
		var text strings.Builder
		set.WritePrometheus(&text)
		parser := expfmt.NewTextParser(model.LegacyValidation)
		families, err := parser.TextToMetricFamilies(strings.NewReader(text.String()))
		if err != nil && strings.Contains(text.String(), "__name__") {
			return // a label that Prometheus keeps for itself
		}
		if err != nil {
			t.Fatalf("%q: %v", text.String(), err)
		}
		want := strings.ToValidUTF8(val, "\uFFFD")
		if !utf8.ValidString(name) {
			t.Fatalf("%q is not valid UTF-8", name)
		}
		for _, m := range families[identifier(family)].GetMetric() {
			if got := m.GetLabel()[0].GetValue(); got != want {
				t.Fatalf("value %q became %q", want, got)
			}
		}
	})
}
