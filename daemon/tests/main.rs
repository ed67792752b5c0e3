//! The daemon's crate from outside: its command line, stores that earlier releases wrote, its API.

// So that the lints know these modules for tests.
#[cfg(test)]
mod command_line;
#[cfg(test)]
mod old_stores;
#[cfg(test)]
mod web;
