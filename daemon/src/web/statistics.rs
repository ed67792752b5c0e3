//! What a device reported over time, as the published API draws it.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::error::{ApiError, ErrorBody};
use super::extract::{Id, Params, no_such_device};
use crate::clock::Clock;
use crate::devices::{Devices, history};

/// Which time is wanted.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only documents the query")]
pub(super) struct StatisticsQuery {
    /// Only `hour` for now.
    interval: String,
    /// Milliseconds since 1970. Taken for compatibility: the hour ends now.
    start: Option<i64>,
    /// Milliseconds. Taken for compatibility.
    period: Option<i64>,
}

/// Statistics of one device.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DeviceStatistics {
    /// Milliseconds between two points.
    period: i64,
    interval: Interval,
    /// Percent of all cores.
    cpu: Series,
    /// Percent.
    ram: Series,
    /// Degrees Celsius.
    temperature: Series,
    /// dBm, of the strongest wireless link.
    signal: Series,
    /// Errors of all interfaces since the point before.
    errors: Series,
    /// The main interface, where it is known.
    interfaces: Vec<InterfaceTraffic>,
}

/// From when to when, in milliseconds since 1970.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StatisticsInterval)]
struct Interval {
    start: i64,
    end: i64,
}

/// Traffic of one interface, in bit/s.
#[derive(Debug, Serialize, ToSchema)]
struct InterfaceTraffic {
    id: String,
    name: String,
    /// Towards the device.
    receive: Series,
    /// From the device.
    transmit: Series,
}

/// One figure over time.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StatisticsSeries)]
struct Series {
    /// The mean of each step.
    avg: Vec<Point>,
    /// The highest value of each step.
    max: Vec<Point>,
}

/// One point of a chart.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[schema(as = StatisticsPoint)]
struct Point {
    /// Milliseconds since 1970.
    x: i64,
    /// Null where nothing is known: a gap.
    #[schema(required)]
    y: Option<f64>,
}

/// The published API's other intervals. They come with long-term history.
const LATER: [&str; 7] = ["fourhours", "day", "week", "month", "quarter", "year", "range"];

/// What a device reported in the last hour.
#[utoipa::path(
    get, path = "/nms/api/v2.1/devices/{id}/statistics", tag = "devices",
    params(("id" = uuid::Uuid, Path, description = "The device"), StatisticsQuery),
    responses(
        (status = 200, description = "The last hour", body = DeviceStatistics),
        (status = 404, description = "There is no such device", body = ErrorBody),
    )
)]
pub(super) async fn read(
    State(devices): State<Devices>,
    State(clock): State<Clock>,
    id: Id,
    params: Params,
) -> Result<Json<DeviceStatistics>, ApiError> {
    match params.text("interval") {
        None | Some("hour") => {}
        Some(later) if LATER.contains(&later) => {
            return Err(ApiError::bad_request(
                "The appliance keeps one hour of statistics: ask for interval=hour.",
            ));
        }
        Some(_) => return Err(ApiError::bad_request("The interval is not known: use hour.")),
    }
    let id = id.device()?;
    devices.device(id).ok_or_else(no_such_device)?;
    let statistics = devices.history().statistics(id, clock.now());
    Ok(Json(statistics.into()))
}

impl From<history::Statistics> for DeviceStatistics {
    fn from(statistics: history::Statistics) -> Self {
        let interfaces = statistics.interfaces.into_iter().map(|interface| InterfaceTraffic {
            id: interface.id,
            name: interface.name,
            receive: interface.receive.into(),
            transmit: interface.transmit.into(),
        });
        Self {
            period: statistics.period,
            interval: Interval { start: statistics.interval.start, end: statistics.interval.end },
            cpu: statistics.cpu.into(),
            ram: statistics.ram.into(),
            temperature: statistics.temperature.into(),
            signal: statistics.signal.into(),
            errors: statistics.errors.into(),
            interfaces: interfaces.collect(),
        }
    }
}

impl From<history::Series> for Series {
    fn from(series: history::Series) -> Self {
        let points = |points: Vec<history::Point>| {
            points.into_iter().map(|point| Point { x: point.x, y: point.y }).collect()
        };
        Self { avg: points(series.avg), max: points(series.max) }
    }
}
