//! An error with everything that caused it, on one line.

use std::{error::Error, fmt};

/// Shows an error and its sources, outermost first. Our errors never repeat their source, so the
/// line reads as one sentence.
pub struct Chain<'error>(pub &'error dyn Error);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            write!(out, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::PolicyError;

    #[test]
    fn the_whole_chain_is_shown() {
        let error = PolicyError::Unreadable {
            path: "/p.toml".into(),
            source: std::io::Error::other("the disk is on fire"),
        };
        let shown = Chain(&error).to_string();
        assert!(shown.contains("/p.toml") && shown.ends_with(": the disk is on fire"), "{shown}");
    }
}
