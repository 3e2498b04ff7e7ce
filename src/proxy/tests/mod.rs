//! Through real sockets: what the app reads, what the visitor reads, who hangs up on whom.

mod connections;
mod endpoints;
mod house;
mod http2;
mod messages;
mod pieces;
mod times;
mod tunnels;
