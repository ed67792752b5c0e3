//! Requests whose head cannot be read, or is too long.
//!
//! hyper answers those itself: a bare status line, and then it closes while the peer still sends, so
//! that the system's reset overtakes the answer. Here hyper's answer is exchanged for one with our
//! headers and a sentence, and what the peer still sends is read until it has taken it in.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::StatusCode;
use http::header::{CONTENT_SECURITY_POLICY, HeaderMap, HeaderName};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::plain;

/// Time for a peer to take its refusal.
const TAKE_TIME: Duration = Duration::from_secs(3);
/// Bytes that a refused peer may still send.
const REST_BYTES: usize = 1024 * 1024;
/// How hyper begins every answer.
const ANSWER: &[u8] = b"HTTP/1.1 ";
/// Bytes of a request's head on HTTP/2, counted as RFC 9113, section 6.5.2 does.
const HEAD_BYTES: usize = super::serve::HEAD_BYTES;
/// What a header costs there beside its name and value.
const OVERHEAD: usize = 32;

/// A connection that HTTP/1.1 is spoken on.
pub(super) struct Refusing<S> {
    stream: S,
    refusal: Option<Refusal>,
    /// Headers that belong on answers over this connection, beside those of all answers.
    more: HeaderMap,
}

/// A refusal on its way out.
struct Refusal {
    answer: Vec<u8>,
    sent: usize,
    closed: bool,
    rest: usize,
    patience: Pin<Box<Sleep>>,
}

impl<S> Refusing<S> {
    pub(super) fn new(stream: S, more: HeaderMap) -> Self {
        Self { stream, refusal: None, more }
    }

    pub(super) fn into_inner(self) -> S {
        self.stream
    }

    /// Takes note of hyper's own answer, instead of sending it.
    fn is_refusal(&mut self, answer: &[u8]) -> bool {
        let Some(status) = refused(answer) else { return false };
        self.refusal = Some(Refusal {
            answer: plain::whole(status, sentence(status), &self.more),
            sent: 0,
            closed: false,
            rest: 0,
            patience: Box::pin(sleep(TAKE_TIME)),
        });
        true
    }
}

/// The status of an answer that hyper gives by itself: every answer of ours says more.
fn refused(answer: &[u8]) -> Option<StatusCode> {
    let status = answer.strip_prefix(ANSWER)?.get(..3)?;
    let status = StatusCode::from_bytes(status).ok().filter(StatusCode::is_client_error)?;
    let ours = CONTENT_SECURITY_POLICY.as_str().as_bytes();
    let told = answer.windows(ours.len()).any(|part| part.eq_ignore_ascii_case(ours));
    (!told).then_some(status)
}

fn sentence(status: StatusCode) -> &'static str {
    match status {
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => TOO_LONG,
        StatusCode::URI_TOO_LONG => "The address of this request is too long.\n",
        _ => "By RFC 9112 this is no request: its first lines cannot be read.\n",
    }
}

/// What is told about a head beyond the bounds.
pub(super) const TOO_LONG: &str =
    "The headers of this request are too long: up to 64 of them and 16 KiB are read.\n";

/// Whether a request's headers are longer than what is read, on HTTP/2, where hyper lets more in.
pub(super) fn is_too_long(headers: &HeaderMap) -> bool {
    let bytes = |(name, value): (&HeaderName, &http::HeaderValue)| {
        name.as_str().len() + value.len() + OVERHEAD
    };
    headers.iter().map(bytes).sum::<usize>() > HEAD_BYTES
}

impl<S: AsyncRead + AsyncWrite + Unpin> Refusing<S> {
    /// Sends the refusal, closes our half, and reads until the peer has closed the other.
    fn poll_refusal(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(refusal) = &mut self.refusal else { return Poll::Ready(Ok(())) };
        let stream = &mut self.stream;
        let gone = refusal.patience.as_mut().poll(context).is_ready();
        while let Some(bytes) = refusal.answer.get(refusal.sent..).filter(|rest| !rest.is_empty()) {
            match Pin::new(&mut *stream).poll_write(context, bytes) {
                Poll::Ready(sent) => refusal.sent += sent?,
                Poll::Pending if gone => return Poll::Ready(Ok(())),
                Poll::Pending => return Poll::Pending,
            }
        }
        if gone {
            return Poll::Ready(Ok(()));
        }
        if !refusal.closed {
            ready!(Pin::new(&mut *stream).poll_shutdown(context))?;
            refusal.closed = true;
        }
        let mut rest = [0; 4096];
        while refusal.rest < REST_BYTES {
            let mut buffer = ReadBuf::new(&mut rest);
            ready!(Pin::new(&mut *stream).poll_read(context, &mut buffer))?;
            match buffer.filled().len() {
                0 => break,
                read => refusal.rest += read,
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Refusing<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Refusing<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.refusal.is_some() || self.is_refusal(bytes) {
            return Poll::Ready(Ok(bytes.len()));
        }
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let first = slices.first().map_or(&[][..], |first| first);
        if self.refusal.is_some() || self.is_refusal(first) {
            return Poll::Ready(Ok(slices.iter().map(|slice| slice.len()).sum()));
        }
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.refusal.is_some() {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.refusal.is_some() {
            return self.poll_refusal(context);
        }
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_of_ours_is_told_from_hypers_own() {
        let bare = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\n\r\n";
        assert_eq!(refused(bare), Some(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE));
        let ours = plain::whole(StatusCode::BAD_REQUEST, "No.\n", &HeaderMap::new());
        assert_eq!(refused(&ours), None);
        for other in [&b"HTTP/1.1 200 OK\r\n\r\n"[..], b"HTTP/1.1 ", b"HTTP/1.1 4x0", b"body", b""]
        {
            assert_eq!(refused(other), None);
        }
    }

    #[test]
    fn a_head_on_http_2_has_the_bounds_of_one_on_http_1() {
        let mut headers = HeaderMap::new();
        headers.insert("x", "a".repeat(HEAD_BYTES - OVERHEAD - 1).parse().unwrap());
        assert!(!is_too_long(&headers));
        headers.insert("x", "a".repeat(HEAD_BYTES - OVERHEAD).parse().unwrap());
        assert!(is_too_long(&headers));
    }
}
