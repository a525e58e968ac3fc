package pickers

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"testing"

	"github.com/bufbuild/httplb/attribute"
	"github.com/bufbuild/httplb/conn"
	"github.com/bufbuild/httplb/picker"
	"github.com/bufbuild/httplb/resolver"
)

// draw is a random draw, as a balancer makes it for each pick.
func draw() uint64 { return rand.Uint64() }

// link is a connection of httplb's that goes nowhere.
type link int

func (l link) RoundTrip(*http.Request, func()) (*http.Response, error) { return nil, nil }
func (l link) Scheme() string                                          { return "http" }
func (l link) Address() resolver.Address                               { return resolver.Address{HostPort: fmt.Sprint(int(l))} }
func (l link) UpdateAttributes(attribute.Values)                       {}
func (l link) Prewarm(context.Context) error                           { return nil }

// links are n of them.
type links int

func (n links) Len() int            { return int(n) }
func (n links) Get(i int) conn.Conn { return link(i) }

func httplbs() []contender {
	var all []contender
	for _, p := range []struct {
		name  string
		build func(picker.Picker, conn.Conns) picker.Picker
	}{
		{"RoundRobin", picker.NewRoundRobin},
		{"Random", picker.NewRandom},
		{"PowerOfTwo", picker.NewPowerOfTwo},
		{"LeastLoaded", picker.NewLeastLoadedRandom},
	} {
		all = append(all, contender{"httplb/" + p.name, func(b testing.TB, n int) func() {
			chooser, req := p.build(nil, links(n)), request()
			return func() {
				_, done, err := chooser.Pick(req)
				if err != nil {
					b.Error(err)
				}
				if done != nil {
					done()
				}
			}
		}})
	}
	return all
}
