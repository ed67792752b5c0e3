//! From a CA's problem (RFC 8555, section 6.7) to plain words: which check failed, what to do.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;
use rustls_acme::acme::{AcmeError, Problem};

use super::super::error::Unfit;
use super::{Challenge, Check, Failure};
use crate::outbound::OutboundError;

/// Characters of a CA's own words that are kept.
const DETAIL: usize = 500;
/// What CAs say that cannot look a name up and call that a problem of the connection.
const NOT_FOUND: [&str; 4] = ["could not resolve", "no such host", "NXDOMAIN", "SERVFAIL"];
/// What to do where nothing can be done.
const WAIT: &str = "Nothing: the appliance tries again by itself at the time shown.";

impl Failure {
    fn new(check: Check, what: String, todo: &str, detail: &str) -> Self {
        let detail = detail.chars().filter(|letter| !letter.is_control()).take(DETAIL).collect();
        Self { check, what, todo: todo.to_owned(), detail, not_before: None }
    }

    /// The CA's directory cannot be reached or read.
    pub(super) fn unreachable(error: &OutboundError) -> Self {
        let todo = "Check the directory's address, the CA and the way there. The appliance tries \
                    again by itself at the time shown.";
        Self::new(Check::Directory, sentence(&error.to_string()), todo, &chain(error))
    }

    /// The directory answered something else.
    pub(super) fn no_directory(status: u16) -> Self {
        let what = format!("The directory's address answered {status} and not an ACME directory.");
        Self::new(Check::Directory, what, "Check the directory's address.", "")
    }

    /// The CA did not answer in time.
    pub(super) fn slow(at: &str) -> Self {
        let what = "The CA did not answer in time.".to_owned();
        Self::new(Check::Directory, what, WAIT, at)
    }

    /// A challenge, an order or the whole attempt took too long.
    pub(in crate::edge::certificate) fn stuck(what: &str) -> Self {
        Self::new(Check::Other, what.to_owned(), WAIT, "")
    }

    /// What the CA gave cannot be shown.
    pub(super) fn unfit(unfit: &Unfit) -> Self {
        let what = format!("The CA gave a certificate that cannot be used. {unfit}");
        Self::new(Check::Other, what, "Check the appliance's clock, or ask the CA.", "")
    }

    /// Something of ours.
    pub(in crate::edge::certificate) fn ours(error: &dyn std::error::Error) -> Self {
        let what = "The appliance could not do its part.".to_owned();
        Self::new(Check::Other, what, "Look into the appliance's log.", &chain(error))
    }

    /// An answer of the CA that is no success, to what concerns no single name.
    pub(super) fn refused(error: &AcmeError, now: Timestamp) -> Self {
        match refusal(error) {
            Some((status, Some(problem))) => {
                let failure = Self::of(&problem, None, Challenge::Http01, now);
                if status >= 500 && failure.check == Check::Other {
                    busy(&problem)
                } else {
                    failure
                }
            }
            Some((status, None)) => {
                let what = format!("The CA answered {status}.");
                Self::new(Check::Directory, what, WAIT, "")
            }
            None if matches!(error, AcmeError::NoHttp01Challenge) => Self::new(
                Check::Http,
                "The CA does not offer the check over port 80.".to_owned(),
                "Choose TLS-ALPN-01 instead.",
                "",
            ),
            None if matches!(error, AcmeError::NoTlsAlpn01Challenge) => Self::new(
                Check::Tls,
                "The CA does not offer the check over port 443.".to_owned(),
                "Choose HTTP-01 instead.",
                "",
            ),
            None => Self::new(
                Check::Directory,
                "The connection to the CA broke off, or the CA said something else than ACME."
                    .to_owned(),
                WAIT,
                &error.to_string(),
            ),
        }
    }

    /// A problem, about a name or about the whole order.
    pub(super) fn of(
        problem: &Problem,
        name: Option<&str>,
        challenge: Challenge,
        now: Timestamp,
    ) -> Self {
        let kind = problem.typ.as_deref().unwrap_or_default();
        let kind = kind.rsplit(':').next().unwrap_or_default();
        let detail = problem.detail.as_deref().unwrap_or_default();
        let who = name.unwrap_or("a name");
        let (check, what, todo) = match kind {
            "dns" => dns(who),
            "connection" if NOT_FOUND.iter().any(|words| detail.contains(words)) => dns(who),
            "connection" | "tls" | "unauthorized" | "incorrectResponse" if name.is_some() => {
                asked(kind, who, challenge)
            }
            "caa" => (
                Check::Caa,
                format!("A CAA record of {who} does not let this CA give certificates."),
                "Add the CA to the CAA record in DNS, take the record out, or choose the CA that it \
                 names.",
            ),
            "rateLimited" => (
                Check::RateLimit,
                "The CA has been asked too often and makes us wait.".to_owned(),
                "Nothing: the appliance tries again at the time shown. Asking sooner makes it longer.",
            ),
            "accountDoesNotExist"
            | "invalidContact"
            | "unsupportedContact"
            | "unauthorized"
            | "userActionRequired"
            | "externalAccountRequired" => account(kind),
            "rejectedIdentifier" | "unsupportedIdentifier" => (
                Check::Other,
                format!("The CA gives no certificate for {who}."),
                "Use public DNS names that are yours, or another CA.",
            ),
            _ => (Check::Other, "The CA refused.".to_owned(), "Read the CA's own words below."),
        };
        let mut failure = Self::new(check, what, todo, detail);
        failure.not_before = retry_after(detail).filter(|at| *at > now);
        failure
    }
}

type Words = (Check, String, &'static str);

fn dns(name: &str) -> Words {
    (
        Check::Dns,
        format!("The CA found no address for {name} in DNS."),
        "Make an A or AAAA record for the name that points to this appliance, and wait until it is \
         known everywhere.",
    )
}

/// What came of the CA's asking us.
fn asked(kind: &str, name: &str, challenge: Challenge) -> Words {
    let (check, port) = match challenge {
        Challenge::Http01 => (Check::Http, 80),
        Challenge::TlsAlpn01 => (Check::Tls, 443),
    };
    if kind == "connection" {
        let what = format!("The CA could not reach {name} on port {port}.");
        let todo = match challenge {
            Challenge::Http01 => {
                "Let port 80 through from the internet to this appliance (router, firewall), and \
                 check that the name points here."
            }
            Challenge::TlsAlpn01 => {
                "Let port 443 through from the internet to this appliance (router, firewall), and \
                 check that the name points here."
            }
        };
        return (check, what, todo);
    }
    let what = format!("Port {port} of {name} answered the CA, but it was not this appliance.");
    let todo = match challenge {
        Challenge::Http01 => {
            "Check that the name points here (AAAA records too). A proxy in front has to pass \
             /.well-known/acme-challenge/ on to port 80 of this appliance."
        }
        Challenge::TlsAlpn01 => {
            "Check that the name points here (AAAA records too). A proxy in front that ends TLS \
             itself cannot pass this check: use HTTP-01."
        }
    };
    (check, what, todo)
}

fn account(kind: &str) -> Words {
    let todo = match kind {
        "invalidContact" | "unsupportedContact" => "Correct the e-mail address, or leave it out.",
        "externalAccountRequired" => {
            "This CA wants an account that was made elsewhere (external account binding), which is \
             not supported. Choose another CA."
        }
        "userActionRequired" => "Read the CA's own words below: it wants its terms agreed anew.",
        _ => "Try again: the appliance makes a new account where the CA has lost it.",
    };
    (Check::Account, "The CA does not take the account.".to_owned(), todo)
}

fn busy(problem: &Problem) -> Failure {
    let what = "The CA has trouble of its own.".to_owned();
    Failure::new(Check::Directory, what, WAIT, problem.detail.as_deref().unwrap_or_default())
}

/// Whether the CA only wants a fresh nonce.
pub(super) fn is_bad_nonce(error: &AcmeError) -> bool {
    let problem = refusal(error).and_then(|(_, problem)| problem);
    problem.and_then(|problem| problem.typ).is_some_and(|kind| kind.ends_with(":badNonce"))
}

/// Status and problem of an answer that is no success. The library tells both only in the words of
/// its error: `non 2xx http status: 400 "{\"type\": …}"`.
fn refusal(error: &AcmeError) -> Option<(u16, Option<Problem>)> {
    let AcmeError::HttpRequest(answer) = error else { return None };
    let words = answer.to_string();
    let words = words.strip_prefix("non 2xx http status: ")?;
    let (status, body) = words.split_once(' ')?;
    // A string in Rust's notation, which for a JSON document is JSON's.
    let body: Option<String> = serde_json::from_str(body).ok();
    Some((status.parse().ok()?, body.and_then(|body| serde_json::from_str(&body).ok())))
}

/// "retry after 2027-01-15 08:00:00 UTC" or "… after 2027-01-15T08:00:00Z", as CAs write it.
fn retry_after(detail: &str) -> Option<Timestamp> {
    let (_, after) = detail.split_once("retry after ")?;
    let zoned: Option<Timestamp> =
        after.split([' ', ':']).next().and_then(|word| word.parse().ok());
    let first = after.get(..19)?;
    let civil = first.parse::<DateTime>().ok().and_then(|at| Offset::UTC.to_timestamp(at).ok());
    zoned.or(civil)
}

/// With a capital letter and a full stop.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    let end = if text.ends_with('.') { "" } else { "." };
    format!("{first}{}{end}", letters.as_str())
}

/// An error's causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut line = String::new();
    let mut next = error.source();
    while let Some(cause) = next {
        if !line.is_empty() {
            line.push_str(": ");
        }
        line.push_str(&cause.to_string());
        next = cause.source();
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2027-01-15T08:00:00Z";

    fn of(kind: &str, detail: &str, challenge: Challenge) -> Failure {
        let typ = Some(format!("urn:ietf:params:acme:error:{kind}"));
        let problem = Problem { typ, detail: Some(detail.to_owned()) };
        Failure::of(&problem, Some("box.example"), challenge, NOW.parse().unwrap())
    }

    #[test]
    fn p2_each_problem_of_a_ca_is_told_with_what_failed_and_what_to_do() {
        for (kind, challenge, check, word) in [
            ("dns", Challenge::Http01, Check::Dns, "A or AAAA record"),
            ("connection", Challenge::Http01, Check::Http, "port 80"),
            ("connection", Challenge::TlsAlpn01, Check::Tls, "port 443"),
            ("unauthorized", Challenge::Http01, Check::Http, "points here"),
            ("incorrectResponse", Challenge::TlsAlpn01, Check::Tls, "HTTP-01"),
            ("caa", Challenge::Http01, Check::Caa, "CAA record"),
            ("rateLimited", Challenge::Http01, Check::RateLimit, "time shown"),
            ("invalidContact", Challenge::Http01, Check::Account, "e-mail"),
            ("externalAccountRequired", Challenge::Http01, Check::Account, "another CA"),
            ("rejectedIdentifier", Challenge::Http01, Check::Other, "public DNS names"),
            ("somethingNew", Challenge::Http01, Check::Other, "own words"),
        ] {
            let failure = of(kind, "their words", challenge);
            assert_eq!(failure.check, check, "{kind}");
            assert!(failure.todo.contains(word), "{kind}: {}", failure.todo);
            assert_eq!(failure.detail, "their words");
        }
    }

    #[test]
    fn when_to_come_back_is_read_from_a_cas_words() {
        let told = |detail: &str| {
            of("rateLimited", detail, Challenge::Http01).not_before.map(|at| at.to_string())
        };
        let at = Some("2027-01-15T10:30:00Z".to_owned());
        assert_eq!(told("too many: retry after 2027-01-15 10:30:00 UTC: see x"), at);
        assert_eq!(told("too many, retry after 2027-01-15T10:30:00Z: see x"), at);
        assert_eq!(told("too many, retry after 2020-01-15T10:30:00Z"), None, "that has passed");
        assert_eq!(told("too many, retry after a while, please"), None);
    }

    #[test]
    fn control_characters_and_endless_words_are_not_kept() {
        let failure = of("dns", &format!("\u{1b}[31m{}", "x".repeat(2_000)), Challenge::Http01);
        assert!(failure.detail.starts_with("[31m") && failure.detail.len() == DETAIL);
    }
}
