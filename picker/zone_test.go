package picker

import (
	"math"
	"testing"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/lbtest"
)

func TestZoneAwareSaysWhatIsWrong(t *testing.T) {
	_, err := ZoneAware(ZoneAwareConfig{MinBackends: -1, MinFit: 2})
	refused(t, err, "ZoneAwareConfig.Inner is nil; try picker.PowerOfTwo", `ZoneAwareConfig.Local is ""; say which zone`,
		"ZoneAwareConfig.MinBackends is -1", "0 for 6", "ZoneAwareConfig.MinFit is 2", "0 for 0.5")
	for _, c := range []struct {
		fleet map[string]float64
		want  string
	}{
		{map[string]float64{"a": 1, "b": -2}, `Fleet["b"] is -2; give 0 or more`},
		{map[string]float64{"a": 1, "b": math.NaN()}, `Fleet["b"] is NaN`},
		{map[string]float64{"a": math.Inf(1)}, "Fleet adds up to +Inf"},
		{map[string]float64{"b": 1}, `Fleet has nothing for Local, "a"`},
		{map[string]float64{}, `Fleet has nothing for Local, "a"`},
	} {
		_, err := ZoneAware(ZoneAwareConfig{Inner: Random, Local: "a", Fleet: c.fleet})
		refused(t, err, c.want)
	}
	_, err = ZoneAware(ZoneAwareConfig{Inner: Random, Local: "a", MinFit: math.NaN()})
	refused(t, err, "MinFit is NaN")
}

// A zone may be anything that a function says, also of backends without a label.
func TestZonesByFunction(t *testing.T) {
	bs := crowd(12)
	third := func(b *lb.Backend) string { return string("abc"[(b.ID()[len(b.ID())-1]-'0')%3]) }
	p := zoneAware(ZoneAwareConfig{Inner: Random, Local: "b", Zone: third})(lbtest.Set(bs...))
	for id := range picks(p, 1000, seeded(1)) {
		if third(bs[0]) == "" || string("abc"[(id[len(id)-1]-'0')%3]) != "b" {
			t.Errorf("%s, which is not in b", id)
		}
	}
}

func TestZonesAreTold(t *testing.T) {
	same := map[string]float64{"a": 1. / 3, "b": 1. / 3, "c": 1. / 3}
	for _, c := range []struct {
		name     string
		cfg      ZoneAwareConfig
		eligible []int
		others   []int
		want     map[string]float64
	}{
		{"equal zones", ZoneAwareConfig{}, []int{4, 4, 4}, nil, map[string]float64{"a": 1}},
		{"more room at home", ZoneAwareConfig{}, []int{8, 2, 2}, nil, map[string]float64{"a": 1}},
		{"half the room at home", ZoneAwareConfig{}, []int{2, 5, 5}, nil, map[string]float64{"a": 0.5, "b": 0.25, "c": 0.25}},
		{"nobody at home", ZoneAwareConfig{}, []int{0, 6, 2}, nil, map[string]float64{"b": 1}},
		{"nobody at home, and room everywhere", ZoneAwareConfig{}, []int{0, 6, 4}, nil, map[string]float64{"b": 0.8, "c": 0.2}},
		{"all alone", ZoneAwareConfig{}, []int{6}, nil, map[string]float64{"a": 1}},
		{"too few", ZoneAwareConfig{}, []int{1, 2, 2}, nil, map[string]float64{"a": 0.2, "b": 0.4, "c": 0.4}},
		{"just enough", ZoneAwareConfig{}, []int{2, 2, 2}, nil, map[string]float64{"a": 1}},
		{"few, but told apart", ZoneAwareConfig{MinBackends: 1}, []int{1, 1, 1}, nil, map[string]float64{"a": 1}},
		{"too few are well", ZoneAwareConfig{}, []int{4, 4, 4}, []int{5, 4, 4}, same},
		{"half are well", ZoneAwareConfig{}, []int{4, 4, 4}, []int{4, 4, 4}, map[string]float64{"a": 1}},
		{"few are well, and that is said to do", ZoneAwareConfig{MinFit: 0.1}, []int{4, 4, 4}, []int{20, 20, 20}, map[string]float64{"a": 1}},
		{"a zone that is down has balancers still", ZoneAwareConfig{}, []int{3, 5, 0}, []int{0, 0, 4}, map[string]float64{"a": 1}},
		{"the fleet is elsewhere", ZoneAwareConfig{Fleet: map[string]float64{"a": 1, "z": 3}}, []int{2, 3, 3}, nil, map[string]float64{"a": 1}},
		{"the fleet is here", ZoneAwareConfig{Fleet: map[string]float64{"a": 7}}, []int{2, 3, 3}, nil, map[string]float64{"a": .25, "b": .375, "c": .375}},
	} {
		t.Run(c.name, func(t *testing.T) {
			set := lbtest.Set(zoned(c.eligible...)...)
			for _, b := range zoned(c.others...) {
				spec := lb.Spec{ID: "other-" + b.ID(), Labels: map[string]string{"zone": b.Label("zone")}}
				set.Others = append(set.Others, lbtest.Backend(spec))
			}
			c.cfg.Inner, c.cfg.Local = Random, "a"
			got := byZone(zoneAware(c.cfg)(set), 20_000, seeded(1))
			for _, zone := range []string{"a", "b", "c"} {
				if math.Abs(got[zone]-c.want[zone]) > 0.015 || c.want[zone] == 0 && got[zone] > 0 {
					t.Errorf("zone %s gets %.4f, want %.4f", zone, got[zone], c.want[zone])
				}
			}
		})
	}
}

// Capacity is weight: a zone whose backends are warming up keeps less.
func TestZonesAreWeighed(t *testing.T) {
	set := lbtest.Set(zoned(4, 4)...)
	for i := range 4 {
		set.Eligible[i].Weight = 0.5
	}
	got := byZone(zoneAware(ZoneAwareConfig{Inner: Random, Local: "a"})(set), 20_000, seeded(1))
	if want := (1. / 3) / (1. / 2); math.Abs(got["a"]-want) > 0.015 {
		t.Errorf("%.4f stay, want %.4f", got["a"], want)
	}
}

// Backends that are only eligible because nobody is well do not count as well.
func TestZonesAreNotToldInPanic(t *testing.T) {
	set := lbtest.Set(marked(lb.Down, zoned(4, 4)...)...)
	got := byZone(zoneAware(ZoneAwareConfig{Inner: Random, Local: "a"})(set), 20_000, seeded(1))
	if math.Abs(got["a"]-0.5) > 0.015 {
		t.Errorf("%.4f stay, want half", got["a"])
	}
}

// marked returns backends like these of whom a fact is known.
func marked(facts lb.Facts, bs ...*lb.Backend) []*lb.Backend {
	var snap lb.Snapshot
	var specs []lb.Spec
	for _, b := range bs {
		labels := map[string]string{"zone": b.Label("zone"), "priority": b.Label("priority")}
		specs = append(specs, lb.Spec{ID: b.ID(), URL: b.URL().String(), Labels: labels})
	}
	next := lb.Must(snap.With(specs...))
	marked := make([]*lb.Backend, len(bs))
	for i, b := range bs {
		marked[i] = next.Mark(b.ID(), facts, "").Find(b.ID())
	}
	return marked
}

// A request that has tried all of its zone gets any other.
func TestRequestsLeaveAZoneThatRefuses(t *testing.T) {
	bs := zoned(3, 3)
	p, s := zoneAware(ZoneAwareConfig{Inner: LeastLoaded, Local: "a"})(lbtest.Set(bs...)), seeded(1)
	for range 500 {
		if b := p.Pick(s.info().WithTried(bs[0], bs[2])); b != bs[1] {
			t.Fatalf("%s, with one left in a", b.ID())
		}
	}
	met := make(map[string]float64)
	for range 500 {
		met[p.Pick(s.info().WithTried(bs[:3]...)).ID()]++
	}
	if met[bs[3].ID()] == 0 || met[bs[4].ID()] == 0 || met[bs[5].ID()] == 0 {
		t.Errorf("%v, want all of b", met)
	}
}
