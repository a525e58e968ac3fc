package redisconn

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// form is how a Redis is deployed.
type form uint8

const (
	single form = iota
	sentinel
	cluster
)

// place is what a URL says.
type place struct {
	form      form
	unix      bool
	secure    bool
	addresses []string // host:port, or the path of a socket
	user      string
	password  string
	database  int
	master    string // the name that sentinels know it by
}

// schemes are the forms that a URL may begin with.
var schemes = map[string]place{
	"redis":           {form: single},
	"rediss":          {form: single, secure: true},
	"redis-sentinel":  {form: sentinel},
	"rediss-sentinel": {form: sentinel, secure: true},
	"redis-cluster":   {form: cluster},
	"rediss-cluster":  {form: cluster, secure: true},
	"unix":            {form: single, unix: true},
}

const howTo = "write host:port, redis://user:password@host:port/0, rediss://host:port, redis-sentinel://host:port,host:port/master, redis-cluster://host:port,host:port or unix:///path/to.sock, like redis://127.0.0.1:6379"

// locate reads a URL. Its errors show nothing that stands before an @.
func locate(text string) (place, error) {
	scheme, rest, found := strings.Cut(text, "://")
	if !found {
		return place{addresses: []string{text}}, wrong(text, checkAddress(text))
	}
	p, known := schemes[scheme]
	if !known {
		return p, wrong(text, errors.New("its scheme is not known"))
	}
	if at := strings.LastIndexByte(rest, '@'); at >= 0 {
		user, err := url.Parse("redis://" + rest[:at] + "@host")
		if err != nil {
			return p, wrong(text, errors.New("what stands before @ is not user:password; write signs like / # ? as %2F %23 %3F"))
		}
		p.user = user.User.Username()
		p.password, _ = user.User.Password()
		rest = rest[at+1:]
	}
	if p.unix {
		p.addresses = []string{rest}
		if !strings.HasPrefix(rest, "/") {
			return p, wrong(text, errors.New("the path of the socket does not begin with /"))
		}
		return p, nil
	}
	hosts, path, _ := strings.Cut(rest, "/")
	return p, wrong(text, p.read(strings.Split(hosts, ","), path))
}

// read takes the hosts, and what stands behind them.
func (p *place) read(hosts []string, path string) error {
	if p.form == single && len(hosts) > 1 {
		return errors.New("it has several hosts, but neither redis-sentinel nor redis-cluster")
	}
	for _, host := range hosts {
		if _, _, err := net.SplitHostPort(host); err != nil && host != "" {
			host = net.JoinHostPort(strings.Trim(host, "[]"), "6379")
		}
		if err := checkAddress(host); err != nil {
			return err
		}
		p.addresses = append(p.addresses, host)
	}
	if p.form == sentinel {
		if p.master, path, _ = strings.Cut(path, "/"); p.master == "" {
			return errors.New("it does not name the master")
		}
	}
	if path == "" {
		return nil
	}
	database, err := strconv.ParseUint(path, 10, 15)
	if p.database = int(database); err != nil || p.form == cluster && database > 0 {
		return fmt.Errorf("%q is not a number of a database that it can have", path)
	}
	return nil
}

func checkAddress(address string) error {
	host, port, err := net.SplitHostPort(address)
	number, bad := strconv.ParseUint(port, 10, 16)
	if err == nil && bad == nil && number > 0 && host != "" && !strings.ContainsAny(host, "/@ ") {
		return nil
	}
	return fmt.Errorf("%q is not host:port", hide(address))
}

// wrong names the field, the value and the cure.
func wrong(text string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("URL %q: %w; %s", hide(text), err, howTo)
}

// hide leaves out what stands before an @, for it may be a password.
func hide(text string) string {
	if i := strings.LastIndexByte(text, '@'); i >= 0 {
		return "..." + text[i:]
	}
	return text
}

// security is the TLS that the place needs, nil for none.
func (p place) security(own *tls.Config) *tls.Config {
	switch {
	case own != nil && !p.unix:
		return own
	case p.secure:
		return &tls.Config{MinVersion: tls.VersionTLS12}
	}
	return nil
}
