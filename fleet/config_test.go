package fleet

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/go-loadbalancer/lb"
)

func TestConfigNamesEveryFault(t *testing.T) {
	_, err := New(Config{
		Name: "a{b}", Secret: []byte("short"), Prefix: "\n", Interval: time.Hour, Time: -1, MaxShare: math.NaN(), Timeout: -1, URL: "ftp://x",
	})
	if err == nil {
		t.Fatal("all is wrong, and it is taken")
	}
	for _, want := range []string{"Pool", "Name", "Secret", "Prefix", "Interval", "Time ", "MaxShare", "Timeout", "URL"} {
		if !strings.Contains(err.Error(), "fleet: Config."+want) {
			t.Errorf("%s is not named in:\n%v", want, err)
		}
	}
	if strings.Contains(err.Error(), "short") {
		t.Error("the secret is shown")
	}
}

func TestConfigIsCopied(t *testing.T) {
	mine := append([]byte(nil), secret...)
	f := lb.Must(New(Config{Pool: lb.Must(lb.NewPool()), Secret: mine, URL: "redis://127.0.0.1:1"}))
	clear(mine)
	if string(f.cfg.Secret) != string(secret) {
		t.Error("it changes with the caller's")
	}
}
