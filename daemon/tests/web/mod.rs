//! The whole API against its router, on a store in memory.

mod fixture;

mod accounts;
mod audit;
mod devices;
mod gui;
mod headers;
mod refusals;
mod sites;
mod sockets;
