//! A new password: typed without being shown, read from standard input, or made.

use std::io::{self, BufRead, IsTerminal, Write};
use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use super::ConsoleError;
use crate::accounts::{MAX_BYTES, new_code};

/// What ends or stops a program that asks: the terminal's keys, who stops it, a terminal that goes.
const ENDING: [Signal; 5] =
    [Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGTSTP];

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
    let first = quiet.ask("New password: ").map_err(ConsoleError::Input)?;
    let second = quiet.ask("Once more: ").map_err(ConsoleError::Input)?;
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

/// A terminal that does not show what is typed, until it is dropped. What would end or stop this
/// program waits until the terminal shows again, and only then does what it always does.
struct Quiet {
    before: Termios,
    /// The signals that were held back already.
    held: SigSet,
    ending: SigSet,
    /// Readable while a signal waits.
    waiting: SignalFd,
}

impl Quiet {
    fn begin() -> io::Result<Self> {
        let ending = ENDING.into_iter().collect();
        let quiet = Self {
            before: tcgetattr(io::stdin().as_fd())?,
            held: SigSet::thread_get_mask()?,
            ending,
            waiting: SignalFd::with_flags(&ending, SfdFlags::SFD_CLOEXEC)?,
        };
        quiet.hush()?;
        Ok(quiet)
    }

    fn hush(&self) -> io::Result<()> {
        self.ending.thread_block()?;
        let mut quiet = self.before.clone();
        quiet.local_flags.remove(LocalFlags::ECHO);
        Ok(tcsetattr(io::stdin().as_fd(), SetArg::TCSAFLUSH, &quiet)?)
    }

    /// A signal that waits is delivered here.
    fn show(&self) -> io::Result<()> {
        let shown = tcsetattr(io::stdin().as_fd(), SetArg::TCSAFLUSH, &self.before);
        self.held.thread_set_mask()?;
        Ok(shown?)
    }

    /// Asks for a line. Who stops the program and goes on with it is asked again.
    fn ask(&self, text: &str) -> io::Result<Zeroizing<String>> {
        let mut out = io::stderr();
        loop {
            out.write_all(text.as_bytes())?;
            out.flush()?;
            let typed = if self.is_typed()? { Some(line(io::stdin().lock())?) } else { None };
            // The line's end was not shown either.
            out.write_all(b"\n")?;
            if let Some(typed) = typed {
                return Ok(typed);
            }
            self.show()?;
            self.hush()?;
        }
    }

    /// Waits for a line, or for a signal: then there is none.
    fn is_typed(&self) -> io::Result<bool> {
        let input = io::stdin();
        let mut ready = [
            PollFd::new(self.waiting.as_fd(), PollFlags::POLLIN),
            PollFd::new(input.as_fd(), PollFlags::POLLIN),
        ];
        match poll(&mut ready, PollTimeout::NONE) {
            // It was stopped in a way that cannot be held back, and goes on.
            Err(Errno::EINTR) => return Ok(false),
            polled => polled?,
        };
        Ok(!ready.first().and_then(PollFd::any).unwrap_or(false))
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        self.show().ok();
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
