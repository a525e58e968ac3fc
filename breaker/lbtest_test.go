package breaker

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/lbtest"
)

// All forms pass the kit by which users prove their own breakers.
func TestBreakersPassTheKit(t *testing.T) {
	for name, cfg := range map[string]Config{
		"defaults":    {},
		"rate only":   {Consecutive: -1, FailureRate: 0.01, Requests: 1},
		"consecutive": {FailureRate: -1, Trials: 1},
		"patient":     {Consecutive: 1000, FailureRate: 1, Trials: 1000, Patience: 24 * time.Hour},
		"hasty":       {Consecutive: 1, Cooldown: 1, Trials: 7},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				of := lb.Must(New(cfg))
				traits := lbtest.BreakerTraits{Trials: cfg.withDefaults().Trials}
				if err := lbtest.TestBreaker(func() lb.Breaker { return of(nil) }, traits); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// What failsafe-go's breaker does not give to whoever uses it as it is, the kit finds as well.
func TestNaiveBreakersFailTheKit(t *testing.T) {
	for name, of := range map[string]func() lb.Breaker{
		"naive":      func() lb.Breaker { return naive{hazardous.circuit()} },
		"filtering":  func() lb.Breaker { return filtering{naive{hazardous.circuit()}} },
		"unset":      func() lb.Breaker { return unset(hazardous) },
		"suspicious": func() lb.Breaker { return suspicious{naive{hazardous.circuit()}} },
	} {
		synctest.Test(t, func(t *testing.T) {
			err := lbtest.TestBreaker(of, lbtest.BreakerTraits{Trials: hazardous.Trials})
			if err == nil {
				t.Errorf("%s passes", name)
			}
			t.Log(name, err)
		})
	}
}
