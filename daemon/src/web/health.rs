//! For machines: whether the appliance is well, and its figures.

use std::fmt::Write as _;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::Rooms;
use super::error::ApiError;
use super::nms::SummaryExtra;
use super::process::Meter;
use super::socket::Sockets;
use crate::edge::Accepting;

/// How old a proof of health may be.
const FRESH: Duration = Duration::from_secs(10);
/// How long the store may take to prove itself.
const PATIENCE: Duration = Duration::from_secs(5);

type Probing = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

/// How to try whether the store writes, and how many bytes it takes. Cheap to clone.
///
/// A pair of closures, since the web knows nothing of the store.
#[derive(Clone)]
pub struct StoreProbe {
    write: Arc<dyn Fn() -> Probing + Send + Sync>,
    bytes: Arc<dyn Fn() -> u64 + Send + Sync>,
}

impl StoreProbe {
    /// `write` writes something small and says what went wrong; `bytes` tells the file's size.
    pub fn new<F, W>(write: F, bytes: impl Fn() -> u64 + Send + Sync + 'static) -> Self
    where
        F: Fn() -> W + Send + Sync + 'static,
        W: Future<Output = Result<(), String>> + Send + 'static,
    {
        Self { write: Arc::new(move || Box::pin(write())), bytes: Arc::new(bytes) }
    }

    /// Bytes of the store's file.
    pub(super) fn bytes(&self) -> u64 {
        (self.bytes)()
    }
}

/// The last proof that the store writes. Cheap to clone.
#[derive(Clone)]
pub(super) struct StoreHealth {
    probe: StoreProbe,
    last: Arc<Mutex<Option<(Instant, bool)>>>,
}

impl StoreHealth {
    /// Nothing is proven yet.
    pub(super) fn new(probe: StoreProbe) -> Self {
        Self { probe, last: Arc::default() }
    }

    /// Whether the store writes, by a proof that is at most ten seconds old. However many ask, it
    /// is tried once in that time, so that nobody can wear the flash out by asking.
    async fn is_well(&self) -> bool {
        let mut last = self.last.lock().await;
        if let Some((at, well)) = *last
            && at.elapsed() < FRESH
        {
            return well;
        }
        let well = match timeout(PATIENCE, (self.probe.write)()).await {
            Ok(Ok(())) => true,
            Ok(Err(error)) => {
                tracing::error!(%error, "the store does not write");
                false
            }
            Err(_) => {
                tracing::error!("the store does not write within {} s", PATIENCE.as_secs());
                false
            }
        };
        *last = Some((Instant::now(), well));
        well
    }
}

/// Whether the store writes and the ports accept, within the last ten seconds.
#[utoipa::path(
    get, path = "/healthz", tag = "machines",
    responses(
        (status = 200, description = "Well", body = String, content_type = "text/plain"),
        (status = 503, description = "Not well", body = String, content_type = "text/plain"),
    )
)]
pub(super) async fn healthz(
    State(health): State<StoreHealth>,
    State(accepting): State<Accepting>,
) -> (StatusCode, &'static str) {
    if !accepting.within(FRESH) {
        return (StatusCode::SERVICE_UNAVAILABLE, "the listeners do not accept\n");
    }
    if !health.is_well().await {
        return (StatusCode::SERVICE_UNAVAILABLE, "the store does not write\n");
    }
    (StatusCode::OK, "ok\n")
}

/// The appliance's figures in the text format of Prometheus.
#[utoipa::path(
    get, path = "/metrics", tag = "machines",
    responses((status = 200, description = "Figures", body = String, content_type = "text/plain"))
)]
pub(super) async fn metrics(
    State(rooms): State<Rooms>,
    State(meter): State<Meter>,
    State(sockets): State<Sockets>,
) -> Result<Response, ApiError> {
    let figures = SummaryExtra::now(&rooms, &meter).await?;
    let kind = [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    Ok((kind, exposition(&figures, sockets.open())).into_response())
}

fn exposition(figures: &SummaryExtra, sockets: usize) -> String {
    let mut page = String::with_capacity(2048);
    let devices = [
        ("active", figures.devices_active),
        ("disconnected", figures.devices_disconnected),
        ("unauthorized", figures.devices_unauthorized),
    ];
    head(&mut page, "aerie_devices", "Devices by how they are connected.");
    for (status, count) in devices {
        // Writing into a string cannot fail.
        writeln!(page, "aerie_devices{{status=\"{status}\"}} {count}").ok();
    }
    let gauges: [(&str, &str, &dyn std::fmt::Display); 7] = [
        ("aerie_sessions", "Device sessions, waiting ones included.", &figures.sessions),
        ("aerie_sites", "Sites.", &figures.sites),
        ("aerie_web_sockets", "Live and terminal sockets of browsers.", &sockets),
        ("aerie_memory_bytes", "Resident memory of the daemon.", &figures.memory_bytes),
        ("aerie_cpu_percent", "Percent of one core.", &figures.cpu_percent),
        ("aerie_store_bytes", "Size of the store's file.", &figures.store_bytes),
        ("aerie_uptime_seconds", "Since the daemon started.", &figures.uptime),
    ];
    for (name, help, value) in gauges {
        head(&mut page, name, help);
        writeln!(page, "{name} {value}").ok();
    }
    page
}

fn head(page: &mut String, name: &str, help: &str) {
    writeln!(page, "# HELP {name} {help}\n# TYPE {name} gauge").ok();
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    fn counting(count: &Arc<AtomicU32>, result: Result<(), &'static str>) -> StoreHealth {
        let count = Arc::clone(count);
        let probe = StoreProbe::new(
            move || {
                count.fetch_add(1, Ordering::Relaxed);
                let result = result.map_err(str::to_owned);
                async move { result }
            },
            || 0,
        );
        StoreHealth::new(probe)
    }

    #[tokio::test(start_paused = true)]
    async fn the_store_is_tried_once_in_ten_seconds_however_many_ask() {
        let count = Arc::new(AtomicU32::new(0));
        let health = counting(&count, Ok(()));
        for _ in 0..100 {
            assert!(health.is_well().await);
        }
        assert_eq!(count.load(Ordering::Relaxed), 1);
        tokio::time::advance(FRESH).await;
        assert!(health.is_well().await);
        assert_eq!(count.load(Ordering::Relaxed), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_fails_or_hangs_is_not_well() {
        let count = Arc::new(AtomicU32::new(0));
        assert!(!counting(&count, Err("full")).is_well().await);
        let probe = StoreProbe::new(std::future::pending, || 0);
        assert!(!StoreHealth::new(probe).is_well().await);
    }
}
