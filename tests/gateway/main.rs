//! What was promised, checked through real sockets with the real binary: one file a promise. A test that cannot run
//! here fails; `tests/check.sh --install` brings what is missing.

mod harness;

mod activation;
mod apps_page;
mod attacks;
mod check_forward;
mod check_nginx;
mod clients_grpc;
mod clients_jupyter;
mod clients_websocket;
mod code;
mod concurrency;
mod crash;
mod cutting;
mod demo;
mod h2spec;
mod handling;
mod hostile;
mod hosts;
mod hosts_nginx;
mod inbound;
mod json;
mod other_browser;
mod proxy_protocol;
mod radicale;
mod reload;
mod revoke;
mod sign_in;
mod sign_out;
mod slow;
mod smuggling;
mod store_away;
mod tenants;
mod traffic;
mod traffic_big;
mod traffic_files;
mod traffic_flow;
mod traffic_h2;
mod traffic_mixed;
mod traffic_resets;
mod upstreams;
mod upstreams_tls;
mod websocket;
