package main

import (
	"fmt"
	"net"
	"strings"
)

// foreigners are the proxies that the demo is compared with. All ask /health every second where
// they can, and wait two seconds for the head of an answer; else they are as they come, but for
// haproxy-tuned, which tries again wherever it may.
func foreigners() []foreign {
	haproxy := func(dir string) []string { return []string{"-q", "-db", "-f", dir + "/config"} }
	return []foreign{
		{"haproxy", "haproxy", "-v", haproxy, func(dir, addr string, backends []string) string {
			return haproxyConfig(addr, backends, "")
		}},
		{"haproxy-tuned", "haproxy", "-v", haproxy, func(dir, addr string, backends []string) string {
			return haproxyConfig(addr, backends, `	retries 3
	option redispatch 1
	retry-on all-retryable-errors
	http-request disable-l7-retry if METH_POST
`)
		}},
		{"nginx", "nginx", "-v", func(dir string) []string {
			return []string{"-p", dir, "-c", dir + "/config", "-e", "stderr"}
		}, nginxConfig},
		{"caddy", "caddy", "version", func(dir string) []string {
			return []string{"run", "--adapter", "caddyfile", "--config", dir + "/config"}
		}, caddyConfig},
	}
}

func haproxyConfig(addr string, backends []string, tuning string) string {
	text := `global
	maxconn 4000
defaults
	mode http
	timeout connect 1s
	timeout client 30s
	timeout server 2s
frontend clients
	bind ` + addr + `
	default_backend backends
backend backends
	balance roundrobin
	option httpchk GET /health
` + tuning
	for i, backend := range backends {
		text += fmt.Sprintf("\tserver b%d %s check inter 1s\n", i, backend)
	}
	return text
}

func nginxConfig(dir, addr string, backends []string) string {
	return `daemon off;
error_log stderr crit;
pid ` + dir + `/pid;
events { worker_connections 4000; }
http {
	access_log off;
	client_body_temp_path ` + dir + `/body;
	proxy_temp_path ` + dir + `/proxy;
	fastcgi_temp_path ` + dir + `/fastcgi;
	uwsgi_temp_path ` + dir + `/uwsgi;
	scgi_temp_path ` + dir + `/scgi;
	upstream backends {
		server ` + strings.Join(backends, ";\n\t\tserver ") + `;
		keepalive 64;
	}
	server {
		listen ` + addr + `;
		location / {
			proxy_pass http://backends;
			proxy_http_version 1.1;
			proxy_set_header Connection "";
			proxy_connect_timeout 1s;
			proxy_read_timeout 2s;
		}
	}
}
`
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
}
http://:` + port + ` {
	bind ` + host + `
	reverse_proxy ` + strings.Join(backends, " ") + ` {
		lb_policy round_robin
		lb_try_duration 2s
		health_uri /health
		health_interval 1s
		health_timeout 2s
		transport http {
			dial_timeout 1s
			response_header_timeout 2s
		}
	}
}
`
}
