//! Who did what, for admins.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::error::ApiError;
use super::extract::Params;
use super::paging::{Asked, Paged, Pagination};
use super::views::Time;
use crate::accounts::{Accounts, AuditEntry, AuditPage};
use crate::audit::Query;

/// How the log is paged; it has no more entries than pages of one.
const PAGED: Paged = Paged { usual: 50, largest: 500, last: 100_000 };
/// Characters of a word that is looked for.
const WORD_CHARS: usize = 128;
/// Words that are looked for at once.
const WORDS: usize = 32;

/// What to look for.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only documents the query")]
pub(super) struct AuditQuery {
    /// Entries a page, 1 to 500.
    #[param(minimum = 1, maximum = 500)]
    count: Option<usize>,
    /// Which page, from 1.
    #[param(minimum = 1)]
    page: Option<usize>,
    /// Only what this account did, by id, user name or e-mail address, or this part of the
    /// appliance, such as `console`.
    who: Option<String>,
    /// Only these deeds, such as `login`. May be repeated.
    what: Option<Vec<String>>,
}

/// A page of the audit log, newest entry first.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditPage)]
pub(super) struct PageView {
    items: Vec<EntryView>,
    pagination: Pagination,
    aggregation: Aggregation,
}

/// What holds for the whole log.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditAggregation)]
struct Aggregation {
    chain: ChainView,
}

/// Whether the log is as it was written: each entry carries the hash of the one before.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AuditChain)]
struct ChainView {
    /// It is.
    whole: bool,
    /// The first entry that was changed, or that follows on a missing one.
    #[serde(skip_serializing_if = "Option::is_none")]
    broken_at: Option<String>,
}

/// An entry of the audit log.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AuditEntry)]
pub(super) struct EntryView {
    /// Its number in the log.
    id: String,
    at: Time,
    /// An account's id, or a part of the appliance.
    who: String,
    /// The account's user name, or the part; null where the account is gone.
    #[schema(required)]
    who_name: Option<String>,
    /// What was done.
    what: String,
    /// To what.
    about: String,
    /// The client's address.
    #[schema(required)]
    address: Option<String>,
}

impl EntryView {
    fn new(entry: AuditEntry) -> Self {
        Self {
            id: entry.number.to_string(),
            at: Time(entry.at),
            who: entry.who,
            who_name: entry.who_name,
            what: entry.what,
            about: entry.about,
            address: entry.address,
        }
    }
}

/// Looks into the audit log.
#[utoipa::path(
    get, path = "/nms/api/v2.1/nms/audit", tag = "nms", params(AuditQuery),
    responses((status = 200, description = "A page of the audit log", body = PageView))
)]
pub(super) async fn list(
    State(accounts): State<Accounts>,
    params: Params,
) -> Result<Json<PageView>, ApiError> {
    let query = query(&params)?;
    let asked = Asked { count: query.count, page: query.page };
    let AuditPage { entries, total, broken_at } = accounts.audit(query).await?;
    let broken_at = broken_at.map(|number| number.to_string());
    Ok(Json(PageView {
        items: entries.into_iter().map(EntryView::new).collect(),
        pagination: asked.of(total),
        aggregation: Aggregation { chain: ChainView { whole: broken_at.is_none(), broken_at } },
    }))
}

fn query(params: &Params) -> Result<Query, ApiError> {
    let Asked { count, page } = PAGED.asked(params)?;
    let what: Vec<String> = params.list("what").map(str::to_owned).collect();
    let too_long = |word: &str| word.chars().count() > WORD_CHARS;
    let who = params.text("who");
    if what.len() > WORDS || what.iter().map(String::as_str).chain(who).any(too_long) {
        return Err(ApiError::bad_request(
            "The query's who and what are too long: at most 32 words of 128 characters.",
        ));
    }
    Ok(Query { who: who.map(str::to_owned), what, count, page })
}
