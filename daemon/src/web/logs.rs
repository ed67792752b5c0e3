//! The owner's log.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::error::ApiError;
use super::extract::Params;
use super::paging::{Asked, Paged, Pagination};
use super::views::Time;
use crate::devices::Devices;
use crate::devices::events::{Entry, Level, LevelCounts, Query};

/// How the log is paged.
const PAGED: Paged = Paged { usual: 20, largest: 1_000, last: usize::MAX };

/// What to look for.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only documents the query")]
pub(super) struct LogQuery {
    /// Entries a page, 1 to 1000.
    #[param(minimum = 1, maximum = 1000)]
    count: Option<usize>,
    /// Which page, from 1.
    #[param(minimum = 1)]
    page: Option<usize>,
    /// Only these levels: info, warning, error. May be repeated.
    level: Option<Vec<String>>,
    /// Only these tags. May be repeated.
    tag: Option<Vec<String>>,
    /// Only about these devices. May be repeated.
    #[param(rename = "deviceId")]
    device_id: Option<Vec<Uuid>>,
    /// Only about these sites. May be repeated.
    #[param(rename = "siteId")]
    site_id: Option<Vec<Uuid>>,
    /// Text to be found in the message or the device's name.
    query: Option<String>,
    /// Not older than this: milliseconds since 1970.
    start: Option<i64>,
    /// Together with `start`: not newer than so many milliseconds after it.
    period: Option<i64>,
}

/// A page of the log, newest entry first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct LogPage {
    items: Vec<LogView>,
    pagination: Pagination,
    aggregation: Aggregation,
}

/// How many entries match, by level.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LogAggregation)]
struct Aggregation {
    #[serde(rename = "allCount")]
    all: usize,
    #[serde(rename = "infoCount")]
    info: usize,
    #[serde(rename = "warningCount")]
    warning: usize,
    #[serde(rename = "errorCount")]
    error: usize,
}

/// An entry of the log.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LogEntry)]
pub(super) struct LogView {
    id: Uuid,
    timestamp: Time,
    message: String,
    /// info, warning or error.
    #[schema(value_type = String)]
    level: &'static str,
    tags: Vec<String>,
    /// The device that it is about.
    device: Option<LogDevice>,
    /// The site that it is about.
    site: Option<LogSite>,
}

/// The device that an entry is about, by the name that it had then.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct LogDevice {
    id: Uuid,
    name: String,
    display_name: String,
}

/// The site that an entry is about.
#[derive(Debug, Serialize, ToSchema)]
struct LogSite {
    id: Uuid,
}

impl LogView {
    /// Shows an entry.
    pub(super) fn new(entry: &Entry) -> Self {
        Self {
            id: entry.id,
            timestamp: Time(entry.at),
            message: entry.message.to_string(),
            level: entry.level.name(),
            tags: vec![entry.tag.to_string()],
            device: entry.device.map(|id| LogDevice {
                id,
                name: entry.device_name.to_string(),
                display_name: entry.device_name.to_string(),
            }),
            site: entry.site.map(|id| LogSite { id }),
        }
    }
}

/// Looks into the owner's log.
#[utoipa::path(
    get, path = "/nms/api/v2.1/logs", tag = "logs", params(LogQuery),
    responses((status = 200, description = "A page of the log", body = LogPage))
)]
pub(super) async fn list(
    State(devices): State<Devices>,
    params: Params,
) -> Result<Json<LogPage>, ApiError> {
    let query = query(&params)?;
    let asked = Asked { count: query.count, page: query.page };
    let events = devices.events().clone();
    // Twenty thousand entries may have to be looked at.
    let found = tokio::task::spawn_blocking(move || events.query(&query));
    let found = found.await.map_err(ApiError::internal)?;
    Ok(Json(LogPage {
        items: found.items.iter().map(Arc::as_ref).map(LogView::new).collect(),
        pagination: asked.of(found.total),
        aggregation: found.counts.into(),
    }))
}

fn query(params: &Params) -> Result<Query, ApiError> {
    let Asked { count, page } = PAGED.asked(params)?;
    let levels = params.list("level").map(|name| {
        Level::from_name(name).ok_or_else(|| {
            ApiError::bad_request("The query's level must be info, warning or error.")
        })
    });
    let from = params.one("start")?.map(moment).transpose()?;
    let period = params.one("period")?.map(SignedDuration::from_millis);
    let until = from.zip(period).and_then(|(from, period)| from.checked_add(period).ok());
    Ok(Query {
        count,
        page,
        levels: levels.collect::<Result<_, _>>()?,
        tags: params.list("tag").map(str::to_owned).collect(),
        devices: params.all("deviceId")?,
        sites: params.all("siteId")?,
        text: params.text("query").unwrap_or_default().chars().take(200).collect(),
        from,
        until,
    })
}

fn moment(milliseconds: i64) -> Result<Timestamp, ApiError> {
    Timestamp::from_millisecond(milliseconds).map_err(|_| {
        ApiError::bad_request("The query's start must be a number of milliseconds since 1970.")
    })
}

impl From<LevelCounts> for Aggregation {
    fn from(counts: LevelCounts) -> Self {
        Self { all: counts.all(), info: counts.info, warning: counts.warning, error: counts.error }
    }
}
