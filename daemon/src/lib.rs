//! The Aerie appliance: one lean daemon that keeps an internet provider's network devices,
//! subscribers and credentials in one safe place.
//!
//! Rooms, from the ground up; a room uses those above it in this list and none below. The map with
//! the reasons is `docs/architecture.md`. What cargo-fuzz builds leaves out the two largest, which no
//! target calls: instrumented, they take minutes to compile.

pub mod clock;
pub mod config;
pub mod cut;
pub mod network;
pub mod supervisor;
pub mod systemd;

pub mod seal;
pub mod store;

pub mod outbound;

pub mod audit;

pub mod accounts;

pub mod vault;

pub mod jobs;

pub mod console;

pub mod devices;

pub mod edge;

pub mod first_boot;

#[cfg(not(fuzzing))]
pub mod web;

pub mod healthy;

pub mod watchdog;

#[cfg(not(fuzzing))]
pub mod run;
