//! The program on a device: it connects to an Aerie appliance, reports, and does what it is asked.
//!
//! ```text
//! agent      connect, serve, pause, again
//!  ├ connect   TCP, TLS (trust), WebSocket, Noise: from an address to a proven session
//!  ├ session   one session: identity, status, requests, terminals
//!  │  ├ moving    the appliance's next address, tried beside the living session
//!  │  ├ link      messages through Noise and WebSocket
//!  │  └ terminal  flow control between a program and the appliance
//!  ├ backoff   how long to wait before the next connect
//!  ├ state     what the device remembers: its key pair, its device key, its appliance and where
//!  │           that was found
//!  └ host      what the agent asks of its machine; LinuxHost is the real one
//! passwords  those of local accounts: remembered, set, proven
//! policy     what the device's own file allows
//! separation two processes where the agent starts as root: see there
//! ```
//!
//! The agent is generic over its [`host::Host`], so that a simulator runs this very code for
//! thousands of invented devices in one process.

pub mod agent;
pub mod backoff;
pub mod chain;
pub mod connect;
pub mod host;
mod link;
pub mod passwords;
pub mod policy;
pub mod separation;
pub mod session;
pub mod state;
pub mod terminal;
pub mod trust;

pub use self::{agent::Agent, link::LinkError};
