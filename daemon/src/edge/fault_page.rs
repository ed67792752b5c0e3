//! One page on plain HTTP that says why there is no appliance behind this door.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::header::{HeaderMap, HeaderValue, RETRY_AFTER};
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::listen::{self, ListenError};
use super::plain;
use super::refusal::Refusing;

/// Connections at a time; others wait in the kernel's queue.
const CONNECTIONS: usize = 64;
/// Time for a connection: one request, one small answer.
const CONNECTION_TIME: Duration = Duration::from_secs(10);
/// Time for the request's head.
const HEAD_TIME: Duration = Duration::from_secs(5);
/// hyper's least.
const BUFFER: usize = 8 * 1024;
/// When to look again whether the appliance is there.
const LATER: HeaderValue = HeaderValue::from_static("30");

/// The page, with its addresses open.
pub struct FaultPage {
    listeners: Vec<TcpListener>,
    text: Arc<str>,
}

impl FaultPage {
    /// Opens the addresses. Call it inside a runtime.
    pub fn open(addresses: &[SocketAddr], text: String) -> Result<Self, ListenError> {
        let mut listeners: Vec<TcpListener> = Vec::with_capacity(addresses.len());
        for address in addresses {
            let others: Vec<&TcpListener> = listeners.iter().collect();
            let opened = listen::open(*address, "--listen", &others);
            match opened {
                Ok((bound, listener)) => {
                    tracing::info!(address = %bound, "the page is served");
                    listeners.push(listener);
                }
                Err(error) if listen::is_absent_family(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Self { listeners, text: text.into() })
    }

    /// Answers every request with the page until SIGTERM or SIGINT.
    pub async fn serve(self) -> io::Result<()> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        let mut loops = JoinSet::new();
        for listener in self.listeners {
            loops.spawn(accept_on(listener, Arc::clone(&self.text), Arc::clone(&places)));
        }
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        loops.shutdown().await;
        Ok(())
    }
}

async fn accept_on(listener: TcpListener, text: Arc<str>, places: Arc<Semaphore>) {
    let mut answering = JoinSet::new();
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        let (tcp, _) = listen::accept(&listener).await;
        let text = Arc::clone(&text);
        answering.spawn(async move {
            // How it ended does not matter: nothing is kept of it.
            drop(timeout(CONNECTION_TIME, answer(tcp, text)).await);
            drop(place);
        });
        while answering.try_join_next().is_some() {}
    }
}

async fn answer(tcp: TcpStream, text: Arc<str>) {
    let service = service_fn(move |_: Request<Incoming>| {
        let page = page(&text);
        async move { Ok::<_, Infallible>(page) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(BUFFER)
        .keep_alive(false)
        .serve_connection(TokioIo::new(Refusing::new(tcp, HeaderMap::new())), service);
    drop(Box::pin(connection).await);
}

fn page(text: &str) -> Response<Body> {
    let mut page = plain::text(StatusCode::SERVICE_UNAVAILABLE, text.to_owned());
    page.headers_mut().insert(RETRY_AFTER, LATER);
    page
}
