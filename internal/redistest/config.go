package redistest

import (
	"cmp"
	"crypto/tls"
	"fmt"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
)

// Config says what a Redis is like. The zero Config is a plain one that keeps nothing on disk.
type Config struct {
	Unix bool // it listens at a Unix socket, too, and its URL names that
	TLS  bool // it speaks TLS alone, with a certificate made for this test

	// User is an account that may do everything, and the default one is off then. Password is that
	// user's, or the default one's if User is empty. Sentinels have the same.
	User, Password string

	MaxMemory string   // such as "2mb"; writes beyond that are refused. Empty: no bound
	Keep      bool     // a Restart finds the data again, by an append-only file
	Port      int      // zero: any free one
	Lines     []string // more lines of redis.conf, which win over ours
}

// one returns the only Config of a list, or the zero one.
func one(list []Config) Config {
	if len(list) == 0 {
		return Config{}
	}
	return list[0]
}

// lines are those of redis.conf for the port and the folder.
func (cfg Config) lines(port int, dir string, cert *certificate) (lines []string) {
	lines = append(lines, "bind 127.0.0.1", "daemonize no", `logfile ""`, "dir "+dir, "protected-mode no")
	if cert == nil {
		lines = append(lines, "port "+strconv.Itoa(port))
	} else {
		lines = append(lines, "port 0", "tls-port "+strconv.Itoa(port), "tls-auth-clients no", "tls-replication yes",
			"tls-cert-file "+cert.certFile, "tls-key-file "+cert.keyFile, "tls-ca-cert-file "+cert.certFile)
	}
	if cfg.Unix {
		lines = append(lines, "unixsocket "+socket(dir))
	}
	if cfg.User != "" {
		lines = append(lines, "user default off", fmt.Sprintf("user %s on >%s ~* &* +@all", cfg.User, cfg.Password))
	} else if cfg.Password != "" {
		lines = append(lines, "requirepass "+cfg.Password)
	}
	return lines
}

// serverLines are those that a sentinel does not understand.
func (cfg Config) serverLines() (lines []string) {
	lines = append(lines, `save ""`, "repl-diskless-sync yes", "repl-diskless-sync-delay 0")
	if cfg.Keep { // the kernel has what was written before an answer was: a kill loses nothing
		lines = append(lines, "appendonly yes", "appendfsync no", "auto-aof-rewrite-percentage 0")
	} else {
		lines = append(lines, "appendonly no")
	}
	if cfg.MaxMemory != "" {
		lines = append(lines, "maxmemory "+cfg.MaxMemory, "maxmemory-policy noeviction")
	}
	if cfg.User != "" {
		lines = append(lines, "masteruser "+cfg.User)
	}
	if cfg.Password != "" {
		lines = append(lines, "masterauth "+cfg.Password)
	}
	return append(lines, cfg.Lines...)
}

// link returns a URL with that scheme and the account.
func (cfg Config) link(scheme, addresses, path string) string {
	account := ""
	if cfg.Password != "" {
		account = url.UserPassword(cfg.User, cfg.Password).String() + "@"
	}
	if rest, ok := strings.CutPrefix(scheme, "redis"); ok && cfg.TLS {
		scheme = "rediss" + rest
	}
	return scheme + "://" + account + addresses + path
}

func socket(dir string) string { return filepath.Join(dir, "redis.sock") }

// user is whom a client says it is.
func (cfg Config) user() string { return cmp.Or(cfg.User, "default") }

// client is what a client needs for TLS, or nil.
func (c *certificate) client() *tls.Config {
	if c == nil {
		return nil
	}
	return c.config.Clone()
}
