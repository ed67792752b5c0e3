//! A connection that can be cut from the device's side, at an instant that the device chooses.

use aerie_agent::connect::{ConnectError, Dial, TlsDialer};
use aerie_agent::trust::CertificateRule;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The scissors.
#[derive(Clone, Default)]
pub(crate) struct Cut(Arc<AtomicBool>);

impl Cut {
    /// From now on nothing goes out and nothing comes in, until the device dials again.
    pub(crate) fn now(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    #[cfg(test)]
    pub(crate) fn is_cut(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn check(&self) -> io::Result<()> {
        if self.0.load(Ordering::Relaxed) {
            Err(io::ErrorKind::ConnectionReset.into())
        } else {
            Ok(())
        }
    }
}

/// Dials connections that can be cut.
pub(crate) struct CutDialer {
    pub(crate) dialer: TlsDialer,
    pub(crate) cut: Cut,
}

impl Dial for CutDialer {
    type Stream = CutStream<<TlsDialer as Dial>::Stream>;

    async fn dial(
        &mut self,
        host: &str,
        port: u16,
        rule: CertificateRule,
    ) -> Result<(Self::Stream, Option<SocketAddr>), ConnectError> {
        let (stream, peer) = self.dialer.dial(host, port, rule).await?;
        self.cut.0.store(false, Ordering::Relaxed);
        Ok((CutStream { stream, cut: self.cut.clone() }, peer))
    }
}

pub(crate) struct CutStream<S> {
    stream: S,
    cut: Cut,
}

impl<S: AsyncRead + Unpin> AsyncRead for CutStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.cut.check()?;
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for CutStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.cut.check()?;
        Pin::new(&mut self.stream).poll_write(context, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.cut.check()?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.cut.check()?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
