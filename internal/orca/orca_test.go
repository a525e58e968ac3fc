package orca

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	for value, want := range map[string]Report{
		// As Envoy's documentation of client side weighted round robin has them.
		"TEXT cpu_utilization=0.3,mem_utilization=0.8,rps_fractional=10.0,eps=1,named_metrics.custom_metric_util=0.4":                      {Said: CPU | Memory | Rate | Errors, CPU: .3, Memory: .8, Rate: 10, Errors: 1},
		`JSON {"cpu_utilization": 0.3, "mem_utilization": 0.8, "rps_fractional": 10.0, "eps": 1, "named_metrics": {"custom-metric": 0.4}}`: {Said: CPU | Memory | Rate | Errors, CPU: .3, Memory: .8, Rate: 10, Errors: 1},
		"TEXT application_utilization:1.5, cpu_utilization=0":                                                                              {Said: Application | CPU, Application: 1.5},
		"TEXT named_metrics.in_flight=12,named_metrics.latency_seconds=0.08":                                                               {Said: InFlight | Latency, InFlight: 12, Latency: 80 * time.Millisecond},
		`JSON {"namedMetrics":{"in_flight":0,"other":-3},"cpuUtilization":2e-1}`:                                                           {Said: InFlight | CPU, CPU: .2},
		`JSON {"utilization":{"disk":0.2},"request_cost":{},"eps":0}`:                                                                      {Said: Errors},
		"TEXT eps=0,utilization.disk=0.5,new_field=-7":                                                                                     {Said: Errors},
		"TEXT named_metrics.cpu_utilization=0.5,in_flight=7,cpu_utilization=0.25":                                                          {Said: CPU, CPU: .25}, // names are not mixed up
		`JSON {"in_flight":7,"named_metrics":{"eps":9},"latency_seconds":1,"eps":1}`:                                                       {Said: Errors, Errors: 1},
	} {
		if got, ok := Parse(value); !ok || got != want {
			t.Errorf("%s\n got %+v, %v\nwant %+v", value, got, ok, want)
		}
	}
}

func TestNothingIsSaid(t *testing.T) {
	for _, value := range []string{
		"", "TEXT", "TEXT ", "JSON ", "BIN CgA=", "text eps=1", "eps=1", "TEXT eps", "TEXT eps=", "TEXT =1", "TEXT eps=1,",
		"TEXT eps=-1", "TEXT eps=-0", "TEXT eps=NaN", "TEXT eps=Inf", "TEXT eps=+1", "TEXT eps=1e999", "TEXT eps=1e10", "TEXT eps=0x1p3",
		"TEXT eps=1_0", "TEXT eps=.5", "TEXT eps=1 2", "TEXT eps=1,eps=1", "TEXT eps==1", "TEXT mem_utilization=1.01",
		"TEXT cpu_utilization=1001", "TEXT named_metrics.in_flight=1.5", "TEXT named_metrics.in_flight=2e9",
		"TEXT named_metrics.latency_seconds=3601", "TEXT named_metrics.latency_seconds=-1", "TEXT named_metrics.x=1",
		"TEXT named_metrics.=1,eps=1", "TEXT eps=1,other=fast", "TEXT eps=1,other=NaN", "TEXT eps=" + strings.Repeat("1", 33),
		"TEXT eps=1," + strings.Repeat("a=1,", 64) + "b=1", "TEXT eps=1," + strings.Repeat("a", 129) + "=1",
		"TEXT eps=1," + strings.Repeat(" ", 4096) + "b=1",
		"JSON []", "JSON 1", "JSON {", "JSON {}", `JSON {"eps":}`, `JSON {"eps":1`, `JSON {"eps":1}}`, `JSON {"eps":1,}`, `JSON {"eps":"1"}`,
		`JSON {"eps":null}`, `JSON {"eps":-1}`, `JSON {"eps":1,"eps":1}`, `JSON {"\u0065ps":1}`, `JSON {eps:1}`, `JSON {"eps":1}x`,
		`JSON {"eps":1,"named_metrics":{"in_flight":1,"in_flight":1}}`, `JSON {"named_metrics":{"in_flight":{"a":1}}}`,
		`JSON {"eps":1,"other":{"a":"b"}}`, `JSON {"eps":{"a":1}}`, `JSON {"eps":1,"":2}`, "JSON {\"eps\":1,\"a\x00\":2}",
		`JSON {"eps":1,"o":{` + strings.Repeat(`"a":1,`, 64) + `"b":1}}`,
	} {
		if got, ok := Parse(value); ok || got != (Report{}) {
			t.Errorf("%.80q says %+v", value, got)
		}
	}
}

func TestUtilization(t *testing.T) {
	for _, c := range []struct{ application, cpu, want float64 }{{0, 0.5, 0.5}, {0.7, 0.5, 0.7}, {0, 0, 0}} {
		if got := (Report{Application: c.application, CPU: c.cpu}).Utilization(); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

// What is written is read the same, in both formats, whatever is in it.
func TestRoundTrips(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 0))
	for range 2000 {
		r := Report{Said: Fields(1 + rng.IntN(127))}
		for _, m := range known {
			if r.Has(m.field) {
				r.put(m.field, math.Floor(rng.Float64()*m.most*1000)/1000)
			}
		}
		for _, header := range []string{string(r.AppendText(nil)), string(r.AppendJSON(nil))} {
			if got, ok := Parse(header); !ok || got != r {
				t.Fatalf("%s\n got %+v\nwant %+v", header, got, r)
			}
		}
		if object, _ := strings.CutPrefix(string(r.AppendJSON(nil)), "JSON "); !json.Valid([]byte(object)) {
			t.Fatalf("no JSON: %s", object)
		}
	}
	if silent := (&Report{}); len(silent.AppendText(nil))+len(silent.AppendJSON(nil)) > 0 {
		t.Error("an empty report says something")
	}
	wild := Report{Said: 127, Application: math.NaN(), CPU: math.Inf(1), Memory: -3, Rate: math.Inf(-1), Errors: 1e300, InFlight: -1, Latency: -1}
	if got, ok := Parse(string(wild.AppendText(nil))); !ok || got != (Report{Said: 127, CPU: 1000, Errors: 1e9}) {
		t.Errorf("%s: %+v", wild.AppendText(nil), got)
	}
}

func TestParseDoesNotAllocate(t *testing.T) {
	for _, value := range []string{
		"TEXT cpu_utilization=0.3,rps_fractional=10.25,eps=1,named_metrics.in_flight=12,named_metrics.latency_seconds=0.08",
		`JSON {"cpu_utilization": 0.3, "named_metrics": {"in_flight": 12, "latency_seconds":0.08}}`,
	} {
		if n := testing.AllocsPerRun(100, func() { Parse(value) }); n != 0 {
			t.Errorf("%s: %v allocations", value, n)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"TEXT cpu_utilization=0.3,named_metrics.a=0.4", `JSON {"eps":1,"named_metrics":{"in_flight":3}}`, "TEXT eps=1e999", "JSON {{", "TEXT eps=NaN,,",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		r, ok := Parse(value)
		if !ok {
			if r != (Report{}) {
				t.Fatalf("%q: not ok, but %+v", value, r)
			}
			return
		}
		for _, m := range known {
			v := r.value(m.field)
			if !(v >= 0 && v <= m.most) || !r.Has(m.field) && v != 0 {
				t.Fatalf("%q: %s is %v", value, m.name, v)
			}
		}
		if again, ok := Parse(string(r.AppendText(nil))); !ok || again != r {
			t.Fatalf("%q: %+v, written and read again: %+v", value, r, again)
		}
		if object, isJSON := strings.CutPrefix(value, "JSON "); isJSON && !json.Valid([]byte(object)) {
			t.Fatalf("%q is no JSON", value)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		Parse("TEXT cpu_utilization=0.3,rps_fractional=10.25,eps=1,named_metrics.in_flight=12,named_metrics.latency_seconds=0.08")
	}
}
