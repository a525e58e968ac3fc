package demo

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/picker"
)

// Policy is a policy that a command line has named.
type Policy struct {
	Policy lb.Policy
	Runner lb.Runner // what it needs in the background; nil: nothing
}

// Policies are the forms of the names that PolicyNamed knows. KEY is client, path, header=NAME,
// cookie=NAME or query=NAME, and POLICY is any of these, power-of-two where it is left out.
const Policies = `round-robin, weighted, random, weighted-random, least-loaded, least-loaded:BIAS, power-of-two, power-of:D, peak-ewma, adaptive, prequal, weighted-by-load, ` +
	`hash-client, hash-header:NAME, hash-cookie:NAME, rendezvous:KEY, maglev:KEY, ring:KEY, bounded:C[:POLICY], ` +
	`subset:N[:POLICY], aperture:INDEX/BALANCERS[:POLICY], zone-aware:ZONE[:POLICY], priority[:POLICY] or region`

// PolicyNamed returns the policy of that name. Region is what the name region stands for; with nil
// it is not known. The error tells all names.
func PolicyNamed(name string, region lb.Policy) (Policy, error) {
	kind, arg, _ := strings.Cut(name, ":")
	if p := plain(name, region); p != nil {
		return Policy{Policy: p}, nil
	}
	if name == "prequal" {
		p, err := picker.NewPrequal(picker.PrequalConfig{})
		if err != nil {
			return Policy{}, err
		}
		return Policy{Policy: p.Policy, Runner: p}, nil
	}
	if p, known, err := hashing(kind, arg); known {
		return Policy{Policy: p}, named(name, err)
	}
	if p, known, err := nesting(kind, arg, region); known {
		return p, named(name, err)
	}
	if p, known, err := numbered(kind, arg); known {
		return Policy{Policy: p}, named(name, err)
	}
	return Policy{}, fmt.Errorf("%q is none of %s", name, Policies)
}

func named(name string, err error) error {
	if err != nil {
		return fmt.Errorf("%q: %w", name, err)
	}
	return nil
}

// plain returns a policy whose name says it all, or nil.
func plain(name string, region lb.Policy) lb.Policy {
	switch name {
	case "round-robin":
		return picker.RoundRobin
	case "weighted":
		return picker.Weighted
	case "random":
		return picker.Random
	case "weighted-random":
		return picker.WeightedRandom
	case "least-loaded":
		return picker.LeastLoaded
	case "power-of-two":
		return picker.PowerOfTwo
	case "peak-ewma":
		return picker.PeakEWMA
	case "adaptive":
		return picker.Adaptive
	case "hash-client":
		return picker.HashClient
	case "region":
		return region
	}
	return nil
}

// numbered returns a policy with a number.
func numbered(kind, arg string) (p lb.Policy, known bool, err error) {
	switch kind {
	case "weighted-by-load":
		p, err = picker.WeightedByLoad(picker.WeightedByLoadConfig{})
	case "least-loaded":
		bias, wrong := strconv.ParseFloat(arg, 64)
		if wrong != nil {
			return nil, true, fmt.Errorf("%q is not a number", arg)
		}
		p, err = picker.LeastLoadedBias(bias)
	case "power-of":
		d, wrong := strconv.Atoi(arg)
		if wrong != nil {
			return nil, true, fmt.Errorf("%q is not a number", arg)
		}
		p, err = picker.PowerOfD(d)
	default:
		return nil, false, nil
	}
	return p, true, err
}

// hashing returns a policy that hashes by a key.
func hashing(kind, arg string) (p lb.Policy, known bool, err error) {
	switch kind {
	case "hash-header", "hash-cookie":
		arg = strings.TrimPrefix(kind, "hash-") + "=" + arg
	case "rendezvous", "maglev", "ring":
	default:
		return nil, false, nil
	}
	key, err := keyNamed(arg)
	if err != nil {
		return nil, true, err
	}
	switch kind {
	case "maglev":
		p, err = picker.Maglev(picker.MaglevConfig{Key: key})
	case "ring":
		p, err = picker.Ring(picker.RingConfig{Key: key})
	default:
		p = picker.Rendezvous(picker.RendezvousConfig{Key: key})
	}
	return p, true, err
}

// keyNamed returns what requests are hashed by.
func keyNamed(name string) (picker.Key, error) {
	kind, arg, _ := strings.Cut(name, "=")
	switch {
	case name == "client" || name == "":
		return picker.ClientKey(picker.Secret{}), nil
	case name == "path":
		return picker.PathKey(picker.Secret{}), nil
	case kind == "header" && arg != "":
		return picker.HeaderKey(arg, picker.Secret{}), nil
	case kind == "cookie" && arg != "":
		return picker.CookieKey(arg, picker.Secret{}), nil
	case kind == "query" && arg != "":
		return picker.QueryKey(arg, picker.Secret{}), nil
	}
	return nil, fmt.Errorf("%q is none of client, path, header=NAME, cookie=NAME and query=NAME", name)
}

// nesting returns a policy that has another inside.
func nesting(kind, arg string, region lb.Policy) (p Policy, known bool, err error) {
	rest := arg
	switch kind {
	case "bounded", "subset", "aperture", "zone-aware":
		arg, rest, _ = strings.Cut(arg, ":")
	case "priority":
	default:
		return Policy{}, false, nil
	}
	if rest == "" {
		if rest = "power-of-two"; kind == "bounded" {
			rest = "hash-client"
		}
	}
	if p, err = PolicyNamed(rest, region); err != nil {
		return p, true, err
	}
	p.Policy, err = around(kind, arg, p.Policy)
	return p, true, err
}

func around(kind, arg string, inner lb.Policy) (lb.Policy, error) {
	switch kind {
	case "bounded":
		c, err := strconv.ParseFloat(arg, 64)
		if err != nil {
			return nil, fmt.Errorf("%q is not a number", arg)
		}
		return picker.BoundedLoad(c, inner)
	case "subset":
		size, err := strconv.Atoi(arg)
		if err != nil || size < 1 {
			return nil, fmt.Errorf("%q is not a number above zero", arg)
		}
		return picker.Subset(picker.SubsetConfig{Inner: inner, Size: size})
	case "aperture":
		var index, balancers int
		if n, err := fmt.Sscanf(arg+"$", "%d/%d$", &index, &balancers); n != 2 || err != nil {
			return nil, fmt.Errorf("%q is not like 0/3, the first of three balancers", arg)
		}
		return picker.Aperture(picker.ApertureConfig{Inner: inner, Index: index, Balancers: balancers})
	case "zone-aware":
		return picker.ZoneAware(picker.ZoneAwareConfig{Inner: inner, Local: arg})
	}
	return picker.Priority(picker.PriorityConfig{Inner: inner})
}
