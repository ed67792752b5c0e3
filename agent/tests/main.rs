//! The agent against an appliance made for tests, on real pseudo-terminals, over real TLS, and as
//! a program. One binary, one file a topic.

#[cfg(test)]
mod appliance;
#[cfg(test)]
mod commands;
#[cfg(test)]
mod enrolment;
#[cfg(test)]
mod machine;
#[cfg(test)]
mod moving;
#[cfg(test)]
mod outer;
#[cfg(test)]
mod passwords;
#[cfg(test)]
mod processes;
#[cfg(test)]
mod program;
#[cfg(test)]
mod pty;
#[cfg(test)]
mod rhythm;
#[cfg(test)]
mod separation;
#[cfg(test)]
mod simulated;
#[cfg(test)]
mod window;
