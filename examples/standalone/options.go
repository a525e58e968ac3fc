package main

import (
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/internal/demo"
	"github.com/go-loadbalancer/lb/picker"
)

// options are what the command line says.
type options struct {
	listen, admin, mount           string
	backends                       []lb.Spec
	policyName                     string
	policy                         lb.Policy
	policyRunner                   lb.Runner // nil: it needs none
	regionHeader, region           string
	trusted, explainTo             []netip.Prefix
	retrying                       retrying
	waiting                        waiting
	protocols                      demo.Protocols
	maxBody                        int64
	headerTimeout, shutdownTimeout time.Duration
	drainDelay                     time.Duration
	breaker, eject, suspect        bool
	breakerSlow                    time.Duration
	sticky                         bool
	sessionTTL                     time.Duration
	sharing                        sharing
	sessionKey                     []byte
	healthPath                     string
	healthInterval, healthTimeout  time.Duration
	startDown                      bool
	autoscale                      bool
	scaling                        scaling
	adapting                       adapting
	rateLimit                      float64
	rateBurst                      int
	logFormat                      string
	logLevel                       slog.Level
}

// parse reads the command line. The error names what is wrong, and the cure; flag.ErrHelp means
// that the usage was asked for and written.
func parse(args []string, getenv func(string) string, usage io.Writer) (*options, error) {
	o := &options{}
	fs := flag.NewFlagSet("standalone", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.StringVar(&o.listen, "listen", ":8080", "`address` to serve on")
	fs.StringVar(&o.mount, "mount", "/lb", "`path` below which traffic is balanced; / balances everything and needs -admin")
	fs.StringVar(&o.admin, "admin", "", "separate `address` for dashboard, metrics and health (default: same as -listen)")
	fs.Func("backend", "`URL[,weight=N][,region=R][,zone=Z][,priority=P][,id=ID]` of a backend; repeatable, and then no demo backends are started", func(s string) error {
		spec, err := demo.ParseBackend(s)
		o.backends = append(o.backends, spec)
		return err
	})
	fs.StringVar(&o.policyName, "policy", "weighted", "how to choose: "+demo.Policies)
	fs.StringVar(&o.regionHeader, "region-header", "X-Region", "request `header` with the region for -policy region, believed from trusted proxies only")
	fs.StringVar(&o.region, "region", "", "`region` of requests that have no such header (default: any)")
	fs.Func("trusted-proxies", "comma-separated `prefixes` of proxies to believe about the client, such as 10.0.0.0/8", func(s string) (err error) {
		o.trusted, err = demo.ParsePrefixes(s)
		return err
	})
	fs.Func("explain-to", "comma-separated `prefixes` of peers whose answers say in the header Lb-Explain how they came about, such as 127.0.0.0/8", func(s string) (err error) {
		o.explainTo, err = demo.ParsePrefixes(s)
		return err
	})
	o.retrying.flags(fs)
	o.waiting.flags(fs)
	fs.DurationVar(&o.headerTimeout, "header-timeout", 10*time.Second, "how long a backend may take to begin its answer")
	fs.BoolVar(&o.breaker, "breaker", true, "stop traffic to a backend that keeps failing")
	fs.DurationVar(&o.breakerSlow, "breaker-slow", 0, "for -breaker, how long an answer may take to begin; 0 if time does not matter")
	fs.BoolVar(&o.eject, "eject", true, "leave a backend out for a while that fails in a row, or more than the others")
	fs.BoolVar(&o.suspect, "suspect", true, "leave a backend out as long as it leaves several requests without a word")
	fs.BoolVar(&o.sticky, "sticky", true, "keep a browser on one backend by a cookie")
	fs.DurationVar(&o.sessionTTL, "session-ttl", time.Hour, "how long a session lasts after its last request")
	o.sharing.flags(fs)
	cert := fs.String("tls-cert", "", "`file` with the certificate to serve TLS and HTTP/2 with; needs -tls-key")
	certKey := fs.String("tls-key", "", "`file` with its key")
	fs.BoolVar(&o.protocols.H2C, "h2c", false, "serve HTTP/2 without TLS, too")
	fs.Int64Var(&o.maxBody, "max-body", 0, "largest request body in `bytes`; 0 for no bound")
	key := fs.String("session-key", "", "`secret` of 32 characters or more that signs the cookie, also from LB_SESSION_KEY (default: random)")
	keyFile := fs.String("session-key-file", "", "`file` with that secret")
	fs.StringVar(&o.healthPath, "health-path", "/health", "`path` of health checks; empty checks the TCP connection only")
	fs.DurationVar(&o.healthInterval, "health-interval", 10*time.Second, "time between two health checks of a backend")
	fs.DurationVar(&o.healthTimeout, "health-timeout", 2*time.Second, "how long a health check may take")
	fs.BoolVar(&o.startDown, "start-down", false, "send nothing to a backend before its health checks have passed")
	fs.BoolVar(&o.autoscale, "autoscale", true, "add demo backends under load (only with demo backends)")
	o.scaling.flags(fs)
	o.adapting.flags(fs)
	fs.Float64Var(&o.rateLimit, "rate-limit", 100, "requests per second and client; 0 for no limit")
	fs.IntVar(&o.rateBurst, "rate-burst", 200, "requests that a client may send at once")
	fs.StringVar(&o.logFormat, "log", "text", "`form` of the log: text or json")
	level := fs.String("log-level", "info", "least `level` to log: debug, info, warn or error")
	fs.DurationVar(&o.drainDelay, "drain-delay", 0, "how long to serve on at the end, after /ready has said no, so that whoever asks it sends nothing more")
	fs.DurationVar(&o.shutdownTimeout, "shutdown-timeout", 30*time.Second, "how long requests in flight may take at the end")
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			fs.SetOutput(usage)
			fmt.Fprint(usage, "A load balancer with three demo backends, a dashboard and metrics.\n\nUsage: standalone [flags]\n\n")
			fs.PrintDefaults()
		}
		return nil, err
	}
	if fs.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q; backends are named with -backend", fs.Arg(0))
	}
	secret, err := demo.ReadSecret(*key, *keyFile, getenv("LB_SESSION_KEY"))
	if o.sessionKey = secret; err != nil {
		err = fmt.Errorf("-session-key: %w", err)
	}
	return o, errors.Join(o.checkNames(*level), err, o.check(), o.retrying.check(), o.waiting.check(), o.scaling.check(fs), o.adapting.check(), o.sharing.check(o.sessionKey), o.readCertificate(*cert, *certKey))
}

// checkNames turns what has one of a few names into what it stands for.
func (o *options) checkNames(level string) error {
	var errs []error
	known, err := demo.PolicyNamed(o.policyName, picker.Region(picker.RegionHeader(o.regionHeader, o.region), picker.Weighted))
	if o.policy, o.policyRunner = known.Policy, known.Runner; err != nil {
		errs = append(errs, fmt.Errorf("-policy %w", err))
	}
	if o.logFormat != "text" && o.logFormat != "json" {
		errs = append(errs, fmt.Errorf("-log %q is neither text nor json", o.logFormat))
	}
	if err := o.logLevel.UnmarshalText([]byte(level)); err != nil || strings.ContainsAny(level, "+-") {
		errs = append(errs, fmt.Errorf("-log-level %q is none of debug, info, warn and error", level))
	}
	return errors.Join(errs...)
}

// readCertificate loads what TLS needs, if it is asked for.
func (o *options) readCertificate(cert, key string) error {
	if cert == "" && key == "" {
		return nil
	}
	if cert == "" || key == "" {
		return errors.New("-tls-cert and -tls-key go together; set both")
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return fmt.Errorf("-tls-cert %s, -tls-key %s: %w", cert, key, err)
	}
	o.protocols.Certificate = []tls.Certificate{pair}
	return nil
}

// check finds values that are out of bounds and flags that contradict each other.
func (o *options) check() error {
	var errs []error
	wrong := func(is bool, format string, args ...any) {
		if is {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	for _, address := range []struct{ flag, value string }{{"-listen", o.listen}, {"-admin", o.admin}} {
		_, _, err := net.SplitHostPort(address.value)
		wrong(address.value != "" && err != nil, "%s %q is not an address; want host:port or :port", address.flag, address.value)
	}
	wrong(o.listen == "", "-listen is empty; want host:port or :port")
	wrong(!strings.HasPrefix(o.mount, "/"), "-mount %q is not a path; it begins with /", o.mount)
	wrong(strings.Trim(o.mount, "/") == "" && o.admin == "", "-mount / leaves no room for the dashboard; give it an address of its own with -admin")
	if _, err := lb.NewPool(o.backends...); err != nil {
		errs = append(errs, fmt.Errorf("-backend: %w", err))
	}
	for _, d := range []struct {
		flag  string
		value time.Duration
	}{
		{"-header-timeout", o.headerTimeout}, {"-session-ttl", o.sessionTTL}, {"-health-interval", o.healthInterval}, {"-health-timeout", o.healthTimeout},
		{"-autoscale-interval", o.scaling.interval}, {"-shutdown-timeout", o.shutdownTimeout},
	} {
		wrong(d.value <= 0, "%s %v is not above zero", d.flag, d.value)
	}
	wrong(o.drainDelay < 0, "-drain-delay %v is below zero", o.drainDelay)
	wrong(o.healthPath != "" && !strings.HasPrefix(o.healthPath, "/"), "-health-path %q is not a path; it begins with /, or is empty for a TCP check", o.healthPath)
	wrong(o.breakerSlow < 0, "-breaker-slow %v is below zero; 0 means that time does not matter", o.breakerSlow)
	wrong(o.breakerSlow > 0 && !o.breaker, "-breaker-slow is for breakers, which -breaker=false switches off")
	wrong(!(o.rateLimit >= 0), "-rate-limit %v is below zero; 0 means no limit", o.rateLimit)
	wrong(o.rateBurst < 1, "-rate-burst %d is below 1", o.rateBurst)
	wrong(o.maxBody < 0, "-max-body %d is below zero; 0 means no bound", o.maxBody)
	return errors.Join(errs...)
}
