//! This process's end of a pseudo-terminal, wherever the program on the other end was started.
//!
//! Tokio has no type for a terminal's line; its pipe ends do what is needed, wait and try, with
//! any descriptor. They are told "nothing there" by the kernel alone (`try_read`, `try_write`): a
//! short read, which says that a pipe is empty, says nothing of the kind about a line.

use std::{
    io::{self, ErrorKind},
    os::fd::OwnedFd,
    pin::Pin,
    task::{Context, Poll, ready},
};

use rustix::termios::{Winsize, tcsetwinsize};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::unix::pipe::{Receiver, Sender},
};

use crate::terminal::{Keyboard, Program, Terminal, WindowSize};

/// Puts a terminal together. `line` must not block.
pub(crate) fn terminal(line: OwnedFd, program: impl Program + 'static) -> io::Result<Terminal> {
    let screen = Screen(Receiver::from_owned_fd_unchecked(line.try_clone()?)?);
    let keys = Keys(Sender::from_owned_fd_unchecked(line)?);
    Ok(Terminal { screen: Box::new(screen), keyboard: Box::new(keys), program: Box::new(program) })
}

struct Screen(Receiver);

impl AsyncRead for Screen {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(self.0.poll_read_ready(context))?;
            match self.0.try_read(buffer.initialize_unfilled()) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                read => {
                    buffer.advance(read?);
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }
}

struct Keys(Sender);

impl Keyboard for Keys {
    fn resize(&self, size: WindowSize) -> io::Result<()> {
        let size = Winsize { ws_row: size.rows, ws_col: size.columns, ws_xpixel: 0, ws_ypixel: 0 };
        Ok(tcsetwinsize(&self.0, size)?)
    }
}

impl AsyncWrite for Keys {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.0.poll_write_ready(context))?;
            match self.0.try_write(data) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                written => return Poll::Ready(written),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
