//! A new password: typed without being shown, read from standard input, or made.

use std::io::{self, BufRead, IsTerminal, Write};
use std::os::fd::AsFd;

use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use super::ConsoleError;
use crate::accounts::{MAX_BYTES, new_code};

/// A password that nobody has had before.
pub fn new_password() -> Result<Zeroizing<String>, ConsoleError> {
    Ok(new_code()?)
}

/// Asks for a password twice on the terminal; where there is none, takes the first line of standard
/// input.
pub fn password() -> Result<Zeroizing<String>, ConsoleError> {
    let input = io::stdin();
    if !input.is_terminal() {
        return line(input.lock()).map_err(ConsoleError::Input);
    }
    let quiet = Quiet::begin().map_err(ConsoleError::Input)?;
    let asked = |text: &str| {
        let mut out = io::stderr();
        out.write_all(text.as_bytes())?;
        out.flush()?;
        let typed = line(io::stdin().lock());
        // The line's end was not shown either.
        out.write_all(b"\n")?;
        typed
    };
    let first = asked("New password: ").map_err(ConsoleError::Input)?;
    let second = asked("Once more: ").map_err(ConsoleError::Input)?;
    drop(quiet);
    if *first == *second { Ok(first) } else { Err(ConsoleError::Differ) }
}

/// One line, without its end, of a length that is bounded a little above a password's.
fn line(input: impl BufRead) -> io::Result<Zeroizing<String>> {
    let bound = u64::try_from(MAX_BYTES).unwrap_or(u64::MAX).saturating_add(16);
    let mut text = Zeroizing::new(String::with_capacity(MAX_BYTES + 16));
    input.take(bound).read_line(&mut text)?;
    while text.ends_with(['\n', '\r']) {
        text.pop();
    }
    Ok(text)
}

/// A terminal that does not show what is typed, until it is dropped.
struct Quiet(Termios);

impl Quiet {
    fn begin() -> io::Result<Self> {
        let before = tcgetattr(io::stdin().as_fd())?;
        let mut quiet = before.clone();
        quiet.local_flags.remove(LocalFlags::ECHO);
        tcsetattr(io::stdin().as_fd(), SetArg::TCSAFLUSH, &quiet)?;
        Ok(Self(before))
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        tcsetattr(io::stdin().as_fd(), SetArg::TCSAFLUSH, &self.0).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_taken_without_its_end_and_no_more_than_a_password_can_be() {
        assert_eq!(*line(&b"a mast in the meadow\r\nmore\n"[..]).unwrap(), "a mast in the meadow");
        assert_eq!(*line(&b"no end"[..]).unwrap(), "no end");
        assert_eq!(*line(&b" spaces stay \n"[..]).unwrap(), " spaces stay ");
        let long = vec![b'x'; 1 << 20];
        assert!(line(&long[..]).unwrap().len() <= MAX_BYTES + 16);
        assert!(line(&b"\xff\n"[..]).is_err());
    }

    #[test]
    fn a_made_password_is_long_and_never_the_same() {
        let (one, two) = (new_password().unwrap(), new_password().unwrap());
        assert!(one.len() >= 20 && *one != *two);
    }
}
