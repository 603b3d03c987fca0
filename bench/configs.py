"""Configurations of the proxies: the same job for each, one worker, no buffering, no limit in the way.

`@PORT@`, `@ORIGIN@` and `@FOLDER@` are filled in. Peers write no access log; Penstock runs as it does by default.
"""

PENSTOCK = """\
[server]
host = "127.0.0.1"

[[upstream]]
name = "sim"
dialect = "openai-chat"
base_url = "http://127.0.0.1:@ORIGIN@/v1"

[[route]]
model = "m"
targets = [{ upstream = "sim", model = "m" }]
timeouts = { total = 3600 }
"""

PENSTOCK_TRANSLATING = """\
[[upstream]]
name = "origin"
dialect = "anthropic"
base_url = "http://127.0.0.1:@ORIGIN@/v1"
api_keys = ["x"]

[[route]]
model = "m"
targets = [{ upstream = "origin" }]
timeouts = { total = 3600 }
"""

NGINX = """\
daemon off;
worker_processes 1;
worker_rlimit_nofile 20000;
pid @FOLDER@/nginx.pid;
# More than the descriptors allow: below a sixteenth free, nginx drops connections that have not asked yet.
events { worker_connections 24000; }
http {
  access_log off;
  client_body_temp_path @FOLDER@/body;
  proxy_temp_path @FOLDER@/proxy;
  fastcgi_temp_path @FOLDER@/fastcgi;
  uwsgi_temp_path @FOLDER@/uwsgi;
  scgi_temp_path @FOLDER@/scgi;
  upstream origin { server 127.0.0.1:@ORIGIN@; keepalive 512; }
  server {
    listen 127.0.0.1:@PORT@ backlog=4096;
    location / {
      proxy_pass http://origin;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
      proxy_read_timeout 600s;
    }
  }
}
"""

ENVOY = """\
static_resources:
  listeners:
  - address: { socket_address: { address: 127.0.0.1, port_value: @PORT@ } }
    tcp_backlog_size: 4096
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: bench
          codec_type: HTTP1
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
              - match: { prefix: "/" }
                route: { cluster: origin, timeout: 0s }
          http_filters:
          - name: envoy.filters.http.router
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
  clusters:
  - name: origin
    type: STATIC
    connect_timeout: 5s
    circuit_breakers:
      thresholds:
      - { max_connections: 50000, max_pending_requests: 50000, max_requests: 50000 }
    load_assignment:
      cluster_name: origin
      endpoints:
      - lb_endpoints:
        - endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: @ORIGIN@ } } }
"""

LITELLM = """\
model_list:
- model_name: m
  litellm_params:
    model: openai/m
    api_base: "http://127.0.0.1:@ORIGIN@/v1"
    api_key: x
"""
