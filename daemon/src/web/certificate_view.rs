//! Certificates as the API shows them.

use serde::Serialize;
use utoipa::ToSchema;

use super::views::Time;
use crate::edge::ports::{Listening, Picture, Standing};
use crate::edge::{
    AcmeSettings, AcmeStatus, CertificateInfo, CertificateStatus, Challenge, Check, Failure, Mode,
    NameCheck, OwnStatus,
};

/// The certificates of the appliance, and how they stand.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct CertificateView {
    mode: ModeView,
    /// No public authority vouches for it, or not for the appliance's host: device keys allow that.
    untrusted: bool,
    /// What is shown to everybody: one, or an ECDSA and an RSA one.
    shown: Vec<CertificateInfoView>,
    acme: Option<AcmeView>,
    own: Option<OwnView>,
    port80: Port80View,
}

/// Where the certificate comes from.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CertificateMode)]
enum ModeView {
    /// The appliance makes it.
    SelfSigned,
    /// A CA gives it by ACME.
    Acme,
    /// The owner brings it.
    Own,
}

/// What a certificate says.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CertificateInfo)]
pub(super) struct CertificateInfoView {
    subject: String,
    /// DNS names and addresses that it is good for.
    names: Vec<String>,
    issuer: String,
    not_before: Time,
    not_after: Time,
    serial: String,
    /// Fingerprint in hex with colons.
    sha256: String,
    /// Kind of its key, such as `ECDSA P-256`.
    key: String,
    self_signed: bool,
}

/// What is wanted of a CA, and how it stands.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct AcmeView {
    names: Vec<String>,
    email: Option<String>,
    directory: String,
    challenge: ChallengeView,
    has_extra_root: bool,
    state: AcmeState,
    renews_at: Option<Time>,
    /// After a failure.
    next_attempt: Option<Time>,
    last_success: Option<Time>,
    last_error: Option<AcmeError>,
}

/// How a CA finds out that a name is the appliance's.
#[derive(Clone, Copy, Debug, Default, Serialize, serde::Deserialize, ToSchema)]
#[schema(as = AcmeChallenge)]
pub(super) enum ChallengeView {
    /// It asks port 80.
    #[default]
    #[serde(rename = "http-01")]
    Http01,
    /// It asks port 443.
    #[serde(rename = "tls-alpn-01")]
    TlsAlpn01,
}

/// How it stands with a CA.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
enum AcmeState {
    /// An attempt is being made.
    Working,
    /// The certificate is the one that is wanted.
    Valid,
    /// The last attempt failed.
    Failed,
}

/// Why an attempt failed, in plain words.
#[derive(Debug, Serialize, ToSchema)]
struct AcmeError {
    at: Time,
    check: CheckView,
    what: String,
    todo: String,
    /// The CA's own words.
    detail: String,
}

/// What failed.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AcmeCheck)]
enum CheckView {
    /// Reaching the CA.
    Directory,
    /// Looking a name up.
    Dns,
    /// Asking port 80.
    Http,
    /// Asking port 443.
    Tls,
    /// The CA has been asked too often.
    RateLimit,
    /// The account at the CA.
    Account,
    /// A CAA record.
    Caa,
    /// Anything else.
    Other,
}

/// How an own certificate stands.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct OwnView {
    /// `upload` or `file`.
    #[schema(value_type = String)]
    source: &'static str,
    chain_file: Option<String>,
    key_file: Option<String>,
    /// It ends soon.
    warning: Option<EndWarning>,
    /// Why the files as they are now are not used.
    file_error: Option<String>,
}

/// A certificate ends soon.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct EndWarning {
    /// Whole days; negative when it is over.
    days_left: i64,
}

/// Whether plain HTTP is listened on.
#[derive(Debug, Serialize, ToSchema)]
struct Port80View {
    open: bool,
    #[schema(value_type = String)]
    reason: &'static str,
}

/// What was found for some names before a CA looks at them.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct NameChecks {
    checks: Vec<NameCheckView>,
}

/// What was found for one name.
#[derive(Debug, Serialize, ToSchema)]
struct NameCheckView {
    name: String,
    check: CheckView,
    ok: bool,
    what: String,
    #[schema(value_type = Option<String>)]
    todo: Option<&'static str>,
}

/// What an own certificate would be like.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OwnVerdict {
    shown: Vec<CertificateInfoView>,
    /// What would be mended, and what is worth knowing.
    notes: Vec<String>,
}

impl CertificateView {
    pub(super) fn new(status: CertificateStatus, ports: &Picture) -> Self {
        Self {
            mode: match status.mode {
                Mode::SelfSigned => ModeView::SelfSigned,
                Mode::Acme => ModeView::Acme,
                Mode::Own => ModeView::Own,
            },
            untrusted: status.untrusted,
            shown: status.shown.into_iter().map(CertificateInfoView::from).collect(),
            acme: status
                .acme
                .map(|(settings, status, valid)| AcmeView::new(settings, status, valid)),
            own: status.own.map(OwnView::from),
            port80: Port80View::new(ports),
        }
    }
}

impl AcmeView {
    fn new(settings: AcmeSettings, status: AcmeStatus, valid: bool) -> Self {
        Self {
            names: settings.names,
            email: settings.email,
            directory: settings.directory,
            challenge: match settings.challenge {
                Challenge::Http01 => ChallengeView::Http01,
                Challenge::TlsAlpn01 => ChallengeView::TlsAlpn01,
            },
            has_extra_root: settings.extra_root.is_some(),
            state: match (&status.last_error, valid) {
                (Some(_), _) if !status.working => AcmeState::Failed,
                (None, true) if !status.working => AcmeState::Valid,
                // Or asked for, and not begun.
                _ => AcmeState::Working,
            },
            renews_at: status.renews_at.map(Time),
            next_attempt: status.next_attempt.map(Time),
            last_success: status.last_success.map(Time),
            last_error: status.last_error.map(|(at, failure)| AcmeError::new(Time(at), failure)),
        }
    }
}

impl AcmeError {
    fn new(at: Time, failure: Failure) -> Self {
        let Failure { check, what, todo, detail, .. } = failure;
        Self { at, check: check.into(), what, todo, detail }
    }
}

impl From<CertificateInfo> for CertificateInfoView {
    fn from(info: CertificateInfo) -> Self {
        Self {
            subject: info.subject,
            names: info.names,
            issuer: info.issuer,
            not_before: Time(info.not_before),
            not_after: Time(info.not_after),
            serial: info.serial,
            sha256: info.sha256,
            key: info.key,
            self_signed: info.self_signed,
        }
    }
}

impl From<Check> for CheckView {
    fn from(check: Check) -> Self {
        match check {
            Check::Directory => Self::Directory,
            Check::Dns => Self::Dns,
            Check::Http => Self::Http,
            Check::Tls => Self::Tls,
            Check::RateLimit => Self::RateLimit,
            Check::Account => Self::Account,
            Check::Caa => Self::Caa,
            Check::Other => Self::Other,
        }
    }
}

impl From<ChallengeView> for Challenge {
    fn from(view: ChallengeView) -> Self {
        match view {
            ChallengeView::Http01 => Self::Http01,
            ChallengeView::TlsAlpn01 => Self::TlsAlpn01,
        }
    }
}

impl From<OwnStatus> for OwnView {
    fn from(own: OwnStatus) -> Self {
        let source = if own.files.is_some() { "file" } else { "upload" };
        let path = |path: std::path::PathBuf| path.display().to_string();
        let (chain_file, key_file) =
            own.files.map(|files| (path(files.chain_file), path(files.key_file))).unzip();
        let warning = own.days_left.map(|days_left| EndWarning { days_left });
        Self { source, chain_file, key_file, warning, file_error: own.file_error }
    }
}

impl Port80View {
    fn new(ports: &Picture) -> Self {
        let plain = ports.listeners.iter().filter(|shown| shown.listening == Listening::Http);
        let (mut open, mut closed) = (false, None);
        for shown in plain {
            match shown.standing {
                Standing::Closed(reason) => closed = Some(reason),
                _ => open = true,
            }
        }
        let reason = match closed {
            _ if open => "It answers a CA's challenge and sends browsers to HTTPS.",
            Some(_) => "It is closed, since the appliance has a certificate of your own.",
            None => "The ports' settings name none for plain HTTP.",
        };
        Self { open, reason }
    }
}

impl NameChecks {
    pub(super) fn new(found: Vec<NameCheck>) -> Self {
        let view = |NameCheck { name, check, ok, what, todo }| NameCheckView {
            name,
            check: CheckView::from(check),
            ok,
            what,
            todo,
        };
        Self { checks: found.into_iter().map(view).collect() }
    }
}

impl OwnVerdict {
    pub(super) fn new(shown: Vec<CertificateInfo>, notes: Vec<String>) -> Self {
        Self { shown: shown.into_iter().map(CertificateInfoView::from).collect(), notes }
    }
}
