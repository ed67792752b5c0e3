//! Lists come in pages: which one a query asks for, and what is answered beside its entries.

use serde::Serialize;
use utoipa::ToSchema;

use super::error::ApiError;
use super::extract::Params;

/// How a list is paged.
#[derive(Clone, Copy)]
pub(super) struct Paged {
    /// Entries a page, unless the query says how many.
    pub(super) usual: usize,
    /// The most that it may say.
    pub(super) largest: usize,
    /// The last page that it may ask for.
    pub(super) last: usize,
}

/// Which page is asked for.
#[derive(Clone, Copy)]
pub(super) struct Asked {
    /// Entries a page.
    pub(super) count: usize,
    /// Which, from 1.
    pub(super) page: usize,
}

/// Which page of a list this is.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct Pagination {
    /// Entries in all pages.
    pub(super) total: u64,
    /// Entries a page.
    pub(super) count: u64,
    /// This page; the first is 1.
    pub(super) page: u64,
    /// How many pages there are.
    pub(super) pages: u64,
}

impl Paged {
    /// Reads `count` and `page`.
    pub(super) fn asked(self, params: &Params) -> Result<Asked, ApiError> {
        let count = params.one("count")?.unwrap_or(self.usual);
        let page = params.one("page")?.unwrap_or(1);
        if (1..=self.largest).contains(&count) && (1..=self.last).contains(&page) {
            return Ok(Asked { count, page });
        }
        Err(ApiError::bad_request(format!(
            "The query's count must be 1 to {}, and its page 1 or more.",
            self.largest
        )))
    }
}

impl Asked {
    /// What goes beside the entries, of which all pages together have `total`.
    pub(super) fn of(self, total: impl TryInto<u64>) -> Pagination {
        let number = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        let (count, page) = (number(self.count), number(self.page));
        let total = total.try_into().unwrap_or(u64::MAX);
        Pagination { total, count, page, pages: total.div_ceil(count.max(1)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_counted_with_the_part_of_one() {
        let pages = |total: u64, page| Asked { count: 20, page }.of(total).pages;
        assert_eq!(pages(0, 1), 0);
        assert_eq!(pages(20, 1), 1);
        assert_eq!(pages(21, 2), 2);
    }
}
