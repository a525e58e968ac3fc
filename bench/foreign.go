package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// foreign is a proxy that takes part if its program is on PATH. Each gets a short configuration
// in which what costs time for no use here is off (access logs, temporary files), and backend
// connections are kept.
type foreign struct {
	name   string
	ask    string                    // what makes it tell its version
	args   func(dir string) []string // how it is started in its directory, its configuration being DIR/config
	config func(dir, addr string, backends []string) string
}

func foreigners() []foreign {
	return []foreign{
		{"nginx", "-v", func(dir string) []string { return []string{"-p", dir, "-c", dir + "/config", "-e", "stderr"} }, nginxConfig},
		{"haproxy", "-v", func(dir string) []string { return []string{"-q", "-db", "-f", dir + "/config"} }, haproxyConfig},
		{"caddy", "version", func(dir string) []string {
			return []string{"run", "--adapter", "caddyfile", "--config", dir + "/config"}
		}, caddyConfig},
	}
}

// installed tells which foreign proxies are there.
func installed() (names []string) {
	for _, f := range foreigners() {
		if _, err := exec.LookPath(f.name); err == nil {
			names = append(names, f.name)
		}
	}
	return names
}

// versions tells which they are, each by the first line that it says of itself.
func (b *bench) versions(ctx context.Context) (lines []string) {
	for _, f := range foreigners() {
		if slices.Contains(b.foreign, f.name) {
			text, _ := exec.CommandContext(ctx, f.name, f.ask).CombinedOutput() // a silent one has no version
			line, _, _ := strings.Cut(string(text), "\n")
			lines = append(lines, f.name+": "+strings.TrimSpace(line))
		}
	}
	return lines
}

// startForeign starts a foreign proxy and waits until it accepts connections.
func (b *bench) startForeign(ctx context.Context, name string) (*process, error) {
	for _, f := range foreigners() {
		if f.name == name {
			return b.startProgram(ctx, f)
		}
	}
	return nil, fmt.Errorf("unknown proxy %q", name)
}

func (b *bench) startProgram(ctx context.Context, f foreign) (*process, error) {
	dir := filepath.Join(b.dir, f.name)
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, "config"), []byte(f.config(dir, addr, b.backends)), 0o644); err != nil {
		return nil, err
	}
	p := &process{cmd: exec.Command(f.name, f.args(dir)...), addrs: []string{addr}}
	p.cmd.Dir = dir
	p.cmd.Env = append(os.Environ(), "GOMAXPROCS=1", "HOME="+dir, "XDG_CONFIG_HOME="+dir, "XDG_DATA_HOME="+dir)
	said, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	defer said.Close() // the child has its own
	p.cmd.Stderr, p.log = said, said.Name()
	if err := p.start(b.proxyCPUs); err != nil {
		return nil, err
	}
	if err := p.answering(ctx); err != nil {
		p.stop()
		text, _ := os.ReadFile(said.Name())
		return nil, fmt.Errorf("%s: %w; it said:\n%s", f.name, err, text)
	}
	return p, nil
}

// freeAddr returns an address that was free a moment ago, for programs that cannot say which
// port they were given.
func freeAddr() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}

func nginxConfig(dir, addr string, backends []string) string {
	return `daemon off;
worker_processes 1;
worker_rlimit_nofile ` + strconv.Itoa(fileLimit()) + `;
error_log stderr error;
pid ` + dir + `/pid;
events { worker_connections ` + strconv.Itoa(min(fileLimit()-100, 20_000)) + `; }
http {
	access_log off;
	keepalive_requests 1000000000;
	client_max_body_size 0;
	client_body_temp_path ` + dir + `/body;
	proxy_temp_path ` + dir + `/proxy;
	fastcgi_temp_path ` + dir + `/fastcgi;
	uwsgi_temp_path ` + dir + `/uwsgi;
	scgi_temp_path ` + dir + `/scgi;
	map $http_upgrade $hop { default upgrade; '' ''; }
	upstream backends {
		server ` + strings.Join(backends, ";\n\t\tserver ") + `;
		keepalive 512;
		keepalive_requests 1000000000;
	}
	server {
		listen ` + addr + ` backlog=4096;
		location / {
			proxy_pass http://backends;
			proxy_http_version 1.1;
			proxy_max_temp_file_size 0;
			proxy_request_buffering off;
			proxy_set_header Connection $hop;
			proxy_set_header Upgrade $http_upgrade;
			proxy_set_header Host $http_host;
			proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
		}
	}
}
`
}

func haproxyConfig(_, addr string, backends []string) string {
	text := `global
	maxconn ` + strconv.Itoa(min((fileLimit()-100)/2, 20_000)) + `
	nbthread 1
defaults
	mode http
	option forwardfor
	http-reuse always
	timeout connect 5s
	timeout client 5m
	timeout server 5m
	timeout tunnel 5m
frontend clients
	bind ` + addr + ` backlog 4096
	default_backend backends
backend backends
	balance roundrobin
`
	for i, backend := range backends {
		text += fmt.Sprintf("\tserver b%d %s pool-max-conn 512\n", i, backend)
	}
	return text
}

func caddyConfig(_, addr string, backends []string) string {
	host, port, _ := net.SplitHostPort(addr) // of a listener: it has both
	return `{
	admin off
	auto_https off
	log {
		output stderr
		level ERROR
	}
	servers {
		protocols h1 h2c
	}
}
http://:` + port + ` {
	bind ` + host + `
	reverse_proxy ` + strings.Join(backends, " ") + ` {
		lb_policy round_robin
		transport http {
			keepalive_idle_conns_per_host 2048
			compression off
		}
	}
}
`
}
