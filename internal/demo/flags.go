package demo

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"github.com/go-loadbalancer/lb"
)

// ParseBackend reads URL[,weight=N][,region=R][,zone=Z][,priority=P][,id=ID].
func ParseBackend(s string) (spec lb.Spec, err error) {
	parts := strings.Split(s, ",")
	spec.URL = parts[0]
	for _, part := range parts[1:] {
		name, value, _ := strings.Cut(part, "=")
		switch {
		case value == "":
			return spec, fmt.Errorf("%q is none of weight=N, region=R, zone=Z, priority=P and id=ID", part)
		case name == "weight":
			if spec.Weight, err = strconv.Atoi(value); err != nil || spec.Weight < 1 {
				return spec, fmt.Errorf("weight %q is not a whole number above zero", value)
			}
		case name == "region", name == "zone", name == "priority":
			if spec.Labels == nil {
				spec.Labels = make(map[string]string)
			}
			spec.Labels[name] = value
		case name == "id":
			spec.ID = value
		default:
			return spec, fmt.Errorf("%q is none of weight=N, region=R, zone=Z, priority=P and id=ID", part)
		}
	}
	_, err = lb.NewPool(spec)
	return spec, err
}

// ParsePrefixes reads a comma-separated list of networks.
func ParsePrefixes(s string) (list []netip.Prefix, err error) {
	for part := range strings.SplitSeq(s, ",") {
		prefix, err := netip.ParsePrefix(strings.TrimSpace(part))
		if err != nil {
			return nil, fmt.Errorf("%q is not a network like 10.0.0.0/8", part)
		}
		list = append(list, prefix)
	}
	return list, nil
}

// ReadSecret returns the secret that is given itself, in a file or by an environment variable's
// value, in this order, or nil if there is none. It has 32 characters or more.
func ReadSecret(secret, file, env string) ([]byte, error) {
	switch {
	case secret != "" && file != "":
		return nil, errors.New("the secret is given twice, itself and in a file; keep one")
	case file != "":
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		if secret = strings.TrimSpace(string(text)); secret == "" {
			return nil, fmt.Errorf("the file %q is empty; it needs 32 characters or more", file)
		}
	case secret == "":
		secret = env
	}
	switch {
	case secret == "":
		return nil, nil
	case len(secret) < 32:
		return nil, fmt.Errorf("the secret has %d characters; it needs 32 or more", len(secret))
	}
	return []byte(secret), nil
}
