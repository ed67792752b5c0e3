//! The pair of sockets between the two processes: whole messages, and descriptors with them.

use std::{
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::{
        fd::{AsFd as _, BorrowedFd, OwnedFd},
        unix::net::UnixDatagram as StdDatagram,
    },
};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg,
    sendmsg,
};
use tokio::{io::Interest, net::UnixDatagram};
use zeroize::Zeroizing;

use super::SeparationError;

/// Room for one descriptor.
const ONE_DESCRIPTOR: usize = rustix::cmsg_space!(ScmRights(1));

/// Makes the two ends. `SOCK_SEQPACKET` keeps messages apart, as datagrams do, and says when the
/// other end is gone, as a stream does.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?)
}

/// One end.
#[derive(Debug)]
pub(super) struct Socket(UnixDatagram);

/// What came in one message.
pub(super) struct Received {
    /// Wiped after use, since one message holds a key.
    pub(super) bytes: Zeroizing<Vec<u8>>,
    pub(super) descriptor: Option<OwnedFd>,
}

impl Socket {
    pub(super) fn new(end: OwnedFd) -> io::Result<Self> {
        let end = StdDatagram::from(end);
        end.set_nonblocking(true)?;
        // Tokio's datagram type only waits here: every byte goes through the functions below.
        Ok(Self(UnixDatagram::from_std(end)?))
    }

    /// Sends one message; waits while the other end does not read. Cancel-safe.
    pub(super) async fn send(
        &self,
        bytes: &[u8],
        descriptor: Option<BorrowedFd<'_>>,
    ) -> Result<(), SeparationError> {
        let send = || send(self.0.as_fd(), bytes, descriptor);
        self.0.async_io(Interest::WRITABLE, send).await.map_err(SeparationError::broken)
    }

    /// The next message of at most `longest` bytes. A longer one, and a descriptor that is not
    /// expected, is an error. Cancel-safe.
    pub(super) async fn receive(
        &self,
        longest: usize,
        descriptors: bool,
    ) -> Result<Received, SeparationError> {
        let mut space = [MaybeUninit::uninit(); ONE_DESCRIPTOR];
        let space = if descriptors { space.as_mut_slice() } else { &mut [] };
        let receive = || receive(self.0.as_fd(), longest, space);
        self.0.async_io(Interest::READABLE, receive).await.map_err(SeparationError::broken)
    }
}

fn send(
    socket: BorrowedFd<'_>,
    bytes: &[u8],
    descriptor: Option<BorrowedFd<'_>>,
) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); ONE_DESCRIPTOR];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let descriptors = descriptor.as_ref().map(std::slice::from_ref);
    if let Some(descriptors) = descriptors
        && !control.push(SendAncillaryMessage::ScmRights(descriptors))
    {
        return Err(io::ErrorKind::OutOfMemory.into());
    }
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    sendmsg(socket, &[IoSlice::new(bytes)], &mut control, flags)?;
    Ok(())
}

fn receive(
    socket: BorrowedFd<'_>,
    longest: usize,
    space: &mut [MaybeUninit<u8>],
) -> io::Result<Received> {
    let mut bytes = Zeroizing::new(vec![0; longest]);
    let mut control = RecvAncillaryBuffer::new(space);
    let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
    let message = recvmsg(socket, &mut [IoSliceMut::new(&mut bytes)], &mut control, flags)?;
    if message.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a message that is too long"));
    }
    if message.bytes == 0 {
        return Err(io::ErrorKind::BrokenPipe.into());
    }
    bytes.truncate(message.bytes);
    let mut descriptor = None;
    for ancillary in control.drain() {
        if let RecvAncillaryMessage::ScmRights(descriptors) = ancillary {
            descriptor = descriptors.last();
        }
    }
    Ok(Received { bytes, descriptor })
}
