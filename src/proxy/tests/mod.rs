//! Through real sockets: what the app reads, what the visitor reads, who hangs up on whom.

mod connections;
mod house;
mod messages;
mod times;
mod tunnels;
