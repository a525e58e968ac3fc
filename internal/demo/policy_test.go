package demo

import (
	"strings"
	"testing"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/lbtest"
	"github.com/go-loadbalancer/lb/picker"
)

// Every form that the list of names shows makes a policy that picks.
func TestEveryNamedPolicyPicks(t *testing.T) {
	fill := strings.NewReplacer("BIAS", "1", "INDEX/BALANCERS", "0/3", "KEY", "cookie=u", "NAME", "X", "ZONE", "a", "[:POLICY]", ":peak-ewma", ":C", ":1.25", ":D", ":3", ":N", ":2")
	names := strings.FieldsFunc(strings.ReplaceAll(Policies, " or ", ", "), func(r rune) bool { return r == ',' || r == ' ' })
	if len(names) < 20 {
		t.Fatal(names)
	}
	for _, name := range names {
		for _, name := range []string{fill.Replace(name), fill.Replace(strings.TrimSuffix(name, "[:POLICY]"))} {
			p, err := PolicyNamed(name, picker.Random)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			set := lbtest.Set(lbtest.Backend(lb.Spec{ID: "a"}), lbtest.Backend(lb.Spec{ID: "b"}), lbtest.Backend(lb.Spec{ID: "c"}))
			if p.Policy(set).Pick(lb.PickInfo{Rand: 1}) == nil {
				t.Errorf("%s picks nobody", name)
			}
			if (p.Runner != nil) != strings.Contains(name, "prequal") {
				t.Errorf("%s: runner %v", name, p.Runner)
			}
		}
	}
	if p, err := PolicyNamed("subset:2:prequal", nil); err != nil || p.Runner == nil {
		t.Error("the inner policy's runner is lost:", err)
	}
	for _, wrong := range []string{"", "region", "maglev:header=", "bounded", "bounded:x", "power-of:", "subset:-1", "aperture:1", "aperture:3/3", "priority:nobody", "least-loaded:x"} {
		if _, err := PolicyNamed(wrong, nil); err == nil {
			t.Errorf("%q is a policy", wrong)
		}
	}
}
